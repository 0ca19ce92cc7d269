// Package storetest is the contract of package store as tests: every backend
// passes Run, and what Run does not ask no caller may rely on.
//
// It asks what backends differ in: the case of identifiers, times, empty
// lists, order, paging, conflicts, transactions, the change feed, totals, and
// cancelled contexts; and it compares thousands of random operations with a
// map. Where the words of package store leave a choice, it is made here:
//
//   - A descending list is the ascending one backwards, the order of equal
//     values by id included.
//   - The last use that clients are sorted by is the latest success of any of
//     their secrets.
//   - Of an Insert that finds both its key and a unique name taken, Exists
//     names the key.
//   - The JSON of an audit entry comes back byte for byte if it was compact.
//   - Any text may hold a NUL, except an id or a name that must be unique.
//   - What Prune deletes of watched kinds comes through the feed.
package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/store"
)

// Run tests a backend. Each call of open returns a fresh, empty store, and has
// it closed by its t's Cleanup. Calls of open come at the same time.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	t.Helper()
	groups := []struct {
		name string
		test func(*testing.T, store.Store)
	}{
		{"records", testRecords},
		{"commits", testCommits},
		{"races", testRaces},
		{"clients", testClients},
		{"accounts", testAccounts},
		{"grants", testGrants},
		{"deliveries", testDeliveries},
		{"audit", testAudit},
		{"all", testAll},
		{"feed", testFeed},
		{"usage", testUsage},
		{"prune", testPrune},
		{"contexts", testContexts},
		{"random operations", testRandom},
	}
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			g.test(t, open(t))
		})
	}
}

// patience is how long an event that must come is waited for.
const patience = 30 * time.Second

// start is a moment that the tests count from.
const start store.Time = 1_700_000_000_123

func commit(t *testing.T, s store.Store, writes ...store.Write) {
	t.Helper()
	if err := s.Commit(t.Context(), writes...); err != nil {
		t.Fatalf("commit of %d writes, the first of %s %q: %v", len(writes), writes[0].Record.Kind(), writes[0].Record.Key(), err)
	}
}

// find returns the stored record, or nil.
func find(t *testing.T, s store.Store, kind store.Kind, key string) store.Record {
	t.Helper()
	for _, r := range all(t, s, kind) {
		if r.Key() == key {
			return r
		}
	}
	return nil
}

func all(t *testing.T, s store.Store, kinds ...store.Kind) []store.Record {
	t.Helper()
	var records []store.Record
	err := s.All(t.Context(), func(r store.Record) error {
		records = append(records, r)
		return nil
	}, kinds...)
	if err != nil {
		t.Fatalf("all of %v: %v", kinds, err)
	}
	return records
}

// same fails the test if got is not want.
func same(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func keys[R store.Record](records []R) []string {
	out := make([]string, 0, len(records))
	for _, r := range records {
		out = append(out, r.Key())
	}
	return out
}

// waiting returns a context for something that must happen soon.
func waiting(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}
