// Package importing reads lists of clients that other servers write: realms of
// Keycloak, clients of Ory Hydra, and CSV. It knows no server of either kind.
//
// What can come along is a client that gets tokens in its own name and proves
// itself by a secret; of every other one it says why it is left out. Errors and
// reasons hold nothing of what may be a secret.
package importing

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"postern/server/secret"
)

// Client is one that can come along.
type Client struct {
	ID, Name, Description string
	Secret                secret.Secret
	SecretHash            string // in the place of Secret
	Workspace             string // empty where the file does not say
	Roles                 []string
	ExpiresAt             time.Time // zero where the file does not say
}

// Left is a client that stays behind.
type Left struct{ ID, Reason string }

// List is what a file holds.
type List struct {
	Clients  []Client
	Left     []Left
	Warnings []string
}

func (l *List) leave(id, reason string) { l.Left = append(l.Left, Left{id, reason}) }

func (l *List) warn(format string, args ...any) {
	l.Warnings = append(l.Warnings, fmt.Sprintf(format, args...))
}

// setSecret takes a secret or, if it looks like one, a hash of it.
func (c *Client) setSecret(text string) {
	if isHash(text) {
		c.SecretHash = text
	} else {
		c.Secret = secret.Of(text)
	}
}

// isHash tells a hash from a text by its beginning.
func isHash(text string) bool {
	return slices.ContainsFunc([]string{"$2a$", "$2b$", "$2y$", "$pbkdf2-", "$argon2"}, func(prefix string) bool { return strings.HasPrefix(text, prefix) })
}

// decode reads one JSON value and nothing after it.
func decode(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	if err := d.Decode(into); err != nil {
		return plainly(err)
	}
	if d.More() {
		return errors.New("there is more after the end of the JSON value")
	}
	return nil
}

// plainly says what is wrong with JSON without a piece of it.
func plainly(err error) error {
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("it is no JSON: a fault at byte %d", e.Offset)
	}
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("%s is not of the kind that is expected there", e.Field)
	}
	return errors.New("it is no JSON, or ends too early")
}

// isList reports whether a JSON value is an array.
func isList(text []byte) bool { return bytes.HasPrefix(bytes.TrimSpace(text), []byte("[")) }

func sorted(texts []string) string {
	slices.Sort(texts)
	return strings.Join(slices.Compact(texts), ", ")
}
