package api_test

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// everyone lets all who hold a role in a workspace have personal tokens.
func (w *world) everyone(workspace string) {
	w.t.Helper()
	path := "/workspaces/" + workspace
	w.want(http.StatusOK, "PATCH", path, object{"who_may_create": "everyone"}, "If-Match", w.revision(path))
}

// personal makes a personal token by name and password.
func (w *world) personal(p person, body object) machine {
	w.t.Helper()
	got := w.as(p.name, p.password, "POST", "/me/clients", body)
	if got.status != http.StatusCreated {
		w.t.Fatalf("a personal token of %s: got %d %s", p.name, got.status, got.body)
	}
	return machine{got.text("client_id"), got.text("client_secret"), p.id}
}

// QU1: each person sees and manages their own tokens, and nobody else's.
func TestQU1EachPersonHasTheirOwn(t *testing.T) {
	w := start(t)
	w.everyone("default")
	ann, bob := w.person("ann", "default", "member"), w.person("bob", "default", "member")
	mine := w.personal(ann, object{"name": "laptop", "expires_in": "30d"})
	other := w.personal(bob, object{"name": "other"})
	if got := w.as("ann", ann.password, "GET", "/me/clients", nil); len(got.list("items")) != 1 || got.text("items.0.id") != mine.id || got.text("items.0.kind") != "personal" {
		t.Errorf("by password ann sees %s", got.body)
	}
	if got := w.call(mine.secret, "GET", "/me/clients", nil); len(got.list("items")) != 1 || got.text("items.0.id") != mine.id {
		t.Errorf("by token ann sees %s", got.body)
	}
	if got := w.call(mine.secret, "GET", "/me", nil); got.text("account.name") != "ann" || got.text("workspaces.0") != "default" {
		t.Errorf("ann is %s", got.body)
	}
	before := w.everything()
	for _, call := range []struct{ method, path string }{
		{"GET", "/me/clients/" + other.id},
		{"POST", "/me/clients/" + other.id + "/secrets"},
		{"POST", "/me/clients/" + other.id + "/revoke"},
		{"POST", "/me/clients/" + other.id + "/restore"},
		{"DELETE", "/me/clients/" + other.id},
		{"GET", "/clients/" + other.id},
		{"POST", "/clients/" + other.id + "/revoke"},
		{"POST", "/clients/" + other.id + "/secrets"},
	} {
		if got := w.as("ann", ann.password, call.method, call.path, nil); got.status != http.StatusNotFound && got.status != http.StatusUnauthorized {
			t.Errorf("%s %s by password: got %d %s, want 404", call.method, call.path, got.status, got.body)
		}
		if got := w.call(mine.secret, call.method, call.path, nil); got.status != http.StatusNotFound && got.status != http.StatusForbidden {
			t.Errorf("%s %s by token: got %d %s, want 404 or 403", call.method, call.path, got.status, got.body)
		}
	}
	if w.everything() != before {
		t.Error("something changed")
	}
	// The whole life of one's own.
	for _, call := range []struct {
		method, path string
		want         int
	}{
		{"DELETE", "", http.StatusConflict},
		{"POST", "/revoke", http.StatusOK},
		{"POST", "/restore", http.StatusOK},
		{"POST", "/secrets", http.StatusCreated},
		{"POST", "/revoke", http.StatusOK},
		{"DELETE", "", http.StatusOK},
		{"GET", "", http.StatusNotFound},
	} {
		if got := w.as("ann", ann.password, call.method, "/me/clients/"+mine.id+call.path, nil); got.status != call.want {
			t.Errorf("%s %s: got %d %s, want %d", call.method, call.path, got.status, got.body, call.want)
		}
	}
}

// QU2: service tokens are made by administrators alone.
func TestQU2ServiceTokensAreForAdministrators(t *testing.T) {
	w := start(t)
	w.everyone("default")
	ann := w.person("ann", "default", "member")
	token := w.personal(ann, object{"name": "laptop"})
	got := w.call(token.secret, "POST", "/clients", object{"name": "x", "workspace": "default"})
	if got.status != http.StatusForbidden || !strings.Contains(got.text("detail"), "owner or admin of workspace default") {
		t.Errorf("a member makes a service token: got %d %s", got.status, got.body)
	}
	made := w.want(http.StatusCreated, "POST", "/clients", object{"name": "x", "workspace": "default"})
	if got := made.text("client.account.id"); !strings.HasPrefix(got, "svc") {
		t.Errorf("it acts as %q, want a service account", got)
	}
}

