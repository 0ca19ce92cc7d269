package cached_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"postern/store"
	"postern/store/cached"
)

// begin commits beside the test.
func begin(ctx context.Context, s store.Committer, writes ...store.Write) <-chan error {
	done := make(chan error, 1)
	go func() { done <- s.Commit(ctx, writes...) }()
	return done
}

func pending(t *testing.T, what string, done <-chan error) {
	t.Helper()
	synctest.Wait()
	select {
	case err := <-done:
		t.Fatalf("%s returned %v, want it to wait", what, err)
	default:
	}
}

func TestCommitWaitsUntilItIsInForce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, sub := newFake(client(1), &store.Role{ID: "r", Revision: 1}), new(subscriber)
		s := start(t, f, sub)
		check(t, "client", readClient, s, client(1), nil)
		f.set(func() { f.held = true })
		done := begin(t.Context(), s, store.Update(client(1)), store.Insert(&store.AuditEntry{ID: "e"}),
			store.Insert(&store.Revocation{ID: "jti", Client: cli}), store.Delete(&store.Role{ID: "r", Revision: 1}))
		pending(t, "commit whose changes have not come", done)
		if s.Revoked("jti") {
			t.Error("revoked before the change came")
		}
		f.set(func() { f.held = false })
		if err := <-done; err != nil {
			t.Errorf("commit: %v", err)
		}
		if !s.Revoked("jti") || s.Role("r") != nil {
			t.Error("not in force when the commit returned")
		}
		if _, _, changed := sub.knows(); len(changed) != 2 {
			t.Errorf("the subscriber was told of %v, want two changes", changed)
		}
		f.set(func() { f.down = true })
		check(t, "client", readClient, s, client(2), nil)
	})
}

func TestCommitThatDoesNotComeBackIsSaved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		s := start(t, f)
		f.set(func() { f.held = true })
		begun := time.Now()
		err := s.Commit(t.Context(), store.Insert(client(0)))
		if u, ok := errors.AsType[*store.Unavailable](err); !ok || !u.Saved || u.Unknown {
			t.Errorf("commit: got error %#v, want Unavailable that is Saved", err)
		}
		if took := time.Since(begun); took != 3*time.Second {
			t.Errorf("commit waited %v, want 3 s", took)
		}

		ctx, cancel := context.WithCancel(t.Context())
		done := begin(ctx, s, store.Insert(account(0)))
		pending(t, "commit", done)
		cancel()
		err = <-done
		if u, ok := errors.AsType[*store.Unavailable](err); !ok || !u.Saved || !errors.Is(err, context.Canceled) {
			t.Errorf("commit given up: got error %v, want Unavailable that is Saved, and Canceled", err)
		}
	})
}

func TestCommitErrorIsPassedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		s := start(t, f)
		f.set(func() { f.down = true })
		err := s.Commit(t.Context(), store.Insert(client(0)))
		if u, ok := errors.AsType[*store.Unavailable](err); !ok || u.Saved {
			t.Errorf("commit in an outage: got error %v, want Unavailable that is not Saved", err)
		}
	})
}

func TestOlderChangeDoesNotLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(client(1))
		s := start(t, f)
		f.set(func() { f.held = true })
		commit(t, f, store.Update(client(1)))
		done := begin(t.Context(), s, store.Update(client(2)))
		synctest.Wait()
		f.set(func() { f.held, f.log = false, f.log[:len(f.log)-1] })
		pending(t, "commit of revision 3 when 2 came", done)
		f.set(func() {
			f.log = append(f.log, store.Change{Kind: store.KindClient, Key: string(cli), Record: client(3)})
		})
		if err := <-done; err != nil {
			t.Errorf("commit: %v", err)
		}
	})
}

func TestCommitIsInForceAfterALoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		s := start(t, f)
		f.set(func() { f.held = true })
		done := begin(t.Context(), s, store.Insert(&store.Revocation{ID: "jti"}))
		pending(t, "commit", done)
		f.set(func() { f.lost, f.held = len(f.log), false })
		if err := <-done; err != nil {
			t.Errorf("commit whose change was lost, after a load: %v", err)
		}
		if !s.Revoked("jti") {
			t.Error("not in force when the commit returned")
		}
	})
}

func TestCommitWithoutRunDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		s := cached.New(f, cached.Options{Node: "node"})
		commit(t, s, store.Insert(client(0)))
		check(t, "client", readClient, s, client(1), nil)

		f.held = true
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- s.Run(ctx) }()
		<-s.Ready()
		done := begin(t.Context(), s, store.Update(client(1)))
		pending(t, "commit", done)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("commit when Run ends: %v", err)
		}
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		commit(t, s, store.Update(client(2)))
		check(t, "client after Run", readClient, s, client(3), nil)
	})
}
