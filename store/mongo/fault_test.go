package mongo_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"postern/store"
	"postern/store/mongo"
	"postern/store/mongo/mongotest"
)

// faulty is a replica set of one node that fails when it is told to.
type faulty struct {
	set   *mongotest.Set
	admin *driver.Database
}

func startFaulty(t *testing.T) faulty {
	t.Helper()
	wrap(t).write(t, "none", "--setParameter enableTestCommands=1")
	set := startSet(t, 1)
	return faulty{set, direct(t, set.URI).Database("admin")}
}

func (f faulty) open(t *testing.T) *mongo.Store {
	t.Helper()
	return connect(t, mongo.Options{URI: f.set.URI, Database: "postern"})
}

// fail makes the next commands of Postern fail, until it is mended.
func (f faulty) fail(t *testing.T, times int, how bson.D) (mend func()) {
	t.Helper()
	how = append(how, bson.E{Key: "appName", Value: "postern"})
	command(t, f.admin, bson.D{
		{Key: "configureFailPoint", Value: "failCommand"}, {Key: "mode", Value: bson.D{{Key: "times", Value: times}}}, {Key: "data", Value: how},
	})
	return func() {
		t.Helper()
		command(t, f.admin, bson.D{{Key: "configureFailPoint", Value: "failCommand"}, {Key: "mode", Value: "off"}})
	}
}

func on(commands ...string) bson.D { return bson.D{{Key: "failCommands", Value: commands}} }

func code(n int, commands ...string) bson.D {
	return append(on(commands...), bson.E{Key: "errorCode", Value: n})
}

func closed(commands ...string) bson.D {
	return append(on(commands...), bson.E{Key: "closeConnection", Value: true})
}

// unconfirmed lets the command be done, and then denies a majority.
func unconfirmed(n int, commands ...string) bson.D {
	return append(on(commands...), bson.E{Key: "writeConcernError", Value: bson.D{
		{Key: "code", Value: n}, {Key: "errmsg", Value: "made up"},
	}})
}

// What can be repeated is, and what cannot be is an outage that says whether
// the write may have been done.
func TestCommitThroughFaults(t *testing.T) {
	f := startFaulty(t)
	s := f.open(t)
	commits := map[string]func(id string) (before, writes []store.Write){
		"an insert": func(id string) (before, writes []store.Write) {
			return nil, []store.Write{store.Insert(&store.Revocation{ID: id})}
		},
		"an update": func(id string) (before, writes []store.Write) {
			return []store.Write{store.Insert(&store.Revocation{ID: id})}, []store.Write{store.Update(&store.Revocation{ID: id, Revision: 1})}
		},
		"several": func(id string) (before, writes []store.Write) {
			return []store.Write{store.Insert(&store.Revocation{ID: id})}, []store.Write{
				store.Update(&store.Revocation{ID: id, Revision: 1}), store.Insert(&store.Lease{ID: id}), store.Insert(&store.Client{ID: store.ClientID(id)}),
			}
		},
	}
	single, transaction, both := []string{"an insert", "an update"}, []string{"several"}, []string{"an insert", "an update", "several"}
	writes := []string{"insert", "update"}
	writesAndCommit := append(writes, "commitTransaction")
	const done, refused, either = "done", "refused", "either"
	for _, tt := range []struct {
		name  string
		at    []string
		times int
		fault bson.D
		want  string
	}{
		{"not primary (10107) once", both, 1, code(10107, writesAndCommit...), done},
		{"not primary (10107) twice", both, 2, code(10107, writesAndCommit...), done},
		{"a connection closed once", both, 1, closed(writesAndCommit...), done},
		{"a connection closed twice", both, 2, closed(writesAndCommit...), done},
		{"a connection closed ten times", both, 10, closed(writesAndCommit...), done},
		{"a time limit (50)", both, 1, code(50, writes...), done},
		{"a full disk (14031)", both, 1, code(14031, writes...), refused},
		{"no permission (13)", both, 1, code(13, writes...), refused},
		{"a late majority (64)", single, 1, unconfirmed(64, writes...), done},
		{"a late majority (64) three times", single, 3, unconfirmed(64, writes...), done},
		{"a shutdown after the write (91)", both, 1, unconfirmed(91, writesAndCommit...), done},
		{"a full disk after the write (14031)", single, 1, unconfirmed(14031, writes...), done},
		{"a time limit after the write (50)", single, 1, unconfirmed(50, writes...), done},
		{"a commit closed once", transaction, 1, closed("commitTransaction"), done},
		{"a commit closed five times", transaction, 5, closed("commitTransaction"), done},
		{"a commit without a majority (64)", transaction, 1, unconfirmed(64, "commitTransaction"), done},
		{"a commit without a majority (64) three times", transaction, 3, unconfirmed(64, "commitTransaction"), done},
		{"a commit without permission (13)", transaction, 1, code(13, "commitTransaction"), either},
		{"a conflict at the commit (112)", transaction, 3, code(112, "commitTransaction"), either},
		{"a transaction that is gone (251)", transaction, 1, code(251, "commitTransaction"), either},
		{"an abort closed", transaction, 3, closed("abortTransaction"), done},
	} {
		for _, commit := range tt.at {
			t.Run(tt.name+" at "+commit, func(t *testing.T) {
				id := t.Name()
				before, writes := commits[commit](id)
				if err := s.Commit(t.Context(), before...); err != nil {
					t.Fatalf("commit before the fault: %v", err)
				}
				mend := f.fail(t, tt.times, tt.fault)
				err := s.Commit(t.Context(), writes...)
				mend()
				hashable(err)
				outage, out := errors.AsType[*store.Unavailable](err)
				if err != nil && !out {
					t.Fatalf("got error %v, want none or an outage", err)
				}
				if isDone := revision(t, s, id) == writes[0].Stored().Rev(); isDone != (err == nil) && (err == nil || !outage.Unknown) {
					t.Errorf("got error %v, and it was done: %t", err, isDone)
				}
				if tt.want == done && err != nil || tt.want == refused && (err == nil || outage.Unknown) {
					t.Errorf("got error %v, want it %s", err, tt.want)
				}
			})
		}
	}
}

