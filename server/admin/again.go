package admin

import (
	"context"
	"slices"
	"strings"

	"postern/store"
)

// madeSecretOf is what is remembered of a request that made a secret.
func madeSecretOf(client store.ClientID, secret store.SecretID) string {
	return string(client) + "/" + string(secret)
}

// secretAgain answers a repeat of a request that made a secret. Nobody has its
// text any more, and whoever repeats did not get it: so it makes a new one in its
// place, unless the first was used.
func (a *Admin) secretAgain(ctx context.Context, by *Actor, op Operation, seen *store.Idempotency) (*Created, error) {
	id, secretID, _ := strings.Cut(seen.Target, "/")
	old, err := a.client(ctx, by, op, store.ClientID(id))
	if err != nil {
		return nil, err
	}
	if err := a.makesSecret(ctx, by, op, old); err != nil {
		return nil, err
	}
	r, err := a.Store.Get(ctx, store.KindClient, id) // what another node wrote counts here
	if err != nil {
		return nil, fromStore(op.Name, err)
	}
	old, _ = r.(*store.Client)
	now := a.now()
	was := old.Secret(store.SecretID(secretID))
	state := old.State(now)
	if was == nil {
		return nil, errReplaced
	}
	if !was.Live(now) || state != store.ClientActive && state != store.ClientPending {
		return nil, goneAgain()
	}
	a.flushUsage(ctx)
	uses, err := a.Store.LastUses(ctx, old.ID)
	if err != nil {
		return nil, fromStore(op.Name, err)
	}
	if slices.ContainsFunc(uses, func(u store.LastUse) bool { return u.Secret == was.ID && u.SuccessAt != 0 }) {
		return nil, refuse(Conflict, "this request was done before, and the secret that it made is in use; make another secret for client %s", old.ID)
	}
	c := *old
	c.Secrets = slices.DeleteFunc(slices.Clone(old.Secrets), func(s store.ClientSecret) bool { return s.ID == was.ID })
	made := a.addSecret(&c, was.Label, was.ExpiresAt, now)
	again := *seen
	again.Target = madeSecretOf(c.ID, made.id)
	err = a.change(ctx, by, entry{operation: opClientRotate.Name, workspace: c.Workspace, before: old, after: &c, name: c.Name},
		store.Update(&c), store.Update(&again))
	if err != nil {
		return nil, err
	}
	return &Created{Client: stored(&c, store.OpUpdate), Secret: made.text, SecretID: made.id, Warnings: warnSecret(&c)}, nil
}
