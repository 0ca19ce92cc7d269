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

// roleVersion changes a role and returns the id of the audit entry.
func (n *node) roleVersion(t testing.TB, id string) string {
	t.Helper()
	at := n.want(t, http.StatusOK, http.MethodGet, "/roles/"+id, nil)
	n.want(t, http.StatusOK, http.MethodPatch, "/roles/"+id, map[string]any{"description": "Reads all orders."}, "If-Match", at.header.Get("ETag"))
	var found struct{ Items []struct{ ID string } }
	if err := json.Unmarshal([]byte(n.want(t, http.StatusOK, http.MethodGet, "/audit?workspace=default&target="+id, nil).body), &found); err != nil || len(found.Items) == 0 {
		t.Fatalf("the audit of role %s: %v", id, err)
	}
	return found.Items[0].ID
}

// A role is made, cloned and edited by a form that works without script: a button
// adds a row, a tick removes one, and faults stand beside the rule that has them.
func TestSB4RoleForm(t *testing.T) {
	n := start(t)
	admin := n.console(t)
	rule := func(form url.Values, i, number, effect, api, methods, path string) {
		at := "rule-" + i + "-"
		form.Set(at+"number", number)
		form.Set(at+"effect", effect)
		form.Set(at+"api", api)
		form.Set(at+"methods", methods)
		form.Set(at+"path", path)
	}
	form := url.Values{"name": {"clerk"}, "description": {`<img src=x onerror=alert(1)>`}, "parents": {n.roleID(t, "default/example-reader")}, "add": {"on"}}
	rule(form, "0", "0", "allow", "example", "get, post", "orders")
	added := admin.want(t, http.StatusOK, "/console/roles/new", form)
	added.has(t, `name="rule-1-path"`, `value="get, post"`, "checked", "&lt;img")
	added.hasNot(t, "<img src=x", `name="rule-2-path"`)
	form.Del("add")
	rule(form, "1", "0", "deny", "nothing", "DELETE", "/orders/**")
	wrong := admin.want(t, http.StatusUnprocessableEntity, "/console/roles/new", form)
	wrong.has(t, `id="e-rule-0-path"`, `id="e-rule-1-api"`, `value="orders"`, "&lt;img")
	wrong.hasNot(t, `id="e-rule-0-api"`, `id="e-rule-1-path"`)
	rule(form, "0", "0", "allow", "example", "GET, POST", "/orders")
	rule(form, "1", "0", "deny", "example", "DELETE", "/orders/**")
	path := admin.want(t, http.StatusSeeOther, "/console/roles/new", form).header.Get("Location")
	admin.want(t, http.StatusOK, path, nil).has(t, "The role is created.", "GET POST", "Deny")
	admin.want(t, http.StatusConflict, "/console/roles/new", form).has(t, "taken", `value="GET, POST"`)

	edit := admin.want(t, http.StatusOK, path+"/edit?add=1&api=example&methods=PUT&path=/orders/{order}", nil)
	edit.has(t, `name="rule-2-path" type="text" class="mono" value="/orders/{order}"`, `value="DELETE"`)
	first, second := edit.hidden(t, "revision"), url.Values{}
	second.Set("revision", first)
	second.Set("description", "The second one.")
	rule(second, "0", "1", "allow", "example", "GET", "/orders")
	rule(second, "1", "2", "deny", "example", "DELETE", "/orders/**")
	second.Set("rule-1-remove", "on")
	form.Set("revision", first)
	form.Set("description", "The first one.")
	form.Set("rule-0-number", "1")
	form.Set("rule-1-number", "2")
	admin.want(t, http.StatusSeeOther, path+"/edit", form)
	late := admin.want(t, http.StatusPreconditionFailed, path+"/edit", second)
	late.has(t, "Somebody else saved this role", "The first one.", `value="The second one."`, "Allow example GET POST /orders", "Deny example DELETE /orders/**")
	second.Set("revision", late.hidden(t, "revision"))
	admin.want(t, http.StatusSeeOther, path+"/edit", second)
	admin.want(t, http.StatusOK, path, nil).hasNot(t, "/orders/**</code></td>")

	clone := admin.want(t, http.StatusOK, "/console/roles/new?from="+strings.TrimPrefix(path, "/console/roles/"), nil)
	clone.has(t, `value="clerk-copy"`, `name="rule-0-number" value="0"`, `value="GET"`)
	admin.want(t, http.StatusConflict, "/console/roles/"+n.roleID(t, "default/owner")+"/edit", nil).has(t, "built in")
}

