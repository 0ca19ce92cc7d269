package sqlite

import (
	"context"

	"postern/store"
)

func deliveryTable() *table {
	return &table{
		columns: []string{"webhook", "status", "due_at", "expires_at"},
		values: func(r store.Record) []any {
			d := r.(*store.Delivery)
			return []any{string(d.Webhook), string(d.Status), int64(d.DueAt), int64(d.ExpiresAt)}
		},
	}
}

// Deliveries implements store.Lister.
func (s *Store) Deliveries(ctx context.Context, q store.DeliveryQuery) ([]*store.Delivery, error) {
	c := new(conditions)
	if q.Webhook != "" {
		c.and("webhook = ?", string(q.Webhook))
	}
	if q.Mail {
		c.and("webhook = ''")
	}
	if q.Status != "" {
		c.and("status = ?", string(q.Status))
	}
	order, beyond := "id", "id > ?"
	if q.Newest {
		order, beyond = "id DESC", "id < ?"
	}
	if q.DueBy != 0 {
		c.and("status = ? AND due_at <= ?", string(store.DeliveryWaiting), int64(q.DueBy))
		order = "due_at, id"
	} else if q.After != "" {
		c.and(beyond, string(q.After))
	}
	return list[store.Delivery](ctx, s, "list deliveries", "SELECT doc FROM deliveries"+c.where()+" ORDER BY "+order+" LIMIT ?", append(c.args, limit(q.Limit))...)
}
