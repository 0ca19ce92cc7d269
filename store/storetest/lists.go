package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"postern/store"
)

func testAccounts(t *testing.T, s store.Store) {
	accounts := []*store.Account{ // ordered by name
		{ID: "usr9", Name: "Anna", AccountKind: store.AccountUser, Status: store.AccountActive, Email: "Anna@Example.com"},
		{ID: "svc1", Name: "a_b", AccountKind: store.AccountService, Status: store.AccountActive, Teams: []store.TeamID{"t1"}},
		{ID: "usr1", Name: "anna", AccountKind: store.AccountUser, Status: store.AccountActive, DisplayName: "Änna 100%", Teams: []store.TeamID{"t2", "t1"}},
		{ID: "usr2", Name: "bob", AccountKind: store.AccountUser, Status: store.AccountDeleted, Teams: []store.TeamID{"t1"}},
		{ID: "usr3", Name: "carl", AccountKind: store.AccountUser, Status: store.AccountInvited, Licence: "r1"},
		{ID: "usr4", Name: "dora", AccountKind: store.AccountUser, Status: store.AccountDeactivated, Licence: "R1", Teams: []store.TeamID{"T1"}},
		{ID: "svc2", Name: "ernie", AccountKind: store.AccountService, Status: store.AccountActive, Licence: "r1", Teams: []store.TeamID{"t2"}},
	}
	for _, a := range accounts {
		commit(t, s, store.Insert(a))
	}
	for name, tt := range map[string]struct {
		q    store.AccountQuery
		want []string // names
	}{
		"all but the deleted ones":     {store.AccountQuery{}, []string{"Anna", "a_b", "anna", "carl", "dora", "ernie"}},
		"users":                        {store.AccountQuery{AccountKind: store.AccountUser}, []string{"Anna", "anna", "carl", "dora"}},
		"active":                       {store.AccountQuery{Status: store.AccountActive}, []string{"Anna", "a_b", "anna", "ernie"}},
		"deleted":                      {store.AccountQuery{Status: store.AccountDeleted}, []string{"bob"}},
		"of a team":                    {store.AccountQuery{Team: "t1"}, []string{"a_b", "anna"}},
		"of a licence":                 {store.AccountQuery{Licence: "r1"}, []string{"carl", "ernie"}},
		"of a team and a licence":      {store.AccountQuery{Team: "t2", Licence: "r1"}, []string{"ernie"}},
		"of no such team":              {store.AccountQuery{Team: "t"}, []string{}},
		"search of a name in any case": {store.AccountQuery{Search: "ANNA"}, []string{"Anna", "anna"}},
		"search of a mail address":     {store.AccountQuery{Search: "@example"}, []string{"Anna"}},
		"search of a display name":     {store.AccountQuery{Search: "äNN"}, []string{"anna"}},
		"search of an id":              {store.AccountQuery{Search: "SVC"}, []string{"a_b", "ernie"}},
		"search of %":                  {store.AccountQuery{Search: "%"}, []string{"anna"}},
		"search of _":                  {store.AccountQuery{Search: "_"}, []string{"a_b"}},
		"search of .":                  {store.AccountQuery{Search: "."}, []string{"Anna"}},
		"search of .*":                 {store.AccountQuery{Search: ".*"}, []string{}},
		"search of a deleted one":      {store.AccountQuery{Search: "bob"}, []string{}},
		"first page":                   {store.AccountQuery{Limit: 2}, []string{"Anna", "a_b"}},
		"second page":                  {store.AccountQuery{Limit: 2, After: "a_b"}, []string{"anna", "carl"}},
		"page after one that is gone":  {store.AccountQuery{Limit: 2, After: "bz"}, []string{"carl", "dora"}},
		"page after the last":          {store.AccountQuery{After: "ernie"}, []string{}},
		"filtered page":                {store.AccountQuery{Status: store.AccountActive, After: "Anna", Limit: 2}, []string{"a_b", "anna"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := s.Accounts(t.Context(), tt.q)
			if err != nil {
				t.Fatalf("accounts: %v", err)
			}
			names := []string{}
			for _, a := range got {
				names = append(names, a.Name)
			}
			same(t, "names", tt.want, names)
		})
	}
	t.Run("a team that was left", func(t *testing.T) {
		left := *accounts[1]
		left.Revision, left.Teams = 1, nil
		commit(t, s, store.Update(&left))
		got, err := s.Accounts(t.Context(), store.AccountQuery{Team: "t1"})
		if err != nil {
			t.Fatalf("accounts: %v", err)
		}
		same(t, "members", []string{"usr1"}, keys(got))
	})
	t.Run("a page is 50 unless said otherwise", func(t *testing.T) {
		for i := range 60 {
			commit(t, s, store.Insert(&store.Account{ID: store.AccountID(fmt.Sprint("many", i)), Name: fmt.Sprint("many", i), Status: store.AccountActive}))
		}
		got, err := s.Accounts(t.Context(), store.AccountQuery{Search: "many"})
		if err != nil || len(got) != 50 {
			t.Errorf("accounts without a limit: got %d, %v; want 50", len(got), err)
		}
	})
}

