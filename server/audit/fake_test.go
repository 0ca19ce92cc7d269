package audit_test

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"postern/server/audit"
	"postern/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is the part of a store that the audit needs, and lets a test write to it
// behind its back.
type memory struct {
	mu      sync.Mutex
	records map[string]store.Record // by kind and key
	commits []int                   // writes in each
	err     error                   // of the next commits
	lose    bool                    // do the next commit, but answer with an error
}

func newMemory() *memory { return &memory{records: map[string]store.Record{}} }

func (m *memory) Commit(_ context.Context, writes ...store.Write) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return m.err
	}
	for _, w := range writes {
		old := m.records[at(w.Record)]
		switch {
		case w.Op == store.OpInsert && old != nil:
			return &store.Exists{Kind: w.Record.Kind(), Field: "_id"}
		case w.Op == store.OpUpdate && (old == nil || old.Rev() != w.Record.Rev()):
			return store.ErrConflict
		}
	}
	for _, w := range writes {
		m.records[at(w.Record)] = w.Stored()
	}
	m.commits = append(m.commits, len(writes))
	if m.lose {
		m.lose = false
		return &store.Unavailable{Unknown: true, Err: context.DeadlineExceeded}
	}
	return nil
}

// fail makes the next commits fail, or succeed again.
func (m *memory) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
}

func at(r store.Record) string { return string(r.Kind()) + " " + r.Key() }

func (m *memory) All(_ context.Context, yield func(store.Record) error, kinds ...store.Kind) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.records {
		if slices.Contains(kinds, r.Kind()) {
			if err := yield(r); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *memory) Audit(_ context.Context, q store.AuditQuery) ([]*store.AuditEntry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []*store.AuditEntry
	for _, r := range m.records {
		e, ok := r.(*store.AuditEntry)
		if ok && (len(q.Workspaces) == 0 || slices.Contains(q.Workspaces, e.Workspace)) &&
			(!q.Unsealed || e.Place == 0) && (!q.ByPlace || e.Place > q.AfterPlace) {
			found = append(found, e)
		}
	}
	slices.SortFunc(found, func(a, b *store.AuditEntry) int {
		if q.ByPlace {
			return cmp.Or(cmp.Compare(a.Place, b.Place), cmp.Compare(a.ID, b.ID))
		}
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.ID, b.ID))
	})
	return found[:min(len(found), q.Limit)], nil
}

// entries returns a workspace's sealed entries by place.
func (m *memory) entries(t *testing.T, w store.WorkspaceID) []*store.AuditEntry {
	t.Helper()
	found, err := m.Audit(t.Context(), store.AuditQuery{Workspaces: []store.WorkspaceID{w}, ByPlace: true, Limit: 1e6})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// forge replaces a record without a trace.
func (m *memory) forge(r store.Record) { m.records[at(r)] = r }

// world is a store with a clock and a sealer on it.
type world struct {
	*memory
	now    time.Time
	sealer *audit.Sealer
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{memory: newMemory(), now: time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)}
	w.sealer = w.node(t, "one", "a key-encryption key")
	return w
}

func (w *world) node(t *testing.T, name string, encryptionKeys ...string) *audit.Sealer {
	t.Helper()
	var keys [][]byte
	for _, k := range encryptionKeys {
		key, err := audit.Key([]byte(k))
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	return audit.New(audit.Options{Store: w.memory, Keys: keys, Node: name, Now: func() time.Time { return w.now }})
}

// write adds n entries, a second apart.
func (w *world) write(t *testing.T, in store.WorkspaceID, n int) {
	t.Helper()
	for range n {
		w.now = w.now.Add(time.Second)
		e := audit.Entry(w.now, in, "team.create", nil, &store.Team{ID: store.NewTeamID(), Name: "ops"})
		e.Account, e.Actor = "usr1", "mia"
		if err := w.Commit(t.Context(), store.Insert(e)); err != nil {
			t.Fatal(err)
		}
	}
}

func (w *world) seal(t *testing.T) {
	t.Helper()
	if err := w.sealer.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (w *world) verify(t *testing.T, in store.WorkspaceID) audit.Report {
	t.Helper()
	report, err := w.sealer.Verify(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return report
}
