package admin

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"postern/store"
)

// onceFor is how long a request with an Idempotency-Key is remembered.
const onceFor = 24 * time.Hour

// Once is an Idempotency-Key with what it was sent for. Of equal requests of one
// account within a day the first makes something, and the others get the same.
type Once struct {
	Key     string
	Request []byte // what is asked for, in one spelling

	// Shown: the answer is a page that was seen, or could have been, and a repeat is
	// somebody loading it again. That gets no new secret but an error, which names
	// what the first request made (Error.Made).
	Shown bool
}

// once makes something by create. When the actor's account did so before with the
// same key, it answers by again, which gets what is remembered of it. The memory
// is written in the commit of the change itself (see change): so of two requests
// at once one makes something, and after an outage either both are there or none.
func once[T any](ctx context.Context, a *Admin, by *Actor, op Operation,
	create func(by *Actor) (T, error), again func(by *Actor, seen *store.Idempotency) (T, error),
) (T, error) {
	if by.Once == nil || by.Account() == nil {
		return create(by)
	}
	var none T
	wanted := a.remembering(by, op)
	seen, err := a.remembered(ctx, wanted.ID)
	if err != nil {
		return none, fromStore(op.Name, err)
	}
	if seen == nil || seen.ExpiresAt.Over(a.now()) {
		first := *by
		if first.once = wanted; seen != nil {
			wanted.Revision = seen.Revision // what is over is not deleted yet
		}
		out, err := create(&first)
		if err == nil {
			return out, nil
		}
		// Another request was faster, or the store took it without saying so.
		made, lost := a.remembered(ctx, wanted.ID)
		if lost != nil || made == nil || made.Revision == wanted.Revision {
			return none, err
		}
		seen = made
	}
	if by.Once.Shown {
		return none, a.shownBefore(seen, wanted)
	}
	if seen.Operation != wanted.Operation || seen.Request != wanted.Request {
		return none, refuse(Invalid, "this Idempotency-Key was sent with another request within a day; send a new key, or the same request")
	}
	for range repeatMost {
		out, err := again(by, seen)
		if !errors.Is(err, errReplaced) && !errors.Is(err, store.ErrConflict) {
			return out, err
		}
		// Perhaps an equal request was repeated at the same time, and wrote first.
		now, lost := a.remembered(ctx, wanted.ID)
		switch {
		case lost != nil:
			return none, fromStore(op.Name, lost)
		case now == nil, errors.Is(err, errReplaced) && now.Revision == seen.Revision:
			return none, goneAgain()
		}
		seen = now
	}
	return none, refuse(Stale, "it is being repeated by others at the same time; send it again in a moment")
}

// shownBefore is the answer to a repeat of what a page showed.
func (a *Admin) shownBefore(seen, wanted *store.Idempotency) error {
	if seen.Operation != wanted.Operation || seen.Request != wanted.Request {
		return refuse(Conflict, "this form was sent before, with something else in it, and nothing was made this time; open it again and fill it in anew")
	}
	id, _, _ := strings.Cut(seen.Target, "/")
	return &Error{Kind: Conflict, Message: "this was done before, and what it showed is shown once", Made: id}
}

// repeatMost is how often a repeat gives way to others of its kind.
const repeatMost = 16

// errReplaced: what is remembered is not there. It may be remembered otherwise by
// now.
var errReplaced = errors.New("what the first request made is not there")

// remembering is what is remembered of a request, but what it makes.
func (a *Admin) remembering(by *Actor, op Operation) *store.Idempotency {
	id := sha256.Sum256([]byte(string(by.accountID()) + "\x00" + by.Once.Key))
	request := hmac.New(sha256.New, a.CursorKey) // nobody who reads the store tries out what was in it
	request.Write([]byte("idempotency\x00"))
	request.Write(by.Once.Request)
	return &store.Idempotency{
		ID: hex.EncodeToString(id[:]), Operation: op.Name, Request: hex.EncodeToString(request.Sum(nil)), ExpiresAt: a.now().Add(onceFor),
	}
}

// remembered reads what is remembered by an id; nil if nothing is.
func (a *Admin) remembered(ctx context.Context, id string) (*store.Idempotency, error) {
	r, err := a.Store.Get(ctx, store.KindIdempotency, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	seen, _ := r.(*store.Idempotency)
	return seen, err
}

// remember is what is written with a change that a request with an
// Idempotency-Key makes.
func (by *Actor) remember(e entry) []store.Write {
	if by.once == nil || by.once.Operation != e.operation {
		return nil
	}
	made := *by.once
	if made.Target = e.made; made.Target == "" {
		made.Target = e.after.Key()
	}
	if made.Revision > 0 {
		return []store.Write{store.Update(&made)}
	}
	return []store.Write{store.Insert(&made)}
}

// goneAgain is the answer to a repeat when what the first request made is gone.
func goneAgain() error {
	return refuse(Conflict, "what this Idempotency-Key made is gone; send a new key")
}
