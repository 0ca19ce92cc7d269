package policy_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"postern/policy"
	"postern/store"
)

// catalogue gives the shop a random catalogue.
func (w *world) catalogue() *store.API {
	a := &store.API{ID: "api-shop", Name: "shop", FoldCase: w.folds("shop")}
	for range 1 + w.IntN(7) {
		path := w.path("x", "y", "X", "z.1") + pick(w, "", "/{device}", "/{id}", "/{site}/{device}", "/**", "/{id}/**")
		if path == "" {
			path = "/"
		}
		e := store.Endpoint{Methods: pick(w, "GET", "POST", "GET POST", "*"), Path: path}
		e.GraphQL = w.IntN(4) == 0 && e.Methods != "GET"
		a.Endpoints = append(a.Endpoints, e)
	}
	if w.IntN(3) == 0 {
		a.Public = []store.Endpoint{{Methods: pick(w, "GET", "*"), Path: pick(w, "/x", "/y/{id}", "/z.1/**")}}
	}
	return a
}

// paths returns all paths of at most n segments out of few.
func paths(n int) []string {
	out, last := []string{"/"}, []string{""}
	for range n {
		var longer []string
		for _, p := range last {
			for _, s := range []string{"x", "y", "X", "Y", "z.1", "%C3%A9", "%C3%89", "other"} {
				longer = append(longer, p+"/"+s)
			}
		}
		out, last = append(out, longer...), longer
	}
	return out
}

// tried is what calling an endpoint in every way comes to.
type tried struct{ methods, operations, paths map[string]bool }

// try calls everything.
func try(e *policy.Engine, c *policy.Caller, a *store.API, all []string) map[int]*tried {
	out := map[int]*tried{}
	for _, path := range all {
		if spelled, err := policy.Canonical(path, policy.RelaxedFor(a)); err != nil || spelled != path {
			continue
		}
		for _, method := range []string{"GET", "POST", "M-SEARCH", "OTHER"} {
			found := e.Endpoint(a.ID, method, path)
			place := slices.IndexFunc(a.Endpoints, func(e store.Endpoint) bool {
				return e.Path == found.Pattern && (e.Methods == "*" || slices.Contains(strings.Fields(e.Methods), method))
			})
			if place < 0 {
				continue
			}
			ops := []string{""}
			if found.GraphQL {
				ops = nil
				for _, kind := range []string{"query", "mutation", "subscription"} {
					ops = append(ops, kind+" devices", kind+" sites", kind+" other")
				}
			}
			for _, op := range ops {
				allowed := found.Public || (!found.GraphQL || method == "POST") &&
					e.Decide(c, &policy.Request{Workspace: workspaceID("acme"), API: "shop", Method: method, Path: path, Operation: op}).Allowed
				if !allowed {
					continue
				}
				if out[place] == nil {
					out[place] = &tried{map[string]bool{}, map[string]bool{}, map[string]bool{}}
				}
				out[place].methods[method], out[place].paths[path] = true, true
				if !found.Public {
					out[place].operations[op] = true
				}
			}
		}
	}
	return out
}

// An endpoint is listed if, and only if, some call of it is allowed; and so are
// its methods, its operations and the values of its parameters.
func TestDP10ListedIsAllowed(t *testing.T) {
	all := paths(4)
	listed, refused := 0, 0
	for seed := range uint64(90) {
		w := newWorld(seed + 9000)
		a := w.catalogue()
		w.put(a)
		acme := workspace("acme")
		acme.WhoMayCreate = pick(w, store.CreateEveryone, store.CreateNamed, store.CreateAdministrators)
		w.put(acme)
		for _, r := range w.roles() { // what is longer than 3 needs more paths than can be tried
			r.Rules = slices.DeleteFunc(r.Rules, func(rule store.Rule) bool {
				return strings.Count(strings.TrimSuffix(rule.Path, "/**"), "/") > 3
			})
		}
		e := loaded(t, policy.Options{Shadow: -1}, w.all()...)
		for range 4 {
			c := w.caller()
			c.Personal = w.IntN(5) == 0
			got := e.Callable(c, policy.Span{API: a.ID, Workspaces: []store.WorkspaceID{workspaceID("acme")}})
			want := try(e, c, a, all)
			for _, found := range got {
				if want[found.Place] == nil {
					t.Fatalf("seed %d: %+v is listed of %+v, and nothing of it is allowed\n%+v", seed, found, a.Endpoints[found.Place], c)
				}
				check(t, a.Endpoints[found.Place], found, want[found.Place])
			}
			if len(got) != len(want) {
				t.Fatalf("seed %d: listed %+v, allowed %v of %+v\n%+v\n%s", seed, got, want, a.Endpoints, c, w)
			}
			listed += len(got)
			refused += len(a.Endpoints) - len(got)
		}
	}
	if listed < 150 || refused < 150 {
		t.Errorf("%d were listed and %d not: the models have become too much of one kind", listed, refused)
	}
}

