package policy

import (
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/casbin/casbin/v2"
	"github.com/casbin/casbin/v2/model"

	"postern/store"
)

//go:embed model.conf
var modelText string

// The columns of Casbin's p that are read back.
const (
	columnPath = 4
	columnID   = 8
)

// Rows returns the Casbin rows of a role, p and g. One that cannot be read has a
// single row, which denies everything. A parent counts if it is of the same
// workspace or shared.
func Rows(r *store.Role, parents func(store.RoleID) *store.Role) (p, g [][]string) {
	r, _ = usable(r)
	ws, _, _ := strings.Cut(r.Ref, "/")
	for i := range r.Rules {
		rule := &r.Rules[i]
		path, _ := ParsePath(rule.Path) // usable has parsed it
		effect := "allow"
		if rule.Deny {
			effect = "deny"
		}
		p = append(p, []string{ws, r.Ref, rule.API, rule.Methods, path, rule.Operation, rule.Scope, effect, ruleID(r, rule)})
	}
	for _, id := range r.Parents {
		if parent := parents(id); parent != nil && (parent.Workspace == r.Workspace || parent.Workspace == store.Shared) {
			parent, _ = usable(parent)
			g = append(g, []string{r.Ref, parent.Ref})
		}
	}
	return p, g
}

// Referee answers as Engine does, by plain Casbin. It is slow, and right by
// definition. Use it from one goroutine.
type Referee struct {
	enforcer   *casbin.Enforcer
	workspaces map[store.WorkspaceID]string // their names
	roles      map[store.RoleID]*store.Role
	grants     map[store.GrantID]*store.Grant
	folds      map[string]bool
}

// who is r.who: a caller as far as one workspace goes.
type who struct {
	grants   []heldRole
	narrowed bool
	left     []string
	scopes   []string
	anyScope bool
	fold     bool // the API that is called ignores case
}

type heldRole struct {
	ref    string
	limits []store.Limit
}

// NewReferee returns a referee over the same records that Engine.Load takes.
func NewReferee(records []store.Record) (*Referee, error) {
	f := &Referee{
		workspaces: map[store.WorkspaceID]string{}, roles: map[store.RoleID]*store.Role{},
		grants: map[store.GrantID]*store.Grant{}, folds: map[string]bool{},
	}
	for _, r := range records {
		switch r := r.(type) {
		case *store.Workspace:
			f.workspaces[r.ID] = r.Name
		case *store.Role:
			f.roles[r.ID] = r
		case *store.Grant:
			f.grants[r.ID] = r
		case *store.API:
			f.folds[r.Name] = r.FoldCase
		}
	}
	if err := f.load(); err != nil {
		return nil, fmt.Errorf("load roles into Casbin: %w", err)
	}
	return f, nil
}

// load adds the roles ordered by ref: the first match that Casbin names is then
// the first by ref and number.
func (f *Referee) load() error {
	m, err := model.NewModelFromString(modelText)
	if err != nil {
		return err
	}
	if f.enforcer, err = casbin.NewEnforcer(m); err != nil {
		return err
	}
	f.functions()
	var docs []*store.Role
	for _, r := range f.roles {
		doc, _ := usable(r)
		docs = append(docs, doc)
	}
	slices.SortFunc(docs, func(a, b *store.Role) int { return strings.Compare(a.Ref, b.Ref) })
	for _, r := range docs {
		p, g := Rows(r, func(id store.RoleID) *store.Role { return f.roles[id] })
		// Casbin adds nothing, and reports no error, when one row is known already.
		if ok, err := f.enforcer.AddPolicies(p); err != nil || !ok && len(p) > 0 {
			return errors.Join(fmt.Errorf("rules of role %s are there twice", r.Ref), err)
		}
		if ok, err := f.enforcer.AddGroupingPolicies(g); err != nil || !ok && len(g) > 0 {
			return errors.Join(fmt.Errorf("parents of role %s are there twice", r.Ref), err)
		}
	}
	return nil
}

