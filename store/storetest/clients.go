package storetest

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"postern/store"
)

func sorts() []store.ClientSort {
	return []store.ClientSort{"", store.SortName, store.SortCreated, store.SortExpires, store.SortLastUse}
}

func testClients(t *testing.T, s store.Store) {
	m := manyClients(t, s)
	now := start + 10 // some have expired by then, one or two at that moment
	queries := map[string]store.ClientQuery{
		"no condition":                   {},
		"no condition, at a time":        {Now: now},
		"one workspace":                  {Workspaces: []store.WorkspaceID{"acme"}},
		"two workspaces":                 {Workspaces: []store.WorkspaceID{"acme", "globex"}},
		"without a workspace":            {Workspaces: []store.WorkspaceID{""}},
		"with or without one":            {Workspaces: []store.WorkspaceID{"", "acme"}},
		"no such workspace":              {Workspaces: []store.WorkspaceID{"ACME"}},
		"account":                        {Account: "svc1"},
		"service":                        {ClientKind: store.ClientService},
		"personal in a workspace":        {ClientKind: store.ClientPersonal, Workspaces: []store.WorkspaceID{"acme"}},
		"pending":                        {Status: store.ClientPending, Now: now},
		"active":                         {Status: store.ClientActive, Now: now},
		"expired":                        {Status: store.ClientExpired, Now: now},
		"revoked":                        {Status: store.ClientRevoked, Now: now},
		"deleted":                        {Status: store.ClientDeleted, Now: now},
		"unused":                         {Unused: true},
		"used since then":                {UsedSince: now},
		"active and used since":          {Status: store.ClientActive, Now: now, UsedSince: start + 1},
		"active services in a workspace": {ClientKind: store.ClientService, Status: store.ClientActive, Now: now, Workspaces: []store.WorkspaceID{"acme"}},
		"those used, expiring":           {ClientKind: store.ClientService, Status: store.ClientActive, Now: now, Workspaces: []store.WorkspaceID{"acme", ""}, UsedSince: start, ExpiresBy: now + 5},
		"those unused and old":           {ClientKind: store.ClientPersonal, Status: store.ClientActive, Now: now, Workspaces: []store.WorkspaceID{"acme", ""}, Unused: true, MadeBefore: start + 4},
		"made before":                    {MadeBefore: start + 3},
		"unused and made before":         {Unused: true, MadeBefore: start + 5},
		"slow":                           {Slow: true},
		"noted":                          {Noted: true},
		"noted and active":               {Noted: true, Status: store.ClientActive, Now: now},
		"slow and revoked":               {Slow: true, Status: store.ClientRevoked, Now: now},
		"expires soon":                   {ExpiresBy: now},
		"active and expires later":       {Status: store.ClientActive, Now: now, ExpiresBy: now + 5},
		"search in a name":               {Search: "BAK"},
		"search in a key":                {Search: "KEY-1"},
		"search in an id":                {Search: "ID-2"},
		"search in a description":        {Search: "lANG"},
		"search and more":                {Search: "e", Status: store.ClientActive, Now: now, Account: "svc2"},
	}
	for _, special := range []string{"%", "_", ".", ".*", "*", `\`, "?", "[a-z]", "^", "$", "(", "'", `"`, "100%", "a_b", " ", "öl", "ÖL", "日本", "ΣΊΣΥΦΟΣ", "é", "e\u0301"} {
		queries["search of "+special] = store.ClientQuery{Search: special}
	}
	for name, q := range queries {
		for _, sort := range sorts() {
			for _, desc := range []bool{false, true} {
				q.Sort, q.Desc, q.Limit = sort, desc, 1000
				t.Run(fmt.Sprintf("%s by %q, descending %t", name, sort, desc), func(t *testing.T) {
					got, err := s.Clients(t.Context(), q)
					if err != nil {
						t.Fatalf("clients: %v", err)
					}
					same(t, "clients", keys(m.clients(q)), keys(got))
				})
			}
		}
		t.Run(name+", counted", func(t *testing.T) {
			q.Limit, q.After = 1000, nil
			total := len(m.clients(q))
			for _, most := range []int{1, 5, 1000} {
				q.Limit = 3 // a count is over all pages
				if got, err := s.CountClients(t.Context(), q, most); err != nil || got != min(total, most) {
					t.Errorf("count up to %d = %d, %v; want %d", most, got, err, min(total, most))
				}
			}
		})
	}
	t.Run("whole records", func(t *testing.T) {
		got, err := s.Clients(t.Context(), store.ClientQuery{Limit: 1000})
		if err != nil {
			t.Fatalf("clients: %v", err)
		}
		same(t, "clients", m.clients(store.ClientQuery{Limit: 1000}), got)
	})
	t.Run("a page is 50 unless said otherwise", func(t *testing.T) {
		got, err := s.Clients(t.Context(), store.ClientQuery{})
		if err != nil {
			t.Fatalf("clients: %v", err)
		}
		same(t, "clients", keys(m.clients(store.ClientQuery{Limit: 50})), keys(got))
	})
	for _, sort := range sorts() {
		for _, desc := range []bool{false, true} {
			for name, q := range map[string]store.ClientQuery{
				"all":      {Sort: sort, Desc: desc},
				"filtered": {Sort: sort, Desc: desc, Workspaces: []store.WorkspaceID{"acme", ""}, Search: "e"},
			} {
				t.Run(fmt.Sprintf("pages of %s by %q, descending %t", name, sort, desc), func(t *testing.T) { testPages(t, s, m, q) })
			}
		}
	}
}

