package admin

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"

	"postern/server/secret"
	"postern/store"
)

// Bootstrap is what the first start makes, with its secrets.
type Bootstrap struct {
	AdminUser, AdminPassword string
	Admin                    Created // the administrator's client for the command line
	Example                  Created // the example's client, which holds the lesser role; empty without an example
	Gateway                  Created // the example's gateway client
	API                      *store.API
	Allowed, Denied          store.Endpoint // of the example, one call each
}

// warnBootstrap is carried by everything that the first start makes.
const warnBootstrap = "made at the first start and never expires: replace it before production"

// Bootstrap fills an empty store: an administrator, the workspaces system and
// default, and with example an API with two roles, a client that holds the
// lesser one, and a gateway's client. Of several starts at once one wins; the
// others get store.ErrExists.
func (a *Admin) Bootstrap(ctx context.Context, example bool) (*Bootstrap, error) {
	now := a.now()
	b := &builder{now: now}
	b.add(&store.Installation{ID: store.InstallationKey, Generation: 1, CreatedAt: now})
	licence := map[string]store.RoleID{}
	for _, r := range licences(now) {
		b.add(r)
		licence[r.Ref] = r.ID
	}
	system := b.workspace(store.SystemWorkspace, "Postern's own API, and rights over every workspace.")
	standard := b.workspace("default", "The first workspace.")
	own := posternAPI(system.ws.ID, a.Issuer, now)
	b.add(own)

	out := &Bootstrap{AdminUser: "admin", AdminPassword: password()}
	hash, err := secret.HashPassword(secret.Of(out.AdminPassword))
	if err != nil {
		return nil, fmt.Errorf("bootstrap: %w", err)
	}
	admin := &store.Account{
		ID: store.NewAccountID(store.AccountUser), Generation: 1, AccountKind: store.AccountUser, Name: out.AdminUser,
		DisplayName: "Administrator", Status: store.AccountActive, Licence: licence[LicenceAdmin],
		PasswordHash: hash, MustChange: true, Warning: warnBootstrap, CreatedAt: now,
	}
	b.add(admin)
	b.add(newGrant(store.HolderID(admin.ID), system.ws.ID, []store.GrantedRole{{Role: system.owner}}, now))
	b.add(newGrant(store.HolderID(admin.ID), standard.ws.ID, []store.GrantedRole{{Role: standard.owner}}, now))
	out.Admin = b.client(a, admin, &store.Client{
		ClientKind: store.ClientPersonal, Name: "Command line of the administrator", Bearer: true, DefaultAPI: own.ID, CreatedBy: admin.ID,
	})
	if example {
		b.example(a, out, standard.ws, admin.ID, licence[LicenceSteward])
	}
	e := a.entry(&Actor{machine: true}, entry{operation: "installation.bootstrap", workspace: system.ws.ID, name: "installation"})
	b.add(e)
	if err := a.Store.Commit(ctx, b.writes...); err != nil {
		return nil, fmt.Errorf("bootstrap: %w", err)
	}
	return out, nil
}

// builder gathers the writes of the first start.
type builder struct {
	now    store.Time
	writes []store.Write
}

func (b *builder) add(r store.Record) { b.writes = append(b.writes, store.Insert(r)) }

type builtWorkspace struct {
	ws    *store.Workspace
	owner store.RoleID
}

func (b *builder) workspace(name, description string) builtWorkspace {
	w := &store.Workspace{
		ID: store.NewWorkspaceID(), Generation: 1, Name: name, Description: description,
		APIAccess: true, WhoMayCreate: store.CreateAdministrators, Warning: warnBootstrap, CreatedAt: b.now,
	}
	made := newWorkspace(w)
	b.writes = append(b.writes, made...)
	return builtWorkspace{w, store.RoleID(made[1].Record.Key())}
}

// client adds a client with a secret for an account.
func (b *builder) client(a *Admin, account *store.Account, c *store.Client) Created {
	c.ID, c.Generation, c.Account, c.Status = store.NewClientID(), 1, account.ID, store.ClientActive
	c.CreatedAt, c.Warning = b.now, warnBootstrap
	made := a.addSecret(c, "first", 0, b.now)
	b.add(c)
	return Created{Client: c, Account: account, Secret: made.text, SecretID: made.id}
}

