package server_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// The one-time link of an invitation is a page without script: it sets the
// password, once, and says so.
func TestInvitationPage(t *testing.T) {
	n := start(t)
	var invited struct{ Token, Link string }
	made := n.want(t, http.StatusCreated, http.MethodPost, "/accounts", map[string]any{"name": "ann"})
	if err := json.Unmarshal([]byte(made.body), &invited); err != nil {
		t.Fatal(err)
	}
	token := invited.Token
	if token == "" || invited.Link != issuer+"/console/invitation?token="+token {
		t.Fatalf("the invitation is %s", made.body)
	}
	page := func(method string, form url.Values) (int, string, http.Header) {
		t.Helper()
		target := n.url + "/console/invitation"
		var body io.Reader = http.NoBody
		if method == http.MethodGet {
			target += "?" + form.Encode()
		} else {
			body = strings.NewReader(form.Encode())
		}
		req, err := http.NewRequestWithContext(t.Context(), method, target, body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Sec-Fetch-Site", "same-origin")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(text), resp.Header
	}
	status, text, header := page(http.MethodGet, url.Values{"token": {token}})
	if status != http.StatusOK || !strings.Contains(text, `value="`+token+`"`) {
		t.Errorf("the link: got %d %s", status, text)
	}
	for name, want := range map[string]string{"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff"} {
		if got := header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if got := header.Get("Content-Security-Policy"); !strings.HasPrefix(got, "default-src 'none'") {
		t.Errorf("the content security policy is %q", got)
	}
	const good = "correct horse battery"
	for name, tt := range map[string]struct {
		form   url.Values
		status int
		says   string
	}{
		"two that differ":  {url.Values{"token": {token}, "password": {good}, "again": {good + "x"}}, http.StatusUnprocessableEntity, "not the same"},
		"a short one":      {url.Values{"token": {token}, "password": {"short"}, "again": {"short"}}, http.StatusUnprocessableEntity, "at least 12 characters"},
		"a foreign token":  {url.Values{"token": {`"><img src=x onerror=alert(1)>`}, "password": {good}, "again": {good}}, http.StatusUnprocessableEntity, "used, expired or unknown"},
		"no token":         {url.Values{"password": {good}, "again": {good}}, http.StatusUnprocessableEntity, "used, expired or unknown"},
		"a form too large": {url.Values{"token": {strings.Repeat("x", 20<<10)}}, http.StatusUnprocessableEntity, "could not be read"},
	} {
		status, text, _ := page(http.MethodPost, tt.form)
		if status != tt.status || !strings.Contains(text, tt.says) || strings.Contains(text, "<img") {
			t.Errorf("%s: got %d %s, want %d and %q", name, status, text, tt.status, tt.says)
		}
	}
	status, text, _ = page(http.MethodPost, url.Values{"token": {token}, "password": {good}, "again": {good}})
	if status != http.StatusOK || !strings.Contains(text, "sign in as <strong>ann</strong>") || strings.Contains(text, good) {
		t.Errorf("the password is set: got %d %s", status, text)
	}
	if status, _, _ = page(http.MethodPost, url.Values{"token": {token}, "password": {good}, "again": {good}}); status != http.StatusUnprocessableEntity {
		t.Errorf("again: got %d, want 422", status)
	}
	if _, text, _ = page(http.MethodGet, url.Values{}); !strings.Contains(text, "not whole") {
		t.Errorf("without a token: %s", text)
	}
	if strings.Contains(n.log.String(), token) || strings.Contains(n.log.String(), good) {
		t.Error("the log holds the token or the password")
	}
}
