package admin

import (
	"cmp"
	"context"
	"slices"
	"time"

	"postern/store"
)

// WorkspaceInput is a workspace as it is written; nil is left as it is.
type WorkspaceInput struct {
	Name           string // of a new one
	Description    *string
	APIAccess      *bool
	WhoMayCreate   *store.WhoMayCreate
	MaxLifetime    *time.Duration
	NeverForbidden *bool
	PersonalPeople *[]string // ids or names of people
	Lifetimes      *[]Expiry // the only ones a client may have; none is any
	PersonalAuto   *bool
	LeakPolicy     *store.LeakPolicy
}

// CreateWorkspace makes a workspace with its built-in roles, owned by the actor.
func (a *Admin) CreateWorkspace(ctx context.Context, by *Actor, in WorkspaceInput) (*store.Workspace, error) {
	return once(ctx, a, by, opWorkspaceCreate, func(by *Actor) (*store.Workspace, error) {
		return a.createWorkspace(ctx, by, in)
	}, func(by *Actor, seen *store.Idempotency) (*store.Workspace, error) {
		if a.State.Workspace(store.WorkspaceID(seen.Target)) == nil {
			return nil, goneAgain()
		}
		return a.Workspace(ctx, by, seen.Target)
	})
}

func (a *Admin) createWorkspace(ctx context.Context, by *Actor, in WorkspaceInput) (*store.Workspace, error) {
	system := a.systemID()
	if err := a.must(by, opWorkspaceCreate, system); err != nil {
		return nil, err
	}
	w := &store.Workspace{
		ID: store.NewWorkspaceID(), Generation: 1, Name: in.Name, APIAccess: true,
		WhoMayCreate: store.CreateAdministrators, CreatedAt: a.now(), CreatedBy: by.accountID(),
	}
	if err := a.applyWorkspace(ctx, w, in); err != nil {
		return nil, err
	}
	writes := newWorkspace(w)
	if acc := by.Account(); acc != nil {
		owner := writes[1].Record.Key()
		writes = append(writes, store.Insert(newGrant(store.HolderID(acc.ID), w.ID, []store.GrantedRole{{Role: store.RoleID(owner)}}, w.CreatedAt)))
	}
	err := a.change(ctx, by, entry{operation: opWorkspaceCreate.Name, workspace: w.ID, after: w, name: w.Name}, writes...)
	return stored(w, store.OpInsert), err
}

// newWorkspace is what is written for a new workspace: itself, then its
// built-in roles, the owner's first.
func newWorkspace(w *store.Workspace) []store.Write {
	writes := []store.Write{store.Insert(w)}
	for _, r := range workspaceRoles(w, w.CreatedAt) {
		writes = append(writes, store.Insert(r))
	}
	return writes
}

func (a *Admin) applyWorkspace(ctx context.Context, w *store.Workspace, in WorkspaceInput) error {
	var f faults
	if !isSlug(w.Name) {
		f.add("name", slugRule)
	}
	set(&w.Description, in.Description)
	if len(w.Description) > maxDescription {
		f.add("description", "has more than %d bytes", maxDescription)
	}
	set(&w.APIAccess, in.APIAccess)
	set(&w.WhoMayCreate, in.WhoMayCreate)
	set(&w.NeverForbidden, in.NeverForbidden)
	switch w.WhoMayCreate {
	case store.CreateAdministrators, store.CreateEveryone, store.CreateNamed:
	default:
		f.add("who_may_create", "must be administrators, everyone or named")
	}
	if in.MaxLifetime != nil {
		if *in.MaxLifetime < 0 {
			f.add("max_lifetime", "cannot be negative; 0 is no cap")
		}
		w.MaxLifetime = int64(*in.MaxLifetime / time.Second)
	}
	set(&w.PersonalAuto, in.PersonalAuto)
	set(&w.LeakPolicy, in.LeakPolicy)
	switch w.LeakPolicy {
	case "", store.LeakRevokeSecret, store.LeakRevokeClient, store.LeakAlert:
	default:
		f.add("leak_policy", "must be revoke, client or alert")
	}
	if in.PersonalPeople != nil {
		w.PersonalPeople = a.namedPeople(ctx, &f, "personal_people", *in.PersonalPeople)
	}
	if in.Lifetimes != nil {
		w.Lifetimes = nil
		for i, e := range *in.Lifetimes {
			switch seconds := int64(e.For / time.Second); {
			case e.Never:
				w.Lifetimes = append(w.Lifetimes, store.LifetimeNever)
			case seconds < 1:
				f.add(at("lifetimes", i), "must be a lifetime such as 90d, or never")
			default:
				w.Lifetimes = append(w.Lifetimes, seconds)
			}
		}
	}
	return f.err()
}

