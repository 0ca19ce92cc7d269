package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/store"
)

const inactive = `{"active":false}`

func TestIntrospectionOfAGoodToken(t *testing.T) {
	n := start(t)
	for _, format := range []string{"jwt", "opaque"} {
		n.setFormat(t, format)
		token := n.issue(t, by(n.Example))
		if opaque := strings.HasPrefix(token, "psa_"); opaque != (format == "opaque") || opaque && len(token) >= 512 {
			t.Errorf("%s: got a token of %d bytes, %.10s…", format, len(token), token)
		}
		got := n.introspect(t, by(n.Gateway), token)
		for _, k := range []string{"exp", "iat", "jti"} {
			if got[k] == nil {
				t.Errorf("%s: no %s in %v", format, k, got)
			}
			delete(got, k)
		}
		want := map[string]any{
			"active": true, "token_type": "Bearer", "client_id": string(n.Example.Client.ID), "sub": string(n.Example.Account.ID),
			"username": "example-client", "iss": issuer, "aud": n.API.Audience, "scope": "orders:read", "workspace": string(n.Example.Client.Workspace),
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", format, diff)
		}
	}
}

func (n *node) setFormat(t testing.TB, format string) {
	t.Helper()
	etag := n.want(t, 200, "GET", "/apis/example", nil).header.Get("ETag")
	n.want(t, 200, "PATCH", "/apis/example", map[string]any{"format": format}, "If-Match", etag)
}

func TestI01CallerMustAuthenticate(t *testing.T) {
	n := start(t)
	token := n.issue(t, by(n.Example))
	for name, edit := range map[string]func(*http.Request){
		"none":   func(*http.Request) {},
		"wrong":  func(r *http.Request) { r.SetBasicAuth(string(n.Gateway.Client.ID), "wrong") },
		"Bearer": func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) },
	} {
		r := n.formRequest(t, "/oauth2/introspect", "token="+token)
		edit(r)
		if got := do(t, r); got.status != 401 || got.error() != "invalid_client" {
			t.Errorf("%s: got %d %s", name, got.status, got.body)
		}
	}
}

func TestI02OddTokensAreInactive(t *testing.T) {
	n := start(t)
	good := n.issue(t, by(n.Example))
	parts := strings.Split(good, ".")
	last := good[len(good)-10]
	flipped := byte('A')
	if last == 'A' {
		flipped = 'B'
	}
	for name, token := range map[string]string{
		"text": "x", "dots": "..", "many dots": strings.Repeat(".", 7000), "two parts": parts[0] + "." + parts[1], "four parts": good + ".x",
		"I06 truncated": good[:len(good)-1], "I06 extended": good + "A", "I06 flipped": good[:len(good)-10] + string(flipped) + good[len(good)-9:],
		"I07 alg none":      "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0." + parts[1] + ".",
		"secret, no bearer": n.Example.Secret.Reveal(), "cut secret": n.Example.Secret.Reveal()[:60], "psa_": "psa_", "blank": " ", "8 kB and more": good + strings.Repeat("A", 8<<10),
	} {
		got := n.form(t, "/oauth2/introspect", by(n.Gateway), "token="+url.QueryEscape(token), "token_type_hint=refresh_token")
		if got.status != 200 || got.body != inactive {
			t.Errorf("%s: got %d %s; want %s", name, got.status, got.body, inactive)
		}
	}
	if got := n.form(t, "/oauth2/introspect", by(n.Gateway), "token="+good, "token_type_hint=nonsense"); got.json(t)["active"] != true {
		t.Errorf("a wrong hint: got %s", got.body)
	}
	if got := n.form(t, "/oauth2/introspect", by(n.Gateway), "token="+good, "token="+good); got.status != 400 {
		t.Errorf("I04 token twice: got %d %s", got.status, got.body)
	}
	if got := n.form(t, "/oauth2/introspect", by(n.Gateway), "x=y"); got.status != 400 {
		t.Errorf("no token: got %d %s", got.status, got.body)
	}
}