// DG1: a personal token has the rights and the licence of its account, at the
// time of the call. DG6: it stops with the account, what the account made goes on.
func TestDG1APersonalTokenIsItsOwner(t *testing.T) {
	w := start(t)
	w.everyone("default")
	ann := w.person("ann", "default", "admin", "example-reader")
	w.want(http.StatusOK, "PATCH", "/accounts/ann", object{"licence": "admin"})
	token := w.personal(ann, object{"name": "laptop"})
	list := func() int { return w.call(token.secret, "GET", "/clients", nil).status }
	if got := list(); got != http.StatusOK {
		t.Fatalf("an admin lists clients: got %d", got)
	}
	made := w.call(token.secret, "POST", "/clients", object{"name": "integration", "workspace": "default", "roles": []string{"example-reader"}, "bearer": true})
	if made.status != http.StatusCreated {
		t.Fatalf("an admin makes a client: got %d %s", made.status, made.body)
	}
	keys := func() int { return w.call(token.secret, "GET", "/accounts", nil).status }
	if got := keys(); got != http.StatusOK {
		t.Errorf("an admin with the licence admin reads accounts: got %d", got)
	}
	w.want(http.StatusOK, "PATCH", "/accounts/ann", object{"licence": "steward"})
	if got := keys(); got != http.StatusForbidden {
		t.Errorf("with the licence steward: got %d, want 403", got)
	}
	w.want(http.StatusOK, "PUT", "/grants/default/ann", object{"roles": []object{{"role": "example-reader"}}})
	if got := list(); got != http.StatusForbidden {
		t.Errorf("without the role: got %d, want 403", got)
	}

	w.want(http.StatusOK, "POST", "/accounts/ann/deactivate", nil)
	if got := list(); got != http.StatusUnauthorized {
		t.Errorf("of a deactivated person: got %d, want 401", got)
	}
	if got := w.as("ann", ann.password, "GET", "/me", nil); got.status != http.StatusUnauthorized {
		t.Errorf("a deactivated person signs in: got %d, want 401", got.status)
	}
	if got := w.call(made.text("client_secret"), "GET", "/clients", nil); got.status != http.StatusForbidden {
		t.Errorf("the integration that ann made: got %d, want 403, since it goes on and has no such right", got.status)
	}
	w.want(http.StatusOK, "POST", "/accounts/ann/reactivate", nil)
	if got := w.call(token.secret, "GET", "/me", nil); got.status != http.StatusOK {
		t.Errorf("after the reactivation: got %d %s", got.status, got.body)
	}
}

// DG6, and what comes after: somebody takes over.
func TestDG6AnIntegrationGoesOnAndIsTakenOver(t *testing.T) {
	w := start(t)
	w.everyone("default")
	ann, bob := w.person("ann", "default", "admin", "example-writer"), w.person("bob", "default", "admin")
	hers := w.personal(ann, object{"name": "laptop"})
	his := w.personal(bob, object{"name": "laptop"})
	made := w.call(hers.secret, "POST", "/clients", object{"name": "integration", "workspace": "default", "roles": []string{"example-writer"}})
	id := made.text("client_id")
	if made.text("client.responsible.name") != "ann" {
		t.Fatalf("the client's responsible is %s", made.body)
	}
	w.want(http.StatusOK, "POST", "/accounts/ann/deactivate", nil)
	if got := w.token(id, made.text("client_secret")); got.status != http.StatusOK {
		t.Errorf("a token for the integration: got %d %s", got.status, got.body)
	}
	if got := w.call(hers.secret, "GET", "/me", nil); got.status != http.StatusUnauthorized {
		t.Errorf("the personal token: got %d, want 401", got.status)
	}
	lesser := w.machine("default", "admin")
	if got := w.call(lesser.secret, "POST", "/clients/"+id+"/takeover", nil); got.status != http.StatusConflict {
		t.Errorf("a machine takes it over: got %d, want 409", got.status)
	}
	got := w.call(his.secret, "POST", "/clients/"+id+"/takeover", nil)
	if got.status != http.StatusOK || got.text("client.responsible.name") != "bob" {
		t.Errorf("bob takes it over: got %d %s", got.status, got.body)
	}
	if got := w.call(his.secret, "POST", "/clients/"+hers.id+"/takeover", nil); got.status != http.StatusNotFound && got.status != http.StatusConflict {
		t.Errorf("bob takes over a personal token: got %d, want 404 or 409", got.status)
	}
}

