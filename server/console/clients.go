package console

import (
	"cmp"
	"encoding/csv"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"postern/server/admin"
	"postern/store"
)

// clientRow is a client in the table.
type clientRow struct {
	admin.ClientView
	Endpoints int  // that its first role opens; -1 where nobody says
	Own       bool // it is the person's own
}

// Revocable reports whether a revoke would change anything.
func (r clientRow) Revocable() bool {
	return r.State == store.ClientActive || r.State == store.ClientExpired
}

// Role is the name of its first role, within its workspace.
func (r clientRow) Role() string {
	if _, name, has := strings.Cut(r.Roles[0], "/"); has {
		return name
	}
	return r.Roles[0]
}

// clientsPage is the table of clients.
type clientsPage struct {
	Tiles    tiles
	Form     form
	Filtered bool
	Rows     []clientRow
	Total    int
	Most     bool // there are more than Total
	Next     string
	Query    url.Values // without the cursor
	First    bool       // it is the first page
}

// Sorted returns the address of the table in another order, and which way it is
// in that order now.
func (p clientsPage) Sorted(column string) sorting {
	return sortedBy(p.Query, "/console/clients", column)
}

// sorting is the head of a column.
type sorting struct {
	Path string
	Way  string // "ascending", "descending", or empty: by another column
}

// sortedBy makes the head of a column of a list: a click sorts by it, and another
// one the other way.
func sortedBy(query url.Values, path, column string) sorting {
	q := maps.Clone(query)
	out := sorting{}
	q.Set("sort", column)
	q.Del("desc")
	if query.Get("sort") == column {
		out.Way = "descending"
		if !query.Has("desc") {
			out.Way = "ascending"
			q.Set("desc", "true")
		}
	} else if column != "name" {
		q.Set("desc", "true") // the latest first
	}
	out.Path = path + "?" + q.Encode()
	return out
}

// clientFilters are what the table can be filtered by; anything else in an
// address is passed over.
func clientFilters(q url.Values) url.Values {
	out := url.Values{}
	for _, name := range []string{"search", "status", "kind", "used", "sort", "desc"} {
		if value := q.Get(name); value != "" {
			out.Set(name, value)
		}
	}
	if out.Get("sort") == "" {
		out.Set("sort", "created")
		out.Set("desc", "true")
	}
	return out
}

func (v *visit) clientList(q url.Values, limit int) admin.ClientList {
	return admin.ClientList{
		Workspace: v.workspace.Name, Cursor: q.Get("cursor"), Orphaned: q.Get("used") == "orphaned",
		Query: v.withUse(q.Get("used"), store.ClientQuery{
			Search: q.Get("search"), Status: store.ClientStatus(q.Get("status")), ClientKind: store.ClientKind(q.Get("kind")),
			Unused: q.Get("used") == "never", Sort: store.ClientSort(q.Get("sort")), Desc: q.Has("desc"), Limit: limit,
		}),
	}
}

// withUse adds what the filter of use asks: what the figures above the table count.
func (v *visit) withUse(used string, q store.ClientQuery) store.ClientQuery {
	now := store.At(v.console.Now())
	switch used {
	case "forgotten":
		q.Unused, q.MadeBefore = true, now.Add(-admin.ForgottenAfter)
	case "expiring":
		q.ExpiresBy = now.Add(admin.ExpiringSoon)
	}
	return q
}

// errNoWorkspace is what a person hears who may see no workspace.
var errNoWorkspace = &admin.Error{Kind: admin.Forbidden, Message: "you have no role in any workspace that opens this page; ask an owner or admin of one"}

func clients(v *visit) error {
	if v.workspace == nil {
		return errNoWorkspace
	}
	ctx, query := v.Request.Context(), v.Request.URL.Query()
	p := clientsPage{Query: clientFilters(query), First: query.Get("cursor") == ""}
	p.Form.Values = p.Query
	for _, name := range []string{"search", "status", "kind", "used"} {
		p.Filtered = p.Filtered || p.Query.Has(name)
	}
	if v.GetHeader("HX-Request") == "" { // what a filter changes is below them
		var err error
		if p.Tiles.Clients, p.Tiles.Traffic, err = v.console.Admin.Figures(ctx, v.by, v.workspace); err != nil {
			return err
		}
	}
	list := v.clientList(p.Query, 50)
	list.Cursor = query.Get("cursor")
	found, err := v.console.Admin.Clients(ctx, v.by, list)
	if err != nil {
		return err
	}
	views, err := v.console.Admin.Describe(ctx, found.Clients...)
	if err != nil {
		return err
	}
	opens := map[string]int{}
	for _, view := range views {
		row := clientRow{ClientView: view, Endpoints: -1, Own: view.Client.Account == v.by.Account().ID}
		if len(view.Roles) > 0 {
			role := view.Roles[0]
			if _, known := opens[role]; !known {
				opens[role] = v.opened(role)
			}
			row.Endpoints = opens[role]
		}
		p.Rows = append(p.Rows, row)
	}
	p.Total, p.Most = found.Total, found.Total >= 10_000
	if found.Next != "" {
		q := clientFilters(p.Query)
		q.Set("cursor", found.Next)
		p.Next = "/console/clients?" + q.Encode()
	}
	return v.show("clients", http.StatusOK, page{Title: "Tokens", Section: "clients", Data: p})
}