// functions gives Casbin those that the matcher names. Without any rule Casbin
// runs the matcher once with empty fields, which granted refuses.
func (f *Referee) functions() {
	add := func(name string, test func(a []any) bool) {
		f.enforcer.AddFunction(name, func(a ...any) (any, error) { return test(a), nil })
	}
	add("method", func(a []any) bool {
		return a[1] == "*" || slices.Contains(strings.Split(a[1].(string), " "), a[0].(string))
	})
	add("route", func(a []any) bool {
		_, ok := a[0].(*who).route(a[1].(string), a[2].(string))
		return ok
	})
	add("operation", func(a []any) bool {
		return a[1] == "" || operates(a[0].(string), a[1].(string), a[2] == "deny")
	})
	add("scope", func(a []any) bool {
		w := a[0].(*who)
		return a[1] == "" || w.anyScope || slices.Contains(w.scopes, a[1].(string))
	})
	add("granted", func(a []any) bool {
		w, role, deny := a[0].(*who), a[1].(string), a[2] == "deny"
		values, _ := w.route(a[4].(string), a[3].(string))
		held := func(h heldRole) bool { return f.inherits(h.ref, role) && (deny || w.meets(h.limits, values)) }
		left := func(ref string) bool { return f.inherits(ref, role) }
		return slices.ContainsFunc(w.grants, held) && (deny || !w.narrowed || slices.ContainsFunc(w.left, left))
	})
}

func (f *Referee) inherits(from, to string) bool {
	ok, err := f.enforcer.GetRoleManager().HasLink(from, to)
	return ok && err == nil && to != ""
}

// route matches a path and returns what the pattern's parameters stand for.
func (w *who) route(path, pattern string) (values map[string]string, ok bool) {
	have, want, values := strings.Split(path, "/"), strings.Split(pattern, "/"), map[string]string{}
	for i, s := range want {
		if w.fold && s != "" && s[0] != '{' && s != "**" {
			s = folded(s)
		}
		switch {
		case s == "**" && len(have) > 1:
			return values, true
		case i == len(have):
			return nil, false
		case strings.HasPrefix(s, "{") && have[i] != "":
			values[s[1:len(s)-1]] = have[i]
		case s != have[i]:
			return nil, false
		}
	}
	return values, len(have) == len(want)
}

func (w *who) meets(limits []store.Limit, values map[string]string) bool {
	for i := range limits {
		if v, ok := values[limits[i].Param]; ok && !allows(&limits[i], v, w.fold) {
			return false
		}
	}
	return true
}

// Decide asks Casbin for the grants and, where there is a licence, once more
// as if that were the only grant. After an error the decision is a refusal.
func (f *Referee) Decide(c *Caller, r *Request) (Decision, error) {
	own := &who{narrowed: c.Narrowed, scopes: c.Scopes, anyScope: c.AnyScope, fold: f.folds[r.API]}
	ids := []store.GrantID{}
	for _, t := range c.Holder.Account.Teams {
		ids = append(ids, store.NewGrantID(store.HolderID(t), r.Workspace))
	}
	grants := slices.Clone(c.Holder.Grants)
	for _, id := range ids {
		if g := f.grants[id]; g != nil {
			grants = append(grants, g)
		}
	}
	if _, known := f.workspaces[r.Workspace]; !known {
		grants = nil
	}
	for _, g := range grants {
		for _, h := range g.Roles {
			if ref := f.counts(h.Role, r.Workspace); ref != "" && g.Workspace == r.Workspace {
				own.grants = append(own.grants, heldRole{ref, h.Limits})
			}
		}
	}
	for _, id := range c.Roles {
		own.left = append(own.left, f.counts(id, r.Workspace))
	}
	held, row, err := f.enforce(own, r)
	if err != nil {
		return Decision{Reason: NoRule}, err
	}
	if c.licence() == "" {
		d := verdict(held, true, column(row, columnID), "")
		d.Pattern = column(row, columnPath)
		return d, nil
	}
	bound := &who{anyScope: true, fold: own.fold}
	if ref := f.counts(c.licence(), store.Shared); ref != "" {
		bound.grants = []heldRole{{ref: ref}}
	}
	allowed, ceiling, err := f.enforce(bound, r)
	if err != nil {
		return Decision{Reason: NoRule}, err
	}
	d := verdict(held, allowed, column(row, columnID), column(ceiling, columnID))
	if d.Pattern = column(row, columnPath); d.Reason == Forbids {
		d.Pattern = column(ceiling, columnPath)
	}
	return d, nil
}

// counts returns the ref of a role that is of the workspace or shared, else nothing.
func (f *Referee) counts(id store.RoleID, ws store.WorkspaceID) string {
	r := f.roles[id]
	if r == nil || r.Workspace != ws && r.Workspace != store.Shared {
		return ""
	}
	r, _ = usable(r)
	return r.Ref
}

func (f *Referee) enforce(w *who, r *Request) (bool, []string, error) {
	return f.enforcer.EnforceEx(w, f.workspaces[r.Workspace], r.API, r.Method, r.Path, r.Operation)
}

func column(row []string, i int) string {
	if i < len(row) {
		return row[i]
	}
	return ""
}
