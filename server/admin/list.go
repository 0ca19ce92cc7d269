package admin

import (
	"context"
	"slices"

	"postern/store"
)

// ClientList asks for a page of clients.
type ClientList struct {
	Workspace   string // id or name; empty is every one that the actor may see
	Responsible string // id or name; empty does not ask
	Orphaned    bool   // service clients whose responsible person is deactivated, deleted or missing
	Query       store.ClientQuery
	Cursor      string
}

// ClientPage is a page of clients.
type ClientPage struct {
	Clients []*store.Client
	Next    string // the cursor of the next page; empty at the end
	Total   int    // counted up to 10,000
}

const countMost = 10_000

// Clients returns a page of the clients that the actor may see.
func (a *Admin) Clients(ctx context.Context, by *Actor, in ClientList) (*ClientPage, error) {
	ids, all := a.readable(by, opClientList)
	if !all && len(ids) == 0 {
		return nil, refuse(Forbidden, "you may not list clients; ask an owner or admin of your workspace")
	}
	q := in.Query
	q.Now = a.now()
	q.Workspaces = ids
	if in.Workspace != "" {
		w := a.workspace(in.Workspace)
		if w == nil || !all && !slices.Contains(ids, w.ID) {
			return nil, refuse(NotFound, "there is no workspace %q whose clients you may see", printable(in.Workspace))
		}
		q.Workspaces = []store.WorkspaceID{w.ID}
	}
	if q.Limit == 0 {
		q.Limit = 50
	}
	if q.Limit < 1 || q.Limit > 500 {
		return nil, refuse(Invalid, "limit: must be 1 to 500")
	}
	if err := a.answeredFor(ctx, in, &q); err != nil {
		return nil, err
	}
	question := q // a cursor continues this one and no other
	question.Now, question.Limit = 0, 0
	if in.Orphaned {
		question.Responsible = []store.AccountID{"orphaned"} // whoever else is deactivated between two pages
	}
	if in.Cursor != "" {
		q.After = &store.ClientCursor{}
		if err := a.OpenCursor(in.Cursor, question, q.After); err != nil {
			return nil, err
		}
	}
	if q.Unused || q.Sort == store.SortLastUse {
		a.flushUsage(ctx) // or a client would be among the unused ones with its last use beside it
	}
	page := &ClientPage{}
	var err error
	limit := q.Limit
	q.Limit++ // one more tells whether there is a next page
	if page.Clients, err = a.Store.Clients(ctx, q); err != nil {
		return nil, fromStore(opClientList.Name, err)
	}
	if page.Total = len(page.Clients); q.After != nil || page.Total > limit { // else the page has them all: a search is not made twice
		if page.Total, err = a.Store.CountClients(ctx, q, countMost); err != nil {
			return nil, fromStore(opClientList.Name, err)
		}
	}
	if len(page.Clients) > limit {
		page.Clients = page.Clients[:limit]
		last := page.Clients[limit-1]
		value, err := a.sortValue(ctx, last, q.Sort)
		if err != nil {
			return nil, err
		}
		if page.Next, err = a.SealCursor(question, store.ClientCursor{Value: value, ID: last.ID}); err != nil {
			return nil, err
		}
	}
	return page, nil
}

// answeredFor adds the conditions on who is responsible.
func (a *Admin) answeredFor(ctx context.Context, in ClientList, q *store.ClientQuery) error {
	switch {
	case in.Orphaned && (in.Responsible != "" || q.ClientKind == store.ClientPersonal):
		return refuse(Invalid, "orphaned: only service clients are, and nobody usable answers for them; leave kind and responsible out")
	case in.Orphaned:
		q.ClientKind, q.Responsible = store.ClientService, []store.AccountID{""}
		for _, status := range []store.AccountStatus{store.AccountDeactivated, store.AccountDeleted} {
			if err := a.people(ctx, status, func(id store.AccountID) { q.Responsible = append(q.Responsible, id) }); err != nil {
				return fromStore(opClientList.Name, err)
			}
		}
	case in.Responsible != "":
		acc, err := a.account(ctx, in.Responsible)
		if err != nil {
			return refuse(Invalid, "responsible: there is no account %q", printable(in.Responsible))
		}
		q.Responsible = []store.AccountID{acc.ID}
	}
	return nil
}

// people calls yield with every person of a status.
func (a *Admin) people(ctx context.Context, status store.AccountStatus, yield func(store.AccountID)) error {
	q := store.AccountQuery{AccountKind: store.AccountUser, Status: status, Limit: 500}
	for {
		page, err := a.Store.Accounts(ctx, q)
		if err != nil {
			return err
		}
		for _, acc := range page {
			yield(acc.ID)
		}
		if len(page) < q.Limit {
			return nil
		}
		q.After = page[len(page)-1].Name
	}
}

// sortValue is the text that a client has in the sorted column.
func (a *Admin) sortValue(ctx context.Context, c *store.Client, by store.ClientSort) (string, error) {
	var last store.Time
	if by == store.SortLastUse {
		uses, err := a.LastUses(ctx, []*store.Client{c})
		if err != nil {
			return "", err
		}
		last = uses[c.ID].SuccessAt
	}
	return c.SortValue(by, last), nil
}
