package api_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
)

// telephone is a person with a second factor that waits for its confirmation, and
// its secret.
func (w *world) telephone(name string) (person, string) {
	w.t.Helper()
	p := w.person(name, "default", "member")
	made := w.as(p.name, p.password, "POST", "/me/totp", object{"password": p.password})
	if made.status != http.StatusCreated {
		w.t.Fatalf("a second factor: got %d %s", made.status, made.body)
	}
	return p, made.text("totp_secret")
}

// code is what a telephone shows now.
func (w *world) code(secret string) string {
	w.t.Helper()
	code, err := totp.GenerateCode(secret, w.now())
	if err != nil {
		w.t.Fatal(err)
	}
	return code
}

// coded is as with a code beside name and password.
func (w *world) coded(p person, code, method, path string, body any) answer {
	w.t.Helper()
	r := httptest.NewRequestWithContext(w.t.Context(), method, "/", http.NoBody)
	r.SetBasicAuth(p.name, p.password)
	return w.call("", method, path, body, "Authorization", r.Header.Get("Authorization"), "Postern-OTP", code)
}

// With a second factor a name and password open nothing without a code in
// Postern-OTP, each of which is good once; tokens go on as they are.
func TestSecondFactorBesideNameAndPassword(t *testing.T) {
	w := start(t)
	w.everyone("default")
	p, secret := w.telephone("ann")
	token := w.personal(p, object{"name": "laptop"})
	if got := w.as("ann", p.password, "POST", "/me/totp/confirm", object{"code": "12345"}); got.status != http.StatusUnprocessableEntity || got.text("errors.0.location") != "body.code" {
		t.Errorf("confirm by a wrong code: got %d %s", got.status, got.body)
	}
	confirmed := w.as("ann", p.password, "POST", "/me/totp/confirm", object{"code": w.code(secret)})
	if confirmed.status != http.StatusOK || len(confirmed.list("recovery_codes")) != 10 {
		t.Fatalf("confirm: got %d %s", confirmed.status, confirmed.body)
	}
	recovery := confirmed.text("recovery_codes.0")
	got := w.as("ann", p.password, "POST", "/me/clients", object{"name": "x"})
	if got.status != http.StatusUnauthorized || !strings.Contains(got.text("detail"), "Postern-OTP") || got.header.Get("Postern-OTP") != "required" || !strings.HasPrefix(got.header.Get("WWW-Authenticate"), "Basic ") {
		t.Errorf("by the password alone: got %d %s %v", got.status, got.body, got.header)
	}
	if got := w.as("ann", "a wrong password!", "GET", "/me", nil); got.status != http.StatusUnauthorized || got.header.Get("Postern-OTP") != "" || strings.Contains(got.body, "second factor") {
		t.Errorf("a wrong password tells of the second factor: %s %v", got.body, got.header)
	}
	w.later(30 * time.Second)
	good := w.code(secret)
	for _, tt := range []struct {
		name, code string
		want       int
	}{
		{"a wrong code", "00000", http.StatusUnauthorized},
		{"a code", good, http.StatusCreated},
		{"the code again", good, http.StatusUnauthorized},
		{"a recovery code", recovery, http.StatusCreated},
		{"the recovery code again", recovery, http.StatusUnauthorized},
	} {
		if got := w.coded(p, tt.code, "POST", "/me/clients", object{"name": "x"}); got.status != tt.want {
			t.Errorf("%s: got %d %s, want %d", tt.name, got.status, got.body, tt.want)
		}
	}
	me := w.call(token.secret, "GET", "/me", nil)
	if me.status != http.StatusOK || me.get("account.second_factor") != true {
		t.Errorf("by a token of before: got %d %s", me.status, me.body)
	}
	for _, path := range []string{"/me/totp", "/me/totp/confirm", "/me/totp/delete"} {
		if got := w.call(token.secret, "POST", path, object{"password": p.password}); got.status != http.StatusForbidden && got.status != http.StatusUnprocessableEntity {
			t.Errorf("POST %s by a token: got %d %s", path, got.status, got.body)
		}
	}
	if got := w.as("ann", p.password, "POST", "/me/totp/delete", object{"password": p.password}); got.status != http.StatusUnauthorized {
		t.Errorf("remove it by the password alone: got %d %s", got.status, got.body)
	}
	for _, shown := range []string{secret, good, recovery, confirmed.text("recovery_codes.1")} {
		if strings.Contains(w.log.String(), shown) || strings.Contains(w.everything(), shown) {
			t.Errorf("%.6s… is in the log or the store", shown)
		}
	}
	w.want(http.StatusOK, "DELETE", "/accounts/ann/totp", nil)
	if got := w.as("ann", p.password, "GET", "/me", nil); got.status != http.StatusOK {
		t.Errorf("after an administrator removed it: got %d %s", got.status, got.body)
	}
}
