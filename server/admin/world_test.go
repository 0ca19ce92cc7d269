package admin_test

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"postern/policy"
	"postern/server/admin"
	"postern/server/audit"
	"postern/server/keys"
	"postern/store"
	"postern/store/cached"
	"postern/store/sqlite"
)

// world is an installation after its first start, without any door.
type world struct {
	*admin.Admin
	made   *admin.Bootstrap
	state  *cached.Store
	merger *audit.Merger
	broken *breakable
	root   *admin.Actor // the administrator, by the client for the command line
	t      *testing.T
}

// breakable is a store that can be made to fail.
type breakable struct {
	store.Store
	err atomic.Pointer[error]
}

func (b *breakable) Commit(ctx context.Context, writes ...store.Write) error {
	if err := b.err.Load(); err != nil {
		return *err
	}
	return b.Store.Commit(ctx, writes...)
}

func (b *breakable) fail(err error) {
	if err == nil {
		b.err.Store(nil)
		return
	}
	b.err.Store(&err)
}

type late struct{ store.Store }

func start(t *testing.T, edit ...func(*admin.Options)) *world {
	t.Helper()
	backend, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	kek, err := keys.ParseKEKs(keys.GenerateKEK())
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	w := &world{t: t, broken: &breakable{Store: backend}}
	engine, through := policy.New(policy.Options{Log: log}), &late{}
	ring := keys.New(keys.Options{Store: through, KEK: kek, Log: log})
	w.state = cached.New(w.broken, cached.Options{Node: "test", Log: log, Subscribers: []cached.Subscriber{engine, ring}})
	through.Store = w.state
	w.merger = audit.NewMerger(audit.MergerOptions{Store: backend, Log: log})
	o := admin.Options{
		Store: w.state, State: w.state, Policy: engine, Keys: ring, CursorKey: make([]byte, 32), Issuer: "https://postern.test",
		NeverAllowed: true, Refusals: w.merger, Log: log,
	}
	for _, e := range edit {
		e(&o)
	}
	w.Admin = admin.New(o)
	if w.made, err = w.Bootstrap(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- w.state.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		<-ended //nolint:errcheck // it ends with its context
		if err := backend.Close(); err != nil {
			t.Error(err)
		}
	})
	<-w.state.Ready()
	w.root = w.actor(w.made.Admin.Client)
	return w
}

// actor is who acts by a client, with any scope.
func (w *world) actor(c *store.Client) *admin.Actor {
	w.t.Helper()
	current, err := w.state.Client(w.t.Context(), c.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	h, err := w.state.Holder(w.t.Context(), c.Account)
	if err != nil {
		w.t.Fatal(err)
	}
	return &admin.Actor{Holder: h, Client: current, AnyScope: true}
}

// machine makes a client whose account holds roles, and who acts by it.
func (w *world) machine(workspace string, roles ...string) (*admin.Created, *admin.Actor) {
	w.t.Helper()
	made, err := w.CreateClient(w.t.Context(), w.root, admin.NewClient{Name: "machine", Workspace: workspace, Roles: roles})
	if err != nil {
		w.t.Fatal(err)
	}
	return made, w.actor(made.Client)
}

// kind is the kind of a refusal; 0 is none.
func kind(t *testing.T, err error) admin.Kind {
	t.Helper()
	if err == nil {
		return 0
	}
	e, ok := errors.AsType[*admin.Error](err)
	if !ok {
		t.Fatalf("got %v, want an *admin.Error", err)
	}
	return e.Kind
}

const hour = time.Hour
