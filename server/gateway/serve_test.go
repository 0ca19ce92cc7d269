package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"postern/server/gateway"
)

func TestMain(m *testing.M) {
	// net/http's server, which ours is compared to, waits half a second before it
	// closes a connection.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// serve serves h on loopback until the test ends.
func serve(t testing.TB, h http.Handler, o gateway.ServerOptions) (s *gateway.Server, addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s = gateway.NewServer(h, o)
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	t.Cleanup(func() {
		if err := s.Shutdown(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve: got %v, want %v", err, http.ErrServerClosed)
		}
	})
	return s, l.Addr().String()
}

func dial(t testing.TB, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func send(t testing.TB, c io.Writer, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

// reply is an answer, read.
type reply struct {
	status int
	header http.Header
	last   bool // the connection closes after it
	body   string
}

// read reads the answer to a request, by default a GET.
func read(t testing.TB, r *bufio.Reader, to ...*http.Request) reply {
	t.Helper()
	res, err := http.ReadResponse(r, append(to, nil)[0])
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("no body: %v", err)
	}
	return reply{res.StatusCode, res.Header, res.Close, string(body)}
}

// ends fails unless the server closes the connection without another byte.
func ends(t testing.TB, r io.Reader) {
	t.Helper()
	if rest, err := io.ReadAll(r); len(rest) > 0 || err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %q and %v, want the end of the connection", rest, err)
	}
}

const plain = "GET /decide HTTP/1.1\r\nHost: h\r\n\r\n"

func ok(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }

func TestAnAnswerIsWhatTheHandlerSaid(t *testing.T) {
	_, addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/body":
			w.Header().Set("Content-Type", "text/plain")
			w.Header().Set("Content-Length", "999") // the server knows better
			w.Header()["X-Two"] = []string{"a", "b"}
			w.WriteHeader(http.StatusAccepted)
			w.WriteHeader(http.StatusOK) // the first one counts
			_, _ = w.Write([]byte("he"))
			_, _ = w.Write([]byte("llo"))
		case "/none":
			w.WriteHeader(http.StatusNoContent)
		case "/split":
			w.Header()["X-Bad"] = []string{"a\r\nX-Forged: b"}
		case "/name":
			w.Header()["X-Bad: a\r\nX-Forged"] = []string{"b"}
		case "/close":
			w.Header().Set("Connection", "close")
		}
	}), gateway.ServerOptions{Now: func() time.Time { return time.Now() }})
	for _, tt := range []struct {
		path, method string
		status       int
		header       http.Header // beside Date
		body         string
	}{
		{"/", "GET", 200, http.Header{"Content-Length": {"0"}}, ""},
		{"/body", "GET", 202, http.Header{"Content-Length": {"5"}, "Content-Type": {"text/plain"}, "X-Two": {"a", "b"}}, "hello"},
		{"/body", "HEAD", 202, http.Header{"Content-Length": {"5"}, "Content-Type": {"text/plain"}, "X-Two": {"a", "b"}}, ""},
		{"/none", "GET", 204, http.Header{}, ""},
		{"/split", "GET", 500, http.Header{"Content-Length": {"0"}, "Connection": {"close"}}, ""},
		{"/name", "GET", 500, http.Header{"Content-Length": {"0"}, "Connection": {"close"}}, ""},
		{"/close", "GET", 200, http.Header{"Content-Length": {"0"}, "Connection": {"close"}}, ""},
	} {
		c := dial(t, addr)
		send(t, c, tt.method+" "+tt.path+" HTTP/1.1\r\nHost: h\r\n\r\n")
		r := bufio.NewReader(c)
		got := read(t, r, &http.Request{Method: tt.method})
		if _, err := http.ParseTime(got.header.Get("Date")); err != nil {
			t.Errorf("%s %s: Date: %v", tt.method, tt.path, err)
		}
		got.header.Del("Date")
		if got.last {
			got.header.Set("Connection", "close") // ReadResponse took it out
		}
		if got.status != tt.status || got.body != tt.body {
			t.Errorf("%s %s: got %d %q, want %d %q", tt.method, tt.path, got.status, got.body, tt.status, tt.body)
		}
		if diff := cmp.Diff(tt.header, got.header); diff != "" {
			t.Errorf("%s %s: header (-want +got):\n%s", tt.method, tt.path, diff)
		}
		if tt.header["Connection"] != nil {
			ends(t, r)
			continue
		}
		send(t, c, plain) // nothing of the answer before is left in this one
		if got := read(t, r); got.status != 200 || got.body != "" || got.header.Get("X-Two") != "" {
			t.Errorf("after %s %s: got %+v", tt.method, tt.path, got)
		}
	}
}

