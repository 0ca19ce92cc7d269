package server_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// shopEndpoint is an endpoint of the shop, with paths of it.
type shopEndpoint struct {
	methods, pattern string
	paths            []string
	graphql, public  bool
}

func shopEndpoints() []shopEndpoint {
	return []shopEndpoint{
		{methods: "GET", pattern: "/items", paths: []string{"/items"}},
		{methods: "*", pattern: "/items/{item}", paths: []string{"/items/7", "/items/8", "/items/other"}},
		{methods: "GET POST", pattern: "/items/{item}/parts/{part}", paths: []string{"/items/7/parts/9", "/items/8/parts/9", "/items/other/parts/other", "/items/other/parts/9"}},
		{methods: "PURGE", pattern: "/cache/{key}", paths: []string{"/cache/k"}},
		{methods: "POST", pattern: "/graphql", paths: []string{"/graphql"}, graphql: true},
		{methods: "POST", pattern: "/g/{site}", paths: []string{"/g/north", "/g/south", "/g/other"}, graphql: true},
		{methods: "*", pattern: "/reports/**", paths: []string{"/reports", "/reports/secret", "/reports/secret/x", "/reports/other"}},
		{methods: "GET LOCK", pattern: "/w/{ws}/items", paths: []string{"/w/default/items", "/w/two/items", "/w/three/items"}},
		{methods: "GET", pattern: "/health", paths: []string{"/health"}, public: true},
		{methods: "*", pattern: "/open/{page}", paths: []string{"/open/x"}, public: true},
	}
}

// startShop registers an API of which the roles allow a part here and a part there.
// It returns the subjects that are asked about.
func startShop(t *testing.T, n *node) []map[string]any {
	t.Helper()
	type object = map[string]any
	rule := func(methods, path string, more ...string) object {
		r := object{"api": "shop", "methods": methods, "path": path}
		for _, m := range more {
			if m == "deny" {
				r["deny"] = true
			} else {
				r["operation"] = m
			}
		}
		return r
	}
	var endpoints, public []object
	for _, e := range shopEndpoints() {
		if record := (object{"methods": e.methods, "path": e.pattern, "graphql": e.graphql}); e.public {
			public = append(public, record)
		} else {
			endpoints = append(endpoints, record)
		}
	}
	for _, ws := range []string{"two", "three"} {
		n.want(t, 201, "POST", "/workspaces", object{"name": ws})
	}
	n.want(t, 201, "POST", "/apis", object{
		"workspace": "default", "name": "shop", "audience": "https://shop.example", "introspectors": []string{string(n.Gateway.Client.ID)}, "evaluate_ids": true,
		"workspace_from": "param:ws", "shared_with": []object{{"workspace": "two"}, {"workspace": "three"}},
		"endpoints": endpoints, "public": public,
	})
	var subjects []object
	accounts := map[string]string{}
	for name, rules := range map[string][]object{
		"all":     {rule("*", "/**"), rule("DELETE", "/items/**", "deny")},
		"one":     {rule("LOCK GET", "/items/7"), rule("POST", "/items/{item}/parts/9")},
		"graph":   {rule("POST", "/graphql", "query devices"), rule("POST", "/g/north", "query devices"), rule("POST", "/g/{site}", "mutation reset"), rule("POST", "/g/south", "deny")},
		"reports": {rule("*", "/reports/**"), rule("GET", "/reports/secret/**", "deny"), rule("PUT", "/reports/**", "deny"), rule("CHECKOUT", "/items/8")},
		"none":    {rule("GET", "/elsewhere")},
	} {
		n.want(t, 201, "POST", "/roles", object{"workspace": "default", "name": name, "rules": rules})
		who, account := n.client(t, object{"name": name, "bearer": false, "roles": roles(name)})
		accounts[name] = account
		subjects = append(subjects, object{"type": "client", "id": who.id}, object{"type": "account", "id": account})
	}
	n.want(t, 201, "POST", "/roles", object{"workspace": "three", "name": "far", "rules": []object{rule("LOCK", "/w/{ws}/items"), rule("GET", "/items")}})
	n.want(t, 200, "PUT", "/grants/three/"+accounts["none"], object{"roles": []object{{"role": "far"}}})
	return append(subjects, object{"type": "client", "id": "nobody"})
}

