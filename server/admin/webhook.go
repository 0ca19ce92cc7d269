package admin

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"postern/server/notify"
	"postern/server/outbound"
	"postern/server/secret"
	"postern/store"
)

// maxWebhooks is how many a workspace may have: each is written to in the commit
// of a change.
const maxWebhooks = 20

// WebhookInput is a webhook as it is written; nil is left as it is.
type WebhookInput struct {
	Workspace string // of a new one, by id or name; empty is every one, for the installation's administrators
	Name      *string
	URL       *string
	Events    *[]string
	Disabled  *bool
}

// CreateWebhook makes a webhook, and the key that signs what is sent to it, which
// is never shown again.
func (a *Admin) CreateWebhook(ctx context.Context, by *Actor, in WebhookInput) (*store.Webhook, secret.Secret, error) {
	made, err := once(ctx, a, by, opWebhookCreate, func(by *Actor) (newWebhook, error) {
		return a.createWebhook(ctx, by, in)
	}, func(by *Actor, seen *store.Idempotency) (newWebhook, error) {
		return a.webhookAgain(ctx, by, seen)
	})
	return made.webhook, made.key, err
}

// newWebhook is a webhook with its new key.
type newWebhook struct {
	webhook *store.Webhook
	key     secret.Secret
}

func (a *Admin) createWebhook(ctx context.Context, by *Actor, in WebhookInput) (newWebhook, error) {
	var none newWebhook
	w := &store.Webhook{ID: store.NewWebhookID(), CreatedAt: a.now(), CreatedBy: by.accountID()}
	if in.Workspace != "" {
		ws := a.workspace(in.Workspace)
		if ws == nil {
			return none, &Error{Kind: Invalid, Message: "the request has faults", Faults: []Fault{{"workspace", "there is no workspace by this name"}}}
		}
		w.Workspace = ws.ID
	}
	if err := a.must(by, opWebhookCreate, a.lookedAfter(w)); err != nil {
		return none, err
	}
	if err := applyWebhook(w, in); err != nil {
		return none, err
	}
	count := 0
	for _, other := range a.State.Webhooks() {
		if other.Workspace == w.Workspace {
			count++
		}
	}
	if count >= maxWebhooks {
		return none, refuse(Conflict, "there are %d webhooks here already; delete one first", count)
	}
	signer := notify.Signer{}.Rotated(a.now())
	w.Sealed = notify.SealSigner(a.Options.Keys.KEK, w.ID, signer)
	err := a.change(ctx, by, entry{operation: opWebhookCreate.Name, workspace: a.lookedAfter(w), after: w, made: madeKeyOf(w)}, store.Insert(w))
	if err != nil {
		return none, err
	}
	return newWebhook{stored(w, store.OpInsert), signer[0].Text()}, nil
}

// lookedAfter is the workspace whose administrators look after a webhook.
func (a *Admin) lookedAfter(w *store.Webhook) store.WorkspaceID {
	if w.Workspace == "" {
		return a.systemID()
	}
	return w.Workspace
}

func applyWebhook(w *store.Webhook, in WebhookInput) error {
	var f faults
	set(&w.Name, in.Name)
	set(&w.URL, in.URL)
	set(&w.Disabled, in.Disabled)
	if w.Name = strings.TrimSpace(w.Name); utf8.RuneCountInString(w.Name) > maxName {
		f.add("name", "has more than %d characters", maxName)
	}
	if err := outbound.CheckURL(w.URL); err != nil {
		f.add("url", "%s", err) // without the URL, which may hold a secret
	} else if len(w.URL) > maxDescription {
		f.add("url", "has more than %d bytes", maxDescription)
	}
	if in.Events != nil {
		w.Events = nil
		for _, name := range *in.Events {
			switch {
			case !notify.IsEvent(name):
				f.add("events", "there is no event %q", printable(name))
			case !slices.Contains(w.Events, name):
				w.Events = append(w.Events, name)
			}
		}
		slices.Sort(w.Events)
	}
	return f.err()
}

