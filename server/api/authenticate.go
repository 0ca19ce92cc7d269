package api

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"

	"postern/server/admin"
	"postern/server/secret"
	"postern/server/telemetry"
	"postern/server/token"
	"postern/server/usage"
	"postern/store"
)

type actorKey struct{}

// actor is who sent the request. Without one it is the zero Actor, which may do
// nothing.
func actor(ctx context.Context) *admin.Actor {
	if by, ok := ctx.Value(actorKey{}).(*admin.Actor); ok {
		return by
	}
	return &admin.Actor{}
}

// denial is why a request is not let in.
type denial struct {
	status     int
	challenge  string // of WWW-Authenticate: what comes after the bearer's realm (RFC 6750 section 3), or all of it
	message    string
	retryAfter time.Duration
	noCode     bool  // the password was right, and a code would be asked for
	err        error // for the log
}

// authenticated lets a request through to its operation with its actor, and
// counts how it ended.
func (m *mounted) authenticated(ctx huma.Context, next func(huma.Context)) {
	c := humagin.Unwrap(ctx)
	// Every answer is for one actor, and some hold a secret.
	ctx.SetHeader("Cache-Control", "no-store")
	ctx.SetHeader("X-Content-Type-Options", "nosniff")
	by, refused := m.admit(c.Request, m.operations[ctx.Operation().OperationID])
	if refused != nil {
		m.deny(ctx, refused)
		m.Observe(ctx.Operation().OperationID, refused.status)
		return
	}
	if fault := oddQuery(c.Request.URL.RawQuery); fault != "" {
		_ = huma.WriteErr(m.huma, ctx, http.StatusUnprocessableEntity, "the request has faults", &huma.ErrorDetail{Location: "query", Message: fault}) // the sender is gone then
	} else {
		next(huma.WithValue(ctx, actorKey{}, by))
	}
	status := c.Writer.Status()
	m.Observe(ctx.Operation().OperationID, status)
	m.count(by, ctx.Operation(), status)
}

// oddQuery finds what readers of a query pass over in silence, and a condition
// that is passed over opens the list.
func oddQuery(raw string) string {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return "is not well-formed"
	}
	for _, v := range values {
		if len(v) > 1 {
			return "has a parameter twice"
		}
	}
	return ""
}

func (m *mounted) deny(ctx huma.Context, d *denial) {
	switch d.status {
	case http.StatusUnauthorized:
		challenge := d.challenge
		if challenge != basicChallenge {
			challenge = `Bearer realm="postern"` + challenge
		}
		ctx.SetHeader("WWW-Authenticate", challenge)
		if d.noCode {
			ctx.SetHeader(otpHeader, "required")
		}
	case http.StatusTooManyRequests:
		ctx.SetHeader("Retry-After", strconv.Itoa(int(d.retryAfter/time.Second)))
	case http.StatusServiceUnavailable:
		ctx.SetHeader("Retry-After", retryAfter)
	}
	if d.err != nil {
		m.Log.InfoContext(ctx.Context(), "a request to the API was not let in", "operation", ctx.Operation().OperationID, "error", d.err)
	}
	_ = huma.WriteErr(m.huma, ctx, d.status, d.message) // the sender is gone then
}

// count remembers a success as the credential's last use, and what was forbidden
// as its last refusal.
func (m *mounted) count(by *admin.Actor, op *huma.Operation, status int) {
	if by.Client == nil {
		return // nobody, or a person by password
	}
	e := usage.Event{Client: by.Client.ID, Workspace: by.Client.Workspace, Secret: by.Secret, Address: by.Address, Endpoint: op.Method + " " + op.Path}
	switch {
	case m.Usage == nil:
		return
	case status < http.StatusBadRequest:
		e.Outcome = store.OutcomeAllowed
	case status == http.StatusForbidden:
		e.Outcome = store.OutcomeDenied
	default:
		return
	}
	m.Usage.Record(e)
}

// admit finds out who sends a request for an operation: nobody who needs to say
// so, a person by name and password (RFC 7617), or whoever has a bearer.
func (m *mounted) admit(r *http.Request, op admin.Operation) (*admin.Actor, *denial) {
	headers := r.Header["Authorization"]
	switch {
	case m.State.Age() > m.MaxStaleness:
		return nil, errLost
	case op.Public:
		return &admin.Actor{Address: m.Address(r), RequestID: telemetry.RequestID(r.Context())}, nil
	case op.Password && len(headers) == 1 && len(headers[0]) > 6 && strings.EqualFold(headers[0][:6], "Basic "):
		return m.signIn(r)
	default:
		return m.authenticate(r, op)
	}
}

var errLost = &denial{status: http.StatusServiceUnavailable, message: "this node lost touch with its store; try again shortly"} //nolint:gochecknoglobals // a constant

