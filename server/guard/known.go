package guard

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"
	"time"
)

const (
	maxList     = 1 << 20 // bytes of one status list
	maxAllLists = 64 << 20
	maxDeadKeys = 10_000
)

// statusClaim is where the status of a token is published
// (draft-ietf-oauth-status-list section 6.1).
type statusClaim struct {
	List *struct {
		Index *int64 `json:"idx"`
		URI   string `json:"uri"`
	} `json:"status_list"`
}

// revoked is all that is revoked, as of a cursor.
type revoked struct {
	cursor string
	tokens map[string]int64    // jti: when it ends anyway, in seconds
	keys   map[string]struct{} // by kid
	lists  map[string][]byte   // by URI; a bit that is not there is 0
	bytes  int                 // of all lists
}

func newRevoked(cursor string) *revoked {
	return &revoked{cursor: cursor, tokens: map[string]int64{}, keys: map[string]struct{}{}, lists: map[string][]byte{}}
}

// known is what the feed said.
type known struct {
	mu      sync.RWMutex
	now     *revoked // nil before the first snapshot
	asOf    time.Time
	next    *revoked // a snapshot of which parts are missing
	part    int      // the next of them
	most    int      // of tokens
	sweepAt int      // so many tokens are looked through for those that ended
	err     error    // why the feed broke last
	changed chan struct{}
}

func (k *known) init(most int) { k.most, k.changed = most, make(chan struct{}) }

func (k *known) at() string {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.now == nil {
		return ""
	}
	return k.now.cursor
}

// age is how old what is known is; the longest Duration if nothing is.
func (k *known) age(now time.Time) time.Duration {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.now == nil {
		return math.MaxInt64
	}
	return now.Sub(k.asOf)
}

// watch returns a channel that the next message or failure closes, and why the feed
// broke last.
func (k *known) watch() (<-chan struct{}, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.changed, k.err
}

func (k *known) fail(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.err, k.next = err, nil
	k.signal()
}

func (k *known) signal() {
	close(k.changed)
	k.changed = make(chan struct{})
}

func (k *known) deadKey(kid string) bool {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.now == nil {
		return false
	}
	_, dead := k.now.keys[kid]
	return dead
}

// learn takes in a message: it is all there is, in parts that come in order, or goes
// on from what is known. asOf is what it holds up to.
func (k *known) learn(m *message, asOf, now time.Time) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	to := k.now
	switch {
	case m.Snapshot && m.Part == 0:
		k.next, k.part = newRevoked(m.Cursor), 0
		to = k.next
	case m.Snapshot && k.next != nil && m.Part == k.part && m.Cursor == k.next.cursor:
		to = k.next
	case m.Snapshot || to == nil || m.After != to.cursor:
		return errors.New("a message is missing before this one")
	}
	if err := k.add(to, m, now); err != nil {
		if to == k.now {
			k.now = nil // half of a message is in it: what is known must be told anew
		}
		return err
	}
	switch {
	case m.Snapshot && m.More:
		k.part++
		return nil
	case m.Snapshot:
		k.now, k.next = to, nil
	default:
		to.cursor = m.Cursor
	}
	k.asOf, k.err = asOf, nil
	k.signal()
	return nil
}

func (k *known) add(to *revoked, m *message, now time.Time) error {
	for _, t := range m.Tokens {
		to.tokens[t.ID] = t.Expires
	}
	if len(to.tokens) > max(k.sweepAt, 1024) || len(to.tokens) > k.most {
		for id, ends := range to.tokens {
			if now.Unix() > ends+60 { // by a clock that may be a minute ahead
				delete(to.tokens, id)
			}
		}
		k.sweepAt = 2 * len(to.tokens)
	}
	for _, kid := range m.Keys {
		to.keys[kid] = struct{}{}
	}
	if len(to.tokens) > k.most || len(to.keys) > maxDeadKeys {
		return fmt.Errorf("more than %d tokens are revoked one by one; raise Feed.MaxTokens", k.most)
	}
	for _, l := range m.Lists {
		bits, err := unpack(l.List, l.Bits)
		if err != nil {
			return err
		}
		to.bytes += len(bits) - len(to.lists[l.URI])
		to.lists[l.URI] = bits
	}
	for _, s := range m.Statuses {
		if err := to.set(s.URI, s.Index, s.Status != 0); err != nil {
			return err
		}
	}
	if to.bytes > maxAllLists {
		return errors.New("the status lists are larger than 64 MiB")
	}
	return nil
}

var errList = errors.New("a status list cannot be read")

// unpack reads a status list (section 4.2 of the draft) of one bit a token.
func unpack(text string, bits int) ([]byte, error) {
	raw, err := strict.DecodeString(text)
	if err != nil || bits != 1 {
		return nil, errList
	}
	z, err := zlib.NewReader(bytes.NewReader(raw))
	if err != nil {
		return nil, errList
	}
	list, err := io.ReadAll(io.LimitReader(z, maxList+1))
	if err != nil || len(list) > maxList {
		return nil, errList
	}
	return list, nil
}

func (r *revoked) set(uri string, index int64, invalid bool) error {
	if index < 0 || index/8 >= maxList {
		return errList
	}
	list := r.lists[uri]
	if missing := int(index/8) + 1 - len(list); missing > 0 {
		if !invalid {
			return nil
		}
		list = append(list, make([]byte, missing)...)
		r.lists[uri] = list
		r.bytes += missing
	}
	if invalid {
		list[index/8] |= 1 << (index % 8)
	} else {
		list[index/8] &^= 1 << (index % 8)
	}
	return nil
}

// isInvalid reports whether the place of a token is marked.
func (r *revoked) isInvalid(uri string, index int64) bool {
	list := r.lists[uri]
	return index >= 0 && index/8 < int64(len(list)) && list[index/8]>>(index%8)&1 == 1
}

// check refuses a token that is revoked, as far as is known, or of which nobody can
// say now whether it is.
func (f *feed) check(now time.Time, kid string, c *claims) error {
	k := &f.known
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.now == nil {
		return unavailable("what is revoked is not known yet")
	}
	_, single := k.now.tokens[c.ID]
	_, dead := k.now.keys[kid]
	list := c.Status.List
	listed := list != nil && list.Index != nil && list.URI != ""
	switch {
	case single || dead, listed && k.now.isInvalid(list.URI, *list.Index):
		return invalid("it is revoked")
	case list != nil && (!listed || *list.Index < 0 || *list.Index/8 >= maxList):
		return invalid("its status cannot be read")
	case c.ID == "", !listed && !f.AllowUnlisted:
		return invalid("it does not say where its status is; is status_list on for the API?")
	case now.Sub(k.asOf) > f.MaxAge && !f.AllowStale:
		return unavailable("what was revoked lately is not known")
	}
	return nil
}
