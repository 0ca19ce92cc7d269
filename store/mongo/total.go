package mongo

import (
	"cmp"
	"context"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"postern/store"
)

// sumKey is the key of a sum, with every field in this order.
type sumKey struct {
	Workspace store.WorkspaceID `json:"workspace"`
	Hour      store.Time        `json:"hour"`
	Rule      string            `json:"rule"`
	Outcome   store.Outcome     `json:"outcome"`
	Process   string            `json:"process"`
}

// AddUsageSums raises sums, each by itself.
func (s *Store) AddUsageSums(ctx context.Context, sums []store.UsageSum) error {
	if len(sums) == 0 {
		return ctx.Err()
	}
	models := make([]driver.WriteModel, len(sums))
	for i, u := range sums {
		models[i] = driver.NewUpdateOneModel().
			SetFilter(bson.D{{Key: "_id", Value: sumKey{u.Workspace, u.Hour, u.Rule, u.Outcome, u.Process}}}).
			SetUpdate(bson.D{{Key: "$max", Value: bson.D{{Key: "count", Value: u.Count}}}}).
			SetUpsert(true)
	}
	return s.retry(ctx, backgroundBudget, "add to "+usageSums, func(ctx context.Context) error {
		_, err := s.db.Collection(usageSums).BulkWrite(ctx, models, options.BulkWrite().SetOrdered(false))
		if driver.IsDuplicateKeyError(err) {
			return errPending // another process made the sum at this moment
		}
		return err
	})
}

// total is a store.UsageTotal, whose key is what it is about.
type total struct {
	At     store.Time     `json:"at"`
	Rule   string         `json:"rule"`
	Client store.ClientID `json:"client"`

	Issued       int64 `json:"issued"`
	Introspected int64 `json:"introspected"`
	Allowed      int64 `json:"allowed"`
	Denied       int64 `json:"denied"`
}

// UsageTotals adds up in the server.
func (s *Store) UsageTotals(ctx context.Context, q store.UsageTotalQuery) ([]store.UsageTotal, error) {
	filter := bson.D{}
	if len(q.Workspaces) > 0 && q.By != store.UsageByClient {
		filter = append(filter, bson.E{Key: "_id.workspace", Value: bson.D{{Key: "$in", Value: q.Workspaces}}})
	}
	hours := bson.D{{Key: "$gte", Value: q.From}}
	if q.To != 0 {
		hours = append(hours, bson.E{Key: "$lt", Value: q.To})
	}
	filter = append(filter, bson.E{Key: "_id.hour", Value: hours})
	from, field, per := usageSums, "at", any("$_id.hour")
	sort := ordered(1, "_id")
	most := bson.D{{Key: "sum", Value: -1}, {Key: "_id", Value: 1}}
	switch q.By {
	case store.UsageByHour:
	case store.UsageByDay:
		per = bson.D{{Key: "$dateTrunc", Value: bson.D{{Key: "date", Value: "$_id.hour"}, {Key: "unit", Value: "day"}}}}
	case store.UsageByRule:
		filter = append(filter, bson.E{Key: "_id.rule", Value: bson.D{{Key: "$gt", Value: ""}}})
		field, per, sort = "rule", "$_id.rule", most
	case store.UsageByClient:
		from, field, per, sort = usageTotals, "client", "$_id.client", most
	default:
		return nil, fmt.Errorf("usage totals: there are none by %q", string(q.By))
	}
	of := func(o store.Outcome) bson.E {
		counted := bson.D{{Key: "$cond", Value: bson.A{bson.D{{Key: "$eq", Value: bson.A{"$_id.outcome", o}}}, "$count", int64(0)}}}
		return bson.E{Key: string(o), Value: bson.D{{Key: "$sum", Value: counted}}}
	}
	pipeline := driver.Pipeline{
		{{Key: "$match", Value: filter}},
		{{Key: "$group", Value: bson.D{
			{Key: "_id", Value: per},
			{Key: "sum", Value: bson.D{{Key: "$sum", Value: "$count"}}},
			of(store.OutcomeIssued), of(store.OutcomeIntrospected), of(store.OutcomeAllowed), of(store.OutcomeDenied),
		}}},
		{{Key: "$set", Value: bson.D{{Key: field, Value: "$_id"}}}},
		{{Key: "$sort", Value: sort}},
	}
	if q.By == store.UsageByClient && len(q.Workspaces) > 0 {
		pipeline = append(pipeline, ofWorkspaces("_id", q.Workspaces)...) // after the sort: it ends with the last one that is wanted
	}
	if q.By == store.UsageByRule || q.By == store.UsageByClient {
		pipeline = append(pipeline, bson.D{{Key: "$limit", Value: cmp.Or(q.Limit, 10)}})
	}
	found, err := collect[total](ctx, s, "add usage up", func(ctx context.Context) (*driver.Cursor, error) {
		return s.db.Collection(from).Aggregate(ctx, pipeline)
	})
	if err != nil {
		return nil, err
	}
	out := make([]store.UsageTotal, len(found))
	for i, t := range found {
		out[i] = store.UsageTotal(*t)
	}
	return out, nil
}

