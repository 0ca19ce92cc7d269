package sqlite

import (
	"context"
	"errors"
	"fmt"
	"strings"

	sqlite3 "modernc.org/sqlite/lib"

	"postern/store"
)

// step is one write, encoded.
type step struct {
	write  store.Write
	stored store.Record
	table  *table
	args   []any
	links  []string
}

// Commit implements store.Committer.
func (s *Store) Commit(ctx context.Context, writes ...store.Write) error {
	if len(writes) == 0 {
		return ctx.Err()
	}
	steps := make([]step, 0, len(writes))
	for _, w := range writes {
		st, err := s.step(w)
		if err != nil {
			return fmt.Errorf("commit: %w", err)
		}
		steps = append(steps, st)
	}
	j := &job{
		whole: len(steps) == 1 && steps[0].table.links == nil,
		run: func(w *writer) ([]store.Change, error) {
			var changes []store.Change
			for i := range steps {
				if err := steps[i].do(w); err != nil {
					return nil, err
				}
				if w := steps[i].write.Record; steps[i].table.watched {
					changes = append(changes, store.Change{Kind: w.Kind(), Key: w.Key(), Record: steps[i].stored})
				}
			}
			return changes, nil
		},
	}
	if err := s.write.do(ctx, j); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// step encodes a write, in the caller's goroutine: the writer is the bottleneck.
func (s *Store) step(w store.Write) (step, error) {
	t := s.tables[w.Record.Kind()]
	if t == nil {
		return step{}, fmt.Errorf("write of %s %s: %w", w.Record.Kind(), w.Record.Key(), errors.ErrUnsupported)
	}
	st := step{write: w, stored: w.Stored(), table: t}
	id := w.Record.Key()
	if w.Op == store.OpDelete {
		st.args = []any{id, w.Record.Rev()}
		return st, nil
	}
	doc, err := encode(st.stored)
	if err != nil {
		return step{}, err
	}
	var values []any
	if t.values != nil {
		values = t.values(st.stored)
	}
	if t.links != nil {
		st.links = t.links(st.stored)
	}
	if w.Op == store.OpInsert {
		st.args = append([]any{id, st.stored.Rev(), doc}, values...)
	} else {
		st.args = append(append([]any{st.stored.Rev(), doc}, values...), id, w.Record.Rev())
	}
	return st, nil
}

func (st *step) do(w *writer) error {
	var text string
	switch st.write.Op {
	case store.OpInsert:
		text = st.table.insert
	case store.OpUpdate:
		text = st.table.update
	case store.OpDelete:
		text = st.table.remove
	}
	rows, err := w.affect(text, st.args...)
	if err != nil {
		return st.taken(w, err)
	}
	kind, id := st.write.Record.Kind(), st.write.Record.Key()
	if rows == 0 {
		return fmt.Errorf("%s %s at revision %d: %w", kind, id, st.write.Record.Rev(), store.ErrConflict)
	}
	if st.table.links == nil {
		return nil
	}
	if st.write.Op != store.OpInsert {
		if err := w.exec("DELETE FROM links WHERE kind = ? AND id = ?", string(kind), id); err != nil {
			return err
		}
	}
	for _, value := range st.links {
		if err := w.exec("INSERT OR IGNORE INTO links (kind, value, id) VALUES (?, ?, ?)", string(kind), value, id); err != nil {
			return err
		}
	}
	return nil
}

// taken turns the violation of a unique index into store.Exists.
func (st *step) taken(w *writer, err error) error {
	kind, id := st.write.Record.Kind(), st.write.Record.Key()
	switch resultCode(err) {
	case sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
		return &store.Exists{Kind: kind, Field: "_id"}
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE:
	default:
		return err
	}
	// Where both the id and a name are taken, SQLite may name either.
	if st.write.Op == store.OpInsert {
		if rows, err := w.affect("UPDATE "+st.table.name+" SET id = id WHERE id = ?", id); err != nil {
			return err
		} else if rows > 0 {
			return &store.Exists{Kind: kind, Field: "_id"}
		}
	}
	// "… UNIQUE constraint failed: clients.workspace, clients.key (2067)": the
	// columns are named as the fields are, and the last one is what was taken.
	_, columns, _ := strings.Cut(err.Error(), "UNIQUE constraint failed: ")
	columns, _, _ = strings.Cut(columns, " (")
	return &store.Exists{Kind: kind, Field: columns[strings.LastIndexByte(columns, '.')+1:]}
}

// Prune implements store.Committer.
func (s *Store) Prune(ctx context.Context, now, keepUsage store.Time) error {
	// In small jobs: other writes get in between.
	prunes := []func(*writer) (int, []store.Change, error){
		func(w *writer) (int, []store.Change, error) { return w.pruneUsage(keepUsage) },
		func(w *writer) (int, []store.Change, error) { return w.pruneUsageSums(keepUsage) },
	}
	for _, kind := range endingKinds() {
		prunes = append(prunes, func(w *writer) (int, []store.Change, error) { return w.pruneEnded(kind, now) })
	}
	for _, pruned := range prunes {
		for rows := some; rows == some; {
			err := s.write.do(ctx, &job{run: func(w *writer) (changes []store.Change, err error) {
				rows, changes, err = pruned(w)
				return changes, err
			}})
			if err != nil {
				return fmt.Errorf("prune: %w", err)
			}
		}
	}
	old := now.Add(-heartbeatLife)
	if err := s.write.do(ctx, &job{memory: func() []store.Change { return s.heartbeats.prune(old) }}); err != nil {
		return fmt.Errorf("prune heartbeats: %w", err)
	}
	return nil
}

// some is how many rows one job of a larger piece of work touches.
const some = 500
