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

// A list is found by a walk in its order, by an index that leads to few, or by a
// look at every row: with the same answers.
func TestListsAreTheSameByEveryRoad(t *testing.T) {
	uri, name := mongotest.Database(t)
	road := func(stretch, few int) *mongo.Store {
		s := connect(t, mongo.Options{URI: uri, Database: name})
		s.SetRoads(stretch, few)
		return s
	}
	walks := road(1000, 1000)
	others := map[string]*mongo.Store{"index": road(1, 1000), "every row": road(1, 1), "walk of a few": road(7, 1)}

	var writes []store.Write
	var uses []store.LastUse
	for i := range 40 {
		c := &store.Client{
			ID: store.ClientID(fmt.Sprintf("c%02d", i*7%40)), Name: fmt.Sprint("Name ", i%5), CreatedAt: store.Time(1 + i%3),
			Status:  []store.ClientStatus{store.ClientActive, store.ClientRevoked, store.ClientDeleted, store.ClientActive, store.ClientPending}[i%5],
			Account: store.AccountID(fmt.Sprint("a", i%2)), Responsible: store.AccountID([]string{"", "p1", "p2"}[i%3]),
			ExpiresAt: store.Time(i % 7 * 100), ConfirmBy: store.Time(i % 4),
		}
		if i%3 == 0 {
			c.Workspace = "acme"
		}
		if i%6 == 0 {
			c.Secrets = []store.ClientSecret{{ID: "s", SlowHash: "$2a$10$x"}}
		}
		writes = append(writes, store.Insert(c))
		if i%5 > 1 {
			uses = append(uses, store.LastUse{Client: c.ID, SuccessAt: store.Time(i % 6)})
		}
	}
	if err := walks.Commit(t.Context(), writes...); err != nil {
		t.Fatalf("commit: %v", err)
	}
	if err := walks.AddUsage(t.Context(), nil, uses); err != nil {
		t.Fatalf("add last uses: %v", err)
	}
	used := map[store.ClientID]store.Time{}
	for _, u := range uses {
		used[u.Client] = max(used[u.Client], u.SuccessAt)
	}

	for name, q := range map[string]store.ClientQuery{
		"all":                 {},
		"of a workspace":      {Workspaces: []store.WorkspaceID{"acme"}},
		"of two workspaces":   {Workspaces: []store.WorkspaceID{"acme", ""}},
		"of an account":       {Account: "a1"},
		"of a person":         {Responsible: []store.AccountID{"p1"}},
		"of no person":        {Responsible: []store.AccountID{"", "p2"}},
		"deleted":             {Status: store.ClientDeleted},
		"expired":             {Status: store.ClientExpired, Now: 200},
		"pending":             {Status: store.ClientPending, Now: 200},
		"expiring":            {ExpiresBy: 300, Status: store.ClientActive, Now: 100},
		"ending":              {EndsFrom: 100, EndsTo: 301},
		"to confirm":          {ConfirmBy: 2},
		"slow":                {Slow: true},
		"unused":              {Unused: true},
		"unused and sought":   {Unused: true, Search: "NAME 1"},
		"used since":          {UsedSince: 3, MadeBefore: 3},
		"sought in an id":     {Search: "C1"},
		"slow of a workspace": {Slow: true, Workspaces: []store.WorkspaceID{"acme"}},
	} {
		for _, sort := range []store.ClientSort{store.SortName, store.SortCreated, store.SortExpires, store.SortLastUse} {
			for _, desc := range []bool{false, true} {
				q.Sort, q.Desc, q.Limit, q.After = sort, desc, 100, nil
				want := list(t, walks, q)
				if len(want) < 3 {
					t.Fatalf("%s: only %d are asked for", name, len(want))
				}
				half := len(want) / 2
				for road, s := range others {
					t.Run(fmt.Sprintf("%s by %s, descending %t, by %s", name, sort, desc, road), func(t *testing.T) {
						q := q
						if diff := cmp.Diff(want, list(t, s, q)); diff != "" {
							t.Errorf("clients (-by a walk +by %s):\n%s", road, diff)
						}
						q.After = cursor(want[half], sort, used)
						if diff := cmp.Diff(want[half+1:], list(t, s, q), cmpopts.EquateEmpty()); diff != "" {
							t.Errorf("second page (-by a walk +by %s):\n%s", road, diff)
						}
						q.After, q.Limit = nil, 2
						if diff := cmp.Diff(want[:2], list(t, s, q)); diff != "" {
							t.Errorf("short page (-by a walk +by %s):\n%s", road, diff)
						}
					})
				}
			}
		}
		q.After = nil
		for road, s := range others {
			if n, err := s.CountClients(t.Context(), q, 1000); err != nil || n != len(list(t, walks, q)) {
				t.Errorf("count of %s by %s: got %d, %v; want %d", name, road, n, err, len(list(t, walks, q)))
			}
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
