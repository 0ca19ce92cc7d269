package console

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"postern/server/admin"
	"postern/store"
)

func teamPath(id store.TeamID) string { return "/console/teams/" + url.PathEscape(string(id)) }

// teamsPage is the table of teams.
type teamsPage struct {
	Search string
	Rows   []*store.Team
	Total  int // of those that fit
	All    int
	Next   string
	First  bool
}

func teams(v *visit) error {
	found, err := v.console.Admin.Teams(v.Request.Context(), v.by)
	if err != nil {
		return err
	}
	query := v.Request.URL.Query()
	p := teamsPage{Search: query.Get("search"), All: len(found), First: query.Get("after") == ""}
	p.Rows, p.Total, p.Next = pageByName(found, query, "/console/teams",
		func(t *store.Team) string { return t.Name },
		func(t *store.Team) string { return t.Name + "\n" + t.DisplayName + "\n" + t.Description })
	return v.show("teams", http.StatusOK, page{Title: "Teams", Section: "teams", Data: p})
}

// teamForm is the page that makes a team, or edits one.
type teamForm struct {
	Form form
	Team *store.Team // nil for a new one
	Back string
}

func teamCrumbs(more ...crumb) []crumb {
	return append([]crumb{{"Teams", "/console/teams"}}, more...)
}

func (v *visit) showTeamForm(status int, t *store.Team, f form) error {
	p := page{Title: "Create a team", Section: "teams", Crumbs: teamCrumbs(), Data: teamForm{f, t, "/console/teams"}}
	if t != nil {
		p.Title, p.Crumbs = "Edit "+t.Name, teamCrumbs(crumb{t.Name, teamPath(t.ID)})
		p.Data = teamForm{f, t, teamPath(t.ID)}
	}
	return v.show("team-edit", status, p)
}

// teamInput is what was typed of a team.
func (v *visit) teamInput() admin.TeamInput {
	name, description := strings.TrimSpace(v.form.Get("display_name")), v.form.Get("description")
	in := admin.TeamInput{Name: strings.TrimSpace(v.form.Get("name")), DisplayName: &name, Description: &description}
	if v.form.Has("provisioning") {
		grants := on(v.form, "scim_may_grant")
		in.SCIMMayGrant = &grants
	}
	return in
}

func newTeamPage(v *visit) error {
	if !v.maySystem("team.create") {
		return &admin.Error{Kind: admin.Forbidden, Message: "you may not make teams (team.create); ask an owner or admin of workspace system"}
	}
	return v.showTeamForm(http.StatusOK, nil, form{})
}

func createTeam(v *visit) error {
	t, err := v.console.Admin.CreateTeam(v.Request.Context(), v.by, v.teamInput())
	if err != nil {
		f := form{Values: v.form}
		if !f.take(err) {
			return err
		}
		return v.showTeamForm(statusOf(err), nil, f)
	}
	return v.done("team created", teamPath(t.ID))
}

// teamOf reads the team that an address names.
func (v *visit) teamOf() (*store.Team, error) {
	return v.console.Admin.Team(v.Request.Context(), v.by, v.Param("team"))
}

func teamValues(t *store.Team) url.Values {
	out := url.Values{"display_name": {t.DisplayName}, "description": {t.Description}, "revision": {revisionOf(t.Revision)}}
	if t.SCIMMayGrant {
		out.Set("scim_may_grant", "on")
	}
	return out
}

func editTeamPage(v *visit) error {
	t, err := v.teamOf()
	if err != nil {
		return err
	}
	return v.showTeamForm(http.StatusOK, t, form{Values: teamValues(t)})
}

func editTeam(v *visit) error {
	id := v.Param("team")
	t, err := v.console.Admin.EditTeam(v.Request.Context(), v.by, id, v.teamInput(), formRevision(v.form))
	if err == nil {
		return v.done("team saved", teamPath(t.ID))
	}
	f := form{Values: v.form}
	old, lost := v.teamOf()
	if lost != nil || !f.take(err) {
		return err
	}
	if isStale(err) {
		f.overtaken(teamValues(old), [2]string{"display_name", "Display name"}, [2]string{"description", "Description"}, [2]string{"scim_may_grant", "Provisioning"})
	}
	return v.showTeamForm(statusOf(err), old, f)
}

// teamPage is everything about one team.
type teamPage struct {
	*store.Team
	Path    string
	Members []accountRow
	Next    string
	First   bool
	Search  string // for somebody to add
	Found   []accountRow
	Held    *holdings
	History []*store.AuditEntry
}

