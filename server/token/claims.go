package token

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"

	"postern/store"
)

// Claims is what an access token says (RFC 9068 section 2.2).
type Claims struct {
	Issuer    string            // set by Mint
	Subject   store.AccountID   // who acts
	ClientID  store.ClientID    // by which credential
	Audience  []string          // for which resource servers; at least one
	ExpiresAt int64             // seconds since 1970
	IssuedAt  int64             // seconds since 1970
	ID        string            // jti; made by Mint where it is empty
	Scope     string            // space-separated; empty is left out
	Workspace store.WorkspaceID // empty, and left out, for all of the account's
	Gen       string            // the generations at minting, as Gen writes them
	SecretID  store.SecretID    // the secret it was minted with
	Roles     []string          // names, for the upstream's information; left out above 1 kB, and of opaque tokens

	Confirmation Confirmation // what its sender must hold besides; zero is nothing
	Actor        *Actor       // who sends it in the place of its client; nil is the client itself
}

// Actor is a client that acts for the client of a token, and whoever had it act
// (RFC 8693 section 4.1). Nothing goes on when one of them is revoked: each is
// known by what it authenticated with, and its generations then.
type Actor struct {
	Subject  store.AccountID `json:"sub"`
	ClientID store.ClientID  `json:"client_id"`
	SecretID store.SecretID  `json:"sid"`
	Gen      string          `json:"gen"`
	For      *Actor          `json:"act,omitempty"` // it was sent the token by
}

// MaxActors is how many clients may act for each other in one token.
const MaxActors = 3

// Chain are the actors, the one that sends the token first.
func (a *Actor) Chain() []*Actor {
	var all []*Actor
	for ; a != nil; a = a.For {
		all = append(all, a)
	}
	return all
}

func (a *Actor) appendJSON(b []byte) []byte {
	b = appendString(append(b, `{"sub":`...), string(a.Subject))
	b = appendString(append(b, `,"client_id":`...), string(a.ClientID))
	b = appendString(append(b, `,"sid":`...), string(a.SecretID))
	b = appendString(append(b, `,"gen":`...), a.Gen)
	if a.For != nil {
		b = a.For.appendJSON(append(b, `,"act":`...))
	}
	return append(b, '}')
}

// Confirmation names the key that the sender of a token must show that it holds
// (RFC 7800 section 3). At most one is set; the zero value asks for none.
type Confirmation struct {
	Certificate string `json:"x5t#S256,omitempty"` // SHA-256 of the certificate of its TLS connection, in base64url (RFC 8705 section 3.1)
	Key         string `json:"jkt,omitempty"`      // SHA-256 thumbprint of its DPoP key, in base64url (RFC 9449 section 6.1)
}

// Bound reports whether a key is asked for at all.
func (c Confirmation) Bound() bool { return c != Confirmation{} }

// Type is how a token that asks for this is sent (RFC 9449 section 5): Bearer, or
// DPoP with a proof. That of a certificate is sent as a bearer (RFC 8705 section 3).
func (c Confirmation) Type() string {
	if c.Key != "" {
		return "DPoP"
	}
	return "Bearer"
}

// maxRoles is the longest list of roles that a token carries, as JSON in bytes.
const maxRoles = 1024

// Claims of a token that would mean something else than the one who asks for it
// wants, since a verifier that finds one absent or zero may not check it.
func (c *Claims) check() error {
	switch {
	case c.ExpiresAt <= c.IssuedAt || c.IssuedAt <= 0:
		return fmt.Errorf("it would be over before it begins (iat %d, exp %d)", c.IssuedAt, c.ExpiresAt)
	case c.Subject == "" || c.ClientID == "" || c.SecretID == "":
		return errors.New("it has no subject, client or secret")
	case len(c.Audience) == 0 || c.Audience[0] == "":
		return errors.New("it has no audience")
	case c.Gen == "":
		return errors.New("it has no generations")
	case c.Confirmation.Certificate != "" && c.Confirmation.Key != "":
		return errors.New("it is bound to a certificate and to a key")
	case len(c.Actor.Chain()) > MaxActors:
		return errors.New("too many clients act for each other")
	}
	return nil
}

