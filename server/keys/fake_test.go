package keys_test

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"postern/server/keys"
	"postern/store"
)

// fake is a store of keys, and the feed that tells the nodes of their changes.
type fake struct {
	mu      sync.Mutex
	records map[string]store.Record
	nodes   []*keys.Ring
	commits int
	fail    error  // of every commit, which is then not done
	after   error  // of every commit, though it is done
	before  func() // runs before each commit
}

func newFake() *fake { return &fake{records: map[string]store.Record{}} }

func (f *fake) Commit(ctx context.Context, writes ...store.Write) error {
	if f.before != nil {
		f.before()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if f.fail != nil {
		return f.fail
	}
	after := maps.Clone(f.records)
	for _, w := range writes {
		key := string(w.Record.Kind()) + "/" + w.Record.Key()
		old := after[key]
		switch {
		case w.Op == store.OpInsert && old != nil:
			return &store.Exists{Kind: w.Record.Kind(), Field: "_id"}
		case w.Op != store.OpInsert && (old == nil || old.Rev() != w.Record.Rev()):
			return store.ErrConflict
		case w.Op == store.OpDelete:
			delete(after, key)
		default:
			after[key] = w.Stored()
		}
	}
	f.records = after
	f.commits++
	for _, w := range writes {
		for _, r := range f.nodes {
			if err := r.Apply(store.Change{Kind: w.Record.Kind(), Key: w.Record.Key(), Record: w.Stored()}); err != nil {
				return err
			}
		}
	}
	return f.after
}

func (f *fake) All(_ context.Context, yield func(store.Record) error, kinds ...store.Kind) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.records {
		if slices.Contains(kinds, r.Kind()) {
			if err := yield(r); err != nil {
				return err
			}
		}
	}
	return nil
}

// keys returns the key records, by id.
func (f *fake) keys() []*store.Key {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []*store.Key
	for _, name := range slices.Sorted(maps.Keys(f.records)) {
		if k, ok := f.records[name].(*store.Key); ok {
			list = append(list, k)
		}
	}
	return list
}

func (f *fake) load() []store.Record {
	var list []store.Record
	for _, k := range f.keys() {
		list = append(list, k)
	}
	return list
}

// join makes a node that hears of every change.
func (f *fake) join(t *testing.T, o keys.Options) *keys.Ring {
	t.Helper()
	r := f.deaf(t, o)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.nodes = append(f.nodes, r)
	return r
}

// deaf makes a node that knows what there is now, and hears of nothing.
func (f *fake) deaf(t *testing.T, o keys.Options) *keys.Ring {
	t.Helper()
	o.Store = f
	if o.KEK == nil {
		o.KEK = kek(t, oldKEK)
	}
	r := keys.New(o)
	if err := r.Load(f.load()); err != nil {
		t.Fatal(err)
	}
	return r
}

// Two key-encryption keys.
const (
	oldKEK = "b2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2w="
	newKEK = "bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmU="
)

func kek(t *testing.T, text string) *keys.KEK {
	t.Helper()
	k, err := keys.ParseKEKs(text)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// clock is a clock that tests set.
type clock struct{ at time.Time }

func newClock() *clock { return &clock{time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time { return c.at }
