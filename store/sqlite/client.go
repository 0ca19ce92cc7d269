package sqlite

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"

	"postern/store"
)

func clientTable() *table {
	return &table{
		columns: []string{"workspace", "key", "sort_name", "search", "account", "kind", "status", "created_at", "expires_at", "responsible", "confirm_by", "slow", "noted"},
		values: func(r store.Record) []any {
			c := r.(*store.Client)
			var key any // NULL: only keys are unique
			if c.ClientKey != "" {
				key = c.ClientKey
			}
			return []any{
				string(c.Workspace), key, strings.ToLower(c.Name), searchable(c.Name, c.Description, c.ClientKey, string(c.ID)),
				string(c.Account), string(c.ClientKind), string(c.Status), int64(c.CreatedAt), expiry(c.ExpiresAt),
				string(c.Responsible), int64(c.ConfirmBy), c.SlowSecret() != nil, c.Noted(),
			}
		},
		links: func(r store.Record) []string {
			var ends []string
			for _, t := range r.(*store.Client).Ends() {
				ends = append(ends, endLink(t))
			}
			return ends
		},
		computed:       ", last_used",
		computedValues: ", coalesce((SELECT max(success_at) FROM last_use WHERE client = ?1), 0)",
	}
}

// endLink is a time that is ordered as text.
func endLink(t store.Time) string { return fmt.Sprintf("%016d", int64(t)) }

// expiry is an expiry as it is ordered: never comes last.
func expiry(t store.Time) int64 {
	if t == 0 {
		return math.MaxInt64
	}
	return int64(t)
}

// Client implements store.Reader.
func (s *Store) Client(ctx context.Context, id store.ClientID) (*store.Client, error) {
	return one[store.Client](ctx, "read client "+string(id), s.client, string(id))
}

// Clients implements store.Lister.
func (s *Store) Clients(ctx context.Context, q store.ClientQuery) ([]*store.Client, error) {
	column, err := clientColumn(q.Sort)
	if err != nil {
		return nil, fmt.Errorf("list clients: %w", err)
	}
	c := clientConditions(q)
	after, direction := ">", "ASC"
	if q.Desc {
		after, direction = "<", "DESC"
	}
	if q.After != nil {
		value, err := cursorValue(q)
		if err != nil {
			return nil, fmt.Errorf("list clients: %w", err)
		}
		c.and("("+column+", id) "+after+" (?, ?)", value, string(q.After.ID))
	}
	// Which clients they are is found out in an index, where that has all that is
	// asked for; only those of the page are read.
	order := fmt.Sprintf(" ORDER BY %s %s, id %s", column, direction, direction)
	text := "SELECT doc FROM clients WHERE id IN (SELECT id FROM clients" + clientIndex(q) + c.where() + order + " LIMIT ?)" + order
	return list[store.Client](ctx, s, "list clients", text, append(c.args, limit(q.Limit))...)
}

// CountClients implements store.Lister.
func (s *Store) CountClients(ctx context.Context, q store.ClientQuery, most int) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("count clients: %w", err)
	}
	c := clientConditions(q)
	n := 0
	index := ""
	if q.IsFigure() {
		index = " INDEXED BY clients_counted"
		c.and("status || ' ' || kind = ?", string(q.Status)+" "+string(q.ClientKind))
	}
	text := fmt.Sprintf("SELECT count(*) FROM (SELECT 1 FROM clients%s%s LIMIT ?)", index, c.where()) //nolint:gosec // conditions are written here, their values are arguments
	if err := s.reader.QueryRowContext(ctx, text, append(c.args, most)...).Scan(&n); err != nil {
		return 0, readError(ctx, "count clients", err)
	}
	return n, nil
}

// clientIndex names the index to look in where SQLite would choose another: a
// search has no end in the order that is asked for, and only two indexes have its
// text.
func clientIndex(q store.ClientQuery) string {
	if q.Noted {
		return " INDEXED BY clients_noted" // few are, of a workspace that may have many
	}
	if q.Search == "" || len(q.Workspaces) > 0 || q.Account != "" || len(q.Responsible) > 0 || q.EndsTo != 0 || q.ConfirmBy != 0 || q.Slow || q.Noted {
		return ""
	}
	return " INDEXED BY clients_by_name"
}

func clientColumn(sort store.ClientSort) (string, error) {
	switch sort {
	case "", store.SortName:
		return "sort_name", nil
	case store.SortCreated:
		return "created_at", nil
	case store.SortExpires:
		return "expires_at", nil
	case store.SortLastUse:
		return "last_used", nil
	default:
		return "", fmt.Errorf("clients cannot be ordered by %q", string(sort))
	}
}

// cursorValue is the cursor's value as its column has it.
func cursorValue(q store.ClientQuery) (any, error) {
	if q.Sort == "" || q.Sort == store.SortName {
		return q.After.Value, nil
	}
	n, err := strconv.ParseInt(q.After.Value, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("cursor of the order by %s: %w", q.Sort, err)
	}
	if q.Sort == store.SortExpires {
		return expiry(store.Time(n)), nil
	}
	return n, nil
}

func clientConditions(q store.ClientQuery) *conditions {
	c := new(conditions)
	in(c, "workspace", q.Workspaces)
	if q.Account != "" {
		c.and("account = ?", string(q.Account))
	}
	if q.ClientKind != "" {
		c.and("kind = ?", string(q.ClientKind))
	}
	switch q.Status {
	case "":
		c.and("status <> ?", string(store.ClientDeleted))
	case store.ClientExpired: // as Client.State has it
		c.and("status IN (?, ?) AND expires_at <= ?", string(store.ClientActive), string(store.ClientPending), int64(q.Now))
	case store.ClientActive, store.ClientPending:
		c.and("status = ? AND expires_at > ?", string(q.Status), int64(q.Now))
	default:
		c.and("status = ?", string(q.Status))
	}
	c.contains(q.Search)
	if q.Unused {
		c.and("+last_used = 0") // not by its index, which has them in no order that is asked for
	}
	if q.UsedSince != 0 {
		c.and("+last_used >= ?", int64(q.UsedSince))
	}
	if q.MadeBefore != 0 {
		c.and("+created_at < ?", int64(q.MadeBefore))
	}
	if q.ExpiresBy != 0 {
		c.and("expires_at <= ?", int64(q.ExpiresBy))
	}
	if q.EndsTo != 0 {
		c.and("id IN (SELECT id FROM links WHERE kind = ? AND value >= ? AND value < ?)", string(store.KindClient), endLink(q.EndsFrom), endLink(q.EndsTo))
	}
	in(c, "responsible", q.Responsible)
	if q.ConfirmBy != 0 {
		c.and("confirm_by > 0 AND confirm_by <= ?", int64(q.ConfirmBy)) // the first half lets the index be used
	}
	if q.Slow {
		c.and("slow")
	}
	if q.Noted {
		c.and("noted")
	}
	return c
}
