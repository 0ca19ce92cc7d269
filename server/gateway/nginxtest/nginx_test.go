package nginxtest_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"text/template"
	"time"

	"postern/server/gateway/gatewaytest"
	"postern/server/token"
)

// binary finds nginx.
func binary(t *testing.T) string {
	t.Helper()
	for _, name := range []string{os.Getenv("NGINX"), "nginx", "/usr/sbin/nginx"} {
		if path, err := exec.LookPath(name); name != "" && err == nil {
			return path
		}
	}
	t.Fatal("there is no nginx, neither as $NGINX nor on PATH; get it by: make tools")
	return ""
}

// upstream writes down every request that reaches it.
type upstream struct {
	mu   sync.Mutex
	seen []*http.Request
}

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u.mu.Lock()
	u.seen = append(u.seen, r)
	u.mu.Unlock()
	w.WriteHeader(http.StatusOK)
}

// take returns what was seen since the last time.
func (u *upstream) take() []*http.Request {
	u.mu.Lock()
	defer u.mu.Unlock()
	seen := u.seen
	u.seen = nil
	return seen
}

// site is an nginx that protects an upstream by decisions of a World.
type site struct {
	*gatewaytest.World
	*upstream

	address string
}

func start(t *testing.T) *site {
	t.Helper()
	nginx := binary(t)
	version, err := exec.CommandContext(t.Context(), nginx, "-v").CombinedOutput()
	if err != nil {
		t.Fatalf("%s -v: %v: %s", nginx, err, version)
	}
	t.Logf("%s", bytes.TrimSpace(version))

	s := &site{World: gatewaytest.New(t), upstream: &upstream{}}
	decisions := httptest.NewServer(s.Handler)
	t.Cleanup(decisions.Close)
	application := httptest.NewServer(s.upstream)
	t.Cleanup(application.Close)

	for attempt := 1; ; attempt++ {
		s.address = freeAddress(t)
		err := run(t, nginx, map[string]string{
			"Postern": decisions.Listener.Addr().String(), "Upstream": application.Listener.Addr().String(),
			"Listen":     s.address,
			"Credential": base64.StdEncoding.EncodeToString([]byte(string(gatewaytest.Gateway) + ":" + s.Secret(gatewaytest.Gateway))),
		})
		if err == nil {
			return s
		}
		if attempt == 3 { // somebody else may have taken the port meanwhile
			t.Fatal(err)
		}
		t.Log(err)
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// run starts nginx in a folder of its own and returns when it takes connections,
// or with what it says as it ends.
func run(t *testing.T, nginx string, facts map[string]string) error {
	t.Helper()
	dir := t.TempDir()
	facts["Dir"] = dir
	tmpl, err := template.ParseFiles("nginx.conf.tmpl")
	if err != nil {
		t.Fatal(err)
	}
	var conf bytes.Buffer
	if err := tmpl.Execute(&conf, facts); err != nil {
		t.Fatal(err)
	}
	text := conf.String()
	if os.Getuid() == 0 { // else its worker would be nobody, who cannot get into the folder
		text = "user root;\n" + text
	}
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(nginx, "-p", dir, "-c", file, "-e", "stderr")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.SysProcAttr = processAttributes()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := make(chan string, 1)
	ready := make(chan struct{})
	go func() {
		var all strings.Builder
		started := false
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			all.WriteString(lines.Text() + "\n")
			if !started && strings.Contains(lines.Text(), "start worker process") {
				started = true
				close(ready)
			}
		}
		said <- all.String()
	}()
	stop := func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		text := <-said
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("nginx said:\n%s", text)
		}
	}
	select {
	case <-ready:
		t.Cleanup(stop)
		return nil
	case text := <-said:
		return fmt.Errorf("nginx ended: %w\n%s", cmd.Wait(), text)
	case <-time.After(30 * time.Second):
		stop()
		return fmt.Errorf("nginx did not start within 30 s")
	}
}

// send sends a request as it is, byte for byte, and returns the status, or 0
// where the connection was closed without one.
func (s *site) send(t *testing.T, method, target string, headers ...string) int {
	t.Helper()
	conn, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	text := method + " " + target + " HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n"
	for _, h := range headers {
		text += h + "\r\n"
	}
	if _, err := io.WriteString(conn, text+"\r\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		return 0
	}
	_ = answer.Body.Close()
	return answer.StatusCode
}

