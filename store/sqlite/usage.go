package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"

	"postern/store"
)

const (
	raiseTotal = `INSERT INTO usage (hour, client, secret, rule, outcome, process, count) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET count = excluded.count WHERE excluded.count > count`
	// Each side is replaced whole, by a later one. The old times are compared
	// throughout: SQLite reads all before it sets any.
	raiseLastUse = `INSERT INTO last_use (client, secret, success_at, success_address, success_endpoint, refusal_at, refusal_address, refusal_endpoint)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET
			success_address = iif(excluded.success_at > success_at, excluded.success_address, success_address),
			success_endpoint = iif(excluded.success_at > success_at, excluded.success_endpoint, success_endpoint),
			success_at = max(success_at, excluded.success_at),
			refusal_address = iif(excluded.refusal_at > refusal_at, excluded.refusal_address, refusal_address),
			refusal_endpoint = iif(excluded.refusal_at > refusal_at, excluded.refusal_endpoint, refusal_endpoint),
			refusal_at = max(refusal_at, excluded.refusal_at)`
	raiseLastUsed = "UPDATE clients SET last_used = ?2 WHERE id = ?1 AND last_used < ?2"
)

// AddUsage implements store.UsageStore.
func (s *Store) AddUsage(ctx context.Context, rows []store.Usage, uses []store.LastUse) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("add usage: %w", err)
	}
	// In small jobs: other writes get in between. A part that was done does no harm when it comes again.
	for part := range slices.Chunk(rows, some) {
		if err := s.write.do(ctx, &job{run: func(w *writer) ([]store.Change, error) { return nil, w.addUsage(part) }}); err != nil {
			return fmt.Errorf("add usage: %w", err)
		}
	}
	for part := range slices.Chunk(uses, some) {
		if err := s.write.do(ctx, &job{run: func(w *writer) ([]store.Change, error) { return nil, w.addLastUses(part) }}); err != nil {
			return fmt.Errorf("add last uses: %w", err)
		}
	}
	return nil
}

func (w *writer) addUsage(rows []store.Usage) error {
	for _, u := range rows {
		err := w.exec(raiseTotal, int64(u.Hour), string(u.Client), string(u.Secret), u.Rule, string(u.Outcome), u.Process, u.Count)
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) addLastUses(uses []store.LastUse) error {
	for _, u := range uses {
		err := w.exec(raiseLastUse, string(u.Client), string(u.Secret),
			int64(u.SuccessAt), u.SuccessAddress, u.SuccessEndpoint, int64(u.RefusalAt), u.RefusalAddress, u.RefusalEndpoint)
		if err != nil {
			return err
		}
		if u.SuccessAt == 0 {
			continue
		}
		if err := w.exec(raiseLastUsed, string(u.Client), int64(u.SuccessAt)); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) pruneUsage(before store.Time) (int, []store.Change, error) {
	rows, err := w.affect(`DELETE FROM usage WHERE (hour, client, secret, rule, outcome, process) IN
		(SELECT hour, client, secret, rule, outcome, process FROM usage WHERE hour < ? LIMIT ?)`, int64(before), some)
	return int(rows), nil, err
}

// Usage implements store.UsageStore.
func (s *Store) Usage(ctx context.Context, q store.UsageQuery) ([]store.Usage, error) {
	c := new(conditions)
	c.and("hour >= ?", int64(q.From))
	if q.To != 0 {
		c.and("hour < ?", int64(q.To))
	}
	if len(q.Clients) > 0 {
		c.and("client IN (SELECT value FROM json_each(?))", jsonList(q.Clients))
	}
	const columns = "hour, client, secret, rule, outcome"
	var out []store.Usage
	err := scan(ctx, "read usage", func() (*sql.Rows, error) {
		return s.reader.QueryContext(ctx, "SELECT "+columns+", sum(count) FROM usage"+c.where()+" GROUP BY "+columns+" ORDER BY "+columns+" LIMIT ?",
			append(c.args, cmp.Or(q.Limit, 1000))...)
	}, func(rows *sql.Rows) error {
		var u store.Usage
		err := rows.Scan(&u.Hour, &u.Client, &u.Secret, &u.Rule, &u.Outcome, &u.Count)
		out = append(out, u)
		return err
	})
	return out, err
}

// LastUses implements store.UsageStore.
func (s *Store) LastUses(ctx context.Context, clients ...store.ClientID) ([]store.LastUse, error) {
	return s.lastUses(ctx, " WHERE client IN (SELECT value FROM json_each(?)) ORDER BY client, secret", jsonList(clients))
}

func (s *Store) lastUses(ctx context.Context, which string, args ...any) ([]store.LastUse, error) {
	var out []store.LastUse
	err := scan(ctx, "read last uses", func() (*sql.Rows, error) {
		return s.reader.QueryContext(ctx, `SELECT client, secret, success_at, success_address, success_endpoint, refusal_at, refusal_address, refusal_endpoint
			FROM last_use`+which, args...)
	}, func(rows *sql.Rows) error {
		var u store.LastUse
		err := rows.Scan(&u.Client, &u.Secret, &u.SuccessAt, &u.SuccessAddress, &u.SuccessEndpoint, &u.RefusalAt, &u.RefusalAddress, &u.RefusalEndpoint)
		out = append(out, u)
		return err
	})
	return out, err
}

// The plus keeps the search for a client's rules off the index by rule, in which
// the rows of all clients are.
const (
	rulesUsedBy = `SELECT rule, max(hour) FROM usage WHERE client = ?2 AND outcome = 'allowed' AND +rule IN (SELECT value FROM json_each(?1)) GROUP BY rule`
	rulesUsed   = `SELECT value, (SELECT max(hour) FROM usage WHERE rule = value AND outcome = 'allowed' AND rule > '') AS last FROM json_each(?1) WHERE last IS NOT NULL`
)

// RulesUsed implements store.UsageStore.
func (s *Store) RulesUsed(ctx context.Context, client store.ClientID, rules []string) (map[string]store.Time, error) {
	query, args := rulesUsed, []any{jsonList(rules)}
	if client != "" {
		query, args = rulesUsedBy, append(args, string(client))
	}
	out := map[string]store.Time{}
	err := scan(ctx, "read which rules were used", func() (*sql.Rows, error) {
		return s.reader.QueryContext(ctx, query, args...)
	}, func(rows *sql.Rows) error {
		var rule string
		var hour store.Time
		err := rows.Scan(&rule, &hour)
		out[rule] = hour
		return err
	})
	return out, err
}

// jsonList is a list of any length as one argument.
func jsonList[T ~string](list []T) string {
	if len(list) == 0 {
		return "[]"
	}
	text, err := json.Marshal(list)
	if err != nil {
		panic(fmt.Sprintf("a list of texts is JSON: %v", err))
	}
	return string(text)
}
