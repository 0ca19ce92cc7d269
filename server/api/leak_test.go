package api_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"postern/server/admin"
	"postern/server/secret"
	"postern/store"
)

// report sends texts as somebody without a credential.
func (w *world) report(texts ...string) answer {
	w.t.Helper()
	return w.call("", "POST", "/leaks", object{"tokens": texts})
}

// policy sets what a leak costs in a workspace.
func (w *world) policy(workspace string, p store.LeakPolicy) {
	w.t.Helper()
	ws := *w.state.WorkspaceByName(workspace)
	ws.LeakPolicy = p
	if err := w.state.Commit(w.t.Context(), store.Update(&ws)); err != nil {
		w.t.Fatal(err)
	}
}

// works reports whether a credential opens Postern's own API.
func (w *world) works(credential string) bool {
	w.t.Helper()
	return w.call(credential, "GET", "/apis", nil).status == http.StatusOK
}

// accessToken gets a client's token for Postern's own API.
func (w *world) accessToken(m machine) string {
	w.t.Helper()
	r := httptest.NewRequestWithContext(w.t.Context(), "POST", "/oauth2/token", strings.NewReader("grant_type=client_credentials&resource=postern"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(m.id, m.secret)
	got := w.serve(r).text("access_token")
	if got == "" {
		w.t.Fatal("no access token")
	}
	return got
}

func (w *world) secretOf(m machine) answer {
	w.t.Helper()
	return w.want(http.StatusOK, "GET", "/clients/"+m.id, nil)
}

// entries are the audit entries of reports of leaks.
func (w *world) leakEntries() []any {
	w.t.Helper()
	return w.want(http.StatusOK, "GET", "/audit?operation=client.leak", nil).list("items")
}

// Whatever is reported, the answer is the same, byte for byte, but for the id of
// the request.
func TestAReportOfLeaksIsAnsweredTheSameWhateverMatched(t *testing.T) {
	w := start(t)
	m, other, gone := w.machine("default", "owner"), w.machine("default", "owner"), w.machine("default", "owner")
	short := w.want(http.StatusCreated, "POST", "/clients", object{"name": "short", "workspace": "default", "bearer": true, "expires_in": "1h"}).text("client_secret")
	token := w.accessToken(other)
	w.want(http.StatusOK, "POST", "/clients/"+gone.id+"/revoke", nil)
	w.later(2 * time.Hour)
	many := make([]string, 1000)
	for i := range many {
		many[i] = fmt.Sprintf("junk %d", i)
	}
	var want string
	for name, texts := range map[string][]string{
		"a good secret": {m.secret}, "junk": {"junk"}, "a wrong checksum": {m.secret[:len(m.secret)-1] + "~"}, "nothing": {}, "empty": {""},
		"a secret of nobody": {secret.New(store.NewClientID()).Reveal()}, "a secret that m has not": {secret.New(store.ClientID(m.id)).Reveal()},
		"a secret of an imported client that is not here": {secret.New("legacy.app~1").Reveal()},
		"revoked": {gone.secret}, "expired": {short}, "an expired token": {token}, "a token with another signature": {token[:len(token)-3] + "AAA"},
		"a sealed token of nobody": {string(secret.AppendChecksum([]byte("psa_seal-XC20P-1_00")))}, "long": {strings.Repeat("x", 100_000)},
		"many": many, "the same many times": {other.secret, other.secret, other.secret}, "control characters": {"\x00\r\n\x1b[2J"},
	} {
		got := w.call("", "POST", "/leaks", object{"tokens": texts})
		if want == "" {
			want = got.body
		}
		if got.status != http.StatusAccepted || got.body != want || got.header.Get("Retry-After") != "" {
			t.Errorf("%s: got %d %s, want 202 %s", name, got.status, got.body, want)
		}
	}
	for _, credential := range []string{"junk", m.secret, w.root} { // none is looked at
		if got := w.call(credential, "POST", "/leaks", object{"tokens": []string{"junk"}}); got.status != http.StatusAccepted || got.body != want {
			t.Errorf("with a credential: got %d %s, want 202 %s", got.status, got.body, want)
		}
	}
	if w.works(m.secret) || w.works(other.secret) {
		t.Error("a secret that was reported still works")
	}
	if log := w.log.String(); strings.Contains(log, m.secret[34:54]) || strings.Contains(log, other.secret[34:54]) {
		t.Error("the log holds a secret that was reported")
	}
}

func TestALeakedSecretEndsAloneAndForEver(t *testing.T) {
	w := start(t)
	m := w.machine("default", "owner")
	second := w.want(http.StatusCreated, "POST", "/clients/"+m.id+"/secrets", object{"keep": true}).text("client_secret")
	token, twin := w.accessToken(m), w.accessToken(machine{m.id, second, m.account})
	w.report(m.secret)
	if w.works(m.secret) || w.works(token) {
		t.Error("the leaked secret, or a token of it, works")
	}
	if !w.works(second) || !w.works(twin) {
		t.Error("the client's other secret, or a token of it, does not work")
	}
	got := w.secretOf(m)
	if got.text("secrets.1.status") != "revoked" || got.text("secrets.1.leaked_at") == "" || got.text("secrets.0.leaked_at") != "" || got.text("status") != "active" {
		t.Errorf("the client is shown as %s", got.body)
	}
	entries := w.leakEntries()
	if len(entries) != 1 {
		t.Fatalf("audit: got %d entries, want one", len(entries))
	}
	text := fmt.Sprint(entries[0])
	for _, part := range []string{"actor:leak report", "address:192.0.2.7", "target:" + m.id, "leaked_at:"} {
		if !strings.Contains(text, part) {
			t.Errorf("audit: %s lacks %s", text, part)
		}
	}
	if strings.Contains(text, m.secret[34:54]) {
		t.Error("the audit holds the secret")
	}
	// Once more changes nothing.
	before := w.everything()
	w.report(m.secret, token)
	if w.everything() != before || len(w.leakEntries()) != 1 {
		t.Error("a second report changed something")
	}
	// Not even by a restore of the client.
	w.want(http.StatusOK, "POST", "/clients/"+m.id+"/revoke", nil)
	w.want(http.StatusOK, "POST", "/clients/"+m.id+"/restore", nil)
	if w.works(m.secret) || !w.works(second) {
		t.Error("after a restore: the leaked secret works, or the other one does not")
	}
}

// A revoked client may be restored; its secret that leaked meanwhile must not be.
func TestASecretThatLeaksWhileItsClientIsRevokedStaysDead(t *testing.T) {
	w := start(t)
	m := w.machine("default", "owner")
	w.want(http.StatusOK, "POST", "/clients/"+m.id+"/revoke", nil)
	w.report(m.secret)
	w.want(http.StatusOK, "POST", "/clients/"+m.id+"/restore", nil)
	if w.works(m.secret) {
		t.Error("the secret works after the restore")
	}
	// By the policy "client" there is no restore.
	other := w.machine("default", "owner")
	w.policy("default", store.LeakRevokeClient)
	w.want(http.StatusOK, "POST", "/clients/"+other.id+"/revoke", nil)
	w.report(other.secret)
	if got := w.want(http.StatusConflict, "POST", "/clients/"+other.id+"/restore", nil); !strings.Contains(got.body, "leaked") {
		t.Errorf("restore: got %s, want the reason", got.body)
	}
}

func TestALeakedAccessTokenEndsAlone(t *testing.T) {
	w := start(t)
	for _, format := range []store.TokenFormat{store.FormatJWT, store.FormatOpaque} {
		t.Run(string(format), func(t *testing.T) {
			own := *w.state.APIByName(store.PosternAPI)
			own.Format = format
			if err := w.state.Commit(t.Context(), store.Update(&own)); err != nil {
				t.Fatal(err)
			}
			m := w.machine("default", "owner")
			leaked, other := w.accessToken(m), w.accessToken(m)
			before := len(w.leakEntries())
			w.report(leaked, leaked)
			w.report(leaked)
			if isOpaque := strings.HasPrefix(leaked, "psa_"); isOpaque != (format == store.FormatOpaque) {
				t.Fatalf("a token of the format %s begins %.4s", format, leaked)
			}
			if w.works(leaked) || !w.works(other) || !w.works(m.secret) {
				t.Errorf("works: the token %t, another %t, the secret %t; want false, true, true", w.works(leaked), w.works(other), w.works(m.secret))
			}
			if n := len(w.leakEntries()) - before; n != 1 {
				t.Errorf("audit: got %d entries, want one", n)
			}
		})
	}
}

func TestAWorkspaceSaysWhatALeakCosts(t *testing.T) {
	w := start(t)
	for _, policy := range []store.LeakPolicy{store.LeakRevokeClient, store.LeakAlert} {
		for _, what := range []string{"secret", "token"} {
			t.Run(string(policy)+" "+what, func(t *testing.T) {
				w.policy("default", policy)
				m := w.machine("default", "owner")
				token, leaked := w.accessToken(m), m.secret
				if what == "token" {
					leaked = token
				}
				before := len(w.leakEntries())
				w.report(leaked)
				w.report(leaked)
				alert := policy == store.LeakAlert
				if w.works(m.secret) != alert || w.works(token) != alert {
					t.Errorf("works: secret %t, token %t; want %t", w.works(m.secret), w.works(token), alert)
				}
				if got := w.secretOf(m); (got.text("status") == "active") != alert || got.text("secrets.0.leaked_at") == "" {
					t.Errorf("the client is shown as %s", got.body)
				}
				if n := len(w.leakEntries()) - before; n != 1 {
					t.Errorf("audit: got %d entries, want one", n)
				}
				if !alert {
					w.want(http.StatusConflict, "POST", "/clients/"+m.id+"/restore", nil)
				}
			})
		}
	}
}

// The administrator's client has no workspace: the default policy.
func TestALeakedSecretOfAPersonalClientEnds(t *testing.T) {
	w := start(t)
	w.policy("default", store.LeakAlert)
	w.policy("system", store.LeakAlert)
	second := w.want(http.StatusCreated, "POST", "/clients/"+string(w.Admin.Client.ID)+"/secrets", object{"keep": true}).text("client_secret")
	w.report(second)
	if w.works(second) || !w.works(w.root) {
		t.Error("the leaked secret works, or the other one does not")
	}
}

// A token that is dead already, by a generation, costs its client nothing.
func TestADeadTokenCostsNothing(t *testing.T) {
	w := start(t)
	w.policy("default", store.LeakRevokeClient)
	m := w.machine("default", "owner")
	token := w.accessToken(m)
	w.want(http.StatusOK, "POST", "/clients/"+m.id+"/revoke", nil)
	w.want(http.StatusOK, "POST", "/clients/"+m.id+"/restore", nil)
	w.report(token)
	if !w.works(m.secret) {
		t.Error("the client was ended by a token that did not work any more")
	}
}

func TestReportsOfLeaksAreBounded(t *testing.T) {
	w := start(t)
	for name, tt := range map[string]struct {
		body any
		want int
	}{
		"too many":       {object{"tokens": make([]string, 1001)}, http.StatusUnprocessableEntity},
		"too long":       {raw(`{"tokens":["` + strings.Repeat("x", 256<<10) + `"]}`), http.StatusRequestEntityTooLarge},
		"no JSON":        {raw(`{"tokens":`), http.StatusBadRequest},
		"no list":        {object{"tokens": "x"}, http.StatusUnprocessableEntity},
		"no texts":       {object{"tokens": []any{object{"$ne": ""}}}, http.StatusUnprocessableEntity},
		"something else": {object{"tokens": []string{}, "revoke": true}, http.StatusUnprocessableEntity},
	} {
		if got := w.call("", "POST", "/leaks", tt.body); got.status != tt.want {
			t.Errorf("%s: got %d %s, want %d", name, got.status, got.body, tt.want)
		}
	}
}

func TestReportsOfLeaksAreSixtyAnHourFromAnAddress(t *testing.T) {
	w := start(t)
	m := w.machine("default", "owner")
	for range 60 {
		w.call("", "POST", "/leaks", raw(`{`)) // what is refused counts too, and takes no time
	}
	got := w.report(m.secret)
	if got.status != http.StatusTooManyRequests || got.header.Get("Retry-After") == "" || got.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("the 61st: got %d, Retry-After %q, %s; want 429", got.status, got.header.Get("Retry-After"), got.body)
	}
	if !w.works(m.secret) {
		t.Error("a report that was refused ended a secret")
	}
	from := func(address string) int {
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/api/v1/leaks", strings.NewReader(`{"tokens":[]}`))
		r.Header.Set("Content-Type", "application/json")
		r.RemoteAddr = address
		return w.serve(r).status
	}
	if got := from("192.0.2.8:1"); got != http.StatusAccepted {
		t.Errorf("from another address: got %d, want 202", got)
	}
	w.later(time.Minute)
	if got := from("192.0.2.7:1"); got != http.StatusAccepted {
		t.Errorf("a minute later: got %d, want 202", got)
	}
}

func TestWhatWasDoneAboutLeaksIsCounted(t *testing.T) {
	done := map[string]int{}
	w := start(t, func(o *admin.Options) { o.OnLeak = func(d string) { done[d]++ } })
	m := w.machine("default", "owner")
	w.report(w.accessToken(m), "junk")
	w.report(m.secret)
	w.report(m.secret)
	if done["token"] != 1 || done["secret"] != 1 || len(done) != 2 {
		t.Errorf("counted %v, want a token and a secret", done)
	}
}

// Webhooks that ask for it hear of a leak, with what was ended.
func TestALeakIsToldToWebhooks(t *testing.T) {
	w := start(t)
	hook := &store.Webhook{ID: store.NewWebhookID(), Workspace: w.state.WorkspaceByName("default").ID, Name: "pager", Events: []string{"client.leaked"}}
	if err := w.state.Commit(t.Context(), store.Insert(hook)); err != nil {
		t.Fatal(err)
	}
	m := w.machine("default", "owner")
	w.report(w.accessToken(m))
	w.report(m.secret)
	w.report(m.secret)
	told, err := w.state.Deliveries(t.Context(), store.DeliveryQuery{Webhook: hook.ID})
	if err != nil || len(told) != 2 {
		t.Fatalf("got %d deliveries, %v; want one of the token and one of the secret", len(told), err)
	}
	all := string(told[0].Body) + string(told[1].Body)
	for _, part := range []string{`"type":"client.leaked"`, m.id, `"reason":"token"`, `"reason":"secret"`} {
		if !strings.Contains(all, part) {
			t.Errorf("told %s, which lacks %s", all, part)
		}
	}
	if strings.Contains(all, m.secret[34:54]) {
		t.Error("the event holds the secret")
	}
}
