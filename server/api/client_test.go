package api_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/server/admin"
)

func TestSB1ListShowsRoleStatusCreatedAndLastUse(t *testing.T) {
	w := start(t)
	if got := w.token(string(w.Example.Client.ID), w.Example.Secret.Reveal()); got.status != http.StatusOK {
		t.Fatalf("token: %d %s", got.status, got.body)
	}
	got := w.want(http.StatusOK, "GET", "/clients?workspace=default&search=example+client", nil)
	if len(got.list("items")) != 1 || got.get("total") != 1.0 || got.get("next") != nil {
		t.Fatalf("list: got %s, want the example's client alone", got.body)
	}
	for path, want := range map[string]any{
		"items.0.id": string(w.Example.Client.ID), "items.0.status": "active", "items.0.roles.0": "default/example-reader",
		"items.0.workspace": "default", "items.0.created_by.name": "admin", "items.0.used": true,
		"items.0.last_used_from": "192.0.2.9", "items.0.last_used_endpoint": "POST /oauth2/token", "items.0.expires_at": nil,
	} {
		if got := got.get(path); got != want {
			t.Errorf("%s: got %v, want %v", path, got, want)
		}
	}
	if w := got.list("items.0.warnings"); len(w) != 1 {
		t.Errorf("warnings: got %v, want that it was made at the first start", w)
	}
}

func TestSB2CreateMakesIDAndSecretAndGivesTheRole(t *testing.T) {
	w := start(t)
	got := w.want(http.StatusCreated, "POST", "/clients", object{
		"name": "Nightly", "description": "reads orders", "workspace": "default", "roles": []string{"example-reader"},
	})
	id, secret := got.text("client_id"), got.text("client_secret")
	if !strings.HasPrefix(id, "cli") || !strings.HasPrefix(secret, "pst_"+id+"_") || got.text("client.roles.0") != "default/example-reader" {
		t.Fatalf("create: got %s", got.body)
	}
	if got.header.Get("Cache-Control") != "no-store" || got.header.Get("ETag") != `"1"` {
		t.Errorf("create: Cache-Control %q, ETag %q; want no-store and \"1\"", got.header.Get("Cache-Control"), got.header.Get("ETag"))
	}
	// The API of its role is the default one.
	if got := w.token(id, secret); got.status != http.StatusOK || got.text("scope") != "orders:read" {
		t.Errorf("token of the new client: %d %s", got.status, got.body)
	}
}

func TestSB3WithConfirmItWorksOnlyOnceConfirmed(t *testing.T) {
	w := start(t)
	got := w.want(http.StatusCreated, "POST", "/clients", object{"name": "x", "workspace": "default", "roles": []string{"example-reader"}, "confirm": true})
	id, secret := got.text("client_id"), got.text("client_secret")
	if got.text("client.status") != "pending" || w.token(id, secret).status != http.StatusUnauthorized {
		t.Errorf("a client that is not confirmed works: %s", got.body)
	}
	w.want(http.StatusOK, "POST", "/clients/"+id+"/confirm", nil)
	if got := w.token(id, secret); got.status != http.StatusOK {
		t.Errorf("token after the confirmation: %d %s", got.status, got.body)
	}
	w.want(http.StatusConflict, "POST", "/clients/"+id+"/confirm", nil)
}

func TestSB5RevokeStopsSecretAndTokensAtOnce(t *testing.T) {
	w := start(t)
	m := w.machine("default", "owner")
	w.want(http.StatusOK, "PATCH", "/clients/"+m.id, object{"default_api": "postern"})
	minted := w.token(m.id, m.secret).text("access_token")
	for name, credential := range map[string]string{"secret": m.secret, "token": minted} {
		if got := w.call(credential, "GET", "/clients", nil); got.status != http.StatusOK {
			t.Fatalf("%s before the revoke: %d %s", name, got.status, got.body)
		}
	}
	w.want(http.StatusOK, "POST", "/clients/"+m.id+"/revoke", nil)
	for name, credential := range map[string]string{"secret": m.secret, "token": minted} {
		if got := w.call(credential, "GET", "/clients", nil); got.status != http.StatusUnauthorized {
			t.Errorf("%s after the revoke: got %d, want 401", name, got.status)
		}
	}
	if got := w.token(m.id, m.secret); got.status != http.StatusUnauthorized {
		t.Errorf("token after the revoke: got %d, want 401", got.status)
	}
}

