package admin

import (
	"context"
	"slices"

	"postern/store"
)

// UsageReport is who called what, when.
type UsageReport struct {
	Counters []store.Usage
	LastUses []store.LastUse
}

// Usage returns the counters of the hours from <= hour < to, and the last uses,
// of one client or of all that the actor may see.
func (a *Admin) Usage(ctx context.Context, by *Actor, client store.ClientID, from, to store.Time) (*UsageReport, error) {
	var clients []store.ClientID
	if client != "" {
		c, err := a.client(ctx, by, opClientGet, client)
		if err != nil {
			return nil, err
		}
		clients = []store.ClientID{c.ID}
	} else {
		ids, all := a.readable(by, opUsage)
		if !all && len(ids) == 0 {
			return nil, refuse(Forbidden, "you may not read usage; ask an owner, admin or auditor of your workspace")
		}
		found, err := a.Store.Clients(ctx, store.ClientQuery{Workspaces: ids, Sort: store.SortLastUse, Desc: true, Limit: 500, Now: a.now()})
		if err != nil {
			return nil, fromStore(opUsage.Name, err)
		}
		for _, c := range found {
			clients = append(clients, c.ID)
		}
		if len(clients) == 0 {
			return &UsageReport{}, nil
		}
	}
	a.flushUsage(ctx)
	rows, err := a.Store.Usage(ctx, store.UsageQuery{From: from, To: to, Clients: clients, Limit: 10_000})
	if err != nil {
		return nil, fromStore(opUsage.Name, err)
	}
	uses, err := a.Store.LastUses(ctx, clients...)
	return &UsageReport{rows, uses}, fromStore(opUsage.Name, err)
}

// LastUses returns the last use of each of these clients over all its secrets,
// for lists. Who may see the clients may see it.
func (a *Admin) LastUses(ctx context.Context, clients []*store.Client) (map[store.ClientID]store.LastUse, error) {
	ids := make([]store.ClientID, len(clients))
	for i, c := range clients {
		ids[i] = c.ID
	}
	out := make(map[store.ClientID]store.LastUse, len(ids))
	if len(ids) == 0 {
		return out, nil
	}
	rows, err := a.Store.LastUses(ctx, ids...)
	for _, r := range rows {
		out[r.Client] = later(out[r.Client], r)
	}
	return out, fromStore(opUsage.Name, err)
}

// AccountNames returns the names of accounts, for lists.
func (a *Admin) AccountNames(ctx context.Context, clients []*store.Client) map[store.AccountID]string {
	out := map[store.AccountID]string{}
	for _, c := range clients {
		for _, id := range slices.Compact([]store.AccountID{c.Account, c.CreatedBy, c.Responsible}) {
			if _, known := out[id]; known || id == "" {
				continue
			}
			if h, err := a.State.Holder(ctx, id); err == nil {
				out[id] = h.Account.Name
			}
		}
	}
	return out
}
