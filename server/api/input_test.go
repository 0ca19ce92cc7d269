package api_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"postern/server/admin"
	"postern/store"
)

func TestW02OddBodiesAreRefusedAndChangeNothing(t *testing.T) {
	w := start(t)
	m := w.machine("default")
	before := w.everything()
	bodies := map[string]string{
		"no JSON": `{"name":`, "trailing bytes": `{"name":"x","workspace":"default"} x`, "array": `[]`, "string": `"x"`, "null": `null`, "empty": ``,
		"operator":            `{"name":{"$ne":""},"workspace":"default"}`,
		"operator at the top": `{"$set":{"name":"x"},"name":"x","workspace":"default"}`,
		"dotted":              `{"name":"x","workspace":"default","account.id":"y"}`,
		"number as name":      `{"name":7,"workspace":"default"}`,
		"huge number":         `{"name":"x","workspace":"default","expires_in_days":1e400}`,
		"mass assignment":     `{"name":"x","workspace":"default","id":"cliaaaaaaaaaaaaaaaaaaaaaaaa"}`,
		"status":              `{"name":"x","workspace":"default","status":"active"}`,
		"secrets":             `{"name":"x","workspace":"default","secrets":[{"hash":"AAAA"}]}`,
		"name twice":          `{"name":"x","name":"y","workspace":"default"}`,
		"half a surrogate":    `{"name":"\ud800","workspace":"default"}`,
		"other half":          `{"name":"a\udc00b","workspace":"default"}`,
		"no UTF-8":            "{\"name\":\"\xff\",\"workspace\":\"default\"}",
		"deep":                `{"name":"x","workspace":"default","roles":` + strings.Repeat("[", 100000) + strings.Repeat("]", 100000) + `}`,
		"no such workspace":   `{"name":"x","workspace":"nowhere"}`,
		"empty name":          `{"name":" ","workspace":"default"}`,
		"long name":           `{"name":"` + strings.Repeat("x", 201) + `","workspace":"default"}`,
		"odd address":         `{"name":"x","workspace":"default","addresses":["everywhere"]}`,
		"odd kind":            `{"name":"x","workspace":"default","kind":"root"}`,
	}
	for name, body := range bodies {
		for _, call := range []string{"POST /clients", "PATCH /clients/" + m.id, "POST /roles", "POST /apis", "POST /workspaces", "POST /check"} {
			method, path, _ := strings.Cut(call, " ")
			got := w.call(w.root, method, path, raw(body))
			if got.status != http.StatusBadRequest && got.status != http.StatusUnprocessableEntity {
				t.Errorf("%s, %s: got %d %s, want 400 or 422", call, name, got.status, got.body)
			}
		}
	}
	for contentType, want := range map[string]int{"text/plain": 415, "application/xml": 415, "application/x-www-form-urlencoded": 415} {
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/api/v1/clients", strings.NewReader(`{"name":"x","workspace":"default"}`))
		r.Header.Set("Authorization", "Bearer "+w.root)
		r.Header.Set("Content-Type", contentType)
		if got := w.serve(r); got.status != want {
			t.Errorf("%s: got %d, want %d", contentType, got.status, want)
		}
	}
	if got := w.call(w.root, "POST", "/clients", raw(`{"name":"`+strings.Repeat("x", 1<<20)+`"}`)); got.status != http.StatusRequestEntityTooLarge {
		t.Errorf("1 MiB: got %d, want 413", got.status)
	}
	if w.everything() != before {
		t.Error("something changed")
	}
}