// technical adds a technical user.
func (b *builder) technical(name, display string, licence store.RoleID) *store.Account {
	acc := &store.Account{
		ID: store.NewAccountID(store.AccountService), Generation: 1, AccountKind: store.AccountService, Name: name,
		DisplayName: display, Status: store.AccountActive, Licence: licence, Warning: warnBootstrap, CreatedAt: b.now,
	}
	b.add(acc)
	return acc
}

func (b *builder) example(a *Admin, out *Bootstrap, ws *store.Workspace, by store.AccountID, steward store.RoleID) {
	api := &store.API{
		ID: store.NewAPIID(), Name: "example", Description: "An API to try Postern with.", Workspace: ws.ID,
		Audience: "https://api.example.com", Warning: warnBootstrap, CreatedAt: b.now,
		Endpoints: []store.Endpoint{
			{Methods: "GET HEAD", Path: "/orders", Summary: "List orders"},
			{Methods: "POST", Path: "/orders", Summary: "Place an order"},
			{Methods: "GET HEAD", Path: "/orders/{order}", Summary: "Read an order"},
			{Methods: "DELETE", Path: "/orders/{order}", Summary: "Cancel an order"},
		},
	}
	role := func(name, description string, parents []store.RoleID, rules ...store.Rule) *store.Role {
		r := builtin(ws.ID, ws.Name, name, description, b.now, rules...)
		r.Builtin, r.Parents = false, parents
		b.add(r)
		return r
	}
	reader := role("example-reader", "Reads orders.", nil,
		store.Rule{API: api.Name, Methods: "GET HEAD", Path: "/orders/**", Scope: "orders:read"})
	role("example-writer", "Reads, places and cancels orders.", []store.RoleID{reader.ID},
		store.Rule{API: api.Name, Methods: "POST", Path: "/orders", Scope: "orders:write"},
		store.Rule{API: api.Name, Methods: "DELETE", Path: "/orders/{order}", Scope: "orders:write"})

	machine := b.technical("example-client", "Example client", steward)
	b.add(newGrant(store.HolderID(machine.ID), ws.ID, []store.GrantedRole{{Role: reader.ID}}, b.now))
	out.Example = b.client(a, machine, &store.Client{
		ClientKind: store.ClientService, Name: "Example client", Workspace: ws.ID, Responsible: by, CreatedBy: by, DefaultAPI: api.ID,
	})
	gateway := b.technical("example-gateway", "Example gateway", steward)
	out.Gateway = b.client(a, gateway, &store.Client{
		ClientKind: store.ClientService, Name: "Example gateway", Workspace: ws.ID, Responsible: by, CreatedBy: by,
	})
	api.Introspectors = []store.ClientID{out.Gateway.Client.ID}
	b.add(api)
	out.API = api
	out.Allowed = store.Endpoint{Methods: "GET", Path: "/orders/42"}
	out.Denied = store.Endpoint{Methods: "DELETE", Path: "/orders/42"}
}

// posternAPI is Postern's own API, with an entry for each operation.
func posternAPI(system store.WorkspaceID, issuer string, now store.Time) *store.API {
	api := &store.API{
		ID: store.NewAPIID(), Name: store.PosternAPI, Description: "Postern's own administration API.", Workspace: system,
		Audience: strings.TrimSuffix(issuer, "/") + root, CreatedAt: now,
	}
	for _, op := range slices.Concat(Operations(), SCIMOperations()) {
		api.Endpoints = append(api.Endpoints, store.Endpoint{Methods: op.Method, Path: op.Path, Summary: op.Text, Tags: []string{op.Tag}})
	}
	return api
}

// password makes one that a person can type: 25 letters, 114 bits.
func password() string { return letters(25, 5) }

// letters makes a text of random letters, of 4.5 bits each, in groups.
func letters(count, group int) string {
	const all = "abcdefghijkmnpqrstuvwxyz" // 24, without l and o
	var b strings.Builder
	for n := 0; n < count; {
		for _, r := range randomBytes(32) {
			if r < 240 && n < count { // 240 is a multiple of 24
				if n > 0 && n%group == 0 {
					b.WriteByte('-')
				}
				b.WriteByte(all[r%24])
				n++
			}
		}
	}
	return b.String()
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // crypto/rand.Read never fails
	return b
}