// Webhooks returns the webhooks that the actor may see, of a workspace or of all
// of them, by workspace and name.
func (a *Admin) Webhooks(_ context.Context, by *Actor, workspace string) ([]*store.Webhook, error) {
	ids, all := a.readable(by, opWebhookList)
	if !all && len(ids) == 0 {
		return nil, a.must(by, opWebhookList, a.systemID())
	}
	only := store.WorkspaceID("")
	if workspace != "" {
		ws := a.workspace(workspace)
		if ws == nil || !all && !slices.Contains(ids, ws.ID) {
			return nil, refuse(NotFound, "there is no workspace %q whose webhooks you may see", printable(workspace))
		}
		only = ws.ID
	}
	out := slices.DeleteFunc(slices.Clone(a.State.Webhooks()), func(w *store.Webhook) bool {
		return only != "" && w.Workspace != only || !a.may(by, opWebhookGet, a.lookedAfter(w), string(w.ID))
	})
	slices.SortFunc(out, func(x, y *store.Webhook) int {
		return cmp.Or(cmp.Compare(x.Workspace, y.Workspace), cmp.Compare(x.Name, y.Name), cmp.Compare(x.ID, y.ID))
	})
	return out, nil
}

// Webhook returns a webhook.
func (a *Admin) Webhook(_ context.Context, by *Actor, id string) (*store.Webhook, error) {
	return a.findWebhook(by, opWebhookGet, id)
}

func (a *Admin) findWebhook(by *Actor, op Operation, id string, more ...string) (*store.Webhook, error) {
	w := a.State.Webhook(store.WebhookID(id))
	if w == nil || !a.may(by, opWebhookGet, a.lookedAfter(w), id) {
		return nil, refuse(NotFound, "there is no webhook %q that you may see", printable(id))
	}
	return w, a.must(by, op, a.lookedAfter(w), append([]string{id}, more...)...)
}

// EditWebhook changes a webhook. Revision 0 is any.
func (a *Admin) EditWebhook(ctx context.Context, by *Actor, id string, in WebhookInput, revision int64) (*store.Webhook, error) {
	old, err := a.findWebhook(by, opWebhookEdit, id)
	if err != nil {
		return nil, err
	}
	if revision != 0 && revision != old.Revision {
		return nil, stale(old.Revision)
	}
	w := *old
	if err := applyWebhook(&w, in); err != nil {
		return nil, err
	}
	err = a.change(ctx, by, entry{operation: opWebhookEdit.Name, workspace: a.lookedAfter(&w), before: old, after: &w}, store.Update(&w))
	return stored(&w, store.OpUpdate), err
}

// DeleteWebhook removes a webhook. What waits for it is not sent.
func (a *Admin) DeleteWebhook(ctx context.Context, by *Actor, id string) error {
	old, err := a.findWebhook(by, opWebhookDelete, id)
	if err != nil {
		return err
	}
	return a.change(ctx, by, entry{operation: opWebhookDelete.Name, workspace: a.lookedAfter(old), before: old}, store.Delete(old))
}

// RotateWebhook makes a new signing key, which is never shown again. The old one
// signs beside it for notify.KeyOverlap.
func (a *Admin) RotateWebhook(ctx context.Context, by *Actor, id string) (*store.Webhook, secret.Secret, error) {
	var none secret.Secret
	old, err := a.findWebhook(by, opWebhookRotate, id)
	if err != nil {
		return nil, none, err
	}
	signer, err := notify.OpenSigner(a.Options.Keys.KEK, old)
	if err != nil {
		a.Log.WarnContext(ctx, "the old signing key of a webhook does not open, so it ends now", "webhook", old.ID, "error", err)
	}
	signer = signer.Rotated(a.now())
	w := *old
	w.Sealed = notify.SealSigner(a.Options.Keys.KEK, w.ID, signer)
	if err := a.change(ctx, by, entry{operation: opWebhookRotate.Name, workspace: a.lookedAfter(&w), before: old, after: &w}, store.Update(&w)); err != nil {
		return nil, none, err
	}
	return stored(&w, store.OpUpdate), signer[0].Text(), nil
}

