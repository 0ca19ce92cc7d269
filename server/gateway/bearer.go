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
// sent as a bearer is for every one. proven is the thumbprint of the key that a proof
// showed, empty where there was none; presented returns the certificate that the
// client presented to the gateway, if any, and is nil where the gateway does not say.
func (h *Handler) verifyToken(ctx context.Context, text string, api *store.API, proven string, presented func() (*x509.Certificate, error)) (*token.Caller, error) {
	caller, err := h.Verifier.VerifyHeld(ctx, text, func(asked token.Confirmation) bool {
		if asked.Key != proven {
			return false
		}
		if asked.Certificate == "" {
			return true
		}
		if presented == nil {
			return false
		}
		c, err := presented()
		return err == nil && c != nil && certificate.Thumbprint(c) == asked.Certificate
	})
	if err != nil {
		return nil, err
	}
	if caller.Token != nil && !slices.Contains(caller.Token.Audience, api.Audience) {
		return nil, errAudience
	}
	return caller, nil
}

// sentToken returns the one token of a request, and whether it was sent with a
// proof (RFC 6750 section 2.1, RFC 9449 section 7.1). A gateway and its upstream
// may each choose another of several, whether they come as several headers or in
// one, so several are none.
func sentToken(headers []string) (text string, dpop bool, err error) {
	switch {
	case len(headers) == 0:
		return "", false, errNoToken
	case len(headers) > 1:
		return "", false, errTokens
	}
	scheme, text, _ := strings.Cut(headers[0], " ")
	dpop = strings.EqualFold(scheme, "DPoP")
	if !dpop && !strings.EqualFold(scheme, "Bearer") {
		return "", false, errNoToken
	}
	text = strings.TrimLeft(text, " ")
	if text == "" || strings.IndexByte(text, ',') >= 0 || strings.IndexByte(text, ' ') >= 0 || strings.IndexByte(text, '\t') >= 0 {
		return "", false, errTokens
	}
	return text, dpop, nil
}
