package mongo

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"postern/store"
)

// feed is a change stream over the database. After an error its stream is gone,
// and Next opens another one at the same position.
type feed struct {
	store    *Store
	stream   *driver.ChangeStream
	position bson.Raw // the resume token
}

// Watch opens one change stream for all watched kinds. It is there on the
// server when Watch returns.
func (s *Store) Watch(ctx context.Context, from store.Position) (store.Feed, error) {
	f := &feed{store: s}
	if from != "" {
		token, err := base64.RawURLEncoding.DecodeString(string(from))
		if err != nil || bson.Raw(token).Validate() != nil {
			return nil, fmt.Errorf("read the position: %w", store.ErrGap)
		}
		f.position = token
	}
	if err := f.open(ctx); err != nil {
		return nil, err
	}
	return f, nil
}

func (f *feed) open(ctx context.Context) error {
	collections := bson.D{{Key: "$in", Value: store.WatchedKinds()}}
	wanted := driver.Pipeline{{{Key: "$match", Value: bson.D{{Key: "$or", Value: bson.A{
		bson.D{{Key: "ns.coll", Value: collections}},
		bson.D{{Key: "to.coll", Value: collections}},
		bson.D{{Key: "operationType", Value: bson.D{{Key: "$in", Value: bson.A{"dropDatabase", "invalidate"}}}}},
	}}}}}}
	opts := options.ChangeStream().SetMaxAwaitTime(awaitBudget)
	if f.position != nil {
		opts.SetResumeAfter(f.position)
	}
	return f.store.read(ctx, "open the change feed", func(ctx context.Context) error {
		stream, err := f.store.db.Watch(ctx, wanted, opts)
		if err != nil {
			return lost(err)
		}
		f.stream, f.position = stream, stream.ResumeToken()
		return nil
	})
}

// lost turns the errors that mean a position is gone for good into ErrGap.
func lost(err error) error {
	answer, ok := errors.AsType[driver.ServerError](err)
	if ok && slices.ContainsFunc([]int{
		280, 286, // the oplog does not go back so far
		260,             // not a resume token, or one of a stream that ended
		40647,           // as 260, in the words of 5.0
		222,             // the stream ended
		10334,           // a change too big to be told
		136,             // the oplog was overrun
		9, 40649, 50811, // a token that cannot be read
	}, answer.HasErrorCode) {
		return store.ErrGap
	}
	return err
}

// change is an event of a change stream, as far as it matters.
type change struct {
	Type string `bson:"operationType"`
	NS   struct {
		Collection store.Kind `bson:"coll"`
	} `bson:"ns"`
	Key struct {
		ID string `bson:"_id"`
	} `bson:"documentKey"`
	Document bson.Raw `bson:"fullDocument"`
}

// Next waits for the next change. A server that does not even say that there is
// none is left for another one; what cannot be mended so is an outage.
func (f *feed) Next(ctx context.Context) (store.Change, error) {
	for {
		if f.stream == nil {
			if err := f.open(ctx); err != nil {
				return store.Change{}, err
			}
		}
		one, cancel := context.WithTimeout(ctx, awaitBudget+attemptBudget)
		found := f.stream.TryNext(one)
		late := one.Err() != nil
		cancel()
		f.position = f.stream.ResumeToken()
		if found {
			return f.read(ctx)
		}
		err, ended := f.stream.Err(), f.stream.ID() == 0
		if err == nil && !ended {
			continue
		}
		f.drop(ctx)
		switch {
		case ctx.Err() != nil:
			return store.Change{}, ctx.Err()
		case err == nil, errors.Is(lost(err), store.ErrGap):
			return store.Change{}, store.ErrGap
		case !late:
			return store.Change{}, f.store.outage("read the change feed", err)
		}
	}
}

// read returns the change that the stream stands at.
func (f *feed) read(ctx context.Context) (store.Change, error) {
	var c change
	if err := f.stream.Decode(&c); err != nil {
		return store.Change{}, fmt.Errorf("read a change: %s", err.Error())
	}
	told := store.Change{Kind: c.NS.Collection, Key: c.Key.ID}
	switch c.Type {
	case "insert", "replace":
		record, err := decode(f.store.registry, told.Kind, c.Document)
		told.Record = record
		return told, err
	case "delete":
		return told, nil
	default:
		// Somebody else's doing: dropped, renamed, or updated in place by hand.
		f.drop(ctx)
		return store.Change{}, fmt.Errorf("a %s of %s by other means than Postern: %w", c.Type, told.Kind, store.ErrGap)
	}
}

// Position is where a new Watch would go on.
func (f *feed) Position() store.Position {
	return store.Position(base64.RawURLEncoding.EncodeToString(f.position))
}

// Close ends the stream.
func (f *feed) Close() error {
	f.drop(context.Background())
	return nil
}

func (f *feed) drop(ctx context.Context) {
	if f.stream == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortBudget)
	defer cancel()
	_ = f.stream.Close(ctx) // the server would end it in time
	f.stream = nil
}
