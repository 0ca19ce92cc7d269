package admin

import (
	"context"
	"errors"

	"postern/server/notify"
	"postern/server/secret"
	"postern/server/token"
	"postern/store"
)

//nolint:gochecknoglobals // a constant, were there constant structs
var opLeakReport = Operation{Name: "client.leak", Method: "POST", Path: root + "/leaks", Tag: "clients", Text: "Report secrets and access tokens that leaked; anybody may", Public: true}

// Leaked is a credential that somebody found where it should not be. What can be
// said about it without a look into the store was found to be right: the
// checksum of a secret, the signature or seal of an access token.
type Leaked struct {
	Secret secret.Secret
	Client store.ClientID // the one that Secret says it is of
	Token  *token.Token   // nil for a secret
}

func (l *Leaked) client() store.ClientID {
	if l.Token != nil {
		return l.Token.ClientID
	}
	return l.Client
}

// What was done about a leaked credential, for Options.OnLeak.
const (
	LeakEndedSecret = "secret"
	LeakEndedToken  = "token"
	LeakEndedClient = "client"
	LeakAlerted     = "alert"
)

// leakTries is how often a report is begun anew because somebody else changed
// the client meanwhile.
const leakTries = 5

// ReportLeaks deals with credentials that leaked, by the policy of each client's
// workspace. Anybody may report: who holds a credential can only end it by that.
// What is unknown, expired or revoked already stays as it is, and the result
// says nothing of what matched. An error means that the store gave no answer
// about some of it; to report it again is right and does no harm.
//
// By the policy "revoke", which is that of clients without a workspace too, a
// secret ends for ever, and with it the tokens it minted; an access token ends
// alone, since its secret is not known to anybody by it. By "client" either ends
// the client, for the reason "leaked", which is never restored. By "alert"
// nothing ends, and the secret is marked.
func (a *Admin) ReportLeaks(ctx context.Context, by *Actor, found []Leaked) error {
	reporter := &Actor{Address: by.Address, RequestID: by.RequestID, stranger: true}
	var order []store.ClientID
	of := map[store.ClientID][]Leaked{}
	for _, l := range found {
		id := l.client()
		if !validClientID(string(id)) {
			continue
		}
		if of[id] == nil {
			order = append(order, id)
		}
		of[id] = append(of[id], l)
	}
	var failed error
	for _, id := range order {
		if err := a.leakedOf(ctx, reporter, id, of[id]); err != nil {
			failed = errors.Join(failed, err)
		}
	}
	if failed != nil {
		return &Error{Kind: Unavailable, Message: "the store does not answer; send the report again shortly", Err: failed}
	}
	return nil
}

