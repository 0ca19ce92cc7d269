package server_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
)

// raw sends bytes to the public listener and returns the status of the answer
// and whether the connection was closed after it; a status of 0 is no answer.
func (n *node) raw(t *testing.T, text string) (status int, closed bool) {
	t.Helper()
	return n.rawBytes(t, []byte(text))
}

func (n *node) rawBytes(t *testing.T, text []byte) (status int, closed bool) {
	t.Helper()
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(n.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	stop := make(chan struct{})
	defer close(stop)
	go func() { // a server that hangs is closed on, once the test ends
		select {
		case <-stop:
		case <-t.Context().Done():
			_ = c.Close()
		}
	}()
	go func() { _, _ = c.Write(text) }() // may be refused half-way
	r := bufio.NewReader(c)
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		return 0, true
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return 0, true
	}
	if res.Close {
		_, err = r.ReadByte()
		return res.StatusCode, err != nil
	}
	return res.StatusCode, false
}

// T23: what is no HTTP/1.1 request gets a 4xx or 5xx or a closed connection, and
// the next request works.
func TestT23BrokenHTTP(t *testing.T) {
	n := start(t)
	auth := "Authorization: " + by(n.Example).basic() + "\r\nContent-Type: application/x-www-form-urlencoded\r\n"
	length := fmt.Sprintf("Content-Length: %d\r\n", len(wantToken))
	const line, host = "POST /oauth2/token HTTP/1.1\r\n", "Host: x\r\n"
	if status, _ := n.raw(t, line+host+auth+length+"\r\n"+wantToken); status != http.StatusOK {
		t.Fatalf("a good request: got %d", status)
	}
	for name, text := range map[string]string{
		"two Content-Length":           line + host + auth + length + "Content-Length: 5\r\n\r\n" + wantToken,
		"Content-Length of two":        line + host + auth + "Content-Length: 29, 5\r\n\r\n" + wantToken,
		"Content-Length signed":        line + host + auth + "Content-Length: +29\r\n\r\n" + wantToken,
		"Content-Length in hex":        line + host + auth + "Content-Length: 0x1d\r\n\r\n" + wantToken,
		"Content-Length negative":      line + host + auth + "Content-Length: -1\r\n\r\n" + wantToken,
		"Transfer-Encoding twice":      line + host + auth + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"Transfer-Encoding unknown":    line + host + auth + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
		"no Host":                      line + auth + length + "\r\n" + wantToken,
		"two Hosts":                    line + host + "Host: y\r\n" + auth + length + "\r\n" + wantToken,
		"HTTP/9.9":                     "POST /oauth2/token HTTP/9.9\r\n" + host + auth + length + "\r\n" + wantToken,
		"no version":                   "POST /oauth2/token\r\n" + host + "\r\n",
		"2 MB header":                  line + host + "X-Big: " + strings.Repeat("a", 2<<20) + "\r\n" + auth + length + "\r\n" + wantToken,
		"blank before the colon":       line + host + auth + "Content-Length : 29\r\n\r\n" + wantToken,
		"NUL in a header":              line + host + "X-A: a\x00b\r\n" + auth + length + "\r\n" + wantToken,
		"a bare CR in a header":        line + host + "X-A: a\rb: c\r\n" + auth + length + "\r\n" + wantToken,
		"a method that is none":        "PO ST /oauth2/token HTTP/1.1\r\n" + host + auth + length + "\r\n" + wantToken,
		"the start of a TLS handshake": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("\x00", 64) + "\r\n\r\n",
		"HTTP/2 without being asked":   "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	} {
		if status, closed := n.raw(t, text); status != 0 && status < 400 {
			t.Errorf("%s: got %d", name, status)
		} else if !closed && status != http.StatusUnauthorized {
			t.Errorf("%s: got %d, and the connection stays open for what follows", name, status)
		}
		n.issue(t, by(n.Example))
	}
	// RFC 9112 section 6.1 lets a server take the chunks, if it then closes: what
	// a proxy took for the next request is never read as one.
	smuggled := line + host + auth + length + "Transfer-Encoding: chunked\r\n\r\n" +
		fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(wantToken), wantToken) + "GET /oauth2/jwks HTTP/1.1\r\n" + host + "\r\n"
	if status, closed := n.raw(t, smuggled); status < 400 && status != 0 && !closed {
		t.Errorf("Content-Length and chunks: got %d, and the connection stays open", status)
	}
	n.issue(t, by(n.Example))
}

// T11, T12: what is too large is refused without being read, so that it costs
// neither time nor memory.
func TestT11LargeBodiesAreNotRead(t *testing.T) {
	n := start(t)
	head := "POST /oauth2/token HTTP/1.1\r\nHost: x\r\nAuthorization: " + by(n.Example).basic() + "\r\nContent-Type: application/x-www-form-urlencoded\r\n"
	// The answer is there though not a byte of the body ever comes.
	if status, _ := n.raw(t, head+"Content-Length: 8388608\r\n\r\n"); status != http.StatusRequestEntityTooLarge {
		t.Errorf("8 MiB announced: got %d, want 413", status)
	}
	chunk := "10000\r\n" + strings.Repeat("a", 0x10000) + "\r\n"
	large := []byte(head + "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat(chunk, 128)) // 8 MiB, and no end
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const times = 50
	for range times {
		if status, _ := n.rawBytes(t, large); status != http.StatusRequestEntityTooLarge && status != 0 {
			t.Errorf("8 MiB of chunks: got %d, want 413", status)
		}
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / times; each > 1<<20 {
		t.Errorf("a body of 8 MiB costs %d bytes of memory", each)
	}
	if got := n.form(t, "/oauth2/token", by(n.Example), wantToken+strings.Repeat("&a", 10_000)); got.status != http.StatusBadRequest {
		t.Errorf("10,000 parameters: got %d", got.status)
	}
	n.issue(t, by(n.Example))
}

// S04: what is for operators is on the ops listener and nowhere else; the
// profiler is nowhere.
func TestS04OnlyTheOpsListenerShowsHowTheServerIs(t *testing.T) {
	n := start(t)
	get := func(url string) answer {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		return do(t, r)
	}
	for _, path := range []string{"/metrics", "/livez", "/readyz", "/debug/pprof/", "/debug/pprof/heap", "/debug/vars", "/debug"} {
		for _, listener := range []string{n.url, n.decide} {
			if got := get(listener + path); got.status != http.StatusNotFound {
				t.Errorf("%s: got %d, want 404", listener+path, got.status)
			}
		}
	}
	for path, want := range map[string]int{"/livez": 200, "/readyz": 200, "/metrics": 200, "/debug/pprof/": 404, "/oauth2/token": 404, "/decide/nginx/example": 404, "/api/v1/clients": 404} {
		if got := get(n.ops + path); got.status != want {
			t.Errorf("ops %s: got %d, want %d", path, got.status, want)
		}
	}
}
