package server_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"postern/server"
	"postern/server/secret"
	"postern/store"
)

// outage is a store that does not answer while it is down.
type outage struct {
	store.Store
	down atomic.Bool
}

func (o *outage) err() error {
	if o.down.Load() {
		return &store.Unavailable{Err: errors.New("no primary at db.internal:27017")}
	}
	return nil
}

func (o *outage) Client(ctx context.Context, id store.ClientID) (*store.Client, error) {
	if err := o.err(); err != nil {
		return nil, err
	}
	return o.Store.Client(ctx, id)
}

func (o *outage) Account(ctx context.Context, id store.AccountID) (*store.Account, error) {
	if err := o.err(); err != nil {
		return nil, err
	}
	return o.Store.Account(ctx, id)
}

func (o *outage) GrantsOf(ctx context.Context, h store.HolderID) ([]*store.Grant, error) {
	if err := o.err(); err != nil {
		return nil, err
	}
	return o.Store.GrantsOf(ctx, h)
}

func (o *outage) Clients(ctx context.Context, q store.ClientQuery) ([]*store.Client, error) {
	if err := o.err(); err != nil {
		return nil, err
	}
	return o.Store.Clients(ctx, q)
}

func (o *outage) Audit(ctx context.Context, q store.AuditQuery) ([]*store.AuditEntry, error) {
	if err := o.err(); err != nil {
		return nil, err
	}
	return o.Store.Audit(ctx, q)
}

func (o *outage) Commit(ctx context.Context, writes ...store.Write) error {
	if err := o.err(); err != nil {
		return err
	}
	return o.Store.Commit(ctx, writes...)
}

func (o *outage) Beat(ctx context.Context, node string, count int64) error {
	if err := o.err(); err != nil {
		return err
	}
	return o.Store.Beat(ctx, node, count)
}

func (o *outage) AddUsage(ctx context.Context, rows []store.Usage, uses []store.LastUse) error {
	if err := o.err(); err != nil {
		return err
	}
	return o.Store.AddUsage(ctx, rows, uses)
}

func (o *outage) AddUsageSums(ctx context.Context, sums []store.UsageSum) error {
	if err := o.err(); err != nil {
		return err
	}
	return o.Store.AddUsageSums(ctx, sums)
}

func (o *outage) Describe(ctx context.Context) (string, error) {
	if err := o.err(); err != nil {
		return "", err
	}
	return o.Store.Describe(ctx)
}

// While the store is down, what a node knows goes on, what it does not know is
// 503 with Retry-After, and never a yes or a no; nothing is lost.
func TestAnOutageOfTheStoreIsNoAnswer(t *testing.T) {
	o := &outage{}
	n := start(t, func(opts *server.Options) { o.Store = opts.Store; opts.Store = o })
	token := n.issue(t, by(n.Example))
	if !n.active(t, token) || n.decided(t, token, "GET", "/orders/42") != 200 {
		t.Fatal("the token does not work to begin with")
	}
	fresh := n.want(t, 201, "POST", "/clients", map[string]any{"name": "fresh", "workspace": "default", "roles": []string{"example-reader"}, "default_api": "example"}).json(t)
	created := as{fresh["client_id"].(string), fresh["client_secret"].(string)}
	stranger := store.NewClientID()

	o.down.Store(true)
	n.issue(t, by(n.Example))
	if !n.active(t, token) || n.decided(t, token, "GET", "/orders/42") != 200 || n.decided(t, token, "DELETE", "/orders/42") != 403 {
		t.Error("a token that is known does not work while the store is down")
	}
	if got := n.get(t, "/oauth2/jwks"); got.status != 200 {
		t.Errorf("JWKS: got %d", got.status)
	}
	if got := n.form(t, "/oauth2/token", as{string(n.Example.Client.ID), "wrong"}, wantToken); got.status != 401 {
		t.Errorf("a wrong secret of a known client: got %d, want 401", got.status)
	}
	for name, got := range map[string]answer{
		"a token for a client not in memory": n.form(t, "/oauth2/token", as{string(stranger), secret.New(stranger).Reveal()}, wantToken),
		"introspection by such a client":     n.form(t, "/oauth2/introspect", as{string(stranger), secret.New(stranger).Reveal()}, "token=x"),
		"a secret not in memory as a bearer": n.restAs(t, secret.New(stranger).Reveal(), "GET", "/clients", nil),
		"a new client":                       n.rest(t, "POST", "/clients", map[string]any{"name": "x", "workspace": "default"}),
		"a list of clients":                  n.rest(t, "GET", "/clients", nil),
		"a revoke":                           n.rest(t, "POST", "/clients/"+string(n.Example.Client.ID)+"/revoke", map[string]any{}),
		"a key":                              n.rest(t, "POST", "/keys/rotate", map[string]any{"algorithm": "RS256"}),
		"the audit":                          n.rest(t, "GET", "/audit", nil),
		"the end of a token":                 n.form(t, "/oauth2/revoke", by(n.Example), "token="+token),
	} {
		if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
			t.Errorf("%s: got %d %s, Retry-After %q; want 503 and when to try again", name, got.status, got.body, got.header.Get("Retry-After"))
		}
		if strings.Contains(got.body, "primary") || strings.Contains(got.body, "db.internal") {
			t.Errorf("%s: the answer tells of the store: %s", name, got.body)
		}
	}
	// Taking the node away would make an outage of what is none.
	if got := n.getOps(t, "/readyz?verbose"); got.status != 200 || !strings.Contains(got.body, "does not answer") {
		t.Errorf("/readyz?verbose: got %d %s", got.status, got.body)
	}

	o.down.Store(false)
	n.issue(t, created)
	if !n.active(t, token) {
		t.Error("what was answered 503 happened all the same: the client or token is dead")
	}
	if got := n.usage(t, n.Example).sum("issued", "", ""); got != 2 {
		t.Errorf("usage shows %d tokens, want the 2 before and during the outage", got)
	}
}

