package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc/oidctest"

	"postern/server"
	"postern/server/console"
	"postern/server/secret"
)

// forger is an identity provider that says what a test wants it to.
type forger struct {
	*httptest.Server
	key   *ecdsa.PrivateKey
	down  atomic.Bool
	basic atomic.Bool // the code came with the secret as Basic

	token func() string // the next ID token
	info  map[string]any
	long  bool // answers without an end
}

func newForger(t *testing.T) *forger {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	f := &forger{key: key}
	keys := &oidctest.Server{PublicKeys: []oidctest.PublicKey{{PublicKey: key.Public(), KeyID: "k", Algorithm: "ES256"}}}
	f.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		say := func(v any) {
			w.Header().Set("Content-Type", "application/json")
			if err := json.NewEncoder(w).Encode(v); err != nil {
				t.Error(err)
			}
		}
		switch {
		case f.down.Load():
			w.WriteHeader(http.StatusBadGateway)
		case r.URL.Path == "/.well-known/openid-configuration":
			say(map[string]any{
				"issuer": f.URL, "authorization_endpoint": f.URL + "/auth", "token_endpoint": f.URL + "/token", "jwks_uri": f.URL + "/keys",
				"userinfo_endpoint": f.URL + "/userinfo", "id_token_signing_alg_values_supported": []string{"ES256", "HS256", "none"},
			})
		case r.URL.Path == "/token" && f.long:
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"access_token":"` + strings.Repeat("x", 1<<20) + `"}`)) // who asked hangs up
		case r.URL.Path == "/token":
			id, _, ok := r.BasicAuth()
			f.basic.Store(ok && id == "postern")
			say(map[string]any{"access_token": "a", "token_type": "Bearer", "id_token": f.token()})
		case r.URL.Path == "/userinfo":
			say(f.info)
		default:
			keys.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(f.Close)
	keys.SetIssuer(f.URL)
	return f
}

func (f *forger) use(o *server.Options) {
	roots := x509.NewCertPool()
	roots.AddCert(f.Certificate())
	o.OutboundRoots, o.OutboundAllow, o.CreateAccounts = roots, []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, true
	o.OIDC = &console.OIDC{Issuer: f.URL, ClientID: "postern", ClientSecret: secret.Of("s3cret"), Scopes: []string{"openid"}, GroupsClaim: "groups"}
}

// begin begins a sign-in and returns its state and nonce.
func (b *browser) begin(t *testing.T, query string) (state, nonce string) {
	t.Helper()
	got := b.want(t, http.StatusSeeOther, "/console/oidc/start"+query, nil)
	to, err := url.Parse(got.header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	return to.Query().Get("state"), to.Query().Get("nonce")
}

// A provider's answer is believed for its signature, audience, issuer, age and
// nonce, and its claims for the subject of the ID token.
func TestWhatAProviderSaysIsVerified(t *testing.T) {
	f := newForger(t)
	n := start(t, f.use)
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := n.clock.now()
	claims := func(nonce string, edit map[string]any) string {
		t.Helper()
		said := map[string]any{
			"iss": f.URL, "sub": "s-1", "aud": "postern", "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(), "nonce": nonce,
			"preferred_username": "ann", "name": "Ann", "email": "ann@example.com", "groups": []string{},
		}
		maps.Copy(said, edit)
		maps.DeleteFunc(said, func(_ string, v any) bool { return v == nil })
		text, err := json.Marshal(said)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	signed := func(edit map[string]any) func(string) string {
		return func(nonce string) string { return oidctest.SignIDToken(f.key, "k", "ES256", claims(nonce, edit)) }
	}
	without := map[string]any{"preferred_username": nil}
	for _, tt := range []struct {
		name, query string
		token       func(nonce string) string
		info        map[string]any
		long        bool
		want        bool
	}{
		{name: "a good one", token: signed(nil), want: true},
		{name: "another nonce", token: signed(map[string]any{"nonce": "x"})},
		{name: "no nonce", token: signed(map[string]any{"nonce": nil})},
		{name: "another audience", token: signed(map[string]any{"aud": "other"})},
		{name: "another issuer", token: signed(map[string]any{"iss": "https://other.example"})},
		{name: "an old one", token: signed(map[string]any{"exp": now.Add(-time.Minute).Unix()})},
		{name: "another key", token: func(nonce string) string { return oidctest.SignIDToken(other, "k", "ES256", claims(nonce, nil)) }},
		{name: "no signature", token: func(nonce string) string {
			whole := strings.Split(oidctest.SignIDToken(f.key, "k", "ES256", claims(nonce, nil)), ".")
			return "eyJhbGciOiJub25lIn0." + whole[1] + "."
		}},
		{name: "none", token: func(string) string { return "" }},
		{name: "an answer without an end", token: signed(nil), long: true},
		{name: "a name by userinfo", token: signed(without), info: map[string]any{"sub": "s-1", "preferred_username": "ann"}, want: true},
		{name: "userinfo of somebody else", token: signed(without), info: map[string]any{"sub": "s-2", "preferred_username": "ann"}},
		{name: "userinfo of nobody", token: signed(without), info: map[string]any{"preferred_username": "ann"}},
		{name: "proved again", query: "?again=1", token: signed(map[string]any{"auth_time": now.Unix()}), want: true},
		{name: "proved long ago, when it is wanted again", query: "?again=1", token: signed(map[string]any{"auth_time": now.Add(-time.Hour).Unix()})},
		{name: "not said when, when it is wanted again", query: "?again=1", token: signed(nil)},
	} {
		b := &browser{n, map[string]string{}}
		state, nonce := b.begin(t, tt.query)
		f.token, f.info, f.long = func() string { return tt.token(nonce) }, tt.info, tt.long
		got := b.send(t, "/console/oidc/callback?"+url.Values{"code": {"c"}, "state": {state}}.Encode(), nil)
		status := map[bool]int{true: http.StatusOK, false: http.StatusUnprocessableEntity}[tt.want]
		if in := b.cookies["__Host-postern-session"] != ""; in != tt.want || got.status != status {
			t.Errorf("%s: got %d, signed in: %t\n%s", tt.name, got.status, in, main(got.body))
		}
		if strings.Contains(got.body, "oidc:") || strings.Contains(n.log.String(), "s3cret") {
			t.Errorf("%s: the page or the log says too much: %s", tt.name, main(got.body))
		}
	}
	if !f.basic.Load() {
		t.Error("a provider that says nothing of it gets the secret not as Basic")
	}
	// Ten minutes are enough.
	b := &browser{n, map[string]string{}}
	state, nonce := b.begin(t, "")
	f.token, f.long = func() string { return signed(map[string]any{"exp": now.Add(time.Hour).Unix()})(nonce) }, false
	n.clock.advance(10 * time.Minute)
	if got := b.send(t, "/console/oidc/callback?"+url.Values{"code": {"c"}, "state": {state}}.Encode(), nil); got.status != http.StatusUnprocessableEntity || b.cookies["__Host-postern-session"] != "" {
		t.Errorf("after ten minutes: got %d", got.status)
	}
}

// A provider that does not answer is said to, and asked again the next time.
func TestAProviderThatDoesNotAnswer(t *testing.T) {
	f := newForger(t)
	n := start(t, f.use)
	b := &browser{n, map[string]string{}}
	f.down.Store(true)
	if got := b.want(t, http.StatusServiceUnavailable, "/console/oidc/start", nil); !strings.Contains(got.body, "does not answer as it should") || strings.Contains(got.body, "502") {
		t.Errorf("it says %s", main(got.body))
	}
	f.down.Store(false)
	b.begin(t, "")
}

// One that is called by this machine alone is not called, unless it is allowed.
func TestAProviderIsCalledAsOthersAre(t *testing.T) {
	f := newForger(t)
	n := start(t, f.use, func(o *server.Options) { o.OutboundAllow = nil })
	b := &browser{n, map[string]string{}}
	b.want(t, http.StatusServiceUnavailable, "/console/oidc/start", nil)
	if !strings.Contains(n.log.String(), "outbound.allow") {
		t.Error("the log does not say why")
	}
}

// Without a provider there is no way by one.
func TestWithoutAProviderThereIsNone(t *testing.T) {
	n := start(t)
	b := &browser{n, map[string]string{}}
	if got := b.send(t, "/console/oidc/start", nil); !strings.HasPrefix(got.header.Get("Location"), "/console/sign-in") {
		t.Errorf("it sends to %s", got.header.Get("Location"))
	}
	if got := b.want(t, http.StatusOK, "/console/sign-in", nil); strings.Contains(got.body, "oidc") {
		t.Error("the page to sign in offers one")
	}
}

// Who signs in by a provider too often from one address waits, before it is asked.
func TestSignInsByAProviderAreCounted(t *testing.T) {
	f := newForger(t)
	n := start(t, f.use)
	asked := 0
	f.token = func() string { asked++; return "" }
	for i := range 101 {
		b := &browser{n, map[string]string{}}
		state, _ := b.begin(t, "")
		got := b.send(t, "/console/oidc/callback?"+url.Values{"code": {"c"}, "state": {state}}.Encode(), nil)
		if want := map[bool]int{true: http.StatusTooManyRequests, false: http.StatusUnprocessableEntity}[i == 100]; got.status != want {
			t.Fatalf("attempt %d: got %d, want %d", i, got.status, want)
		}
	}
	if asked != 100 {
		t.Errorf("the provider was asked %d times, want 100", asked)
	}
}
