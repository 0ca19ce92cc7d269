// Package gatewaytest is a small installation for tests of decisions: real
// policy, keys, tokens and usage over records in memory.
//
// The API shop belongs to the workspace acme. Its rules, in the role acme/clerk,
// allow reading under /files but for /files/secret, reading and, with the scope
// orders:write, writing orders, and nothing else; GET /health and OPTIONS of
// orders are public.
package gatewaytest

import (
	"context"
	"encoding/base64"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/policy"
	"postern/server/gateway"
	"postern/server/keys"
	"postern/server/secret"
	"postern/server/token"
	"postern/server/usage"
	"postern/store"
)

// The records that every World begins with.
const (
	Issuer = "https://postern.example"

	Acme   store.WorkspaceID = "wspacme"
	Globex store.WorkspaceID = "wspglobex"
	Shop   store.APIID       = "apishop"
	Clerk  store.RoleID      = "rolclerk"
	Buyer  store.RoleID      = "rolbuyer" // of globex: as much, without the deny

	Machine  store.ClientID = "cliaaaaaaaaaaaaaaaaaaaaaaaa" // a clerk in acme
	Roaming  store.ClientID = "clibbbbbbbbbbbbbbbbbbbbbbbb" // in all workspaces: a clerk in acme, a buyer in globex
	Bearer   store.ClientID = "clicccccccccccccccccccccccc" // as Machine; its secret may be sent as a bearer
	Gateway  store.ClientID = "clidddddddddddddddddddddddd" // the shop's
	Stranger store.ClientID = "clieeeeeeeeeeeeeeeeeeeeeeee" // a client like any other

	Account        store.AccountID = "svcmachines"
	GatewayAccount store.AccountID = "svcgateway"
)

// World is an installation. It may be used by any goroutine.
type World struct {
	Handler *gateway.Handler
	Engine  *policy.Engine
	Ring    *keys.Ring

	minter  *token.Minter
	secrets map[store.ClientID]secret.Secret

	recorder *usage.Recorder

	state atomic.Pointer[state]

	mu       sync.Mutex
	observed map[string]int
	usage    []store.Usage
	uses     []store.LastUse
}

// state is how the world is at a moment. It does not change.
type state struct {
	now     time.Time
	age     time.Duration
	down    error
	records map[key]store.Record
	named   map[key]store.Record // the same, by name
	revoked map[string]bool
}

type key struct {
	kind store.Kind
	name string
}

// edit puts a changed state in the place of the present one.
func (w *World) edit(change func(*state)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := *w.state.Load()
	s.records, s.named, s.revoked = maps.Clone(s.records), maps.Clone(s.named), maps.Clone(s.revoked)
	change(&s)
	w.state.Store(&s)
}

// New makes a World. Options may be changed before the Handler is made.
func New(t testing.TB, change ...func(*gateway.Options)) *World {
	t.Helper()
	w := &World{
		Engine:  policy.New(policy.Options{Shadow: -1}),
		secrets: map[store.ClientID]secret.Secret{}, observed: map[string]int{},
	}
	w.state.Store(&state{
		now:     time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC),
		records: map[key]store.Record{}, named: map[key]store.Record{}, revoked: map[string]bool{},
	})
	kek, err := keys.ParseKEKs(keys.GenerateKEK())
	if err != nil {
		t.Fatal(err)
	}
	w.Ring = keys.New(keys.Options{Store: w, KEK: kek, Now: w.Now})
	w.minter = token.NewMinter(token.MinterOptions{Keys: w.Ring, Issuer: Issuer})
	verifier, err := token.NewVerifier(token.VerifierOptions{Keys: w.Ring, Issuer: Issuer, State: w, Now: w.Now})
	if err != nil {
		t.Fatal(err)
	}
	w.recorder = usage.New(usage.Options{Store: w, Now: w.Now})
	w.fill(t)
	o := gateway.Options{
		State: w, Policy: w.Engine, Verifier: verifier, Minter: w.minter, Usage: w.recorder,
		RequireCredential: true, Observe: w.observe, Now: w.Now,
	}
	for _, c := range change {
		c(&o)
	}
	w.Handler = gateway.New(o)
	return w
}

