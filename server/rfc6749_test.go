package server_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/server"
	"postern/server/limit"
	"postern/store"
)

// claims decodes a JWT without verifying it.
func claims(t *testing.T, token string) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is no JWT", token)
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(body, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestT00GoodRequest(t *testing.T) {
	n := start(t)
	for name, post := range map[string]func() answer{
		"client_secret_basic": func() answer { return n.form(t, "/oauth2/token", by(n.Example), wantToken) },
		"client_secret_post": func() answer {
			return n.form(t, "/oauth2/token", as{}, wantToken, "client_id="+string(n.Example.Client.ID), "client_secret="+n.Example.Secret.Reveal())
		},
	} {
		got := post()
		if got.status != http.StatusOK || got.header.Get("Cache-Control") != "no-store" || got.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: got %d %v", name, got.status, got.header)
		}
		body := got.json(t)
		text, _ := body["access_token"].(string)
		delete(body, "access_token")
		want := map[string]any{"token_type": "Bearer", "expires_in": 3600.0, "scope": "orders:read"}
		if diff := cmp.Diff(want, body); diff != "" {
			t.Errorf("%s: answer (-want +got)\n%s", name, diff)
		}
		c := claims(t, text)
		if iat, exp := c["iat"].(float64), c["exp"].(float64); exp-iat != 3600 {
			t.Errorf("%s: iat %v, exp %v", name, iat, exp)
		}
		for _, k := range []string{"iat", "exp", "jti"} {
			if c[k] == nil {
				t.Errorf("%s: the token has no %s", name, k)
			}
			delete(c, k)
		}
		wantClaims := map[string]any{
			"iss": issuer, "sub": string(n.Example.Account.ID), "client_id": string(n.Example.Client.ID), "aud": n.API.Audience,
			"scope": "orders:read", "workspace": string(n.Example.Client.Workspace), "gen": "1.1.1.1.1",
			"sid": string(n.Example.SecretID), "roles": []any{"default/example-reader"},
		}
		if diff := cmp.Diff(wantClaims, c); diff != "" {
			t.Errorf("%s: claims (-want +got)\n%s", name, diff)
		}
	}
}

