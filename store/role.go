package store

import "strings"

// Role is a named list of rules.
type Role struct {
	ID          RoleID      `json:"_id"`
	Revision    int64       `json:"revision"`
	Workspace   WorkspaceID `json:"workspace"` // or Shared
	Ref         string      `json:"ref"`       // "acme/reader", "*/steward": workspace and name; unique, immutable
	Description string      `json:"description,omitempty"`
	Parents     []RoleID    `json:"parents,omitempty"` // of its own workspace, or shared
	Rules       []Rule      `json:"rules,omitempty"`   // by number
	LastNumber  int         `json:"last_number"`       // the highest ever given to a rule
	Builtin     bool        `json:"builtin,omitempty"` // not editable
	CreatedAt   Time        `json:"created_at"`
}

// Name is the role's name in its workspace.
func (r *Role) Name() string {
	_, name, _ := strings.Cut(r.Ref, "/")
	return name
}

// Rule allows or denies calls. Its number is permanent within its role and
// never used again: usage counts by it.
type Rule struct {
	Number    int    `json:"number"`
	API       string `json:"api"`                 // short name, or *
	Methods   string `json:"methods"`             // "GET POST", or *
	Path      string `json:"path"`                // /orders/{id}, /files/**
	Operation string `json:"operation,omitempty"` // "query devices", "mutation *"; empty is any, and plain HTTP
	Scope     string `json:"scope,omitempty"`     // what the token must have; empty is nothing
	Deny      bool   `json:"deny,omitempty"`
}

// Kind is KindRole.
func (r *Role) Kind() Kind { return KindRole }

// Key is the role's id.
func (r *Role) Key() string { return string(r.ID) }

// Rev is the role's revision.
func (r *Role) Rev() int64 { return r.Revision }

// WithRev returns a copy at another revision.
func (r *Role) WithRev(rev int64) Record {
	copied := *r
	copied.Revision = rev
	return &copied
}

// Grant gives roles to an account or a team in one workspace. There is one for
// each holder and workspace (NewGrantID).
type Grant struct {
	ID        GrantID       `json:"_id"`
	Revision  int64         `json:"revision"`
	Holder    HolderID      `json:"holder"`
	Workspace WorkspaceID   `json:"workspace"`
	Roles     []GrantedRole `json:"roles,omitempty"`
	CreatedAt Time          `json:"created_at"`
}

// GrantedRole is a role with the limits it was given with. The same role may
// stand in a grant more than once, with other limits.
type GrantedRole struct {
	Role   RoleID  `json:"role"`
	Limits []Limit `json:"limits,omitempty"`
}

// Limit bounds the rules whose path has {Param} to these values, spelled
// canonically. No values allow nothing.
type Limit struct {
	Param  string   `json:"param"`
	Values []string `json:"values,omitempty"`
}

// Kind is KindGrant.
func (g *Grant) Kind() Kind { return KindGrant }

// Key is the grant's id.
func (g *Grant) Key() string { return string(g.ID) }

// Rev is the grant's revision.
func (g *Grant) Rev() int64 { return g.Revision }

// WithRev returns a copy at another revision.
func (g *Grant) WithRev(rev int64) Record {
	copied := *g
	copied.Revision = rev
	return &copied
}

// GrantQuery asks for grants by id. Conditions are joined by and.
type GrantQuery struct {
	Workspace WorkspaceID
	Role      RoleID // those that name it
	TeamsOnly bool   // held by teams
	After     GrantID
	Limit     int // 0 is 50; -1 is all
}