// revision is what the revocation with this id is at, or 0.
func revision(t *testing.T, s store.Store, id string) (is int64) {
	t.Helper()
	err := s.All(t.Context(), func(r store.Record) error {
		if r.Key() == id {
			is = r.Rev()
		}
		return nil
	}, store.KindRevocation)
	if err != nil {
		t.Fatalf("read what was written: %v", err)
	}
	return is
}

// hashable panics if an error, or one that it wraps, cannot be the key of a map.
func hashable(err error) {
	seen := map[error]bool{}
	for ; err != nil; err = errors.Unwrap(err) {
		seen[err] = true
	}
}

// A refusal is right only if it is not this commit's own earlier attempt that
// is in its way.
func TestRefusalsThroughFaults(t *testing.T) {
	f := startFaulty(t)
	s := f.open(t)
	for name, tt := range map[string]struct {
		writes []store.Write
		want   error
	}{
		"a taken key":  {[]store.Write{store.Insert(&store.Team{ID: "t1", Name: "other"})}, store.ErrExists},
		"a taken name": {[]store.Write{store.Insert(&store.Team{ID: "t2", Name: "t1"})}, store.ErrExists},
		"a stale one":  {[]store.Write{store.Update(&store.Team{ID: "t1", Name: "t1", Revision: 7})}, store.ErrConflict},
		"a stale one of several": {[]store.Write{
			store.Insert(&store.Team{ID: "t3", Name: "t3"}), store.Update(&store.Team{ID: "t1", Name: "t1", Revision: 7}),
		}, store.ErrConflict},
	} {
		t.Run(name, func(t *testing.T) {
			if err := s.Commit(t.Context(), store.Insert(&store.Team{ID: "t1", Name: "t1"})); err != nil && !errors.Is(err, store.ErrExists) {
				t.Fatalf("commit before the fault: %v", err)
			}
			mend := f.fail(t, 2, closed("insert", "update"))
			err := s.Commit(t.Context(), tt.writes...)
			mend()
			if outage, ok := errors.AsType[*store.Unavailable](err); !errors.Is(err, tt.want) && (!ok || !outage.Unknown) {
				t.Errorf("got error %v, want %v", err, tt.want)
			}
			hashable(err)
		})
	}
}

func TestReadsThroughFaults(t *testing.T) {
	f := startFaulty(t)
	s := f.open(t)
	if err := s.Commit(t.Context(), store.Insert(&store.Client{ID: "c"})); err != nil {
		t.Fatalf("commit: %v", err)
	}
	for _, tt := range []struct {
		name  string
		times int
		fault bson.D
		good  bool
	}{
		{"10107 twice", 2, code(10107, "find", "aggregate"), true},
		{"a connection closed twice", 2, closed("find", "aggregate"), true},
		{"a time limit", 2, code(50, "find", "aggregate"), true},
		{"no snapshot", 1, code(246, "find", "aggregate"), true},
		{"no permission", 1, code(13, "find", "aggregate"), false},
	} {
		for call, do := range map[string]func(context.Context) error{
			"Client":  func(ctx context.Context) error { _, err := s.Client(ctx, "c"); return err },
			"Clients": func(ctx context.Context) error { _, err := s.Clients(ctx, store.ClientQuery{}); return err },
			"All": func(ctx context.Context) error {
				return s.All(ctx, func(store.Record) error { return nil }, store.KindClient)
			},
		} {
			t.Run(tt.name+" at "+call, func(t *testing.T) {
				mend := f.fail(t, tt.times, tt.fault)
				err := do(t.Context())
				mend()
				hashable(err)
				if tt.good && err != nil {
					t.Errorf("got error %v, want none", err)
				}
				if !tt.good && !errors.Is(err, store.ErrUnavailable) {
					t.Errorf("got error %v, want ErrUnavailable", err)
				}
			})
		}
	}
}

