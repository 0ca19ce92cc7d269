package policy_test

import (
	"slices"
	"strings"
	"testing"

	"postern/policy"
	"postern/store"
)

// entry returns the place of the endpoint that a call is found by, -1 for none.
func entry(a *store.API, found policy.Found, method string) int {
	return slices.IndexFunc(a.Endpoints, func(e store.Endpoint) bool {
		return e.Path == found.Pattern && (e.Methods == "*" || slices.Contains(strings.Fields(e.Methods), method))
	})
}

// mayAll reports whether all callers may make a call with all its operations.
func mayAll(e *policy.Engine, callers []*policy.Caller, a *store.API, method, path string, operations []string) bool {
	found := e.Endpoint(a.ID, method, path)
	if found.Public {
		return true
	}
	if !found.GraphQL {
		operations = []string{""}
	} else if method != "POST" || len(operations) == 0 {
		return false
	}
	for _, c := range callers {
		for _, op := range operations {
			if !e.Decide(c, &policy.Request{Workspace: workspaceID("acme"), API: "shop", Method: method, Path: path, Operation: op}).Allowed {
				return false
			}
		}
	}
	return len(callers) > 0
}

// There is a witness of an endpoint if, and only if, there is a path of it by which
// all callers may do all that is asked; and the witness is one.
func TestWitnessIsAllowed(t *testing.T) {
	all := paths(4)
	there, none := map[int]int{}, map[int]int{}
	for seed := range uint64(60) {
		w := newWorld(seed + 11_000)
		a := w.catalogue()
		w.put(a)
		for _, r := range w.roles() { // what is longer than 3 needs more paths than can be tried
			r.Rules = slices.DeleteFunc(r.Rules, func(rule store.Rule) bool {
				return strings.Count(strings.TrimSuffix(rule.Path, "/**"), "/") > 3
			})
		}
		e := loaded(t, policy.Options{Shadow: -1}, w.all()...)
		for round := range 6 {
			var callers []*policy.Caller
			for range round % 4 {
				callers = append(callers, w.caller())
			}
			at := policy.Span{API: a.ID}
			if len(callers) > 0 {
				at.Workspaces = []store.WorkspaceID{workspaceID("acme")}
			}
			v := e.Survey(callers, at)
			operations := pick(w, nil, []string{"query devices"}, []string{"query devices", "mutation other"})
			for _, method := range []string{"GET", "POST", "M-SEARCH", "OTHER"} {
				want := map[int]string{}
				for _, path := range all {
					if spelled, err := policy.Canonical(path, policy.RelaxedFor(a)); err == nil && spelled == path && mayAll(e, callers, a, method, path, operations) {
						if place := entry(a, e.Endpoint(a.ID, method, path), method); place >= 0 {
							want[place] = path
						}
					}
				}
				for place := range a.Endpoints {
					path, ok := v.Witness(place, method, operations)
					if _, allowed := want[place]; ok != allowed {
						t.Fatalf("seed %d: %s of %+v by %d callers has a witness: %t (%s), but %q is allowed\n%s", seed, method, a.Endpoints[place], len(callers), ok, path, want[place], w)
					}
					if !ok {
						none[len(callers)]++
						continue
					}
					there[len(callers)]++
					if !mayAll(e, callers, a, method, path, operations) || entry(a, e.Endpoint(a.ID, method, path), method) != place {
						t.Fatalf("seed %d: %s %s is no witness of %+v", seed, method, path, a.Endpoints[place])
					}
				}
			}
			for _, open := range a.Public {
				if path := v.Sample(open.Path); !e.Endpoint(a.ID, strings.Replace(open.Methods, "*", "GET", 1), path).Public {
					t.Errorf("seed %d: %s is no sample of %+v", seed, path, open)
				}
			}
		}
	}
	for callers := range 4 {
		if there[callers] < 20 || none[callers] < 20 {
			t.Errorf("by %d callers %d had a witness and %d none: the models have become too much of one kind", callers, there[callers], none[callers])
		}
	}
}

// Methods are those of rules that allow, of the grants and of the licence, about
// the API or all of them.
func TestMethodsAreThoseThatRulesName(t *testing.T) {
	role := func(id store.RoleID, ws store.WorkspaceID, rules ...store.Rule) *store.Role {
		for i := range rules {
			rules[i].Number, rules[i].Path = i+1, "/**"
		}
		return &store.Role{ID: id, Workspace: ws, Ref: string(id), Rules: rules}
	}
	licence := role("rollicence", store.Shared, store.Rule{API: "*", Methods: "PURGE GET"})
	licence.Ref = "*/licence"
	parent := role("rolparent", "wspacme", store.Rule{API: "iot", Methods: "M-SEARCH"})
	parent.Ref = "acme/parent"
	child := role("rolchild", "wspacme", store.Rule{API: "iot", Methods: "*"}, store.Rule{API: "other", Methods: "COPY"}, store.Rule{API: "iot", Methods: "LOCK", Deny: true})
	child.Ref, child.Parents = "acme/child", []store.RoleID{"rolparent"}
	foreign := role("rolforeign", "wspacme", store.Rule{API: "iot", Methods: "MOVE"})
	foreign.Ref = "acme/foreign"
	e := loaded(t, policy.Options{Shadow: -1}, &store.Workspace{ID: "wspacme", Name: "acme"}, licence, parent, child, foreign)
	c := &policy.Caller{Holder: &store.Holder{
		Account: &store.Account{ID: "svcrobot", Licence: "rollicence"},
		Grants:  []*store.Grant{{Holder: "svcrobot", Workspace: "wspacme", Roles: []store.GrantedRole{{Role: "rolchild"}}}},
	}}
	if got, want := e.Methods([]*policy.Caller{c}, "iot"), []string{"GET", "M-SEARCH", "PURGE"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := e.Methods(nil, "iot"); len(got) > 0 {
		t.Errorf("of nobody: got %v", got)
	}
}
