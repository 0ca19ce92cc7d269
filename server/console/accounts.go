package console

import (
	"cmp"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"postern/server/admin"
	"postern/store"
)

// accountRow is an account in the table.
type accountRow struct {
	*store.Account
	LicenceName string // empty is none
	In          []link // its teams
}

// link is a record as people read it.
type link struct{ ID, Name string }

// TeamNames are those of its teams.
func (r accountRow) TeamNames() (out []string) {
	for _, t := range r.In {
		out = append(out, t.Name)
	}
	return out
}

// Locked reports whether it is a technical user, which is not edited by hand.
func (r accountRow) Locked() bool { return r.AccountKind == store.AccountService }

// Title is what people call it.
func (r accountRow) Title() string {
	if r.DisplayName != "" {
		return r.DisplayName
	}
	return r.Name
}

// Path is its page.
func (r accountRow) Path() string { return accountPath(r.ID) }

func (v *visit) accountRow(acc *store.Account) accountRow {
	row := accountRow{Account: acc}
	for _, id := range acc.Teams {
		for _, name := range v.console.Admin.TeamNames([]store.TeamID{id}) {
			row.In = append(row.In, link{string(id), name})
		}
	}
	slices.SortFunc(row.In, func(x, y link) int { return strings.Compare(x.Name, y.Name) })
	if acc.Licence != "" {
		row.LicenceName = strings.TrimPrefix(v.console.Admin.RoleRefs([]store.RoleID{acc.Licence})[0], "*/")
	}
	return row
}

func accountPath(id store.AccountID) string { return "/console/accounts/" + url.PathEscape(string(id)) }

// maySystem reports whether the rules let the person do an operation on what is
// everybody's: people, teams and which workspaces there are.
func (v *visit) maySystem(operation string) bool {
	i := slices.IndexFunc(v.workspaces, func(w *store.Workspace) bool { return w.Name == store.SystemWorkspace })
	return i >= 0 && v.console.Admin.May(v.by, operation, v.workspaces[i].ID)
}

// MaySystem is May for what is everybody's.
func (w *view) MaySystem(operation string) bool {
	return w.visit.by != nil && w.visit.maySystem(operation)
}

// accountsPage is the table of people and technical users.
type accountsPage struct {
	Form     form
	Filtered bool
	Rows     []accountRow
	Teams    []option
	Licences []option
	Next     string
	First    string // the first page, on another one
}

// accountFilters are what the table can be filtered by.
var accountFilters = []string{"search", "kind", "status", "team", "licence"} //nolint:gochecknoglobals // a constant

// accountsShown is how many accounts one page has.
const accountsShown = 50

func accounts(v *visit) error {
	query := v.Request.URL.Query()
	p := accountsPage{Form: form{Values: url.Values{}}}
	for _, name := range accountFilters {
		if value := query.Get(name); value != "" {
			p.Form.Values.Set(name, value)
			p.Filtered = true
		}
	}
	if query.Get("after") != "" {
		p.First = "/console/accounts?" + p.Form.Values.Encode()
	}
	q := store.AccountQuery{
		AccountKind: store.AccountKind(p.Form.Values.Get("kind")), Status: store.AccountStatus(p.Form.Values.Get("status")),
		Search: p.Form.Values.Get("search"), After: query.Get("after"), Limit: accountsShown + 1,
	}
	a, ctx := v.console.Admin, v.Request.Context()
	if err := a.NameTeamAndLicence(&q, p.Form.Values.Get("team"), p.Form.Values.Get("licence")); err != nil {
		return err
	}
	found, err := a.Accounts(ctx, v.by, q)
	if err != nil {
		return err
	}
	if len(found) > accountsShown {
		found = found[:accountsShown]
		next := url.Values{"after": {found[accountsShown-1].Name}}
		maps.Copy(next, p.Form.Values)
		p.Next = "/console/accounts?" + next.Encode()
	}
	for _, acc := range found {
		p.Rows = append(p.Rows, v.accountRow(acc))
	}
	if p.Teams, err = v.teamOptions(p.Form.Values.Get("team")); err != nil {
		return err
	}
	p.Licences = licences()
	return v.show("accounts", http.StatusOK, page{Title: "Users", Section: "accounts", Data: p})
}

// licences are the ceilings that an account can have.
func licences() []option {
	return []option{
		{Value: "admin", Label: "Admin", Note: "no ceiling"},
		{Value: "steward", Label: "Steward", Note: "no accounts, keys or settings"},
		{Value: "reader", Label: "Reader", Note: "on Postern itself only reading"},
	}
}

// mostOptions is how many of a kind a page lists to choose from.
const mostOptions = 200

