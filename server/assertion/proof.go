package assertion

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"math/big"
	"net/url"
	"slices"
	"strings"
	"time"

	"postern/server/strictjson"
)

const (
	maxProof    = 8 << 10          // bytes of a DPoP proof
	proofWindow = 60 * time.Second // that its iat may be off
)

// Proof is a DPoP proof (RFC 9449 section 4.2): a JWT signed with the key that it
// names itself. Its signature was verified, and nothing else.
type Proof struct {
	Key       string // JWK thumbprint (RFC 7638), the jkt of tokens that are bound to the key
	Algorithm string
	Method    string   // htm
	Target    *url.URL // htu
	ID        string   // jti
	TokenHash string   // ath; empty where there is none
	Nonce     string   // of the server; empty where there is none

	issued time.Time
}

// ParseProof reads a DPoP proof and verifies its signature (RFC 9449 section 4.3).
// The error is for the log.
func ParseProof(text string) (*Proof, error) {
	parts := strings.Split(text, ".")
	if len(text) > maxProof || len(parts) != 3 {
		return nil, errors.New("the proof is no JWS of three parts and at most 8 kB")
	}
	header, err := part(parts[0])
	if err != nil {
		return nil, errors.New("the proof's header: " + err.Error())
	}
	if typ, _ := strictjson.Text(header["typ"]); typ != "dpop+jwt" {
		return nil, errors.New("the proof's typ is not dpop+jwt")
	}
	for _, name := range []string{"jku", "x5u", "x5c", "crit", "b64", "zip", "enc"} {
		if _, ok := header[name]; ok {
			return nil, errors.New("the proof's header has " + name)
		}
	}
	a := &Assertion{signed: []byte(parts[0] + "." + parts[1])}
	if a.algorithm, _ = strictjson.Text(header["alg"]); !slices.Contains(Algorithms(), a.algorithm) {
		return nil, errors.New("the proof's alg is not one of " + strings.Join(Algorithms(), ", "))
	}
	key, err := ParseKey(header["jwk"])
	if err != nil {
		return nil, errors.New("the proof's jwk: " + err.Error())
	}
	if a.signature, err = base64.RawURLEncoding.Strict().DecodeString(parts[2]); err != nil || !key.Verify(a) {
		return nil, errors.New("the proof's signature is wrong")
	}
	p := &Proof{Key: key.Thumbprint(), Algorithm: a.algorithm}
	return p, p.read(parts[1])
}

func (p *Proof) read(payload string) error {
	claims, err := part(payload)
	if err != nil {
		return errors.New("the proof's claims: " + err.Error())
	}
	var target string
	for name, to := range map[string]*string{"htm": &p.Method, "htu": &target, "jti": &p.ID} {
		var ok bool
		if *to, ok = strictjson.Text(claims[name]); !ok || *to == "" {
			return errors.New("the proof's " + name + " is missing, or no text")
		}
	}
	for name, to := range map[string]*string{"ath": &p.TokenHash, "nonce": &p.Nonce} {
		if value, there := claims[name]; there {
			var ok bool
			if *to, ok = strictjson.Text(value); !ok {
				return errors.New("the proof's " + name + " is no text")
			}
		}
	}
	if len(p.ID) > maxID {
		return errors.New("the proof's jti has more than 128 bytes")
	}
	if !moment(claims["iat"], &p.issued) || p.issued.IsZero() {
		return errors.New("the proof's iat is missing, or no time")
	}
	if p.Target, err = url.Parse(target); err != nil || p.Target.Host == "" || p.Target.User != nil {
		return errors.New("the proof's htu is no URL")
	}
	return nil
}

// Check refuses a proof that is for another method, or was made more than 60 s
// from now. The error is for the log.
func (p *Proof) Check(now time.Time, method string) error {
	switch {
	case p.Method != method:
		return errors.New("the proof's htm is another")
	case p.issued.Before(now.Add(-proofWindow)), p.issued.After(now.Add(proofWindow)):
		return errors.New("the proof's iat is more than 60 s off")
	}
	return nil
}

// Until is when a proof is too old whatever else it says.
func (p *Proof) Until() time.Time { return p.issued.Add(proofWindow + time.Second) }

// IsFor reports whether a proof is for a URL, whose query and fragment do not
// matter (RFC 9449 section 4.3, RFC 3986 section 6.2.3).
func (p *Proof) IsFor(address string) bool {
	u, err := url.Parse(address)
	return err == nil && strings.EqualFold(p.Target.Scheme, u.Scheme) && strings.EqualFold(p.Target.Hostname(), u.Hostname()) &&
		port(p.Target) == port(u) && p.Target.EscapedPath() == u.EscapedPath()
}

func port(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case strings.EqualFold(u.Scheme, "https"):
		return "443"
	default:
		return "80"
	}
}

// IsWith reports whether a proof was made for an access token.
func (p *Proof) IsWith(token string) bool {
	sum := sha256.Sum256([]byte(token))
	return p.TokenHash == base64.RawURLEncoding.EncodeToString(sum[:])
}

// Thumbprint is the key's JWK thumbprint (RFC 7638 section 3), by SHA-256, in
// base64url: the same for every spelling of the key.
func (k *Key) Thumbprint() string {
	var text string
	encode := base64.RawURLEncoding.EncodeToString
	switch public := k.public.(type) {
	case *ecdsa.PublicKey:
		raw, _ := public.Bytes() // never fails of a point that was parsed
		text = `{"crv":"P-256","kty":"EC","x":"` + encode(raw[1:33]) + `","y":"` + encode(raw[33:]) + `"}`
	case ed25519.PublicKey:
		text = `{"crv":"Ed25519","kty":"OKP","x":"` + encode(public) + `"}`
	case *rsa.PublicKey:
		text = `{"e":"` + encode(big.NewInt(int64(public.E)).Bytes()) + `","kty":"RSA","n":"` + encode(public.N.Bytes()) + `"}`
	}
	sum := sha256.Sum256([]byte(text))
	return encode(sum[:])
}
