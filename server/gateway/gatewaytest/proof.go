package gatewaytest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"testing"
	"time"
)

// Prover makes DPoP proofs with a key of its own (RFC 9449 section 4.2).
type Prover struct{ key *ecdsa.PrivateKey }

// NewProver makes a Prover.
func NewProver(t testing.TB) *Prover {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &Prover{key}
}

var encode = base64.RawURLEncoding.EncodeToString //nolint:gochecknoglobals // short for what it is

// JWK is the public key.
func (p *Prover) JWK() map[string]string {
	raw, _ := p.key.PublicKey.Bytes()
	return map[string]string{"crv": "P-256", "kty": "EC", "x": encode(raw[1:33]), "y": encode(raw[33:])}
}

// Thumbprint is the jkt of the key (RFC 7638).
func (p *Prover) Thumbprint() string {
	text, _ := json.Marshal(p.JWK()) // sorted by name, and of the required members alone
	sum := sha256.Sum256(text)
	return encode(sum[:])
}

// Hash is the ath of an access token.
func Hash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return encode(sum[:])
}

// Proof makes a proof for a request. change replaces claims, and parts of the
// header under names that begin with a dot; nil takes one away.
func (p *Prover) Proof(method, target string, now time.Time, change map[string]any) string {
	header := map[string]any{"typ": "dpop+jwt", "alg": "ES256", "jwk": p.JWK()}
	claims := map[string]any{"htm": method, "htu": target, "iat": now.Unix(), "jti": rand.Text()}
	for name, value := range change {
		of := claims
		if name[0] == '.' {
			of, name = header, name[1:]
		}
		if of[name] = value; value == nil {
			delete(of, name)
		}
	}
	head, _ := json.Marshal(header)
	body, _ := json.Marshal(claims)
	signed := encode(head) + "." + encode(body)
	sum := sha256.Sum256([]byte(signed))
	r, s, _ := ecdsa.Sign(rand.Reader, p.key, sum[:])
	return signed + "." + encode(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
}
