package token_test

import (
	"errors"
	"testing"

	"postern/server/token"
)

// FuzzVerify says that nothing is good but what was minted, byte for byte.
func FuzzVerify(f *testing.F) {
	w := newWorld(f)
	good := map[string]bool{w.bearer.Reveal(): true}
	for name, shape := range shapes() {
		if name != "RS256" { // the same road as ES256
			good[w.mint(f, w.claims(), shape)] = true
		}
	}
	for text := range good {
		f.Add(text)
		f.Add(text[:len(text)-1])
	}
	f.Add("e30.e30.AA")
	f.Add("psa_seal-XC20P-1_000000")
	f.Fuzz(func(t *testing.T, text string) {
		caller, err := w.verifier.Verify(t.Context(), text)
		switch {
		case good[text] && (err != nil || caller.Client != w.client):
			t.Errorf("a good credential: %+v, %v", caller, err)
		case !good[text] && (!errors.Is(err, token.ErrInvalid) || caller != nil):
			t.Errorf("%q: got %+v, %v, want ErrInvalid", text, caller, err)
		}
		if i, err := token.Inspect(text); (err == nil) == (i.Kind == "") || good[text] && err != nil {
			t.Errorf("%q: Inspect = %+v, %v", text, i, err)
		}
	})
}