// The rows T01 to T21, T27 and T28 that one request shows.
func TestTokenRequestRefused(t *testing.T) {
	n := start(t, noFailureLimit)
	id, secret := string(n.Example.Client.ID), n.Example.Secret.Reveal()
	good := by(n.Example)
	basic := func(text string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(text)) }
	type request struct {
		row    string
		body   string
		edit   func(*http.Request)
		status int
		code   string
	}
	header := func(values ...string) func(*http.Request) {
		return func(r *http.Request) { r.Header["Authorization"] = values }
	}
	rows := []request{
		{row: "T01 grant_type twice", body: wantToken + "&" + wantToken, status: 400, code: "invalid_request"},
		{row: "T02 scope twice", body: wantToken + "&scope=a&scope=b", status: 400, code: "invalid_request"},
		{row: "T03 client_id twice", body: wantToken + "&client_id=" + id + "&client_id=" + id, status: 400, code: "invalid_request"},
		{row: "T04 Basic and body secret", body: wantToken + "&client_secret=" + secret, status: 400, code: "invalid_request"},
		{row: "T05 Basic A, client_id B", body: wantToken + "&client_id=other", status: 400, code: "invalid_request"},
		{row: "T06 two Authorization headers", body: wantToken, edit: header(basic(id+":"+secret), basic(id+":"+secret)), status: 400, code: "invalid_request"},
		{row: "T07 grant_type in the query", body: "", edit: func(r *http.Request) { r.URL.RawQuery = wantToken }, status: 400, code: "invalid_request"},
		{row: "T08 secret in the query", body: wantToken, edit: func(r *http.Request) {
			r.Header.Del("Authorization")
			r.URL.RawQuery = "client_id=" + id + "&client_secret=" + secret
		}, status: 400, code: "invalid_request"},
		{row: "T10a JSON", body: `{"grant_type":"client_credentials"}`, edit: contentType("application/json"), status: 415, code: "invalid_request"},
		{row: "T10b text", body: wantToken, edit: contentType("text/plain"), status: 415, code: "invalid_request"},
		{row: "T10c multipart", body: wantToken, edit: contentType("multipart/form-data; boundary=x"), status: 415, code: "invalid_request"},
		{row: "T10d utf-16", body: wantToken, edit: contentType("application/x-www-form-urlencoded; charset=utf-16"), status: 415, code: "invalid_request"},
		{row: "T10e no content type", body: wantToken, edit: func(r *http.Request) { r.Header.Del("Content-Type") }, status: 415, code: "invalid_request"},
		{row: "T11 8 MiB body", body: wantToken + "&x=" + strings.Repeat("a", 8<<20), status: 413, code: "invalid_request"},
		{row: "T12 10,000 parameters", body: wantToken + strings.Repeat("&a=", 10_000), status: 400, code: "invalid_request"},
		{row: "T14f two words", body: wantToken, edit: header("Basic a b"), status: 401, code: "invalid_client"},
		{row: "T14a not base64", body: wantToken, edit: header("Basic !!!"), status: 401, code: "invalid_client"},
		{row: "T14b no colon", body: wantToken, edit: header(basic(id)), status: 401, code: "invalid_client"},
		{row: "T14c bad UTF-8", body: wantToken, edit: header(basic(id + ":\xff\xfe")), status: 401, code: "invalid_client"},
		{row: "T14d NUL", body: wantToken, edit: header(basic(id + ":a\x00b")), status: 401, code: "invalid_client"},
		{row: "T14e empty", body: wantToken, edit: header(""), status: 401, code: "invalid_client"},
		{row: "T14g Bearer", body: wantToken, edit: header("Bearer " + secret), status: 401, code: "invalid_client"},
		{row: "T14h Digest", body: wantToken, edit: header("Digest username=x"), status: 401, code: "invalid_client"},
		{row: "T14i 32 kB", body: wantToken, edit: header(basic(strings.Repeat("a", 24_000))), status: 401, code: "invalid_client"},
		{row: "T14j empty id", body: wantToken, edit: header(basic(":" + secret)), status: 401, code: "invalid_client"},
		{row: "T16 not its scope", body: wantToken + "&scope=orders:write", status: 400, code: "invalid_scope"},
		{row: "T16 star", body: wantToken + "&scope=*", status: 400, code: "invalid_scope"},
		{row: "T16 repeated", body: wantToken + "&scope=orders:read+orders:read", status: 400, code: "invalid_scope"},
		{row: "T19 prefix of the secret", body: wantToken, edit: header(basic(id + ":" + secret[:len(secret)-1])), status: 401, code: "invalid_client"},
		{row: "T19 secret and more", body: wantToken, edit: header(basic(id + ":" + secret + "A")), status: 401, code: "invalid_client"},
		{row: "T19 other case", body: wantToken, edit: header(basic(id + ":" + strings.ToUpper(secret))), status: 401, code: "invalid_client"},
		{row: "T19 null", body: wantToken, edit: header(basic(id + ":null")), status: 401, code: "invalid_client"},
		{row: "T20 client_id[$ne]", body: wantToken + "&client_id[$ne]=x&client_secret[$ne]=x", edit: func(r *http.Request) { r.Header.Del("Authorization") }, status: 401, code: "invalid_client"},
		{row: "T20 $where", body: wantToken, edit: header(basic("$where:" + secret)), status: 401, code: "invalid_client"},
		{row: "T20 dots", body: wantToken, edit: header(basic(id + ".secrets:" + secret)), status: 401, code: "invalid_client"},
		{row: "T27 unknown resource", body: wantToken + "&resource=https%3A%2F%2Fother.example", status: 400, code: "invalid_target"},
		{row: "T27 resource without a grant", body: wantToken + "&resource=postern", status: 400, code: "invalid_target"},
		{row: "T28 resource and audience", body: wantToken + "&resource=example&audience=example", status: 400, code: "invalid_request"},
		{row: "no credentials", body: wantToken, edit: func(r *http.Request) { r.Header.Del("Authorization") }, status: 401, code: "invalid_client"},
	}
	for i, scope := range []string{"a%00b", "%ff", "%c0%af", "a%0d%0ab", "%zz", "a%22b", "a%5Cb", "a%C2%A0b", "a%09b", strings.Repeat("a", 4096)} {
		rows = append(rows, request{row: fmt.Sprintf("T13%c scope", 'a'+i), body: wantToken + "&scope=" + scope, status: 400})
	}
	for i, grant := range []string{"password", "authorization_code", "refresh_token", "implicit", "urn:ietf:params:oauth:grant-type:device_code", "Client_Credentials", "client_credentials%20", "__proto__"} {
		rows = append(rows, request{row: fmt.Sprintf("T15%c %s", 'a'+i, grant), body: "grant_type=" + grant, status: 400, code: "unsupported_grant_type"})
	}
	rows = append(rows, request{row: "T15i empty", body: "grant_type=", status: 400, code: "invalid_request"})
	for _, row := range rows {
		t.Run(row.row, func(t *testing.T) {
			r := n.formRequest(t, "/oauth2/token", row.body)
			r.SetBasicAuth(good.id, good.secret)
			if row.edit != nil {
				row.edit(r)
			}
			got := do(t, r)
			if got.status != row.status || row.code != "" && got.error() != row.code {
				t.Errorf("got %d %s; want %d %s", got.status, got.body, row.status, row.code)
			}
			if !slices.Contains([]string{"invalid_request", "invalid_scope", "invalid_client", "invalid_target", "unsupported_grant_type"}, got.error()) {
				t.Errorf("got the error %q", got.error())
			}
			if (got.status == 401) != (got.header.Get("WWW-Authenticate") != "") || got.header.Get("Cache-Control") != "no-store" {
				t.Errorf("status %d with headers %v", got.status, got.header)
			}
		})
	}
	// Nothing of all this went into the log, at its most talkative.
	if text := n.log.String(); strings.Contains(text, secret) || strings.Contains(text, "client_secret=") {
		t.Errorf("the log holds a secret:\n%s", text)
	}
}

