package mongo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"postern/store"
)

// The collections that hold no records.
const (
	usageTotals = "usage"
	usageSums   = "usage_sums"  // of workspaces
	lastUse     = "last_use"    // by client and secret
	clientList  = "client_list" // by client: see clientRow
	meta        = "meta"
)

// schemaVersion is what this code reads and writes. A database at a lower one
// is migrated when it is opened.
const schemaVersion = 4

// migrations[n] brings the data of a database from version n to n+1. It may be
// interrupted, repeated, and run by several nodes at once. The first has
// nothing to bring.
func migrations() []func(context.Context, *Store) error {
	return []func(context.Context, *Store) error{
		func(context.Context, *Store) error { return nil },
		rederive,
		listClients,
		func(ctx context.Context, s *Store) error { return errors.Join(listClients(ctx, s), sumUp(ctx, s)) },
	}
}

// oldest is the maxWireVersion of MongoDB 5.0, the first with reads as of one
// moment outside a transaction.
const (
	oldest     = 13
	oldestName = "5.0"
)

type hello struct {
	SetName      string `bson:"setName"`
	Message      string `bson:"msg"`
	IsReplicaSet bool   `bson:"isreplicaset"`
	WireVersion  int    `bson:"maxWireVersion"`
}

// refused returns why a server cannot be used, or nil.
func (h hello) refused() error {
	switch {
	case h.IsReplicaSet:
		return errors.New("this MongoDB server waits to become a replica set: run `mongosh --eval 'rs.initiate()'` on it once")
	case h.SetName == "" && h.Message != "isdbgrid":
		return errors.New("this MongoDB server is a standalone one, which has neither transactions nor a change feed: " +
			"restart it with `--replSet rs0`, then run `mongosh --eval 'rs.initiate()'` on it once; one member is enough")
	case h.WireVersion < oldest:
		return fmt.Errorf("this MongoDB server is too old: it must be %s or newer", oldestName)
	default:
		return nil
	}
}

// checkServer asks the server what it is.
func (s *Store) checkServer(ctx context.Context, opts *options.ClientOptions) error {
	var h hello
	err := s.read(ctx, "greet the server", func(ctx context.Context) error {
		return s.db.RunCommand(ctx, bson.D{{Key: "hello", Value: 1}}).Decode(&h)
	})
	if err == nil {
		return h.refused()
	}
	// Where the URI names a replica set, the driver passes over servers that are
	// not of it in silence; one of them knows why.
	if h, ok := ask(ctx, *opts); ok && (h.IsReplicaSet || h.SetName == "") {
		return h.refused()
	}
	return err
}

// ask greets the first host alone.
func ask(ctx context.Context, opts options.ClientOptions) (h hello, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, attemptBudget)
	defer cancel()
	if len(opts.Hosts) == 0 {
		return h, false
	}
	opts.ReplicaSet = nil
	client, err := driver.Connect(opts.SetHosts(opts.Hosts[:1]).SetDirect(true))
	if err != nil {
		return h, false
	}
	err = client.Database("admin").RunCommand(ctx, bson.D{{Key: "hello", Value: 1}}).Decode(&h)
	_ = client.Disconnect(context.WithoutCancel(ctx)) // it has nothing to say any more
	return h, err == nil
}

// migrate brings the database to this code's version, with all its indexes.
func (s *Store) migrate(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Hour) // much data takes its time
	defer cancel()
	var is struct {
		Version int `bson:"version"`
	}
	err := s.db.Collection(meta).FindOne(ctx, bson.D{{Key: "_id", Value: "schema"}}).Decode(&is)
	if err != nil && !errors.Is(err, driver.ErrNoDocuments) {
		return s.outage("read the schema's version", err)
	}
	if is.Version > schemaVersion {
		return fmt.Errorf("the database %s has schema version %d, and this Postern knows %d at most: a newer one has been here",
			s.db.Name(), is.Version, schemaVersion)
	}
	if err := s.prepare(ctx); err != nil {
		return err
	}
	for n := is.Version; n < schemaVersion; n++ {
		if err := migrations()[n](ctx, s); err != nil {
			return fmt.Errorf("migrate the schema from version %d: %w", n, err)
		}
		s.log.InfoContext(ctx, "migrated the MongoDB schema", "database", s.db.Name(), "version", n+1)
	}
	if is.Version == schemaVersion {
		return nil
	}
	_, err = s.db.Collection(meta).UpdateOne(ctx, bson.D{{Key: "_id", Value: "schema"}},
		bson.D{{Key: "$max", Value: bson.D{{Key: "version", Value: schemaVersion}}}}, options.UpdateOne().SetUpsert(true))
	if err != nil && !driver.IsDuplicateKeyError(err) { // another node was faster
		return s.outage("write the schema's version", err)
	}
	return nil
}

// prepare makes the collections and indexes that are not there. Transactions
// and the change feed want collections that exist.
func (s *Store) prepare(ctx context.Context) error {
	there, err := s.db.ListCollectionNames(ctx, bson.D{})
	if err != nil {
		return s.outage("list the collections", err)
	}
	names := []string{meta, usageTotals, usageSums, lastUse, clientList}
	for _, k := range store.Kinds() {
		names = append(names, string(k))
	}
	for _, name := range names {
		if slices.Contains(there, name) {
			continue
		}
		const namespaceExists = 48
		err := s.db.CreateCollection(ctx, name)
		if answer, ok := errors.AsType[driver.ServerError](err); err != nil && (!ok || !answer.HasErrorCode(namespaceExists)) {
			return s.outage("create the collection "+name, err)
		}
	}
	for name, models := range indexes() {
		if _, err := s.db.Collection(name).Indexes().CreateMany(ctx, models); err != nil {
			return s.outage("create the indexes of "+name, err)
		}
	}
	return nil
}

