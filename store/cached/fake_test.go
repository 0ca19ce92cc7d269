package cached_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"postern/store"
)

var errCut = errors.New("the connection was cut")

// fake is a small store in memory whose feed can be held, cut and made to lose
// changes, and whose reads can be held and counted. What it does not need to
// do it cannot.
type fake struct {
	store.Store

	mu      sync.Mutex
	records map[string]store.Record
	log     []store.Change // the whole feed; a position counts them
	lost    int            // so many are gone
	cuts    int            // a feed opened before the last cut is broken
	held    bool           // no feed gives anything
	down    bool           // no call gets an answer
	moved   chan struct{}  // closed when one of these changes
	reads   map[string]int // of clients and accounts, by key
	loads   int            // of the whole
	holds   map[string]chan struct{}
}

func newFake(records ...store.Record) *fake {
	f := &fake{records: make(map[string]store.Record), reads: make(map[string]int), holds: make(map[string]chan struct{}), moved: make(chan struct{})}
	for _, r := range records {
		f.records[place(r)] = r
	}
	return f
}

func place(r store.Record) string { return string(r.Kind()) + " " + r.Key() }

// set changes the fake under its lock and wakes its feeds.
func (f *fake) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
	close(f.moved)
	f.moved = make(chan struct{})
}

func (f *fake) err(ctx context.Context) error {
	if f.down {
		return &store.Unavailable{Err: errCut}
	}
	return ctx.Err()
}

func (f *fake) Commit(ctx context.Context, writes ...store.Write) (err error) {
	f.set(func() {
		if err = f.err(ctx); err != nil {
			return
		}
		for _, w := range writes {
			c := store.Change{Kind: w.Record.Kind(), Key: w.Record.Key(), Record: w.Stored()}
			if f.records[place(w.Record)] = c.Record; c.Record == nil {
				delete(f.records, place(w.Record))
			}
			f.log = append(f.log, c)
		}
	})
	return err
}

func (f *fake) Beat(ctx context.Context, node string, count int64) (err error) {
	f.set(func() {
		if err = f.err(ctx); err == nil {
			f.log = append(f.log, store.Change{Kind: store.KindHeartbeat, Key: node, Record: &store.Heartbeat{ID: node, Count: count}})
		}
	})
	return err
}

// read finds a record, and then waits where a test wants it to.
func (f *fake) read(ctx context.Context, kind store.Kind, key string) (store.Record, error) {
	f.mu.Lock()
	r, ok := f.records[string(kind)+" "+key]
	err := f.err(ctx)
	f.reads[key]++
	f.mu.Unlock()
	err = cmp.Or(f.wait(ctx, key), err)
	if err == nil && !ok {
		err = fmt.Errorf("%s %s: %w", kind, key, store.ErrNotFound)
	}
	return r, err
}

// hold makes the next read of a key wait, with what it read, until release is
// called.
func (f *fake) hold(key string) (release func()) {
	done := make(chan struct{})
	f.set(func() { f.holds[key] = done })
	return func() { close(done) }
}

func (f *fake) wait(ctx context.Context, key string) error {
	f.mu.Lock()
	held := f.holds[key]
	delete(f.holds, key)
	f.mu.Unlock()
	if held == nil {
		return nil
	}
	select {
	case <-held:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f *fake) readsOf(key string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.reads[key]
}

func (f *fake) Client(ctx context.Context, id store.ClientID) (*store.Client, error) {
	r, err := f.read(ctx, store.KindClient, string(id))
	if err != nil {
		return nil, err
	}
	return r.(*store.Client), nil
}

func (f *fake) Clients(ctx context.Context, q store.ClientQuery) ([]*store.Client, error) {
	var found []*store.Client
	err := f.All(ctx, func(r store.Record) error {
		if c := r.(*store.Client); q.Slow && c.SlowSecret() != nil {
			found = append(found, c)
		}
		return nil
	}, store.KindClient)
	return found, err
}

func (f *fake) Account(ctx context.Context, id store.AccountID) (*store.Account, error) {
	r, err := f.read(ctx, store.KindAccount, string(id))
	if err != nil {
		return nil, err
	}
	return r.(*store.Account), nil
}

func (f *fake) GrantsOf(ctx context.Context, holder store.HolderID) ([]*store.Grant, error) {
	found, err := f.grants(ctx, func(g *store.Grant) bool { return g.Holder == holder })
	return found, cmp.Or(f.wait(ctx, "grants of "+string(holder)), err)
}

func (f *fake) Grants(ctx context.Context, q store.GrantQuery) ([]*store.Grant, error) {
	page, err := f.grants(ctx, func(g *store.Grant) bool { return g.Holder.IsTeam() && g.ID > q.After })
	return page[:min(len(page), q.Limit)], err
}

func (f *fake) grants(ctx context.Context, good func(*store.Grant) bool) ([]*store.Grant, error) {
	var found []*store.Grant
	err := f.All(ctx, func(r store.Record) error {
		if g := r.(*store.Grant); good(g) {
			found = append(found, g)
		}
		return nil
	}, store.KindGrant)
	return found, err
}

func (f *fake) All(ctx context.Context, yield func(store.Record) error, kinds ...store.Kind) error {
	f.mu.Lock()
	err := f.err(ctx)
	f.loads++
	var found []store.Record
	for _, r := range f.records {
		if slices.Contains(kinds, r.Kind()) {
			found = append(found, r)
		}
	}
	f.mu.Unlock()
	slices.SortFunc(found, func(a, b store.Record) int {
		return cmp.Or(cmp.Compare(slices.Index(kinds, a.Kind()), slices.Index(kinds, b.Kind())), cmp.Compare(a.Key(), b.Key()))
	})
	for _, r := range found {
		if err := errors.Join(err, yield(r)); err != nil {
			return err
		}
	}
	return err
}

func (f *fake) Watch(ctx context.Context, from store.Position) (store.Feed, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := len(f.log)
	if from != "" {
		at, _ = strconv.Atoi(string(from))
	}
	if at < f.lost {
		return nil, store.ErrGap
	}
	return &feed{f: f, at: at, cuts: f.cuts}, f.err(ctx)
}

type feed struct {
	f        *fake
	at, cuts int
}

func (d *feed) Position() store.Position { return store.Position(strconv.Itoa(d.at)) }

func (d *feed) Close() error { return nil }

func (d *feed) Next(ctx context.Context) (store.Change, error) {
	for {
		d.f.mu.Lock()
		c, err, moved := store.Change{}, d.f.err(ctx), d.f.moved
		switch {
		case err != nil:
		case d.cuts < d.f.cuts:
			err = errCut
		case d.at < d.f.lost:
			err = store.ErrGap
		case d.at < len(d.f.log) && !d.f.held:
			c = d.f.log[d.at]
			d.at++
		}
		d.f.mu.Unlock()
		if err != nil || c.Kind != "" {
			return c, err
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return c, ctx.Err()
		}
	}
}

// subscriber notes what it is told.
type subscriber struct {
	mu      sync.Mutex
	loads   [][]store.Record
	changes []store.Change
	refuse  error
}

func (s *subscriber) Load(records []store.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loads = append(s.loads, records)
	return s.refuse
}

func (s *subscriber) Apply(c store.Change) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changes = append(s.changes, c)
	return s.refuse
}

// knows returns what it was told: the keys of the last load and of all changes.
func (s *subscriber) knows() (loads int, loaded, changed []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.loads[len(s.loads)-1] {
		loaded = append(loaded, place(r))
	}
	for _, c := range s.changes {
		changed = append(changed, string(c.Kind)+" "+c.Key)
	}
	return len(s.loads), loaded, changed
}
