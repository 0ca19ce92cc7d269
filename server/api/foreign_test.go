package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"postern/server/admin"
)

// W01 and W07: each parameter of the query that names something, with what is in
// a workspace that the actor has no part in. The parameters come from the
// description of the API, so a new one is asked, too.
func TestW01ForeignIDsInTheQueryShowNothing(t *testing.T) {
	w := start(t)
	w.workspace("acme")
	intruder := w.machine("acme", "owner")
	victim := w.machine("default", "example-reader")
	w.want(http.StatusOK, "PATCH", "/clients/"+victim.id, object{"name": "victim-canary"})
	var doc struct {
		Paths map[string]map[string]described
	}
	text := w.serve(httptest.NewRequestWithContext(t.Context(), "GET", "/api/v1/openapi.json", http.NoBody)).body
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	foreign := []string{"default", string(w.Example.Client.Workspace), victim.id, victim.account, "example", "default/example-reader", string(w.Admin.Account.ID), "system"}
	asked := 0
	before := w.everything()
	for path, methods := range doc.Paths {
		for method, op := range methods {
			if method != "get" || strings.Contains(path, "{") {
				continue
			}
			for _, p := range op.Parameters {
				if p.In != "query" {
					continue
				}
				for _, id := range foreign {
					at := strings.TrimPrefix(path, "/api/v1") + "?" + p.Name + "=" + url.QueryEscape(id)
					got := w.call(intruder.secret, "GET", at, nil)
					asked++
					if got.status >= 500 {
						t.Errorf("GET %s: got %d", at, got.status)
					}
					for _, canary := range []string{"victim-canary", `"` + victim.id + `"`, `"workspace":"default"`, `"name":"example"`} {
						if got.status == http.StatusOK && strings.Contains(got.body, canary) {
							t.Errorf("GET %s: shows %s", at, canary)
						}
					}
				}
			}
		}
	}
	if asked < 100 {
		t.Errorf("only %d questions were asked", asked)
	}
	if w.everything() != before {
		t.Error("something changed")
	}
}

// W07: a header that names something of another opens nothing: neither the
// revision that somebody else's record is at, nor the key of somebody else's
// request.
func TestW07ForeignHeadersOpenNothing(t *testing.T) {
	w := start(t)
	w.workspace("acme")
	intruder := w.machine("acme", "owner")
	role := w.want(http.StatusOK, "GET", "/roles?workspace=default&search=default/example-reader", nil).text("items.0.id")
	before := w.everything()
	for at, body := range map[string]object{"/roles/" + role: {"description": "mine"}, "/apis/example": {"description": "mine"}, "/workspaces/default": {"description": "mine"}, "/clients/" + string(w.Example.Client.ID): {"name": "mine"}} {
		for _, match := range []string{w.revision(at), "*"} {
			if got := w.call(intruder.secret, "PATCH", at, body, "If-Match", match); got.status != http.StatusForbidden && got.status != http.StatusNotFound {
				t.Errorf("PATCH %s with If-Match %s: got %d %s, want 403 or 404", at, match, got.status, got.body)
			}
		}
	}
	if w.everything() != before {
		t.Error("something changed")
	}
	// Two actors choose the same key: neither gets what is the other's.
	theirs := w.want(http.StatusCreated, "POST", "/clients", object{"name": "theirs", "workspace": "default"}, "Idempotency-Key", "order-1")
	mine := w.call(intruder.secret, "POST", "/clients", object{"name": "mine", "workspace": "acme"}, "Idempotency-Key", "order-1")
	if mine.status != http.StatusCreated || mine.text("client_id") == theirs.text("client_id") || mine.text("client.name") != "mine" {
		t.Errorf("the key of another's request: got %d %s", mine.status, mine.body)
	}
	if got := w.call(intruder.secret, "POST", "/clients", object{"name": "theirs", "workspace": "default"}, "Idempotency-Key", "order-1"); got.status < 400 || strings.Contains(got.body, theirs.text("client_id")) {
		t.Errorf("another's request with its key: got %d %s", got.status, got.body)
	}
}

// P03: every route of the table, by an access token that has the scope of its
// rule, and by one that has the scope of another.
func TestP03EveryRouteWantsItsScope(t *testing.T) {
	w := start(t)
	var rules []object
	for i, op := range admin.Operations() {
		rules = append(rules, object{"api": "postern", "methods": op.Method, "path": op.Path, "scope": fmt.Sprint("op", i)})
	}
	rules = append(rules, object{"api": "postern", "methods": "GET", "path": "/api/v1/nothing", "scope": "nothing"})
	w.want(http.StatusCreated, "POST", "/roles", object{"workspace": "default", "name": "scoped", "rules": rules})
	m := w.machine("default", "scoped")
	w.want(http.StatusOK, "PUT", "/grants/default/"+m.account, object{"roles": []object{{"role": "scoped"}}}, "If-Match", `"1"`)
	token := func(scope string) string {
		got := w.tokenWith(m.id, m.secret, "scope", scope, "resource", "postern")
		if got.text("scope") != scope {
			t.Fatalf("a token of scope %s: got %d %s", scope, got.status, got.body)
		}
		return got.text("access_token")
	}
	other := token("nothing")
	target := w.machine("default")
	ids := strings.NewReplacer("{client}", target.id, "{account}", target.account, "{holder}", target.account, "{workspace}", "default", "{api}", "example", "{role}", "none")
	let := 0
	before := w.everything()
	for i, op := range admin.Operations() {
		if op.Public || op.Name == "endpoint.list" || op.Name == "me.get" { // these tell everybody what is theirs
			continue
		}
		path := parameter.ReplaceAllString(strings.TrimPrefix(ids.Replace(op.Path), "/api/v1"), "none")
		without := w.call(other, op.Method, path, nil)
		hidden := without.status == http.StatusOK && without.list("items") != nil && len(without.list("items")) == 0
		// What the body is like is looked at before who sent it.
		unread := without.status == http.StatusUnprocessableEntity || without.status == http.StatusBadRequest
		if without.status != http.StatusForbidden && without.status != http.StatusNotFound && !hidden && !unread {
			t.Errorf("%s without its scope: got %d %s", op.Name, without.status, without.body)
		}
		if op.Method != "GET" {
			continue // it would change something
		}
		if with := w.call(token(fmt.Sprint("op", i)), op.Method, path, nil); with.status != without.status || with.body != without.body {
			let++
		}
	}
	if let < 10 {
		t.Errorf("only %d operations answer otherwise with their scope", let)
	}
	if w.everything() != before {
		t.Error("something changed")
	}
}

// tokenWith asks the token endpoint with fields of the form, pairs of name and
// value.
func (w *world) tokenWith(id, secret string, fields ...string) answer {
	form := url.Values{"grant_type": {"client_credentials"}}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	r := httptest.NewRequestWithContext(w.t.Context(), "POST", "/oauth2/token", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.RemoteAddr = "192.0.2.9:4711"
	r.SetBasicAuth(id, secret)
	return w.serve(r)
}
