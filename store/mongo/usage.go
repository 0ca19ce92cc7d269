package mongo

import (
	"context"
	"errors"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"postern/store"
)

// counter is what one process counted. Its key has every field, also where
// there is nothing to say, in this order.
type counter struct {
	Key   counterKey `json:"_id"`
	Count int64      `json:"count"`
}

type counterKey struct {
	Hour    store.Time     `json:"hour"`
	Client  store.ClientID `json:"client"`
	Secret  store.SecretID `json:"secret"`
	Rule    string         `json:"rule"`
	Outcome store.Outcome  `json:"outcome"`
	Process string         `json:"process"`
}

// secretUse is the last use of a secret. MongoDB compares documents field by
// field, so $max on an event goes by its time.
type secretUse struct {
	Key     secretKey `json:"_id"`
	Success event     `json:"success"`
	Refusal event     `json:"refusal"`
}

type secretKey struct {
	Client store.ClientID `json:"client"`
	Secret store.SecretID `json:"secret"`
}

type event struct {
	At       store.Time `json:"at"`
	Address  string     `json:"address"`
	Endpoint string     `json:"endpoint"`
}

// AddUsage raises totals and times. Each row is raised by itself: where it is
// interrupted, the caller writes the same again.
func (s *Store) AddUsage(ctx context.Context, rows []store.Usage, uses []store.LastUse) error {
	models := map[string][]driver.WriteModel{}
	raise := func(collection string, id any, values bson.D) {
		models[collection] = append(models[collection], driver.NewUpdateOneModel().
			SetFilter(bson.D{{Key: "_id", Value: id}}).
			SetUpdate(bson.D{{Key: "$max", Value: values}}).
			SetUpsert(true))
	}
	for _, r := range rows {
		raise(usageTotals, counterKey{r.Hour, r.Client, r.Secret, r.Rule, r.Outcome, r.Process}, bson.D{{Key: "count", Value: r.Count}})
	}
	for _, u := range uses {
		var values bson.D
		if u.SuccessAt != 0 {
			values = append(values, bson.E{Key: "success", Value: event{u.SuccessAt, u.SuccessAddress, u.SuccessEndpoint}})
			raise(clientList, u.Client, bson.D{{Key: "at", Value: u.SuccessAt}})
		}
		if u.RefusalAt != 0 {
			values = append(values, bson.E{Key: "refusal", Value: event{u.RefusalAt, u.RefusalAddress, u.RefusalEndpoint}})
		}
		if values != nil {
			raise(lastUse, secretKey{u.Client, u.Secret}, values)
		}
	}
	if len(models) == 0 {
		return ctx.Err()
	}
	for collection, models := range models {
		err := s.retry(ctx, backgroundBudget, "add to "+collection, func(ctx context.Context) error {
			_, err := s.db.Collection(collection).BulkWrite(ctx, models, options.BulkWrite().SetOrdered(false))
			if driver.IsDuplicateKeyError(err) {
				return errPending // another process made the row at this moment
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Usage walks the rows in order and adds up what differs in the process only.
func (s *Store) Usage(ctx context.Context, q store.UsageQuery) ([]store.Usage, error) {
	limit := q.Limit
	if limit <= 0 {
		limit = 1000
	}
	hours := bson.D{{Key: "$gte", Value: q.From}}
	if q.To != 0 {
		hours = append(hours, bson.E{Key: "$lt", Value: q.To})
	}
	filter := bson.D{{Key: "_id.hour", Value: hours}}
	if len(q.Clients) > 0 {
		filter = append(filter, bson.E{Key: "_id.client", Value: bson.D{{Key: "$in", Value: q.Clients}}})
	}
	sort := ordered(1, hoursFirst()...)
	var totals []store.Usage
	err := s.read(ctx, "list usage", func(ctx context.Context) error {
		totals = nil
		cursor, err := s.db.Collection(usageTotals).Find(ctx, filter, options.Find().SetSort(sort).SetBatchSize(1000))
		if err != nil {
			return err
		}
		defer func() { _ = cursor.Close(context.WithoutCancel(ctx)) }() // the server would end it in time
		for cursor.Next(ctx) {
			var c counter
			if err := cursor.Decode(&c); err != nil {
				return err
			}
			row := store.Usage{
				Hour: c.Key.Hour, Client: c.Key.Client, Secret: c.Key.Secret, Rule: c.Key.Rule, Outcome: c.Key.Outcome, Count: c.Count,
			}
			if n := len(totals); n > 0 && totals[n-1].Hour == row.Hour && totals[n-1].Client == row.Client &&
				totals[n-1].Secret == row.Secret && totals[n-1].Rule == row.Rule && totals[n-1].Outcome == row.Outcome {
				totals[n-1].Count += row.Count
				continue
			}
			if len(totals) == limit {
				return nil
			}
			totals = append(totals, row)
		}
		return cursor.Err()
	})
	if err != nil {
		return nil, err
	}
	return totals, nil
}

// LastUses returns the last uses of clients, by client and secret.
func (s *Store) LastUses(ctx context.Context, clients ...store.ClientID) ([]store.LastUse, error) {
	if len(clients) == 0 {
		return nil, ctx.Err()
	}
	filter := bson.D{{Key: "_id.client", Value: bson.D{{Key: "$in", Value: clients}}}}
	found, err := collect[secretUse](ctx, s, "list last uses", func(ctx context.Context) (*driver.Cursor, error) {
		return s.db.Collection(lastUse).Find(ctx, filter, options.Find().SetSort(ordered(1, "_id.client", "_id.secret")))
	})
	return lastUses(found), err
}

func lastUses(found []*secretUse) []store.LastUse {
	uses := make([]store.LastUse, 0, len(found))
	for _, u := range found {
		uses = append(uses, store.LastUse{
			Client: u.Key.Client, Secret: u.Key.Secret,
			SuccessAt: u.Success.At, SuccessAddress: u.Success.Address, SuccessEndpoint: u.Success.Endpoint,
			RefusalAt: u.Refusal.At, RefusalAddress: u.Refusal.Address, RefusalEndpoint: u.Refusal.Endpoint,
		})
	}
	return uses
}

// RulesUsed reads of one client in the index by hours, which it enters once an
// hour, and of all clients the last row of each rule.
func (s *Store) RulesUsed(ctx context.Context, client store.ClientID, rules []string) (map[string]store.Time, error) {
	out := map[string]store.Time{}
	if len(rules) == 0 {
		return out, ctx.Err()
	}
	if client != "" {
		pipeline := bson.A{
			bson.D{{Key: "$match", Value: bson.D{
				{Key: "_id.client", Value: client}, {Key: "_id.outcome", Value: store.OutcomeAllowed}, {Key: "_id.rule", Value: bson.D{{Key: "$in", Value: rules}}},
			}}},
			bson.D{{Key: "$group", Value: bson.D{{Key: "_id", Value: "$_id.rule"}, {Key: "hour", Value: bson.D{{Key: "$max", Value: "$_id.hour"}}}}}},
		}
		type last struct {
			Rule string     `json:"_id"`
			Hour store.Time `json:"hour"`
		}
		found, err := collect[last](ctx, s, "read which rules were used", func(ctx context.Context) (*driver.Cursor, error) {
			return s.db.Collection(usageTotals).Aggregate(ctx, pipeline, options.Aggregate().SetHint(ordered(1, hoursFirst()...)))
		})
		for _, l := range found {
			out[l.Rule] = l.Hour
		}
		return out, err
	}
	for _, rule := range rules {
		filter := bson.D{{Key: "_id.rule", Value: rule}, {Key: "_id.outcome", Value: store.OutcomeAllowed}}
		var c counter
		err := s.read(ctx, "read when a rule was used", func(ctx context.Context) error {
			c = counter{}
			err := s.db.Collection(usageTotals).FindOne(ctx, filter, options.FindOne().SetSort(ordered(-1, "_id.rule", "_id.hour"))).Decode(&c)
			if errors.Is(err, driver.ErrNoDocuments) {
				return nil
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		if c.Key.Rule != "" {
			out[rule] = c.Key.Hour
		}
	}
	return out, ctx.Err()
}
