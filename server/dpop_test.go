package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"postern/server/gateway/gatewaytest"
)

// provenToken asks for a token of the example client with DPoP headers.
func (n *node) provenToken(t testing.TB, proofs ...string) answer {
	t.Helper()
	r := n.formRequest(t, "/oauth2/token", wantToken)
	r.SetBasicAuth(by(n.Example).id, by(n.Example).secret)
	for _, p := range proofs {
		r.Header.Add("DPoP", p)
	}
	return do(t, r)
}

const tokenEndpoint = issuer + "/oauth2/token"

func TestD01AProofBindsTheToken(t *testing.T) {
	for _, format := range []string{"jwt", "opaque"} {
		n := start(t)
		n.setFormat(t, format)
		prover := gatewaytest.NewProver(t)
		got := n.provenToken(t, prover.Proof("POST", tokenEndpoint, n.clock.now(), nil))
		text := textOf(t, got)
		if got.json(t)["token_type"] != "DPoP" {
			t.Errorf("%s: the answer is %s", format, got.body)
		}
		seen := n.introspect(t, by(n.Gateway), text)
		confirmation, _ := seen["cnf"].(map[string]any)
		if seen["token_type"] != "DPoP" || confirmation["jkt"] != prover.Thumbprint() {
			t.Errorf("%s: introspection says %v", format, seen)
		}
		if status := n.decided(t, text, "GET", "/orders/7"); status != 401 {
			t.Errorf("%s: as a bearer it got %d", format, status)
		}
		decide := func(nonce string) answer {
			r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, n.decide+"/decide/nginx/example", http.NoBody)
			r.Header = http.Header{
				"Authorization": {"DPoP " + text}, "X-Original-Method": {"GET"}, "X-Original-Uri": {"/orders/7"}, "X-Original-Host": {"api.example.com"},
				"Dpop": {prover.Proof("GET", "https://api.example.com/orders/7", n.clock.now(), map[string]any{"nonce": nonce, "ath": gatewaytest.Hash(text)})},
			}
			return do(t, r)
		}
		first := decide("")
		if got := decide(first.header.Get("DPoP-Nonce")); first.status != 401 || got.status != 200 {
			t.Errorf("%s: without a nonce %d, with it %d %v", format, first.status, got.status, got.header)
		}
		// The administration takes no proofs.
		if got := n.restAs(t, text, "GET", "/me", nil); got.status != 401 {
			t.Errorf("%s: Postern's own API said %d", format, got.status)
		}
	}
}

