package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"postern/policy"
	"postern/store"
)

// RoleInput is a role as it is written. Rules without a number are new; those
// with one keep it.
type RoleInput struct {
	Workspace   string // id or name
	Name        string
	Description string
	Parents     []string // ids, names or refs
	Rules       []store.Rule
}

// CreateRole makes a role.
func (a *Admin) CreateRole(ctx context.Context, by *Actor, in RoleInput) (*store.Role, error) {
	return once(ctx, a, by, opRoleCreate, func(by *Actor) (*store.Role, error) {
		return a.createRole(ctx, by, in)
	}, func(by *Actor, seen *store.Idempotency) (*store.Role, error) {
		if a.State.Role(store.RoleID(seen.Target)) == nil {
			return nil, goneAgain()
		}
		return a.Role(ctx, by, seen.Target)
	})
}

func (a *Admin) createRole(ctx context.Context, by *Actor, in RoleInput) (*store.Role, error) {
	ws := a.workspace(in.Workspace)
	if ws == nil {
		return nil, refuse(Invalid, "workspace: there is no workspace by this name")
	}
	if err := a.must(by, opRoleCreate, ws.ID); err != nil {
		return nil, err
	}
	if !isSlug(in.Name) {
		return nil, &Error{Kind: Invalid, Message: "the request has faults", Faults: []Fault{{"name", slugRule}}}
	}
	r := &store.Role{ID: store.NewRoleID(), Workspace: ws.ID, Ref: ws.Name + "/" + in.Name, CreatedAt: a.now()}
	if err := a.writeRole(by, opRoleCreate, ws, r, in); err != nil {
		return nil, err
	}
	err := a.change(ctx, by, entry{operation: opRoleCreate.Name, workspace: ws.ID, after: r, name: r.Ref}, store.Insert(r))
	return stored(r, store.OpInsert), err
}

// writeRole puts the input into the role, checked.
func (a *Admin) writeRole(by *Actor, op Operation, ws *store.Workspace, r *store.Role, in RoleInput) error {
	var f faults
	r.Description = in.Description
	if len(r.Description) > maxDescription {
		f.add("description", "has more than %d bytes", maxDescription)
	}
	inherited := gift{workspace: ws.ID, rules: true}
	r.Parents = nil
	for _, parent := range a.roles(&f, "parents", ws, in.Parents) {
		r.Parents = append(r.Parents, parent.ID)
		inherited.roles = append(inherited.roles, store.GrantedRole{Role: parent.ID})
	}
	r.Rules = slices.Clone(in.Rules)
	places := map[int]int{} // of numbers, in the input
	for i := range r.Rules {
		rule := &r.Rules[i]
		if rule.Number == 0 {
			r.LastNumber++
			rule.Number = r.LastNumber
		} else if rule.Number > r.LastNumber {
			f.add(fmt.Sprintf("rules[%d].number", i), "%d was never given out; leave the number of a new rule away", rule.Number)
		}
		places[rule.Number] = i
		if path, err := policy.ParsePath(rule.Path); err == nil {
			rule.Path = path
		}
		f.checkRuleAPI(a, ws, i, rule.API)
		inherited.own = inherited.own || opensOwn(*rule)
	}
	slices.SortFunc(r.Rules, func(x, y store.Rule) int { return cmp.Compare(x.Number, y.Number) })
	if err := policy.CheckRole(r, a.State.Role); err != nil {
		for _, each := range unjoin(err) {
			if at, ok := errors.AsType[*policy.FieldError](each); ok && at.Rule > 0 {
				f.add(fmt.Sprintf("rules[%d].%s", places[at.Rule], at.Field), "%s", at.Problem)
				continue
			}
			f.add("role", "%v", each)
		}
	}
	if err := f.err(); err != nil {
		return err
	}
	return a.mayGive(by, op, inherited)
}

// checkRuleAPI refuses rules about APIs that the workspace has no part in.
func (f *faults) checkRuleAPI(a *Admin, ws *store.Workspace, i int, name string) {
	if name == "*" || name == store.PosternAPI {
		return
	}
	api := a.State.APIByName(name)
	if api == nil || api.Workspace != ws.ID && !slices.ContainsFunc(api.SharedWith, func(s store.Share) bool { return s.Workspace == ws.ID }) {
		f.add(fmt.Sprintf("rules[%d].api", i), "workspace %s has no API %q", ws.Name, printable(name))
	}
}

// unjoin returns the parts of a joined error.
func unjoin(err error) []error {
	if joined, ok := errors.AsType[interface {
		error
		Unwrap() []error
	}](err); ok {
		return joined.Unwrap()
	}
	return []error{err}
}

