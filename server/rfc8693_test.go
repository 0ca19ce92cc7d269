package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/server"
	"postern/server/limit"
	"postern/server/secret"
	"postern/store"
)

const (
	wantExchange = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange"
	isAccess     = "subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token"
)

// bearer makes a service client whose secret may be sent as a bearer.
func (n *node) bearer(t testing.TB, roles ...string) as {
	t.Helper()
	made := n.want(t, 201, "POST", "/clients", map[string]any{"name": "integration", "workspace": "default", "roles": roles, "bearer": true}).json(t)
	return as{made["client_id"].(string), made["client_secret"].(string)}
}

// personal makes a personal client of the administrator, good in all workspaces.
func (n *node) personal(t testing.TB) as {
	t.Helper()
	c := &store.Client{
		ID: store.NewClientID(), Generation: 1, ClientKind: store.ClientPersonal, Name: "mine", Account: n.Admin.Account.ID,
		Status: store.ClientActive, Bearer: true, DefaultAPI: n.API.ID, CreatedAt: store.At(n.clock.now()),
	}
	text := secret.New(c.ID)
	c.Secrets = []store.ClientSecret{{ID: store.NewSecretID(), Hash: text.Hash(), Generation: 1, CreatedAt: c.CreatedAt}}
	n.commit(t, store.Insert(c))
	return as{string(c.ID), text.Reveal()}
}

// exchange presents a secret as the subject token, without any other credential.
func (n *node) exchange(t testing.TB, subject string, fields ...string) answer {
	t.Helper()
	return n.form(t, "/oauth2/token", as{}, append([]string{wantExchange, isAccess, "subject_token=" + url.QueryEscape(subject)}, fields...)...)
}

// RFC 8693 section 2.2.1.
func TestExchangeAnswersWithAnAccessToken(t *testing.T) {
	n := start(t)
	who := n.bearer(t, "example-reader")
	got := n.exchange(t, who.secret)
	if got.status != http.StatusOK || got.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("got %d %s", got.status, got.body)
	}
	body := got.json(t)
	text, _ := body["access_token"].(string)
	delete(body, "access_token")
	want := map[string]any{
		"issued_token_type": "urn:ietf:params:oauth:token-type:access_token", "token_type": "Bearer", "expires_in": 3600.0, "scope": "orders:read",
	}
	if diff := cmp.Diff(want, body); diff != "" {
		t.Errorf("answer (-want +got)\n%s", diff)
	}
	c := claims(t, text)
	if c["client_id"] != who.id || c["aud"] != n.API.Audience || c["act"] != nil {
		t.Errorf("claims: %v", c)
	}
	if !n.active(t, text) || n.decided(t, text, "GET", "/orders/1") != 200 || n.decided(t, text, "DELETE", "/orders/42") != 403 {
		t.Error("the token does not open what its client may")
	}
	// A token by client_credentials says nothing of it (RFC 6749 section 5.1).
	if got := n.form(t, "/oauth2/token", who, wantToken); strings.Contains(got.body, "issued_token_type") {
		t.Errorf("client_credentials: %s", got.body)
	}
}

// Both roads are open to people's tokens too: they act with what their owner has.
func TestPersonalTokensAreExchangedOnBothRoads(t *testing.T) {
	n := start(t)
	who := n.personal(t)
	n.want(t, 200, "PUT", "/grants/default/admin", map[string]any{"roles": []any{map[string]any{"role": "owner"}, map[string]any{"role": "example-writer"}}})
	for name, got := range map[string]answer{
		"client_credentials": n.form(t, "/oauth2/token", who, wantToken), "token exchange": n.exchange(t, who.secret),
	} {
		if got.status != http.StatusOK {
			t.Errorf("%s: got %d %s", name, got.status, got.body)
			continue
		}
		text := got.json(t)["access_token"].(string)
		if c := claims(t, text); c["sub"] != string(n.Admin.Account.ID) || c["client_id"] != who.id || c["workspace"] != nil {
			t.Errorf("%s: claims %v", name, c)
		}
		if got := n.decided(t, text, "DELETE", "/orders/42"); got != 200 {
			t.Errorf("%s: decision %d, want 200", name, got)
		}
	}
}

// Section 2.1: what is asked for may be less, and never more.
func TestExchangeNarrows(t *testing.T) {
	n := start(t)
	who := n.bearer(t, "example-reader", "example-writer")
	got := n.exchange(t, who.secret, "scope=orders%3Aread", "resource="+url.QueryEscape(n.API.Audience))
	if got.status != http.StatusOK || got.json(t)["scope"] != "orders:read" {
		t.Fatalf("narrower: %d %s", got.status, got.body)
	}
	text := got.json(t)["access_token"].(string)
	if read, drop := n.decided(t, text, "GET", "/orders/1"), n.decided(t, text, "DELETE", "/orders/42"); read != 200 || drop != 403 {
		t.Errorf("decisions with the narrower token: %d and %d, want 200 and 403", read, drop)
	}
	reader := n.bearer(t, "example-reader")
	for field, code := range map[string]string{
		"scope=orders%3Awrite": "invalid_scope", "scope=orders%3Aread+orders%3Awrite": "invalid_scope",
		"resource=urn%3Anone": "invalid_target", "resource=postern": "invalid_target", "audience=postern": "invalid_target",
	} {
		if got := n.exchange(t, reader.secret, field); got.status != 400 || got.error() != code {
			t.Errorf("%s: got %d %s, want %s", field, got.status, got.body, code)
		}
	}
}

