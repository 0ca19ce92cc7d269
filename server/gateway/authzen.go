package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"postern/server/token"
	"postern/store"
)

// AuthZEN answers the evaluations of the OpenID AuthZEN Authorization API 1.0.
// Who asks is an API's gateway client, by HTTP Basic. It asks about
//
//	subject   {"type":"token","id":TOKEN}: whoever has that token or secret; or
//	          client, account or user with an id, where the API says evaluate_ids
//	resource  {"type":API,"id":PATH}, or {"type":"route","id":PATH} with the host in
//	          properties.hostname; the client's address is properties.ip
//	action    {"name":METHOD}
//	context   workspace: of an account, or of a client of all workspaces; body and
//	          content_type: of a GraphQL call
//
// and the decision is that of a binding. Of an allowed call context has the
// identity; of one that is not, the status that a gateway would answer, and why.
type AuthZEN struct {
	Decisions *Handler
	APIs      func() []*store.API // all there are

	// For searches.
	Workspaces func() []*store.Workspace // all there are
	Candidates Candidates
	Pages      Pages

	Issuer  string                           // the public URL, without a slash at its end
	Address func(*http.Request) netip.Addr   // of who asks
	Failed  func(a netip.Addr) time.Duration // counts a failure; more than 0 is how long who asks must wait. May be nil
}

// ServeHTTP answers POST /access/v1/evaluation and /access/v1/evaluations, POST
// /access/v1/search/subject, resource and action, and GET
// /.well-known/authzen-configuration.
func (z *AuthZEN) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	if id, ok := single(r.Header, "X-Request-Id"); ok && len(id) <= 128 && safe(id) == id {
		h.Set("X-Request-Id", id) // section 10.1.4: the caller's own, if it has one
	}
	switch r.URL.Path {
	case "/.well-known/authzen-configuration":
		answerJSON(w, http.StatusOK, map[string]string{
			"policy_decision_point":       z.Issuer,
			"access_evaluation_endpoint":  z.Issuer + "/access/v1/evaluation",
			"access_evaluations_endpoint": z.Issuer + "/access/v1/evaluations",
			"search_subject_endpoint":     z.Issuer + "/access/v1/search/subject",
			"search_resource_endpoint":    z.Issuer + "/access/v1/search/resource",
			"search_action_endpoint":      z.Issuer + "/access/v1/search/action",
		})
	case "/access/v1/evaluation", "/access/v1/evaluations":
		z.serve(w, r, strings.HasSuffix(r.URL.Path, "s"))
	default:
		what, ok := strings.CutPrefix(r.URL.Path, "/access/v1/search/")
		if _, known := searches[what]; !ok || !known {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		z.search(w, r, what)
	}
}

// admit returns the client that asks, and how old the state is that it is answered
// from.
func (z *AuthZEN) admit(w http.ResponseWriter, r *http.Request) (asking *store.Client, age time.Duration, err error) {
	age = z.Decisions.State.Age()
	if age > staleFrom {
		w.Header().Set("Postern-State-Age", age.Truncate(time.Second).String())
	}
	if age > z.Decisions.MaxStaleness {
		return nil, 0, errStale
	}
	asking, err = z.authenticate(r)
	return asking, age, err
}

func (z *AuthZEN) serve(w http.ResponseWriter, r *http.Request, several bool) {
	asking, age, err := z.admit(w, r)
	if err != nil {
		z.refuse(w, r, err)
		return
	}
	request, err := readEvaluations(r, several)
	if err != nil {
		z.refuse(w, r, &Error{http.StatusBadRequest, "", err.Error()})
		return
	}
	answers := make([]evaluated, 0, len(request.all))
	for i := range request.all {
		answer, err := z.evaluate(r.Context(), asking, &request.all[i], age)
		if err != nil {
			z.refuse(w, r, err)
			return
		}
		answers = append(answers, answer)
		if request.until != nil && answer.Decision == *request.until {
			break
		}
	}
	if request.single {
		answerJSON(w, http.StatusOK, answers[0])
		return
	}
	answerJSON(w, http.StatusOK, map[string][]evaluated{"evaluations": answers})
}

// authenticate returns the client that asks. A credential of nobody counts as a
// failure.
func (z *AuthZEN) authenticate(r *http.Request) (*store.Client, error) {
	from := z.Address(r)
	sent, ok := single(r.Header, "Authorization")
	var client *store.Client
	err := errGateway
	if ok {
		client, err = z.Decisions.gatewayClient(r.Context(), sent, from)
	}
	if errors.Is(err, errGateway) && z.Failed != nil {
		if wait := z.Failed(from); wait > 0 {
			return nil, &tooManyError{wait}
		}
	}
	return client, err
}

// tooManyError is a failure that came after too many of them.
type tooManyError struct{ wait time.Duration }

func (e *tooManyError) Error() string { return "too many failures; wait before the next try" }

// refuse answers a request of which nothing is decided.
func (z *AuthZEN) refuse(w http.ResponseWriter, r *http.Request, err error) {
	status, why := http.StatusTooManyRequests, err.Error()
	if many, ok := errors.AsType[*tooManyError](err); ok {
		w.Header().Set("Retry-After", strconv.Itoa(int(many.wait/time.Second)+1))
	} else {
		e := AsError(err)
		status, why = e.Status, e.Reason
		switch status {
		case http.StatusUnauthorized:
			w.Header().Set("WWW-Authenticate", e.Challenge)
		case http.StatusServiceUnavailable:
			w.Header().Set("Retry-After", "1")
			z.Decisions.Log.Log(r.Context(), slog.LevelError, "evaluation refused", "reason", why)
			why = "this node is in trouble; its log says more"
		}
	}
	answerJSON(w, status, map[string]any{"status": status, "title": http.StatusText(status), "detail": why})
}

