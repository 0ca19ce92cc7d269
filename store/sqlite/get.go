package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"postern/store"
)

// Get implements store.Reader.
func (s *Store) Get(ctx context.Context, kind store.Kind, key string) (store.Record, error) {
	doing := fmt.Sprintf("read %s %s", kind, key)
	r, err := store.New(kind)
	if err != nil {
		return nil, err
	}
	found := false
	if kind == store.KindHeartbeat {
		err = s.heartbeats.all(func(beat store.Record) error {
			if beat.Key() == key {
				r, found = beat, true
			}
			return nil
		})
	} else {
		err = scan(ctx, doing, func() (*sql.Rows, error) {
			return s.reader.QueryContext(ctx, "SELECT doc FROM "+s.tables[kind].name+" WHERE id = ?", key)
		}, func(rows *sql.Rows) error {
			var doc sql.RawBytes
			if err := rows.Scan(&doc); err != nil {
				return err
			}
			found = true
			return decode(doc, r)
		})
	}
	switch {
	case err != nil:
		return nil, err
	case !found:
		return nil, fmt.Errorf("%s: %w", doing, store.ErrNotFound)
	}
	return r, nil
}
