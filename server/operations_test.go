package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"postern/server"
	"postern/server/admin"
	"postern/store"
)

// getOps asks the ops listener.
func (n *node) getOps(t testing.TB, path string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.ops+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	return do(t, r)
}

// F16: on SIGTERM, which ends the context of Run, /readyz fails while what runs
// goes on; each request that reached a handler is answered whole; and what was
// used is written.
func TestF16StopUnderLoad(t *testing.T) {
	const loops = 32
	var begun, ended atomic.Int64
	entered, held := make(chan struct{}), make(chan struct{})
	enter := sync.OnceFunc(func() { close(entered) })
	dir := t.TempDir()
	n := startNode(t, dir, unlimited, func(o *server.Options) {
		o.Trace = func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/oauth2/jwks" { // the one that takes its time
					enter()
					<-held
				}
				begun.Add(1)
				next.ServeHTTP(w, r)
				ended.Add(1)
			})
		}
	})
	n.issue(t, by(n.Example)) // makes the key
	begun.Store(0)
	ended.Store(0)

	slow := make(chan error, 1)
	go func() { slow <- oneRequest(t.Context(), n.url+"/oauth2/jwks", nil, as{}) }()
	<-entered

	var answered atomic.Int64
	var under sync.WaitGroup // a hundred answers: then the loops are at work
	under.Add(100)
	var all sync.WaitGroup
	for range loops {
		all.Go(func() {
			for {
				err := oneRequest(t.Context(), n.url+"/oauth2/token", strings.NewReader(wantToken), by(n.Example))
				if err != nil {
					// Not taken any more: refused by the system, or by net/http, which
					// lets go of what it had read when it was told to stop. Not a byte
					// of an answer has come, so the client may send it elsewhere.
					if !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.EOF) {
						t.Errorf("a request that was taken: %v", err)
					}
					return
				}
				if answered.Add(1) <= 100 {
					under.Done()
				}
			}
		})
	}
	under.Wait()
	stopped := make(chan struct{})
	go func() { n.stop(); close(stopped) }()
	all.Wait() // until no connection is taken any more
	if got := n.getOps(t, "/readyz"); got.status != http.StatusServiceUnavailable {
		t.Errorf("/readyz while stopping: got %d %s, want 503", got.status, got.body)
	}
	if got := n.getOps(t, "/livez"); got.status != http.StatusOK {
		t.Errorf("/livez while stopping: got %d, want 200", got.status)
	}
	select {
	case <-stopped:
		t.Error("the server ended while a request was running")
	default:
	}
	close(held)
	if err := <-slow; err != nil {
		t.Errorf("the request that was running: %v", err)
	}
	<-stopped
	if begun.Load() != ended.Load() || answered.Load()+1 != ended.Load() {
		t.Errorf("%d requests reached a handler, %d of them ended, and %d were answered whole", begun.Load(), ended.Load(), answered.Load()+1)
	}

	again := startNode(t, dir)
	again.Bootstrap = n.Bootstrap
	if got, want := again.usage(t, n.Example).sum("issued", "", ""), answered.Load()+1; got != want {
		t.Errorf("usage shows %d tokens, want the %d that were issued", got, want)
	}
}

