package api_test

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestQU6UsedAgainstNotUsed(t *testing.T) {
	w := start(t)
	idle, busy := w.machine("default"), w.machine("default", "auditor")
	w.call(busy.secret, "GET", "/roles", nil)
	ids := func(query string) string {
		var out []string
		for _, item := range w.want(http.StatusOK, "GET", "/clients?search=machine"+query, nil).list("items") {
			item := item.(map[string]any)
			if item["used"] != (item["last_used_at"] != nil) {
				t.Errorf("%v: used is %v, last_used_at %v", item["id"], item["used"], item["last_used_at"])
			}
			out = append(out, item["id"].(string))
		}
		return strings.Join(out, " ")
	}
	if got := ids("&unused=true"); got != idle.id {
		t.Errorf("unused: got %q, want %q", got, idle.id)
	}
	if got := ids("&sort=last_use&desc=true"); got != busy.id+" "+idle.id {
		t.Errorf("by last use: got %q, want %q first", got, busy.id)
	}
}

func TestSB1FiltersOfTheList(t *testing.T) {
	w := start(t)
	made := map[string]string{}
	for name, expires := range map[string]string{"short": "7d", "long": "1y", "endless": "never"} {
		made[name] = w.want(http.StatusCreated, "POST", "/clients", object{"name": name, "workspace": "default", "expires_in": expires, "key": "filtered-" + name}).text("client_id")
	}
	w.want(http.StatusOK, "POST", "/clients/"+made["long"]+"/revoke", nil)
	soon := w.now().Add(30 * 24 * time.Hour).UTC().Format(time.RFC3339)
	for query, want := range map[string]string{
		"": "endless long short", "&status=revoked": "long", "&status=active": "endless short", "&status=expired": "", "&expires_by=" + soon: "short",
		"&kind=personal": "", "&kind=service&desc=true": "short long endless", "&responsible=admin": "endless long short",
	} {
		var names []string
		for _, item := range w.want(http.StatusOK, "GET", "/clients?search=filtered-"+query, nil).list("items") {
			names = append(names, item.(map[string]any)["name"].(string))
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%q: got %q, want %q", query, got, want)
		}
	}
	w.want(http.StatusUnprocessableEntity, "GET", "/clients?responsible=nobody", nil)
}

// Service clients go on without the person who answers for them, and are found.
func TestOrphanedClientsAreFound(t *testing.T) {
	w := start(t)
	ann, bob := w.person("ann", "default", "member"), w.person("bob", "default", "member")
	of := map[string]string{}
	for _, p := range []person{ann, bob} {
		m := w.machine("default", "auditor")
		w.want(http.StatusOK, "PATCH", "/clients/"+m.id, object{"responsible": p.id})
		of[p.name] = m.id
	}
	orphans := func(query string) string {
		var ids []string
		for _, item := range w.want(http.StatusOK, "GET", "/clients?orphaned=true"+query, nil).list("items") {
			ids = append(ids, item.(map[string]any)["id"].(string))
		}
		return strings.Join(ids, " ")
	}
	if got := orphans(""); got != "" {
		t.Errorf("while all are active: got %q", got)
	}
	w.want(http.StatusOK, "POST", "/accounts/ann/deactivate", nil)
	if got := orphans(""); got != of["ann"] {
		t.Errorf("with ann deactivated: got %q, want %q", got, of["ann"])
	}
	if got := w.want(http.StatusOK, "GET", "/clients?responsible=bob", nil); got.text("items.0.id") != of["bob"] || got.get("total") != 1.0 {
		t.Errorf("of bob: got %s", got.body)
	}
	// A deleted one, and a page that goes on while another is deactivated.
	w.want(http.StatusOK, "DELETE", "/accounts/ann", nil)
	w.want(http.StatusOK, "POST", "/accounts/bob/deactivate", nil)
	first := w.want(http.StatusOK, "GET", "/clients?orphaned=true&limit=1", nil)
	w.person("carol", "default", "member")
	w.want(http.StatusOK, "POST", "/accounts/carol/deactivate", nil)
	second := w.want(http.StatusOK, "GET", "/clients?orphaned=true&limit=1&cursor="+first.text("next"), nil)
	if first.get("total") != 2.0 || first.text("items.0.id") == second.text("items.0.id") || second.get("next") != nil {
		t.Errorf("pages: got %s, then %s", first.body, second.body)
	}
	w.want(http.StatusUnprocessableEntity, "GET", "/clients?orphaned=true&kind=personal", nil)
	w.want(http.StatusUnprocessableEntity, "GET", "/clients?orphaned=true&responsible=bob", nil)
}

