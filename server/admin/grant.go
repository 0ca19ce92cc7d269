package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"postern/policy"
	"postern/store"
)

// Granted is one role of a grant as it is written.
type Granted struct {
	Role      string              // id, name or ref
	Resources map[string][]string // limits: parameter to the values allowed
}

// account finds an account by id or name.
func (a *Admin) account(ctx context.Context, idOrName string) (*store.Account, error) {
	h, err := a.State.Holder(ctx, store.AccountID(idOrName))
	if err == nil {
		return h.Account, nil
	}
	if !errors.Is(err, store.ErrNotFound) {
		return nil, fromStore("find account", err)
	}
	acc, err := a.Store.AccountByName(ctx, idOrName)
	if errors.Is(err, store.ErrNotFound) {
		return nil, refuse(NotFound, "there is no account %q", printable(idOrName))
	}
	return acc, fromStore("find account", err)
}

// holder finds an account or a team by id or name.
func (a *Admin) holder(ctx context.Context, idOrName string) (store.HolderID, string, error) {
	if t := a.State.Team(store.TeamID(idOrName)); t != nil {
		return store.HolderID(t.ID), t.Name, nil
	}
	acc, err := a.account(ctx, idOrName)
	if e, ok := errors.AsType[*Error](err); ok && e.Kind == NotFound {
		if t := a.State.TeamByName(idOrName); t != nil {
			return store.HolderID(t.ID), t.Name, nil
		}
		return "", "", refuse(NotFound, "there is no account and no team %q", printable(idOrName))
	}
	if err != nil {
		return "", "", err
	}
	return store.HolderID(acc.ID), acc.Name, nil
}

// SetGrant sets the roles of an account or team in a workspace; none takes the
// grant away. Revision is the one the actor read; 0 is any. Warnings tell of
// limits that do not bound what they seem to.
func (a *Admin) SetGrant(ctx context.Context, by *Actor, workspace, holder string, roles []Granted, revision int64) (*store.Grant, []string, error) {
	op := opGrantSet
	if len(roles) == 0 {
		op = opGrantDelete
	}
	ws := a.workspace(workspace)
	if ws == nil {
		return nil, nil, refuse(NotFound, "there is no workspace %q", printable(workspace))
	}
	if err := a.must(by, op, ws.ID, string(ws.ID), policySegment(holder)); err != nil {
		return nil, nil, err
	}
	id, name, err := a.holder(ctx, holder)
	if err != nil {
		return nil, nil, err
	}
	given, warnings, err := a.granted(ws, roles)
	if err != nil {
		return nil, nil, err
	}
	old, err := a.grant(ctx, id, ws.ID)
	if err != nil {
		return nil, nil, err
	}
	var have int64
	if old != nil {
		have = old.Revision
	}
	if revision != 0 && revision != have {
		return nil, nil, stale(have)
	}
	also, err := a.mayRegrant(ctx, by, op, ws, old, given)
	if err != nil {
		return nil, nil, err
	}
	e := entry{operation: op.Name, workspace: ws.ID, name: name}
	next := newGrant(id, ws.ID, given, a.now())
	if old != nil {
		e.before = old
		next.Revision, next.CreatedAt = old.Revision, old.CreatedAt
	}
	switch {
	case len(given) == 0 && old == nil:
		return next, nil, nil
	case len(given) == 0:
		return next, nil, a.change(ctx, by, e, append(also, store.Delete(old))...)
	case old == nil:
		e.after = next
		return stored(next, store.OpInsert), warnings, a.change(ctx, by, e, store.Insert(next))
	default:
		e.after = next
		return stored(next, store.OpUpdate), warnings, a.change(ctx, by, e, append(also, store.Update(next))...)
	}
}

// mayRegrant checks what a new grant adds. Taking owner away is an owner's
// right too, and the last owner stays: what is to be written along makes sure
// that of two who go at the same moment one is too late.
func (a *Admin) mayRegrant(ctx context.Context, by *Actor, op Operation, ws *store.Workspace, old *store.Grant, given []store.GrantedRole) (also []store.Write, err error) {
	if err := a.mayGive(by, op, gift{workspace: ws.ID, roles: given}); err != nil {
		return nil, err
	}
	owner := a.State.RoleByRef(ws.Name + "/" + RoleOwner)
	if old == nil || owner == nil || !names(old.Roles, owner.ID) || names(given, owner.ID) {
		return nil, nil
	}
	if err := a.mayGive(by, op, gift{workspace: ws.ID, roles: []store.GrantedRole{{Role: owner.ID}}}); err != nil {
		return nil, err
	}
	remains, err := a.ownerRemains(ctx, ws, owner.ID, departure{grant: old.ID})
	switch {
	case err != nil:
		return nil, fromStore(op.Name, err)
	case !remains:
		return nil, refuse(Conflict, "this is the last owner of workspace %s; make another one first", ws.Name)
	}
	// ws was read before the owners were counted, so its revision is the one that
	// both of two at once would raise.
	return []store.Write{store.Update(ws)}, nil
}

