// Package certificate reads the X.509 certificates that clients present, by mutual
// TLS or by what terminates it, and compares them with what is registered (RFC
// 8705).
//
// It proves nothing by itself: who presents a certificate in a handshake holds its
// key, and of one in a header the proxy that wrote it says so.
package certificate

import (
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// MaxLength is the longest certificate that is read, as text in bytes.
const MaxLength = 16 << 10

// Thumbprint is the x5t#S256 of a certificate: the SHA-256 of its DER, in
// base64url (RFC 8705 section 3.1).
func Thumbprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

var errText = errors.New("no certificate: it must be one in PEM, or the base64 of its DER")

// Parse reads one certificate from text: PEM, PEM that is escaped for a URL (nginx,
// Envoy), base64 of DER (HAProxy, Caddy, Traefik), or that between colons (RFC 9440
// section 2.1). Of several, as of a chain, it is the first (the client's own).
func Parse(text string) (*x509.Certificate, error) {
	if text == "" || len(text) > MaxLength {
		return nil, errText
	}
	if strings.Contains(text, "%") {
		unescaped, err := url.PathUnescape(text) // a plus is one: base64 has it
		if err != nil {
			return nil, errText
		}
		text = unescaped
	}
	der, err := decode(strings.TrimSpace(text))
	if err != nil {
		return nil, err
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, errText
	}
	return c, nil
}

func decode(text string) ([]byte, error) {
	if strings.HasPrefix(text, "-----BEGIN") {
		block, _ := pem.Decode([]byte(text))
		if block == nil || block.Type != "CERTIFICATE" {
			return nil, errText
		}
		return block.Bytes, nil
	}
	if strings.HasPrefix(text, ":") {
		if len(text) < 2 || !strings.HasSuffix(text, ":") {
			return nil, errText
		}
		text = text[1 : len(text)-1]
	}
	text, _, _ = strings.Cut(text, ",") // the rest of the chain, of Traefik
	der, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, errText
	}
	return der, nil
}

// CheckHeader returns a name of a header in the spelling of net/http, or an error
// if it cannot be one.
func CheckHeader(name string) (string, error) {
	if name == "" || len(name) > 100 || strings.ContainsFunc(name, func(r rune) bool {
		return (r|0x20 < 'a' || r|0x20 > 'z') && (r < '0' || r > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	}) {
		return "", errors.New("must be the name of a header, such as X-Client-Cert")
	}
	return http.CanonicalHeaderKey(name), nil
}

// forwarded is Envoy's header, which has several values in one.
const forwarded = "X-Forwarded-Client-Cert"

// FromHeader reads the certificate that a proxy passes in a header; nil where the
// proxy passes none. A header that comes twice is an error, as is one that cannot
// be read. In X-Forwarded-Client-Cert it is Cert of the one element.
func FromHeader(h http.Header, name string) (*x509.Certificate, error) {
	values := h[http.CanonicalHeaderKey(name)]
	if len(values) > 1 {
		return nil, fmt.Errorf("there are several headers %s", name)
	}
	if len(values) == 0 || values[0] == "" {
		return nil, nil //nolint:nilnil // none, as the comment says
	}
	text := values[0]
	if http.CanonicalHeaderKey(name) == forwarded {
		var err error
		if text, err = cert(text); err != nil || text == "" {
			return nil, err
		}
	}
	return Parse(text)
}

// cert returns Cert of an element of X-Forwarded-Client-Cert, or nothing where the
// client presented none: key=value pairs between semicolons, of several elements
// between commas, a value in quotes where it has any of these. Which of several
// elements is the client's depends on the proxy's settings, so several are an
// error.
func cert(text string) (found string, err error) {
	wrong := errors.New(forwarded + " must have one element; let the proxy set it (forward_client_cert_details: SANITIZE_SET) and pass Cert")
	for text != "" {
		name, rest, ok := strings.Cut(text, "=")
		if !ok {
			return "", wrong
		}
		var value string
		if strings.HasPrefix(rest, `"`) {
			end := 1
			for end < len(rest) && rest[end] != '"' {
				if rest[end] == '\\' {
					end++
				}
				end++
			}
			if end >= len(rest) {
				return "", wrong
			}
			value, rest = rest[1:end], rest[end+1:]
		} else {
			end := strings.IndexAny(rest, ";,")
			if end < 0 {
				end = len(rest)
			}
			value, rest = rest[:end], rest[end:]
		}
		if rest != "" && rest[0] != ';' {
			return "", wrong
		}
		text = strings.TrimPrefix(rest, ";")
		if strings.EqualFold(name, "Cert") {
			if found != "" {
				return "", wrong
			}
			found = value
		}
	}
	return found, nil
}

// Authentic returns nil if a certificate may authenticate a client at a time by
// itself, its key being all that counts (RFC 8705 section 2.2): it is valid then,
// and not for other purposes only.
func Authentic(c *x509.Certificate, now time.Time) error {
	switch {
	case now.Before(c.NotBefore) || now.After(c.NotAfter):
		return fmt.Errorf("the certificate is valid from %s to %s", c.NotBefore.UTC().Format(time.RFC3339), c.NotAfter.UTC().Format(time.RFC3339))
	case len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) > 0 &&
		!slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageClientAuth) && !slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny):
		return errors.New("the certificate is not for authenticating clients (extended key usage)")
	}
	return nil
}

