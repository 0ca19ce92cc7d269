package admin

import (
	"context"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"postern/server/secret"
	"postern/store"
)

// scimRoot is where provisioning is (RFC 7644).
const scimRoot = "/scim/v2"

// What a provisioning system may ask. These have no route of their own in the
// REST API: server/scim serves them.
//
//nolint:gochecknoglobals // constants, were there constant structs
var (
	opSCIMConfig  = Operation{Name: "scim.config", Method: "GET", Path: scimRoot + "/ServiceProviderConfig", Tag: "scim", Text: "What provisioning can do here", accounts: true}
	opSCIMTypes   = Operation{Name: "scim.types", Method: "GET", Path: scimRoot + "/ResourceTypes", Tag: "scim", Text: "The types of resources for provisioning", accounts: true}
	opSCIMSchemas = Operation{Name: "scim.schemas", Method: "GET", Path: scimRoot + "/Schemas", Tag: "scim", Text: "The attributes of resources for provisioning", accounts: true}

	opSCIMUserList    = Operation{Name: "scim.user.list", Method: "GET", Path: scimRoot + "/Users", Tag: "scim", Text: "Find provisioned people", accounts: true}
	opSCIMUserGet     = Operation{Name: "scim.user.get", Method: "GET", Path: scimRoot + "/Users/{user}", Tag: "scim", Text: "Get a provisioned person", accounts: true}
	opSCIMUserCreate  = Operation{Name: "scim.user.create", Method: "POST", Path: scimRoot + "/Users", Tag: "scim", Text: "Provision a person", accounts: true}
	opSCIMUserReplace = Operation{Name: "scim.user.replace", Method: "PUT", Path: scimRoot + "/Users/{user}", Tag: "scim", Text: "Replace what is said of a provisioned person", accounts: true}
	opSCIMUserEdit    = Operation{Name: "scim.user.edit", Method: "PATCH", Path: scimRoot + "/Users/{user}", Tag: "scim", Text: "Change a provisioned person", accounts: true}
	opSCIMUserDelete  = Operation{Name: "scim.user.delete", Method: "DELETE", Path: scimRoot + "/Users/{user}", Tag: "scim", Text: "Delete a provisioned person with its grants and personal tokens", accounts: true}

	opSCIMGroupList    = Operation{Name: "scim.group.list", Method: "GET", Path: scimRoot + "/Groups", Tag: "scim", Text: "Find provisioned teams", accounts: true}
	opSCIMGroupGet     = Operation{Name: "scim.group.get", Method: "GET", Path: scimRoot + "/Groups/{group}", Tag: "scim", Text: "Get a provisioned team", accounts: true}
	opSCIMGroupCreate  = Operation{Name: "scim.group.create", Method: "POST", Path: scimRoot + "/Groups", Tag: "scim", Text: "Provision a team", accounts: true}
	opSCIMGroupReplace = Operation{Name: "scim.group.replace", Method: "PUT", Path: scimRoot + "/Groups/{group}", Tag: "scim", Text: "Replace a provisioned team and its members", accounts: true}
	opSCIMGroupEdit    = Operation{Name: "scim.group.edit", Method: "PATCH", Path: scimRoot + "/Groups/{group}", Tag: "scim", Text: "Change a provisioned team and its members", accounts: true}
	opSCIMGroupDelete  = Operation{Name: "scim.group.delete", Method: "DELETE", Path: scimRoot + "/Groups/{group}", Tag: "scim", Text: "Delete a provisioned team with its grants", accounts: true}
)

// SCIMOperations returns what a provisioning system may ask: it stands in the
// catalogue of Postern's own API beside Operations.
func SCIMOperations() []Operation {
	return []Operation{
		opSCIMConfig, opSCIMTypes, opSCIMSchemas,
		opSCIMUserList, opSCIMUserGet, opSCIMUserCreate, opSCIMUserReplace, opSCIMUserEdit, opSCIMUserDelete,
		opSCIMGroupList, opSCIMGroupGet, opSCIMGroupCreate, opSCIMGroupReplace, opSCIMGroupEdit, opSCIMGroupDelete,
	}
}

// SCIMUser is what a provisioning system says of a person.
type SCIMUser struct {
	UserName, ExternalID, DisplayName    string
	FormattedName, GivenName, FamilyName string
	Email                                string
	EmailNotPrimary                      bool
	Active                               bool
}

// MaySCIM refuses who may not read one of the documents that describe
// provisioning: "scim.config", "scim.types" or "scim.schemas".
func (a *Admin) MaySCIM(by *Actor, name string) error {
	for _, op := range []Operation{opSCIMConfig, opSCIMTypes, opSCIMSchemas} {
		if op.Name == name {
			return a.must(by, op, a.systemID())
		}
	}
	return refuse(Forbidden, "there is no such document")
}

