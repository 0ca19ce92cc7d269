package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"postern/server/token"
	"postern/store"
)

// Error is a refusal. Why is for the operator's log, and never sent.
type Error struct {
	Status    int
	Challenge string // WWW-Authenticate, of a 401
	Reason    string
}

func (e *Error) Error() string { return e.Reason }

// The challenges (RFC 6750 section 3, RFC 7617 section 2). Where no token was
// sent there is no error to name.
const (
	challengeGateway = `Basic realm="postern gateway", charset="UTF-8"`
	challengePlain   = `Bearer realm="postern"`
	challengeInvalid = `Bearer realm="postern", error="invalid_token"`
)

// The refusals, in the order in which they are found.
var (
	errStale     error = &Error{http.StatusServiceUnavailable, "", "this node lost touch with its store"}
	errGateway   error = &Error{http.StatusUnauthorized, challengeGateway, "the gateway's credential is missing, wrong or not one of the API's introspectors"}
	errNoAPI     error = &Error{http.StatusForbidden, "", "there is no such API"}
	errBinding   error = &Error{http.StatusForbidden, "", "a header that describes the call is missing, unusable or there twice"}
	errNoToken   error = &Error{http.StatusUnauthorized, challengePlain, "there is no bearer token"}
	errTokens    error = &Error{http.StatusUnauthorized, challengeInvalid, "there is not exactly one token"}
	errInvalid   error = &Error{http.StatusUnauthorized, challengeInvalid, "the token is not valid"}
	errAudience  error = &Error{http.StatusUnauthorized, challengeInvalid, "the token is for another audience"}
	errHost      error = &Error{http.StatusForbidden, "", "the host is unknown or not one of the API's"}
	errPath      error = &Error{http.StatusForbidden, "", "the path is not one that everybody reads alike"}
	errWorkspace error = &Error{http.StatusForbidden, "", "there is no workspace to decide in, or the API is not open to it"}
	errClient    error = &Error{http.StatusForbidden, "", "the client may not call from this address, or may not call APIs"}
	errDenied    error = &Error{http.StatusForbidden, "", "the policy does not allow it"}
	errActor     error = &Error{http.StatusForbidden, "", "the policy does not allow it to a client that acts for the caller"}
	errExchange  error = &Error{http.StatusUnauthorized, challengeInvalid, "the secret ends now"}
)

// AsError gives an error its status. What nobody classified, an outage of the
// store among it, is our own trouble and no answer to the question.
func AsError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if errors.Is(err, token.ErrInvalid) {
		e, _ := errors.AsType[*Error](errInvalid)
		return e
	}
	return &Error{Status: http.StatusServiceUnavailable, Reason: err.Error()}
}

func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, api *store.API, err error) {
	e := AsError(err)
	header := w.Header()
	switch e.Status {
	case http.StatusUnauthorized:
		header.Set("WWW-Authenticate", e.Challenge)
		if challengesProof(e.Challenge) {
			header["Dpop-Nonce"] = []string{h.nonces.current(h.Now())}
		}
	case http.StatusServiceUnavailable:
		header.Set("Retry-After", "1")
	}
	h.refused(r.Context(), api, e, err)
	w.WriteHeader(e.Status)
}

// refused counts a refusal and tells the log why.
func (h *Handler) refused(ctx context.Context, api *store.API, e *Error, err error) {
	level, outcome := slog.LevelDebug, "denied"
	switch e.Status {
	case http.StatusUnauthorized:
		outcome = "unauthenticated"
	case http.StatusServiceUnavailable:
		level, outcome = slog.LevelError, "unavailable"
	}
	h.observe(api, outcome)
	if h.Log.Enabled(ctx, level) {
		name := ""
		if api != nil {
			name = api.Name
		}
		h.Log.Log(ctx, level, "decision refused", "api", name, "status", e.Status, "reason", err.Error())
	}
}

// identity is what an upstream is told of the caller.
type identity struct {
	subject, client, workspace, roles, scope string
	token                                    string     // in the place of a secret that was sent as a bearer
	values                                   *[5]string // of the headers, once they are spelled
}

// anonymous calls what is public.
func anonymous() identity { return identity{subject: "anonymous"} }

// maxRoles is the most that the names of roles may take: gateways have little
// room for headers.
const maxRoles = 1024

// write sends every header, whatever is known: where one is missing, a forged one
// of the client's survives in some gateways.
func (id *identity) write(h http.Header) {
	values := id.spelled()
	h["X-Auth-Subject"] = values[0:1:1]
	h["X-Auth-Client"] = values[1:2:2]
	h["X-Auth-Workspace"] = values[2:3:3]
	h["X-Auth-Roles"] = values[3:4:4]
	h["X-Auth-Scope"] = values[4:5:5]
	if id.token != "" {
		h["X-Auth-Token"] = []string{id.token}
	}
}

// authorization says which Authorization the upstream gets: the token given for a
// secret, the one that was sent where it was looked at, and none of a public
// call, since nobody knows what that has; remove says so.
func (id *identity) authorization(sent []string) (values []string, remove bool) {
	switch {
	case id.token != "":
		return []string{"Bearer " + id.token}, false
	case id.client == "":
		return nil, true
	default:
		return sent, false
	}
}

// authorize writes the Authorization that the upstream gets. Envoy leaves the
// client's unless it is told to remove it; the others do so where the answer has
// none.
func (id *identity) authorize(h http.Header, sent []string) {
	values, remove := id.authorization(sent)
	if remove {
		h["X-Envoy-Auth-Headers-To-Remove"] = removeAuthorization
		return
	}
	h["Authorization"] = values
}

var removeAuthorization = []string{"authorization"} //nolint:gochecknoglobals // a header's value, shared by all answers

// spelled is the values of the headers, of which some are spelled already.
func (id *identity) spelled() *[5]string {
	if id.values != nil {
		return id.values
	}
	roles := id.roles
	if len(roles) > maxRoles {
		roles = ""
	}
	return &[5]string{safe(id.subject), safe(id.client), safe(id.workspace), safe(roles), safe(id.scope)}
}

// safe returns a header's value: "-" in the place of none, and of one that a
// header cannot carry.
func safe(value string) string {
	if value == "" {
		return "-"
	}
	for i := range len(value) {
		if c := value[i]; c < 0x20 || c > 0x7e {
			return "-"
		}
	}
	return value
}

var noStore = []string{"no-store"} //nolint:gochecknoglobals // a header's value, shared by all answers
