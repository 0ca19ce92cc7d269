package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"postern/store"
	"postern/store/sqlite"
)

func TestFullDatabase(t *testing.T) {
	s := open(t, t.TempDir())
	insert(t, s, "before")
	if err := s.LimitPages(t.Context(), 2); err != nil {
		t.Fatalf("limit the database: %v", err)
	}
	var saved []store.ClientID
	for i := range 1000 {
		id := store.ClientID(fmt.Sprint("filling-", i))
		err := s.Commit(t.Context(), store.Insert(&store.Client{ID: id, Description: strings.Repeat("x", 3000)}))
		if err != nil {
			checkOutage(t, s, err)
			break
		}
		saved = append(saved, id)
	}
	if len(saved) == 1000 {
		t.Fatal("a database that cannot grow took a thousand clients")
	}
	for _, id := range saved {
		if _, err := s.Client(t.Context(), id); err != nil {
			t.Errorf("client %s, acknowledged while the database became full: %v", id, err)
		}
	}
	if err := s.LimitPages(t.Context(), -1); err != nil {
		t.Fatalf("lift the limit: %v", err)
	}
	insert(t, s, "after")
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// checkOutage tests a store that a write just failed on: reads and heartbeats
// go on.
func checkOutage(t *testing.T, s *sqlite.Store, err error) {
	t.Helper()
	outage, ok := errors.AsType[*store.Unavailable](err)
	if !ok || outage.Unknown {
		t.Errorf("a write to a full disk: got error %v, want store.Unavailable with a known outcome", err)
	}
	if _, err := s.Client(t.Context(), "before"); err != nil {
		t.Errorf("a read while writes fail: %v", err)
	}
	if err := s.Beat(t.Context(), "node", 1); err != nil {
		t.Errorf("a heartbeat while writes fail: %v", err)
	}
}

func TestWriteThatIsNotBegunCanBeLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.TempDir())
		release, _ := s.Block(t.Context())
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Commit(ctx, store.Insert(&store.Client{ID: "left"})) }()
		synctest.Wait() // until it stands in the queue
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("commit that was cancelled behind another: got error %v, want context.Canceled", err)
		}
		release()
		insert(t, s, "next")
		if _, err := s.Client(t.Context(), "left"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a commit that answered with its context's error: got %v, want ErrNotFound", err)
		}
	})
}

func TestWriteWithoutAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir()})
		if err != nil {
			t.Fatalf("open: %v", err)
		}
		release, outcome := s.Block(t.Context())
		began := time.Now()
		err = s.Commit(t.Context(), store.Insert(&store.Client{ID: "behind"}))
		if outage, ok := errors.AsType[*store.Unavailable](err); !ok || outage.Unknown {
			t.Errorf("a write that was not begun in time: got error %v, want store.Unavailable with a known outcome", err)
		}
		err = <-outcome
		if outage, ok := errors.AsType[*store.Unavailable](err); !ok || !outage.Unknown {
			t.Errorf("a write that was begun and not done in time: got error %v, want store.Unavailable with an unknown outcome", err)
		}
		if waited := time.Since(began); waited != 3*time.Second {
			t.Errorf("the answers came after %s, want 3 s", waited)
		}
		release()
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
}

func TestWatcherThatFallsBehindHasAGap(t *testing.T) {
	s := open(t, t.TempDir())
	slow, err := s.Watch(t.Context(), "")
	if err != nil {
		t.Fatalf("watch: %v", err)
	}
	start := slow.Position()
	var writes []store.Write
	for i := range sqlite.Kept + 1 {
		writes = append(writes, store.Insert(&store.Revocation{ID: fmt.Sprint(i)}))
	}
	for part := range slices.Chunk(writes, 2000) {
		if err := s.Commit(t.Context(), part...); err != nil {
			t.Fatalf("commit: %v", err)
		}
	}
	if c, err := slow.Next(t.Context()); !errors.Is(err, store.ErrGap) {
		t.Errorf("next after %d changes: got %v, %v; want ErrGap", sqlite.Kept+1, c, err)
	}
	if _, err := s.Watch(t.Context(), start); !errors.Is(err, store.ErrGap) {
		t.Errorf("watch from where that feed stood: got error %v, want ErrGap", err)
	}
}

func TestPositionOfAnotherProcessIsAGap(t *testing.T) {
	dir := t.TempDir()
	s, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	feed, err := s.Watch(t.Context(), "")
	if err != nil {
		t.Fatalf("watch: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	if _, err := open(t, dir).Watch(t.Context(), feed.Position()); !errors.Is(err, store.ErrGap) {
		t.Errorf("watch from a position of before the restart: got error %v, want ErrGap", err)
	}
}

func TestBackupUnderLoad(t *testing.T) {
	s := open(t, t.TempDir())
	insert(t, s, "before")
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	started := make(chan struct{}, 4)
	for i := range cap(started) {
		writers.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				id := fmt.Sprintf("load-%d-%d", i, n)
				_ = s.Commit(ctx, store.Insert(&store.Lease{ID: id}), store.Insert(&store.Key{ID: store.KeyID(id)}))
				if n == 10 {
					started <- struct{}{}
				}
			}
		})
	}
	for range cap(started) {
		<-started
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "postern.db")
	err := s.Backup(t.Context(), path)
	stop()
	writers.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Backup(t.Context(), path); err == nil {
		t.Error("a backup replaced a file")
	}
	copied := open(t, dir)
	if err := copied.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := copied.Client(t.Context(), "before"); err != nil {
		t.Errorf("client in the copy: %v", err)
	}
	rows := map[store.Kind]int{}
	err = copied.All(t.Context(), func(r store.Record) error {
		rows[r.Kind()]++
		return nil
	}, store.KindLease, store.KindKey)
	if err != nil || rows[store.KindLease] != rows[store.KindKey] || rows[store.KindLease] < 40 {
		t.Errorf("the copy has %v, %v; want as many leases as keys: each commit wrote both", rows, err)
	}
	insert(t, copied, "after")
}