// Rows D02 to D07 and D10 at the token endpoint.
func TestD02ToD10WhatIsWrongWithAProof(t *testing.T) {
	n := start(t)
	prover := gatewaytest.NewProver(t)
	now := n.clock.now()
	proof := func(change map[string]any) string { return prover.Proof("POST", tokenEndpoint, now, change) }
	private := prover.JWK()
	private["d"] = private["x"]
	for name, good := range map[string]string{
		"a query":       proof(map[string]any{"htu": tokenEndpoint + "?a=1#b"}),
		"its port":      proof(map[string]any{"htu": strings.Replace(tokenEndpoint, ".test", ".test:443", 1)}),
		"its case":      proof(map[string]any{"htu": strings.Replace(tokenEndpoint, "https://postern", "HTTPS://Postern", 1)}),
		"59 s old":      proof(map[string]any{"iat": now.Unix() - 58}),
		"58 s ahead":    proof(map[string]any{"iat": now.Unix() + 58}),
		"a fraction":    proof(map[string]any{"iat": float64(now.Unix()) + 0.5}),
		"a nonce":       proof(map[string]any{"nonce": "of somebody"}),
		"another claim": proof(map[string]any{"x": map[string]any{"y": 1}}),
	} {
		if got := n.provenToken(t, good); got.status != 200 {
			t.Errorf("%s: got %d %s", name, got.status, got.body)
		}
	}
	used := proof(nil)
	if got := n.provenToken(t, used); got.status != 200 {
		t.Fatalf("a good one: got %d %s", got.status, got.body)
	}
	for name, proofs := range map[string][]string{
		"again":              {used},
		"its typ":            {proof(map[string]any{".typ": "JWT"})},
		"no typ":             {proof(map[string]any{".typ": nil})},
		"none":               {proof(map[string]any{".alg": "none"})},
		"HS256":              {proof(map[string]any{".alg": "HS256"})},
		"another alg":        {proof(map[string]any{".alg": "EdDSA"})},
		"a private key":      {proof(map[string]any{".jwk": private})},
		"no key":             {proof(map[string]any{".jwk": nil})},
		"a shared secret":    {proof(map[string]any{".jwk": map[string]string{"kty": "oct", "k": "c2VjcmV0"}})},
		"a key elsewhere":    {proof(map[string]any{".jku": "https://keys.example"})},
		"crit":               {proof(map[string]any{".crit": []string{"b64"}, ".b64": false})},
		"another method":     {proof(map[string]any{"htm": "GET"})},
		"another path":       {proof(map[string]any{"htu": issuer + "/oauth2/introspect"})},
		"another port":       {proof(map[string]any{"htu": strings.Replace(tokenEndpoint, ".test", ".test:8443", 1)})},
		"another scheme":     {proof(map[string]any{"htu": strings.Replace(tokenEndpoint, "https", "http", 1)})},
		"another host":       {proof(map[string]any{"htu": "https://evil.example/oauth2/token"})},
		"a user":             {proof(map[string]any{"htu": "https://postern.test@evil.example/oauth2/token"})},
		"a path":             {proof(map[string]any{"htu": "/oauth2/token"})},
		"a number":           {proof(map[string]any{"htu": 7})},
		"62 s old":           {proof(map[string]any{"iat": now.Unix() - 62})},
		"62 s ahead":         {proof(map[string]any{"iat": now.Unix() + 62})},
		"no iat":             {proof(map[string]any{"iat": nil})},
		"a text for iat":     {proof(map[string]any{"iat": "now"})},
		"no jti":             {proof(map[string]any{"jti": nil})},
		"a long jti":         {proof(map[string]any{"jti": strings.Repeat("j", 129)})},
		"two":                {proof(nil), proof(nil)},
		"two in one":         {proof(nil) + "," + proof(nil)},
		"16 kB":              {proof(map[string]any{"x": strings.Repeat("x", 16<<10)})},
		"a broken signature": {proof(nil)[:200]},
		"no proof":           {"hello"},
		"dots":               {".."},
	} {
		got := n.provenToken(t, proofs...)
		if got.status != 400 || got.error() != "invalid_dpop_proof" || !json.Valid([]byte(got.body)) {
			t.Errorf("%s: got %d %s", name, got.status, got.body)
		}
	}
	if got := n.provenToken(t, ""); got.status != 400 {
		t.Errorf("an empty one: got %d %s", got.status, got.body)
	}
	client := by(n.Example).id
	n.want(t, 200, "PATCH", "/clients/"+client, map[string]any{"binding": "dpop"})
	if got := n.provenToken(t); got.status != 400 || got.error() != "invalid_dpop_proof" {
		t.Errorf("none, where the client wants one: got %d %s", got.status, got.body)
	}
	if got := n.provenToken(t, proof(nil)); got.status != 200 {
		t.Errorf("with one: got %d %s", got.status, got.body)
	}
	n.want(t, 200, "PATCH", "/clients/"+client, map[string]any{"binding": "certificate"})
	if got := n.provenToken(t, proof(nil)); got.status != 400 {
		t.Errorf("a proof, where tokens are bound to a certificate: got %d %s", got.status, got.body)
	}
	n.want(t, 200, "PATCH", "/clients/"+client, map[string]any{"binding": nil})
	if got := n.provenToken(t); got.status != 200 || got.json(t)["token_type"] != "Bearer" {
		t.Errorf("bound to nothing: got %d %s", got.status, got.body)
	}
	if got := fmt.Sprint(n.get(t, "/.well-known/oauth-authorization-server").json(t)["dpop_signing_alg_values_supported"]); !strings.Contains(got, "ES256") {
		t.Errorf("metadata lists %s", got)
	}
	if strings.Contains(n.log.String(), used) {
		t.Error("a proof is in the log")
	}
}