// appendJSON appends the claims as a JSON object.
func (c *Claims) appendJSON(b []byte) []byte {
	b = append(b, `{"iss":`...)
	b = appendString(b, c.Issuer)
	b = append(b, `,"sub":`...)
	b = appendString(b, string(c.Subject))
	b = append(b, `,"client_id":`...)
	b = appendString(b, string(c.ClientID))
	b = append(b, `,"aud":`...)
	if len(c.Audience) == 1 {
		b = appendString(b, c.Audience[0])
	} else {
		b = appendStrings(b, c.Audience)
	}
	b = append(b, `,"exp":`...)
	b = strconv.AppendInt(b, c.ExpiresAt, 10)
	b = append(b, `,"iat":`...)
	b = strconv.AppendInt(b, c.IssuedAt, 10)
	b = append(b, `,"jti":`...)
	b = appendString(b, c.ID)
	if c.Scope != "" {
		b = append(b, `,"scope":`...)
		b = appendString(b, c.Scope)
	}
	if c.Workspace != "" {
		b = append(b, `,"workspace":`...)
		b = appendString(b, string(c.Workspace))
	}
	b = append(b, `,"gen":`...)
	b = appendString(b, c.Gen)
	b = append(b, `,"sid":`...)
	b = appendString(b, string(c.SecretID))
	b = c.Confirmation.AppendMember(b)
	if c.Actor != nil {
		b = c.Actor.appendJSON(append(b, `,"act":`...))
	}
	if len(c.Roles) > 0 {
		without := len(b)
		b = append(b, `,"roles":`...)
		start := len(b)
		if b = appendStrings(b, c.Roles); len(b)-start > maxRoles {
			b = b[:without]
		}
	}
	return append(b, '}')
}

// AppendMember appends the claim cnf as a further member of a JSON object, or
// nothing where the token is bound to nothing.
func (c Confirmation) AppendMember(b []byte) []byte {
	if !c.Bound() {
		return b
	}
	b = append(b, `,"cnf":{"`...)
	if c.Certificate != "" {
		b = append(append(append(b, `x5t#S256":"`...), c.Certificate...), '"')
	} else {
		b = append(append(append(b, `jkt":"`...), c.Key...), '"')
	}
	return append(b, '}')
}

func appendStrings(b []byte, list []string) []byte {
	b = append(b, '[')
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, s)
	}
	return append(b, ']')
}

// appendString appends s as a JSON string (RFC 8259 section 7). Bytes that are
// not UTF-8 become U+FFFD, as encoding/json has it.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				b = append(append(b, s[start:i]...), "\ufffd"...)
				start = i + 1
			}
			i += size
			continue
		}
		if c < 0x20 || c == '"' || c == '\\' {
			b = append(b, s[start:i]...)
			if c < 0x20 {
				b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			} else {
				b = append(b, '\\', c)
			}
			start = i + 1
		}
		i++
	}
	return append(append(b, s[start:]...), '"')
}

// wire is the claims as encoding/json reads them.
type wire struct {
	Issuer    string            `json:"iss"`
	Subject   store.AccountID   `json:"sub"`
	ClientID  store.ClientID    `json:"client_id"`
	Audience  audience          `json:"aud"`
	ExpiresAt int64             `json:"exp"`
	IssuedAt  int64             `json:"iat"`
	ID        string            `json:"jti"`
	Scope     string            `json:"scope"`
	Workspace store.WorkspaceID `json:"workspace"`
	Gen       string            `json:"gen"`
	SecretID  store.SecretID    `json:"sid"`
	Roles     []string          `json:"roles"`

	Confirmation Confirmation `json:"cnf"`
	Actor        *Actor       `json:"act"`
}

// audience is a string or an array of strings (RFC 7519 section 4.1.3).
type audience []string

func (a *audience) UnmarshalJSON(text []byte) error {
	var one string
	if err := json.Unmarshal(text, &one); err == nil {
		*a = audience{one}
		return nil
	}
	var many []string
	if err := json.Unmarshal(text, &many); err != nil {
		return err
	}
	*a = many
	return nil
}

// parseClaims reads the claims of a token whose signature was good.
func parseClaims(text []byte) (Claims, error) {
	var w wire
	if err := json.Unmarshal(text, &w); err != nil {
		return Claims{}, fmt.Errorf("read the claims: %w", err)
	}
	return Claims{
		Issuer: w.Issuer, Subject: w.Subject, ClientID: w.ClientID, Audience: w.Audience,
		ExpiresAt: w.ExpiresAt, IssuedAt: w.IssuedAt, ID: w.ID, Scope: w.Scope,
		Workspace: w.Workspace, Gen: w.Gen, SecretID: w.SecretID, Roles: w.Roles, Confirmation: w.Confirmation, Actor: w.Actor,
	}, nil
}
