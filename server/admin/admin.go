// Package admin is what an administrator or a token owner can do, each
// operation once. The doors (REST, console, SCIM, command line) only translate
// to and from it.
//
// Every operation takes the actor, asks the policy engine whether this actor
// may do it in the workspace of the object it acts upon, checks that nothing is
// given away that the actor does not hold (mayGive), and commits the change
// together with its audit entry. What it refuses, it refuses with an *Error.
package admin

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"postern/policy"
	"postern/server/assertion"
	"postern/server/audit"
	"postern/server/keys"
	"postern/store"
)

// State is the configuration that this node holds in memory, and the records it
// has at hand.
type State interface {
	Client(ctx context.Context, id store.ClientID) (*store.Client, error)
	Holder(ctx context.Context, id store.AccountID) (*store.Holder, error)
	Installation() *store.Installation
	Workspace(id store.WorkspaceID) *store.Workspace
	WorkspaceByName(name string) *store.Workspace
	Workspaces() []*store.Workspace
	API(id store.APIID) *store.API
	APIByName(name string) *store.API
	APIs() []*store.API
	Role(id store.RoleID) *store.Role
	RoleByRef(ref string) *store.Role
	Roles() []*store.Role
	Team(id store.TeamID) *store.Team
	TeamByName(name string) *store.Team
	Teams() []*store.Team
	Revoked(jti string) bool
	RevokedOf(client store.ClientID) int
	Webhook(id store.WebhookID) *store.Webhook
	Webhooks() []*store.Webhook
}

// Store is what operations read beyond State, and what they write to.
type Store interface {
	AccountByName(ctx context.Context, name string) (*store.Account, error)
	Get(ctx context.Context, kind store.Kind, key string) (store.Record, error)
	GrantsOf(ctx context.Context, holder store.HolderID) ([]*store.Grant, error)
	store.Lister
	Commit(ctx context.Context, writes ...store.Write) error
	Usage(ctx context.Context, q store.UsageQuery) ([]store.Usage, error)
	LastUses(ctx context.Context, clients ...store.ClientID) ([]store.LastUse, error)
	UsageTotals(ctx context.Context, q store.UsageTotalQuery) ([]store.UsageTotal, error)
	LastRefusals(ctx context.Context, workspaces []store.WorkspaceID, limit int) ([]store.LastUse, error)
	RulesUsed(ctx context.Context, client store.ClientID, rules []string) (map[string]store.Time, error)
}

// Options configures an Admin. Store, State, Policy and Keys are required.
type Options struct {
	Store  Store
	State  State
	Policy *policy.Engine
	Keys   *keys.Ring

	Sealer    *audit.Sealer // checks audit chains
	CursorKey []byte        // seals the cursors of lists; 32 bytes
	// Issuer is the audience of Postern's own API without a path, and of JWTs of
	// workloads as it is.
	Issuer string

	DefaultExpiry time.Duration   // of a new client; 0 means 90 days
	MaxExpiry     time.Duration   // 0 means no cap
	NeverAllowed  bool            // whether a client may live for ever
	ExpiryChoices []time.Duration // lifetimes to offer, Never among them; nil means 30, 60 and 90 days, a year and Never

	UsageRetention time.Duration // how long usage is kept; 0 means 90 days

	// CreateAccounts: who signs in by the identity provider and is unknown gets an
	// account. GroupTeams says the team of a group of the provider, by name; a group
	// that it does not hold is the team of its own name.
	CreateAccounts bool
	GroupTeams     map[string]string

	// Node is this node's name, unlike any other's: of two nodes one sweeps.
	Node  string
	Facts SystemFacts
	Age   func() time.Duration // of the state; may be nil

	Remote     *assertion.Remote           // where keys of foreign issuers are read; nil reads none
	FlushUsage func(context.Context) error // so that an answer includes this node's own; may be nil
	MayMail    bool                        // whether mail is configured
	Wake       func()                      // called when there is something to deliver; may be nil
	Refusals   *audit.Merger               // where refusals are written; nil drops them
	OnLeak     func(done string)           // is told what was done about a leaked credential; may be nil
	Now        func() time.Time            // nil means time.Now
	Log        *slog.Logger                // nil means no log
}

// Admin carries out operations.
type Admin struct {
	Options
	signIns *signIns

	hashing sync.Mutex // of the slow hashes of imports
}