// Workspace returns a workspace by id or name.
func (a *Admin) Workspace(ctx context.Context, by *Actor, idOrName string) (*store.Workspace, error) {
	return a.findWorkspace(by, opWorkspaceGet, idOrName)
}

func (a *Admin) findWorkspace(by *Actor, op Operation, idOrName string) (*store.Workspace, error) {
	w := a.workspace(idOrName)
	if w == nil || !a.may(by, opWorkspaceGet, w.ID, string(w.ID)) {
		return nil, refuse(NotFound, "there is no workspace %q that you may see", printable(idOrName))
	}
	return w, a.must(by, op, w.ID, string(w.ID))
}

// Workspaces returns the workspaces that the actor may see, by name.
func (a *Admin) Workspaces(_ context.Context, by *Actor) ([]*store.Workspace, error) {
	out := slices.DeleteFunc(slices.Clone(a.State.Workspaces()), func(w *store.Workspace) bool {
		return !a.may(by, opWorkspaceGet, w.ID, string(w.ID))
	})
	slices.SortFunc(out, func(x, y *store.Workspace) int { return cmp.Compare(x.Name, y.Name) })
	return out, nil
}

// EditWorkspace changes a workspace's description and settings. Switching API
// access off kills the tokens that were minted for it, for good.
func (a *Admin) EditWorkspace(ctx context.Context, by *Actor, idOrName string, in WorkspaceInput, revision int64) (*store.Workspace, error) {
	old, err := a.findWorkspace(by, opWorkspaceEdit, idOrName)
	if err != nil {
		return nil, err
	}
	if err := atRevision(revision, old.Revision); err != nil {
		return nil, err
	}
	w := *old
	if err := a.applyWorkspace(ctx, &w, in); err != nil {
		return nil, err
	}
	if w.Name == store.SystemWorkspace && !w.APIAccess {
		return nil, refuse(Conflict, "API access of the workspace system cannot be switched off: nobody could switch it on again")
	}
	if old.APIAccess && !w.APIAccess {
		w.Generation++
	}
	err = a.change(ctx, by, entry{operation: opWorkspaceEdit.Name, workspace: w.ID, before: old, after: &w, name: w.Name}, store.Update(&w))
	return stored(&w, store.OpUpdate), err
}

// namedPeople finds accounts of people by id or name.
func (a *Admin) namedPeople(ctx context.Context, f *faults, place string, names []string) []store.AccountID {
	var out []store.AccountID
	for i, name := range names {
		acc, err := a.account(ctx, name)
		switch {
		case err != nil || acc.AccountKind != store.AccountUser || acc.Status == store.AccountDeleted:
			f.add(at(place, i), "there is no person %q", printable(name))
		case !slices.Contains(out, acc.ID):
			out = append(out, acc.ID)
		}
	}
	return out
}

