package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"postern/store"
)

func testFeed(t *testing.T, s store.Store) {
	for _, kind := range slices.DeleteFunc(store.WatchedKinds(), func(k store.Kind) bool { return k == store.KindHeartbeat }) {
		t.Run("insert, update and delete of "+string(kind), func(t *testing.T) {
			feed := watch(t, s, "")
			r := full(t, kind, "feed")
			commit(t, s, store.Insert(r))
			commit(t, s, store.Update(r))
			commit(t, s, store.Delete(r.WithRev(2)))
			same(t, "changes", []store.Change{
				{Kind: kind, Key: r.Key(), Record: r},
				{Kind: kind, Key: r.Key(), Record: r.WithRev(2)},
				{Kind: kind, Key: r.Key()},
			}, next(t, feed, 3))
		})
	}
	t.Run("a heartbeat", func(t *testing.T) {
		feed := watch(t, s, "")
		for count := range int64(3) {
			if err := s.Beat(t.Context(), "node", count+1); err != nil {
				t.Fatalf("beat: %v", err)
			}
			c := next(t, feed, 1)[0]
			h, ok := c.Record.(*store.Heartbeat)
			if !ok || c.Kind != store.KindHeartbeat || c.Key != "node" || h.ID != "node" || h.Count != count+1 || h.BeatAt == 0 {
				t.Errorf("the change of a beat with count %d: got %+v with %+v", count+1, c, c.Record)
			}
		}
	})
	t.Run("what is not watched does not come", func(t *testing.T) {
		feed := watch(t, s, "")
		commit(t, s, store.Insert(&store.AuditEntry{ID: "feed"}), store.Insert(&store.Chain{ID: "feed"}), store.Insert(&store.Lease{ID: "feed"}))
		if err := s.AddUsage(t.Context(), []store.Usage{{Hour: start, Client: "feed", Count: 1}}, []store.LastUse{{Client: "feed", SuccessAt: start}}); err != nil {
			t.Fatalf("add usage: %v", err)
		}
		if err := s.Commit(t.Context(), store.Insert(&store.Revocation{ID: "undone"}), store.Delete(&store.Key{ID: "absent"})); err == nil {
			t.Fatal("a delete of what is not there was done")
		}
		commit(t, s, store.Insert(&store.AuditEntry{ID: "feed2"}), store.Insert(&store.Revocation{ID: "marker"}))
		same(t, "the first change", "marker", next(t, feed, 1)[0].Key)
	})
	t.Run("resume", func(t *testing.T) { testResume(t, s) })
	t.Run("order", func(t *testing.T) { testFeedOrder(t, s) })
	t.Run("a position that is none", func(t *testing.T) {
		for _, from := range []store.Position{"nonsense", "0", "$", "{}"} {
			if feed, err := s.Watch(t.Context(), from); !errors.Is(err, store.ErrGap) {
				t.Errorf("watch from %q: got %v, %v; want ErrGap", from, feed, err)
			}
		}
	})
	t.Run("next ends with its context", func(t *testing.T) {
		feed := watch(t, s, "")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			_, err := feed.Next(ctx)
			done <- err
		}()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("next with a cancelled context: got error %v, want context.Canceled", err)
		}
	})
}

func testResume(t *testing.T, s store.Store) {
	one := func(i int) *store.Revocation { return &store.Revocation{ID: fmt.Sprint("resume-", i)} }
	first := watch(t, s, "")
	positions := []store.Position{first.Position()}
	// Five commits of one, and one commit of five: one can resume within it.
	for i := range 5 {
		commit(t, s, store.Insert(one(i)))
	}
	commit(t, s, store.Insert(one(5)), store.Insert(one(6)), store.Insert(one(7)), store.Insert(one(8)), store.Insert(one(9)))
	var changes []store.Change
	for range 10 {
		changes = append(changes, next(t, first, 1)...)
		positions = append(positions, first.Position())
	}
	if err := first.Close(); err != nil {
		t.Errorf("close the feed: %v", err)
	}
	for after, from := range positions {
		feed := watch(t, s, from)
		if rest := len(changes) - after; rest > 0 {
			same(t, fmt.Sprintf("what comes after change %d", after), changes[after:], next(t, feed, rest))
		}
	}
	feed := watch(t, s, positions[10])
	commit(t, s, store.Insert(&store.Revocation{ID: "resume-end"}))
	same(t, "what comes after the last", "resume-end", next(t, feed, 1)[0].Key)
}

func testFeedOrder(t *testing.T, s store.Store) {
	const writers, rounds = 6, 12
	feeds := []store.Feed{watch(t, s, ""), watch(t, s, ""), watch(t, s, "")}
	errs := together(writers, func(i int) error {
		for n := range int64(rounds) {
			id := fmt.Sprintf("order-%d", i)
			role := &store.Role{ID: store.RoleID(id), Ref: id, Revision: n}
			workspace := &store.Workspace{ID: store.WorkspaceID(id), Name: id, Revision: n}
			write := store.Update
			if n == 0 {
				write = store.Insert
			}
			err := s.Commit(t.Context(), write(role), write(workspace), store.Insert(&store.Key{ID: store.KeyID(fmt.Sprintf("order-%d-%d", i, n))}))
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err := errors.Join(errs...); err != nil {
		t.Fatalf("commit: %v", err)
	}
	changes := next(t, feeds[0], writers*rounds*3)
	for i, feed := range feeds[1:] {
		same(t, fmt.Sprintf("the changes of feed %d and those of feed 0", i+1), changes, next(t, feed, len(changes)))
	}
	revisions := map[string]int64{}
	for i := 0; i < len(changes); i += 3 {
		three := changes[i : i+3]
		owner, revision := "", int64(0)
		for _, c := range three {
			if c.Kind == store.KindRole {
				owner, revision = c.Key, c.Record.Rev()
			}
		}
		got := []string{}
		for _, c := range three {
			got = append(got, fmt.Sprintf("%s %s at %d", c.Kind, c.Key, c.Record.Rev()))
		}
		want := []string{
			fmt.Sprintf("%s %s-%d at 1", store.KindKey, owner, revision-1),
			fmt.Sprintf("%s %s at %d", store.KindRole, owner, revision),
			fmt.Sprintf("%s %s at %d", store.KindWorkspace, owner, revision),
		}
		slices.Sort(got)
		same(t, fmt.Sprintf("changes %d to %d, which should be one commit", i, i+2), want, got)
		if revision != revisions[owner]+1 {
			t.Errorf("%s came at revision %d after %d", owner, revision, revisions[owner])
		}
		revisions[owner] = revision
	}
}

func watch(t *testing.T, s store.Store, from store.Position) store.Feed {
	t.Helper()
	feed, err := s.Watch(t.Context(), from)
	if err != nil {
		t.Fatalf("watch from %q: %v", from, err)
	}
	t.Cleanup(func() { _ = feed.Close() })
	return feed
}

func next(t *testing.T, feed store.Feed, n int) []store.Change {
	t.Helper()
	ctx := waiting(t)
	changes := make([]store.Change, 0, n)
	for len(changes) < n {
		c, err := feed.Next(ctx)
		if err != nil {
			t.Fatalf("after %d of %d changes: %v", len(changes), n, err)
		}
		changes = append(changes, c)
	}
	return changes
}
