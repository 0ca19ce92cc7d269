package admin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"postern/server/lease"
	"postern/store"
)

const (
	// ConfirmWithin is how long a client waits for its secret to be confirmed as
	// saved. Then it is gone.
	ConfirmWithin = 15 * time.Minute

	sweepEvery = time.Minute
	sweepBatch = 100
	sweepLease = "unconfirmed-clients"

	opUnconfirmed = "client.unconfirmed" // of the audit; nobody calls it
)

// ConfirmClient activates a pending client: its secret is saved.
func (a *Admin) ConfirmClient(ctx context.Context, by *Actor, id store.ClientID) (*store.Client, error) {
	old, err := a.client(ctx, by, opClientConfirm, id)
	if err != nil {
		return nil, err
	}
	if old.Status != store.ClientPending {
		return nil, refuse(Conflict, "only a pending client is confirmed, and this one is %s", old.State(a.now()))
	}
	c := *old
	c.Status, c.ConfirmBy = store.ClientActive, 0
	err = a.change(ctx, by, entry{operation: opClientConfirm.Name, workspace: c.Workspace, before: old, after: &c, name: c.Name}, store.Update(&c))
	return stored(&c, store.OpUpdate), err
}

// Run deletes clients that were not confirmed in time until ctx is done. An
// outage of the store only delays it: what lapsed works nowhere, and no
// operation finds it any more.
func (a *Admin) Run(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			err := a.Sweep(ctx)
			if err != nil && !failing && ctx.Err() == nil { // one line an outage
				a.Log.WarnContext(ctx, "clients that were not confirmed are not deleted yet", "error", err)
			}
			failing = err != nil
		}
	}
}

// Sweep deletes the clients that were not confirmed in time, unless another node
// holds the lease. That each is deleted once does not depend on the lease, but
// on its revision.
func (a *Admin) Sweep(ctx context.Context) error {
	for {
		now := a.now()
		lapsed, err := a.Store.Clients(ctx, store.ClientQuery{ConfirmBy: now, Now: now, Sort: store.SortCreated, Limit: sweepBatch})
		if err != nil || len(lapsed) == 0 { // so that nothing is written while nothing happens
			return sweepError(err)
		}
		ours, err := a.sweeps(ctx, now)
		if err != nil || !ours {
			return sweepError(err)
		}
		dropped := 0
		for _, c := range lapsed {
			err := a.dropUnconfirmed(ctx, c)
			if errors.Is(err, store.ErrConflict) {
				continue // it was confirmed or changed meanwhile: it is looked at again
			}
			if err != nil {
				return sweepError(err)
			}
			dropped++
		}
		if len(lapsed) < sweepBatch || dropped == 0 {
			return nil
		}
	}
}

func sweepError(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("delete unconfirmed clients: %w", err)
}

// sweeps reports whether this node may sweep now, and takes or renews the lease.
func (a *Admin) sweeps(ctx context.Context, now store.Time) (bool, error) {
	ours, err := lease.Take(ctx, a.Store, sweepLease, a.Node, now, 3*sweepEvery)
	if errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrExists) {
		return false, nil // another node was faster
	}
	return ours && err == nil, err
}

// dropUnconfirmed leaves a tombstone of a client, as a delete does. The technical
// user that was made with it, and that nothing else acts as, goes along.
func (a *Admin) dropUnconfirmed(ctx context.Context, old *store.Client) error {
	if old.Status != store.ClientPending {
		c := *old // a revoke ended the waiting
		c.ConfirmBy = 0
		return a.Store.Commit(ctx, store.Update(&c))
	}
	return a.drop(ctx, &Actor{machine: true}, opUnconfirmed, old)
}

// drop deletes a client that never worked, with its technical user.
func (a *Admin) drop(ctx context.Context, by *Actor, operation string, old *store.Client) error {
	now := a.now()
	c := tombstone(old, now)
	writes, err := a.dropAccount(ctx, old, now)
	if err != nil {
		return err
	}
	return a.change(ctx, by, entry{operation: operation, workspace: c.Workspace, before: old, after: c, name: c.Name},
		append(writes, store.Update(c))...)
}

// dropAccount is what is written to delete the technical user of a client, none
// if it is not the client's alone.
func (a *Admin) dropAccount(ctx context.Context, c *store.Client, now store.Time) ([]store.Write, error) {
	h, err := a.State.Holder(ctx, c.Account)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if h.Account.AccountKind != store.AccountService || h.Account.Status == store.AccountDeleted || h.Account.CreatedAt != c.CreatedAt {
		return nil, nil
	}
	users, err := a.Store.CountClients(ctx, store.ClientQuery{Account: c.Account, Now: now}, 2)
	if err != nil || users > 1 {
		return nil, err
	}
	old := h.Account
	writes := []store.Write{store.Update(&store.Account{
		ID: old.ID, Revision: old.Revision, Generation: old.Generation + 1, AccountKind: old.AccountKind, Name: old.Name,
		Status: store.AccountDeleted, CreatedAt: old.CreatedAt, CreatedBy: old.CreatedBy, DeletedAt: now,
	})}
	for _, g := range h.Grants {
		writes = append(writes, store.Delete(g))
	}
	return writes, nil
}
