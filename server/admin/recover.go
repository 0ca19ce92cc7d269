package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"postern/server/secret"
	"postern/store"
)

// recoveredFor is how long the client of a recovered administrator lives: long
// enough to put things right, and no door that is forgotten.
const recoveredFor = 7 * 24 * time.Hour

const warnRecovered = "made by postern init --recover: revoke it when things are put right"

// ErrEmpty is a store that no first start has filled.
var ErrEmpty = errors.New("this store is empty: fill it by postern init, or by a first start")

// Recovered is an administrator that came back, with a new password and a client
// for the command line.
type Recovered struct {
	Account  *store.Account
	Password secret.Secret
	Created  Created
	New      bool // the account was made
}

// Recover gives an installation an administrator, whatever became of those it
// had: a person by this name, who is made or reactivated, with a password that
// must be changed and no second factor, the licence admin, the role owner in the workspace system, and
// a client for a week. It is for whoever has the store itself, so it asks nobody,
// and it reads past this node's state, which need not run.
//
// If the name is a technical user's, or was of somebody who is deleted, the
// account is a new one by the next name that is free: admin-2.
func (a *Admin) Recover(ctx context.Context, name string) (*Recovered, error) {
	if !isSlug(name) {
		return nil, fmt.Errorf("recover: the account %q: %s", printable(name), slugRule)
	}
	in, err := a.builtins(ctx)
	if err != nil {
		return nil, err
	}
	out := &Recovered{Password: secret.Of(password())}
	old, name, err := a.recoverable(ctx, name)
	if err != nil {
		return nil, err
	}
	now := a.now()
	acc := &store.Account{
		ID: store.NewAccountID(store.AccountUser), Generation: 1, AccountKind: store.AccountUser, Name: name,
		DisplayName: "Administrator", Warning: warnRecovered, CreatedAt: now,
	}
	if out.New = old == nil; !out.New {
		copied := *old
		acc = &copied
	}
	acc.Status, acc.Licence, acc.MustChange, acc.PasswordAt = store.AccountActive, in.licence.ID, true, now
	acc.InviteHash, acc.InviteEnds, acc.SecondFactor, acc.RecoveryHashes = nil, 0, false, nil
	if acc.PasswordHash, err = secret.HashPassword(out.Password); err != nil {
		return nil, fmt.Errorf("recover: %w", err)
	}
	c := &store.Client{
		ID: store.NewClientID(), Generation: 1, ClientKind: store.ClientPersonal, Name: "Command line of the recovered administrator",
		Account: acc.ID, Status: store.ClientActive, Bearer: true, DefaultAPI: in.own.ID, CreatedBy: acc.ID, CreatedAt: now,
		ExpiresAt: now.Add(recoveredFor), Warning: warnRecovered,
	}
	made := a.addSecret(c, "first", 0, now)
	writes := []store.Write{store.Insert(c)}
	e := entry{operation: "installation.recover", workspace: in.system.ID, after: acc, name: acc.Name}
	if out.New {
		writes = append(writes, store.Insert(acc))
	} else {
		e.before = old
		writes = append(writes, store.Update(acc))
	}
	grant, err := a.ownerOfSystem(ctx, in, acc, now)
	if err != nil {
		return nil, err
	}
	factor, err := a.secondFactor(ctx, acc.ID)
	if err != nil {
		return nil, fmt.Errorf("recover: %w", err)
	}
	if factor != nil {
		writes = append(writes, store.Delete(factor))
	}
	writes = append(append(writes, grant...), store.Insert(a.entry(&Actor{machine: true}, e)))
	if err := a.Store.Commit(ctx, writes...); err != nil {
		return nil, fmt.Errorf("recover: %w", err)
	}
	out.Account = acc
	out.Created = Created{Client: c, Account: acc, Secret: made.text, SecretID: made.id}
	return out, nil
}

// builtinRecords are those that an administrator is made of.
type builtinRecords struct {
	system         *store.Workspace
	own            *store.API
	licence, owner *store.Role
}

func (a *Admin) builtins(ctx context.Context) (builtinRecords, error) {
	var in builtinRecords
	filled := false
	err := a.Store.All(ctx, func(r store.Record) error {
		switch r := r.(type) {
		case *store.Installation:
			filled = true
		case *store.Workspace:
			if r.Name == store.SystemWorkspace {
				in.system = r
			}
		case *store.API:
			if r.Name == store.PosternAPI {
				in.own = r
			}
		case *store.Role:
			switch r.Ref {
			case LicenceAdmin:
				in.licence = r
			case store.SystemWorkspace + "/" + RoleOwner:
				in.owner = r
			}
		}
		return nil
	}, store.KindInstallation, store.KindWorkspace, store.KindAPI, store.KindRole)
	switch {
	case err != nil:
		return in, fmt.Errorf("recover: %w", err)
	case !filled:
		return in, ErrEmpty
	case in.system == nil || in.own == nil || in.licence == nil || in.owner == nil:
		return in, errors.New("recover: the store lacks a built-in workspace, API or role; restore a backup")
	}
	return in, nil
}

// recoverable returns the person by this name, or none and a name that is free.
func (a *Admin) recoverable(ctx context.Context, name string) (old *store.Account, free string, err error) {
	free = name
	for n := 2; n < 100; n++ {
		acc, err := a.Store.AccountByName(ctx, free)
		switch {
		case errors.Is(err, store.ErrNotFound):
			return nil, free, nil
		case err != nil:
			return nil, "", fmt.Errorf("recover: %w", err)
		case acc.AccountKind == store.AccountUser && acc.Status != store.AccountDeleted:
			return acc, free, nil
		}
		free = fmt.Sprintf("%s-%d", name, n)
	}
	return nil, "", fmt.Errorf("recover: no name like %s is free; choose another by --account", name)
}

// ownerOfSystem returns the write that makes an account an owner of the workspace
// system; none when it is one.
func (a *Admin) ownerOfSystem(ctx context.Context, in builtinRecords, acc *store.Account, now store.Time) ([]store.Write, error) {
	given := store.GrantedRole{Role: in.owner.ID}
	id := store.NewGrantID(store.HolderID(acc.ID), in.system.ID)
	r, err := a.Store.Get(ctx, store.KindGrant, string(id))
	if errors.Is(err, store.ErrNotFound) {
		return []store.Write{store.Insert(newGrant(store.HolderID(acc.ID), in.system.ID, []store.GrantedRole{given}, now))}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("recover: %w", err)
	}
	old, ok := r.(*store.Grant)
	if !ok {
		return nil, fmt.Errorf("recover: %s is no grant", id)
	}
	whole := func(g store.GrantedRole) bool { return g.Role == in.owner.ID && len(g.Limits) == 0 }
	if slices.ContainsFunc(old.Roles, whole) {
		return nil, nil
	}
	g := *old
	g.Roles = append(slices.DeleteFunc(slices.Clone(old.Roles), func(g store.GrantedRole) bool { return g.Role == in.owner.ID }), given)
	return []store.Write{store.Update(&g)}, nil
}
