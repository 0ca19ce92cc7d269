package admin

import (
	"context"

	"postern/store"
)

// Accounts returns a page of people and technical users, by name.
func (a *Admin) Accounts(ctx context.Context, by *Actor, q store.AccountQuery) ([]*store.Account, error) {
	if err := a.must(by, opAccountList, a.accountWorkspace(by)); err != nil {
		return nil, err
	}
	out, err := a.Store.Accounts(ctx, q)
	return out, fromStore(opAccountList.Name, err)
}

// Account returns an account by id or name.
func (a *Admin) Account(ctx context.Context, by *Actor, idOrName string) (*store.Account, error) {
	if err := a.must(by, opAccountGet, a.accountWorkspace(by), policySegment(idOrName)); err != nil {
		return nil, err
	}
	return a.account(ctx, idOrName)
}

// accountWorkspace is where a right to see accounts counts. Accounts belong to
// the installation, and an admin of any workspace may see them, to grant to
// them there.
func (a *Admin) accountWorkspace(by *Actor) store.WorkspaceID {
	if ids, all := a.readable(by, opAccountList); !all && len(ids) > 0 {
		return ids[0]
	}
	return a.systemID()
}