func TestFeedThroughFaults(t *testing.T) {
	f := startFaulty(t)
	s := f.open(t)
	for n, tt := range []struct {
		name  string
		times int
		fault bson.D
		gap   bool
	}{
		{"a cursor that is gone", 1, code(43, "getMore"), false},
		{"a connection closed", 1, closed("getMore"), false},
		{"a connection closed, and again when it is resumed", 4, closed("getMore", "aggregate"), false},
		{"not primary any more", 2, code(10107, "getMore"), false},
		{"no permission", 1, code(13, "getMore"), false},
		{"an oplog that does not go back so far", 1, code(286, "getMore"), true},
		{"a stream that cannot go on", 1, code(280, "getMore"), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			feed, err := s.Watch(t.Context(), "")
			if err != nil {
				t.Fatalf("watch: %v", err)
			}
			t.Cleanup(func() { _ = feed.Close() })
			defer f.fail(t, tt.times, tt.fault)()
			var want []string
			for i := range 3 {
				want = append(want, fmt.Sprintf("feed-%d-%d", n, i))
				if err := s.Commit(t.Context(), store.Insert(&store.Revocation{ID: want[i]})); err != nil {
					t.Fatalf("commit: %v", err)
				}
			}
			for len(want) > 0 {
				c, err := feed.Next(t.Context())
				hashable(err)
				switch {
				case tt.gap && errors.Is(err, store.ErrGap):
					return
				case errors.Is(err, store.ErrUnavailable):
					continue // it opens again where it was
				case err != nil:
					t.Fatalf("next: %v", err)
				case c.Key != want[0]:
					t.Fatalf("next: got the change of %s, want that of %s", c.Key, want[0])
				}
				want = want[1:]
			}
			if tt.gap {
				t.Error("the feed went on, want ErrGap")
			}
		})
	}
	t.Run("a position that the oplog has no more", func(t *testing.T) {
		feed, err := s.Watch(t.Context(), "")
		if err != nil {
			t.Fatalf("watch: %v", err)
		}
		t.Cleanup(func() { _ = feed.Close() })
		defer f.fail(t, 1, code(286, "aggregate"))()
		if _, err := s.Watch(t.Context(), feed.Position()); !errors.Is(err, store.ErrGap) {
			t.Errorf("watch from there: got error %v, want ErrGap", err)
		}
	})
	for name, deed := range map[string]bson.D{
		"a drop":             {{Key: "drop", Value: "leases"}, {Key: "comment", Value: "not watched"}},
		"a drop of teams":    {{Key: "drop", Value: "teams"}},
		"an update by hand":  {{Key: "update", Value: "revocations"}, {Key: "updates", Value: bson.A{bson.D{{Key: "q", Value: bson.D{}}, {Key: "u", Value: bson.D{{Key: "$set", Value: bson.D{{Key: "x", Value: 1}}}}}}}}},
		"the whole database": {{Key: "dropDatabase", Value: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			db := f.admin.Client().Database("postern-" + fmt.Sprint(len(name)))
			s := connect(t, mongo.Options{URI: f.set.URI, Database: db.Name()})
			if err := s.Commit(t.Context(), store.Insert(&store.Revocation{ID: "r"})); err != nil {
				t.Fatalf("commit: %v", err)
			}
			feed, err := s.Watch(t.Context(), "")
			if err != nil {
				t.Fatalf("watch: %v", err)
			}
			t.Cleanup(func() { _ = feed.Close() })
			command(t, db, deed)
			if err := s.Beat(t.Context(), "node", 1); err != nil {
				t.Fatalf("beat: %v", err)
			}
			c, err := feed.Next(t.Context())
			if name == "a drop" {
				if err != nil || c.Key != "node" {
					t.Errorf("next after a drop of what is not watched: got %+v, %v; want the heartbeat", c, err)
				}
			} else if !errors.Is(err, store.ErrGap) {
				t.Errorf("next: got %+v, %v; want ErrGap", c, err)
			}
		})
	}
}
