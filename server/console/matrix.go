package console

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"postern/server/admin"
	"postern/store"
)

// matrix is what a role opens of one API: its endpoints by method.
type matrix struct {
	APIs        []matrixTab
	API         *store.API // nil where the workspace has none with a catalogue
	Methods     []string
	Rows        []matrixRow
	Search      string
	Total       int // endpoints that the search finds
	First, Next string
}

// matrixTab is an API to choose.
type matrixTab struct {
	Name, Path string
	Open       int // endpoints that the role opens
	Current    bool
}

// matrixRow is a path.
type matrixRow struct {
	Path, Summary string
	Cells         []cell // by the matrix's methods
}

// cell is one method of an endpoint.
type cell struct {
	State string // "" where there is no such endpoint; else closed, allow, inherited, limited or deny
	Rule  string // that decides: #1, or reader#1 of another role
	Note  string // what it is limited to, or needs
	Add   string // where a rule for it can be added
	Name  string // "GET /orders"
}

const matrixRows = 100

// matrixOf looks at the API that the address names, or the first of which the
// role opens something; and counts all the endpoints that it opens.
func (v *visit) matrixOf(r *store.Role) (*matrix, int, error) {
	ctx, q := v.Request.Context(), v.Request.URL.Query()
	apis, err := v.console.Admin.APIs(ctx, v.by)
	if err != nil {
		return nil, 0, err
	}
	open, err := v.console.Admin.RoleEndpoints(ctx, v.by, string(r.ID))
	if err != nil {
		return nil, 0, err
	}
	m := &matrix{Search: q.Get("search")}
	var chosen *store.API
	most := -1
	for _, api := range apis {
		if !api.OpenTo(r.Workspace) || len(api.Endpoints) == 0 {
			continue
		}
		tab := matrixTab{Name: api.Name, Path: rolePath(r) + "?" + url.Values{"api": {api.Name}}.Encode() + "#endpoints"}
		for _, e := range open {
			if e.API.ID == api.ID {
				tab.Open++
			}
		}
		m.APIs = append(m.APIs, tab)
		if api.Name == q.Get("api") {
			chosen, most = api, len(open)+1
		} else if own := api.Name == store.PosternAPI; tab.Open > most && (!own || tab.Open > 0) || chosen == nil || chosen.Name == store.PosternAPI && most == 0 {
			chosen, most = api, tab.Open
		}
	}
	if chosen == nil {
		return m, len(open), nil
	}
	for i := range m.APIs {
		m.APIs[i].Current = m.APIs[i].Name == chosen.Name
	}
	m.API = chosen
	err = v.fill(m, r, open)
	return m, len(open), err
}

// fill makes the rows of a page.
func (v *visit) fill(m *matrix, r *store.Role, open []admin.OpenEndpoint) error {
	paths := map[string][]int{} // the places of its endpoints
	var order []string
	for i, e := range m.API.Endpoints {
		if m.Search != "" && !strings.Contains(strings.ToLower(e.Path+" "+e.Summary+" "+strings.Join(e.Tags, " ")), strings.ToLower(m.Search)) {
			continue
		}
		if paths[e.Path] == nil {
			order = append(order, e.Path)
		}
		paths[e.Path] = append(paths[e.Path], i)
		for method := range strings.FieldsSeq(e.Methods) {
			if !slices.Contains(m.Methods, method) {
				m.Methods = append(m.Methods, method)
			}
		}
	}
	slices.SortStableFunc(m.Methods, func(x, y string) int { return usual(x) - usual(y) })
	m.Total = len(order)
	from, _ := strconv.Atoi(v.Query("from"))
	from = min(max(from, 0), len(order))
	at := func(from int) string {
		return rolePath(r) + "?" + url.Values{"api": {m.API.Name}, "search": {m.Search}, "from": {strconv.Itoa(from)}}.Encode() + "#endpoints"
	}
	if from > 0 {
		m.First = at(0)
	}
	if order = order[from:]; len(order) > matrixRows {
		order, m.Next = order[:matrixRows], at(from+matrixRows)
	}
	look := looking{visit: v, role: r, api: m.API, found: map[int]admin.OpenEndpoint{}}
	for _, e := range open {
		if e.API.ID == m.API.ID {
			look.found[e.Place] = e
		}
	}
	for _, path := range order {
		row := matrixRow{Path: path, Cells: make([]cell, len(m.Methods))}
		for _, place := range paths[path] {
			e := m.API.Endpoints[place]
			if row.Summary == "" {
				row.Summary = e.Summary
			}
			for method := range strings.FieldsSeq(e.Methods) {
				c, err := look.cell(place, method)
				if err != nil {
					return err
				}
				row.Cells[slices.Index(m.Methods, method)] = c
			}
		}
		m.Rows = append(m.Rows, row)
	}
	return nil
}

