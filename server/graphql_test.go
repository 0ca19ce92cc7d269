package server_test

import (
	"net/http"
	"strings"
	"testing"
)

// graphql asks for a decision about a GraphQL call of the API thermo, by the
// binding that passes its body.
func (n *node) graphql(t testing.TB, token, body string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, n.decide+"/decide/forward/thermo", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Forwarded-Method", "POST")
	r.Header.Set("X-Forwarded-URI", "/graphql")
	r.Header.Set("X-Forwarded-Host", "thermo.example")
	return do(t, r).status
}

// DC6: the same token opens REST and GraphQL, and a rule names an operation.
func TestDC6OneTokenOpensRESTAndGraphQL(t *testing.T) {
	n := start(t)
	type object = map[string]any
	n.want(t, 201, "POST", "/apis", object{
		"name": "thermo", "workspace": "default", "audience": "https://thermo.example",
		"endpoints": []object{{"methods": "GET", "path": "/devices/{device}"}, {"methods": "POST", "path": "/graphql", "graphql": true}},
	})
	n.want(t, 201, "POST", "/roles", object{"workspace": "default", "name": "viewer", "rules": []object{
		{"api": "thermo", "methods": "GET", "path": "/devices/{device}"},
		{"api": "thermo", "methods": "POST", "path": "/graphql", "operation": "query devices"},
	}})
	made := n.want(t, 201, "POST", "/clients", object{"name": "panel", "workspace": "default", "roles": []string{"viewer"}}).json(t)
	id, _ := made["client_id"].(string)
	secret, _ := made["client_secret"].(string)
	token := n.issue(t, as{id, secret})

	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.decide+"/decide/forward/thermo", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("X-Forwarded-Method", "GET")
	r.Header.Set("X-Forwarded-URI", "/devices/d1")
	r.Header.Set("X-Forwarded-Host", "thermo.example")
	if got := do(t, r).status; got != 200 {
		t.Errorf("REST: got %d, want 200", got)
	}
	for body, want := range map[string]int{
		`{"query":"{ devices { id } }"}`:                               200,
		`{"query":"{ x: devices { id } ... { devices { name } } }"}`:   200,
		`{"query":"{ users { id } }"}`:                                 403,
		`{"query":"{ devices { id } users { id } }"}`:                  403,
		`{"query":"mutation { devices { id } }"}`:                      403,
		`[{"query":"{ devices { id } }"}]`:                             403,
		`{"id":"1"}`:                                                   403,
		`{"query":"{ devices { id } }"`:                                403,
		`{"query":"{ devices { id } }"}` + strings.Repeat(" ", 64<<10): 403,
	} {
		if got := n.graphql(t, token, body); got != want {
			t.Errorf("%.80s: got %d, want %d", body, got, want)
		}
	}
	// A connection whose body was not wanted still serves the next question.
	if got := n.graphql(t, token+"x", `{"query":"{ devices { id } }"}`); got != 401 {
		t.Errorf("a bad token: got %d, want 401", got)
	}
	for operation, want := range map[string]bool{"query devices": true, "mutation reset": false, "": false} {
		got := n.want(t, 200, "POST", "/check", object{"client": id, "api": "thermo", "method": "POST", "path": "/graphql", "operation": operation}).json(t)
		if got["allowed"] != want {
			t.Errorf("check of %q: got %v", operation, got)
		}
	}
	for _, wrong := range []object{
		{"endpoints": []object{{"methods": "GET", "path": "/graphql", "graphql": true}}},
		{"public": []object{{"methods": "POST", "path": "/graphql", "graphql": true}}},
	} {
		got := n.rest(t, "PATCH", "/apis/thermo", wrong, "If-Match", `"1"`)
		if got.status != 422 || !strings.Contains(got.body, "graphql") {
			t.Errorf("%v: got %d %s, want 422", wrong, got.status, got.body)
		}
	}
}

// An OpenAPI document cannot say that an endpoint is GraphQL, and an import does
// not take it back.
func TestImportKeepsGraphQL(t *testing.T) {
	n := start(t)
	n.want(t, 201, "POST", "/apis", map[string]any{
		"name": "thermo", "workspace": "default", "audience": "https://thermo.example",
		"endpoints": []map[string]any{{"methods": "POST", "path": "/graphql", "graphql": true}, {"methods": "POST", "path": "/v2/graphql", "graphql": true}, {"methods": "GET", "path": "/old"}},
	})
	n.want(t, 200, "POST", "/apis/thermo/openapi", map[string]any{
		"openapi": "3.0.3", "info": map[string]any{"title": "x", "version": "1"},
		"paths": map[string]any{"/graphql": map[string]any{"post": map[string]any{"responses": map[string]any{}}}},
	}, "If-Match", `"1"`, "Content-Type", "application/octet-stream")
	got := n.want(t, 200, "GET", "/apis/thermo", nil).json(t)
	list, _ := got["endpoints"].([]any)
	if len(list) != 2 {
		t.Fatalf("got endpoints %v, want two", list)
	}
	for _, e := range list {
		if entry, _ := e.(map[string]any); entry["graphql"] != true {
			t.Errorf("%v is no longer GraphQL", entry)
		}
	}
}
