package gateway

import (
	"crypto/x509"
	"net/http"
	"net/netip"
	"strings"
)

// binding is how one sort of gateway describes the call that it asks about.
type binding struct {
	name string
	// read returns the call, or false where a header that describes it is
	// missing or comes twice: which of two counts, nobody knows.
	read func(*http.Request) (call, bool)
	// body says that the request which asks has the body of the call. Of other
	// bindings nobody knows whose body that would be.
	body bool
	// copies says that the gateway puts Authorization of the answer in the place
	// of the client's: it gets what the upstream shall get. Others are given a
	// token of ours in X-Auth-Token, and keep the client's own otherwise.
	copies bool
}

// bindings are all there are. There is one for each route, and never a guess by
// which headers are there.
var bindings = []binding{ //nolint:gochecknoglobals // a constant
	{"nginx", readNginx, false, false}, // auth_request sends none
	{"ingress-nginx", readIngressNginx, false, false},
	{"haproxy", readNginx, true, false}, // by the script that we ship
	{"forward", readForward, true, true},
}

// envoy is the binding that is its request's own line. It is no entry of
// bindings: its path goes on behind the API's name.
var envoy = &binding{"envoy", readEnvoy, true, true} //nolint:gochecknoglobals // a constant

// call is what a client asked the gateway for.
type call struct {
	method  string
	target  string     // the path and query as they were sent
	host    string     // with its port, as it was sent; empty where it is not known
	address netip.Addr // the client's, as the gateway says; invalid where it is not known

	// asked is the gateway's request, whose body is that of a GraphQL call where
	// the binding says so; operations reads it where there is no such request.
	asked      *http.Request
	binding    *binding
	operations func() ([]string, error)

	proofs []string // headers DPoP of the client

	// certificate returns the one that the client presented to the gateway, or nil.
	// It is nil itself where the gateway does not say.
	certificate func() (*x509.Certificate, error)
	// supposed says that nobody makes this call: it is not counted.
	supposed bool
	// searched says that the answer is yes or no: nobody is told who would call.
	searched bool
}

// single returns the value of a header that must be there exactly once.
func single(h http.Header, name string) (string, bool) {
	values := h[name]
	if len(values) != 1 || values[0] == "" {
		return "", false
	}
	return values[0], true
}

// lastForwarded is the last address of X-Forwarded-For, which the gateway itself
// added: those before it are whoever's.
func lastForwarded(h http.Header) netip.Addr {
	lines := h["X-Forwarded-For"]
	if len(lines) == 0 {
		return netip.Addr{}
	}
	last := lines[len(lines)-1]
	return parseAddress(last[strings.LastIndexByte(last, ',')+1:])
}

// parseAddress reads the address of a client; what cannot be read is unknown.
func parseAddress(text string) netip.Addr {
	a, err := netip.ParseAddr(strings.TrimSpace(text))
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap().WithZone("")
}

// isMethod reports whether a method can be decided. Methods are case-sensitive
// (RFC 9110 section 9.1), but some upstreams take get for GET: no small letters,
// and nothing that is not of a token.
func isMethod(m string) bool {
	if m == "" || len(m) > 64 {
		return false
	}
	for i := range len(m) {
		c := m[i]
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return true
}

// isOneOf reports whether a host, as it was sent, is one of an API's: in any
// case, with or without a port and the dot of the root.
func isOneOf(hosts []string, sent string) bool {
	name, ok := hostname(sent)
	if !ok {
		return false
	}
	for _, h := range hosts {
		// EqualFold folds beyond ASCII, but there is nothing such in name; and
		// where h has it, it only meets itself.
		if len(h) == len(name) && strings.EqualFold(h, name) {
			return true
		}
	}
	return false
}

// hostname cuts the port and the dot of the root off a host. IPv6 addresses keep
// their brackets.
func hostname(sent string) (string, bool) {
	name, port := sent, ""
	if end := strings.LastIndexByte(sent, ']'); strings.HasPrefix(sent, "[") && end > 0 {
		name, port = sent[:end+1], sent[end+1:]
		if port != "" && port[0] != ':' {
			return "", false
		}
	} else if i := strings.IndexByte(sent, ':'); i >= 0 {
		name, port = sent[:i], sent[i:]
	}
	for i := 1; i < len(port); i++ {
		if port[i] < '0' || port[i] > '9' {
			return "", false
		}
	}
	name = strings.TrimSuffix(name, ".")
	for i := range len(name) {
		c := name[i]
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && strings.IndexByte("-._[:]", c) < 0 {
			return "", false
		}
	}
	return name, name != ""
}
