package console

import (
	"net/http"
	"net/url"

	"postern/server/admin"
	"postern/store"
)

// accountForm is the page that edits an account.
type accountForm struct {
	accountRow
	Form     form
	Licences []option
}

// values are what the form shows of an account at first.
func (r accountRow) values() url.Values {
	return url.Values{
		"display_name": {r.DisplayName}, "email": {r.Email}, "licence": {r.LicenceName},
		"revision": {revisionOf(r.Revision)},
	}
}

func editAccountPage(v *visit) error {
	row, err := v.accountOf()
	if err != nil {
		return err
	}
	return v.showAccountForm(http.StatusOK, row, form{Values: row.values()})
}

func (v *visit) showAccountForm(status int, row accountRow, f form) error {
	return v.show("account-edit", status, page{
		Title: "Edit " + row.Title(), Section: "accounts", Crumbs: accountCrumbs(crumb{row.Title(), row.Path()}),
		Data: accountForm{row, f, append([]option{{Value: "", Label: "None", Note: "no ceiling"}}, licences()...)},
	})
}

func editAccount(v *visit) error {
	ctx, id := v.Request.Context(), v.Param("account")
	in := admin.AccountEdit{Revision: formRevision(v.form)}
	for name, to := range map[string]**string{"display_name": &in.DisplayName, "email": &in.Email, "licence": &in.Licence} {
		if v.form.Has(name) {
			value := v.form.Get(name)
			*to = &value
		}
	}
	_, err := v.console.Admin.EditAccount(ctx, v.by, id, in)
	if err == nil {
		return v.done("account saved", accountPath(store.AccountID(id)))
	}
	f := form{Values: v.form}
	row, lost := v.accountOf()
	if lost != nil || !f.take(err) {
		return err
	}
	if isStale(err) {
		f.overtaken(row.values(), [2]string{"display_name", "Display name"}, [2]string{"email", "Mail address"}, [2]string{"licence", "Licence"})
	}
	return v.showAccountForm(statusOf(err), row, f)
}

// accountQuestion asks before something is done to a person.
func (v *visit) accountQuestion(row accountRow, err error, title string, c confirmation) error {
	status := http.StatusOK
	if err != nil {
		if !c.Form.take(err) {
			return err
		}
		status = statusOf(err)
	}
	c.Back, c.Section = row.Path(), "accounts"
	return v.ask(status, title, c, accountCrumbs(crumb{row.Title(), row.Path()})...)
}

func confirmDeactivate(v *visit) error {
	row, err := v.accountOf()
	if err != nil {
		return err
	}
	return v.askDeactivate(row, nil)
}

// askDeactivate lists what stops with a person, and what does not. refused is why
// it could not be done.
func (v *visit) askDeactivate(row accountRow, refused error) error {
	ctx, a := v.Request.Context(), v.console.Admin
	c := confirmation{
		Text:   "Sign-in and every session end at once, and personal tokens stop. Reactivating the person makes the tokens work again. This stops:",
		Listed: []string{"Sign-in, and all open sessions"},
		Action: row.Path() + "/deactivate", Button: "Deactivate", Danger: true,
	}
	personal, err := a.Clients(ctx, v.by, admin.ClientList{Query: store.ClientQuery{Account: row.ID, Status: store.ClientActive, Limit: clientsShown}})
	if may, err := allowed(err); err != nil {
		return err
	} else if may {
		c.Listed = append(c.Listed, titles("Personal token", personal)...)
	}
	goes, err := a.Clients(ctx, v.by, admin.ClientList{Responsible: string(row.ID), Query: store.ClientQuery{ClientKind: store.ClientService, Status: store.ClientActive, Limit: clientsShown}})
	if may, err := allowed(err); err != nil {
		return err
	} else if may {
		c.Stays = titles("Service token", goes)
		if len(c.Stays) > 0 {
			c.Stays = append(c.Stays, "Nobody is responsible for "+them(goes.Total)+" then: find them in the list of tokens by “Nobody responsible”")
		}
	}
	return v.accountQuestion(row, refused, "Deactivate “"+row.Title()+"”?", c)
}

