package admin

import (
	"context"
	"slices"

	"postern/policy"
	"postern/store"
)

// CheckInput asks for a decision about a call that nobody made.
type CheckInput struct {
	Client    store.ClientID
	Role      string // id or ref: in place of a client, an account that holds it and nothing else
	Workspace string // id or name; empty is that of the client or role, else the owner of the API
	API       string // short name
	Method    string
	Path      string   // as a client would send it
	Operation string   // of GraphQL
	Scopes    []string // of the token; AnyScope when the client would ask for all it may
	AnyScope  bool
}

// Check decides about a call and explains the decision to somebody who may see
// the roles of the workspace.
func (a *Admin) Check(ctx context.Context, by *Actor, in CheckInput) (*policy.Explanation, error) {
	caller, ws, err := a.checked(ctx, by, in)
	if err != nil {
		return nil, err
	}
	api := a.State.APIByName(in.API)
	if api == nil {
		return nil, refuse(Invalid, "api: there is no API %q", printable(in.API))
	}
	if in.Workspace != "" {
		w := a.workspace(in.Workspace)
		if w == nil {
			return nil, refuse(Invalid, "workspace: there is no workspace %q", printable(in.Workspace))
		}
		ws = w.ID
	}
	if ws == "" {
		ws = api.Workspace
	}
	if err := a.must(by, opCheck, ws); err != nil {
		return nil, err
	}
	path, err := policy.Canonical(in.Path, policy.RelaxedFor(api))
	if err != nil {
		return nil, refuse(Invalid, "path: %v", err)
	}
	if in.Role != "" {
		caller.Holder.Grants[0].Workspace = ws
	}
	x := a.Policy.Explain(caller, &policy.Request{Workspace: ws, API: api.Name, Method: in.Method, Path: path, Operation: in.Operation})
	if in.Role != "" && slices.ContainsFunc(x.Missing, func(n policy.Need) bool { return n.Kind != policy.NeedScope }) {
		x.Missing = nil // nobody is there to be granted anything
	}
	return &x, nil
}

// checked returns who makes the call, and the workspace that it is for; empty is
// none in particular.
func (a *Admin) checked(ctx context.Context, by *Actor, in CheckInput) (*policy.Caller, store.WorkspaceID, error) {
	if in.Role != "" && in.Client != "" {
		return nil, "", refuse(Invalid, "role: ask about a client or a role, not about both")
	}
	if in.Role != "" {
		r, err := a.findRole(by, opRoleGet, in.Role)
		if err != nil {
			return nil, "", err
		}
		ws := r.Workspace
		if ws == store.Shared {
			ws = ""
		}
		return &policy.Caller{Holder: holderOf(r, ws), Scopes: in.Scopes, AnyScope: in.AnyScope}, ws, nil
	}
	c, err := a.client(ctx, by, opClientGet, in.Client)
	if err != nil {
		return nil, "", err
	}
	h, err := a.State.Holder(ctx, c.Account)
	if err != nil {
		return nil, "", fromStore(opCheck.Name, err)
	}
	return &policy.Caller{
		Holder: h, Narrowed: c.Narrowed, Roles: c.Roles, Scopes: in.Scopes, AnyScope: in.AnyScope, Personal: c.ClientKind == store.ClientPersonal,
	}, c.Workspace, nil
}

// holderOf is an account that holds a role in a workspace, and nothing else.
func holderOf(r *store.Role, ws store.WorkspaceID) *store.Holder {
	return &store.Holder{
		Account: &store.Account{AccountKind: store.AccountService, Status: store.AccountActive},
		Grants:  []*store.Grant{{Workspace: ws, Roles: []store.GrantedRole{{Role: r.ID}}}},
	}
}