func testGrants(t *testing.T, s store.Store) {
	grant := func(h store.HolderID, w store.WorkspaceID, roles ...store.RoleID) *store.Grant {
		g := &store.Grant{ID: store.NewGrantID(h, w), Holder: h, Workspace: w}
		for _, r := range roles {
			g.Roles = append(g.Roles, store.GrantedRole{Role: r, Limits: []store.Limit{{Param: "site", Values: []string{"x"}}}})
		}
		return g
	}
	for _, g := range []*store.Grant{
		grant("usr1", "b", "reader", "reader", "writer"), grant("usr1", "a", "reader"), grant("usr1", "C"), grant("usr10", "a", "Reader"),
		grant("tea1", "a", "reader"), grant("tea2", "b", "writer"), grant("svc1", "a", "writer"),
	} {
		commit(t, s, store.Insert(g))
	}
	for i := range 60 {
		commit(t, s, store.Insert(grant(store.HolderID(fmt.Sprintf("usrmany%02d", i)), "many", "many")))
	}
	t.Run("of a holder, by workspace", func(t *testing.T) {
		for holder, want := range map[store.HolderID][]string{
			"usr1": {"usr1@C", "usr1@a", "usr1@b"}, "usr10": {"usr10@a"}, "tea1": {"tea1@a"}, "usr": nil,
		} {
			got, err := s.GrantsOf(t.Context(), holder)
			if err != nil || !slices.Equal(keys(got), want) {
				t.Errorf("grants of %q = %v, %v; want %v", holder, keys(got), err, want)
			}
		}
	})
	for name, tt := range map[string]struct {
		q    store.GrantQuery
		want []string
	}{
		"of a workspace":     {store.GrantQuery{Workspace: "a"}, []string{"svc1@a", "tea1@a", "usr10@a", "usr1@a"}},
		"of a role":          {store.GrantQuery{Role: "reader"}, []string{"tea1@a", "usr1@a", "usr1@b"}},
		"of teams":           {store.GrantQuery{TeamsOnly: true, Limit: -1}, []string{"tea1@a", "tea2@b"}},
		"of a role in one":   {store.GrantQuery{Role: "writer", Workspace: "b"}, []string{"tea2@b", "usr1@b"}},
		"of a role by teams": {store.GrantQuery{Role: "writer", TeamsOnly: true}, []string{"tea2@b"}},
		"first page":         {store.GrantQuery{Limit: 2}, []string{"svc1@a", "tea1@a"}},
		"second page":        {store.GrantQuery{Limit: 2, After: "tea1@a"}, []string{"tea2@b", "usr10@a"}},
		"page of a role":     {store.GrantQuery{Role: "reader", After: "tea1@a", Limit: 1}, []string{"usr1@a"}},
		"of no such role":    {store.GrantQuery{Role: "read"}, []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := s.Grants(t.Context(), tt.q)
			if err != nil {
				t.Fatalf("grants: %v", err)
			}
			same(t, "grants", tt.want, keys(got))
		})
	}
	t.Run("a limit of 0 is 50, of -1 all", func(t *testing.T) {
		for limit, want := range map[int]int{0: 50, -1: 60, 55: 55} {
			got, err := s.Grants(t.Context(), store.GrantQuery{Workspace: "many", Limit: limit})
			if err != nil || len(got) != want {
				t.Errorf("grants with limit %d: got %d, %v; want %d", limit, len(got), err, want)
			}
		}
	})
	t.Run("a role that was taken away", func(t *testing.T) {
		changed := grant("usr1", "a", "writer")
		changed.Revision = 1
		commit(t, s, store.Update(changed))
		got, err := s.Grants(t.Context(), store.GrantQuery{Role: "reader"})
		if err != nil {
			t.Fatalf("grants: %v", err)
		}
		same(t, "grants of reader", []string{"tea1@a", "usr1@b"}, keys(got))
	})
}

