package outbound_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"postern/server/outbound"
)

func TestOutboundPublicAddresses(t *testing.T) {
	for address, want := range map[string]bool{
		"8.8.8.8": true, "1.1.1.1": true, "100.63.255.255": true, "100.128.0.0": true, "172.15.0.1": true, "172.32.0.1": true,
		"192.169.0.1": true, "198.17.0.1": true, "223.255.255.255": true, "::ffff:8.8.8.8": true,
		"2606:4700:4700::1111": true, "2a00:1450:4001:81b::200e": true,

		"0.0.0.0": false, "0.1.2.3": false, "10.0.0.1": false, "10.255.255.255": false, "100.64.0.1": false, "100.127.255.255": false,
		"127.0.0.1": false, "127.255.255.254": false, "169.254.169.254": false, "172.16.0.1": false, "172.31.255.255": false,
		"192.0.0.1": false, "192.0.2.1": false, "192.88.99.1": false, "192.168.1.1": false, "198.18.0.1": false, "198.19.255.255": false,
		"198.51.100.7": false, "203.0.113.9": false, "224.0.0.1": false, "239.255.255.255": false, "240.0.0.1": false, "255.255.255.255": false,

		"::": false, "::1": false, "::ffff:127.0.0.1": false, "::ffff:10.0.0.1": false, "::ffff:169.254.169.254": false, "::127.0.0.1": false, "::8.8.8.8": false,
		"64:ff9b::7f00:1": false, "64:ff9b::808:808": false, "64:ff9b:1::1": false, "100::1": false, "2001::1": false, "2001:0:4136:e378::1": false,
		"2001:2::1": false, "2001:10::1": false, "2001:20::1": false, "2001:db8::1": false, "2002:7f00:1::": false, "2002:808:808::1": false, "3fff::1": false,
		"4000::1": false, "5f00::1": false, "fc00::1": false, "fd12:3456::1": false, "fe80::1": false, "fe80::1%eth0": false, "fec0::1": false, "ff02::1": false,
		"2606:4700::1%eth0": false,
	} {
		if got := outbound.Public(netip.MustParseAddr(address)); got != want {
			t.Errorf("Public(%s) = %t, want %t", address, got, want)
		}
	}
	if outbound.Public(netip.Addr{}) {
		t.Error("no address is public")
	}
}

func TestOutboundURLs(t *testing.T) {
	for text, want := range map[string]bool{
		"https://hooks.example/x?y=z": true, "https://hooks.example:8443": true, "https://[2606:4700::1]/": true, "HTTPS://hooks.example": true,
		"http://hooks.example": false, "ftp://hooks.example": false, "https:hooks.example": false, "https://": false, "https:///x": false, "//hooks.example": false,
		"hooks.example": false, "https://u:p@hooks.example": false, "https://u@hooks.example": false, "https://hooks.example/#x": false, "https://:443/": false,
		"https://[fe80::1%25eth0]/": false, "file:///etc/passwd": false, "": false, "https://a b": false, "https://hooks.example\r\nx": false,
	} {
		if err := outbound.CheckURL(text); (err == nil) != want {
			t.Errorf("CheckURL(%q) = %v, want good=%t", text, err, want)
		}
	}
}

// receiver is an HTTPS server on loopback.
func receiver(t *testing.T, h http.HandlerFunc) (*httptest.Server, *x509.CertPool) {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = nil
	s.StartTLS()
	t.Cleanup(s.Close)
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return s, pool
}

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

func call(t *testing.T, c *outbound.Client, url string) (*outbound.Answer, error) {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, url, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	return c.Do(t.Context(), r)
}

