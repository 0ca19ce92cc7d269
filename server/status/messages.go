package status

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"postern/server/keys"
	"postern/store"
)

// TypeMessage is the typ of a message of the feed.
const TypeMessage = "revocations+jwt"

const (
	messageTokens = 2000 // in one message at most
	messageLists  = 8
)

// Gateway is whom messages are for.
type Gateway struct {
	Client store.ClientID // their aud
	API    *store.API
}

// message is the payload of one. It has neither sub nor the API's audience: who
// takes any JWT of the issuer for an access token finds none here.
type message struct {
	Issuer   string  `json:"iss"`
	Audience string  `json:"aud"`
	IssuedAt float64 `json:"iat"` // seconds, with milliseconds
	API      string  `json:"api"`
	Age      int64   `json:"age_ms"` // for how long what it says may have missed a change

	After    string `json:"after,omitempty"`    // it goes on from there
	Cursor   string `json:"cursor"`             // to there
	Snapshot bool   `json:"snapshot,omitempty"` // it is all there is, whatever was before
	Part     int    `json:"part,omitempty"`     // of a snapshot, from 0
	More     bool   `json:"more,omitempty"`     // another part follows

	Tokens   []revoked `json:"tokens,omitempty"`
	Keys     []string  `json:"keys,omitempty"`     // kids whose tokens are all dead
	Lists    []packed  `json:"lists,omitempty"`    // of a snapshot: those in which something is invalid
	Statuses []status  `json:"statuses,omitempty"` // that are new
}

type revoked struct {
	ID      string `json:"jti"`
	Expires int64  `json:"exp"` // seconds
}

type status struct {
	URI    string `json:"uri"`
	Index  int64  `json:"idx"`
	Status int    `json:"status"` // 0 VALID, 1 INVALID (section 7.1 of the draft)
}

// Changed returns a channel that the next change closes. Ask for it before what it
// is to wake you from.
func (l *Lists) Changed() <-chan struct{} {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.log.moved
}

// Messages returns what a gateway has to know after a cursor, signed, and the
// cursor to go on from. An empty cursor, or one that this node does not know, gives
// a snapshot, which may have several parts. Nothing new is a message, too: that
// there was nothing, as of now. Age is how old the state of this node may be. More
// reports that there is more to tell at once.
func (l *Lists) Messages(ctx context.Context, to Gateway, after string, age time.Duration) (texts []string, cursor string, more bool, err error) {
	signer, err := l.Keys.Statement(ctx) // first: it may write, and time passes
	if err != nil {
		return nil, "", false, fmt.Errorf("sign the feed of revocations: %w", err)
	}
	messages, cursor, more, err := l.tell(to, after)
	if err != nil {
		return nil, "", false, fmt.Errorf("write the feed of revocations: %w", err)
	}
	for _, m := range messages {
		m.Issuer, m.Audience, m.API = l.Issuer, string(to.Client), to.API.Name
		m.IssuedAt, m.Age = float64(l.now())/1000, age.Milliseconds()
		text, err := m.sign(signer)
		if err != nil {
			return nil, "", false, fmt.Errorf("sign the feed of revocations: %w", err)
		}
		texts = append(texts, text)
	}
	return texts, cursor, more, nil
}

func (m *message) sign(signer *keys.Signer) (string, error) {
	payload, err := json.Marshal(m)
	if err != nil {
		return "", err
	}
	return signer.Compact(TypeMessage, payload)
}

func (l *Lists) tell(to Gateway, after string) (messages []*message, cursor string, more bool, err error) {
	l.mu.RLock()
	list, last, ok := l.log.since(after, messageTokens)
	if !ok {
		all := l.collect(to)
		l.mu.RUnlock() // packing lists takes a while
		messages, err = l.parts(all)
		return messages, all.cursor, false, err
	}
	defer l.mu.RUnlock()
	m := &message{After: after, Cursor: l.log.cursor(last)}
	for _, e := range list {
		switch {
		case e.token != nil:
			if to.hears(e.token) {
				m.Tokens = append(m.Tokens, revoked{e.token.ID, endOf(e.token)})
			}
		case e.key != "":
			m.Keys = append(m.Keys, e.key)
		default:
			s := status{URI: l.URI(e.list), Index: e.bit}
			if e.invalid {
				s.Status = 1
			}
			m.Statuses = append(m.Statuses, s)
		}
	}
	return []*message{m}, m.Cursor, last < l.log.last, nil
}

// hears reports whether a gateway is told of a token: if it is for its API.
func (g Gateway) hears(r *store.Revocation) bool {
	return len(r.Audience) == 0 || slices.Contains(r.Audience, g.API.Audience)
}

// endOf is when a token's revocation may be forgotten, in seconds.
func endOf(r *store.Revocation) int64 { return (int64(r.ExpiresAt) + 999) / 1000 }

// all is what a gateway must know at a moment.
type all struct {
	cursor string
	tokens []revoked
	keys   []string
	lists  map[int64]*[size / 8]byte
}

func (l *Lists) collect(to Gateway) all {
	now, found := l.now(), all{cursor: l.log.cursor(l.log.last), lists: map[int64]*[size / 8]byte{}}
	for _, r := range l.revoked {
		if to.hears(r) && !r.ExpiresAt.Over(now) {
			found.tokens = append(found.tokens, revoked{r.ID, endOf(r)})
		}
	}
	for _, kid := range l.revokedKeys {
		found.keys = append(found.keys, kid)
	}
	for i, each := range l.lists {
		if bits := each.bits; bits != [size / 8]byte{} {
			found.lists[int64(i)+1] = &bits
		}
	}
	return found
}

// parts makes a snapshot.
func (l *Lists) parts(found all) ([]*message, error) {
	parts := []*message{{Keys: found.keys}}
	for n, bits := range found.lists {
		p, err := pack(bits)
		if err != nil {
			return nil, err
		}
		p.URI = l.URI(n)
		if len(parts[len(parts)-1].Lists) == messageLists {
			parts = append(parts, &message{})
		}
		m := parts[len(parts)-1]
		m.Lists = append(m.Lists, p)
	}
	for some := range slices.Chunk(found.tokens, messageTokens) {
		if m := parts[len(parts)-1]; len(m.Tokens) == 0 {
			m.Tokens = some
		} else {
			parts = append(parts, &message{Tokens: some})
		}
	}
	for i, m := range parts {
		m.Snapshot, m.Cursor, m.Part, m.More = true, found.cursor, i, i < len(parts)-1
	}
	return parts, nil
}

// Current reports whether there is nothing to tell after a cursor.
func (l *Lists) Current(cursor string) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	list, _, ok := l.log.since(cursor, 1)
	return ok && len(list) == 0
}
