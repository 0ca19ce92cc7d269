package server_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/server"
)

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// signer is a client's key.
type signer struct {
	alg, kid string
	key      crypto.Signer
}

func newSigner(t testing.TB, alg, kid string) *signer {
	t.Helper()
	s := &signer{alg: alg, kid: kid}
	var err error
	switch alg {
	case "ES256":
		s.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "EdDSA":
		_, s.key, err = ed25519.GenerateKey(rand.Reader)
	default:
		s.key, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func b64(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }

// jwk is the public key.
func (s *signer) jwk() string {
	k := map[string]string{"kid": s.kid, "use": "sig"}
	switch public := s.key.Public().(type) {
	case *ecdsa.PublicKey:
		raw, _ := public.Bytes()
		k["kty"], k["crv"], k["x"], k["y"] = "EC", "P-256", b64(raw[1:33]), b64(raw[33:])
	case ed25519.PublicKey:
		k["kty"], k["crv"], k["x"] = "OKP", "Ed25519", b64(public)
	case *rsa.PublicKey:
		k["kty"], k["n"], k["e"] = "RSA", b64(public.N.Bytes()), b64(big.NewInt(int64(public.E)).Bytes())
	}
	text, _ := json.Marshal(k)
	return string(text)
}

// sign signs a header and claims as they are.
func (s *signer) sign(header, payload string) string {
	signed := b64([]byte(header)) + "." + b64([]byte(payload))
	sum := sha256.Sum256([]byte(signed))
	var signature []byte
	switch key := s.key.(type) {
	case *ecdsa.PrivateKey:
		r, v, _ := ecdsa.Sign(rand.Reader, key, sum[:])
		signature = append(r.FillBytes(make([]byte, 32)), v.FillBytes(make([]byte, 32))...)
	case ed25519.PrivateKey:
		signature = ed25519.Sign(key, []byte(signed))
	case *rsa.PrivateKey:
		if s.alg == "PS256" {
			signature, _ = rsa.SignPSS(rand.Reader, key, crypto.SHA256, sum[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		} else {
			signature, _ = rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
		}
	}
	return signed + "." + b64(signature)
}

// assertionClaims are those of an assertion for a minute, of which some are changed; nil takes one away.
func assertionClaims(client string, now time.Time, change map[string]any) string {
	c := map[string]any{"iss": client, "sub": client, "aud": issuer, "jti": rand.Text(), "iat": now.Unix(), "exp": now.Unix() + 60}
	for k, v := range change {
		if v == nil {
			delete(c, k)
		} else {
			c[k] = v
		}
	}
	text, _ := json.Marshal(c)
	return string(text)
}

func (s *signer) header() string {
	text, _ := json.Marshal(map[string]string{"alg": s.alg, "kid": s.kid, "typ": "JWT"})
	return string(text)
}

// assert signs an assertion of a client.
func (s *signer) assert(client string, now time.Time, change map[string]any) string {
	return s.sign(s.header(), assertionClaims(client, now, change))
}

// tokenBy asks for a token with an assertion.
func (n *node) tokenBy(t testing.TB, assertion string, more ...string) answer {
	t.Helper()
	body := "grant_type=client_credentials&client_assertion_type=" + url.QueryEscape(assertionType) + "&client_assertion=" + url.QueryEscape(assertion)
	for _, m := range more {
		body += "&" + m
	}
	return do(t, n.formRequest(t, "/oauth2/token", body))
}

// register registers a key of a client.
func (n *node) register(t testing.TB, client string, body map[string]any) {
	t.Helper()
	n.want(t, 201, "POST", "/clients/"+client+"/secrets", body)
}

func TestA00AClientSignsWithItsKey(t *testing.T) {
	n := start(t)
	client := string(n.Example.Client.ID)
	for _, alg := range []string{"ES256", "EdDSA", "RS256", "PS256"} {
		s := newSigner(t, alg, "key of "+alg)
		n.register(t, client, map[string]any{"jwk": s.jwk(), "keep": true, "label": alg})
		got := n.tokenBy(t, s.assert(client, n.clock.now(), nil))
		if got.status != 200 {
			t.Fatalf("%s: got %d %s", alg, got.status, got.body)
		}
		text, _ := got.json(t)["access_token"].(string)
		if !n.active(t, text) || n.decided(t, text, "GET", "/orders/7") != 200 {
			t.Errorf("%s: its token is not good", alg)
		}
		for name, assertion := range map[string]string{
			"no kid":      s.sign(`{"alg":"`+alg+`"}`, assertionClaims(client, n.clock.now(), nil)),
			"a fraction":  s.assert(client, n.clock.now(), map[string]any{"exp": float64(n.clock.now().Unix()) + 59.5, "iat": float64(n.clock.now().Unix()) - 0.25}),
			"9 s ahead":   s.assert(client, n.clock.now().Add(9*time.Second), nil),
			"without iat": s.assert(client, n.clock.now(), map[string]any{"iat": nil}),
		} {
			if got := n.tokenBy(t, assertion, "client_id="+client); got.status != 200 {
				t.Errorf("%s, %s: got %d %s", alg, name, got.status, got.body)
			}
		}
		once := s.assert(client, n.clock.now(), nil)
		if got := n.tokenBy(t, once); got.status != 200 {
			t.Errorf("%s: got %d %s", alg, got.status, got.body)
		}
		if got := n.tokenBy(t, once); got.status != 401 || got.error() != "invalid_client" {
			t.Errorf("%s, again: got %d %s", alg, got.status, got.body)
		}
		r := n.formRequest(t, "/oauth2/revoke", "token="+text+"&client_assertion_type="+url.QueryEscape(assertionType)+"&client_assertion="+s.assert(client, n.clock.now(), nil))
		if got := do(t, r); got.status != 200 || n.active(t, text) {
			t.Errorf("%s: the revocation got %d", alg, got.status)
		}
		// A key ends as a secret does, with the tokens it minted.
		got = n.tokenBy(t, s.assert(client, n.clock.now(), nil))
		text, _ = got.json(t)["access_token"].(string)
		shown, _ := n.want(t, 200, "GET", "/clients/"+client, nil).json(t)["secrets"].([]any)
		for _, each := range shown {
			if secret, _ := each.(map[string]any); secret["label"] == alg {
				n.want(t, 200, "DELETE", fmt.Sprintf("/clients/%s/secrets/%s?force=true", client, secret["id"]), nil)
			}
		}
		if n.active(t, text) {
			t.Errorf("%s: the key ended and its token did not", alg)
		}
		if got := n.tokenBy(t, s.assert(client, n.clock.now(), nil)); got.status != 401 {
			t.Errorf("%s: the key ended, got %d", alg, got.status)
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.url+"/.well-known/oauth-authorization-server", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	said := do(t, r).json(t)
	if !strings.Contains(fmt.Sprint(said["token_endpoint_auth_methods_supported"]), "private_key_jwt") || !strings.Contains(fmt.Sprint(said["token_endpoint_auth_signing_alg_values_supported"]), "ES256") {
		t.Errorf("the metadata says %v, %v", said["token_endpoint_auth_methods_supported"], said["token_endpoint_auth_signing_alg_values_supported"])
	}
}

func TestA25OfFiftyAtOnceOneIsGood(t *testing.T) {
	n := start(t)
	client := string(n.Example.Client.ID)
	s := newSigner(t, "ES256", "k")
	n.register(t, client, map[string]any{"jwk": s.jwk()})
	assertion := s.assert(client, n.clock.now(), nil)
	var good, refused atomic.Int64
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			switch got := n.tokenBy(t, assertion); got.status {
			case 200:
				good.Add(1)
			case 401, 429: // so many failures are one too many
				refused.Add(1)
			default:
				t.Errorf("got %d %s", got.status, got.body)
			}
		})
	}
	all.Wait()
	if good.Load() != 1 || refused.Load() != 49 {
		t.Errorf("%d were good and %d refused", good.Load(), refused.Load())
	}
}

// uncounted lets failures have no end.
func uncounted(o *server.Options) {
	o.FailuresPerClientAddress.Count, o.FailuresPerAddress.Count = 0, 0
}

// Rows A01 to A27: whatever is wrong is invalid_client.
func TestA01ToA27WhatIsWrongWithAnAssertion(t *testing.T) {
	n := start(t, uncounted)
	client, other := string(n.Example.Client.ID), string(n.Gateway.Client.ID)
	s, strange := newSigner(t, "ES256", "k"), newSigner(t, "ES256", "k")
	n.register(t, client, map[string]any{"jwk": s.jwk(), "keep": true})
	now := n.clock.now()
	unix := now.Unix()
	mac := func(key []byte) string {
		signed := b64([]byte(`{"alg":"HS256"}`)) + "." + b64([]byte(assertionClaims(client, now, nil)))
		m := hmac.New(sha256.New, key)
		_, _ = m.Write([]byte(signed))
		return signed + "." + b64(m.Sum(nil))
	}
	good := func() string { return assertionClaims(client, now, nil) }
	whole := s.assert(client, now, nil)
	signature := func(raw []byte) string { return whole[:strings.LastIndex(whole, ".")+1] + b64(raw) }
	der, err := s.key.Sign(rand.Reader, make([]byte, 32), crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	for name, assertion := range map[string]string{
		"A01 no aud":              s.assert(client, now, map[string]any{"aud": nil}),
		"A02 another aud":         s.assert(client, now, map[string]any{"aud": "https://other.example"}),
		"A03 the token endpoint":  s.assert(client, now, map[string]any{"aud": issuer + "/oauth2/token"}),
		"A04 an array":            s.assert(client, now, map[string]any{"aud": []string{issuer}}),
		"A05 expired":             s.assert(client, now, map[string]any{"exp": unix - 1}),
		"A06 no exp":              s.assert(client, now, map[string]any{"exp": nil}),
		"A07 ten years":           s.assert(client, now, map[string]any{"exp": unix + 10*365*86400}),
		"A08 iat in an hour":      s.assert(client, now, map[string]any{"iat": unix + 3600}),
		"A09 nbf in an hour":      s.assert(client, now, map[string]any{"nbf": unix + 3600}),
		"A10 no jti":              s.assert(client, now, map[string]any{"jti": nil}),
		"A11 iss of another":      s.assert(client, now, map[string]any{"iss": other}),
		"A12 sub of another":      s.assert(client, now, map[string]any{"sub": other}),
		"A12 both of another":     s.assert(other, now, nil),
		"A13 exp a text":          s.assert(client, now, map[string]any{"exp": fmt.Sprint(unix + 60)}),
		"A14 exp 1e400":           s.sign(s.header(), strings.Replace(good(), fmt.Sprint(unix+60), "1e400", 1)),
		"A15 jti of 10 kB":        s.assert(client, now, map[string]any{"jti": strings.Repeat("j", 10_000)}),
		"A15 jti of 129 bytes":    s.assert(client, now, map[string]any{"jti": strings.Repeat("j", 129)}),
		"A15 jti of 100 kB":       s.assert(client, now, map[string]any{"jti": strings.Repeat("j", 100_000)}),
		"A16 sub an object":       s.assert(client, now, map[string]any{"sub": map[string]string{"a": client}}),
		"A17 exp negative":        s.assert(client, now, map[string]any{"exp": -unix}),
		"A17 exp null":            s.sign(s.header(), strings.Replace(good(), fmt.Sprint(unix+60), "null", 1)),
		"A20 none":                b64([]byte(`{"alg":"none"}`)) + "." + b64([]byte(good())) + ".",
		"A20 None":                s.sign(`{"alg":"None"}`, good()),
		"A20 NONE":                s.sign(`{"alg":"NONE"}`, good()),
		"A20 no alg":              s.sign(`{}`, good()),
		"A20 alg null":            s.sign(`{"alg":null}`, good()),
		"A21 HS256 by the JWK":    mac([]byte(s.jwk())),
		"A21 HS256 by nothing":    mac(nil),
		"A21 HS256 by its secret": mac([]byte(n.Example.Secret.Reveal())),
		"A22 a key of its own":    strange.sign(`{"alg":"ES256","jwk":`+strange.jwk()+`}`, good()),
		"A22 x5c":                 s.sign(`{"alg":"ES256","x5c":["a"]}`, good()),
		"A22 jku":                 strange.sign(`{"alg":"ES256","jku":"`+n.url+`"}`, good()),
		"A22 x5u":                 s.sign(`{"alg":"ES256","x5u":"`+n.url+`"}`, good()),
		"A22 kid ../":             s.sign(`{"alg":"ES256","kid":"../../etc/passwd"}`, good()),
		"A22 kid SQL":             s.sign(`{"alg":"ES256","kid":"' OR 1=1 --"}`, good()),
		"A22 kid an object":       s.sign(`{"alg":"ES256","kid":{}}`, good()),
		"A22 kid of 10 kB":        s.sign(`{"alg":"ES256","kid":"`+strings.Repeat("k", 10_000)+`"}`, good()),
		"A22 crit":                s.sign(`{"alg":"ES256","crit":["b64"],"b64":false}`, good()),
		"A22 zip":                 s.sign(`{"alg":"ES256","zip":"DEF"}`, good()),
		"A23 a claim twice":       s.sign(s.header(), `{"sub":"`+other+`",`+good()[1:]),
		"A23 more behind":         s.sign(s.header(), good()+"{}"),
		"A23 a BOM":               s.sign(s.header(), "\ufeff"+good()),
		"A23 not UTF-8":           s.sign(s.header(), strings.Replace(good(), `"jti":"`, "\"jti\":\"\xff", 1)),
		"A23 no object":           s.sign(s.header(), strings.Repeat("[", 5000)+strings.Repeat("]", 5000)),
		"A24 two parts":           whole[:strings.LastIndex(whole, ".")],
		"A24 four parts":          whole + ".a",
		"A24 five parts":          whole + ".a.b",
		"A24 dots":                strings.Repeat(".", 20_000),
		"A27 DER":                 signature(der),
		"A27 r = s = 0":           signature(make([]byte, 64)),
		"A27 another key":         strange.assert(client, now, nil),
		"A27 cut":                 whole[:len(whole)-2],
		"A27 another alg":         s.sign(`{"alg":"EdDSA","kid":"k"}`, good()),
		"a client of nobody":      s.assert("cliffffffffffffffffffffffff", now, nil),
	} {
		if got := n.tokenBy(t, assertion); got.status != 413 && (got.status != 401 || got.error() != "invalid_client") {
			t.Errorf("%s: got %d %s", name, got.status, got.body)
		}
	}
	for name, more := range map[string][]string{
		"a secret beside it": {"client_secret=" + n.Example.Secret.Reveal()}, "another client_id": {"client_id=" + other}, "twice": {"client_assertion=x"},
	} {
		if got := n.tokenBy(t, s.assert(client, now, nil), more...); got.status != 400 && got.status != 401 {
			t.Errorf("A24 %s: got %d %s", name, got.status, got.body)
		}
	}
	request := func(kind string) *http.Request {
		return n.formRequest(t, "/oauth2/token", "grant_type=client_credentials&client_assertion_type="+url.QueryEscape(kind)+"&client_assertion="+s.assert(client, now, nil))
	}
	r := request(assertionType)
	r.SetBasicAuth(client, n.Example.Secret.Reveal())
	if got := do(t, r); got.status != 400 {
		t.Errorf("A24 Basic beside it: got %d %s", got.status, got.body)
	}
	if got := do(t, request("x")); got.status != 401 {
		t.Errorf("another type of assertion: got %d %s", got.status, got.body)
	}
	if got := n.tokenBy(t, s.assert(client, now, nil)); got.status != 200 {
		t.Errorf("a good one: got %d %s", got.status, got.body)
	}
}

func TestA03TheTokenEndpointIsAnAudienceByASwitch(t *testing.T) {
	n := start(t, func(o *server.Options) { o.TokenEndpointAudience = true })
	client := string(n.Example.Client.ID)
	s := newSigner(t, "ES256", "")
	n.register(t, client, map[string]any{"jwk": s.jwk()})
	for _, audience := range []string{issuer, issuer + "/oauth2/token"} {
		if got := n.tokenBy(t, s.assert(client, n.clock.now(), map[string]any{"aud": audience})); got.status != 200 {
			t.Errorf("%s: got %d %s", audience, got.status, got.body)
		}
	}
}

// A26 and A27, where keys are registered: what is no key is refused.
func TestA27WhatIsNoKeyIsRefused(t *testing.T) {
	n := start(t)
	client := string(n.Example.Client.ID)
	s := newSigner(t, "ES256", "k")
	const half = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0MTI"
	modulus := make([]byte, 128) // 1,024 bits
	modulus[0], modulus[127] = 0x80, 1
	for name, body := range map[string]map[string]any{
		"no JSON":          {"jwk": "-----BEGIN PUBLIC KEY-----"},
		"a private key":    {"jwk": strings.Replace(s.jwk(), "{", `{"d":"`+half+`",`, 1)},
		"a shared secret":  {"jwk": `{"kty":"oct","k":"` + half + `"}`},
		"RSA of 1024 bits": {"jwk": `{"kty":"RSA","e":"AQAB","n":"` + b64(modulus) + `"}`},
		"another curve":    {"jwk": strings.Replace(s.jwk(), "P-256", "P-384", 1)},
		"no point":         {"jwk": `{"kty":"EC","crv":"P-256","x":"` + b64(make([]byte, 32)) + `","y":"` + b64(make([]byte, 32)) + `"}`},
		"low order":        {"jwk": `{"kty":"OKP","crv":"Ed25519","x":"` + b64(append([]byte{1}, make([]byte, 31)...)) + `"}`},
		"for encryption":   {"jwk": strings.Replace(s.jwk(), `"sig"`, `"enc"`, 1)},
		"another alg":      {"jwk": strings.Replace(s.jwk(), "{", `{"alg":"RS256",`, 1)},
		"both":             {"jwk": s.jwk(), "jwks_uri": "https://keys.example/jwks"},
		"http":             {"jwks_uri": "http://keys.example/jwks"},
		"a password":       {"jwks_uri": "https://a:b@keys.example/jwks"},
		"a fragment":       {"jwks_uri": "https://keys.example/jwks#a"},
	} {
		got := n.rest(t, "POST", "/clients/"+client+"/secrets", body)
		if got.status != 422 && got.status != 400 || strings.Contains(got.body, half) {
			t.Errorf("%s: got %d %s", name, got.status, got.body)
		}
	}
}

// A28: an assertion that cannot be remembered is not accepted.
func TestA28WithoutTheStoreNoAssertionIsAccepted(t *testing.T) {
	o := &outage{}
	n := start(t, func(options *server.Options) { o.Store, options.Store = options.Store, o })
	client := string(n.Example.Client.ID)
	s := newSigner(t, "ES256", "k")
	n.register(t, client, map[string]any{"jwk": s.jwk()})
	if got := n.tokenBy(t, s.assert(client, n.clock.now(), nil)); got.status != 200 {
		t.Fatalf("before: got %d %s", got.status, got.body)
	}
	o.down.Store(true)
	if got := n.tokenBy(t, s.assert(client, n.clock.now(), nil)); got.status != 503 {
		t.Errorf("got %d %s", got.status, got.body)
	}
	o.down.Store(false)
}

// keyHost serves a client's keys by TLS.
type keyHost struct {
	*httptest.Server

	asked  atomic.Int64
	answer atomic.Pointer[http.HandlerFunc]
}

func newKeyHost(t *testing.T) (*keyHost, func(*server.Options)) {
	t.Helper()
	h := &keyHost{}
	h.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.asked.Add(1)
		(*h.answer.Load())(w, r)
	}))
	t.Cleanup(h.Close)
	roots := x509.NewCertPool()
	roots.AddCert(h.Certificate())
	return h, func(o *server.Options) {
		uncounted(o)
		o.OutboundAllow, o.OutboundRoots = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, roots
	}
}

func (h *keyHost) serve(f http.HandlerFunc) { h.answer.Store(&f) }

func (h *keyHost) keys(all ...*signer) {
	var texts []string
	for _, s := range all {
		texts = append(texts, s.jwk())
	}
	h.serve(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"keys":[` + strings.Join(texts, ",") + `]}`))
	})
}

func TestA26KeysAtAnAddress(t *testing.T) {
	host, use := newKeyHost(t)
	n := start(t, use)
	client := string(n.Example.Client.ID)
	first, second := newSigner(t, "ES256", "first"), newSigner(t, "ES256", "second")
	n.register(t, client, map[string]any{"jwks_uri": host.URL + "/jwks"})
	ask := func(s *signer) int { return n.tokenBy(t, s.assert(client, n.clock.now(), nil)).status }
	host.keys(first)
	for range 3 {
		if got := ask(first); got != 200 {
			t.Fatalf("got %d", got)
		}
	}
	if asked := host.asked.Load(); asked != 1 {
		t.Errorf("three assertions asked %d times for the keys", asked)
	}
	// Rotated: the new one is found, though not looked for again and again.
	host.keys(first, second)
	n.clock.advance(11 * time.Second)
	if got := ask(second); got != 200 {
		t.Errorf("after the rotation: got %d", got)
	}
	asked := host.asked.Load()
	for range 5 {
		if got := ask(newSigner(t, "ES256", "strange")); got != 401 {
			t.Errorf("a strange key: got %d", got)
		}
	}
	if more := host.asked.Load() - asked; more > 1 {
		t.Errorf("five strange keys asked %d times", more)
	}
	// A removed key is dead within five minutes.
	host.keys(second)
	n.clock.advance(5*time.Minute + time.Second)
	if first, second := ask(first), ask(second); first != 401 || second != 200 {
		t.Errorf("after the removal: the old key got %d, the new one %d", first, second)
	}
	// What is no set of keys is none, and nobody is led elsewhere.
	for name, answer := range map[string]http.HandlerFunc{
		"500":        func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
		"a redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/other", http.StatusFound) },
		"1 MB": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"keys":[` + strings.Repeat(" ", 1<<20) + second.jwk() + `]}`))
		},
		"no JSON": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
	} {
		host.serve(answer)
		n.clock.advance(5*time.Minute + time.Second)
		if got := ask(second); got != 401 {
			t.Errorf("%s: got %d", name, got)
		}
	}
	host.keys(second)
	n.clock.advance(11 * time.Second)
	if got := ask(second); got != 200 {
		t.Errorf("afterwards: got %d", got)
	}
}

