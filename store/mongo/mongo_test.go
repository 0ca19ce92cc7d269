package mongo_test

import (
	"context"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"postern/store"
	"postern/store/mongo"
	"postern/store/mongo/mongotest"
	"postern/store/storetest"
)

func TestContract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) store.Store { return open(t) })
}

func open(t *testing.T) *mongo.Store {
	t.Helper()
	uri, name := mongotest.Database(t)
	return connect(t, mongo.Options{URI: uri, Database: name})
}

func connect(t *testing.T, o mongo.Options) *mongo.Store {
	t.Helper()
	s, err := mongo.Open(t.Context(), o)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// direct returns a driver's client, for what is done behind the store's back.
func direct(t *testing.T, uri string) *driver.Client {
	t.Helper()
	c, err := driver.Connect(options.Client().ApplyURI(uri))
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(func() { _ = c.Disconnect(context.WithoutCancel(t.Context())) })
	return c
}

func command(t *testing.T, db *driver.Database, c bson.D) {
	t.Helper()
	if err := db.RunCommand(t.Context(), c).Err(); err != nil {
		t.Fatalf("%s: %v", c[0].Key, err)
	}
}
