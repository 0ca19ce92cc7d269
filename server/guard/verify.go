package guard

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	maxToken = 8192      // bytes
	maxKeys  = 256 << 10 // bytes of a JWKS
	keysLife = 10 * time.Minute
	keysMost = time.Hour        // for which they go on while no new ones can be had
	keysRest = 10 * time.Second // between two looks for a key that is not there
)

// claims are those of an access token that count here (RFC 9068 section 2.2).
type claims struct {
	Issuer    string          `json:"iss"`
	Subject   string          `json:"sub"`
	Client    string          `json:"client_id"`
	Audience  json.RawMessage `json:"aud"`
	Expires   *int64          `json:"exp"`
	IssuedAt  *int64          `json:"iat"`
	ID        string          `json:"jti"`
	Status    statusClaim     `json:"status"`
	Workspace string          `json:"workspace"`
	Scope     string          `json:"scope"`
	Roles     []string        `json:"roles"`

	Confirmation map[string]json.RawMessage `json:"cnf"`
}

// verify says whose access token a text is (RFC 9068 section 4).
func (g *Guard) verify(r *http.Request, text string) (*Identity, error) {
	ctx := r.Context()
	parts := strings.Split(text, ".")
	if len(text) > maxToken || len(parts) != 3 {
		return nil, invalid("it is no JWT")
	}
	var header struct {
		Algorithm string          `json:"alg"`
		Type      string          `json:"typ"`
		KeyID     string          `json:"kid"`
		Critical  json.RawMessage `json:"crit"`
	}
	if err := decode(parts[0], &header); err != nil {
		return nil, invalid("its header cannot be read")
	}
	if header.Critical != nil || header.Type != "at+jwt" && header.Type != "JWT" {
		return nil, invalid("it is no access token")
	}
	k, err := g.key(ctx, header.KeyID, false)
	if err != nil {
		return nil, err
	}
	signature, err := strict.DecodeString(parts[2])
	if k == nil || k.statement || err != nil || k.algorithm != header.Algorithm || !k.verify([]byte(parts[0]+"."+parts[1]), signature) {
		return nil, invalid("its signature is not one of the issuer's")
	}
	var c claims
	if err := decode(parts[1], &c); err != nil {
		return nil, invalid("its claims cannot be read")
	}
	now := g.o.Now()
	switch {
	case c.Issuer != g.o.Issuer:
		return nil, invalid("its issuer is another")
	case !isFor(c.Audience, g.o.Audience):
		return nil, invalid("its audience is another")
	case c.Expires == nil || !now.Before(time.Unix(*c.Expires, 0)):
		return nil, invalid("it is expired")
	case c.IssuedAt == nil || time.Unix(*c.IssuedAt, 0).After(now.Add(g.o.Leeway)):
		return nil, invalid("it is issued in the future")
	case c.Subject == "" || c.Client == "":
		return nil, invalid("it does not say whose it is")
	case c.Confirmation != nil && !confirms(r, c.Confirmation):
		return nil, invalid("it is bound to a key that its sender did not show, or that cannot be shown here")
	}
	if g.feed != nil {
		if err := g.feed.check(now, header.KeyID, &c); err != nil {
			return nil, err
		}
	}
	return &Identity{Subject: c.Subject, Client: c.Client, Workspace: c.Workspace, Roles: c.Roles, Scopes: strings.Fields(c.Scope)}, nil
}

// confirms reports whether the sender of a request holds the key that a token is
// bound to: it presented the certificate on this connection (RFC 8705 section 3). A
// DPoP proof needs a memory that all servers share, so Postern decides about those.
func confirms(r *http.Request, confirmation map[string]json.RawMessage) bool {
	var want string
	if len(confirmation) != 1 || json.Unmarshal(confirmation["x5t#S256"], &want) != nil || r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return false
	}
	sum := sha256.Sum256(r.TLS.PeerCertificates[0].Raw)
	return want == strict.EncodeToString(sum[:])
}

var strict = base64.RawURLEncoding.Strict() //nolint:gochecknoglobals // a constant

// decode reads one JSON object in base64url.
func decode(text string, into any) error {
	raw, err := strict.DecodeString(text)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is more behind it")
	}
	return nil
}

// isFor reports whether an aud, a text or an array of texts, has an audience.
func isFor(aud json.RawMessage, want string) bool {
	var one string
	if json.Unmarshal(aud, &one) == nil {
		return one == want
	}
	var all []string
	return json.Unmarshal(aud, &all) == nil && slices.Contains(all, want)
}

// key is a public key of the issuer.
type key struct {
	algorithm string
	public    crypto.PublicKey
	statement bool // it signs the feed of revocations, and no access tokens
}