// DG2: a personal token is not made unless its owner makes it. DC1: where the
// settings say so it is made at the registration, and waits.
func TestDC1APersonalTokenWaitsForItsOwner(t *testing.T) {
	w := start(t)
	w.everyone("default")
	plain := w.person("ann", "default", "member")
	if got := w.as("ann", plain.password, "GET", "/me/clients", nil); len(got.list("items")) != 0 {
		t.Errorf("DG2: without the setting there is %s", got.body)
	}
	path := "/workspaces/default"
	w.want(http.StatusOK, "PATCH", path, object{"personal_auto": true}, "If-Match", w.revision(path))
	invited := w.want(http.StatusCreated, "POST", "/accounts", object{"name": "bob", "workspace": "default", "roles": []object{{"role": "member"}}})
	accepted := w.call("", "POST", "/invitations/accept", object{"token": invited.text("token"), "password": "correct horse battery b"})
	id := accepted.text("client")
	if id == "" {
		t.Fatalf("nothing was made: %s", accepted.body)
	}
	got := w.as("bob", "correct horse battery b", "GET", "/me/clients/"+id, nil)
	if got.text("status") != "pending" || len(got.list("secrets")) != 0 {
		t.Errorf("it is %s, want pending without a secret", got.body)
	}
	first := w.as("bob", "correct horse battery b", "POST", "/me/clients/"+id+"/secrets", nil)
	if first.status != http.StatusCreated || first.text("client.status") != "active" {
		t.Fatalf("its first secret: got %d %s", first.status, first.body)
	}
	if got := w.call(first.text("client_secret"), "GET", "/me", nil); got.text("account.name") != "bob" {
		t.Errorf("it opens %s", got.body)
	}
}

// DC2: an owner has all rights in the workspace, and passes it on.
func TestDC2AnOwnerHasEverythingAndPassesItOn(t *testing.T) {
	w := start(t)
	w.everyone("default")
	w.workspace("acme")
	w.everyone("acme")
	ann := w.person("ann", "acme", "owner")
	w.want(http.StatusOK, "PATCH", "/accounts/ann", object{"licence": "admin"})
	bob := w.person("bob", "acme", "member")
	token := w.personal(ann, object{"name": "laptop", "workspace": "acme"})
	for _, call := range []struct {
		method, path string
		body         any
		want         int
	}{
		{"POST", "/roles", object{"workspace": "acme", "name": "one"}, http.StatusCreated},
		{"POST", "/clients", object{"workspace": "acme", "name": "one", "roles": []string{"one"}}, http.StatusCreated},
		{"PUT", "/grants/acme/bob", object{"roles": []object{{"role": "admin"}}}, http.StatusOK},
		{"GET", "/audit?workspace=acme", nil, http.StatusOK},
		{"POST", "/roles", object{"workspace": "default", "name": "one"}, http.StatusForbidden},
	} {
		if got := w.call(token.secret, call.method, call.path, call.body); got.status != call.want {
			t.Errorf("%s %s: got %d %s, want %d", call.method, call.path, got.status, got.body, call.want)
		}
	}
	other := w.personal(bob, object{"name": "laptop"})
	if got := w.call(other.secret, "POST", "/workspaces/acme/transfer", object{"to": "bob"}); got.status != http.StatusForbidden {
		t.Errorf("an admin takes the workspace: got %d %s, want 403", got.status, got.body)
	}
	if got := w.call(token.secret, "POST", "/workspaces/acme/transfer", object{"to": "bob"}); got.status != http.StatusOK {
		t.Fatalf("the owner gives the workspace away: got %d %s", got.status, got.body)
	}
	if got := w.call(token.secret, "GET", "/workspaces/acme", nil); got.status != http.StatusNotFound {
		t.Errorf("who gave it away still sees it: got %d", got.status)
	}
	if got := w.want(http.StatusOK, "GET", "/grants?holder=bob", nil); !strings.Contains(got.body, "acme/owner") {
		t.Errorf("bob holds %s", got.body)
	}
}

