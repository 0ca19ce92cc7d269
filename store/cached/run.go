package cached

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"postern/store"
)

const (
	// beatEvery is how often this node writes its heartbeat.
	beatEvery = 500 * time.Millisecond
	// silence is how long a feed may say nothing, not even heartbeats, before
	// it is taken for dead and opened anew.
	silence = 10 * time.Second
	// A feed that broke is opened again after shortest, and then after ever
	// longer pauses up to longest.
	shortest = 100 * time.Millisecond
	longest  = 2 * time.Second
)

var errRunning = errors.New("the store's Run runs already")

// refused is the error of a subscriber that did not take its first load.
type refused struct{ error }

func (r refused) Unwrap() error { return r.error }

// Run keeps memory true until ctx is done, and then returns nil. It opens the
// change feed, loads the whole kinds, has the subscribers load them, closes
// Ready, and applies changes; meanwhile it writes this node's heartbeat twice
// a second. A feed that breaks is continued where it was; if changes were lost
// everything is loaded again, and what was in memory is served until then.
//
// The only other error is that a subscriber refused the first load.
func (s *Store) Run(ctx context.Context) error {
	if !s.waits.start() {
		return errRunning
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer func() {
		cancel()
		s.live.Store(false)
		s.waits.stop()
		wg.Wait()
	}()
	wg.Go(func() { s.clock.run(ctx) })
	wg.Go(func() { s.beat(ctx) })
	wg.Go(func() { s.clients.run(ctx) })
	wg.Go(func() { s.holders.run(ctx) })
	return s.follow(ctx)
}

// Age is for how long memory may have missed changes: the time since this node
// wrote the newest heartbeat that came back to it through the feed, or began
// its last full load if that was later; up to a quarter of a second more than
// that, since every decision asks. Before the first load it is the longest
// Duration.
func (s *Store) Age() time.Duration {
	seen := time.Duration(s.seen.Load())
	if seen < 0 {
		return math.MaxInt64
	}
	return max(0, s.clock.atMost()-seen)
}

// BeatsFailed counts the heartbeats of this node that could not be written.
func (s *Store) BeatsFailed() int64 { return s.missed.Load() }

// sawAt notes that memory held all that was written up to a time.
func (s *Store) sawAt(t time.Duration) {
	if int64(t) > s.seen.Load() { // only Run's goroutine writes it
		s.seen.Store(int64(t))
	}
}

// beat writes heartbeats. The count of each is when it was written, by the
// clock in milliseconds.
func (s *Store) beat(ctx context.Context) {
	ticker := time.NewTicker(beatEvery)
	defer ticker.Stop()
	for ctx.Err() == nil {
		bounded, cancel := context.WithTimeout(ctx, patience)
		err := s.Beat(bounded, s.node, s.clock.exact().Milliseconds())
		cancel()
		if err != nil && ctx.Err() == nil {
			s.missed.Add(1)
			s.log.WarnContext(ctx, "heartbeat not written", "error", err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
}

// follow follows the feed from one break to the next.
func (s *Store) follow(ctx context.Context) error {
	pause := shortest
	var at store.Position // empty: everything is to be loaded
	for {
		next, err := s.session(ctx, at)
		if r, ok := errors.AsType[refused](err); ok {
			return r.error
		}
		if next != at {
			pause = shortest
		}
		if at = next; errors.Is(err, store.ErrGap) {
			at = ""
		}
		if ctx.Err() == nil {
			s.log.WarnContext(ctx, "change feed interrupted", "error", err, "again_in", pause)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
		pause = min(2*pause, longest)
	}
}

// session follows the feed from a position until it breaks, and returns where
// it stood then.
func (s *Store) session(ctx context.Context, at store.Position) (store.Position, error) {
	began := s.clock.exact()
	done := s.waits.acknowledged()
	feed, err := s.Watch(ctx, at)
	if err != nil {
		return at, fmt.Errorf("open the change feed: %w", err)
	}
	defer func() {
		if err := feed.Close(); err != nil {
			s.log.DebugContext(ctx, "change feed not closed", "error", err)
		}
	}()
	if at == "" {
		if err := s.load(ctx); err != nil {
			return "", err
		}
		s.sawAt(began)
		s.waits.release(done)
		s.readyOnce.Do(func() { close(s.ready) })
	}
	for {
		at = feed.Position()
		bounded, cancel := context.WithTimeout(ctx, silence)
		c, err := feed.Next(bounded)
		cancel()
		if err != nil {
			return at, fmt.Errorf("read the change feed: %w", err)
		}
		s.apply(ctx, c)
	}
}

// load reads the whole kinds and puts them in place of what is in memory.
func (s *Store) load(ctx context.Context) error {
	var records []store.Record
	next := newWhole()
	keep := func(r store.Record) error {
		records = append(records, r)
		next.apply(store.Change{Kind: r.Kind(), Key: r.Key(), Record: r})
		return nil
	}
	if err := s.All(ctx, keep, wholeKinds()...); err != nil {
		return fmt.Errorf("load the configuration: %w", err)
	}
	q := store.GrantQuery{TeamsOnly: true, Limit: 1000}
	for {
		page, err := s.Grants(ctx, q)
		if err != nil {
			return fmt.Errorf("load the grants of teams: %w", err)
		}
		for _, g := range page {
			_ = keep(g)
		}
		if len(page) < q.Limit {
			break
		}
		q.After = page[len(page)-1].ID
	}

	if err := s.loadSlow(ctx, &next.slow); err != nil {
		return err
	}

	s.whole.Store(next)
	s.clients.clear()
	s.holders.clear()
	first := !s.live.Load()
	for _, sub := range s.subscribers {
		switch err := sub.Load(records); {
		case err != nil && first:
			return refused{err}
		case err != nil:
			s.log.ErrorContext(ctx, "configuration refused, going on with the last good one", "error", err)
		}
	}
	s.live.Store(true)
	return nil
}

// apply does a change of the feed, and then lets go of who waited for it.
func (s *Store) apply(ctx context.Context, c store.Change) {
	switch c.Kind {
	case store.KindHeartbeat:
		s.applyHeartbeat(c)
	case store.KindClient:
		s.applyClient(c)
		s.tellFollowers(c)
	case store.KindAccount:
		s.applyAccount(c)
		s.tellFollowers(c)
	default:
		s.applyWhole(ctx, c)
	}
	s.waits.applied(c)
}

func (s *Store) tellFollowers(c store.Change) {
	for _, sub := range s.subscribers {
		if f, ok := sub.(Follower); ok {
			f.Follow(c)
		}
	}
}

func (s *Store) applyHeartbeat(c store.Change) {
	h, ok := c.Record.(*store.Heartbeat)
	if !ok || h.ID != s.node {
		return
	}
	// A time to come is the beat of an earlier process of this name.
	if at := time.Duration(h.Count) * time.Millisecond; at <= s.clock.exact() {
		s.sawAt(at)
	}
}

func (s *Store) applyClient(c store.Change) {
	changed, _ := c.Record.(*store.Client)
	s.whole.Load().slow.apply(store.ClientID(c.Key), changed)
	s.clients.change(store.ClientID(c.Key), func(old *store.Client) (*store.Client, bool) {
		next, ok := c.Record.(*store.Client)
		if ok && old.Revision >= next.Revision {
			return old, true
		}
		return next, ok
	})
}

func (s *Store) applyAccount(c store.Change) {
	s.holders.change(store.AccountID(c.Key), func(old *store.Holder) (*store.Holder, bool) {
		next, ok := c.Record.(*store.Account)
		switch {
		case !ok || old.Account == nil:
			return nil, false
		case old.Account.Revision >= next.Revision:
			return old, true
		default:
			return &store.Holder{Account: next, Grants: old.Grants}, true
		}
	})
}

func (s *Store) applyWhole(ctx context.Context, c store.Change) {
	if c.Kind == store.KindGrant {
		if holder := store.GrantID(c.Key).Holder(); !holder.IsTeam() {
			s.holders.change(store.AccountID(holder), func(*store.Holder) (*store.Holder, bool) { return nil, false })
			return
		}
	}
	if !s.whole.Load().apply(c) {
		return
	}
	for _, sub := range s.subscribers {
		if err := sub.Apply(c); err != nil {
			s.log.ErrorContext(ctx, "change refused, going on with the last good state", "kind", string(c.Kind), "key", c.Key, "error", err)
		}
	}
}
