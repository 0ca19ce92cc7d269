// Package leak finds Postern's credentials in any text or binary file, offline:
// secrets by their prefix, form and checksum, opaque access tokens likewise, and
// JWTs by the issuer that they name. What it finds was made by a Postern (or by
// chance, once in four thousand million texts of that form); whether it works
// still, only that server can say.
//
// A credential is found wherever it stands: in the middle of a word, in UTF-16
// text, and as base64 writes it, such as in a manifest of Kubernetes or in a
// header of Basic authentication. What was compressed or encrypted is not
// opened.
package leak

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"slices"

	"postern/server/secret"
	"postern/server/token"
	"postern/store"
)

// Kind says what was found.
type Kind string

// The kinds of credentials.
const (
	Secret Kind = "secret" // of a client
	Opaque Kind = "opaque" // an access token that is sealed
	JWT    Kind = "jwt"    // an access token that is signed
)

// Found is a credential in a text.
type Found struct {
	Kind     Kind
	ClientID store.ClientID // of a secret and a JWT
	Offset   int64          // of its first byte
	Line     int64          // from 1
	Text     secret.Secret  // the credential itself, which is not to be shown
}

// Hint is enough of the credential to tell it from others, and no more: six
// characters, which are the same for many, and the last four of a checksum or
// signature.
func (f *Found) Hint() string {
	text := f.Text.Reveal()
	if len(text) < 40 {
		return ""
	}
	return text[:6] + "…" + text[len(text)-4:]
}

// Finder finds credentials. Its zero value finds secrets and opaque tokens.
type Finder struct {
	// Issuers are those whose JWTs are looked for: public URLs of servers.
	Issuers []string
}

// read takes a credential off the beginning of a text.
func (f *Finder) read(kind Kind, text []byte) (Found, bool) {
	switch kind {
	case Secret:
		return readSecret(text)
	case Opaque:
		return readOpaque(text)
	default:
		return f.readJWT(text)
	}
}

const (
	secretPrefix = "pst_"
	opaquePrefix = "psa_"
)

// readSecret reads a secret. Its form says where it ends, so it is found even
// when a word goes on after it.
func readSecret(text []byte) (Found, bool) {
	const begin, rest = len(secretPrefix), len("_") + 43 + 6
	if !bytes.HasPrefix(text, []byte(secretPrefix)) {
		return Found{}, false
	}
	client := bytes.IndexByte(text[begin:], '_')
	if client < 0 || begin+client+rest > len(text) {
		return Found{}, false
	}
	s, id, err := secret.Parse(string(text[:begin+client+rest]))
	return Found{Kind: Secret, ClientID: id, Text: s}, err == nil
}

// The shortest opaque token: a nonce of 24 bytes and a tag of 16, in base62.
const minSealed = 55

// readOpaque reads an opaque access token. Nothing but its checksum says where it
// ends when a word goes on after it.
func readOpaque(text []byte) (Found, bool) {
	if !bytes.HasPrefix(text, []byte(opaquePrefix)) {
		return Found{}, false
	}
	text = text[:min(len(text), token.MaxLength)]
	kid := bytes.IndexByte(text[len(opaquePrefix):], '_')
	if kid < 0 {
		return Found{}, false
	}
	first := len(opaquePrefix) + kid + len("_")
	end := first
	for end < len(text) && isWord(text[end]) && text[end] != '_' {
		end++
	}
	// Most often nothing goes on.
	if found, ok := opaque(text[:end]); ok && end-first >= minSealed {
		return found, true
	}
	if n := secret.ChecksumEnd(text[:end], first+minSealed); n > 0 {
		return opaque(text[:n])
	}
	return Found{}, false
}

func opaque(text []byte) (Found, bool) {
	i, err := token.Inspect(string(text))
	return Found{Kind: Opaque, Text: secret.Of(string(text))}, err == nil && i.Kind == "opaque"
}

// readJWT reads a JWT of one of the issuers. Its signature is not checked: the
// keys are the server's.
func (f *Finder) readJWT(text []byte) (Found, bool) {
	end, dots := 0, 0
	for ; end < len(text) && end < token.MaxLength; end++ {
		if c := text[end]; c == '.' && dots < 2 {
			dots++
		} else if !isWord(c) && c != '-' {
			break
		}
	}
	if dots != 2 {
		return Found{}, false
	}
	i, err := token.Inspect(string(text[:end]))
	if err != nil || i.Kind != "jwt" {
		return Found{}, false
	}
	var claims struct {
		Issuer   string         `json:"iss"`
		ClientID store.ClientID `json:"client_id"`
	}
	if json.Unmarshal(i.Claims, &claims) != nil || !slices.Contains(f.Issuers, claims.Issuer) || claims.ClientID == "" || text[end-1] == '.' {
		return Found{}, false
	}
	return Found{Kind: JWT, ClientID: claims.ClientID, Text: secret.Of(string(text[:end]))}, true
}

func isWord(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || c == '_'
}

// plain is text as it stands.
func plain(b []byte, at int) []byte { return b[at:min(at+token.MaxLength, len(b))] }

// wide is UTF-16, of either order: each character of a credential has one byte
// of zero beside it.
func wide(b []byte, at int) []byte {
	var out []byte
	for ; at < len(b) && len(out) < token.MaxLength; at += 2 {
		out = append(out, b[at])
		if at+1 < len(b) && b[at+1] != 0 {
			break
		}
	}
	return out
}

// maxBased is how much base64 is read: the longest secret or opaque token.
const maxBased = 8 << 10

// based reads base64, of either alphabet and with line breaks, whose characters
// that are surely known begin in a group of four that holds shift bytes of
// something else first.
func based(shift int) func([]byte, int) []byte {
	return func(b []byte, at int) []byte {
		at -= [3]int{0, 2, 3}[shift] // to the beginning of the group
		if at < 0 {
			return nil
		}
		digits := make([]byte, 0, 512)
		for ; at < len(b) && len(digits) < maxBased; at++ {
			switch c := b[at]; {
			case isWord(c) && c != '_', c == '+', c == '/':
				digits = append(digits, c)
				continue
			case c == '-':
				digits = append(digits, '+')
				continue
			case c == '_':
				digits = append(digits, '/')
				continue
			case c == '\n', c == '\r':
				continue
			}
			break
		}
		out := make([]byte, base64.RawStdEncoding.DecodedLen(len(digits)))
		n, _ := base64.RawStdEncoding.Decode(out, digits) // as far as it goes
		if n <= shift {
			return nil
		}
		return out[shift:n]
	}
}
