package usage_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"postern/server/usage"
	"postern/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake keeps the greatest, as a store does.
type fake struct {
	mu     sync.Mutex
	err    error
	sumErr error
	calls  []int // rows and uses in each
	block  chan struct{}
	rows   map[store.Usage]int64 // by row without its count
	sums   map[store.UsageSum]int64
	uses   map[string]store.LastUse
}

func newFake() *fake {
	return &fake{rows: map[store.Usage]int64{}, sums: map[store.UsageSum]int64{}, uses: map[string]store.LastUse{}}
}

func (f *fake) AddUsage(ctx context.Context, rows []store.Usage, uses []store.LastUse) error {
	if f.block != nil {
		select {
		case <-f.block:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, len(rows)+len(uses))
	if f.err != nil {
		return f.err
	}
	for _, row := range rows {
		n := row.Count
		row.Count = 0
		f.rows[row] = max(f.rows[row], n)
	}
	for _, u := range uses {
		f.uses[string(u.Client)+"/"+string(u.Secret)] = u
	}
	return nil
}

func (f *fake) AddUsageSums(_ context.Context, sums []store.UsageSum) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.sumErr != nil {
		return f.sumErr
	}
	for _, s := range sums {
		n := s.Count
		s.Count = 0
		f.sums[s] = max(f.sums[s], n)
	}
	return nil
}

// text lists the rows as "hour client/secret rule outcome count".
func (f *fake) text() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []string
	for row, n := range f.rows {
		all = append(all, fmt.Sprintf("%s %s/%s %s %s %d",
			row.Hour.Time().Format("15:04"), row.Client, row.Secret, row.Rule, row.Outcome, n))
	}
	slices.Sort(all)
	return all
}

type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func noon() *clock { return &clock{time.Date(2026, 5, 4, 12, 30, 0, 0, time.UTC)} }

func event(client store.ClientID, rule string, o store.Outcome) usage.Event {
	return usage.Event{Client: client, Secret: "s", Rule: rule, Outcome: o}
}

func flush(t *testing.T, r *usage.Recorder) {
	t.Helper()
	if err := r.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestTotalsAreKeptPerHourClientSecretRuleAndOutcome(t *testing.T) {
	f, c := newFake(), noon()
	r := usage.New(usage.Options{Store: f, Process: "p", Now: c.Now})
	r.Record(event("a", "acme/reader#1", store.OutcomeAllowed))
	r.Record(event("a", "acme/reader#1", store.OutcomeAllowed))
	r.Record(event("a", "acme/reader#1", store.OutcomeDenied))
	r.Record(event("a", "acme/reader#2", store.OutcomeAllowed))
	r.Record(event("b", "", store.OutcomeIssued))
	flush(t, r)
	r.Record(event("a", "acme/reader#1", store.OutcomeAllowed)) // the total goes on after a write
	c.now = c.now.Add(time.Hour)
	r.Record(event("a", "acme/reader#1", store.OutcomeAllowed))
	flush(t, r)
	want := []string{
		"12:00 a/s acme/reader#1 allowed 3",
		"12:00 a/s acme/reader#1 denied 1",
		"12:00 a/s acme/reader#2 allowed 1",
		"12:00 b/s  issued 1",
		"13:00 a/s acme/reader#1 allowed 1",
	}
	if diff := cmp.Diff(want, f.text()); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	for row := range f.rows {
		if row.Process != "p" {
			t.Errorf("row of process %q, want p", row.Process)
		}
	}
}

// What the clients of a workspace do is added up, over hours, outages and secrets.
func TestSumsAreThoseOfTheCounters(t *testing.T) {
	f, c := newFake(), noon()
	r := usage.New(usage.Options{Store: f, Process: "p", Now: c.Now})
	of := func(w store.WorkspaceID, client store.ClientID, rule string) {
		e := event(client, rule, store.OutcomeAllowed)
		e.Workspace = w
		r.Record(e)
	}
	of("acme", "a", "x")
	of("acme", "b", "x")
	of("acme", "b", "y")
	of("", "c", "x")
	f.sumErr = &store.Unavailable{Err: errors.New("no primary")}
	if err := r.Flush(t.Context()); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("flush with sums that are not written: got %v, want ErrUnavailable", err)
	}
	of("acme", "a", "x")
	c.now = c.now.Add(time.Hour)
	of("acme", "a", "x")
	if err := r.Flush(t.Context()); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("flush with sums that are not written: got %v, want ErrUnavailable", err)
	}
	f.sumErr = nil
	flush(t, r)
	c.now = c.now.Add(time.Hour)
	flush(t, r) // what is past is dropped
	of("acme", "a", "x")
	flush(t, r)
	noon := store.At(c.now.Truncate(time.Hour)) - 2*3_600_000
	want := map[store.UsageSum]int64{}
	for _, s := range []store.UsageSum{
		{Hour: noon, Workspace: "acme", Rule: "x", Count: 3},
		{Hour: noon, Workspace: "acme", Rule: "y", Count: 1},
		{Hour: noon, Rule: "x", Count: 1},
		{Hour: noon + 3_600_000, Workspace: "acme", Rule: "x", Count: 1},
		{Hour: noon + 7_200_000, Workspace: "acme", Rule: "x", Count: 1},
	} {
		n := s.Count
		s.Outcome, s.Process, s.Count = store.OutcomeAllowed, "p", 0
		want[s] = n
	}
	if diff := cmp.Diff(want, f.sums); diff != "" {
		t.Errorf("sums (-want +got):\n%s", diff)
	}
}