func TestAHandlerMayReadTheBody(t *testing.T) {
	_, addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/ignore" {
			return
		}
		n, err := io.Copy(io.Discard, r.Body)
		_, _ = fmt.Fprint(w, n, err)
	}), gateway.ServerOptions{})
	big := strings.Repeat("x", 1<<20)
	for _, tt := range []struct {
		name, request, want string
		goesOn              bool
	}{
		{"none", plain, "0 <nil>", true},
		{"with a length", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc", "3 <nil>", true},
		{"in chunks", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", "5 <nil>", true},
		{"of a megabyte", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1048576\r\n\r\n" + big, "1048576 <nil>", true},
		{"with a trailer", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nA: b\r\n\r\n", "3 unexpected EOF", false},
		{"with broken chunks", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "0 invalid byte in chunk length", false},
		{"ignored", "POST /ignore HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc", "", true},
		{"ignored at the bound", "POST /ignore HTTP/1.1\r\nHost: h\r\nContent-Length: 65536\r\n\r\n" + big[:65536], "", true},
		{"ignored beyond the bound", "POST /ignore HTTP/1.1\r\nHost: h\r\nContent-Length: 1048576\r\n\r\n" + big, "", false},
		{"ignored, in too many chunks", "POST /ignore HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("4000\r\n"+big[:0x4000]+"\r\n", 5) + "0\r\n\r\n", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := dial(t, addr)
			go func() { _, _ = io.WriteString(c, tt.request+plain) }() // maybe more than is ever read
			r := bufio.NewReader(c)
			if got := read(t, r); got.status != 200 || got.body != tt.want || got.last == tt.goesOn {
				t.Errorf("got %+v", got)
			}
			if !tt.goesOn {
				ends(t, r)
			} else if got := read(t, r); got.status != 200 {
				t.Errorf("the next request: %+v", got)
			}
		})
	}
}

func TestABodyIsAskedForWhenItIsWanted(t *testing.T) {
	_, addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/read" {
			_, _ = io.Copy(w, r.Body)
		}
	}), gateway.ServerOptions{})
	const head = " HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
	c := dial(t, addr)
	r := bufio.NewReader(c)
	send(t, c, "POST /read"+head)
	if got := read(t, r); got.status != http.StatusContinue {
		t.Fatalf("got %+v, want 100", got)
	}
	send(t, c, "abc")
	if got := read(t, r); got.status != 200 || got.body != "abc" {
		t.Errorf("got %+v", got)
	}
	send(t, c, "POST /ignore"+head)
	if got := read(t, r); got.status != 200 || !got.last {
		t.Errorf("got %+v; want 200 and the end: whether the body comes, nobody knows", got)
	}
}

// What is sent is not held in memory, however much it is.
func TestBigBodiesTakeNoMemory(t *testing.T) {
	const size = 64 << 20
	var used atomic.Uint64
	_, addr := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _ = io.Copy(io.Discard, r.Body)
		runtime.ReadMemStats(&after)
		used.Store(after.TotalAlloc - before.TotalAlloc)
	}), gateway.ServerOptions{})
	c := dial(t, addr)
	go func() {
		_, _ = fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n", size)
		part := make([]byte, 64<<10)
		for range size / len(part) {
			_, _ = c.Write(part)
		}
	}()
	if got := read(t, bufio.NewReader(c)); got.status != 200 || used.Load() > size/8 {
		t.Errorf("got %d and %d bytes allocated for a body of %d", got.status, used.Load(), size)
	}
}