func contentType(value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Content-Type", value) }
}

func noFailureLimit(o *server.Options) {
	o.FailuresPerAddress, o.FailuresPerClientAddress = limit.Rate{}, limit.Rate{}
}

func TestT09OnlyPost(t *testing.T) {
	n := start(t)
	for _, method := range []string{"GET", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"} {
		r := n.formRequest(t, "/oauth2/token", "")
		r.Method = method
		if got := do(t, r); got.status != http.StatusMethodNotAllowed || got.header.Get("Allow") != "POST" {
			t.Errorf("%s: got %d, Allow %q; want 405, POST", method, got.status, got.header.Get("Allow"))
		}
	}
}

// An unknown client and a wrong secret look alike, to the byte.
func TestT17UnknownClientLooksAsWrongSecret(t *testing.T) {
	n := start(t, noFailureLimit)
	wrong := n.form(t, "/oauth2/token", as{string(n.Example.Client.ID), n.Gateway.Secret.Reveal()}, wantToken)
	unknown := n.form(t, "/oauth2/token", as{"cli000000000000000000000000", n.Gateway.Secret.Reveal()}, wantToken)
	for _, a := range []*answer{&wrong, &unknown} {
		a.header.Del("X-Request-Id")
		a.header.Del("Date")
	}
	if diff := cmp.Diff(wrong, unknown, cmp.AllowUnexported(answer{})); diff != "" || wrong.status != 401 {
		t.Errorf("status %d; a wrong secret and an unknown client differ:\n%s", wrong.status, diff)
	}
}

// Other spellings of the path are other paths, and nothing redirects.
func TestT21PathSpellings(t *testing.T) {
	n := start(t)
	for _, path := range []string{"/oauth2/token/", "//oauth2/token", "/oauth2/token;a=b", "/OAUTH2/token", "/oauth2/./token", "/oauth2/x/../token", "/oauth2/token%00", "/oauth2/token%2f"} {
		r := n.formRequest(t, "/x", wantToken)
		r.SetBasicAuth(string(n.Example.Client.ID), n.Example.Secret.Reveal())
		r.URL.Opaque = path
		if got := do(t, r); got.status == http.StatusOK || got.header.Get("Location") != "" || strings.Contains(got.body, "access_token") {
			t.Errorf("%s: got %d %s", path, got.status, got.body)
		}
	}
	r := n.formRequest(t, "/oauth2/token", wantToken)
	r.Method = "GET"
	r.Header.Set("X-HTTP-Method-Override", "POST")
	if got := do(t, r); got.status != http.StatusMethodNotAllowed {
		t.Errorf("method override: got %d", got.status)
	}
}