func TestLastUseKeepsSuccessAndRefusalApart(t *testing.T) {
	f, c := newFake(), noon()
	r := usage.New(usage.Options{Store: f, Now: c.Now})
	at := store.At(c.now)
	one, two := netip.MustParseAddr("::ffff:10.0.0.1"), netip.MustParseAddr("2001:db8::2")
	for _, e := range []usage.Event{
		{Outcome: store.OutcomeAllowed, At: at + 5, Address: one, Endpoint: "GET /a"},
		{Outcome: store.OutcomeIssued, At: at + 4, Address: two, Endpoint: "late"}, // told of late
		{Outcome: store.OutcomeDenied, At: at + 9, Address: two, Endpoint: "PUT /b"},
	} {
		e.Client, e.Secret = "a", "s"
		r.Record(e)
	}
	flush(t, r)
	want := store.LastUse{
		Client: "a", Secret: "s",
		SuccessAt: at + 5, SuccessAddress: "10.0.0.1", SuccessEndpoint: "GET /a",
		RefusalAt: at + 9, RefusalAddress: "2001:db8::2", RefusalEndpoint: "PUT /b",
	}
	if diff := cmp.Diff(want, f.uses["a/s"]); diff != "" {
		t.Errorf("last use (-want +got):\n%s", diff)
	}
}

func TestOnlyChangedRowsAreWritten(t *testing.T) {
	f := newFake()
	r := usage.New(usage.Options{Store: f, Now: noon().Now})
	r.Record(event("a", "", store.OutcomeIssued))
	r.Record(event("b", "", store.OutcomeIssued))
	flush(t, r)
	flush(t, r)
	r.Record(event("b", "", store.OutcomeIssued))
	flush(t, r)
	if diff := cmp.Diff([]int{4, 2}, f.calls); diff != "" {
		t.Errorf("rows and uses of each write (-want +got):\n%s", diff)
	}
}

