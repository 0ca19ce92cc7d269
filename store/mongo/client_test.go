package mongo_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"postern/store"
	"postern/store/mongo"
	"postern/store/mongo/mongotest"
)

// Long lists are read another way than short ones, with the same answers.
func TestLongListsAreAsShortOnes(t *testing.T) {
	uri, name := mongotest.Database(t)
	short := connect(t, mongo.Options{URI: uri, Database: name})
	long := connect(t, mongo.Options{URI: uri, Database: name})
	long.SetFew(1)

	var writes []store.Write
	var uses []store.LastUse
	for i := range 40 {
		c := &store.Client{
			ID: store.ClientID(fmt.Sprintf("c%02d", i*7%40)), Name: fmt.Sprint("Name ", i%5), CreatedAt: store.Time(1 + i%3),
			Status: []store.ClientStatus{store.ClientActive, store.ClientRevoked, store.ClientDeleted, store.ClientActive}[i%4],
		}
		if i%3 == 0 {
			c.Workspace = "acme"
		}
		writes = append(writes, store.Insert(c))
		if i%5 > 1 {
			uses = append(uses, store.LastUse{Client: c.ID, SuccessAt: store.Time(i % 6)})
		}
	}
	if err := short.Commit(t.Context(), writes...); err != nil {
		t.Fatalf("commit: %v", err)
	}
	if err := short.AddUsage(t.Context(), nil, uses); err != nil {
		t.Fatalf("add last uses: %v", err)
	}
	used := map[store.ClientID]store.Time{}
	for _, u := range uses {
		used[u.Client] = max(used[u.Client], u.SuccessAt)
	}

	for name, q := range map[string]store.ClientQuery{
		"all":               {},
		"of a workspace":    {Workspaces: []store.WorkspaceID{"acme"}},
		"deleted":           {Status: store.ClientDeleted},
		"unused":            {Unused: true},
		"unused and sought": {Unused: true, Search: "NAME 1"},
	} {
		for _, sort := range []store.ClientSort{store.SortName, store.SortCreated, store.SortExpires, store.SortLastUse} {
			for _, desc := range []bool{false, true} {
				q.Sort, q.Desc, q.Limit, q.After = sort, desc, 100, nil
				t.Run(fmt.Sprintf("%s by %s, descending %t", name, sort, desc), func(t *testing.T) {
					want := list(t, short, q)
					if len(want) == 0 {
						t.Fatal("nobody is asked for")
					}
					if diff := cmp.Diff(want, list(t, long, q)); diff != "" {
						t.Errorf("clients (-short +long):\n%s", diff)
					}
					half := len(want) / 2
					q.After = cursor(want[half], sort, used)
					if diff := cmp.Diff(want[half+1:], list(t, long, q), cmpopts.EquateEmpty()); diff != "" {
						t.Errorf("second page (-short +long):\n%s", diff)
					}
				})
			}
		}
		q.After = nil
		if n, err := long.CountClients(t.Context(), q, 1000); err != nil || n != len(list(t, short, q)) {
			t.Errorf("count of %s: got %d, %v; want %d", name, n, err, len(list(t, short, q)))
		}
	}
}

func cursor(c *store.Client, sort store.ClientSort, used map[store.ClientID]store.Time) *store.ClientCursor {
	var value string
	switch sort {
	case store.SortName:
		value = c.Name
	case store.SortCreated:
		value = fmt.Sprint(int64(c.CreatedAt))
	case store.SortExpires:
		value = fmt.Sprint(int64(c.ExpiresAt))
	case store.SortLastUse:
		value = fmt.Sprint(int64(used[c.ID]))
	}
	return &store.ClientCursor{Value: value, ID: c.ID}
}

func list(t *testing.T, s store.Store, q store.ClientQuery) []*store.Client {
	t.Helper()
	clients, err := s.Clients(t.Context(), q)
	if err != nil {
		t.Fatalf("clients: %v", err)
	}
	return clients
}