// AuthZEN 1.0 section 8: whatever rules deny, name or leave open, a search finds what
// evaluations allow, all of it and nothing else.
func TestSearchFindsAllThatEvaluationsAllow(t *testing.T) {
	n := start(t)
	subjects := startShop(t, n)
	methods := []string{"CHECKOUT", "DELETE", "GET", "HEAD", "LOCK", "OPTIONS", "PATCH", "POST", "PURGE", "PUT"}
	var paths []string
	for _, e := range shopEndpoints() {
		paths = append(paths, e.paths...)
	}
	bodies := []map[string]any{{}, object("body", `{"query":"{devices{id}}"}`), object("body", `{"query":"mutation{reset}"}`), object("body", `{"query":"query{devices{id} sites{id}}"}`)}
	found, missing := 0, 0
	for _, subject := range subjects {
		for i, context := range bodies {
			allowed := map[string]map[string]bool{} // by path and method
			for _, path := range paths {
				var all []any
				for _, method := range methods {
					all = append(all, map[string]any{"action": object("name", method)})
				}
				got := n.authzen(t, by(n.Gateway), "evaluations", map[string]any{"subject": subject, "resource": object("type", "shop", "id", path), "context": context, "evaluations": all})
				if got.status != 200 {
					t.Fatalf("evaluations: got %d %s", got.status, got.body)
				}
				allowed[path] = map[string]bool{}
				var can []string
				for j, each := range got.json(t)["evaluations"].([]any) {
					if each.(map[string]any)["decision"] == true {
						allowed[path][methods[j]], can = true, append(can, methods[j])
					}
				}
				actions, _ := n.searched(t, "action", map[string]any{"subject": subject, "resource": object("type", "shop", "id", path), "context": context})
				if i == 0 && strings.HasPrefix(path, "/items/8") && slices.Contains(can, "CHECKOUT") && !slices.Contains(actions, "CHECKOUT") && !allowed[path]["LOCK"] {
					t.Errorf("%v at %s: a method that a rule names is not found: %v", subject, path, actions)
				}
				for _, method := range actions {
					if !allowed[path][method] {
						t.Errorf("%v at %s: %s is found and refused", subject, path, method)
					}
				}
				for _, method := range can { // CHECKOUT is one of the endless many where no rule of the subject names it
					if method != "CHECKOUT" && !slices.Contains(actions, method) {
						t.Errorf("%v at %s: %s is allowed and not found", subject, path, method)
					}
				}
			}
			for _, method := range methods {
				want := map[string]bool{}
				for _, e := range shopEndpoints() { // an endpoint is called by its methods, whatever else is allowed there
					for _, path := range e.paths {
						if allowed[path][method] && (e.methods == "*" || slices.Contains(strings.Fields(e.methods), method)) {
							want[e.pattern] = true
						}
					}
				}
				got, _ := n.searched(t, "resource", map[string]any{"subject": subject, "action": object("name", method), "resource": object("type", "shop"), "context": context})
				if expected := slices.Sorted(maps.Keys(want)); !slices.Equal(got, expected) {
					t.Errorf("%v by %s with %v: found %v, want %v", subject, method, context, got, expected)
				}
				found, missing = found+len(want), missing+len(shopEndpoints())-len(want)
			}
		}
	}
	if found < 200 || missing < 200 {
		t.Errorf("%d were found and %d not: the shop has become too much of one kind", found, missing)
	}
}

