package server_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// roleID finds a role by its ref.
func (n *node) roleID(t testing.TB, ref string) string {
	t.Helper()
	var found struct{ Items []struct{ ID, Ref string } }
	if err := json.Unmarshal([]byte(n.want(t, http.StatusOK, http.MethodGet, "/roles?search="+url.QueryEscape(ref), nil).body), &found); err != nil {
		t.Fatal(err)
	}
	for _, r := range found.Items {
		if r.Ref == ref {
			return r.ID
		}
	}
	t.Fatalf("there is no role %s", ref)
	return ""
}

// has and hasNot say what a page must hold, as text or markup, and what it must not.
func (a answer) has(t testing.TB, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(a.body, text) {
			t.Errorf("the page does not hold %q:\n%s", text, main(a.body))
		}
	}
}

func (a answer) hasNot(t testing.TB, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if strings.Contains(a.body, text) {
			t.Errorf("the page holds %q:\n%s", text, main(a.body))
		}
	}
}

// hidden is the value of a field of the form in a page.
func (a answer) hidden(t testing.TB, name string) string {
	t.Helper()
	_, rest, has := strings.Cut(a.body, `name="`+name+`" value="`)
	value, _, _ := strings.Cut(rest, `"`)
	if !has {
		t.Fatalf("there is no hidden field %s:\n%s", name, main(a.body))
	}
	return value
}

// The page of a role says of each endpoint whether the role opens it, and by
// which rule.
func TestSB4PageOfARoleShowsWhatItOpens(t *testing.T) {
	n := start(t)
	admin := n.console(t)
	writer := n.roleID(t, "default/example-writer")
	n.want(t, http.StatusCreated, http.MethodPost, "/roles", map[string]any{"workspace": "default", "name": "some", "parents": []string{"example-writer"}, "rules": []map[string]any{
		{"api": "example", "methods": "POST", "path": "/orders", "deny": true}, {"api": "example", "methods": "DELETE", "path": "/orders/42", "deny": true},
	}})
	cells := func(role, path string) string {
		t.Helper()
		body := admin.want(t, http.StatusOK, "/console/roles/"+role+"?api=example", nil).body
		_, rest, has := strings.Cut(body, `<code class="break">`+path+`</code>`)
		row, _, _ := strings.Cut(rest, "</tr>")
		if !has {
			t.Fatalf("there is no row %s:\n%s", path, main(body))
		}
		return row
	}
	for _, tt := range []struct{ role, path, want string }{
		{"example-reader", "/orders", `Allow</span></span><span class="clip" title="#1 orders:read">`},
		{"example-reader", "/orders/{order}", "Add a rule for DELETE /orders/{order}"},
		{"example-writer", "/orders", "example-reader#1"},
		{"example-writer", "/orders/{order}", `Allow</span></span><span class="clip" title="#2 orders:write">`},
		{"some", "/orders", `<span class="badge bad">Deny</span>`},
		{"some", "/orders/{order}", "example-writer#2"},
	} {
		if row := cells(n.roleID(t, "default/"+tt.role), tt.path); !strings.Contains(row, tt.want) {
			t.Errorf("%s of %s: the cells are %s, want %q", tt.path, tt.role, row, tt.want)
		}
	}
	page := admin.want(t, http.StatusOK, "/console/roles/"+writer, nil)
	page.has(t, "4 endpoints", "2 rules not used since", "Nobody holds it")
	list := admin.want(t, http.StatusOK, "/console/roles?search=example-", nil)
	list.has(t, "example-writer", "4 endpoints", "2 endpoints", "2 roles")
	list.hasNot(t, "auditor")
	admin.want(t, http.StatusOK, "/console/roles?search=zzz", nil).has(t, "No role is like this")
}

