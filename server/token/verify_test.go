package token_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/server/keys"
	"postern/server/secret"
	"postern/server/token"
	"postern/store"
)

// refused checks that a text is no good, and that nothing was told about it.
func (w *world) refused(t *testing.T, what, text string) {
	t.Helper()
	caller, err := w.verifier.Verify(t.Context(), text)
	if !errors.Is(err, token.ErrInvalid) || caller != nil {
		t.Errorf("%s: Verify = %v, %v, want ErrInvalid", what, caller, err)
		return
	}
	if len(text) > 8 && strings.Contains(err.Error(), text) {
		t.Errorf("%s: the error holds the text: %v", what, err)
	}
}

func TestVerify(t *testing.T) {
	for name, shape := range shapes() {
		w := newWorld(t)
		c := w.claims()
		c.ID = "jti1"
		text := w.mint(t, c, shape)
		for _, time := range []string{"first", "second"} {
			caller, err := w.verifier.Verify(t.Context(), text)
			if err != nil {
				t.Fatalf("%s, the %s time: %v", name, time, err)
			}
			want := c
			want.Issuer = issuer
			if shape.Format == store.FormatOpaque {
				want.Roles = nil
			}
			if diff := cmp.Diff(want, caller.Token.Claims); diff != "" {
				t.Errorf("%s, the %s time: %s", name, time, diff)
			}
			if caller.Client != w.client || caller.Holder.Account != w.account || caller.Workspace != w.workspace || caller.Secret != "sec1" ||
				caller.AnyScope || caller.ExpiresAt != store.Time(c.ExpiresAt*1000) || caller.Token.Format != shape.Format {
				t.Errorf("%s, the %s time: %+v", name, time, caller)
			}
			if diff := cmp.Diff(token.Scopes{"orders:read", "orders:write"}, caller.Scopes); diff != "" {
				t.Errorf("%s, the %s time: %s", name, time, diff)
			}
		}
	}
}

// Every byte of a token counts: changed, left out, cut off after, added after.
func TestAnAlteredTokenIsInvalid(t *testing.T) {
	for name, shape := range shapes() {
		if name == "RS256" {
			continue // the same road as ES256, and a long one
		}
		w := newWorld(t)
		text := w.mint(t, w.claims(), shape)
		for i := range len(text) {
			for _, c := range []byte("A_.=\n\x00") {
				if c != text[i] {
					w.refused(t, name+" changed", text[:i]+string([]byte{c})+text[i+1:])
				}
			}
			for bit := range 8 {
				w.refused(t, name+" flipped", text[:i]+string([]byte{text[i] ^ 1<<bit})+text[i+1:])
			}
			w.refused(t, name+" cut", text[:i])
			w.refused(t, name+" without a byte", text[:i]+text[i+1:])
			w.refused(t, name+" with a line break", text[:i]+"\n"+text[i:])
		}
		for _, more := range []string{"=", "==", ".", "A", "AA", "AAAA", "\n", "\r\n", " ", "\x00", ".e30", text} {
			w.refused(t, name+" extended", text+more)
			w.refused(t, name+" with something before it", more+text)
		}
		if _, err := w.verifier.Verify(t.Context(), text); err != nil {
			t.Errorf("%s: the token itself after all that: %v", name, err)
		}
	}
}

