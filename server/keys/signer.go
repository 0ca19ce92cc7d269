package keys

import (
	"crypto"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"

	"golang.org/x/crypto/chacha20poly1305"
)

// The types that an access token's header may name (RFC 9068 section 2.1).
const (
	TypeAccessToken = "at+jwt"
	TypeJWT         = "JWT" // for resource servers that refuse at+jwt
)

// Signer signs access tokens, or statements, with one key.
type Signer struct {
	Verifier
	private crypto.Signer
}

// Verifier is the public part of a signing key.
type Verifier struct {
	KID       string
	Algorithm string
	Public    crypto.PublicKey // *ecdsa.PublicKey, ed25519.PublicKey or *rsa.PublicKey

	accessToken, jwt string // the headers
}

func newSigner(kid, algorithm string, private crypto.Signer) (*Signer, error) {
	s := &Signer{Verifier{KID: kid, Algorithm: algorithm, Public: private.Public()}, private}
	var err error
	if s.accessToken, err = header(kid, algorithm, TypeAccessToken); err != nil {
		return nil, err
	}
	if s.jwt, err = header(kid, algorithm, TypeJWT); err != nil {
		return nil, err
	}
	return s, nil
}

func header(kid, algorithm, typ string) (string, error) {
	text, err := json.Marshal(struct {
		Algorithm string `json:"alg"`
		KID       string `json:"kid"`
		Type      string `json:"typ"`
	}{algorithm, kid, typ})
	if err != nil {
		return "", fmt.Errorf("write the header of a token: %w", err)
	}
	// Unlike encoding/json's default, + is left as it is.
	return base64.RawURLEncoding.EncodeToString(text), nil
}

// Header returns the encoded JOSE header (RFC 7515 section 7.1) of the tokens of
// a type, which is TypeAccessToken, TypeJWT, or empty for the first. Others have
// none.
func (v *Verifier) Header(typ string) (string, bool) {
	switch typ {
	case "", TypeAccessToken:
		return v.accessToken, true
	case TypeJWT:
		return v.jwt, true
	default:
		return "", false
	}
}

// Sign appends the JWS signature of input to dst (RFC 7518 section 3, RFC 8037
// section 3.1).
func (s *Signer) Sign(dst, input []byte) ([]byte, error) {
	switch key := s.private.(type) {
	case *ecdsa.PrivateKey:
		sum := sha256.Sum256(input)
		r, v, err := ecdsa.Sign(rand.Reader, key, sum[:])
		if err != nil {
			return nil, fmt.Errorf("sign with key %s: %w", s.KID, err)
		}
		var raw [64]byte
		r.FillBytes(raw[:32])
		v.FillBytes(raw[32:])
		return append(dst, raw[:]...), nil
	case ed25519.PrivateKey:
		return append(dst, ed25519.Sign(key, input)...), nil
	case *rsa.PrivateKey:
		sum := sha256.Sum256(input)
		signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
		if err != nil {
			return nil, fmt.Errorf("sign with key %s: %w", s.KID, err)
		}
		return append(dst, signature...), nil
	default:
		return nil, fmt.Errorf("sign with key %s: it is a %T", s.KID, key)
	}
}

// Compact signs a payload as a JWS of a type (RFC 7515 section 7.1). It is for
// statements; access tokens are written by the Minter.
func (s *Signer) Compact(typ string, payload []byte) (string, error) {
	head, err := header(s.KID, s.Algorithm, typ)
	if err != nil {
		return "", err
	}
	b := base64.RawURLEncoding.AppendEncode(append([]byte(head), '.'), payload)
	signature, err := s.Sign(nil, b)
	if err != nil {
		return "", err
	}
	return string(base64.RawURLEncoding.AppendEncode(append(b, '.'), signature)), nil
}

// Verify reports whether signature is the key's for input, by the key's own
// algorithm.
func (v *Verifier) Verify(input, signature []byte) bool {
	switch key := v.Public.(type) {
	case *ecdsa.PublicKey:
		if len(signature) != 64 {
			return false
		}
		sum := sha256.Sum256(input)
		return ecdsa.Verify(key, sum[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
	case ed25519.PublicKey:
		return ed25519.Verify(key, input, signature)
	case *rsa.PublicKey:
		sum := sha256.Sum256(input)
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature) == nil
	default:
		return false
	}
}

// Sealer seals and opens opaque access tokens with one key.
type Sealer struct {
	KID  string
	aead cipher.AEAD
}

// SealOverhead is how many bytes Seal adds: a nonce of 24 and a tag of 16.
const SealOverhead = chacha20poly1305.NonceSizeX + chacha20poly1305.Overhead

// ErrForged is a sealed text that was not made by this key for this purpose.
var ErrForged = errors.New("not sealed by this key")

// Seal appends a random nonce and plain, encrypted and bound to additional, to
// dst.
func (s *Sealer) Seal(dst, plain, additional []byte) []byte {
	var nonce [chacha20poly1305.NonceSizeX]byte
	_, _ = rand.Read(nonce[:]) // crypto/rand.Read never fails
	return s.aead.Seal(append(dst, nonce[:]...), nonce[:], plain, additional)
}

// Open appends what Seal sealed with the same additional data to dst, or returns
// ErrForged.
func (s *Sealer) Open(dst, sealed, additional []byte) ([]byte, error) {
	if len(sealed) < SealOverhead {
		return nil, ErrForged
	}
	const n = chacha20poly1305.NonceSizeX
	plain, err := s.aead.Open(dst, sealed[:n], sealed[n:], additional)
	if err != nil {
		return nil, ErrForged
	}
	return plain, nil
}
