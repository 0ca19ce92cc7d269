package storetest

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"postern/store"
)

// committed are the kinds that Commit writes: all but the heartbeats, which
// Beat does.
func committed() []store.Kind {
	return slices.DeleteFunc(store.Kinds(), func(k store.Kind) bool { return k == store.KindHeartbeat })
}

func testRecords(t *testing.T, s store.Store) {
	for _, kind := range committed() {
		t.Run("every field of "+string(kind)+" comes back", func(t *testing.T) {
			r := full(t, kind, "first")
			commit(t, s, store.Insert(r.WithRev(77)))
			same(t, "inserted", r, find(t, s, kind, r.Key()))

			commit(t, s, store.Update(bare(t, kind, "first")))
			same(t, "updated", bare(t, kind, "first").WithRev(2), find(t, s, kind, r.Key()))
			commit(t, s, store.Delete(r.WithRev(2)))
			if got := find(t, s, kind, r.Key()); got != nil {
				t.Errorf("after its deletion %s %q is still there: %+v", kind, r.Key(), got)
			}
			commit(t, s, store.Insert(r))
			same(t, "inserted again after the deletion", r, find(t, s, kind, r.Key()))
			commit(t, s, store.Delete(r))
		})
		t.Run("empty lists of "+string(kind)+" come back as nil", func(t *testing.T) {
			commit(t, s, store.Insert(hollow(t, kind, "hollow")))
			want := bare(t, kind, "hollow")
			same(t, "inserted", want, find(t, s, kind, want.Key()))
			commit(t, s, store.Update(hollow(t, kind, "hollow")))
			same(t, "updated", want.WithRev(2), find(t, s, kind, want.Key()))
			commit(t, s, store.Delete(want.WithRev(2)))
		})
	}
	t.Run("single records", func(t *testing.T) { testSingle(t, s) })
	t.Run("names that are taken", func(t *testing.T) { testUnique(t, s) })
	t.Run("what differs in case is different", func(t *testing.T) { testCase(t, s) })
	t.Run("texts", func(t *testing.T) { testTexts(t, s) })
	t.Run("describe", func(t *testing.T) {
		text, err := s.Describe(t.Context())
		if err != nil || !strings.ContainsAny(text, "0123456789") {
			t.Errorf("Describe() = %q, %v; want a name and a version", text, err)
		}
	})
}

func testSingle(t *testing.T, s store.Store) {
	ctx := t.Context()
	c := &store.Client{ID: "single", Revision: 1, Status: store.ClientDeleted}
	a := &store.Account{ID: "single", Revision: 1, Name: "Single"}
	commit(t, s, store.Insert(c), store.Insert(a))
	defer commit(t, s, store.Delete(c), store.Delete(a))

	if got, err := s.Client(ctx, c.ID); err != nil {
		t.Errorf("client by id: %v", err)
	} else {
		same(t, "client by id, a tombstone", c, got)
	}
	if got, err := s.Account(ctx, a.ID); err != nil {
		t.Errorf("account by id: %v", err)
	} else {
		same(t, "account by id", a, got)
	}
	if got, err := s.AccountByName(ctx, a.Name); err != nil {
		t.Errorf("account by name: %v", err)
	} else {
		same(t, "account by name", a, got)
	}
	if _, err := s.Client(ctx, c.ID+"x"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a client that is not there: got error %v, want ErrNotFound", err)
	}
	if _, err := s.Account(ctx, a.ID+"x"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("an account that is not there: got error %v, want ErrNotFound", err)
	}
	if _, err := s.AccountByName(ctx, a.Name+"x"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("an account name that is not there: got error %v, want ErrNotFound", err)
	}
	for _, want := range []store.Record{c, a} {
		if got, err := s.Get(ctx, want.Kind(), want.Key()); err != nil {
			t.Errorf("get %s: %v", want.Kind(), err)
		} else {
			same(t, "get "+string(want.Kind()), want, got)
		}
		if _, err := s.Get(ctx, want.Kind(), want.Key()+"x"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("get %s that is not there: got error %v, want ErrNotFound", want.Kind(), err)
		}
	}
	if got, err := s.GrantsOf(ctx, "usr-without"); err != nil || len(got) != 0 {
		t.Errorf("grants of who has none: got %v, %v; want none and no error", got, err)
	}
}

