package guard_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"go.uber.org/goleak"

	"postern/server/gateway/gatewaytest"
	"postern/server/guard"
	"postern/server/guard/ginguard"
	"postern/server/servertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// client is one whose connections end with the test.
func client(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}
}

func newGuard(t *testing.T, o guard.Options) *guard.Guard {
	t.Helper()
	if o.HTTP == nil {
		o.HTTP = client(t)
	}
	g, err := guard.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// whoami answers with who calls.
var whoami = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	id := guard.FromContext(r.Context())
	if id == nil || r.Header.Get("X-Auth-Client") != "" {
		w.WriteHeader(http.StatusTeapot)
		return
	}
	_ = json.NewEncoder(w).Encode(id)
})

// call sends a request to a handler.
func call(h http.Handler, method, target, token string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	r.Host = "shop.example"
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return rec
}

func identity(t *testing.T, rec *httptest.ResponseRecorder) (id guard.Identity) {
	t.Helper()
	if rec.Code != http.StatusOK {
		t.Fatalf("status %d, %s", rec.Code, rec.Header().Get("WWW-Authenticate"))
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &id); err != nil {
		t.Fatal(err)
	}
	return id
}

// Tokens of a real server, in every algorithm, are verified by its keys.
func TestVerifiesByTheKeysOfAServer(t *testing.T) {
	s := servertest.Start(t)
	for _, algorithm := range []string{"ES256", "EdDSA", "RS256"} {
		s.Send(t, http.MethodPatch, "/apis/example", map[string]any{"algorithm": algorithm}, nil)
		g := newGuard(t, guard.Options{Issuer: s.URL, Audience: s.API.Audience})
		h := g.Require("orders:read")(whoami)
		token := s.Token(t, s.Example)
		id := identity(t, call(h, "GET", "/anything", token, "X-Auth-Client", "root"))
		if id.Subject != string(s.Example.Account.ID) || id.Client != string(s.Example.Client.ID) || !slices.Equal(id.Scopes, []string{"orders:read"}) || len(id.Roles) != 1 {
			t.Errorf("%s: the identity is %+v", algorithm, id)
		}
		for name, bad := range map[string]string{
			"cut": token[:len(token)-1], "longer": token + "A", "changed": changed(token), "none": unsigned(token), "two parts": token[:strings.LastIndex(token, ".")],
			"an encoding with spare bits": spare(token), "too long": token + strings.Repeat("A", 9000), "a secret": s.Example.Secret.Reveal(),
		} {
			if rec := call(h, "GET", "/", bad); rec.Code != 401 || rec.Header().Get("WWW-Authenticate") != `Bearer realm="postern", error="invalid_token"` {
				t.Errorf("%s, %s: status %d, %s", algorithm, name, rec.Code, rec.Header().Get("WWW-Authenticate"))
			}
		}
		if rec := call(g.Require("orders:write")(whoami), "GET", "/", token); rec.Code != 403 || !strings.Contains(rec.Header().Get("WWW-Authenticate"), `error="insufficient_scope", scope="orders:write"`) {
			t.Errorf("%s, another scope: status %d, %s", algorithm, rec.Code, rec.Header().Get("WWW-Authenticate"))
		}
		if rec := call(newGuard(t, guard.Options{Issuer: s.URL, Audience: "https://other.example"}).Handler(whoami), "GET", "/", token); rec.Code != 401 {
			t.Errorf("%s, another audience: status %d", algorithm, rec.Code)
		}
		if rec := call(newGuard(t, guard.Options{Issuer: "https://other.example", JWKS: s.URL + "/oauth2/jwks", Audience: s.API.Audience}).Handler(whoami), "GET", "/", token); rec.Code != 401 {
			t.Errorf("%s, another issuer: status %d", algorithm, rec.Code)
		}
		for name, now := range map[string]time.Time{"expired": time.Now().Add(2 * time.Hour), "issued in the future": time.Now().Add(-time.Minute)} {
			late := newGuard(t, guard.Options{Issuer: s.URL, Audience: s.API.Audience, Now: func() time.Time { return now }})
			if rec := call(late.Handler(whoami), "GET", "/", token); rec.Code != 401 {
				t.Errorf("%s, %s: status %d", algorithm, name, rec.Code)
			}
		}
	}
}

// changed is a token whose claims are others.
func changed(token string) string {
	parts := strings.Split(token, ".")
	claims, _ := base64.RawURLEncoding.DecodeString(parts[1])
	parts[1] = base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(claims), "orders:read", "orders:writ", 1)))
	return strings.Join(parts, ".")
}