func TestT22IssuerComesFromConfiguration(t *testing.T) {
	n := start(t)
	for _, path := range []string{"/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"} {
		r, _ := http.NewRequestWithContext(t.Context(), "GET", n.url+path, http.NoBody)
		r.Host = "evil.example"
		for _, h := range []string{"X-Forwarded-Host", "X-Forwarded-Prefix", "Forwarded", "X-Forwarded-Proto"} {
			r.Header.Set(h, "evil.example")
		}
		got := do(t, r)
		if got.status != 200 || strings.Contains(got.body, "evil") || got.json(t)["issuer"] != issuer {
			t.Errorf("%s: got %d %s", path, got.status, got.body)
		}
	}
}

func TestT24OneClientIsLimitedOthersAreNot(t *testing.T) {
	n := start(t, func(o *server.Options) { o.TokenRate = limit.Rate{Count: 3, Per: time.Hour} })
	limited := 0
	for range 10 {
		got := n.form(t, "/oauth2/token", by(n.Example), wantToken)
		if got.status == http.StatusTooManyRequests && got.header.Get("Retry-After") != "" {
			limited++
		} else if got.status != 200 {
			t.Errorf("got %d %s", got.status, got.body)
		}
	}
	if limited != 7 {
		t.Errorf("of 10 requests at 3 an hour %d were limited; want 7", limited)
	}
	if got := n.form(t, "/oauth2/token", by(n.Admin), wantToken); got.status != 200 {
		t.Errorf("another client got %d %s", got.status, got.body)
	}
}

// L01: failures are counted by the peer's address, whatever the headers say; and
// a good secret passes all the same.
func TestL01FailuresAreLimited(t *testing.T) {
	n := start(t, func(o *server.Options) { o.FailuresPerClientAddress = limit.Rate{Count: 10, Per: time.Hour} })
	limited := 0
	for i := range 100 {
		r := n.formRequest(t, "/oauth2/token", wantToken)
		r.SetBasicAuth(string(n.Example.Client.ID), "wrong")
		for _, h := range []string{"X-Forwarded-For", "X-Real-IP", "Forwarded"} {
			r.Header.Set(h, fmt.Sprintf("192.0.2.%d", i))
		}
		if got := do(t, r); got.status == http.StatusTooManyRequests && got.header.Get("Retry-After") != "" {
			limited++
		}
	}
	if limited != 90 {
		t.Errorf("of 100 failures %d were limited; want 90", limited)
	}
	if got := n.form(t, "/oauth2/token", by(n.Example), wantToken); got.status != 200 {
		t.Errorf("the good secret got %d %s", got.status, got.body)
	}
}

