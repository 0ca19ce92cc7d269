package api

import (
	"context"
	"strings"

	"postern/server/admin"
	"postern/store"
)

// Role is a role as it is shown.
type Role struct {
	ID          string   `json:"id"`
	Workspace   string   `json:"workspace" doc:"Its name; * for a role that all share."`
	Name        string   `json:"name"`
	Ref         string   `json:"ref" doc:"workspace/name"`
	Description string   `json:"description"`
	Parents     []string `json:"parents" doc:"The refs of the roles it inherits."`
	Rules       []Rule   `json:"rules"`
	Builtin     bool     `json:"builtin"`
	CreatedAt   Time     `json:"created_at"`
	Revision    int64    `json:"revision"`
}

// Rule allows or denies calls.
type Rule struct {
	Number    int    `json:"number,omitempty" minimum:"0" doc:"Permanent; leave it away for a new rule."`
	API       string `json:"api" doc:"Short name, or * for every API."`
	Methods   string `json:"methods" doc:"GET POST, or * for every method."`
	Path      string `json:"path" doc:"/orders/{id} or /files/**"`
	Operation string `json:"operation,omitempty" doc:"Of GraphQL: query devices, mutation *."`
	Scope     string `json:"scope,omitempty" doc:"What the token must have."`
	Deny      bool   `json:"deny,omitempty"`
}

// RoleCreate is the body of POST /roles.
type RoleCreate struct {
	Workspace   string   `json:"workspace" doc:"Id or name."`
	Name        string   `json:"name"`
	Description string   `json:"description,omitempty"`
	Parents     []string `json:"parents,omitempty" maxItems:"100" doc:"Ids, names or refs."`
	Rules       []Rule   `json:"rules,omitempty" maxItems:"1000"`
}

// RolePatch is the body of PATCH /roles/{role}. Lists are replaced whole.
type RolePatch struct {
	Description Maybe[string]   `json:"description,omitzero"`
	Parents     Maybe[[]string] `json:"parents,omitzero" maxItems:"100"`
	Rules       Maybe[[]Rule]   `json:"rules,omitzero" maxItems:"1000"`
}

// RolePath names a role.
type RolePath struct {
	Role string `path:"role" maxLength:"64"`
}

type roleAnswer struct {
	ETag string `header:"ETag"`
	Body *Role
}

type rolesInput struct {
	Page
	Workspace string `query:"workspace" doc:"Id or name; the shared roles are listed along."`
	Search    string `query:"search" maxLength:"200" doc:"Part of the ref or description."`
}

func (m *mounted) roles() {
	register(m, "role.list", func(ctx context.Context, by *admin.Actor, in *rolesInput) (*listAnswer[*Role], error) {
		roles, err := m.Admin.Roles(ctx, by, in.Workspace)
		if err != nil {
			return nil, err
		}
		if in.Search != "" {
			want := strings.ToLower(in.Search)
			roles = keep(roles, func(r *store.Role) bool {
				return strings.Contains(r.Ref, want) || strings.Contains(strings.ToLower(r.Description), want)
			})
		}
		question := *in
		question.Page = Page{}
		return pageOf(m.API, in.Page, question, roles, func(r *store.Role) string { return r.Ref }, m.wireRole)
	})
	register(m, "role.create", func(ctx context.Context, by *admin.Actor, in *struct {
		Repeatable
		Body RoleCreate
	},
	) (*roleAnswer, error) {
		b := &in.Body
		r, err := m.Admin.CreateRole(ctx, by, admin.RoleInput{
			Workspace: b.Workspace, Name: b.Name, Description: b.Description, Parents: b.Parents, Rules: rulesOf(b.Rules),
		})
		return m.role(r, err)
	}, created)
	register(m, "role.get", func(ctx context.Context, by *admin.Actor, in *RolePath) (*roleAnswer, error) {
		r, err := m.Admin.Role(ctx, by, in.Role)
		return m.role(r, err)
	})
	register(m, "role.edit", m.editRole)
	register(m, "role.delete", func(ctx context.Context, by *admin.Actor, in *struct {
		RolePath
		Condition
		Cascade bool `query:"cascade" doc:"Take the grants along."`
	},
	) (*messageAnswer, error) {
		err := m.Admin.DeleteRole(ctx, by, in.Role, in.revision(), in.Cascade)
		return &messageAnswer{Message{"The role is deleted."}}, err
	})
}

// editRole merges the patch into the role at the revision that is named.
func (m *mounted) editRole(ctx context.Context, by *admin.Actor, in *struct {
	RolePath
	Condition
	Body RolePatch
},
) (*roleAnswer, error) {
	old, err := m.Admin.Role(ctx, by, in.Role)
	if err != nil {
		return nil, err
	}
	revision := in.revision()
	if revision != 0 && revision != old.Revision {
		revision = -1 // even if that one comes about meanwhile: what is merged is older
	}
	b := &in.Body
	next := admin.RoleInput{Description: b.Description.or(old.Description), Parents: b.Parents.or(texts(old.Parents)), Rules: old.Rules}
	if b.Rules.Sent {
		next.Rules = rulesOf(b.Rules.Value)
	}
	r, err := m.Admin.EditRole(ctx, by, in.Role, next, revision)
	return m.role(r, err)
}

func (m *mounted) role(r *store.Role, err error) (*roleAnswer, error) {
	if err != nil {
		return nil, err
	}
	return &roleAnswer{etag(r.Revision), m.wireRole(r)}, nil
}

func (m *mounted) wireRole(r *store.Role) *Role {
	out := &Role{
		ID: string(r.ID), Workspace: m.Admin.WorkspaceName(r.Workspace), Name: r.Name(), Ref: r.Ref, Description: r.Description,
		Parents: m.Admin.RoleRefs(r.Parents), Rules: make([]Rule, len(r.Rules)), Builtin: r.Builtin, CreatedAt: Time(r.CreatedAt), Revision: r.Revision,
	}
	for i, rule := range r.Rules {
		out.Rules[i] = Rule(rule)
	}
	return out
}

func rulesOf(rules []Rule) []store.Rule {
	out := make([]store.Rule, len(rules))
	for i, r := range rules {
		out[i] = store.Rule(r)
	}
	return out
}

// keep returns those of a list that are wanted, in a list of its own.
func keep[T any](all []T, wanted func(T) bool) []T {
	var out []T
	for _, each := range all {
		if wanted(each) {
			out = append(out, each)
		}
	}
	return out
}