// otpHeader has the code of a second factor, beside name and password; in an
// answer it says that one is asked for.
const otpHeader = "Postern-OTP"

// signIn finds out who a person is by name and password, and a code where the
// account has a second factor.
func (m *mounted) signIn(r *http.Request) (*admin.Actor, *denial) {
	name, password, ok := r.BasicAuth()
	if !ok {
		return nil, &denial{status: http.StatusUnauthorized, challenge: basicChallenge, message: "the Authorization header is not well-formed"}
	}
	by, err := m.Admin.SignIn(r.Context(), name, secret.Of(password), m.Address(r), telemetry.RequestID(r.Context()))
	asked := false
	if err == nil {
		asked = true
		err = m.Admin.EnterOTP(r.Context(), by, r.Header.Get(otpHeader))
	}
	if err == nil {
		return by, nil
	}
	d := &denial{status: http.StatusServiceUnavailable, message: "the store does not answer; try again shortly", err: err}
	if e, ok := errors.AsType[*admin.Error](err); ok {
		d.status, d.message = statusOf(e.Kind), e.Message
		d.retryAfter = e.RetryAfter
		if e.Kind == admin.Unauthenticated {
			d.challenge, d.noCode = basicChallenge, asked
		}
	}
	return nil, d
}

// basicChallenge asks for name and password (RFC 7617 section 2).
const basicChallenge = `Basic realm="postern", charset="UTF-8"`

// authenticate finds out who sends a request (RFC 6750 section 2.1).
func (m *mounted) authenticate(r *http.Request, op admin.Operation) (*admin.Actor, *denial) {
	text, refused := bearer(r.Header["Authorization"])
	if refused != nil {
		return nil, refused
	}
	caller, err := m.Verifier.VerifyHeld(r.Context(), text, token.Certificate(func(thumbprint string) bool { return m.Certificates.Holds(r, thumbprint) }))
	switch {
	case errors.Is(err, token.ErrInvalid):
		return nil, badToken(err)
	case err != nil:
		return nil, &denial{status: http.StatusServiceUnavailable, message: "the store does not answer; try again shortly", err: err}
	}
	from := m.Address(r)
	if err := m.admits(caller, from, op); err != nil {
		return nil, badToken(err)
	}
	if caller.Client.SCIMOnly {
		return nil, &denial{status: http.StatusForbidden, message: "this credential is for SCIM and nothing else"}
	}
	by := &admin.Actor{
		Holder: caller.Holder, Client: caller.Client, Secret: caller.Secret, Scopes: caller.Scopes, AnyScope: caller.AnyScope,
		Address: from, RequestID: telemetry.RequestID(r.Context()),
	}
	if caller.Token != nil {
		by.Audience = caller.Token.Audience
	}
	if caller.Workspace != nil {
		by.Workspace = caller.Workspace.ID
	}
	return by, nil
}

// bearer takes the credential out of the one Authorization header.
func bearer(headers []string) (string, *denial) {
	switch len(headers) {
	case 0:
		// Without an error code, since nothing was sent (RFC 6750 section 3.1).
		return "", &denial{status: http.StatusUnauthorized, message: "send a credential as Authorization: Bearer"}
	case 1:
	default:
		return "", &denial{status: http.StatusUnauthorized, challenge: `, error="invalid_request"`, message: "there are several Authorization headers"}
	}
	scheme, text, _ := strings.Cut(headers[0], " ")
	if !strings.EqualFold(scheme, "Bearer") || text == "" || strings.ContainsAny(text, " ,") {
		return "", &denial{status: http.StatusUnauthorized, challenge: `, error="invalid_request"`, message: "send a credential as Authorization: Bearer, and nothing else"}
	}
	return text, nil
}

var (
	errAudience = errors.New("the token is not for Postern's own API")
	errAddress  = errors.New("the client's address list does not hold this address")
	errActs     = errors.New("a client that acts for another administers nothing in its place")
)

// admits says why a credential that is good is not good here. What is wrong with
// it anywhere, the Verifier has found.
func (m *mounted) admits(caller *token.Caller, from netip.Addr, op admin.Operation) error {
	own := m.State.APIByName(store.PosternAPI)
	switch {
	case caller.Token != nil && !op.AnyToken && (own == nil || !slices.Contains(caller.Token.Audience, own.Audience)):
		return errAudience
	case len(caller.Actors) > 0:
		return errActs
	case !caller.Client.MayCallFrom(from):
		return errAddress
	}
	return nil
}

// badToken says nothing of what is wrong to a stranger.
func badToken(err error) *denial {
	return &denial{status: http.StatusUnauthorized, challenge: `, error="invalid_token"`, message: "the credential is not good here", err: err}
}
