package keys_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/server/keys"
	"postern/store"
)

const day = 24 * time.Hour

func TestRotationOverTwoMonths(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		o := keys.Options{
			LongestTTL: func() time.Duration { return time.Hour },
			Audit: func(operation string, key keys.Info) []store.Write {
				return []store.Write{store.Insert(&store.AuditEntry{ID: store.NewAuditID(), Operation: operation, Target: key.KID})}
			},
		}
		nodes := []*keys.Ring{f.join(t, o), f.join(t, o)}
		ctx, cancel := context.WithCancel(t.Context())
		for _, r := range nodes {
			go func() { _ = r.Run(ctx) }()
		}
		type signed struct {
			kid string
			at  time.Time
		}
		var tokens []signed       // of the last hour
		var jwks []map[string]any // of the last ten minutes, one a minute
		var known map[string]any  // the last of them
		var last string           // and its text
		var kids, seals []string  // in the order of their use
		const step = time.Minute
		for at := time.Duration(0); at < 65*day; at += step {
			now := store.At(time.Now())
			s := signer(t, nodes[0], keys.EdDSA)
			sealer, err := nodes[1].Sealer(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Contains(kids, s.KID) {
				kids = append(kids, s.KID)
			}
			if !slices.Contains(seals, sealer.KID) {
				seals = append(seals, sealer.KID)
			}
			if other := signer(t, nodes[1], keys.EdDSA); other.KID != s.KID {
				t.Fatalf("after %v: the nodes sign with %s and %s", at, s.KID, other.KID)
			}
			// Whoever cached the JWKS up to ten minutes ago knows the key.
			for i, known := range jwks {
				if known[s.KID] == nil {
					t.Fatalf("after %v: %s signs, but was not published %d minutes ago", at, s.KID, len(jwks)-i)
				}
			}
			// What was signed within the hour is good.
			tokens = append(tokens, signed{s.KID, time.Now()})
			for time.Since(tokens[0].at) >= time.Hour {
				tokens = tokens[1:]
			}
			for _, token := range tokens {
				if _, ok := nodes[1].Lookup(token.kid, now); !ok {
					t.Fatalf("after %v: a token of %v ago is dead", at, time.Since(token.at))
				}
			}
			if text := string(nodes[0].JWKS()); text != last {
				last, known = text, published(t, nodes[0])
			}
			jwks = append(jwks[max(0, len(jwks)-9):], known)
			time.Sleep(step)
			synctest.Wait()
		}
		cancel()
		synctest.Wait()
		if len(kids) != 3 || len(seals) != 3 {
			t.Errorf("in 65 days %v signed and %v sealed, want three each", kids, seals)
		}
		// The first ones have long been deleted; all that happened was audited.
		want := []string{"seal-XC20P-2 retired", "seal-XC20P-3 active", "access-EdDSA-2 retired", "access-EdDSA-3 active"}
		slices.Sort(want)
		got := states(nodes[0])
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		var entries []string
		for _, r := range f.records {
			if e, ok := r.(*store.AuditEntry); ok {
				entries = append(entries, e.Operation+" "+e.Target)
			}
		}
		if len(entries) != 8 { // two made, four rotated, two deleted
			t.Errorf("%d audit entries, want 8: %v", len(entries), entries)
		}
	})
}

