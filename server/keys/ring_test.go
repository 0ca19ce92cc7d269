package keys_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/server/keys"
	"postern/store"
)

// published reads a JWKS as a resource server does.
func published(t *testing.T, r *keys.Ring) map[string]any {
	t.Helper()
	var set struct{ Keys []map[string]string }
	if err := json.Unmarshal(r.JWKS(), &set); err != nil {
		t.Fatal(err)
	}
	found := map[string]any{}
	for _, k := range set.Keys {
		if k["use"] != "sig" || k["alg"] == "" || k["kid"] == "" || k["d"] != "" || k["p"] != "" {
			t.Errorf("JWK %v: want use, alg and kid, and nothing private", k)
		}
		bin := func(name string, size int) []byte {
			b, err := base64.RawURLEncoding.Strict().DecodeString(k[name])
			if err != nil || size > 0 && len(b) != size {
				t.Errorf("JWK %s: %s is %d bytes, %v, want %d", k["kid"], name, len(b), err, size)
			}
			return b
		}
		switch k["kty"] + " " + k["crv"] {
		case "EC P-256":
			public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, bin("x", 32), bin("y", 32)))
			if err != nil {
				t.Fatal(err)
			}
			found[k["kid"]] = public
		case "OKP Ed25519":
			found[k["kid"]] = ed25519.PublicKey(bin("x", 32))
		case "RSA ":
			found[k["kid"]] = &rsa.PublicKey{N: new(big.Int).SetBytes(bin("n", 256)), E: int(new(big.Int).SetBytes(bin("e", 3)).Int64())}
		default:
			t.Errorf("JWK %v is of no known type", k)
		}
	}
	return found
}