// findRole finds a role that the actor may see, and checks that it may do op.
func (a *Admin) findRole(by *Actor, op Operation, id string) (*store.Role, error) {
	r := a.State.Role(store.RoleID(id))
	if r == nil {
		r = a.State.RoleByRef(id)
	}
	if r == nil || r.Workspace != store.Shared && !a.may(by, opRoleGet, r.Workspace, string(r.ID)) {
		return nil, refuse(NotFound, "there is no role %q that you may see", printable(id))
	}
	ws := r.Workspace
	if ws == store.Shared {
		ws = a.systemID()
		if op.Method == "GET" {
			return r, nil // everyone who holds a token may know what a licence means
		}
	}
	if err := a.must(by, op, ws, string(r.ID)); err != nil {
		return nil, err
	}
	if r.Builtin && op.Method != "GET" {
		return nil, refuse(Conflict, "role %s is built in and stays as it is; make one of your own with it as parent", r.Ref)
	}
	return r, nil
}

// Role returns a role by id or ref.
func (a *Admin) Role(ctx context.Context, by *Actor, id string) (*store.Role, error) {
	return a.findRole(by, opRoleGet, id)
}

// Roles returns the roles that the actor may see, of one workspace or of all,
// by ref; the shared ones among them.
func (a *Admin) Roles(_ context.Context, by *Actor, workspace string) ([]*store.Role, error) {
	ids, all := a.readable(by, opRoleList)
	if !all && len(ids) == 0 {
		return nil, refuse(Forbidden, "you may not list roles; ask an owner or admin of your workspace")
	}
	var only store.WorkspaceID
	if workspace != "" {
		ws := a.workspace(workspace)
		if ws == nil || !all && !slices.Contains(ids, ws.ID) {
			return nil, refuse(NotFound, "there is no workspace %q that you may see", printable(workspace))
		}
		only = ws.ID
	}
	roles := slices.DeleteFunc(slices.Clone(a.State.Roles()), func(r *store.Role) bool {
		seen := r.Workspace == store.Shared || all || slices.Contains(ids, r.Workspace)
		return !seen || only != "" && r.Workspace != only && r.Workspace != store.Shared
	})
	slices.SortFunc(roles, func(x, y *store.Role) int { return cmp.Compare(x.Ref, y.Ref) })
	return roles, nil
}

// EditRole replaces what a role means. Revision is the one the actor read.
func (a *Admin) EditRole(ctx context.Context, by *Actor, id string, in RoleInput, revision int64) (*store.Role, error) {
	old, err := a.findRole(by, opRoleEdit, id)
	if err != nil {
		return nil, err
	}
	if err := atRevision(revision, old.Revision); err != nil {
		return nil, err
	}
	ws := a.State.Workspace(old.Workspace)
	if ws == nil {
		return nil, refuse(Conflict, "shared roles are built in")
	}
	r := *old
	if err := a.writeRole(by, opRoleEdit, ws, &r, in); err != nil {
		return nil, err
	}
	err = a.change(ctx, by, entry{operation: opRoleEdit.Name, workspace: r.Workspace, before: old, after: &r, name: r.Ref}, store.Update(&r))
	return stored(&r, store.OpUpdate), err
}

// atRevision checks an If-Match that is required.
func atRevision(named, have int64) error {
	switch named {
	case have:
		return nil
	case 0:
		return refuse(Precondition, "name the revision that you read in If-Match: it is %d now", have)
	default:
		return stale(have)
	}
}

// DeleteRole removes a role. One that is held or inherited is a conflict,
// unless cascade takes the grants along.
func (a *Admin) DeleteRole(ctx context.Context, by *Actor, id string, revision int64, cascade bool) error {
	old, err := a.findRole(by, opRoleDelete, id)
	if err != nil {
		return err
	}
	if err := atRevision(revision, old.Revision); err != nil {
		return err
	}
	for _, r := range a.State.Roles() {
		if slices.Contains(r.Parents, old.ID) {
			return refuse(Conflict, "role %s inherits it; change that first", r.Ref)
		}
	}
	// A grant names a role in the workspace of the grant, which for a role of a
	// workspace is that one.
	held, err := a.Store.Grants(ctx, store.GrantQuery{Role: old.ID, Limit: -1})
	if err != nil {
		return fromStore(opRoleDelete.Name, err)
	}
	if len(held) > 0 && !cascade {
		return refuse(Conflict, "%d grants name it, the first of %s; take them back first, or delete with cascade", len(held), held[0].Holder)
	}
	writes := []store.Write{store.Delete(old)}
	for _, g := range held {
		less := *g
		less.Roles = slices.DeleteFunc(slices.Clone(g.Roles), func(r store.GrantedRole) bool { return r.Role == old.ID })
		if len(less.Roles) == 0 {
			writes = append(writes, store.Delete(g))
		} else {
			writes = append(writes, store.Update(&less))
		}
	}
	return a.change(ctx, by, entry{operation: opRoleDelete.Name, workspace: old.Workspace, before: old, name: old.Ref}, writes...)
}
