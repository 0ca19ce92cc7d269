package mongo

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"postern/store"
)

// What clients are sorted by and is not a field of theirs.
const (
	fieldName    = "_name"    // in lower case
	fieldExpires = "_expires" // milliseconds; never is the greatest number
	fieldEnds    = "_ends"    // milliseconds, of the client and its secrets
	fieldSlow    = "_slow"    // there only on clients with a SlowSecret
	fieldUse     = "_use"     // of a joined document of lastSuccess
)

// defaultFew is how many clients are read one by one and then sorted. More are
// found soon enough by walking an index in the order asked for.
const defaultFew = 3000

func deriveClient(c *store.Client) bson.D {
	ends := bson.A{}
	for _, t := range c.Ends() {
		ends = append(ends, int64(t))
	}
	derived := bson.D{
		{Key: fieldEnds, Value: ends},
		{Key: fieldName, Value: strings.ToLower(c.Name)},
		{Key: fieldExpires, Value: neverLast(c.ExpiresAt)},
		{Key: fieldSearch, Value: lowered(c.Name, c.Description, c.ClientKey, string(c.ID))},
	}
	if c.SlowSecret() != nil {
		derived = append(derived, bson.E{Key: fieldSlow, Value: true})
	}
	return derived
}

func neverLast(t store.Time) int64 {
	if t == 0 {
		return math.MaxInt64
	}
	return int64(t)
}

// Client returns the client with this id.
func (s *Store) Client(ctx context.Context, id store.ClientID) (*store.Client, error) {
	return one[store.Client](ctx, s, store.KindClient, "read a client", bson.D{{Key: "_id", Value: id}})
}

// Clients returns a page of clients.
func (s *Store) Clients(ctx context.Context, q store.ClientQuery) ([]*store.Client, error) {
	from, pipeline, err := s.clientPipeline(ctx, q)
	if err != nil {
		return nil, err
	}
	pipeline = append(pipeline, bson.D{{Key: "$limit", Value: pageLimit(q.Limit)}})
	return collect[store.Client](ctx, s, "list clients", func(ctx context.Context) (*driver.Cursor, error) {
		return s.db.Collection(from).Aggregate(ctx, pipeline)
	})
}

// CountClients counts clients up to most.
func (s *Store) CountClients(ctx context.Context, q store.ClientQuery, most int) (int, error) {
	if most <= 0 {
		return 0, ctx.Err()
	}
	filter, narrow, err := s.narrowed(ctx, q, q.Unused)
	if err != nil {
		return 0, err
	}
	pipeline := driver.Pipeline{{{Key: "$match", Value: filter}}}
	if q.Unused && !narrow {
		pipeline = append(pipeline, joinUse(), unused())
	}
	pipeline = append(pipeline, bson.D{{Key: "$limit", Value: most}}, bson.D{{Key: "$count", Value: "n"}})
	counts, err := collect[struct {
		N int `json:"n"`
	}](ctx, s, "count clients", func(ctx context.Context) (*driver.Cursor, error) {
		return s.of(store.KindClient).Aggregate(ctx, pipeline)
	})
	if err != nil || len(counts) == 0 {
		return 0, err
	}
	return counts[0].N, nil
}

func pageLimit(limit int) int {
	if limit <= 0 {
		return defaultPage
	}
	return limit
}

// clientPipeline returns where to start and what gives all clients asked for,
// after the cursor and in order.
func (s *Store) clientPipeline(ctx context.Context, q store.ClientQuery) (from string, p driver.Pipeline, err error) {
	direction := 1
	if q.Desc {
		direction = -1
	}
	field := sortField(q.Sort)
	place := bson.D{}
	if q.After != nil {
		value, err := cursorValue(q)
		if err != nil {
			return "", nil, err
		}
		place = after(field, value, q.After.ID, q.Desc)
	}
	// What no index finds is looked for first, in case it is rare.
	rare := q.Unused || q.Search != "" || q.Status != "" && q.Status != store.ClientActive
	filter, narrow, err := s.narrowed(ctx, q, rare || q.Sort == store.SortLastUse)
	if err != nil {
		return "", nil, err
	}
	sort := bson.D{{Key: "$sort", Value: ordered(direction, field, "_id")}}
	switch {
	case q.Sort == store.SortLastUse && !narrow:
		if q.Unused {
			place = bson.D{{Key: "$and", Value: bson.A{place, neverUsed()}}}
		}
		return lastSuccess, walkUses(place, sort, filter), nil
	case q.Sort == store.SortLastUse:
		return string(store.KindClient), driver.Pipeline{
			{{Key: "$match", Value: filter}},
			joinUse(),
			{{Key: "$set", Value: bson.D{{Key: field, Value: bson.D{{Key: "$first", Value: "$" + fieldUse + "." + field}}}}}},
			{{Key: "$match", Value: place}},
			sort,
		}, nil
	default:
		p = driver.Pipeline{{{Key: "$match", Value: append(filter, place...)}}, sort}
		if q.Unused && !narrow {
			p = append(p, joinUse(), unused())
		}
		return string(store.KindClient), p, nil
	}
}

// sortField is what clients are sorted by: a field of theirs, or of lastSuccess.
func sortField(sort store.ClientSort) string {
	switch sort {
	case store.SortCreated:
		return "created_at"
	case store.SortExpires:
		return fieldExpires
	case store.SortLastUse:
		return "at"
	default:
		return fieldName
	}
}

