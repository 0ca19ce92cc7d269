package admin

import (
	"context"
	"slices"

	"postern/store"
)

// departure is what takes an owner away from workspaces: an account that goes,
// its membership of some teams, or one grant.
type departure struct {
	account store.AccountID
	teams   []store.TeamID // only the account's membership of these
	grant   store.GrantID
}

// ownerRemains reports whether a workspace still has an owner after a departure:
// an active account that holds the role itself or by a team.
func (a *Admin) ownerRemains(ctx context.Context, ws *store.Workspace, owner store.RoleID, d departure) (bool, error) {
	grants, err := a.Store.Grants(ctx, store.GrantQuery{Workspace: ws.ID, Role: owner, Limit: -1})
	if err != nil {
		return false, err
	}
	for _, g := range grants {
		if g.ID == d.grant || !names(g.Roles, owner) {
			continue
		}
		remains, err := a.activeHolder(ctx, g.Holder, d)
		if remains || err != nil {
			return remains, err
		}
	}
	return false, nil
}

// activeHolder reports whether an active account holds what a holder does, after
// a departure.
func (a *Admin) activeHolder(ctx context.Context, h store.HolderID, d departure) (bool, error) {
	if !h.IsTeam() {
		if store.AccountID(h) == d.account && len(d.teams) == 0 {
			return false, nil
		}
		holder, err := a.State.Holder(ctx, store.AccountID(h))
		if err != nil {
			return false, err
		}
		return holder.Account.Status == store.AccountActive, nil
	}
	// Two are enough: one of them may be who leaves.
	members, err := a.Store.Accounts(ctx, store.AccountQuery{Team: store.TeamID(h), Status: store.AccountActive, Limit: 2})
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(members, func(m *store.Account) bool {
		return m.ID != d.account || len(d.teams) > 0 && !slices.Contains(d.teams, store.TeamID(h))
	}), nil
}

// keepOwners refuses a departure that would leave a workspace without an owner.
// What is to be written along makes sure that of two who leave at the same
// moment one is too late: it raises the revision of each workspace concerned.
func (a *Admin) keepOwners(ctx context.Context, op Operation, account *store.Account, d departure) (also []store.Write, err error) {
	if account.Status != store.AccountActive {
		return nil, nil
	}
	grants, err := a.grantsThrough(ctx, account, d.teams)
	if err != nil {
		return nil, fromStore(op.Name, err)
	}
	done := map[store.WorkspaceID]bool{}
	for _, g := range grants {
		ws := a.State.Workspace(g.Workspace)
		if ws == nil || done[ws.ID] {
			continue
		}
		owner := a.State.RoleByRef(ws.Name + "/" + RoleOwner)
		if owner == nil || !names(g.Roles, owner.ID) {
			continue
		}
		done[ws.ID] = true
		remains, err := a.ownerRemains(ctx, ws, owner.ID, d)
		if err != nil {
			return nil, fromStore(op.Name, err)
		}
		if !remains {
			return nil, refuse(Conflict, "%s is the last owner of workspace %s; make another one first", account.Name, ws.Name)
		}
		also = append(also, store.Update(ws))
	}
	return also, nil
}

// grantsThrough returns what an account holds by some teams or, without any, all
// that it holds itself and by its teams.
func (a *Admin) grantsThrough(ctx context.Context, account *store.Account, teams []store.TeamID) ([]*store.Grant, error) {
	var holders []store.HolderID
	if len(teams) == 0 {
		holders, teams = []store.HolderID{store.HolderID(account.ID)}, account.Teams
	}
	for _, t := range teams {
		holders = append(holders, store.HolderID(t))
	}
	var out []*store.Grant
	for _, h := range holders {
		held, err := a.Store.GrantsOf(ctx, h)
		if err != nil {
			return nil, err
		}
		out = append(out, held...)
	}
	return out, nil
}