// G01, G12: through nginx, no spelling of a path gets anywhere that it should not.
func TestG12WhatWasDecidedIsWhatIsServed(t *testing.T) {
	s := start(t)
	authorization := "Authorization: Bearer " + s.Token(t, gatewaytest.Machine)
	for _, spelling := range gatewaytest.Spellings() {
		for _, last := range []string{"open", "secret"} {
			target := strings.ReplaceAll(spelling, "X", last)
			status := s.send(t, "GET", target, authorization)
			seen := s.take()
			// nginx knows some for malformed itself. An absolute URI it takes apart,
			// and asks for its path: that one it may serve.
			served := target == "http://shop.example/files/open"
			if served && status != 200 || !served && status != 403 && status != 400 && status != 0 {
				t.Errorf("%q: status %d", target, status)
			}
			if len(seen) > 0 && (!served || seen[0].RequestURI != "/files/open") {
				t.Errorf("%q got through as %q", target, seen[0].RequestURI)
			}
		}
	}
	for target, allowed := range map[string]bool{
		"/files/open": true, "/files/open/": true, "/files/%6fpen": true, "/files/open?to=/../secret": true, "/files/SECRET": true,
		"/files/secret": false, "/files/%73ecret": false, "/files/secret/": false, "/files/secret?/files/open": false, "/_postern": false, "/orders/../_postern": false,
	} {
		status := s.send(t, "GET", target, authorization)
		seen := s.take()
		switch {
		case allowed && (status != 200 || len(seen) != 1 || seen[0].RequestURI != target):
			t.Errorf("%q: status %d, and upstream saw %d requests", target, status, len(seen))
		case !allowed && (status == 200 || len(seen) > 0):
			t.Errorf("%q: status %d, and upstream saw %d requests", target, status, len(seen))
		}
	}
}

func TestOnlyTheBearerOfAGoodTokenGetsThrough(t *testing.T) {
	s := start(t)
	good := s.Token(t, gatewaytest.Machine, func(c *token.Claims) { c.ID = "good" })
	revoked := s.Token(t, gatewaytest.Machine, func(c *token.Claims) { c.ID = "revoked" })
	if status := s.send(t, "GET", "/files/open", "Authorization: Bearer "+revoked); status != 200 {
		t.Errorf("before it was revoked: status %d", status)
	}
	s.Revoke("revoked")
	s.take()
	for name, headers := range map[string][]string{
		"no token":         nil,
		"revoked":          {"Authorization: Bearer " + revoked},
		"other audience":   {"Authorization: Bearer " + s.Token(t, gatewaytest.Machine, func(c *token.Claims) { c.Audience = []string{"https://other.example"} })},
		"two headers":      {"Authorization: Bearer " + good, "Authorization: Bearer " + good},
		"good, then bad":   {"Authorization: Bearer " + good, "Authorization: Basic eDp5"},
		"bad, then good":   {"Authorization: Basic eDp5", "Authorization: Bearer " + good},
		"comma":            {"Authorization: Bearer " + good + ", Bearer x"},
		"in the cookie":    {"Cookie: access_token=" + good},
		"forged decisions": {"X-Original-URI: /health", "X-Original-Method: GET", "X-Auth-Subject: root"},
		"the gateway's own credential": {
			"Authorization: Bearer " + s.Secret(gatewaytest.Gateway), "X-Postern-Gateway: " + s.Basic(gatewaytest.Gateway),
		},
	} {
		// nginx itself refuses two Authorization headers with 400 in its later versions.
		if status := s.send(t, "GET", "/files/open", headers...); status != 401 && status != 400 {
			t.Errorf("%s: status %d, want 401", name, status)
		}
		if seen := s.take(); len(seen) > 0 {
			t.Errorf("%s: got through", name)
		}
	}
	for name, headers := range map[string][]string{
		"X-Original-URI":    {"X-Original-URI: /files/open"},
		"two of them":       {"X-Original-URI: /files/open", "X-Original-URI: /files/open"},
		"X-Original-Method": {"X-Original-Method: HEAD"},
		"X-Rewrite-URL":     {"X-Rewrite-URL: /files/open", "X-Original-URL: /files/open", "X-Forwarded-Uri: /files/open", "X-Forwarded-Prefix: /files/open"},
		"X_Original_URI":    {"X_Original_URI: /files/open"},
	} {
		if status := s.send(t, "GET", "/files/secret", append(headers, "Authorization: Bearer "+good)...); status != 403 {
			t.Errorf("%s: status %d, want 403", name, status)
		}
		if seen := s.take(); len(seen) > 0 {
			t.Errorf("%s: got through", name)
		}
	}
	for _, call := range []struct{ method, target string }{{"HEAD", "/files/open"}, {"POST", "/files/open"}, {"OPTIONS", "/files/open"}, {"DELETE", "/orders/1"}} {
		if status := s.send(t, call.method, call.target, "Authorization: Bearer "+good, "X-HTTP-Method-Override: GET"); status != 403 {
			t.Errorf("%s %s: status %d, want 403", call.method, call.target, status)
		}
		if seen := s.take(); len(seen) > 0 {
			t.Errorf("%s %s: got through", call.method, call.target)
		}
	}
}

