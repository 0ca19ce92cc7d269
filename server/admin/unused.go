package admin

import (
	"cmp"
	"context"
	"slices"
	"time"

	"postern/policy"
	"postern/store"
)

// usageKept is how long usage is kept unless Options say otherwise, and how far
// back one looks for what was used.
const usageKept = 90 * day

// UnusedReport is the rules by which nothing was allowed for a while.
//
// Rules are what is looked at, not the endpoints of a catalogue: usage counts by
// rule, an API need not have a catalogue, and a rule is what can be taken away.
// A call counts for the one rule that decided it, the first by role and number of
// those that allow it. So every call that was made would have been allowed
// without the rules of the report, too: one that stands in the shadow of another
// is rightly among them. An API that checks tokens by itself asks for no decisions,
// so that all rules about it are.
type UnusedReport struct {
	Since store.Time // from when on uses count; later than asked for what is younger
	Rules []UnusedRule
}

// UnusedRule is a rule, and the last hour in which it allowed a call, of those
// that are kept; 0 is none.
type UnusedRule struct {
	policy.NamedRule

	LastUsed store.Time
}

// ClientUnused returns the rules that a client's rights reach now and that
// allowed it no call in the last days; 0 is 90, or as long as usage is kept. Rules
// about Postern's own API are left out: its calls are counted without a rule.
func (a *Admin) ClientUnused(ctx context.Context, by *Actor, id store.ClientID, days int) (*UnusedReport, error) {
	c, err := a.client(ctx, by, opClientUnused, id)
	if err != nil {
		return nil, err
	}
	h, err := a.State.Holder(ctx, c.Account)
	if err != nil {
		return nil, fromStore(opClientUnused.Name, err)
	}
	rules := a.reached(&Actor{Holder: h, Client: c, Workspace: c.Workspace, AnyScope: true})
	return a.unused(ctx, opClientUnused, c.ID, rules, c.CreatedAt, days)
}

// RoleUnused returns the rules of a role itself, not of its parents, that allowed
// nobody a call in the last days, by the terms of ClientUnused. What bounds an
// account as its licence is not counted as used.
func (a *Admin) RoleUnused(ctx context.Context, by *Actor, id string, days int) (*UnusedReport, error) {
	r, err := a.findRole(by, opRoleUnused, id)
	if err != nil {
		return nil, err
	}
	if r.Workspace == store.Shared { // anybody may know it, but not who in the installation uses it
		if err := a.must(by, opRoleUnused, a.systemID(), string(r.ID)); err != nil {
			return nil, err
		}
	}
	return a.unused(ctx, opRoleUnused, "", policy.RulesOf(r), r.CreatedAt, days)
}

// reached returns the rules that a credential's rights reach, wherever its calls
// can be decided, by role and number.
func (a *Admin) reached(by *Actor) []policy.NamedRule {
	found := map[string]policy.NamedRule{}
	in := map[store.WorkspaceID][]policy.NamedRule{}
	for _, api := range a.State.APIs() {
		if api.Name == store.PosternAPI {
			continue
		}
		for _, ws := range a.decidedIn(by, api) {
			if _, known := in[ws.ID]; !known {
				in[ws.ID] = a.Policy.Rules(by.caller(), ws.ID)
			}
			for _, r := range in[ws.ID] {
				if r.API == api.Name || r.API == "*" {
					found[r.ID] = r
				}
			}
		}
	}
	out := make([]policy.NamedRule, 0, len(found))
	for _, r := range found {
		out = append(out, r)
	}
	slices.SortFunc(out, func(x, y policy.NamedRule) int {
		return cmp.Or(cmp.Compare(x.Role.Ref, y.Role.Ref), cmp.Compare(x.Number, y.Number))
	})
	return out
}

// unused leaves of rules those that were not used by a client, or by anybody.
func (a *Admin) unused(ctx context.Context, op Operation, by store.ClientID, rules []policy.NamedRule, born store.Time, days int) (*UnusedReport, error) {
	back := time.Duration(days) * day
	switch {
	case days == 0:
		back = min(usageKept, a.UsageRetention)
	case back > a.UsageRetention:
		return nil, refuse(Invalid, "days: usage is kept for %d days (usage.retention); ask for no more, or leave days out", a.UsageRetention/day)
	}
	since := max(a.now().Add(-back), born)
	var ids []string
	for _, r := range rules {
		if r.API != store.PosternAPI {
			ids = append(ids, r.ID)
		}
	}
	a.flushUsage(ctx)
	used, err := a.Store.RulesUsed(ctx, by, ids)
	if err != nil {
		return nil, fromStore(op.Name, err)
	}
	out := &UnusedReport{Since: since}
	for _, r := range rules {
		// An hour that began before is partly within: then it is taken for used.
		last, ever := used[r.ID]
		if r.API != store.PosternAPI && (!ever || last.Add(time.Hour) <= since) {
			out.Rules = append(out.Rules, UnusedRule{r, last})
		}
	}
	return out, nil
}
