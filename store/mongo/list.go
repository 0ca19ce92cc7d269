package mongo

import (
	"context"
	"errors"
	"regexp"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"postern/store"
)

// defaultPage is how long a page is where the query says nothing.
const defaultPage = 50

// fieldSearch holds the texts that a record is searched by, in lower case.
const fieldSearch = "_search"

func lowered(texts ...string) bson.A {
	out := bson.A{}
	for _, t := range texts {
		if t != "" {
			out = append(out, strings.ToLower(t))
		}
	}
	return out
}

// containing is the condition that one of a record's texts has the sought one
// in it. No index helps: it costs a look at every record that the other
// conditions leave, up to the end of the page.
func containing(text string) bson.E {
	return bson.E{Key: fieldSearch, Value: literally(text)}
}

// literally is the condition that a lower-cased text has this one in it, in any
// case.
func literally(text string) bson.Regex {
	literal := regexp.QuoteMeta(strings.ToLower(text))
	// BSON cannot have a NUL in a pattern.
	return bson.Regex{Pattern: strings.ReplaceAll(literal, "\x00", `\x00`)}
}

// among is the condition that a record belongs to one of these workspaces. A
// record without one has no such field, which matches null.
func among(workspaces []store.WorkspaceID) bson.E {
	values := bson.A{}
	for _, w := range workspaces {
		if w == "" {
			values = append(values, nil)
		} else {
			values = append(values, w)
		}
	}
	return bson.E{Key: "workspace", Value: bson.D{{Key: "$in", Value: values}}}
}

// ordered is a sort by fields in one direction.
func ordered(direction int, fields ...string) bson.D {
	var sort bson.D
	for _, f := range fields {
		sort = append(sort, bson.E{Key: f, Value: direction})
	}
	return sort
}

// after is the condition that a record comes after another in the order of a
// field and _id. The first part bounds the walk of an index.
func after(field string, value, id any, descending bool) bson.D {
	beyond, from := "$gt", "$gte"
	if descending {
		beyond, from = "$lt", "$lte"
	}
	return bson.D{
		{Key: field, Value: bson.D{{Key: from, Value: value}}},
		{Key: "$or", Value: bson.A{
			bson.D{{Key: field, Value: bson.D{{Key: beyond, Value: value}}}},
			bson.D{{Key: "_id", Value: bson.D{{Key: beyond, Value: id}}}},
		}},
	}
}

// one finds a single record.
func one[R any](ctx context.Context, s *Store, kind store.Kind, what string, filter bson.D) (*R, error) {
	record := new(R)
	err := s.read(ctx, what, func(ctx context.Context) error {
		err := s.of(kind).FindOne(ctx, filter).Decode(record)
		if errors.Is(err, driver.ErrNoDocuments) {
			return store.ErrNotFound
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return record, nil
}

// page finds records in an order. No limit is all of them.
func page[R any](ctx context.Context, s *Store, kind store.Kind, filter, sort bson.D, limit int) ([]*R, error) {
	return collect[R](ctx, s, "list "+string(kind), func(ctx context.Context) (*driver.Cursor, error) {
		return s.of(kind).Find(ctx, filter, options.Find().SetSort(sort).SetLimit(int64(limit)))
	})
}

func collect[R any](ctx context.Context, s *Store, what string, open func(context.Context) (*driver.Cursor, error)) ([]*R, error) {
	var records []*R
	err := s.read(ctx, what, func(ctx context.Context) error {
		cursor, err := open(ctx)
		if err != nil {
			return err
		}
		records = nil
		return cursor.All(ctx, &records)
	})
	if err != nil {
		return nil, err
	}
	return records, nil
}

// All reads from one snapshot. That it is not older than this call is made sure
// by a write: only a primary with a majority behind it can do one. (A
// linearizable read says as much, but waits for the journal's next turn, which
// takes a hundred times as long.)
func (s *Store) All(ctx context.Context, yield func(store.Record) error, kinds ...store.Kind) error {
	err := s.retry(ctx, readBudget, "ask for the primary", func(ctx context.Context) error {
		_, err := s.db.Collection(meta).UpdateOne(ctx, bson.D{{Key: "_id", Value: "snapshots"}},
			bson.D{{Key: "$inc", Value: bson.D{{Key: "taken", Value: 1}}}}, options.UpdateOne().SetUpsert(true))
		if driver.IsDuplicateKeyError(err) {
			return errPending // another node takes the first one at this moment
		}
		return err
	})
	if err != nil {
		return err
	}
	within, end, err := s.snapshot(ctx)
	if err != nil {
		return s.outage("start a session", err)
	}
	defer end()
	for _, kind := range kinds {
		if err := s.allOf(within, kind, yield); err != nil {
			return err
		}
	}
	return nil
}

// snapshot returns a context in which every read is as of the moment of the first.
func (s *Store) snapshot(ctx context.Context) (within context.Context, end func(), err error) {
	session, err := s.client.StartSession(options.Session().SetSnapshot(true))
	if err != nil {
		return nil, nil, err
	}
	return driver.NewSessionContext(ctx, session), func() { session.EndSession(ctx) }, nil
}

func (s *Store) allOf(ctx context.Context, kind store.Kind, yield func(store.Record) error) error {
	var cursor *driver.Cursor
	what := "read all " + string(kind)
	err := s.read(ctx, what, func(ctx context.Context) (err error) {
		cursor, err = s.of(kind).Find(ctx, bson.D{}, options.Find().SetSort(ordered(1, "_id")).SetBatchSize(1000))
		return err
	})
	if err != nil {
		return err
	}
	defer func() { _ = cursor.Close(context.WithoutCancel(ctx)) }() // the server would end it in time
	for s.next(ctx, cursor) {
		record, err := decode(s.registry, kind, cursor.Current)
		if err != nil {
			return err
		}
		if err := yield(record); err != nil {
			return err
		}
	}
	if err := cursor.Err(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return s.outage(what, err)
	}
	return nil
}

// next moves a cursor on; each batch has a read's time to come.
func (s *Store) next(ctx context.Context, cursor *driver.Cursor) bool {
	if cursor.RemainingBatchLength() > 0 {
		return cursor.Next(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, readBudget)
	defer cancel()
	return cursor.Next(ctx)
}
