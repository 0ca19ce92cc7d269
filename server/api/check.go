package api

import (
	"context"

	"postern/policy"
	"postern/server/admin"
	"postern/store"
)

// Check asks about a call that nobody made.
type Check struct {
	Client    string    `json:"client,omitempty" doc:"Its id."`
	Role      string    `json:"role,omitempty" doc:"In place of a client: an account that holds this role, by id or ref, and nothing else."`
	Workspace string    `json:"workspace,omitempty" doc:"Id or name; empty is that of the client or role."`
	API       string    `json:"api" doc:"Short name."`
	Method    string    `json:"method"`
	Path      string    `json:"path" doc:"As a client would send it."`
	Operation string    `json:"operation,omitempty" doc:"Of GraphQL."`
	Scopes    *[]string `json:"scopes,omitempty" doc:"Of the token; absent for all that the client may ask for."`
}

// Explanation says what was decided and why.
type Explanation struct {
	Allowed bool    `json:"allowed"`
	Reason  string  `json:"reason"`
	Rule    string  `json:"rule,omitempty" doc:"The rule that decided, such as acme/reader#3."`
	Ceiling string  `json:"ceiling,omitempty" doc:"That of the licence."`
	Via     *Via    `json:"via,omitempty" doc:"What the rule counts through."`
	Missing []Needs `json:"missing,omitempty" doc:"What would be enough."`
	Nearest string  `json:"nearest,omitempty" doc:"The rule that fits best, where no role would do."`
}

// Via is a granted role.
type Via struct {
	Grant  string `json:"grant"`
	Holder string `json:"holder"`
	Role   string `json:"role"`
}

// Needs is one change without which a call is refused.
type Needs struct {
	Kind  string `json:"kind" enum:"scope,left,value,role,licence"`
	Role  string `json:"role,omitempty"`
	Scope string `json:"scope,omitempty"`
	Grant string `json:"grant,omitempty"`
	Param string `json:"param,omitempty"`
	Value string `json:"value,omitempty"`
}

func (m *mounted) check() {
	register(m, "check", func(ctx context.Context, by *admin.Actor, in *struct{ Body Check }) (*struct{ Body Explanation }, error) {
		b := &in.Body
		asked := admin.CheckInput{
			Client: store.ClientID(b.Client), Role: b.Role, Workspace: b.Workspace, API: b.API, Method: b.Method, Path: b.Path, Operation: b.Operation, AnyScope: b.Scopes == nil,
		}
		if b.Scopes != nil {
			asked.Scopes = *b.Scopes
		}
		x, err := m.Admin.Check(ctx, by, asked)
		if err != nil {
			return nil, err
		}
		return &struct{ Body Explanation }{wireExplanation(x)}, nil
	})
}

func wireExplanation(x *policy.Explanation) Explanation {
	out := Explanation{Allowed: x.Allowed, Reason: string(x.Reason), Rule: x.Rule, Ceiling: x.Ceiling, Nearest: x.Nearest}
	if x.Via != nil {
		out.Via = &Via{string(x.Via.Grant), string(x.Via.Holder), x.Via.Role}
	}
	for _, n := range x.Missing {
		out.Missing = append(out.Missing, Needs{string(n.Kind), n.Role, n.Scope, string(n.Grant), n.Param, n.Value})
	}
	return out
}
