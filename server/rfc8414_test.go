package server_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"math/big"
	"net/http"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

func (n *node) get(t *testing.T, path string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.url+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	return do(t, r)
}

func TestMetadataIsComplete(t *testing.T) {
	n := start(t)
	for path, keys := range map[string][]string{
		"/.well-known/oauth-authorization-server": {"issuer", "token_endpoint", "jwks_uri", "introspection_endpoint", "revocation_endpoint", "grant_types_supported", "token_endpoint_auth_methods_supported"},
		"/.well-known/openid-configuration":       {"issuer", "authorization_endpoint", "token_endpoint", "jwks_uri", "response_types_supported", "subject_types_supported", "id_token_signing_alg_values_supported"},
	} {
		got := n.get(t, path)
		doc := got.json(t)
		for _, k := range keys {
			if doc[k] == nil {
				t.Errorf("%s has no %s: %s", path, k, got.body)
			}
		}
	}
	if got := n.get(t, "/oauth2/authorize?response_type=code&redirect_uri=https://evil.example"); got.status != 400 || got.header.Get("Location") != "" {
		t.Errorf("authorize: got %d %v", got.status, got.header)
	}
}

// Tokens of every algorithm verify with a JOSE library and the published keys.
func TestTokensVerifyByJWKS(t *testing.T) {
	n := start(t)
	for _, alg := range []string{"ES256", "EdDSA", "RS256"} {
		etag := n.want(t, 200, "GET", "/apis/example", nil).header.Get("ETag")
		n.want(t, 200, "PATCH", "/apis/example", map[string]any{"algorithm": alg, "token_type": "JWT"}, "If-Match", etag)
		config := clientcredentials.Config{
			ClientID: string(n.Example.Client.ID), ClientSecret: n.Example.Secret.Reveal(), TokenURL: n.url + "/oauth2/token", AuthStyle: oauth2.AuthStyleInHeader,
		}
		issued, err := config.Token(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		published := n.publicKeys(t)
		parsed, err := jwt.Parse(issued.AccessToken, func(tok *jwt.Token) (any, error) {
			kid, _ := tok.Header["kid"].(string)
			return published[kid], nil
		}, jwt.WithValidMethods([]string{alg}), jwt.WithIssuer(issuer), jwt.WithAudience(n.API.Audience), jwt.WithExpirationRequired(), jwt.WithIssuedAt())
		if err != nil || !parsed.Valid || parsed.Header["typ"] != "JWT" {
			t.Errorf("%s: %v, header %v", alg, err, parsed.Header)
		}
		if !n.active(t, issued.AccessToken) {
			t.Errorf("%s: introspection says inactive", alg)
		}
	}
}

// publicKeys reads the JWKS by kid (RFC 7517, RFC 7518 section 6, RFC 8037).
func (n *node) publicKeys(t *testing.T) map[string]crypto.PublicKey {
	t.Helper()
	got := n.get(t, "/oauth2/jwks")
	list, _ := got.json(t)["keys"].([]any)
	out := map[string]crypto.PublicKey{}
	for _, each := range list {
		k, _ := each.(map[string]any)
		number := func(name string) []byte {
			text, _ := k[name].(string)
			b, err := base64.RawURLEncoding.DecodeString(text)
			if err != nil || len(b) == 0 {
				t.Fatalf("%s of %v: %v", name, k, err)
			}
			return b
		}
		if k["d"] != nil || k["use"] != "sig" {
			t.Errorf("published: %v", k)
		}
		kid, _ := k["kid"].(string)
		switch k["kty"] {
		case "EC":
			point, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, number("x")...), number("y")...))
			if err != nil {
				t.Fatal(err)
			}
			out[kid] = point
		case "OKP":
			out[kid] = ed25519.PublicKey(number("x"))
		case "RSA":
			out[kid] = &rsa.PublicKey{N: new(big.Int).SetBytes(number("n")), E: int(new(big.Int).SetBytes(number("e")).Int64())}
		}
	}
	return out
}
