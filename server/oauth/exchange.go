package oauth

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"postern/server/secret"
	"postern/store"
)

// typeAccessToken is the one type of token that goes in and comes out (RFC 8693
// section 3).
const typeAccessToken = "urn:ietf:params:oauth:token-type:access_token" //nolint:gosec // the name of a type

// subject finds out whose token is to be exchanged (RFC 8693 section 2.1): an
// access token, see exchangeToken, or a secret that is used as a bearer, of a
// service or a person. That stands for the authentication of its client too: the
// access token is for that client itself. So nobody acts for anybody else by it,
// and nothing becomes wider. Whoever authenticates besides must be that client.
func (h *Handler) subject(c *gin.Context, f form) (authenticated, error) {
	text := f.get("subject_token")
	switch {
	case f.get("actor_token") == "" != (f.get("actor_token_type") == ""):
		return authenticated{}, invalidRequest("actor_token and actor_token_type go together")
	case f.get("actor_token_type") != "" && f.get("actor_token_type") != typeAccessToken:
		return authenticated{}, invalidRequest("actor_token_type must be " + typeAccessToken)
	case text == "":
		return authenticated{}, invalidRequest("subject_token is missing")
	case f.get("subject_token_type") == "":
		return authenticated{}, invalidRequest("subject_token_type is missing")
	case f.get("subject_token_type") != typeAccessToken:
		return authenticated{}, invalidRequest("subject_token_type must be " + typeAccessToken)
	case f.get("requested_token_type") != "" && f.get("requested_token_type") != typeAccessToken:
		return authenticated{}, invalidRequest("requested_token_type can only be " + typeAccessToken)
	}
	if !secret.Looks(text) && (authenticates(c, f) || h.identifiesItself(c, f)) {
		return h.exchangeToken(c, f, text)
	}
	if f.get("actor_token") != "" {
		return authenticated{}, invalidRequest("send no actor_token with a secret: nobody acts for one; exchange it for an access token first")
	}
	from := h.Address(c.Request)
	_, owner, err := secret.Parse(text)
	if err != nil {
		return authenticated{}, unacceptable(h.failed("", from, errSubject))
	}
	if id := f.get("client_id"); id != "" && store.ClientID(id) != owner {
		return authenticated{}, invalidRequest("client_id is not the client of the subject_token")
	}
	if authenticates(c, f) {
		caller, err := h.authenticate(c, f)
		if err != nil {
			return authenticated{}, err
		}
		if caller.client.ID != owner {
			return authenticated{}, invalidRequest("the subject_token is another client's; each exchanges its own")
		}
	}
	// Sent in the body like a client_secret, it is one way of authenticating with it.
	auth, err := h.verify(c, credentials{string(owner), text, methodPost}, from)
	if err == nil && !auth.client.Bearer {
		err = errNoBearer
	}
	if err != nil {
		return authenticated{}, unacceptable(h.failed(string(owner), from, err))
	}
	return auth, nil
}

// authenticates reports whether a client authenticates by something that is in the
// request itself.
func authenticates(c *gin.Context, f form) bool {
	return len(c.Request.Header["Authorization"]) > 0 || f.get("client_secret") != "" || hasAssertion(f)
}

// identifiesItself reports whether a client says who it is beside a certificate.
func (h *Handler) identifiesItself(c *gin.Context, f form) bool {
	p, err := h.presented(c.Request)
	return f.get("client_id") != "" && err == nil && p != nil
}

const (
	errSubject  = failure("the subject_token is no secret")
	errNoBearer = failure("the client's secrets are not bearers")
)

// unacceptable says invalid_request of a subject token that is no good, whatever
// is wrong with it (RFC 8693 section 2.2.2).
func unacceptable(err error) error {
	if e := AsError(err); e.Code == "invalid_client" {
		return &Error{
			Code: "invalid_request", Status: http.StatusBadRequest, Err: e.Err,
			Description: "the subject_token is not good here; send a secret that may be used as a bearer, or authenticate to exchange an access token",
		}
	}
	return err
}