// leakedOf deals with the leaked credentials of one client.
func (a *Admin) leakedOf(ctx context.Context, by *Actor, id store.ClientID, found []Leaked) error {
	c, err := a.State.Client(ctx, id)
	for try := 1; ; try++ {
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		r, err := a.leakResponse(ctx, by, c, found)
		if err != nil || len(r.writes) == 0 {
			return err
		}
		err = a.Store.Commit(ctx, r.writes...)
		if down, _ := errors.AsType[*store.Unavailable](err); err == nil || down != nil && down.Saved {
			a.OnLeak(r.done)
			a.wakeDelivery()
			return nil
		}
		if !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrExists) || try == leakTries {
			return err
		}
		// Somebody changed the client first, maybe by the same report.
		c, err = a.clientNow(ctx, id)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// clientNow reads a client past the cache.
func (a *Admin) clientNow(ctx context.Context, id store.ClientID) (*store.Client, error) {
	r, err := a.Store.Get(ctx, store.KindClient, string(id))
	if err != nil {
		return nil, err
	}
	c, ok := r.(*store.Client)
	if !ok {
		return nil, store.ErrNotFound
	}
	return c, nil
}

// leakResponse is what a report leads to for one client.
type leakResponse struct {
	writes []store.Write
	done   string
}

// leakResponse works out what to do about leaked credentials of a client.
func (a *Admin) leakResponse(ctx context.Context, by *Actor, old *store.Client, found []Leaked) (leakResponse, error) {
	l := &leaking{a: a, by: by, now: a.now(), policy: a.leakPolicy(old.Workspace), old: old, c: *old}
	l.c.Secrets = append([]store.ClientSecret(nil), old.Secrets...)
	switch state := old.State(l.now); {
	case state == store.ClientExpired, state == store.ClientDeleted, state == store.ClientRevoked && old.RevokedReason == store.ReasonLeaked:
		return leakResponse{}, nil
	}
	for _, f := range found {
		if f.Token == nil {
			l.secret(f.Secret)
		}
	}
	for _, f := range found { // of those whose secret is good still
		if f.Token == nil {
			continue
		}
		if err := l.token(ctx, f.Token); err != nil {
			return leakResponse{}, err
		}
	}
	if l.changed {
		for _, e := range changes(old, &l.c) { // for programs; people are told of the leak
			l.writes = append(l.writes, a.event(ctx, e)...)
		}
		e := a.entry(by, entry{operation: opLeakReport.Name, workspace: old.Workspace, before: old, after: &l.c, name: old.Name})
		l.writes = append(l.writes, store.Update(&l.c), store.Insert(e))
	}
	if len(l.writes) > 0 {
		l.writes = append(l.writes, a.event(ctx, Event{
			Type: notify.ClientLeaked, Workspace: old.Workspace, Client: &l.c, Secret: l.leaked, Reason: l.done, Mail: a.responsible(ctx, old),
		})...)
	}
	return leakResponse{l.writes, l.done}, nil
}

func (a *Admin) leakPolicy(ws store.WorkspaceID) store.LeakPolicy {
	if w := a.State.Workspace(ws); w != nil && w.LeakPolicy != "" {
		return w.LeakPolicy
	}
	return store.LeakRevokeSecret
}

// leaking is a client while its leaked credentials are dealt with.
type leaking struct {
	a       *Admin
	by      *Actor
	now     store.Time
	policy  store.LeakPolicy
	old     *store.Client
	c       store.Client // as it will be
	changed bool
	revoked map[string]bool // tokens, by their jti
	writes  []store.Write
	done    string
	leaked  *store.ClientSecret // it, or a token of it
}

// secret deals with a text that says it is a secret of the client.
func (l *leaking) secret(text secret.Secret) {
	hash := text.Hash()
	for i := range l.c.Secrets {
		if s := &l.c.Secrets[i]; secret.EqualHash(hash, s.Hash) && s.Live(l.now) {
			l.end(s, true)
		}
	}
}

// token deals with an access token that the client was given.
func (l *leaking) token(ctx context.Context, t *token.Token) error {
	s := l.c.Secret(t.SecretID)
	expires := store.Time(t.ExpiresAt * 1000)
	if s == nil || !s.Live(l.now) || expires.Over(l.now) || l.revoked[t.ID] || l.a.State.Revoked(t.ID) {
		return nil
	}
	h, err := l.a.State.Holder(ctx, l.c.Account)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	inst := l.a.State.Installation()
	if inst == nil || t.Gen != token.Gen(inst, l.a.State.Workspace(t.Workspace), h.Account, l.old, s) {
		return nil // it is dead
	}
	if l.policy != store.LeakRevokeSecret {
		l.end(s, false)
		return nil
	}
	if l.a.State.RevokedOf(l.c.ID)+len(l.revoked) >= maxRevoked {
		l.end(s, true) // there is no room to remember one more token
		return nil
	}
	if l.revoked == nil {
		l.revoked = map[string]bool{}
	}
	l.revoked[t.ID] = true
	r := &store.Revocation{ID: t.ID, Client: l.c.ID, Audience: t.Audience, ExpiresAt: expires}
	e := l.a.entry(l.by, entry{operation: opLeakReport.Name, workspace: l.old.Workspace, after: r, name: l.old.Name})
	l.writes = append(l.writes, store.Insert(r), store.Insert(e))
	l.leaked = s
	if l.done == "" {
		l.done = LeakEndedToken
	}
	return nil
}

// end does what the policy says about a live secret, or about a token of it that
// leaked alone.
func (l *leaking) end(s *store.ClientSecret, itself bool) {
	switch l.policy {
	case store.LeakAlert:
		if s.LeakedAt != 0 {
			return // people know
		}
		l.done = LeakAlerted
	case store.LeakRevokeClient:
		if l.c.RevokedReason == store.ReasonLeaked {
			return
		}
		if l.c.Status != store.ClientRevoked {
			l.c.RevokedAt = l.now
		}
		l.c.Status, l.c.RevokedReason = store.ClientRevoked, store.ReasonLeaked
		l.c.Generation++
		l.done = LeakEndedClient
	default:
		if !itself {
			return
		}
		*s = retire(*s, l.now, 0)
		l.done = LeakEndedSecret
	}
	s.LeakedAt, l.leaked, l.changed = l.now, s, true
}