// teamOptions are the teams to choose from, with the chosen one among them. None
// is what a person gets who may list no teams.
func (v *visit) teamOptions(chosen ...string) ([]option, error) {
	teams, err := v.console.Admin.Teams(v.Request.Context(), v.by)
	if may, err := allowed(err); !may {
		return nil, err
	}
	var out []option
	for _, t := range teams {
		if len(out) < mostOptions || slices.Contains(chosen, t.Name) {
			out = append(out, option{Value: t.Name, Label: t.Name, Note: t.Description})
		}
	}
	return out, nil
}

// allowed reports whether a part of a page can be shown: a refusal hides it, and
// any other error is one of the page.
func allowed(err error) (bool, error) {
	switch statusOf(err) {
	case http.StatusForbidden, http.StatusNotFound:
		return false, nil
	}
	return err == nil, err
}

// through is what somebody holds by a team.
type through struct {
	link
	Holdings *holdings
}

// rolesOf is heldBy where the person may see none, too: nil.
func (v *visit) rolesOf(holder store.HolderID) (*holdings, error) {
	held, err := v.heldBy(holder)
	if may, err := allowed(err); !may {
		return nil, err
	}
	return held, nil
}

// accountPage is everything about one account.
type accountPage struct {
	accountRow
	CreatedBy string
	Held      *holdings
	Through   []through
	Tokens    *clientsOf // that act as it
	Answers   *clientsOf // that it is responsible for
	History   []*store.AuditEntry
	MoreTeams []option // that it could be a member of
	Yourself  bool
}

// clientsOf are the first clients of somebody.
type clientsOf struct {
	Rows  []admin.ClientView
	Total int
}

// clientsShown is how many clients, entries and the like a page of something else
// shows.
const clientsShown = 10

func (v *visit) clientsOf(list admin.ClientList) (*clientsOf, error) {
	list.Query.Limit = clientsShown
	ctx := v.Request.Context()
	found, err := v.console.Admin.Clients(ctx, v.by, list)
	if may, err := allowed(err); !may {
		return &clientsOf{}, err
	}
	views, err := v.console.Admin.Describe(ctx, found.Clients...)
	return &clientsOf{views, found.Total}, err
}

// accountOf reads the account that an address names.
func (v *visit) accountOf() (accountRow, error) {
	acc, err := v.console.Admin.Account(v.Request.Context(), v.by, v.Param("account"))
	if err != nil {
		return accountRow{}, err
	}
	return v.accountRow(acc), nil
}

func account(v *visit) error {
	row, err := v.accountOf()
	if err != nil {
		return err
	}
	a, ctx, id := v.console.Admin, v.Request.Context(), row.ID
	p := accountPage{accountRow: row, Yourself: id == v.by.Account().ID}
	if row.CreatedBy != "" {
		p.CreatedBy = a.HolderName(ctx, store.HolderID(row.CreatedBy))
	}
	if p.Held, err = v.rolesOf(store.HolderID(id)); err != nil {
		return err
	}
	for _, team := range row.In {
		held, err := v.rolesOf(store.HolderID(team.ID))
		if err != nil {
			return err
		}
		if held != nil && len(held.Rows) > 0 {
			held.Take = false // on the page of the team
			p.Through = append(p.Through, through{team, held})
		}
	}
	if p.Tokens, err = v.clientsOf(admin.ClientList{Query: store.ClientQuery{Account: id}}); err != nil {
		return err
	}
	if p.Answers, err = v.clientsOf(admin.ClientList{Responsible: string(id)}); err != nil {
		return err
	}
	if p.History, err = v.history(string(id), id); err != nil {
		return err
	}
	if v.maySystem("team.member.add") {
		if p.MoreTeams, err = v.teamOptions(); err != nil {
			return err
		}
		p.MoreTeams = slices.DeleteFunc(p.MoreTeams, func(o option) bool { return slices.Contains(row.TeamNames(), o.Value) })
	}
	return v.show("account", http.StatusOK, page{Title: row.Title(), Section: "accounts", Crumbs: accountCrumbs(), Data: p})
}

func accountCrumbs(more ...crumb) []crumb {
	return append([]crumb{{"Users", "/console/accounts"}}, more...)
}

// history is the end of the audit of a record and of what an account did.
func (v *visit) history(target string, actor store.AccountID) ([]*store.AuditEntry, error) {
	queries := []store.AuditQuery{{Target: target, Limit: clientsShown}}
	if actor != "" {
		queries = append(queries, store.AuditQuery{Account: actor, Limit: clientsShown})
	}
	var out []*store.AuditEntry
	for _, q := range queries {
		found, err := v.console.Admin.Audit(v.Request.Context(), v.by, "", q)
		if may, err := allowed(err); !may {
			return nil, err
		}
		out = append(out, found...)
	}
	slices.SortFunc(out, func(x, y *store.AuditEntry) int {
		return cmp.Or(cmp.Compare(y.At, x.At), cmp.Compare(y.ID, x.ID)) // the newest first
	})
	out = slices.CompactFunc(out, func(x, y *store.AuditEntry) bool { return x.ID == y.ID })
	return out[:min(len(out), clientsShown)], nil
}