// unsigned is a token of the algorithm none.
func unsigned(token string) string {
	parts := strings.Split(token, ".")
	header, _ := base64.RawURLEncoding.DecodeString(parts[0])
	var h map[string]any
	_ = json.Unmarshal(header, &h)
	h["alg"] = "none"
	header, _ = json.Marshal(h)
	return base64.RawURLEncoding.EncodeToString(header) + "." + parts[1] + "."
}

// spare is a token whose last character has bits that decode to nothing.
func spare(token string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, token[len(token)-1])
	return token[:len(token)-1] + string(alphabet[last+1])
}

func TestOneTokenInOneHeader(t *testing.T) {
	s := servertest.Start(t)
	h := newGuard(t, guard.Options{Issuer: s.URL, Audience: s.API.Audience}).Handler(whoami)
	token := s.Token(t, s.Example)
	if rec := call(h, "GET", "/", ""); rec.Code != 401 || rec.Header().Get("WWW-Authenticate") != `Bearer realm="postern"` {
		t.Errorf("no token: status %d, %s", rec.Code, rec.Header().Get("WWW-Authenticate"))
	}
	for name, values := range map[string][]string{
		"two": {"Bearer " + token, "Bearer " + token}, "a comma": {"Bearer " + token + ",Bearer x"}, "Basic": {"Basic eDp5"}, "nothing": {"Bearer "}, "two words": {"Bearer " + token + " x"},
	} {
		var headers []string
		for _, v := range values {
			headers = append(headers, "Authorization", v)
		}
		if rec := call(h, "GET", "/?access_token="+token, "", headers...); rec.Code != 401 {
			t.Errorf("%s: status %d", name, rec.Code)
		}
	}
	if rec := call(h, "GET", "/", "", "Authorization", "bearer "+token); rec.Code != 200 {
		t.Errorf("small letters: status %d", rec.Code)
	}
}

// keyServer serves keys, or does not.
type keyServer struct {
	asked  atomic.Int64
	answer atomic.Pointer[http.HandlerFunc]
}

func (k *keyServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k.asked.Add(1)
	(*k.answer.Load())(w, r)
}

func (k *keyServer) set(h http.HandlerFunc) { k.answer.Store(&h) }

func TestKeysThatCannotBeHad(t *testing.T) {
	s := servertest.Start(t)
	token := s.Token(t, s.Example)
	keys := &keyServer{}
	good := func(w http.ResponseWriter, r *http.Request) {
		answer, err := client(t).Get(s.URL + "/oauth2/jwks")
		if err != nil {
			t.Error(err)
			return
		}
		defer answer.Body.Close()
		_, _ = io.Copy(w, answer.Body)
	}
	away := httptest.NewServer(keys)
	t.Cleanup(away.Close)
	var now atomic.Int64
	now.Store(time.Now().UnixNano())
	g := newGuard(t, guard.Options{
		Issuer: s.URL, Audience: s.API.Audience, JWKS: away.URL, Now: func() time.Time { return time.Unix(0, now.Load()) }, Leeway: 24 * time.Hour,
	})
	h := g.Handler(whoami)
	pass := func(d time.Duration) { now.Add(int64(d)) }

	for name, answer := range map[string]http.HandlerFunc{
		"500":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
		"no JSON": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") },
		"too much": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"keys":[`+strings.Repeat(" ", 300<<10)+`]}`)
		},
		"a redirect": func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(304) },
	} {
		keys.set(answer)
		if rec := call(h, "GET", "/", token); rec.Code != 503 || rec.Header().Get("Retry-After") == "" {
			t.Errorf("%s: status %d", name, rec.Code)
		}
		asked := keys.asked.Load()
		if rec := call(h, "GET", "/", token); rec.Code != 503 || keys.asked.Load() != asked {
			t.Errorf("%s, at once again: status %d, and it was asked again", name, rec.Code)
		}
		pass(10 * time.Second)
	}
	keys.set(good)
	var all sync.WaitGroup
	asked := keys.asked.Load()
	for range 20 {
		all.Go(func() {
			if rec := call(h, "GET", "/", token); rec.Code != 200 {
				t.Errorf("side by side: status %d", rec.Code)
			}
		})
	}
	all.Wait()
	if n := keys.asked.Load() - asked; n != 1 {
		t.Errorf("twenty at once asked %d times for the keys", n)
	}
	// A key that is not there is looked for, but not again and again.
	pass(10 * time.Second)
	asked = keys.asked.Load()
	strange := strings.Replace(token, token[:strings.Index(token, ".")], base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","typ":"at+jwt","kid":"x"}`)), 1)
	for range 5 {
		if rec := call(h, "GET", "/", strange); rec.Code != 401 {
			t.Errorf("an unknown key: status %d", rec.Code)
		}
	}
	if n := keys.asked.Load() - asked; n != 1 {
		t.Errorf("five tokens of an unknown key asked %d times", n)
	}
	// Old keys go on for an hour, and no longer.
	keys.set(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	pass(30 * time.Minute)
	if rec := call(h, "GET", "/", token); rec.Code != 200 {
		t.Errorf("half an hour without the issuer: status %d", rec.Code)
	}
	pass(31 * time.Minute)
	if rec := call(h, "GET", "/", token); rec.Code != 503 && rec.Code != 401 {
		t.Errorf("an hour without the issuer: status %d", rec.Code)
	}
}