func (w *World) fill(t testing.TB) {
	w.Set(t,
		&store.Installation{ID: store.InstallationKey, Generation: 1},
		&store.Workspace{ID: Acme, Name: "acme", Generation: 1, APIAccess: true, WhoMayCreate: store.CreateEveryone},
		&store.Workspace{ID: Globex, Name: "globex", Generation: 1, APIAccess: true, WhoMayCreate: store.CreateEveryone},
		&store.Account{ID: Account, Name: "machines", AccountKind: store.AccountService, Status: store.AccountActive, Generation: 1},
		&store.Account{ID: GatewayAccount, Name: "gateway", AccountKind: store.AccountService, Status: store.AccountActive, Generation: 1},
		&store.API{
			ID: Shop, Name: "shop", Workspace: Acme, Audience: "https://shop.example", Introspectors: []store.ClientID{Gateway},
			Endpoints: []store.Endpoint{
				{Methods: "GET HEAD", Path: "/orders/{id}", Tags: []string{"orders"}},
				{Methods: "GET", Path: "/orders", Tags: []string{"orders"}},
				{Methods: "POST", Path: "/orders"},
				{Methods: "GET", Path: "/w/{workspace}/orders"},
			},
			Public: []store.Endpoint{{Methods: "GET", Path: "/health"}, {Methods: "OPTIONS", Path: "/orders"}},
		},
		&store.Role{ID: Clerk, Workspace: Acme, Ref: "acme/clerk", LastNumber: 6, Rules: []store.Rule{
			{Number: 1, API: "shop", Methods: "GET", Path: "/files/**"},
			{Number: 2, API: "shop", Methods: "*", Path: "/files/secret/**", Deny: true},
			{Number: 3, API: "shop", Methods: "GET", Path: "/orders/**"},
			{Number: 4, API: "shop", Methods: "POST", Path: "/orders", Scope: "orders:write"},
			{Number: 5, API: "shop", Methods: "GET", Path: "/w/{workspace}/orders"},
			{Number: 6, API: "shop", Methods: "*", Path: "/any"},
		}},
		&store.Role{ID: Buyer, Workspace: Globex, Ref: "globex/buyer", LastNumber: 2, Rules: []store.Rule{
			{Number: 1, API: "shop", Methods: "GET", Path: "/files/**"},
			{Number: 2, API: "shop", Methods: "GET", Path: "/w/{workspace}/orders"},
			{Number: 3, API: "shop", Methods: "GET", Path: "/orders/**"},
		}},
		grant(Account, Acme, Clerk), grant(Account, Globex, Buyer),
	)
	for id, c := range map[store.ClientID]store.Client{
		Machine:  {Account: Account, Workspace: Acme},
		Roaming:  {Account: Account},
		Bearer:   {Account: Account, Workspace: Acme, Bearer: true, ClientKind: store.ClientPersonal},
		Gateway:  {Account: GatewayAccount, Workspace: Acme},
		Stranger: {Account: Account, Workspace: Acme},
	} {
		w.secrets[id] = secret.New(id)
		c.ID, c.Status, c.Generation = id, store.ClientActive, 1
		c.Secrets = []store.ClientSecret{{ID: store.SecretID("sec" + string(id[3:])), Hash: w.secrets[id].Hash(), Generation: 1}}
		w.Set(t, &c)
	}
}

func grant(a store.AccountID, ws store.WorkspaceID, role store.RoleID) *store.Grant {
	return &store.Grant{
		ID: store.NewGrantID(store.HolderID(a), ws), Holder: store.HolderID(a), Workspace: ws,
		Roles: []store.GrantedRole{{Role: role}},
	}
}

// Set puts records in the place of those with their ids.
func (w *World) Set(t testing.TB, records ...store.Record) {
	t.Helper()
	for _, r := range records {
		w.edit(func(s *state) {
			s.records[key{r.Kind(), r.Key()}] = r
			if name := nameOf(r); name != "" {
				s.named[key{r.Kind(), name}] = r
			}
		})
		if err := w.Engine.Apply(store.Change{Kind: r.Kind(), Key: r.Key(), Record: r}); err != nil {
			t.Fatal(err)
		}
	}
}

// Change sets a changed copy of a record.
func Change[R any, P interface {
	*R
	store.Record
}](t testing.TB, w *World, id string, change func(P)) {
	t.Helper()
	copied := *get[P](w, id)
	change(&copied)
	w.Set(t, P(&copied))
}

// Remove deletes a record.
func (w *World) Remove(t testing.TB, kind store.Kind, id string) {
	t.Helper()
	w.edit(func(s *state) {
		if r := s.records[key{kind, id}]; r != nil {
			delete(s.named, key{kind, nameOf(r)})
		}
		delete(s.records, key{kind, id})
	})
	if err := w.Engine.Apply(store.Change{Kind: kind, Key: id}); err != nil {
		t.Fatal(err)
	}
}

// Secret returns the text of a client's secret.
func (w *World) Secret(c store.ClientID) string { return w.secrets[c].Reveal() }

// Basic returns a client's credential as a gateway sends it.
func (w *World) Basic(c store.ClientID) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(string(c)+":"+w.Secret(c)))
}

