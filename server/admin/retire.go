package admin

import (
	"context"
	"slices"
	"time"

	"postern/store"
)

// InUseFor is how long after its last success a secret counts as in use. A job
// that runs once a day is found out by it.
const InUseFor = 24 * time.Hour

// Retirement is the input for RetireSecret.
type Retirement struct {
	Overlap  time.Duration // how long the secret goes on; 0 ends it now, with the tokens it minted
	Force    bool          // though it is in use
	Revision int64         // of If-Match; 0 is any
}

// RetireSecret ends one secret of a client. While someone uses it that is
// refused, with who, unless it is forced. A success by a token that the secret
// minted is a use of it too. What another node saw in the last seconds may not
// be known yet.
func (a *Admin) RetireSecret(ctx context.Context, by *Actor, id store.ClientID, secretID store.SecretID, in Retirement) (*store.Client, error) {
	old, err := a.client(ctx, by, opSecretRevoke, id)
	if err != nil {
		return nil, err
	}
	now := a.now()
	c := *old
	c.Secrets = slices.Clone(old.Secrets)
	s := c.Secret(secretID)
	switch {
	case in.Revision != 0 && in.Revision != old.Revision:
		return nil, stale(old.Revision)
	case in.Overlap < 0:
		return nil, refuse(Invalid, "overlap: cannot be negative")
	case s == nil:
		return nil, refuse(NotFound, "the client has no secret %q", printable(string(secretID)))
	case s.RevokedAt != 0:
		return nil, refuse(Conflict, "this secret is revoked already")
	}
	if !in.Force && s.Live(now) && old.State(now) == store.ClientActive {
		if err := a.inUse(ctx, id, secretID, now); err != nil {
			return nil, err
		}
	}
	*s = retire(*s, now, in.Overlap)
	err = a.change(ctx, by, entry{operation: opSecretRevoke.Name, workspace: c.Workspace, before: old, after: &c, name: c.Name}, store.Update(&c))
	return stored(&c, store.OpUpdate), err
}

// inUse is the refusal to retire a secret that was used lately; nil if it was
// not.
func (a *Admin) inUse(ctx context.Context, id store.ClientID, secretID store.SecretID, now store.Time) error {
	a.flushUsage(ctx)
	uses, err := a.Store.LastUses(ctx, id)
	if err != nil {
		return fromStore(opSecretRevoke.Name, err)
	}
	for _, u := range uses {
		if u.Secret != secretID || u.SuccessAt == 0 || now.Sub(u.SuccessAt) >= InUseFor {
			continue
		}
		who := "an unknown address"
		if u.SuccessAddress != "" {
			who = u.SuccessAddress
		}
		if u.SuccessEndpoint != "" {
			who += " for " + u.SuccessEndpoint
		}
		return refuse(Conflict, "this secret is in use: last at %s from %s; move that caller to another secret, or force it", u.SuccessAt, who)
	}
	return nil
}