// T25: what is disabled is dead on every road, at once.
func TestT25DisabledIsDeadEverywhere(t *testing.T) {
	n := start(t, noFailureLimit)
	account := func(edit func(*store.Account)) func(*testing.T) {
		return func(t *testing.T) {
			a, err := n.store.Account(t.Context(), n.Example.Account.ID)
			if err != nil {
				t.Fatal(err)
			}
			changed := *a
			edit(&changed)
			n.commit(t, store.Update(&changed))
		}
	}
	client := func(edit func(*store.Client)) func(*testing.T) {
		return func(t *testing.T) {
			c, err := n.store.Client(t.Context(), n.Example.Client.ID)
			if err != nil {
				t.Fatal(err)
			}
			changed := *c
			changed.Secrets = slices.Clone(c.Secrets)
			edit(&changed)
			n.commit(t, store.Update(&changed))
		}
	}
	for _, row := range []struct {
		name          string
		disable, undo func(*testing.T)
	}{
		{"revoked client", client(func(c *store.Client) { c.Status = store.ClientRevoked }), client(func(c *store.Client) { c.Status = store.ClientActive })},
		{"deleted client", client(func(c *store.Client) { c.Status = store.ClientDeleted }), client(func(c *store.Client) { c.Status = store.ClientActive })},
		{"expired client", client(func(c *store.Client) { c.ExpiresAt = store.At(n.clock.now()) - 1 }), client(func(c *store.Client) { c.ExpiresAt = 0 })},
		{"expired secret", client(func(c *store.Client) { c.Secrets[0].ExpiresAt = store.At(n.clock.now()) - 1 }), client(func(c *store.Client) { c.Secrets[0].ExpiresAt = 0 })},
		{"revoked secret", client(func(c *store.Client) { c.Secrets[0].RevokedAt = store.At(n.clock.now()) }), client(func(c *store.Client) { c.Secrets[0].RevokedAt = 0 })},
		{"deactivated account", account(func(a *store.Account) { a.Status = store.AccountDeactivated }), account(func(a *store.Account) { a.Status = store.AccountActive })},
	} {
		t.Run(row.name, func(t *testing.T) {
			token := n.issue(t, by(n.Example))
			if !n.active(t, token) || n.decided(t, token, "GET", "/orders/1") != 200 {
				t.Fatal("the token does not work to begin with")
			}
			row.disable(t)
			if got := n.form(t, "/oauth2/token", by(n.Example), wantToken); got.status != 401 || got.error() != "invalid_client" {
				t.Errorf("token endpoint: got %d %s", got.status, got.body)
			}
			if n.active(t, token) {
				t.Error("introspection says active")
			}
			if got := n.decided(t, token, "GET", "/orders/1"); got != 401 {
				t.Errorf("decision: got %d", got)
			}
			if got := n.restAs(t, token, "GET", "/clients", nil); got.status != 401 {
				t.Errorf("own API: got %d", got.status)
			}
			row.undo(t)
		})
	}
}

// T26: two secrets work during a rotation; the old one ends by itself, and with
// it the tokens it minted.
func TestT26RotationWithOverlap(t *testing.T) {
	n := start(t)
	id := string(n.Example.Client.ID)
	old := n.issue(t, by(n.Example))
	rotated := n.want(t, 201, "POST", "/clients/"+id+"/secrets", map[string]any{"overlap": "1h"}).json(t)
	fresh := as{id, rotated["client_secret"].(string)}
	if fresh.secret == n.Example.Secret.Reveal() {
		t.Fatal("the secret did not change")
	}
	n.issue(t, by(n.Example))
	n.issue(t, fresh)
	n.clock.advance(time.Hour + time.Second)
	if got := n.form(t, "/oauth2/token", by(n.Example), wantToken); got.status != 401 {
		t.Errorf("the old secret past its end: got %d", got.status)
	}
	if n.active(t, old) {
		t.Error("a token of the old secret outlives it")
	}
	n.issue(t, fresh)
}

func TestT28ResourceRepeatedAndNamed(t *testing.T) {
	n := start(t)
	for _, fields := range [][]string{
		{"resource=" + url.QueryEscape(n.API.Audience), "resource=" + url.QueryEscape(n.API.Audience)},
		{"resource=example"},
		{"audience=example"},
		{"resource=example", "resource=" + url.QueryEscape(n.API.Audience)},
	} {
		if got := claims(t, n.issue(t, by(n.Example), fields...))["aud"]; got != n.API.Audience {
			t.Errorf("%v: aud = %v; want %s once", fields, got, n.API.Audience)
		}
	}
}

func TestTokenEndsWithItsSecret(t *testing.T) {
	n := start(t)
	id := string(n.Example.Client.ID)
	made := n.want(t, 201, "POST", "/clients/"+id+"/secrets", map[string]any{"overlap": "0s", "expires_in": "1d"}).json(t)
	n.clock.advance(24*time.Hour - 100*time.Second)
	got := n.form(t, "/oauth2/token", as{id, made["client_secret"].(string)}, wantToken)
	if left, _ := got.json(t)["expires_in"].(float64); left < 90 || left > 100 {
		t.Errorf("a token of a secret that ends in 100 s: %d %s", got.status, got.body)
	}
}