func TestWhatIsNoToken(t *testing.T) {
	w := newWorld(t)
	text := w.mint(t, w.claims(), shapes()["ES256"])
	parts := strings.Split(text, ".")
	header := func(json string) string {
		return base64.RawURLEncoding.EncodeToString([]byte(json)) + "." + parts[1] + "." + parts[2]
	}
	kid := w.ring.List()[0].KID
	for name, text := range map[string]string{
		"nothing": "", "a word": "null", "dots": "..", "a megabyte of dots": strings.Repeat(".", 1<<20),
		"8 kB of dots": strings.Repeat(".", 8192), "four parts": text + ".", "five": text + "..", "two": parts[0] + "." + parts[1],
		"8 kB":              strings.Repeat("a", 8193),
		"alg none":          header(`{"alg":"none","kid":"` + kid + `","typ":"at+jwt"}`),
		"alg none, no sig":  base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + parts[1] + ".",
		"alg HS256":         header(`{"alg":"HS256","kid":"` + kid + `","typ":"at+jwt"}`),
		"alg EdDSA":         header(`{"alg":"EdDSA","kid":"` + kid + `","typ":"at+jwt"}`),
		"typ JWT":           header(`{"alg":"ES256","kid":"` + kid + `","typ":"JWT"}`),
		"an id token":       header(`{"alg":"ES256","kid":"` + kid + `","typ":"id_token+jwt"}`),
		"no typ":            header(`{"alg":"ES256","kid":"` + kid + `"}`),
		"no kid":            header(`{"alg":"ES256","typ":"at+jwt"}`),
		"another kid":       header(`{"alg":"ES256","kid":"../../etc/passwd","typ":"at+jwt"}`),
		"crit":              header(`{"alg":"ES256","kid":"` + kid + `","typ":"at+jwt","crit":["b64"],"b64":false}`),
		"its own key":       header(`{"alg":"ES256","kid":"` + kid + `","typ":"at+jwt","jwk":{"kty":"EC"}}`),
		"a space":           header(`{"alg":"ES256", "kid":"` + kid + `","typ":"at+jwt"}`),
		"a key twice":       header(`{"alg":"ES256","alg":"ES256","kid":"` + kid + `","typ":"at+jwt"}`),
		"no signature":      parts[0] + "." + parts[1] + ".",
		"zeros as its sign": parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 64)),
		"psa_":              "psa_", "psa_ alone": "psa_seal-XC20P-1_", "pst_": "pst_",
	} {
		w.refused(t, name, text)
	}
	if w.reads != 0 {
		t.Errorf("clients were looked up %d times for tokens that are none", w.reads)
	}
}

func TestATokenOfAnotherIssuerIsInvalid(t *testing.T) {
	w := newWorld(t)
	text := w.mint(t, w.claims(), shapes()["ES256"])
	for _, other := range []string{issuer + "/", "http://postern.example", "https://postern.example.evil", ""} {
		w.verifier = w.newVerifier(t, other)
		w.refused(t, "a verifier for "+other, text)
	}
}

func TestATokenIsGoodUntilItsEnd(t *testing.T) {
	for name, shape := range shapes() {
		w := newWorld(t)
		text := w.mint(t, w.claims(), shape)
		start := w.at
		for _, tt := range []struct {
			after time.Duration
			good  bool
		}{
			{0, true},
			{time.Hour - time.Second, true},
			{time.Hour - time.Millisecond, true},
			{time.Hour, false},
			{time.Hour + time.Second, false},
		} {
			w.at = start.Add(tt.after)
			if _, err := w.verifier.Verify(t.Context(), text); (err == nil) != tt.good || err != nil && !errors.Is(err, token.ErrInvalid) {
				t.Errorf("%s after %v: %v, want good = %t", name, tt.after, err, tt.good)
			}
		}
		w.at = start.Add(2 * time.Hour)
		w.verifier = w.newVerifier(t, issuer)
		w.refused(t, name+", expired and never seen", text)
	}
}

// changed returns a copy of a record after a change: records never change in
// place.
func changed[T any](old *T, change func(*T)) *T {
	copied := *old
	change(&copied)
	return &copied
}

func changedSecret(c *store.Client, change func(*store.ClientSecret)) *store.Client {
	return changed(c, func(c *store.Client) {
		c.Secrets = append([]store.ClientSecret(nil), c.Secrets...)
		change(&c.Secrets[0])
	})
}

