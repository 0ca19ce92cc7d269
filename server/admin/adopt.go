package admin

import (
	"context"
	"strings"

	"postern/store"
)

//nolint:gochecknoglobals // constants, were there constant structs
var (
	opAccountAdopt = Operation{Name: "account.adopt", Method: "POST", Path: root + "/accounts/{account}/adopt", Tag: "accounts", Text: "Let provisioning (SCIM) see and change a person who was made by hand", accounts: true}
	opTeamAdopt    = Operation{Name: "team.adopt", Method: "POST", Path: root + "/teams/{team}/adopt", Tag: "teams", Text: "Let provisioning (SCIM) see and change a team that was made by hand", accounts: true}
)

// AdoptAccount lets provisioning see and change a person who was made by hand.
// userName is what provisioning calls the person; empty is the mail address, else
// the account's name. It is what the identity provider calls the person, too, who
// is linked at the next sign-in by it; a link of before ends. Whoever provisions
// could then make somebody else sign in as the person, so it is a gift of all that
// the person holds.
func (a *Admin) AdoptAccount(ctx context.Context, by *Actor, idOrName, userName string) (*store.Account, error) {
	old, err := a.changeable(ctx, by, opAccountAdopt, idOrName)
	if err == nil {
		err = padlock(old, "owner")
	}
	if err != nil {
		return nil, err
	}
	if err := a.givesPerson(ctx, by, opAccountAdopt, old); err != nil {
		return nil, err
	}
	acc := *old
	acc.Provisioned = true
	for _, name := range []string{strings.TrimSpace(userName), acc.UserName, acc.Email, acc.Name} {
		if name != "" {
			acc.UserName = name
			break
		}
	}
	var f faults
	checkLine(&f, "user_name", acc.UserName)
	if err := f.err(); err != nil {
		return nil, err
	}
	if old.Provisioned && acc.UserName == old.UserName && old.Subject == "" {
		return old, nil
	}
	acc.Issuer, acc.Subject = "", ""
	unlink, err := a.unlinked(ctx, old)
	if err != nil {
		return nil, err
	}
	err = a.change(ctx, by, entry{operation: opAccountAdopt.Name, workspace: a.systemID(), before: old, after: &acc, name: acc.Name}, append(unlink, store.Update(&acc))...)
	return stored(&acc, store.OpUpdate), err
}

// AdoptTeam lets provisioning see and change a team that was made by hand. Its
// members who are not provisioned stay out of sight.
func (a *Admin) AdoptTeam(ctx context.Context, by *Actor, idOrName string) (*store.Team, error) {
	old, err := a.findTeam(by, opTeamAdopt, idOrName)
	if err != nil {
		return nil, err
	}
	if err := a.givesTeam(ctx, by, opTeamAdopt, old.ID); err != nil {
		return nil, err
	}
	if old.Provisioned {
		return old, nil
	}
	t := *old
	t.Provisioned = true
	if t.DisplayName == "" {
		t.DisplayName = t.Name
	}
	err = a.change(ctx, by, entry{operation: opTeamAdopt.Name, workspace: a.systemID(), before: old, after: &t, name: t.Name}, store.Update(&t))
	return stored(&t, store.OpUpdate), err
}
