package admin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"postern/store"
)

// opSignInOIDC is in no catalogue: whoever the provider vouches for may try.
//
//nolint:gochecknoglobals // a constant, were there constant structs
var opSignInOIDC = Operation{Name: "session.provider", Method: "POST", Path: "/console/oidc/callback", Tag: "accounts"}

// Identity is what an identity provider says of who signed in (OpenID Connect
// Core section 5.1).
type Identity struct {
	Issuer, Subject string
	Name            string // what the provider calls the person: a user name, or the mail address
	DisplayName     string
	Email           string
	EmailVerified   bool
	Groups          []string
	ProvedAt        time.Time // when the provider saw the person; zero is now
}

// key is that of the record which links the identity.
func (id *Identity) key() string {
	sum := sha256.Sum256([]byte(id.Issuer + "\x00" + id.Subject))
	return hex.EncodeToString(sum[:])
}

// maxGroups is how many groups of a person are looked at.
const maxGroups = 1000

// AttemptOIDC counts an attempt to sign in by the provider, before that is asked.
// After too many from an address it is TooMany. SignInOIDC takes back a good one.
func (a *Admin) AttemptOIDC(from netip.Addr) error { return a.signIns.attempt("", from, a.Now()) }

// SignInOIDC finds out whose account somebody has whom the identity provider
// vouches for: the one that is linked to issuer and subject. Without one it links
// an account that was never linked and is provisioned, by SCIM or because an
// administrator adopted it, under the very user name that the provider says (see
// docs/adr/0008). Otherwise it makes an account where the settings allow that.
// Teams follow the provider's groups, as far as provisioning may change them.
// Whoever has no account, or none that is active, is Unauthenticated. No second
// factor is asked for: that is the provider's to do.
func (a *Admin) SignInOIDC(ctx context.Context, id Identity, from netip.Addr, requestID string) (*Actor, error) {
	var by *Actor
	var err error
	for range repeatMost {
		by, err = a.signInOIDC(ctx, &id, from, requestID)
		if !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrExists) {
			break
		}
		// Of two first sign-ins at once the other one linked it.
	}
	if err == nil {
		a.signIns.succeeded("", from)
	}
	return by, err
}

func (a *Admin) signInOIDC(ctx context.Context, id *Identity, from netip.Addr, requestID string) (*Actor, error) {
	if id.Issuer == "" || id.Subject == "" {
		return nil, refuse(Unauthenticated, "the identity provider did not say who you are")
	}
	old, err := a.identified(ctx, id)
	if err != nil {
		return nil, err
	}
	by := &Actor{machine: true, Address: from, RequestID: requestID}
	var writes []store.Write
	next := &store.Account{}
	if old == nil {
		if next, err = a.newIdentified(ctx, id); err != nil {
			return nil, err
		}
		writes = []store.Write{store.Insert(&store.Identity{ID: id.key(), Account: next.ID})}
		old = &store.Account{}
	} else {
		*next = *old
		by = &Actor{Holder: &store.Holder{Account: old}, Address: from, RequestID: requestID}
		if old.Status != store.AccountActive && (old.Status != store.AccountInvited || old.Subject != "") {
			return nil, refuse(Unauthenticated, "your account here is not active; ask an administrator")
		}
		if old.Subject == "" {
			next.Issuer, next.Subject = id.Issuer, id.Subject
			next.Status, next.InviteHash, next.InviteEnds = store.AccountActive, nil, 0
			writes = []store.Write{store.Insert(&store.Identity{ID: id.key(), Account: next.ID})}
		}
	}
	also, err := a.byGroups(ctx, by, old, next, id.Groups)
	if err != nil {
		return nil, err
	}
	e := entry{operation: opSignInOIDC.Name, workspace: a.systemID(), after: next, name: next.Name}
	switch {
	case old.ID == "":
		err = a.change(ctx, by, e, append(append(writes, also...), store.Insert(next))...)
	case len(writes) > 0 || !slices.Equal(old.Teams, next.Teams) || !slices.Equal(old.ProviderTeams, next.ProviderTeams):
		e.before = old
		err = a.change(ctx, by, e, append(append(writes, also...), store.Update(next))...)
	}
	if err != nil {
		return nil, err
	}
	h, err := a.State.Holder(ctx, next.ID)
	if err != nil {
		return nil, fromStore(opSignInOIDC.Name, err)
	}
	if h.Account.Status != store.AccountActive {
		return nil, refuse(Unauthenticated, "your account here is not active; ask an administrator")
	}
	out := &Actor{Holder: h, AnyScope: true, Address: from, RequestID: requestID, second: true}
	if !id.ProvedAt.IsZero() {
		out.proved = store.At(id.ProvedAt)
	}
	return out, nil
}