func TestATokenDiesWithWhatItRestsOn(t *testing.T) {
	type death struct {
		name string
		do   func(*world)
	}
	deaths := []death{
		{"the installation's generation", func(w *world) {
			w.inst = changed(w.inst, func(i *store.Installation) { i.Generation++ })
		}},
		{"the workspace's generation", func(w *world) {
			w.workspace = changed(w.workspace, func(ws *store.Workspace) { ws.Generation++ })
		}},
		{"the account's generation", func(w *world) {
			w.account = changed(w.account, func(a *store.Account) { a.Generation++ })
		}},
		{"the client's generation", func(w *world) {
			w.client = changed(w.client, func(c *store.Client) { c.Generation++ })
		}},
		{"the secret's generation", func(w *world) {
			w.client = changedSecret(w.client, func(s *store.ClientSecret) { s.Generation++ })
		}},
		{"a generation that went back", func(w *world) {
			w.client = changed(w.client, func(c *store.Client) { c.Generation-- })
		}},
		{"no installation", func(w *world) { w.inst = nil }},
		{"the workspace is gone", func(w *world) { w.workspace = nil }},
		{"API access is off", func(w *world) {
			w.workspace = changed(w.workspace, func(ws *store.Workspace) { ws.APIAccess = false })
		}},
		{"the account is gone", func(w *world) { w.account = nil }},
		{"the account is deactivated", func(w *world) {
			w.account = changed(w.account, func(a *store.Account) { a.Status = store.AccountDeactivated })
		}},
		{"the account is deleted", func(w *world) {
			w.account = changed(w.account, func(a *store.Account) { a.Status = store.AccountDeleted })
		}},
		{"the client is gone", func(w *world) { w.client = nil }},
		{"the client is revoked", func(w *world) {
			w.client = changed(w.client, func(c *store.Client) { c.Status = store.ClientRevoked })
		}},
		{"the client is pending", func(w *world) {
			w.client = changed(w.client, func(c *store.Client) { c.Status = store.ClientPending })
		}},
		{"the client is a tombstone", func(w *world) {
			w.client = changed(w.client, func(c *store.Client) { c.Status = store.ClientDeleted })
		}},
		{"the client is expired", func(w *world) {
			w.client = changed(w.client, func(c *store.Client) { c.ExpiresAt = store.At(w.at) })
		}},
		{"the client is another account's", func(w *world) {
			w.client = changed(w.client, func(c *store.Client) { c.Account = "svc2" })
			w.account = changed(w.account, func(a *store.Account) { a.ID = "svc2" })
		}},
		{"the client is another workspace's", func(w *world) {
			w.client = changed(w.client, func(c *store.Client) { c.Workspace = "wsp2" })
		}},
		{"the secret is gone", func(w *world) {
			w.client = changed(w.client, func(c *store.Client) { c.Secrets = nil })
		}},
		{"the secret is revoked", func(w *world) {
			w.client = changedSecret(w.client, func(s *store.ClientSecret) { s.RevokedAt = 1 })
		}},
		{"the secret is expired", func(w *world) {
			w.client = changedSecret(w.client, func(s *store.ClientSecret) { s.ExpiresAt = store.At(w.at) })
		}},
	}
	for name, shape := range shapes() {
		if name == "RS256" {
			continue // the same road as ES256, and its keys are slow to make
		}
		for _, d := range deaths {
			for _, seen := range []bool{true, false} {
				w := newWorld(t)
				text := w.mint(t, w.claims(), shape)
				if seen {
					if _, err := w.verifier.Verify(t.Context(), text); err != nil {
						t.Fatal(err)
					}
				}
				d.do(w)
				w.refused(t, name+": "+d.name, text)
			}
		}
	}
}

func TestARestoredClientsOldTokensStayDead(t *testing.T) {
	w := newWorld(t)
	text := w.mint(t, w.claims(), shapes()["ES256"])
	if _, err := w.verifier.Verify(t.Context(), text); err != nil {
		t.Fatal(err)
	}
	w.client = changed(w.client, func(c *store.Client) { c.Status, c.Generation = store.ClientRevoked, c.Generation+1 })
	w.refused(t, "revoked", text)
	w.client = changed(w.client, func(c *store.Client) { c.Status = store.ClientActive })
	w.refused(t, "restored", text)
	if _, err := w.verifier.Verify(t.Context(), w.mint(t, w.claims(), shapes()["ES256"])); err != nil {
		t.Errorf("a new token of the restored client: %v", err)
	}
}