// DC3: a person who is invited to another workspace has there what was given
// there, by the same token, with its limits.
func TestDC3APersonalTokenIsGoodWhereItsOwnerIs(t *testing.T) {
	w := start(t)
	w.everyone("default")
	w.workspace("acme")
	w.everyone("acme")
	ann := w.person("ann", "default", "example-reader")
	token := w.personal(ann, object{"name": "laptop"})
	check := func(workspace, path string) any {
		return w.want(http.StatusOK, "POST", "/check", object{"client": token.id, "workspace": workspace, "api": "example", "method": "GET", "path": path}).get("allowed")
	}
	w.want(http.StatusOK, "PATCH", "/apis/example", object{"shared_with": []object{{"workspace": "acme"}}}, "If-Match", w.revision("/apis/example"))
	w.want(http.StatusCreated, "POST", "/roles", object{"workspace": "acme", "name": "orders", "rules": []object{{"api": "example", "methods": "GET", "path": "/orders/{order}"}}})
	if check("default", "/orders/1") != true || check("acme", "/orders/1") != false {
		t.Error("before the invitation: want default alone")
	}
	w.want(http.StatusOK, "PUT", "/grants/acme/ann", object{"roles": []object{{"role": "orders", "resources": object{"order": []string{"1"}}}}})
	if check("acme", "/orders/1") != true || check("acme", "/orders/2") != false {
		t.Error("in acme: want order 1 and no other")
	}
}

// DP1: by user name and password, or by another token of the same person.
func TestDP1ATokenIsMadeByPasswordOrByATokenOfTheSamePerson(t *testing.T) {
	w := start(t)
	w.everyone("default")
	ann := w.person("ann", "default", "member")
	if got := w.as("ann", "a wrong password!", "POST", "/me/clients", object{"name": "x"}); got.status != http.StatusUnauthorized || !strings.HasPrefix(got.header.Get("WWW-Authenticate"), "Basic ") {
		t.Errorf("a wrong password: got %d %q", got.status, got.header.Get("WWW-Authenticate"))
	}
	first := w.personal(ann, object{"name": "first", "expires_in": "30d"})
	second := w.call(first.secret, "POST", "/me/clients", object{"name": "second"})
	if second.status != http.StatusCreated || second.text("client.parent") != first.id || second.text("client.account.name") != "ann" {
		t.Errorf("by token: got %d %s", second.status, second.body)
	}
	machine := w.machine("default", "owner")
	if got := w.call(machine.secret, "POST", "/me/clients", object{"name": "x"}); got.status != http.StatusForbidden {
		t.Errorf("by a service token: got %d %s, want 403", got.status, got.body)
	}
	if got := w.call("", "POST", "/me/clients", object{"name": "x"}); got.status != http.StatusUnauthorized {
		t.Errorf("by nothing: got %d, want 401", got.status)
	}
	// The administrator's password is the server's choice: it is changed first.
	if got := w.as("admin", w.AdminPassword, "POST", "/me/clients", object{"name": "x"}); got.status != http.StatusForbidden {
		t.Errorf("by a password that must be changed: got %d %s, want 403", got.status, got.body)
	}
	if got := w.as("admin", w.AdminPassword, "POST", "/me/password", object{"current": w.AdminPassword, "new": "correct horse battery r"}); got.status != http.StatusOK {
		t.Fatalf("change it: got %d %s", got.status, got.body)
	}
	if got := w.as("admin", "correct horse battery r", "POST", "/me/clients", object{"name": "x"}); got.status != http.StatusCreated {
		t.Errorf("by the new password: got %d %s", got.status, got.body)
	}
}

// DP2: an administrator may revoke, restore and delete a personal client, and
// makes no secret of it.
func TestDP2NobodyMakesATokenForAnother(t *testing.T) {
	w := start(t)
	w.everyone("default")
	token := w.personal(w.person("ann", "default", "member"), object{"name": "laptop", "workspace": "default"})
	for _, call := range []struct {
		method, path string
		want         int
	}{
		{"POST", "/secrets", http.StatusForbidden},
		{"POST", "/revoke", http.StatusOK},
		{"POST", "/secrets", http.StatusConflict},
		{"POST", "/restore", http.StatusOK},
		{"POST", "/revoke", http.StatusOK},
		{"DELETE", "", http.StatusOK},
	} {
		if got := w.call(w.root, call.method, "/clients/"+token.id+call.path, nil); got.status != call.want {
			t.Errorf("%s %s by an administrator: got %d %s, want %d", call.method, call.path, got.status, got.body, call.want)
		}
	}
	if got := w.call(w.root, "POST", "/clients", object{"kind": "personal", "name": "x", "workspace": "default", "account": "ann"}); got.status != http.StatusUnprocessableEntity && got.status != http.StatusForbidden {
		t.Errorf("make one for ann: got %d %s", got.status, got.body)
	}
}