var contentJSON = []string{"application/json"} //nolint:gochecknoglobals // a header's value, shared by all answers

func answerJSON(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		status, text = http.StatusInternalServerError, nil
	}
	w.Header()["Content-Type"] = contentJSON
	w.WriteHeader(status)
	_, _ = w.Write(text)
}

// evaluated is its answer.
type evaluated struct {
	Decision bool `json:"decision"`
	Context  any  `json:"context,omitempty"`
}

// callerContext is the context of an answer that allows: who calls, as the headers
// of other bindings say it.
type callerContext struct {
	Subject   string `json:"subject"`
	Client    string `json:"client"`
	Workspace string `json:"workspace"`
	Roles     string `json:"roles"`
	Scope     string `json:"scope"`
	Token     string `json:"token,omitempty"` // in the place of a secret
}

// evaluate answers a question. Its error is our own trouble.
func (z *AuthZEN) evaluate(ctx context.Context, asking *store.Client, e *evaluation, age time.Duration) (evaluated, error) {
	if e.wrong != "" {
		return evaluated{Context: map[string]any{"error": map[string]any{"status": http.StatusBadRequest, "message": e.wrong}}}, nil
	}
	api := z.api(asking, e)
	id, err := z.decide(ctx, api, e, age, func() (*token.Caller, error) { return z.caller(ctx, api, e) })
	if err != nil {
		refusal := AsError(err)
		if refusal.Status == http.StatusServiceUnavailable {
			return evaluated{}, err
		}
		z.Decisions.refused(ctx, api, refusal, err)
		return evaluated{Context: map[string]any{"status": refusal.Status, "reason": refusal.Reason}}, nil
	}
	z.Decisions.observe(api, "allowed")
	v := id.spelled()
	return evaluated{true, &callerContext{v[0], v[1], v[2], v[3], v[4], id.token}}, nil
}

// api finds the API of a question among those that the client introspects for:
// of others it learns nothing.
func (z *AuthZEN) api(asking *store.Client, e *evaluation) *store.API {
	if e.api != "route" {
		api := z.Decisions.State.APIByName(e.api)
		if api == nil || api.Name == store.PosternAPI || !slices.Contains(api.Introspectors, asking.ID) {
			return nil
		}
		return api
	}
	var found *store.API
	for _, api := range z.APIs() {
		if api.Name == store.PosternAPI || !slices.Contains(api.Introspectors, asking.ID) || !isOneOf(api.Hosts, e.host) {
			continue
		}
		if found != nil {
			return nil // which of two, nobody knows
		}
		found = api
	}
	return found
}

// decide answers a question about whom who returns. It is asked only where that
// matters.
func (z *AuthZEN) decide(ctx context.Context, api *store.API, e *evaluation, age time.Duration, who func() (*token.Caller, error)) (identity, error) {
	h := z.Decisions
	if err := decidable(api, age); err != nil {
		return identity{}, err
	}
	if !isMethod(e.method) {
		return identity{}, errBinding
	}
	c := call{method: e.method, target: e.path, host: e.host, address: e.address, supposed: e.searched || e.subjectType != "token", searched: e.searched}
	if c.host == "" && len(api.Hosts) > 0 {
		c.host = api.Hosts[0] // who asks chose the API by its name
	}
	path, found, wrong := h.locate(api, c)
	if found.Public {
		return anonymous(), nil
	}
	caller, err := who()
	if err != nil {
		return identity{}, err
	}
	if wrong != nil {
		h.record(caller, c, found.Pattern, "", store.OutcomeDenied)
		return identity{}, wrong
	}
	c.operations = func() ([]string, error) { return e.operations(c) }
	return h.decideFor(ctx, caller, api, c, path, found)
}

// operations reads a GraphQL call of which a gateway passed the body in the
// context.
func (e *evaluation) operations(c call) ([]string, error) {
	if err := c.isPlainPost(); err != nil {
		return nil, err
	}
	switch {
	case e.body == "":
		return nil, errors.New("there is no body in the context")
	case len(e.body) > maxBody:
		return nil, errTooLarge
	}
	kind := e.contentType
	if kind == "" {
		kind = "application/json"
	}
	return operations(kind, []byte(e.body))
}

var errIDs error = &Error{http.StatusForbidden, "", "the API does not let its introspectors ask about ids (evaluate_ids)"}

// caller is who the question is about.
func (z *AuthZEN) caller(ctx context.Context, api *store.API, e *evaluation) (*token.Caller, error) {
	h := z.Decisions
	if e.subjectType == "token" {
		return h.verifyToken(ctx, e.subject, api, "", nil)
	}
	if !api.EvaluateIDs {
		return nil, errIDs
	}
	var ws *store.Workspace
	if e.workspace != "" {
		if ws = h.State.WorkspaceByName(e.workspace); ws == nil {
			ws = h.State.Workspace(store.WorkspaceID(e.workspace))
		}
		if ws == nil {
			return nil, errWorkspace
		}
	}
	if e.subjectType == "client" {
		caller, err := h.Verifier.Client(ctx, store.ClientID(e.subject))
		if err != nil {
			return nil, err
		}
		if caller.Workspace == nil {
			caller.Workspace = ws
		} else if ws != nil && ws.ID != caller.Workspace.ID {
			return nil, errWorkspace
		}
		return caller, nil
	}
	return h.Verifier.Account(ctx, store.AccountID(e.subject), e.subjectType == "user", ws)
}
