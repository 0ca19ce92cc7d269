// Package usage counts what clients do and remembers when they last did it,
// without slowing a request: Record adds up in memory, and Run writes to the
// store every few seconds.
//
// What is written is this process's running total of each hour, and the store
// keeps the greatest it has seen: writing the same twice changes nothing, and an
// outage only holds and merges what is to be written. A process that is killed
// loses at most one interval; one that is asked to end writes everything first.
//
// Memory is bounded: the keys of an hour that is past and written are dropped,
// and there is a cap on their number (Options.MaxKeys).
package usage

import (
	"context"
	"crypto/rand"
	"errors"
	"hash/maphash"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"postern/store"
)

const (
	shards    = 64
	batchSize = 1000
	hour      = store.Time(time.Hour / time.Millisecond)

	// lastFlush is how long the final write of Run may take.
	lastFlush = 5 * time.Second
)

// Store is what a Recorder writes to.
type Store interface {
	AddUsage(ctx context.Context, rows []store.Usage, uses []store.LastUse) error
	AddUsageSums(ctx context.Context, sums []store.UsageSum) error
}

// Options configures a Recorder. Only Store is required.
type Options struct {
	Store    Store
	Interval time.Duration // between writes; zero means 5 s
	Process  string        // names this process's totals, unlike any other process's; empty means random

	// MaxKeys caps the distinct keys of hour, client, secret, rule and outcome
	// held in memory; zero means 200,000 (some 80 MB). Beyond it a new key is
	// counted without its rule, and beyond twice that not at all (Dropped).
	MaxKeys int

	Now     func() time.Time          // nil means time.Now
	Log     *slog.Logger              // nil means no log
	OnFlush func(rows int, err error) // told of each write; nil means nobody
}

// Event is one thing that a client did, or was refused. The client exists: what
// strangers send is for metrics, or they would fill the memory.
type Event struct {
	Client    store.ClientID
	Workspace store.WorkspaceID // of the client, which it is of for ever
	Secret    store.SecretID    // empty where none matched
	Rule      string            // "acme/reader#3"; empty where no rule was named
	Outcome   store.Outcome
	Address   netip.Addr // the zero Addr is unknown
	Endpoint  string     // "GET /orders/{id}", as the catalogue spells it
	At        store.Time // zero means now
}

// Recorder counts events. Its methods may be called from any goroutine.
type Recorder struct {
	o       Options
	seed    maphash.Seed
	shards  [shards]shard
	keys    atomic.Int64
	dropped atomic.Int64

	flushing sync.Mutex // one Flush at a time; also guards every field named written, and sums
	sums     map[sumKey]*sum
}

type shard struct {
	mu     sync.Mutex
	counts map[key]*count
	uses   map[credential]*use
	floor  store.Time // the keys of earlier hours were dropped, so nothing is counted there any more
	_      [64]byte   // keeps neighbours off this shard's cache line
}

type credential struct {
	client store.ClientID
	secret store.SecretID
}

type key struct {
	hour store.Time
	credential
	rule    string
	outcome store.Outcome
}

type count struct {
	workspace              store.WorkspaceID
	total, written, summed int64
}

// sumKey is what the clients of a workspace do together.
type sumKey struct {
	hour      store.Time
	workspace store.WorkspaceID
	rule      string
	outcome   store.Outcome
}

type sum struct{ total, written int64 }

type use struct {
	credential
	success, refusal last
	hour             store.Time // the latest it was counted in
	touched, written int64      // numbers of events
}

type last struct {
	at       store.Time
	address  netip.Addr
	endpoint string
}

// New makes a Recorder. It writes nothing until Run or Flush is called.
func New(o Options) *Recorder {
	if o.Interval == 0 {
		o.Interval = 5 * time.Second
	}
	if o.Process == "" {
		o.Process = rand.Text()
	}
	if o.MaxKeys == 0 {
		o.MaxKeys = 200_000
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.OnFlush == nil {
		o.OnFlush = func(int, error) {}
	}
	r := &Recorder{o: o, seed: maphash.MakeSeed(), sums: map[sumKey]*sum{}}
	for i := range r.shards {
		r.shards[i].counts = map[key]*count{}
		r.shards[i].uses = map[credential]*use{}
	}
	return r
}

// Record counts an event and remembers it as the last use of its secret. It
// does no I/O and waits for none. Rule and Endpoint are kept as they are passed,
// so they should not be cut out of a request.
func (r *Recorder) Record(e Event) {
	if e.At == 0 {
		e.At = store.At(r.o.Now())
	}
	s := &r.shards[maphash.String(r.seed, string(e.Client))%shards]
	s.mu.Lock()
	defer s.mu.Unlock()

	cred := credential{e.Client, e.Secret}
	u := s.uses[cred]
	if u != nil {
		cred = u.credential
	}
	// A clock that steps back, or an event told of late, must not start a
	// second total for an hour whose first one was dropped: the store would
	// ignore it as the lesser.
	k := key{max(e.At-e.At%hour, s.floor), cred, e.Rule, e.Outcome}
	c := s.counts[k]
	if c == nil || u == nil {
		if c = r.add(s, &u, k, e.Workspace); c == nil {
			r.dropped.Add(1)
			return
		}
	}
	c.total++

	u.hour = max(u.hour, k.hour)
	u.touched++
	l := &u.success
	if e.Outcome == store.OutcomeDenied {
		l = &u.refusal
	}
	if e.At >= l.at {
		*l = last{e.At, e.Address, e.Endpoint}
	}
}

// add makes a key's counter, or returns that of the key it is merged into, or
// nil when there is no room. The credential's use is made along with it.
func (r *Recorder) add(s *shard, u **use, k key, of store.WorkspaceID) *count {
	if r.keys.Load() >= int64(r.o.MaxKeys) {
		k.rule = ""
		if c := s.counts[k]; c != nil && *u != nil {
			return c
		}
		if r.keys.Load() >= 2*int64(r.o.MaxKeys) {
			return nil
		}
	}
	if *u == nil {
		// Cloned, since an id cut out of a request's body would keep all of it.
		k.client = store.ClientID(strings.Clone(string(k.client)))
		k.secret = store.SecretID(strings.Clone(string(k.secret)))
		*u = &use{credential: k.credential}
		s.uses[k.credential] = *u
	}
	c := s.counts[k]
	if c == nil {
		c = &count{workspace: store.WorkspaceID(strings.Clone(string(of)))}
		s.counts[k] = c
		r.keys.Add(1)
	}
	return c
}

// Dropped returns how many events were not counted because memory was full.
func (r *Recorder) Dropped() int64 { return r.dropped.Load() }

// Keys returns how many distinct keys are held.
func (r *Recorder) Keys() int { return int(r.keys.Load()) }

// Run writes what changed every interval until ctx is done, and once more then.
// It returns the error of that last write.
func (r *Recorder) Run(ctx context.Context) error {
	tick := time.NewTicker(r.o.Interval)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastFlush)
			defer cancel()
			return r.Flush(ctx)
		case <-tick.C:
			err := r.Flush(ctx)
			switch {
			case errors.Is(err, context.Canceled):
			case err != nil && !failing: // one line an outage, not one an interval
				failing = true
				r.o.Log.WarnContext(ctx, "usage is held in memory", "error", err)
			case err == nil && failing:
				failing = false
				r.o.Log.InfoContext(ctx, "usage is written again")
			}
		}
	}
}
