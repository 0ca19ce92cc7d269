package sqlite

import (
	"context"

	"postern/store"
)

func auditTable() *table {
	return &table{
		columns: []string{"at", "workspace", "account", "client", "target", "operation", "place"},
		values: func(r store.Record) []any {
			e := r.(*store.AuditEntry)
			return []any{int64(e.At), string(e.Workspace), string(e.Account), string(e.Client), e.Target, e.Operation, e.Place}
		},
	}
}

// Audit implements store.Lister.
func (s *Store) Audit(ctx context.Context, q store.AuditQuery) ([]*store.AuditEntry, error) {
	c := new(conditions)
	in(c, "workspace", q.Workspaces)
	for column, value := range map[string]string{
		"account": string(q.Account), "client": string(q.Client), "target": q.Target, "operation": q.Operation,
	} {
		if value != "" {
			c.and(column+" > '' AND "+column+" = ?", value) // the first half lets the index be used
		}
	}
	if q.Refused {
		c.and("json_extract(doc, '$.refused') > ''") // as its index has it
	}
	if q.From != 0 {
		c.and("at >= ?", int64(q.From))
	}
	if q.To != 0 {
		c.and("at < ?", int64(q.To))
	}
	after, order := "<", "at DESC, id DESC"
	switch {
	case q.ByPlace:
		c.and("place > 0 AND place > ?", q.AfterPlace) // the first half lets the index be used
		order = "place"
	case q.Unsealed:
		c.and("place = 0")
		after, order = ">", "at, id"
	case q.Oldest:
		after, order = ">", "at, id"
	}
	if q.After != nil {
		c.and("(at, id) "+after+" (?, ?)", int64(q.After.At), string(q.After.ID))
	}
	return list[store.AuditEntry](ctx, s, "list the audit", "SELECT doc FROM audit"+c.where()+" ORDER BY "+order+" LIMIT ?", append(c.args, limit(q.Limit))...)
}
