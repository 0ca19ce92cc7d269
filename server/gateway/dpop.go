package gateway

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"postern/policy"
	"postern/server/assertion"
	"postern/store"
)

// The challenges of DPoP (RFC 9449 section 7.1). Each comes with a nonce.
const (
	dpopScheme        = "DPoP "
	challengeProof    = dpopScheme + `realm="postern", error="invalid_dpop_proof", algs="ES256 EdDSA PS256 RS256"`
	challengeNonce    = dpopScheme + `realm="postern", error="use_dpop_nonce", algs="ES256 EdDSA PS256 RS256"`
	challengeUnproven = dpopScheme + `realm="postern", error="invalid_token", algs="ES256 EdDSA PS256 RS256"`
)

var (
	errNonce  error = &Error{http.StatusUnauthorized, challengeNonce, "the proof has no nonce of ours, or an old one"}
	errReplay error = &Error{http.StatusUnauthorized, challengeProof, "the proof was used before"}
	errFull   error = &Error{http.StatusServiceUnavailable, "", "too many DPoP proofs within a minute to remember them all"}
)

// challengesProof reports whether a challenge is one of DPoP.
func challengesProof(challenge string) bool { return strings.HasPrefix(challenge, dpopScheme) }

// prove reads the proof that came with a call and checks all but its key, which is
// the token's to know (RFC 9449 section 4.3): that it is for this call and this
// token, and made for a nonce that is not old.
func (h *Handler) prove(api *store.API, c call, path, text string) (*assertion.Proof, error) {
	wrong := func(why string) error { return &Error{http.StatusUnauthorized, challengeProof, why} }
	if len(c.proofs) != 1 {
		return nil, wrong("there is not exactly one DPoP header")
	}
	p, err := assertion.ParseProof(c.proofs[0])
	if err == nil {
		err = p.Check(h.Now(), c.method)
	}
	if err != nil {
		return nil, wrong(err.Error())
	}
	if err := isForCall(p, api, c, path); err != nil {
		return nil, wrong(err.Error())
	}
	if !p.IsWith(text) {
		return nil, wrong("the proof's ath is not of this token")
	}
	if !h.nonces.fresh(p.Nonce, h.Now()) {
		return nil, errNonce
	}
	return p, nil
}

// isForCall compares htu with the call: the host, without its port, which gateways
// spell in several ways, and the canonical path. By which scheme the client called
// only the gateway knows.
func isForCall(p *assertion.Proof, api *store.API, c call, path string) error {
	host, ok := hostname(c.host)
	if !ok {
		return errors.New("the gateway does not say by which host it was called, so nobody can compare the proof's htu")
	}
	named, ok := hostname(p.Target.Host)
	if !ok || !strings.EqualFold(host, named) || p.Target.Scheme != "https" && p.Target.Scheme != "http" {
		return errors.New("the proof's htu is of another host")
	}
	target := p.Target.EscapedPath()
	if target == "" {
		target = "/"
	}
	if spelled, err := policy.Canonical(target, policy.RelaxedFor(api)); err != nil || path == "" || spelled != path {
		return errors.New("the proof's htu is another path")
	}
	return nil
}

// nonceSlot is how long a nonce is given out. It is good for that long again, so
// it lives for a minute at most, and half of one at least.
const nonceSlot = 30 * time.Second

// nonces makes and knows the nonces of all nodes that have the key: what slot of
// time they are of, with a MAC (RFC 9449 section 8). Nothing is kept of them.
type nonces struct{ key []byte }

func (n nonces) of(slot int64) string {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 8+16), uint64(slot)) //nolint:gosec // there is no time before 1970
	mac := hmac.New(sha256.New, n.key)
	_, _ = mac.Write(b)
	return base64.RawURLEncoding.EncodeToString(mac.Sum(b)[:24])
}

func (n nonces) current(now time.Time) string { return n.of(now.Unix() / int64(nonceSlot/time.Second)) }

// fresh reports whether a nonce is of this slot or the last one, or of the next:
// another node's clock may be ahead.
func (n nonces) fresh(nonce string, now time.Time) bool {
	slot := now.Unix() / int64(nonceSlot/time.Second)
	for _, s := range []int64{slot, slot - 1, slot + 1} {
		if hmac.Equal([]byte(nonce), []byte(n.of(s))) {
			return true
		}
	}
	return false
}

// maxSeen is how many proofs are remembered at most of one period.
const maxSeen = 500_000

// seenProofs are those that were used on this node, while their nonce lives: what
// is older than a period is refused for its nonce.
type seenProofs struct {
	mu            sync.Mutex
	since         time.Time
	current, last map[[16]byte]struct{}
}

// seenPeriod is longer than a nonce is taken for: three slots, if clocks differ.
const seenPeriod = 3 * nonceSlot

// add remembers a proof, once.
func (s *seenProofs) add(p *assertion.Proof, now time.Time) error {
	sum := sha256.Sum256([]byte(p.Key + " " + p.ID))
	id := [16]byte(sum[:16])
	s.mu.Lock()
	defer s.mu.Unlock()
	if age := now.Sub(s.since); age >= seenPeriod {
		s.last = s.current
		if age >= 2*seenPeriod {
			s.last = nil
		}
		s.current, s.since = map[[16]byte]struct{}{}, now
	}
	if _, used := s.current[id]; used {
		return errReplay
	}
	if _, used := s.last[id]; used {
		return errReplay
	}
	if len(s.current) >= maxSeen {
		return errFull
	}
	s.current[id] = struct{}{}
	return nil
}