// deaf is a store whose feed can fall silent, with nobody told of it.
type deaf struct {
	store.Store
	silent atomic.Bool
	resume chan struct{}
}

func (d *deaf) Watch(ctx context.Context, from store.Position) (store.Feed, error) {
	if err := d.wait(ctx); err != nil {
		return nil, err
	}
	f, err := d.Store.Watch(ctx, from)
	return &deafFeed{f, d}, err
}

func (d *deaf) wait(ctx context.Context) error {
	if !d.silent.Load() {
		return nil
	}
	select {
	case <-d.resume:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

type deafFeed struct {
	store.Feed
	d *deaf
}

func (f *deafFeed) Next(ctx context.Context) (store.Change, error) {
	c, err := f.Feed.Next(ctx)
	if err == nil {
		err = f.d.wait(ctx)
	}
	return c, err
}

// A node that no longer hears of changes says how old its state is, then stops
// answering from it; and starts again once it has heard.
func TestANodeThatHearsNothingStopsAnswering(t *testing.T) {
	t.Parallel() // ages for seconds
	d := &deaf{resume: make(chan struct{})}
	n := start(t, func(o *server.Options) {
		d.Store = o.Store
		o.Store, o.MaxStaleness = d, 7*time.Second
	})
	token, own := n.issue(t, by(n.Example)), n.issue(t, by(n.Admin))
	roads := map[string]func() answer{
		"token":      func() answer { return n.form(t, "/oauth2/token", by(n.Example), wantToken) },
		"introspect": func() answer { return n.form(t, "/oauth2/introspect", by(n.Gateway), "token="+token) },
		"decide": func() answer {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.decide+"/decide/nginx/example", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+token)
			r.Header.Set("X-Original-Method", "GET")
			r.Header.Set("X-Original-URI", "/orders/42")
			return do(t, r)
		},
		"search": func() answer {
			return n.authzen(t, by(n.Gateway), "search/action", map[string]any{"subject": object("type", "token", "id", token), "resource": object("type", "example", "id", "/orders/42")})
		},
	}
	const age = "Postern-State-Age"
	until := func(name string, road func() answer, done func(answer) bool) {
		for {
			if got := road(); done(got) {
				return
			} else if got.status != 200 && got.status != 503 {
				t.Fatalf("%s: got %d %s", name, got.status, got.body)
			}
			select {
			case <-time.After(20 * time.Millisecond): // it ages by the clock, which tells nobody
			case <-t.Context().Done():
				t.Fatal("the test ended")
			}
		}
	}
	for name, road := range roads {
		if got := road(); got.status != 200 || got.header.Get(age) != "" {
			t.Errorf("%s while all is well: got %d, age %q", name, got.status, got.header.Get(age))
		}
	}
	d.silent.Store(true)
	until("decide", roads["decide"], func(a answer) bool { return a.header.Get(age) != "" })
	for name, road := range roads {
		if got := road(); got.status != 200 || got.header.Get(age) == "" {
			t.Errorf("%s with an old state: got %d, age %q; want 200 with it", name, got.status, got.header.Get(age))
		}
	}
	until("decide", roads["decide"], func(a answer) bool { return a.status == 503 })
	for name, road := range roads {
		if got := road(); got.status != 503 || got.header.Get("Retry-After") == "" || got.header.Get(age) == "" {
			t.Errorf("%s with too old a state: got %d %v; want 503, when to try again, and the age", name, got.status, got.header)
		}
	}
	if got := n.restAs(t, own, "GET", "/clients", nil); got.status != 503 || got.header.Get("Retry-After") == "" {
		t.Errorf("own API with too old a state: got %d %s, want 503", got.status, got.body)
	}
	if got := n.getOps(t, "/readyz"); got.status != 503 {
		t.Errorf("/readyz: got %d, want 503", got.status)
	}
	if got := n.getOps(t, "/livez"); got.status != 200 {
		t.Errorf("/livez: got %d, want 200: a restart would not help", got.status)
	}
	d.silent.Store(false)
	close(d.resume)
	until("decide", roads["decide"], func(a answer) bool { return a.status == 200 && a.header.Get(age) == "" })
	if got := n.getOps(t, "/readyz"); got.status != 200 {
		t.Errorf("/readyz after all: got %d, want 200", got.status)
	}
}
