package mongo_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/bson"

	"postern/store"
	"postern/store/mongo"
	"postern/store/mongo/mongotest"
)

// A database of the first version is brought to this one: what only later
// versions ask for is found in what the first one wrote.
func TestADatabaseOfTheFirstVersionAnswersTodaysQueries(t *testing.T) {
	uri, name := mongotest.Database(t)
	o := mongo.Options{URI: uri, Database: name}
	before := connect(t, o)
	client := func(id string, edit func(*store.Client)) store.Write {
		c := &store.Client{ID: store.ClientID(id), Name: id, Account: "svc1", Workspace: "wsp1", Status: store.ClientActive}
		edit(c)
		return store.Insert(c)
	}
	if err := before.Commit(t.Context(),
		client("never", func(c *store.Client) { c.Responsible = "usr1" }),
		client("expires", func(c *store.Client) { c.ExpiresAt = 2000 }),
		client("secrets", func(c *store.Client) {
			c.Secrets = []store.ClientSecret{{ID: "sec1", ExpiresAt: 1500}, {ID: "sec2", ExpiresAt: 1600, RevokedAt: 1}}
		}),
		store.Insert(&store.Account{ID: "usr1", Name: "ada", AccountKind: store.AccountUser, Status: store.AccountActive, UserName: "Ada@Example.com"}),
	); err != nil {
		t.Fatal(err)
	}
	// Back to how the first version left it: without the fields and indexes since.
	db := direct(t, uri).Database(name)
	ofClient, ofAccount := mongo.Derived()
	unset := func(collection, field string) {
		command(t, db, bson.D{{Key: "dropIndexes", Value: collection}, {Key: "index", Value: "*"}})
		command(t, db, bson.D{{Key: "update", Value: collection}, {Key: "updates", Value: bson.A{bson.D{
			{Key: "q", Value: bson.D{}}, {Key: "u", Value: bson.D{{Key: "$unset", Value: bson.D{{Key: field, Value: ""}}}}}, {Key: "multi", Value: true},
		}}}})
	}
	unset(string(store.KindClient), ofClient)
	unset(string(store.KindAccount), ofAccount)
	ends := func(s *mongo.Store, from, to store.Time) []string {
		t.Helper()
		list, err := s.Clients(t.Context(), store.ClientQuery{EndsFrom: from, EndsTo: to})
		if err != nil {
			t.Fatal(err)
		}
		got := []string{}
		for _, c := range list {
			got = append(got, string(c.ID))
		}
		slices.Sort(got)
		return got
	}
	if got := ends(before, 1, 5000); len(got) != 0 {
		t.Fatalf("what ends is found though nothing is derived: %v", got)
	}
	command(t, db, bson.D{{Key: "update", Value: "meta"}, {Key: "updates", Value: bson.A{bson.D{
		{Key: "q", Value: bson.D{{Key: "_id", Value: "schema"}}}, {Key: "u", Value: bson.D{{Key: "$set", Value: bson.D{{Key: "version", Value: 1}}}}},
	}}}})

	s := connect(t, o)
	for _, tt := range []struct {
		from, to store.Time
		want     []string
	}{
		{1500, 1501, []string{"secrets"}}, {1600, 1601, []string{}}, {2000, 2001, []string{"expires"}}, {1, 5000, []string{"expires", "secrets"}}, {2001, 5000, []string{}},
	} {
		if diff := cmp.Diff(tt.want, ends(s, tt.from, tt.to)); diff != "" {
			t.Errorf("what ends from %d to %d: got (+), want (-):\n%s", tt.from, tt.to, diff)
		}
	}
	list, err := s.Clients(t.Context(), store.ClientQuery{Responsible: []store.AccountID{"usr1"}})
	if err != nil || len(list) != 1 || list[0].ID != "never" {
		t.Errorf("clients of ada: got %v, %v; want never", list, err)
	}
	people, err := s.Accounts(t.Context(), store.AccountQuery{UserName: "ADA@example.com"})
	if err != nil || len(people) != 1 {
		t.Errorf("by user name: got %d, %v; want ada", len(people), err)
	}
	c, err := s.Client(t.Context(), "expires")
	if err != nil || c.Revision != 1 {
		t.Errorf("a migrated client: %+v, %v; want it at the revision that it had", c, err)
	}
}
