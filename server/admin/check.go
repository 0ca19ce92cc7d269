package admin

import (
	"context"

	"postern/policy"
	"postern/store"
)

// CheckInput asks for a decision about a call that nobody made.
type CheckInput struct {
	Client    store.ClientID
	Workspace string // id or name; empty is the client's, else the owner of the API
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
	c, err := a.client(ctx, by, opClientGet, in.Client)
	if err != nil {
		return nil, err
	}
	api := a.State.APIByName(in.API)
	if api == nil {
		return nil, refuse(Invalid, "api: there is no API %q", printable(in.API))
	}
	ws := c.Workspace
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
	h, err := a.State.Holder(ctx, c.Account)
	if err != nil {
		return nil, fromStore(opCheck.Name, err)
	}
	x := a.Policy.Explain(
		&policy.Caller{Holder: h, Narrowed: c.Narrowed, Roles: c.Roles, Scopes: in.Scopes, AnyScope: in.AnyScope, Personal: c.ClientKind == store.ClientPersonal},
		&policy.Request{Workspace: ws, API: api.Name, Method: in.Method, Path: path, Operation: in.Operation},
	)
	return &x, nil
}
