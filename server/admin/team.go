package admin

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"unicode/utf8"

	"postern/store"
)

// team finds a team by id or name; nil if there is none.
func (a *Admin) team(idOrName string) *store.Team {
	if t := a.State.Team(store.TeamID(idOrName)); t != nil {
		return t
	}
	return a.State.TeamByName(idOrName)
}

// findTeam finds a team for an operation: to see it is a right in any workspace,
// to change it one in the workspace system.
func (a *Admin) findTeam(by *Actor, op Operation, idOrName string, more ...string) (*store.Team, error) {
	ws := a.systemID()
	if op.Method == "GET" {
		ws = a.accountWorkspace(by, op)
	}
	if err := a.must(by, op, ws, append([]string{policySegment(idOrName)}, more...)...); err != nil {
		return nil, err
	}
	t := a.team(idOrName)
	if t == nil {
		return nil, refuse(NotFound, "there is no team %q", printable(idOrName))
	}
	return t, nil
}

// TeamInput is a team as it is written; nil is left as it is.
type TeamInput struct {
	Name                     string // of a new one
	DisplayName, Description *string
	SCIMMayGrant             *bool // provisioning may change its members though it holds roles on Postern's own API
}

// CreateTeam makes a team without members.
func (a *Admin) CreateTeam(ctx context.Context, by *Actor, in TeamInput) (*store.Team, error) {
	return once(ctx, a, by, opTeamCreate, func(by *Actor) (*store.Team, error) {
		return a.createTeam(ctx, by, in)
	}, func(by *Actor, seen *store.Idempotency) (*store.Team, error) {
		if a.State.Team(store.TeamID(seen.Target)) == nil {
			return nil, goneAgain()
		}
		return a.Team(ctx, by, seen.Target)
	})
}

func (a *Admin) createTeam(ctx context.Context, by *Actor, in TeamInput) (*store.Team, error) {
	if err := a.must(by, opTeamCreate, a.systemID()); err != nil {
		return nil, err
	}
	t := &store.Team{ID: store.NewTeamID(), Name: in.Name, CreatedAt: a.now()}
	if err := a.writeTeam(by, opTeamCreate, t, in); err != nil {
		return nil, err
	}
	err := a.change(ctx, by, entry{operation: opTeamCreate.Name, workspace: a.systemID(), after: t, name: t.Name}, store.Insert(t))
	return stored(t, store.OpInsert), err
}

func (a *Admin) writeTeam(by *Actor, op Operation, t *store.Team, in TeamInput) error {
	var f faults
	if !isSlug(t.Name) {
		f.add("name", slugRule)
	}
	set(&t.DisplayName, in.DisplayName)
	set(&t.Description, in.Description)
	if utf8.RuneCountInString(t.DisplayName) > maxName || strings.ContainsFunc(t.DisplayName, isControl) {
		f.add("display_name", "must be at most %d characters on one line", maxName)
	}
	if utf8.RuneCountInString(t.Description) > maxDescription {
		f.add("description", "has more than %d characters", maxDescription)
	}
	if err := f.err(); err != nil {
		return err
	}
	if in.SCIMMayGrant != nil && *in.SCIMMayGrant && !t.SCIMMayGrant {
		// Whoever provisions could then make anyone what the team is.
		if err := a.mayGive(by, op, gift{workspace: a.systemID(), licence: true}); err != nil {
			return err
		}
	}
	set(&t.SCIMMayGrant, in.SCIMMayGrant)
	return nil
}

// Teams returns all teams, by name.
func (a *Admin) Teams(_ context.Context, by *Actor) ([]*store.Team, error) {
	if err := a.must(by, opTeamList, a.accountWorkspace(by, opTeamList)); err != nil {
		return nil, err
	}
	out := slices.Clone(a.State.Teams())
	slices.SortFunc(out, func(x, y *store.Team) int { return cmp.Compare(x.Name, y.Name) })
	return out, nil
}

// Team returns a team by id or name.
func (a *Admin) Team(_ context.Context, by *Actor, idOrName string) (*store.Team, error) {
	return a.findTeam(by, opTeamGet, idOrName)
}

// EditTeam changes what is said of a team.
func (a *Admin) EditTeam(ctx context.Context, by *Actor, idOrName string, in TeamInput, revision int64) (*store.Team, error) {
	old, err := a.findTeam(by, opTeamEdit, idOrName)
	if err != nil {
		return nil, err
	}
	if revision != 0 && revision != old.Revision {
		return nil, stale(old.Revision)
	}
	t := *old
	if err := a.writeTeam(by, opTeamEdit, &t, in); err != nil {
		return nil, err
	}
	err = a.change(ctx, by, entry{operation: opTeamEdit.Name, workspace: a.systemID(), before: old, after: &t, name: t.Name}, store.Update(&t))
	return stored(&t, store.OpUpdate), err
}

