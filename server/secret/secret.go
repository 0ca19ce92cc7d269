// Package secret makes clients' secrets, reads, hashes and compares them, and
// does the same for people's passwords.
//
// A Secret cannot be printed, logged or marshalled by accident: only Reveal
// gives the text. A client's secret holds 256 random bits, so one SHA-256 and
// a comparison in constant time is enough (NIST SP 800-63B section 5.1.1.2
// asks for a slow hash only below 112 bits); passwords get argon2id.
//
// A secret's text is
//
//	pst_ CLIENT _ 43 random digits, 6 digits of CRC-32
//
// in base62, so it has characters of [A-Za-z0-9_] only, is one word to a double
// click and to a scanner for leaked secrets, and a typing error is found
// without asking the store.
package secret

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"postern/store"
)

const (
	prefix       = "pst_"
	randomDigits = 43 // 62^43 > 2^256
	redacted     = "[secret]"

	maxClientID = 128 // of an imported client
	// maxText is the longest text that New makes.
	maxText = len(prefix) + 1 + 2*maxClientID + 1 + randomDigits + checksumDigits
)

// ErrMalformed is a text that New did not make: its prefix, shape or checksum is
// wrong. No client needs to be looked up for it.
var ErrMalformed = errors.New("not a secret of this server")

// Secret is the text of a client's secret, of a password or of anything else
// that must not be seen. The zero Secret is empty and matches nothing.
type Secret struct{ text *string } // a pointer: fmt prints unexported fields without asking String

// Of returns any text as a Secret, such as one that was posted or imported.
func Of(text string) Secret {
	if text == "" {
		return Secret{} // one spelling of empty
	}
	return Secret{text: &text}
}

// New makes a secret for a client. The id is at most 128 bytes.
func New(client store.ClientID) Secret {
	text := make([]byte, 0, maxText)
	text = append(text, prefix...)
	text = appendClient(text, client)
	text = append(text, '_')
	text = AppendRandomDigits(text, randomDigits)
	return Of(string(AppendChecksum(text)))
}

// Looks reports whether text starts as the secrets of this server do.
func Looks(text string) bool { return strings.HasPrefix(text, prefix) }

// Parse reads the text of a secret that New made and returns the client that it
// says it belongs to. Whether it is that client's is for Matches to say.
// Anything else is ErrMalformed.
func Parse(text string) (Secret, store.ClientID, error) {
	if len(text) > maxText || !Looks(text) {
		return Secret{}, "", ErrMalformed
	}
	body, ok := CutChecksum(text)
	if !ok {
		return Secret{}, "", ErrMalformed
	}
	// From the right: the digits have a known length, the client has not.
	at := len(body) - randomDigits - 1
	if at <= len(prefix) || body[at] != '_' || !allDigits(body[at+1:]) {
		return Secret{}, "", ErrMalformed
	}
	client, ok := parseClient(body[len(prefix):at])
	if !ok {
		return Secret{}, "", ErrMalformed
	}
	return Of(text), client, nil
}

// Reveal returns the text.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsSet reports whether the text is not empty.
func (s Secret) IsSet() bool { return s.text != nil }

// Hash returns the SHA-256 of the whole text: what is stored of a client's
// secret.
func (s Secret) Hash() []byte {
	sum := sha256.Sum256([]byte(s.Reveal()))
	return sum[:]
}

// Matches reports, in constant time, whether s is the secret that hash was made
// from. An empty secret, and a hash that is empty or of another length, match
// nothing.
func Matches(s Secret, hash []byte) bool { return s.IsSet() && EqualHash(s.Hash(), hash) }

// EqualHash reports, in constant time, whether two hashes of secrets are equal.
// Hashes that are empty or of another length equal nothing.
func EqualHash(a, b []byte) bool {
	return len(a) == sha256.Size && subtle.ConstantTimeCompare(a, b) == 1
}

// String returns "[secret]".
func (Secret) String() string { return redacted }

// GoString returns "[secret]".
func (Secret) GoString() string { return redacted }

// Format writes "[secret]" whatever the verb; without it %x would spell out
// what String gives.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue returns "[secret]".
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "[secret]".
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// appendClient writes a client id in [A-Za-z0-9]: ids made here as they are,
// those of imported clients as x and hex. A native id begins with c, so the two
// cannot be confused.
func appendClient(dst []byte, id store.ClientID) []byte {
	if isNative(string(id)) {
		return append(dst, id...)
	}
	return hex.AppendEncode(append(dst, 'x'), []byte(id))
}

func parseClient(text string) (store.ClientID, bool) {
	if isNative(text) {
		return store.ClientID(text), true
	}
	digits, ok := strings.CutPrefix(text, "x")
	if !ok || digits == "" || strings.ContainsAny(digits, "ABCDEF") {
		return "", false
	}
	id, err := hex.DecodeString(digits)
	if err != nil || isNative(string(id)) { // each id has one spelling
		return "", false
	}
	return store.ClientID(id), true
}

// isNative reports whether an id has the form of those that store.NewClientID
// makes.
func isNative(id string) bool {
	const length = len("cli") + 24
	if len(id) != length || !strings.HasPrefix(id, "cli") {
		return false
	}
	for i := range len(id) {
		if c := id[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// AppendRandomDigits appends n uniformly random base62 digits.
func AppendRandomDigits(dst []byte, n int) []byte {
	var random [64]byte
	for n > 0 {
		_, _ = rand.Read(random[:]) // crypto/rand.Read never fails
		for _, b := range random {
			// 248 is the largest multiple of 62 in a byte: above it some digits would come more often.
			if b < 248 && n > 0 {
				dst = append(dst, digits[b%62])
				n--
			}
		}
	}
	return dst
}
