package certificate

import (
	"crypto/x509"
	"net/http"
	"net/netip"
)

// Source finds the certificate that the sender of a request presented. The nil
// Source finds what a handshake brought.
type Source struct {
	Header  string                // in which a trusted proxy passes it; empty: none is believed
	Trusted func(netip.Addr) bool // is a proxy whose header is believed
	Roots   *x509.CertPool        // authorities that issue certificates to clients; nil is none
}

// Presented is a certificate that the client showed to hold the key of, in a
// handshake with us or with a proxy that is trusted.
type Presented struct {
	*x509.Certificate
	Intermediates []*x509.Certificate // that came with it; none through a proxy
}

// Of returns what was presented, nil is nothing. The error is of a header from a
// trusted proxy that is no certificate; a header of anybody else is no header.
func (s *Source) Of(r *http.Request) (*Presented, error) {
	if s != nil && s.Header != "" && s.Trusted != nil {
		if peer, err := netip.ParseAddrPort(r.RemoteAddr); err == nil && s.Trusted(peer.Addr().Unmap()) {
			c, err := FromHeader(r.Header, s.Header)
			if err != nil {
				return nil, err
			}
			if c != nil {
				return &Presented{Certificate: c}, nil
			}
		}
	}
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return nil, nil //nolint:nilnil // nothing, as the comment says
	}
	return &Presented{r.TLS.PeerCertificates[0], r.TLS.PeerCertificates[1:]}, nil
}

// Holds reports whether the sender of a request presented the certificate of a
// thumbprint.
func (s *Source) Holds(r *http.Request, thumbprint string) bool {
	c, err := s.Of(r)
	return err == nil && c != nil && Thumbprint(c.Certificate) == thumbprint
}

// Believes reports whether a proxy's header may tell of a certificate.
func (s *Source) Believes() bool { return s != nil && s.Header != "" }

// Authorities are those that issue certificates to clients, nil is none.
func (s *Source) Authorities() *x509.CertPool {
	if s == nil {
		return nil
	}
	return s.Roots
}
