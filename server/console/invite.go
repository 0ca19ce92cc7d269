package console

import (
	"net/http"
	"slices"
	"strings"

	"postern/server/admin"
	"postern/store"
)

// inviteForm is the page that invites a person.
type inviteForm struct {
	Form       form
	Licences   []option
	Teams      []option
	Workspaces []option
	Roles      []option // of the workspace that is chosen
	Workspace  string
}

func invitePage(v *visit) error {
	if !v.maySystem("account.invite") {
		return &admin.Error{Kind: admin.Forbidden, Message: "you may not invite people (account.invite); ask an owner or admin of workspace system"}
	}
	f := form{Values: v.Request.URL.Query()} // another workspace was chosen meanwhile
	if !f.Values.Has("workspace") {
		f.Values.Set("workspace", v.workspace.Name)
	}
	return v.showInvite(http.StatusOK, f)
}

func (v *visit) showInvite(status int, f form) error {
	p := inviteForm{Form: f, Licences: licences(), Workspace: f.Values.Get("workspace")}
	var err error
	if p.Teams, err = v.teamOptions(f.Values["teams"]...); err != nil {
		return err
	}
	p.Workspaces = []option{{Value: "", Label: "None yet"}}
	for _, w := range v.workspaces {
		p.Workspaces = append(p.Workspaces, option{Value: w.Name, Label: w.Name})
	}
	if p.Workspace != "" {
		if p.Roles, err = v.roleOptions(p.Workspace); err != nil {
			return err
		}
	}
	return v.show("invite", status, page{Title: "Invite a person", Section: "accounts", Crumbs: accountCrumbs(), Data: p})
}

// roleOptions are the roles of a workspace to choose from, in its own words.
func (v *visit) roleOptions(workspace string) ([]option, error) {
	roles, err := v.console.Admin.Roles(v.Request.Context(), v.by, workspace)
	if may, err := allowed(err); !may {
		return nil, err
	}
	roles = slices.DeleteFunc(roles, func(r *store.Role) bool { return r.Workspace == store.Shared })
	var out []option
	for _, r := range roles[:min(len(roles), mostOptions)] {
		_, name, _ := strings.Cut(r.Ref, "/")
		out = append(out, option{Value: name, Label: name, Note: r.Description})
	}
	return out, nil
}

func invite(v *visit) error {
	in := admin.NewAccount{
		Name: strings.TrimSpace(v.form.Get("name")), DisplayName: strings.TrimSpace(v.form.Get("display_name")), Email: strings.TrimSpace(v.form.Get("email")),
		Licence: v.form.Get("licence"), Teams: v.form["teams"],
	}
	for _, role := range v.form["roles"] {
		in.Roles = append(in.Roles, admin.Granted{Role: role})
		in.Workspace = v.form.Get("workspace")
	}
	by, err := v.once()
	if err != nil {
		return err
	}
	made, err := v.console.Admin.InviteAccount(v.Request.Context(), by, in)
	if id, before := madeBefore(err); before {
		return v.done("link shown", accountPath(store.AccountID(id)))
	}
	if err != nil {
		f := form{Values: v.form}
		if !f.take(err) {
			return err
		}
		return v.showInvite(statusOf(err), f)
	}
	return v.showInvited(made)
}

// invited is the one page that shows a one-time link.
type invited struct {
	accountRow
	Link     string
	Ends     store.Time
	Warnings []string
	Again    bool // it is not the first one
}

func (v *visit) showInvited(made *admin.Invited) error {
	row := v.accountRow(made.Account)
	p := invited{
		accountRow: row, Link: v.console.Admin.InvitationLink(made.Token), Ends: made.Ends, Warnings: made.Warnings,
		Again: made.Account.Status != store.AccountInvited,
	}
	return v.show("invited", http.StatusOK, page{Title: "One-time link", Section: "accounts", Crumbs: accountCrumbs(crumb{row.Title(), row.Path()}), Data: p})
}

func confirmReinvite(v *visit) error {
	row, err := v.accountOf()
	if err != nil {
		return err
	}
	return v.askReinvite(row, nil)
}

func (v *visit) askReinvite(row accountRow, refused error) error {
	return v.accountQuestion(row, refused, "Make a one-time link for “"+row.Title()+"”?", confirmation{
		Text:   "By this link a password is set, once, within 7 days. A link of before stops working; a password of before works until the link is used.",
		Action: row.Path() + "/reinvite", Button: "Make the link", Once: true,
	})
}

func reinvite(v *visit) error {
	row, err := v.accountOf()
	if err != nil {
		return err
	}
	by, err := v.once()
	if err != nil {
		return err
	}
	made, err := v.console.Admin.ReinviteAccount(v.Request.Context(), by, string(row.ID))
	if _, before := madeBefore(err); before {
		return v.done("link shown", row.Path())
	}
	if err != nil {
		return v.askReinvite(row, err)
	}
	return v.showInvited(made)
}
