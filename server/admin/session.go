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
	// halfLife is how long there is to enter a code after the password.
	halfLife = 5 * time.Minute
	// freshFor is how long a proof of who it is suffices for what asks for one.
	freshFor = 10 * time.Minute
	// sessionStep is how much newer a use is than the noted one before it is noted.
	sessionStep = time.Minute
)

var errNoSession = refuse(Unauthenticated, "the session has ended; sign in again")

// SignedIn is a session as the console sees it.
type SignedIn struct {
	Actor     *Actor
	Fresh     bool // who it is was proved within the last 10 minutes: secrets, owners and keys ask for that
	NeedsCode bool // the password was right, the second factor is still missing: nothing goes but EnterCode and EndSession
}

// StartSession remembers that the actor signed in: by SignIn or SignInOIDC, or by
// another session, such as after ChangePassword, which ends that one. For an account with
// a second factor that was not asked for yet it is half a session, which lasts
// five minutes and is good for EnterCode. What it returns is for the browser
// alone: the store keeps its SHA-256.
func (a *Admin) StartSession(ctx context.Context, by *Actor) (secret.Secret, error) {
	acc := by.Account()
	if acc == nil || by.Client != nil {
		return secret.Secret{}, refuse(Forbidden, "a token opens no session; sign in by name and password")
	}
	text, s := a.newSession(by)
	operation := "session.start"
	if by.needsCode() {
		operation = "session.half" // a password was right
		s.ExpiresAt = s.CreatedAt.Add(halfLife)
	}
	err := a.change(ctx, by, entry{operation: operation, workspace: a.systemID(), after: acc, name: acc.Name}, store.Insert(s))
	return text, err
}

func (a *Admin) newSession(by *Actor) (secret.Secret, *store.Session) {
	acc, now := by.Account(), a.now()
	text := secret.Of(string(secret.AppendRandomDigits(nil, 43)))
	proved := now
	if by.proved != 0 {
		proved = min(by.proved, now)
	}
	return text, &store.Session{
		ID: sessionKey(text), Account: acc.ID, Generation: acc.Generation, PasswordAt: acc.PasswordAt, SecondDone: by.second,
		Address: by.Address.String(), ProvedAt: proved, CreatedAt: now, SeenAt: now, ExpiresAt: now.Add(sessionLife),
	}
}

func sessionKey(text secret.Secret) string { return hex.EncodeToString(text.Hash()) }

// Session returns who signed in, or Unauthenticated: the session is over, its
// person was deactivated or has another password since. One of a password alone,
// whose account has a second factor by now, needs a code.
func (a *Admin) Session(ctx context.Context, text secret.Secret, from netip.Addr, requestID string) (*SignedIn, error) {
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
	by := &Actor{Holder: h, AnyScope: true, Address: from, RequestID: requestID, second: s.SecondDone, session: s.ID}
	return &SignedIn{Actor: by, Fresh: now.Sub(s.ProvedAt) < freshFor, NeedsCode: by.needsCode()}, nil
}

func (a *Admin) session(ctx context.Context, text secret.Secret) (*store.Session, error) {
	if !text.IsSet() {
		return nil, errNoSession
	}
	return a.sessionAt(ctx, sessionKey(text))
}

func (a *Admin) sessionAt(ctx context.Context, key string) (*store.Session, error) {
	r, err := a.Store.Get(ctx, store.KindSession, key)
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

// EnterCode makes half a session a whole one: it ends it and starts another, by a
// code of the second factor or a recovery code, each of which is good once. A
// code that is not good is Unauthenticated, as is a session that is over;
// attempts are counted as those by password are.
func (a *Admin) EnterCode(ctx context.Context, text secret.Secret, code string, from netip.Addr, requestID string) (secret.Secret, error) {
	half, err := a.Session(ctx, text, from, requestID)
	if err != nil {
		return secret.Secret{}, err
	}
	if !half.NeedsCode {
		return secret.Secret{}, refuse(Conflict, "you are signed in already")
	}
	by := half.Actor
	if err := a.EnterOTP(ctx, by, code); err != nil {
		return secret.Secret{}, err
	}
	var next secret.Secret
	err = a.onSession(ctx, text, func(s *store.Session) error {
		var whole *store.Session
		next, whole = a.newSession(by)
		e := entry{operation: "session.start", workspace: a.systemID(), after: by.Account(), name: by.Account().Name}
		return a.change(ctx, by, e, store.Delete(s), store.Insert(whole))
	})
	return next, err
}

// Freshen proves once more, by the password, who a session's person is: for ten
// minutes it is fresh again. Attempts are counted as those to sign in are; a wrong
// password is Invalid, at "password".
func (a *Admin) Freshen(ctx context.Context, by *Actor, text, password secret.Secret) error {
	if reason := by.halted(); by.needsCode() {
		return refuse(Forbidden, "%s", reason)
	}
	s, err := a.session(ctx, text)
	if err != nil {
		return err
	}
	if s.Account != by.accountID() {
		return errNoSession
	}
	if err := a.provePassword(ctx, by, password); err != nil {
		return err
	}
	return a.onSession(ctx, text, func(s *store.Session) error {
		s.ProvedAt = a.now()
		return fromStore("freshen a session", a.Store.Commit(ctx, store.Update(s)))
	})
}

// EndSession signs out, on every node. One that has ended already is no error.
func (a *Admin) EndSession(ctx context.Context, by *Actor, text secret.Secret) error {
	err := a.onSession(ctx, text, func(s *store.Session) error {
		return a.change(ctx, by, entry{operation: "session.end", workspace: a.systemID(), after: by.Account()}, store.Delete(s))
	})
	if errors.Is(err, errNoSession) {
		return nil
	}
	return err
}

// onSession changes a session's record, which do gets, and again when another
// request noted its use meanwhile.
func (a *Admin) onSession(ctx context.Context, text secret.Secret, do func(s *store.Session) error) error {
	for {
		s, err := a.session(ctx, text)
		if err != nil {
			return err
		}
		err = do(s)
		if e, ok := errors.AsType[*Error](err); !ok || e.Kind != Stale {
			return err
		}
	}
}