// identified finds the account of an identity, or the one that it may be linked
// to; nil if there is neither.
func (a *Admin) identified(ctx context.Context, id *Identity) (*store.Account, error) {
	r, err := a.Store.Get(ctx, store.KindIdentity, id.key())
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, fromStore(opSignInOIDC.Name, err)
	}
	if link, ok := r.(*store.Identity); err == nil && ok {
		h, err := a.State.Holder(ctx, link.Account)
		if err != nil {
			return nil, fromStore(opSignInOIDC.Name, err)
		}
		return h.Account, nil
	}
	if !id.named() {
		return nil, nil
	}
	found, err := a.Store.Accounts(ctx, store.AccountQuery{UserName: id.Name, Limit: 1})
	if err != nil {
		return nil, fromStore(opSignInOIDC.Name, err)
	}
	if len(found) > 0 && id.of(found[0]) {
		return found[0], nil // linked a moment ago
	}
	if len(found) == 0 || !found[0].Provisioned || found[0].AccountKind != store.AccountUser || found[0].Subject != "" {
		return nil, nil
	}
	return found[0], nil
}

// of reports whether an account is linked to the identity.
func (id *Identity) of(acc *store.Account) bool {
	return acc.Issuer == id.Issuer && acc.Subject == id.Subject
}

// named reports whether the identity's name may be believed. A mail address that
// the provider did not verify is anybody's.
func (id *Identity) named() bool {
	return id.Name != "" && (id.EmailVerified || !strings.EqualFold(id.Name, id.Email))
}

// newIdentified is a new account of an identity.
func (a *Admin) newIdentified(ctx context.Context, id *Identity) (*store.Account, error) {
	switch {
	case id.Name == "":
		return nil, refuse(Unauthenticated, "the identity provider says no name of yours; its administrator gives Postern one (oidc.name_claim)")
	case !id.named():
		return nil, refuse(Unauthenticated, "the identity provider has not verified your mail address; do that there, and come again")
	case !a.CreateAccounts:
		return nil, refuse(Unauthenticated, "nobody here is called %q by the identity provider; ask an administrator to adopt your account by this name", printable(id.Name))
	}
	acc := &store.Account{
		ID: store.NewAccountID(store.AccountUser), Generation: 1, AccountKind: store.AccountUser, Status: store.AccountActive,
		Name: slug(id.Name), UserName: id.Name, DisplayName: id.DisplayName, Issuer: id.Issuer, Subject: id.Subject, CreatedAt: a.now(),
	}
	if id.EmailVerified {
		acc.Email = id.Email
	}
	var f faults
	checkLine(&f, "name", acc.UserName)
	if checkPerson(&f, acc); len(f) > 0 {
		return nil, refuse(Unauthenticated, "what the identity provider says of you cannot be an account: %s", f.err().Error())
	}
	if r := a.State.RoleByRef(LicenceSteward); r != nil {
		acc.Licence = r.ID
	}
	taken, err := a.personNamed(ctx, strings.ToLower(id.Name))
	if err != nil {
		return nil, err
	}
	same, err := a.Store.AccountByName(ctx, acc.Name)
	switch {
	case err != nil && !errors.Is(err, store.ErrNotFound):
		return nil, fromStore(opSignInOIDC.Name, err)
	case taken != nil && id.of(taken), err == nil && id.of(same):
		return nil, store.ErrConflict // it was made a moment ago
	case taken != nil, err == nil && same.Status != store.AccountDeleted:
		return nil, refuse(Unauthenticated, "somebody here has the name %q already; if that is you, ask an administrator to adopt the account", printable(id.Name))
	case err == nil: // a deleted account keeps its name
		acc.Name += "-" + string(acc.ID[len(acc.ID)-6:])
	}
	return acc, nil
}

