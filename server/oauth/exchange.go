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

// subject finds out whose token is to be exchanged (RFC 8693 section 2.1). It is
// a secret that is used as a bearer, of a service or a person, and stands for the
// authentication of its client too: the access token is for that client itself.
// So nobody acts for anybody else, and nothing becomes wider by it. Whoever
// authenticates besides must be that client.
func (h *Handler) subject(c *gin.Context, f form) (authenticated, error) {
	text := f.get("subject_token")
	switch {
	case f.get("actor_token") != "" || f.get("actor_token_type") != "":
		return authenticated{}, invalidRequest("delegation is not supported; send no actor_token")
	case text == "":
		return authenticated{}, invalidRequest("subject_token is missing")
	case f.get("subject_token_type") == "":
		return authenticated{}, invalidRequest("subject_token_type is missing")
	case f.get("subject_token_type") != typeAccessToken:
		return authenticated{}, invalidRequest("subject_token_type must be " + typeAccessToken)
	case f.get("requested_token_type") != "" && f.get("requested_token_type") != typeAccessToken:
		return authenticated{}, invalidRequest("requested_token_type can only be " + typeAccessToken)
	}
	from := h.Address(c.Request)
	_, owner, err := secret.Parse(text)
	if err != nil {
		return authenticated{}, unacceptable(h.failed("", from, errSubject))
	}
	if id := f.get("client_id"); id != "" && store.ClientID(id) != owner {
		return authenticated{}, invalidRequest("client_id is not the client of the subject_token")
	}
	if len(c.Request.Header["Authorization"]) > 0 || f.get("client_secret") != "" || f.get("client_assertion") != "" {
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
			Description: "the subject_token is not good here; send a secret that may be used as a bearer",
		}
	}
	return err
}