// DP4: a new password leaves tokens alone.
func TestDP4ANewPasswordLeavesTokensAlone(t *testing.T) {
	w := start(t)
	w.everyone("default")
	ann := w.person("ann", "default", "member")
	token := w.personal(ann, object{"name": "laptop"})
	for name, body := range map[string]object{
		"a wrong current one": {"current": "a wrong password!", "new": "correct horse battery 2"},
		"a short one":         {"current": ann.password, "new": "short"},
		"the same":            {"current": ann.password, "new": ann.password},
	} {
		if got := w.as("ann", ann.password, "POST", "/me/password", body); got.status == http.StatusOK {
			t.Errorf("%s: got 200", name)
		}
	}
	if got := w.call(token.secret, "POST", "/me/password", object{"current": ann.password, "new": "correct horse battery 2"}); got.status != http.StatusForbidden {
		t.Errorf("by a token: got %d, want 403", got.status)
	}
	if got := w.as("ann", ann.password, "POST", "/me/password", object{"current": ann.password, "new": "correct horse battery 2"}); got.status != http.StatusOK {
		t.Fatalf("change it: got %d %s", got.status, got.body)
	}
	if got := w.as("ann", ann.password, "GET", "/me", nil); got.status != http.StatusUnauthorized {
		t.Errorf("the old password: got %d, want 401", got.status)
	}
	if got := w.call(token.secret, "GET", "/me", nil); got.status != http.StatusOK {
		t.Errorf("the token: got %d, want 200", got.status)
	}
	if got := w.want(http.StatusOK, "GET", "/audit?operation=me.password", nil); len(got.list("items")) != 2 || strings.Contains(got.body, "correct horse") {
		t.Errorf("audit: %s", got.body)
	}
}

// DP8: who may make personal tokens, and use them: administrators, single
// people, everyone. Who is taken off loses both.
func TestDP8WhoIsTakenOffLosesBoth(t *testing.T) {
	w := start(t)
	ann := w.person("ann", "default", "member")
	make := func() answer {
		return w.as("ann", ann.password, "POST", "/me/clients", object{"name": "x", "workspace": "default"})
	}
	set := func(body object) {
		t.Helper()
		w.want(http.StatusOK, "PATCH", "/workspaces/default", body, "If-Match", w.revision("/workspaces/default"))
	}
	if got := make(); got.status != http.StatusForbidden || !strings.Contains(got.text("detail"), "ask an owner or admin") {
		t.Errorf("by default: got %d %s, want 403 with what to do", got.status, got.body)
	}
	set(object{"who_may_create": "named", "personal_people": []string{"ann"}})
	made := make()
	if made.status != http.StatusCreated {
		t.Fatalf("named: got %d %s", made.status, made.body)
	}
	use := func() int { return w.call(made.text("client_secret"), "GET", "/apis", nil).status }
	list := func() int {
		return len(w.call(made.text("client_secret"), "GET", "/apis", nil).list("items"))
	}
	if use() != http.StatusOK || list() == 0 {
		t.Errorf("it opens nothing")
	}
	set(object{"personal_people": []string{}})
	if got := make(); got.status != http.StatusForbidden {
		t.Errorf("taken off: makes one, got %d", got.status)
	}
	if list() != 0 {
		t.Errorf("taken off: uses one")
	}
	set(object{"who_may_create": "everyone"})
	if got := make(); got.status != http.StatusCreated || list() == 0 {
		t.Errorf("everyone: got %d %s", got.status, got.body)
	}
	// Everyone is who holds something there.
	w.person("bob", "")
	if got := w.as("bob", "correct horse battery b", "POST", "/me/clients", object{"name": "x", "workspace": "default"}); got.status != http.StatusUnprocessableEntity {
		t.Errorf("a stranger: got %d %s, want 422", got.status, got.body)
	}
	set(object{"api_access": false})
	if got := make(); got.status != http.StatusForbidden {
		t.Errorf("API access off: makes one, got %d", got.status)
	}
	if use() != http.StatusUnauthorized {
		t.Errorf("API access off: uses one, got %d", use())
	}
}

