package gateway

import (
	"errors"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// requestError is why something is not a request, or none that is served here.
type requestError struct {
	status int
	why    string
}

func (e *requestError) Error() string { return e.why }

func malformed(why string) error { return &requestError{http.StatusBadRequest, why} }

// readRequest reads the next request's head into c.request, by the rules of
// net/http's server and RFC 9112. Of what frames a message it takes one spelling
// only, since another reader in front of us may understand another (section 11.2).
// A *requestError is to be answered; other errors are the connection's end.
func (c *conn) readRequest() error {
	line, err := c.text.ReadLine()
	if err != nil {
		return c.unread(err)
	}
	r := &c.request
	*r = *c.blank
	var ok bool
	r.Method, line, ok = strings.Cut(line, " ")
	if !ok || !httpguts.ValidHeaderFieldName(r.Method) { // both are tokens
		return malformed("malformed request line")
	}
	r.RequestURI, r.Proto, ok = strings.Cut(line, " ")
	if !ok {
		return malformed("malformed request line")
	}
	if r.ProtoMajor, r.ProtoMinor, ok = http.ParseHTTPVersion(r.Proto); !ok {
		return malformed("malformed HTTP version")
	}
	switch {
	case r.ProtoMajor != 1 || r.ProtoMinor > 1:
		return &requestError{http.StatusHTTPVersionNotSupported, "unsupported HTTP version"}
	case r.Method == http.MethodConnect:
		return &requestError{http.StatusNotImplemented, "CONNECT"}
	}
	if r.URL, err = url.ParseRequestURI(r.RequestURI); err != nil {
		return malformed("malformed request target") // err quotes it
	}
	fields, err := c.text.ReadMIMEHeader()
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return c.unread(err)
	}
	r.Header = http.Header(fields)
	for name, values := range r.Header {
		if !httpguts.ValidHeaderFieldName(name) {
			return malformed("malformed header name")
		}
		for _, v := range values {
			if !httpguts.ValidHeaderFieldValue(v) {
				return malformed("malformed header value")
			}
		}
	}
	if err := c.readHost(); err != nil {
		return err
	}
	connection := r.Header["Connection"]
	r.Close = httpguts.HeaderValuesContainsToken(connection, "close") ||
		r.ProtoMinor == 0 && !httpguts.HeaderValuesContainsToken(connection, "keep-alive")
	return c.readFraming()
}

// unread tells what kept a head from being read.
func (c *conn) unread(err error) error {
	switch {
	case c.wire.over:
		return &requestError{http.StatusRequestHeaderFieldsTooLarge, "header too large"}
	case c.wire.lost != nil: // err may only say that a line is not whole
		return c.wire.lost
	case errors.Is(err, io.EOF): // before the end of the first line
		return err
	default: // textproto's own, which quotes what was sent
		return malformed("malformed header")
	}
}

// readHost sets the host: the target's, if it has one, else the header's, which
// must be there in any case (RFC 9112 section 3.2).
func (c *conn) readHost() error {
	r := &c.request
	hosts := r.Header["Host"]
	switch {
	case len(hosts) > 1:
		return malformed("several Host headers")
	case len(hosts) == 0 && r.ProtoMinor > 0:
		return malformed("no Host header")
	case len(hosts) == 1 && !httpguts.ValidHostHeader(hosts[0]):
		return malformed("malformed Host header")
	}
	if r.Host = r.URL.Host; r.Host == "" && len(hosts) == 1 {
		r.Host = hosts[0]
	}
	delete(r.Header, "Host")
	return nil
}

// readFraming sets the body.
func (c *conn) readFraming() error {
	r := &c.request
	length, hasLength := r.Header["Content-Length"]
	coding, hasCoding := r.Header["Transfer-Encoding"]
	c.body.reset()
	r.Body = http.NoBody
	switch {
	case hasCoding && (hasLength || r.ProtoMinor == 0 || len(r.Header["Trailer"]) > 0):
		return malformed("Transfer-Encoding beside Content-Length or Trailer, or in HTTP/1.0")
	case hasCoding:
		if len(coding) != 1 || !strings.EqualFold(coding[0], "chunked") {
			return &requestError{http.StatusNotImplemented, "unknown Transfer-Encoding"}
		}
		delete(r.Header, "Transfer-Encoding")
		r.TransferEncoding = []string{"chunked"}
		r.ContentLength = -1
		c.body.chunks = httputil.NewChunkedReader(c.in)
	case hasLength:
		n, err := strconv.ParseUint(length[0], 10, 63)
		if err != nil || len(length) != 1 {
			return malformed("malformed Content-Length")
		}
		r.ContentLength = int64(n)
		c.body.left = r.ContentLength
	}
	if r.ContentLength != 0 {
		r.Body = &c.body
	}
	if expect, ok := r.Header["Expect"]; ok {
		if len(expect) != 1 || !strings.EqualFold(expect[0], "100-continue") {
			return &requestError{http.StatusExpectationFailed, "unknown Expect"}
		}
		c.body.awaited = r.ProtoMinor > 0 && r.ContentLength != 0
	}
	return nil
}

// maxDrained is how much of a body that the handler did not want is read to keep
// the connection.
const maxDrained = 64 << 10

// body is the body of the request at hand.
type body struct {
	conn    *conn
	chunks  io.Reader // of a chunked one, until its end
	left    int64     // bytes of one with a length
	awaited bool      // the client sends it when told to (RFC 9110 section 10.1.1)
	broken  bool      // it cannot be read to its end
}

func (b *body) reset() { *b = body{conn: b.conn} }

// Close does nothing: the rest is drained when the handler has returned.
func (b *body) Close() error { return nil }

func (b *body) Read(p []byte) (n int, err error) {
	if b.awaited {
		b.awaited = false
		b.conn.wire.out = append(b.conn.wire.out, "HTTP/1.1 100 Continue\r\n\r\n"...) // sent before we wait for more
	}
	switch {
	case b.broken:
		return 0, io.ErrUnexpectedEOF
	case b.chunks != nil:
		if n, err = b.chunks.Read(p); errors.Is(err, io.EOF) {
			err = b.end()
		}
	case b.left > 0:
		n, err = b.conn.in.Read(p[:min(int64(len(p)), b.left)])
		b.left -= int64(n)
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
	default:
		return 0, io.EOF
	}
	b.broken = b.broken || err != nil && !errors.Is(err, io.EOF)
	return n, err
}

// end reads the empty line after the last chunk. Trailers are not read.
func (b *body) end() error {
	b.chunks = nil
	if last, err := b.conn.in.Peek(2); err != nil || string(last) != "\r\n" {
		b.broken = true
		return io.ErrUnexpectedEOF
	}
	_, _ = b.conn.in.Discard(2) // they are there
	return io.EOF
}

// drain reads what the handler left, and reports whether the next request comes
// after it.
func (b *body) drain() bool {
	if b.chunks == nil && b.left == 0 {
		return !b.broken
	}
	if b.broken || b.awaited || b.left > maxDrained {
		return false
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(b, maxDrained)) // b knows how it ended
	return b.chunks == nil && b.left == 0 && !b.broken
}
