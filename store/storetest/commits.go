package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"postern/store"
)

func testCommits(t *testing.T, s store.Store) {
	t.Run("no writes are no error", func(t *testing.T) {
		if err := s.Commit(t.Context()); err != nil {
			t.Errorf("commit of nothing: %v", err)
		}
	})
	for _, kind := range committed() {
		t.Run("a stale revision of "+string(kind), func(t *testing.T) {
			r := bare(t, kind, "stale")
			commit(t, s, store.Insert(r))
			commit(t, s, store.Update(r))
			current := find(t, s, kind, r.Key())
			for name, w := range map[string]store.Write{
				"update of an older one":      store.Update(r),
				"update of one yet to come":   store.Update(r.WithRev(3)),
				"update of revision 0":        store.Update(r.WithRev(0)),
				"delete of an older one":      store.Delete(r),
				"delete of one yet to come":   store.Delete(r.WithRev(3)),
				"update of what is not there": store.Update(bare(t, kind, "absent")),
				"delete of what is not there": store.Delete(bare(t, kind, "absent")),
			} {
				if err := s.Commit(t.Context(), w); !errors.Is(err, store.ErrConflict) {
					t.Errorf("%s: got error %v, want ErrConflict", name, err)
				}
			}
			same(t, "the record after all that", current, find(t, s, kind, r.Key()))
			commit(t, s, store.Delete(current))
		})
	}
	t.Run("all or nothing", func(t *testing.T) { testAllOrNothing(t, s) })
	t.Run("one commit may free a name and take it", func(t *testing.T) {
		commit(t, s, store.Insert(&store.Team{ID: "free1", Name: "free"}))
		commit(t, s, store.Delete(&store.Team{ID: "free1", Revision: 1}), store.Insert(&store.Team{ID: "free2", Name: "free"}))
		same(t, "who has the name", store.Record(&store.Team{ID: "free2", Name: "free", Revision: 1}), find(t, s, store.KindTeam, "free2"))
	})
	t.Run("what was handed in stays as it was", func(t *testing.T) {
		r := full(t, store.KindClient, "mine").WithRev(5)
		commit(t, s, store.Insert(r))
		same(t, "the caller's record", full(t, store.KindClient, "mine").WithRev(5), r)
	})
}

func testAllOrNothing(t *testing.T, s store.Store) {
	updated := &store.Workspace{ID: "aon", Name: "aon", Revision: 1}
	deleted := &store.Team{ID: "aon", Name: "aon", Revision: 1}
	commit(t, s, store.Insert(updated), store.Insert(deleted))
	before := all(t, s, committed()...)

	change := *updated
	change.Description = "changed"
	good := []store.Write{
		store.Update(&change),
		store.Delete(deleted),
		store.Insert(&store.Client{ID: "aon"}),
		store.Insert(&store.Role{ID: "aon", Ref: "aon/r"}),
		store.Insert(&store.AuditEntry{ID: "aon"}),
		store.Insert(&store.Chain{ID: "aon"}),
	}
	for name, tt := range map[string]struct {
		last store.Write
		want error
	}{
		"the last finds its key taken":       {store.Insert(&store.Workspace{ID: "aon", Name: "aon2"}), store.ErrExists},
		"the last finds its name taken":      {store.Insert(&store.Workspace{ID: "aon2", Name: "aon"}), store.ErrExists},
		"the last updates a stale one":       {store.Update(&store.Lease{ID: "aon", Revision: 3}), store.ErrConflict},
		"the last deletes what is not there": {store.Delete(&store.Account{ID: "aon", Revision: 1}), store.ErrConflict},
	} {
		t.Run(name, func(t *testing.T) {
			if err := s.Commit(t.Context(), append(slices.Clip(good), tt.last)...); !errors.Is(err, tt.want) {
				t.Errorf("commit whose last write cannot be: got error %v, want %v", err, tt.want)
			}
			same(t, "the store afterwards", before, all(t, s, committed()...))
		})
	}
	commit(t, s, good...)
	same(t, "the updated one", change.WithRev(2), find(t, s, store.KindWorkspace, "aon"))
	if find(t, s, store.KindTeam, "aon") != nil || find(t, s, store.KindChain, "aon") == nil {
		t.Error("a commit of six good writes was not done whole")
	}
}

func testRaces(t *testing.T, s store.Store) {
	const writers, rounds = 8, 15
	t.Run("of several updates of one revision one wins", func(t *testing.T) {
		commit(t, s, store.Insert(&store.Workspace{ID: "race", Name: "race"}))
		for round := range int64(rounds) {
			errs := together(writers, func(i int) error {
				return s.Commit(t.Context(),
					store.Update(&store.Workspace{ID: "race", Name: "race", Revision: round + 1, Description: fmt.Sprint(i)}),
					store.Insert(&store.AuditEntry{ID: store.AuditID(fmt.Sprintf("race-%d-%d", round, i))}))
			})
			winner := only(t, errs, store.ErrConflict)
			want := &store.Workspace{ID: "race", Name: "race", Revision: round + 2, Description: fmt.Sprint(winner)}
			same(t, "the record after the race", store.Record(want), find(t, s, store.KindWorkspace, "race"))
		}
		same(t, "entries of winners", rounds, len(all(t, s, store.KindAudit)))
	})
	t.Run("of several inserts of one key one wins", func(t *testing.T) {
		for round := range rounds {
			id := store.KeyID(fmt.Sprint("race-", round))
			only(t, together(writers, func(i int) error {
				return s.Commit(t.Context(), store.Insert(&store.Key{ID: id, Period: int64(i)}))
			}), store.ErrExists)
		}
	})
	t.Run("of several inserts of one name one wins", func(t *testing.T) {
		for round := range rounds {
			only(t, together(writers, func(i int) error {
				return s.Commit(t.Context(), store.Insert(&store.Team{ID: store.NewTeamID(), Name: fmt.Sprint("race-", round)}))
			}), store.ErrExists)
		}
	})
	t.Run("commits beside each other are all done", func(t *testing.T) {
		errs := together(writers, func(i int) error {
			for n := range rounds {
				id := fmt.Sprintf("side-%d-%d", i, n)
				if err := s.Commit(t.Context(), store.Insert(&store.Revocation{ID: id}), store.Insert(&store.Lease{ID: id})); err != nil {
					return err
				}
				rows := 0
				err := s.All(t.Context(), func(store.Record) error { rows++; return nil }, store.KindLease)
				if err != nil || rows <= n {
					return fmt.Errorf("after %d acknowledged inserts of this writer there are %d leases (%w)", n+1, rows, err)
				}
			}
			return nil
		})
		if err := errors.Join(errs...); err != nil {
			t.Error(err)
		}
		same(t, "rows", writers*rounds, len(all(t, s, store.KindRevocation)))
	})
}

// together runs f for 0 to n-1 at the same time.
func together(n int, f func(i int) error) []error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = f(i) })
	}
	wg.Wait()
	return errs
}

// only returns which of several got no error, and fails unless it is one and
// all others lost as they should.
func only(t *testing.T, errs []error, loss error) int {
	t.Helper()
	winner := -1
	for i, err := range errs {
		switch {
		case err == nil && winner >= 0:
			t.Fatalf("both writer %d and writer %d won", winner, i)
		case err == nil:
			winner = i
		case !errors.Is(err, loss):
			t.Errorf("a writer that lost: got error %v, want %v", err, loss)
		}
	}
	if winner < 0 {
		t.Fatalf("of %d writers none won: %v", len(errs), errs)
	}
	return winner
}
