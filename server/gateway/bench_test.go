package gateway_test

import (
	"net/http"
	"syscall"
	"testing"

	"postern/server/gateway"
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

// cpu reports processor time, since wall time on a shared machine measures the
// neighbours. Call what it returns when the loop is done.
func cpu(b *testing.B) func() {
	b.Helper()
	used := func() int64 {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return u.Utime.Nano() + u.Stime.Nano()
	}
	start := used()
	return func() { b.ReportMetric(float64(used()-start)/float64(b.N), "cpu-ns/op") }
}

func BenchmarkDecision(b *testing.B) {
	w := gatewaytest.New(b, func(o *gateway.Options) { o.Observe = nil })
	tok := w.Token(b, gatewaytest.Machine)
	for name, q := range map[string]question{
		"allowed": ask(w, "nginx", "GET", "/orders/1", tok),
		"denied":  ask(w, "nginx", "GET", "/files/secret", tok),
		"bearer":  ask(w, "nginx", "GET", "/orders/1", w.Secret(gatewaytest.Bearer)),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			d := &discard{header: http.Header{}}
			done := cpu(b)
			for b.Loop() {
				clear(d.header)
				w.Handler.ServeHTTP(d, q.Request)
			}
			done()
			if want := map[bool]int{true: 403, false: 200}[name == "denied"]; d.status != want {
				b.Fatalf("got %d, want %d", d.status, want)
			}
		})
	}
}