// Token mints an access token for the shop, of an hour, all scopes and the
// client's workspace unless it is changed.
func (w *World) Token(t testing.TB, client store.ClientID, change ...func(*token.Claims)) string {
	t.Helper()
	c := get[*store.Client](w, string(client))
	claims := token.Claims{
		Subject: c.Account, ClientID: c.ID, SecretID: c.Secrets[0].ID, Audience: []string{"https://shop.example"},
		IssuedAt: w.Now().Unix(), ExpiresAt: w.Now().Unix() + 3600, Scope: "orders:write", Workspace: c.Workspace,
		Gen: token.Gen(w.Installation(), w.Workspace(c.Workspace), get[*store.Account](w, string(c.Account)), c, &c.Secrets[0]),
	}
	for _, change := range change {
		change(&claims)
	}
	text, err := w.minter.Mint(t.Context(), claims, token.Shape{Format: store.FormatJWT, Algorithm: "ES256"})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Revoke revokes the access token with a jti.
func (w *World) Revoke(jti string) {
	w.edit(func(s *state) { s.revoked[jti] = true })
}

// Move lets time pass.
func (w *World) Move(d time.Duration) {
	w.edit(func(s *state) { s.now = s.now.Add(d) })
}

// SetAge says how old the state is.
func (w *World) SetAge(age time.Duration) {
	w.edit(func(s *state) { s.age = age })
}

// Break lets reads of clients and accounts fail; nil mends them.
func (w *World) Break(err error) {
	w.edit(func(s *state) { s.down = err })
}

// Observed returns how often an outcome was observed of an API.
func (w *World) Observed(api, outcome string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.observed[api+" "+outcome]
}

func (w *World) observe(api, outcome string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.observed[api+" "+outcome]++
}

// Used returns what was counted.
func (w *World) Used(t testing.TB) ([]store.Usage, []store.LastUse) {
	t.Helper()
	if err := w.recorder.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.usage, w.uses
}

// The rest is what the parts of an installation ask of it.

// AddUsage keeps what is written.
func (w *World) AddUsage(_ context.Context, rows []store.Usage, uses []store.LastUse) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.usage, w.uses = append(w.usage, rows...), append(w.uses, uses...)
	return nil
}

// AddUsageSums forgets what AddUsage keeps more of.
func (w *World) AddUsageSums(context.Context, []store.UsageSum) error { return nil }

// Commit forgets the keys that are made: the ring knows them.
func (w *World) Commit(context.Context, ...store.Write) error { return nil }

// All yields nothing.
func (w *World) All(context.Context, func(store.Record) error, ...store.Kind) error { return nil }

// Client returns a client.
func (w *World) Client(_ context.Context, id store.ClientID) (*store.Client, error) {
	if err := w.state.Load().down; err != nil {
		return nil, err
	}
	if c := get[*store.Client](w, string(id)); c != nil {
		return c, nil
	}
	return nil, store.ErrNotFound
}

// Holder returns an account and its grants.
func (w *World) Holder(_ context.Context, id store.AccountID) (*store.Holder, error) {
	if err := w.state.Load().down; err != nil {
		return nil, err
	}
	a := get[*store.Account](w, string(id))
	if a == nil {
		return nil, store.ErrNotFound
	}
	h := &store.Holder{Account: a}
	for _, ws := range []store.WorkspaceID{Acme, Globex} {
		if g := get[*store.Grant](w, string(store.NewGrantID(store.HolderID(id), ws))); g != nil {
			h.Grants = append(h.Grants, g)
		}
	}
	return h, nil
}

// Installation returns the installation.
func (w *World) Installation() *store.Installation {
	return get[*store.Installation](w, store.InstallationKey)
}

// Workspace returns a workspace, or nil.
func (w *World) Workspace(id store.WorkspaceID) *store.Workspace {
	return get[*store.Workspace](w, string(id))
}

// WorkspaceByName returns a workspace, or nil.
func (w *World) WorkspaceByName(name string) *store.Workspace {
	ws, _ := w.state.Load().named[key{store.KindWorkspace, name}].(*store.Workspace)
	return ws
}

// APIByName returns an API, or nil.
func (w *World) APIByName(name string) *store.API {
	a, _ := w.state.Load().named[key{store.KindAPI, name}].(*store.API)
	return a
}

// APIs returns all APIs.
func (w *World) APIs() []*store.API {
	var all []*store.API
	for _, r := range w.state.Load().records {
		if api, ok := r.(*store.API); ok {
			all = append(all, api)
		}
	}
	return all
}

// Revoked reports whether a token was revoked.
func (w *World) Revoked(jti string) bool {
	return w.state.Load().revoked[jti]
}

// Age returns what SetAge said.
func (w *World) Age() time.Duration { return w.state.Load().age }

// Now is the time in this world.
func (w *World) Now() time.Time { return w.state.Load().now }

// nameOf returns the name that a record is found by.
func nameOf(r store.Record) string {
	switch r := r.(type) {
	case *store.Workspace:
		return r.Name
	case *store.API:
		return r.Name
	default:
		return ""
	}
}

func get[P store.Record](w *World, id string) P {
	var none P
	r, _ := w.state.Load().records[key{none.Kind(), id}].(P)
	return r
}
