package token

import (
	"errors"
	"slices"
	"strings"
)

// maxScope is the longest scope parameter, in bytes: what a token can carry.
const maxScope = 2048

// ErrScope is a text that is not a scope parameter, or that names one scope
// twice.
var ErrScope = errors.New("malformed scope")

// Scopes is a list of scopes in the order they were given.
type Scopes []string

// ParseScope reads a scope parameter (RFC 6749 section 3.3): scope tokens of
// printable ASCII without quote and backslash, one space between them. An empty
// text is no scopes. Anything else, a repeated scope and a text above 2,048 bytes
// are ErrScope.
func ParseScope(text string) (Scopes, error) {
	if text == "" {
		return nil, nil
	}
	if len(text) > maxScope {
		return nil, ErrScope
	}
	for i := range len(text) {
		if c := text[i]; c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
			return nil, ErrScope
		}
	}
	scopes := Scopes(strings.Split(text, " "))
	sorted := slices.Sorted(slices.Values(scopes))
	if sorted[0] == "" || len(slices.Compact(sorted)) != len(scopes) {
		return nil, ErrScope
	}
	return scopes, nil
}

// String returns the scopes as ParseScope reads them.
func (s Scopes) String() string { return strings.Join(s, " ") }

// Contains reports whether scope is among them, byte for byte.
func (s Scopes) Contains(scope string) bool { return slices.Contains(s, scope) }
