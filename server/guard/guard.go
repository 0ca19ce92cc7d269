// Package guard protects a Go server by Postern: middleware for net/http, of the
// standard library alone. The package ginguard beside it is the same for Gin.
//
//	g, err := guard.New(guard.Options{Issuer: "https://postern.example.com", Audience: "https://orders.example.com"})
//	http.ListenAndServe(":8080", g.Require("orders:read")(orders))
//
// With Options.Decisions every request is decided by Postern, by the roles of its
// client: who calls, what, on which path. Without it tokens are verified here, by
// the keys that Postern publishes: who calls, and which scopes it was given.
// A token that was revoked meanwhile is then good until its end, unless
// Options.Feed has Postern tell which those are: within a second, and without
// being asked for any of them.
//
// No answer is a refusal: without keys, without a decision, or with a feed that
// fell silent, it is 503.
package guard

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Options configure a Guard.
type Options struct {
	// Issuer is Postern's public URL, as tokens name it (RFC 9068 iss). Needed to
	// verify here.
	Issuer string
	// Audience is that of the API, which a token must be for. Needed to verify
	// here.
	Audience string
	// JWKS is where the keys are; empty means Issuer + "/oauth2/jwks".
	JWKS string
	// Leeway is how far the clocks may be apart; 0 means 10 s.
	Leeway time.Duration

	// Feed has Postern tell which tokens were revoked, where tokens are verified here;
	// nil does without. It needs Close.
	Feed *Feed

	// Decisions is where Postern decides, such as
	// http://127.0.0.1:8086/decide/nginx/orders. Empty verifies here.
	Decisions string
	// Credential is what this server authenticates with there: the value that
	// `postern gateway credential` prints, "Basic …". May be empty on loopback.
	Credential string
	// CertificateHeader is the header that the API names (certificate_header), for
	// tokens that are bound to a client's certificate: the one of the connection is
	// sent in it. Empty sends none. Tokens that are verified here need no header.
	CertificateHeader string
	// Reuse is how long a decision is used again for the same token, method, host,
	// path and address; 0 means 1 s, less than 0 means never. A revoked token is
	// good for as long.
	Reuse time.Duration
	// Kept is how many decisions are remembered at once; 0 means 10,000.
	Kept int

	// Address is the client's, for clients with a list; nil means that of the
	// connection. Say it where a proxy stands in front.
	Address func(*http.Request) string

	// HTTP is what asks; nil means a client that waits 2 s for a decision and 5 s
	// for keys, follows no redirect and goes through no proxy.
	HTTP *http.Client
	// Now is the time; nil means time.Now.
	Now func() time.Time
}

// Identity is who calls. Its texts are as the identity headers have them, but for
// "-", which is empty here.
type Identity struct {
	Subject   string // the account's id; "anonymous" where the call is public
	Client    string
	Workspace string
	Roles     []string // known where Postern decided; of a verified token, those at its minting
	Scopes    []string
	// Token is what to send on in the place of a secret that was sent as a bearer;
	// empty where the client's own may be sent on.
	Token string
}

// HasScope reports whether the token was given a scope.
func (id *Identity) HasScope(scope string) bool { return slices.Contains(id.Scopes, scope) }

// Error is why a request does not pass.
type Error struct {
	Status    int    // 401, 403 or 503
	Challenge string // WWW-Authenticate (RFC 6750 section 3), of a 401, and of a 403 for want of a scope
	Nonce     string // DPoP-Nonce (RFC 9449 section 9), where Postern sent one
	reason    string
}

func (e *Error) Error() string { return e.reason }

// Guard decides who may pass. It may be used by any goroutine.
type Guard struct {
	o       Options
	keys    keySet
	decided decisions
	feed    *feed // nil without Options.Feed
}

