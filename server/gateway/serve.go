package gateway

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// ServerOptions configures a Server. Zero values work.
type ServerOptions struct {
	HeaderTimeout time.Duration // from the first byte of a request to the end of its header, and for the first byte of a connection; 0 means 5 s
	BodyTimeout   time.Duration // for the rest of a body; 0 means 15 s
	AnswerTimeout time.Duration // until a client has taken an answer; 0 means 30 s
	IdleTimeout   time.Duration // from an answer to the next request, to the second; 0 means 2 min
	MaxHeader     int           // bytes of request line and header; 0 means 64 KiB

	TLS *tls.Config      // nil means plain
	Log *slog.Logger     // nil means no log
	Now func() time.Time // nil means time.Now; deadlines are counted from it
}

// Server serves HTTP/1.1 and HTTP/1.0 to gateways. It exists because a decision
// takes a few microseconds and net/http a multiple of that around it: for each
// request a response, a context that can be cancelled, a goroutine that reads
// ahead, and the header cloned, sorted and written in pieces. Measured over
// loopback, with the program that asks in the same process, decisions had 0.7 of
// the throughput of a net/http handler that does nothing; through Server they have
// about as much as that handler (docs/adr/0005).
//
// What is read is read by the rules of net/http, with its own packages where it
// exports them (textproto, url, httpguts, httputil). Where the two differ, Server
// refuses more, as the tests show side by side. It leaves out:
//
//   - HTTP/2, upgrades, CONNECT and trailers;
//   - answers in pieces: an answer is sent when the handler has returned, and of an
//     answer to HEAD, the body is not;
//   - a context for each request: a request has that of its connection, which is
//     done when the connection ends or Shutdown gives up, and not when a client
//     goes away while it is answered.
//
// A handler must not keep a request, its header or its ResponseWriter once it has
// returned: they serve the next request of the connection.
type Server struct {
	handler http.Handler
	o       ServerOptions

	date    atomic.Pointer[dateLine]
	closing atomic.Bool
	stop    chan struct{} // closed when closing is set
	gone    chan struct{} // closed when, after that, the last connection ends

	mu        sync.Mutex
	listeners map[net.Listener]struct{}
	conns     map[*conn]struct{}
}

// NewServer returns a Server that answers with h.
func NewServer(h http.Handler, o ServerOptions) *Server {
	o.HeaderTimeout = cmp.Or(o.HeaderTimeout, 5*time.Second)
	o.BodyTimeout = cmp.Or(o.BodyTimeout, 15*time.Second)
	o.AnswerTimeout = cmp.Or(o.AnswerTimeout, 30*time.Second)
	o.IdleTimeout = cmp.Or(o.IdleTimeout, 2*time.Minute)
	o.MaxHeader = cmp.Or(o.MaxHeader, 64<<10)
	if o.TLS != nil {
		o.TLS = o.TLS.Clone()
		o.TLS.NextProtos = []string{"http/1.1"}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Server{
		handler: h, o: o, stop: make(chan struct{}), gone: make(chan struct{}),
		listeners: map[net.Listener]struct{}{}, conns: map[*conn]struct{}{},
	}
}

// temporary is an error of Accept that another try may not meet, such as that
// there are too many open files.
type temporary interface {
	error
	Temporary() bool
}

// maxPause is the longest wait between two tries to accept.
const maxPause = time.Second

// Serve answers what connects to l, in a goroutine for each connection, until l
// fails or Shutdown is called; then it is http.ErrServerClosed. It closes l.
func (s *Server) Serve(l net.Listener) error {
	if !s.track(l) {
		_ = l.Close() // was never used
		return http.ErrServerClosed
	}
	defer s.untrack(l)
	var pause time.Duration
	for {
		raw, err := l.Accept()
		switch again, ok := errors.AsType[temporary](err); {
		case err == nil:
			pause = 0
			if c := newConn(s, raw); !s.open(c) {
				_ = raw.Close() // nothing was read from it
			} else {
				go c.serve()
			}
			continue
		case s.closing.Load():
			return http.ErrServerClosed
		case !ok || !again.Temporary():
			return fmt.Errorf("accept a connection: %w", err)
		}
		pause = min(max(2*pause, 5*time.Millisecond), maxPause)
		s.o.Log.Error("cannot accept a connection; trying again", "error", err, "in", pause)
		select {
		case <-time.After(pause):
		case <-s.stop:
		}
	}
}

// Shutdown stops accepting, closes the connections that wait for a request, and
// returns when the others have ended, each after the request that it is at. When
// ctx is done before, it closes them as they are and returns ctx's error.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	if s.closing.CompareAndSwap(false, true) {
		close(s.stop)
	}
	var errs []error
	for l := range s.listeners {
		errs = append(errs, l.Close())
		delete(s.listeners, l)
	}
	for c := range s.conns {
		if c.state.CompareAndSwap(waiting, closed) {
			c.abort()
		}
	}
	none := len(s.conns) == 0
	s.mu.Unlock()
	if none {
		return errors.Join(errs...)
	}
	select {
	case <-s.gone:
		return errors.Join(errs...)
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.abort()
	}
	return fmt.Errorf("wait for running requests: %w", context.Cause(ctx))
}

// track remembers a listener for Shutdown, unless that was called already.
func (s *Server) track(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing.Load() {
		return false
	}
	s.listeners[l] = struct{}{}
	return true
}

// untrack closes a listener, unless Shutdown did.
func (s *Server) untrack(l net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.listeners[l]; ok {
		delete(s.listeners, l)
		_ = l.Close() // after it failed
	}
}

// open remembers a connection, unless Shutdown was called already.
func (s *Server) open(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing.Load() {
		return false
	}
	s.conns[c] = struct{}{}
	return true
}

// ended forgets a connection.
func (s *Server) ended(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if s.closing.Load() && len(s.conns) == 0 {
		close(s.gone)
	}
}

// dateLine is the Date header of one second.
type dateLine struct {
	second int64
	text   string
}

func (s *Server) dateLine(now time.Time) string {
	d := s.date.Load()
	if d == nil || d.second != now.Unix() {
		d = &dateLine{now.Unix(), "Date: " + now.UTC().Format(http.TimeFormat) + "\r\n"}
		s.date.Store(d)
	}
	return d.text
}