func testAudit(t *testing.T, s store.Store) {
	for _, e := range []*store.AuditEntry{
		{ID: "a", At: start, Workspace: "w1", Account: "usr1", Client: "cli1", Target: "t1", Operation: "client.revoke", Place: 1},
		{ID: "c", At: start + 1, Workspace: "w1", Account: "usr2", Client: "cli2", Target: "t2", Operation: "client.edit", Place: 2, Refused: "no"},
		{ID: "b", At: start + 1, Workspace: "w2", Account: "usr1", Client: "cli1", Target: "t1", Operation: "client.edit", Place: 1},
		{ID: "d", At: start + 2, Account: "usr1", Target: "t3", Operation: "role.edit", Place: 1, Refused: "never"},
		{ID: "f", At: start + 2, Workspace: "w1", Account: "usr2", Client: "CLI1", Target: "T1", Operation: "client.revoke"},
		{ID: "e", At: start + 3, Operation: "role.edit"},
		{ID: "g", At: start + 3, Workspace: "w1", Account: "usr2", Place: 10},
	} {
		commit(t, s, store.Insert(e))
	}
	for name, tt := range map[string]struct {
		q    store.AuditQuery
		want string // ids
	}{
		"newest first":               {store.AuditQuery{}, "g e f d c b a"},
		"of a workspace":             {store.AuditQuery{Workspaces: []store.WorkspaceID{"w1"}}, "g f c a"},
		"of two workspaces":          {store.AuditQuery{Workspaces: []store.WorkspaceID{"w1", "w2"}}, "g f c b a"},
		"of the installation":        {store.AuditQuery{Workspaces: []store.WorkspaceID{""}}, "e d"},
		"of it and of a workspace":   {store.AuditQuery{Workspaces: []store.WorkspaceID{"", "w2"}}, "e d b"},
		"of an account":              {store.AuditQuery{Account: "usr1"}, "d b a"},
		"of a client":                {store.AuditQuery{Client: "cli1"}, "b a"},
		"of a target":                {store.AuditQuery{Target: "t1"}, "b a"},
		"of an operation":            {store.AuditQuery{Operation: "client.revoke"}, "f a"},
		"of an account on a target":  {store.AuditQuery{Account: "usr1", Target: "t1", Workspaces: []store.WorkspaceID{"w2"}}, "b"},
		"refusals":                   {store.AuditQuery{Refused: true}, "d c"},
		"refusals, second page":      {store.AuditQuery{Refused: true, After: &store.AuditCursor{At: start + 2, ID: "d"}}, "c"},
		"refusals of a workspace":    {store.AuditQuery{Refused: true, Workspaces: []store.WorkspaceID{"w1"}}, "c"},
		"from a time":                {store.AuditQuery{From: start + 2}, "g e f d"},
		"to a time, which is out":    {store.AuditQuery{To: start + 2}, "c b a"},
		"from a time to another":     {store.AuditQuery{From: start + 1, To: start + 3}, "f d c b"},
		"oldest first":               {store.AuditQuery{Oldest: true}, "a b c d f e g"},
		"oldest first, second page":  {store.AuditQuery{Oldest: true, After: &store.AuditCursor{At: start + 1, ID: "b"}, Limit: 3}, "c d f"},
		"oldest first, of a time":    {store.AuditQuery{Oldest: true, From: start + 1, To: start + 2}, "b c"},
		"unsealed, oldest first":     {store.AuditQuery{Unsealed: true}, "f e"},
		"unsealed of a workspace":    {store.AuditQuery{Unsealed: true, Workspaces: []store.WorkspaceID{"w1"}}, "f"},
		"unsealed, second page":      {store.AuditQuery{Unsealed: true, After: &store.AuditCursor{At: start + 2, ID: "f"}}, "e"},
		"by place":                   {store.AuditQuery{ByPlace: true, Workspaces: []store.WorkspaceID{"w1"}}, "a c g"},
		"by place, page":             {store.AuditQuery{ByPlace: true, Workspaces: []store.WorkspaceID{"w1"}, AfterPlace: 1, Limit: 1}, "c"},
		"by place, the installation": {store.AuditQuery{ByPlace: true, Workspaces: []store.WorkspaceID{""}}, "d"},
		"first page":                 {store.AuditQuery{Limit: 2}, "g e"},
		"second page":                {store.AuditQuery{Limit: 3, After: &store.AuditCursor{At: start + 3, ID: "e"}}, "f d c"},
		"page within one time":       {store.AuditQuery{After: &store.AuditCursor{At: start + 1, ID: "c"}}, "b a"},
		"page after one that is not": {store.AuditQuery{After: &store.AuditCursor{At: start + 1, ID: "bb"}}, "b a"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := s.Audit(t.Context(), tt.q)
			if err != nil {
				t.Fatalf("audit: %v", err)
			}
			same(t, "entries", tt.want, strings.Join(keys(got), " "))
		})
	}
	t.Run("an entry that got its place is no longer unsealed", func(t *testing.T) {
		commit(t, s, store.Update(&store.AuditEntry{ID: "e", Revision: 1, At: start + 3, Operation: "role.edit", Place: 2, Link: []byte{1}}))
		got, err := s.Audit(t.Context(), store.AuditQuery{Unsealed: true})
		if err != nil {
			t.Fatalf("audit: %v", err)
		}
		same(t, "unsealed", []string{"f"}, keys(got))
	})
	t.Run("a page is 50 unless said otherwise", func(t *testing.T) {
		for i := range 60 {
			commit(t, s, store.Insert(&store.AuditEntry{ID: store.AuditID(fmt.Sprint("many", i)), At: start}))
		}
		if got, err := s.Audit(t.Context(), store.AuditQuery{}); err != nil || len(got) != 50 {
			t.Errorf("audit without a limit: got %d, %v; want 50", len(got), err)
		}
	})
}

