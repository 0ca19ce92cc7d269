package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postern/server/gateway"
)

// statuses sends bytes over a connection of their own, and returns the statuses
// of all answers to them. It fails if the connection is left open.
func statuses(t testing.TB, addr, raw string) []int {
	t.Helper()
	c := dial(t, addr)
	go func() {
		_, _ = io.WriteString(c, raw) // maybe more than is ever read
		_ = c.(*net.TCPConn).CloseWrite()
	}()
	got := []int{}
	for r := bufio.NewReader(c); ; {
		if _, err := r.Peek(1); err != nil {
			return got
		}
		got = append(got, read(t, r).status)
	}
}

// T23, and what else strangers send: Server answers as net/http does, or refuses
// where net/http does not, for the reason that the row names.
func TestWhatIsNoRequestIsRefusedAsByNetHTTP(t *testing.T) {
	_, ours := serve(t, http.HandlerFunc(ok), gateway.ServerOptions{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	std := &http.Server{
		Handler: http.HandlerFunc(ok), MaxHeaderBytes: 64 << 10, DisableGeneralOptionsHandler: true, ErrorLog: log.New(io.Discard, "", 0),
	}
	var served sync.WaitGroup
	served.Go(func() { _ = std.Serve(l) })
	defer served.Wait()
	defer std.Close()

	const (
		get  = "GET / HTTP/1.1\r\nHost: h\r\n"
		get0 = "GET / HTTP/1.0\r\n"
		post = "POST / HTTP/1.1\r\nHost: h\r\n"
	)
	header := func(lines ...string) string { return get + strings.Join(lines, "\r\n") + "\r\n\r\n" }
	for _, tt := range []struct {
		name, raw string
		want      []int
		std       []int  // where it is not the same
		because   string // we refuse more
	}{
		{name: "a request", raw: plain, want: []int{200}},
		{name: "nothing", raw: "", want: []int{}},
		{name: "two Content-Length", raw: post + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx" + plain, want: []int{400}},
		{name: "the same Content-Length twice", raw: post + "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx" + plain, want: []int{400}, std: []int{200, 200}, because: "another reader may take the second one (RFC 9112 section 6.3)"},
		{name: "a list of Content-Length", raw: header("Content-Length: 1, 1"), want: []int{400}},
		{name: "a signed Content-Length", raw: header("Content-Length: +1"), want: []int{400}},
		{name: "a negative Content-Length", raw: header("Content-Length: -1"), want: []int{400}},
		{name: "an empty Content-Length", raw: header("Content-Length:"), want: []int{400}},
		{name: "a huge Content-Length", raw: header("Content-Length: 99999999999999999999"), want: []int{400}},
		{name: "Content-Length and Transfer-Encoding", raw: post + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + plain, want: []int{400}, std: []int{200, 200}, because: "it is how requests are smuggled (RFC 9112 section 11.2)"},
		{name: "an unknown Transfer-Encoding", raw: header("Transfer-Encoding: gzip, chunked"), want: []int{501}},
		{name: "two Transfer-Encodings", raw: header("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), want: []int{501}},
		{name: "Transfer-Encoding in HTTP/1.0", raw: get0 + "Transfer-Encoding: chunked\r\n\r\n", want: []int{400}, std: []int{200}, because: "its framing is faulty (RFC 9112 section 6.1)"},
		{name: "Trailer announced", raw: post + "Trailer: A\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n\r\n", want: []int{400}, std: []int{200}, because: "there is no use for one here"},
		{name: "no Host", raw: "GET / HTTP/1.1\r\n\r\n", want: []int{400}},
		{name: "no Host in HTTP/1.0", raw: get0 + "\r\n", want: []int{200}},
		{name: "two Hosts", raw: header("Host: h"), want: []int{400}},
		{name: "a malformed Host", raw: "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", want: []int{400}},
		{name: "an empty Host", raw: "GET / HTTP/1.1\r\nHost:\r\n\r\n", want: []int{200}},
		{name: "HTTP/9.9", raw: "GET / HTTP/9.9\r\nHost: h\r\n\r\n", want: []int{505}},
		{name: "HTTP/2.0", raw: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", want: []int{505}, std: []int{200}, because: "there is no handler here that wants it"},
		{name: "HTTP/1.2", raw: "GET / HTTP/1.2\r\nHost: h\r\n\r\n", want: []int{505}, std: []int{200}, because: "there is no such version"},
		{name: "HTTP/0.9", raw: "GET /\r\n\r\n", want: []int{400}},
		{name: "HTTP in small letters", raw: "GET / http/1.1\r\nHost: h\r\n\r\n", want: []int{400}},
		{name: "two megabytes of header", raw: header("X-A: " + strings.Repeat("a", 2<<20)), want: []int{431}},
		{name: "two megabytes of headers", raw: header(strings.Repeat("X-A: a\r\n", 2<<17)), want: []int{431}},
		{name: "a huge request line", raw: "GET /" + strings.Repeat("a", 2<<20) + " HTTP/1.1\r\nHost: h\r\n\r\n", want: []int{431}},
		{name: "60 kB of header", raw: header("X-A: " + strings.Repeat("a", 60<<10)), want: []int{200}},
		{name: "TLS to a plain port", raw: "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("\xaa", 80) + "\n", want: []int{400}},
		{name: "a folded line", raw: header("X-A: a", " b"), want: []int{200}},
		{name: "a first line that is folded", raw: get[:len(get)-len("Host: h\r\n")] + " X-A: a\r\nHost: h\r\n\r\n", want: []int{400}},
		{name: "a space before the colon", raw: header("X-A : a"), want: []int{400}},
		{name: "a space before the colon of a framing header", raw: header("Transfer-Encoding : chunked"), want: []int{400}},
		{name: "a header without a colon", raw: header("X-A"), want: []int{400}},
		{name: "a header without a name", raw: header(": a"), want: []int{400}},
		{name: "a header's name that is no token", raw: header("X-(: a"), want: []int{400}},
		{name: "NUL in a header", raw: header("X-A: a\x00b"), want: []int{400}},
		{name: "NUL in a name", raw: header("X-\x00: a"), want: []int{400}},
		{name: "CR in a header", raw: header("X-A: a\rb"), want: []int{400}},
		{name: "DEL in a header", raw: header("X-A: a\x7fb"), want: []int{400}},
		{name: "NUL in the target", raw: "GET /\x00 HTTP/1.1\r\nHost: h\r\n\r\n", want: []int{400}},
		{name: "bare LF", raw: "GET / HTTP/1.1\nHost: h\n\n" + plain, want: []int{200, 200}},
		{name: "an empty line before the request", raw: "\r\n" + plain, want: []int{400}},
		{name: "an empty line after a POST", raw: post + "Content-Length: 1\r\n\r\nx\r\n" + plain, want: []int{200, 400}, std: []int{200, 200}, because: "the browsers that sent one are gone"},
		{name: "absolute-form", raw: "GET http://other/x HTTP/1.1\r\nHost: h\r\n\r\n", want: []int{200}},
		{name: "absolute-form without Host", raw: "GET http://other/x HTTP/1.1\r\n\r\n", want: []int{400}},
		{name: "asterisk-form", raw: "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", want: []int{200}},
		{name: "authority-form", raw: "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n", want: []int{501}, std: []int{200}, because: "nothing is tunnelled here"},
		{name: "a relative target", raw: "GET x HTTP/1.1\r\nHost: h\r\n\r\n", want: []int{400}},
		{name: "two spaces in the line", raw: "GET  / HTTP/1.1\r\nHost: h\r\n\r\n", want: []int{400}},
		{name: "a space in the target", raw: "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", want: []int{400}},
		{name: "a method in small letters", raw: "get / HTTP/1.1\r\nHost: h\r\n\r\n", want: []int{200}},
		{name: "a method that is no token", raw: "G(T / HTTP/1.1\r\nHost: h\r\n\r\n", want: []int{400}},
		{name: "half a request line", raw: "GET /", want: []int{400}},
		{name: "half a header", raw: get + "X-A", want: []int{400}},
		{name: "a header without its end", raw: get, want: []int{400}},
		{name: "a chunked body", raw: post + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" + plain, want: []int{200, 200}},
		{name: "a chunked body with a trailer", raw: post + "Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n\r\n" + plain, want: []int{200}, std: []int{200, 200}, because: "there is no use for one here"},
		{name: "a chunk of no length", raw: post + "Transfer-Encoding: chunked\r\n\r\nx\r\n" + plain, want: []int{200}},
		{name: "a body cut short", raw: post + "Content-Length: 10\r\n\r\nabc", want: []int{200}},
		{name: "a chunk cut short", raw: post + "Transfer-Encoding: chunked\r\n\r\n9\r\nabc", want: []int{200}},
		{name: "a body on GET", raw: get + "Content-Length: 3\r\n\r\nabc" + plain, want: []int{200, 200}},
		{name: "a big body", raw: post + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", 1<<20, strings.Repeat("a", 1<<20)) + plain, want: []int{200}},
		{name: "Expect", raw: post + "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\nx" + plain, want: []int{200}},
		{name: "Expect without a body", raw: header("Expect: 100-continue") + plain, want: []int{200, 200}},
		{name: "Expect something else", raw: header("Expect: more"), want: []int{417}},
		{name: "a hundred at once", raw: strings.Repeat(plain, 100), want: slices.Repeat([]int{200}, 100)},
		{name: "Connection: close", raw: header("Connection: close") + plain, want: []int{200}},
		{name: "close among others", raw: header("Connection: x, Close") + plain, want: []int{200}},
		{name: "HTTP/1.0 ends", raw: get0 + "\r\n" + plain, want: []int{200}},
		{name: "HTTP/1.0 goes on", raw: get0 + "Connection: keep-alive\r\n\r\n" + plain, want: []int{200, 200}},
		{name: "garbage after a request", raw: plain + "garbage\r\n\r\n" + plain, want: []int{200, 400}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, statuses(t, ours, tt.raw)); diff != "" {
				t.Errorf("ours (-want +got):\n%s", diff)
			}
			if tt.std == nil {
				tt.std = tt.want
			} else if tt.because == "" {
				t.Error("no reason is given for the difference")
			}
			if diff := cmp.Diff(tt.std, statuses(t, l.Addr().String(), tt.raw)); diff != "" {
				t.Errorf("net/http (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]int{200}, statuses(t, ours, plain)); diff != "" {
				t.Errorf("the next request (-want +got):\n%s", diff)
			}
		})
	}
}
