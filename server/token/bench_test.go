//go:build unix

package token_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"syscall"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"postern/server/keys"
)

// processorTime reports the processor time of an operation, which other work on
// the machine does not change: call what it returns at the end.
func processorTime(b *testing.B) func() {
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

func BenchmarkMint(b *testing.B) {
	for _, name := range []string{"ES256", "EdDSA", "RS256", "opaque"} {
		b.Run(name, func(b *testing.B) {
			w, shape := newWorld(b), shapes()[name]
			c := w.claims()
			w.mint(b, c, shape) // makes the key
			b.ReportAllocs()
			defer processorTime(b)()
			for b.Loop() {
				if _, err := w.minter.Mint(b.Context(), c, shape); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkMintOfALibrary writes the same token by golang-jwt.
func BenchmarkMintOfALibrary(b *testing.B) {
	w := newWorld(b)
	c := w.claims()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	defer processorTime(b)()
	for b.Loop() {
		t := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
			"iss": issuer, "sub": c.Subject, "client_id": c.ClientID, "aud": c.Audience[0], "exp": c.ExpiresAt, "iat": c.IssuedAt,
			"jti": rand.Text(), "scope": c.Scope, "workspace": c.Workspace, "gen": c.Gen, "sid": c.SecretID, "roles": c.Roles,
		})
		t.Header["kid"], t.Header["typ"] = "k1", keys.TypeAccessToken
		if _, err := t.SignedString(key); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	for _, name := range []string{"ES256", "EdDSA", "RS256", "opaque"} {
		w := newWorld(b)
		text := w.mint(b, w.claims(), shapes()[name])
		b.Run(name+"/seen", func(b *testing.B) {
			b.ReportAllocs()
			defer processorTime(b)()
			for b.Loop() {
				if _, err := w.verifier.Verify(b.Context(), text); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/new", func(b *testing.B) {
			b.ReportAllocs()
			defer processorTime(b)()
			for b.Loop() {
				w.verifier.Forget()
				if _, err := w.verifier.Verify(b.Context(), text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	w := newWorld(b)
	text := w.bearer.Reveal()
	b.Run("secret", func(b *testing.B) {
		b.ReportAllocs()
		defer processorTime(b)()
		for b.Loop() {
			if _, err := w.verifier.Verify(b.Context(), text); err != nil {
				b.Fatal(err)
			}
		}
	})
}
