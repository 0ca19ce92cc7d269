package gateway

import (
	"context"
	"crypto/x509"
	"slices"
	"strings"

	"postern/server/certificate"
	"postern/server/token"
	"postern/store"
)

// verifyToken says who calls. The token must be for the API; a secret that is
// sent as a bearer is for every one. presented returns the certificate that the client
// presented to the gateway, if any; it is nil where the gateway does not say.
func (h *Handler) verifyToken(ctx context.Context, text string, api *store.API, presented func() (*x509.Certificate, error)) (*token.Caller, error) {
	caller, err := h.Verifier.VerifyHeld(ctx, text, token.Certificate(func(thumbprint string) bool {
		if presented == nil {
			return false
		}
		c, err := presented()
		return err == nil && c != nil && certificate.Thumbprint(c) == thumbprint
	}))
	if err != nil {
		return nil, err
	}
	if caller.Token != nil && !slices.Contains(caller.Token.Audience, api.Audience) {
		return nil, errAudience
	}
	return caller, nil
}

// bearer returns the one token of a request (RFC 6750 section 2.1). A gateway
// and its upstream may each choose another of several, whether they come as
// several headers or in one, so several are none.
func bearer(headers []string) (string, error) {
	switch {
	case len(headers) == 0:
		return "", errNoToken
	case len(headers) > 1:
		return "", errTokens
	}
	scheme, text, _ := strings.Cut(headers[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", errNoToken
	}
	text = strings.TrimLeft(text, " ")
	if text == "" || strings.IndexByte(text, ',') >= 0 || strings.IndexByte(text, ' ') >= 0 || strings.IndexByte(text, '\t') >= 0 {
		return "", errTokens
	}
	return text, nil
}
