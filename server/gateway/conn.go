package gateway

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// The states of a connection. Shutdown closes those that wait.
const (
	waiting int32 = iota // for the first byte of a request
	busy                 // from there to the end of the answer
	closed               // by Shutdown
)

const (
	maxAhead   = 16 << 10               // bytes of answers held back while more requests are there already
	lingerTime = 500 * time.Millisecond // for a client to read an answer that came before it had sent all
)

// conn is a connection and all that its requests use in turn.
type conn struct {
	server *Server
	raw    net.Conn // closed to end the connection at once
	state  atomic.Int32
	cancel context.CancelFunc

	wire     wire
	in       *bufio.Reader
	text     textproto.Reader
	blank    *http.Request // what all requests of the connection have in common
	request  http.Request
	body     body
	response response
}

func newConn(s *Server, raw net.Conn) *conn {
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), http.LocalAddrContextKey, raw.LocalAddr()))
	c := &conn{server: s, raw: raw, cancel: cancel}
	c.wire = wire{conn: raw, o: &s.o}
	if s.o.TLS != nil {
		c.wire.conn = tls.Server(raw, s.o.TLS)
	}
	c.in = bufio.NewReader(&c.wire)
	c.text.R = c.in
	c.body.conn = c
	c.response.header = http.Header{}
	c.blank = (&http.Request{RemoteAddr: raw.RemoteAddr().String()}).WithContext(ctx)
	return c
}

// abort ends the connection at once, from any goroutine.
func (c *conn) abort() {
	c.cancel()
	_ = c.raw.Close() // whoever uses it finds out
}

func (c *conn) serve() {
	defer c.server.ended(c)
	defer c.abort()
	defer func() {
		if p := recover(); p != nil && p != http.ErrAbortHandler { //nolint:errorlint,err113 // a panic's value
			c.server.o.Log.Error("a handler panicked", "remote", c.blank.RemoteAddr, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		}
	}()
	if !c.handshake() {
		return
	}
	c.wire.await(header) // who connects has something to ask
	for c.turn() {
		c.wire.await(idle)
	}
	if t, ok := c.wire.conn.(*tls.Conn); ok {
		_ = t.Close() // says goodbye, if that is possible
	}
}

func (c *conn) handshake() bool {
	t, ok := c.wire.conn.(*tls.Conn)
	if !ok {
		return true
	}
	_ = t.SetDeadline(c.server.o.Now().Add(c.server.o.HeaderTimeout)) // fails on what the handshake fails on
	if err := t.HandshakeContext(c.blank.Context()); err != nil {
		c.server.o.Log.Debug("TLS handshake failed", "remote", c.blank.RemoteAddr, "error", err)
		if e, ok := errors.AsType[tls.RecordHeaderError](err); ok && e.Conn != nil {
			_, _ = io.WriteString(e.Conn, "HTTP/1.0 400 Bad Request\r\n\r\nThis port speaks https.\n") // a kindness
		}
		return false
	}
	state := t.ConnectionState()
	c.blank.TLS = &state
	return true
}

// turn answers one request, and reports whether there may be another one.
func (c *conn) turn() (again bool) {
	s := c.server
	if _, err := c.in.Peek(1); err != nil {
		return false
	}
	if c.state.Load() != busy && !c.state.CompareAndSwap(waiting, busy) {
		return false
	}
	c.wire.phase = header
	if err := c.readRequest(); err != nil {
		c.refuse(err)
		return false
	}
	c.wire.phase, c.wire.left = inBody, maxInt
	c.response.reset()
	s.handler.ServeHTTP(&c.response, &c.request)
	drained := c.body.drain()
	closing := c.request.Close || !drained || s.closing.Load()
	now := s.o.Now()
	c.wire.out, closing = c.response.append(c.wire.out, s.dateLine(now), &c.request, closing)
	switch {
	case closing:
		if c.wire.flush(now) == nil && !drained {
			c.linger()
		}
		return false
	case c.in.Buffered() > 0:
		return len(c.wire.out) < maxAhead || c.wire.flush(now) == nil
	}
	if c.wire.flush(now) != nil {
		return false
	}
	c.state.Store(waiting)
	return !s.closing.Load() // Shutdown either sees that we wait, or we see it
}

// refuse answers what is no request, if it is worth an answer.
func (c *conn) refuse(err error) {
	s, now := c.server, c.server.o.Now()
	s.o.Log.Debug("refused what is no request", "remote", c.blank.RemoteAddr, "error", err)
	if e, ok := errors.AsType[*requestError](err); ok {
		c.wire.out = appendRefusal(c.wire.out, e.status, s.dateLine(now))
		if c.wire.flush(now) == nil {
			c.linger()
		}
		return
	}
	_ = c.wire.flush(now) // the answers to the requests before
}

// linger reads on for a moment: to close while a client is still sending is to
// take the answer back, if it was not read yet (RFC 9112 section 9.6).
func (c *conn) linger() {
	half, ok := c.wire.conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	if c.raw.SetReadDeadline(c.server.o.Now().Add(lingerTime)) == nil {
		_, _ = io.Copy(io.Discard, c.raw) // ends by the deadline at the latest
	}
}

// The phases in which a connection is read. Each has a timeout.
type phase int

const (
	none phase = iota
	idle
	header
	inBody
)

// slack is how far a deadline that is set anew for each request may be off: to
// move one costs as much as half a decision.
const slack = time.Second

const maxInt = int(^uint(0) >> 1)

// wire is a connection under its bufio.Reader. What would cost too much for each
// request it does only where a read may wait: sending what is ready, and setting
// the deadline of that wait.
type wire struct {
	conn net.Conn
	o    *ServerOptions
	out  []byte // answers that are not sent yet

	phase phase
	timed phase // what the deadline of reads was set for
	left  int   // bytes that may be read
	over  bool  // more than that were wanted
	lost  error // why nothing can be read any more, if that is not the end

	readBy, writeBy time.Time
}

// await prepares for the next request.
func (w *wire) await(p phase) {
	w.phase, w.left, w.over = p, w.o.MaxHeader, false
	if w.timed != idle {
		w.timed = none
	}
}

func (w *wire) Read(p []byte) (int, error) {
	now := w.o.Now()
	if err := w.flush(now); err != nil {
		return 0, err
	}
	if w.left <= 0 {
		w.over = true
		return 0, io.EOF
	}
	by := now
	switch w.phase {
	case idle:
		by = now.Add(w.o.IdleTimeout)
	case header:
		by = now.Add(w.o.HeaderTimeout)
	case inBody:
		by = now.Add(w.o.BodyTimeout)
	case none:
	}
	if w.timed != w.phase || w.phase == idle && by.Sub(w.readBy) > slack {
		if err := w.conn.SetReadDeadline(by); err != nil {
			return 0, err
		}
		w.timed, w.readBy = w.phase, by
	}
	n, err := w.conn.Read(p[:min(len(p), w.left)])
	w.left -= n
	if err != nil && !errors.Is(err, io.EOF) {
		w.lost = err
	}
	return n, err
}

// flush sends the answers that are ready.
func (w *wire) flush(now time.Time) error {
	if len(w.out) == 0 {
		return nil
	}
	if by := now.Add(w.o.AnswerTimeout); by.Sub(w.writeBy) > slack {
		if err := w.conn.SetWriteDeadline(by); err != nil {
			return err
		}
		w.writeBy = by
	}
	_, err := w.conn.Write(w.out)
	w.out = w.out[:0]
	if cap(w.out) > 2*maxAhead {
		w.out = nil
	}
	return err
}
