package oauth

import (
	"errors"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"postern/server/admin"
	"postern/server/token"
)

// revoke kills one access token of the client that asks (RFC 7009). Whatever is
// not its own valid token is answered 200 and stays as it is (section 2.2). An
// answer of 200 is only given once the revocation is stored.
func (h *Handler) revoke(c *gin.Context) error {
	f, err := readForm(c.Request, "")
	if err != nil {
		return err
	}
	auth, err := h.authenticate(c, f)
	if err != nil {
		return err
	}
	text := f.get("token")
	if text == "" {
		return invalidRequest("token is missing")
	}
	caller, err := h.Verifier.Examine(c.Request.Context(), text)
	if err != nil && !errors.Is(err, token.ErrInvalid) {
		return err
	}
	if err == nil && caller.Token != nil && (caller.Client.ID == auth.client.ID || caller.Sender().ID == auth.client.ID) {
		by := &admin.Actor{Holder: auth.holder, Client: auth.client, Secret: auth.secret.ID, Address: h.Address(c.Request), RequestID: h.RequestID()}
		c.Header("X-Request-Id", by.RequestID)
		switch err := h.Admin.RevokeToken(c.Request.Context(), by, caller.Token.ID, caller.Token.Audience, caller.ExpiresAt); {
		case errors.Is(err, admin.ErrTooManyRevoked):
			return &Error{
				Code: "temporarily_unavailable", Status: http.StatusTooManyRequests, RetryAfter: time.Minute,
				Description: "this client has 10000 revoked tokens that have not expired yet; rotate its secret to end them all", Err: err,
			}
		case err != nil:
			return err
		}
	}
	c.Header("Cache-Control", "no-store")
	c.Status(http.StatusOK)
	return nil
}
