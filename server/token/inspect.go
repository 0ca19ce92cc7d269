package token

import (
	"encoding/json"
	"strings"

	"postern/server/secret"
	"postern/store"
)

// Inspection is what a credential says of itself. None of it is verified.
type Inspection struct {
	Kind     string          `json:"kind"`                // "jwt", "opaque" or "secret"
	Header   json.RawMessage `json:"header,omitempty"`    // of a JWT
	Claims   json.RawMessage `json:"claims,omitempty"`    // of a JWT
	KID      string          `json:"kid,omitempty"`       // of a sealed token
	ClientID store.ClientID  `json:"client_id,omitempty"` // of a secret
}

// Inspect reads a credential without any key, for a person to look at. What is
// none is ErrInvalid.
func Inspect(text string) (Inspection, error) {
	if len(text) > MaxLength {
		return Inspection{}, invalid("it is too long")
	}
	switch {
	case secret.Looks(text):
		_, client, err := secret.Parse(text)
		if err != nil {
			return Inspection{}, invalid(err.Error())
		}
		return Inspection{Kind: "secret", ClientID: client}, nil
	case strings.HasPrefix(text, opaquePrefix):
		_, kid, _, ok := splitOpaque(text)
		if !ok {
			return Inspection{}, invalid("its checksum or form is wrong")
		}
		return Inspection{Kind: "opaque", KID: kid}, nil
	}
	parts := strings.SplitN(text, ".", 4)
	if len(parts) != 3 {
		return Inspection{}, invalid("it does not have three parts")
	}
	header, err := decode(parts[0])
	if err != nil || !json.Valid(header) {
		return Inspection{}, invalid("its header is not JSON in base64url")
	}
	claims, err := decode(parts[1])
	if err != nil || !json.Valid(claims) {
		return Inspection{}, invalid("its claims are not JSON in base64url")
	}
	return Inspection{Kind: "jwt", Header: header, Claims: claims}, nil
}