func TestSB6LastUseHasExactTimes(t *testing.T) {
	w := start(t)
	m := w.machine("default", "auditor")
	before := w.want(http.StatusOK, "GET", "/clients/"+m.id, nil)
	if before.get("used") != false || before.get("last_used_at") != nil || before.text("created_by.name") != "admin" {
		t.Errorf("a new client: got %s", before.body)
	}
	if _, err := time.Parse("2006-01-02T15:04:05.000Z", before.text("created_at")); err != nil {
		t.Errorf("created_at: %v", err)
	}
	if unused := w.want(http.StatusOK, "GET", "/clients?unused=true&search="+m.id, nil); unused.get("total") != 1.0 {
		t.Errorf("unused: got %s", unused.body)
	}
	w.call(m.secret, "GET", "/roles", nil)
	w.call(m.secret, "POST", "/workspaces", object{"name": "mine"})
	after := w.want(http.StatusOK, "GET", "/clients/"+m.id, nil)
	if after.get("used") != true || after.text("last_used_endpoint") != "GET /api/v1/roles" || after.text("last_used_from") != "192.0.2.7" ||
		after.text("secrets.0.last_used_at") != after.text("last_used_at") || after.get("last_refused_at") == nil {
		t.Errorf("a used client: got %s", after.body)
	}
	if unused := w.want(http.StatusOK, "GET", "/clients?unused=true&search="+m.id, nil); unused.get("total") != 0.0 {
		t.Errorf("unused, once it was used: got %s", unused.body)
	}
}

func TestQU7RevokeThenRestoreThenDelete(t *testing.T) {
	w := start(t)
	m := w.machine("default", "auditor")
	at := "/clients/" + m.id
	w.want(http.StatusConflict, "DELETE", at, nil) // only what is revoked

	got := w.want(http.StatusOK, "POST", at+"/revoke", object{"reason": "on holiday"})
	if got.text("message") != "The token has been successfully revoked." || got.text("client.status") != "revoked" {
		t.Errorf("revoke: got %s", got.body)
	}
	w.want(http.StatusConflict, "POST", at+"/revoke", nil)

	got = w.want(http.StatusOK, "POST", at+"/restore", nil)
	if got.text("message") != "The token has been successfully restored." || got.text("client.status") != "active" {
		t.Errorf("restore: got %s", got.body)
	}
	if got := w.call(m.secret, "GET", "/roles", nil); got.status != http.StatusOK {
		t.Errorf("the same secret after the restore: got %d, want 200", got.status)
	}
	w.want(http.StatusConflict, "POST", at+"/restore", nil)

	w.want(http.StatusOK, "POST", at+"/revoke", nil)
	if got := w.want(http.StatusOK, "DELETE", at, nil); got.text("message") != "User token successfully deleted." {
		t.Errorf("delete: got %s", got.body)
	}
	for _, call := range []string{"GET ", "DELETE ", "POST /restore", "POST /revoke", "POST /secrets"} {
		method, below, _ := strings.Cut(call, " ")
		w.want(http.StatusNotFound, method, at+below, nil)
	}
}

func TestQU8LeakedOrExpiredIsNeverRestored(t *testing.T) {
	w := start(t)
	leaked := w.machine("default")
	w.want(http.StatusOK, "POST", "/clients/"+leaked.id+"/revoke", object{"reason": "leaked"})
	w.want(http.StatusConflict, "POST", "/clients/"+leaked.id+"/restore", nil)

	short := w.want(http.StatusCreated, "POST", "/clients", object{"name": "short", "workspace": "default", "expires_in": "1h"}).text("client_id")
	w.want(http.StatusOK, "POST", "/clients/"+short+"/revoke", nil)
	w.later(time.Hour)
	w.want(http.StatusConflict, "POST", "/clients/"+short+"/restore", nil)
}

func TestQU8TokensOfBeforeTheRevokeStayDead(t *testing.T) {
	w := start(t)
	m := w.machine("default", "auditor")
	w.want(http.StatusOK, "PATCH", "/clients/"+m.id, object{"default_api": "postern"})
	minted := w.token(m.id, m.secret).text("access_token")
	w.want(http.StatusOK, "POST", "/clients/"+m.id+"/revoke", nil)
	w.want(http.StatusOK, "POST", "/clients/"+m.id+"/restore", nil)
	if got := w.call(minted, "GET", "/roles", nil); got.status != http.StatusUnauthorized {
		t.Errorf("a token of before the revoke: got %d, want 401", got.status)
	}
}