// Chained returns nil if a certificate of a client was issued, for that purpose,
// by an authority that is trusted and is valid at a time (RFC 8705 section 2.1).
func Chained(c *x509.Certificate, intermediates []*x509.Certificate, roots *x509.CertPool, now time.Time) error {
	if roots == nil {
		return errors.New("no authority is trusted to issue certificates of clients (server.mtls_ca_file)")
	}
	pool := x509.NewCertPool()
	for _, i := range intermediates {
		pool.AddCert(i)
	}
	_, err := c.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: pool, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	return err
}

// The kinds of names by which a client's certificate is known among those of its
// authority (RFC 8705 section 2.1.2).
const (
	kindSubject = "subject"
	kindDNS     = "dns"
	kindURI     = "uri"
	kindIP      = "ip"
	kindEmail   = "email"
)

// CheckName returns nil if a name is one that a certificate can have: a kind, a
// colon and a value.
//
//	subject:CN=ci,O=Example   the whole subject, as RFC 4514 writes it
//	dns:ci.example            one of the subject alternative names, exactly
//	uri:spiffe://example/ci
//	ip:10.0.0.1
//	email:ci@example
func CheckName(name string) error {
	kind, value, _ := strings.Cut(name, ":")
	switch {
	case len(name) > 1024:
		return errors.New("has more than 1,024 bytes")
	case !slices.Contains([]string{kindSubject, kindDNS, kindURI, kindIP, kindEmail}, kind) || value == "":
		return errors.New("must be subject:, dns:, uri:, ip: or email: and the name, such as dns:ci.example")
	case kind == kindIP && net.ParseIP(value) == nil:
		return errors.New("after ip: there must be an IP address")
	case kind == kindDNS && strings.Contains(value, "*"):
		return errors.New("a wildcard names many clients; this is for one")
	}
	return nil
}

// Has reports whether a certificate has a name, as CheckName describes them. Host
// names and those of mailboxes' hosts are compared in any case, all else byte by
// byte.
func Has(c *x509.Certificate, name string) bool {
	kind, value, _ := strings.Cut(name, ":")
	switch kind {
	case kindSubject:
		subject, err := Subject(c)
		return err == nil && subject != "" && subject == value
	case kindDNS:
		return slices.ContainsFunc(c.DNSNames, func(n string) bool { return strings.EqualFold(n, value) })
	case kindURI:
		return slices.ContainsFunc(c.URIs, func(u *url.URL) bool { return u.String() == value })
	case kindIP:
		ip := net.ParseIP(value)
		return ip != nil && slices.ContainsFunc(c.IPAddresses, ip.Equal)
	case kindEmail:
		return slices.ContainsFunc(c.EmailAddresses, func(e string) bool { return sameMailbox(e, value) })
	}
	return false
}

func sameMailbox(a, b string) bool {
	i, j := strings.LastIndexByte(a, '@'), strings.LastIndexByte(b, '@')
	return i > 0 && j > 0 && a[:i] == b[:j] && strings.EqualFold(a[i:], b[j:])
}

// Subject is the distinguished name of a certificate's subject (RFC 4514), in the
// order in which the certificate has it: last part first, as openssl writes it
// with -nameopt RFC2253.
func Subject(c *x509.Certificate) (string, error) {
	var rdns pkix.RDNSequence
	rest, err := asn1.Unmarshal(c.RawSubject, &rdns)
	if err != nil || len(rest) > 0 {
		return "", errors.New("the subject of the certificate cannot be read")
	}
	return rdns.String(), nil
}
