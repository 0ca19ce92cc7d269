package gateway

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"postern/policy"
	"postern/server/certificate"
	"postern/server/token"
	"postern/server/usage"
	"postern/store"
)

// decide says who calls, if the call may pass.
func (h *Handler) decide(r *http.Request, b *binding, api *store.API, age time.Duration) (identity, error) {
	peer, _ := netip.ParseAddrPort(r.RemoteAddr)
	ctx := r.Context()
	if err := h.admit(ctx, r.Header["X-Postern-Gateway"], peer.Addr(), api, age); err != nil {
		return identity{}, err
	}
	c, ok := b.read(r)
	if !ok {
		return identity{}, errBinding
	}
	c.asked, c.binding, c.proofs = r, b, r.Header["Dpop"]
	if api.CertificateHeader != "" {
		c.certificate = func() (*x509.Certificate, error) { return certificate.FromHeader(r.Header, api.CertificateHeader) }
	}
	return h.decideCall(ctx, api, c, r.Header["Authorization"])
}

// admit refuses a gateway that may not ask about the API, and what cannot be
// decided from a state of this age.
func (h *Handler) admit(ctx context.Context, credential []string, from netip.Addr, api *store.API, age time.Duration) error {
	if age > h.MaxStaleness {
		return errStale
	}
	if err := h.authenticateGateway(ctx, credential, from, api); err != nil {
		return err
	}
	return decidable(api, age)
}

// decidable refuses an API that there is not, and from a state that is too old
// for it.
func decidable(api *store.API, age time.Duration) error {
	if api == nil || api.Name == store.PosternAPI { // which decides for itself, and in two workspaces
		return errNoAPI
	}
	if api.MaxStaleness > 0 && age > time.Duration(api.MaxStaleness)*time.Second {
		return errStale
	}
	return nil
}

// decideCall says who calls, of a call with these headers Authorization.
func (h *Handler) decideCall(ctx context.Context, api *store.API, c call, authorization []string) (identity, error) {
	if !isMethod(c.method) {
		return identity{}, errBinding
	}
	path, found, wrong := h.locate(api, c)
	if found.Public {
		return anonymous(), nil
	}
	caller, err := h.sender(ctx, api, c, path, authorization)
	if err != nil {
		return identity{}, err
	}
	if wrong != nil {
		h.record(caller, c, found.Pattern, "", store.OutcomeDenied)
		return identity{}, wrong
	}
	return h.decideFor(ctx, caller, api, c, path, found)
}

// sender says who sent a call: whose token it has, and that they hold the key that
// the token is bound to.
func (h *Handler) sender(ctx context.Context, api *store.API, c call, path string, authorization []string) (*token.Caller, error) {
	text, dpop, err := sentToken(authorization)
	if err != nil {
		return nil, err
	}
	if !dpop {
		return h.verifyToken(ctx, text, api, "", c.certificate)
	}
	p, err := h.prove(api, c, path, text)
	if err != nil {
		return nil, err
	}
	caller, err := h.verifyToken(ctx, text, api, p.Key, c.certificate)
	if errors.Is(err, token.ErrInvalid) {
		return nil, &Error{http.StatusUnauthorized, challengeUnproven, err.Error()}
	}
	if err == nil {
		err = h.proofs.add(p, h.Now()) // last, so that nobody else can use it up
	}
	if err != nil {
		return nil, err
	}
	return caller, nil
}

// locate spells the path and finds it in the API's catalogue. What is wrong with
// host or path is told only to who has a token.
func (h *Handler) locate(api *store.API, c call) (path string, found policy.Found, wrong error) {
	if len(api.Hosts) > 0 && !isOneOf(api.Hosts, c.host) {
		return "", policy.Found{}, errHost
	}
	path, err := policy.Canonical(c.target, policy.RelaxedFor(api))
	if err != nil {
		return "", policy.Found{}, errPath
	}
	return path, h.Policy.Endpoint(api.ID, c.method, path), nil
}

// decideFor decides the call of a known caller, and counts it.
func (h *Handler) decideFor(ctx context.Context, caller *token.Caller, api *store.API, c call, path string, found policy.Found) (identity, error) {
	client, pattern := caller.Client, found.Pattern
	ws, wrong := h.workspace(caller, api, c.method, path, pattern)
	if wrong == nil && (client.SCIMOnly || !caller.Sender().MayCallFrom(c.address)) {
		wrong = errClient
	}
	if wrong != nil {
		h.record(caller, c, pattern, "", store.OutcomeDenied)
		return identity{}, wrong
	}
	who := caller.Policy()
	req := &policy.Request{Workspace: ws.ID, API: api.Name, Method: c.method, Path: path}
	if found.GraphQL {
		return h.decideFields(ctx, caller, who, req, api, ws, c, pattern)
	}
	rule, pattern, err := h.ask(caller, who, req, c, pattern)
	if err != nil {
		return identity{}, err
	}
	if c.searched {
		return identity{}, nil
	}
	id, err := h.identify(ctx, caller, who, api, ws)
	if err != nil {
		return identity{}, err
	}
	h.record(caller, c, pattern, rule, store.OutcomeAllowed)
	return id, nil
}

