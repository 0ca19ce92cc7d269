package admin

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"postern/store"
)

// SCIMGroup is what a provisioning system says of a team.
type SCIMGroup struct {
	DisplayName, ExternalID string
	// Members are all the provisioned people in it. Ids of others are passed over:
	// they are not there for provisioning.
	Members []store.AccountID
}

// maxMoves is how many people one request may put into a team and take out of it.
const maxMoves = 2000

// SCIMGroups returns the teams that provisioning sees, by id.
func (a *Admin) SCIMGroups(_ context.Context, by *Actor) ([]*store.Team, error) {
	if err := a.must(by, opSCIMGroupList, a.systemID()); err != nil {
		return nil, err
	}
	out := slices.DeleteFunc(slices.Clone(a.State.Teams()), func(t *store.Team) bool { return !t.Provisioned })
	slices.SortFunc(out, func(x, y *store.Team) int { return cmp.Compare(x.ID, y.ID) })
	return out, nil
}

// SCIMGroup returns a team that provisioning sees.
func (a *Admin) SCIMGroup(_ context.Context, by *Actor, id store.TeamID) (*store.Team, error) {
	return a.provisionedTeam(by, opSCIMGroupGet, id)
}

func (a *Admin) provisionedTeam(by *Actor, op Operation, id store.TeamID) (*store.Team, error) {
	if err := a.must(by, op, a.systemID(), policySegment(string(id))); err != nil {
		return nil, err
	}
	t := a.State.Team(id)
	if t == nil || !t.Provisioned {
		return nil, refuse(NotFound, "there is no such group, or none that is provisioned")
	}
	return t, nil
}

// SCIMMembers returns the provisioned people in a team, by name.
func (a *Admin) SCIMMembers(ctx context.Context, by *Actor, id store.TeamID) ([]*store.Account, error) {
	if _, err := a.provisionedTeam(by, opSCIMGroupGet, id); err != nil {
		return nil, err
	}
	return a.provisionedMembers(ctx, id)
}

func (a *Admin) provisionedMembers(ctx context.Context, id store.TeamID) ([]*store.Account, error) {
	const page = 1000
	q := store.AccountQuery{Team: id, Provisioned: true, AccountKind: store.AccountUser, Limit: page}
	var out []*store.Account
	for {
		found, err := a.Store.Accounts(ctx, q)
		if err != nil {
			return nil, fromStore("list members", err)
		}
		out = append(out, found...)
		if len(found) < page {
			return out, nil
		}
		q.After = found[len(found)-1].Name
	}
}

// CreateSCIMGroup makes a team that holds nothing.
func (a *Admin) CreateSCIMGroup(ctx context.Context, by *Actor, in SCIMGroup) (*store.Team, error) {
	op := opSCIMGroupCreate
	if err := a.must(by, op, a.systemID()); err != nil {
		return nil, err
	}
	t := &store.Team{ID: store.NewTeamID(), Provisioned: true, CreatedAt: a.now()}
	if err := in.apply(t); err != nil {
		return nil, err
	}
	t.Name = slug(t.DisplayName)
	m, err := a.moves(ctx, nil, in.Members)
	if err != nil {
		return nil, err
	}
	for taken := range 2 {
		t.ModifiedAt = t.CreatedAt
		err := a.change(ctx, by, entry{operation: op.Name, workspace: a.systemID(), after: t, name: t.Name}, append(a.moved(by, op, t, m), store.Insert(t))...)
		exists, ok := errors.AsType[*store.Exists](err)
		if err == nil || !ok || exists.Field != "name" || taken > 0 {
			return stored(t, store.OpInsert), err
		}
		renamed := *t
		renamed.Name = t.Name + "-" + string(t.ID[len(t.ID)-6:])
		t = &renamed
	}
	return nil, refuse(Conflict, "this name is taken; choose another")
}

// apply writes what is said of a team into it.
func (in SCIMGroup) apply(t *store.Team) error {
	t.DisplayName, t.ExternalID = strings.TrimSpace(in.DisplayName), in.ExternalID
	var f faults
	if t.DisplayName == "" {
		f.add("displayName", "is required")
	}
	checkLine(&f, "displayName", t.DisplayName)
	checkLine(&f, "externalId", t.ExternalID)
	return f.err()
}

