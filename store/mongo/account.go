package mongo

import (
	"context"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"

	"postern/store"
)

func deriveAccount(a *store.Account) bson.D {
	derived := bson.D{{Key: fieldSearch, Value: lowered(a.Name, a.DisplayName, a.Email, a.UserName, string(a.ID))}}
	if a.UserName != "" {
		derived = append(derived, bson.E{Key: fieldUserName, Value: strings.ToLower(a.UserName)})
	}
	return derived
}

// fieldUserName is user_name in lower case, in which it is unique.
const fieldUserName = "_user_name"

// Account returns the account with this id.
func (s *Store) Account(ctx context.Context, id store.AccountID) (*store.Account, error) {
	return one[store.Account](ctx, s, store.KindAccount, "read an account", bson.D{{Key: "_id", Value: id}})
}

// AccountByName returns the account with this name.
func (s *Store) AccountByName(ctx context.Context, name string) (*store.Account, error) {
	return one[store.Account](ctx, s, store.KindAccount, "read an account by name", bson.D{{Key: "name", Value: name}})
}

// Accounts returns a page of accounts, by name.
func (s *Store) Accounts(ctx context.Context, q store.AccountQuery) ([]*store.Account, error) {
	filter := bson.D{{Key: "status", Value: bson.D{{Key: "$ne", Value: store.AccountDeleted}}}}
	if q.Status != "" {
		filter = bson.D{{Key: "status", Value: q.Status}}
	}
	for _, equal := range []bson.E{{Key: "kind", Value: string(q.AccountKind)}, {Key: "teams", Value: string(q.Team)}, {Key: "licence", Value: string(q.Licence)}} {
		if equal.Value != "" {
			filter = append(filter, equal)
		}
	}
	if q.After != "" {
		filter = append(filter, bson.E{Key: "name", Value: bson.D{{Key: "$gt", Value: q.After}}})
	}
	if q.Provisioned {
		filter = append(filter, bson.E{Key: "provisioned", Value: true})
	}
	if q.UserName != "" {
		filter = append(filter, bson.E{Key: fieldUserName, Value: strings.ToLower(q.UserName)})
	}
	if q.Search != "" {
		filter = append(filter, containing(q.Search))
	}
	return page[store.Account](ctx, s, store.KindAccount, filter, ordered(1, "name"), pageLimit(q.Limit))
}
