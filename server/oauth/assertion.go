package oauth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"net/netip"

	"github.com/gin-gonic/gin"

	"postern/server/assertion"
	"postern/store"
)

const (
	methodPrivateKey = "private_key_jwt"

	typeAssertion = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" // RFC 7523 section 2.2
)

const (
	errAssertion = failure("the client assertion cannot be read")
	errNoKey     = failure("the client has no key by which its assertion verifies")
	errReplayed  = failure("the client assertion was sent before")
)

// hasAssertion reports whether a request claims to be of a client with a key.
func hasAssertion(f form) bool {
	return f.get("client_assertion") != "" || f.get("client_assertion_type") != ""
}

// authenticateByKey finds out which client signed an assertion (RFC 7521 section
// 4.2, RFC 7523 section 3). It is good once, on all nodes together.
func (h *Handler) authenticateByKey(c *gin.Context, f form, from netip.Addr) (authenticated, error) {
	if len(c.Request.Header["Authorization"]) > 0 || f.get("client_secret") != "" {
		return authenticated{}, invalidRequest("the client authenticates by an assertion and by a secret at once; use one")
	}
	if f.get("client_assertion_type") != typeAssertion {
		return authenticated{}, errMethod
	}
	a, err := assertion.Parse(f.get("client_assertion"))
	if errors.Is(err, assertion.ErrForeign) {
		return h.authenticateWorkload(c.Request.Context(), f, from)
	}
	if err != nil {
		h.Log.DebugContext(c.Request.Context(), "client assertion refused", "reason", err.Error())
		return authenticated{}, errAssertion
	}
	id := f.get("client_id")
	if id != "" && id != a.Subject {
		return authenticated{}, errAssertion
	}
	if err := a.Check(h.Now(), h.audiences()...); err != nil {
		h.Log.DebugContext(c.Request.Context(), "client assertion refused", "client", a.Subject, "reason", err.Error())
		return authenticated{}, errAssertion
	}
	ctx := c.Request.Context()
	client, err := h.State.Client(ctx, store.ClientID(a.Subject))
	if errors.Is(err, store.ErrNotFound) {
		return authenticated{}, errUnknown
	}
	if err != nil {
		return authenticated{}, err
	}
	if client.Profile == store.ProfileFAPI2 && !a.KeepsFAPI2(h.Issuer) {
		return authenticated{}, errProfile
	}
	matched, err := h.signer(ctx, client, a)
	if err != nil {
		return authenticated{}, err
	}
	auth, err := h.usableClient(ctx, client, matched, methodPrivateKey, from)
	if err != nil {
		return authenticated{}, err
	}
	// Last, so that nobody else can use up a jti.
	if err := h.Remember(ctx, usedAssertion(a), store.At(a.Expires)); err != nil {
		if errors.Is(err, store.ErrExists) {
			return authenticated{}, errReplayed
		}
		return authenticated{}, err
	}
	return auth, nil
}

// audiences are those that an assertion may be for: the issuer alone, since an
// assertion for an address of ours may have been made for a server that names
// that as its own (RFC 9700 section 4.3, draft-ietf-oauth-rfc7523bis).
func (h *Handler) audiences() []string {
	if h.TokenEndpointAudience {
		return []string{h.Issuer, h.Issuer + "/oauth2/token"}
	}
	return []string{h.Issuer}
}

// signer returns the client's key that signed an assertion.
func (h *Handler) signer(ctx context.Context, client *store.Client, a *assertion.Assertion) (*store.ClientSecret, error) {
	now := store.At(h.Now())
	for i := range client.Secrets {
		s := &client.Secrets[i]
		if !s.Live(now) {
			continue
		}
		switch {
		case s.JWK != "":
			if k, err := assertion.ParseKey([]byte(s.JWK)); err == nil && k.Verify(a) {
				return s, nil
			}
		case s.JWKSURI != "" && h.Remote != nil:
			_, err := h.Remote.Find(ctx, s.JWKSURI, a)
			if err == nil {
				return s, nil
			}
			h.Log.InfoContext(ctx, "client assertion refused", "client", client.ID, "reason", err.Error())
		}
	}
	return nil, errNoKey
}

// usedAssertion is the name under which an assertion is remembered.
func usedAssertion(a *assertion.Assertion) string {
	sum := sha256.New()
	var size [8]byte
	binary.BigEndian.PutUint64(size[:], uint64(len(a.Subject)))
	_, _ = sum.Write(size[:])
	_, _ = sum.Write([]byte(a.Subject + a.ID))
	return "jti_" + base64.RawURLEncoding.EncodeToString(sum.Sum(nil))
}
