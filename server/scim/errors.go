package scim

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"postern/server/admin"
	"postern/store"
)

// Error is a refusal as it is sent (RFC 7644 section 3.12). It repeats no value
// out of the request, which may be a password in the wrong place.
type Error struct {
	Status int
	Type   string // scimType; empty for most
	Detail string
	Err    error // for the log
}

func (e *Error) Error() string { return e.Detail }

func (e *Error) Unwrap() error { return e.Err }

// body is the error as JSON.
func (e *Error) body() map[string]any {
	b := map[string]any{"schemas": []string{messageError}, "status": strconv.Itoa(e.Status), "detail": e.Detail}
	if e.Type != "" {
		b["scimType"] = e.Type
	}
	return b
}

func badFilter(format string, args ...any) *Error {
	return &Error{Status: http.StatusBadRequest, Type: "invalidFilter", Detail: "filter: " + fmt.Sprintf(format, args...)}
}

func badPath(format string, args ...any) *Error {
	return &Error{Status: http.StatusBadRequest, Type: "invalidPath", Detail: fmt.Sprintf(format, args...)}
}

func badSyntax(format string, args ...any) *Error {
	return &Error{Status: http.StatusBadRequest, Type: "invalidSyntax", Detail: fmt.Sprintf(format, args...)}
}

func badValue(format string, args ...any) *Error {
	return &Error{Status: http.StatusBadRequest, Type: "invalidValue", Detail: fmt.Sprintf(format, args...)}
}

func notMutable(format string, args ...any) *Error {
	return &Error{Status: http.StatusBadRequest, Type: "mutability", Detail: fmt.Sprintf(format, args...)}
}

func notFound() *Error {
	return &Error{Status: http.StatusNotFound, Detail: "there is no such resource"}
}

// asError is an error of an operation as it is sent. What nobody classified is
// logged, and said to no one.
func (h *Handler) asError(ctx context.Context, operation string, err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	e, ok := errors.AsType[*admin.Error](err)
	if !ok {
		h.Log.ErrorContext(ctx, "an operation of provisioning failed", "operation", operation, "error", err)
		return &Error{Status: http.StatusInternalServerError, Detail: "something went wrong here, and is in the server's log"}
	}
	out := &Error{Detail: e.Error(), Err: e.Err}
	switch e.Kind {
	case admin.Invalid:
		out.Status, out.Type = http.StatusBadRequest, "invalidValue"
	case admin.Forbidden:
		out.Status = http.StatusForbidden
	case admin.NotFound:
		out.Status = http.StatusNotFound
	case admin.Conflict:
		out.Status = http.StatusConflict
		if errors.Is(err, store.ErrExists) {
			out.Type = "uniqueness"
		}
	case admin.Stale, admin.Precondition:
		out.Status = http.StatusPreconditionFailed
	case admin.Unavailable:
		out.Status = http.StatusServiceUnavailable
		h.Log.WarnContext(ctx, "an operation of provisioning was not done", "operation", operation, "error", e.Err)
	default:
		out.Status = http.StatusInternalServerError
	}
	return out
}