// Section 2.1: the parameters, and section 2.2.2: what is said of wrong ones.
func TestExchangeParameters(t *testing.T) {
	n := start(t)
	who := n.bearer(t, "example-reader")
	token := "subject_token=" + who.secret
	tests := []struct {
		name   string
		fields []string
	}{
		{"no subject_token", []string{wantExchange, isAccess}},
		{"no subject_token_type", []string{wantExchange, token}},
		{"subject_token twice", []string{wantExchange, isAccess, token, token}},
		{"an id token", []string{wantExchange, token, "subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aid_token"}},
		{"an unknown type", []string{wantExchange, token, "subject_token_type=access_token"}},
		{"a refresh token wanted", []string{wantExchange, isAccess, token, "requested_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Arefresh_token"}},
		{"delegation", []string{wantExchange, isAccess, token, "actor_token=" + who.secret, "actor_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token"}},
		{"half a delegation", []string{wantExchange, isAccess, token, "actor_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token"}},
		{"another client_id", []string{wantExchange, isAccess, token, "client_id=" + string(n.Example.Client.ID)}},
		{"resource and audience", []string{wantExchange, isAccess, token, "resource=example", "audience=example"}},
	}
	for _, tt := range tests {
		got := n.form(t, "/oauth2/token", as{}, tt.fields...)
		if got.status != 400 || got.error() != "invalid_request" || strings.Contains(got.body, who.secret) {
			t.Errorf("%s: got %d %s, want invalid_request", tt.name, got.status, got.body)
		}
		if strings.HasSuffix(tt.name, "delegation") && !strings.Contains(got.body, "actor_token") {
			t.Errorf("%s: the error does not say why: %s", tt.name, got.body)
		}
	}
	for name, field := range map[string]string{
		"its own client_id": "client_id=" + who.id, "an empty actor_token is as good as none": "actor_token=",
		"the type it gets anyway": "requested_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token",
	} {
		if got := n.exchange(t, who.secret, field); got.status != http.StatusOK {
			t.Errorf("%s: got %d %s", name, got.status, got.body)
		}
	}
}

// A subject token that is no good is told apart from another by nobody.
func TestExchangeOfWhatIsNoGood(t *testing.T) {
	n := start(t, noFailureLimit)
	gone := map[string]as{}
	for _, name := range []string{"revoked", "no bearer", "elsewhere"} {
		gone[name] = n.bearer(t, "example-reader")
	}
	n.want(t, 200, "POST", "/clients/"+gone["revoked"].id+"/revoke", nil)
	n.want(t, 200, "PATCH", "/clients/"+gone["no bearer"].id, map[string]any{"bearer": false})
	n.want(t, 200, "PATCH", "/clients/"+gone["elsewhere"].id, map[string]any{"addresses": []string{"192.0.2.1"}})
	good := n.bearer(t, "example-reader")
	minted := n.issue(t, good)
	subjects := map[string]string{
		"junk": "junk", "an access token": minted, "cut": good.secret[:len(good.secret)-1], "another's checksum": good.secret[:len(good.secret)-6] + "000000",
		"unknown": secret.New(store.NewClientID()).Reveal(), "wrong": secret.New(store.ClientID(good.id)).Reveal(),
	}
	for name, who := range gone {
		subjects[name] = who.secret
	}
	bodies := map[string]bool{}
	for name, subject := range subjects {
		got := n.exchange(t, subject)
		if got.status != 400 || got.error() != "invalid_request" {
			t.Errorf("%s: got %d %s, want invalid_request", name, got.status, got.body)
		}
		bodies[got.body] = true
	}
	if len(bodies) != 1 {
		t.Errorf("the answers differ: %v", bodies)
	}
	// SCIM tokens get no access tokens at all.
	scim := n.want(t, 201, "POST", "/clients", map[string]any{"name": "scim", "workspace": "default", "roles": []string{"example-reader"}, "scim_only": true}).json(t)
	if got := n.exchange(t, scim["client_secret"].(string)); got.error() != "unauthorized_client" {
		t.Errorf("SCIM only: got %d %s", got.status, got.body)
	}
	expired := n.bearer(t, "example-reader")
	n.clock.advance(91 * 24 * time.Hour)
	if got := n.exchange(t, expired.secret); got.error() != "invalid_request" {
		t.Errorf("expired: got %d %s", got.status, got.body)
	}
}

