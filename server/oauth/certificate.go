package oauth

import (
	"context"
	"errors"
	"net/http"
	"net/netip"

	"github.com/gin-gonic/gin"

	"postern/server/certificate"
	"postern/server/token"
	"postern/store"
)

const (
	methodCertificate = "tls_client_auth"             // RFC 8705 section 2.1
	methodSelfSigned  = "self_signed_tls_client_auth" // section 2.2
)

const errCertificate = failure("the client has no such certificate")

// presented returns the certificate that came with a request, nil is none.
func (h *Handler) presented(r *http.Request) (*certificate.Presented, error) {
	p, err := h.Certificates.Of(r)
	if err != nil {
		return nil, &Error{Code: "invalid_request", Status: http.StatusBadRequest, Description: "the proxy passed a client certificate that cannot be read", Err: err}
	}
	return p, nil
}

// authenticateByCertificate finds out which client presented a certificate: the
// one that client_id names, if the certificate is one of its own (RFC 8705
// section 2).
func (h *Handler) authenticateByCertificate(c *gin.Context, id string, p *certificate.Presented, from netip.Addr) (authenticated, error) {
	ctx := c.Request.Context()
	client, err := h.State.Client(ctx, store.ClientID(id))
	if errors.Is(err, store.ErrNotFound) {
		return authenticated{}, errUnknown
	}
	if err != nil {
		return authenticated{}, err
	}
	matched, method := h.ownerOf(ctx, client, p)
	if matched == nil {
		return authenticated{}, errCertificate
	}
	return h.usableClient(ctx, client, matched, method, from)
}

// ownerOf returns the entry of the client under which a certificate is registered,
// by itself or by its name, or nil.
func (h *Handler) ownerOf(ctx context.Context, client *store.Client, p *certificate.Presented) (*store.ClientSecret, string) {
	now := store.At(h.Now())
	thumbprint := certificate.Thumbprint(p.Certificate)
	for i := range client.Secrets {
		s := &client.Secrets[i]
		if !s.Live(now) {
			continue
		}
		var err error
		method := methodSelfSigned
		switch {
		case s.X5T != "" && s.X5T == thumbprint:
			err = certificate.Authentic(p.Certificate, h.Now())
		case s.CertName != "" && certificate.Has(p.Certificate, s.CertName):
			method = methodCertificate
			err = certificate.Chained(p.Certificate, p.Intermediates, h.Certificates.Authorities(), h.Now())
		default:
			continue
		}
		if err == nil {
			return s, method
		}
		h.Log.InfoContext(ctx, "client certificate refused", "client", client.ID, "reason", err.Error())
	}
	return nil, ""
}

// confirmation is what the new token of a client is bound to.
func (h *Handler) confirmation(r *http.Request, client *store.Client) (token.Confirmation, error) {
	if client.Binding != store.BindCertificate || len(r.Header["Dpop"]) > 0 {
		return h.proven(r, client)
	}
	p, err := h.presented(r)
	if err != nil {
		return token.Confirmation{}, err
	}
	if p == nil {
		return token.Confirmation{}, invalidRequest("tokens of this client are bound to its certificate; ask for them by mutual TLS")
	}
	return token.Confirmation{Certificate: certificate.Thumbprint(p.Certificate)}, nil
}

// isOfKey reports whether a client authenticates by a key that nobody else has
// (FAPI 2.0 Security Profile section 5.3.2.1).
func isOfKey(method string) bool {
	return method == methodPrivateKey || method == methodCertificate || method == methodSelfSigned
}
