// Package oauth is the door for machines that want access tokens and for those
// who are shown them: the token endpoint (RFC 6749 section 4.4), introspection
// (RFC 7662), revocation (RFC 7009), metadata (RFC 8414) and keys (RFC 7517).
//
// A token request reads in one direction: parse the form, authenticate the
// client, find the APIs and scopes it may have, mint, answer, count. The grant
// itself runs through go-oauth2, in grant.go and nowhere else.
package oauth

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/gin-gonic/gin"

	"postern/policy"
	"postern/server/admin"
	"postern/server/assertion"
	"postern/server/certificate"
	"postern/server/keys"
	"postern/server/limit"
	"postern/server/slow"
	"postern/server/status"
	"postern/server/telemetry"
	"postern/server/token"
	"postern/server/usage"
	"postern/store"
)

// State is the configuration that this node holds in memory, and the records it
// has at hand.
type State interface {
	Client(ctx context.Context, id store.ClientID) (*store.Client, error)
	Holder(ctx context.Context, id store.AccountID) (*store.Holder, error)
	Installation() *store.Installation
	Workspace(id store.WorkspaceID) *store.Workspace
	API(id store.APIID) *store.API
	APIByName(name string) *store.API
	APIByAudience(audience string) *store.API
	APIs() []*store.API
	Age() time.Duration
}

// Options configures a Handler. The pointers and State are required.
type Options struct {
	State    State
	Policy   *policy.Engine
	Minter   *token.Minter
	Verifier *token.Verifier
	Keys     *keys.Ring
	Admin    *admin.Admin
	Usage    *usage.Recorder
	Metrics  *telemetry.Metrics
	Status   *status.Lists // nil serves neither status lists nor the feed of revocations

	Issuer       string            // RFC 8414 section 2
	AccessTTL    time.Duration     // of APIs that do not say; 0 means 1 h
	Format       store.TokenFormat // of APIs that do not say; empty means jwt
	Algorithm    string            // of APIs that do not say; empty means ES256
	MaxStaleness time.Duration     // older state than this is not answered from; 0 means 60 s

	TokenRate      limit.Rate      // requests of one client for tokens; the zero Rate is no limit
	IntrospectRate limit.Rate      // and for introspection
	Failures       *limit.Failures // of client authentication; nil is no limit

	Slow *slow.Checker // of imported secrets; nil knows none

	Remote *assertion.Remote // keys at a jwks_uri; nil knows none
	// Remember keeps that an assertion was used, until it ends; store.ErrExists says
	// that it was used before, on whatever node.
	Remember func(ctx context.Context, id string, until store.Time) error
	// TokenEndpointAudience accepts assertions whose audience is the token endpoint.
	TokenEndpointAudience bool

	// Certificates finds the certificate that a client presented; nil finds those of
	// handshakes. MTLSURL is where clients present them, as the issuer is for
	// others; empty is there too (RFC 8705 section 5).
	Certificates *certificate.Source
	MTLSURL      string

	Registration bool // there is a registration endpoint to name, see server/api

	// Address is who sent a request, seen through trusted proxies only.
	Address func(*http.Request) netip.Addr

	// RequestID makes the id of a request that is refused, or revokes something.
	RequestID func() string
	Now       func() time.Time // nil means time.Now
	Log       *slog.Logger     // nil means no log
}

// Handler serves the endpoints. Its methods go behind Handle.
type Handler struct {
	Options

	grants                      *grantEngine
	tokenLimit, introspectLimit *limit.Limiter
	followers                   followers
}

// New returns a Handler.
func New(o Options) *Handler {
	if o.AccessTTL == 0 {
		o.AccessTTL = time.Hour
	}
	if o.Format == "" {
		o.Format = store.FormatJWT
	}
	if o.Algorithm == "" {
		o.Algorithm = "ES256"
	}
	if o.MaxStaleness == 0 {
		o.MaxStaleness = time.Minute
	}
	if o.Address == nil {
		o.Address = func(r *http.Request) netip.Addr {
			from, _ := netip.ParseAddrPort(r.RemoteAddr)
			return from.Addr().Unmap()
		}
	}
	if o.RequestID == nil {
		o.RequestID = telemetry.NewRequestIDs().New
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Handler{
		Options: o, grants: newGrantEngine(o.Minter),
		tokenLimit: limit.NewLimiter(0), introspectLimit: limit.NewLimiter(0), followers: followers{draining: make(chan struct{})},
	}
}

// Routes mounts the endpoints.
func (h *Handler) Routes(r gin.IRoutes) {
	r.POST("/oauth2/token", h.handle(h.token))
	r.POST("/oauth2/introspect", h.handle(h.introspect))
	r.POST("/oauth2/revoke", h.handle(h.revoke))
	r.GET("/oauth2/jwks", h.jwks)
	if h.Status != nil {
		r.GET("/oauth2/revocations", h.handle(h.revocations))
		r.GET("/oauth2/statuslists", h.handle(h.statusLists))
		r.GET("/oauth2/statuslists/:list", h.handle(h.statusList))
	}
	r.GET("/oauth2/authorize", h.handle(h.authorize))
	r.GET("/.well-known/oauth-authorization-server", h.metadata)
	r.GET("/.well-known/openid-configuration", h.openIDConfiguration)
}

// handle makes a gin handler of one that returns its error.
func (h *Handler) handle(serve func(*gin.Context) error) gin.HandlerFunc {
	return func(c *gin.Context) {
		if err := serve(c); err != nil {
			e := AsError(err)
			h.Metrics.TokenRefused(e.Code)
			h.answer(c, e)
		}
	}
}

// fresh refuses to answer from a state that is too old to know of revocations.
func (h *Handler) fresh(c *gin.Context) error {
	age := h.State.Age()
	if age <= staleFrom {
		return nil
	}
	c.Header("Postern-State-Age", age.Truncate(time.Second).String())
	if age > h.MaxStaleness {
		return &Error{Code: "temporarily_unavailable", Status: http.StatusServiceUnavailable, Description: "this node lost touch with its store; try again shortly"}
	}
	return nil
}

const staleFrom = 5 * time.Second
