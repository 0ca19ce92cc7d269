package admin

import (
	"context"
	"net/mail"
	"slices"
	"strings"
	"unicode/utf8"

	"postern/store"
)

// Accounts returns a page of people and technical users, by name.
func (a *Admin) Accounts(ctx context.Context, by *Actor, q store.AccountQuery) ([]*store.Account, error) {
	if err := a.must(by, opAccountList, a.accountWorkspace(by, opAccountList)); err != nil {
		return nil, err
	}
	out, err := a.Store.Accounts(ctx, q)
	return out, fromStore(opAccountList.Name, err)
}

// Account returns an account by id or name.
func (a *Admin) Account(ctx context.Context, by *Actor, idOrName string) (*store.Account, error) {
	if err := a.must(by, opAccountGet, a.accountWorkspace(by, opAccountGet), policySegment(idOrName)); err != nil {
		return nil, err
	}
	return a.account(ctx, idOrName)
}

// accountWorkspace is where a right to see accounts and teams counts. They belong
// to the installation, and an admin of any workspace may see them, to grant to
// them there.
func (a *Admin) accountWorkspace(by *Actor, op Operation) store.WorkspaceID {
	if ids, all := a.readable(by, op); !all && len(ids) > 0 {
		return ids[0]
	}
	return a.systemID()
}

// changeable finds an account for an operation that changes it, which is a right
// in the workspace system.
func (a *Admin) changeable(ctx context.Context, by *Actor, op Operation, idOrName string) (*store.Account, error) {
	if err := a.must(by, op, a.systemID(), policySegment(idOrName)); err != nil {
		return nil, err
	}
	acc, err := a.account(ctx, idOrName)
	if err == nil && acc.Status == store.AccountDeleted {
		return nil, refuse(NotFound, "the account %s is deleted", acc.Name)
	}
	return acc, err
}

// padlock refuses what cannot be done to a technical user by hand.
func padlock(acc *store.Account, what string) error {
	if acc.AccountKind == store.AccountUser {
		return nil
	}
	return refuse(Conflict, "%s is a technical user: its %s cannot be changed; it comes and goes with its clients", acc.Name, what)
}

// AccountEdit is what can be changed of an account; nil is left as it is. Of a
// technical user only the licence and the teams can.
type AccountEdit struct {
	DisplayName, Email *string
	Licence            *string   // name or ref of a shared role; "" is none, which is no ceiling
	Teams              *[]string // ids or names
	Revision           int64     // of If-Match; 0 is any
}

// EditAccount changes an account.
func (a *Admin) EditAccount(ctx context.Context, by *Actor, idOrName string, in AccountEdit) (*store.Account, error) {
	old, err := a.changeable(ctx, by, opAccountEdit, idOrName)
	if err != nil {
		return nil, err
	}
	if in.Revision != 0 && in.Revision != old.Revision {
		return nil, stale(old.Revision)
	}
	if in.DisplayName != nil || in.Email != nil {
		if err := padlock(old, "name"); err != nil {
			return nil, err
		}
	}
	acc := *old
	var f faults
	set(&acc.DisplayName, in.DisplayName)
	set(&acc.Email, in.Email)
	checkPerson(&f, &acc)
	if in.Licence != nil {
		acc.Licence = a.licence(&f, *in.Licence)
	}
	if in.Teams != nil {
		acc.Teams = a.teams(&f, *in.Teams)
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	if acc.Licence != old.Licence {
		if err := a.mayGive(by, opAccountEdit, gift{workspace: a.systemID(), licence: true}); err != nil {
			return nil, err
		}
	}
	also, err := a.changesTeams(ctx, by, opAccountEdit, old, acc.Teams)
	if err != nil {
		return nil, err
	}
	err = a.change(ctx, by, entry{operation: opAccountEdit.Name, workspace: a.systemID(), before: old, after: &acc, name: acc.Name}, append(also, store.Update(&acc))...)
	return stored(&acc, store.OpUpdate), err
}

// changesTeams checks that an account may be put into teams and taken out of
// others, and returns what is to be written along.
func (a *Admin) changesTeams(ctx context.Context, by *Actor, op Operation, old *store.Account, teams []store.TeamID) (also []store.Write, err error) {
	for _, t := range teams {
		if slices.Contains(old.Teams, t) {
			continue
		}
		if err := a.givesTeam(ctx, by, op, t); err != nil {
			return nil, err
		}
	}
	left := slices.DeleteFunc(slices.Clone(old.Teams), func(t store.TeamID) bool { return slices.Contains(teams, t) })
	if len(left) == 0 {
		return nil, nil
	}
	return a.keepOwners(ctx, op, old, departure{account: old.ID, teams: left})
}

// licence finds a shared role by name or ref. Empty is none.
func (a *Admin) licence(f *faults, name string) store.RoleID {
	if name == "" {
		return ""
	}
	r := a.State.RoleByRef("*/" + strings.TrimPrefix(name, "*/"))
	if r == nil {
		if r = a.State.Role(store.RoleID(name)); r == nil || r.Workspace != store.Shared {
			f.add("licence", "there is no licence %q; there are admin, steward and reader", printable(name))
			return ""
		}
	}
	return r.ID
}

// teams finds teams by id or name.
func (a *Admin) teams(f *faults, names []string) []store.TeamID {
	var out []store.TeamID
	for i, name := range names {
		t := a.team(name)
		switch {
		case t == nil:
			f.add(at("teams", i), "there is no team %q", printable(name))
		case !slices.Contains(out, t.ID):
			out = append(out, t.ID)
		}
	}
	return out
}

func checkPerson(f *faults, acc *store.Account) {
	if utf8.RuneCountInString(acc.DisplayName) > maxName || strings.ContainsFunc(acc.DisplayName, isControl) {
		f.add("display_name", "must be at most %d characters on one line", maxName)
	}
	if acc.Email == "" {
		return
	}
	if addr, err := mail.ParseAddress(acc.Email); err != nil || addr.Address != acc.Email || len(acc.Email) > 254 {
		f.add("email", "must be a mail address such as ann@example.com")
	}
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// NameTeamAndLicence puts a team and a licence that are named into a query.
func (a *Admin) NameTeamAndLicence(q *store.AccountQuery, team, licence string) error {
	var f faults
	if team != "" {
		if ids := a.teams(&f, []string{team}); len(ids) > 0 {
			q.Team = ids[0]
		}
	}
	q.Licence = a.licence(&f, licence)
	return f.err()
}