func TestARequestHasWhatNetHTTPGives(t *testing.T) {
	seen := make(chan *http.Request, 1)
	_, addr := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen <- r.Clone(r.Context()) }), gateway.ServerOptions{})
	c := dial(t, addr)
	send(t, c, "POST /a%2Fb?q HTTP/1.1\r\nhost: H:1\r\nx-a:  1 \r\nX-A: 2\r\nContent-Length: 2\r\n\r\nxy")
	r := <-seen
	if r.Method != "POST" || r.RequestURI != "/a%2Fb?q" || r.URL.Path != "/a/b" || r.URL.RawPath != "/a%2Fb" || r.URL.RawQuery != "q" ||
		r.Host != "H:1" || r.Proto != "HTTP/1.1" || !r.ProtoAtLeast(1, 1) || r.ContentLength != 2 || r.TLS != nil || r.RemoteAddr != c.LocalAddr().String() {
		t.Errorf("got %+v", r)
	}
	if diff := cmp.Diff(http.Header{"X-A": {"1", "2"}, "Content-Length": {"2"}}, r.Header); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	if got := r.Context().Value(http.LocalAddrContextKey); fmt.Sprint(got) != addr {
		t.Errorf("local address %v, want %s", got, addr)
	}
	read(t, bufio.NewReader(c))
	_ = c.Close()
	<-r.Context().Done()
}

func TestAPanicEndsItsConnectionOnly(t *testing.T) {
	var log bytes.Buffer
	logged := make(chan struct{}, 1)
	_, addr := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/panic":
			panic("boom")
		case "/abort":
			panic(http.ErrAbortHandler)
		}
	}), gateway.ServerOptions{Log: slog.New(slog.NewTextHandler(writerFunc(func(p []byte) (int, error) {
		defer func() { logged <- struct{}{} }()
		return log.Write(p)
	}), nil))})
	other := dial(t, addr)
	for _, path := range []string{"/abort", "/panic"} {
		c := dial(t, addr)
		send(t, c, "GET "+path+" HTTP/1.1\r\nHost: h\r\n\r\n")
		ends(t, c)
	}
	<-logged
	if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "boom") {
		t.Errorf("logged %q", got)
	}
	send(t, other, plain)
	read(t, bufio.NewReader(other))
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestTLS(t *testing.T) {
	source := httptest.NewTLSServer(http.HandlerFunc(ok)) // for its certificate
	defer source.Close()
	_, addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, r.TLS != nil && r.TLS.HandshakeComplete)
	}), gateway.ServerOptions{TLS: &tls.Config{Certificates: source.TLS.Certificates, NextProtos: []string{"h2"}}})
	trust := source.Client().Transport.(*http.Transport).TLSClientConfig
	for protocol, want := range map[string]bool{"": true, "http/1.1": true, "h2": false} {
		config := trust.Clone()
		config.ServerName = "example.com"
		config.NextProtos = nil
		if protocol != "" {
			config.NextProtos = []string{protocol}
		}
		c := tls.Client(dial(t, addr), config)
		err := c.HandshakeContext(t.Context())
		if (err == nil) != want {
			t.Errorf("handshake for %q: %v", protocol, err)
		}
		if err != nil {
			continue
		}
		send(t, c, plain)
		if got := read(t, bufio.NewReader(c)); got.status != 200 || got.body != "true" {
			t.Errorf("got %+v", got)
		}
		_ = c.Close()
	}
	c := dial(t, addr)
	send(t, c, plain)
	if got := read(t, bufio.NewReader(c)); got.status != 400 {
		t.Errorf("plain text to a TLS port: got %+v, want 400", got)
	}
}

// pipes is a listener of connections in memory, whose time is a test's own.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	fails chan error
}

func newPipes() *pipes {
	return &pipes{make(chan net.Conn), make(chan struct{}), make(chan error, 8)}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case err := <-p.fails:
		return nil, err
	default:
	}
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { close(p.done); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial() net.Conn {
	here, there := net.Pipe()
	p.conns <- there
	return here
}

func TestTimeouts(t *testing.T) {
	for _, tt := range []struct {
		name   string
		sent   string        // at once
		drip   string        // then, again and again, every second
		answer bool          // there is one, which is read
		want   time.Duration // until the connection ends
	}{
		{"nothing is sent", "", "", false, 5 * time.Second},
		{"a header that never ends", "GET / HTTP/1.1\r\n", "", false, 5 * time.Second},
		{"a header, byte by byte", "GET / HTTP/1.1\r\n", "x", false, 5 * time.Second},
		{"no second request", plain, "", true, 2 * time.Minute},
		{"half a second request", plain + "GET", "", true, 5 * time.Second},
		{"a body that never ends", "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 99\r\n\r\n", "x", true, 15 * time.Second},
		{"an answer that nobody takes", plain, "", false, 30 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPipes()
				s := gateway.NewServer(http.HandlerFunc(ok), gateway.ServerOptions{})
				go func() { _ = s.Serve(p) }()
				c := p.dial()
				began := time.Now()
				go func() {
					_, err := io.WriteString(c, tt.sent)
					for err == nil && tt.drip != "" {
						time.Sleep(time.Second)
						_, err = io.WriteString(c, tt.drip)
					}
				}()
				if !tt.answer && tt.sent == plain {
					time.Sleep(tt.want + time.Second) // and only then look
					if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
						t.Errorf("got %d bytes and %v, want the end", n, err)
					}
				} else {
					all, _ := io.ReadAll(c)
					if got := time.Since(began).Round(time.Second); got != tt.want || (len(all) > 0) != tt.answer {
						t.Errorf("ended after %s with %q, want %s and answer=%t", got, all, tt.want, tt.answer)
					}
				}
				_ = c.Close()
				if err := s.Shutdown(t.Context()); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Second) // the one who sends finds out
			})
		})
	}
}

