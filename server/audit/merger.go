package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"postern/store"
)

const (
	minute    = store.Time(time.Minute / time.Millisecond)
	mostHeld  = 10_000          // merged refusals in memory
	lastWrite = 5 * time.Second // how long the final write of Run may take
)

// Committer is what a Merger writes to.
type Committer interface {
	Commit(ctx context.Context, writes ...store.Write) error
}

// MergerOptions configures a Merger. Only Store is required.
type MergerOptions struct {
	Store Committer
	Every time.Duration    // between looks for minutes that are over; zero means 5 s
	Now   func() time.Time // nil means time.Now
	Log   *slog.Logger     // nil means no log
}

// Merger writes refusals of authenticated actors: one entry for each account,
// workspace, operation and minute, with their number. It is written when the
// minute is over; a process that is killed loses what it held. The entry tells
// the first refusal's target and reason.
//
// It holds at most 10,000 merged refusals, so that an outage of the store does
// not fill the memory; what is beyond goes to the log.
type Merger struct {
	o MergerOptions

	mu      sync.Mutex
	open    map[refusal]*store.AuditEntry
	lost    int64
	writing sync.Mutex          // one write at a time; guards unsent
	unsent  []*store.AuditEntry // closed: no longer merged into, since they may be stored already
}

type refusal struct {
	account   store.AccountID
	workspace store.WorkspaceID
	operation string
	minute    store.Time
}

// NewMerger makes a Merger. It starts nothing.
func NewMerger(o MergerOptions) *Merger {
	if o.Every == 0 {
		o.Every = 5 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Merger{o: o, open: map[refusal]*store.AuditEntry{}}
}

// Add takes the entry of a refusal, made by Entry and filled in by its caller
// (Refused says why). It does no I/O.
func (m *Merger) Add(e *store.AuditEntry) {
	k := refusal{e.Account, e.Workspace, e.Operation, e.At - e.At%minute}
	m.mu.Lock()
	defer m.mu.Unlock()
	if merged := m.open[k]; merged != nil {
		merged.Count++
		return
	}
	if len(m.open) >= mostHeld {
		m.lost++
		return
	}
	merged := *e
	merged.Count = 1
	m.open[k] = &merged
}

// Run writes the refusals of each minute that is over until ctx is done, and then
// all there are.
func (m *Merger) Run(ctx context.Context) error {
	tick := time.NewTicker(m.o.Every)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWrite)
			defer cancel()
			return m.Flush(ctx)
		case <-tick.C:
			now := store.At(m.o.Now())
			err := m.write(ctx, now-now%minute)
			if err != nil && !failing && ctx.Err() == nil { // one line an outage
				m.o.Log.WarnContext(ctx, "refusals are held in memory", "error", err)
			}
			failing = err != nil
		}
	}
}

// Flush writes every refusal held, for answers that must include those until now.
// A later one of the same minute makes another entry.
func (m *Merger) Flush(ctx context.Context) error {
	return m.write(ctx, 1<<62)
}

// write closes what began before a time and writes all that is closed.
func (m *Merger) write(ctx context.Context, before store.Time) error {
	m.writing.Lock()
	defer m.writing.Unlock()
	m.take(ctx, before)
	for len(m.unsent) > 0 {
		batch := m.unsent[:min(len(m.unsent), batchSize)]
		if err := m.commit(ctx, batch); err != nil {
			return fmt.Errorf("write refusals to the audit: %w", err)
		}
		m.unsent = m.unsent[len(batch):]
	}
	return nil
}

func (m *Merger) take(ctx context.Context, before store.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var closed []*store.AuditEntry
	for k, e := range m.open {
		if k.minute < before {
			delete(m.open, k)
			closed = append(closed, e)
		}
	}
	slices.SortFunc(closed, func(a, b *store.AuditEntry) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.ID, b.ID))
	})
	if most := max(mostHeld-len(m.unsent), 0); len(closed) > most {
		for _, e := range closed[most:] {
			m.lost += e.Count
		}
		closed = closed[:most]
	}
	m.unsent = append(m.unsent, closed...)
	if m.lost > 0 {
		m.o.Log.WarnContext(ctx, "refusals without an audit entry: too many were held", "refusals", m.lost)
		m.lost = 0
	}
}

// commit writes a batch, and entry by entry if some of it is there already,
// because an earlier attempt was done although its answer was lost.
func (m *Merger) commit(ctx context.Context, batch []*store.AuditEntry) error {
	writes := make([]store.Write, len(batch))
	for i, e := range batch {
		writes[i] = store.Insert(e)
	}
	err := m.o.Store.Commit(ctx, writes...)
	if !errors.Is(err, store.ErrExists) {
		return err
	}
	for _, w := range writes {
		if err := m.o.Store.Commit(ctx, w); err != nil && !errors.Is(err, store.ErrExists) {
			return err
		}
	}
	return nil
}
