// Package assertion knows clients by JWTs that they sign with keys of their own
// (private_key_jwt: RFC 7523 section 2.2, OpenID Connect Core section 9): it reads
// public keys, and JWTs, and says whether one is good. Keys are registered, or
// read from a jwks_uri, by the one client for calls to others.
//
// What is of one use only, jti, is for the caller to remember.
package assertion

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"postern/server/keys"
	"postern/server/strictjson"
)

// Algorithms are those that assertions may be signed with (RFC 7518 section 3.1,
// RFC 8037). Those with shared secrets are none, client_secret_jwt is refused.
func Algorithms() []string { return []string{"ES256", "EdDSA", "PS256", "RS256"} }

// Key is a public key of a client.
type Key struct {
	ID     string // its kid; may be empty
	only   string // its alg, where it says one
	public crypto.PublicKey
}

var errPrivate = errors.New("it is a private key or a shared secret: keep it, and register its public half")

// ParseKey reads a public key: a JWK (RFC 7517) of EC on P-256, of Ed25519, or of
// RSA with 2048 bits or more. Its errors name the fault and nothing of the key.
func ParseKey(text []byte) (*Key, error) {
	members, err := strictjson.Object(text)
	if err != nil {
		return nil, errors.New("it is no JWK: " + err.Error())
	}
	for _, secret := range []string{"d", "p", "q", "k"} {
		if _, ok := members[secret]; ok {
			return nil, errPrivate
		}
	}
	get := func(name string) string { s, _ := strictjson.Text(members[name]); return s }
	k := &Key{ID: get("kid"), only: get("alg")}
	if use := get("use"); use != "" && use != "sig" {
		return nil, fmt.Errorf("its use is %q, not sig", printable(use))
	}
	if len(k.ID) > 256 {
		return nil, errors.New("its kid has more than 256 bytes")
	}
	var fits []string
	switch kind := get("kty"); {
	case kind == "EC" && get("crv") == "P-256":
		x, y := decoded(get("x")), decoded(get("y"))
		public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
		if err != nil || len(x) != 32 || len(y) != 32 {
			return nil, errors.New("its point is not on P-256")
		}
		k.public, fits = public, []string{"ES256"}
	case kind == "OKP" && get("crv") == "Ed25519":
		x := decoded(get("x"))
		if len(x) != ed25519.PublicKeySize || isLowOrder(x) {
			return nil, errors.New("it is no good Ed25519 key")
		}
		k.public, fits = ed25519.PublicKey(x), []string{"EdDSA", "Ed25519"}
	case kind == "RSA":
		n, e := new(big.Int).SetBytes(decoded(get("n"))), new(big.Int).SetBytes(decoded(get("e")))
		if n.BitLen() < 2048 || n.BitLen() > 8192 || !e.IsInt64() || e.Int64() < 3 || e.Int64() >= 1<<31 || e.Bit(0) == 0 {
			return nil, errors.New("an RSA key needs 2048 to 8192 bits and an odd exponent")
		}
		k.public, fits = &rsa.PublicKey{N: n, E: int(e.Int64())}, []string{"RS256", "PS256"}
	default:
		return nil, errors.New("its kty and crv are none of EC on P-256, OKP with Ed25519, and RSA")
	}
	if k.only != "" && !slices.Contains(fits, k.only) {
		return nil, fmt.Errorf("its alg %q is not one of its kty", printable(k.only))
	}
	return k, nil
}

// ParseKeys reads a JWK Set. Keys that are no good here, of other algorithms among
// them, are left out.
func ParseKeys(text []byte) ([]*Key, error) {
	each, err := keySet(text)
	if err != nil {
		return nil, err
	}
	var out []*Key
	for _, raw := range each {
		if k, err := ParseKey(raw); err == nil {
			out = append(out, k)
		}
	}
	return out, nil
}

// keySet reads a JWK Set without its keys.
func keySet(text []byte) ([]json.RawMessage, error) {
	members, err := strictjson.Object(text)
	if err != nil {
		return nil, errors.New("it is no JWK Set: " + err.Error())
	}
	var each []json.RawMessage
	if err := json.Unmarshal(members["keys"], &each); err != nil {
		return nil, errors.New("it is no JWK Set: it has no keys")
	}
	return each, nil
}

// Verify reports whether the key made the assertion's signature.
func (k *Key) Verify(a *Assertion) bool {
	if k.ID != "" && a.keyID != "" && k.ID != a.keyID {
		return false
	}
	if only := k.only; only != "" && only != "Ed25519" && only != a.algorithm {
		return false
	}
	switch public := k.public.(type) {
	case *ecdsa.PublicKey:
		if a.algorithm != "ES256" {
			return false
		}
	case ed25519.PublicKey:
		if a.algorithm != "EdDSA" {
			return false
		}
	case *rsa.PublicKey:
		if a.algorithm == "PS256" {
			sum := sha256.Sum256(a.signed)
			return rsa.VerifyPSS(public, crypto.SHA256, sum[:], a.signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		}
		if a.algorithm != "RS256" {
			return false
		}
	}
	return (&keys.Verifier{Public: k.public}).Verify(a.signed, a.signature)
}

// isLowOrder reports whether an Ed25519 key is one of the few points for which
// signatures can be made by anybody (RFC 8032 section 5.1.7 leaves them to us).
func isLowOrder(x []byte) bool {
	masked := slices.Clone(x)
	masked[31] &= 0x7f // the sign
	return slices.Contains(lowOrder, hex.EncodeToString(masked))
}

// lowOrder are the y of the points of order 1, 2, 4 and 8, with those encodings
// that are not reduced.
var lowOrder = []string{ //nolint:gochecknoglobals // a constant
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
}

func decoded(text string) []byte {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil
	}
	return raw
}

// printable cuts what somebody sent to what may be shown.
func printable(text string) string {
	if len(text) > 40 {
		text = text[:40] + "…"
	}
	return text
}
