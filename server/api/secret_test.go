package api_test

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// secretNamed is the id of the client's secret with a label.
func (w *world) secretNamed(client, label string) string {
	w.t.Helper()
	for _, s := range w.want(http.StatusOK, "GET", "/clients/"+client, nil).list("secrets") {
		if s := s.(map[string]any); s["label"] == label {
			return s["id"].(string)
		}
	}
	w.t.Fatalf("client %s has no secret %q", client, label)
	return ""
}

func TestRetireIsRefusedWhileTheSecretIsInUse(t *testing.T) {
	w := start(t)
	m := w.machine("default", "auditor")
	at := "/clients/" + m.id
	next := w.want(http.StatusCreated, "POST", at+"/secrets", object{"keep": true, "label": "next"}).text("client_secret")
	old := at + "/secrets/" + w.secretNamed(m.id, "")
	w.call(m.secret, "GET", "/roles", nil)

	for _, query := range []string{"", "?overlap=24h", "?force=false"} {
		got := w.want(http.StatusConflict, "DELETE", old+query, nil)
		for _, said := range []string{"192.0.2.7", "GET /api/v1/roles", "force", w.now().UTC().Format("2006-01-02T")} {
			if !strings.Contains(got.text("detail"), said) {
				t.Errorf("%s: the refusal does not say %s: %s", query, said, got.body)
			}
		}
	}
	if got := w.call(m.secret, "GET", "/roles", nil); got.status != http.StatusOK {
		t.Errorf("after the refusals: got %d, want 200", got.status)
	}
	// The other secret is not in use: what counts is who uses this one.
	w.want(http.StatusOK, "DELETE", at+"/secrets/"+w.secretNamed(m.id, "next"), nil)
	if got := w.call(next, "GET", "/roles", nil); got.status != http.StatusUnauthorized {
		t.Errorf("the retired secret: got %d, want 401", got.status)
	}
	// A day after the last use it is not in use any more.
	w.later(24*time.Hour - time.Minute)
	w.want(http.StatusConflict, "DELETE", old, nil)
	w.later(time.Minute)
	w.want(http.StatusOK, "DELETE", old, nil)
}

func TestRetireForcedIsOneCall(t *testing.T) {
	w := start(t)
	m := w.machine("default", "auditor")
	w.want(http.StatusOK, "PATCH", "/clients/"+m.id, object{"default_api": "postern"})
	minted := w.token(m.id, m.secret).text("access_token")
	w.call(minted, "GET", "/roles", nil)
	at := "/clients/" + m.id + "/secrets/" + w.secretNamed(m.id, "")
	w.want(http.StatusPreconditionFailed, "DELETE", at+"?force=true", nil, "If-Match", `"1"`)
	w.want(http.StatusOK, "DELETE", at+"?force=true", nil)
	for name, credential := range map[string]string{"secret": m.secret, "token": minted} {
		if got := w.call(credential, "GET", "/roles", nil); got.status != http.StatusUnauthorized {
			t.Errorf("the %s after it: got %d, want 401", name, got.status)
		}
	}
	// Revoking a client never asks.
	other := w.machine("default", "auditor")
	w.call(other.secret, "GET", "/roles", nil)
	w.want(http.StatusOK, "POST", "/clients/"+other.id+"/revoke", nil)
}

func TestRetireWithAnOverlap(t *testing.T) {
	w := start(t)
	m := w.machine("default", "auditor")
	at := "/clients/" + m.id + "/secrets/" + w.secretNamed(m.id, "")
	w.want(http.StatusUnprocessableEntity, "DELETE", at+"?overlap=soon", nil)
	w.want(http.StatusUnprocessableEntity, "DELETE", at+"?overlap=-1h", nil)
	if got := w.want(http.StatusOK, "DELETE", at+"?overlap=7d", nil); got.text("message") != "The secret ends in 7d." {
		t.Errorf("message: %s", got.body)
	}
	if got := w.call(m.secret, "GET", "/roles", nil); got.status != http.StatusOK {
		t.Errorf("in the overlap: got %d, want 200", got.status)
	}
	w.later(7 * 24 * time.Hour)
	if got := w.call(m.secret, "GET", "/roles", nil); got.status != http.StatusUnauthorized {
		t.Errorf("after it: got %d, want 401", got.status)
	}
	// What does not work any more is in nobody's use.
	revoked := w.machine("default", "auditor")
	w.call(revoked.secret, "GET", "/roles", nil)
	w.want(http.StatusOK, "POST", "/clients/"+revoked.id+"/revoke", nil)
	w.want(http.StatusOK, "DELETE", "/clients/"+revoked.id+"/secrets/"+w.secretNamed(revoked.id, ""), nil)
}

func TestRotateWithEachOverlap(t *testing.T) {
	w := start(t)
	for overlap, life := range map[string]time.Duration{"": 0, "0s": 0, "1h": time.Hour, "24h": 24 * time.Hour, "7d": 7 * 24 * time.Hour} {
		m := w.machine("default")
		got := w.want(http.StatusCreated, "POST", "/clients/"+m.id+"/secrets", object{"label": "new", "overlap": overlap, "expires_in": "30d"})
		created, _ := time.Parse(time.RFC3339, got.text("client.secrets.0.created_at"))
		ends, _ := time.Parse(time.RFC3339, got.text("client.secrets.1.expires_at"))
		switch {
		case life == 0 && got.text("client.secrets.1.status") != "revoked":
			t.Errorf("overlap %q: the old secret is %s, want revoked", overlap, got.text("client.secrets.1.status"))
		case life > 0 && ends.Sub(created) != life:
			t.Errorf("overlap %q: the old secret ends %v later, want %v", overlap, ends.Sub(created), life)
		}
		own, _ := time.Parse(time.RFC3339, got.text("client.secrets.0.expires_at"))
		if got.text("client.secrets.0.label") != "new" || own.Sub(created) != 30*24*time.Hour {
			t.Errorf("overlap %q: the new secret is %v", overlap, got.get("client.secrets.0"))
		}
	}
}

func TestSecretOfAClientThatNeverExpiresWarns(t *testing.T) {
	w := start(t)
	never := w.want(http.StatusCreated, "POST", "/clients", object{"name": "x", "workspace": "default", "expires_in": "never"}).text("client_id")
	for body, want := range map[string]int{`{}`: 1, `{"expires_in":"never"}`: 1, `{"expires_in":"30d"}`: 0} {
		if got := w.want(http.StatusCreated, "POST", "/clients/"+never+"/secrets", raw(body)); len(got.list("warnings")) != want {
			t.Errorf("%s: got the warnings %v, want %d", body, got.list("warnings"), want)
		}
	}
	if got := w.want(http.StatusOK, "GET", "/clients/"+never, nil); len(got.list("warnings")) != 1 {
		t.Errorf("a client that never expires is shown without a warning: %s", got.body)
	}
}
