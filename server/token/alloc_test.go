package token_test

import "testing"

func TestATokenSeenBeforeCostsOneAllocation(t *testing.T) {
	for _, name := range []string{"ES256", "opaque"} {
		w := newWorld(t)
		text := w.mint(t, w.claims(), shapes()[name])
		ctx := t.Context()
		verify := func() {
			if _, err := w.verifier.Verify(ctx, text); err != nil {
				t.Error(err)
			}
		}
		if got := testing.AllocsPerRun(1000, verify); got > 1 { // the Caller
			t.Errorf("%s: %v allocations", name, got)
		}
	}
}