func testUnique(t *testing.T, s store.Store) {
	tests := []struct {
		name  string
		field string
		one   store.Record
		other store.Record
	}{
		{"workspace id", "_id", &store.Workspace{ID: "u1", Name: "u1"}, &store.Workspace{ID: "u1", Name: "u2"}},
		{"workspace", "name", &store.Workspace{ID: "u2", Name: "u2"}, &store.Workspace{ID: "u3", Name: "u2"}},
		{"workspace id and name", "_id", &store.Workspace{ID: "u4", Name: "u4"}, &store.Workspace{ID: "u4", Name: "u4"}},
		{"account", "name", &store.Account{ID: "u1", Name: "u1"}, &store.Account{ID: "u2", Name: "u1"}},
		{"account user name in any case", "user_name", &store.Account{ID: "u3", Name: "u3", UserName: "Ann@Example"}, &store.Account{ID: "u4", Name: "u4", UserName: "ann@example"}},
		{"team", "name", &store.Team{ID: "u1", Name: "u1"}, &store.Team{ID: "u2", Name: "u1"}},
		{"API name", "name", &store.API{ID: "u1", Name: "u1", Audience: "u1"}, &store.API{ID: "u2", Name: "u1", Audience: "u2"}},
		{"API audience", "audience", &store.API{ID: "u3", Name: "u3", Audience: "u3"}, &store.API{ID: "u4", Name: "u4", Audience: "u3"}},
		{"role", "ref", &store.Role{ID: "u1", Ref: "u/1"}, &store.Role{ID: "u2", Ref: "u/1"}},
		{"client key", "key", &store.Client{ID: "u1", Workspace: "w", ClientKey: "k"}, &store.Client{ID: "u2", Workspace: "w", ClientKey: "k"}},
		{"client key without a workspace", "key", &store.Client{ID: "u3", ClientKey: "k"}, &store.Client{ID: "u4", ClientKey: "k"}},
		{"installation", "_id", &store.Installation{ID: store.InstallationKey}, &store.Installation{ID: store.InstallationKey}},
		{"audit id", "_id", &store.AuditEntry{ID: "u1"}, &store.AuditEntry{ID: "u1"}},
		{"place in a status list", "place", &store.StatusIndex{ID: "u1", Place: 7}, &store.StatusIndex{ID: "u2", Place: 7}},
		{"key", "_id", &store.Key{ID: "u1"}, &store.Key{ID: "u1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			commit(t, s, store.Insert(tt.one))
			defer commit(t, s, store.Delete(tt.one.WithRev(1)))
			err := s.Commit(t.Context(), store.Insert(tt.other))
			taken, ok := errors.AsType[*store.Exists](err)
			if !ok || !errors.Is(err, store.ErrExists) {
				t.Fatalf("insert of a taken %s: got error %v, want *store.Exists", tt.field, err)
			}
			same(t, "what was taken", store.Exists{Kind: tt.one.Kind(), Field: tt.field}, *taken)
			if tt.one.Key() != tt.other.Key() && find(t, s, tt.other.Kind(), tt.other.Key()) != nil {
				t.Errorf("%s %q is there although its %s was taken", tt.other.Kind(), tt.other.Key(), tt.field)
			}
		})
	}
	t.Run("a client's key is taken in its own workspace only, and no key is no name", func(t *testing.T) {
		commit(t, s,
			store.Insert(&store.Client{ID: "v1", Workspace: "v", ClientKey: "k"}),
			store.Insert(&store.Client{ID: "v2", Workspace: "v2", ClientKey: "k"}),
			store.Insert(&store.Client{ID: "v3", Workspace: "v"}),
			store.Insert(&store.Client{ID: "v4", Workspace: "v"}))
		err := s.Commit(t.Context(), store.Update(&store.Client{ID: "v3", Revision: 1, Workspace: "v", ClientKey: "k"}))
		taken, ok := errors.AsType[*store.Exists](err)
		if !ok || taken.Field != "key" {
			t.Errorf("update to a taken key: got error %v, want *store.Exists of the key", err)
		}
		commit(t, s, store.Update(&store.Client{ID: "v1", Revision: 1, Workspace: "v"}))
		commit(t, s, store.Update(&store.Client{ID: "v3", Revision: 1, Workspace: "v", ClientKey: "k"}))
	})
}