// A26: an address of our own network is not called.
func TestA26PrivateAddressesAreNotCalled(t *testing.T) {
	host, use := newKeyHost(t)
	n := start(t, use, func(o *server.Options) { o.OutboundAllow = nil })
	client := string(n.Example.Client.ID)
	s := newSigner(t, "ES256", "k")
	host.keys(s)
	n.register(t, client, map[string]any{"jwks_uri": host.URL})
	if got := n.tokenBy(t, s.assert(client, n.clock.now(), nil)); got.status != 401 || host.asked.Load() != 0 {
		t.Errorf("got %d, and it was called %d times", got.status, host.asked.Load())
	}
}

// A26: keys that do not come cost their own client five seconds, and no other
// anything.
func TestA26SlowKeysHoldUpNobodyElse(t *testing.T) {
	host, use := newKeyHost(t)
	n := start(t, use)
	client := string(n.Example.Client.ID)
	asked, held := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(held) })
	defer release()
	host.serve(func(http.ResponseWriter, *http.Request) {
		close(asked)
		<-held
	})
	s := newSigner(t, "ES256", "k")
	n.register(t, client, map[string]any{"jwks_uri": host.URL})
	done := make(chan int, 1)
	go func() { done <- n.tokenBy(t, s.assert(client, n.clock.now(), nil)).status }()
	<-asked
	for range 20 {
		n.issue(t, by(n.Admin))
	}
	release()
	if got := <-done; got != 401 {
		t.Errorf("got %d", got)
	}
}