func signer(t *testing.T, r *keys.Ring, algorithm string) *keys.Signer {
	t.Helper()
	s, err := r.Signer(t.Context(), algorithm)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func states(r *keys.Ring) []string {
	var list []string
	for _, i := range r.List() {
		list = append(list, string(i.ID)+" "+string(i.State))
	}
	return list
}

func TestAKeyIsMadeWhenItsAlgorithmIsFirstUsed(t *testing.T) {
	f, c := newFake(), newClock()
	r := f.join(t, keys.Options{Now: c.now})
	if got := string(r.JWKS()); got != `{"keys":[]}` {
		t.Errorf("JWKS without keys: %s", got)
	}
	for _, alg := range keys.Signatures() {
		s := signer(t, r, alg)
		if s != signer(t, r, alg) {
			t.Errorf("%s: a second use made a second key", alg)
		}
		if s.Algorithm != alg || !strings.HasPrefix(s.KID, "access-"+alg+"-1-") {
			t.Errorf("%s: the key is %s of %s", alg, s.KID, s.Algorithm)
		}
		signature, err := s.Sign([]byte("kept"), []byte("input"))
		if err != nil || !bytes.HasPrefix(signature, []byte("kept")) {
			t.Fatalf("%s: Sign = %q, %v", alg, signature, err)
		}
		v, ok := r.Lookup(s.KID, store.At(c.at))
		if !ok || !v.Verify([]byte("input"), signature[4:]) {
			t.Errorf("%s: its signature is not good", alg)
		}
		for name, bad := range map[string][]byte{
			"none": nil, "cut": signature[4 : len(signature)-1], "longer": append(slices.Clone(signature[4:]), 0),
			"zeros": make([]byte, len(signature)-4),
		} {
			if v.Verify([]byte("input"), bad) {
				t.Errorf("%s: signature %s is good", alg, name)
			}
		}
		if v.Verify([]byte("inpux"), signature[4:]) {
			t.Errorf("%s: the signature is good for another input", alg)
		}
		if public, ok := published(t, r)[s.KID].(interface{ Equal(any) bool }); ok && !public.Equal(v.Public) {
			t.Errorf("%s: the JWKS has another key", alg)
		} else if diff := cmp.Diff(v.Public, published(t, r)[s.KID]); diff != "" {
			t.Errorf("%s: the JWKS has another key: %s", alg, diff)
		}
	}
	if f.commits != 3 {
		t.Errorf("three algorithms took %d commits", f.commits)
	}
	for _, alg := range []string{"", "none", "HS256", "es256", keys.XC20P} {
		if s, err := r.Signer(t.Context(), alg); err == nil {
			t.Errorf("Signer(%q) = %s", alg, s.KID)
		}
	}
}

func TestNodesThatMeetMakeOneKey(t *testing.T) {
	f := newFake()
	kids := make([]string, 4)
	nodes := make([]*keys.Ring, len(kids))
	for i := range nodes {
		nodes[i] = f.deaf(t, keys.Options{})
	}
	// Each has made a key of its own before one of them may commit.
	var arrived sync.WaitGroup
	arrived.Add(len(nodes))
	f.before = func() { arrived.Done(); arrived.Wait() }
	var wg sync.WaitGroup
	for i, r := range nodes {
		wg.Go(func() {
			s, err := r.Signer(t.Context(), keys.EdDSA)
			if err != nil {
				t.Error(err)
				return
			}
			kids[i] = s.KID
		})
	}
	wg.Wait()
	if got := len(f.keys()); got != 1 {
		t.Errorf("four nodes made %d keys", got)
	}
	if len(slices.Compact(kids)) != 1 {
		t.Errorf("the nodes sign with %v", kids)
	}
}

func TestManyRequestsMakeOneKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		r := f.deaf(t, keys.Options{})
		f.before = sync.OnceFunc(synctest.Wait) // until all the others wait for the first
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				if _, err := r.Signer(t.Context(), keys.ES256); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if diff := cmp.Diff([]string{"access-ES256-1 active"}, states(r)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestANodeWithASlowClockUsesTheFirstKeyToo(t *testing.T) {
	f, c := newFake(), newClock()
	made := signer(t, f.join(t, keys.Options{Now: c.now}), keys.ES256)
	slow := f.deaf(t, keys.Options{Now: func() time.Time { return c.at.Add(-time.Minute) }})
	if got := signer(t, slow, keys.ES256); got.KID != made.KID {
		t.Errorf("it signs with %s, want %s", got.KID, made.KID)
	}
}

func TestAnOutageAtTheFirstUseIsAnOutage(t *testing.T) {
	f := newFake()
	r := f.deaf(t, keys.Options{})
	f.fail = &store.Unavailable{Err: errors.New("no primary")}
	if _, err := r.Signer(t.Context(), keys.ES256); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Signer without a store: got %v, want ErrUnavailable", err)
	}
	f.fail, f.after = nil, &store.Unavailable{Saved: true, Err: errors.New("the feed is behind")}
	if _, err := r.Signer(t.Context(), keys.ES256); err != nil {
		t.Errorf("Signer of a key that is saved, but did not come back: %v", err)
	}
	f.after = &store.Unavailable{Unknown: true, Err: errors.New("cut off")}
	other := f.deaf(t, keys.Options{})
	if _, err := other.Sealer(t.Context()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Sealer of an unknown outcome: got %v, want ErrUnavailable", err)
	}
	f.after = nil
	if s, err := other.Sealer(t.Context()); err != nil || s.KID != "seal-XC20P-1" {
		t.Errorf("Sealer after an unknown outcome: %v, want the key that was made", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := other.Signer(ctx, keys.EdDSA); !errors.Is(err, context.Canceled) {
		t.Errorf("Signer for nobody: got %v, want the context's error", err)
	}
}

func TestSealer(t *testing.T) {
	f, c := newFake(), newClock()
	r := f.join(t, keys.Options{Now: c.now})
	s, err := r.Sealer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sealed := s.Seal([]byte("kept"), []byte("plain"), []byte("for"))[4:]
	if len(sealed) != len("plain")+keys.SealOverhead {
		t.Errorf("sealed: %d bytes", len(sealed))
	}
	opener, ok := r.Opener(s.KID, store.At(c.at))
	if !ok {
		t.Fatal("no opener")
	}
	if plain, err := opener.Open(nil, sealed, []byte("for")); err != nil || string(plain) != "plain" {
		t.Errorf("Open = %q, %v", plain, err)
	}
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		if _, err := opener.Open(nil, changed, []byte("for")); !errors.Is(err, keys.ErrForged) {
			t.Errorf("byte %d changed: got %v, want ErrForged", i, err)
		}
		if _, err := opener.Open(nil, sealed[:i], []byte("for")); !errors.Is(err, keys.ErrForged) {
			t.Errorf("%d bytes of it: got %v, want ErrForged", i, err)
		}
	}
	if _, err := opener.Open(nil, sealed, []byte("fox")); !errors.Is(err, keys.ErrForged) {
		t.Errorf("other additional data: got %v, want ErrForged", err)
	}
	if bytes.Contains(r.JWKS(), []byte("seal")) {
		t.Error("the JWKS has a sealing key")
	}
	if _, ok := r.Lookup(s.KID, store.At(c.at)); ok {
		t.Error("a sealing key is found as a public one")
	}
	if _, ok := r.Opener(signer(t, r, keys.EdDSA).KID, store.At(c.at)); ok {
		t.Error("a signing key is found as a sealing one")
	}
}

func TestHeader(t *testing.T) {
	f, c := newFake(), newClock()
	r := f.join(t, keys.Options{Now: c.now})
	s := signer(t, r, keys.ES256)
	for given, want := range map[string]string{"": "at+jwt", "at+jwt": "at+jwt", "JWT": "JWT"} {
		header, ok := s.Header(given)
		text, err := base64.RawURLEncoding.DecodeString(header)
		if !ok || err != nil {
			t.Fatalf("Header(%q) = %q, %t", given, header, ok)
		}
		if got, want := string(text), `{"alg":"ES256","kid":"`+s.KID+`","typ":"`+want+`"}`; got != want {
			t.Errorf("Header(%q) = %s, want %s", given, got, want)
		}
		v, typ, ok := r.LookupHeader(header, store.At(c.at))
		if !ok || v.KID != s.KID || typ != want {
			t.Errorf("LookupHeader of %s = %v, %q, %t", text, v, typ, ok)
		}
	}
	for _, typ := range []string{"jwt", "AT+JWT", "id_token+jwt", "x"} {
		if _, ok := s.Header(typ); ok {
			t.Errorf("tokens of type %q can be written", typ)
		}
	}
}

// A statement key signs no access tokens, and no access token passes by it.
func TestAStatementKeyIsNoneOfAccessTokens(t *testing.T) {
	f, c := newFake(), newClock()
	r := f.join(t, keys.Options{Now: c.now})
	access := signer(t, r, keys.ES256)
	statement, err := r.Statement(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if again, err := r.Statement(t.Context()); again != statement || err != nil {
		t.Errorf("a second use gave another key: %v", err)
	}
	if !strings.HasPrefix(statement.KID, "statement-ES256-1-") || signer(t, r, keys.ES256) != access {
		t.Errorf("the statement key is %s, and access tokens are signed by %s", statement.KID, signer(t, r, keys.ES256).KID)
	}
	for _, typ := range []string{keys.TypeAccessToken, keys.TypeJWT} {
		header, _ := statement.Header(typ)
		if _, _, ok := r.LookupHeader(header, store.At(c.at)); ok {
			t.Errorf("an access token of type %s would be good by the statement key", typ)
		}
	}
	if _, ok := r.Lookup(statement.KID, store.At(c.at)); ok {
		t.Error("Lookup finds the statement key among those of access tokens")
	}
	if text := string(r.JWKS()); strings.Count(text, `"postern_signs":"statement"`) != 1 || published(t, r)[statement.KID] == nil {
		t.Errorf("the JWKS does not say of one key that it signs statements: %s", text)
	}
	if _, err := r.Signer(t.Context(), keys.Statement); err == nil {
		t.Error("Signer gives the statement key for access tokens")
	}
	// Each kind has periods of its own.
	if i, err := r.Rotate(t.Context(), keys.Statement); err != nil || i.ID != "statement-ES256-2" {
		t.Errorf("rotate: %+v, %v", i, err)
	}
	if i, err := r.Revoke(t.Context(), statement.KID); err != nil || i.State != keys.StateRevoked {
		t.Errorf("revoke: %+v, %v", i, err)
	}
	next, err := r.Statement(t.Context())
	if err != nil || !strings.HasPrefix(next.KID, "statement-ES256-2-") || signer(t, r, keys.ES256) != access {
		t.Errorf("after it was revoked: %+v, %v", next, err)
	}
	want := []string{"access-ES256-1 active", "statement-ES256-1 revoked", "statement-ES256-2 active"}
	if diff := cmp.Diff(want, states(r)); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
}