func TestRotatePublishesBeforeUse(t *testing.T) {
	f, c := newFake(), newClock()
	r := f.join(t, keys.Options{Now: c.now, LongestTTL: func() time.Duration { return 2 * time.Hour }})
	old := signer(t, r, keys.ES256)
	next, err := r.Rotate(t.Context(), keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Rotate(t.Context(), keys.ES256); !errors.Is(err, keys.ErrRotating) {
		t.Errorf("a second rotation: got %v, want ErrRotating", err)
	}
	start := c.at
	for _, step := range []struct {
		after  time.Duration
		signs  string
		states []string
		jwks   int
	}{
		{0, old.KID, []string{"access-ES256-1 active", "access-ES256-2 next"}, 2},
		{11*time.Minute - time.Millisecond, old.KID, []string{"access-ES256-1 active", "access-ES256-2 next"}, 2},
		{11 * time.Minute, next.KID, []string{"access-ES256-1 retiring", "access-ES256-2 active"}, 2},
		{2*time.Hour + 12*time.Minute - time.Millisecond, next.KID, []string{"access-ES256-1 retiring", "access-ES256-2 active"}, 2},
		{2*time.Hour + 12*time.Minute, next.KID, []string{"access-ES256-1 retired", "access-ES256-2 active"}, 1},
	} {
		c.at = start.Add(step.after)
		if got := signer(t, r, keys.ES256).KID; got != step.signs {
			t.Errorf("after %v: %s signs, want %s", step.after, got, step.signs)
		}
		if diff := cmp.Diff(step.states, states(r)); diff != "" {
			t.Errorf("after %v: %s", step.after, diff)
		}
		if got := len(published(t, r)); got != step.jwks {
			t.Errorf("after %v: the JWKS has %d keys, want %d", step.after, got, step.jwks)
		}
		_, found := r.Lookup(old.KID, store.At(c.at))
		header, _ := old.Header("")
		_, _, byHeader := r.LookupHeader(header, store.At(c.at))
		if want := step.jwks == 2; found != want || byHeader != want || r.Usable(old.KID, store.At(c.at)) != want {
			t.Errorf("after %v: the old key is good: %t, by header %t, want %t", step.after, found, byHeader, want)
		}
	}
	if _, err := r.Rotate(t.Context(), "HS256"); err == nil {
		t.Error("an unknown algorithm was rotated")
	}
	if info, err := r.Rotate(t.Context(), keys.RS256); err != nil || info.State != keys.StateActive {
		t.Errorf("the first key of an algorithm: %+v, %v, want it active", info, err)
	}
}

func TestNodesThatRotateAtOnceMakeOneKey(t *testing.T) {
	f, c := newFake(), newClock()
	a, b := f.deaf(t, keys.Options{Now: c.now}), f.deaf(t, keys.Options{Now: c.now})
	signer(t, a, keys.EdDSA)
	signer(t, b, keys.EdDSA)
	if _, err := a.Rotate(t.Context(), keys.EdDSA); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Rotate(t.Context(), keys.EdDSA); !errors.Is(err, keys.ErrRotating) {
		t.Errorf("the other node: got %v, want ErrRotating", err)
	}
	if diff := cmp.Diff(states(a), states(b)); diff != "" {
		t.Error(diff)
	}
}

func TestRevoke(t *testing.T) {
	for _, tt := range []struct {
		name   string
		revoke int  // the period
		next   bool // a next key is published
		want   []string
		signs  string
	}{
		{"the only one: a new one signs at once", 1, false, []string{"access-EdDSA-1 revoked", "access-EdDSA-2 active"}, "access-EdDSA-2"},
		{"the active one: the next signs at once", 1, true, []string{"access-EdDSA-1 revoked", "access-EdDSA-2 active"}, "access-EdDSA-2"},
		{"the next one: the active one stays", 2, true, []string{"access-EdDSA-1 active", "access-EdDSA-2 revoked"}, "access-EdDSA-1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, c := newFake(), newClock()
			r := f.join(t, keys.Options{Now: c.now})
			signer(t, r, keys.EdDSA)
			if tt.next {
				if _, err := r.Rotate(t.Context(), keys.EdDSA); err != nil {
					t.Fatal(err)
				}
			}
			kid := r.List()[tt.revoke-1].KID
			entry := &store.AuditEntry{ID: "aud1"}
			info, err := r.Revoke(t.Context(), kid, store.Insert(entry))
			if err != nil || info.State != keys.StateRevoked || info.KID != kid {
				t.Fatalf("Revoke = %+v, %v", info, err)
			}
			if f.records["audit/aud1"] == nil {
				t.Error("the audit entry was not committed")
			}
			if _, ok := published(t, r)[kid]; ok || r.Usable(kid, store.At(c.at)) {
				t.Error("the revoked key is good")
			}
			for _, k := range f.keys() {
				if (k.RevokedAt != 0) != (k.Sealed == nil) {
					t.Errorf("key %s: revoked at %v, and %d bytes are sealed", k.ID, k.RevokedAt, len(k.Sealed))
				}
			}
			commits := f.commits
			if _, err := r.Revoke(t.Context(), kid, store.Insert(entry)); err != nil || f.commits != commits {
				t.Errorf("a second time: %v and %d commits, want none", err, f.commits-commits)
			}
			c.at = c.at.Add(365 * day) // nothing runs: what is active does not retire by itself
			if got := signer(t, r, keys.EdDSA).KID; got[:len(tt.signs)] != tt.signs {
				t.Errorf("%s signs, want %s", got, tt.signs)
			}
			if diff := cmp.Diff(tt.want, states(r)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRevokeOfNoKey(t *testing.T) {
	r := newFake().join(t, keys.Options{})
	if _, err := r.Revoke(t.Context(), "access-EdDSA-1"); !errors.Is(err, keys.ErrUnknownKey) || !errors.Is(err, store.ErrNotFound) {
		t.Errorf("got %v, want ErrUnknownKey", err)
	}
}

func TestAChangeWhoseAuditFailsIsNone(t *testing.T) {
	f := newFake()
	r := f.join(t, keys.Options{})
	kid := signer(t, r, keys.EdDSA).KID
	taken := store.Insert(&store.AuditEntry{ID: "aud1"})
	if err := f.Commit(t.Context(), taken); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Rotate(t.Context(), keys.EdDSA, taken); !errors.Is(err, store.ErrConflict) {
		t.Errorf("Rotate: got %v, want ErrConflict", err)
	}
	if _, err := r.Revoke(t.Context(), kid, taken); !errors.Is(err, store.ErrConflict) {
		t.Errorf("Revoke: got %v, want ErrConflict", err)
	}
	if _, err := r.Reseal(t.Context(), taken); !errors.Is(err, store.ErrExists) {
		t.Errorf("Reseal: got %v, want ErrExists", err)
	}
	if diff := cmp.Diff([]string{"access-EdDSA-1 active"}, states(r)); diff != "" {
		t.Error(diff)
	}
}

func TestReseal(t *testing.T) {
	f, c := newFake(), newClock()
	old := f.join(t, keys.Options{Now: c.now})
	kid := signer(t, old, keys.ES256).KID
	if _, err := old.Sealer(t.Context()); err != nil {
		t.Fatal(err)
	}
	revoked := signer(t, old, keys.EdDSA).KID
	if _, err := old.Revoke(t.Context(), revoked); err != nil {
		t.Fatal(err)
	}
	both := f.deaf(t, keys.Options{Now: c.now, KEK: kek(t, newKEK+","+oldKEK)})
	if n, err := both.Reseal(t.Context()); err != nil || n != 3 {
		t.Fatalf("Reseal = %d, %v, want the three that are in use", n, err)
	}
	if got := signer(t, old, keys.ES256).KID; got != kid {
		t.Errorf("a running node without the new key-encryption key signs with %s, want %s", got, kid)
	}
	fresh := f.deaf(t, keys.Options{Now: c.now, KEK: kek(t, newKEK)})
	if got := signer(t, fresh, keys.ES256).KID; got != kid {
		t.Errorf("after resealing %s signs, want %s", got, kid)
	}
	if err := keys.New(keys.Options{Store: f, KEK: kek(t, oldKEK)}).Load(f.load()); !errors.Is(err, keys.ErrSealed) {
		t.Errorf("the old key-encryption key after resealing: got %v, want ErrSealed", err)
	}
}

func TestApply(t *testing.T) {
	f, c := newFake(), newClock()
	a, b := f.deaf(t, keys.Options{Now: c.now}), f.deaf(t, keys.Options{Now: c.now})
	kid := signer(t, a, keys.EdDSA).KID
	first := f.keys()[0]
	if _, err := a.Revoke(t.Context(), kid); err != nil {
		t.Fatal(err)
	}
	revoked := f.keys()[0]
	apply := func(record *store.Key) {
		t.Helper()
		if err := b.Apply(store.Change{Kind: store.KindKey, Key: record.Key(), Record: record}); err != nil {
			t.Fatal(err)
		}
	}
	apply(revoked)
	apply(first) // late
	if b.Usable(kid, store.At(c.at)) {
		t.Error("an older revision brought a revoked key back")
	}
	if err := b.Apply(store.Change{Kind: store.KindTeam, Key: string(first.ID)}); err != nil || len(b.List()) != 1 {
		t.Errorf("a change of another kind: %v, %v", err, b.List())
	}
	if err := b.Apply(store.Change{Kind: store.KindKey, Key: string(first.ID)}); err != nil || len(b.List()) != 0 {
		t.Errorf("a deletion: %v, %v", err, b.List())
	}
	unknown := &store.Key{ID: "access-ML-DSA-44-1", Revision: 1, Use: store.UseAccess, Algorithm: "ML-DSA-44", Period: 1}
	apply(unknown)
	if b.Usable(string(unknown.ID), store.At(c.at)) {
		t.Error("a key of an unknown algorithm is in use")
	}
}

func TestRunGoesOnAfterAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		var failed atomic.Int32
		r := f.join(t, keys.Options{RotateEvery: time.Hour, Failed: func(_ context.Context, algorithm string) {
			if algorithm == keys.EdDSA {
				failed.Add(1)
			}
		}})
		signer(t, r, keys.EdDSA)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		f.mu.Lock()
		f.fail = &store.Unavailable{Err: errors.New("no primary")}
		f.mu.Unlock()
		time.Sleep(90 * time.Minute)
		synctest.Wait()
		if diff := cmp.Diff([]string{"access-EdDSA-1 active"}, states(r)); diff != "" {
			t.Errorf("in the outage: %s", diff)
		}
		told := failed.Load()
		if told == 0 {
			t.Error("nobody is told that the key was not rotated")
		}
		f.mu.Lock()
		f.fail = nil
		f.mu.Unlock()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if diff := cmp.Diff([]string{"access-EdDSA-1 active", "access-EdDSA-2 next"}, states(r)); diff != "" {
			t.Errorf("after it: %s", diff)
		}
		if failed.Load() != told {
			t.Error("a rotation that came about is told of as one that did not")
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run = %v, want the context's error", err)
		}
	})
}

func TestAPeriodIsNeverCountedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newFake().join(t, keys.Options{})
		signer(t, r, keys.EdDSA)
		next, err := r.Rotate(t.Context(), keys.EdDSA)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Revoke(t.Context(), next.KID); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*day)
		defer cancel()
		_ = r.Run(ctx)
		if again, err := r.Rotate(t.Context(), keys.EdDSA); err != nil || again.Period != 3 {
			t.Errorf("after a revoked second key: period %d, %v, want 3", again.Period, err)
		}
	})
}

func ExampleRing_List() {
	// What an operator sees after a rotation.
	f := newFake()
	kek, _ := keys.ParseKEKs(oldKEK)
	r := keys.New(keys.Options{Store: f, KEK: kek})
	ctx := context.Background()
	_, _ = r.Rotate(ctx, keys.ES256)
	_, _ = r.Rotate(ctx, keys.ES256)
	for _, k := range r.List() {
		fmt.Println(k.ID, k.State)
	}
	// Output:
	// access-ES256-1 active
	// access-ES256-2 next
}