func them(n int) string {
	if n == 1 {
		return "it"
	}
	return "these"
}

// titles are the names of clients, and how many more there are.
func titles(what string, of *admin.ClientPage) (out []string) {
	for _, c := range of.Clients {
		out = append(out, what+" “"+c.Name+"”")
	}
	if more := of.Total - len(of.Clients); more > 0 {
		out = append(out, "and "+count(more)+" more")
	}
	return out
}

func deactivateAccount(v *visit) error {
	row, err := v.accountOf()
	if err != nil {
		return err
	}
	if _, err := v.console.Admin.DeactivateAccount(v.Request.Context(), v.by, string(row.ID)); err != nil {
		return v.askDeactivate(row, err)
	}
	return v.done("account deactivated", row.Path())
}

func reactivateAccount(v *visit) error {
	id := v.Param("account")
	if _, err := v.console.Admin.ReactivateAccount(v.Request.Context(), v.by, id); err != nil {
		return err
	}
	return v.done("account reactivated", accountPath(store.AccountID(id)))
}

func confirmDeleteAccount(v *visit) error {
	row, err := v.accountOf()
	if err != nil {
		return err
	}
	return v.askDeleteAccount(row, nil)
}

func (v *visit) askDeleteAccount(row accountRow, refused error) error {
	c := confirmation{
		Text:   "This is final: nothing brings the account back, and its name stays taken, so that the audit is never about somebody else. This goes with it:",
		Listed: []string{"What it holds in workspaces and its memberships of teams", "Its personal tokens"},
		Action: row.Path() + "/delete", Button: "Delete", Danger: true,
	}
	if row.Locked() {
		c.Listed = c.Listed[:1]
	}
	return v.accountQuestion(row, refused, "Delete “"+row.Title()+"”?", c)
}

func deleteAccount(v *visit) error {
	row, err := v.accountOf()
	if err != nil {
		return err
	}
	if err := v.console.Admin.DeleteAccount(v.Request.Context(), v.by, string(row.ID)); err != nil {
		return v.askDeleteAccount(row, err)
	}
	return v.done("account deleted", "/console/accounts")
}

func confirmAdoptAccount(v *visit) error {
	row, err := v.accountOf()
	if err != nil {
		return err
	}
	return v.askAdopt(row, nil)
}

func (v *visit) askAdopt(row accountRow, refused error) error {
	return v.accountQuestion(row, refused, "Let provisioning manage “"+row.Title()+"”?", confirmation{
		Text:   "The provisioning system (SCIM) then sees this person, and may change, deactivate and delete the account. It finds the person by the mail address, or else by the name.",
		Action: row.Path() + "/adopt", Button: "Let it",
	})
}

func adoptAccount(v *visit) error {
	row, err := v.accountOf()
	if err != nil {
		return err
	}
	if _, err := v.console.Admin.AdoptAccount(v.Request.Context(), v.by, string(row.ID), ""); err != nil {
		return v.askAdopt(row, err)
	}
	return v.done("account adopted", row.Path())
}

func confirmNoTOTP(v *visit) error {
	row, err := v.accountOf()
	if err != nil {
		return err
	}
	return v.askNoTOTP(row, nil)
}

func (v *visit) askNoTOTP(row accountRow, refused error) error {
	return v.accountQuestion(row, refused, "Remove the second factor of “"+row.Title()+"”?", confirmation{
		Text:   "Do this when the phone and the recovery codes are lost. The password alone opens the account then, so make sure that it is this person who asks.",
		Action: row.Path() + "/second-factor", Button: "Remove it", Danger: true,
	})
}

func deleteAccountTOTP(v *visit) error {
	row, err := v.accountOf()
	if err != nil {
		return err
	}
	if _, err := v.console.Admin.DeleteAccountTOTP(v.Request.Context(), v.by, string(row.ID)); err != nil {
		return v.askNoTOTP(row, err)
	}
	return v.done("second factor removed", row.Path())
}
