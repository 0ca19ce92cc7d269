package audit_test

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/server/audit"
	"postern/store"
)

func TestEachWorkspaceHasItsOwnChain(t *testing.T) {
	w := newWorld(t)
	w.write(t, "acme", 120)
	w.write(t, "", 3)
	w.write(t, "globex", 2)
	w.write(t, "acme", 130)
	w.seal(t)
	for in, want := range map[store.WorkspaceID]int64{"acme": 250, "globex": 2, "": 3, "unknown": 0} {
		if diff := cmp.Diff(audit.Report{Entries: want}, w.verify(t, in)); diff != "" {
			t.Errorf("workspace %q (-want +got):\n%s", in, diff)
		}
	}
	for i, e := range w.entries(t, "acme") {
		if e.Place != int64(i+1) || i > 0 && e.At < w.entries(t, "acme")[i-1].At {
			t.Fatalf("entry %d is at place %d, want them in order of time", i, e.Place)
		}
	}
	for _, n := range w.commits {
		if n > 104 {
			t.Errorf("a commit of %d writes, want 100 entries and the heads at most", n)
		}
	}
}

// W17: what was done to the log, and where it shows.
func TestVerifyFinds(t *testing.T) {
	chain := func(w *world) *store.Chain {
		head := *w.records["chains acme"].(*store.Chain)
		return &head
	}
	for _, tt := range []struct {
		name   string
		attack func(t *testing.T, w *world, entries []*store.AuditEntry)
		want   []audit.Problem // without texts
	}{
		{"nothing", func(*testing.T, *world, []*store.AuditEntry) {}, nil},
		{"an entry removed", func(_ *testing.T, w *world, e []*store.AuditEntry) {
			delete(w.records, at(e[4]))
		}, []audit.Problem{{Fault: audit.FaultGap, Place: 5}}},
		{"the first entries removed", func(_ *testing.T, w *world, e []*store.AuditEntry) {
			delete(w.records, at(e[0]))
			delete(w.records, at(e[1]))
		}, []audit.Problem{{Fault: audit.FaultGap, Place: 1}}},
		{"an entry removed and the places closed up", func(_ *testing.T, w *world, e []*store.AuditEntry) {
			delete(w.records, at(e[8]))
			last := *e[9]
			last.Place = 9
			w.forge(&last)
			head := chain(w)
			head.Place = 9
			w.forge(head)
		}, []audit.Problem{{Fault: audit.FaultChanged, Place: 9}, {Fault: audit.FaultHead, Place: 9}}},
		{"the tail removed", func(_ *testing.T, w *world, e []*store.AuditEntry) {
			delete(w.records, at(e[9]))
		}, []audit.Problem{{Fault: audit.FaultTail, Place: 10}}},
		{"the tail and the head taken back", func(_ *testing.T, w *world, e []*store.AuditEntry) {
			delete(w.records, at(e[9]))
			head := chain(w)
			head.Place, head.Link = 9, e[8].Link
			w.forge(head)
		}, []audit.Problem{{Fault: audit.FaultHead, Place: 9}}},
		{"the head removed", func(_ *testing.T, w *world, _ []*store.AuditEntry) {
			delete(w.records, "chains acme")
		}, []audit.Problem{{Fault: audit.FaultTail, Place: 1}}},
		{"a head that nobody signs any more", func(_ *testing.T, w *world, _ []*store.AuditEntry) {
			w.now = w.now.Add(3 * time.Hour)
		}, []audit.Problem{{Fault: audit.FaultHead, Place: 10}}},
		{"two entries swapped", func(_ *testing.T, w *world, e []*store.AuditEntry) {
			a, b := *e[2], *e[3]
			a.Place, b.Place, a.Link, b.Link = b.Place, a.Place, b.Link, a.Link
			w.forge(&a)
			w.forge(&b)
		}, []audit.Problem{{Fault: audit.FaultChanged, Place: 3}, {Fault: audit.FaultChanged, Place: 4}}},
		{"an entry put in twice", func(_ *testing.T, w *world, e []*store.AuditEntry) {
			twin := *e[2]
			twin.ID = "twin"
			w.forge(&twin)
		}, []audit.Problem{{Fault: audit.FaultRepeated, Place: 3}}},
		{"an entry from another workspace's chain", func(t *testing.T, w *world, e []*store.AuditEntry) {
			w.write(t, "globex", 10)
			w.seal(t)
			other := *w.entries(t, "globex")[6]
			other.Workspace = "acme"
			delete(w.records, at(e[6]))
			w.forge(&other)
		}, []audit.Problem{{Fault: audit.FaultChanged, Place: 7}, {Fault: audit.FaultChanged, Place: 8}}},
		{"an entry that waits for more than a minute", func(t *testing.T, w *world, _ []*store.AuditEntry) {
			w.write(t, "acme", 1)
			w.now = w.now.Add(61 * time.Second)
		}, []audit.Problem{{Fault: audit.FaultUnsealed}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.write(t, "acme", 10)
			w.seal(t)
			tt.attack(t, w, w.entries(t, "acme"))
			report := w.verify(t, "acme")
			var got []audit.Problem
			for _, p := range report.Problems {
				if p.Text == "" {
					t.Errorf("%+v says nothing", p)
				}
				got = append(got, audit.Problem{Fault: p.Fault, Place: p.Place})
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

// W17: every field of an entry is under the seal, whichever is changed.
func TestVerifyFindsAChangeOfAnyField(t *testing.T) {
	w := newWorld(t)
	w.write(t, "acme", 3)
	w.seal(t)
	second := w.entries(t, "acme")[1]
	for i := range reflect.TypeFor[store.AuditEntry]().NumField() {
		field := reflect.TypeFor[store.AuditEntry]().Field(i).Name
		if field == "Revision" || field == "Place" || field == "Workspace" {
			continue // the store's own; and those that move the entry elsewhere
		}
		forged := *second
		switch v := reflect.ValueOf(&forged).Elem().Field(i); v.Kind() {
		case reflect.String:
			v.SetString(v.String() + "x")
		case reflect.Int64:
			v.SetInt(v.Int() + 1)
		case reflect.Slice:
			v.SetBytes(append([]byte("x"), v.Bytes()...))
		default:
			t.Fatalf("%s is a %s: this test cannot change it", field, v.Kind())
		}
		delete(w.records, at(second))
		w.forge(&forged)
		report := w.verify(t, "acme")
		if len(report.Problems) == 0 || report.Problems[0].Fault != audit.FaultChanged || report.Problems[0].Place != 2 {
			t.Errorf("%s changed: %+v, want it found at place 2", field, report.Problems)
		}
		delete(w.records, at(&forged))
		w.forge(second)
	}
	if report := w.verify(t, "acme"); report.Problems != nil {
		t.Errorf("after putting it back: %+v", report.Problems)
	}
}

// A text moved from one field to the next must not leave the same bytes.
func TestTheBorderBetweenTwoFieldsIsSealed(t *testing.T) {
	w := newWorld(t)
	w.write(t, "acme", 1)
	w.seal(t)
	forged := *w.entries(t, "acme")[0]
	forged.Actor, forged.Account = forged.Actor[1:], forged.Account+store.AccountID(forged.Actor[:1])
	w.forge(&forged)
	if report := w.verify(t, "acme"); len(report.Problems) != 1 {
		t.Errorf("problems %+v, want one", report.Problems)
	}
}

func TestAnIdleHeadIsSignedHourlyAndNothingElseIsWritten(t *testing.T) {
	w := newWorld(t)
	w.write(t, "acme", 1)
	w.seal(t)
	before := len(w.commits)
	for range 3 * 60 {
		w.now = w.now.Add(time.Minute)
		w.seal(t)
	}
	if got := len(w.commits) - before; got != 6 { // the head, and the lease for it
		t.Errorf("%d commits in three idle hours, want 6", got)
	}
	if report := w.verify(t, "acme"); report.Problems != nil {
		t.Errorf("problems %+v", report.Problems)
	}
}

func TestAnotherKeyEncryptionKeySealsOnAndTheOldOneStillVerifies(t *testing.T) {
	w := newWorld(t)
	w.write(t, "acme", 2)
	w.seal(t)
	w.sealer = w.node(t, "one", "a new one", "a key-encryption key")
	w.write(t, "acme", 2)
	w.seal(t)
	if diff := cmp.Diff(audit.Report{Entries: 4}, w.verify(t, "acme")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	w.sealer = w.node(t, "one", "a stranger's")
	if report := w.verify(t, "acme"); len(report.Problems) != 5 {
		t.Errorf("with another key: %+v, want four entries and the head", report.Problems)
	}
}

func TestTheLeaseLetsOneNodeSealUntilItIsOver(t *testing.T) {
	w := newWorld(t)
	two := w.node(t, "two", "a key-encryption key")
	w.write(t, "acme", 1)
	w.seal(t)
	w.write(t, "acme", 1)
	if err := two.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := len(w.entries(t, "acme")); got != 1 {
		t.Errorf("%d sealed while another node holds the lease, want 1", got)
	}
	w.now = w.now.Add(time.Minute)
	if err := two.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := len(w.entries(t, "acme")); got != 2 {
		t.Errorf("%d sealed after the lease was over, want 2", got)
	}
}

// blind has read the store as it was, and so believes that it may go on.
type blind struct {
	*memory
	lease *store.Lease
	chain *store.Chain
}

func (b *blind) All(_ context.Context, yield func(store.Record) error, kinds ...store.Kind) error {
	if kinds[0] == store.KindLease {
		return yield(b.lease)
	}
	return yield(b.chain)
}

func TestTwoSealersThatBothBelieveTheyHoldTheLeaseMakeNoFork(t *testing.T) {
	w := newWorld(t)
	w.write(t, "acme", 1)
	w.seal(t)
	old := &blind{
		memory: w.memory,
		lease:  w.records["leases audit-sealer"].(*store.Lease),
		chain:  w.records["chains acme"].(*store.Chain),
	}
	w.write(t, "acme", 1)
	w.seal(t)
	w.write(t, "acme", 1)
	key, err := audit.Key([]byte("a key-encryption key"))
	if err != nil {
		t.Fatal(err)
	}
	late := audit.New(audit.Options{Store: old, Keys: [][]byte{key}, Node: "one", Now: func() time.Time { return w.now }})
	if err := late.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(audit.Report{Entries: 2}, w.verify(t, "acme")); diff != "" {
		t.Errorf("after the late one (-want +got):\n%s", diff)
	}
	w.seal(t)
	if diff := cmp.Diff(audit.Report{Entries: 3}, w.verify(t, "acme")); diff != "" {
		t.Errorf("after the next one (-want +got):\n%s", diff)
	}
}

func TestManySealersAtOnceMakeOneChain(t *testing.T) {
	w := newWorld(t)
	w.write(t, "acme", 500)
	var all sync.WaitGroup
	for range 4 {
		s := w.node(t, "one", "a key-encryption key") // the same name: all hold the lease
		all.Go(func() {
			for range 10 {
				if err := s.Seal(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if diff := cmp.Diff(audit.Report{Entries: 500}, w.verify(t, "acme")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRunSealsWithinFiveSecondsAndOutlivesAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		key, err := audit.Key([]byte("k"))
		if err != nil {
			t.Fatal(err)
		}
		s := audit.New(audit.Options{Store: m, Keys: [][]byte{key}, Node: "one"})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		e := audit.Entry(time.Now(), "acme", "team.create", nil, nil)
		if err := m.Commit(ctx, store.Insert(e)); err != nil {
			t.Fatal(err)
		}
		m.fail(&store.Unavailable{Err: errors.New("down")})
		time.Sleep(20 * time.Second) // the test's own clock
		synctest.Wait()
		if got := len(m.entries(t, "acme")); got != 0 {
			t.Errorf("%d sealed in the outage, want 0", got)
		}
		m.fail(nil)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if got := len(m.entries(t, "acme")); got != 1 {
			t.Errorf("%d sealed 5 s later, want 1", got)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
