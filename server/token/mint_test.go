package token_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"postern/server/keys"
	"postern/server/token"
	"postern/store"
)

// keyFromJWKS finds a key as a resource server does: from the published JWKS.
func keyFromJWKS(t *testing.T, text []byte, kid string) any {
	t.Helper()
	var set struct {
		Keys []struct{ Kid, Kty, X, Y, N, E string }
	}
	if err := json.Unmarshal(text, &set); err != nil {
		t.Fatal(err)
	}
	number := func(s string) []byte {
		b, err := base64.RawURLEncoding.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, k := range set.Keys {
		switch {
		case k.Kid != kid:
		case k.Kty == "EC":
			public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append([]byte{4}, append(number(k.X), number(k.Y)...)...))
			if err != nil {
				t.Fatal(err)
			}
			return public
		case k.Kty == "OKP":
			return ed25519.PublicKey(number(k.X))
		case k.Kty == "RSA":
			return &rsa.PublicKey{N: new(big.Int).SetBytes(number(k.N)), E: int(new(big.Int).SetBytes(number(k.E)).Int64())}
		}
	}
	t.Fatalf("the JWKS has no key %q", kid)
	return nil
}

func TestAnotherLibraryVerifiesOurTokens(t *testing.T) {
	w := newWorld(t)
	for name, shape := range shapes() {
		if shape.Format != store.FormatJWT {
			continue
		}
		c := w.claims()
		text := w.mint(t, c, shape)
		got := jwt.MapClaims{}
		parsed, err := jwt.NewParser(
			jwt.WithValidMethods([]string{shape.Algorithm}), jwt.WithIssuer(issuer), jwt.WithAudience("https://orders.example"),
			jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithStrictDecoding(), jwt.WithTimeFunc(w.now),
		).ParseWithClaims(text, got, func(tok *jwt.Token) (any, error) {
			kid, _ := tok.Header["kid"].(string)
			return keyFromJWKS(t, w.ring.JWKS(), kid), nil
		})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		typ := "at+jwt"
		if shape.Type != "" {
			typ = shape.Type
		}
		if parsed.Header["typ"] != typ || len(parsed.Header) != 3 {
			t.Errorf("%s: the header is %v", name, parsed.Header)
		}
		if jti, _ := got["jti"].(string); !regexp.MustCompile(`^[0-9A-Za-z]{22}$`).MatchString(jti) {
			t.Errorf("%s: jti = %q", name, jti)
		}
		delete(got, "jti")
		want := jwt.MapClaims{
			"iss": issuer, "sub": "svc1", "client_id": string(w.client.ID), "aud": "https://orders.example",
			"iat": float64(c.IssuedAt), "exp": float64(c.ExpiresAt), "scope": "orders:read orders:write",
			"workspace": "wsp1", "gen": "1.1.4.2.7", "sid": "sec1", "roles": []any{"acme/reader"},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestClaimsThatAreLeftOut(t *testing.T) {
	w := newWorld(t)
	c := w.claims()
	c.Scope, c.Workspace, c.Roles = "", "", []string{strings.Repeat("r", 1100)}
	c.Audience = []string{"https://a.example", `https://"b".example`}
	i, err := token.Inspect(w.mint(t, c, shapes()["EdDSA"]))
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(i.Claims, &got); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"scope", "workspace", "roles"} {
		if _, there := got[name]; there {
			t.Errorf("%s is there: %s", name, i.Claims)
		}
	}
	if diff := cmp.Diff([]any{"https://a.example", `https://"b".example`}, got["aud"]); diff != "" {
		t.Errorf("aud: %s", diff)
	}
}

func TestWhatMintRefuses(t *testing.T) {
	w := newWorld(t)
	for name, change := range map[string]func(*token.Claims, *token.Shape){
		"a life of nothing":      func(c *token.Claims, _ *token.Shape) { c.ExpiresAt = c.IssuedAt },
		"an end in the past":     func(c *token.Claims, _ *token.Shape) { c.ExpiresAt = c.IssuedAt - 1 },
		"no end":                 func(c *token.Claims, _ *token.Shape) { c.ExpiresAt = 0 },
		"no beginning":           func(c *token.Claims, _ *token.Shape) { c.IssuedAt = 0 },
		"no subject":             func(c *token.Claims, _ *token.Shape) { c.Subject = "" },
		"no client":              func(c *token.Claims, _ *token.Shape) { c.ClientID = "" },
		"no secret":              func(c *token.Claims, _ *token.Shape) { c.SecretID = "" },
		"no audience":            func(c *token.Claims, _ *token.Shape) { c.Audience = nil },
		"an empty audience":      func(c *token.Claims, _ *token.Shape) { c.Audience = []string{""} },
		"no generations":         func(c *token.Claims, _ *token.Shape) { c.Gen = "" },
		"no format":              func(_ *token.Claims, s *token.Shape) { s.Format = "" },
		"an unknown algorithm":   func(_ *token.Claims, s *token.Shape) { s.Algorithm = "none" },
		"an unknown type":        func(_ *token.Claims, s *token.Shape) { s.Type = "id_token+jwt" },
		"an audience of 5,000 B": func(c *token.Claims, _ *token.Shape) { c.Audience = []string{strings.Repeat("a", 5000)} },
	} {
		c, s := w.claims(), shapes()["ES256"]
		change(&c, &s)
		text, err := w.minter.Mint(t.Context(), c, s)
		if err == nil || text != "" {
			t.Errorf("%s: Mint = %q, %v, want an error", name, text, err)
		}
		if strings.HasPrefix(name, "an audience of") && !errors.Is(err, token.ErrTooLong) {
			t.Errorf("%s: got %v, want ErrTooLong", name, err)
		}
	}
}

func TestOpaque(t *testing.T) {
	w := newWorld(t)
	c := w.claims()
	c.Scope = strings.TrimSpace(strings.Repeat("orders:r ", 9))
	c.Subject, c.Workspace, c.SecretID = store.NewAccountID(store.AccountService), store.NewWorkspaceID(), store.NewSecretID()
	text := w.mint(t, c, shapes()["opaque"])
	if len(text) >= 512 || !regexp.MustCompile(`^psa_seal-XC20P-1_[0-9A-Za-z]+$`).MatchString(text) {
		t.Errorf("%d bytes: %s", len(text), text)
	}
	if again := w.mint(t, c, shapes()["opaque"]); again == text {
		t.Error("two tokens are the same")
	}
	if i, err := token.Inspect(text); err != nil || i.Kind != "opaque" || i.KID != "seal-XC20P-1" || i.Claims != nil {
		t.Errorf("Inspect = %+v, %v", i, err)
	}
}

// FuzzClaims says that what is minted is what is verified, whatever the texts
// hold.
func FuzzClaims(f *testing.F) {
	w := newWorld(f)
	f.Add("https://api.example", "reader", "orders:read")
	f.Add("\"\\\x00\x1f\u2028\xff</script>", "\U0001f600", "a")
	f.Fuzz(func(t *testing.T, audience, role, scope string) {
		scopes, err := token.ParseScope(scope)
		if err != nil || audience == "" {
			return
		}
		c := w.claims()
		c.Audience, c.Roles, c.Scope = []string{audience, role}, []string{role}, scope
		for _, shape := range []token.Shape{shapes()["EdDSA"], shapes()["opaque"]} {
			text, err := w.minter.Mint(t.Context(), c, shape)
			if errors.Is(err, token.ErrTooLong) {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			caller, err := w.verifier.Verify(t.Context(), text)
			if err != nil {
				t.Fatal(err)
			}
			// JSON holds no bytes that are not UTF-8: encoding/json says what becomes of them.
			var want [2]string
			encoded, err := json.Marshal(c.Audience)
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(encoded, &want); err != nil {
				t.Fatal(err)
			}
			if shape.Format == store.FormatOpaque {
				want = [2]string{audience, role}
			}
			if diff := cmp.Diff(want[:], caller.Token.Audience); diff != "" {
				t.Errorf("%s: aud: %s", shape.Format, diff)
			}
			if caller.Scopes.String() != scopes.String() {
				t.Errorf("%s: scope %q became %q", shape.Format, scopes, caller.Scopes)
			}
		}
	})
}

func TestTokensOfOneSecondDiffer(t *testing.T) {
	w := newWorld(t)
	seen := map[string]bool{}
	for range 100 {
		seen[w.mint(t, w.claims(), shapes()["EdDSA"])] = true
	}
	if len(seen) != 100 {
		t.Errorf("a hundred tokens: %d different ones", len(seen))
	}
}

func TestMintUsesTheNextKeyWhenItsTimeHasCome(t *testing.T) {
	w := newWorld(t)
	old := w.mint(t, w.claims(), shapes()["ES256"])
	if _, err := w.ring.Rotate(t.Context(), keys.ES256); err != nil {
		t.Fatal(err)
	}
	w.at = w.at.Add(keys.JWKSMaxAge + keys.Skew)
	fresh := w.mint(t, w.claims(), shapes()["ES256"])
	if strings.Split(old, ".")[0] == strings.Split(fresh, ".")[0] {
		t.Error("the old key signs on")
	}
	for name, text := range map[string]string{"old": old, "fresh": fresh} {
		if _, err := w.verifier.Verify(t.Context(), text); err != nil {
			t.Errorf("the %s token: %v", name, err)
		}
	}
	w.at = w.at.Add(time.Hour + keys.Skew) // the old key has retired
	if _, err := w.verifier.Verify(t.Context(), old); !errors.Is(err, token.ErrInvalid) {
		t.Errorf("a token of a retired key: got %v, want ErrInvalid", err)
	}
}