// New returns a Guard. Its error says which option is missing or no sense. With a
// Feed it begins to follow it; Ready waits for what is known first.
func New(o Options) (*Guard, error) {
	if o.Decisions == "" && (o.Issuer == "" || o.Audience == "") {
		return nil, errors.New("guard: Issuer and Audience are needed to verify tokens, or Decisions to have Postern decide")
	}
	if o.Decisions != "" && !strings.Contains(o.Decisions, "/decide/nginx/") {
		return nil, errors.New("guard: Decisions must be an address such as http://127.0.0.1:8086/decide/nginx/orders")
	}
	if o.JWKS == "" {
		o.JWKS = o.Issuer + "/oauth2/jwks"
	}
	if o.Leeway == 0 {
		o.Leeway = 10 * time.Second
	}
	if o.Reuse == 0 {
		o.Reuse = time.Second
	}
	if o.Kept == 0 {
		o.Kept = 10_000
	}
	if o.Address == nil {
		o.Address = peer
	}
	if o.HTTP == nil {
		o.HTTP = &http.Client{
			Transport:     &http.Transport{MaxIdleConnsPerHost: 32, IdleConnTimeout: time.Minute, ResponseHeaderTimeout: 2 * time.Second},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Timeout:       5 * time.Second,
		}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	g := &Guard{o: o}
	if o.Feed != nil {
		if err := g.follow(*o.Feed); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// Check says who calls, if the request may pass; the error is an *Error.
func (g *Guard) Check(r *http.Request) (*Identity, error) {
	if g.o.Decisions != "" {
		return g.decide(r)
	}
	text, err := bearer(r.Header["Authorization"])
	if err != nil {
		return nil, err
	}
	return g.verify(r, text)
}

// Handler lets pass what Check does. What a client says of itself in the identity
// headers is removed; FromContext has who calls.
func (g *Guard) Handler(next http.Handler) http.Handler { return g.Require()(next) }

// Require is Handler that asks for scopes too, all of them.
func (g *Guard) Require(scopes ...string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r, ok := g.Admit(w, r, scopes...); ok {
				next.ServeHTTP(w, r)
			}
		})
	}
}

// Admit is Require for routers with handlers of their own: it returns the request
// to go on with, or answers it and returns false.
func (g *Guard) Admit(w http.ResponseWriter, r *http.Request, scopes ...string) (*http.Request, bool) {
	id, err := g.Check(r)
	if err == nil {
		err = id.need(scopes)
	}
	if err != nil {
		refuse(w, err)
		return nil, false
	}
	r = r.Clone(context.WithValue(r.Context(), identityKey{}, id))
	for name := range r.Header {
		if strings.HasPrefix(name, "X-Auth-") {
			delete(r.Header, name)
		}
	}
	return r, true
}

func (id *Identity) need(scopes []string) error {
	for _, s := range scopes {
		if !id.HasScope(s) {
			return &Error{http.StatusForbidden, `Bearer realm="postern", error="insufficient_scope", scope="` + strings.Join(scopes, " ") + `"`, "", "the token lacks the scope " + s}
		}
	}
	return nil
}

func refuse(w http.ResponseWriter, err error) {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		e = &Error{Status: http.StatusServiceUnavailable}
	}
	if e.Challenge != "" {
		w.Header().Set("WWW-Authenticate", e.Challenge)
	}
	if e.Nonce != "" {
		w.Header().Set("DPoP-Nonce", e.Nonce)
	}
	if e.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(e.Status)
}

type identityKey struct{}

// FromContext returns who calls, of a request that a Guard let pass, or nil.
func FromContext(ctx context.Context) *Identity {
	id, _ := ctx.Value(identityKey{}).(*Identity)
	return id
}

// The refusals that need no facts.
var (
	errNoToken = &Error{http.StatusUnauthorized, `Bearer realm="postern"`, "", "there is no bearer token"}
	errTokens  = invalid("there is not exactly one token")
)

func invalid(why string) *Error {
	return &Error{http.StatusUnauthorized, `Bearer realm="postern", error="invalid_token"`, "", why}
}

func unavailable(why string) *Error {
	return &Error{http.StatusServiceUnavailable, "", "", why}
}

// bearer returns the one token of a request (RFC 6750 section 2.1); several are
// none.
func bearer(headers []string) (string, error) {
	switch {
	case len(headers) == 0:
		return "", errNoToken
	case len(headers) > 1:
		return "", errTokens
	}
	scheme, text, _ := strings.Cut(headers[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", errNoToken
	}
	text = strings.TrimLeft(text, " ")
	if text == "" || strings.ContainsAny(text, ", \t") {
		return "", errTokens
	}
	return text, nil
}
