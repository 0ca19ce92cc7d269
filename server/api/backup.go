package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"

	"postern/server/admin"
)

func (m *mounted) backup() {
	register(m, "backup", func(_ context.Context, by *admin.Actor, _ *struct{}) (*huma.StreamResponse, error) {
		return &huma.StreamResponse{Body: func(ctx huma.Context) { m.stream(ctx, by) }}, nil //nolint:contextcheck // ctx holds the request's
	})
}

// stream sends a backup line by line. What goes wrong before the first line is a
// problem; later the connection is cut, and the last line is missing.
func (m *mounted) stream(ctx huma.Context, by *admin.Actor) {
	body := &lazyBody{ctx: ctx}
	err := m.Admin.Backup(ctx.Context(), by, body)
	switch {
	case err == nil:
	case !body.begun:
		p := m.refusal(ctx.Context(), "backup", err)
		if e, ok := p.(*Problem); ok { //nolint:errorlint // made a line above
			for name := range e.header {
				ctx.SetHeader(name, e.header.Get(name))
			}
			_ = huma.WriteErr(m.huma, ctx, e.Status, e.Detail) // the sender is gone then
		}
	default:
		m.Log.ErrorContext(ctx.Context(), "a backup broke off", "error", err)
		panic(http.ErrAbortHandler)
	}
}

// lazyBody sends the header with the first byte.
type lazyBody struct {
	ctx   huma.Context
	begun bool
}

func (b *lazyBody) Write(p []byte) (int, error) {
	if !b.begun {
		b.begun = true
		c := humagin.Unwrap(b.ctx)
		c.Header("Content-Type", "application/x-ndjson")
		c.Header("Content-Disposition", `attachment; filename="postern-backup.ndjson"`)
		c.Status(http.StatusOK)
	}
	return b.ctx.BodyWriter().Write(p)
}