// Members returns a page of the members of a team, by name.
func (a *Admin) Members(ctx context.Context, by *Actor, idOrName, after string, limit int) ([]*store.Account, error) {
	t, err := a.findTeam(by, opTeamMembers, idOrName)
	if err != nil {
		return nil, err
	}
	out, err := a.Store.Accounts(ctx, store.AccountQuery{Team: t.ID, After: after, Limit: limit})
	return out, fromStore(opTeamMembers.Name, err)
}

// AddMember makes an account a member of a team. Who is one already stays one.
func (a *Admin) AddMember(ctx context.Context, by *Actor, team, account string) (*store.Account, error) {
	return a.changeMember(ctx, by, opTeamMemberAdd, team, account, func(teams []store.TeamID, id store.TeamID) []store.TeamID {
		if slices.Contains(teams, id) {
			return teams
		}
		return append(slices.Clone(teams), id)
	})
}

// RemoveMember takes an account out of a team.
func (a *Admin) RemoveMember(ctx context.Context, by *Actor, team, account string) (*store.Account, error) {
	return a.changeMember(ctx, by, opTeamMemberRemove, team, account, func(teams []store.TeamID, id store.TeamID) []store.TeamID {
		return slices.DeleteFunc(slices.Clone(teams), func(t store.TeamID) bool { return t == id })
	})
}

func (a *Admin) changeMember(ctx context.Context, by *Actor, op Operation, team, account string, change func([]store.TeamID, store.TeamID) []store.TeamID) (*store.Account, error) {
	t, err := a.findTeam(by, op, team, policySegment(account))
	if err != nil {
		return nil, err
	}
	old, err := a.account(ctx, account)
	if err != nil {
		return nil, err
	}
	if old.Status == store.AccountDeleted {
		return nil, refuse(NotFound, "the account %s is deleted", old.Name)
	}
	acc := *old
	acc.Teams = change(old.Teams, t.ID)
	if slices.Equal(acc.Teams, old.Teams) {
		return old, nil
	}
	also, err := a.changesTeams(ctx, by, op, old, acc.Teams)
	if err != nil {
		return nil, err
	}
	err = a.change(ctx, by, entry{operation: op.Name, workspace: a.systemID(), before: old, after: &acc, name: acc.Name}, append(also, store.Update(&acc))...)
	return stored(&acc, store.OpUpdate), err
}

// mostMembers is how many memberships end with a team in one commit.
const mostMembers = 10_000

// DeleteTeam removes a team. One that has members or holds roles is a conflict,
// unless cascade takes the memberships and grants along.
func (a *Admin) DeleteTeam(ctx context.Context, by *Actor, idOrName string, cascade bool) error {
	t, err := a.findTeam(by, opTeamDelete, idOrName)
	if err != nil {
		return err
	}
	writes, err := a.teamDeletion(ctx, opTeamDelete, t, cascade)
	if err != nil {
		return err
	}
	return a.change(ctx, by, entry{operation: opTeamDelete.Name, workspace: a.systemID(), before: t, name: t.Name}, writes...)
}

// teamDeletion is what is written when a team goes.
func (a *Admin) teamDeletion(ctx context.Context, op Operation, t *store.Team, cascade bool) ([]store.Write, error) {
	members, err := a.Store.Accounts(ctx, store.AccountQuery{Team: t.ID, Limit: mostMembers})
	if err != nil {
		return nil, fromStore(op.Name, err)
	}
	grants, err := a.Store.GrantsOf(ctx, store.HolderID(t.ID))
	if err != nil {
		return nil, fromStore(op.Name, err)
	}
	switch {
	case cascade:
	case len(members) > 0:
		return nil, refuse(Conflict, "%s is a member, and maybe others are; take them out first, or delete with cascade", members[0].Name)
	case len(grants) > 0:
		return nil, refuse(Conflict, "the team holds roles in workspace %s; take them back first, or delete with cascade", a.workspaceName(grants[0].Workspace))
	}
	writes := []store.Write{store.Delete(t)}
	for _, g := range grants {
		ws := a.State.Workspace(g.Workspace)
		if ws == nil {
			continue
		}
		if owner := a.State.RoleByRef(ws.Name + "/" + RoleOwner); owner != nil && names(g.Roles, owner.ID) {
			remains, err := a.ownerRemains(ctx, ws, owner.ID, departure{grant: g.ID})
			if err != nil {
				return nil, fromStore(op.Name, err)
			}
			if !remains {
				return nil, refuse(Conflict, "its members are the last owners of workspace %s; make another one first", ws.Name)
			}
			writes = append(writes, store.Update(ws))
		}
		writes = append(writes, store.Delete(g))
	}
	for _, m := range members {
		less := *m
		less.Teams = slices.DeleteFunc(slices.Clone(m.Teams), func(id store.TeamID) bool { return id == t.ID })
		writes = append(writes, store.Update(&less))
	}
	return writes, nil
}