func TestOutboundReachesWhatIsAllowedAndNothingElse(t *testing.T) {
	var calls atomic.Int32
	s, pool := receiver(t, func(http.ResponseWriter, *http.Request) { calls.Add(1) })
	for name, allow := range map[string][]netip.Prefix{
		"nothing": nil, "another network": {netip.MustParsePrefix("10.0.0.0/8")}, "all of IPv6": {netip.MustParsePrefix("::/0")},
	} {
		if _, err := call(t, outbound.New(outbound.Options{Roots: pool, Allow: allow}), s.URL); !errors.Is(err, outbound.ErrAddress) {
			t.Errorf("with %s allowed: got %v, want a refusal", name, err)
		}
	}
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	mapped := "https://[::ffff:127.0.0.1]:" + port
	if _, err := call(t, outbound.New(outbound.Options{Roots: pool}), mapped); !errors.Is(err, outbound.ErrAddress) {
		t.Errorf("an IPv4 address as an IPv6 one: got %v, want a refusal", err)
	}
	if calls.Load() != 0 {
		t.Fatalf("%d calls came through", calls.Load())
	}
	got, err := call(t, outbound.New(outbound.Options{Roots: pool, Allow: loopback}), s.URL)
	if err != nil || got.Status != http.StatusOK || calls.Load() != 1 {
		t.Errorf("allowed: got %+v, %v", got, err)
	}
	if _, err := call(t, outbound.New(outbound.Options{Allow: loopback}), s.URL); err == nil || !strings.Contains(outbound.Reason(err), "certificate") {
		t.Errorf("a certificate of nobody: got %v", err)
	}
	if _, err := call(t, outbound.New(outbound.Options{Allow: loopback}), strings.Replace(s.URL, "https", "http", 1)); err == nil {
		t.Error("plain HTTP was called")
	}
}

func TestOutboundTakesNoDetours(t *testing.T) {
	other, _ := receiver(t, func(http.ResponseWriter, *http.Request) { t.Error("the redirect was followed, or the proxy used") })
	s, pool := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
	})
	pool.AddCert(other.Certificate())
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "ALL_PROXY"} {
		t.Setenv(name, other.URL)
	}
	got, err := call(t, outbound.New(outbound.Options{Roots: pool, Allow: loopback}), s.URL)
	if err != nil || got.Status != http.StatusTemporaryRedirect {
		t.Errorf("got %+v, %v; want the redirect itself", got, err)
	}
}

func TestOutboundReadsNoMoreThan64kB(t *testing.T) {
	sent := make(chan int64, 1)
	s, pool := receiver(t, func(w http.ResponseWriter, _ *http.Request) {
		n, _ := io.Copy(w, io.LimitReader(zeros{}, 256<<20))
		sent <- n
	})
	got, err := call(t, outbound.New(outbound.Options{Roots: pool, Allow: loopback}), s.URL)
	if err != nil || len(got.Body) != outbound.MaxAnswer || !got.Truncated {
		t.Errorf("got %d bytes, truncated %t, %v", len(got.Body), got.Truncated, err)
	}
	if n := <-sent; n == 256<<20 {
		t.Error("all of it was taken")
	}
	big, pool := receiver(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<20)) })
	if _, err := call(t, outbound.New(outbound.Options{Roots: pool, Allow: loopback}), big.URL); err == nil {
		t.Error("a header of a megabyte was taken")
	}
}

