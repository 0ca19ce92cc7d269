package admin

import (
	"context"
	"slices"
	"strings"

	"postern/store"
)

// ClientEdit is what can be changed of a client; nil is left as it is. Kind,
// account, expiry and id never change.
type ClientEdit struct {
	Name, Description *string
	Addresses         *[]string
	Responsible       *string
	Bearer            *bool
	DefaultAPI        *string
	Narrowed          *bool
	Narrow            *[]string
	AdminAccess       *bool
	SCIMOnly          *bool
	Binding           *store.TokenBinding
	Profile           *store.Profile
	Revision          int64 // of If-Match; 0 is any
}

// EditClient changes a client.
func (a *Admin) EditClient(ctx context.Context, by *Actor, id store.ClientID, in ClientEdit) (*store.Client, error) {
	old, err := a.client(ctx, by, opClientEdit, id)
	if err != nil {
		return nil, err
	}
	if in.Revision != 0 && in.Revision != old.Revision {
		return nil, stale(old.Revision)
	}
	c := *old
	var f faults
	set(&c.Name, in.Name)
	c.Name = strings.TrimSpace(c.Name)
	set(&c.Description, in.Description)
	set(&c.Bearer, in.Bearer)
	set(&c.AdminAccess, in.AdminAccess)
	set(&c.SCIMOnly, in.SCIMOnly)
	set(&c.Narrowed, in.Narrowed)
	set(&c.Binding, in.Binding)
	set(&c.Profile, in.Profile)
	if c.Addresses = slices.Clone(old.Addresses); in.Addresses != nil { // checkTexts spells them anew
		c.Addresses = slices.Clone(*in.Addresses)
	}
	checkTexts(&f, &c)
	checkSCIMOnly(&f, &c)
	checkBinding(&f, &c)
	if in.Responsible != nil {
		if acc, err := a.account(ctx, *in.Responsible); err != nil || acc.AccountKind != store.AccountUser {
			f.add("responsible", "is no person's account")
		} else {
			c.Responsible = acc.ID
		}
	}
	if in.DefaultAPI != nil {
		c.DefaultAPI = a.defaultAPI(&f, *in.DefaultAPI, nil)
	}
	if ws := a.State.Workspace(c.Workspace); in.Narrow != nil && ws == nil && len(*in.Narrow) > 0 {
		f.add("narrowed_to", "a client of all workspaces cannot be narrowed to the roles of one")
	} else if in.Narrow != nil && ws != nil {
		c.Roles = nil
		for _, r := range a.roles(&f, "narrowed_to", ws, *in.Narrow) {
			c.Roles = append(c.Roles, r.ID)
		}
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	if err := a.widens(ctx, by, old, &c); err != nil {
		return nil, err
	}
	err = a.change(ctx, by, entry{operation: opClientEdit.Name, workspace: c.Workspace, before: old, after: &c, name: c.Name}, store.Update(&c))
	return stored(&c, store.OpUpdate), err
}

// widens refuses an edit that makes the client more powerful than the actor
// may: less narrowing is a gift, and so are admin access and more than SCIM. No
// client loosens what binds itself, or who stole its secret could.
func (a *Admin) widens(ctx context.Context, by *Actor, old, c *store.Client) error {
	narrows := !old.Narrowed || c.Narrowed && slices.Equal(old.Roles, c.Roles)
	looser := old.SCIMOnly && !c.SCIMOnly || c.Bearer && !old.Bearer || c.AdminAccess && !old.AdminAccess ||
		len(old.Addresses) > 0 && !slices.Equal(old.Addresses, c.Addresses) || !narrows ||
		old.Binding != "" && c.Binding != old.Binding || old.Profile != "" && c.Profile != old.Profile
	if looser && by.Client != nil && by.Client.ID == c.ID {
		return a.refused(by, opClientEdit, old.Workspace, "a client does not loosen what binds itself; use another credential")
	}
	if c.AdminAccess && !old.AdminAccess {
		if err := a.givesAdminAccess(by, opClientEdit); err != nil {
			return err
		}
	}
	if narrows && (!old.SCIMOnly || c.SCIMOnly) {
		return nil
	}
	return a.givesClient(ctx, by, opClientEdit, c)
}

// givesAdminAccess is mayGive for admin access: only who works on accounts passes
// on that right, or a token without it would make one that has it.
func (a *Admin) givesAdminAccess(by *Actor, op Operation) error {
	if err := a.mayGive(by, op, gift{workspace: a.systemID(), licence: true}); err != nil {
		return err
	}
	if !a.may(by, opAccountInvite, a.systemID()) {
		return a.refused(by, op, a.systemID(), "you have no admin access yourself, so you may not give it")
	}
	return nil
}

// givesClient is mayGive for what a client can do: who gets its secret gets that.
func (a *Admin) givesClient(ctx context.Context, by *Actor, op Operation, c *store.Client) error {
	h, err := a.State.Holder(ctx, c.Account)
	if err != nil {
		return fromStore(op.Name, err)
	}
	return a.givesAccount(ctx, by, op, h.Account, h.Grants)
}

// checkBinding refuses what a client that binds its tokens cannot be. A secret that
// is sent as a bearer is bound to nothing.
func checkBinding(f *faults, c *store.Client) {
	switch c.Binding {
	case "":
	case store.BindCertificate, store.BindDPoP:
		if c.Bearer {
			f.add("binding", "the client's secrets may be sent as bearers, which are bound to nothing; set bearer to false")
		}
	default:
		f.add("binding", "must be certificate or dpop, or empty for tokens that are bound to nothing")
	}
	switch c.Profile {
	case "":
	case store.ProfileFAPI2:
		if c.Binding == "" {
			f.add("profile", "fapi2 wants tokens that are bound; set binding to certificate or dpop")
		}
	default:
		f.add("profile", "must be fapi2 or empty")
	}
}
