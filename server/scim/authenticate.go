package scim

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"postern/server/admin"
	"postern/server/telemetry"
	"postern/server/token"
	"postern/store"
)

// denial is why a request is not let in.
type denial struct {
	status    int
	challenge string // of WWW-Authenticate (RFC 6750 section 3), after the realm
	message   string
	err       error // for the log
}

// authenticate finds out who sends a request (RFC 6750 section 2.1).
func (h *Handler) authenticate(r *http.Request) (*admin.Actor, *denial) {
	if h.State.Age() > h.MaxStaleness {
		return nil, &denial{status: http.StatusServiceUnavailable, message: "this node lost touch with its store; try again shortly"}
	}
	sent := r.Header["Authorization"]
	if len(sent) == 0 {
		return nil, &denial{status: http.StatusUnauthorized, message: "send a credential as Authorization: Bearer"}
	}
	scheme, text, _ := strings.Cut(sent[0], " ")
	if len(sent) > 1 || !strings.EqualFold(scheme, "Bearer") || text == "" || strings.ContainsAny(text, " ,") {
		return nil, &denial{status: http.StatusUnauthorized, challenge: `, error="invalid_request"`, message: "send one credential as Authorization: Bearer, and nothing else"}
	}
	caller, err := h.Verifier.VerifyHeld(r.Context(), text, token.Certificate(func(thumbprint string) bool { return h.Certificates.Holds(r, thumbprint) }))
	if err != nil && !errors.Is(err, token.ErrInvalid) {
		return nil, &denial{status: http.StatusServiceUnavailable, message: "the store does not answer; try again shortly", err: err}
	}
	from := h.Address(r)
	if err == nil {
		own := h.State.APIByName(store.PosternAPI)
		switch {
		case caller.Token != nil && (own == nil || !slices.Contains(caller.Token.Audience, own.Audience)):
			err = errors.New("the token is not for Postern's own API")
		case len(caller.Actors) > 0:
			err = errors.New("a client that acts for another administers nothing in its place")
		case !caller.Client.MayCallFrom(from):
			err = errors.New("the client's address list does not hold this address")
		}
	}
	if err != nil {
		// Nothing of what is wrong is said to a stranger.
		return nil, &denial{status: http.StatusUnauthorized, challenge: `, error="invalid_token"`, message: "the credential is not good here", err: err}
	}
	return &admin.Actor{
		Holder: caller.Holder, Client: caller.Client, Secret: caller.Secret, Scopes: caller.Scopes, AnyScope: caller.AnyScope,
		Address: from, RequestID: telemetry.RequestID(r.Context()),
	}, nil
}
