package shippedtest_test

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"postern/server/gateway"
	"postern/server/gateway/gatewaytest"
	"postern/server/gateway/shipped"
	"postern/store"
	"postern/store/mongo/mongotest"
)

// seen is a request that reached the upstream.
type seen struct {
	*http.Request

	body string
}

// upstream writes down what reaches it.
type upstream struct {
	mu  sync.Mutex
	all []seen
}

func (u *upstream) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	u.mu.Lock()
	defer u.mu.Unlock()
	u.all = append(u.all, seen{r, string(body)})
}

// take returns what was seen since the last time.
func (u *upstream) take() []seen {
	u.mu.Lock()
	defer u.mu.Unlock()
	all := u.all
	u.all = nil
	return all
}

// decisions is the server of decisions, which can hang and be gone.
type decisions struct {
	http.Handler

	address string
	stop    func()

	mu   sync.Mutex
	hung chan struct{} // nil means it answers
}

func (d *decisions) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if d.hangs() {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	d.Handler.ServeHTTP(w, r)
}

// hangs waits while nothing is answered, and reports whether it did. What hung is
// never decided: who asked has left by then, or is about to.
func (d *decisions) hangs() bool {
	d.mu.Lock()
	hung := d.hung
	d.mu.Unlock()
	if hung == nil {
		return false
	}
	<-hung
	return true
}

// hang lets no question be answered until what it returns is called.
func (d *decisions) hang() (release func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	hung := make(chan struct{})
	d.hung = hung
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.hung = nil
		close(hung)
	}
}

// decide serves decisions as postern does, not as net/http does.
func decide(t *testing.T, h *gateway.Handler, byGRPC bool) *decisions {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &decisions{Handler: h, address: l.Addr().String()}
	if byGRPC {
		server := gateway.NewExtAuthz(h, nil, grpc.UnaryInterceptor(func(ctx context.Context, q any, _ *grpc.UnaryServerInfo, answer grpc.UnaryHandler) (any, error) {
			if d.hangs() {
				return nil, status.Error(codes.Unavailable, "it hung")
			}
			return answer(ctx, q)
		}))
		ended := make(chan error, 1)
		go func() { ended <- server.Serve(l) }()
		d.stop = sync.OnceFunc(func() {
			server.Stop()
			<-ended //nolint:errcheck // it ends by Stop
		})
		t.Cleanup(d.stop)
		return d
	}
	server := gateway.NewServer(d, gateway.ServerOptions{})
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	d.stop = sync.OnceFunc(func() {
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // connections are closed as they are
		_ = server.Shutdown(ctx)
		<-ended //nolint:errcheck // it ends by Shutdown
	})
	t.Cleanup(d.stop)
	return d
}

// site is a gateway that protects an upstream by decisions of a World.
type site struct {
	*gatewaytest.World
	*upstream

	decisions *decisions
	address   string // of the gateway
	remark    string // of the case at hand, for the table
	answered  http.Header
}

// start starts a gateway with the configuration that is shipped for it.
func start(t *testing.T, g gatewayKind) *site {
	t.Helper()
	s := &site{World: gatewaytest.New(t), upstream: &upstream{}}
	gatewaytest.Change(t, s.World, string(gatewaytest.Shop), func(a *store.API) {
		a.Endpoints = append(slices.Clone(a.Endpoints), store.Endpoint{Methods: "POST", Path: "/graphql", GraphQL: true})
	})
	gatewaytest.Change(t, s.World, string(gatewaytest.Clerk), func(r *store.Role) {
		r.Rules = append(slices.Clone(r.Rules),
			store.Rule{Number: 7, API: "shop", Methods: "POST", Path: "/graphql", Operation: "query devices"},
			store.Rule{Number: 8, API: "shop", Methods: "GET", Path: "/graphql"})
	})
	s.decisions = decide(t, s.Handler, g.grpc)
	application := httptest.NewServer(s.upstream)
	t.Cleanup(application.Close)

	program := binary(t, g)
	said, err := exec.CommandContext(t.Context(), program, g.version...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", program, g.version, err, said)
	}
	t.Logf("%s %s", g.name, number(string(said)))
	facts := shipped.Facts{API: "shop", Decisions: s.decisions.address, Upstream: application.Listener.Addr().String()}
	for attempt := 1; ; attempt++ {
		facts.Listen = freeAddress(t)
		s.address = facts.Listen
		err := run(t, g, program, facts, s.Basic(gatewaytest.Gateway))
		if err == nil {
			s.take()
			return s
		}
		if attempt == 3 { // somebody else may have taken the port meanwhile
			t.Fatal(err)
		}
		t.Log(err)
	}
}

// binary finds a gateway's program.
func binary(t *testing.T, g gatewayKind) string {
	t.Helper()
	variable := strings.ToUpper(g.program)
	for _, name := range []string{os.Getenv(variable), g.program, "/usr/sbin/" + g.program} {
		if path, err := exec.LookPath(name); name != "" && err == nil {
			return path
		}
	}
	t.Fatalf("there is no %s, neither as $%s nor on PATH; get it by: make tools", g.program, variable)
	return ""
}