func (k *key) verify(signed, signature []byte) bool {
	switch public := k.public.(type) {
	case *ecdsa.PublicKey:
		if len(signature) != 64 {
			return false
		}
		sum := sha256.Sum256(signed)
		return ecdsa.Verify(public, sum[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
	case ed25519.PublicKey:
		return ed25519.Verify(public, signed, signature)
	case *rsa.PublicKey:
		sum := sha256.Sum256(signed)
		return rsa.VerifyPKCS1v15(public, crypto.SHA256, sum[:], signature) == nil
	}
	return false
}

// keySet is the issuer's keys by their ids.
type keySet struct {
	mu      sync.Mutex
	all     map[string]*key
	fetched time.Time    // when they were read
	tried   [2]time.Time // when somebody tried last: for a token, and for the feed
	loading chan struct{}
}

// key returns the issuer's key of an id, nil if it has none. Keys are read again
// when they are old, and when one is asked for that is not there, since keys are
// rotated, but then not again and again. Old ones go on for an hour while no new
// ones can be had.
func (g *Guard) key(ctx context.Context, id string, feed bool) (*key, error) {
	use := 0
	if feed {
		use = 1
	}
	for {
		s := &g.keys
		s.mu.Lock()
		now := g.o.Now()
		age := now.Sub(s.fetched)
		usable := s.all != nil && age < keysMost
		var k *key
		if usable {
			k = s.all[id]
		}
		loading := s.loading
		if loading == nil && (k == nil || age >= keysLife) && now.Sub(s.tried[use]) >= keysRest {
			loading = make(chan struct{})
			s.loading = loading
			go g.load(loading, use) //nolint:gosec,contextcheck // in nobody's request: who waits may leave
		}
		s.mu.Unlock()
		switch {
		case k != nil: // while others are read
			return k, nil
		case loading == nil && usable:
			return nil, nil //nolint:nilnil // the issuer has no such key
		case loading == nil:
			return nil, unavailable("the issuer's keys cannot be read")
		}
		select {
		case <-loading:
		case <-ctx.Done():
			return nil, unavailable("the issuer's keys were not read in time")
		}
	}
}

// load reads the keys, in nobody's request: who waits for them may leave.
func (g *Guard) load(done chan struct{}, use int) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	all, err := g.fetchKeys(ctx)
	s := &g.keys
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tried[use] = g.o.Now()
	if err == nil {
		s.all, s.fetched = all, s.tried[use]
	}
	s.loading = nil
	close(done)
}

func (g *Guard) fetchKeys(ctx context.Context) (map[string]*key, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, g.o.JWKS, http.NoBody)
	if err != nil {
		return nil, err
	}
	answer, err := g.o.HTTP.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the issuer's keys: status %d", answer.StatusCode)
	}
	var set struct {
		Keys []jwk `json:"keys"`
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxKeys)).Decode(&set); err != nil {
		return nil, err
	}
	all := map[string]*key{}
	for _, k := range set.Keys {
		if public := k.public(); public != nil && k.KeyID != "" && (k.Use == "" || k.Use == "sig") {
			all[k.KeyID] = &key{k.Algorithm, public, k.Signs == "statement"}
		}
	}
	return all, nil
}

// jwk is a public key of ES256, EdDSA or RS256 (RFC 7517, 7518 section 6, 8037).
type jwk struct {
	Type      string `json:"kty"`
	Use       string `json:"use"`
	Algorithm string `json:"alg"`
	KeyID     string `json:"kid"`
	Curve     string `json:"crv"`
	X         string `json:"x"`
	Y         string `json:"y"`
	N         string `json:"n"`
	E         string `json:"e"`
	Signs     string `json:"postern_signs"`
}

func (k *jwk) public() crypto.PublicKey {
	bytes := func(text string) []byte {
		raw, _ := base64.RawURLEncoding.DecodeString(text)
		return raw
	}
	switch {
	case k.Type == "EC" && k.Curve == "P-256" && k.Algorithm == "ES256":
		x, y := bytes(k.X), bytes(k.Y)
		if len(x) != 32 || len(y) != 32 {
			return nil
		}
		public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
		if err != nil {
			return nil
		}
		return public
	case k.Type == "OKP" && k.Curve == "Ed25519" && (k.Algorithm == "EdDSA" || k.Algorithm == "Ed25519"):
		if x := bytes(k.X); len(x) == ed25519.PublicKeySize {
			return ed25519.PublicKey(x)
		}
	case k.Type == "RSA" && k.Algorithm == "RS256":
		n, e := new(big.Int).SetBytes(bytes(k.N)), new(big.Int).SetBytes(bytes(k.E))
		if n.BitLen() >= 2048 && e.IsInt64() && e.Int64() > 1 && e.Int64() < 1<<31 {
			return &rsa.PublicKey{N: n, E: int(e.Int64())}
		}
	}
	return nil
}