func TestQU9OnlyWhatIsRevokedIsDeletedForGood(t *testing.T) {
	w := start(t)
	made := w.want(http.StatusCreated, "POST", "/clients", object{"name": "x", "key": "mine", "workspace": "default"})
	at := "/clients/" + made.text("client_id")
	if got := w.want(http.StatusConflict, "DELETE", at, nil); !strings.Contains(got.text("detail"), "revoke it first") {
		t.Errorf("the refusal does not say what to do: %s", got.body)
	}
	w.want(http.StatusOK, "POST", at+"/revoke", nil)
	if got := w.want(http.StatusOK, "DELETE", at, nil); got.text("message") != "User token successfully deleted." {
		t.Errorf("message: %s", got.body)
	}
	w.want(http.StatusNotFound, "POST", at+"/restore", nil)
	if got := w.want(http.StatusOK, "GET", "/clients?search="+made.text("client_id"), nil); got.get("total") != 0.0 {
		t.Errorf("it is still listed: %s", got.body)
	}
	if got := w.token(made.text("client_id"), made.text("client_secret")); got.status != http.StatusUnauthorized {
		t.Errorf("its secret: got %d, want 401", got.status)
	}
	// Its key is free again, its id is not.
	again := w.want(http.StatusCreated, "POST", "/clients", object{"name": "x", "key": "mine", "workspace": "default"})
	if again.text("client_id") == made.text("client_id") {
		t.Error("the id was used again")
	}
}

func TestQU10TheValueIsReadOnce(t *testing.T) {
	w := start(t)
	made := w.want(http.StatusCreated, "POST", "/clients", object{"name": "x", "workspace": "default"})
	rotated := w.want(http.StatusCreated, "POST", "/clients/"+made.text("client_id")+"/secrets", object{"keep": true})
	for _, got := range []answer{made, rotated} {
		if got.header.Get("Cache-Control") != "no-store" || strings.Count(got.body, got.text("client_secret")) != 1 {
			t.Errorf("the answer with the secret: Cache-Control %q, %s", got.header.Get("Cache-Control"), got.body)
		}
	}
	readers := map[string]string{"the installation's owner": w.root}
	for _, role := range []string{"owner", "admin", "auditor"} {
		readers[role] = w.machine("default", role).secret
	}
	for name, credential := range readers {
		for _, path := range []string{"/clients/" + made.text("client_id"), "/clients?search=x", "/audit?limit=500", "/usage"} {
			got := w.call(credential, "GET", path, nil)
			if got.status != http.StatusOK {
				t.Fatalf("%s reads %s: %d %s", name, path, got.status, got.body)
			}
			for _, text := range []string{made.text("client_secret"), rotated.text("client_secret")} {
				if strings.Contains(got.body, text) || strings.Contains(got.body, text[len(text)-49:]) {
					t.Errorf("%s sees it at %s", name, path)
				}
			}
		}
	}
}

func TestDP5WhatAnAdministratorEditsIsAudited(t *testing.T) {
	w := start(t)
	ann := w.person("ann", "default", "member")
	m := w.machine("default", "example-reader", "example-writer")
	for _, edit := range []object{
		{"name": "new"}, {"description": "new"}, {"narrowed_to": []string{"example-reader"}}, {"addresses": []string{"10.0.0.0/8"}}, {"responsible": ann.id},
	} {
		before := w.want(http.StatusOK, "GET", "/audit?operation=client.edit&limit=500", nil).list("items")
		w.later(time.Second)
		w.want(http.StatusOK, "PATCH", "/clients/"+m.id, edit)
		after := w.want(http.StatusOK, "GET", "/audit?operation=client.edit&limit=500", nil)
		if len(after.list("items")) != len(before)+1 || after.text("items.0.target") != m.id || after.text("items.0.actor") != "admin" {
			t.Errorf("%v: got %s", edit, after.body)
		}
	}
	got := w.want(http.StatusOK, "GET", "/clients/"+m.id, nil)
	if got.text("name") != "new" || got.text("responsible.name") != "ann" || got.text("narrowed_to.0") != "default/example-reader" {
		t.Errorf("after the edits: %s", got.body)
	}
	// Its rights are its account's: granted by an administrator, at once.
	w.want(http.StatusOK, "PUT", "/grants/default/"+m.account, object{"roles": []object{{"role": "example-writer"}}})
	member := w.machine("default", "member")
	if got := w.call(member.secret, "PATCH", "/clients/"+m.id, object{"name": "mine"}); got.status != http.StatusNotFound && got.status != http.StatusForbidden {
		t.Errorf("somebody else: got %d, want a refusal", got.status)
	}
}

