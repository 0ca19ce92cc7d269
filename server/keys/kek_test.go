package keys_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"postern/server/keys"
	"postern/store"
)

func TestParseKEKsRefuses(t *testing.T) {
	for _, text := range []string{
		"", ",", oldKEK + ",", "short", "b2xk", oldKEK[:43], oldKEK + oldKEK, "!" + oldKEK[1:], oldKEK + ";" + newKEK,
	} {
		_, err := keys.ParseKEKs(text)
		if err == nil {
			t.Errorf("ParseKEKs(%q) takes it", text)
		} else if text != "" && strings.Contains(err.Error(), strings.Trim(text, ",;")) && len(text) > 1 {
			t.Errorf("ParseKEKs(%q) quotes the key: %v", text, err)
		}
	}
	if _, err := keys.ParseKEKs(" " + newKEK + " ,\n" + oldKEK + "\n"); err != nil {
		t.Errorf("white space around keys: %v", err)
	}
	if _, err := keys.ParseKEKs(keys.GenerateKEK()); err != nil {
		t.Errorf("a generated key: %v", err)
	}
}

func TestKEKIsNeverPrinted(t *testing.T) {
	k := kek(t, oldKEK)
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		fmt.Fprintf(&out, verb+"\n", k)
		fmt.Fprintf(&out, verb+"\n", struct{ K *keys.KEK }{k})
	}
	text, err := json.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(text)
	for _, leak := range []string{oldKEK, "oldold", fmt.Sprintf("%x", "oldold"), "111 108 100 111"} {
		if strings.Contains(out.String(), leak) {
			t.Errorf("the key-encryption key was printed as %q:\n%s", leak, out.String())
		}
	}
}

func TestDeriveDependsOnPurposeAndKey(t *testing.T) {
	derive := func(text, purpose string) string {
		b, err := kek(t, text).Derive(purpose)
		if err != nil || len(b) != 32 {
			t.Fatalf("Derive(%q) = %d bytes, %v", purpose, len(b), err)
		}
		return string(b)
	}
	if derive(oldKEK, "audit chain") != derive(oldKEK+","+newKEK, "audit chain") {
		t.Error("an additional key changes what the first one derives")
	}
	if derive(oldKEK, "audit chain") == derive(oldKEK, "cursors") {
		t.Error("two purposes give the same bytes")
	}
	if derive(oldKEK, "cursors") == derive(newKEK, "cursors") {
		t.Error("two keys give the same bytes")
	}
	all, err := kek(t, newKEK+","+oldKEK).DeriveAll("cursors")
	if err != nil || len(all) != 2 || string(all[0]) != derive(newKEK, "cursors") || string(all[1]) != derive(oldKEK, "cursors") {
		t.Errorf("DeriveAll = %d keys, %v: want what each derives", len(all), err)
	}
}

