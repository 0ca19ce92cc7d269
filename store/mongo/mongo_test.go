package mongo_test

import (
	"testing"

	"postern/store"
	"postern/store/mongo"
	"postern/store/mongo/mongotest"
	"postern/store/storetest"
)

func open(t *testing.T) store.Store {
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

func TestContract(t *testing.T) { storetest.Run(t, open) }
