package admin

import (
	"context"
	"errors"

	"postern/store"
)

// maxRevoked is how many revoked tokens of one client are remembered at once.
// All of them are in every node's memory.
const maxRevoked = 10_000

// ErrTooManyRevoked refuses to remember one more revoked token of a client;
// rotating its secret ends them all.
var ErrTooManyRevoked = errors.New("too many revoked tokens")

// RevokeToken kills an access token of the actor's own client until it would
// have expired anyway. The gateways of its audience are told. Doing it again changes nothing.
func (a *Admin) RevokeToken(ctx context.Context, by *Actor, jti string, audience []string, expires store.Time) error {
	if a.State.RevokedOf(by.Client.ID) >= maxRevoked {
		return ErrTooManyRevoked
	}
	r := &store.Revocation{ID: jti, Client: by.Client.ID, Audience: audience, ExpiresAt: expires}
	e := a.entry(by, entry{operation: "token.revoke", workspace: by.Client.Workspace, after: r})
	err := a.Store.Commit(ctx, store.Insert(r), store.Insert(e))
	if errors.Is(err, store.ErrExists) {
		return nil
	}
	return err
}