// decider is a real gateway listener that counts its questions.
type decider struct {
	*gatewaytest.World
	url   string
	asked atomic.Int64
	other atomic.Pointer[http.HandlerFunc] // answers in its place
}

func decisions(t *testing.T) *decider {
	t.Helper()
	d := &decider{World: gatewaytest.New(t)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.asked.Add(1)
		if other := d.other.Load(); other != nil {
			(*other)(w, r)
			return
		}
		d.Handler.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	d.url = server.URL + "/decide/nginx/shop"
	return d
}

func (d *decider) guard(t *testing.T, change func(*guard.Options)) http.Handler {
	t.Helper()
	o := guard.Options{Decisions: d.url, Credential: d.Basic(gatewaytest.Gateway), Reuse: -1}
	if change != nil {
		change(&o)
	}
	return newGuard(t, o).Handler(whoami)
}

func TestPosternDecides(t *testing.T) {
	d := decisions(t)
	h := d.guard(t, nil)
	token := d.Token(t, gatewaytest.Machine)
	id := identity(t, call(h, "GET", "/files/open?a=1", token, "X-Original-URI", "/files/secret", "X-Auth-Client", "root"))
	if id.Client != string(gatewaytest.Machine) || id.Workspace != "wspacme" || !slices.Equal(id.Roles, []string{"acme/clerk"}) || !id.HasScope("orders:write") || id.Token != "" {
		t.Errorf("the identity is %+v", id)
	}
	if id := identity(t, call(h, "GET", "/files/open", d.Secret(gatewaytest.Bearer))); strings.Count(id.Token, ".") != 2 {
		t.Errorf("a secret was exchanged for %q", id.Token)
	}
	if id := identity(t, call(h, "GET", "/health", "")); id.Subject != "anonymous" || id.Client != "" || id.Roles != nil {
		t.Errorf("of a public call the identity is %+v", id)
	}
	for _, tt := range []struct {
		name, method, target, token string
		want                        int
	}{
		{"denied", "GET", "/files/secret", token, 403},
		{"another method", "POST", "/files/open", token, 403},
		{"no token", "GET", "/files/open", "", 401},
		{"a bad token", "GET", "/files/open", token + "x", 401},
		{"an odd path", "GET", "/files/..%2fopen", token, 403},
		{"a double slash", "GET", "//files/open", token, 403},
		{"GraphQL has no body here", "POST", "/graphql", token, 403},
	} {
		if rec := call(h, tt.method, tt.target, tt.token); rec.Code != tt.want || (rec.Header().Get("WWW-Authenticate") != "") != (tt.want == 401) {
			t.Errorf("%s: status %d, want %d", tt.name, rec.Code, tt.want)
		}
	}
	for name, change := range map[string]func(*guard.Options){
		"a wrong credential": func(o *guard.Options) { o.Credential = "Basic eDp5" },
		"nobody there":       func(o *guard.Options) { o.Decisions = "http://127.0.0.1:1/decide/nginx/shop" },
		"no such API":        func(o *guard.Options) { o.Decisions += "x"; o.Credential = "" },
	} {
		if rec := call(d.guard(t, change), "GET", "/files/open", token); rec.Code != 503 {
			t.Errorf("%s: status %d, want 503", name, rec.Code)
		}
	}
	for name, answer := range map[string]http.HandlerFunc{
		"503": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, "404": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) },
		"a redirect":         func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Location", "/"); w.WriteHeader(302) },
		"somebody else's":    func(http.ResponseWriter, *http.Request) {},
		"a header too few":   func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Auth-Subject", "root") },
		"gone in the middle": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		d.other.Store(&answer)
		if rec := call(h, "GET", "/files/open", token); rec.Code != 503 {
			t.Errorf("%s: status %d, want 503", name, rec.Code)
		}
	}
}