// narrowed returns a query's conditions on clients. Where it is worth to look,
// and only few clients meet them, they are named: then narrow is true, and
// Unused is among the conditions.
func (s *Store) narrowed(ctx context.Context, q store.ClientQuery, look bool) (filter bson.D, narrow bool, err error) {
	filter = clientFilter(q)
	if !look {
		return filter, false, nil
	}
	from, wanted, opts := string(store.KindClient), filter, options.Find()
	switch {
	case q.Unused:
		from, wanted = lastSuccess, neverUsed()
	case len(q.Workspaces) == 0 && q.Account == "" && q.ExpiresBy == 0 && q.EndsTo == 0 &&
		len(q.Responsible) == 0 && q.ConfirmBy == 0 && !q.Slow && q.Status != store.ClientExpired:
		opts.SetHint(ordered(1, "$natural")) // by an index that leaves nothing out it takes three times as long
	}
	found, err := collect[struct {
		ID string `json:"_id"`
	}](ctx, s, "look for clients", func(ctx context.Context) (*driver.Cursor, error) {
		return s.db.Collection(from).Find(ctx, wanted, opts.SetProjection(ordered(1, "_id")).SetLimit(int64(s.few)))
	})
	if err != nil || len(found) == s.few {
		return filter, false, err
	}
	ids := make(bson.A, 0, len(found))
	for _, f := range found {
		ids = append(ids, f.ID)
	}
	return append(filter, bson.E{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}), true, nil
}

// walkUses goes through the last uses in order, to the clients that they are of.
func walkUses(place, sort, filter bson.D) driver.Pipeline {
	return driver.Pipeline{
		{{Key: "$match", Value: place}},
		sort,
		{{Key: "$lookup", Value: bson.D{
			{Key: "from", Value: store.KindClient},
			{Key: "localField", Value: "_id"},
			{Key: "foreignField", Value: "_id"},
			{Key: "as", Value: "client"},
		}}},
		{{Key: "$unwind", Value: "$client"}},
		{{Key: "$replaceWith", Value: "$client"}},
		{{Key: "$match", Value: filter}}, // here, and not in $lookup, which would plan a query for each client
	}
}

// joinUse adds to each client its document of lastSuccess.
func joinUse() bson.D {
	return bson.D{{Key: "$lookup", Value: bson.D{
		{Key: "from", Value: lastSuccess},
		{Key: "localField", Value: "_id"},
		{Key: "foreignField", Value: "_id"},
		{Key: "as", Value: fieldUse},
	}}}
}

func unused() bson.D {
	return bson.D{{Key: "$match", Value: bson.D{{Key: fieldUse + ".at", Value: store.Time(0)}}}}
}

// neverUsed is the condition on documents of lastSuccess for no success.
func neverUsed() bson.D { return bson.D{{Key: "at", Value: store.Time(0)}} }

// clientFilter is a query's conditions on clients alone.
func clientFilter(q store.ClientQuery) bson.D {
	filter := bson.D{}
	is := func(field string, value any) { filter = append(filter, bson.E{Key: field, Value: value}) }
	if len(q.Workspaces) > 0 {
		filter = append(filter, among(q.Workspaces))
	}
	if q.Account != "" {
		is("account", q.Account)
	}
	if q.ClientKind != "" {
		is("kind", q.ClientKind)
	}
	expires := bson.A{} // conditions on one field
	when := func(operator string, t store.Time) {
		expires = append(expires, bson.D{{Key: fieldExpires, Value: bson.D{{Key: operator, Value: int64(t)}}}})
	}
	switch q.Status {
	case "":
		is("status", bson.D{{Key: "$ne", Value: store.ClientDeleted}})
	case store.ClientExpired:
		is("status", bson.D{{Key: "$in", Value: bson.A{store.ClientActive, store.ClientPending}}})
		when("$lte", q.Now)
	case store.ClientActive, store.ClientPending:
		is("status", q.Status)
		when("$gt", q.Now)
	default:
		is("status", q.Status)
	}
	if q.ExpiresBy != 0 {
		when("$lte", q.ExpiresBy)
	}
	if q.EndsTo != 0 {
		is(fieldEnds, bson.D{{Key: "$elemMatch", Value: bson.D{{Key: "$gte", Value: int64(q.EndsFrom)}, {Key: "$lt", Value: int64(q.EndsTo)}}}})
	}
	if len(q.Responsible) > 0 {
		values := bson.A{}
		for _, id := range q.Responsible {
			if id == "" {
				values = append(values, nil) // a client without one has no such field
			} else {
				values = append(values, id)
			}
		}
		is("responsible", bson.D{{Key: "$in", Value: values}})
	}
	if q.ConfirmBy != 0 {
		is("confirm_by", bson.D{{Key: "$gt", Value: store.Time(0)}, {Key: "$lte", Value: q.ConfirmBy}})
	}
	if q.Slow {
		is(fieldSlow, true)
	}
	if len(expires) > 0 {
		is("$and", expires)
	}
	if q.Search != "" {
		filter = append(filter, containing(q.Search))
	}
	return filter
}

// cursorValue is what a cursor's value is in the sorted field.
func cursorValue(q store.ClientQuery) (any, error) {
	switch q.Sort {
	case store.SortCreated, store.SortExpires, store.SortLastUse:
		ms, err := strconv.ParseInt(q.After.Value, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("read the cursor of a list by %s: %w", q.Sort, err)
		}
		if q.Sort == store.SortExpires {
			return neverLast(store.Time(ms)), nil
		}
		return store.Time(ms), nil
	default:
		return strings.ToLower(q.After.Value), nil
	}
}
