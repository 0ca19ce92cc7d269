package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"postern/policy"
	"postern/server/admin"
	"postern/server/api"
	"postern/server/audit"
	"postern/server/keys"
	"postern/server/oauth"
	"postern/server/secret"
	"postern/server/slow"
	"postern/server/telemetry"
	"postern/server/token"
	"postern/server/usage"
	"postern/store"
	"postern/store/cached"
	"postern/store/sqlite"
)

const issuer = "https://postern.test"

// world is everything between a request and the disk, filled by its first start.
type world struct {
	*admin.Bootstrap
	t       testing.TB
	handler http.Handler
	doc     *api.API
	admin   *admin.Admin
	state   *cached.Store
	usage   *usage.Recorder
	sealer  *audit.Sealer
	merger  *audit.Merger
	slow    *slow.Checker
	// rehashed is told when a secret was used and is kept by another hash.
	rehashed chan store.ClientID
	compared atomic.Int64 // slow hashes
	ahead    atomic.Int64
	log      *journal
	root     string // the administrator's secret
}

// journal keeps what is logged.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// late breaks the circle of the ring, which writes through the cache, and the
// cache, which tells the ring of keys.
type late struct{ store.Store }

func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }

func (w *world) later(d time.Duration) { w.ahead.Add(int64(d)) }

// start builds a world. edit may change the options of the operations.
func start(t testing.TB, edit ...func(*admin.Options)) *world {
	t.Helper()
	w := &world{t: t, log: &journal{}}
	log := slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	backend, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir(), Now: w.now})
	if err != nil {
		t.Fatal(err)
	}
	kek, err := keys.ParseKEKs(keys.GenerateKEK())
	if err != nil {
		t.Fatal(err)
	}
	chain, err := kek.DeriveAll("audit chain")
	if err != nil {
		t.Fatal(err)
	}
	engine := policy.New(policy.Options{Log: log})
	through := &late{}
	ring := keys.New(keys.Options{Store: through, KEK: kek, Now: w.now, Log: log})
	w.state = cached.New(backend, cached.Options{Node: "test", Log: log, Subscribers: []cached.Subscriber{engine, ring}})
	through.Store = w.state
	w.usage = usage.New(usage.Options{Store: backend, Now: w.now, Log: log})
	w.sealer = audit.New(audit.Options{Store: backend, Keys: chain, Node: "test", Now: w.now, Log: log})
	w.merger = audit.NewMerger(audit.MergerOptions{Store: backend, Now: w.now, Log: log})
	o := admin.Options{
		Store: w.state, State: w.state, Policy: engine, Keys: ring, Sealer: w.sealer, CursorKey: make([]byte, 32), Issuer: issuer,
		NeverAllowed: true, FlushUsage: w.usage.Flush, Refusals: w.merger, Now: w.now, Log: log,
	}
	for _, e := range edit {
		e(&o)
	}
	w.admin = admin.New(o)
	if w.Bootstrap, err = w.admin.Bootstrap(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	w.root = w.Admin.Secret.Reveal()

	w.rehashed = make(chan store.ClientID, 100)
	w.slow = slow.New(slow.Options{
		Cost: w.state.SlowCost, Log: log,
		Rehash: func(ctx context.Context, client store.ClientID, id store.SecretID, old string, hash []byte, slow string) error {
			err := w.admin.RehashSecret(ctx, client, id, old, hash, slow)
			w.rehashed <- client
			return err
		},
		Matches: func(given secret.Secret, hash string) (bool, error) {
			w.compared.Add(1)
			return secret.MatchesSlow(given, hash)
		},
	})
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 2)
	go func() { ended <- w.state.Run(ctx) }()
	go func() { ended <- w.slow.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		<-ended //nolint:errcheck // they end with their context
		<-ended //nolint:errcheck // the same
		if err := backend.Close(); err != nil {
			t.Error(err)
		}
	})
	<-w.state.Ready()

	verifier, err := token.NewVerifier(token.VerifierOptions{Keys: ring, Issuer: issuer, State: w.state, Now: w.now})
	if err != nil {
		t.Fatal(err)
	}
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	r.RedirectTrailingSlash = false
	oauth.New(oauth.Options{
		State: w.state, Policy: engine, Minter: token.NewMinter(token.MinterOptions{Keys: ring, Issuer: issuer}), Verifier: verifier,
		Keys: ring, Admin: w.admin, Usage: w.usage, Metrics: telemetry.NewMetrics("test"), Issuer: issuer, Slow: w.slow, Now: w.now, Log: log,
	}).Routes(r)
	w.doc = api.New(api.Options{
		Admin: w.admin, Verifier: verifier, State: w.state, Issuer: issuer, Version: "test", Usage: w.usage, Now: w.now, Log: log,
	})
	w.doc.Mount(r)
	ids := telemetry.NewRequestIDs()
	w.handler = http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		r.ServeHTTP(rw, req.WithContext(telemetry.WithRequestID(req.Context(), ids.New())))
	})
	return w
}