func TestW03QueriesAreFromFixedLists(t *testing.T) {
	w := start(t)
	for _, query := range []string{
		"/clients?sort=$where", "/clients?sort=secrets", "/clients?sort=name;drop", "/clients?sort=name&sort=created", "/clients?search=%zz", "/clients?limit=0", "/clients?limit=501", "/clients?limit=-1", "/clients?limit=x",
		"/clients?status=deleted", "/clients?kind=$ne", "/clients?kind[$ne]=x", "/clients?filter=x", "/clients?expires_by=tomorrow",
		"/clients?cursor=x", "/audit?from=yesterday", "/accounts?status=deleted", "/grants", "/grants?role=member", "/grants?workspace=default&role=nobody", "/grants?workspace=default&holder=admin", "/audit/verify",
	} {
		if got := w.call(w.root, "GET", query, nil); got.status != http.StatusUnprocessableEntity {
			t.Errorf("%s: got %d %s, want 422", query, got.status, got.body)
		}
	}
	// What looks like a pattern is text.
	for _, search := range []string{"%25", "_", ".*", "%5E", "%5C", "%27", "(", "%00"} {
		if got := w.call(w.root, "GET", "/clients?search="+search+"zzz", nil); got.status != http.StatusOK || got.get("total") != 0.0 {
			t.Errorf("search=%s: got %d %s, want nothing found", search, got.status, got.body)
		}
	}
}

func TestW03CursorsAreSealedAndBound(t *testing.T) {
	w := start(t)
	for range 3 {
		w.machine("default", "auditor")
	}
	lists := []string{
		"/clients?limit=1", "/clients?limit=1&sort=created", "/clients?limit=1&workspace=default", "/roles?limit=1", "/roles?limit=1&workspace=default",
		"/apis?limit=1", "/workspaces?limit=1", "/accounts?limit=1", "/accounts?limit=1&kind=service", "/grants?limit=1&workspace=default",
		"/audit?limit=1", "/audit?limit=1&operation=client.create",
	}
	cursors := map[string]string{}
	for _, list := range lists {
		cursor := w.want(http.StatusOK, "GET", list, nil).text("next")
		if cursor == "" {
			t.Fatalf("%s: there is no next page", list)
		}
		cursors[list] = cursor
		w.want(http.StatusOK, "GET", list+"&cursor="+cursor, nil)
		raw, err := base64.RawURLEncoding.DecodeString(cursor)
		if err != nil {
			t.Fatal(err)
		}
		raw[len(raw)/2] ^= 1
		for name, forged := range map[string]string{
			"flipped": base64.RawURLEncoding.EncodeToString(raw), "cut": cursor[:len(cursor)-2], "longer": cursor + "AA",
			"made": base64.RawURLEncoding.EncodeToString([]byte(`{"a":{"Value":"","ID":""},"u":9999999999999}`)), "JSON": `{"$gt":""}`,
		} {
			if got := w.call(w.root, "GET", list+"&cursor="+forged, nil); got.status != http.StatusUnprocessableEntity {
				t.Errorf("%s with a cursor that is %s: got %d, want 422", list, name, got.status)
			}
		}
	}
	for _, list := range lists {
		for from, cursor := range cursors {
			if got := w.call(w.root, "GET", list+"&cursor="+cursor, nil); list != from && got.status != http.StatusUnprocessableEntity {
				t.Errorf("%s with the cursor of %s: got %d, want 422", list, from, got.status)
			}
		}
	}
	w.later(24 * time.Hour)
	if got := w.call(w.root, "GET", lists[0]+"&cursor="+cursors[lists[0]], nil); got.status != http.StatusUnprocessableEntity {
		t.Errorf("a cursor of yesterday: got %d, want 422", got.status)
	}
}

