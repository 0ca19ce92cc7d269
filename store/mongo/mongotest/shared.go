package mongotest

import (
	"context"
	"crypto/rand"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
)

// EnvURI names the environment variable with the URI of a replica set that is
// there already: with-mongo sets it for the test packages it runs.
const EnvURI = "POSTERN_TEST_MONGODB_URI"

// ownSet is the set of this test process when nobody gave it one. It ends with
// the process, and is kept here until then: once nobody holds it, the lock on its
// data folder is released, and the next start of any process sweeps the folder.
var ownSet = sync.OnceValues(func() (*Set, error) { return Start(context.Background(), Options{}) })

// URI returns the connection string of a replica set that the test shares with
// others: the one that $POSTERN_TEST_MONGODB_URI names, else one of a single
// node, started for this test process. Without a mongod the test fails.
func URI(t testing.TB) string {
	t.Helper()
	if uri := os.Getenv(EnvURI); uri != "" {
		return uri
	}
	set, err := ownSet()
	if err != nil {
		t.Fatal(err)
	}
	return set.URI
}

// Database returns the URI of a shared replica set and the name of a database
// of the test's own, which is dropped when the test ends.
func Database(t testing.TB) (uri, name string) {
	t.Helper()
	uri, name = URI(t), databaseName(t.Name())
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
		defer cancel()
		err := onAdmin(ctx, uri, func(admin *mongo.Database) error {
			return admin.Client().Database(name).Drop(ctx)
		})
		if err != nil {
			// A process that a test killed may have left a transaction open, which
			// holds up the drop for a minute. The set's data is thrown away anyway.
			t.Logf("database %s is not dropped: %v", name, err)
		}
	})
	return uri, name
}

// databaseName keeps what MongoDB allows in a name, and within its 63 bytes.
func databaseName(test string) string {
	safe := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, test)
	return safe[:min(len(safe), 40)] + "_" + strings.ToLower(rand.Text()[:12])
}
