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
}

// CreateWorkspace makes a workspace with its built-in roles, owned by the actor.
func (a *Admin) CreateWorkspace(ctx context.Context, by *Actor, in WorkspaceInput) (*store.Workspace, error) {
	system := a.systemID()
	if err := a.must(by, opWorkspaceCreate, system); err != nil {
		return nil, err
	}
	w := &store.Workspace{
		ID: store.NewWorkspaceID(), Generation: 1, Name: in.Name, APIAccess: true,
		WhoMayCreate: store.CreateAdministrators, CreatedAt: a.now(), CreatedBy: by.accountID(),
	}
	if err := applyWorkspace(w, in); err != nil {
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

func applyWorkspace(w *store.Workspace, in WorkspaceInput) error {
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
	if err := applyWorkspace(&w, in); err != nil {
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
