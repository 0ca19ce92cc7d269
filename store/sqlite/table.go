package sqlite

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"postern/store"
)

// table is how the records of one kind are kept.
type table struct {
	name    string
	columns []string // beside id, revision and doc
	// values are those of the columns.
	values func(store.Record) []any
	// links are the members of a list that queries ask for; nil has none.
	links func(store.Record) []string
	// computed are columns, and their values, that only an insert sets.
	computed, computedValues string

	insert, update, remove string
	watched                bool
}

// tables are those of all kinds but heartbeats, which are kept in memory.
func tables() map[store.Kind]*table {
	out := map[store.Kind]*table{
		store.KindClient:       clientTable(),
		store.KindAccount:      accountTable(),
		store.KindTeam:         teamTable(),
		store.KindWorkspace:    workspaceTable(),
		store.KindAPI:          apiTable(),
		store.KindRole:         roleTable(),
		store.KindGrant:        grantTable(),
		store.KindRevocation:   revocationTable(),
		store.KindAudit:        auditTable(),
		store.KindKey:          {},
		store.KindInstallation: {},
		store.KindChain:        {},
		store.KindLease:        {},
		store.KindWebhook:      {},
		store.KindSecondFactor: {},
		store.KindIdentity:     {},
		store.KindStatusIndex:  statusIndexTable(),
		store.KindDelivery:     deliveryTable(),
		store.KindSession:      ending(func(r store.Record) store.Time { return r.(*store.Session).ExpiresAt }),
		store.KindIdempotency:  ending(func(r store.Record) store.Time { return r.(*store.Idempotency).ExpiresAt }),
	}
	for kind, t := range out {
		t.name = string(kind)
		t.watched = slices.Contains(store.WatchedKinds(), kind)
		t.insert = fmt.Sprintf("INSERT INTO %s (id, revision, doc%s%s) VALUES (?, ?, ?%s%s)",
			t.name, each(t.columns, ", %s"), t.computed, strings.Repeat(", ?", len(t.columns)), t.computedValues)
		t.update = fmt.Sprintf("UPDATE %s SET revision = ?, doc = ?%s WHERE id = ? AND revision = ?", t.name, each(t.columns, ", %s = ?"))
		t.remove = fmt.Sprintf("DELETE FROM %s WHERE id = ? AND revision = ?", t.name)
	}
	return out
}

func each(columns []string, format string) string {
	var text strings.Builder
	for _, c := range columns {
		fmt.Fprintf(&text, format, c)
	}
	return text.String()
}

// encode returns a record's JSON, with the text of raw JSON in it as it is.
func encode(r store.Record) (string, error) {
	if k, ok := r.(*store.Key); ok && len(k.Sealed) == 0 { // its JSON tells an empty list from an absent one
		copied := *k
		copied.Sealed = nil
		r = &copied
	}
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(r); err != nil {
		return "", fmt.Errorf("encode %s %s: %w", r.Kind(), r.Key(), err)
	}
	return strings.TrimSuffix(text.String(), "\n"), nil
}

func decode(doc sql.RawBytes, into any) error {
	if err := json.Unmarshal(doc, into); err != nil {
		return fmt.Errorf("decode a stored record: %w", err)
	}
	return nil
}

// one returns the record that a query for one doc finds.
func one[T any](ctx context.Context, doing string, stmt *sql.Stmt, args ...any) (*T, error) {
	found, err := many[T](ctx, doing, func() (*sql.Rows, error) { return stmt.QueryContext(ctx, args...) })
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%s: %w", doing, store.ErrNotFound)
	}
	return found[0], nil
}

// list returns the records of a query for docs.
func list[T any](ctx context.Context, s *Store, doing, query string, args ...any) ([]*T, error) {
	return many[T](ctx, doing, func() (*sql.Rows, error) { return s.reader.QueryContext(ctx, query, args...) })
}

func many[T any](ctx context.Context, doing string, query func() (*sql.Rows, error)) ([]*T, error) {
	var out []*T
	err := scan(ctx, doing, query, func(rows *sql.Rows) error {
		var doc sql.RawBytes
		if err := rows.Scan(&doc); err != nil {
			return err
		}
		r := new(T)
		out = append(out, r)
		return decode(doc, r)
	})
	return out, err
}

// scan calls row for each row of a query.
func scan(ctx context.Context, doing string, query func() (*sql.Rows, error), row func(*sql.Rows) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	rows, err := query()
	if err != nil {
		return readError(ctx, doing, err)
	}
	defer rows.Close() //nolint:errcheck // Err has what went wrong
	for rows.Next() {
		if err := row(rows); err != nil {
			err = cmp.Or(ctx.Err(), err)
			return fmt.Errorf("%s: %w", doing, err)
		}
	}
	if err := rows.Err(); err != nil {
		return readError(ctx, doing, err)
	}
	return nil
}

// All implements store.Lister.
func (s *Store) All(ctx context.Context, yield func(store.Record) error, kinds ...store.Kind) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	// The transaction sees the moment of its first read.
	tx, err := s.reader.BeginTx(ctx, nil)
	if err != nil {
		return readError(ctx, "read all", err)
	}
	defer tx.Rollback() //nolint:errcheck // it only read
	for _, kind := range kinds {
		if kind == store.KindHeartbeat {
			err = s.heartbeats.all(yield)
		} else {
			err = s.allOf(ctx, tx, kind, yield)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) allOf(ctx context.Context, tx *sql.Tx, kind store.Kind, yield func(store.Record) error) error {
	if _, err := store.New(kind); err != nil {
		return err
	}
	query := func() (*sql.Rows, error) {
		return tx.QueryContext(ctx, "SELECT doc FROM "+s.tables[kind].name+" ORDER BY id")
	}
	var stop error
	err := scan(ctx, "read all "+string(kind), query, func(rows *sql.Rows) error {
		var doc sql.RawBytes
		if err := rows.Scan(&doc); err != nil {
			return err
		}
		r, err := store.New(kind)
		if err != nil {
			return err
		}
		if err := decode(doc, r); err != nil {
			return err
		}
		stop = yield(r)
		return stop
	})
	if stop != nil {
		return stop
	}
	return err
}

// conditions is what stands after WHERE, joined by and.
type conditions struct {
	texts []string
	args  []any
}

func (c *conditions) and(text string, args ...any) {
	c.texts = append(c.texts, text)
	c.args = append(c.args, args...)
}

// in asks for one of several values.
func in[T ~string](c *conditions, column string, values []T) {
	if len(values) == 0 {
		return
	}
	args := make([]any, len(values))
	for i, v := range values {
		args[i] = string(v)
	}
	c.and(column+" IN (?"+strings.Repeat(", ?", len(values)-1)+")", args...)
}

func (c *conditions) where() string {
	if len(c.texts) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(c.texts, " AND ")
}

// contains asks for a part of the search column, in any case.
func (c *conditions) contains(part string) {
	if part != "" {
		c.and("instr(search, ?) > 0", strings.ToLower(part))
	}
}

// searchable joins texts for contains. No part that anybody types spans two.
func searchable(texts ...string) string {
	return strings.ToLower(strings.Join(texts, "\x1f"))
}
