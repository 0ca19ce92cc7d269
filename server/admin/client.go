package admin

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"unicode/utf8"

	"postern/server/secret"
	"postern/store"
)

// NewClient is the input for CreateClient.
type NewClient struct {
	Kind        store.ClientKind // empty is service
	Name        string
	Key         string
	Description string
	Workspace   string   // id or name; required for a service client
	Account     string   // id or name; empty makes a new technical user (service), or is the actor (personal)
	NewAccount  string   // name of the new technical user; empty makes one of the client's
	Roles       []string // of the workspace, for a new technical user
	DefaultAPI  string   // short name; empty is the API of the first role that names one
	Expiry      Expiry
	Label       string // of the first secret
	Bearer      *bool  // nil is true for personal, false for service
	Narrow      []string
	Narrowed    bool // then Narrow is all it is left with
	AdminAccess bool
	SCIMOnly    bool // good for SCIM and nothing else
	Addresses   []string
	Credential  Credential // of the client's own, in the place of its first secret
	AuthMethods []string   // that it may authenticate by (RFC 7591 section 2); empty is any
	Registered  bool       // whoever has the token that is made may change it (RFC 7592)
	Binding     store.TokenBinding
	Profile     store.Profile
	Confirm     bool // the client works only after its secret was confirmed as saved
}

// Created is a client with its new secret, which is never shown again.
type Created struct {
	Client   *store.Client
	Account  *store.Account
	Secret   secret.Secret
	SecretID store.SecretID
	Warnings []string

	Registration secret.Secret // the token by which it may be changed; empty unless it was asked for
}

const (
	maxName        = 200
	maxDescription = 2000
	maxSecrets     = 5
)

// CreateClient makes a client and its first secret.
func (a *Admin) CreateClient(ctx context.Context, by *Actor, in NewClient) (*Created, error) {
	if in.Kind == "" {
		in.Kind = store.ClientService
	}
	if in.Kind == store.ClientPersonal {
		return nil, refuse(Invalid, "personal clients are made by their owners")
	}
	ws := a.workspace(in.Workspace)
	if ws == nil {
		return nil, &Error{Kind: Invalid, Message: "the request has faults", Faults: []Fault{{"workspace", "is required; there is no workspace by this name"}}}
	}
	if err := a.must(by, opClientCreate, ws.ID); err != nil {
		return nil, err
	}
	if in.AdminAccess {
		if err := a.givesAdminAccess(by, opClientCreate); err != nil {
			return nil, err
		}
	}
	return once(ctx, a, by, opClientCreate, func(by *Actor) (*Created, error) {
		return a.createService(ctx, by, ws, in)
	}, func(by *Actor, seen *store.Idempotency) (*Created, error) {
		return a.secretAgain(ctx, by, opClientCreate, seen)
	})
}

