// Package servertest starts a whole server for the tests of other packages: on
// the embedded store, in a folder of its own, filled by its first start and with
// the example.
package servertest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"postern/server"
	"postern/server/admin"
	"postern/server/keys"
	"postern/store/sqlite"
)

// Server is a running server.
type Server struct {
	*admin.Bootstrap
	URL       string // of the public listener, which is its issuer, too
	Decisions string // URL of the listener for decisions
	Log       *Log
}

// Start starts a server, which ends with the test. An error in its log fails the
// test. edit may change its options.
func Start(t testing.TB, edit ...func(*server.Options)) *Server {
	t.Helper()
	dir, log := t.TempDir(), &Log{}
	kek, err := keys.FileKEK(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	backend, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	o := server.Options{
		Store: backend, KEK: kek, Version: "test", GatewayListen: "127.0.0.1:0", OpsListen: "127.0.0.1:0", NeverAllowed: true,
		ShutdownTimeout: 10 * time.Second, Log: slog.New(slog.NewTextHandler(log, nil)),
	}
	for _, e := range edit {
		e(&o)
	}
	s := listen(t, o)
	made, err := s.Bootstrap(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	started, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- s.Run(ctx, func() { close(started) }) }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the server ended with %v", err)
		}
		if text := log.String(); strings.Contains(text, "level=ERROR") {
			t.Errorf("the server logged an error:\n%s", text)
		}
	})
	select {
	case <-started:
	case err := <-ended:
		ended <- nil
		t.Fatalf("the server did not start: %v", err)
	}
	return &Server{Bootstrap: made, URL: "http://" + s.PublicAddr(), Decisions: "http://" + s.GatewayAddr(), Log: log}
}

// listen makes a server with its sockets open. The issuer holds the port, so a
// port is chosen first, and another one if somebody was faster.
func listen(t testing.TB, o server.Options) *server.Server {
	t.Helper()
	for {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		o.Listen = l.Addr().String()
		o.Issuer = "http://" + o.Listen
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		s, err := server.New(o)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Listen(t.Context()); err == nil {
			return s
		} else if !errors.Is(err, syscall.EADDRINUSE) {
			t.Fatal(err)
		}
	}
}

// Token gets an access token of a client, for its default API.
func (s *Server) Token(t testing.TB, c admin.Created) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/oauth2/token", strings.NewReader("grant_type=client_credentials"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(string(c.Client.ID), c.Secret.Reveal())
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var got struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&got); err != nil || got.Token == "" {
		t.Fatalf("no token: %d, %v", answer.StatusCode, err)
	}
	return got.Token
}

// Post asks the administration API as the administrator and reads the answer
// into out, unless that is nil. Any answer but a 2xx fails the test.
func (s *Server) Post(t testing.TB, path string, in, out any) {
	t.Helper()
	s.Send(t, http.MethodPost, path, in, out)
}

// Send is Post by another method. A PATCH is made on what is there.
func (s *Server) Send(t testing.TB, method, path string, in, out any) {
	t.Helper()
	bearer := func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+s.Admin.Secret.Reveal()) }
	if method != http.MethodPatch {
		s.send(t, method, path, in, out, bearer)
		return
	}
	revision := s.send(t, http.MethodGet, path, nil, nil, bearer).Get("ETag")
	s.send(t, method, path, in, out, func(r *http.Request) {
		bearer(r)
		r.Header.Set("If-Match", revision)
		r.Header.Set("Content-Type", "application/merge-patch+json")
	})
}

// PostAs is Post by name and password.
func (s *Server) PostAs(t testing.TB, name, password, path string, in, out any) {
	t.Helper()
	s.send(t, http.MethodPost, path, in, out, func(r *http.Request) { r.SetBasicAuth(name, password) })
}

func (s *Server) send(t testing.TB, method, path string, in, out any, authenticate func(*http.Request)) http.Header {
	t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, s.URL+"/api/v1"+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	authenticate(r)
	got, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	var text bytes.Buffer
	if _, err := text.ReadFrom(got.Body); err != nil {
		t.Fatal(err)
	}
	if got.StatusCode/100 != 2 {
		t.Fatalf("%s %s: %s %s", method, path, got.Status, text.String())
	}
	if out == nil {
		return got.Header
	}
	if err := json.Unmarshal(text.Bytes(), out); err != nil {
		t.Fatalf("the answer to %s %s: %v", method, path, err)
	}
	return got.Header
}

// Log is what a server logs.
type Log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write adds a line.
func (l *Log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// String returns all lines so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
