package mongo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"

	"postern/store"
)

// fieldMark holds an id of the commit that wrote a document. By it a commit
// whose answer was lost knows its own work again.
const fieldMark = "_commit"

// unknownCommit is the driver's label for a commit whose answer was lost.
const unknownCommit = "UnknownTransactionCommitResult"

// batch is a run of writes of one kind, or of rows of the list of clients, done by
// one command for each Op in it.
type batch struct {
	kind   store.Kind
	models []driver.WriteModel
}

// Commit does all writes or none: one by itself, several in a transaction. What
// may help is tried again; an attempt whose answer was lost is settled by
// looking whether its mark is there.
func (s *Store) Commit(ctx context.Context, writes ...store.Write) error {
	if len(writes) == 0 {
		return ctx.Err()
	}
	mark := rand.Text()
	batches, err := s.batches(writes, mark)
	if err != nil {
		return err
	}
	what := fmt.Sprintf("commit of %d writes", len(writes))
	unknown := false
	err = s.retry(ctx, writeBudget, what, func(ctx context.Context) error {
		sent, err := s.attempt(ctx, batches)
		if unknown && (errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrExists)) {
			err = s.settle(ctx, writes, mark, err)
		}
		unknown = unknown || sent
		return err
	})
	if outage, ok := errors.AsType[*store.Unavailable](err); ok {
		outage.Unknown = outage.Unknown || unknown
	}
	return err
}

func (s *Store) batches(writes []store.Write, mark string) ([]batch, error) {
	var batches []batch
	var rows []driver.WriteModel
	for _, w := range writes {
		model, err := s.model(w, mark)
		if err != nil {
			return nil, err
		}
		if len(batches) == 0 || batches[len(batches)-1].kind != w.Record.Kind() {
			batches = append(batches, batch{kind: w.Record.Kind()})
		}
		last := &batches[len(batches)-1]
		last.models = append(last.models, model)
		if w.Record.Kind() == store.KindClient {
			after, _ := w.Stored().(*store.Client)
			rows = append(rows, rowModel(w.Record.Key(), after, 0))
		}
	}
	if rows != nil {
		batches = append(batches, batch{clientList, rows})
	}
	return batches, nil
}

func (s *Store) model(w store.Write, mark string) (driver.WriteModel, error) {
	at := bson.D{{Key: "_id", Value: w.Record.Key()}, {Key: "revision", Value: w.Record.Rev()}}
	if w.Op == store.OpDelete {
		return driver.NewDeleteOneModel().SetFilter(at), nil
	}
	after, err := document(s.registry, w.Stored(), mark)
	if err != nil {
		return nil, err
	}
	if w.Op == store.OpInsert {
		return driver.NewInsertOneModel().SetDocument(after), nil
	}
	// A replacement, not an update: then the change feed has the whole record.
	return driver.NewReplaceOneModel().SetFilter(at).SetReplacement(after), nil
}