// W05 and S01: nothing that logs in, signs or opens comes out of any GET, or into
// the log.
func TestW05NoAnswerHoldsASecret(t *testing.T) {
	w := start(t)
	m := w.machine("default", "auditor")
	w.want(http.StatusCreated, "POST", "/clients/"+m.id+"/secrets", object{"keep": true, "label": "second"})
	w.want(http.StatusCreated, "POST", "/keys/rotate", object{"algorithm": "EdDSA"})
	w.token(string(w.Example.Client.ID), w.Example.Secret.Reveal())
	ann, totpSecret := w.telephone("ann")
	recovery := w.as("ann", ann.password, "POST", "/me/totp/confirm", object{"code": w.code(totpSecret)}).text("recovery_codes.0")
	if err := w.sealer.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}

	var canaries []string
	canary := func(secret []byte) {
		if len(secret) > 0 {
			canaries = append(canaries, base64.StdEncoding.EncodeToString(secret), base64.RawURLEncoding.EncodeToString(secret), hex.EncodeToString(secret))
		}
	}
	err := w.state.All(t.Context(), func(r store.Record) error {
		switch r := r.(type) {
		case *store.Client:
			for _, s := range r.Secrets {
				canary(s.Hash)
			}
		case *store.Account:
			if r.PasswordHash != "" {
				canaries = append(canaries, r.PasswordHash)
			}
			for _, hash := range r.RecoveryHashes {
				canary(hash)
			}
		case *store.SecondFactor:
			canary(r.Sealed)
		case *store.Key:
			canary(r.Sealed)
		}
		return nil
	}, store.KindClient, store.KindAccount, store.KindKey, store.KindSecondFactor)
	if err != nil {
		t.Fatal(err)
	}
	canaries = append(canaries, totpSecret, recovery, m.secret, w.root, w.Example.Secret.Reveal(), w.AdminPassword, "argon2", `"hash"`, `"sealed"`, `"password_hash"`)
	if len(canaries) < 20 {
		t.Fatalf("only %d canaries", len(canaries))
	}
	role := w.want(http.StatusOK, "GET", "/roles?workspace=default", nil).text("items.0.id")
	ids := map[string]string{"{client}": m.id, "{role}": role, "{workspace}": "default", "{api}": "example", "{account}": "admin", "{team}": "ops"}
	w.want(http.StatusCreated, "POST", "/teams", object{"name": "ops"})
	ids["{entry}"] = w.want(http.StatusOK, "GET", "/audit?operation=client.create", nil).text("items.0.id")
	ids["{webhook}"], _ = w.webhook(object{"workspace": "default", "url": "https://hooks.example/"})
	for _, op := range admin.Operations() {
		if op.Method != "GET" || op.Name == "backup" { // a backup holds hashes by necessity: see its own test
			continue
		}
		path := strings.TrimPrefix(op.Path, "/api/v1")
		if op.Tag == "me" {
			path = strings.ReplaceAll(path, "{client}", string(w.Admin.Client.ID))
		}
		for name, id := range ids {
			path = strings.ReplaceAll(path, name, id)
		}
		path += map[string]string{"grant.list": "?workspace=default", "audit.verify": "?workspace=default"}[op.Name]
		got := w.want(http.StatusOK, "GET", path, nil)
		for _, c := range canaries {
			if strings.Contains(got.body, c) {
				t.Errorf("%s: %.12s… is in the answer", op.Name, c)
			}
		}
	}
	for _, c := range canaries[:len(canaries)-4] {
		if strings.Contains(w.log.String(), c) {
			t.Errorf("%.12s… is in the log", c)
		}
	}
}

func TestS01ErrorsDoNotRepeatWhatWasSent(t *testing.T) {
	w := start(t)
	const canary = "CANARY-5f0c1d"
	for name, call := range map[string]struct{ method, path, body string }{
		"unknown property":         {"POST", "/clients", `{"name":"x","workspace":"default","client_secret":"` + canary + `"}`},
		"wrong type":               {"POST", "/clients", `{"name":["` + canary + `"],"workspace":"default"}`},
		"no JSON":                  {"POST", "/clients", `{"secret":"` + canary},
		"not in the list":          {"POST", "/clients", `{"name":"x","workspace":"default","kind":"` + canary + `"}`},
		"a secret as a duration":   {"POST", "/clients", `{"name":"x","workspace":"default","expires_in":"` + canary + `"}`},
		"unknown parameter":        {"GET", "/clients?limit=" + canary, ``},
		"a secret as a cursor":     {"GET", "/clients?cursor=" + canary, ``},
		"a secret as an algorithm": {"POST", "/keys/rotate", `{"algorithm":"` + canary + `"}`},
	} {
		got := w.call(w.root, call.method, call.path, raw(call.body))
		if got.status < 400 || got.status >= 500 || strings.Contains(got.body, canary) {
			t.Errorf("%s: got %d %s, want an error without what was sent", name, got.status, got.body)
		}
		if got.header.Get("Content-Type") != "application/problem+json" || got.text("title") == "" || got.text("detail") == "" || got.text("request_id") == "" || got.get("status") != float64(got.status) {
			t.Errorf("%s: is no whole problem: %s %s", name, got.header.Get("Content-Type"), got.body)
		}
	}
	if strings.Contains(w.log.String(), canary) {
		t.Error("it is in the log")
	}
}

