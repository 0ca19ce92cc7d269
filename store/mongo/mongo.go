// Package mongo keeps Postern's records in MongoDB: a replica set, of which one
// member is enough, or a sharded cluster.
//
// It promises what package store says. Writes are acknowledged by a journaled
// majority, reads come from the primary and see majority-committed data only,
// and all changes come by one change stream over the whole database. Each
// record is one document whose fields are those of its JSON, with dates as BSON
// dates; fields that begin with _ (but for _id) are derived and never read back.
// Clients are listed by rows of their own, beside the clients: see clientRow.
//
// No error has the connection string's secrets in it, and none wraps an error
// of the driver: those cannot be compared, and panic as the key of a map.
package mongo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"postern/store"
)

// Options configures a Store. URI and Database are required.
type Options struct {
	URI      string           // the connection string; a secret
	Database string           // its name
	Now      func() time.Time // nil means time.Now
	Log      *slog.Logger     // nil means no log
}

// Store is a store.Store in MongoDB.
type Store struct {
	client   *driver.Client
	db       *driver.Database
	registry *bson.Registry
	now      func() time.Time
	log      *slog.Logger
	mask     func(string) string // takes the URI's secrets out of a text
	stretch  int                 // see defaultStretch
	few      int
}

var _ store.Store = (*Store)(nil)

// Open connects, checks that the server can do what is asked of it (a replica
// set or mongos, 5.0 or newer), and brings the database's schema up to date.
func Open(ctx context.Context, o Options) (*Store, error) {
	opts, mask, err := parse(o.URI)
	if err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	configure(opts)
	client, err := driver.Connect(opts)
	if err != nil {
		return nil, fmt.Errorf("connect to MongoDB: %s", mask(err.Error()))
	}
	s := &Store{client: client, db: client.Database(o.Database), registry: opts.Registry, now: o.Now, log: o.Log, mask: mask, stretch: defaultStretch, few: defaultFew}
	err = s.checkServer(ctx, opts)
	if err == nil {
		err = s.migrate(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.disconnect(ctx))
	}
	return s, nil
}

// configure sets what this package's promises need, whatever the URI says.
func configure(o *options.ClientOptions) {
	journal := true
	o.SetAppName("postern").
		SetReadConcern(readconcern.Majority()).
		SetReadPreference(readpref.Primary()).
		SetWriteConcern(&writeconcern.WriteConcern{W: writeconcern.WCMajority, Journal: &journal}).
		SetRetryReads(true).
		SetRetryWrites(true).
		SetHeartbeatInterval(time.Second).
		SetServerSelectionTimeout(2500 * time.Millisecond).
		SetConnectTimeout(2 * time.Second).
		SetMaxPoolSize(64).
		SetRegistry(registry()).
		SetBSONOptions(&options.BSONOptions{UseJSONStructTags: true})
	o.Timeout = nil // each call brings its own
}

// Close ends all connections.
func (s *Store) Close() error { return s.disconnect(context.Background()) }

func (s *Store) disconnect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), attemptBudget)
	defer cancel()
	if err := s.client.Disconnect(ctx); err != nil && !errors.Is(err, driver.ErrClientDisconnected) {
		return fmt.Errorf("disconnect from MongoDB: %s", s.mask(err.Error()))
	}
	return nil
}

// Describe returns "MongoDB" and the server's version.
func (s *Store) Describe(ctx context.Context) (string, error) {
	var info struct {
		Version string `bson:"version"`
	}
	err := s.read(ctx, "ask for the server's version", func(ctx context.Context) error {
		return s.db.RunCommand(ctx, bson.D{{Key: "buildInfo", Value: 1}}).Decode(&info)
	})
	if err != nil {
		return "", err
	}
	return "MongoDB " + info.Version, nil
}

func (s *Store) of(k store.Kind) *driver.Collection { return s.db.Collection(string(k)) }
