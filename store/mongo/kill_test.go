package mongo_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"postern/store"
	"postern/store/mongo"
)

// writer counts in a record of its own, with an entry for each step.
type writer struct {
	id      string
	count   int64 // acknowledged steps
	unknown int   // steps whose outcome it was not told
}

// write does one step after the other until ctx ends.
func (w *writer) write(ctx context.Context, s store.Store, acknowledged func()) error {
	if err := s.Commit(ctx, store.Insert(&store.Chain{ID: w.id})); err != nil {
		return err
	}
	for ctx.Err() == nil {
		next := &store.Chain{ID: w.id, Revision: w.count + 1, Place: w.count + 1}
		err := s.Commit(context.WithoutCancel(ctx), store.Update(next), store.Insert(&store.Revocation{ID: fmt.Sprintf("%s-%d", w.id, next.Place)}))
		outage, out := errors.AsType[*store.Unavailable](err)
		switch {
		case err == nil:
			w.count++
			acknowledged()
		case out && outage.Unknown:
			w.unknown++
		case out:
		case errors.Is(err, store.ErrConflict) && w.unknown > 0:
			w.count++ // it was done after all
			w.unknown--
		default:
			return fmt.Errorf("step %d of %s: %w", next.Place, w.id, err)
		}
	}
	return nil
}

// The primary is killed under sixteen writers, twice. Nothing that was
// acknowledged is lost, nothing comes twice, and the feed tells all of it.
func TestPrimaryKilledUnderWriters(t *testing.T) {
	t.Parallel()
	set := startSet(t, 3)
	s := connect(t, mongo.Options{URI: set.URI, Database: "postern"})
	feed, err := s.Watch(t.Context(), "")
	if err != nil {
		t.Fatalf("watch: %v", err)
	}
	t.Cleanup(func() { _ = feed.Close() })

	ctx, stop := context.WithCancel(t.Context())
	var writing sync.WaitGroup
	var steps atomic.Int64
	progress := make(chan struct{}, 1)
	acknowledged := func() {
		steps.Add(1)
		select {
		case progress <- struct{}{}:
		default:
		}
	}
	writers := make([]*writer, 16)
	errs := make([]error, len(writers))
	for i := range writers {
		writers[i] = &writer{id: fmt.Sprint("writer", i)}
		writing.Go(func() { errs[i] = writers[i].write(ctx, s, acknowledged) })
	}
	more := func(n int64) {
		for until := steps.Load() + n; steps.Load() < until; {
			<-progress
		}
	}
	for range 2 {
		more(200)
		primary, err := set.Primary(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		primary.Kill()
		more(100) // on another one
		if err := primary.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	more(100)
	stop()
	writing.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}

	stored := map[string]int64{}
	err = s.All(t.Context(), func(r store.Record) error {
		if c, ok := r.(*store.Chain); ok {
			stored[c.ID] = c.Place
		} else {
			stored[r.Key()] = 1
		}
		return nil
	}, store.KindChain, store.KindRevocation)
	if err != nil {
		t.Fatalf("read what was written: %v", err)
	}
	told := map[string]bool{}
	for _, w := range writers {
		if is := stored[w.id]; is < w.count || is > w.count+1 || is > w.count && w.unknown == 0 {
			t.Errorf("%s stands at %d; %d steps were acknowledged and %d are unknown", w.id, is, w.count, w.unknown)
		}
		for n := range stored[w.id] {
			id := fmt.Sprintf("%s-%d", w.id, n+1)
			if stored[id] == 0 {
				t.Errorf("the entry %s is lost", id)
			}
			told[id] = false
		}
	}
	for left := len(told); left > 0; {
		c, err := feed.Next(t.Context())
		if errors.Is(err, store.ErrUnavailable) {
			continue
		}
		if err != nil {
			t.Fatalf("next: %v; %d changes have not come", err, left)
		}
		if seen, ok := told[c.Key]; !ok || seen {
			t.Fatalf("the feed tells of %s, which is not there or has come before", c.Key)
		}
		told[c.Key] = true
		left--
	}
}

// A primary that hangs is replaced; when it wakes up, nobody believes it any
// more. Without a majority nothing is written, and it is said in time.
func TestPrimaryStoppedAndMajorityLost(t *testing.T) {
	t.Parallel()
	set := startSet(t, 3)
	s := connect(t, mongo.Options{URI: set.URI, Database: "postern"})
	c := &store.Client{ID: "c", Name: "c"}
	if err := s.Commit(t.Context(), store.Insert(c)); err != nil {
		t.Fatalf("commit: %v", err)
	}
	feed, err := s.Watch(t.Context(), "")
	if err != nil {
		t.Fatalf("watch: %v", err)
	}
	t.Cleanup(func() { _ = feed.Close() })
	old, err := set.Primary(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := old.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	revoked := *c
	revoked.Revision, revoked.Status = 1, store.ClientRevoked
	for unknown := false; ; {
		err := s.Commit(t.Context(), store.Update(&revoked), store.Insert(&store.AuditEntry{ID: store.NewAuditID()}))
		outage, out := errors.AsType[*store.Unavailable](err)
		if err == nil || unknown && errors.Is(err, store.ErrConflict) {
			break
		}
		if !out {
			t.Fatalf("commit while the primary hangs: got error %v, want an outage", err)
		}
		unknown = unknown || outage.Unknown
	}
	for {
		change, err := feed.Next(t.Context())
		if errors.Is(err, store.ErrUnavailable) {
			continue
		}
		if err != nil || change.Key != "c" || change.Record.Rev() != 2 {
			t.Fatalf("next: got %+v, %v; want the client as revoked", change, err)
		}
		break
	}
	if err := old.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	for range 50 {
		if got, err := s.Client(t.Context(), "c"); err != nil || got.Status != store.ClientRevoked {
			t.Fatalf("the client after the old primary woke up: got %+v, %v; want it revoked", got, err)
		}
	}

	for _, n := range set.Nodes[:2] {
		n.Kill()
	}
	if err := s.Commit(t.Context(), store.Insert(&store.Team{ID: "t", Name: "t"})); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("commit without a majority: got error %v, want ErrUnavailable", err)
	}
}