func TestAuthorizationMustBeOneBearer(t *testing.T) {
	w := start(t)
	for name, headers := range map[string][]string{
		"two headers": {"Bearer " + w.root, "Bearer " + w.root}, "a comma": {"Bearer " + w.root + ", Bearer x"}, "Basic": {"Basic eDp5"},
		"no token": {"Bearer "}, "no scheme": {w.root}, "two words": {"Bearer x y"}, "long": {"Bearer " + strings.Repeat("a", 1<<16)},
	} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/api/v1/clients", http.NoBody)
		r.Header["Authorization"] = headers
		got := w.serve(r)
		if challenge := got.header.Get("WWW-Authenticate"); got.status != http.StatusUnauthorized || !strings.Contains(challenge, `error="`) {
			t.Errorf("%s: got %d %q, want 401 with an error code", name, got.status, challenge)
		}
	}
	r := httptest.NewRequestWithContext(t.Context(), "GET", "/api/v1/clients", http.NoBody)
	r.Header.Set("Authorization", "bEaReR "+w.root)
	if got := w.serve(r); got.status != http.StatusOK {
		t.Errorf("the scheme in any case: got %d, want 200", got.status)
	}
	r = httptest.NewRequestWithContext(t.Context(), "GET", "/api/v1/clients", http.NoBody)
	r.AddCookie(&http.Cookie{Name: "__Host-postern", Value: w.root})
	if got := w.serve(r); got.status != http.StatusUnauthorized || strings.Contains(got.header.Get("WWW-Authenticate"), "error") {
		t.Errorf("a cookie: got %d %q, want 401 as if nothing was sent", got.status, got.header.Get("WWW-Authenticate"))
	}
}

func TestDP8WithoutAPIAccessNothingOfTheWorkspaceIsGood(t *testing.T) {
	w := start(t)
	w.workspace("acme")
	m := w.machine("acme", "owner")
	w.want(http.StatusOK, "PATCH", "/workspaces/acme", object{"api_access": false}, "If-Match", w.revision("/workspaces/acme"))
	if got := w.call(m.secret, "GET", "/roles", nil); got.status != http.StatusUnauthorized {
		t.Errorf("a bearer of the workspace: got %d, want 401", got.status)
	}
	w.want(http.StatusConflict, "PATCH", "/workspaces/system", object{"api_access": false}, "If-Match", w.revision("/workspaces/system"))
}

