package admin

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"postern/server/notify"
	"postern/server/secret"
	"postern/store"
)

// inviteLife is how long a one-time link works.
const inviteLife = 7 * 24 * time.Hour

// NewAccount is the input for InviteAccount.
type NewAccount struct {
	Name        string
	DisplayName string
	Email       string
	Licence     string // name or ref of a shared role; empty is steward
	Teams       []string
	Workspace   string    // id or name; where Roles are given at once
	Roles       []Granted // needs Workspace
}

// Invited is an account with the token of its one-time link, which is never
// shown again.
type Invited struct {
	Account  *store.Account
	Token    secret.Secret
	Ends     store.Time
	Warnings []string
}

// InviteAccount makes an account for a person, who sets a password by a one-time
// link. Until then nobody can sign in as it.
func (a *Admin) InviteAccount(ctx context.Context, by *Actor, in NewAccount) (*Invited, error) {
	return once(ctx, a, by, opAccountInvite, func(by *Actor) (*Invited, error) {
		return a.inviteAccount(ctx, by, in)
	}, func(by *Actor, seen *store.Idempotency) (*Invited, error) {
		return a.reinviteAccount(ctx, by, seen.Target) // the link of before was not delivered
	})
}

func (a *Admin) inviteAccount(ctx context.Context, by *Actor, in NewAccount) (*Invited, error) {
	if err := a.must(by, opAccountInvite, a.systemID()); err != nil {
		return nil, err
	}
	var f faults
	if !isSlug(in.Name) {
		f.add("name", slugRule)
	}
	acc := &store.Account{
		ID: store.NewAccountID(store.AccountUser), Generation: 1, AccountKind: store.AccountUser, Name: in.Name,
		DisplayName: in.DisplayName, Email: in.Email, Status: store.AccountInvited, CreatedAt: a.now(), CreatedBy: by.accountID(),
	}
	checkPerson(&f, acc)
	if in.Licence == "" {
		in.Licence = LicenceSteward
	}
	acc.Licence = a.licence(&f, in.Licence)
	acc.Teams = a.teams(&f, in.Teams)
	ws := a.workspace(in.Workspace)
	if ws == nil && (in.Workspace != "" || len(in.Roles) > 0) {
		f.add("workspace", "there is no workspace %q to give roles in", printable(in.Workspace))
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	if steward := a.State.RoleByRef(LicenceSteward); steward == nil || acc.Licence != steward.ID {
		if err := a.mayGive(by, opAccountInvite, gift{workspace: a.systemID(), licence: true}); err != nil {
			return nil, err
		}
	}
	also, err := a.changesTeams(ctx, by, opAccountInvite, &store.Account{}, acc.Teams)
	if err != nil {
		return nil, err
	}
	out := &Invited{Account: acc}
	if ws != nil && len(in.Roles) > 0 {
		given, warnings, err := a.granted(ws, in.Roles)
		if err != nil {
			return nil, err
		}
		if err := a.mayGive(by, opAccountInvite, gift{workspace: ws.ID, roles: given}); err != nil {
			return nil, err
		}
		also = append(also, store.Insert(newGrant(store.HolderID(acc.ID), ws.ID, given, acc.CreatedAt)))
		out.Warnings = warnings
	}
	also = append(also, a.invite(ctx, by, out)...)
	err = a.change(ctx, by, entry{operation: opAccountInvite.Name, workspace: a.systemID(), after: acc, name: acc.Name}, append(also, store.Insert(acc))...)
	if err != nil {
		return nil, err
	}
	out.Account = stored(acc, store.OpInsert)
	return out, nil
}

// invite gives the account a new one-time link, and returns the mail that brings
// it: none where mail is not configured or the person has no address.
func (a *Admin) invite(ctx context.Context, by *Actor, out *Invited) []store.Write {
	out.Token = secret.NewInvitation(out.Account.ID)
	out.Ends = a.now().Add(inviteLife)
	out.Account.InviteHash, out.Account.InviteEnds = out.Token.Hash(), out.Ends
	e := Event{Type: notify.AccountInvited, Account: out.Account, Link: a.InvitationLink(out.Token)}
	if acc := by.Account(); acc != nil {
		e.Actor = acc.Name
	}
	return a.mailWrite(ctx, out.Account.ID, e)
}

// InvitationLink is the one-time link of an invitation: a page that sets the
// password.
func (a *Admin) InvitationLink(token secret.Secret) string {
	return strings.TrimSuffix(a.Issuer, "/") + "/console/invitation?token=" + token.Reveal()
}

// ReinviteAccount makes a new one-time link for a person, in place of one that
// was lost or to set a forgotten password anew. The password of before works
// until the link is used. Who makes it could use it, so it is a gift of all that
// the person holds.
func (a *Admin) ReinviteAccount(ctx context.Context, by *Actor, idOrName string) (*Invited, error) {
	return once(ctx, a, by, opAccountReinvite, func(by *Actor) (*Invited, error) {
		return a.reinviteAccount(ctx, by, idOrName)
	}, func(by *Actor, seen *store.Idempotency) (*Invited, error) {
		return a.reinviteAccount(ctx, by, seen.Target)
	})
}

func (a *Admin) reinviteAccount(ctx context.Context, by *Actor, idOrName string) (*Invited, error) {
	old, err := a.changeable(ctx, by, opAccountReinvite, idOrName)
	if err == nil {
		err = padlock(old, "password")
	}
	if err != nil {
		return nil, err
	}
	if old.Status == store.AccountDeactivated {
		return nil, refuse(Conflict, "%s is deactivated; reactivate it first", old.Name)
	}
	if err := a.givesPerson(ctx, by, opAccountReinvite, old); err != nil {
		return nil, err
	}
	acc := *old
	out := &Invited{Account: &acc}
	mail := a.invite(ctx, by, out)
	err = a.change(ctx, by, entry{operation: opAccountReinvite.Name, workspace: a.systemID(), before: old, after: &acc, name: acc.Name}, append(mail, store.Update(&acc))...)
	out.Account = stored(&acc, store.OpUpdate)
	return out, err
}

// givesPerson is mayGive for everything that a person has, the licence included.
func (a *Admin) givesPerson(ctx context.Context, by *Actor, op Operation, acc *store.Account) error {
	grants, err := a.Store.GrantsOf(ctx, store.HolderID(acc.ID))
	if err != nil {
		return fromStore(op.Name, err)
	}
	if err := a.mayGive(by, op, gift{workspace: a.systemID(), licence: true}); err != nil {
		return err
	}
	return a.givesAccount(ctx, by, op, acc, grants)
}

// AcceptInvitation sets the password of the person whom a one-time link was made
// for, and activates the account. Personal tokens of before are not touched. pending is
// the personal client that is made for a new person where the settings say so,
// or nil. What is wrong with a token is told to nobody.
func (a *Admin) AcceptInvitation(ctx context.Context, token, password secret.Secret, from netip.Addr, requestID string) (acc *store.Account, pending *store.Client, err error) {
	if err := a.signIns.attempt("", from, a.Now()); err != nil {
		return nil, nil, err
	}
	bad := refuse(Invalid, "token: this invitation is used, expired or unknown; ask for a new one")
	given, id, err := secret.ParseInvitation(token.Reveal())
	if err != nil {
		return nil, nil, bad
	}
	h, err := a.State.Holder(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil, bad
	}
	if err != nil {
		return nil, nil, fromStore(opInvitationAccept.Name, err)
	}
	old := h.Account
	now := a.now()
	usable := old.Status == store.AccountInvited || old.Status == store.AccountActive
	if !usable || !secret.Matches(given, old.InviteHash) || old.InviteEnds.Over(now) {
		return nil, nil, bad
	}
	next := *old
	if err := a.setPassword(ctx, &next, password); err != nil {
		return nil, nil, err
	}
	next.Status, next.InviteHash, next.InviteEnds = store.AccountActive, nil, 0
	by := &Actor{Holder: h, Address: from, RequestID: requestID}
	writes := []store.Write{store.Update(&next)}
	if old.Status == store.AccountInvited {
		if pending, err = a.automatic(ctx, &next); err != nil {
			return nil, nil, err
		}
		if pending != nil {
			writes = append(writes, store.Insert(pending))
		}
	}
	err = a.change(ctx, by, entry{operation: opInvitationAccept.Name, workspace: a.systemID(), before: old, after: &next, name: next.Name}, writes...)
	if e, ok := errors.AsType[*Error](err); ok && e.Kind == Stale {
		return nil, nil, bad // of two at once one used it
	}
	if err != nil {
		return nil, nil, err
	}
	return stored(&next, store.OpUpdate), pending, nil
}

// automatic makes the personal client of a new person where one of its
// workspaces says so: pending, until its owner makes the secret.
func (a *Admin) automatic(ctx context.Context, acc *store.Account) (*store.Client, error) {
	grants, err := a.grantsThrough(ctx, acc, nil)
	if err != nil {
		return nil, fromStore(opInvitationAccept.Name, err)
	}
	for _, g := range grants {
		ws := a.State.Workspace(g.Workspace)
		if ws == nil || !ws.PersonalAuto {
			continue
		}
		ends, _, err := a.expiry(ws, Expiry{}, a.now())
		if err != nil {
			return nil, err
		}
		return &store.Client{
			ID: store.NewClientID(), Generation: 1, ClientKind: store.ClientPersonal, Name: "Personal token", Account: acc.ID,
			Status: store.ClientPending, Bearer: true, CreatedAt: a.now(), CreatedBy: acc.ID, ExpiresAt: ends,
		}, nil
	}
	return nil, nil
}

// DeactivateAccount stops a person: sign-in, sessions and every personal token,
// at once. Clients that the person is responsible for go on, and are listed as
// orphaned.
func (a *Admin) DeactivateAccount(ctx context.Context, by *Actor, idOrName string) (*store.Account, error) {
	old, err := a.changeable(ctx, by, opAccountDeactivate, idOrName)
	if err == nil {
		err = padlock(old, "status")
	}
	if err != nil {
		return nil, err
	}
	if old.Status == store.AccountDeactivated {
		return nil, refuse(Conflict, "%s is deactivated already", old.Name)
	}
	also, err := a.keepOwners(ctx, opAccountDeactivate, old, departure{account: old.ID})
	if err != nil {
		return nil, err
	}
	acc := *old
	acc.Status, acc.InviteHash, acc.InviteEnds = store.AccountDeactivated, nil, 0
	acc.Generation++
	err = a.change(ctx, by, entry{operation: opAccountDeactivate.Name, workspace: a.systemID(), before: old, after: &acc, name: acc.Name}, append(also, store.Update(&acc))...)
	return stored(&acc, store.OpUpdate), err
}

// ReactivateAccount lets a person in again. Personal tokens work again, access
// tokens of before stay dead. It is a gift of all that the person holds.
func (a *Admin) ReactivateAccount(ctx context.Context, by *Actor, idOrName string) (*store.Account, error) {
	old, err := a.changeable(ctx, by, opAccountReactivate, idOrName)
	if err == nil {
		err = padlock(old, "status")
	}
	if err != nil {
		return nil, err
	}
	if old.Status != store.AccountDeactivated {
		return nil, refuse(Conflict, "only a deactivated account is reactivated, and %s is %s", old.Name, old.Status)
	}
	if err := a.givesPerson(ctx, by, opAccountReactivate, old); err != nil {
		return nil, err
	}
	acc := *old
	acc.Status = store.AccountActive
	if acc.PasswordHash == "" && !acc.Provisioned {
		acc.Status = store.AccountInvited
	}
	err = a.change(ctx, by, entry{operation: opAccountReactivate.Name, workspace: a.systemID(), before: old, after: &acc, name: acc.Name}, store.Update(&acc))
	return stored(&acc, store.OpUpdate), err
}

// DeleteAccount ends an account for ever, with its grants and personal clients.
// Its id and name stay taken, for the audit. A person must be deactivated
// before, a technical user must have no clients.
func (a *Admin) DeleteAccount(ctx context.Context, by *Actor, idOrName string) error {
	old, err := a.changeable(ctx, by, opAccountDelete, idOrName)
	if err != nil {
		return err
	}
	if old.AccountKind == store.AccountUser && old.Status == store.AccountActive {
		return refuse(Conflict, "%s is active; deactivate it first", old.Name)
	}
	writes, err := a.deletion(ctx, opAccountDelete, old)
	if err != nil {
		return err
	}
	return a.change(ctx, by, entry{operation: opAccountDelete.Name, workspace: a.systemID(), before: old, name: old.Name}, writes...)
}

// mostPersonal is how many personal clients go with an account in one commit.
const mostPersonal = 10_000

// deletion is what is written when an account goes.
func (a *Admin) deletion(ctx context.Context, op Operation, old *store.Account) ([]store.Write, error) {
	now := a.now()
	writes, err := a.keepOwners(ctx, op, old, departure{account: old.ID})
	if err != nil {
		return nil, err
	}
	clients, err := a.Store.Clients(ctx, store.ClientQuery{Account: old.ID, Limit: mostPersonal})
	if err != nil {
		return nil, fromStore(op.Name, err)
	}
	if old.AccountKind == store.AccountService && len(clients) > 0 {
		return nil, refuse(Conflict, "the technical user %s has the client %s; revoke and delete that first", old.Name, clients[0].ID)
	}
	for _, c := range clients {
		writes = append(writes, store.Update(tombstone(c, now)))
	}
	grants, err := a.Store.GrantsOf(ctx, store.HolderID(old.ID))
	if err != nil {
		return nil, fromStore(op.Name, err)
	}
	for _, g := range grants {
		writes = append(writes, store.Delete(g))
	}
	factor, err := a.secondFactor(ctx, old.ID)
	if err != nil {
		return nil, err
	}
	if factor != nil {
		writes = append(writes, store.Delete(factor))
	}
	unlink, err := a.unlinked(ctx, old)
	if err != nil {
		return nil, err
	}
	writes = append(writes, unlink...)
	acc := &store.Account{
		ID: old.ID, Revision: old.Revision, Generation: old.Generation + 1, AccountKind: old.AccountKind, Name: old.Name,
		Status: store.AccountDeleted, CreatedAt: old.CreatedAt, CreatedBy: old.CreatedBy, DeletedAt: now,
	}
	return append(writes, store.Update(acc)), nil
}

// tombstone is a client after its end.
func tombstone(old *store.Client, now store.Time) *store.Client {
	c := *old
	c.Status, c.DeletedAt, c.Secrets, c.ClientKey, c.ConfirmBy, c.RegistrationHash = store.ClientDeleted, now, nil, "", 0, nil
	c.Generation++
	return &c
}

// at is the place of an element of a list.
func at(list string, i int) string { return fmt.Sprintf("%s[%d]", list, i) }