func TestWritesAreBatched(t *testing.T) {
	f := newFake()
	var told []int
	r := usage.New(usage.Options{Store: f, Now: noon().Now, OnFlush: func(n int, _ error) { told = append(told, n) }})
	for i := range 1200 {
		r.Record(event(store.ClientID(fmt.Sprint(i)), "", store.OutcomeIssued))
	}
	flush(t, r)
	if diff := cmp.Diff([]int{1000, 1000, 400}, f.calls); diff != "" {
		t.Errorf("sizes of writes (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int{2400}, told); diff != "" {
		t.Errorf("OnFlush (-want +got):\n%s", diff)
	}
}

// L06: the writer is behind; memory stays bounded and nothing is lost.
func TestAnOutageHoldsAndMerges(t *testing.T) {
	f, c := newFake(), noon()
	down := &store.Unavailable{Err: errors.New("no primary")}
	f.err = down
	r := usage.New(usage.Options{Store: f, Now: c.Now})
	for range 3 {
		r.Record(event("a", "x", store.OutcomeAllowed))
		if err := r.Flush(t.Context()); !errors.Is(err, store.ErrUnavailable) {
			t.Fatalf("Flush during an outage: got %v, want ErrUnavailable", err)
		}
		c.now = c.now.Add(time.Hour)
	}
	if r.Keys() == 0 {
		t.Fatal("keys were dropped before they were written")
	}
	f.err = nil
	flush(t, r)
	want := []string{"12:00 a/s x allowed 1", "13:00 a/s x allowed 1", "14:00 a/s x allowed 1"}
	if diff := cmp.Diff(want, f.text()); diff != "" {
		t.Errorf("rows after the outage (-want +got):\n%s", diff)
	}
}

func TestKeysOfAWrittenHourAreDroppedAndItsTotalNeverStartsAgain(t *testing.T) {
	f, c := newFake(), noon()
	r := usage.New(usage.Options{Store: f, Now: c.Now})
	late := event("a", "x", store.OutcomeAllowed)
	late.At = store.At(c.now)
	for range 5 {
		r.Record(late)
	}
	flush(t, r)
	c.now = c.now.Add(time.Hour)
	flush(t, r)
	if r.Keys() != 0 {
		t.Errorf("%d keys held after their hour was written, want 0", r.Keys())
	}
	for range 3 { // its last use is older than the hour it is counted in
		r.Record(late)
		flush(t, r)
		flush(t, r)
	}
	want := []string{"12:00 a/s x allowed 5", "13:00 a/s x allowed 3"}
	if diff := cmp.Diff(want, f.text()); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

func TestBeyondTheCapCountsLoseTheirRuleAndThenAreDropped(t *testing.T) {
	f := newFake()
	r := usage.New(usage.Options{Store: f, Now: noon().Now, MaxKeys: 2})
	for i := range 10 {
		r.Record(event("a", fmt.Sprintf("rule%d", i), store.OutcomeAllowed))
	}
	r.Record(event("b", "rule", store.OutcomeAllowed)) // the fourth key
	r.Record(event("c", "rule", store.OutcomeAllowed)) // no room
	flush(t, r)
	want := []string{
		"12:00 a/s  allowed 8", "12:00 a/s rule0 allowed 1", "12:00 a/s rule1 allowed 1",
		"12:00 b/s  allowed 1",
	}
	if diff := cmp.Diff(want, f.text()); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	if r.Dropped() != 1 || r.Keys() != 4 {
		t.Errorf("dropped %d events and held %d keys, want 1 and 4", r.Dropped(), r.Keys())
	}
}

func TestAFlushThatHangsHoldsUpNoRecord(t *testing.T) {
	f := newFake()
	f.block = make(chan struct{})
	r := usage.New(usage.Options{Store: f, Now: noon().Now})
	r.Record(event("a", "x", store.OutcomeAllowed))
	done := make(chan error)
	go func() { done <- r.Flush(t.Context()) }()
	for range 100 { // would deadlock here
		r.Record(event("a", "x", store.OutcomeAllowed))
	}
	close(f.block)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	flush(t, r)
	if diff := cmp.Diff([]string{"12:00 a/s x allowed 101"}, f.text()); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

func TestRunWritesEachIntervalAndOnceMoreAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		r := usage.New(usage.Options{Store: f})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- r.Run(ctx) }()
		r.Record(event("a", "", store.OutcomeIssued))
		time.Sleep(6 * time.Second) // the test's own clock
		synctest.Wait()
		if got := f.text(); len(got) != 1 {
			t.Errorf("after one interval: %v, want one row", got)
		}
		r.Record(event("a", "", store.OutcomeIssued))
		stop()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if got := f.text(); len(got) != 1 || !strings.HasSuffix(got[0], " 2") {
			t.Errorf("after the end: %v, want the total 2", got)
		}
	})
}

func TestTheLastWriteOfRunDoesNotWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.block = make(chan struct{})
		r := usage.New(usage.Options{Store: f})
		r.Record(event("a", "", store.OutcomeIssued))
		ctx, stop := context.WithCancel(t.Context())
		stop()
		if err := r.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Run with a store that hangs: got %v, want its deadline", err)
		}
	})
}

func TestEventsFromManyGoroutinesAreAllCounted(t *testing.T) {
	f := newFake()
	r := usage.New(usage.Options{Store: f, Now: noon().Now})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 1000 {
				r.Record(event("a", "x", store.OutcomeAllowed))
				if i%100 == 0 {
					_ = r.Flush(t.Context())
				}
			}
		})
	}
	all.Wait()
	flush(t, r)
	if diff := cmp.Diff([]string{"12:00 a/s x allowed 8000"}, f.text()); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

func TestRecordOfAKnownKeyAllocatesNothing(t *testing.T) {
	r := usage.New(usage.Options{Store: newFake()})
	e := event(store.NewClientID(), "acme/reader#3", store.OutcomeAllowed)
	if n := testing.AllocsPerRun(100, func() { r.Record(e) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func BenchmarkRecord(b *testing.B) {
	r := usage.New(usage.Options{Store: newFake()})
	var events [1024]usage.Event
	for i := range events {
		events[i] = usage.Event{
			Client: store.NewClientID(), Secret: store.NewSecretID(), Rule: "acme/reader#3",
			Outcome: store.OutcomeAllowed, Address: netip.MustParseAddr("10.0.0.1"), Endpoint: "GET /orders/{id}",
		}
	}
	at := store.At(time.Now())
	for name, at := range map[string]store.Time{"now": 0, "at": at} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				e := events[i%len(events)]
				e.At = at
				r.Record(e)
			}
		})
	}
}