func TestDecisionsAreUsedAgain(t *testing.T) {
	d := decisions(t)
	var now atomic.Int64
	o := func(o *guard.Options) {
		o.Reuse, o.Kept, o.Now = time.Second, 3, func() time.Time { return time.Unix(0, now.Load()) }
		o.Address = func(r *http.Request) string { return r.Header.Get("Test-Address") }
	}
	h := d.guard(t, o)
	token := d.Token(t, gatewaytest.Machine)
	asks := func(name string, want int64, do func() *httptest.ResponseRecorder, status int) {
		t.Helper()
		before := d.asked.Load()
		if rec := do(); rec.Code != status {
			t.Errorf("%s: status %d, want %d", name, rec.Code, status)
		}
		if n := d.asked.Load() - before; n != want {
			t.Errorf("%s: asked %d times, want %d", name, n, want)
		}
	}
	get := func(target string, more ...string) func() *httptest.ResponseRecorder {
		return func() *httptest.ResponseRecorder { return call(h, "GET", target, token, more...) }
	}
	asks("first", 1, get("/files/open"), 200)
	asks("again", 0, get("/files/open"), 200)
	asks("another query", 0, get("/files/open?a=1"), 200)
	// G11: every input counts.
	asks("another path", 1, get("/files/openly"), 200)
	asks("another address", 1, get("/files/open", "Test-Address", "192.0.2.7"), 200)
	asks("a second token", 1, get("/files/open", "Authorization", "Bearer x"), 401)
	asks("a refusal is asked for again", 1, get("/files/secret"), 403)
	asks("a refusal is asked for again", 1, get("/files/secret"), 403)
	asks("another method", 1, func() *httptest.ResponseRecorder { return call(h, "BREW", "/files/open", token) }, 403)
	now.Add(int64(time.Second))
	asks("after a second", 1, get("/files/open"), 200)
	for range 5 { // more than it keeps
		for _, path := range []string{"/files/1", "/files/2", "/files/3", "/files/4"} {
			if rec := get(path)(); rec.Code != 200 {
				t.Errorf("%s: status %d", path, rec.Code)
			}
		}
	}
}

func TestG05ARevokedTokenEndsWithItsDecision(t *testing.T) {
	s := servertest.Start(t)
	var ahead atomic.Int64
	g := newGuard(t, guard.Options{Decisions: s.Decisions + "/decide/nginx/example", Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }})
	h := g.Handler(whoami)
	token := s.Token(t, s.Example)
	identity(t, call(h, "GET", "/orders/7", token))
	s.Post(t, "/clients/"+string(s.Example.Client.ID)+"/revoke", map[string]any{}, nil)
	ahead.Store(int64(time.Second))
	if rec := call(h, "GET", "/orders/7", token); rec.Code != 401 {
		t.Errorf("a second after the revoke: status %d", rec.Code)
	}
}

func TestGin(t *testing.T) {
	gin.SetMode(gin.TestMode)
	d := decisions(t)
	g := newGuard(t, guard.Options{Decisions: d.url, Credential: d.Basic(gatewaytest.Gateway)})
	r := gin.New()
	r.GET("/files/:name", ginguard.Require(g, "orders:write"), gin.WrapH(whoami))
	reached := false
	r.GET("/orders/:id", ginguard.Require(g, "other"), func(*gin.Context) { reached = true })
	token := d.Token(t, gatewaytest.Machine)
	if id := identity(t, call(r, "GET", "/files/open", token)); id.Client != string(gatewaytest.Machine) {
		t.Errorf("the identity is %+v", id)
	}
	if rec := call(r, "GET", "/files/secret", token); rec.Code != 403 {
		t.Errorf("denied: status %d", rec.Code)
	}
	if rec := call(r, "GET", "/orders/7", token); rec.Code != 403 || reached {
		t.Errorf("without the scope: status %d, reached %t", rec.Code, reached)
	}
}

func TestOptions(t *testing.T) {
	for name, o := range map[string]guard.Options{
		"nothing": {}, "no audience": {Issuer: "https://postern.example"}, "another binding": {Decisions: "http://127.0.0.1:8086/decide/envoy/orders"},
	} {
		if _, err := guard.New(o); err == nil || !strings.HasPrefix(err.Error(), "guard: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A second module builds with the guard and nothing of Postern's own needs.
func TestASecondModuleImportsIt(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	sums, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"go.mod": "module example.com/orders\n\ngo 1.26.0\n\nrequire postern v0.0.0\n\nreplace postern => " + root + "\n",
		"go.sum": string(sums),
		"main.go": `package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"postern/server/guard"
)

func main() {
	g, err := guard.New(guard.Options{Decisions: "http://127.0.0.1:1/decide/nginx/orders"})
	if err != nil {
		panic(err)
	}
	rec := httptest.NewRecorder()
	g.Handler(http.NotFoundHandler()).ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
	fmt.Println(rec.Code)
}
`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	command := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "go", args...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	if got := strings.TrimSpace(command("run", ".")); got != "503" {
		t.Errorf("it printed %q", got)
	}
	for name := range strings.FieldsSeq(command("list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".")) {
		if name != "example.com/orders" && name != "postern/server/guard" {
			t.Errorf("it brings %s along", name)
		}
	}
}