// New returns an Admin.
func New(o Options) *Admin {
	if o.DefaultExpiry == 0 {
		o.DefaultExpiry = 90 * day
	}
	if o.UsageRetention == 0 {
		o.UsageRetention = usageKept
	}
	if o.ExpiryChoices == nil {
		o.ExpiryChoices = []time.Duration{30 * day, 60 * day, 90 * day, 365 * day, Never}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.OnLeak == nil {
		o.OnLeak = func(string) {}
	}
	return &Admin{Options: o, signIns: newSignIns()}
}

// Actor is who asks for an operation: an account, by a credential, from an
// address. The zero Actor may do nothing.
type Actor struct {
	Holder    *store.Holder
	Client    *store.Client     // nil when signed in by password
	Secret    store.SecretID    // of Client
	Scopes    []string          // of the access token
	AnyScope  bool              // no token narrows it
	Audience  []string          // of the access token; nil for a secret, which is for every API
	Workspace store.WorkspaceID // that the credential is for; empty is every one of its account's
	Address   netip.Addr
	RequestID string
	Once      *Once // of a request with an Idempotency-Key; nil makes anew each time

	// second: the second factor, which the account may have, was there too.
	second bool
	// proved is when who it is was proved; 0 is at this moment.
	proved store.Time
	// session is the id of the one that the request came in.
	session string
	// once is what is remembered of the change that it makes.
	once *store.Idempotency
	// machine is the program itself, at the first start.
	machine bool
	// stranger is somebody unknown who reports a leak.
	stranger bool
}

// Account is the actor's account, or nil.
func (by *Actor) Account() *store.Account {
	if by.Holder == nil {
		return nil
	}
	return by.Holder.Account
}

func (by *Actor) accountID() store.AccountID {
	if a := by.Account(); a != nil {
		return a.ID
	}
	return ""
}

// caller is the actor as the policy engine sees it.
func (by *Actor) caller() *policy.Caller {
	c := &policy.Caller{Holder: by.Holder, Scopes: by.Scopes, AnyScope: by.AnyScope}
	if by.Client != nil {
		c.Narrowed, c.Roles, c.Personal = by.Client.Narrowed, by.Client.Roles, by.Client.ClientKind == store.ClientPersonal
	}
	return c
}

func (a *Admin) now() store.Time { return store.At(a.Now()) }

// change commits writes together with their audit entry, and with what tells
// others of it.
func (a *Admin) change(ctx context.Context, by *Actor, e entry, writes ...store.Write) error {
	told := a.told(ctx, by, e, writes)
	writes = append(append(a.modified(writes), store.Insert(a.entry(by, e))), told...)
	writes = append(writes, by.remember(e)...)
	if err := a.Store.Commit(ctx, writes...); err != nil {
		return fromStore(e.operation, err)
	}
	if slices.ContainsFunc(writes, func(w store.Write) bool { return w.Record.Kind() == store.KindDelivery }) {
		a.wakeDelivery()
	}
	return nil
}

// modified writes the moment of the change into accounts and teams, for those who
// provision them. It works on copies: what is written may be in use.
func (a *Admin) modified(writes []store.Write) []store.Write {
	out := slices.Clone(writes)
	for i, w := range out {
		if w.Op == store.OpDelete {
			continue
		}
		switch r := w.Record.(type) {
		case *store.Account:
			acc := *r
			acc.ModifiedAt = a.now()
			out[i].Record = &acc
		case *store.Team:
			t := *r
			t.ModifiedAt = a.now()
			out[i].Record = &t
		}
	}
	return out
}

// entry is what an operation says of itself for the audit.
type entry struct {
	operation     string
	workspace     store.WorkspaceID
	before, after store.Record // nil where there is none
	name          string       // of the target
	made          string       // what a repeat needs to find it again; empty is the key of after
	refused       string
}

func (a *Admin) entry(by *Actor, e entry) *store.AuditEntry {
	out := audit.Entry(a.Now(), e.workspace, e.operation, e.before, e.after)
	out.RequestID, out.Refused = by.RequestID, e.refused
	if e.name != "" {
		out.TargetName = e.name
	}
	if acc := by.Account(); acc != nil {
		out.Account, out.Actor = acc.ID, acc.Name
	} else if by.machine {
		out.Actor = "postern"
	} else if by.stranger {
		out.Actor = "leak report"
	}
	if by.Client != nil {
		out.Client = by.Client.ID
	}
	if by.Address.IsValid() {
		out.Address = by.Address.String()
	}
	return out
}
