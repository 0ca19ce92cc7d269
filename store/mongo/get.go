package mongo

import (
	"context"
	"errors"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"postern/store"
)

// Get returns the record of a kind with this key.
func (s *Store) Get(ctx context.Context, kind store.Kind, key string) (store.Record, error) {
	if _, err := store.New(kind); err != nil {
		return nil, err
	}
	var raw bson.Raw
	err := s.read(ctx, "read a record of "+string(kind), func(ctx context.Context) (err error) {
		raw, err = s.of(kind).FindOne(ctx, bson.D{{Key: "_id", Value: key}}).Raw()
		if errors.Is(err, driver.ErrNoDocuments) {
			return store.ErrNotFound
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return decode(s.registry, kind, raw)
}
