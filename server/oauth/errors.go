package oauth

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"postern/server/telemetry"
	"postern/store"
)

// Error is an error response (RFC 6749 section 5.2).
type Error struct {
	Code, Description string // the description has none of " and \
	Status            int
	RetryAfter        time.Duration
	Err               error // for the operator: logged, never sent
}

func (e *Error) Error() string {
	text := e.Code + ": " + e.Description
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

func (e *Error) Unwrap() error { return e.Err }

func invalidRequest(description string) error {
	return &Error{Code: "invalid_request", Status: http.StatusBadRequest, Description: description}
}

// invalidClient says nothing of the reason: an unknown client, a wrong secret
// and a revoked client look alike (RFC 6749 section 5.2).
func invalidClient(reason error) error {
	return &Error{Code: "invalid_client", Status: http.StatusUnauthorized, Description: "client authentication failed", Err: reason}
}

func tooMany(after time.Duration) error {
	return &Error{
		Code: "temporarily_unavailable", Status: http.StatusTooManyRequests, RetryAfter: max(after, time.Second),
		Description: "too many requests; wait and try again",
	}
}

// AsError gives an error its response. What nobody classified says nothing.
func AsError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if errors.Is(err, store.ErrUnavailable) {
		return &Error{
			Code: "temporarily_unavailable", Status: http.StatusServiceUnavailable, RetryAfter: time.Second,
			Description: "the store does not answer; try again shortly", Err: err,
		}
	}
	return &Error{Code: "server_error", Status: http.StatusInternalServerError, Description: "see the server's log by the request id", Err: err}
}

// left reports whether a request failed for no other reason than that who sent it
// did not wait for the answer: nothing is wrong then, and nobody reads it.
func left(ctx context.Context, e *Error) bool {
	return ctx.Err() != nil && errors.Is(e.Err, context.Canceled)
}

func (h *Handler) answer(c *gin.Context, e *Error) {
	id := telemetry.RequestID(c.Request.Context())
	if id == "" {
		id = h.RequestID()
	}
	ctx := telemetry.WithRequestID(c.Request.Context(), id)
	switch {
	case e.Status >= http.StatusInternalServerError && !left(ctx, e):
		h.Log.ErrorContext(ctx, "oauth request failed", "path", c.FullPath(), "code", e.Code, "error", e.Err)
	case e.Err != nil:
		h.Log.DebugContext(ctx, "oauth request refused", "path", c.FullPath(), "code", e.Code, "error", e.Err)
	}
	header := c.Writer.Header()
	header["Cache-Control"], header["Content-Type"], header["X-Request-Id"] = noStore, contentJSON, []string{id}
	if e.Status == http.StatusUnauthorized {
		header.Set("WWW-Authenticate", `Basic realm="postern", charset="UTF-8"`)
	}
	if e.Status == http.StatusServiceUnavailable || e.RetryAfter > 0 {
		header.Set("Retry-After", strconv.Itoa(int(max(e.RetryAfter, time.Second).Seconds()+0.999)))
	}
	c.Status(e.Status)
	// Codes and descriptions are made here, of characters that JSON takes as they are.
	_, _ = c.Writer.WriteString(`{"error":"` + e.Code + `","error_description":"` + e.Description + `"}`)
}
