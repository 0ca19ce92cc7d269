package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"postern/server"
	"postern/server/admin"
	"postern/server/keys"
	"postern/store"
	"postern/store/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const issuer = "https://postern.test"

// node is a running server on the embedded store, filled by its first start.
type node struct {
	*admin.Bootstrap
	server *server.Server
	store  store.Store
	clock  *clock
	log    *logged
	url    string // of the public listener
	decide string // of the gateway listener
	ops    string
	stop   func()

	token     string // the administrator's, for Postern's own API
	tokenEnds time.Time

	callers []as // of benchmarks
}

// clock is the time, moved by a test.
type clock struct{ ahead, step atomic.Int64 }

func (c *clock) now() time.Time {
	return time.Now().Add(time.Duration(c.ahead.Add(c.step.Load())))
}

// tick moves the time whenever somebody looks at it.
func (c *clock) tick(d time.Duration)    { c.step.Store(int64(d)) }
func (c *clock) advance(d time.Duration) { c.ahead.Add(int64(d)) }

// logged keeps what a server logs.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// start starts a node. edit may change its options.
func start(t testing.TB, edit ...func(*server.Options)) *node {
	t.Helper()
	return startNode(t, t.TempDir(), edit...)
}

func startNode(t testing.TB, dir string, edit ...func(*server.Options)) *node {
	t.Helper()
	n := &node{clock: &clock{}, log: &logged{}}
	backend, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir, Now: n.clock.now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	kek, err := keys.FileKEK(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	o := server.Options{
		Store: backend, KEK: kek, Issuer: issuer, Version: "test", Listen: "127.0.0.1:0", GatewayListen: "127.0.0.1:0", OpsListen: "127.0.0.1:0",
		NeverAllowed: true, ShutdownTimeout: 10 * time.Second, Now: n.clock.now,
		Log: slog.New(slog.NewTextHandler(n.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, e := range edit {
		e(&o)
	}
	n.store = o.Store
	if n.server, err = server.New(o); err != nil {
		t.Fatal(err)
	}
	if n.Bootstrap, err = n.server.Bootstrap(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	n.run(t)
	return n
}

// run starts serving and registers the stop.
func (n *node) run(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	started, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- n.server.Run(ctx, func() { close(started) }) }()
	n.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the server ended with %v\n%s", err, n.log)
		}
		http.DefaultClient.CloseIdleConnections()
	})
	t.Cleanup(n.stop)
	select {
	case <-started:
	case err := <-ended:
		ended <- nil
		t.Fatalf("the server did not start: %v\n%s", err, n.log)
	}
	n.url, n.decide, n.ops = "http://"+n.server.PublicAddr(), "http://"+n.server.GatewayAddr(), "http://"+n.server.OpsAddr()
}

// answer is a response, read.
type answer struct {
	status int
	header http.Header
	body   string
}

// json decodes the body.
func (a answer) json(t testing.TB) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(a.body), &m); err != nil {
		t.Fatalf("status %d, the body is no JSON object: %v\n%s", a.status, err, a.body)
	}
	return m
}

// error is the OAuth error code, if there is one.
func (a answer) error() string {
	var m struct{ Error string }
	_ = json.Unmarshal([]byte(a.body), &m)
	return m.Error
}

func do(t testing.TB, r *http.Request) answer {
	t.Helper()
	return doWith(t, http.DefaultTransport, r)
}

// doWith is do by a transport, such as one with a client's certificate.
func doWith(t testing.TB, by http.RoundTripper, r *http.Request) answer {
	t.Helper()
	client := &http.Client{Transport: by, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(body)}
}

// as authenticates a request, by Basic.
type as struct{ id, secret string }

func by(c admin.Created) as { return as{string(c.Client.ID), c.Secret.Reveal()} }

// form posts a form to an endpoint of the public listener.
func (n *node) form(t testing.TB, path string, who as, fields ...string) answer {
	t.Helper()
	r := n.formRequest(t, path, strings.Join(fields, "&"))
	if who.id != "" {
		r.SetBasicAuth(url.QueryEscape(who.id), url.QueryEscape(who.secret))
	}
	return do(t, r)
}

func (n *node) formRequest(t testing.TB, path, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, n.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

const wantToken = "grant_type=client_credentials"

// issue gets an access token.
func (n *node) issue(t testing.TB, who as, fields ...string) string {
	t.Helper()
	got := n.form(t, "/oauth2/token", who, append(fields, wantToken)...)
	if got.status != http.StatusOK {
		t.Fatalf("token for %s %v: %d %s", who.id, fields, got.status, got.body)
	}
	text, _ := got.json(t)["access_token"].(string)
	return text
}

// introspect asks the gateway's question.
func (n *node) introspect(t testing.TB, who as, token string) map[string]any {
	t.Helper()
	got := n.form(t, "/oauth2/introspect", who, "token="+url.QueryEscape(token))
	if got.status != http.StatusOK {
		t.Fatalf("introspection: %d %s", got.status, got.body)
	}
	return got.json(t)
}

// active reports whether the example's gateway sees the token as active.
func (n *node) active(t testing.TB, token string) bool {
	t.Helper()
	active, _ := n.introspect(t, by(n.Gateway), token)["active"].(bool)
	return active
}

// decided asks for a decision and returns its status.
func (n *node) decided(t testing.TB, token, method, path string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.decide+"/decide/nginx/example", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("X-Original-Method", method)
	r.Header.Set("X-Original-URI", path)
	return do(t, r).status
}

// rest calls Postern's own API as the administrator. A change is in force on
// this node when it returns, and so is everything that was committed before.
func (n *node) rest(t testing.TB, method, path string, body any, headers ...string) answer {
	t.Helper()
	if now := n.clock.now(); now.After(n.tokenEnds) {
		n.token, n.tokenEnds = n.issue(t, by(n.Admin)), now.Add(30*time.Minute)
	}
	return n.restAs(t, n.token, method, path, body, headers...)
}

func (n *node) restAs(t testing.TB, token, method, path string, body any, headers ...string) answer {
	t.Helper()
	var reader io.Reader = http.NoBody
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		reader = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, n.url+"/api/v1"+path, reader)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if method == http.MethodPatch {
		r.Header.Set("Content-Type", "application/merge-patch+json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return do(t, r)
}

// want calls rest and fails unless the status is this one.
func (n *node) want(t testing.TB, status int, method, path string, body any, headers ...string) answer {
	t.Helper()
	got := n.rest(t, method, path, body, headers...)
	if got.status != status {
		t.Fatalf("%s %s: got %d %s; want %d", method, path, got.status, got.body, status)
	}
	return got
}

// commit writes to the store behind the server's back, and returns when the
// server knows it.
func (n *node) commit(t testing.TB, writes ...store.Write) {
	t.Helper()
	if err := n.store.Commit(t.Context(), writes...); err != nil {
		t.Fatal(err)
	}
	n.settle(t)
}

// settle returns when the server has applied everything committed so far: the
// feed is in order, and an administrator's answer waits for its own change.
func (n *node) settle(t testing.TB) {
	t.Helper()
	n.want(t, http.StatusCreated, "POST", "/clients", map[string]any{"name": "settle", "workspace": "default"})
}
