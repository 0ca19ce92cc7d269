package mongo

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/bson"

	"postern/store"
)

// Audit returns a page of audit entries.
func (s *Store) Audit(ctx context.Context, q store.AuditQuery) ([]*store.AuditEntry, error) {
	filter := bson.D{}
	if len(q.Workspaces) > 0 {
		filter = append(filter, among(q.Workspaces))
	}
	for _, equal := range []bson.E{
		{Key: "account", Value: string(q.Account)},
		{Key: "client", Value: string(q.Client)},
		{Key: "target", Value: q.Target},
		{Key: "operation", Value: q.Operation},
	} {
		if equal.Value != "" {
			filter = append(filter, equal)
		}
	}
	if q.Refused {
		filter = append(filter, bson.E{Key: "refused", Value: bson.D{{Key: "$gt", Value: ""}}})
	}
	var within bson.D
	if q.From != 0 {
		within = append(within, bson.E{Key: "$gte", Value: q.From})
	}
	if q.To != 0 {
		within = append(within, bson.E{Key: "$lt", Value: q.To})
	}
	if len(within) > 0 {
		filter = append(filter, bson.E{Key: "at", Value: within})
	}
	sort := ordered(-1, "at", "_id")
	switch {
	case q.Unsealed:
		filter = append(filter, bson.E{Key: "place", Value: nil})
		sort = ordered(1, "at", "_id")
	case q.ByPlace:
		filter = append(filter, bson.E{Key: "place", Value: bson.D{{Key: "$gt", Value: q.AfterPlace}}})
		sort = ordered(1, "place")
	case q.Oldest:
		sort = ordered(1, "at", "_id")
	}
	if q.After != nil {
		filter = bson.D{{Key: "$and", Value: bson.A{filter, after("at", q.After.At, q.After.ID, !q.Unsealed && !q.Oldest)}}}
	}
	return page[store.AuditEntry](ctx, s, store.KindAudit, filter, sort, pageLimit(q.Limit))
}