// Who calls and who acts for it must both be allowed to call one path, and not
// each another one of the endpoint.
func TestSearchMeetsActorsByPath(t *testing.T) {
	r := startRelay(t)
	text := textOf(t, r.delegated(t, r.service, r.issue(t, r.caller), "resource=stock"))
	finds := func() []string {
		got := r.authzen(t, r.warden, "search/resource", map[string]any{
			"subject": object("type", "token", "id", text), "action": object("name", "GET"), "resource": object("type", "stock"),
		})
		var p page
		if err := json.Unmarshal([]byte(got.body), &p); got.status != 200 || err != nil {
			t.Fatalf("got %d %s", got.status, got.body)
		}
		var ids []string
		for _, each := range p.Results {
			ids = append(ids, each.ID)
		}
		return ids
	}
	if got := finds(); !slices.Equal(got, []string{"/items/{id}"}) {
		t.Errorf("before: found %v", got)
	}
	only := func(role, path string) {
		id := r.roleID(t, "default/"+role)
		r.want(t, 200, "PATCH", "/roles/"+id, map[string]any{"rules": []any{
			map[string]any{"api": "stock", "methods": "GET", "path": path, "scope": "stock:read"},
		}}, "If-Match", r.want(t, 200, "GET", "/roles/"+id, nil).header.Get("ETag"))
	}
	if only("stock-reader", "/items/2"); !slices.Equal(finds(), []string{"/items/{id}"}) {
		t.Error("what the caller may call by any path, and the service by one, is not found")
	}
	if only("stock-all", "/items/1"); len(finds()) > 0 {
		t.Error("what each may call by another path is found")
	}
}

// A search over workspaces that takes too long goes on in the workspace where it was.
func TestSearchGoesOnInTheNextWorkspace(t *testing.T) {
	n := start(t)
	longest := 0
	for _, subject := range startShop(t, n) {
		ask := func() map[string]any {
			return map[string]any{"subject": subject, "action": object("name", "LOCK"), "resource": object("type", "shop")}
		}
		n.clock.tick(0)
		want, quick := n.searched(t, "resource", ask())
		n.clock.tick(3 * time.Second) // each look at the clock
		got, slow := n.searched(t, "resource", ask())
		if !slices.Equal(got, want) || len(quick) != 1 || len(slow) != 4 && subject["type"] == "client" {
			t.Errorf("%v: found %v on pages of %v, want %v as on pages of %v", subject, got, slow, want, quick)
		}
		longest = max(longest, len(slow))
	}
	if longest < 6 { // two of four endpoints in two workspaces at least
		t.Errorf("no search had more than %d pages: none ended between workspaces", longest)
	}
}

// A search is no use of a token, and a page's token says nothing of whom it met.
func TestSearchLeavesNoTraceAndTellsNone(t *testing.T) {
	n := start(t)
	n.evaluatesIDs(t)
	token := object("type", "token", "id", n.issue(t, by(n.Example)))
	counted := func() int64 {
		return n.usage(t, n.Example).sum("allowed", "", "") + n.usage(t, n.Example).sum("denied", "", "")
	}
	before := counted()
	n.searched(t, "action", map[string]any{"subject": token, "resource": object("type", "example", "id", "/orders/7")})
	n.searched(t, "resource", map[string]any{"subject": token, "action": object("name", "GET"), "resource": object("type", "example")})
	if got := counted(); got != before {
		t.Errorf("searches counted as %d uses", got-before)
	}
	if !n.evaluates(t, token, object("name", "GET"), object("type", "example", "id", "/orders/7")) || counted() != before+1 {
		t.Errorf("an evaluation about the token is no use: %d", counted()-before)
	}
	for i := range 3 {
		n.client(t, map[string]any{"name": fmt.Sprint("c", i), "roles": roles("example-reader")})
	}
	body := map[string]any{"subject": object("type", "client"), "action": object("name", "GET"), "resource": object("type", "example", "id", "/orders/7"), "page": map[string]any{"limit": 1}}
	var p page
	if got := n.authzen(t, by(n.Gateway), "search/subject", body); json.Unmarshal([]byte(got.body), &p) != nil || p.Page.Next == "" {
		t.Fatalf("got %d %s", got.status, got.body)
	}
	inside, err := base64.RawURLEncoding.DecodeString(p.Page.Next)
	if err != nil || strings.Contains(string(inside), p.Results[0].ID) || strings.Contains(string(inside), `"i"`) {
		t.Errorf("the token of a page is read: %q", inside)
	}
}