// An idle connection lives as long as it is used, however the time between its
// requests falls on the moments at which deadlines are moved.
func TestAConnectionInUseIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipes()
		s := gateway.NewServer(http.HandlerFunc(ok), gateway.ServerOptions{})
		go func() { _ = s.Serve(p) }()
		c := p.dial()
		r := bufio.NewReader(c)
		const most = 118 * time.Second // a second of the idle timeout may be missing
		for _, pause := range []time.Duration{0, 900 * time.Millisecond, most, 0, time.Second, most, 28 * time.Second, 31 * time.Second, most} {
			time.Sleep(pause)
			send(t, c, plain)
			read(t, r)
		}
		// Each request has its own time, also one that came in part with the
		// request before.
		send(t, c, plain[:9])
		time.Sleep(4 * time.Second)
		send(t, c, plain[9:]+plain[:9])
		read(t, r)
		time.Sleep(4 * time.Second)
		send(t, c, plain[9:])
		read(t, r)
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestAcceptIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipes()
		for _, errno := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ECONNABORTED} {
			p.fails <- &net.OpError{Op: "accept", Err: errno}
		}
		s := gateway.NewServer(http.HandlerFunc(ok), gateway.ServerOptions{})
		ended := make(chan error, 1)
		go func() { ended <- s.Serve(p) }()
		c := p.dial()
		send(t, c, plain)
		read(t, bufio.NewReader(c))
		lost := errors.New("lost the network")
		p.fails <- lost
		_ = p.dial()
		if err := <-ended; !errors.Is(err, lost) {
			t.Errorf("Serve: got %v, want %v", err, lost)
		}
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if err := s.Serve(newPipes()); !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve after Shutdown: got %v", err)
		}
	})
}

func TestShutdown(t *testing.T) {
	started, finish := make(chan context.Context, 2), make(chan struct{})
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			started <- r.Context()
			<-finish
			_, _ = io.WriteString(w, "done")
		}
	})
	const slow = "GET /slow HTTP/1.1\r\nHost: h\r\n\r\n"
	t.Run("a running request ends, and what waits is closed", func(t *testing.T) {
		s, addr := serve(t, h, gateway.ServerOptions{})
		idle, running := dial(t, addr), dial(t, addr)
		send(t, idle, plain)
		waiting := bufio.NewReader(idle)
		read(t, waiting)
		send(t, running, slow+plain) // the second one is never answered
		ctx := <-started
		ended := make(chan error, 1)
		go func() { ended <- s.Shutdown(t.Context()) }()
		ends(t, waiting)
		if c, err := net.Dial("tcp", addr); err == nil {
			t.Error("a new connection was accepted")
			_ = c.Close()
		}
		if ctx.Err() != nil {
			t.Error("the running request was cancelled")
		}
		finish <- struct{}{}
		r := bufio.NewReader(running)
		if got := read(t, r); got.status != 200 || got.body != "done" || !got.last {
			t.Errorf("got %+v", got)
		}
		ends(t, r)
		if err := <-ended; err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
	t.Run("what does not end in time is cut off", func(t *testing.T) {
		s, addr := serve(t, h, gateway.ServerOptions{})
		c := dial(t, addr)
		send(t, c, slow)
		request := <-started
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Shutdown(ctx) }()
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Shutdown: got %v, want %v", err, context.Canceled)
		}
		<-request.Done()
		ends(t, c)
		finish <- struct{}{}
	})
}