func (a *Admin) createService(ctx context.Context, by *Actor, ws *store.Workspace, in NewClient) (*Created, error) {
	now := a.now()
	expires, warnings, err := a.expiry(ws, in.Expiry, now)
	if err != nil {
		return nil, err
	}
	c := &store.Client{
		ID: store.NewClientID(), Generation: 1, ClientKind: store.ClientService, Name: strings.TrimSpace(in.Name), ClientKey: in.Key,
		Description: in.Description, Responsible: by.accountID(), Workspace: ws.ID, Status: store.ClientActive,
		Bearer: in.Bearer != nil && *in.Bearer, AdminAccess: in.AdminAccess, Addresses: in.Addresses,
		Binding: in.Binding, Profile: in.Profile, AuthMethods: in.AuthMethods,
		CreatedAt: now, CreatedBy: by.accountID(), ExpiresAt: expires,
	}
	if in.Confirm {
		c.Status, c.ConfirmBy = store.ClientPending, now.Add(ConfirmWithin)
	}
	if c.SCIMOnly = in.SCIMOnly; in.SCIMOnly && in.Bearer == nil {
		c.Bearer = true // it gets no access tokens
	}
	var f faults
	checkTexts(&f, c)
	checkSCIMOnly(&f, c)
	checkBinding(&f, c)
	if err := checkKey(c, in.Credential, a.Now()); err != nil {
		return nil, err
	}
	roles := a.roles(&f, "roles", ws, in.Roles)
	if c.Narrowed = in.Narrowed; in.Narrowed {
		for _, r := range a.roles(&f, "narrowed_to", ws, in.Narrow) {
			c.Roles = append(c.Roles, r.ID)
		}
	}
	c.DefaultAPI = a.defaultAPI(&f, in.DefaultAPI, roles)
	switch {
	case in.NewAccount != "" && in.Account != "":
		f.add("new_account", "name an account that there is, or a new one, not both")
	case in.NewAccount != "" && !isSlug(in.NewAccount):
		f.add("new_account", slugRule)
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	account, writes, err := a.accountFor(ctx, by, ws, c, in, roles)
	if err != nil {
		return nil, err
	}
	c.Account = account.ID
	made := a.addSecret(c, in.Label, 0, now)
	if in.Credential.isKey() {
		made.text = secret.Secret{}
		in.Credential.fill(&c.Secrets[0])
	}
	var registration secret.Secret
	if in.Registered {
		registration = newRegistration(c)
	}
	writes = append(writes, store.Insert(c))
	if err := a.change(ctx, by, entry{operation: opClientCreate.Name, workspace: ws.ID, after: c, name: c.Name, made: madeSecretOf(c.ID, made.id)}, writes...); err != nil {
		return nil, err
	}
	return &Created{Client: stored(c, store.OpInsert), Account: account, Secret: made.text, SecretID: made.id, Warnings: warnings, Registration: registration}, nil
}

// accountFor returns the account that a new service client acts as, and the
// writes that make it when it is new.
func (a *Admin) accountFor(ctx context.Context, by *Actor, ws *store.Workspace, c *store.Client, in NewClient, roles []*store.Role) (*store.Account, []store.Write, error) {
	if in.Account != "" {
		if len(roles) > 0 {
			return nil, nil, refuse(Invalid, "roles: an existing account keeps the roles it has; grant it more instead")
		}
		account, err := a.account(ctx, in.Account)
		if err != nil {
			return nil, nil, err
		}
		own, err := a.Store.GrantsOf(ctx, store.HolderID(account.ID))
		if err != nil {
			return nil, nil, fromStore(opClientCreate.Name, err)
		}
		if account.AccountKind != store.AccountService || account.Status != store.AccountActive {
			return nil, nil, refuse(Invalid, "account: a service client acts as an active technical user, and %s is none", account.Name)
		}
		// It acts with everything the account has, here and elsewhere.
		return account, nil, a.givesAccount(ctx, by, opClientCreate, account, own)
	}
	given := make([]store.GrantedRole, len(roles))
	for i, r := range roles {
		given[i].Role = r.ID
	}
	if err := a.mayGive(by, opClientCreate, gift{workspace: ws.ID, roles: given}); err != nil {
		return nil, nil, err
	}
	account := a.technicalUser(by, c)
	if in.NewAccount != "" {
		account.Name = in.NewAccount
	}
	writes := []store.Write{store.Insert(account)}
	if len(given) > 0 {
		writes = append(writes, store.Insert(newGrant(store.HolderID(account.ID), ws.ID, given, c.CreatedAt)))
	}
	return account, writes, nil
}

// technicalUser is a new account for a service client. Its name is made from
// the client's, and unique by the end of the client's id.
func (a *Admin) technicalUser(by *Actor, c *store.Client) *store.Account {
	account := &store.Account{
		ID: store.NewAccountID(store.AccountService), Generation: 1, AccountKind: store.AccountService,
		Name: slug(c.Name) + "-" + string(c.ID[len(c.ID)-6:]), DisplayName: c.Name, Status: store.AccountActive,
		CreatedAt: c.CreatedAt, CreatedBy: by.accountID(),
	}
	if r := a.State.RoleByRef(LicenceSteward); r != nil {
		account.Licence = r.ID
	}
	return account
}

func newGrant(h store.HolderID, ws store.WorkspaceID, roles []store.GrantedRole, now store.Time) *store.Grant {
	return &store.Grant{ID: store.NewGrantID(h, ws), Holder: h, Workspace: ws, Roles: roles, CreatedAt: now}
}

type madeSecret struct {
	text secret.Secret
	id   store.SecretID
}

// addSecret gives the client a new secret, the first of its list.
func (a *Admin) addSecret(c *store.Client, label string, expires, now store.Time) madeSecret {
	text := secret.New(c.ID)
	s := store.ClientSecret{ID: store.NewSecretID(), Label: label, Hash: text.Hash(), Generation: 1, CreatedAt: now, ExpiresAt: expires}
	c.Secrets = append([]store.ClientSecret{s}, c.Secrets...)
	return madeSecret{text, s.ID}
}

func checkTexts(f *faults, c *store.Client) {
	switch {
	case c.Name == "":
		f.add("name", "is required")
	case utf8.RuneCountInString(c.Name) > maxName:
		f.add("name", "has more than %d characters", maxName)
	}
	if utf8.RuneCountInString(c.Description) > maxDescription {
		f.add("description", "has more than %d characters", maxDescription)
	}
	if c.ClientKey != "" && !isSlug(c.ClientKey) {
		f.add("key", slugRule)
	}
	for i, text := range c.Addresses {
		p, err := netip.ParsePrefix(text)
		if addr, aerr := netip.ParseAddr(text); err != nil && aerr == nil {
			p, err = addr.Prefix(addr.BitLen())
		}
		if err != nil {
			f.add("addresses", "%q is no address and no prefix such as 10.0.0.0/8", printable(text))
			continue
		}
		c.Addresses[i] = p.Masked().String()
	}
}

// checkSCIMOnly refuses a client that would be good for nothing: one for SCIM gets
// no access tokens, so its secret is what it sends.
func checkSCIMOnly(f *faults, c *store.Client) {
	if c.SCIMOnly && !c.Bearer {
		f.add("bearer", "cannot be off with scim_only: such a client gets no access tokens and sends its secret itself")
	}
}

// roles finds roles of a workspace, or shared ones, by id, name or ref.
func (a *Admin) roles(f *faults, place string, ws *store.Workspace, names []string) []*store.Role {
	var out []*store.Role
	for _, name := range names {
		if r := a.role(ws, name); r == nil {
			f.add(place, "there is no role %q in workspace %s", printable(name), ws.Name)
		} else if !slices.Contains(out, r) {
			out = append(out, r)
		}
	}
	return out
}

// role finds a role of a workspace, or a shared one, by id, name or ref; nil if
// there is none.
func (a *Admin) role(ws *store.Workspace, name string) *store.Role {
	r := a.State.Role(store.RoleID(name))
	if r == nil && strings.Contains(name, "/") {
		r = a.State.RoleByRef(name)
	} else if r == nil {
		r = a.State.RoleByRef(ws.Name + "/" + name)
	}
	if r == nil || r.Workspace != ws.ID && r.Workspace != store.Shared {
		return nil
	}
	return r
}

// defaultAPI is the API for token requests that name none.
func (a *Admin) defaultAPI(f *faults, name string, roles []*store.Role) store.APIID {
	if name != "" {
		api := a.State.APIByName(name)
		if api == nil {
			f.add("default_api", "there is no API %q", printable(name))
			return ""
		}
		return api.ID
	}
	for next := slices.Clone(roles); len(next) > 0 && len(next) < 1000; next = next[1:] {
		for _, rule := range next[0].Rules {
			if api := a.State.APIByName(rule.API); api != nil && !rule.Deny {
				return api.ID
			}
		}
		for _, id := range next[0].Parents {
			if parent := a.State.Role(id); parent != nil {
				next = append(next, parent)
			}
		}
	}
	return ""
}

// client finds a client that the actor may see, and checks that it may do op.
func (a *Admin) client(ctx context.Context, by *Actor, op Operation, id store.ClientID) (*store.Client, error) {
	missing := refuse(NotFound, "there is no client %q that you may see", printable(string(id)))
	if !validClientID(string(id)) {
		return nil, missing
	}
	c, err := a.State.Client(ctx, id)
	if err != nil {
		if e, ok := fromStore(op.Name, err).(*Error); ok && e.Kind == NotFound { //nolint:errorlint // made here
			return nil, missing
		}
		return nil, fromStore(op.Name, err)
	}
	if own := a.ownOperation(by, c, op); own != nil && c.Status != store.ClientDeleted {
		return c, a.mustOwnClient(by, *own, c)
	}
	ws := c.Workspace
	if ws == "" {
		ws = a.systemID() // of all workspaces: administrators of the installation look after it
	}
	if c.Status == store.ClientDeleted || c.Lapsed(a.now()) || !a.may(by, opClientGet, ws, string(id)) {
		return nil, missing
	}
	return c, a.must(by, op, ws, string(id))
}

// Client returns a client.
func (a *Admin) Client(ctx context.Context, by *Actor, id store.ClientID) (*store.Client, error) {
	return a.client(ctx, by, opClientGet, id)
}

// stored is a record as it is after a write.
func stored[T store.Record](r T, op store.Op) T {
	out, _ := store.Write{Op: op, Record: r}.Stored().(T)
	return out
}

func set[T any](field *T, value *T) {
	if value != nil {
		*field = *value
	}
}

func stale(have int64) error {
	return refuse(Stale, "it is at revision %d now: read it again and repeat the change", have)
}