// Roles are given with limits, changed and taken back on the page of the role;
// what a limit does not bound is said.
func TestDG5GrantsByThePageOfARole(t *testing.T) {
	n := start(t)
	admin := n.console(t)
	writer := n.roleID(t, "default/example-writer")
	n.want(t, http.StatusCreated, http.MethodPost, "/teams", map[string]any{"name": "field"})
	next := "/console/roles/" + writer
	give := func(holder, limits string) url.Values {
		return url.Values{"holder": {holder}, "role": {writer}, "limits": {limits}, "next": {next}}
	}
	admin.want(t, http.StatusUnprocessableEntity, "/console/grants", give("nobody", "")).has(t, "There is no account and no team", `id="e-holder"`)
	admin.want(t, http.StatusUnprocessableEntity, "/console/grants", give("", "")).has(t, `id="e-holder"`)
	admin.want(t, http.StatusUnprocessableEntity, "/console/grants", give("field", "nonsense")).has(t, `id="e-limits"`, "nonsense")
	warned := admin.want(t, http.StatusOK, "/console/grants", give("field", "order = 1, 2"))
	warned.has(t, "The role is given", "default/example-writer#1 (/orders)")
	if to := admin.want(t, http.StatusSeeOther, "/console/grants", give("example-client", "")).header.Get("Location"); to != next {
		t.Errorf("after giving: to %q, want %q", to, next)
	}
	page := admin.want(t, http.StatusOK, next, nil)
	page.has(t, "The role is given.", "field", "order = 1, 2", "example-client")
	// What it held before is kept.
	if got := n.want(t, http.StatusOK, http.MethodGet, "/grants?holder=example-client", nil); strings.Count(got.body, `"role":`) != 2 {
		t.Errorf("after giving one more: %s, want two roles", got.body)
	}
	team := n.want(t, http.StatusOK, http.MethodGet, "/teams/field", nil).json(t)["id"].(string)
	at := "/console/grants/" + team + "/" + writer
	form := admin.want(t, http.StatusOK, at+"?next="+next, nil)
	form.has(t, "order = 1, 2</textarea>")
	revision := form.hidden(t, "revision")
	admin.want(t, http.StatusSeeOther, at, url.Values{"limits": {""}, "revision": {revision}, "next": {next}})
	if got := n.want(t, http.StatusOK, http.MethodGet, "/grants?holder=field", nil); strings.Contains(got.body, "resources") {
		t.Errorf("after the limits went: %s", got.body)
	}
	// Whoever looked before that is too late.
	admin.want(t, http.StatusPreconditionFailed, at, url.Values{"limits": {"order = 3"}, "revision": {revision}}).has(t, "Somebody else was faster")
	admin.want(t, http.StatusPreconditionFailed, at+"/take", url.Values{"revision": {revision}})
	revision = admin.want(t, http.StatusOK, at+"/take", nil).hidden(t, "revision")
	admin.want(t, http.StatusSeeOther, at+"/take", url.Values{"revision": {revision}, "next": {next}})
	admin.want(t, http.StatusNotFound, at+"/take", nil).has(t, "not held here any more")
	admin.want(t, http.StatusOK, next, nil).hasNot(t, ">field<")
}

// To make somebody an owner asks for the password again.
func TestW13OwnerIsGivenByWhoJustSaidWhoTheyAre(t *testing.T) {
	n := start(t)
	admin := n.console(t)
	n.clock.advance(20 * 60 * 1e9)
	form := url.Values{"holder": {"example-client"}, "role": {n.roleID(t, "default/owner")}}
	admin.want(t, http.StatusOK, "/console/grants", form).has(t, "Confirm that it is you")
	if got := n.want(t, http.StatusOK, http.MethodGet, "/grants?holder=example-client", nil); strings.Contains(got.body, "owner") {
		t.Errorf("it was given all the same: %s", got.body)
	}
	form.Set("_password", adminPassword)
	admin.want(t, http.StatusSeeOther, "/console/grants", form)
	if got := n.want(t, http.StatusOK, http.MethodGet, "/grants?holder=example-client", nil); !strings.Contains(got.body, "default/owner") {
		t.Errorf("with the password: %s, want owner", got.body)
	}
}
