package api_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"postern/server/admin"
)

// DP12: a token opens no session: no answer sets a cookie, and a cookie with it
// is nothing.
func TestDP12ATokenOpensNoSession(t *testing.T) {
	w := start(t)
	m := w.machine("default", "owner")
	for _, op := range admin.Operations() {
		path := "/api/v1" + strings.TrimPrefix(parameter.ReplaceAllString(op.Path, "none"), "/api/v1")
		if op.Method == http.MethodGet {
			if got := w.call(m.secret, op.Method, strings.TrimPrefix(path, "/api/v1"), nil); got.header.Get("Set-Cookie") != "" {
				t.Errorf("%s: sets a cookie", op.Name)
			}
		}
		if op.Public {
			continue
		}
		r := httptest.NewRequestWithContext(t.Context(), op.Method, path, http.NoBody)
		for _, name := range []string{"__Host-postern", "session", "token", "Authorization"} {
			r.AddCookie(&http.Cookie{Name: name, Value: m.secret})
		}
		if got := w.serve(r); got.status != http.StatusUnauthorized {
			t.Errorf("%s with the token as a cookie: got %d, want 401", op.Name, got.status)
		}
	}
	for _, path := range []string{"/console", "/console/", "/console/clients", "/login"} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody)
		r.Header.Set("Authorization", "Bearer "+m.secret)
		if got := w.serve(r); got.status < 300 || got.header.Get("Set-Cookie") != "" {
			t.Errorf("GET %s with a token: got %d, cookie %q", path, got.status, got.header.Get("Set-Cookie"))
		}
	}
}

// DP13: deleting from a row's menu is two steps, each of them in the audit.
func TestDP13RevokeAndDeleteAreTwoStepsOfTheAudit(t *testing.T) {
	w := start(t)
	m := w.machine("default")
	at := "/clients/" + m.id
	w.want(http.StatusConflict, "DELETE", at, nil)
	w.want(http.StatusOK, "POST", at+"/revoke", nil)
	w.want(http.StatusOK, "DELETE", at, nil)
	w.want(http.StatusNotFound, "GET", at, nil)
	got := w.want(http.StatusOK, "GET", "/audit?target="+m.id, nil).body
	if strings.Count(got, `"operation":"client.revoke"`) != 1 || strings.Count(got, `"operation":"client.delete"`) != 1 {
		t.Errorf("the audit of it: %s", got)
	}
}

func TestRevokingOneSecretLeavesTheTokensOfTheOther(t *testing.T) {
	w := start(t)
	m := w.machine("default", "auditor")
	second := w.want(http.StatusCreated, "POST", "/clients/"+m.id+"/secrets", object{"keep": true})
	by := map[string]string{"first": m.secret, "second": second.text("client_secret")}
	tokens := map[string]string{}
	for name, secret := range by {
		tokens[name] = w.token(m.id, secret).text("access_token")
		for what, credential := range map[string]string{"secret": secret, "token": tokens[name]} {
			if got := w.call(credential, "GET", "/roles", nil); got.status != http.StatusOK {
				t.Fatalf("the %s %s: got %d %s", name, what, got.status, got.body)
			}
		}
	}
	w.want(http.StatusOK, "DELETE", "/clients/"+m.id+"/secrets/"+second.text("secret_id")+"?force=true", nil)
	for name, want := range map[string]int{"first": http.StatusOK, "second": http.StatusUnauthorized} {
		for what, credential := range map[string]string{"secret": by[name], "token": tokens[name]} {
			if got := w.call(credential, "GET", "/roles", nil); got.status != want {
				t.Errorf("the %s %s, after the second one was revoked: got %d, want %d", name, what, got.status, want)
			}
		}
	}
}