func check(t *testing.T, e store.Endpoint, found policy.Callable, want *tried) {
	t.Helper()
	for _, m := range found.Methods {
		if !want.methods[strings.Replace(m, "*", "OTHER", 1)] {
			t.Errorf("%+v: %s is listed and refused: %v", e, m, want.methods)
		}
	}
	for m := range want.methods {
		if !slices.Contains(found.Methods, m) && !slices.Contains(found.Methods, "*") {
			t.Errorf("%+v: %s is allowed and not listed: %v", e, m, found.Methods)
		}
	}
	for _, op := range found.Operations {
		if !want.operations[strings.Replace(op, "*", "other", 1)] {
			t.Errorf("%+v: %s is listed and refused: %v", e, op, want.operations)
		}
	}
	for op := range want.operations {
		kind, _, graphql := strings.Cut(op, " ")
		if graphql && !slices.Contains(found.Operations, op) && !slices.Contains(found.Operations, kind+" *") {
			t.Errorf("%+v: %s is allowed and not listed: %v", e, op, found.Operations)
		}
	}
	for _, limits := range found.Limits {
		for _, l := range limits {
			for _, value := range l.Values {
				within := false
				for path := range want.paths {
					if v, ok := policy.Param(e.Path, path, l.Param); ok && v == value || strings.HasSuffix(e.Path, "/**") && strings.Contains(path+"/", "/"+value+"/") {
						within = true
					}
				}
				if !within {
					t.Errorf("%+v: %s=%s is listed and refused", e, l.Param, value)
				}
			}
		}
	}
}

func TestCallableSaysWhatBoundsIt(t *testing.T) {
	iot := &store.API{ID: "api-iot", Name: "iot", Endpoints: []store.Endpoint{
		{Methods: "GET HEAD", Path: "/devices/{id}"},
		{Methods: "POST", Path: "/devices/{id}/reset"},
		{Methods: "*", Path: "/sites/{site}/devices/{device}"},
		{Methods: "POST", Path: "/graphql", GraphQL: true},
		{Methods: "GET", Path: "/w/{workspace}/devices"},
		{Methods: "GET", Path: "/nothing"},
	}}
	records := []store.Record{
		workspace("acme"), iot,
		role("acme/viewer", nil,
			store.Rule{Number: 1, API: "iot", Methods: "GET", Path: "/devices/{device}"},
			store.Rule{Number: 2, API: "iot", Methods: "GET DELETE", Path: "/sites/{site}/devices/{device}", Scope: "iot:sites"},
			store.Rule{Number: 3, API: "iot", Methods: "POST", Path: "/graphql", Operation: "query *"},
			store.Rule{Number: 4, API: "iot", Methods: "POST", Path: "/graphql", Operation: "* reset"},
			store.Rule{Number: 5, API: "iot", Methods: "*", Path: "/devices/d2/**", Deny: true},
			store.Rule{Number: 6, API: "iot", Methods: "GET", Path: "/w/{workspace}/**"},
			store.Rule{Number: 7, API: "iot", Methods: "POST", Path: "/devices/d7/reset"},
		),
	}
	e := loaded(t, policy.Options{}, records...)
	limited := given("acme/viewer", store.Limit{Param: "device", Values: []string{"d1", "d2", "d3"}}, store.Limit{Param: "site", Values: []string{"s"}})
	c := &policy.Caller{Holder: &store.Holder{Account: &store.Account{ID: "svc"}, Grants: []*store.Grant{grant("svc", "acme", limited)}}, Scopes: []string{"iot:sites", "iot:other"}}
	at := policy.Span{API: iot.ID, Workspaces: []store.WorkspaceID{workspaceID("acme")}, Param: "workspace", Values: []string{"acme"}, Optional: true}
	want := []policy.Callable{
		{Place: 0, Methods: []string{"GET"}, Limits: [][]store.Limit{{{Param: "id", Values: []string{"d1", "d3"}}}}},
		{Place: 1, Methods: []string{"POST"}, Limits: [][]store.Limit{{{Param: "id", Values: []string{"d7"}}}}},
		{Place: 2, Methods: []string{"DELETE", "GET"}, Scopes: []string{"iot:sites"}, Limits: [][]store.Limit{{{Param: "site", Values: []string{"s"}}, {Param: "device", Values: []string{"d1", "d3", "d2"}}}}},
		{Place: 3, Methods: []string{"POST"}, Operations: []string{"mutation reset", "query *", "subscription reset"}},
		{Place: 4, Methods: []string{"GET"}, Limits: [][]store.Limit{{{Param: "workspace", Values: []string{"acme"}}}}},
	}
	if diff := cmp.Diff(want, e.Callable(c, at), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	at.Optional = false
	if got := e.Callable(c, at); len(got) != 1 || got[0].Place != 4 {
		t.Errorf("where the parameter must be there: got %+v", got)
	}
	c.Scopes = nil
	at.Param = ""
	if got := e.Callable(c, at); len(got) != 4 {
		t.Errorf("without scopes: got %+v", got)
	}
	if got := e.Callable(c, policy.Span{API: "api-gone", Workspaces: at.Workspaces}); got != nil {
		t.Errorf("of an API that is not there: got %+v", got)
	}
}
