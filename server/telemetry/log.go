package telemetry

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// NewLogger makes a logger that writes lines of a format, json or text, from a
// level on: debug, info, warn or error. A line logged with the context of a
// request has its id. Values come out on one line and without control
// characters, whatever is in them.
func NewLogger(w io.Writer, format, level string) (*slog.Logger, error) {
	var from slog.Level
	if err := from.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("log level %q: it is debug, info, warn or error", level)
	}
	o := &slog.HandlerOptions{Level: from}
	var h slog.Handler
	switch format {
	case "json":
		h = slog.NewJSONHandler(printable{w}, o)
	case "text":
		h = slog.NewTextHandler(printable{w}, o)
	default:
		return nil, fmt.Errorf("log format %q: it is json or text", format)
	}
	return slog.New(withRequestID{h}), nil
}

// withRequestID adds the id of the context's request to each line.
type withRequestID struct{ slog.Handler }

func (h withRequestID) Handle(ctx context.Context, r slog.Record) error {
	if id := RequestID(ctx); id != "" {
		r = r.Clone()
		r.AddAttrs(slog.String("request_id", id))
	}
	return h.Handler.Handle(ctx, r)
}

func (h withRequestID) WithAttrs(attrs []slog.Attr) slog.Handler {
	return withRequestID{h.Handler.WithAttrs(attrs)}
}

func (h withRequestID) WithGroup(name string) slog.Handler {
	return withRequestID{h.Handler.WithGroup(name)}
}

// printable escapes what slog lets through and terminals obey: DEL, the C1
// control characters, and those that turn the direction of writing. What it
// writes for them is JSON's escape, so that a line of JSON means the same.
type printable struct{ w io.Writer }

// Write takes a whole line, as slog's handlers hand it over.
func (p printable) Write(line []byte) (int, error) {
	clean := true
	for _, b := range line {
		clean = clean && b < 0x7f
	}
	if clean {
		return p.w.Write(line)
	}
	out := make([]byte, 0, len(line)+16)
	for rest := line; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		if r == '\n' || unicode.IsPrint(r) {
			out = append(out, rest[:size]...)
		} else {
			for _, half := range utf16.AppendRune(nil, r) {
				out = fmt.Appendf(out, `\u%04x`, half)
			}
		}
		rest = rest[size:]
	}
	if _, err := p.w.Write(out); err != nil {
		return 0, err
	}
	return len(line), nil
}