// answer is a response.
type answer struct {
	status int
	header http.Header
	body   string
}

// get finds a value in the body: "client.id", "items.0.name"; nil if there is none.
func (a answer) get(path string) any {
	var v any
	if json.Unmarshal([]byte(a.body), &v) != nil {
		return nil
	}
	for name := range strings.SplitSeq(path, ".") {
		switch at := v.(type) {
		case map[string]any:
			v = at[name]
		case []any:
			var i int
			if _, err := fmt.Sscan(name, &i); err != nil || i >= len(at) {
				return nil
			}
			v = at[i]
		default:
			return nil
		}
	}
	return v
}

func (a answer) text(path string) string {
	s, _ := a.get(path).(string)
	return s
}

func (a answer) list(path string) []any {
	l, _ := a.get(path).([]any)
	return l
}

// raw is a body that is sent as it is.
type raw string

// call sends a request with a credential. Headers are pairs of name and value.
func (w *world) call(credential, method, path string, body any, headers ...string) answer {
	w.t.Helper()
	var reader io.Reader = http.NoBody
	switch b := body.(type) {
	case nil:
	case raw:
		reader = strings.NewReader(string(b))
	default:
		text, err := json.Marshal(body)
		if err != nil {
			w.t.Fatal(err)
		}
		reader = bytes.NewReader(text)
	}
	r := httptest.NewRequestWithContext(w.t.Context(), method, "/api/v1"+path, reader)
	r.RemoteAddr = "192.0.2.7:4711"
	if credential != "" {
		r.Header.Set("Authorization", "Bearer "+credential)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return w.serve(r)
}

func (w *world) serve(r *http.Request) answer {
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, r)
	return answer{rec.Code, rec.Header(), rec.Body.String()}
}

// want is call by the administrator, which must end with this status.
func (w *world) want(status int, method, path string, body any, headers ...string) answer {
	w.t.Helper()
	got := w.call(w.root, method, path, body, headers...)
	if got.status != status {
		w.t.Fatalf("%s %s: got %d %s; want %d", method, path, got.status, got.body, status)
	}
	return got
}

// object is a JSON object.
type object map[string]any

// machine is a client with its secret.
type machine struct{ id, secret, account string }

// machine makes a service client in a workspace that may send its secret as a
// bearer; its account holds these roles.
func (w *world) machine(workspace string, roles ...string) machine {
	w.t.Helper()
	got := w.want(http.StatusCreated, "POST", "/clients", object{"name": "machine", "workspace": workspace, "roles": roles, "bearer": true})
	return machine{got.text("client_id"), got.text("client_secret"), got.text("client.account.id")}
}

// workspace makes a workspace.
func (w *world) workspace(name string) {
	w.t.Helper()
	w.want(http.StatusCreated, "POST", "/workspaces", object{"name": name})
}

// revision is the ETag of what is at a path.
func (w *world) revision(path string) string {
	w.t.Helper()
	return w.want(http.StatusOK, "GET", path, nil).header.Get("ETag")
}

// token asks the token endpoint, with Basic, and returns its answer.
func (w *world) token(id, secret string) answer {
	r := httptest.NewRequestWithContext(w.t.Context(), "POST", "/oauth2/token", strings.NewReader("grant_type=client_credentials"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.RemoteAddr = "192.0.2.9:4711"
	r.SetBasicAuth(id, secret)
	return w.serve(r)
}

// everything is all that is stored but what changes by itself.
func (w *world) everything() string {
	w.t.Helper()
	var b strings.Builder
	err := w.state.All(w.t.Context(), func(r store.Record) error {
		return json.NewEncoder(&b).Encode(r)
	}, store.KindWorkspace, store.KindAPI, store.KindRole, store.KindTeam, store.KindKey, store.KindClient, store.KindAccount, store.KindGrant, store.KindWebhook)
	if err != nil {
		w.t.Fatal(err)
	}
	return b.String()
}
