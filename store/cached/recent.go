package cached

import (
	"context"
	"errors"
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"postern/store"
)

const (
	// loadTime bounds the load of one record, whoever waits for it.
	loadTime = 3 * time.Second
	// longestKey is the longest key that is remembered: what is asked for comes
	// from outside, and a bounded number of entries must be bounded memory.
	longestKey = 256
	// renewers is how many entries are renewed at the same time.
	renewers = 4
)

var errOutdated = errors.New("it answered with an older record than this node has seen")

// recent keeps the values that were used lately, and that there was none.
//
// A loaded value is remembered only if no change of its key came since its
// load began and nothing newer is known, and dies ttl after that. Of several who want the same one at the
// same time, one loads. What is used in the second half of its life is renewed
// meanwhile, so that an outage finds it young.
type recent[K ~string, V any] struct {
	clock  *clock
	ttl    time.Duration
	load   func(context.Context, K) (V, error)
	older  func(loaded, known V) bool
	cache  *otter.Cache[K, *entry[V]]
	renew  chan K
	seed   maphash.Seed
	shards [64]shard[K, V]
}

type entry[V any] struct {
	value    V
	err      error         // matches store.ErrNotFound, or nil
	born     time.Duration // when its load began
	renewing atomic.Bool
}

// shard is where the loads under way of some of the keys meet the changes of
// these keys: whoever fills or changes their entries holds its lock.
type shard[K ~string, V any] struct {
	sync.Mutex
	flights map[K]*flight[V]
}

// flight is a load under way. It stands in its shard until it has landed or a
// change of its key came.
type flight[V any] struct {
	born  time.Duration
	done  chan struct{}
	value V // this and err are written before done is closed
	err   error
}

func newRecent[K ~string, V any](c *clock, ttl time.Duration, most int, load func(context.Context, K) (V, error), older func(loaded, known V) bool) *recent[K, V] {
	r := &recent[K, V]{
		clock: c,
		ttl:   ttl,
		load:  load,
		older: older,
		// Without an expiry of its own: that would start a goroutine here, and
		// read the clock each time.
		cache: otter.Must(&otter.Options[K, *entry[V]]{MaximumSize: most}),
		renew: make(chan K, 1024),
		seed:  maphash.MakeSeed(),
	}
	for i := range r.shards {
		r.shards[i].flights = make(map[K]*flight[V])
	}
	return r
}

// get returns the value of a key from memory, or loads it.
func (r *recent[K, V]) get(ctx context.Context, key K) (V, error) {
	if err := ctx.Err(); err != nil {
		var none V
		return none, err
	}
	if e, ok := r.cache.GetIfPresent(key); ok && r.clock.lately(e.born, r.ttl) {
		if !r.clock.lately(e.born, r.ttl/2) && e.err == nil {
			r.renewSoon(key, e)
		}
		return e.value, e.err
	}
	f := r.join(ctx, key, false)
	select {
	case <-f.done:
		return f.value, f.err
	case <-ctx.Done():
		var none V
		return none, ctx.Err()
	}
}

// join returns the load of a key that is under way, or begins one. Unless it
// is to load anew, what has just been loaded will do as well.
func (r *recent[K, V]) join(ctx context.Context, key K, anew bool) *flight[V] {
	sh := r.shard(key)
	sh.Lock()
	defer sh.Unlock()
	if f, ok := sh.flights[key]; ok {
		return f
	}
	if e, ok := r.cache.GetEntryQuietly(key); ok && !anew && r.clock.lately(e.Value.born, r.ttl) {
		landed := &flight[V]{done: make(chan struct{}), value: e.Value.value, err: e.Value.err}
		close(landed.done)
		return landed
	}
	f := &flight[V]{done: make(chan struct{}), born: r.clock.exact()}
	key = K(strings.Clone(string(key))) // it may be a part of a large request
	sh.flights[key] = f
	// The load goes on when the one who began it gives up: others wait too.
	go r.fly(context.WithoutCancel(ctx), key, f)
	return f
}

func (r *recent[K, V]) fly(ctx context.Context, key K, f *flight[V]) {
	ctx, cancel := context.WithTimeout(ctx, loadTime)
	defer cancel()
	f.value, f.err = r.load(ctx, key)
	if errors.Is(f.err, context.DeadlineExceeded) && !errors.Is(f.err, store.ErrUnavailable) {
		f.err = &store.Unavailable{Err: f.err}
	}
	sh := r.shard(key)
	sh.Lock()
	if sh.flights[key] == f {
		delete(sh.flights, key)
		r.land(key, f)
	}
	sh.Unlock()
	close(f.done)
}

// land remembers what was loaded. If something newer is known already, the
// store has answered from its past, such as a primary that does not know yet
// that it is none: then that is no answer. It is called under the shard's lock.
func (r *recent[K, V]) land(key K, f *flight[V]) {
	e, ok := r.cache.GetEntryQuietly(key)
	switch {
	case f.err == nil && ok && e.Value.err == nil && r.older(f.value, e.Value.value):
		if r.clock.lately(e.Value.born, r.ttl) {
			f.value = e.Value.value
			return
		}
		var none V
		f.value, f.err = none, &store.Unavailable{Err: errOutdated}
	case len(key) <= longestKey && (f.err == nil || errors.Is(f.err, store.ErrNotFound)):
		r.cache.Set(key, &entry[V]{value: f.value, err: f.err, born: f.born})
	}
}

// change tells of a change of a key: a load under way will not be remembered
// and not be joined any more, and what is remembered becomes what next makes
// of it, for the rest of its life. It is forgotten if that is false, or if it
// was that there is none.
func (r *recent[K, V]) change(key K, next func(V) (V, bool)) {
	sh := r.shard(key)
	sh.Lock()
	defer sh.Unlock()
	delete(sh.flights, key)
	e, ok := r.cache.GetEntryQuietly(key)
	if !ok {
		return
	}
	if e.Value.err == nil {
		if value, ok := next(e.Value.value); ok {
			r.cache.Set(key, &entry[V]{value: value, born: e.Value.born})
			return
		}
	}
	r.cache.Invalidate(key)
}

// clear forgets everything, and what is being loaded.
func (r *recent[K, V]) clear() {
	for i := range r.shards {
		r.shards[i].Lock()
		clear(r.shards[i].flights)
		r.shards[i].Unlock()
	}
	r.cache.InvalidateAll()
}

// renewSoon has an entry renewed, unless too many wait for that already.
func (r *recent[K, V]) renewSoon(key K, e *entry[V]) {
	if !e.renewing.CompareAndSwap(false, true) {
		return
	}
	select {
	case r.renew <- key:
	default:
		e.renewing.Store(false)
	}
}

// run renews entries until ctx is done.
func (r *recent[K, V]) run(ctx context.Context) {
	var wg sync.WaitGroup
	for range renewers {
		wg.Go(func() {
			for {
				select {
				case key := <-r.renew:
					r.renewNow(ctx, key)
				case <-ctx.Done():
					return
				}
			}
		})
	}
	wg.Wait()
}

func (r *recent[K, V]) renewNow(ctx context.Context, key K) {
	select {
	case <-r.join(ctx, key, true).done:
	case <-ctx.Done():
	}
	// If that failed, the entry is still there and may be tried again.
	if e, ok := r.cache.GetEntryQuietly(key); ok {
		e.Value.renewing.Store(false)
	}
}

func (r *recent[K, V]) shard(key K) *shard[K, V] {
	return &r.shards[maphash.String(r.seed, string(key))%uint64(len(r.shards))]
}
