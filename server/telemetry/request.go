package telemetry

import (
	"context"
	"crypto/rand"
	"strconv"
	"strings"
	"sync/atomic"
)

// RequestIDs makes the ids of requests: the process's own random part, and a
// number. One that a client sends is never taken, since it could pass itself off
// as another request in the log and the audit.
type RequestIDs struct {
	process string
	last    atomic.Uint64
}

// NewRequestIDs makes a source of ids unlike those of any other process.
func NewRequestIDs() *RequestIDs {
	return &RequestIDs{process: strings.ToLower(rand.Text()[:12]) + "-"}
}

// New returns an id that was not returned before: "k7m2q4xw3abd-1z".
func (r *RequestIDs) New() string {
	return r.process + strconv.FormatUint(r.last.Add(1), 36)
}

type requestIDKey struct{}

// WithRequestID returns a context that carries a request's id.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

// RequestID returns the id of the context's request, or nothing.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}
