package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"

	"postern/store"
)

const raiseSum = `INSERT INTO usage_sums (workspace, hour, rule, outcome, process, count) VALUES (?, ?, ?, ?, ?, ?)
	ON CONFLICT DO UPDATE SET count = excluded.count WHERE excluded.count > count`

// AddUsageSums implements store.UsageStore.
func (s *Store) AddUsageSums(ctx context.Context, sums []store.UsageSum) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("add usage sums: %w", err)
	}
	for part := range slices.Chunk(sums, some) { // in small jobs, as AddUsage
		err := s.write.do(ctx, &job{run: func(w *writer) ([]store.Change, error) {
			for _, u := range part {
				if err := w.exec(raiseSum, string(u.Workspace), int64(u.Hour), u.Rule, string(u.Outcome), u.Process, u.Count); err != nil {
					return nil, err
				}
			}
			return nil, nil
		}})
		if err != nil {
			return fmt.Errorf("add usage sums: %w", err)
		}
	}
	return nil
}

func (w *writer) pruneUsageSums(before store.Time) (int, []store.Change, error) {
	rows, err := w.affect(`DELETE FROM usage_sums WHERE (workspace, hour, rule, outcome, process) IN
		(SELECT workspace, hour, rule, outcome, process FROM usage_sums WHERE hour < ? LIMIT ?)`, int64(before), some)
	return int(rows), nil, err
}

const byOutcome = `sum(iif(outcome = 'issued', count, 0)), sum(iif(outcome = 'introspected', count, 0)),
	sum(iif(outcome = 'allowed', count, 0)), sum(iif(outcome = 'denied', count, 0))`

// UsageTotals implements store.UsageStore.
func (s *Store) UsageTotals(ctx context.Context, q store.UsageTotalQuery) ([]store.UsageTotal, error) {
	c := new(conditions)
	if q.By != store.UsageByClient {
		in(c, "workspace", q.Workspaces)
	}
	if q.From != 0 {
		c.and("hour >= ?", int64(q.From))
	}
	if q.To != 0 {
		c.and("hour < ?", int64(q.To))
	}
	first := cmp.Or(q.Limit, 10)
	at, rule, client, text := "0", "''", "''", ""
	switch q.By {
	case store.UsageByHour:
		at, text = "hour", "FROM usage_sums"+c.where()+" GROUP BY hour ORDER BY hour"
	case store.UsageByDay:
		at, text = "hour - hour % 86400000 AS day", "FROM usage_sums"+c.where()+" GROUP BY day ORDER BY day"
	case store.UsageByRule:
		c.and("rule > ''")
		rule, text = "rule", "FROM usage_sums"+c.where()+" GROUP BY rule ORDER BY sum(count) DESC, rule LIMIT ?"
		c.args = append(c.args, first)
	case store.UsageByClient:
		of := new(conditions) // of whom they are is asked once for each client, not for each row
		in(of, "(SELECT workspace FROM clients WHERE id = client)", q.Workspaces)
		client, text = "client", "FROM usage"+c.where()+" GROUP BY client"
		if len(q.Workspaces) > 0 {
			text += " HAVING" + of.where()[len(" WHERE"):]
		}
		text += " ORDER BY sum(count) DESC, client LIMIT ?"
		c.args = append(append(c.args, of.args...), first)
	default:
		return nil, fmt.Errorf("usage totals: there are none by %q", string(q.By))
	}
	var out []store.UsageTotal
	err := scan(ctx, "read usage totals", func() (*sql.Rows, error) {
		return s.reader.QueryContext(ctx, "SELECT "+at+", "+rule+", "+client+", "+byOutcome+" "+text, c.args...)
	}, func(rows *sql.Rows) error {
		var t store.UsageTotal
		err := rows.Scan(&t.At, &t.Rule, &t.Client, &t.Issued, &t.Introspected, &t.Allowed, &t.Denied)
		out = append(out, t)
		return err
	})
	return out, err
}

// LastRefusals implements store.UsageStore.
func (s *Store) LastRefusals(ctx context.Context, workspaces []store.WorkspaceID, limit int) ([]store.LastUse, error) {
	c := new(conditions)
	c.and("refusal_at > 0")
	in(c, "(SELECT workspace FROM clients WHERE id = client)", workspaces)
	return s.lastUses(ctx, c.where()+" ORDER BY refusal_at DESC, client, secret LIMIT ?", append(c.args, limit)...)
}