func TestW14ChangesNameTheRevisionTheyWereMadeOn(t *testing.T) {
	w := start(t)
	role := w.want(http.StatusCreated, "POST", "/roles", object{"workspace": "default", "name": "x"}).text("id")
	m := w.machine("default", "auditor")
	tests := []struct {
		path     string
		body     object
		required bool
	}{
		{"/roles/" + role, object{"description": "d"}, true},
		{"/apis/example", object{"description": "d"}, true},
		{"/workspaces/default", object{"description": "d"}, true},
		{"/clients/" + m.id, object{"description": "d"}, false},
	}
	for _, tt := range tests {
		without := http.StatusOK
		if tt.required {
			without = http.StatusPreconditionRequired
		}
		w.want(without, "PATCH", tt.path, tt.body)
		read := w.revision(tt.path)
		w.want(http.StatusOK, "PATCH", tt.path, object{"description": "first"}, "If-Match", read)
		if got := w.want(http.StatusPreconditionFailed, "PATCH", tt.path, object{"description": "second"}, "If-Match", read); got.text("detail") == "" {
			t.Errorf("%s: 412 without a word", tt.path)
		}
		for _, odd := range []string{`W/` + w.revision(tt.path), "1", `"x"`, `"1", "2"`, `""`, `"-1"`, `"99999999999999999999"`} {
			w.want(http.StatusPreconditionFailed, "PATCH", tt.path, object{"description": "third"}, "If-Match", odd)
		}
		if got := w.want(http.StatusOK, "GET", tt.path, nil); got.text("description") != "first" {
			t.Errorf("%s: got %q, want what the first change wrote", tt.path, got.text("description"))
		}
	}
	w.want(http.StatusPreconditionRequired, "DELETE", "/roles/"+role, nil)
	w.want(http.StatusPreconditionFailed, "DELETE", "/roles/"+role, nil, "If-Match", `"1"`)
	w.want(http.StatusPreconditionFailed, "PUT", "/grants/default/"+m.account, object{"roles": []object{{"role": "member"}}}, "If-Match", `"7"`)
	w.want(http.StatusOK, "PUT", "/grants/default/"+m.account, object{"roles": []object{{"role": "member"}}}, "If-Match", `"1"`)
}

func TestW17EachChangeIsOneEntryWithItsActor(t *testing.T) {
	w := start(t)
	entries := func(query string) answer { return w.want(http.StatusOK, "GET", "/audit?limit=500"+query, nil) }
	m := w.machine("default", "auditor")
	at := "/clients/" + m.id
	role := w.want(http.StatusCreated, "POST", "/roles", object{"workspace": "default", "name": "r", "rules": []object{{"api": "example", "methods": "GET", "path": "/orders"}}})
	roleAt := "/roles/" + role.text("id")
	steps := []struct {
		operation, method, path string
		body                    any
		match                   bool
	}{
		{"client.create", "POST", "/clients", object{"name": "x", "workspace": "default"}, false},
		{"client.edit", "PATCH", at, object{"name": "y"}, false},
		{"client.rotate", "POST", at + "/secrets", nil, false},
		{"client.revoke", "POST", at + "/revoke", nil, false},
		{"client.restore", "POST", at + "/restore", nil, false},
		{"client.revoke", "POST", at + "/revoke", nil, false},
		{"client.delete", "DELETE", at, nil, false},
		{"role.create", "POST", "/roles", object{"workspace": "default", "name": "s"}, false},
		{"role.edit", "PATCH", roleAt, object{"description": "d"}, true},
		{"grant.set", "PUT", "/grants/default/" + m.account, object{"roles": []object{{"role": "r"}}}, false},
		{"grant.delete", "DELETE", "/grants/default/" + m.account, nil, false},
		{"role.delete", "DELETE", roleAt, nil, true},
		{"api.create", "POST", "/apis", object{"name": "a", "workspace": "default", "audience": "urn:a"}, false},
		{"api.edit", "PATCH", "/apis/a", object{"description": "d"}, true},
		{"api.import", "POST", "/apis/a/openapi", raw(`{"openapi":"3.0.0","info":{"title":"x","version":"1"},"paths":{"/x":{"get":{"responses":{}}}}}`), true},
		{"api.delete", "DELETE", "/apis/a", nil, true},
		{"workspace.create", "POST", "/workspaces", object{"name": "w"}, false},
		{"workspace.edit", "PATCH", "/workspaces/w", object{"description": "d"}, true},
		{"key.rotate", "POST", "/keys/rotate", object{"algorithm": "RS256"}, false},
		{"key.reseal", "POST", "/keys/reseal", nil, false},
	}
	for _, s := range steps {
		var match []string
		if s.match {
			match = []string{"If-Match", w.revision(strings.TrimSuffix(s.path, "/openapi"))}
		}
		w.later(time.Second) // the newest is the first, and those of one moment are in no order
		before := len(entries("").list("items"))
		got := w.call(w.root, s.method, s.path, s.body, match...)
		if got.status >= 300 {
			t.Fatalf("%s: %d %s", s.operation, got.status, got.body)
		}
		after := entries("")
		if n := len(after.list("items")) - before; n != 1 {
			t.Errorf("%s: %d entries, want 1", s.operation, n)
			continue
		}
		for path, want := range map[string]string{"operation": s.operation, "actor": "admin", "account": string(w.Admin.Account.ID), "client": string(w.Admin.Client.ID), "address": "192.0.2.7"} {
			if got := after.text("items.0." + path); got != want {
				t.Errorf("%s: %s is %q, want %q", s.operation, path, got, want)
			}
		}
		if after.text("items.0.request_id") == "" {
			t.Errorf("%s: no request id", s.operation)
		}
	}
	w.later(time.Second)
	if err := w.sealer.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.want(http.StatusOK, "GET", "/audit/verify?workspace=default", nil); got.get("whole") != true || got.get("entries") == 0.0 {
		t.Errorf("verify: got %s", got.body)
	}
}