// TestWebhook sends an event to a webhook that says nothing, and returns the
// delivery.
func (a *Admin) TestWebhook(ctx context.Context, by *Actor, id string) (*store.Delivery, error) {
	w, err := a.findWebhook(by, opWebhookTest, id)
	if err != nil {
		return nil, err
	}
	if w.Disabled {
		return nil, refuse(Conflict, "the webhook is disabled; enable it first")
	}
	e := Event{Type: notify.WebhookTest, Workspace: w.Workspace, At: a.now()}
	if acc := by.Account(); acc != nil {
		e.Actor = acc.Name
	}
	write := a.delivery(ctx, string(store.NewDeliveryID(e.At)), e, &store.Delivery{Webhook: w.ID})
	if err := a.change(ctx, by, entry{operation: opWebhookTest.Name, workspace: a.lookedAfter(w), after: w}, write); err != nil {
		return nil, err
	}
	a.wakeDelivery()
	d, _ := write.Stored().(*store.Delivery)
	return d, nil
}

// Deliveries returns a page of the deliveries to a webhook, the newest first:
// those before q.After, of q.Status if that is set.
func (a *Admin) Deliveries(ctx context.Context, by *Actor, id string, q store.DeliveryQuery) ([]*store.Delivery, error) {
	w, err := a.findWebhook(by, opWebhookDeliveries, id)
	if err != nil {
		return nil, err
	}
	q.Webhook, q.Newest = w.ID, true
	out, err := a.Store.Deliveries(ctx, q)
	return out, fromStore(opWebhookDeliveries.Name, err)
}

// RetryDelivery sends once more what has failed or was delivered, by its old id,
// with as many tries as a new one.
func (a *Admin) RetryDelivery(ctx context.Context, by *Actor, id, delivery string) (*store.Delivery, error) {
	w, err := a.findWebhook(by, opDeliveryRetry, id, policySegment(delivery))
	if err != nil {
		return nil, err
	}
	missing := refuse(NotFound, "the webhook has no delivery %q", printable(delivery))
	r, err := a.Store.Get(ctx, store.KindDelivery, delivery)
	if errors.Is(err, store.ErrNotFound) {
		return nil, missing
	}
	if err != nil {
		return nil, fromStore(opDeliveryRetry.Name, err)
	}
	old, ok := r.(*store.Delivery)
	switch {
	case !ok || old.Webhook != w.ID:
		return nil, missing
	case old.Status == store.DeliveryWaiting && old.DueAt <= a.now():
		return nil, refuse(Conflict, "it is being delivered already")
	case w.Disabled:
		return nil, refuse(Conflict, "the webhook is disabled; enable it first")
	}
	d := *old
	d.Status, d.DueAt, d.Tries, d.ExpiresAt = store.DeliveryWaiting, a.now(), 0, 0
	e := entry{operation: opDeliveryRetry.Name, workspace: a.lookedAfter(w), before: old, after: &d, name: d.Event}
	if err := a.change(ctx, by, e, store.Update(&d)); err != nil {
		return nil, err
	}
	a.wakeDelivery()
	return stored(&d, store.OpUpdate), nil
}

// WebhookGone disables a webhook whose receiver answered that it wants no more.
func (a *Admin) WebhookGone(ctx context.Context, old *store.Webhook) error {
	w := *old
	w.Disabled = true
	err := a.change(ctx, &Actor{machine: true}, entry{operation: opWebhookEdit.Name, workspace: a.lookedAfter(old), before: old, after: &w}, store.Update(&w))
	if e, ok := errors.AsType[*Error](err); ok && e.Kind == Stale {
		return nil // somebody changed it at this moment, and knows better
	}
	return err
}

// resealed are the writes that seal the signing keys of webhooks by the first
// key-encryption key.
func (a *Admin) resealed() ([]store.Write, error) {
	kek := a.Options.Keys.KEK
	var out []store.Write
	for _, old := range a.State.Webhooks() {
		signer, err := notify.OpenSigner(kek, old)
		if err != nil {
			return nil, refuse(Conflict, "the signing key of webhook %s does not open; rotate or delete that first", old.ID)
		}
		w := *old
		w.Sealed = notify.SealSigner(kek, w.ID, signer)
		out = append(out, store.Update(&w))
	}
	return out, nil
}