// DP9: a workspace caps the lifetime, and says which ones there are.
func TestDP9AWorkspaceBoundsTheLifeOfPersonalTokens(t *testing.T) {
	w := start(t)
	w.everyone("default")
	ann := w.person("ann", "default", "member")
	w.want(http.StatusOK, "PATCH", "/workspaces/default", object{"max_lifetime": 60 * 24 * 3600}, "If-Match", w.revision("/workspaces/default"))
	for body, want := range map[*object]int{
		{"name": "x", "expires_in_days": 61}: http.StatusUnprocessableEntity,
		{"name": "x", "expires_in_days": -1}: http.StatusUnprocessableEntity,
		{"name": "x", "expires_in_days": 0}:  http.StatusUnprocessableEntity,
		{"name": "x", "expires_in_days": 60}: http.StatusCreated,
	} {
		if got := w.as("ann", ann.password, "POST", "/me/clients", *body); got.status != want {
			t.Errorf("%v: got %d %s, want %d", *body, got.status, got.body, want)
		}
	}
}

// DP11: a token renews itself: same account, no wider, no longer.
func TestDP11RenewIsNeverMore(t *testing.T) {
	w := start(t)
	w.everyone("default")
	w.workspace("acme")
	ann := w.person("ann", "default", "member", "example-reader", "example-writer")
	old := w.personal(ann, object{"name": "old", "workspace": "default", "expires_in": "30d", "addresses": []string{"192.0.2.0/24"}})
	for name, body := range map[string]object{
		"a longer life":         {"expires_in": "31d"},
		"no end":                {"expires_in": "never"},
		"another workspace":     {"workspace": "acme"},
		"admin access":          {"admin_access": true},
		"another address list":  {"addresses": []string{"0.0.0.0/0"}},
		"a role that it lacks":  {"narrowed_to": []string{"nothing"}},
		"an unknown workspace":  {"workspace": "nowhere"},
		"a name that is a book": {"name": strings.Repeat("x", 201)},
	} {
		if got := w.call(old.secret, "POST", "/me/clients", body); got.status != http.StatusForbidden && got.status != http.StatusUnprocessableEntity {
			t.Errorf("%s: got %d %s, want 403 or 422", name, got.status, got.body)
		}
	}
	w.later(29 * 24 * time.Hour)
	renewed := w.call(old.secret, "POST", "/me/clients", object{})
	if renewed.status != http.StatusCreated || renewed.text("client.parent") != old.id || renewed.text("client.name") != "old" ||
		renewed.text("client.workspace") != "default" || renewed.text("client.addresses.0") != "192.0.2.0/24" {
		t.Fatalf("renew: got %d %s", renewed.status, renewed.body)
	}
	w.later(2 * 24 * time.Hour)
	if got := w.call(old.secret, "GET", "/me", nil); got.status != http.StatusUnauthorized {
		t.Errorf("QU4: the old one after its end: got %d, want 401", got.status)
	}
	if got := w.call(renewed.text("client_secret"), "GET", "/me", nil); got.status != http.StatusOK {
		t.Errorf("the new one: got %d %s", got.status, got.body)
	}
	narrow := w.personal(ann, object{"name": "narrow", "workspace": "default", "narrowed_to": []string{"member"}})
	if got := w.call(narrow.secret, "POST", "/me/clients", object{}); got.status != http.StatusForbidden {
		t.Errorf("a narrowed token renews itself: got %d, want 403", got.status)
	}
	minted := w.token(renewed.text("client_id"), renewed.text("client_secret"))
	if minted.status == http.StatusOK {
		if got := w.call(minted.text("access_token"), "POST", "/me/clients", object{}); got.status != http.StatusUnauthorized && got.status != http.StatusForbidden {
			t.Errorf("an access token renews: got %d, want 401 or 403", got.status)
		}
	}
}