// ReplaceSCIMGroup replaces what is said of a team and who is in it (PUT).
// Revision is the one the actor read; 0 is any.
func (a *Admin) ReplaceSCIMGroup(ctx context.Context, by *Actor, id store.TeamID, in SCIMGroup, revision int64) (*store.Team, error) {
	return a.changeSCIMGroup(ctx, by, opSCIMGroupReplace, id, in, revision)
}

// EditSCIMGroup is ReplaceSCIMGroup for a PATCH.
func (a *Admin) EditSCIMGroup(ctx context.Context, by *Actor, id store.TeamID, in SCIMGroup, revision int64) (*store.Team, error) {
	return a.changeSCIMGroup(ctx, by, opSCIMGroupEdit, id, in, revision)
}

func (a *Admin) changeSCIMGroup(ctx context.Context, by *Actor, op Operation, id store.TeamID, in SCIMGroup, revision int64) (*store.Team, error) {
	old, err := a.provisionedTeam(by, op, id)
	if err == nil && revision != 0 && revision != old.Revision {
		err = stale(old.Revision)
	}
	if err != nil {
		return nil, err
	}
	t := *old
	if err := in.apply(&t); err != nil {
		return nil, err
	}
	have, err := a.provisionedMembers(ctx, id)
	if err != nil {
		return nil, err
	}
	m, err := a.moves(ctx, have, in.Members)
	if err != nil {
		return nil, err
	}
	also, err := a.mayMove(ctx, by, op, old, m)
	if err != nil {
		return nil, err
	}
	if t.DisplayName == old.DisplayName && t.ExternalID == old.ExternalID && m.none() {
		return old, nil
	}
	// The team is written whatever changes: of two who read it and change its
	// members one is too late.
	t.ModifiedAt = a.now()
	writes := append(append(also, a.moved(by, op, &t, m)...), store.Update(&t))
	err = a.change(ctx, by, entry{operation: op.Name, workspace: a.systemID(), before: old, after: &t, name: t.Name}, writes...)
	return stored(&t, store.OpUpdate), err
}

// moves are people who come into a team, and people who leave it.
type moves struct{ in, out []*store.Account }

func (m moves) none() bool { return len(m.in)+len(m.out) == 0 }

// moves compares who is in a team with who is to be in it.
func (a *Admin) moves(ctx context.Context, have []*store.Account, wanted []store.AccountID) (moves, error) {
	var m moves
	stays := make(map[store.AccountID]bool, len(wanted))
	for _, id := range wanted {
		stays[id] = true
	}
	is := make(map[store.AccountID]bool, len(have))
	for _, acc := range have {
		if is[acc.ID] = true; !stays[acc.ID] {
			m.out = append(m.out, acc)
		}
	}
	for _, id := range wanted {
		if is[id] {
			continue
		}
		is[id] = true
		acc, err := a.provisioned(ctx, id)
		if err != nil {
			return moves{}, fromStore("find members", err)
		}
		if acc != nil {
			m.in = append(m.in, acc)
		}
	}
	if len(m.in)+len(m.out) > maxMoves {
		return moves{}, refuse(Invalid, "members: at most %d people may come and go in one request; send several", maxMoves)
	}
	return m, nil
}

// mayMove refuses to change who is in a team: when it has power over Postern
// itself and nobody said that provisioning may give that, when the actor does not
// hold what the team does, and when nobody would be left to own a workspace.
func (a *Admin) mayMove(ctx context.Context, by *Actor, op Operation, t *store.Team, m moves) (also []store.Write, err error) {
	if m.none() {
		return nil, nil
	}
	grants, err := a.Store.GrantsOf(ctx, store.HolderID(t.ID))
	if err != nil {
		return nil, fromStore(op.Name, err)
	}
	if err := a.leftToSCIM(by, op, t, grants); err != nil {
		return nil, err
	}
	if len(m.in) > 0 {
		if err := a.givesGrants(by, op, grants); err != nil {
			return nil, err
		}
	}
	if len(m.out) == 0 {
		return nil, nil
	}
	return a.keepOwnersBut(ctx, op, t, grants, m.out)
}