// Section 2.1: client authentication is optional, and whoever authenticates
// exchanges their own.
func TestExchangeWithClientAuthentication(t *testing.T) {
	n := start(t)
	who := n.bearer(t, "example-reader")
	fields := []string{wantExchange, isAccess, "subject_token=" + who.secret}
	if got := n.form(t, "/oauth2/token", who, fields...); got.status != http.StatusOK {
		t.Errorf("its own client: got %d %s", got.status, got.body)
	}
	if got := n.form(t, "/oauth2/token", by(n.Example), fields...); got.status != 400 || got.error() != "invalid_request" {
		t.Errorf("another client: got %d %s, want invalid_request", got.status, got.body)
	}
	if got := n.form(t, "/oauth2/token", as{who.id, "wrong"}, fields...); got.status != 401 || got.error() != "invalid_client" {
		t.Errorf("a wrong secret: got %d %s, want invalid_client", got.status, got.body)
	}
	if got := n.form(t, "/oauth2/token", as{}, append(fields, "client_id="+who.id, "client_secret="+who.secret)...); got.status != http.StatusOK {
		t.Errorf("by the body: got %d %s", got.status, got.body)
	}
	// The way of authenticating that its client is left with binds it here too.
	c, err := n.store.Client(t.Context(), store.ClientID(who.id))
	if err != nil {
		t.Fatal(err)
	}
	basic := *c
	basic.AuthMethods = []string{"client_secret_basic"}
	n.commit(t, store.Update(&basic))
	if got := n.exchange(t, who.secret); got.error() != "invalid_request" {
		t.Errorf("a client that authenticates by header alone: got %d %s", got.status, got.body)
	}
}

func TestExchangeGuessesAreLimited(t *testing.T) {
	n := start(t, func(o *server.Options) { o.FailuresPerClientAddress = limit.Rate{Count: 3, Per: time.Minute} })
	who := n.bearer(t, "example-reader")
	var last answer
	for range 5 {
		last = n.exchange(t, secret.New(store.ClientID(who.id)).Reveal())
	}
	if last.status != http.StatusTooManyRequests || last.header.Get("Retry-After") == "" {
		t.Errorf("after five guesses: got %d %s, want 429", last.status, last.body)
	}
	if got := n.exchange(t, who.secret); got.status != http.StatusOK {
		t.Errorf("the right one: got %d %s, want 200", got.status, got.body)
	}
}

// RFC 8414 section 2.
func TestMetadataListsTokenExchange(t *testing.T) {
	n := start(t)
	for _, path := range []string{"/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"} {
		want := []any{"client_credentials", "urn:ietf:params:oauth:grant-type:token-exchange"}
		if diff := cmp.Diff(want, n.get(t, path).json(t)["grant_types_supported"]); diff != "" {
			t.Errorf("%s (-want +got)\n%s", path, diff)
		}
	}
}

// Ending one secret kills the tokens it minted, wherever they are shown, and
// nothing else of the client.
func TestBlastRadiusOfOneSecret(t *testing.T) {
	n := start(t)
	first := n.bearer(t, "example-reader")
	made := n.want(t, 201, "POST", "/clients/"+first.id+"/secrets", map[string]any{"keep": true, "label": "second"}).json(t)
	second := as{first.id, made["client_secret"].(string)}
	minted := map[string][]string{}
	for name, who := range map[string]as{"first": first, "second": second} {
		minted[name] = []string{n.issue(t, who), n.exchange(t, who.secret).json(t)["access_token"].(string), who.secret}
	}
	n.setFormat(t, "opaque")
	for name, who := range map[string]as{"first": first, "second": second} {
		minted[name] = append(minted[name], n.issue(t, who))
	}
	secrets := n.want(t, 200, "GET", "/clients/"+first.id, nil).json(t)["secrets"].([]any)
	for _, s := range secrets {
		if s := s.(map[string]any); s["label"] == "" {
			n.want(t, 200, "DELETE", "/clients/"+first.id+"/secrets/"+s["id"].(string)+"?force=true", nil)
		}
	}
	for name, want := range map[string]struct {
		active          bool
		decision, token int
		client          as
	}{"first": {false, 401, 401, first}, "second": {true, 200, 200, second}} {
		for i, text := range minted[name] {
			if got := n.active(t, text); got != want.active {
				t.Errorf("%s secret, credential %d: introspection says %v", name, i, got)
			}
			if got := n.decided(t, text, "GET", "/orders/1"); got != want.decision {
				t.Errorf("%s secret, credential %d: decision %d, want %d", name, i, got, want.decision)
			}
		}
		if got := n.form(t, "/oauth2/token", want.client, wantToken); got.status != want.token {
			t.Errorf("%s secret: the token endpoint says %d %s", name, got.status, got.body)
		}
	}
	if got := n.exchange(t, first.secret); got.error() != "invalid_request" {
		t.Errorf("exchange of the ended secret: %d %s", got.status, got.body)
	}
}