func TestTheUpstreamHearsOfTheCallerFromUsAlone(t *testing.T) {
	s := start(t)
	forged := []string{
		"X-Auth-Subject: root", "X-Auth-Client: root", "X-Auth-Workspace: root", "X-Auth-Roles: root", "X-Auth-Scope: root", "X-Auth-Token: root",
		"x-auth-subject: root", "X-Auth-Subject: root", "X-Original-URI: /", "X-Postern-Gateway: Basic eDp5",
	}
	for _, tt := range []struct {
		name, target, authorization string
		subject, client, ws, roles  string
		scope                       string
	}{
		{"a token", "/files/open", "Bearer " + s.Token(t, gatewaytest.Machine), string(gatewaytest.Account), string(gatewaytest.Machine), "wspacme", "acme/clerk", "orders:write"},
		{"a secret", "/files/open", "bearer " + s.Secret(gatewaytest.Bearer), string(gatewaytest.Account), string(gatewaytest.Bearer), "wspacme", "acme/clerk", "orders:write"},
		{"public", "/health", "", "anonymous", "-", "-", "-", "-"},
	} {
		headers := forged
		if tt.authorization != "" {
			headers = append([]string{"Authorization: " + tt.authorization}, forged...)
		}
		status := s.send(t, "GET", tt.target, headers...)
		seen := s.take()
		if status != 200 || len(seen) != 1 {
			t.Fatalf("%s: status %d, and upstream saw %d requests", tt.name, status, len(seen))
		}
		got := seen[0].Header
		for name, want := range map[string]string{
			"X-Auth-Subject": tt.subject, "X-Auth-Client": tt.client, "X-Auth-Workspace": tt.ws, "X-Auth-Roles": tt.roles, "X-Auth-Scope": tt.scope,
		} {
			if values := got[name]; len(values) != 1 || values[0] != want {
				t.Errorf("%s: %s is %q, want %q", tt.name, name, values, want)
			}
		}
		for _, name := range []string{"X-Auth-Token", "X-Postern-Gateway", "X-Original-Uri", "X-Original-Method", "X-Original-Host"} {
			if values := got[name]; values != nil {
				t.Errorf("%s: upstream got %s: %q", tt.name, name, values)
			}
		}
		for name, values := range got {
			if strings.Contains(strings.Join(values, "\n"), "pst_") {
				t.Errorf("%s: upstream got a secret in %s", tt.name, name)
			}
		}
		if tt.name == "a secret" && strings.Count(got.Get("Authorization"), ".") != 2 {
			t.Errorf("%s: upstream got the Authorization %q, no JWT", tt.name, got.Get("Authorization"))
		}
		if tt.name == "a token" && got.Get("Authorization") != tt.authorization {
			t.Errorf("%s: upstream got another token", tt.name)
		}
	}
	if _, uses := s.Used(t); len(uses) != 2 || uses[0].SuccessAddress != "127.0.0.1" {
		t.Errorf("last uses: %+v", uses)
	}
}

func TestOurOwnTroubleLetsNothingThrough(t *testing.T) {
	s := start(t)
	authorization := "Authorization: Bearer " + s.Token(t, gatewaytest.Machine)
	s.SetAge(2 * time.Minute)
	if status := s.send(t, "GET", "/files/open", authorization); status != 500 { // what nginx makes of 503
		t.Errorf("status %d, want 500", status)
	}
	if seen := s.take(); len(seen) > 0 {
		t.Error("it got through")
	}
	s.SetAge(0)
	if status := s.send(t, "GET", "/files/open", authorization); status != 200 {
		t.Errorf("afterwards: status %d, want 200", status)
	}
}
