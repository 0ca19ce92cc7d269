package cached_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/store"
	"postern/store/cached"
)

const (
	cli store.ClientID  = "cliexample"
	usr store.AccountID = "usrexample"
)

func client(rev int64) *store.Client { return &store.Client{ID: cli, Revision: rev} }

func account(rev int64) *store.Account { return &store.Account{ID: usr, Revision: rev} }

func grant(holder string, workspace store.WorkspaceID, rev int64) *store.Grant {
	h := store.HolderID(holder)
	return &store.Grant{ID: store.NewGrantID(h, workspace), Revision: rev, Holder: h, Workspace: workspace}
}

// start runs a store until the end of a synctest, and returns it loaded.
func start(t *testing.T, inner store.Store, subscribers ...cached.Subscriber) *cached.Store {
	t.Helper()
	s := loaded(t, inner, cached.Options{Subscribers: subscribers})
	synctest.Wait() // its first heartbeat has come back
	return s
}

func commit(t *testing.T, s store.Committer, writes ...store.Write) {
	t.Helper()
	if err := s.Commit(t.Context(), writes...); err != nil {
		t.Fatalf("commit: %v", err)
	}
}

// A load that is held open while a change of its key is committed and applied
// must not leave what it read in memory.
func TestStaleLoadIsNotRemembered(t *testing.T) {
	g, grants := grant(string(usr), "w", 1), "grants of "+string(usr)
	tests := []struct {
		name   string
		stored []store.Record
		held   string // the key whose read is held
		write  store.Write
		read   func(context.Context, *cached.Store) (any, error)
		want   any
		err    error
	}{
		{
			name: "client changed", stored: []store.Record{client(1)}, held: string(cli), write: store.Update(client(1)),
			read: readClient, want: client(2),
		},
		{
			name: "client deleted", stored: []store.Record{client(1)}, held: string(cli), write: store.Delete(client(1)),
			read: readClient, want: (*store.Client)(nil), err: store.ErrNotFound,
		},
		{
			name: "client made", held: string(cli), write: store.Insert(client(0)),
			read: readClient, want: client(1),
		},
		{
			name: "account changed", stored: []store.Record{account(1), g}, held: string(usr), write: store.Update(account(1)),
			read: readHolder, want: &store.Holder{Account: account(2), Grants: []*store.Grant{g}},
		},
		{
			name: "account made", held: string(usr), write: store.Insert(account(0)),
			read: readHolder, want: &store.Holder{Account: account(1)},
		},
		{
			name: "grant made", stored: []store.Record{account(1)}, held: grants, write: store.Insert(g),
			read: readHolder, want: &store.Holder{Account: account(1), Grants: []*store.Grant{g}},
		},
		{
			name: "grant taken", stored: []store.Record{account(1), g}, held: grants, write: store.Delete(g),
			read: readHolder, want: &store.Holder{Account: account(1)},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(tt.stored...)
				s := start(t, f)
				release := f.hold(tt.held)
				early := make(chan struct{})
				go func() {
					_, _ = tt.read(t.Context(), s)
					close(early)
				}()
				synctest.Wait() // the record is read, and on its way
				commit(t, s, tt.write)
				late := make(chan struct{})
				go func() {
					defer close(late)
					check(t, "read begun after the change", tt.read, s, tt.want, tt.err)
				}()
				synctest.Wait()
				release()
				<-early
				<-late
				check(t, "read after the held one landed", tt.read, s, tt.want, tt.err)
			})
		})
	}
}

func TestStaleLoadIsNotRememberedAfterAGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(client(1))
		s := start(t, f)
		release := f.hold(string(cli))
		early := make(chan struct{})
		go func() {
			_, _ = s.Client(t.Context(), cli)
			close(early)
		}()
		synctest.Wait()
		f.set(func() { f.held = true })
		commit(t, f, store.Update(client(1)))
		f.set(func() { f.held, f.lost = false, len(f.log) })
		time.Sleep(time.Second)
		check(t, "read after the load of everything", readClient, s, client(2), nil)
		release()
		<-early
		check(t, "read after the held one landed", readClient, s, client(2), nil)
	})
}

func readClient(ctx context.Context, s *cached.Store) (any, error) { return s.Client(ctx, cli) }
func readHolder(ctx context.Context, s *cached.Store) (any, error) { return s.Holder(ctx, usr) }

