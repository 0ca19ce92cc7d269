package admin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"

	"postern/server/notify"
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
	id, _, _ := strings.Cut(seen.Target, "/")
	old, err := a.client(ctx, by, op, store.ClientID(id))
	if err != nil {
		return nil, err
	}
	if err := a.makesSecret(ctx, by, op, old); err != nil {
		return nil, err
	}
	return a.replaceSecret(ctx, by, op, seen)
}

// personalAgain is secretAgain for a personal client. A token that renewed itself
// gets the new one again, while that reaches no further than itself; whoever else
// repeats it must be able to make a secret of it.
func (a *Admin) personalAgain(ctx context.Context, by *Actor, seen *store.Idempotency) (*Created, error) {
	id, _, _ := strings.Cut(seen.Target, "/")
	c, err := a.MyClient(ctx, by, store.ClientID(id))
	if err != nil {
		return nil, err
	}
	with := by.Client
	if with == nil || with.ID != c.Parent {
		return a.secretAgain(ctx, by, opClientRotate, seen)
	}
	if c.AdminAccess && !with.AdminAccess || len(with.Addresses) > 0 && !slices.Equal(c.Addresses, with.Addresses) {
		return nil, a.refused(by, opMeClientMake, a.homeOf(c), "what this token renewed itself to reaches further by now; use your name and password")
	}
	return a.replaceSecret(ctx, by, opMeClientMake, seen)
}

// replaceSecret makes a new secret in place of one that was never used.
func (a *Admin) replaceSecret(ctx context.Context, by *Actor, op Operation, seen *store.Idempotency) (*Created, error) {
	id, secretID, _ := strings.Cut(seen.Target, "/")
	r, err := a.Store.Get(ctx, store.KindClient, id) // what another node wrote counts here
	if err != nil {
		return nil, fromStore(op.Name, err)
	}
	old, _ := r.(*store.Client)
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
	if was.IsKey() { // there is nothing that was lost
		return &Created{Client: old, SecretID: was.ID}, nil
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

// madeKeyOf is what is remembered of a request that made the signing key of a
// webhook: which webhook, and which sealing of a key.
func madeKeyOf(w *store.Webhook) string {
	sealed := sha256.Sum256(w.Sealed)
	return string(w.ID) + "/" + hex.EncodeToString(sealed[:])
}

// webhookAgain answers a repeat of a request that made a webhook, as secretAgain
// does: with a new signing key in place of the first, unless something was
// delivered by that.
func (a *Admin) webhookAgain(ctx context.Context, by *Actor, seen *store.Idempotency) (newWebhook, error) {
	var none newWebhook
	id, _, _ := strings.Cut(seen.Target, "/")
	r, err := a.Store.Get(ctx, store.KindWebhook, id) // what another node wrote counts here
	switch {
	case errors.Is(err, store.ErrNotFound):
		return none, goneAgain()
	case err != nil:
		return none, fromStore(opWebhookCreate.Name, err)
	}
	old, _ := r.(*store.Webhook)
	if err := a.must(by, opWebhookCreate, a.lookedAfter(old)); err != nil {
		return none, err
	}
	if madeKeyOf(old) != seen.Target {
		return none, errReplaced
	}
	done, err := a.Store.Deliveries(ctx, store.DeliveryQuery{Webhook: old.ID, Status: store.DeliveryDone, Limit: 1})
	switch {
	case err != nil:
		return none, fromStore(opWebhookCreate.Name, err)
	case len(done) > 0:
		return none, refuse(Conflict, "this request was done before, and the signing key that it made is in use; make a new key for webhook %s", old.ID)
	}
	signer := notify.Signer{}.Rotated(a.now())
	w := *old
	w.Sealed = notify.SealSigner(a.Options.Keys.KEK, w.ID, signer)
	again := *seen
	again.Target = madeKeyOf(&w)
	err = a.change(ctx, by, entry{operation: opWebhookRotate.Name, workspace: a.lookedAfter(&w), before: old, after: &w}, store.Update(&w), store.Update(&again))
	if err != nil {
		return none, err
	}
	return newWebhook{stored(&w, store.OpUpdate), signer[0].Text()}, nil
}
