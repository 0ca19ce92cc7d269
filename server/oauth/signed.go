package oauth

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"postern/store"
)

// The type of a signed answer of introspection (RFC 9701 section 5), and of its
// JWT.
const (
	typeIntrospection = "token-introspection+jwt"
	mediaSigned       = "application/" + typeIntrospection
)

var contentSigned = []string{mediaSigned} //nolint:gochecknoglobals // a header's value, shared by all answers

// wantsSigned reports whether a client asks for a signed answer (RFC 9701 section
// 4). It is asked by name: whatever else an Accept says is no reason to refuse.
func wantsSigned(accept []string) bool {
	for _, line := range accept {
		for each := range strings.SplitSeq(line, ",") {
			kind, parameters, _ := strings.Cut(strings.TrimSpace(each), ";")
			if strings.EqualFold(strings.TrimSpace(kind), mediaSigned) && !refusing(parameters) {
				return true
			}
		}
	}
	return false
}

// refusing reports whether the weight among some parameters is zero (RFC 9110
// sections 12.4.2 and 12.5.1).
func refusing(parameters string) bool {
	for each := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(each, "=")
		if value = strings.TrimSpace(value); strings.EqualFold(strings.TrimSpace(name), "q") && value != "" && strings.Trim(value, "0.") == "" {
			return true
		}
	}
	return false
}

// signed makes a signed answer of a plain one (RFC 9701 section 5). Its key signs no
// access tokens, and its audience is the client that asked, so nobody takes it for
// one.
func (h *Handler) signed(ctx context.Context, answer []byte, asking store.ClientID) ([]byte, error) {
	payload, err := json.Marshal(struct {
		Issuer        string          `json:"iss"`
		Audience      store.ClientID  `json:"aud"`
		IssuedAt      int64           `json:"iat"`
		Introspection json.RawMessage `json:"token_introspection"`
	}{h.Issuer, asking, h.Now().Unix(), answer})
	if err != nil {
		return nil, fmt.Errorf("write the answer of introspection: %w", err)
	}
	signer, err := h.Keys.Statement(ctx)
	if err != nil {
		return nil, err
	}
	text, err := signer.Compact(typeIntrospection, payload)
	if err != nil {
		return nil, fmt.Errorf("sign the answer of introspection: %w", err)
	}
	return []byte(text), nil
}