func check(t *testing.T, what string, read func(context.Context, *cached.Store) (any, error), s *cached.Store, want any, wantErr error) {
	t.Helper()
	got, err := read(t.Context(), s)
	if !errors.Is(err, wantErr) {
		t.Errorf("%s: got error %v, want %v", what, err, wantErr)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestWhatIsInMemoryFollowsChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := grant(string(usr), "w", 1)
		f := newFake(client(1), account(1), g)
		s := start(t, f)
		check(t, "client", readClient, s, client(1), nil)
		check(t, "holder", readHolder, s, &store.Holder{Account: account(1), Grants: []*store.Grant{g}}, nil)
		commit(t, f, store.Update(client(1)), store.Update(account(1)))
		synctest.Wait()
		f.set(func() { f.down = true })
		check(t, "client changed elsewhere", readClient, s, client(2), nil)
		check(t, "holder changed elsewhere", readHolder, s, &store.Holder{Account: account(2), Grants: []*store.Grant{g}}, nil)
	})
}

func TestLateChangeDoesNotReplaceNewerRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(client(1), account(1), &store.Workspace{ID: "w", Revision: 1, Name: "w"})
		s := start(t, f)
		f.set(func() { f.held = true })
		for rev := range int64(2) {
			commit(t, f, store.Update(client(rev+1)), store.Update(account(rev+1)))
		}
		check(t, "client", readClient, s, client(3), nil)
		check(t, "holder", readHolder, s, &store.Holder{Account: account(3)}, nil)
		f.set(func() { f.held, f.log = false, f.log[:len(f.log)-2] }) // only the older ones come
		synctest.Wait()
		check(t, "client after a late change", readClient, s, client(3), nil)
		check(t, "holder after a late change", readHolder, s, &store.Holder{Account: account(3)}, nil)
		if n := f.readsOf(string(cli)); n != 1 {
			t.Errorf("the client was read %d times, want 1", n)
		}
	})
}

// A primary that was stopped and goes on may answer from its past for a while.
func TestOutdatedAnswerDoesNotReplaceNewerRecord(t *testing.T) {
	tests := []struct {
		name     string
		now, old []store.Record
		read     func(context.Context, *cached.Store) (any, error)
		want     any
		none     any
	}{
		{
			name: "client", now: []store.Record{client(2)}, old: []store.Record{client(1)},
			read: readClient, want: client(2), none: (*store.Client)(nil),
		},
		{
			name: "account", now: []store.Record{account(2)}, old: []store.Record{account(1)},
			read: readHolder, want: &store.Holder{Account: account(2)}, none: (*store.Holder)(nil),
		},
		{
			name: "grant", now: []store.Record{account(1), grant(string(usr), "w", 2)}, old: []store.Record{grant(string(usr), "w", 1)},
			read: readHolder, want: &store.Holder{Account: account(1), Grants: []*store.Grant{grant(string(usr), "w", 2)}}, none: (*store.Holder)(nil),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(tt.now...)
				s := start(t, f)
				check(t, "read", tt.read, s, tt.want, nil)
				f.set(func() {
					for _, r := range tt.old {
						f.records[place(r)] = r
					}
				})
				time.Sleep(40 * time.Second)
				check(t, "read that begins a renewal", tt.read, s, tt.want, nil)
				synctest.Wait()
				check(t, "read after the renewal", tt.read, s, tt.want, nil)
				time.Sleep(20 * time.Second)
				check(t, "read when what is known is dead", tt.read, s, tt.none, store.ErrUnavailable)
				f.set(func() {
					for _, r := range tt.now {
						f.records[place(r)] = r
					}
				})
				check(t, "read of the right primary", tt.read, s, tt.want, nil)
			})
		})
	}
}

func TestMissIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		s := start(t, f)
		for range 3 {
			check(t, "unknown client", readClient, s, (*store.Client)(nil), store.ErrNotFound)
			check(t, "unknown account", readHolder, s, (*store.Holder)(nil), store.ErrNotFound)
		}
		if c, a := f.readsOf(string(cli)), f.readsOf(string(usr)); c != 1 || a != 1 {
			t.Errorf("unknown client read %d times, account %d times, want 1 each", c, a)
		}
		commit(t, s, store.Insert(client(0)), store.Insert(account(0)))
		check(t, "new client", readClient, s, client(1), nil)
		check(t, "new account", readHolder, s, &store.Holder{Account: account(1)}, nil)
	})
}

func TestHugeUnknownIDIsNotRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		s := start(t, f)
		id := store.ClientID(make([]byte, 64<<10))
		for range 2 {
			if _, err := s.Client(t.Context(), id); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("unknown client: got error %v, want ErrNotFound", err)
			}
		}
		if n := f.readsOf(string(id)); n != 2 {
			t.Errorf("read %d times, want 2", n)
		}
	})
}

func TestMemoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		s := loaded(t, f, cached.Options{Clients: 10})
		reads := 0
		for round := range 2 {
			for i := range 1000 {
				id := store.ClientID(fmt.Sprint("unknown", i))
				if _, err := s.Client(t.Context(), id); !errors.Is(err, store.ErrNotFound) {
					t.Fatalf("unknown client: got error %v, want ErrNotFound", err)
				}
				synctest.Wait() // what is too much goes
				if round == 1 {
					reads += f.readsOf(string(id))
				}
			}
		}
		if reads < 1980 {
			t.Errorf("1000 unknown clients asked for twice are %d reads: more than 10 were remembered", reads)
		}
	})
}

func TestManyReadersLoadOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(client(1))
		s := start(t, f)
		release := f.hold(string(cli))
		first, cancel := context.WithCancel(t.Context())
		given := make(chan error)
		go func() {
			_, err := s.Client(first, cli)
			given <- err
		}()
		synctest.Wait()
		const readers = 100
		errs := make(chan error, readers)
		for range readers {
			go func() {
				_, err := s.Client(t.Context(), cli)
				errs <- err
			}()
		}
		synctest.Wait()
		cancel()
		if err := <-given; !errors.Is(err, context.Canceled) {
			t.Errorf("who began the load and gave up: got error %v, want Canceled", err)
		}
		release()
		for range readers {
			if err := <-errs; err != nil {
				t.Errorf("who waited for the load of another: %v", err)
			}
		}
		if n := f.readsOf(string(cli)); n != 1 {
			t.Errorf("read %d times, want 1", n)
		}
	})
}

func TestCancelledContextIsItsOwnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, newFake(client(1)))
		check(t, "client", readClient, s, client(1), nil)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for _, id := range []store.ClientID{cli, "unknown"} {
			if _, err := s.Client(ctx, id); !errors.Is(err, context.Canceled) {
				t.Errorf("client %s: got error %v, want Canceled", id, err)
			}
		}
	})
}

func TestRecordDiesAfterAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(client(1), account(1))
		s := start(t, f)
		check(t, "client", readClient, s, client(1), nil)
		check(t, "account", readHolder, s, &store.Holder{Account: account(1)}, nil)
		f.set(func() { f.down = true })
		time.Sleep(59 * time.Second)
		check(t, "client after 59 s", readClient, s, client(1), nil)
		check(t, "account after 59 s", readHolder, s, &store.Holder{Account: account(1)}, nil)
		time.Sleep(time.Second)
		check(t, "client after a minute of outage", readClient, s, (*store.Client)(nil), store.ErrUnavailable)
		check(t, "account after a minute of outage", readHolder, s, (*store.Holder)(nil), store.ErrUnavailable)
		if _, err := s.Client(t.Context(), "unknown"); !errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrNotFound) {
			t.Errorf("client never seen, in an outage: got error %v, want ErrUnavailable", err)
		}
		f.set(func() { f.down = false })
		check(t, "client after the outage", readClient, s, client(1), nil)
	})
}

func TestUsedRecordIsRenewedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(client(1))
		s := start(t, f)
		for range 4 {
			check(t, "client", readClient, s, client(1), nil)
			time.Sleep(20 * time.Second)
		}
		if n := f.readsOf(string(cli)); n != 2 {
			t.Errorf("read %d times in 80 s, want 2", n)
		}
		f.set(func() { f.down = true })
		check(t, "client 40 s after its renewal", readClient, s, client(1), nil)
		time.Sleep(15 * time.Second)
		check(t, "client 55 s after its renewal", readClient, s, client(1), nil)
		f.set(func() { f.down = false })
		check(t, "client whose renewal failed", readClient, s, client(1), nil)
		synctest.Wait()
		if n := f.readsOf(string(cli)); n < 4 {
			t.Errorf("read %d times, want a renewal after the one that failed", n)
		}
	})
}

func TestStuckLoadIsAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, stuck{newFake()})
		check(t, "client of a store that hangs", readClient, s, (*store.Client)(nil), store.ErrUnavailable)
	})
}

// stuck never answers for a client.
type stuck struct{ *fake }

func (stuck) Client(ctx context.Context, _ store.ClientID) (*store.Client, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}
