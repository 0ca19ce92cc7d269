package mongo

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/bson"

	"postern/store"
)

// Deliveries returns a page of deliveries.
func (s *Store) Deliveries(ctx context.Context, q store.DeliveryQuery) ([]*store.Delivery, error) {
	filter := bson.D{}
	if q.Webhook != "" {
		filter = append(filter, bson.E{Key: "webhook", Value: q.Webhook})
	}
	if q.Mail {
		filter = append(filter, bson.E{Key: "webhook", Value: nil}) // which is left out
	}
	status := q.Status
	if q.DueBy != 0 && status == "" {
		status = store.DeliveryWaiting
	}
	if q.DueBy != 0 && status != store.DeliveryWaiting {
		return nil, ctx.Err()
	}
	if status != "" {
		filter = append(filter, bson.E{Key: "status", Value: status})
	}
	if q.DueBy != 0 {
		filter = append(filter, bson.E{Key: "due_at", Value: bson.D{{Key: "$lte", Value: q.DueBy}}})
		return page[store.Delivery](ctx, s, store.KindDelivery, filter, ordered(1, "due_at", "_id"), pageLimit(q.Limit))
	}
	direction, beyond := 1, "$gt"
	if q.Newest {
		direction, beyond = -1, "$lt"
	}
	if q.After != "" {
		filter = append(filter, bson.E{Key: "_id", Value: bson.D{{Key: beyond, Value: q.After}}})
	}
	return page[store.Delivery](ctx, s, store.KindDelivery, filter, ordered(direction, "_id"), pageLimit(q.Limit))
}
