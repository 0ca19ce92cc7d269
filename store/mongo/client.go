package mongo

import (
	"context"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"postern/store"
)

// How a list is found: by a walk in the order asked for, a short one first, as
// most lists are full soon; else by an index that leads to fewer than few rows;
// else by a walk of a stretch of rows; and last by a look at every row. At 100,000
// rows none of them takes a tenth of a second.
const (
	defaultStretch = 2_000
	defaultFew     = 15_000 // a row by an index costs as much as several in their own order
)

// Client returns the client with this id.
func (s *Store) Client(ctx context.Context, id store.ClientID) (*store.Client, error) {
	return one[store.Client](ctx, s, store.KindClient, "read a client", bson.D{{Key: "_id", Value: id}})
}

// Clients returns a page of clients, all as they were at one moment.
func (s *Store) Clients(ctx context.Context, q store.ClientQuery) ([]*store.Client, error) {
	l, err := listOf(q)
	if err != nil {
		return nil, err
	}
	var page []*store.Client
	err = s.read(ctx, "list clients", func(ctx context.Context) error {
		ctx, end, err := s.snapshot(ctx)
		if err != nil {
			return err
		}
		defer end()
		ids, err := s.clientIDs(ctx, l)
		if err != nil {
			return err
		}
		page, err = s.clientsByID(ctx, ids)
		return err
	})
	if err != nil {
		return nil, err
	}
	return page, nil
}

// CountClients counts clients up to most.
func (s *Store) CountClients(ctx context.Context, q store.ClientQuery, most int) (int, error) {
	if most <= 0 {
		return 0, ctx.Err()
	}
	conditions := clientConditions(q)
	n := 0
	err := s.read(ctx, "count clients", func(ctx context.Context) (err error) {
		road := figures(q)
		if road == nil {
			if road, err = s.road(ctx, conditions); err != nil {
				return err
			}
		}
		if road == nil {
			road = everyRow()
		}
		n, err = s.countRows(ctx, all(conditions...), road, most)
		return err
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// figures is the index that a figure of an overview is counted in without a look
// at the rows, or nil for other counts.
func figures(q store.ClientQuery) bson.D {
	switch {
	case !q.IsFigure():
		return nil
	case q.Unused:
		return ordered(1, unusedFigures()...)
	default:
		return ordered(1, activeFigures()...)
	}
}

func (s *Store) countRows(ctx context.Context, filter, hint bson.D, most int) (int, error) {
	n, err := s.db.Collection(clientList).CountDocuments(ctx, filter, options.Count().SetHint(hint).SetLimit(int64(most)))
	return int(n), err
}

// clientIDs returns the ids of a page, in order.
func (s *Store) clientIDs(ctx context.Context, l list) ([]store.ClientID, error) {
	ids, whole, err := s.walk(ctx, l, min(4*l.limit, s.stretch))
	if err != nil || whole {
		return ids, err
	}
	road, err := s.road(ctx, l.conditions)
	if err != nil {
		return nil, err
	}
	if road == nil {
		if ids, whole, err = s.walk(ctx, l, s.stretch); err != nil || whole {
			return ids, err
		}
		road = everyRow()
	}
	return idsOf(s.db.Collection(clientList).Find(ctx, all(slices.Concat(l.conditions, l.place)...),
		options.Find().SetHint(road).SetSort(l.order()).SetLimit(int64(l.limit)).SetBatchSize(1000).SetProjection(ordered(1, "_id"))))(ctx)
}

// everyRow is the hint to look at the rows as they lie.
func everyRow() bson.D { return ordered(1, "$natural") }

// walk looks for a page in the first rows of the order, a stretch of them. whole
// says whether they were enough for the page, or were all.
func (s *Store) walk(ctx context.Context, l list, stretch int) (ids []store.ClientID, whole bool, err error) {
	index, known := l.start()
	rows := s.db.Collection(clientList)
	// The server reads the whole stretch before it looks at the conditions.
	ids, err = idsOf(rows.Aggregate(ctx, driver.Pipeline{
		{{Key: "$match", Value: all(known...)}},
		{{Key: "$sort", Value: l.order()}},
		{{Key: "$limit", Value: stretch}},
		{{Key: "$match", Value: all(l.conditions...)}},
		{{Key: "$limit", Value: l.limit}},
		{{Key: "$project", Value: ordered(1, "_id")}},
	}, options.Aggregate().SetHint(index).SetBatchSize(1000)))(ctx)
	if err != nil || len(ids) == l.limit {
		return ids, true, err
	}
	next, err := idsOf(rows.Find(ctx, all(known...),
		options.Find().SetHint(index).SetSort(l.order()).SetSkip(int64(stretch)).SetLimit(1).SetProjection(ordered(1, "_id"))))(ctx)
	return ids, len(next) == 0, err
}

// road returns an index by which few rows meet one of the conditions, or nil.
func (s *Store) road(ctx context.Context, conditions []condition) (bson.D, error) {
	for _, c := range conditions {
		if c.index == nil {
			continue
		}
		hint := ordered(1, c.index...)
		n, err := s.countRows(ctx, all(c), hint, s.few)
		if err != nil || n < s.few {
			return hint, err
		}
	}
	return nil, nil
}

// idsOf takes what opens a cursor and returns what reads the ids from it.
func idsOf(cursor *driver.Cursor, err error) func(context.Context) ([]store.ClientID, error) {
	return func(ctx context.Context) ([]store.ClientID, error) {
		if err != nil {
			return nil, err
		}
		var rows []struct {
			ID store.ClientID `json:"_id"`
		}
		if err := cursor.All(ctx, &rows); err != nil {
			return nil, err
		}
		ids := make([]store.ClientID, 0, len(rows))
		for _, r := range rows {
			ids = append(ids, r.ID)
		}
		return ids, nil
	}
}

// clientsByID reads clients in the order of their ids.
func (s *Store) clientsByID(ctx context.Context, ids []store.ClientID) ([]*store.Client, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	cursor, err := s.of(store.KindClient).Find(ctx, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}}, options.Find().SetBatchSize(1000))
	if err != nil {
		return nil, err
	}
	var clients []*store.Client
	if err := cursor.All(ctx, &clients); err != nil {
		return nil, err
	}
	place := make(map[store.ClientID]int, len(ids))
	for i, id := range ids {
		place[id] = i
	}
	slices.SortFunc(clients, func(a, b *store.Client) int { return place[a.ID] - place[b.ID] })
	return clients, nil
}
