package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"postern/store"
)

// Hashes of two texts, made by other programs: one that a person chose, and one
// that a machine made.
const (
	weakText   = "old secret 1"
	strongText = "hQ8zW2nLx5Rt7YvK3mBc9PfGd4Js6AeU"

	weakBcrypt   = "$2a$05$ra.75ozyTlL7NGE4uMm41.cAUvgzBCXwg5MVQFgc0xpWjlyJF.jnS"
	weakSHA256   = "$pbkdf2-sha256$i=25000,l=32$c2l4dGVlbiBieXRlcyBvaw$Gh92RP14W764sIfiSCZZsKjMJmPMZIEqbQu03sV4ze4"
	weakSHA512   = "$pbkdf2-sha512$i=10000,l=32$c2l4dGVlbiBieXRlcyBvaw$fJEtnS5LR7n6j0uVDw3RZ8zBZZ9b1K4/4jBilFlZsWk"
	weakPasslib  = "$pbkdf2-sha256$29000$.//..//..//..//..//..//.$UEC/BxAg1KTaA3Adk1m9o30DEW6ssEfh.e6cjCmMuz4"
	weakArgon2id = "$argon2id$v=19$m=1024,t=1,p=1$Xhw+OY4z634JSbo4D4njRw$KkrM8o7BsyHgtGAMGSiylaFqxom8fThkbs2kxT3TGkQ"
	strongBcrypt = "$2a$05$.ccJ0ThsQTUHdMzNmE75xOalPUUMOzNt9.SnqLKVS7fpUrqYrdalG"
)

// imports imports clients, which must all end with a status.
func (w *world) imports(status string, clients ...object) answer {
	w.t.Helper()
	got := w.want(http.StatusOK, "POST", "/clients/import", object{"workspace": "default", "clients": clients})
	for i := range clients {
		if s := got.text(fmt.Sprintf("items.%d.status", i)); s != status {
			w.t.Fatalf("import of %v: %s, want %q", clients[i]["client_id"], got.body, status)
		}
	}
	return got
}

// kept is how a client's first secret is stored.
func (w *world) kept(id string) store.ClientSecret {
	w.t.Helper()
	c, err := w.state.Client(w.t.Context(), store.ClientID(id))
	if err != nil {
		w.t.Fatal(err)
	}
	return c.Secrets[0]
}

// Item 10 of the job: ids and secrets of another server go on working, whatever
// hash the secrets come with; the first use alone is slow, and after it a secret
// is kept by what it needs.
func TestImportedSecretsGoOnWorking(t *testing.T) {
	w := start(t)
	for name, tt := range map[string]struct {
		secret object
		text   string
		kept   string // by the import
		slow   int64  // comparisons of three uses
		after  string // the beginning of the slow hash then; empty is a SHA-256
	}{
		"bcrypt":               {object{"secret_hash": weakBcrypt}, weakText, "bcrypt", 1, "$argon2id$v=19$m=19456,t=2,p=1$"},
		"bcrypt 2y":            {object{"secret_hash": strings.Replace(weakBcrypt, "$2a", "$2y", 1)}, weakText, "bcrypt", 1, "$argon2id$v=19$m=19456,"},
		"PBKDF2-SHA256":        {object{"secret_hash": weakSHA256}, weakText, "pbkdf2", 1, "$argon2id$v=19$m=19456,"},
		"PBKDF2-SHA512":        {object{"secret_hash": weakSHA512}, weakText, "pbkdf2", 1, "$argon2id$v=19$m=19456,"},
		"passlib":              {object{"secret_hash": weakPasslib}, weakText, "pbkdf2", 1, "$argon2id$v=19$m=19456,"},
		"argon2id":             {object{"secret_hash": weakArgon2id}, weakText, "argon2id", 1, weakArgon2id},
		"strong, by bcrypt":    {object{"secret_hash": strongBcrypt}, strongText, "bcrypt", 1, ""},
		"strong text":          {object{"secret": strongText}, strongText, "sha256", 0, ""},
		"weak text":            {object{"secret": weakText}, weakText, "argon2id", 1, "$argon2id$v=19$m=19456,"},
		"an id with all in it": {object{"secret": strongText, "client_id": "-._~aZ09"}, strongText, "sha256", 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w.t = t
			id, _ := tt.secret["client_id"].(string)
			if id == "" {
				id = strings.NewReplacer(" ", "-", ",", "").Replace(name)
			}
			tt.secret["client_id"], tt.secret["roles"] = id, []string{"example-reader"}
			made := w.imports("imported", tt.secret)
			if kept := made.text("items.0.kept_by"); kept != tt.kept || strings.Contains(made.body, "$") {
				t.Errorf("kept by %q in %s, want %q and no hash", kept, made.body, tt.kept)
			}
			before := w.compared.Load()
			for range 3 {
				if got := w.token(id, tt.text); got.status != http.StatusOK || got.text("scope") != "orders:read" {
					t.Fatalf("token with the old secret: %d %s", got.status, got.body)
				}
			}
			if got := w.compared.Load() - before; got != tt.slow {
				t.Errorf("%d slow comparisons for three uses, want %d", got, tt.slow)
			}
			if tt.kept != "sha256" && tt.kept != "argon2id" {
				if got := <-w.rehashed; string(got) != id {
					t.Fatalf("client %s was rehashed, want %s", got, id)
				}
			}
			kept := w.kept(id)
			if tt.after == "" && (kept.SlowHash != "" || len(kept.Hash) != 32) || tt.after != "" && (!strings.HasPrefix(kept.SlowHash, tt.after) || kept.Hash != nil) {
				t.Errorf("kept by %q and a hash of %d bytes, want %q", kept.SlowHash, len(kept.Hash), tt.after)
			}
			before = w.compared.Load()
			if got := w.token(id, tt.text); got.status != http.StatusOK {
				t.Errorf("after the rehash: %d %s", got.status, got.body)
			}
			if got := w.compared.Load() - before; got != 0 {
				t.Errorf("%d slow comparisons after the rehash, want none", got)
			}
			if got := w.token(id, tt.text+"x"); got.status != http.StatusUnauthorized {
				t.Errorf("another secret: %d %s", got.status, got.body)
			}
		})
	}
}
