package server_test

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// What follows drives a server over loopback with as little work of its own as
// can be, so that the ratios say something about the servers.

const connections = 32

// shot is a request, written out, that is sent again and again.
type shot struct {
	addr     string
	requests [][]byte // taken in turn
	want     int      // the status of every answer
}

// post is a form request written out.
func post(path, authorization, form string) []byte {
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: bench\r\nContent-Type: application/x-www-form-urlencoded\r\nAuthorization: %s\r\nContent-Length: %d\r\n\r\n%s",
		path, authorization, len(form), form)
}

// rate is answers per second, by the clock and by the processor time of this
// process: the second one does not see what else runs on the machine.
type rate struct{ clock, processor float64 }

// load sends shots over 32 connections for a slice of time.
func load(tb testing.TB, s shot) rate {
	tb.Helper()
	return loadBy(tb, s.addr, s.fire)
}

// loadBy runs 32 workers for a slice of time. Each returns how many answers it got.
func loadBy(tb testing.TB, addr string, fire func(worker int, until time.Time) (int64, error)) rate {
	tb.Helper()
	var answered atomic.Int64
	var failed atomic.Pointer[string]
	var all sync.WaitGroup
	began, used := time.Now(), processorTime()
	until := began.Add(slice)
	for worker := range connections {
		all.Go(func() {
			n, err := fire(worker, until)
			answered.Add(n)
			if err != nil {
				text := err.Error()
				failed.Store(&text)
			}
		})
	}
	all.Wait()
	if text := failed.Load(); text != nil {
		tb.Fatalf("load on %s: %s", addr, *text)
	}
	n := float64(answered.Load())
	return rate{n / time.Since(began).Seconds(), n / (processorTime() - used).Seconds()}
}

func processorTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // cannot fail for oneself
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// fire keeps one connection busy.
func (s shot) fire(worker int, until time.Time) (n int64, err error) {
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	r := bufio.NewReaderSize(c, 8<<10)
	for i := worker; ; i += connections {
		// The clock is looked at now and then only: it is not free.
		if n%16 == 0 && !time.Now().Before(until) {
			return n, nil
		}
		if _, err := c.Write(s.requests[i%len(s.requests)]); err != nil {
			return n, err
		}
		if err := readAnswer(r, s.want); err != nil {
			return n, err
		}
		n++
	}
}

// once sends each request one time over one connection.
func (s shot) once() (n int64, err error) {
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	r := bufio.NewReaderSize(c, 8<<10)
	for _, request := range s.requests {
		if _, err := c.Write(request); err != nil {
			return n, err
		}
		if err := readAnswer(r, s.want); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// readAnswer reads one HTTP/1.1 response with a Content-Length.
func readAnswer(r *bufio.Reader, want int) error {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return err
	}
	if len(line) < 12 || string(line[9:12]) != strconv.Itoa(want) {
		rest, _ := r.Peek(min(r.Buffered(), 600))
		return fmt.Errorf("got %q, want %d\n%s", line, want, rest)
	}
	length := 0
	for {
		line, err = r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) == 2 {
			break
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return err
			}
		}
	}
	_, err = r.Discard(length)
	return err
}

const (
	rounds = 9
	slice  = 700 * time.Millisecond
)

// ratio compares ours with a bare handler. Both are served in this process, so
// that what disturbs one disturbs the other.
func ratio(b *testing.B, name string, ours shot, bare http.Handler) {
	b.Run(name, func(b *testing.B) {
		for b.Loop() {
			interleave(b, name, ours, bare)
		}
	})
}

func interleave(b *testing.B, name string, ours shot, bare http.Handler) {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	// With timeouts as ours: what is compared is the handlers.
	srv := &http.Server{Handler: bare, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute}
	go func() { _ = srv.Serve(l) }()
	defer srv.Close()
	other := ours
	other.addr = l.Addr().String()
	compare(b, name, func() rate { return load(b, ours) }, func() rate { return load(b, other) })
}

// compare runs two loads in turns and reports the median of the rounds' ratios.
func compare(b *testing.B, name string, ours, bare func() rate) {
	b.Helper()
	_, _ = ours(), bare() // warm up
	var clock, processor, us, them []float64
	for range rounds {
		x, y := ours(), bare()
		clock, processor = append(clock, x.clock/y.clock), append(processor, x.processor/y.processor)
		us, them = append(us, x.clock), append(them, y.clock)
	}
	for _, each := range [][]float64{clock, processor, us, them} {
		slices.Sort(each)
	}
	m := rounds / 2
	b.Logf("%-28s %.2f of bare by the clock (%.2f to %.2f; %.0f/s and %.0f/s), %.2f by processor time (%.2f to %.2f)",
		name, clock[m], clock[0], clock[rounds-1], us[m], them[m], processor[m], processor[0], processor[rounds-1])
	b.ReportMetric(clock[m], "of-bare")
	b.ReportMetric(processor[m], "of-bare/processor")
}