// oneRequest opens a connection for a request, and wants a whole answer of 200.
func oneRequest(ctx context.Context, url string, body io.Reader, who as) error {
	method := http.MethodGet
	if body != nil {
		method = http.MethodPost
	}
	r, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return err
	}
	r.Close = true
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if who.id != "" {
		r.SetBasicAuth(who.id, who.secret)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	res, err := transport.RoundTrip(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK || !json.Valid(text) {
		return errors.New(res.Status + ": " + string(text))
	}
	return nil
}

func TestOpsListenerTellsHowTheServerIs(t *testing.T) {
	n := start(t)
	token := n.issue(t, by(n.Example))
	n.decided(t, token, "GET", "/orders/42")
	n.decided(t, token, "DELETE", "/orders/42")
	n.active(t, token)
	n.form(t, "/oauth2/token", as{"nobody", "x"}, wantToken)
	if got := n.getOps(t, "/livez"); got.status != 200 || got.body != "ok\n" {
		t.Errorf("/livez: got %d %q", got.status, got.body)
	}
	if got := n.getOps(t, "/readyz"); got.status != 200 || got.body != "ok\n" {
		t.Errorf("/readyz: got %d %q", got.status, got.body)
	}
	if got := n.getOps(t, "/readyz?verbose"); got.status != 200 || !strings.Contains(got.body, "SQLite") || !strings.Contains(got.body, "version test") {
		t.Errorf("/readyz?verbose: got %d %q", got.status, got.body)
	}
	metrics := n.getOps(t, "/metrics").body
	for _, line := range []string{
		`postern_tokens_issued_total{algorithm="ES256",format="jwt"} 1`,
		`postern_decisions_total{api="example",outcome="allowed"} 1`,
		`postern_decisions_total{api="example",outcome="denied"} 1`,
		`postern_introspections_total{active="true"} 1`,
		`postern_token_errors_total{code="invalid_client"} 1`,
		`postern_shadow_check_disagreements_total 0`,
	} {
		if !strings.Contains(metrics, line+"\n") {
			t.Errorf("/metrics has no line %s:\n%s", line, metrics)
		}
	}
	// Clients are no label: a million of them would be a million series.
	if strings.Contains(metrics, string(n.Example.Client.ID)) {
		t.Error("/metrics names a client")
	}
}

// panicking is a store that panics when someone lists clients; what the server
// asks for itself names no order.
type panicking struct{ store.Store }

func (p panicking) Clients(ctx context.Context, q store.ClientQuery) ([]*store.Client, error) {
	if q.Sort != store.SortName {
		return p.Store.Clients(ctx, q)
	}
	panic("a secret of the server's own: k33p-it")
}

func TestAPanicEndsOneRequestOnly(t *testing.T) {
	n := start(t, func(o *server.Options) { o.Store = panicking{o.Store} })
	got := n.rest(t, "GET", "/clients", nil)
	if got.status != http.StatusInternalServerError || got.header.Get("X-Request-Id") == "" {
		t.Errorf("got %d with the request id %q; want 500 with one", got.status, got.header.Get("X-Request-Id"))
	}
	for _, inside := range []string{"k33p-it", "goroutine", ".go:", "panic"} {
		if strings.Contains(got.body, inside) {
			t.Errorf("the answer tells of the inside: %s", got.body)
		}
	}
	if text := n.log.String(); !strings.Contains(text, "a request panicked") || !strings.Contains(text, "k33p-it") {
		t.Errorf("the log does not tell of the panic:\n%s", text)
	}
	n.issue(t, by(n.Example))
}

// X-Forwarded-For is believed as far as the proxies that wrote it are trusted:
// by default not at all. Other headers never are.
func TestOnlyTrustedProxiesSayWhoCalls(t *testing.T) {
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	for _, tt := range []struct {
		name    string
		trusted []netip.Prefix
		sent    []string
		want    string
	}{
		{"nobody is trusted", nil, []string{"203.0.113.9"}, "127.0.0.1"},
		{"another proxy is trusted", []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, []string{"203.0.113.9"}, "127.0.0.1"},
		{"the peer is trusted", loopback, []string{"203.0.113.9"}, "203.0.113.9"},
		{"a client forges, its proxy appends", loopback, []string{"10.0.0.1, 203.0.113.9"}, "203.0.113.9"},
		{"the same in two headers", loopback, []string{"10.0.0.1", "203.0.113.9"}, "203.0.113.9"},
		{"two proxies are trusted", loopback, []string{"10.0.0.1, 203.0.113.9, 127.0.0.5"}, "203.0.113.9"},
		{"everyone on the way is trusted", loopback, []string{"127.0.0.7, 127.0.0.5"}, "127.0.0.7"},
		{"what is no address", loopback, []string{"203.0.113.9, nonsense"}, "127.0.0.1"},
		{"an address with a port", loopback, []string{"203.0.113.9:80"}, "127.0.0.1"},
		{"an IPv4 address dressed as IPv6", loopback, []string{"::ffff:203.0.113.9"}, "203.0.113.9"},
		{"no header", loopback, nil, "127.0.0.1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := start(t, func(o *server.Options) { o.TrustedProxies = tt.trusted })
			r := n.formRequest(t, "/oauth2/token", wantToken)
			r.SetBasicAuth(string(n.Example.Client.ID), n.Example.Secret.Reveal())
			r.Header["X-Forwarded-For"] = tt.sent
			for _, h := range []string{"X-Real-Ip", "Forwarded", "Cf-Connecting-Ip", "True-Client-Ip", "X-Client-Ip"} {
				r.Header.Set(h, "for=198.51.100.66")
			}
			if got := do(t, r); got.status != http.StatusOK {
				t.Fatalf("got %d %s", got.status, got.body)
			}
			c := n.want(t, 200, "GET", "/clients/"+string(n.Example.Client.ID), nil).json(t)
			if c["last_used_from"] != tt.want {
				t.Errorf("last used from %v, want %s", c["last_used_from"], tt.want)
			}
		})
	}
}