func testAll(t *testing.T, s store.Store) {
	t.Run("nothing", func(t *testing.T) {
		same(t, "records of an empty store", 0, len(all(t, s, store.Kinds()...)))
	})
	for i, name := range []string{"b", "A", "a", "ä", "B", "_", "0", "𝔘", "ｆ"} {
		commit(t, s,
			store.Insert(&store.Workspace{ID: store.WorkspaceID(name), Name: fmt.Sprint(i)}),
			store.Insert(&store.Team{ID: store.TeamID(name), Name: fmt.Sprint(i)}))
	}
	ordered := []string{"0", "A", "B", "_", "a", "b", "ä", "ｆ", "𝔘"}
	t.Run("kind after kind, by key", func(t *testing.T) {
		got := all(t, s, store.KindTeam, store.KindWorkspace)
		same(t, "keys", append(slices.Clip(ordered), ordered...), keys(got))
		if got[0].Kind() != store.KindTeam || got[len(got)-1].Kind() != store.KindWorkspace {
			t.Errorf("got %s before %s, want them as asked for", got[0].Kind(), got[len(got)-1].Kind())
		}
	})
	t.Run("stops at an error", func(t *testing.T) {
		enough, calls := errors.New("enough"), 0
		err := s.All(t.Context(), func(store.Record) error {
			if calls++; calls == 3 {
				return enough
			}
			return nil
		}, store.KindTeam)
		if !errors.Is(err, enough) || calls != 3 {
			t.Errorf("All gave %d records and returned %v; want 3 and the error of yield", calls, err)
		}
	})
	t.Run("one moment", func(t *testing.T) {
		var seen []store.Record
		err := s.All(t.Context(), func(r store.Record) error {
			if len(seen) == 0 { // changes of what is yet to come
				commit(t, s,
					store.Insert(&store.Team{ID: "late", Name: "late"}),
					store.Update(&store.Team{ID: "a", Revision: 1, Name: "2", Description: "late"}),
					store.Delete(&store.Team{ID: "b", Revision: 1}),
					store.Insert(&store.Workspace{ID: "late", Name: "late"}))
			}
			seen = append(seen, r)
			return nil
		}, store.KindWorkspace, store.KindTeam)
		if err != nil {
			t.Fatalf("all: %v", err)
		}
		same(t, "keys", append(slices.Clip(ordered), ordered...), keys(seen))
		for _, r := range seen {
			if r.Rev() != 1 {
				t.Errorf("%s %q was seen at revision %d, which is of a later commit", r.Kind(), r.Key(), r.Rev())
			}
		}
	})
}
