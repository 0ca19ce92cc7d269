package policy_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"postern/policy"
)

type checked struct {
	agrees bool
	detail string
}

// shadowed returns an engine whose checks come through the channel.
func shadowed(t *testing.T, w *world, o policy.Options) (*policy.Engine, chan checked) {
	checks := make(chan checked)
	ctx, cancel := context.WithCancel(t.Context())
	o.OnShadow = func(agrees bool, detail string) {
		select {
		case checks <- checked{agrees, detail}:
		case <-ctx.Done():
		}
	}
	e := loaded(t, o, w.all()...)
	done := make(chan struct{})
	go func() {
		defer close(done)
		e.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return e, checks
}

// The referee of a check knows only the roles around the caller. That is enough.
func TestShadowAgrees(t *testing.T) {
	for seed := range uint64(40) {
		w := newWorld(seed + 70)
		e, checks := shadowed(t, w, policy.Options{Shadow: 1})
		for range 25 {
			r, c := w.request(), w.caller()
			e.Decide(c, r)
			if got := <-checks; !got.agrees {
				t.Fatalf("%s\n%s", got.detail, w)
			}
		}
	}
}

func TestShadowTellsOfADifference(t *testing.T) {
	var log bytes.Buffer
	e, checks := shadowed(t, newWorld(1), policy.Options{Shadow: -1, Log: slog.New(slog.NewTextHandler(&log, nil))})
	c, r := holder("acme", given("acme/gone")), get("acme", "/x")
	e.Decide(c, r) // is not sampled
	e.Offer(c, r, policy.Decision{Allowed: true, Reason: policy.Granted})
	got := <-checks
	if got.agrees || !strings.Contains(got.detail, string(policy.NoRule)) || !strings.Contains(log.String(), "wsp-acme") {
		t.Errorf("got %+v, log %s", got, &log)
	}
}

// Nobody runs Run: decisions must not wait for it.
func TestShadowDropsWhatItCannotTake(t *testing.T) {
	w := newWorld(1)
	e := loaded(t, policy.Options{Shadow: 1}, w.all()...)
	for range 1000 {
		e.Decide(w.caller(), w.request())
	}
}
