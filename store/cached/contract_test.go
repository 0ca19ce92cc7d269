package cached_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/store"
	"postern/store/cached"
	"postern/store/sqlite"
	"postern/store/storetest"
)

func TestContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return loaded(t, quiet{onDisk(t)}, cached.Options{}) })
}

// quiet is a store that does not write the heartbeats of node: the contract
// counts what comes through the feed.
type quiet struct{ store.Store }

func (q quiet) Beat(ctx context.Context, node string, count int64) error {
	if node == "itself" {
		return ctx.Err()
	}
	return q.Store.Beat(ctx, node, count)
}

func onDisk(t testing.TB) store.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// loaded runs a store until the end of the test, and returns it loaded.
func loaded(t testing.TB, inner store.Store, o cached.Options) *cached.Store {
	t.Helper()
	o.Node = "itself"
	s := cached.New(inner, o)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	<-s.Ready()
	return s
}

// Records die at once here, so that reads load them all the time while they
// change.
func TestNothingOlderThanTheAnswerIsRead(t *testing.T) {
	const rounds = 100
	s := loaded(t, onDisk(t), cached.Options{TTL: 260 * time.Millisecond})
	g := grant(string(usr), "w", 0)
	commit(t, s, store.Insert(client(0)), store.Insert(account(0)), store.Insert(g))
	var answered atomic.Int64
	answered.Store(1)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for answered.Load() < rounds && !t.Failed() {
				least := answered.Load()
				c, err := s.Client(t.Context(), cli)
				if err != nil || c.Revision < least {
					t.Errorf("client at %+v, %v; want revision %d at least", c, err, least)
				}
				h, err := s.Holder(t.Context(), usr)
				if err != nil || h.Account.Revision < least || h.Grants[0].Revision < least {
					t.Errorf("holder at %+v, %v; want revision %d at least", h, err, least)
				}
			}
		})
	}
	for rev := range int64(rounds) {
		commit(t, s, store.Update(client(rev+1)), store.Update(account(rev+1)), store.Update(g.WithRev(rev+1)))
		answered.Store(rev + 2)
	}
	wg.Wait()
}