func TestDP6AnyNumberOfTokens(t *testing.T) {
	w := start(t)
	first := w.machine("default", "auditor")
	const many = 120
	for range many {
		got := w.want(http.StatusCreated, "POST", "/clients", object{"name": "more", "workspace": "default", "account": first.account, "bearer": true})
		if used := w.call(got.text("client_secret"), "GET", "/roles?limit=1", nil); used.status != http.StatusOK {
			t.Fatalf("one of many: got %d %s", used.status, used.body)
		}
	}
	if got := w.want(http.StatusOK, "GET", "/clients?account="+first.account+"&limit=500", nil); got.get("total") != float64(many+1) {
		t.Errorf("total: got %v, want %d", got.get("total"), many+1)
	}
}

// Accounts and licences are not for every token of whoever may change them.
func TestDG7AccountsNeedAdminAccess(t *testing.T) {
	w := start(t)
	plain := w.machine("system", "owner") // a technical user: its licence is steward
	with := w.want(http.StatusCreated, "POST", "/clients", object{"name": "x", "workspace": "system", "roles": []string{"owner"}, "bearer": true, "admin_access": true})
	none := w.want(http.StatusCreated, "POST", "/clients", object{"name": "x", "workspace": "system", "bearer": true, "admin_access": true})
	calls := []struct {
		method, path string
		body         any
	}{{"GET", "/accounts", nil}, {"GET", "/accounts/admin", nil}, {"POST", "/accounts", object{"name": "ann"}}}
	for _, c := range calls {
		if got := w.call(plain.secret, c.method, c.path, c.body); got.status != http.StatusForbidden {
			t.Errorf("%s %s without it: got %d %s, want 403", c.method, c.path, got.status, got.body)
		}
		if got := w.call(none.text("client_secret"), c.method, c.path, c.body); got.status != http.StatusForbidden {
			t.Errorf("%s %s with it and no right: got %d %s, want 403", c.method, c.path, got.status, got.body)
		}
		if got := w.call(with.text("client_secret"), c.method, c.path, c.body); got.status/100 != 2 {
			t.Errorf("%s %s with it: got %d %s", c.method, c.path, got.status, got.body)
		}
	}
	// A token without it gives it to nobody, least of all to itself.
	for name, c := range map[string]struct {
		method, path string
		body         object
	}{
		"itself":              {"PATCH", "/clients/" + plain.id, object{"admin_access": true}},
		"another client":      {"PATCH", "/clients/" + w.machine("system").id, object{"admin_access": true}},
		"a new client of its": {"POST", "/clients", object{"name": "x", "workspace": "system", "account": plain.account, "admin_access": true}},
	} {
		if got := w.call(plain.secret, c.method, c.path, c.body); got.status != http.StatusForbidden {
			t.Errorf("it gives admin access to %s: got %d %s, want 403", name, got.status, got.body)
		}
	}
	if got := w.call(with.text("client_secret"), "PATCH", "/clients/"+plain.id, object{"admin_access": true}); got.status != http.StatusOK {
		t.Errorf("one with it gives it: got %d %s, want 200", got.status, got.body)
	}
	w.want(http.StatusOK, "PATCH", "/clients/"+with.text("client_id"), object{"admin_access": false})
	if got := w.call(with.text("client_secret"), "GET", "/accounts", nil); got.status != http.StatusForbidden {
		t.Errorf("once it is taken away: got %d, want 403", got.status)
	}
}

// Whoever stole a secret could undo what was put there against that.
func TestClientDoesNotLoosenWhatBindsItself(t *testing.T) {
	w := start(t)
	m := w.want(http.StatusCreated, "POST", "/clients", object{
		"name": "x", "workspace": "default", "roles": []string{"owner"}, "bearer": true, "addresses": []string{"192.0.2.0/24"}, "narrowed_to": []string{"owner"},
	})
	at, secret := "/clients/"+m.text("client_id"), m.text("client_secret")
	for name, edit := range map[string]object{
		"addresses": {"addresses": []string{}}, "more addresses": {"addresses": []string{"192.0.2.0/24", "0.0.0.0/0"}}, "narrowing": {"narrowed_to": nil},
	} {
		if got := w.call(secret, "PATCH", at, edit); got.status != http.StatusForbidden {
			t.Errorf("%s: got %d %s, want 403", name, got.status, got.body)
		}
	}
	if got := w.call(secret, "PATCH", at, object{"description": "mine"}); got.status != http.StatusOK {
		t.Errorf("its description: got %d %s, want 200", got.status, got.body)
	}
	w.want(http.StatusOK, "PATCH", at, object{"addresses": []string{}, "narrowed_to": nil})
}
