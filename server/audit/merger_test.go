package audit_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/server/audit"
	"postern/store"
)

func refused(at time.Time, who store.AccountID, operation string) *store.AuditEntry {
	e := audit.Entry(at, "acme", operation, nil, nil)
	e.Account, e.Refused = who, "not allowed"
	return e
}

// refusals lists the entries as "minute account operation count".
func (m *memory) refusals() []string {
	var all []string
	for _, r := range m.records {
		e := r.(*store.AuditEntry)
		all = append(all, fmt.Sprintf("%s %s %s %d", e.At.Time().Format("15:04"), e.Account, e.Operation, e.Count))
	}
	slices.Sort(all)
	return all
}

// W17: each refusal is in one entry with its actor.
func TestRefusalsAreMergedPerActorOperationAndMinute(t *testing.T) {
	m := newMemory()
	merger := audit.NewMerger(audit.MergerOptions{Store: m})
	noon := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	for i := range 100 {
		merger.Add(refused(noon.Add(time.Duration(i)*time.Second), "mia", "role.update"))
	}
	merger.Add(refused(noon, "mia", "team.delete"))
	merger.Add(refused(noon, "tom", "team.delete"))
	if err := merger.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"12:00 mia role.update 60", "12:00 mia team.delete 1", "12:00 tom team.delete 1", "12:01 mia role.update 40",
	}
	if diff := cmp.Diff(want, m.refusals()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRefusalsOutliveAnOutageAndALostAnswer(t *testing.T) {
	m := newMemory()
	merger := audit.NewMerger(audit.MergerOptions{Store: m})
	noon := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	merger.Add(refused(noon, "mia", "role.update"))
	m.lose = true
	if err := merger.Flush(t.Context()); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("Flush: got %v, want ErrUnavailable", err)
	}
	merger.Add(refused(noon, "tom", "role.update"))
	for range 2 {
		if err := merger.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"12:00 mia role.update 1", "12:00 tom role.update 1"}
	if diff := cmp.Diff(want, m.refusals()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRefusalsHeldAreBounded(t *testing.T) {
	m := newMemory()
	m.err = &store.Unavailable{Err: errors.New("down")}
	merger := audit.NewMerger(audit.MergerOptions{Store: m})
	noon := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	for i := range 30_000 {
		merger.Add(refused(noon, store.AccountID(fmt.Sprint(i)), "role.update"))
		if i%9_000 == 0 {
			_ = merger.Flush(t.Context())
		}
	}
	m.err = nil
	if err := merger.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := len(m.records); got != 10_000 {
		t.Errorf("%d entries after an outage with 30,000 kinds of refusals, want 10,000", got)
	}
}

func TestRunWritesAMinuteOnceItIsOverAndEverythingAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		merger := audit.NewMerger(audit.MergerOptions{Store: m})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- merger.Run(ctx) }()
		for range 2 { // 30 s apart: synctest starts at midnight
			merger.Add(refused(time.Now(), "mia", "role.update"))
			time.Sleep(30 * time.Second) // the test's own clock
		}
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if diff := cmp.Diff([]string{"00:00 mia role.update 2"}, m.refusals()); diff != "" {
			t.Errorf("when the minute was over (-want +got):\n%s", diff)
		}
		merger.Add(refused(time.Now(), "mia", "role.update"))
		stop()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if got := len(m.records); got != 2 {
			t.Errorf("%d entries after the end, want 2", got)
		}
	})
}