// ask asks the policy, and counts a refusal. The pattern is that of the
// catalogue; where there is none, the deciding rule's is returned.
func (h *Handler) ask(caller *token.Caller, who *policy.Caller, req *policy.Request, c call, pattern string) (rule, located string, err error) {
	d := h.Policy.Decide(who, req)
	if pattern == "" {
		pattern = d.Pattern
	}
	if d.Allowed {
		for _, actor := range caller.Actors {
			if of := actor.Client.Workspace; of != "" && of != req.Workspace || !h.Policy.Decide(actor.Policy(), req).Allowed {
				h.record(caller, c, pattern, d.Rule, store.OutcomeDenied)
				return "", "", errActor
			}
		}
		return d.Rule, pattern, nil
	}
	rule = d.Rule
	if d.Reason == policy.Forbids {
		rule = d.Ceiling
	}
	h.record(caller, c, pattern, rule, store.OutcomeDenied)
	return "", "", errDenied
}

// identify says who calls, to the upstream. Of a token it is remembered with the
// token while its client, its account and all roles stay as they are.
func (h *Handler) identify(ctx context.Context, caller *token.Caller, who *policy.Caller, api *store.API, ws *store.Workspace) (identity, error) {
	epoch := h.Policy.Epoch()
	if caller.Token != nil {
		if m := caller.Token.Decided.Load(); m != nil {
			if known, ok := (*m).(memo); ok && known.epoch == epoch && known.client == caller.Client && known.holder == caller.Holder && known.workspace == ws.ID {
				return known.identity, nil
			}
		}
	}
	id := identity{subject: string(caller.Client.Account), client: string(caller.Client.ID), workspace: string(ws.ID)}
	id.roles = strings.Join(h.Policy.RolesOf(who, ws.ID), ",")
	if caller.Token == nil {
		id.scope = strings.Join(h.Policy.Scopes(who, ws.ID, []string{api.Name}), " ")
		if caller.Secret == "" { // nobody sent one
			return id, nil
		}
		var err error
		id.token, err = h.exchanged(ctx, caller, api, ws, id.scope, id.roles)
		return id, err
	}
	id.scope = caller.Token.Scope
	id.values = id.spelled()
	var m any = memo{id, epoch, caller.Client, caller.Holder, ws.ID}
	caller.Token.Decided.Store(&m)
	return id, nil
}

// memo is an identity and what it was made of.
type memo struct {
	identity  identity
	epoch     uint64
	client    *store.Client
	holder    *store.Holder
	workspace store.WorkspaceID
}

// workspace finds the one that the call is decided in: the token's, else the
// one that the API names. The API must be open to it, there must be access to
// APIs in it, and of an API that is shared in part, the catalogue must give the
// endpoint a tag that is shared.
func (h *Handler) workspace(caller *token.Caller, api *store.API, method, path, pattern string) (*store.Workspace, error) {
	ws := caller.Workspace
	if param, ok := strings.CutPrefix(api.WorkspaceFrom, "param:"); ok {
		named := h.named(pattern, path, param)
		switch {
		case ws == nil:
			ws = named
		case named != nil && named.ID != ws.ID:
			// Who makes the roles of one workspace must not reach the data of
			// another one of a shared API.
			return nil, errWorkspace
		}
	} else if ws == nil && (api.WorkspaceFrom == "" || api.WorkspaceFrom == "fixed") {
		ws = h.State.Workspace(api.Workspace)
	}
	if ws == nil || !ws.APIAccess || !api.OpenTo(ws.ID) {
		return nil, errWorkspace
	}
	if ws.ID != api.Workspace {
		if share := api.ShareOf(ws.ID); share != nil && len(share.Tags) > 0 && !tagged(api, method, pattern, share.Tags) {
			return nil, errWorkspace
		}
	}
	return ws, nil
}

// named returns the workspace whose name or id a parameter of the path has.
func (h *Handler) named(pattern, path, param string) *store.Workspace {
	value, ok := policy.Param(pattern, path, param)
	if !ok {
		return nil
	}
	return h.workspaceCalled(value)
}

// workspaceCalled returns the workspace with this name or id.
func (h *Handler) workspaceCalled(value string) *store.Workspace {
	byName, byID := h.State.WorkspaceByName(value), h.State.Workspace(store.WorkspaceID(value))
	switch {
	case byName == nil:
		return byID
	case byID == nil || byID.ID == byName.ID:
		return byName
	default:
		return nil // somebody named a workspace by the id of another
	}
}

// tagged reports whether the catalogue's entry for a call has one of the tags.
// The pattern is the one that policy found the call by; of several entries with
// that pattern, the first with the method is meant, as there.
func tagged(api *store.API, method, pattern string, tags []string) bool {
	for i := range api.Endpoints {
		e := &api.Endpoints[i]
		if e.Path == pattern && e.Takes(method) {
			return slices.ContainsFunc(e.Tags, func(t string) bool { return slices.Contains(tags, t) })
		}
	}
	return false
}

// record counts a decision for the secret that called, or that minted the token.
func (h *Handler) record(caller *token.Caller, c call, pattern, rule string, outcome store.Outcome) {
	if c.supposed {
		return
	}
	if pattern == "" {
		pattern = "-" // never the raw path
	}
	h.Usage.Record(usage.Event{
		Client: caller.Client.ID, Workspace: caller.Client.Workspace, Secret: caller.Secret, Rule: rule, Outcome: outcome,
		Address: c.address, Endpoint: c.method + " " + pattern, At: caller.At,
	})
}