// indexes returns every index but those on _id. None has a collation: ids and
// names are compared byte for byte.
func indexes() map[string][]driver.IndexModel {
	unique := func(fields ...string) driver.IndexModel {
		m := index(fields...)
		m.Options.SetUnique(true)
		return m
	}
	key := unique("workspace", "key")
	key.Options.SetPartialFilterExpression(bson.D{{Key: "key", Value: bson.D{{Key: "$exists", Value: true}}}})
	where := func(m driver.IndexModel, condition bson.D) driver.IndexModel {
		m.Options.SetPartialFilterExpression(condition)
		return m
	}
	exists := bson.D{{Key: "$exists", Value: true}}
	userName := where(unique(fieldUserName), bson.D{{Key: fieldUserName, Value: exists}})
	provisioned := where(index("provisioned", "name"), bson.D{{Key: "provisioned", Value: true}})
	slow := where(index("slow", "name", "_id"), bson.D{{Key: "slow", Value: true}})
	noted := where(index("noted", "name", "_id"), bson.D{{Key: "noted", Value: true}})
	unused := where(index("at", "name", "_id"), bson.D{{Key: "at", Value: store.Time(0)}}) // left by the first use, and at rest from then on
	unusedCounted := where(index(unusedFigures()...), bson.D{{Key: "at", Value: store.Time(0)}})
	toConfirm := where(index("confirm_by"), bson.D{{Key: "confirm_by", Value: bson.D{{Key: "$gt", Value: store.Time(0)}}}})
	refusals := where(driver.IndexModel{Keys: latestRefusal(), Options: options.Index()}, bson.D{{Key: "refusal.at", Value: bson.D{{Key: "$gt", Value: store.Time(0)}}}})
	return map[string][]driver.IndexModel{
		string(store.KindClient):    {key},
		string(store.KindAccount):   {unique("name"), index("teams", "name"), index("licence", "name"), userName, provisioned},
		string(store.KindTeam):      {unique("name")},
		string(store.KindWorkspace): {unique("name")},
		string(store.KindAPI):       {unique("name"), unique("audience")},
		string(store.KindRole):      {unique("ref")},
		string(store.KindGrant):     {index("holder", "workspace"), index("workspace", "_id"), index("roles.role", "_id")},
		// No TTL index: the database's clock must not decide when a token that was
		// revoked is forgotten. Prune does, by the clock that tokens expire by.
		string(store.KindRevocation):  {index("expires_at")},
		string(store.KindStatusIndex): {unique("place"), index("expires_at")},
		string(store.KindSession):     {index("expires_at")},
		string(store.KindIdempotency): {index("expires_at")},
		string(store.KindDelivery):    {index("status", "due_at", "_id"), index("webhook", "_id"), index("expires_at")},
		string(store.KindAudit): {
			index("at", "_id"), index("workspace", "at", "_id"), index("workspace", "place"), index("place", "at", "_id"),
			where(index("at", "_id", "refused"), bson.D{{Key: "refused", Value: bson.D{{Key: "$gt", Value: ""}}}}),
			index("account", "at", "_id"), index("client", "at", "_id"), index("target", "at", "_id"),
		},
		usageTotals: {index(hoursFirst()...), where(index("_id.rule", "_id.hour"), bson.D{{Key: "_id.outcome", Value: store.OutcomeAllowed}})},
		usageSums:   {index("_id.workspace", "_id.hour"), index("_id.hour")},
		lastUse:     {index("_id.client", "_id.secret"), refusals},
		// One for each order, and one for each condition that may leave few.
		clientList: {
			index("name", "_id"), index("created", "_id"), index("expires", "_id"), index("at", "_id"),
			index("account", "name", "_id"), index("responsible", "name", "_id"), index("workspace", "name", "_id"), index("status", "name", "_id"),
			index("ends"), toConfirm, slow, noted, unused, index(activeFigures()...), unusedCounted,
		},
	}
}

// activeFigures and unusedFigures are the fields of the indexes that the figures of
// overviews are counted in. The time of the last use is not in the first: it would
// be written at every use.
func activeFigures() []string { return []string{"workspace", "kind", "status", "expires"} }

func unusedFigures() []string {
	return []string{"at", "workspace", "kind", "status", "created", "expires"}
}

// hoursFirst are the fields by which counters are in order.
func hoursFirst() []string {
	return []string{"_id.hour", "_id.client", "_id.secret", "_id.rule", "_id.outcome"}
}

func index(fields ...string) driver.IndexModel {
	var keys bson.D
	for _, f := range fields {
		keys = append(keys, bson.E{Key: f, Value: 1})
	}
	return driver.IndexModel{Keys: keys, Options: options.Index()}
}

// lastField is the last field of an index, by the name that it has of itself:
// "workspace_1_key_1".
func lastField(index string) string {
	index = strings.TrimSuffix(index, "_1")
	if i := strings.LastIndex(index, "_1_"); i >= 0 {
		return index[i+len("_1_"):]
	}
	return strings.TrimSuffix(index, "_") // "_id_"
}