// SCIMUsers returns a page of the people that provisioning sees, by name.
func (a *Admin) SCIMUsers(ctx context.Context, by *Actor, q store.AccountQuery) ([]*store.Account, error) {
	if err := a.must(by, opSCIMUserList, a.systemID()); err != nil {
		return nil, err
	}
	q.Provisioned, q.AccountKind = true, store.AccountUser
	out, err := a.Store.Accounts(ctx, q)
	return out, fromStore(opSCIMUserList.Name, err)
}

// SCIMUser returns a person that provisioning sees.
func (a *Admin) SCIMUser(ctx context.Context, by *Actor, id store.AccountID) (*store.Account, error) {
	return a.provisionedUser(ctx, by, opSCIMUserGet, id)
}

// provisionedUser finds a person for an operation. Who did not come by
// provisioning and was not adopted is not there, and neither is a technical user.
func (a *Admin) provisionedUser(ctx context.Context, by *Actor, op Operation, id store.AccountID) (*store.Account, error) {
	if err := a.must(by, op, a.systemID(), policySegment(string(id))); err != nil {
		return nil, err
	}
	acc, err := a.provisioned(ctx, id)
	if err == nil && acc == nil {
		return nil, refuse(NotFound, "there is no such user, or none that is provisioned")
	}
	return acc, fromStore(op.Name, err)
}

