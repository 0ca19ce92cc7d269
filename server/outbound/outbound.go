// Package outbound is the one client by which Postern calls others: receivers of
// webhooks, and whatever else somebody may name by URL.
//
// Who may write a URL must not reach by it what only this machine reaches. So a
// call goes by https alone, follows no redirect, uses no proxy of the environment,
// and the address is looked at when it is dialled, each time, after names were
// resolved: public ones only, besides those the operator allows. A name that
// resolves to something else the second time gains nothing.
package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"syscall"
	"time"
)

const (
	// MaxAnswer is how much of an answer's body is read.
	MaxAnswer = 64 << 10
	maxHeader = 16 << 10
)

// Options configures a Client. Its zero value reaches public addresses only.
type Options struct {
	Allow   []netip.Prefix // addresses that may be reached besides public ones
	Roots   *x509.CertPool // nil means the system's
	Timeout time.Duration  // of a whole call; zero means 5 s
	Agent   string         // User-Agent; empty means "Postern"
	// Resolver is for tests; nil means the system's.
	Resolver *net.Resolver
}

// Client calls others.
type Client struct {
	http  *http.Client
	agent string
	o     Options
}

// New makes a Client. It starts nothing, and keeps no connection.
func New(o Options) *Client {
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	if o.Agent == "" {
		o.Agent = "Postern"
	}
	o.Allow = slices.Clone(o.Allow)
	dialer := &net.Dialer{
		Timeout: o.Timeout, Resolver: o.Resolver, KeepAlive: -1,
		Control: func(_, address string, _ syscall.RawConn) error { return permitted(address, o.Allow) },
	}
	return &Client{o: o, agent: o.Agent, http: &http.Client{
		Timeout:       o.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:                  nil, // not even of the environment
			DialContext:            dialer.DialContext,
			TLSClientConfig:        &tls.Config{RootCAs: o.Roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    o.Timeout,
			DisableKeepAlives:      true, // so that every call is a dial
			DisableCompression:     true, // so that 64 kB are 64 kB
			MaxResponseHeaderBytes: maxHeader,
		},
	}}
}

// Believing returns a client that is as this one, and believes other roots.
func (c *Client) Believing(roots *x509.CertPool) *Client {
	o := c.o
	o.Roots = roots
	return New(o)
}

// ErrAddress is a call to an address that is neither public nor allowed.
var ErrAddress = errors.New("the address is not a public one, and outbound.allow does not name it")

// permitted looks at an address that is about to be connected to.
func permitted(address string, allow []netip.Prefix) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return ErrAddress
	}
	a := at.Addr().Unmap().WithZone("")
	if slices.ContainsFunc(allow, func(p netip.Prefix) bool { return p.Contains(a) }) || Public(at.Addr()) {
		return nil
	}
	return ErrAddress
}

// CheckURL refuses what cannot be called: anything but an https URL with a host
// and without a user, password or fragment.
func CheckURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "https" || u.Hostname() == "" || u.Opaque != "":
		return errors.New("must be a URL that begins with https://")
	case u.User != nil:
		return errors.New("must not hold a user or password")
	case u.Fragment != "" || u.RawFragment != "":
		return errors.New("must not have a fragment")
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil && a.Zone() != "" {
		return errors.New("must not have an address with a zone")
	}
	return nil
}

// Answer is what came back.
type Answer struct {
	Status    int
	Header    http.Header
	Body      []byte // at most MaxAnswer of it
	Truncated bool   // there was more
}

// Do sends a request. Any status is an answer, a redirect among them. The
// error of an address that may not be reached matches ErrAddress.
func (c *Client) Do(ctx context.Context, r *http.Request) (*Answer, error) {
	if err := CheckURL(r.URL.String()); err != nil {
		return nil, fmt.Errorf("call %s: the URL %w", r.URL.Hostname(), err)
	}
	r = r.WithContext(ctx)
	r.Header.Set("User-Agent", c.agent)
	res, err := c.http.Do(r) //nolint:gosec // the address is looked at on each dial
	if err != nil {
		return nil, fmt.Errorf("call %s: %w", r.URL.Hostname(), err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, MaxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("read the answer of %s: %w", r.URL.Hostname(), err)
	}
	a := &Answer{Status: res.StatusCode, Header: res.Header, Body: body}
	if len(body) > MaxAnswer {
		a.Body, a.Truncated = body[:MaxAnswer], true
	}
	return a, nil
}

// HTTP is the same client for libraries that want one of net/http. An answer that
// is longer than MaxAnswer breaks off with an error.
func (c *Client) HTTP() *http.Client {
	return &http.Client{Timeout: c.http.Timeout, CheckRedirect: c.http.CheckRedirect, Transport: bounded{c}}
}

// bounded does for a library what Do does.
type bounded struct{ c *Client }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := CheckURL(r.URL.String()); err != nil {
		return nil, fmt.Errorf("call %s: the URL %w", r.URL.Hostname(), err)
	}
	r = r.Clone(r.Context())
	r.Header.Set("User-Agent", b.c.agent)
	res, err := b.c.http.Transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	res.Body = http.MaxBytesReader(nil, res.Body, MaxAnswer)
	return res, nil
}

// Reason says in a few words why a call had no answer, for those who may see no
// more of this machine's network than that: no address, no name of a resolver.
func Reason(err error) string {
	var dns *net.DNSError
	var verify *tls.CertificateVerificationError
	var clear tls.RecordHeaderError
	var network net.Error
	switch {
	case err == nil:
		return ""
	case errors.Is(err, ErrAddress):
		return ErrAddress.Error()
	case errors.As(err, &dns):
		return "the name does not resolve"
	case errors.As(err, &verify):
		return "the certificate is not good: " + verify.Unwrap().Error()
	case errors.As(err, &clear):
		return "it does not speak TLS there"
	case errors.As(err, &network) && network.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "the connection is refused"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return "the connection broke off"
	default:
		return "the call failed"
	}
}
