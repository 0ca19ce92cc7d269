package cached_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/store"
)

func TestWholeKindsAreReadFromMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, newFake())
		writes := []store.Write{
			store.Insert(&store.Installation{ID: store.InstallationKey}),
			store.Insert(&store.Workspace{ID: "w2", Name: "two"}), store.Insert(&store.Workspace{ID: "w1", Name: "one"}),
			store.Insert(&store.API{ID: "a1", Name: "orders", Audience: "https://orders"}),
			store.Insert(&store.Role{ID: "r1", Ref: "one/reader"}),
			store.Insert(&store.Team{ID: "tea1", Name: "night"}),
			store.Insert(&store.Key{ID: "k1"}),
			store.Insert(&store.Revocation{ID: "jti"}),
		}
		for round := range 2 {
			commit(t, s, writes...)
			got := []any{
				s.Installation(), s.Workspaces(), s.Workspace("w1"), s.WorkspaceByName("two"), s.APIs(), s.API("a1"), s.APIByName("orders"),
				s.APIByAudience("https://orders"), s.Roles(), s.Role("r1"), s.RoleByRef("one/reader"), s.Teams(), s.Team("tea1"),
				s.TeamByName("night"), s.Keys(), s.Revoked("jti"),
			}
			var stored []store.Record
			for i, w := range writes {
				stored = append(stored, w.Stored())
				writes[i] = store.Update(w.Stored())
			}
			i, w2, w1, a := stored[0].(*store.Installation), stored[1].(*store.Workspace), stored[2].(*store.Workspace), stored[3].(*store.API)
			r, team, k := stored[4].(*store.Role), stored[5].(*store.Team), stored[6].(*store.Key)
			want := []any{
				i,
				[]*store.Workspace{w1, w2},
				w1, w2,
				[]*store.API{a},
				a, a, a,
				[]*store.Role{r},
				r, r,
				[]*store.Team{team},
				team, team,
				[]*store.Key{k},
				true,
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("round %d (-want +got):\n%s", round, diff)
			}
		}
		for i, w := range writes {
			writes[i] = store.Delete(w.Record)
		}
		commit(t, s, writes...)
		known := s.Installation() != nil || s.Workspaces() != nil || s.Workspace("w1") != nil || s.WorkspaceByName("two") != nil ||
			s.APIs() != nil || s.API("a1") != nil || s.APIByName("orders") != nil || s.APIByAudience("https://orders") != nil ||
			s.Roles() != nil || s.Role("r1") != nil || s.RoleByRef("one/reader") != nil || s.Teams() != nil || s.Team("tea1") != nil ||
			s.TeamByName("night") != nil || s.Keys() != nil || s.Revoked("jti")
		if known {
			t.Error("something of what was deleted is known")
		}
	})
}

func TestNamesMoveWithTheirRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, newFake())
		commit(t, s, store.Insert(&store.API{ID: "a1", Name: "one", Audience: "old"}), store.Insert(&store.Team{ID: "t1", Name: "night"}))
		commit(t, s, store.Update(&store.API{ID: "a1", Name: "one", Audience: "new", Revision: 1}))
		if s.APIByAudience("old") != nil || s.APIByAudience("new") != s.API("a1") || s.APIByName("one") != s.API("a1") {
			t.Error("the API is not known by its new audience alone")
		}
		commit(t, s, store.Delete(&store.Team{ID: "t1", Revision: 1}), store.Insert(&store.Team{ID: "t2", Name: "night"}))
		if got := s.TeamByName("night"); got == nil || got != s.Team("t2") {
			t.Errorf("a name freed and taken by one commit is of %v", got)
		}
		commit(t, s, store.Insert(&store.Team{ID: "t3", Name: "night"}), store.Delete(&store.Team{ID: "t2", Revision: 1}))
		if got := s.TeamByName("night"); got == nil || got != s.Team("t3") {
			t.Errorf("a name taken and freed by one commit is of %v", got)
		}
	})
}

func TestGrantsOfTeamsAreReadFromMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(grant("tea1", "w2", 1), grant("tea2", "w1", 1), grant(string(usr), "w1", 1))
		s := start(t, f)
		commit(t, s, store.Insert(grant("tea1", "w3", 0)), store.Insert(grant("tea1", "w1", 0)), store.Update(grant("tea1", "w2", 1)))
		commit(t, s, store.Delete(grant("tea1", "w3", 1)), store.Delete(grant("tea2", "w1", 1)))
		account, err := s.GrantsOf(t.Context(), store.HolderID(usr))
		if diff := cmp.Diff([]*store.Grant{grant(string(usr), "w1", 1)}, account); diff != "" || err != nil {
			t.Errorf("grants of an account that is not there: %v (-want +got):\n%s", err, diff)
		}
		f.set(func() { f.down = true })
		for team, want := range map[store.HolderID][]*store.Grant{
			"tea1": {grant("tea1", "w1", 1), grant("tea1", "w2", 2)},
			"tea2": nil,
			"tea3": nil,
		} {
			got, err := s.GrantsOf(t.Context(), team)
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("grants of %s: %v (-want +got):\n%s", team, err, diff)
			}
		}
	})
}

func TestRevocationsAreCountedWhileTheyLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := store.At(time.Now())
		s := start(t, newFake(&store.Revocation{ID: "j0", Client: cli, ExpiresAt: now.Add(time.Hour), Revision: 1}))
		commit(t, s,
			store.Insert(&store.Revocation{ID: "j1", Client: cli, ExpiresAt: now.Add(time.Minute)}),
			store.Insert(&store.Revocation{ID: "j2", Client: cli, ExpiresAt: now.Add(time.Hour)}),
			store.Insert(&store.Revocation{ID: "j3", Client: "other", ExpiresAt: now.Add(time.Hour)}))
		if n := s.RevokedOf(cli); n != 3 {
			t.Errorf("%d live revocations, want 3", n)
		}
		time.Sleep(time.Minute)
		commit(t, s, store.Delete(&store.Revocation{ID: "j2", Client: cli, Revision: 1}))
		if n := s.RevokedOf(cli); n != 1 {
			t.Errorf("%d live revocations after one expired and one was deleted, want 1", n)
		}
		// Whether a token is too old is for the clock of who verifies it to say.
		if !s.Revoked("j1") || s.Revoked("j2") || s.Revoked("unknown") {
			t.Error("what is stored as revoked is not what is known as revoked")
		}
	})
}