func TestW17RefusalsAreMergedIntoOneEntry(t *testing.T) {
	w := start(t)
	m := w.machine("default", "auditor")
	for i := range 5 {
		if got := w.call(m.secret, "POST", "/clients", object{"name": fmt.Sprint("x", i), "workspace": "default"}); got.status != http.StatusForbidden {
			t.Fatalf("got %d, want 403", got.status)
		}
	}
	if err := w.merger.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := w.want(http.StatusOK, "GET", "/audit?operation=client.create&client="+m.id, nil)
	if len(got.list("items")) != 1 || got.get("items.0.count") != 5.0 || got.text("items.0.refused") == "" {
		t.Errorf("got %s, want one entry of five refusals", got.body)
	}
}

func TestRoleInUseIsKeptUnlessCascading(t *testing.T) {
	w := start(t)
	id := w.want(http.StatusCreated, "POST", "/roles", object{"workspace": "default", "name": "x"}).text("id")
	child := w.want(http.StatusCreated, "POST", "/roles", object{"workspace": "default", "name": "child", "parents": []string{"x"}}).text("id")
	m := w.machine("default", "x", "member")
	match := []string{"If-Match", w.revision("/roles/" + id)}
	w.want(http.StatusConflict, "DELETE", "/roles/"+id+"?cascade=true", nil, match...) // it is inherited
	w.want(http.StatusOK, "DELETE", "/roles/"+child, nil, "If-Match", w.revision("/roles/"+child))
	w.want(http.StatusConflict, "DELETE", "/roles/"+id, nil, match...)
	w.want(http.StatusOK, "DELETE", "/roles/"+id+"?cascade=true", nil, match...)
	left := w.want(http.StatusOK, "GET", "/grants?holder="+m.account, nil)
	if len(left.list("items")) != 1 || len(left.list("items.0.roles")) != 1 || left.text("items.0.roles.0.role") != "default/member" {
		t.Errorf("grants after the cascade: %s", left.body)
	}
	builtin := w.want(http.StatusOK, "GET", "/roles?workspace=default&search=default/member", nil).text("items.0.id")
	w.want(http.StatusConflict, "DELETE", "/roles/"+builtin, nil, "If-Match", `"1"`)
}

func TestRuleNumbersAreNeverUsedAgain(t *testing.T) {
	w := start(t)
	rule := func(path string) object { return object{"api": "example", "methods": "GET", "path": path} }
	at := "/roles/" + w.want(http.StatusCreated, "POST", "/roles", object{"workspace": "default", "name": "x", "rules": []object{rule("/a"), rule("/b")}}).text("id")
	w.want(http.StatusOK, "PATCH", at, object{"rules": []object{rule("/c")}}, "If-Match", `"1"`)
	got := w.want(http.StatusOK, "GET", at, nil)
	if len(got.list("rules")) != 1 || got.get("rules.0.number") != 3.0 {
		t.Errorf("rules: got %s, want the new one as number 3", got.body)
	}
	forged := rule("/d")
	forged["number"] = 9
	w.want(http.StatusUnprocessableEntity, "PATCH", at, object{"rules": []object{forged}}, "If-Match", `"2"`)
}