// testPages walks a list page by page. Nobody is missed or comes twice, though
// the row that a cursor stands on is deleted meanwhile.
func testPages(t *testing.T, s store.Store, m *model, q store.ClientQuery) {
	q.Limit = 1000
	want := keys(m.clients(q))
	var got []string
	var deleted []store.Write
	for q.Limit = 7; ; {
		page, err := s.Clients(t.Context(), q)
		if err != nil {
			t.Fatalf("page after %+v: %v", q.After, err)
		}
		if len(page) == 0 {
			break
		}
		got = append(got, keys(page)...)
		if len(got) > len(want) {
			break
		}
		last := page[len(page)-1]
		q.After = m.cursor(last, q.Sort)
		commit(t, s, store.Delete(last))
		deleted = append(deleted, store.Insert(last))
	}
	commit(t, s, deleted...)
	same(t, "clients over all pages", want, got)
}

// manyClients stores clients with many equal values in each sorted column.
func manyClients(t *testing.T, s store.Store) *model {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same clients every time
	pick := func(texts ...string) string { return texts[random.IntN(len(texts))] }
	m := newModel()
	var writes []store.Write
	var uses []store.LastUse
	for i := range 90 {
		c := &store.Client{
			ID: store.ClientID(fmt.Sprintf("%s-%02d", pick("id", "ID", "iD"), i)),
			Name: pick("Bakery", "bakery", "baker", "Ölmühle", "ölmühle", "100% bread", "a_b", "axb", "a.*b", `back\slash`, "日本", "Σίσυφος",
				"Zebra", "", "[a-z]?^$(", "it's \"quoted\"", "café", "cafe\u0301", "𝔘nicode", "ｆullwidth"),
			Description: pick("", "", "a language", "Öl", "50%"),
			Account:     store.AccountID(pick("svc1", "svc2")),
			Workspace:   store.WorkspaceID(pick("", "acme", "globex")),
			ClientKind:  store.ClientKind(pick("service", "personal")),
			Status:      store.ClientStatus(pick("active", "active", "active", "pending", "revoked", "deleted")),
			CreatedAt:   start + store.Time(random.IntN(6)),
			ExpiresAt:   (start + 5 + store.Time(random.IntN(12))) * store.Time(random.IntN(3)%2),
		}
		if i%5 == 0 {
			c.ClientKey = fmt.Sprint("Key-", i)
		}
		if i%7 == 0 {
			c.Warning = "made at the first start"
		}
		if i%4 == 0 {
			c.Secrets = []store.ClientSecret{{ID: "1", SlowHash: "$2a$10$x", RevokedAt: store.Time(i % 8), LeakedAt: store.Time(i % 3)}}
		}
		writes = append(writes, store.Insert(c))
		if i%3 == 0 {
			continue
		}
		// Refused lately, which is no use; and by its second secret used with success, in two of three.
		uses = append(uses, store.LastUse{Client: c.ID, Secret: "1", RefusalAt: start + 900})
		if i%3 == 1 {
			at := start + store.Time(random.IntN(5))
			uses = append(uses, store.LastUse{Client: c.ID, Secret: "2", SuccessAt: at}, store.LastUse{Client: c.ID, Secret: "3", SuccessAt: at - 3})
			m.lastUse[c.ID] = at
		}
	}
	if err := m.commit(writes...); err != nil {
		t.Fatalf("storetest's own clients: %v", err)
	}
	commit(t, s, writes...)
	if err := s.AddUsage(t.Context(), nil, uses); err != nil {
		t.Fatalf("add last uses: %v", err)
	}
	return m
}