func testCase(t *testing.T, s store.Store) {
	ctx := t.Context()
	commit(t, s,
		store.Insert(&store.Client{ID: "Case", Workspace: "case", ClientKey: "k", Name: "same"}),
		store.Insert(&store.Client{ID: "case", Workspace: "case", ClientKey: "K", Name: "same"}),
		store.Insert(&store.Account{ID: "Case", Name: "Case"}),
		store.Insert(&store.Account{ID: "case", Name: "case"}),
		store.Insert(&store.Role{ID: "Case", Ref: "case/R"}),
		store.Insert(&store.Role{ID: "case", Ref: "case/r"}),
		store.Insert(&store.Grant{ID: "Case@w", Holder: "Case", Workspace: "w"}),
		store.Insert(&store.Grant{ID: "case@w", Holder: "case", Workspace: "w"}))
	for _, id := range []store.ClientID{"Case", "case"} {
		if c, err := s.Client(ctx, id); err != nil || c.ID != id {
			t.Errorf("client %q: got %+v, %v", id, c, err)
		}
	}
	for _, name := range []string{"Case", "case"} {
		if a, err := s.AccountByName(ctx, name); err != nil || a.Name != name {
			t.Errorf("account %q: got %+v, %v", name, a, err)
		}
		if g, err := s.GrantsOf(ctx, store.HolderID(name)); err != nil || !slices.Equal(keys(g), []string{name + "@w"}) {
			t.Errorf("grants of %q: got %v, %v; want its own only", name, keys(g), err)
		}
	}
	for _, id := range []store.ClientID{"CASE", " case", "case "} {
		if _, err := s.Client(ctx, id); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("client %q: got error %v, want ErrNotFound", id, err)
		}
	}
}

func testTexts(t *testing.T, s store.Store) {
	long := strings.Repeat("Ünïcode 日本 ", 5000/10)
	for name, c := range map[string]*store.Client{
		"an id of every printable character": {ID: "!\"#$%&'()*+,-./0123456789:;<=>?@ABCXYZ[\\]^_`abcxyz{|}~"},
		"an id like a number":                {ID: "007"},
		"an id like an operator":             {ID: "$ne"},
		"an id of 5,000 characters":          {ID: store.ClientID(strings.Repeat("i", 5000))},
		"a name of 5,000 characters":         {ID: "long-name", Name: long, ClientKey: long},
		"two hundred values of 5,000":        {ID: "long-list", Addresses: slices.Repeat([]string{long}, 200)},
		"NUL and control characters":         {ID: "nul", Name: "a\x00b\x01\t\r\n\x7f", Description: "\x00"},
		"astral and combining characters":    {ID: "𝔘𝔫𝔦-e\u0301", Name: "👩‍🚀 e\u0301 \ufeff"},
		"quotes":                             {ID: `'; drop table clients; --`, Name: `"'\`},
	} {
		t.Run(name, func(t *testing.T) {
			commit(t, s, store.Insert(c))
			want := c.WithRev(1)
			got, err := s.Client(t.Context(), c.ID)
			if err != nil {
				t.Fatalf("client %.60q: %v", c.ID, err)
			}
			same(t, "read back", want, store.Record(got))
			commit(t, s, store.Delete(got))
		})
	}
}
