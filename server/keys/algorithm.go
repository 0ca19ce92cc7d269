package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"

	"postern/store"
)

// The algorithms of keys: those of signatures by their names in RFC 7518 and
// RFC 8037, and the one of sealing.
const (
	ES256 = "ES256"
	EdDSA = "EdDSA" // Ed25519
	RS256 = "RS256" // 2048 bits
	XC20P = "XC20P" // XChaCha20-Poly1305
)

// Statement is the kind of keys that sign status lists and the feed of
// revocations, and no access token. They are of ES256.
const Statement = "statement"

const rsaBits = 2048

// Signatures returns the algorithms that Signer knows, the default first.
func Signatures() []string { return []string{ES256, EdDSA, RS256} }

// kindOf returns the kind of a key, by which keys follow one another: its
// algorithm, or Statement.
func kindOf(k *store.Key) string {
	if k.Use == store.UseStatement {
		return Statement
	}
	return k.Algorithm
}

// algorithmOf returns the algorithm of keys of a kind.
func algorithmOf(kind string) string {
	if kind == Statement {
		return ES256
	}
	return kind
}

// use returns what keys of a kind are for, or nothing if none are made.
func use(kind string) store.KeyUse {
	switch kind {
	case ES256, EdDSA, RS256:
		return store.UseAccess
	case XC20P:
		return store.UseSeal
	case Statement:
		return store.UseStatement
	default:
		return ""
	}
}

// generate makes a key. It returns the private part as it is sealed, and the
// public one as it is stored: PKCS #8 and PKIX DER, or 32 bytes and nothing.
func generate(algorithm string) (private, public []byte, err error) {
	var key crypto.Signer
	switch algorithm {
	case ES256:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case EdDSA:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	case RS256:
		key, err = rsa.GenerateKey(rand.Reader, rsaBits)
	default:
		private = make([]byte, chacha20poly1305.KeySize)
		_, _ = rand.Read(private) // crypto/rand.Read never fails
		return private, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("generate a key: %w", err)
	}
	if private, err = x509.MarshalPKCS8PrivateKey(key); err != nil {
		return nil, nil, fmt.Errorf("encode a private key: %w", err)
	}
	if public, err = x509.MarshalPKIXPublicKey(key.Public()); err != nil {
		return nil, nil, fmt.Errorf("encode a public key: %w", err)
	}
	return private, public, nil
}

// parsePrivate reads the private part of a signing key, which must be one of its
// algorithm.
func parsePrivate(algorithm string, der []byte) (crypto.Signer, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("read a private key: %w", err)
	}
	switch key := parsed.(type) {
	case *ecdsa.PrivateKey:
		if algorithm == ES256 && key.Curve == elliptic.P256() {
			return key, nil
		}
	case ed25519.PrivateKey:
		if algorithm == EdDSA {
			return key, nil
		}
	case *rsa.PrivateKey:
		if algorithm == RS256 && key.N.BitLen() >= rsaBits {
			return key, nil
		}
	}
	return nil, errors.New("read a private key: it is of another algorithm")
}
