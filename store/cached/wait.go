package cached

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"postern/store"
)

// patience is how long a write may take, its way through the feed included.
const patience = 3 * time.Second

var errNotSeen = errors.New("the change feed has not brought it back in time")

// Commit writes as store.Committer says, and then waits until this node has
// applied every write of a watched kind, subscribers included, so that
// whoever is answered finds it in force here. If that takes too long, or ctx
// is done meanwhile, the error is a *store.Unavailable that says Saved.
//
// While Run is not running there is nothing to wait for.
func (s *Store) Commit(ctx context.Context, writes ...store.Write) error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	w := s.waits.add(writes)
	defer s.waits.remove(w)
	if err := s.within.Commit(ctx, writes...); err != nil {
		return err
	}
	w.acknowledged.Store(true)
	select {
	case <-w.done:
		return nil
	case <-timer.C:
		return &store.Unavailable{Saved: true, Err: errNotSeen}
	case <-ctx.Done():
		return &store.Unavailable{Saved: true, Err: ctx.Err()}
	}
}

// waits is who waits for what of the feed. Its zero value is shut: then nobody
// has to wait.
type waits struct {
	mu   sync.Mutex
	open bool
	want map[place][]*want
}

type place struct {
	kind store.Kind
	key  string
}

// want is one write that has not come back yet.
type want struct {
	rev    int64 // at least; 0 is a delete
	waiter *waiter
}

// waiter is one commit.
type waiter struct {
	places       []place
	left         int           // of its wants; under the lock of waits
	done         chan struct{} // closed when none is left
	acknowledged atomic.Bool
}

// add begins to wait. It comes before the writes are done, since they may come
// back before their acknowledgement does.
func (ws *waits) add(writes []store.Write) *waiter {
	w := &waiter{done: make(chan struct{})}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.open {
		for _, write := range writes {
			kind := write.Record.Kind()
			if !watched(kind) {
				continue
			}
			at := place{kind, write.Record.Key()}
			wanted := &want{waiter: w}
			if stored := write.Stored(); stored != nil {
				wanted.rev = stored.Rev()
			}
			ws.want[at] = append(ws.want[at], wanted)
			w.places = append(w.places, at)
			w.left++
		}
	}
	if w.left == 0 {
		close(w.done)
	}
	return w
}

func watched(k store.Kind) bool { return slices.Contains(store.WatchedKinds(), k) }

// remove ends the waiting of w, whether or not it is over.
func (ws *waits) remove(w *waiter) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.drop(w)
}

func (ws *waits) drop(w *waiter) {
	for _, at := range w.places {
		ws.keep(at, func(wanted *want) bool { return wanted.waiter != w })
	}
	w.places = nil
}

// keep leaves only those wants of a place that are good.
func (ws *waits) keep(at place, good func(*want) bool) {
	var kept []*want
	for _, wanted := range ws.want[at] {
		if good(wanted) {
			kept = append(kept, wanted)
		}
	}
	if len(kept) == 0 {
		delete(ws.want, at)
		return
	}
	ws.want[at] = kept
}

// applied lets go of who waited for a change.
func (ws *waits) applied(c store.Change) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.keep(place{c.Kind, c.Key}, func(wanted *want) bool {
		if (c.Record == nil) != (wanted.rev == 0) || c.Record != nil && c.Record.Rev() < wanted.rev {
			return true
		}
		if wanted.waiter.left > 1 {
			wanted.waiter.left--
		} else {
			wanted.waiter.finish()
		}
		return false
	})
}

// start begins: from now on commits wait. It reports false if they do already.
func (ws *waits) start() bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.open {
		return false
	}
	ws.open, ws.want = true, make(map[place][]*want)
	return true
}

// stop lets everybody go: what is read from now on is read from the store
// within.
func (ws *waits) stop() {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.open = false
	for _, wants := range ws.want {
		for _, wanted := range wants {
			wanted.waiter.finish()
		}
	}
	clear(ws.want)
}

// acknowledged returns the commits that are done and have not come back yet:
// what is loaded from now on holds them.
func (ws *waits) acknowledged() []*waiter {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	var done []*waiter
	for _, wants := range ws.want {
		for _, wanted := range wants {
			if wanted.waiter.acknowledged.Load() {
				done = append(done, wanted.waiter)
			}
		}
	}
	return done
}

// release lets these commits go.
func (ws *waits) release(done []*waiter) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for _, w := range done {
		w.finish()
		ws.drop(w)
	}
}

// finish is called under the lock of waits, any number of times.
func (w *waiter) finish() {
	if w.left > 0 {
		w.left = 0
		close(w.done)
	}
}
