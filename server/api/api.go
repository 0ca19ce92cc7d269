// Package api is the door for administration as REST: it translates JSON to and
// from the operations of package admin, and decides nothing itself.
//
// The operations come from admin.Operations, each with its method, path and
// name: what is not in that list has no route. Errors are problems (RFC 9457),
// which never repeat what was sent. Credentials are bearers (RFC 6750): an access
// token for Postern's own API, or a secret of a client that may send it so. No
// cookie is ever read.
//
// Times are RFC 3339 in UTC with milliseconds; lists are {items, next, total};
// PATCH is a merge patch (RFC 7396); the ETag is the revision of a record.
package api

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
	"github.com/gin-gonic/gin"

	"postern/server/admin"
	"postern/server/certificate"
	"postern/server/limit"
	"postern/server/token"
	"postern/server/usage"
	"postern/store"
)

const (
	maxBody    = 1 << 20
	maxOpenAPI = 2<<20 + 1 // huma refuses a body of exactly the limit
)

// State is what authentication reads.
type State interface {
	APIByName(name string) *store.API
	API(id store.APIID) *store.API
	Workspace(id store.WorkspaceID) *store.Workspace
	// Age is how old this node's state is.
	Age() time.Duration
}

// Options configures an API. Admin, Verifier and State are required.
type Options struct {
	Admin    *admin.Admin
	Verifier *token.Verifier

	Certificates *certificate.Source // that callers present; nil finds those of handshakes
	State        State
	Issuer       string // the public URL, for the OpenAPI document
	Version      string // of the program

	Registration bool // clients may be registered at /oauth2/register (RFC 7591)

	LeakRate limit.Rate // of reports of leaks, by address; zero is 60 an hour

	MaxStaleness time.Duration // an older state than this is not answered from; 0 means 60 s

	// Address is who sent a request, seen through trusted proxies only; nil takes
	// the connection's.
	Address func(*http.Request) netip.Addr
	Usage   *usage.Recorder // nil counts nothing
	// Observe is told of each answer. May be nil.
	Observe func(operation string, status int)

	Now func() time.Time // nil means time.Now
	Log *slog.Logger     // nil means no log
}

// API serves the operations.
type API struct {
	Options

	document []byte
}

// New returns an API.
func New(o Options) *API {
	if o.MaxStaleness == 0 {
		o.MaxStaleness = time.Minute
	}
	if o.Address == nil {
		o.Address = func(r *http.Request) netip.Addr {
			from, _ := netip.ParseAddrPort(r.RemoteAddr)
			return from.Addr().Unmap()
		}
	}
	if o.Observe == nil {
		o.Observe = func(string, int) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &API{Options: o}
}

// Document is the description of all operations that /api/v1/openapi.json serves,
// as OpenAPI in JSON. It is there once Mount was called.
func (a *API) Document() []byte { return a.document }

// Mount adds a route for each operation, and /api/v1/openapi.json, which says
// nothing that is secret and is open to everyone.
func (a *API) Mount(r *gin.Engine) {
	config := huma.DefaultConfig("Postern", a.Version)
	config.CreateHooks = nil // they add a link to a schema to each answer
	config.OpenAPIPath, config.DocsPath, config.SchemasPath = "", "", ""
	config.Formats = map[string]huma.Format{"application/json": strictJSON(), "json": strictJSON()}
	config.RejectUnknownQueryParameters = true
	config.Transformers = []huma.Transformer{a.rewrite}
	config.Info.Description = "Administration of Postern. Send an access token for this API, or a secret that may be used as a bearer."
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{"bearer": {Type: "http", Scheme: "bearer"}, "password": {Type: "http", Scheme: "basic"}}
	if a.Issuer != "" {
		config.Servers = []*huma.Server{{URL: a.Issuer}}
	}
	m := &mounted{API: a, huma: humagin.New(r, config), operations: map[string]admin.Operation{}}
	m.huma.UseMiddleware(m.authenticated)
	for _, op := range admin.Operations() {
		m.operations[op.Name] = op
	}
	if a.Registration {
		m.registrations(r)
	}
	m.clients()
	m.secrets()
	m.trust()
	m.leaks()
	m.roles()
	m.grants()
	m.apis()
	m.workspaces()
	m.accounts()
	m.people()
	m.teams()
	m.adoption()
	m.me()
	m.totp()
	m.keys()
	m.webhooks()
	m.records()
	m.overviews()
	m.system()
	m.unused()
	m.check()
	m.endpoints()
	m.backup()
	var err error
	if a.document, err = m.describe(); err != nil {
		panic("api: its own description cannot be written: " + err.Error()) // the types above are wrong
	}
	r.GET("/api/v1/openapi.json", func(c *gin.Context) {
		c.Data(http.StatusOK, "application/openapi+json", a.document)
	})
}

// mounted is an API on its way into a router.
type mounted struct {
	*API
	huma       huma.API
	operations map[string]admin.Operation
}

// change adapts the description of an operation.
type change func(*huma.Operation)

// created answers 201.
func created(op *huma.Operation) { op.DefaultStatus = http.StatusCreated }

// register adds the route of an operation. do gets who asks, and returns errors
// of package admin as they are.
func register[I, O any](m *mounted, name string, do func(ctx context.Context, by *admin.Actor, in *I) (*O, error), changes ...change) {
	op, known := m.operations[name]
	if !known {
		panic("api: there is no operation " + name) // a route without rights must not start
	}
	described := huma.Operation{
		OperationID: op.Name, Method: op.Method, Path: op.Path, Summary: op.Text, Tags: []string{op.Tag},
		MaxBodyBytes: maxBody, Security: []map[string][]string{{"bearer": {}}},
	}
	switch {
	case op.Public:
		described.Security = []map[string][]string{}
	case op.Password:
		described.Security = append(described.Security, map[string][]string{"password": {}})
	}
	for _, c := range changes {
		c(&described)
	}
	huma.Register(m.huma, described, func(ctx context.Context, in *I) (*O, error) {
		out, err := do(ctx, repeating(actor(ctx), in), in)
		if err != nil {
			return nil, m.refusal(ctx, name, err)
		}
		return out, nil
	})
}
