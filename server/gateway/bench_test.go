package gateway_test

import (
	"net/http"
	"testing"

	"postern/server/gateway/gatewaytest"
)

// discard is a ResponseWriter that costs nothing.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(status int)      { d.status = status }

func BenchmarkDecision(b *testing.B) {
	w := gatewaytest.New(b)
	tok := w.Token(b, gatewaytest.Machine)
	for name, q := range map[string]question{
		"allowed": ask(w, "nginx", "GET", "/orders/1", tok),
		"denied":  ask(w, "nginx", "GET", "/files/secret", tok),
		"bearer":  ask(w, "nginx", "GET", "/orders/1", w.Secret(gatewaytest.Bearer)),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			d := &discard{header: http.Header{}}
			for b.Loop() {
				clear(d.header)
				w.Handler.ServeHTTP(d, q.Request)
			}
			if want := map[bool]int{true: 403, false: 200}[name == "denied"]; d.status != want {
				b.Fatalf("got %d, want %d", d.status, want)
			}
		})
	}
}
