package token

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"postern/server/secret"
	"postern/store"
)

const (
	opaquePrefix  = "psa_"
	opaqueVersion = 1 // the first byte of what is sealed
	moreVersion   = 2 // of a token that is bound, or has actors: these follow the rest
)

// opaque writes a sealed token to b.text: its prefix and key id, then nonce and
// sealed claims in base62, then a checksum. It is one word, like a secret.
func (m *Minter) opaque(ctx context.Context, b *buffer, c *Claims) error {
	sealer, err := m.Keys.Sealer(ctx)
	if err != nil {
		return err
	}
	b.text = append(append(append(b.text[:0], opaquePrefix...), sealer.KID...), '_')
	b.plain = c.appendBinary(b.plain[:0])
	start := len(b.plain)
	b.plain = sealer.Seal(b.plain, b.plain[:start], b.text)
	b.text = secret.AppendChecksum(secret.AppendBase62(b.text, b.plain[start:]))
	return nil
}

// splitOpaque takes an opaque token apart: the additional data that it is bound
// to, the key id therein, and the base62 of what is sealed.
func splitOpaque(text string) (additional, kid, sealed string, ok bool) {
	body, ok := secret.CutChecksum(text)
	if !ok || !strings.HasPrefix(body, opaquePrefix) {
		return "", "", "", false
	}
	kid, sealed, ok = strings.Cut(body[len(opaquePrefix):], "_")
	return body[:len(body)-len(sealed)], kid, sealed, ok
}

// appendBinary appends the claims in the form that is sealed: a version, the two
// times, and each text with its length before it. The issuer is whoever holds
// the key, and roles are for those who can read them.
func (c *Claims) appendBinary(b []byte) []byte {
	more := c.Confirmation.Bound() || c.Actor != nil
	if more {
		b = append(b, moreVersion)
	} else {
		b = append(b, opaqueVersion)
	}
	b = binary.AppendUvarint(b, uint64(c.IssuedAt))             //nolint:gosec // check has seen that it is positive
	b = binary.AppendUvarint(b, uint64(c.ExpiresAt-c.IssuedAt)) //nolint:gosec // and this too
	for _, s := range []string{string(c.Subject), string(c.ClientID), c.ID, c.Scope, string(c.Workspace), c.Gen, string(c.SecretID)} {
		b = appendText(b, s)
	}
	b = binary.AppendUvarint(b, uint64(len(c.Audience)))
	for _, s := range c.Audience {
		b = appendText(b, s)
	}
	if !more {
		return b
	}
	b = appendText(appendText(b, c.Confirmation.Certificate), c.Confirmation.Key)
	actors := c.Actor.Chain()
	b = binary.AppendUvarint(b, uint64(len(actors)))
	for _, a := range actors {
		for _, s := range []string{string(a.Subject), string(a.ClientID), string(a.SecretID), a.Gen} {
			b = appendText(b, s)
		}
	}
	return b
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

var errBinary = errors.New("the sealed claims are cut short or of an unknown version")

// parseBinary reads what appendBinary wrote.
func parseBinary(b []byte) (Claims, error) {
	if len(b) == 0 || b[0] != opaqueVersion && b[0] != moreVersion {
		return Claims{}, errBinary
	}
	r := reader{rest: b[1:]}
	c := Claims{IssuedAt: int64(r.number())}     //nolint:gosec // as appendBinary wrote it
	c.ExpiresAt = c.IssuedAt + int64(r.number()) //nolint:gosec // likewise
	c.Subject = store.AccountID(r.text())
	c.ClientID = store.ClientID(r.text())
	c.ID = r.text()
	c.Scope = r.text()
	c.Workspace = store.WorkspaceID(r.text())
	c.Gen = r.text()
	c.SecretID = store.SecretID(r.text())
	for n := r.number(); n > 0 && !r.bad; n-- {
		c.Audience = append(c.Audience, r.text())
	}
	if b[0] == moreVersion {
		c.Confirmation = Confirmation{Certificate: r.text(), Key: r.text()}
		last := &c.Actor
		for n := r.number(); n > 0 && !r.bad; n-- {
			*last = &Actor{Subject: store.AccountID(r.text()), ClientID: store.ClientID(r.text()), SecretID: store.SecretID(r.text()), Gen: r.text()}
			last = &(*last).For
		}
	}
	if r.bad || len(r.rest) > 0 {
		return Claims{}, fmt.Errorf("read the claims: %w", errBinary)
	}
	return c, nil
}

// reader reads numbers and texts until something is missing.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) number() uint64 {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 {
		r.rest, r.bad = nil, true
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

func (r *reader) text() string {
	n := r.number()
	if n > uint64(len(r.rest)) {
		r.rest, r.bad = nil, true
		return ""
	}
	s := string(r.rest[:n])
	r.rest = r.rest[n:]
	return s
}