// A caller who may not introspect for the token's audience learns nothing, of
// its own token either.
func TestI03CallerWithoutRight(t *testing.T) {
	n := start(t)
	for _, token := range []string{n.issue(t, by(n.Example)), n.issue(t, by(n.Admin))} {
		if got := n.form(t, "/oauth2/introspect", by(n.Example), "token="+token); got.status != 200 || got.body != inactive {
			t.Errorf("got %d %s", got.status, got.body)
		}
	}
	if got := n.form(t, "/oauth2/introspect", by(n.Gateway), "token="+n.issue(t, by(n.Admin))); got.body != inactive {
		t.Errorf("I09 a token for another API: got %s", got.body)
	}
}

func TestI05OnlyPost(t *testing.T) {
	n := start(t)
	r := n.formRequest(t, "/oauth2/introspect?token=x", "")
	r.Method = http.MethodGet
	if got := do(t, r); got.status != http.StatusMethodNotAllowed {
		t.Errorf("got %d", got.status)
	}
}

func TestI08ExpiredByASecond(t *testing.T) {
	n := start(t)
	token := n.issue(t, by(n.Example))
	exp := claims(t, token)["exp"].(float64)
	n.clock.advance(time.Unix(int64(exp), 0).Sub(n.clock.now()) - 2*time.Second)
	if !n.active(t, token) {
		t.Error("inactive before its end")
	}
	n.clock.advance(3 * time.Second)
	if n.active(t, token) {
		t.Error("active after its end")
	}
	if got := n.decided(t, token, "GET", "/orders/1"); got != 401 {
		t.Errorf("decision after its end: got %d", got)
	}
}

// Introspection tells what is granted now, not what was at minting.
func TestIntrospectionFollowsTheGrants(t *testing.T) {
	n := start(t)
	token := n.issue(t, by(n.Example))
	account := string(n.Example.Account.ID)
	n.want(t, 200, "PUT", "/grants/default/"+account, map[string]any{"roles": []any{}})
	if n.active(t, token) {
		t.Error("active though the account holds no role any more")
	}
	n.want(t, 200, "PUT", "/grants/default/"+account, map[string]any{"roles": []any{map[string]any{"role": "example-writer"}}})
	if got := n.introspect(t, by(n.Gateway), token); got["active"] != true || got["scope"] != "orders:read" {
		t.Errorf("after a greater grant: got %v; want active, with the token's own scope", got)
	}
	if got := n.decided(t, token, "DELETE", "/orders/42"); got != 403 {
		t.Errorf("a scope that the token does not have: got %d", got)
	}
	if got := n.decided(t, n.issue(t, by(n.Example)), "DELETE", "/orders/42"); got != 200 {
		t.Errorf("a token with the new scope: got %d", got)
	}
}

// A secret that may be sent as a bearer is active for the APIs its account
// reaches, and for five minutes at most.
func TestIntrospectionOfASecret(t *testing.T) {
	n := start(t)
	made := n.want(t, 201, "POST", "/clients", map[string]any{"name": "robot", "workspace": "default", "roles": []string{"example-reader"}, "bearer": true}).json(t)
	secret := made["client_secret"].(string)
	got := n.introspect(t, by(n.Gateway), secret)
	exp, _ := got["exp"].(float64)
	if got["active"] != true || got["aud"] != n.API.Audience || got["scope"] != "orders:read" || exp-float64(n.clock.now().Unix()) > 300 || exp == 0 {
		t.Errorf("got %v", got)
	}
	if got := n.decided(t, secret, "GET", "/orders/1"); got != 200 {
		t.Errorf("decision: got %d", got)
	}
	id := store.ClientID(made["client_id"].(string))
	n.want(t, 200, "POST", "/clients/"+string(id)+"/revoke", map[string]any{})
	if n.active(t, secret) {
		t.Error("active after the revoke")
	}
}
