package mongo

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/bson"

	"postern/store"
)

// GrantsOf returns the grants of an account or team, by workspace.
func (s *Store) GrantsOf(ctx context.Context, holder store.HolderID) ([]*store.Grant, error) {
	return page[store.Grant](ctx, s, store.KindGrant, bson.D{{Key: "holder", Value: holder}}, ordered(1, "workspace"), 0)
}

// Grants returns a page of grants, by id.
func (s *Store) Grants(ctx context.Context, q store.GrantQuery) ([]*store.Grant, error) {
	filter := bson.D{}
	if q.Workspace != "" {
		filter = append(filter, bson.E{Key: "workspace", Value: q.Workspace})
	}
	if q.Role != "" {
		filter = append(filter, bson.E{Key: "roles.role", Value: q.Role})
	}
	if q.TeamsOnly { // by the prefix of their ids (store.HolderID.IsTeam)
		filter = append(filter, bson.E{Key: "holder", Value: bson.D{{Key: "$gte", Value: "tea"}, {Key: "$lt", Value: "teb"}}})
	}
	if q.After != "" {
		filter = append(filter, bson.E{Key: "_id", Value: bson.D{{Key: "$gt", Value: q.After}}})
	}
	limit := pageLimit(q.Limit)
	if q.Limit == -1 {
		limit = 0
	}
	return page[store.Grant](ctx, s, store.KindGrant, filter, ordered(1, "_id"), limit)
}
