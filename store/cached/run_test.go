package cached_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"postern/store"
	"postern/store/cached"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLoadTellsSubscribersOfTheWholeKinds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(
			&store.Installation{ID: store.InstallationKey, Revision: 1},
			&store.Role{ID: "r", Revision: 1}, &store.Workspace{ID: "w2", Revision: 1}, &store.Workspace{ID: "w1", Revision: 1},
			&store.API{ID: "a", Revision: 1}, &store.Team{ID: "tea1", Revision: 1}, &store.Key{ID: "k", Revision: 1},
			&store.Revocation{ID: "jti", Revision: 1}, &store.StatusIndex{ID: "place", Revision: 1},
			client(1), account(1), grant(string(usr), "w1", 1), grant("tea1", "w1", 1))
		first, second := new(subscriber), new(subscriber)
		s := start(t, f, first, second)
		want := []string{
			"installation bootstrap", "workspaces w1", "workspaces w2", "apis a", "roles r", "teams tea1",
			"keys k", "revocations jti", "status_indexes place", "grants tea1@w1",
		}
		commit(t, s, store.Update(&store.Role{ID: "r", Revision: 1}), store.Update(client(1)), store.Insert(grant(string(usr), "w2", 0)))
		commit(t, s, store.Insert(grant("tea1", "w2", 0)), store.Delete(&store.Workspace{ID: "w2", Revision: 1}))
		for _, sub := range []*subscriber{first, second} {
			loads, loaded, changed := sub.knows()
			if diff := cmp.Diff(want, loaded); diff != "" || loads != 1 {
				t.Errorf("%d loads, the last of (-want +got):\n%s", loads, diff)
			}
			if diff := cmp.Diff([]string{"roles r", "grants tea1@w2", "workspaces w2"}, changed); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
		}
	})
}

// follower is a subscriber that is told of clients and accounts, too.
type follower struct{ subscriber }

func (f *follower) Follow(c store.Change) { _ = f.Apply(c) }

// A follower has heard of a client or account before the commit that changed it
// returns, and of the rest as others are.
func TestFollowersHearOfClientsAndAccounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(client(1), account(1))
		plain, follows := new(subscriber), new(follower)
		s := start(t, f, plain, follows)
		commit(t, s, store.Update(client(1)), store.Insert(&store.StatusIndex{ID: "place"}), store.Update(account(1)))
		commit(t, s, store.Delete(client(2)))
		want := []string{"clients " + string(cli), "status_indexes place", "accounts " + string(usr), "clients " + string(cli)}
		if _, _, changed := follows.knows(); !slices.Equal(changed, want) {
			t.Errorf("a follower heard of %v, want %v", changed, want)
		}
		if _, _, changed := plain.knows(); !slices.Equal(changed, want[1:2]) {
			t.Errorf("another heard of %v, want %v", changed, want[1:2])
		}
	})
}

func TestLoadReadsEveryPageOfTeamGrants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var records []store.Record
		for range 2000 {
			records = append(records, grant(string(store.NewTeamID()), "w", 1))
		}
		sub := new(subscriber)
		start(t, newFake(records...), sub)
		if _, loaded, _ := sub.knows(); len(loaded) != len(records) {
			t.Errorf("%d grants loaded, want %d", len(loaded), len(records))
		}
	})
}

func TestRefusedFirstLoadRefusesTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad := errors.New("a rule that nobody understands")
		s := cached.New(newFake(), cached.Options{Node: "node", Subscribers: []cached.Subscriber{&subscriber{refuse: bad}}})
		if err := s.Run(t.Context()); !errors.Is(err, bad) {
			t.Errorf("Run: got error %v, want the subscriber's", err)
		}
		select {
		case <-s.Ready():
			t.Error("ready after a refused load")
		default:
		}
	})
}

func TestRefusedLaterChangesDoNotStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, sub, next := newFake(), new(subscriber), new(subscriber)
		s := start(t, f, sub, next)
		sub.mu.Lock()
		sub.refuse = errors.New("no")
		sub.mu.Unlock()
		commit(t, s, store.Insert(&store.Role{ID: "r", Ref: "w/r"}))
		if s.RoleByRef("w/r") == nil {
			t.Error("memory does not have the role")
		}
		f.set(func() { f.lost = len(f.log) + 1 })
		time.Sleep(time.Second)
		for name, sub := range map[string]*subscriber{"who refuses": sub, "the next": next} {
			if loads, _, changed := sub.knows(); loads != 2 || len(changed) != 1 {
				t.Errorf("%s was told of %d loads and %d changes, want 2 and 1", name, loads, len(changed))
			}
		}
	})
}

func TestRunWaitsForTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(&store.Workspace{ID: "w", Revision: 1})
		f.down = true
		s := cached.New(f, cached.Options{Node: "node"})
		if age := s.Age(); age != math.MaxInt64 {
			t.Errorf("age before the first load: %v", age)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- s.Run(ctx) }()
		time.Sleep(10 * time.Second)
		select {
		case <-s.Ready():
			t.Error("ready without a load")
		default:
		}
		if n := s.BeatsFailed(); n < 19 {
			t.Errorf("%d failed heartbeats in 10 s, want one each half second", n)
		}
		f.set(func() { f.down = false })
		<-s.Ready()
		if s.Workspace("w") == nil {
			t.Error("the workspace is not known")
		}
		if err := s.Run(ctx); err == nil {
			t.Error("a second Run beside the first got no error")
		}
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

func TestCutFeedContinuesWhereItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, sub := newFake(client(1)), new(subscriber)
		s := start(t, f, sub)
		check(t, "client", readClient, s, client(1), nil)
		time.Sleep(10 * time.Second)
		if age := s.Age(); age > time.Second {
			t.Errorf("age while all is well: %v", age)
		}
		f.set(func() { f.down = true })
		time.Sleep(8 * time.Second)
		if age := s.Age(); age < 8*time.Second || age > 9*time.Second {
			t.Errorf("age after 8 s without a feed: %v", age)
		}
		f.set(func() { f.down, f.cuts = false, f.cuts+1 })
		commit(t, f, store.Insert(&store.Revocation{ID: "jti"}), store.Update(client(1)))
		time.Sleep(3 * time.Second)
		if age := s.Age(); age > time.Second {
			t.Errorf("age when the feed is back: %v", age)
		}
		if loads, _, changed := sub.knows(); loads != 1 || !slices.Equal(changed, []string{"revocations jti"}) {
			t.Errorf("%d loads and changes %v, want one load and the change made meanwhile", loads, changed)
		}
		check(t, "client changed meanwhile", readClient, s, client(2), nil)
		if n := f.readsOf(string(cli)); n != 1 {
			t.Errorf("client read %d times, want 1", n)
		}
	})
}

func TestSilentFeedIsOpenedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		d := &deaf{fake: f}
		s := start(t, d)
		commit(t, f, store.Insert(&store.Workspace{ID: "w"}))
		time.Sleep(11 * time.Second)
		if s.Workspace("w") == nil || s.Age() > time.Second {
			t.Errorf("11 s after the feed fell silent the change is not here, age %v", s.Age())
		}
	})
}

// deaf is a store whose first feed never says anything.
type deaf struct {
	*fake
	opened int
}

func (d *deaf) Watch(ctx context.Context, from store.Position) (store.Feed, error) {
	opened, err := d.fake.Watch(ctx, from)
	if d.opened++; d.opened == 1 && err == nil {
		opened = deafFeed{opened}
	}
	return opened, err
}

type deafFeed struct{ store.Feed }

func (deafFeed) Next(ctx context.Context) (store.Change, error) {
	<-ctx.Done()
	return store.Change{}, ctx.Err()
}

func TestGapLoadsEverythingAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone, kept := &store.Role{ID: "gone", Ref: "w/gone"}, &store.Role{ID: "kept", Ref: "w/kept"}
		f, sub := newFake(client(1), account(1), gone.WithRev(1), kept.WithRev(1)), new(subscriber)
		s := start(t, f, sub)
		check(t, "client", readClient, s, client(1), nil)
		check(t, "holder", readHolder, s, &store.Holder{Account: account(1)}, nil)

		f.set(func() { f.held = true })
		commit(t, f, store.Update(client(1)), store.Update(account(1)), store.Delete(gone.WithRev(1)), store.Update(kept.WithRev(1)))
		time.Sleep(5 * time.Second)
		f.set(func() { f.down, f.held, f.lost = true, false, len(f.log)+1 })
		time.Sleep(5 * time.Second)
		if age := s.Age(); age < 10*time.Second {
			t.Errorf("age after 10 s in which nothing was loaded: %v", age)
		}
		if s.Role("gone") == nil || s.Role("kept").Revision != 1 {
			t.Error("what was in memory is not served while it cannot be loaded")
		}
		check(t, "client", readClient, s, client(1), nil)

		f.set(func() { f.down, f.log = false, append(f.log, f.log...) }) // past the gap
		time.Sleep(3 * time.Second)
		if s.Role("gone") != nil || s.RoleByRef("w/gone") != nil || s.Role("kept").Revision != 2 {
			t.Error("what changed in the gap is not here after the load")
		}
		if loads, loaded, _ := sub.knows(); loads != 2 || !slices.Equal(loaded, []string{"roles kept"}) {
			t.Errorf("%d loads, the last of %v, want a second one of the role that is left", loads, loaded)
		}
		check(t, "client changed in the gap", readClient, s, client(2), nil)
		check(t, "account changed in the gap", readHolder, s, &store.Holder{Account: account(2)}, nil)
		if age := s.Age(); age > time.Second {
			t.Errorf("age after the load: %v", age)
		}
	})
}

// The feed is opened before the snapshot is read: what is in both is told once.
func TestChangeThatTheSnapshotHoldsIsNotToldAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, sub := newFake(), new(subscriber)
		w := &watching{fake: f, meanwhile: func() {
			commit(t, f, store.Insert(&store.Role{ID: "r", Ref: "w/r"}), store.Insert(grant("tea1", "w", 0)), store.Insert(&store.Installation{ID: store.InstallationKey}))
			commit(t, f, store.Insert(&store.Role{ID: "x", Ref: "w/x"}))
			commit(t, f, store.Delete(&store.Role{ID: "x", Revision: 1}))
		}}
		s := start(t, w, sub)
		commit(t, s, store.Update(&store.Role{ID: "r", Ref: "w/r", Revision: 1}))
		want := []string{"roles x", "roles x", "roles r"}
		if _, _, changed := sub.knows(); !slices.Equal(changed, want) {
			t.Errorf("changes told: %v, want %v", changed, want)
		}
		if s.Role("x") != nil || s.RoleByRef("w/x") != nil || s.Role("r").Revision != 2 {
			t.Error("memory is not what the feed ended with")
		}
	})
}

// watching is a store in which something happens right after a feed is opened.
type watching struct {
	*fake
	meanwhile func()
}

func (w *watching) Watch(ctx context.Context, from store.Position) (store.Feed, error) {
	opened, err := w.fake.Watch(ctx, from)
	w.meanwhile()
	return opened, err
}

func TestOwnHeartbeatsOnlyMakeYoung(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		s := start(t, silent{f})
		time.Sleep(5 * time.Second)
		for node, count := range map[string]int64{"other": 4900, "itself": 3_600_000} {
			if err := f.Beat(t.Context(), node, count); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if age := s.Age(); age < 5*time.Second {
			t.Errorf("age after heartbeats of another node and another life: %v", age)
		}
		if err := f.Beat(t.Context(), "itself", 4000); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if age := s.Age(); age < time.Second || age > time.Second+250*time.Millisecond {
			t.Errorf("age when a heartbeat written a second ago came back: %v", age)
		}
	})
}

// silent is a store that loses heartbeats.
type silent struct{ *fake }

func (silent) Beat(context.Context, string, int64) error { return nil }
