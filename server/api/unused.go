package api

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"postern/server/admin"
)

// Unused is the rules by which nothing was allowed for a while.
type Unused struct {
	Since Time         `json:"since" doc:"From when on uses count: the days that were asked for, or since it was made if that is later."`
	Rules []UnusedRule `json:"rules"`
}

// UnusedRule is a rule that allows.
type UnusedRule struct {
	Rule       string `json:"rule" doc:"As decisions and usage name it."`
	Role       string `json:"role" doc:"Its ref."`
	API        string `json:"api" doc:"Short name, or * for every API."`
	Methods    string `json:"methods" doc:"GET POST, or * for every method."`
	Path       string `json:"path" doc:"/orders/{id} or /files/**"`
	Operation  string `json:"operation,omitempty" doc:"Of GraphQL: query devices, mutation *."`
	Scope      string `json:"scope,omitempty" doc:"What the token must have."`
	LastUsedAt Time   `json:"last_used_at" doc:"The last hour in which it allowed a call, before that time; null is none as long as usage is kept."`
}

// UnusedDays says how far back.
type UnusedDays struct {
	Days int `query:"days" minimum:"1" maximum:"400" doc:"How many days back, at most as many as usage is kept. Absent is 90, or as many as it is kept if that is less."`
}

const aboutUnused = "A call counts for the one rule that decided it, the first by role and number of those that allow it: without the rules of the answer, " +
	"all calls of that time would have been allowed, too. That is why rules are listed, not endpoints of a catalogue: they are what can be taken away. " +
	"Only decisions that a gateway asks for count. Of an API that checks tokens by itself, by their signature or by introspection, all rules are listed; " +
	"those about Postern's own API never are, since its calls are counted without a rule. A node with more to count in an hour than it has room for (200,000 counters) counts the rest without a rule, too. No backup holds usage: after a restore counting begins anew."

func (m *mounted) unused() {
	register(m, "client.unused", func(ctx context.Context, by *admin.Actor, in *struct {
		ClientPath
		UnusedDays
	},
	) (*struct{ Body Unused }, error) {
		return unused(m.Admin.ClientUnused(ctx, by, in.id(), in.Days))
	}, func(op *huma.Operation) {
		op.Description = "Lists the rules that its rights reach now and that allowed it no call: its grants, less what it is narrowed to and what its licence forbids. " + aboutUnused
	})
	register(m, "role.unused", func(ctx context.Context, by *admin.Actor, in *struct {
		RolePath
		UnusedDays
	},
	) (*struct{ Body Unused }, error) {
		return unused(m.Admin.RoleUnused(ctx, by, in.Role, in.Days))
	}, func(op *huma.Operation) {
		op.Description = "Lists its own rules, not those of its parents, that allowed nobody a call. A role that bounds an account as its licence is not used by that. " + aboutUnused
	})
}

func unused(report *admin.UnusedReport, err error) (*struct{ Body Unused }, error) {
	if err != nil {
		return nil, err
	}
	out := &struct{ Body Unused }{Unused{Time(report.Since), make([]UnusedRule, len(report.Rules))}}
	for i, r := range report.Rules {
		out.Body.Rules[i] = UnusedRule{r.ID, r.Role.Ref, r.API, r.Methods, r.Path, r.Operation, r.Scope, Time(r.LastUsed)}
	}
	return out, nil
}
