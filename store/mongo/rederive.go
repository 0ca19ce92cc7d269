package mongo

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"postern/store"
)

// rederive writes anew what is derived from clients and accounts. A record that
// somebody changes meanwhile has it already.
func rederive(ctx context.Context, s *Store) error {
	for _, kind := range []store.Kind{store.KindClient, store.KindAccount} {
		cursor, err := s.of(kind).Find(ctx, bson.D{}, options.Find().SetBatchSize(1000))
		if err != nil {
			return s.outage("derive anew", err)
		}
		defer func() { _ = cursor.Close(context.WithoutCancel(ctx)) }() // the server would end it in time
		for cursor.Next(ctx) {
			record, err := decode(s.registry, kind, cursor.Current)
			if err != nil {
				return err
			}
			_, err = s.of(kind).UpdateOne(ctx, bson.D{{Key: "_id", Value: record.Key()}, {Key: "revision", Value: record.Rev()}},
				bson.D{{Key: "$set", Value: derive(record)}})
			if err != nil {
				return s.outage("derive anew", err)
			}
		}
		if err := cursor.Err(); err != nil {
			return s.outage("derive anew", err)
		}
	}
	return nil
}
