package sqlite

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"postern/store"
)

func revocationTable() *table {
	return ending(func(r store.Record) store.Time { return r.(*store.Revocation).ExpiresAt })
}

func statusIndexTable() *table {
	return &table{
		columns: []string{"place", "expires_at"},
		values: func(r store.Record) []any {
			i := r.(*store.StatusIndex)
			return []any{i.Place, int64(i.ExpiresAt)}
		},
	}
}

// ending is a table of records that Prune deletes after their end.
func ending(ends func(store.Record) store.Time) *table {
	return &table{
		columns: []string{"expires_at"},
		values:  func(r store.Record) []any { return []any{int64(ends(r))} },
	}
}

// endingKinds are those that Prune deletes after their end.
func endingKinds() []store.Kind {
	return []store.Kind{store.KindRevocation, store.KindStatusIndex, store.KindSession, store.KindDelivery, store.KindIdempotency}
}

// pruneEnded deletes some records of a kind that ended before now.
func (w *writer) pruneEnded(kind store.Kind, now store.Time) (int, []store.Change, error) {
	stmt, err := w.prepare(fmt.Sprintf("DELETE FROM %s WHERE id IN (SELECT id FROM %[1]s WHERE expires_at > 0 AND expires_at < ? LIMIT ?) RETURNING id", kind))
	if err != nil {
		return 0, nil, err
	}
	rows, err := stmt.Query(int64(now), some) //nolint:noctx // a transaction is shared, and no caller's context may end it
	if err != nil {
		return 0, nil, err
	}
	defer rows.Close() //nolint:errcheck // Err has what went wrong
	n := 0
	var changes []store.Change
	for rows.Next() {
		c := store.Change{Kind: kind}
		if err := rows.Scan(&c.Key); err != nil {
			return 0, nil, err
		}
		n++
		if slices.Contains(store.WatchedKinds(), kind) {
			changes = append(changes, c)
		}
	}
	return n, changes, rows.Err()
}

// heartbeats are kept in memory: they tell that the writer's goroutine and the
// feed work, in the only process that could ask.
type heartbeats struct {
	mu   sync.Mutex
	rows map[string]*store.Heartbeat
}

// heartbeatLife is how long a heartbeat is kept after it stopped.
const heartbeatLife = time.Hour

// Beat implements store.Committer.
func (s *Store) Beat(ctx context.Context, node string, count int64) error {
	h := &store.Heartbeat{ID: node, Revision: 1, Count: count, BeatAt: store.At(s.options.Now())}
	if err := s.write.do(ctx, &job{memory: func() []store.Change { return s.heartbeats.put(h) }}); err != nil {
		return fmt.Errorf("beat of node %s: %w", node, err)
	}
	return nil
}

func (h *heartbeats) put(beat *store.Heartbeat) []store.Change {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.rows[beat.ID] = beat
	return []store.Change{{Kind: store.KindHeartbeat, Key: beat.ID, Record: beat}}
}

// prune deletes those that stopped before a time.
func (h *heartbeats) prune(before store.Time) []store.Change {
	h.mu.Lock()
	defer h.mu.Unlock()
	var changes []store.Change
	for node, beat := range h.rows {
		if beat.BeatAt < before {
			delete(h.rows, node)
			changes = append(changes, store.Change{Kind: store.KindHeartbeat, Key: node})
		}
	}
	return changes
}

func (h *heartbeats) all(yield func(store.Record) error) error {
	h.mu.Lock()
	rows := slices.SortedFunc(maps.Values(h.rows), func(a, b *store.Heartbeat) int { return cmp.Compare(a.ID, b.ID) })
	h.mu.Unlock()
	for _, beat := range rows {
		if err := yield(beat); err != nil {
			return err
		}
	}
	return nil
}
