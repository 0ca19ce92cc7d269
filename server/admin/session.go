package admin

import (
	"context"
	"encoding/hex"
	"errors"
	"net/netip"
	"time"

	"postern/server/secret"
	"postern/store"
)

// How long a session lives without a request, and at most.
const (
	sessionIdle = 30 * time.Minute
	sessionLife = 8 * time.Hour
	// sessionStep is how much newer a use is than the noted one before it is noted.
	sessionStep = time.Minute
)

var errNoSession = refuse(Unauthenticated, "the session has ended; sign in again")

// StartSession remembers that the actor signed in by password. What it returns is
// for the browser alone: the store keeps its SHA-256.
func (a *Admin) StartSession(ctx context.Context, by *Actor) (secret.Secret, error) {
	acc := by.Account()
	if acc == nil || by.Client != nil {
		return secret.Secret{}, refuse(Forbidden, "a token opens no session; sign in by name and password")
	}
	text := secret.Of(string(secret.AppendRandomDigits(nil, 43)))
	now := a.now()
	s := &store.Session{
		ID: sessionKey(text), Account: acc.ID, Generation: acc.Generation, PasswordAt: acc.PasswordAt, Address: by.Address.String(),
		CreatedAt: now, SeenAt: now, ExpiresAt: now.Add(sessionLife),
	}
	err := a.change(ctx, by, entry{operation: "session.start", workspace: a.systemID(), after: acc, name: acc.Name}, store.Insert(s))
	return text, err
}

func sessionKey(text secret.Secret) string { return hex.EncodeToString(text.Hash()) }

// Session returns who signed in, or Unauthenticated: the session is over, its
// person was deactivated or has another password since.
func (a *Admin) Session(ctx context.Context, text secret.Secret, from netip.Addr, requestID string) (*Actor, error) {
	s, err := a.session(ctx, text)
	if err != nil {
		return nil, err
	}
	now := a.now()
	h, err := a.State.Holder(ctx, s.Account)
	if errors.Is(err, store.ErrNotFound) {
		return nil, errNoSession
	}
	if err != nil {
		return nil, fromStore("read a session", err)
	}
	acc := h.Account
	if s.ExpiresAt.Over(now) || s.SeenAt.Add(sessionIdle).Over(now) || acc.Status != store.AccountActive ||
		acc.Generation != s.Generation || acc.PasswordAt != s.PasswordAt {
		return nil, errNoSession
	}
	if now.Sub(s.SeenAt) > sessionStep {
		seen := *s
		seen.SeenAt = now
		// Of two requests at once one notes it.
		if err := a.Store.Commit(ctx, store.Update(&seen)); err != nil && !errors.Is(err, store.ErrConflict) {
			return nil, fromStore("note a session's use", err)
		}
	}
	return &Actor{Holder: h, AnyScope: true, Address: from, RequestID: requestID}, nil
}

func (a *Admin) session(ctx context.Context, text secret.Secret) (*store.Session, error) {
	if !text.IsSet() {
		return nil, errNoSession
	}
	r, err := a.Store.Get(ctx, store.KindSession, sessionKey(text))
	if errors.Is(err, store.ErrNotFound) {
		return nil, errNoSession
	}
	if err != nil {
		return nil, fromStore("read a session", err)
	}
	s, ok := r.(*store.Session)
	if !ok {
		return nil, errNoSession
	}
	return s, nil
}

// EndSession signs out, on every node. One that has ended already is no error.
func (a *Admin) EndSession(ctx context.Context, by *Actor, text secret.Secret) error {
	s, err := a.session(ctx, text)
	if errors.Is(err, errNoSession) {
		return nil
	}
	if err != nil {
		return err
	}
	e := entry{operation: "session.end", workspace: a.systemID(), after: by.Account()}
	err = a.change(ctx, by, e, store.Delete(s))
	if e, ok := errors.AsType[*Error](err); ok && e.Kind == Stale {
		return a.EndSession(ctx, by, text) // a request noted its use meanwhile
	}
	return err
}
