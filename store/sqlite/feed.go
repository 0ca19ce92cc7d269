package sqlite

import (
	"context"
	"crypto/rand"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"postern/store"
)

// kept is how many changes can be resumed after. A watcher that falls further
// behind than this gets ErrGap; the writer never waits for one.
const kept = 8192

// feed is the change feed: a ring of the last changes.
type feed struct {
	process string // a position of another process means nothing here

	mu     sync.Mutex
	ring   []store.Change // change n is at n % kept
	next   int64          // the number of the next change
	more   chan struct{}  // closed when there is one
	closed bool
}

func newFeed() *feed {
	return &feed{process: rand.Text(), more: make(chan struct{})}
}

// publish appends the changes of one commit.
func (f *feed) publish(changes []store.Change) {
	if len(changes) == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range changes {
		if len(f.ring) < kept {
			f.ring = append(f.ring, c)
		} else {
			f.ring[f.next%kept] = c
		}
		f.next++
	}
	close(f.more)
	f.more = make(chan struct{})
}

func (f *feed) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closed {
		f.closed = true
		close(f.more)
	}
}

// at returns change n, or what tells that there is more.
func (f *feed) at(n int64) (store.Change, <-chan struct{}, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.closed:
		return store.Change{}, nil, &store.Unavailable{Err: errClosed}
	case n < f.next-int64(len(f.ring)):
		return store.Change{}, nil, store.ErrGap
	case n < f.next:
		return f.ring[n%kept], nil, nil
	default:
		return store.Change{}, f.more, nil
	}
}

// Watch implements store.Watcher.
func (s *Store) Watch(ctx context.Context, from store.Position) (store.Feed, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f := s.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, &store.Unavailable{Err: errClosed}
	}
	if from == "" {
		return &watcher{feed: f, next: f.next}, nil
	}
	process, number, _ := strings.Cut(string(from), ".")
	n, err := strconv.ParseInt(number, 10, 64)
	if process != f.process || err != nil || n > f.next || n < f.next-int64(len(f.ring)) {
		return nil, fmt.Errorf("watch from %s: %w", from, store.ErrGap)
	}
	return &watcher{feed: f, next: n}, nil
}

// watcher is one open feed.
type watcher struct {
	feed *feed
	next int64
}

// Next implements store.Feed.
func (w *watcher) Next(ctx context.Context) (store.Change, error) {
	for {
		if err := ctx.Err(); err != nil {
			return store.Change{}, err
		}
		c, more, err := w.feed.at(w.next)
		if err != nil {
			return store.Change{}, fmt.Errorf("next change: %w", err)
		}
		if more == nil {
			w.next++
			return c, nil
		}
		select {
		case <-more:
		case <-ctx.Done():
		}
	}
}

// Position implements store.Feed.
func (w *watcher) Position() store.Position {
	return store.Position(fmt.Sprintf("%s.%d", w.feed.process, w.next))
}

// Close implements store.Feed. There is nothing to give back.
func (w *watcher) Close() error { return nil }