func TestQU3ExpiryAndItsWarning(t *testing.T) {
	w := start(t)
	tests := []struct {
		name   string
		body   object
		status int
		life   time.Duration // 0 is never
	}{
		{"default", object{}, 201, 90 * 24 * time.Hour},
		{"30 days", object{"expires_in": "30d"}, 201, 30 * 24 * time.Hour},
		{"a year is 365 days", object{"expires_in": "1y"}, 201, 365 * 24 * time.Hour},
		{"days as a number", object{"expires_in_days": 60}, 201, 60 * 24 * time.Hour},
		{"never", object{"expires_in": "never"}, 201, 0},
		{"-1 days is never", object{"expires_in_days": -1}, 201, 0},
		{"0 days is not never", object{"expires_in_days": 0}, 422, 0},
		{"-2 days is not never", object{"expires_in_days": -2}, 422, 0},
		{"0s is not the default", object{"expires_in": "0s"}, 422, 0},
		{"negative", object{"expires_in": "-1h"}, 422, 0},
		{"-1 days in words", object{"expires_in": "-1d"}, 422, 0},
		{"too far", object{"expires_in": "9999999999999y"}, 422, 0},
		{"both", object{"expires_in": "1d", "expires_in_days": 1}, 422, 0},
		{"no duration", object{"expires_in": "soon"}, 422, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.body["name"], tt.body["workspace"] = tt.name, "default"
			got := w.call(w.root, "POST", "/clients", tt.body)
			if got.status != tt.status {
				t.Fatalf("got %d %s, want %d", got.status, got.body, tt.status)
			}
			if tt.status != http.StatusCreated {
				return
			}
			never := tt.life == 0
			if warned := len(got.list("warnings")) > 0; warned != never {
				t.Errorf("warned: got %v, want %v", warned, never)
			}
			created, _ := time.Parse(time.RFC3339, got.text("client.created_at"))
			ends, _ := time.Parse(time.RFC3339, got.text("client.expires_at"))
			if never != (got.get("client.expires_at") == nil) || !never && ends.Sub(created) != tt.life {
				t.Errorf("expires_at: got %v after %v, want %v later", got.get("client.expires_at"), created, tt.life)
			}
		})
	}
}

func TestDP9WorkspaceCapsTheLifetime(t *testing.T) {
	w := start(t)
	w.workspace("strict")
	w.want(http.StatusOK, "PATCH", "/workspaces/strict", object{"max_lifetime": 7 * 24 * 3600}, "If-Match", w.revision("/workspaces/strict"))
	for expires, want := range map[string]int{"7d": 201, "8d": 422, "never": 422, "": 201} {
		if got := w.call(w.root, "POST", "/clients", object{"name": "x", "workspace": "strict", "expires_in": expires}); got.status != want {
			t.Errorf("expires_in %q: got %d %s, want %d", expires, got.status, got.body, want)
		}
	}
}

func TestQU4ExpiredMeansUnauthorizedToTheMillisecond(t *testing.T) {
	w := start(t, func(o *admin.Options) { o.DefaultExpiry = time.Hour })
	m := w.machine("default", "auditor")
	w.later(time.Hour - time.Minute)
	if got := w.call(m.secret, "GET", "/roles", nil); got.status != http.StatusOK {
		t.Errorf("before its end: got %d, want 200", got.status)
	}
	w.later(time.Minute)
	if got := w.call(m.secret, "GET", "/roles", nil); got.status != http.StatusUnauthorized {
		t.Errorf("at its end: got %d, want 401", got.status)
	}
	if got := w.want(http.StatusOK, "GET", "/clients/"+m.id, nil); got.text("status") != "expired" {
		t.Errorf("status: got %s, want expired", got.text("status"))
	}
}

func TestT26RotationWithAnOverlap(t *testing.T) {
	w := start(t)
	m := w.machine("default", "auditor")
	at := "/clients/" + m.id + "/secrets"
	next := w.want(http.StatusCreated, "POST", at, object{"label": "second", "overlap": "1h"}).text("client_secret")
	for name, secret := range map[string]string{"old": m.secret, "new": next} {
		if got := w.call(secret, "GET", "/roles", nil); got.status != http.StatusOK {
			t.Errorf("the %s secret in the overlap: got %d, want 200", name, got.status)
		}
	}
	w.later(time.Hour)
	if got := w.call(m.secret, "GET", "/roles", nil); got.status != http.StatusUnauthorized {
		t.Errorf("the old secret after the overlap: got %d, want 401", got.status)
	}
	if got := w.call(next, "GET", "/roles", nil); got.status != http.StatusOK {
		t.Errorf("the new secret after the overlap: got %d, want 200", got.status)
	}
	// Without an overlap, at once.
	third := w.want(http.StatusCreated, "POST", at, nil).text("client_secret")
	if old, now := w.call(next, "GET", "/roles", nil).status, w.call(third, "GET", "/roles", nil).status; old != 401 || now != 200 {
		t.Errorf("without an overlap: the old secret gets %d, the new one %d; want 401 and 200", old, now)
	}
}