func TestCheckExplainsADecision(t *testing.T) {
	w := start(t)
	id := string(w.Example.Client.ID)
	got := w.want(http.StatusOK, "POST", "/check", object{"client": id, "api": "example", "method": "GET", "path": "/orders/42"})
	if got.get("allowed") != true || got.text("rule") != "default/example-reader#1" || got.text("via.role") != "default/example-reader" {
		t.Errorf("allowed call: %s", got.body)
	}
	got = w.want(http.StatusOK, "POST", "/check", object{"client": id, "api": "example", "method": "DELETE", "path": "/orders/42"})
	if got.get("allowed") != false || got.text("missing.0.role") != "default/example-writer" {
		t.Errorf("refused call: %s", got.body)
	}
	w.want(http.StatusUnprocessableEntity, "POST", "/check", object{"client": id, "api": "example", "method": "GET", "path": "/a/../b"})
	for path, want := range map[string]any{"/orders": true, "/other": false} {
		got = w.want(http.StatusOK, "POST", "/check", object{"role": "default/example-reader", "api": "example", "method": "GET", "path": path})
		if got.get("allowed") != want || got.get("missing") != nil {
			t.Errorf("a role alone, %s: got %s, want allowed %v and nothing missing", path, got.body, want)
		}
	}
	w.want(http.StatusUnprocessableEntity, "POST", "/check", object{"role": "default/example-reader", "client": id, "api": "example", "method": "GET", "path": "/orders"})
}

func TestOpenAPIImport(t *testing.T) {
	w := start(t)
	document := raw(`{"openapi":"3.0.0","info":{"title":"x","version":"1"},"servers":[{"url":"https://x.example/v2"}],
		"paths":{"/things/{id}":{"get":{"summary":"One","responses":{}}},"/files/{name}.json":{"get":{"responses":{}}}}}`)
	dry := w.want(http.StatusOK, "POST", "/apis/example/openapi?dry_run=true", document)
	if len(dry.list("endpoints")) != 2 || len(dry.list("warnings")) != 1 || len(dry.list("api.endpoints")) != 4 {
		t.Errorf("dry run: %s", dry.body)
	}
	w.want(http.StatusPreconditionRequired, "POST", "/apis/example/openapi", document)
	got := w.want(http.StatusOK, "POST", "/apis/example/openapi", document, "If-Match", `"1"`)
	if got.text("api.endpoints.0.path") != "/v2/files/{name}" || got.text("api.endpoints.1.summary") != "One" {
		t.Errorf("import: %s", got.body)
	}
	for name, odd := range map[string]string{
		"no OpenAPI": `{"x":1}`, "external": `{"openapi":"3.0.0","info":{"title":"x","version":"1"},"paths":{"/a":{"$ref":"http://127.0.0.1:1/x"}}}`,
		"file": `{"openapi":"3.0.0","info":{"title":"x","version":"1"},"paths":{"/a":{"$ref":"/etc/passwd"}}}`,
		"deep": `{"openapi":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`,
	} {
		if got := w.call(w.root, "POST", "/apis/example/openapi", raw(odd), "If-Match", `"2"`); got.status != http.StatusUnprocessableEntity {
			t.Errorf("%s: got %d %s, want 422", name, got.status, got.body)
		}
	}
	if got := w.call(w.root, "POST", "/apis/example/openapi", raw(strings.Repeat(" ", 2<<20+1)), "If-Match", `"2"`); got.status != http.StatusRequestEntityTooLarge {
		t.Errorf("over 2 MB: got %d, want 413", got.status)
	}
}
