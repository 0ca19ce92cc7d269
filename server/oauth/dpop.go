package oauth

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"

	"postern/server/assertion"
	"postern/server/token"
	"postern/store"
)

// proven returns the key that a request proves to hold (RFC 9449 section 5); none
// where there is no proof. A proof is good once, on all nodes together.
func (h *Handler) proven(r *http.Request, client *store.Client) (token.Confirmation, error) {
	none := token.Confirmation{}
	sent := r.Header["Dpop"]
	switch {
	case len(sent) == 0 && client.Binding == store.BindDPoP:
		return none, invalidProof("tokens of this client are bound to a key; send a DPoP proof", nil)
	case len(sent) == 0:
		return none, nil
	case len(sent) > 1:
		return none, invalidProof("there are several DPoP headers", nil)
	case client.Binding == store.BindCertificate:
		return none, invalidProof("tokens of this client are bound to its certificate; send no DPoP proof", nil)
	}
	p, err := assertion.ParseProof(sent[0])
	if err == nil {
		err = p.Check(h.Now(), r.Method)
	}
	if err == nil && !p.IsFor(h.Issuer+"/oauth2/token") && (h.MTLSURL == "" || !p.IsFor(h.MTLSURL+"/oauth2/token")) {
		err = errors.New("the proof's htu is not the token endpoint")
	}
	if err == nil && client.Profile == store.ProfileFAPI2 && p.Algorithm == "RS256" {
		err = errors.New("the client keeps the profile fapi2, which forbids RS256")
	}
	if err != nil {
		return none, invalidProof("the DPoP proof is not good here: "+described(err), err)
	}
	if err := h.Remember(r.Context(), usedProof(p), store.At(p.Until())); err != nil {
		if errors.Is(err, store.ErrExists) {
			return none, invalidProof("the DPoP proof was sent before", nil)
		}
		return none, err
	}
	return token.Confirmation{Key: p.Key}, nil
}

// described is what an error description can carry of an error (RFC 6749 section
// 5.2): its sender's own proof is no secret to them.
func described(err error) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return '\''
		}
		return r
	}, err.Error())
}

// usedProof is the name under which a proof is remembered.
func usedProof(p *assertion.Proof) string {
	sum := sha256.Sum256([]byte(p.Key + " " + p.ID)) // a thumbprint has no blank
	return "dpop_" + base64.RawURLEncoding.EncodeToString(sum[:])
}

func invalidProof(description string, err error) error {
	return &Error{Code: "invalid_dpop_proof", Status: http.StatusBadRequest, Description: description, Err: err}
}