func TestAClientHasAtMostFiveLiveSecrets(t *testing.T) {
	w := start(t)
	m := w.machine("default")
	at := "/clients/" + m.id
	for range 4 {
		w.want(http.StatusCreated, "POST", at+"/secrets", object{"keep": true})
	}
	w.want(http.StatusConflict, "POST", at+"/secrets", object{"keep": true})
	secrets := w.want(http.StatusOK, "GET", at, nil).list("secrets")
	if len(secrets) != 5 {
		t.Fatalf("secrets: got %d, want 5", len(secrets))
	}
	last, _ := secrets[4].(map[string]any)["id"].(string)
	w.want(http.StatusOK, "DELETE", at+"/secrets/"+last, nil)
	w.want(http.StatusConflict, "DELETE", at+"/secrets/"+last, nil)
	w.want(http.StatusNotFound, "DELETE", at+"/secrets/secnone", nil)
	w.want(http.StatusCreated, "POST", at+"/secrets", object{"keep": true})
}

func TestPatchIsAMergePatch(t *testing.T) {
	w := start(t)
	m := w.machine("default", "example-reader", "example-writer")
	at := "/clients/" + m.id
	w.want(http.StatusOK, "PATCH", at, object{"description": "d", "addresses": []string{"192.0.2.7", "10.1.2.3/8"}, "narrowed_to": []string{"example-reader"}})
	got := w.want(http.StatusOK, "GET", at, nil)
	if got.text("description") != "d" || got.text("addresses.1") != "10.0.0.0/8" || got.text("narrowed_to.0") != "default/example-reader" {
		t.Errorf("after the first patch: %s", got.body)
	}
	got = w.want(http.StatusOK, "PATCH", at, object{"name": "new"}, "Content-Type", "application/merge-patch+json")
	if got.text("name") != "new" || got.text("description") != "d" || got.get("narrowed_to") == nil {
		t.Errorf("what is absent changed: %s", got.body)
	}
	got = w.want(http.StatusOK, "PATCH", at, object{"description": nil, "narrowed_to": nil, "addresses": nil})
	if got.get("description") != "" || got.get("narrowed_to") != nil || len(got.list("addresses")) != 0 {
		t.Errorf("null does not take away: %s", got.body)
	}
	// An empty narrowing is not none.
	got = w.want(http.StatusOK, "PATCH", at, object{"narrowed_to": []string{}})
	if l, ok := got.get("narrowed_to").([]any); !ok || len(l) != 0 || len(got.list("roles")) != 0 {
		t.Errorf("narrowed to nothing: %s", got.body)
	}
}

func TestAddressListIsKept(t *testing.T) {
	w := start(t)
	m := w.machine("default", "auditor")
	for list, want := range map[string]int{"192.0.2.0/24": 200, "198.51.100.1": 401, "2001:db8::/32": 401} {
		w.want(http.StatusOK, "PATCH", "/clients/"+m.id, object{"addresses": []string{list}})
		if got := w.call(m.secret, "GET", "/roles", nil); got.status != want {
			t.Errorf("from 192.0.2.7 with the list %s: got %d, want %d", list, got.status, want)
		}
	}
}

func TestPagesHoldEveryClientOnce(t *testing.T) {
	w := start(t)
	for range 7 {
		w.machine("default")
	}
	for _, sort := range []string{"name", "created", "expires", "last_use"} {
		for _, desc := range []string{"false", "true"} {
			query := "/clients?limit=2&sort=" + sort + "&desc=" + desc
			var ids []string
			next := ""
			for range 20 {
				page := w.want(http.StatusOK, "GET", query+next, nil)
				for _, item := range page.list("items") {
					id, _ := item.(map[string]any)["id"].(string)
					ids = append(ids, id)
				}
				if page.get("next") == nil {
					break
				}
				next = "&cursor=" + page.text("next")
			}
			slices.Sort(ids)
			if len(ids) != 10 || len(slices.Compact(slices.Clone(ids))) != 10 {
				t.Errorf("%s: got %d clients, %d of them different; want 10", query, len(ids), len(slices.Compact(ids)))
			}
		}
	}
}

func TestDP5WhatATokenIsNeverChanges(t *testing.T) {
	w := start(t)
	m := w.machine("default")
	before := w.everything()
	for name, value := range map[string]any{
		"id": "cliaaaaaaaaaaaaaaaaaaaaaaaa", "kind": "personal", "account": w.AdminUser, "expires_at": nil, "expires_in": "never",
	} {
		w.want(http.StatusConflict, "PATCH", "/clients/"+m.id, object{name: value, "description": "d"})
	}
	if w.everything() != before {
		t.Error("something changed")
	}
}