// A key of each kind proves, and its thumbprint is that of its required members.
func TestD01EveryKindOfKeyProves(t *testing.T) {
	n := start(t)
	for _, alg := range []string{"ES256", "EdDSA", "RS256", "PS256"} {
		s := newSigner(t, alg, "k")
		header := `{"typ":"dpop+jwt","alg":"` + alg + `","jwk":` + s.jwk() + `}`
		claims, _ := json.Marshal(map[string]any{"htm": "POST", "htu": tokenEndpoint, "iat": n.clock.now().Unix(), "jti": alg})
		got := n.provenToken(t, s.sign(header, string(claims)))
		if got.status != 200 || got.json(t)["token_type"] != "DPoP" {
			t.Errorf("%s: got %d %s", alg, got.status, got.body)
		}
	}
}

// The FAPI 2.0 profile with DPoP: a key of the client's and a key of the token's.
func TestD10FAPI2ByDPoP(t *testing.T) {
	n := start(t)
	client, s, prover := by(n.Example).id, newSigner(t, "ES256", "k"), gatewaytest.NewProver(t)
	n.register(t, client, map[string]any{"jwk": s.jwk(), "keep": true})
	n.want(t, 200, "PATCH", "/clients/"+client, map[string]any{"binding": "dpop", "profile": "fapi2"})
	ask := func(proof string) answer {
		r := n.formRequest(t, "/oauth2/token", wantToken+"&client_assertion_type="+url.QueryEscape(assertionType)+"&client_assertion="+s.assert(client, n.clock.now(), nil))
		r.Header.Set("DPoP", proof)
		return do(t, r)
	}
	if got := ask(prover.Proof("POST", tokenEndpoint, n.clock.now(), nil)); got.status != 200 {
		t.Errorf("by ES256: got %d %s", got.status, got.body)
	}
	weak := newSigner(t, "RS256", "k")
	claims, _ := json.Marshal(map[string]any{"htm": "POST", "htu": tokenEndpoint, "iat": n.clock.now().Unix(), "jti": "r"})
	if got := ask(weak.sign(`{"typ":"dpop+jwt","alg":"RS256","jwk":`+weak.jwk()+`}`, string(claims))); got.status != 400 {
		t.Errorf("a proof by RS256: got %d %s", got.status, got.body)
	}
	if got := n.provenToken(t, prover.Proof("POST", tokenEndpoint, n.clock.now(), nil)); got.status != 401 {
		t.Errorf("by a secret: got %d %s", got.status, got.body)
	}
}

// A proof is good once on all nodes together, and once more when nobody can take
// it any more.
func TestD06AProofIsGoodOnceOnAllNodes(t *testing.T) {
	dir := t.TempDir()
	a := startNode(t, dir)
	prover := gatewaytest.NewProver(t)
	proof := prover.Proof("POST", tokenEndpoint, a.clock.now(), nil)
	if got := a.provenToken(t, proof); got.status != 200 {
		t.Fatalf("got %d %s", got.status, got.body)
	}
	a.stop()
	b := startNode(t, dir) // knows what the store knows
	b.Bootstrap = a.Bootstrap
	if got := b.provenToken(t, proof); got.status != 400 || got.error() != "invalid_dpop_proof" {
		t.Errorf("another node: got %d %s", got.status, got.body)
	}
	b.clock.advance(2 * time.Minute)
	if got := b.provenToken(t, proof); got.status != 400 {
		t.Errorf("two minutes later: got %d %s", got.status, got.body)
	}
}