// usual is the place of a method among those that people know.
func usual(method string) int {
	known := []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
	if at := slices.Index(known, method); at >= 0 {
		return at
	}
	return len(known)
}

// looking finds out what a role says about the endpoints of an API.
type looking struct {
	*visit

	role  *store.Role
	api   *store.API
	found map[int]admin.OpenEndpoint // what it opens, by place
}

// cell asks about one method of an endpoint: whether any call is allowed, and, for
// a value that no rule names, which rule decides.
func (l *looking) cell(place int, method string) (cell, error) {
	e := l.api.Endpoints[place]
	out := cell{State: "closed", Name: method + " " + e.Path}
	open, isOpen := l.found[place]
	isOpen = isOpen && (slices.Contains(open.Methods, method) || slices.Contains(open.Methods, "*"))
	if isOpen {
		out.State = "allow"
	} else if !l.role.Builtin && l.mayRole("role.edit", l.role) {
		out.Add = rolePath(l.role) + "/edit?" + url.Values{"add": {"1"}, "api": {l.api.Name}, "methods": {method}, "path": {e.Path}}.Encode() + "#rules"
	}
	if !l.mayRole("check", l.role) {
		return out, nil
	}
	x, err := l.console.Admin.Check(l.Request.Context(), l.by, admin.CheckInput{Role: string(l.role.ID), API: l.api.Name, Method: anyCall(method), Path: someCall(e.Path), AnyScope: true})
	if err != nil {
		return out, err
	}
	ref, number, _ := strings.Cut(x.Rule, "#")
	if out.Rule = "#" + number; ref != l.role.Ref && x.Rule != "" {
		out.Rule = strings.TrimPrefix(x.Rule, l.console.Admin.WorkspaceName(l.role.Workspace)+"/")
	}
	switch {
	case !isOpen && x.Rule != "" && !x.Allowed:
		out.State = "deny"
	case !isOpen:
		out.Rule = ""
	case !x.Allowed, len(open.Operations) > 0:
		out.State, out.Rule, out.Note = "limited", "", limitedTo(open)
	case ref != l.role.Ref:
		out.State = "inherited"
	}
	if isOpen && out.Note == "" {
		out.Note = strings.Join(open.Scopes, " ")
	}
	return out, nil
}

// someCall is a path that an endpoint has, with values that no rule names.
func someCall(pattern string) string {
	segments := strings.Split(pattern, "/")
	for i, s := range segments {
		if strings.HasPrefix(s, "{") || s == "**" {
			segments[i] = "~"
		}
	}
	return strings.Join(segments, "/")
}

// anyCall is a method that stands for all, where any will do.
func anyCall(method string) string {
	if method == "*" {
		return "ANY"
	}
	return method
}

// limitedTo says which calls of an endpoint are allowed.
func limitedTo(e admin.OpenEndpoint) string {
	if len(e.Operations) > 0 {
		return strings.Join(e.Operations, ", ")
	}
	var ways []string
	for _, limits := range e.Limits {
		ways = append(ways, strings.Join(limitLines(limits), ", "))
	}
	if len(ways) == 0 {
		return "some paths"
	}
	return strings.Join(ways, "; ")
}