// provisioned returns the person with this id, or nil if provisioning sees none.
func (a *Admin) provisioned(ctx context.Context, id store.AccountID) (*store.Account, error) {
	h, err := a.State.Holder(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if acc := h.Account; acc.Provisioned && acc.AccountKind == store.AccountUser && acc.Status != store.AccountDeleted {
		return acc, nil
	}
	return nil, nil
}

// CreateSCIMUser makes an account for a person who signs in elsewhere: it is
// active, without a password, and holds nothing.
func (a *Admin) CreateSCIMUser(ctx context.Context, by *Actor, in SCIMUser) (*store.Account, error) {
	op := opSCIMUserCreate
	if err := a.must(by, op, a.systemID()); err != nil {
		return nil, err
	}
	acc := &store.Account{
		ID: store.NewAccountID(store.AccountUser), Generation: 1, AccountKind: store.AccountUser, Status: store.AccountActive,
		Provisioned: true, CreatedAt: a.now(), CreatedBy: by.accountID(),
	}
	if r := a.State.RoleByRef(LicenceSteward); r != nil {
		acc.Licence = r.ID
	}
	if !in.Active {
		acc.Status = store.AccountDeactivated
	}
	if err := in.apply(acc); err != nil {
		return nil, err
	}
	acc.Name = slug(acc.UserName)
	for taken := range 2 {
		acc.ModifiedAt = acc.CreatedAt
		err := a.change(ctx, by, entry{operation: op.Name, workspace: a.systemID(), after: acc, name: acc.Name}, store.Insert(acc))
		exists, ok := errors.AsType[*store.Exists](err)
		if err == nil || !ok || exists.Field != "name" || taken > 0 {
			return stored(acc, store.OpInsert), err
		}
		// Others may be called the same, or were before they were deleted.
		renamed := *acc
		renamed.Name = acc.Name + "-" + string(acc.ID[len(acc.ID)-6:])
		acc = &renamed
	}
	return nil, refuse(Conflict, "this name is taken; choose another")
}

// apply writes what is said of a person into an account.
func (in SCIMUser) apply(acc *store.Account) error {
	acc.UserName, acc.ExternalID, acc.DisplayName = strings.TrimSpace(in.UserName), in.ExternalID, in.DisplayName
	acc.FormattedName, acc.GivenName, acc.FamilyName = in.FormattedName, in.GivenName, in.FamilyName
	acc.Email, acc.EmailNotPrimary = in.Email, in.EmailNotPrimary && in.Email != ""
	var f faults
	if acc.UserName == "" {
		f.add("userName", "is required")
	}
	checkLine(&f, "userName", acc.UserName)
	checkLine(&f, "externalId", acc.ExternalID)
	checkLine(&f, "name.formatted", acc.FormattedName)
	checkLine(&f, "name.givenName", acc.GivenName)
	checkLine(&f, "name.familyName", acc.FamilyName)
	checkPerson(&f, acc)
	return f.err()
}

// maxLine is how many characters a name may have that another system gives.
const maxLine = 254

// checkLine refuses what is no name: too long, on several lines, or a secret in
// the wrong place.
func checkLine(f *faults, place, text string) {
	if utf8.RuneCountInString(text) > maxLine || strings.ContainsFunc(text, isControl) || secret.Looks(text) {
		f.add(place, "must be at most %d characters on one line, and no secret", maxLine)
	}
}

// ReplaceSCIMUser replaces what is said of a person (PUT). Revision is the one
// the actor read; 0 is any.
func (a *Admin) ReplaceSCIMUser(ctx context.Context, by *Actor, id store.AccountID, in SCIMUser, revision int64) (*store.Account, error) {
	return a.changeSCIMUser(ctx, by, opSCIMUserReplace, id, in, revision)
}

// EditSCIMUser is ReplaceSCIMUser for a PATCH.
func (a *Admin) EditSCIMUser(ctx context.Context, by *Actor, id store.AccountID, in SCIMUser, revision int64) (*store.Account, error) {
	return a.changeSCIMUser(ctx, by, opSCIMUserEdit, id, in, revision)
}

func (a *Admin) changeSCIMUser(ctx context.Context, by *Actor, op Operation, id store.AccountID, in SCIMUser, revision int64) (*store.Account, error) {
	old, err := a.provisionedUser(ctx, by, op, id)
	if err == nil && revision != 0 && revision != old.Revision {
		err = stale(old.Revision)
	}
	if err != nil {
		return nil, err
	}
	acc := *old
	if err := in.apply(&acc); err != nil {
		return nil, err
	}
	var also []store.Write
	switch {
	case !in.Active && old.Status != store.AccountDeactivated:
		acc.Status, acc.InviteHash, acc.InviteEnds = store.AccountDeactivated, nil, 0
		acc.Generation++
		if also, err = a.keepOwners(ctx, op, old, departure{account: old.ID}); err != nil {
			return nil, err
		}
	case in.Active && old.Status == store.AccountDeactivated:
		acc.Status = store.AccountActive
	}
	// Whoever decides by which names somebody signs in decides who gets what the
	// account holds.
	known := acc.UserName == old.UserName && acc.Email == old.Email && acc.ExternalID == old.ExternalID
	if restored := old.Status == store.AccountDeactivated && acc.Status == store.AccountActive; restored || !known {
		if err := a.givesSCIM(ctx, by, op, old); err != nil {
			return nil, err
		}
	}
	if acc.ModifiedAt = old.ModifiedAt; same(old, &acc) {
		return old, nil
	}
	acc.ModifiedAt = a.now()
	err = a.change(ctx, by, entry{operation: op.Name, workspace: a.systemID(), before: old, after: &acc, name: acc.Name}, append(also, store.Update(&acc))...)
	return stored(&acc, store.OpUpdate), err
}

// same reports whether a change by provisioning changes nothing.
func same(x, y *store.Account) bool {
	return x.UserName == y.UserName && x.ExternalID == y.ExternalID && x.DisplayName == y.DisplayName &&
		x.FormattedName == y.FormattedName && x.GivenName == y.GivenName && x.FamilyName == y.FamilyName &&
		x.Email == y.Email && x.EmailNotPrimary == y.EmailNotPrimary && x.Status == y.Status
}

// givesSCIM is mayGive for everything that a person has: a licence beyond the
// one that everybody gets, too.
func (a *Admin) givesSCIM(ctx context.Context, by *Actor, op Operation, acc *store.Account) error {
	if steward := a.State.RoleByRef(LicenceSteward); steward == nil || acc.Licence != steward.ID {
		if err := a.mayGive(by, op, gift{workspace: a.systemID(), licence: true}); err != nil {
			return err
		}
	}
	grants, err := a.Store.GrantsOf(ctx, store.HolderID(acc.ID))
	if err != nil {
		return fromStore(op.Name, err)
	}
	return a.givesAccount(ctx, by, op, acc, slices.Clone(grants))
}

// DeleteSCIMUser ends a person's account for ever, with its grants and personal
// clients. Its id and name stay taken, for the audit.
func (a *Admin) DeleteSCIMUser(ctx context.Context, by *Actor, id store.AccountID, revision int64) error {
	old, err := a.provisionedUser(ctx, by, opSCIMUserDelete, id)
	if err == nil && revision != 0 && revision != old.Revision {
		err = stale(old.Revision)
	}
	if err != nil {
		return err
	}
	writes, err := a.deletion(ctx, opSCIMUserDelete, old)
	if err != nil {
		return err
	}
	return a.change(ctx, by, entry{operation: opSCIMUserDelete.Name, workspace: a.systemID(), before: old, name: old.Name}, writes...)
}
