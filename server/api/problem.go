package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"postern/server/admin"
	"postern/server/telemetry"
)

const (
	retryAfter = "2"
	maxEcho    = 200 // bytes of a message, since some name what was sent
)

// Problem is an error as it is sent (RFC 9457). It never holds a value out of
// the request, which may be a secret in the wrong place.
type Problem struct { //nolint:errname // the word of RFC 9457
	Title     string  `json:"title"`
	Status    int     `json:"status"`
	Detail    string  `json:"detail"`
	Errors    []Fault `json:"errors,omitempty"`
	RequestID string  `json:"request_id,omitempty"` // names the request in the log and the audit

	header http.Header
}

// Fault is one thing wrong with a request.
type Fault struct {
	Location string `json:"location,omitempty"` // "body.rules[2].path"
	Message  string `json:"message"`
}

func (p *Problem) Error() string { return p.Detail }

// GetStatus is for huma.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders is for huma.
func (p *Problem) GetHeaders() http.Header { return p.header }

// ContentType is for huma.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// refusal turns an error of an operation into a problem. What nobody classified
// is logged, and said to no one.
func (a *API) refusal(ctx context.Context, operation string, err error) error {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	e, ok := errors.AsType[*admin.Error](err)
	if !ok {
		a.Log.ErrorContext(ctx, "an operation failed", "operation", operation, "error", err)
		return problem(http.StatusInternalServerError, "something went wrong here, and is in the server's log")
	}
	p := problem(statusOf(e.Kind), e.Message)
	for _, f := range e.Faults {
		p.Errors = append(p.Errors, Fault{"body." + f.Place, f.Message})
	}
	switch e.Kind { //nolint:exhaustive // the others have no header
	case admin.TooMany:
		p.header = http.Header{"Retry-After": {strconv.Itoa(int(max(e.RetryAfter, time.Second) / time.Second))}}
	case admin.Unauthenticated:
		p.header = http.Header{"WWW-Authenticate": {basicChallenge}}
	case admin.Unavailable:
		p.header = http.Header{"Retry-After": {retryAfter}}
		a.Log.WarnContext(ctx, "an operation was not done", "operation", operation, "error", e.Err)
	}
	return p
}

func problem(status int, detail string) *Problem {
	return &Problem{Title: http.StatusText(status), Status: status, Detail: detail}
}

// invalid is a problem with one place of the request.
func invalid(location, message string) *Problem {
	p := problem(http.StatusUnprocessableEntity, "the request has faults")
	p.Errors = []Fault{{location, message}}
	return p
}

func statusOf(k admin.Kind) int {
	switch k {
	case admin.Invalid:
		return http.StatusUnprocessableEntity
	case admin.Forbidden:
		return http.StatusForbidden
	case admin.NotFound:
		return http.StatusNotFound
	case admin.Conflict:
		return http.StatusConflict
	case admin.Stale:
		return http.StatusPreconditionFailed
	case admin.Precondition:
		return http.StatusPreconditionRequired
	case admin.Unavailable:
		return http.StatusServiceUnavailable
	case admin.Unauthenticated:
		return http.StatusUnauthorized
	case admin.TooMany:
		return http.StatusTooManyRequests
	default:
		return http.StatusInternalServerError
	}
}

// rewrite is the last to see an answer: it replaces huma's own errors, which
// repeat the offending value (for an unknown property the whole body), and adds
// the id of the request.
func (a *API) rewrite(ctx huma.Context, _ string, answer any) (any, error) {
	id := telemetry.RequestID(ctx.Context())
	switch e := answer.(type) {
	case *Problem:
		told := *e
		told.RequestID = id
		return &told, nil
	case *huma.ErrorModel:
		p := problem(e.Status, sentence(e.Detail))
		p.RequestID = id
		if e.Status >= http.StatusInternalServerError && e.Status != http.StatusServiceUnavailable {
			a.Log.ErrorContext(ctx.Context(), "a request failed", "operation", ctx.Operation().OperationID, "error", e.Detail)
			p.Detail = "something went wrong here, and is in the server's log"
			return p, nil
		}
		for _, d := range e.Errors {
			if d != nil {
				p.Errors = append(p.Errors, Fault{short(d.Location), short(d.Message)})
			}
		}
		return p, nil
	default:
		return answer, nil
	}
}

// sentence is huma's "validation failed" in our words.
func sentence(detail string) string {
	if detail == "validation failed" {
		return "the request has faults"
	}
	return short(detail)
}

// short keeps a text on one line and within bounds.
func short(text string) string {
	if len(text) > maxEcho {
		text = strings.ToValidUTF8(text[:maxEcho], "") + "…"
	}
	quoted := strconv.QuoteToGraphic(text)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}
