// Package gateway is the door for API gateways: it answers whether a request
// that a gateway holds may pass (a decision), with 200, 401 or 403, or 503 when
// it is itself in trouble. Bodies are empty and there are no redirects: nginx
// turns any other status into a 500.
//
// A decision reads in one direction: the gateway's credential, the call that its
// binding describes, the client's token, host and path, the policy. What a
// gateway hands over is another spelling of what the client sent, and maybe of
// what the upstream will see, so paths are spelled canonically and refused where
// spellings differ (policy.Canonical). A header counts only where the binding of
// the route names it; of all others, X-Forwarded-Prefix, method overrides and
// User-Agent among them, none is read. A refusal does not say why.
//
// Handler is mounted on a listener of its own, without a router in front. It
// counts no failures and limits no rates: gateways retry, and all clients share
// their addresses.
package gateway

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"postern/policy"
	"postern/server/slow"
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
	WorkspaceByName(name string) *store.Workspace
	APIByName(name string) *store.API
	Age() time.Duration
}

// Options configures a Handler. The pointers and State are required.
type Options struct {
	State    State
	Policy   *policy.Engine
	Verifier *token.Verifier
	Minter   *token.Minter
	Usage    *usage.Recorder

	Algorithm    string        // of tokens for APIs that do not say; empty means ES256
	MaxStaleness time.Duration // older state than this is not decided from; 0 means 60 s; an API may ask for less

	Slow *slow.Checker // of gateways' imported secrets; nil knows none

	// RequireCredential asks every gateway for a credential. It is false only
	// where strangers cannot reach the listener: on loopback. One that is sent
	// must be right all the same.
	RequireCredential bool

	// NonceKey makes the nonces of DPoP, which are good on all nodes that have it; nil
	// makes one for this Handler.
	NonceKey []byte

	// Observe is told of each decision: the API's name, empty where there is no
	// such API, and "allowed", "denied", "unauthenticated" or "unavailable". May be nil.
	Observe func(api, outcome string)

	Now func() time.Time // nil means time.Now
	Log *slog.Logger     // nil means no log
}

// Handler answers decisions.
type Handler struct {
	Options

	nonces      nonces
	proofs      seenProofs
	credentials credentials
	exchange    exchange
}

// New returns a Handler.
func New(o Options) *Handler {
	if o.Algorithm == "" {
		o.Algorithm = "ES256"
	}
	if o.MaxStaleness == 0 {
		o.MaxStaleness = time.Minute
	}
	if o.Observe == nil {
		o.Observe = func(string, string) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.NonceKey == nil {
		o.NonceKey = make([]byte, sha256.Size)
		_, _ = rand.Read(o.NonceKey) // never fails
	}
	return &Handler{Options: o, exchange: exchange{minter: o.Minter}, nonces: nonces{o.NonceKey}}
}

// staleFrom is the age from which answers tell the age of what they are made of.
const staleFrom = 5 * time.Second

// ServeHTTP answers at /decide/<binding>/<api>, at /decide/envoy/<api>/<path>, and
// with 404 elsewhere. But for Envoy's, the method and query of the request itself
// do not matter: gateways differ in what they put there.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, name, ok := route(r)
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	header := w.Header()
	header["Cache-Control"] = noStore
	age := h.State.Age()
	if age > staleFrom {
		header.Set("Postern-State-Age", age.Truncate(time.Second).String())
	}
	api := h.State.APIByName(name)
	id, err := h.decide(r, b, api, age)
	if err != nil {
		h.refuse(w, r, api, err)
		return
	}
	id.write(header)
	if b.copies {
		id.authorize(header, r.Header["Authorization"])
	}
	h.observe(api, "allowed")
	w.WriteHeader(http.StatusOK)
}

func (h *Handler) observe(api *store.API, outcome string) {
	name := ""
	if api != nil {
		name = api.Name
	}
	h.Observe(name, outcome)
}

// route returns the binding of a request for a decision, and the API's name.
func route(r *http.Request) (b *binding, api string, ok bool) {
	if api, _, ok := cutEnvoy(r.RequestURI); ok {
		return envoy, api, true
	}
	path, ok := strings.CutPrefix(r.URL.Path, "/decide/")
	if !ok {
		return nil, "", false
	}
	name, api, ok := strings.Cut(path, "/")
	if !ok || api == "" || strings.IndexByte(api, '/') >= 0 {
		return nil, "", false
	}
	for i := range bindings {
		if bindings[i].name == name {
			return &bindings[i], api, true
		}
	}
	return nil, "", false
}
