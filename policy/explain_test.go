package policy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"postern/policy"
	"postern/store"
)

// Calls of one account with a licence, two limited grants and a scope, each
// decided by something else.
func TestExample(t *testing.T) {
	records := exampleRecords()
	e, f := loaded(t, policy.Options{}, records...), referee(t, records)
	for call, want := range map[string]string{
		"GET /devices/d1/state":         "granted acme/viewer#1 */steward#1 by acme/operator",
		"GET /devices/d3/state":         "no rule allows; value acme/operator device=d3",
		"GET /devices/d9/state":         "a rule denies acme/operator#2 */steward#1",
		"POST /devices/d1/reset":        "no rule allows; scope iot:write",
		"DELETE /devices/d1":            "the licence denies acme/operator#3 */steward#2",
		"POST /graphql query devices":   "granted acme/viewer#2 */steward#1 by acme/operator",
		"POST /graphql mutation delete": "no rule allows; nearest acme/viewer#2",
		"POST /graphql":                 "no rule allows; nearest acme/viewer#2",
	} {
		c, part := exampleCaller(), strings.SplitN(call, " ", 3)
		r := &policy.Request{Workspace: "wspacme", API: "iot", Method: part[0], Path: part[1], Operation: strings.Join(part[2:], "")}
		x := e.Explain(c, r)
		if d, err := f.Decide(c, r); d != x.Decision || d != e.Decide(c, r) || err != nil {
			t.Errorf("%s: explained %+v, Casbin says %+v, %v", call, x.Decision, d, err)
		}
		if got := words(x); got != want {
			t.Errorf("%s: got %q, want %q", call, got, want)
		}
	}
}

// words puts an explanation into one line.
func words(x policy.Explanation) string {
	s := string(x.Reason)
	if x.Rule != "" {
		s += " " + x.Rule + " " + x.Ceiling
	}
	if x.Via != nil && x.Allowed {
		s += " by " + x.Via.Role
	}
	for _, n := range x.Missing {
		s += "; " + string(n.Kind)
		for _, word := range []string{n.Scope, n.Role, n.Param + "=" + n.Value} {
			if strings.Trim(word, "=") != "" {
				s += " " + word
			}
		}
	}
	if x.Nearest != "" {
		s += "; nearest " + x.Nearest
	}
	return s
}

// What is said to be missing is enough and none of it is needless; and no role
// that opens less would do.
func TestMissingIsEnoughAndLeast(t *testing.T) {
	count := map[string]int{}
	for seed := range uint64(250) {
		w := newWorld(seed)
		e, f := loaded(t, policy.Options{}, w.all()...), referee(t, w.all())
		for range 100 {
			r, c := w.request(), w.caller()
			c.Holder.Account.Teams = nil
			x := e.Explain(c, r)
			kinds := string(x.Reason)
			for i, n := range x.Missing {
				kinds += " " + string(n.Kind)
				if n.Kind == policy.NeedRole {
					w.noSmaller(t, f, c, r, x.Missing, i)
				}
			}
			count[kinds]++
			for skip := -1; skip < len(x.Missing) && x.Missing != nil; skip++ {
				needs := slices.Delete(slices.Clone(x.Missing), max(skip, 0), skip+1)
				if d, err := f.Decide(met(c, r, needs), r); d.Allowed != (skip < 0) || err != nil {
					t.Fatalf("%+v %+v: missing %+v; without number %d: %+v, %v\n%s", *c, *r, x.Missing, skip, d, err, w)
				}
			}
		}
	}
	for _, kinds := range []string{" scope", " left", " value", " role", " licence", " scope left"} {
		if count[string(policy.NoRule)+kinds]+count[string(policy.Exceeded)+kinds] == 0 {
			t.Errorf("nothing missed just%s: %v", kinds, count)
		}
	}
}

// noSmaller checks that no role of the workspace which opens less would do as
// well as the one that is missing.
func (w *world) noSmaller(t *testing.T, f *policy.Referee, c *policy.Caller, r *policy.Request, needs []policy.Need, i int) {
	t.Helper()
	opens := func(id store.RoleID) (sum int) {
		for _, role := range w.closure(id, r.Workspace) {
			for _, rule := range role.Rules {
				weight := 1
				for _, wide := range []bool{rule.Methods == "*", rule.API == "*", strings.Contains(rule.Path, "{")} {
					if wide {
						weight *= 10
					}
				}
				if strings.HasSuffix(rule.Path, "/**") {
					weight *= 100
				}
				if !rule.Deny && policy.CheckRole(role, nil) == nil {
					sum += weight
				}
			}
		}
		return sum
	}
	for _, other := range w.roles() {
		if c.Narrowed || other.ID == c.Holder.Account.Licence || opens(other.ID) >= opens(needs[i].RoleID) {
			continue
		}
		instead := slices.Clone(needs)
		instead[i].RoleID = other.ID
		if d, err := f.Decide(met(c, r, instead), r); d.Allowed || err != nil {
			t.Fatalf("%+v %+v: %s is said to be missing, but %s does and opens less: %+v, %v\n%s", *c, *r, needs[i].Role, other.Ref, d, err, w)
		}
	}
}

// met returns the caller as it is once the needs are met.
func met(c *policy.Caller, r *policy.Request, needs []policy.Need) *policy.Caller {
	out, holder, account := *c, *c.Holder, *c.Holder.Account
	out.Holder, holder.Account = &holder, &account
	holder.Grants = slices.Clone(c.Holder.Grants)
	for _, n := range needs {
		switch n.Kind {
		case policy.NeedScope:
			out.Scopes = append(slices.Clone(out.Scopes), n.Scope)
		case policy.NeedLeft:
			out.Roles = append(slices.Clone(out.Roles), n.RoleID)
		case policy.NeedRole:
			holder.Grants = append(holder.Grants, &store.Grant{Workspace: r.Workspace, Roles: []store.GrantedRole{{Role: n.RoleID}}})
		case policy.NeedLicence:
			account.Licence = ""
		case policy.NeedValue:
			i := slices.IndexFunc(holder.Grants, func(g *store.Grant) bool { return g.ID == n.Grant })
			g := *holder.Grants[i]
			g.Roles = slices.Clone(g.Roles)
			l := slices.Clone(g.Roles[n.Place].Limits)
			k := slices.IndexFunc(l, func(l store.Limit) bool { return l.Param == n.Param })
			l[k].Values = append(slices.Clone(l[k].Values), n.Value)
			g.Roles[n.Place].Limits, holder.Grants[i] = l, &g
		default:
			panic(fmt.Sprintf("no need is of kind %q", n.Kind))
		}
	}
	return &out
}
