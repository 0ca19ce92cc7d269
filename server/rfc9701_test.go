package server_test

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/url"
	"strings"
	"testing"
)

// asksSigned introspects with an Accept.
func (n *node) asksSigned(t testing.TB, who as, token, accept string) answer {
	t.Helper()
	r := n.formRequest(t, "/oauth2/introspect", "token="+url.QueryEscape(token))
	r.SetBasicAuth(who.id, who.secret)
	if accept != "" {
		r.Header.Set("Accept", accept)
	}
	return do(t, r)
}

const introspectionJWT = "application/token-introspection+jwt"

// RFC 9701 sections 4 and 5.
func TestIntrospectionIsSignedForWhoWantsThat(t *testing.T) {
	n := start(t)
	gateway, text := by(n.Gateway), n.issue(t, by(n.Example))
	plain := n.introspect(t, gateway, text)
	for name, tt := range map[string]struct {
		token  string
		active bool
	}{"a good token": {text, true}, "a bad one": {"hello", false}} {
		got := n.asksSigned(t, gateway, tt.token, introspectionJWT)
		if got.status != 200 || got.header.Get("Content-Type") != introspectionJWT || got.header.Get("Cache-Control") != "no-store" {
			t.Fatalf("%s: got %d %v %s", name, got.status, got.header, got.body)
		}
		parts := strings.Split(got.body, ".")
		if len(parts) != 3 {
			t.Fatalf("%s: %q is no JWT", name, got.body)
		}
		var header map[string]string
		raw, _ := base64.RawURLEncoding.DecodeString(parts[0])
		if err := json.Unmarshal(raw, &header); err != nil || header["typ"] != "token-introspection+jwt" || header["alg"] != "ES256" {
			t.Errorf("%s: the header %s", name, raw)
		}
		key, _ := n.publicKeys(t)[header["kid"]].(*ecdsa.PublicKey)
		signature, _ := base64.RawURLEncoding.DecodeString(parts[2])
		sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
		if key == nil || len(signature) != 64 || !ecdsa.Verify(key, sum[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])) {
			t.Errorf("%s: the signature is not of a key that is published", name)
		}
		c := claims(t, got.body)
		said, _ := c["token_introspection"].(map[string]any)
		if c["iss"] != issuer || c["aud"] != gateway.id || c["iat"] == nil || c["exp"] != nil || c["sub"] != nil || said["active"] != tt.active {
			t.Errorf("%s: claims %v", name, c)
		}
		if tt.active && (said["jti"] != plain["jti"] || len(said) != len(plain)) {
			t.Errorf("%s: %v, and plain it is %v", name, said, plain)
		}
		// It is no access token, though its issuer signed it.
		if n.active(t, got.body) || n.decided(t, got.body, "GET", "/orders/7") != 401 {
			t.Errorf("%s: the answer passes for an access token", name)
		}
	}
	for accept, signed := range map[string]bool{
		"": false, "*/*": false, "application/json": false, "application/*": false, introspectionJWT + ";q=0": false, introspectionJWT + "; q=0.000": false, introspectionJWT + ";v=1; q=0": false, "nonsense": false,
		"application/json, " + introspectionJWT: true, "Application/Token-Introspection+JWT;q=0.5": true, introspectionJWT + ";v=0; q=1": true,
	} {
		got := n.asksSigned(t, gateway, text, accept)
		if got.status != 200 || (got.header.Get("Content-Type") == introspectionJWT) != signed {
			t.Errorf("Accept: %s: got %d %s", accept, got.status, got.header.Get("Content-Type"))
		}
	}
	// An error is one in whatever was asked for (section 5 names answers alone).
	if got := n.asksSigned(t, as{gateway.id, "wrong"}, text, introspectionJWT); got.status != 401 || got.error() != "invalid_client" {
		t.Errorf("a wrong secret: got %d %s", got.status, got.body)
	}
}