// number returns the first number of a version in what a program says of itself.
func number(said string) string {
	for _, word := range strings.FieldsFunc(said, func(c rune) bool { return strings.ContainsRune(" \n\t/", c) }) {
		word = strings.TrimPrefix(word, "v")
		if word != "" && word[0] >= '0' && word[0] <= '9' && strings.Count(word, ".") == 2 {
			number, _, _ := strings.Cut(word, "-")
			return number
		}
	}
	return strings.TrimSpace(said)
}

func freeAddress(t *testing.T) string {
	t.Helper()
	addr, err := mongotest.FreeAddress(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// locked is what a program says, while it is read.
type locked struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(p)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

// run starts a gateway in a folder of its own, and returns when it lets through
// what is public.
func run(t *testing.T, g gatewayKind, program string, facts shipped.Facts, credential string) error {
	t.Helper()
	dir := t.TempDir()
	facts.Script = filepath.Join(dir, "haproxy.lua")
	for _, name := range g.files {
		text, err := shipped.Config(name, facts)
		if err != nil {
			t.Fatal(err)
		}
		write(t, dir, shipped.File(name), string(text))
	}
	if g.prepare != nil {
		g.prepare(t, dir, credential)
	}
	if g.edit != nil {
		g.edit(t, dir)
	}
	var args []string
	for _, a := range g.args {
		args = append(args, strings.NewReplacer("DIR", dir, "LISTEN", facts.Listen).Replace(a))
	}
	said := &locked{}
	args = append(args, g.more...)
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = dir, said, said, processAttributes()
	cmd.Env = append(os.Environ(), "POSTERN_GATEWAY="+credential, "HOME="+dir, "XDG_CONFIG_HOME="+dir, "XDG_DATA_HOME="+dir)
	cmd.Env = append(cmd.Env, g.env...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	stop := func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended: //nolint:errcheck // it was told to end
		case <-time.After(5 * time.Second):
			_ = cmd.Process.Kill()
			<-ended //nolint:errcheck // it was killed
		}
		if t.Failed() {
			t.Logf("%s said:\n%s", g.name, said)
		}
	}
	// No gateway says when it serves what its file says.
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	late := time.After(60 * time.Second)
	for {
		ask := send
		if g.secured {
			ask = sendSecured
		}
		if status, err := ask(t.Context(), facts.Listen, "GET /health HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n"); err == nil && status == cmp.Or(g.ready, http.StatusOK) {
			t.Cleanup(stop)
			return nil
		}
		select {
		case <-again.C:
		case err := <-ended:
			return fmt.Errorf("%s ended: %w\n%s", g.name, err, said)
		case <-late:
			stop()
			return fmt.Errorf("%s did not start within a minute\n%s", g.name, said)
		}
	}
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// send sends a request as it is, byte for byte, and returns the status, or 0
// where the connection was closed without one.
func send(ctx context.Context, address, text string) (int, error) {
	status, _, err := exchange(ctx, address, text)
	return status, err
}

// sendSecured is send by TLS, to whoever answers.
func sendSecured(ctx context.Context, address, text string) (int, error) {
	d := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, ServerName: "shop.example"}}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return 0, err
	}
	status, _, err := exchangeOn(conn, text)
	return status, err
}

// exchange is send that returns the answer's header too.
func exchange(ctx context.Context, address, text string) (int, http.Header, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return 0, nil, err
	}
	return exchangeOn(conn, text)
}

func exchangeOn(conn net.Conn, text string) (int, http.Header, error) {
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(90 * time.Second)); err != nil {
		return 0, nil, err
	}
	if _, err := io.WriteString(conn, text); err != nil {
		return 0, nil, err
	}
	method, _, _ := strings.Cut(text, " ")
	answer, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return 0, nil, err
		}
		return 0, nil, nil
	}
	_, _ = io.Copy(io.Discard, answer.Body)
	return answer.StatusCode, answer.Header, answer.Body.Close()
}

// send sends a request without a body.
func (s *site) send(t *testing.T, method, target string, headers ...string) int {
	t.Helper()
	return s.sendBody(t, method, target, "", headers...)
}

// sendBody sends a request, and fails the test where no answer comes.
func (s *site) sendBody(t *testing.T, method, target, body string, headers ...string) int {
	t.Helper()
	text := method + " " + target + " HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n"
	for _, h := range headers {
		text += h + "\r\n"
	}
	status, header, err := exchange(t.Context(), s.address, text+"\r\n"+body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	s.answered = header
	return status
}

// refused checks that a request was refused and did not reach the upstream.
func (s *site) refused(t *testing.T, what string, status int, want ...int) {
	t.Helper()
	got := s.take()
	if len(got) > 0 {
		t.Errorf("%s: it reached the upstream as %s %s", what, got[0].Method, got[0].RequestURI)
	}
	if !slices.Contains(want, status) {
		t.Errorf("%s: status %d, want one of %d", what, status, want)
	}
}

// passed checks that a request reached the upstream, once.
func (s *site) passed(t *testing.T, what string, status int) seen {
	t.Helper()
	got := s.take()
	if status != http.StatusOK || len(got) != 1 {
		t.Fatalf("%s: status %d, and the upstream got %d requests", what, status, len(got))
	}
	return got[0]
}
