package cached_test

import (
	"testing"
	"testing/synctest"
	"time"

	"postern/store"
	"postern/store/cached"
)

func imported(id store.ClientID, revision int64, hash string) *store.Client {
	return &store.Client{ID: id, Revision: revision, Status: store.ClientActive, Secrets: []store.ClientSecret{{ID: "s", SlowHash: hash}}}
}

// What comparing with imported secrets costs is known from the first load on,
// each cost for as many numbers as there are clients that have it, and no longer
// than there are any.
func TestSlowCostFollowsTheImportedClients(t *testing.T) {
	const bcrypt, argon = "$2a$10$saltanddigest", "$argon2id$v=19$m=19456,t=2,p=1$salt$digest"
	costs := func(s *cached.Store) map[string]int {
		out := map[string]int{}
		for n := range uint64(12) {
			out[s.SlowCost(n)]++
		}
		return out
	}
	want := func(t *testing.T, s *cached.Store, when string, bcrypt, argon, none int) {
		t.Helper()
		got := costs(s)
		if got["$2a$10"] != bcrypt || got["$argon2id$v=19$m=19456,t=2,p=1"] != argon || got[""] != none {
			t.Errorf("%s: costs of twelve numbers are %v; want %d of bcrypt, %d of argon2id and %d of none", when, got, bcrypt, argon, none)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		f := newFake(client(1), imported("a", 1, bcrypt))
		s := start(t, f)
		want(t, s, "after the first load", 12, 0, 0)
		commit(t, s, store.Insert(imported("b", 0, bcrypt)), store.Insert(imported("c", 0, bcrypt)))
		commit(t, s, store.Update(imported("b", 1, argon)))
		want(t, s, "after an import and a first use", 8, 4, 0)
		gone := imported("a", 1, bcrypt)
		gone.Status = store.ClientDeleted
		native := imported("c", 1, "")
		commit(t, s, store.Update(gone), store.Update(native))
		want(t, s, "when one is left", 0, 12, 0)
		f.set(func() { f.lost = len(f.log) + 1 })
		time.Sleep(time.Second)
		want(t, s, "after a reload", 0, 12, 0)
		commit(t, s, store.Delete(imported("b", 2, argon)))
		want(t, s, "when none is left", 0, 0, 12)
	})
}