func team(v *visit) error {
	t, err := v.teamOf()
	if err != nil {
		return err
	}
	ctx, a, query := v.Request.Context(), v.console.Admin, v.Request.URL.Query()
	p := teamPage{Team: t, Path: teamPath(t.ID), First: query.Get("after") == "", Search: strings.TrimSpace(query.Get("search"))}
	members, err := a.Members(ctx, v.by, string(t.ID), query.Get("after"), accountsShown+1)
	if err != nil {
		return err
	}
	if len(members) > accountsShown {
		members = members[:accountsShown]
		p.Next = p.Path + "?" + url.Values{"after": {members[accountsShown-1].Name}}.Encode()
	}
	for _, m := range members {
		p.Members = append(p.Members, v.accountRow(m))
	}
	if p.Search != "" {
		found, err := a.Accounts(ctx, v.by, store.AccountQuery{Search: p.Search, Limit: clientsShown})
		if err != nil {
			return err
		}
		for _, acc := range found {
			p.Found = append(p.Found, v.accountRow(acc))
		}
	}
	if p.Held, err = v.rolesOf(store.HolderID(t.ID)); err != nil {
		return err
	}
	if p.History, err = v.history(string(t.ID), ""); err != nil {
		return err
	}
	return v.show("team", http.StatusOK, page{Title: t.Name, Section: "teams", Crumbs: teamCrumbs(), Data: p})
}

// IsMember reports whether somebody who was found is in the team already.
func (p teamPage) IsMember(r accountRow) bool { return slices.Contains(r.Teams, p.ID) }

func addMember(v *visit) error {
	team, who := v.form.Get("team"), v.form.Get("account")
	if _, err := v.console.Admin.AddMember(v.Request.Context(), v.by, team, who); err != nil {
		return err
	}
	return v.done("member added", v.backTo("/console/teams"))
}

func removeMember(v *visit) error {
	team, who := v.form.Get("team"), v.form.Get("account")
	if _, err := v.console.Admin.RemoveMember(v.Request.Context(), v.by, team, who); err != nil {
		return err
	}
	return v.done("member removed", v.backTo("/console/teams"))
}

func (v *visit) teamQuestion(t *store.Team, err error, title string, c confirmation) error {
	status := http.StatusOK
	if err != nil {
		if !c.Form.take(err) {
			return err
		}
		status = statusOf(err)
	}
	c.Back, c.Section = teamPath(t.ID), "teams"
	return v.ask(status, title, c, teamCrumbs(crumb{t.Name, c.Back})...)
}

func confirmAdoptTeam(v *visit) error {
	t, err := v.teamOf()
	if err != nil {
		return err
	}
	return v.askAdoptTeam(t, nil)
}

func (v *visit) askAdoptTeam(t *store.Team, refused error) error {
	return v.teamQuestion(t, refused, "Let provisioning manage “"+t.Name+"”?", confirmation{
		Text:   "The provisioning system (SCIM) then sees this team as a group, and may change, fill and delete it. Members who are not provisioned stay out of its sight.",
		Action: teamPath(t.ID) + "/adopt", Button: "Let it",
	})
}

func adoptTeam(v *visit) error {
	t, err := v.teamOf()
	if err != nil {
		return err
	}
	if _, err := v.console.Admin.AdoptTeam(v.Request.Context(), v.by, string(t.ID)); err != nil {
		return v.askAdoptTeam(t, err)
	}
	return v.done("team adopted", teamPath(t.ID))
}

func confirmDeleteTeam(v *visit) error {
	t, err := v.teamOf()
	if err != nil {
		return err
	}
	return v.askDeleteTeam(t, nil)
}

// askDeleteTeam lists what goes with a team.
func (v *visit) askDeleteTeam(t *store.Team, refused error) error {
	c := confirmation{Text: "Nobody is in it and it holds nothing, so nothing changes for anybody.", Action: teamPath(t.ID) + "/delete", Button: "Delete", Danger: true}
	members, err := v.console.Admin.Members(v.Request.Context(), v.by, string(t.ID), "", accountsShown+1)
	if err != nil {
		return err
	}
	held, err := v.rolesOf(store.HolderID(t.ID))
	if err != nil {
		return err
	}
	for _, m := range members[:min(len(members), accountsShown)] {
		c.Listed = append(c.Listed, "Member "+m.Name)
	}
	if len(members) > accountsShown {
		c.Listed = append(c.Listed, "and more members")
	}
	if held != nil {
		for _, h := range held.Rows {
			c.Listed = append(c.Listed, "Role "+h.Ref+" in workspace "+h.Workspace)
		}
	}
	if len(c.Listed) > 0 {
		c.Text = "Its members lose what they hold through it, at once, and so do their tokens. The accounts themselves stay. This goes with the team:"
		c.Button = "Delete with all of these"
	}
	return v.teamQuestion(t, refused, "Delete the team “"+t.Name+"”?", c)
}

func deleteTeam(v *visit) error {
	t, err := v.teamOf()
	if err != nil {
		return err
	}
	if err := v.console.Admin.DeleteTeam(v.Request.Context(), v.by, string(t.ID), true); err != nil {
		return v.askDeleteTeam(t, err)
	}
	return v.done("team deleted", "/console/teams")
}