func names(roles []store.GrantedRole, id store.RoleID) bool {
	return slices.ContainsFunc(roles, func(g store.GrantedRole) bool { return g.Role == id })
}

func (a *Admin) grant(ctx context.Context, h store.HolderID, ws store.WorkspaceID) (*store.Grant, error) {
	grants, err := a.Store.GrantsOf(ctx, h)
	if err != nil {
		return nil, fromStore("read grants", err)
	}
	for _, g := range grants {
		if g.Workspace == ws {
			return g, nil
		}
	}
	return nil, nil
}

// granted checks roles and their limits, and spells the values canonically.
func (a *Admin) granted(ws *store.Workspace, in []Granted) (out []store.GrantedRole, warnings []string, err error) {
	var f faults
	for i, g := range in {
		place := fmt.Sprintf("roles[%d]", i)
		r := a.role(ws, g.Role)
		if r == nil {
			f.add(place+".role", "there is no role %q in workspace %s", printable(g.Role), ws.Name)
			continue
		}
		limited := store.GrantedRole{Role: r.ID}
		for _, param := range sortedKeys(g.Resources) {
			l := store.Limit{Param: param}
			for _, v := range g.Resources[param] {
				s, err := policy.Segment(v)
				if err != nil {
					f.add(place+".resources."+param, "%v", err)
				}
				l.Values = append(l.Values, s)
			}
			limited.Limits = append(limited.Limits, l)
			warnings = append(warnings, a.unbounded(r, param)...)
		}
		out = append(out, limited)
	}
	return out, warnings, f.err()
}

// unbounded warns of allow rules that a limit does not restrict, since their
// paths do not have its parameter.
func (a *Admin) unbounded(r *store.Role, param string) []string {
	var ids []string
	for _, rule := range r.Rules {
		if !rule.Deny && !strings.Contains(rule.Path, "{"+param+"}") {
			ids = append(ids, fmt.Sprintf("%s#%d (%s)", r.Ref, rule.Number, rule.Path))
		}
	}
	if len(ids) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("the limit on %s does not restrict %s: their paths do not have {%s}", param, strings.Join(ids, ", "), param)}
}

// GrantList asks for a page of the grants of a workspace, by id; or for all of a
// holder.
type GrantList struct {
	Workspace string // id or name
	Role      string // id, name or ref: only grants that name it
	Holder    string // an account or team, by id or name; the rest is not asked then
	After     store.GrantID
	Limit     int // 0 is 50
}

// Grants returns the grants that are asked for, in the workspaces that the actor
// may see.
func (a *Admin) Grants(ctx context.Context, by *Actor, in GrantList) ([]*store.Grant, error) {
	if in.Holder != "" {
		return a.grantsOf(ctx, by, in.Holder)
	}
	ws := a.workspace(in.Workspace)
	if ws == nil || !a.may(by, opGrantList, ws.ID) {
		return nil, refuse(NotFound, "there is no workspace %q whose grants you may see", printable(in.Workspace))
	}
	q := store.GrantQuery{Workspace: ws.ID, After: in.After, Limit: in.Limit}
	if in.Role != "" {
		r := a.role(ws, in.Role)
		if r == nil {
			return nil, refuse(Invalid, "role: there is no role %q in workspace %s", printable(in.Role), ws.Name)
		}
		q.Role = r.ID
	}
	out, err := a.Store.Grants(ctx, q)
	return out, fromStore(opGrantList.Name, err)
}

// grantsOf returns the grants of one holder in the workspaces the actor may see.
func (a *Admin) grantsOf(ctx context.Context, by *Actor, holder string) ([]*store.Grant, error) {
	ids, all := a.readable(by, opGrantList)
	if !all && len(ids) == 0 {
		return nil, refuse(Forbidden, "you may not list grants; ask an owner or admin of your workspace")
	}
	id, _, err := a.holder(ctx, holder)
	if err != nil {
		return nil, err
	}
	grants, err := a.Store.GrantsOf(ctx, id)
	return slices.DeleteFunc(slices.Clone(grants), func(g *store.Grant) bool { return !all && !slices.Contains(ids, g.Workspace) }), fromStore(opGrantList.Name, err)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// policySegment spells an id as a segment of a canonical path.
func policySegment(id string) string {
	if s, err := policy.Segment(id); err == nil {
		return s
	}
	return "-"
}
