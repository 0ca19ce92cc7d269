package api

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
)

const typeNDJSON = "application/x-ndjson"

// patience is how long a reader of a stream may take for a part of it.
const patience = 30 * time.Second

// streamed describes an answer of one JSON object a line.
func streamed(op *huma.Operation) {
	op.Responses = map[string]*huma.Response{"200": {
		Description: "A stream of JSON objects, one a line.",
		Content:     map[string]*huma.MediaType{typeNDJSON: {Schema: &huma.Schema{Type: huma.TypeString}}},
	}}
}

// lines streams what write writes, as a file of one JSON object a line. What goes
// wrong before the first one is a problem; later the connection is cut, so that
// the reader knows.
func (m *mounted) lines(operation, file string, write func(context.Context, io.Writer) error) *huma.StreamResponse {
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		body := &lazyBody{ctx: ctx, file: file}
		err := write(ctx.Context(), body)
		switch {
		case err == nil:
			body.begin()
		case !body.begun:
			p := m.refusal(ctx.Context(), operation, err)
			if e, ok := p.(*Problem); ok { //nolint:errorlint // made a line above
				for name := range e.header {
					ctx.SetHeader(name, e.header.Get(name))
				}
				_ = huma.WriteErr(m.huma, ctx, e.Status, e.Detail) // the sender is gone then
			}
		default:
			m.Log.ErrorContext(ctx.Context(), "a stream broke off", "operation", operation, "error", err)
			panic(http.ErrAbortHandler)
		}
	}}
}

// lazyBody sends the header with the first byte.
type lazyBody struct {
	ctx   huma.Context
	file  string
	begun bool
}

func (b *lazyBody) begin() {
	if b.begun {
		return
	}
	b.begun = true
	c := humagin.Unwrap(b.ctx)
	c.Header("Content-Type", typeNDJSON)
	c.Header("Content-Disposition", `attachment; filename="`+b.file+`"`)
	c.Status(http.StatusOK)
}

func (b *lazyBody) Write(p []byte) (int, error) {
	b.begin()
	// The listener's limit is for answers that are written at once. A connection
	// without deadlines is a test's.
	_ = http.NewResponseController(humagin.Unwrap(b.ctx).Writer).SetWriteDeadline(time.Now().Add(patience)) //nolint:forbidigo // a connection knows the real clock alone
	return b.ctx.BodyWriter().Write(p)
}