// What a role was stands in the audit; each version can be compared with now and
// brought back.
func TestRoleVersionsAndRollBack(t *testing.T) {
	n := start(t)
	admin := n.console(t)
	reader, writer := n.roleID(t, "default/example-reader"), n.roleID(t, "default/example-writer")
	path := "/console/roles/" + reader
	admin.want(t, http.StatusOK, path+"/versions", nil).has(t, "No changes yet")
	entry := n.roleVersion(t, reader)
	list := admin.want(t, http.StatusOK, path+"/versions", nil)
	list.has(t, "As it is now", "Before the first change", "Reads all orders.", path+"/versions/"+entry+"-before")
	ask := admin.want(t, http.StatusOK, path+"/versions/"+entry+"-before", nil)
	ask.has(t, "Changed: description “Reads all orders.” to “Reads orders.”")
	stale := url.Values{"revision": {"1"}}
	admin.want(t, http.StatusPreconditionFailed, path+"/versions/"+entry+"-before", stale)
	admin.want(t, http.StatusSeeOther, path+"/versions/"+entry+"-before", url.Values{"revision": {ask.hidden(t, "revision")}})
	page := admin.want(t, http.StatusOK, path, nil)
	page.has(t, "The role is as it was then.", "<p>Reads orders.</p>")
	admin.want(t, http.StatusNotFound, path+"/versions/aud0", nil)
	admin.want(t, http.StatusOK, "/console/roles/diff?a="+reader+"&b="+writer, nil).has(t, "From default/example-reader to default/example-writer", "Allow example POST /orders scope orders:write", "Removed")
	admin.want(t, http.StatusOK, "/console/roles/diff?a="+reader+"&b="+reader, nil).has(t, "They say the same")
}

// A role that is held is deleted only with its grants, which are listed first.
func TestRoleIsDeletedWithWhoHoldsIt(t *testing.T) {
	n := start(t)
	admin := n.console(t)
	reader, writer := "/console/roles/"+n.roleID(t, "default/example-reader"), "/console/roles/"+n.roleID(t, "default/example-writer")
	ask := admin.want(t, http.StatusOK, reader+"/delete", nil)
	ask.has(t, "account example-client", `name="cascade"`)
	revision := ask.hidden(t, "revision")
	admin.want(t, http.StatusConflict, reader+"/delete", url.Values{"revision": {revision}, "cascade": {"on"}}).has(t, "default/example-writer inherits it")
	alone := admin.want(t, http.StatusOK, writer+"/delete", nil)
	alone.hasNot(t, `name="cascade"`)
	admin.want(t, http.StatusSeeOther, writer+"/delete", url.Values{"revision": {alone.hidden(t, "revision")}})
	admin.want(t, http.StatusConflict, reader+"/delete", url.Values{"revision": {revision}}).has(t, "1 grants name it")
	admin.want(t, http.StatusSeeOther, reader+"/delete", url.Values{"revision": {revision}, "cascade": {"on"}})
	admin.want(t, http.StatusOK, "/console/roles", nil).has(t, "The role is deleted.")
	admin.want(t, http.StatusNotFound, reader, nil)
	if got := n.want(t, http.StatusOK, http.MethodGet, "/grants?holder=example-client", nil); strings.Contains(got.body, "reader") {
		t.Errorf("the grant is there: %s", got.body)
	}
}