// TransferWorkspace gives the ownership of a workspace to a person and takes the
// actor's own away, both or neither.
func (a *Admin) TransferWorkspace(ctx context.Context, by *Actor, idOrName, to string) error {
	ws, err := a.findWorkspace(by, opTransfer, idOrName)
	if err != nil {
		return err
	}
	owner := a.State.RoleByRef(ws.Name + "/" + RoleOwner)
	if owner == nil {
		return refuse(Conflict, "workspace %s has no role owner", ws.Name)
	}
	if err := a.mayGive(by, opTransfer, gift{workspace: ws.ID, roles: []store.GrantedRole{{Role: owner.ID}}}); err != nil {
		return err
	}
	acc, err := a.account(ctx, to)
	if err != nil {
		return err
	}
	if acc.AccountKind != store.AccountUser || acc.Status != store.AccountActive {
		return refuse(Conflict, "a workspace is given to an active person, and %s is none", acc.Name)
	}
	if acc.ID == by.accountID() {
		return refuse(Conflict, "%s owns it already", acc.Name)
	}
	given, err := a.withRole(ctx, store.HolderID(acc.ID), ws.ID, owner.ID)
	if err != nil {
		return err
	}
	writes := append(given, store.Update(ws)) // so that of two who transfer at once one is too late
	mine, err := a.grant(ctx, store.HolderID(by.accountID()), ws.ID)
	if err != nil {
		return err
	}
	if mine != nil && names(mine.Roles, owner.ID) {
		less := *mine
		less.Roles = slices.DeleteFunc(slices.Clone(mine.Roles), func(g store.GrantedRole) bool { return g.Role == owner.ID })
		if len(less.Roles) == 0 {
			writes = append(writes, store.Delete(mine))
		} else {
			writes = append(writes, store.Update(&less))
		}
	}
	return a.change(ctx, by, entry{operation: opTransfer.Name, workspace: ws.ID, after: acc, name: acc.Name}, writes...)
}

// withRole is what is written to give a holder one more role in a workspace.
func (a *Admin) withRole(ctx context.Context, h store.HolderID, ws store.WorkspaceID, role store.RoleID) ([]store.Write, error) {
	old, err := a.grant(ctx, h, ws)
	switch {
	case err != nil:
		return nil, err
	case old == nil:
		return []store.Write{store.Insert(newGrant(h, ws, []store.GrantedRole{{Role: role}}, a.now()))}, nil
	case slices.ContainsFunc(old.Roles, func(g store.GrantedRole) bool { return g.Role == role && len(g.Limits) == 0 }):
		return nil, nil
	}
	more := *old
	more.Roles = append(slices.Clone(old.Roles), store.GrantedRole{Role: role})
	return []store.Write{store.Update(&more)}, nil
}

// DeleteWorkspace removes a workspace with its roles and grants; every token for
// it is dead. One that has clients or owns APIs is a conflict.
func (a *Admin) DeleteWorkspace(ctx context.Context, by *Actor, idOrName string, revision int64) error {
	ws, err := a.findWorkspace(by, opWorkspaceDrop, idOrName)
	if err != nil {
		return err
	}
	if err := atRevision(revision, ws.Revision); err != nil {
		return err
	}
	if ws.Name == store.SystemWorkspace {
		return refuse(Conflict, "the workspace system is built in and stays")
	}
	clients, err := a.Store.Clients(ctx, store.ClientQuery{Workspaces: []store.WorkspaceID{ws.ID}, Limit: 1})
	if err != nil {
		return fromStore(opWorkspaceDrop.Name, err)
	}
	if len(clients) > 0 {
		return refuse(Conflict, "the workspace has clients, the first is %s; revoke and delete them first", clients[0].ID)
	}
	for _, api := range a.State.APIs() {
		if api.Workspace == ws.ID || api.ShareOf(ws.ID) != nil {
			return refuse(Conflict, "the workspace owns or shares the API %s; delete it or end that first", api.Name)
		}
	}
	writes := []store.Write{store.Delete(ws)}
	for _, r := range a.State.Roles() {
		if r.Workspace == ws.ID {
			writes = append(writes, store.Delete(r))
		}
	}
	grants, err := a.Store.Grants(ctx, store.GrantQuery{Workspace: ws.ID, Limit: -1})
	if err != nil {
		return fromStore(opWorkspaceDrop.Name, err)
	}
	for _, g := range grants {
		writes = append(writes, store.Delete(g))
	}
	// Its own chain ends with it, so the entry is in that of system.
	return a.change(ctx, by, entry{operation: opWorkspaceDrop.Name, workspace: a.systemID(), before: ws, name: ws.Name}, writes...)
}