// attempt does the writes once. After an error, sent says whether they may have
// been done nevertheless.
func (s *Store) attempt(ctx context.Context, batches []batch) (sent bool, err error) {
	if len(batches) == 1 && len(batches[0].models) == 1 {
		err := s.apply(ctx, batches[0])
		return err != nil && !ours(err) && transient(err) && !unsent(err), err
	}
	session, err := s.client.StartSession(inTransaction())
	if err != nil {
		return false, err
	}
	defer func() { // aborts what was not committed
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortBudget)
		defer cancel()
		session.EndSession(ctx)
	}()
	if err := session.StartTransaction(); err != nil {
		return false, err
	}
	ctx = driver.NewSessionContext(ctx, session)
	for _, b := range batches {
		if err := s.apply(ctx, b); err != nil {
			return false, err
		}
	}
	for asked := false; ; asked = true {
		err := session.CommitTransaction(ctx)
		command, answered := errors.AsType[driver.CommandError](err)
		switch {
		case err == nil:
			return false, nil
		case answered && command.HasErrorLabel("TransientTransactionError"):
			return asked, err // the server says that it was not done
		case !answered || !command.HasErrorLabel(unknownCommit) || ctx.Err() != nil:
			return true, err
		}
		select { // asking again for a commit that was done is answered as the first time
		case <-ctx.Done():
			return true, err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// inTransaction makes the transactions of a session read from one snapshot.
func inTransaction() *options.SessionOptionsBuilder {
	return options.Session().SetDefaultTransactionOptions(options.Transaction().SetReadConcern(readconcern.Snapshot()))
}

// apply does the writes of a batch, up to the first that cannot be.
func (s *Store) apply(ctx context.Context, b batch) error {
	result, err := s.of(b.kind).BulkWrite(ctx, b.models)
	done := int64(0)
	if result != nil {
		done = result.InsertedCount + result.MatchedCount + result.DeletedCount + result.UpsertedCount
	}
	if b.kind == clientList && driver.IsDuplicateKeyError(err) {
		return errPending // AddUsage made the row at this moment
	}
	if bulk, ok := errors.AsType[driver.BulkWriteException](err); ok && len(bulk.WriteErrors) > 0 && done < int64(bulk.WriteErrors[0].Index) {
		return store.ErrConflict // one before it found nothing
	}
	if exists := taken(b.kind, err); exists != nil {
		return exists
	}
	if err == nil && done < int64(len(b.models)) {
		return store.ErrConflict
	}
	return err
}

// settle says how a commit ended whose answer was lost, and that now finds a
// record other than it expects: nil for done, or refusal if that stands. Since
// all or none was done, one write that can be told is enough.
func (s *Store) settle(ctx context.Context, writes []store.Write, mark string, refusal error) error {
	if taken, ok := errors.AsType[*store.Exists](refusal); ok && taken.Field != "_id" {
		return refusal // had it been done, its first write would have been in its way
	}
	pending := false
	for _, w := range writes {
		var is struct {
			Revision int64  `bson:"revision"`
			Mark     string `bson:"_commit"`
		}
		err := s.of(w.Record.Kind()).FindOne(ctx, bson.D{{Key: "_id", Value: w.Record.Key()}},
			options.FindOne().SetProjection(bson.D{{Key: "revision", Value: 1}, {Key: fieldMark, Value: 1}})).Decode(&is)
		there := !errors.Is(err, driver.ErrNoDocuments)
		if err != nil && there {
			return err
		}
		stored := w.Stored()
		switch {
		case is.Mark == mark:
			return nil
		case there && stored != nil && is.Revision == stored.Rev():
			return refusal // another has done this step
		case there == (w.Op != store.OpInsert) && (!there || is.Revision == w.Record.Rev()):
			pending = true // what refused it is not yet known to a majority
		case w.Op == store.OpDelete && !there && len(writes) == 1:
			return nil
		}
	}
	if pending {
		return errPending
	}
	return &store.Unavailable{Unknown: true, Err: errors.New("the answer was lost, and the record has been changed again since")}
}

// Beat writes this node's heartbeat.
func (s *Store) Beat(ctx context.Context, node string, count int64) error {
	beat := &store.Heartbeat{ID: node, Revision: 1, Count: count, BeatAt: store.At(s.now())}
	return s.retry(ctx, writeBudget, "beat", func(ctx context.Context) error {
		_, err := s.of(store.KindHeartbeat).ReplaceOne(ctx, bson.D{{Key: "_id", Value: node}}, beat, options.Replace().SetUpsert(true))
		if driver.IsDuplicateKeyError(err) {
			return errPending // an attempt before, or a node of the same name
		}
		return err
	})
}

// Prune deletes what nobody needs any more. Where it is interrupted, the next
// one goes on.
func (s *Store) Prune(ctx context.Context, now, keepUsage store.Time) error {
	before := func(field string, t store.Time) bson.D {
		return bson.D{{Key: field, Value: bson.D{{Key: "$gt", Value: store.Time(0)}, {Key: "$lt", Value: t}}}}
	}
	for _, old := range []struct {
		collection string
		filter     bson.D
	}{
		{string(store.KindRevocation), before("expires_at", now)},
		{string(store.KindStatusIndex), before("expires_at", now)},
		{string(store.KindSession), before("expires_at", now)},
		{string(store.KindDelivery), before("expires_at", now)},
		{string(store.KindIdempotency), before("expires_at", now)},
		{string(store.KindHeartbeat), before("beat_at", now.Add(-time.Hour))},
		{usageTotals, before("_id.hour", keepUsage)},
		{usageSums, before("_id.hour", keepUsage)},
	} {
		err := s.retry(ctx, backgroundBudget, "prune "+old.collection, func(ctx context.Context) error {
			_, err := s.db.Collection(old.collection).DeleteMany(ctx, old.filter)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