// An address list holds against forged headers.
func TestAForgedAddressOpensNoAddressList(t *testing.T) {
	n := start(t)
	id := string(n.Example.Client.ID)
	etag := n.want(t, 200, "GET", "/clients/"+id, nil).header.Get("ETag")
	n.want(t, 200, "PATCH", "/clients/"+id, map[string]any{"addresses": []string{"203.0.113.0/24"}}, "If-Match", etag)
	r := n.formRequest(t, "/oauth2/token", wantToken)
	r.SetBasicAuth(id, n.Example.Secret.Reveal())
	r.Header.Set("X-Forwarded-For", "203.0.113.9")
	if got := do(t, r); got.status != http.StatusUnauthorized || got.error() != "invalid_client" {
		t.Errorf("got %d %s, want 401", got.status, got.body)
	}
}

// W16: of first starts at once one wins, and there is no second one.
func TestW16TheFirstStartIsOnce(t *testing.T) {
	n := start(t)
	if b, err := n.server.Bootstrap(t.Context(), true); b != nil || err != nil {
		t.Errorf("a second start: got %v, %v; want nothing", b, err)
	}
	for _, path := range []string{"/setup", "/api/v1/setup", "/api/v1/bootstrap", "/install"} {
		if got := n.get(t, path); got.status != http.StatusNotFound {
			t.Errorf("%s: got %d, want 404", path, got.status)
		}
	}
	var won atomic.Int64
	empty := &hurried{all: make(chan struct{}), wait: 2}
	start(t, func(o *server.Options) {
		empty.Store = o.Store
		o.Store = empty
		var starts sync.WaitGroup
		for range empty.wait {
			starts.Go(func() {
				s, err := server.New(*o)
				if err != nil {
					t.Error(err)
					return
				}
				b, err := s.Bootstrap(t.Context(), true)
				if err != nil {
					t.Error(err)
				}
				if b != nil {
					won.Add(1)
				}
			})
		}
		starts.Wait()
		empty.done.Store(true)
	}).Bootstrap = &admin.Bootstrap{}
	if won.Load() != 1 {
		t.Errorf("%d of two first starts at once made an administrator; want one", won.Load())
	}
}

// hurried is a store that several find empty before one of them fills it.
type hurried struct {
	store.Store
	found atomic.Int64
	wait  int64
	all   chan struct{}
	done  atomic.Bool
}

func (h *hurried) All(ctx context.Context, yield func(store.Record) error, kinds ...store.Kind) error {
	err := h.Store.All(ctx, yield, kinds...)
	if !h.done.Load() {
		if h.found.Add(1) == h.wait {
			close(h.all)
		}
		<-h.all
	}
	return err
}
