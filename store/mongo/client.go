package mongo

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"postern/store"
)

// What clients are sorted by and is not a field of theirs.
const (
	fieldName    = "_name"    // in lower case
	fieldExpires = "_expires" // milliseconds; never is the greatest number
	fieldUse     = "_use"     // of a joined document of lastSuccess
)

// few is how many clients are sorted by last use one by one. For more, the
// index of last uses is walked until a page is full.
const few = 2000

func deriveClient(c *store.Client) bson.D {
	return bson.D{
		{Key: fieldName, Value: strings.ToLower(c.Name)},
		{Key: fieldExpires, Value: neverLast(c.ExpiresAt)},
		{Key: fieldSearch, Value: lowered(c.Name, c.Description, c.ClientKey, string(c.ID))},
	}
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
	limit := bson.D{{Key: "$limit", Value: pageLimit(q.Limit)}}
	from, pipeline, err := s.clientPipeline(ctx, q)
	if err != nil {
		return nil, err
	}
	return collect[store.Client](ctx, s, "list clients", func(ctx context.Context) (*driver.Cursor, error) {
		return s.db.Collection(from).Aggregate(ctx, append(pipeline[:len(pipeline):len(pipeline)], limit))
	})
}

// CountClients counts clients up to most.
func (s *Store) CountClients(ctx context.Context, q store.ClientQuery, most int) (int, error) {
	if most <= 0 {
		return 0, ctx.Err()
	}
	pipeline := driver.Pipeline{{{Key: "$match", Value: clientFilter(q)}}}
	if q.Unused {
		pipeline = append(pipeline, joinUse()...)
		pipeline = append(pipeline, unused())
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
	clients := string(store.KindClient)
	if q.Sort == store.SortLastUse {
		return s.byLastUse(ctx, q, direction)
	}
	field := map[store.ClientSort]string{store.SortCreated: "created_at", store.SortExpires: fieldExpires}[q.Sort]
	if field == "" {
		field = fieldName
	}
	filter := clientFilter(q)
	if q.After != nil {
		value, err := cursorValue(q)
		if err != nil {
			return "", nil, err
		}
		filter = append(filter, after(field, value, q.After.ID, q.Desc)...)
	}
	p = driver.Pipeline{{{Key: "$match", Value: filter}}, {{Key: "$sort", Value: ordered(direction, field, "_id")}}}
	if q.Unused {
		p = append(append(p, joinUse()...), unused())
	}
	return clients, p, nil
}

// byLastUse walks the index of last uses, unless few clients are asked for.
func (s *Store) byLastUse(ctx context.Context, q store.ClientQuery, direction int) (from string, p driver.Pipeline, err error) {
	filter := clientFilter(q)
	use := bson.D{}
	if q.After != nil {
		at, err := cursorValue(q)
		if err != nil {
			return "", nil, err
		}
		use = after("at", at, q.After.ID, q.Desc)
	}
	if q.Unused {
		use = bson.D{{Key: "$and", Value: bson.A{use, bson.D{{Key: "at", Value: store.Time(0)}}}}}
	}
	all := q
	all.Unused = false
	n, err := s.CountClients(ctx, all, few)
	if err != nil {
		return "", nil, err
	}
	if n < few {
		p = driver.Pipeline{{{Key: "$match", Value: filter}}}
		p = append(p, joinUse()...)
		return string(store.KindClient), append(p,
			bson.D{{Key: "$set", Value: bson.D{{Key: "at", Value: bson.D{{Key: "$first", Value: "$" + fieldUse + ".at"}}}}}},
			bson.D{{Key: "$match", Value: use}},
			bson.D{{Key: "$sort", Value: ordered(direction, "at", "_id")}}), nil
	}
	return lastSuccess, driver.Pipeline{
		{{Key: "$match", Value: use}},
		{{Key: "$sort", Value: ordered(direction, "at", "_id")}},
		{{Key: "$lookup", Value: bson.D{
			{Key: "from", Value: store.KindClient},
			{Key: "localField", Value: "_id"},
			{Key: "foreignField", Value: "_id"},
			{Key: "pipeline", Value: bson.A{bson.D{{Key: "$match", Value: filter}}}},
			{Key: "as", Value: "client"},
		}}},
		{{Key: "$unwind", Value: "$client"}},
		{{Key: "$replaceWith", Value: "$client"}},
	}, nil
}

// joinUse adds to each client its document of lastSuccess.
func joinUse() driver.Pipeline {
	return driver.Pipeline{{{Key: "$lookup", Value: bson.D{
		{Key: "from", Value: lastSuccess},
		{Key: "localField", Value: "_id"},
		{Key: "foreignField", Value: "_id"},
		{Key: "as", Value: fieldUse},
	}}}}
}

func unused() bson.D {
	return bson.D{{Key: "$match", Value: bson.D{{Key: fieldUse + ".at", Value: store.Time(0)}}}}
}

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