// opened counts the endpoints that a role opens; -1 when the person may not ask.
func (v *visit) opened(role string) int {
	found, err := v.console.Admin.RoleEndpoints(v.Request.Context(), v.by, role)
	if err != nil {
		return -1
	}
	return len(found)
}

// exportClients answers with the whole list that the table shows, as CSV (RFC
// 4180).
func exportClients(v *visit) error {
	if v.workspace == nil {
		return errNoWorkspace
	}
	ctx := v.Request.Context()
	list := v.clientList(clientFilters(v.Request.URL.Query()), 500)
	var out *csv.Writer
	for {
		found, err := v.console.Admin.Clients(ctx, v.by, list)
		var views []admin.ClientView
		if err == nil {
			views, err = v.console.Admin.Describe(ctx, found.Clients...)
		}
		if err != nil && out == nil {
			return err
		}
		if err != nil {
			v.console.Log.ErrorContext(ctx, "a list of clients was cut off", "error", err)
			panic(http.ErrAbortHandler) // half a list must not look like a whole one
		}
		if out == nil {
			v.headers()
			v.Header("Content-Type", "text/csv; charset=utf-8")
			v.Header("Content-Disposition", `attachment; filename="tokens-`+v.workspace.Name+`.csv"`)
			out = csv.NewWriter(v.Writer)
			_ = out.Write([]string{"client_id", "name", "description", "kind", "status", "roles", "account", "created_at", "created_by", "expires_at", "last_used_at", "last_address", "last_endpoint"})
		}
		for _, w := range views {
			c := w.Client
			_ = out.Write(cells(string(c.ID), c.Name, c.Description, string(c.ClientKind), string(w.State), strings.Join(w.Roles, " "), w.Account.Name,
				c.CreatedAt.String(), w.CreatedBy.Name, c.ExpiresAt.String(), used(w.LastUse.SuccessAt), w.LastUse.SuccessAddress, w.LastUse.SuccessEndpoint))
		}
		if out.Flush(); out.Error() != nil {
			panic(http.ErrAbortHandler) // nobody reads it any more
		}
		if list.Cursor = found.Next; list.Cursor == "" {
			return nil
		}
	}
}

func used(t store.Time) string {
	if t == 0 {
		return ""
	}
	return t.String()
}

// cells are values of a CSV, of which none is a formula to a spreadsheet
// (CWE-1236).
func cells(values ...string) []string {
	for i, value := range values {
		if value != "" && strings.ContainsRune("=+-@\t\r", rune(value[0])) {
			values[i] = "'" + value
		}
	}
	return values
}

// clientOf reads the client that an address names.
func (v *visit) clientOf() (*admin.ClientView, error) {
	c, err := v.console.Admin.Client(v.Request.Context(), v.by, store.ClientID(v.Param("client")))
	if err != nil {
		return nil, err
	}
	views, err := v.console.Admin.Describe(v.Request.Context(), c)
	if err != nil {
		return nil, err
	}
	return &views[0], nil
}

// confirmation is a page that asks before something is done. As a part of
// another page it is a dialog.
type confirmation struct {
	Form   form
	Text   string   // what happens
	Listed []string // what it happens to, or what stops
	Stays  []string // what goes on
	Typed  string   // what must be typed before, as a proof that it is meant
	Action string   // where the answer goes
	Button string
	Danger bool
	Back   string
	Hidden []kept // fields that go along
	Reason bool   // one may be given
	Once   bool   // the answer is shown once

	Section string // the entry of the sidebar that is lit; empty is the tokens'
}

func (v *visit) confirm(title string, c confirmation, crumbs ...crumb) error {
	return v.ask(http.StatusOK, title, c, crumbs...)
}

// ask is confirm with a refusal in it.
func (v *visit) ask(status int, title string, c confirmation, crumbs ...crumb) error {
	return v.show("confirm", status, page{Title: title, Section: cmp.Or(c.Section, "clients"), Crumbs: crumbs, Data: c})
}

// clientPath is the page of a client.
func clientPath(id store.ClientID) string { return "/console/clients/" + url.PathEscape(string(id)) }