// byGroups gives an account the teams of the provider's groups, and takes away
// those that groups gave before and no longer do. A team with power over Postern
// itself stays as it is unless it is left to provisioning, and the last owner of a
// workspace stays, too.
func (a *Admin) byGroups(ctx context.Context, by *Actor, old, next *store.Account, groups []string) (also []store.Write, err error) {
	wanted := map[store.TeamID]bool{}
	for _, g := range groups[:min(len(groups), maxGroups)] {
		name, said := a.GroupTeams[g]
		if !said {
			name = g
		}
		if t := a.State.TeamByName(name); t != nil {
			wanted[t.ID] = true
		}
	}
	teams, given := slices.Clone(old.Teams), []store.TeamID(nil)
	var leaves []store.TeamID
	for _, id := range old.ProviderTeams {
		if !slices.Contains(teams, id) {
			continue // somebody took it away
		}
		if wanted[id] {
			given = append(given, id)
			continue
		}
		may, err := a.providerMay(ctx, by, id)
		if err != nil {
			return nil, err
		}
		if may {
			leaves = append(leaves, id)
		} else {
			given = append(given, id)
		}
	}
	if len(leaves) > 0 {
		also, err = a.keepOwners(ctx, opSignInOIDC, old, departure{account: old.ID, teams: leaves})
		if e, ok := errors.AsType[*Error](err); ok && e.Kind == Conflict {
			a.Log.WarnContext(ctx, "a person stays in teams that the identity provider no longer gives", "account", old.ID, "error", err)
			given, leaves, err = append(given, leaves...), nil, nil
		}
		if err != nil {
			return nil, err
		}
		teams = slices.DeleteFunc(teams, func(id store.TeamID) bool { return slices.Contains(leaves, id) })
	}
	for _, id := range slices.Sorted(maps.Keys(wanted)) {
		if slices.Contains(teams, id) {
			continue
		}
		may, err := a.providerMay(ctx, by, id)
		if err != nil {
			return nil, err
		}
		if may {
			teams, given = append(teams, id), append(given, id)
		}
	}
	next.Teams, next.ProviderTeams = teams, given
	return also, nil
}

// providerMay reports whether groups of the provider change who is in a team, by
// the rule of provisioning.
func (a *Admin) providerMay(ctx context.Context, by *Actor, id store.TeamID) (bool, error) {
	t := a.State.Team(id)
	if t == nil {
		return true, nil // it is gone
	}
	grants, err := a.Store.GrantsOf(ctx, store.HolderID(id))
	if err != nil {
		return false, fromStore(opSignInOIDC.Name, err)
	}
	err = a.leftToSCIM(by, opSignInOIDC, t, grants)
	if e, ok := errors.AsType[*Error](err); ok && e.Kind == Forbidden {
		return false, nil
	}
	return err == nil, err
}

// unlinked is the write that ends an account's link to the identity provider;
// none where there is no link.
func (a *Admin) unlinked(ctx context.Context, acc *store.Account) ([]store.Write, error) {
	if acc.Subject == "" {
		return nil, nil
	}
	id := Identity{Issuer: acc.Issuer, Subject: acc.Subject}
	r, err := a.Store.Get(ctx, store.KindIdentity, id.key())
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fromStore("end a link to the identity provider", err)
	}
	return []store.Write{store.Delete(r)}, nil
}
