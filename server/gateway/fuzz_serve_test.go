package gateway_test

import (
	"bytes"
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/server/gateway"
)

// written is a connection whose other end has sent some bytes, and no more.
type written struct {
	in   *strings.Reader
	out  bytes.Buffer
	once sync.Once
	done chan struct{}
}

func (w *written) Read(p []byte) (int, error)       { return w.in.Read(p) }
func (w *written) Write(p []byte) (int, error)      { return w.out.Write(p) }
func (w *written) Close() error                     { w.once.Do(func() { close(w.done) }); return nil }
func (w *written) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (w *written) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (w *written) SetDeadline(time.Time) error      { return nil }
func (w *written) SetReadDeadline(time.Time) error  { return nil }
func (w *written) SetWriteDeadline(time.Time) error { return nil }

// handed is what a handler was asked.
type handed struct {
	Method, URI, Host, Proto string
	Length                   int64
	Header                   http.Header
	Body                     string
}

// handedTo returns what a server gives its handler of some bytes, and what it
// writes. Once the connection is closed, nothing is called any more.
func handedTo(raw string, serve func(http.Handler, net.Listener) (stop func())) (all []handed, out string) {
	p := newPipes()
	stop := serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		h := r.Header.Clone()
		if pragma := h["Pragma"]; len(pragma) > 0 && pragma[0] == "no-cache" && h.Get("Cache-Control") == "no-cache" {
			delete(h, "Cache-Control") // net/http adds it
		}
		all = append(all, handed{r.Method, r.URL.String() + " " + r.RequestURI, r.Host, r.Proto, r.ContentLength, h, string(body)})
		w.WriteHeader(http.StatusOK)
	}), p)
	defer stop()
	c := &written{in: strings.NewReader(raw), done: make(chan struct{})}
	p.conns <- c
	<-c.done
	return all, c.out.String()
}

func byUs(h http.Handler, l net.Listener) func() {
	s := gateway.NewServer(h, gateway.ServerOptions{})
	ended := make(chan struct{})
	go func() { _ = s.Serve(l); close(ended) }()
	return func() { _ = s.Shutdown(context.Background()); <-ended }
}

func byNetHTTP(h http.Handler, l net.Listener) func() {
	s := &http.Server{Handler: h, MaxHeaderBytes: 64 << 10, DisableGeneralOptionsHandler: true, ErrorLog: log.New(io.Discard, "", 0)}
	ended := make(chan struct{})
	go func() { _ = s.Serve(l); close(ended) }()
	return func() { _ = s.Close(); <-ended }
}

// FuzzServe holds Server to this law: of whatever bytes, the handler gets
// requests that net/http would have given it, in that order and the same to the
// last header, perhaps fewer; and there is a 200 for each of them, and no other.
func FuzzServe(f *testing.F) {
	for _, s := range []string{
		plain, plain + plain, "GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + plain,
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc" + plain,
		"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\n\r\n" + plain,
		"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n\r\n" + plain,
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + plain,
		"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc" + plain,
		"GET http://u@other:1/x?y#z HTTP/1.1\r\nHost: h\r\nX-A: a\r\n b\r\nx-a:c\r\nPragma: no-cache\r\n\r\n",
		"OPTIONS * HTTP/1.1\nHost: [::1]:80\n\n", "CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"GET //a/%2e%2E/b%00?%zz HTTP/1.1\r\nHost: h\r\nTrailer: x\r\nUpgrade: h2c\r\nConnection: Upgrade, close\r\n\r\n",
		"HEAD / HTTP/1.1\r\nHost: h\r\nX : y\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if len(raw) > 32<<10 {
			return // what is too large is told by waiting, in net/http
		}
		ours, out := handedTo(raw, byUs)
		theirs, _ := handedTo(raw, byNetHTTP)
		if len(ours) > len(theirs) {
			t.Fatalf("%q: our handler was asked %d times, net/http's %d times; last %+v", raw, len(ours), len(theirs), ours[len(ours)-1])
		}
		for i := range ours {
			if diff := cmp.Diff(theirs[i], ours[i]); diff != "" {
				t.Errorf("%q, request %d (-net/http +ours):\n%s", raw, i, diff)
			}
		}
		if got := strings.Count(out, "HTTP/1.1 200 ") + strings.Count(out, "HTTP/1.0 200 "); got != len(ours) {
			t.Errorf("%q: %d answers of 200 to %d requests:\n%s", raw, got, len(ours), out)
		}
	})
}
