package keys

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"slices"

	"postern/store"
)

// jwk is a public key (RFC 7517 section 4, RFC 7518 section 6, RFC 8037
// section 2).
type jwk struct {
	Type      string `json:"kty"`
	Use       string `json:"use"`
	Algorithm string `json:"alg"`
	KID       string `json:"kid"`
	Curve     string `json:"crv,omitempty"`
	X         string `json:"x,omitempty"`
	Y         string `json:"y,omitempty"`
	N         string `json:"n,omitempty"`
	E         string `json:"e,omitempty"`
	// Signs tells a verifier of access tokens that this key signs none of them:
	// "statement". RFC 7517 section 4 has others pass over what they do not know.
	Signs string `json:"postern_signs,omitempty"`
}

// document is a JWKS as it is good until one of its keys retires.
type document struct {
	of    *snapshot
	until store.Time // 0 means for ever
	text  []byte
}

// JWKS returns the public keys of all tokens that are good now, and of those
// soon to be signed, as a JWK Set (RFC 7517 section 5). It may be kept for
// JWKSMaxAge. The caller must not change it.
func (r *Ring) JWKS() []byte {
	s, now := r.state.Load(), r.now()
	if d := r.jwks.Load(); d != nil && d.of == s && !d.until.Over(now) {
		return d.text
	}
	d := publish(s, now)
	r.jwks.Store(d)
	return d.text
}

func publish(s *snapshot, now store.Time) *document {
	d := &document{of: s}
	set := struct {
		Keys []jwk `json:"keys"`
	}{Keys: []jwk{}}
	for _, e := range s.byID {
		if e.signer != nil && e.usable(now) {
			k := jwkOf(&e.signer.Verifier)
			if e.record.Use == store.UseStatement {
				k.Signs = Statement
			}
			set.Keys = append(set.Keys, k)
			d.until = d.until.Sooner(e.record.RetireAt)
		}
	}
	slices.SortFunc(set.Keys, func(a, b jwk) int { return cmp.Compare(a.KID, b.KID) })
	d.text, _ = json.Marshal(set) // strings only: it cannot fail
	return d
}

func jwkOf(v *Verifier) jwk {
	k := jwk{Use: "sig", Algorithm: v.Algorithm, KID: v.KID}
	encode := base64.RawURLEncoding.EncodeToString
	switch key := v.Public.(type) {
	case *ecdsa.PublicKey:
		k.Type, k.Curve = "EC", "P-256"
		if point, err := key.Bytes(); err == nil { // 4, and both coordinates in full width
			k.X, k.Y = encode(point[1:33]), encode(point[33:])
		}
	case ed25519.PublicKey:
		k.Type, k.Curve, k.X = "OKP", "Ed25519", encode(key)
	case *rsa.PublicKey:
		k.Type, k.N, k.E = "RSA", encode(key.N.Bytes()), encode(big.NewInt(int64(key.E)).Bytes())
	}
	return k
}