// ofWorkspaces leaves the documents whose field names a client of one of these.
func ofWorkspaces(field string, workspaces []store.WorkspaceID) driver.Pipeline {
	wanted := among(workspaces)
	return driver.Pipeline{
		{{Key: "$lookup", Value: bson.D{
			{Key: "from", Value: store.KindClient},
			{Key: "localField", Value: field},
			{Key: "foreignField", Value: "_id"},
			{Key: "as", Value: "of"},
		}}},
		{{Key: "$unwind", Value: "$of"}},
		{{Key: "$match", Value: bson.D{{Key: "of." + wanted.Key, Value: wanted.Value}}}},
	}
}

// latestRefusal is the order of LastRefusals.
func latestRefusal() bson.D {
	return bson.D{{Key: "refusal.at", Value: -1}, {Key: "_id.client", Value: 1}, {Key: "_id.secret", Value: 1}}
}

// LastRefusals walks the refusals, the latest first.
func (s *Store) LastRefusals(ctx context.Context, workspaces []store.WorkspaceID, limit int) ([]store.LastUse, error) {
	pipeline := driver.Pipeline{
		{{Key: "$match", Value: bson.D{{Key: "refusal.at", Value: bson.D{{Key: "$gt", Value: store.Time(0)}}}}}},
		{{Key: "$sort", Value: latestRefusal()}},
	}
	if len(workspaces) > 0 {
		pipeline = append(pipeline, ofWorkspaces("_id.client", workspaces)...)
	}
	pipeline = append(pipeline, bson.D{{Key: "$limit", Value: limit}})
	found, err := collect[secretUse](ctx, s, "list refusals", func(ctx context.Context) (*driver.Cursor, error) {
		return s.db.Collection(lastUse).Aggregate(ctx, pipeline)
	})
	return lastUses(found), err
}

// sumUp makes the sums of what was counted before there were any.
func sumUp(ctx context.Context, s *Store) error {
	key := bson.D{}
	for _, field := range []string{"workspace", "hour", "rule", "outcome", "process"} {
		value := "$_id." + field
		if field == "workspace" {
			value = "$of.workspace"
		}
		key = append(key, bson.E{Key: field, Value: bson.D{{Key: "$ifNull", Value: bson.A{value, ""}}}})
	}
	cursor, err := s.db.Collection(usageTotals).Aggregate(ctx, append(ofWorkspaces("_id.client", nil)[:2], driver.Pipeline{
		{{Key: "$group", Value: bson.D{{Key: "_id", Value: key}, {Key: "count", Value: bson.D{{Key: "$sum", Value: "$count"}}}}}},
		{{Key: "$merge", Value: bson.D{{Key: "into", Value: usageSums}, {Key: "whenMatched", Value: bson.A{
			bson.D{{Key: "$set", Value: bson.D{{Key: "count", Value: bson.D{{Key: "$max", Value: bson.A{"$count", "$$new.count"}}}}}}},
		}}}}},
	}...), options.Aggregate().SetAllowDiskUse(true))
	if err != nil {
		return s.outage("add usage up", err)
	}
	return cursor.Close(ctx)
}