func TestFileKEKIsMadeOnceAndForItsOwnerOnly(t *testing.T) {
	dir := t.TempDir()
	// Many processes that start at once end with the same key.
	var wg sync.WaitGroup
	derived := make([]string, 8)
	for i := range derived {
		wg.Go(func() {
			k, err := keys.FileKEK(dir, false)
			if err != nil {
				t.Error(err)
				return
			}
			b, err := k.Derive("x")
			if err != nil {
				t.Error(err)
			}
			derived[i] = string(b)
		})
	}
	wg.Wait()
	for _, d := range derived {
		if d == "" || d != derived[0] {
			t.Fatal("two processes have different key-encryption keys")
		}
	}
	left, err := os.ReadDir(filepath.Join(dir, "keys"))
	if err != nil || len(left) != 1 {
		t.Errorf("keys/ holds %v, %v, want kek alone", left, err)
	}
	path := filepath.Join(dir, "keys", "kek")
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("kek: %v, %v, want mode 0600", info.Mode(), err)
	}

	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.FileKEK(dir, true); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a file that the group may read: got %v, want a refusal that says what to do", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.FileKEK(dir, true); err == nil || !strings.Contains(err.Error(), "missing") {
		t.Errorf("a missing file of a store with keys: got %v, want a refusal", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("another key-encryption key was made: %v", err)
	}
	if err := os.WriteFile(path, []byte("half a ke"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.FileKEK(dir, false); err == nil {
		t.Error("a damaged file was taken")
	}
}

func TestAWrongKEKIsAClearRefusal(t *testing.T) {
	f := newFake()
	if _, err := f.join(t, keys.Options{}).Signer(t.Context(), keys.ES256); err != nil {
		t.Fatal(err)
	}
	other := keys.New(keys.Options{Store: f, KEK: kek(t, newKEK)})
	err := other.Load(f.load())
	if !errors.Is(err, keys.ErrSealed) || !strings.Contains(err.Error(), "keys.encryption_key") {
		t.Errorf("Load with another key-encryption key: got %v, want ErrSealed and what to do", err)
	}
	if err := keys.New(keys.Options{Store: f, KEK: kek(t, newKEK+","+oldKEK)}).Load(f.load()); err != nil {
		t.Errorf("Load with the right key in second place: %v", err)
	}
}

func TestADumpOfTheStoreHoldsNoKeyMaterial(t *testing.T) {
	f := newFake()
	r := f.join(t, keys.Options{})
	for _, alg := range keys.Signatures() {
		if _, err := r.Signer(t.Context(), alg); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Sealer(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, k := range f.keys() {
		// PKCS #8 begins with a version and an algorithm's OID: none shines through.
		for _, oid := range [][]byte{{0x2a, 0x86, 0x48, 0xce, 0x3d}, {0x2b, 0x65, 0x70}, {0x2a, 0x86, 0x48, 0x86, 0xf7}} {
			if bytes.Contains(k.Sealed, oid) {
				t.Errorf("key %s is not sealed", k.ID)
			}
		}
	}
}

func TestTamperingWithAStoredKeyIsFound(t *testing.T) {
	f := newFake()
	r := f.join(t, keys.Options{})
	for _, alg := range []string{keys.ES256, keys.EdDSA} {
		if _, err := r.Signer(t.Context(), alg); err != nil {
			t.Fatal(err)
		}
	}
	g := newFake()
	if _, err := g.join(t, keys.Options{}).Signer(t.Context(), keys.ES256); err != nil {
		t.Fatal(err)
	}
	good, foreign := *f.keys()[0], *g.keys()[0]
	for name, change := range map[string]func(*store.Key){
		"another public key":                   func(k *store.Key) { k.Public = foreign.Public },
		"another id":                           func(k *store.Key) { k.ID = "access-ES256-9" },
		"another algorithm":                    func(k *store.Key) { k.Algorithm = keys.EdDSA },
		"another use":                          func(k *store.Key) { k.Use, k.Algorithm = store.UseSeal, keys.XC20P },
		"a bit of what is sealed":              func(k *store.Key) { k.Sealed = bytes.Clone(k.Sealed); k.Sealed[40] ^= 1 },
		"what is sealed cut short":             func(k *store.Key) { k.Sealed = k.Sealed[:20] },
		"nothing sealed":                       func(k *store.Key) { k.Sealed = nil },
		"another version of sealing":           func(k *store.Key) { k.Sealed = bytes.Clone(k.Sealed); k.Sealed[0] = 2 },
		"the sealed key of another in its use": func(k *store.Key) { k.Sealed = f.keys()[1].Sealed },
	} {
		k := good
		change(&k)
		if err := keys.New(keys.Options{Store: f, KEK: kek(t, oldKEK)}).Load([]store.Record{&k}); err == nil {
			t.Errorf("%s: Load takes it", name)
		}
	}
}

func TestKEKSealsForOnePlaceOnly(t *testing.T) {
	old, fresh := keys.GenerateKEK(), keys.GenerateKEK()
	before, after, other := parsed(t, old), parsed(t, fresh+","+old), parsed(t, fresh)
	sealed := before.Seal("webhook", "hok1", []byte("whsec"))
	if bytes.Contains(sealed, []byte("whsec")) {
		t.Error("it lies open")
	}
	for _, tt := range []struct {
		name     string
		kek      *keys.KEK
		kind, id string
		sealed   []byte
		want     bool
	}{
		{"its own place", before, "webhook", "hok1", sealed, true},
		{"an older key among several", after, "webhook", "hok1", sealed, true},
		{"another id", before, "webhook", "hok2", sealed, false},
		{"another kind", before, "delivery", "hok1", sealed, false},
		{"another key", other, "webhook", "hok1", sealed, false},
		{"cut off", before, "webhook", "hok1", sealed[:20], false},
		{"nothing", before, "webhook", "hok1", nil, false},
	} {
		plain, ok := tt.kek.Open(tt.kind, tt.id, tt.sealed)
		if ok != tt.want || ok && string(plain) != "whsec" {
			t.Errorf("%s: opens %q, %t; want %t", tt.name, plain, ok, tt.want)
		}
	}
}

func parsed(t *testing.T, text string) *keys.KEK {
	t.Helper()
	k, err := keys.ParseKEKs(text)
	if err != nil {
		t.Fatal(err)
	}
	return k
}