func confirmRevoke(v *visit) error {
	c, err := v.clientOf()
	if err != nil {
		return err
	}
	text := "Every use of it stops at once: new access tokens, those it has got, and calls that send its secret. You can restore it later."
	if c.LastUse.SuccessAt != 0 {
		text = "It was last used " + relative(c.LastUse.SuccessAt, store.At(v.console.Now())) + ". " + text
	}
	return v.confirm("Revoke “"+c.Client.Name+"”?", confirmation{
		Text: text, Action: clientPath(c.Client.ID) + "/revoke", Button: "Revoke", Danger: true, Reason: true,
		Back: v.backTo("/console/clients"), Hidden: v.next(),
	})
}

func revokeClient(v *visit) error {
	id := store.ClientID(v.Param("client"))
	if _, err := v.console.Admin.RevokeClient(v.Request.Context(), v.by, id, v.form.Get("reason")); err != nil {
		return err
	}
	return v.done("client revoked", v.backTo("/console/clients"))
}

func restoreClient(v *visit) error {
	if _, err := v.console.Admin.RestoreClient(v.Request.Context(), v.by, store.ClientID(v.Param("client"))); err != nil {
		return err
	}
	return v.done("client restored", v.backTo("/console/clients"))
}

func confirmDelete(v *visit) error {
	c, err := v.clientOf()
	if err != nil {
		return err
	}
	ask := confirmation{
		Text:   "This is final: the id is never used again, and nothing brings the token back. What it did stays in the audit.",
		Action: clientPath(c.Client.ID) + "/delete", Button: "Delete", Danger: true, Back: v.backTo("/console/clients"), Hidden: v.next(),
	}
	if c.State != store.ClientRevoked {
		ask.Text = "It is not revoked yet, so two things are done and noted: it is revoked, which stops every use of it at once, and then deleted. " + ask.Text
		ask.Button = "Revoke and delete"
		ask.Hidden = append(ask.Hidden, kept{"revoke", "on"})
	}
	return v.confirm("Delete “"+c.Client.Name+"”?", ask)
}

// deleteClient deletes what is revoked and, when asked to, revokes it first.
func deleteClient(v *visit) error {
	ctx, id := v.Request.Context(), store.ClientID(v.Param("client"))
	if on(v.form, "revoke") {
		if _, err := v.console.Admin.RevokeClient(ctx, v.by, id, "to be deleted"); err != nil {
			return err
		}
	}
	if err := v.console.Admin.DeleteClient(ctx, v.by, id); err != nil {
		return err
	}
	return v.done("client deleted", v.backTo("/console/clients"))
}

// backTo is where a change was asked for: the page that the form or the address
// names, or another one.
func (v *visit) backTo(otherwise string) string {
	for _, next := range []string{v.form.Get("next"), v.Query("next")} {
		if next != "" {
			return localPath(next)
		}
	}
	return otherwise
}

// next is the field by which a page that asks passes on where to go afterwards.
func (v *visit) next() []kept {
	if next := v.Query("next"); next != "" {
		return []kept{{"next", next}}
	}
	return nil
}

// revokeSelected revokes the clients that are ticked, after asking.
func revokeSelected(v *visit) error {
	ids := v.form["client"]
	if len(ids) == 0 {
		return v.done("nothing selected", "/console/clients")
	}
	ctx := v.Request.Context()
	if !on(v.form, "sure") {
		ask := confirmation{
			Text:   "Every use of these tokens stops at once. You can restore each of them later.",
			Action: "/console/clients/revoke", Button: "Revoke " + plural(len(ids), "token", "tokens"), Danger: true, Back: "/console/clients",
			Hidden: []kept{{"sure", "on"}}, Reason: true,
		}
		for _, id := range ids {
			c, err := v.console.Admin.Client(ctx, v.by, store.ClientID(id))
			if err != nil {
				return err
			}
			ask.Listed = append(ask.Listed, c.Name+" ("+id+")")
			ask.Hidden = append(ask.Hidden, kept{"client", id})
		}
		return v.confirm("Revoke "+plural(len(ids), "token", "tokens")+"?", ask)
	}
	var refused []string
	for _, id := range ids {
		_, err := v.console.Admin.RevokeClient(ctx, v.by, store.ClientID(id), v.form.Get("reason"))
		if e, ok := errors.AsType[*admin.Error](err); ok && e.Kind != admin.Unavailable {
			refused = append(refused, id+": "+e.Message)
		} else if err != nil {
			return err
		}
	}
	if len(refused) > 0 {
		return &admin.Error{
			Kind:    admin.Conflict,
			Message: plural(len(ids)-len(refused), "token is", "tokens are") + " revoked, and " + plural(len(refused), "is", "are") + " not: " + strings.Join(refused, "; "),
		}
	}
	return v.done("clients revoked", "/console/clients")
}
