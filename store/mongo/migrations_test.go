package mongo_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

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
	if err := before.AddUsage(t.Context(), []store.Usage{
		{Hour: 3_600_000, Client: "never", Secret: "a", Rule: "r", Outcome: store.OutcomeAllowed, Process: "p", Count: 3},
		{Hour: 3_600_000, Client: "expires", Rule: "r", Outcome: store.OutcomeAllowed, Process: "p", Count: 4},
	}, nil); err != nil {
		t.Fatal(err)
	}
	// Back to how the first version left it: without the fields and indexes since.
	db := direct(t, uri).Database(name)
	withoutList(t, db)
	command(t, db, bson.D{{Key: "dropIndexes", Value: store.KindAccount}, {Key: "index", Value: "*"}})
	command(t, db, bson.D{{Key: "update", Value: store.KindAccount}, {Key: "updates", Value: bson.A{bson.D{
		{Key: "q", Value: bson.D{}}, {Key: "u", Value: bson.D{{Key: "$unset", Value: bson.D{{Key: mongo.Derived, Value: ""}}}}}, {Key: "multi", Value: true},
	}}}})
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
	atVersion(t, db, 1)

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
	sums, err := s.UsageTotals(t.Context(), store.UsageTotalQuery{By: store.UsageByHour, Workspaces: []store.WorkspaceID{"wsp1"}})
	if diff := cmp.Diff([]store.UsageTotal{{At: 3_600_000, Allowed: 7}}, sums); err != nil || diff != "" {
		t.Errorf("usage totals: %v, got (+), want (-):\n%s", err, diff)
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

// withoutList takes away what the second version did not have, and puts back
// what it had in its place.
func withoutList(t *testing.T, db *driver.Database) {
	t.Helper()
	command(t, db, bson.D{{Key: "drop", Value: mongo.ClientList}})
	command(t, db, bson.D{{Key: "create", Value: "last_success"}})
	command(t, db, bson.D{{Key: "createIndexes", Value: store.KindClient}, {Key: "indexes", Value: bson.A{
		bson.D{{Key: "name", Value: "_name_1__id_1"}, {Key: "key", Value: bson.D{{Key: "_name", Value: 1}, {Key: "_id", Value: 1}}}},
		bson.D{{Key: "name", Value: "by_hand"}, {Key: "key", Value: bson.D{{Key: "description", Value: 1}}}},
	}}})
}

func atVersion(t *testing.T, db *driver.Database, version int) {
	t.Helper()
	command(t, db, bson.D{{Key: "update", Value: "meta"}, {Key: "updates", Value: bson.A{bson.D{
		{Key: "q", Value: bson.D{{Key: "_id", Value: "schema"}}}, {Key: "u", Value: bson.D{{Key: "$set", Value: bson.D{{Key: "version", Value: version}}}}},
	}}}})
}

// A database of the second version, whose lists came from the clients
// themselves, gives the same lists from what the third one makes of it: also
// where the migration is done twice, or by two nodes at once.
func TestADatabaseOfTheSecondVersionGivesTheSameLists(t *testing.T) {
	uri, name := mongotest.Database(t)
	o := mongo.Options{URI: uri, Database: name}
	before := connect(t, o)
	var writes []store.Write
	var uses []store.LastUse
	for i := range 700 { // more than are brought at once
		c := &store.Client{ID: store.ClientID(fmt.Sprint("c", i)), Name: fmt.Sprint("client ", i%50), Status: store.ClientActive, CreatedAt: store.Time(i)}
		writes = append(writes, store.Insert(c))
		switch i % 3 {
		case 0:
			uses = append(uses, store.LastUse{Client: c.ID, Secret: "s1", SuccessAt: store.Time(10 + i)}, store.LastUse{Client: c.ID, Secret: "s2", SuccessAt: store.Time(5 + i)})
		case 1:
			uses = append(uses, store.LastUse{Client: c.ID, Secret: "s1", RefusalAt: store.Time(10 + i)})
		}
	}
	if err := before.Commit(t.Context(), writes...); err != nil {
		t.Fatal(err)
	}
	if err := before.AddUsage(t.Context(), nil, uses); err != nil {
		t.Fatal(err)
	}
	queries := map[string]store.ClientQuery{
		"by name": {Limit: 1000}, "by last use": {Sort: store.SortLastUse, Desc: true, Limit: 1000},
		"unused": {Unused: true, Limit: 1000}, "sought": {Search: "CLIENT 7", Limit: 1000},
	}
	want := map[string][]*store.Client{}
	for what, q := range queries {
		want[what] = list(t, before, q)
	}
	db := direct(t, uri).Database(name)
	withoutList(t, db)
	check := func(how string, s *mongo.Store) {
		for what, q := range queries {
			if diff := cmp.Diff(want[what], list(t, s, q)); diff != "" {
				t.Errorf("%s, %s (-before +after):\n%s", how, what, diff)
			}
		}
	}
	atVersion(t, db, 2)
	var nodes sync.WaitGroup
	for range 2 {
		nodes.Go(func() {
			s, err := mongo.Open(t.Context(), o)
			if err != nil {
				t.Errorf("open beside another node: %v", err)
				return
			}
			_ = s.Close()
		})
	}
	nodes.Wait()
	s := connect(t, o)
	check("migrated", s)
	names, err := db.ListCollectionNames(t.Context(), bson.D{{Key: "name", Value: "last_success"}})
	if err != nil || len(names) > 0 {
		t.Errorf("last_success is still there: %v, %v", names, err)
	}
	indexes, err := db.Collection(string(store.KindClient)).Indexes().ListSpecifications(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, index := range indexes {
		left = append(left, index.Name)
	}
	slices.Sort(left)
	if diff := cmp.Diff([]string{"_id_", "by_hand", "workspace_1_key_1"}, left); diff != "" {
		t.Errorf("indexes of clients (-want +got):\n%s", diff)
	}

	// Changed and used since, and then brought again.
	changed := *list(t, s, store.ClientQuery{Search: "c699", Limit: 1})[0]
	changed.Name = "another"
	if err := s.Commit(t.Context(), store.Update(&changed)); err != nil {
		t.Fatal(err)
	}
	if err := s.AddUsage(t.Context(), nil, []store.LastUse{{Client: "c1", Secret: "s1", SuccessAt: 5000}}); err != nil {
		t.Fatal(err)
	}
	for what, q := range queries {
		want[what] = list(t, s, q)
	}
	atVersion(t, db, 2)
	check("migrated twice", connect(t, o))
}