// P05: a token makes no secret of a stronger one of the same person.
func TestP05APersonalTokenMakesNoStrongerOne(t *testing.T) {
	w := start(t)
	w.everyone("default")
	ann := w.person("ann", "default", "member")
	short := w.personal(ann, object{"name": "short", "expires_in": "1d"})
	long := w.personal(ann, object{"name": "long", "expires_in": "1y"})
	bound := w.personal(ann, object{"name": "bound", "workspace": "default", "expires_in": "1y"})
	for name, try := range map[string]struct{ with, of machine }{"longer": {short, long}, "further": {bound, long}} {
		if got := w.call(try.with.secret, "POST", "/me/clients/"+try.of.id+"/secrets", object{"keep": true}); got.status != http.StatusForbidden {
			t.Errorf("%s: got %d %s, want 403", name, got.status, got.body)
		}
	}
	minted := w.token(string(w.Admin.Client.ID), w.root).text("access_token")
	for _, path := range []string{"/me/clients/", "/clients/"} {
		if got := w.call(minted, "POST", path+string(w.Admin.Client.ID)+"/secrets", object{"keep": true}); minted == "" || got.status != http.StatusForbidden {
			t.Errorf("by an access token at %s: got %d %s, want 403", path, got.status, got.body)
		}
	}
	if got := w.call(long.secret, "POST", "/me/clients/"+short.id+"/secrets", object{"keep": true}); got.status != http.StatusCreated {
		t.Errorf("a weaker one: got %d %s, want 201", got.status, got.body)
	}
}

// W12: ten wrong passwords, and the right one waits too; an unknown person is
// answered the same.
func TestW12TooManyWrongPasswords(t *testing.T) {
	w := start(t)
	w.everyone("default")
	ann := w.person("ann", "default", "member")
	strip := func(a answer) string {
		body := a.body
		if i := strings.Index(body, `,"request_id"`); i >= 0 {
			body = body[:i]
		}
		return body
	}
	known, unknown := w.as("ann", "wrong password", "GET", "/me", nil), w.as("nobody", "wrong password", "GET", "/me", nil)
	technical := w.as("example-client", "wrong password", "GET", "/me", nil)
	if strip(known) != strip(unknown) || known.status != unknown.status || strip(technical) != strip(known) {
		t.Errorf("a known person %d %s, an unknown one %d %s", known.status, known.body, unknown.status, unknown.body)
	}
	for range 9 {
		w.as("ann", "wrong password", "GET", "/me", nil)
	}
	got := w.as("ann", ann.password, "GET", "/me", nil)
	if got.status != http.StatusTooManyRequests || got.header.Get("Retry-After") == "" {
		t.Errorf("after ten: got %d %q, want 429 with Retry-After", got.status, got.header.Get("Retry-After"))
	}
	if err := w.merger.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.want(http.StatusOK, "GET", "/audit?operation=account.locked", nil); got.text("items.0.target_name") != "ann" {
		t.Errorf("audit: %s", got.body)
	}
	w.later(15 * time.Minute)
	if got := w.as("ann", ann.password, "GET", "/me", nil); got.status != http.StatusOK {
		t.Errorf("after a while: got %d, want 200", got.status)
	}
}

// R04: with a workspace goes every token for it.
func TestR04ADeletedWorkspaceEndsItsTokens(t *testing.T) {
	w := start(t)
	w.workspace("acme")
	w.everyone("acme")
	ann := w.person("ann", "acme", "owner")
	token := w.personal(ann, object{"name": "laptop", "workspace": "acme"})
	path := "/workspaces/acme"
	if got := w.call(w.root, "DELETE", path, nil, "If-Match", w.revision(path)); got.status != http.StatusConflict {
		t.Errorf("with a client in it: got %d %s, want 409", got.status, got.body)
	}
	w.want(http.StatusOK, "POST", "/clients/"+token.id+"/revoke", nil)
	w.want(http.StatusOK, "DELETE", "/clients/"+token.id, nil)
	all := w.personal(ann, object{"name": "everywhere"})
	w.want(http.StatusPreconditionRequired, "DELETE", path, nil)
	w.want(http.StatusOK, "DELETE", path, nil, "If-Match", w.revision(path))
	w.want(http.StatusNotFound, "GET", path, nil)
	if got := w.call(all.secret, "GET", "/apis", nil); len(got.list("items")) != 0 {
		t.Errorf("what a token opened there: %s", got.body)
	}
	w.want(http.StatusConflict, "DELETE", "/workspaces/system", nil, "If-Match", w.revision("/workspaces/system"))
	w.want(http.StatusCreated, "POST", "/workspaces", object{"name": "acme"})
}
