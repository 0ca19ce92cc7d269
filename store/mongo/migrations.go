package mongo

import (
	"context"
	"errors"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"postern/store"
)

// rederive writes anew what is derived from accounts. One that somebody changes
// meanwhile has it already.
func rederive(ctx context.Context, s *Store) error {
	cursor, err := s.of(store.KindAccount).Find(ctx, bson.D{}, options.Find().SetBatchSize(1000))
	if err != nil {
		return s.outage("derive anew", err)
	}
	defer func() { _ = cursor.Close(context.WithoutCancel(ctx)) }() // the server would end it in time
	for cursor.Next(ctx) {
		record, err := decode(s.registry, store.KindAccount, cursor.Current)
		if err != nil {
			return err
		}
		_, err = s.of(store.KindAccount).UpdateOne(ctx, bson.D{{Key: "_id", Value: record.Key()}, {Key: "revision", Value: record.Rev()}},
			bson.D{{Key: "$set", Value: derive(record)}})
		if err != nil {
			return s.outage("derive anew", err)
		}
	}
	if err := cursor.Err(); err != nil {
		return s.outage("derive anew", err)
	}
	return nil
}

// listClients fills the list of clients, and drops what it replaces.
func listClients(ctx context.Context, s *Store) error {
	cursor, err := s.of(store.KindClient).Find(ctx, bson.D{}, options.Find().SetProjection(ordered(1, "_id")).SetBatchSize(1000))
	if err != nil {
		return s.outage("list the clients", err)
	}
	ids, err := idsOf(cursor, nil)(ctx)
	if err != nil {
		return s.outage("list the clients", err)
	}
	for some := range slices.Chunk(ids, 500) {
		if err := s.listSome(ctx, some); err != nil {
			return s.outage("list the clients", err)
		}
	}
	return s.dropBefore3(ctx)
}

// listSome writes the rows of clients. It reads the clients in the same
// transaction: who changes one meanwhile writes its row, too, and one of both
// has to try again.
func (s *Store) listSome(ctx context.Context, ids []store.ClientID) error {
	session, err := s.client.StartSession(inTransaction())
	if err != nil {
		return err
	}
	defer session.EndSession(context.WithoutCancel(ctx))
	_, err = session.WithTransaction(ctx, func(ctx context.Context) (any, error) {
		clients, err := s.clientsByID(ctx, ids)
		if err != nil || len(clients) == 0 {
			return nil, err
		}
		cursor, err := s.db.Collection(lastUse).Find(ctx, bson.D{{Key: "_id.client", Value: bson.D{{Key: "$in", Value: ids}}}})
		if err != nil {
			return nil, err
		}
		var uses []secretUse
		if err := cursor.All(ctx, &uses); err != nil {
			return nil, err
		}
		last := map[store.ClientID]store.Time{}
		for _, u := range uses {
			last[u.Key.Client] = max(last[u.Key.Client], u.Success.At)
		}
		rows := make([]driver.WriteModel, 0, len(clients))
		for _, c := range clients {
			rows = append(rows, rowModel(c.Key(), c, last[c.ID]))
		}
		return s.db.Collection(clientList).BulkWrite(ctx, rows)
	})
	return err
}

// dropBefore3 drops the collection and the indexes by which the second version
// found clients. What it derived in them goes when they are next written.
func (s *Store) dropBefore3(ctx context.Context) error {
	if err := s.db.Collection("last_success").Drop(ctx); err != nil {
		return s.outage("drop last_success", err)
	}
	indexes := s.of(store.KindClient).Indexes()
	there, err := indexes.ListSpecifications(ctx)
	if err != nil {
		return s.outage("list the indexes of clients", err)
	}
	for _, index := range there {
		if !slices.Contains([]string{
			"_name_1__id_1", "created_at_1__id_1", "_expires_1__id_1", "workspace_1__name_1__id_1", "account_1__name_1__id_1",
			"responsible_1__name_1__id_1", "_ends_1", "confirm_by_1", "_slow_1__name_1__id_1",
		}, index.Name) {
			continue
		}
		const gone = 27 // another node was faster
		err := indexes.DropOne(ctx, index.Name)
		if answer, ok := errors.AsType[driver.ServerError](err); err != nil && (!ok || !answer.HasErrorCode(gone)) {
			return s.outage("drop the index "+index.Name, err)
		}
	}
	return nil
}