// What a library calls by is bound as Do is.
func TestOutboundForLibraries(t *testing.T) {
	other, _ := receiver(t, func(http.ResponseWriter, *http.Request) { t.Error("the redirect was followed") })
	s, pool := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/elsewhere":
			http.Redirect(w, r, other.URL, http.StatusFound)
		case "/long":
			_, _ = io.Copy(w, io.LimitReader(zeros{}, 256<<20)) // who asked hangs up
		default:
			_, _ = io.WriteString(w, r.UserAgent()) // to a recorder of this test
		}
	})
	get := func(c *outbound.Client, url string) (string, error) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.HTTP().Do(r)
		if err != nil {
			return "", err
		}
		defer got.Body.Close()
		body, err := io.ReadAll(got.Body)
		return got.Status + " " + string(body), err
	}
	c := outbound.New(outbound.Options{Roots: pool, Allow: loopback, Agent: "Test"})
	if got, err := get(c, s.URL); err != nil || got != "200 OK Test" {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := get(c, s.URL+"/elsewhere"); err != nil || !strings.HasPrefix(got, "302 ") {
		t.Errorf("a redirect: got %q, %v", got, err)
	}
	if _, err := get(c, s.URL+"/long"); err == nil {
		t.Error("all of a long answer was taken")
	}
	if _, err := get(outbound.New(outbound.Options{Roots: pool}), s.URL); !errors.Is(err, outbound.ErrAddress) {
		t.Errorf("what is not allowed: got %v", err)
	}
	if _, err := get(c, strings.Replace(s.URL, "https", "http", 1)); err == nil {
		t.Error("plain HTTP was called")
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

func TestOutboundWaitsNoLongerThanItsTimeout(t *testing.T) {
	release := make(chan struct{})
	s, pool := receiver(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-release
	})
	defer close(release)
	_, err := call(t, outbound.New(outbound.Options{Roots: pool, Allow: loopback, Timeout: 50 * time.Millisecond}), s.URL)
	if got := outbound.Reason(err); got != "no answer in time" {
		t.Errorf("got %v: %q", err, got)
	}
}

// A name that resolves to a public address when it is looked at, and to this
// machine when it is called.
func TestOutboundLooksAtTheAddressOfEachDial(t *testing.T) {
	var calls atomic.Int32
	s, pool := receiver(t, func(http.ResponseWriter, *http.Request) { calls.Add(1) })
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	names := newNames(t)
	url := "https://example.com:" + port // which the test certificate is for

	names.address.Store(netip.MustParseAddr("127.0.0.1"))
	allowed := outbound.New(outbound.Options{Roots: pool, Allow: loopback, Resolver: names.resolver()})
	if _, err := call(t, allowed, url); err != nil || calls.Load() != 1 {
		t.Fatalf("the name, allowed: %v, %d calls", err, calls.Load())
	}
	strict := outbound.New(outbound.Options{Roots: pool, Resolver: names.resolver(), Timeout: 100 * time.Millisecond})
	names.address.Store(netip.MustParseAddr("192.0.2.1")) // of documentation
	if _, err := call(t, strict, url); !errors.Is(err, outbound.ErrAddress) {
		t.Errorf("an address of documentation: got %v, want a refusal", err)
	}
	for _, inner := range []string{"127.0.0.1", "169.254.169.254", "::ffff:127.0.0.1", "::1"} {
		names.address.Store(netip.MustParseAddr("8.8.8.8"))
		looked, err := names.resolver().LookupNetIP(t.Context(), "ip", "example.com")
		if err != nil || len(looked) != 1 || !outbound.Public(looked[0]) {
			t.Fatalf("the first look: %v, %v", looked, err)
		}
		names.address.Store(netip.MustParseAddr(inner))
		if _, err := call(t, strict, url); !errors.Is(err, outbound.ErrAddress) {
			t.Errorf("%s at the dial: got %v, want a refusal", inner, err)
		}
	}
	if calls.Load() != 1 {
		t.Errorf("%d calls came through, want the first alone", calls.Load())
	}
}

// names is a DNS server on loopback that knows one address.
type names struct {
	address atomic.Value // netip.Addr
	at      string
}

func newNames(t *testing.T) *names {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &names{at: conn.LocalAddr().String()}
	ended := make(chan struct{})
	t.Cleanup(func() { _ = conn.Close(); <-ended })
	go func() {
		defer close(ended)
		buf := make([]byte, 1500)
		for {
			size, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			if answer, err := n.answer(buf[:size]); err == nil {
				_, _ = conn.WriteTo(answer, from)
			}
		}
	}()
	return n
}

func (n *names) answer(question []byte) ([]byte, error) {
	var m dnsmessage.Message
	if err := m.Unpack(question); err != nil {
		return nil, err
	}
	m.Response, m.Additionals = true, nil
	q, a := m.Questions[0], n.address.Load().(netip.Addr)
	head := dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, Type: q.Type}
	switch {
	case q.Type == dnsmessage.TypeA && a.Is4():
		m.Answers = []dnsmessage.Resource{{Header: head, Body: &dnsmessage.AResource{A: a.As4()}}}
	case q.Type == dnsmessage.TypeAAAA && a.Is6():
		m.Answers = []dnsmessage.Resource{{Header: head, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}}}
	}
	return m.Pack()
}

func (n *names) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", n.at)
	}}
}

func TestOutboundReasonsNameNoPlace(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := listener.Addr().String()
	_ = listener.Close()
	_, refused := call(t, outbound.New(outbound.Options{Allow: loopback}), "https://"+at)
	_, private := call(t, outbound.New(outbound.Options{}), "https://"+at)
	for err, want := range map[error]string{
		refused: "the connection is refused", private: outbound.ErrAddress.Error(), io.EOF: "the connection broke off",
		&net.DNSError{Name: "inner.example", Server: "10.0.0.53"}: "the name does not resolve",
		tls.AlertError(40): "the call failed",
	} {
		if got := outbound.Reason(err); got != want || strings.Contains(got, "127.0.0.1") {
			t.Errorf("Reason(%v) = %q, want %q", err, got, want)
		}
	}
}