// leftToSCIM refuses a team with power over Postern itself that nobody left to
// provisioning.
func (a *Admin) leftToSCIM(by *Actor, op Operation, t *store.Team, grants []*store.Grant) error {
	if t.SCIMMayGrant {
		return nil
	}
	for _, g := range grants {
		for _, given := range g.Roles {
			r := a.State.Role(given.Role)
			if r != nil && a.inherits(r, func(r *store.Role) bool { return slices.ContainsFunc(r.Rules, opensOwn) }) {
				return a.refused(by, op, a.systemID(), "the team "+t.Name+" holds the role "+r.Ref+" on Postern's own API; provisioning changes its members once an administrator allows it (scim_may_grant)")
			}
		}
	}
	return nil
}

// keepOwnersBut is keepOwners for several people who leave one team at once.
func (a *Admin) keepOwnersBut(ctx context.Context, op Operation, t *store.Team, grants []*store.Grant, out []*store.Account) (also []store.Write, err error) {
	var left *bool // whether somebody active is left in the team
	for _, g := range grants {
		ws := a.State.Workspace(g.Workspace)
		if ws == nil {
			continue
		}
		owner := a.State.RoleByRef(ws.Name + "/" + RoleOwner)
		if owner == nil || !names(g.Roles, owner.ID) {
			continue
		}
		if left == nil {
			remains, err := a.activeBut(ctx, t.ID, out)
			if err != nil {
				return nil, fromStore(op.Name, err)
			}
			left = &remains
		}
		if !*left {
			remains, err := a.ownerRemains(ctx, ws, owner.ID, departure{grant: g.ID})
			if err != nil {
				return nil, fromStore(op.Name, err)
			}
			if !remains {
				return nil, refuse(Conflict, "they are the last owners of workspace %s; make another one first", ws.Name)
			}
		}
		also = append(also, store.Update(ws))
	}
	return also, nil
}

// activeBut reports whether a team has an active member besides those.
func (a *Admin) activeBut(ctx context.Context, t store.TeamID, out []*store.Account) (bool, error) {
	members, err := a.Store.Accounts(ctx, store.AccountQuery{Team: t, Status: store.AccountActive, Limit: len(out) + 1})
	return slices.ContainsFunc(members, func(m *store.Account) bool {
		return !slices.ContainsFunc(out, func(o *store.Account) bool { return o.ID == m.ID })
	}), err
}

// moved is what is written when people come into a team and leave it, with an
// audit entry for each.
func (a *Admin) moved(by *Actor, op Operation, t *store.Team, m moves) []store.Write {
	var writes []store.Write
	write := func(old *store.Account, teams []store.TeamID) {
		acc := *old
		acc.Teams, acc.ModifiedAt = teams, a.now()
		e := entry{operation: op.Name, workspace: a.systemID(), before: old, after: &acc, name: acc.Name}
		writes = append(writes, store.Update(&acc), store.Insert(a.entry(by, e)))
	}
	for _, acc := range m.in {
		write(acc, append(slices.Clone(acc.Teams), t.ID))
	}
	for _, acc := range m.out {
		write(acc, slices.DeleteFunc(slices.Clone(acc.Teams), func(id store.TeamID) bool { return id == t.ID }))
	}
	return writes
}

// DeleteSCIMGroup removes a team with the memberships of provisioned people and
// what it holds. One with members that provisioning does not see stays.
func (a *Admin) DeleteSCIMGroup(ctx context.Context, by *Actor, id store.TeamID, revision int64) error {
	op := opSCIMGroupDelete
	t, err := a.provisionedTeam(by, op, id)
	if err == nil && revision != 0 && revision != t.Revision {
		err = stale(t.Revision)
	}
	if err != nil {
		return err
	}
	grants, err := a.Store.GrantsOf(ctx, store.HolderID(id))
	if err != nil {
		return fromStore(op.Name, err)
	}
	if err := a.leftToSCIM(by, op, t, grants); err != nil {
		return err
	}
	writes, err := a.teamDeletion(ctx, op, t, true)
	if err != nil {
		return err
	}
	for _, w := range writes {
		if acc, ok := w.Record.(*store.Account); ok && (!acc.Provisioned || acc.AccountKind != store.AccountUser) {
			return refuse(Conflict, "the team %s has members that provisioning does not manage; an administrator deletes it", t.Name)
		}
	}
	return a.change(ctx, by, entry{operation: op.Name, workspace: a.systemID(), before: t, name: t.Name}, writes...)
}
