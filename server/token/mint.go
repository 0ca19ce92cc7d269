package token

import (
	"context"
	"encoding/base64"
	"fmt"
	"strconv"
	"sync"

	"postern/server/keys"
	"postern/server/secret"
	"postern/store"
)

// jtiDigits is the length of a token's id: 131 random bits.
const jtiDigits = 22

// Shape is how a token is written: the settings of the APIs that it is for.
type Shape struct {
	Format    store.TokenFormat
	Algorithm string // of a JWT: keys.ES256, keys.EdDSA or keys.RS256
	Type      string // of a JWT: keys.TypeAccessToken (or empty), or keys.TypeJWT
	Status    bool   // a JWT says where its status is published (draft-ietf-oauth-status-list section 6.1)
}

// Statuses finds the place of a token in a status list: the list's address, and
// the token's index in it. The first of a secret's tokens at its generations
// writes to the store; no other does.
type Statuses interface {
	Place(ctx context.Context, c *Claims) (uri string, index int64, err error)
}

// MinterOptions configures a Minter. Keys and Issuer are required.
type MinterOptions struct {
	Keys     *keys.Ring
	Issuer   string   // iss: the public URL
	Statuses Statuses // nil: no token has the claim status, whatever its Shape
}

// Minter writes access tokens.
type Minter struct {
	MinterOptions
	buffers sync.Pool // of *buffer
}

type buffer struct{ plain, text []byte }

// NewMinter returns a Minter.
func NewMinter(o MinterOptions) *Minter {
	return &Minter{MinterOptions: o, buffers: sync.Pool{New: func() any {
		return &buffer{make([]byte, 0, 1024), make([]byte, 0, 2048)}
	}}}
}

// Mint writes a token. The first of an algorithm makes its key, which writes to
// the store, as does the first with a status of a secret; no other does. Claims that lack a subject, client, secret, audience
// or generations, or end before they begin, are an error, and so is a token above
// 4,096 bytes (ErrTooLong).
func (m *Minter) Mint(ctx context.Context, c Claims, s Shape) (string, error) {
	c.Issuer = m.Issuer
	if err := c.check(); err != nil {
		return "", fmt.Errorf("mint a token: %w", err)
	}
	b, _ := m.buffers.Get().(*buffer)
	defer m.buffers.Put(b)
	if c.ID == "" {
		b.text = secret.AppendRandomDigits(b.text[:0], jtiDigits)
		c.ID = string(b.text)
	}
	var err error
	switch s.Format {
	case store.FormatJWT:
		err = m.jwt(ctx, b, &c, s)
	case store.FormatOpaque:
		err = m.opaque(ctx, b, &c)
	default:
		err = fmt.Errorf("the token format %q is unknown", s.Format)
	}
	if err != nil {
		return "", fmt.Errorf("mint a token: %w", err)
	}
	if len(b.text) > maxMinted {
		return "", fmt.Errorf("mint a token: %w: %d bytes", ErrTooLong, len(b.text))
	}
	return string(b.text), nil
}

// jwt writes a JWS in its compact form (RFC 7515 section 7.1) to b.text.
func (m *Minter) jwt(ctx context.Context, b *buffer, c *Claims, s Shape) error {
	signer, err := m.Keys.Signer(ctx, s.Algorithm)
	if err != nil {
		return err
	}
	header, ok := signer.Header(s.Type)
	if !ok {
		return fmt.Errorf("the token type %q is unknown", s.Type)
	}
	b.plain = c.appendJSON(b.plain[:0])
	if s.Status && m.Statuses != nil {
		uri, index, err := m.Statuses.Place(ctx, c)
		if err != nil {
			return err
		}
		b.plain = appendStatus(b.plain, uri, index)
	}
	b.text = append(append(b.text[:0], header...), '.')
	b.text = base64.RawURLEncoding.AppendEncode(b.text, b.plain)
	if b.plain, err = signer.Sign(b.plain[:0], b.text); err != nil {
		return err
	}
	b.text = base64.RawURLEncoding.AppendEncode(append(b.text, '.'), b.plain)
	return nil
}

// appendStatus adds the claim status to a JSON object of claims
// (draft-ietf-oauth-status-list section 6.1).
func appendStatus(b []byte, uri string, index int64) []byte {
	b = append(b[:len(b)-1], `,"status":{"status_list":{"idx":`...)
	b = strconv.AppendInt(b, index, 10)
	b = append(b, `,"uri":`...)
	return append(appendString(b, uri), `}}}`...)
}