func TestARevokedTokenIsInvalidAndOthersAreNot(t *testing.T) {
	w := newWorld(t)
	text, other := w.mint(t, w.claims(), shapes()["opaque"]), w.mint(t, w.claims(), shapes()["opaque"])
	caller, err := w.verifier.Verify(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	w.revoked[caller.Token.ID] = true
	w.refused(t, "revoked", text)
	if _, err := w.verifier.Verify(t.Context(), other); err != nil {
		t.Errorf("another token: %v", err)
	}
}

func TestARevokedKeyKillsItsTokensThoughTheyWereSeen(t *testing.T) {
	for name, shape := range shapes() {
		w := newWorld(t)
		text := w.mint(t, w.claims(), shape)
		caller, err := w.verifier.Verify(t.Context(), text)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.ring.Revoke(t.Context(), caller.Token.KID); err != nil {
			t.Fatal(err)
		}
		w.refused(t, name, text)
		if _, err := w.verifier.Verify(t.Context(), w.mint(t, w.claims(), shape)); err != nil {
			t.Errorf("%s: a token of the next key: %v", name, err)
		}
	}
}

func TestAllWorkspaces(t *testing.T) {
	w := newWorld(t)
	w.client = changed(w.client, func(c *store.Client) { c.Workspace = "" })
	c := w.claims()
	c.Workspace, c.Gen = "", token.Gen(w.inst, nil, w.account, w.client, &w.client.Secrets[0])
	if c.Gen != "1.0.4.2.7" {
		t.Errorf("Gen without a workspace = %q", c.Gen)
	}
	text := w.mint(t, c, shapes()["EdDSA"])
	if caller, err := w.verifier.Verify(t.Context(), text); err != nil || caller.Workspace != nil {
		t.Errorf("Verify = %+v, %v", caller, err)
	}
	w.workspace = nil
	if _, err := w.verifier.Verify(t.Context(), text); err != nil {
		t.Errorf("a workspace that it does not name is gone: %v", err)
	}
}

func TestAnOutageIsNoRefusal(t *testing.T) {
	w := newWorld(t)
	text := w.mint(t, w.claims(), shapes()["EdDSA"])
	w.err = &store.Unavailable{Err: errors.New("no primary")}
	for name, text := range map[string]string{"a token": text, "a secret": w.bearer.Reveal()} {
		if _, err := w.verifier.Verify(t.Context(), text); !errors.Is(err, store.ErrUnavailable) || errors.Is(err, token.ErrInvalid) {
			t.Errorf("%s: got %v, want ErrUnavailable", name, err)
		}
	}
}

func TestASecretAsABearer(t *testing.T) {
	w := newWorld(t)
	w.client = changed(w.client, func(c *store.Client) { c.ExpiresAt = store.At(w.at).Add(time.Hour) })
	w.client = changedSecret(w.client, func(s *store.ClientSecret) { s.ExpiresAt = store.At(w.at).Add(time.Minute) })
	caller, err := w.verifier.Verify(t.Context(), w.bearer.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	if caller.Token != nil || !caller.AnyScope || caller.Secret != "sec1" || caller.Client != w.client ||
		caller.Holder.Account != w.account || caller.Workspace != w.workspace || caller.ExpiresAt != store.At(w.at).Add(time.Minute) {
		t.Errorf("Verify = %+v", caller)
	}

	for name, do := range map[string]func(*world){
		"not a bearer": func(w *world) { w.client = changed(w.client, func(c *store.Client) { c.Bearer = false }) },
		"no hash":      func(w *world) { w.client = changedSecret(w.client, func(s *store.ClientSecret) { s.Hash = nil }) },
		"hash of another": func(w *world) {
			w.client = changedSecret(w.client, func(s *store.ClientSecret) { s.Hash = secret.New(w.client.ID).Hash() })
		},
		"secret revoked": func(w *world) {
			w.client = changedSecret(w.client, func(s *store.ClientSecret) { s.RevokedAt = 1 })
		},
		"secret expired": func(w *world) {
			w.client = changedSecret(w.client, func(s *store.ClientSecret) { s.ExpiresAt = store.At(w.at) })
		},
		"client revoked": func(w *world) {
			w.client = changed(w.client, func(c *store.Client) { c.Status = store.ClientRevoked })
		},
		"client expired": func(w *world) {
			w.client = changed(w.client, func(c *store.Client) { c.ExpiresAt = store.At(w.at) })
		},
		"account deactivated": func(w *world) {
			w.account = changed(w.account, func(a *store.Account) { a.Status = store.AccountDeactivated })
		},
		"no API access": func(w *world) {
			w.workspace = changed(w.workspace, func(ws *store.Workspace) { ws.APIAccess = false })
		},
		"workspace gone": func(w *world) { w.workspace = nil },
		"client gone":    func(w *world) { w.client = nil },
	} {
		w := newWorld(t)
		text := w.bearer.Reveal()
		do(w)
		w.refused(t, name, text)
	}
}

func TestTwoSecretsInRotation(t *testing.T) {
	w := newWorld(t)
	fresh := secret.New(w.client.ID)
	end := w.at.Add(time.Hour)
	w.client = changed(w.client, func(c *store.Client) {
		c.Secrets = []store.ClientSecret{
			{ID: "sec1", Hash: w.bearer.Hash(), Generation: 1, ExpiresAt: store.At(end)},
			{ID: "sec2", Hash: fresh.Hash(), Generation: 1},
		}
	})
	for text, want := range map[string]store.SecretID{w.bearer.Reveal(): "sec1", fresh.Reveal(): "sec2"} {
		if caller, err := w.verifier.Verify(t.Context(), text); err != nil || caller.Secret != want {
			t.Errorf("%s in rotation: %+v, %v", want, caller, err)
		}
	}
	w.at = end
	w.refused(t, "the old secret past its end", w.bearer.Reveal())
	if _, err := w.verifier.Verify(t.Context(), fresh.Reveal()); err != nil {
		t.Errorf("the new secret: %v", err)
	}
}

func TestAWrongChecksumNeedsNoLookUp(t *testing.T) {
	w := newWorld(t)
	text := w.bearer.Reveal()
	for i := range len(text) {
		w.refused(t, "changed", text[:i]+string([]byte{text[i] ^ 1})+text[i+1:])
	}
	if w.reads != 0 {
		t.Errorf("clients were looked up %d times", w.reads)
	}
}

func TestInspect(t *testing.T) {
	w := newWorld(t)
	text := w.mint(t, w.claims(), shapes()["EdDSA"])
	i, err := token.Inspect(text)
	if err != nil || i.Kind != "jwt" || !strings.Contains(string(i.Header), `"EdDSA"`) || !strings.Contains(string(i.Claims), `"sub":"svc1"`) {
		t.Errorf("Inspect of a JWT = %+v, %v", i, err)
	}
	i, err = token.Inspect(w.bearer.Reveal())
	if err != nil || i.Kind != "secret" || i.ClientID != w.client.ID {
		t.Errorf("Inspect of a secret = %+v, %v", i, err)
	}
	for _, bad := range []string{"", "x", "..", "a.b.c", "e30.e30", "e30.e30..", "psa_x", "pst_x", strings.Repeat("e30.", 3000), "e30.!.e30"} {
		if i, err := token.Inspect(bad); !errors.Is(err, token.ErrInvalid) {
			t.Errorf("Inspect(%.20q) = %+v, %v, want ErrInvalid", bad, i, err)
		}
	}
}

func TestTheTypeOfATokenIsSigned(t *testing.T) {
	w := newWorld(t)
	text := w.mint(t, w.claims(), token.Shape{Format: store.FormatJWT, Algorithm: keys.ES256, Type: keys.TypeJWT})
	caller, err := w.verifier.Verify(t.Context(), text)
	if err != nil || caller.Token.Type != keys.TypeJWT {
		t.Errorf("Verify = %+v, %v, want a token of type JWT", caller, err)
	}
}
