package api_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postern/server/admin"
)

// listed asks what a credential may call, and returns "METHODS PATH" of each
// with what it is bound to.
func (w *world) listed(credential, query string) map[string]string {
	w.t.Helper()
	got := w.call(credential, "GET", "/endpoints"+query, nil)
	if got.status != http.StatusOK {
		w.t.Fatalf("GET /endpoints: got %d %s", got.status, got.body)
	}
	out := map[string]string{}
	for _, item := range got.list("items") {
		e, _ := item.(map[string]any)
		text := func(name string) string { s, _ := e[name].(string); return s }
		var bound []string
		for _, name := range []string{"operations", "scopes"} {
			list, _ := e[name].([]any)
			for _, v := range list {
				s, _ := v.(string)
				bound = append(bound, s)
			}
		}
		ways, _ := e["resources"].([]any)
		for _, way := range ways {
			values, _ := way.(map[string]any)
			for param, list := range values {
				for _, v := range list.([]any) {
					bound = append(bound, param+"="+v.(string))
				}
			}
		}
		out[text("api")+": "+text("methods")+" "+text("path")+" in "+text("workspace")] = strings.Join(bound, ", ")
	}
	return out
}

// thermo registers an API with a catalogue and a role in the workspace default.
func (w *world) thermo() {
	w.t.Helper()
	w.want(http.StatusCreated, "POST", "/apis", object{
		"name": "thermo", "workspace": "default", "audience": "https://thermo.example",
		"endpoints": []object{
			{"methods": "GET HEAD", "path": "/devices/{id}", "summary": "Read a device", "tags": []string{"devices"}},
			{"methods": "DELETE", "path": "/devices/{id}"},
			{"methods": "POST", "path": "/devices/{id}/reset", "tags": []string{"devices"}},
			{"methods": "POST", "path": "/graphql", "graphql": true},
			{"methods": "GET", "path": "/secrets"},
		},
		"public": []object{{"methods": "GET", "path": "/health"}},
	})
	w.want(http.StatusCreated, "POST", "/roles", object{"workspace": "default", "name": "panel", "rules": []object{
		{"api": "thermo", "methods": "GET", "path": "/devices/{device}"},
		{"api": "thermo", "methods": "POST", "path": "/devices/{device}/reset", "scope": "devices:reset"},
		{"api": "thermo", "methods": "POST", "path": "/graphql", "operation": "query *"},
		{"api": "thermo", "methods": "GET", "path": "/secrets"},
		{"api": "thermo", "methods": "*", "path": "/secrets/**", "deny": true},
	}})
}

func TestDP10ListsWhatTheTokenMayCall(t *testing.T) {
	w := start(t)
	w.thermo()
	m := w.machine("default", "panel")
	w.want(http.StatusOK, "PUT", "/grants/default/"+m.account, object{"roles": []object{
		{"role": "panel", "resources": object{"device": []string{"d1", "d2"}}},
	}})
	const resets = "thermo: POST /devices/{id}/reset in default"
	want := map[string]string{
		"thermo: GET /devices/{id} in default": "id=d1, id=d2",
		"thermo: POST /graphql in default":     "query *",
		"thermo: GET /health in ":              "",
	}
	with := func(key, value string) map[string]string {
		out := map[string]string{key: value}
		maps.Copy(out, want)
		return out
	}
	// A plain service client without any role on postern, by a token for thermo.
	token := w.token(m.id, m.secret).text("access_token")
	if diff := cmp.Diff(with(resets, "devices:reset, id=d1, id=d2"), w.listed(token, "")); diff != "" {
		t.Errorf("by a token (-want +got):\n%s", diff)
	}
	// Its secret as a bearer is for every API, of which it has rights on this one.
	if diff := cmp.Diff(with(resets, "devices:reset, id=d1, id=d2"), w.listed(m.secret, "?api=thermo")); diff != "" {
		t.Errorf("by the secret (-want +got):\n%s", diff)
	}
	// The token is good for nothing else here.
	if got := w.call(token, "GET", "/apis", nil); got.status != http.StatusUnauthorized {
		t.Errorf("GET /apis by a token for another API: got %d, want 401", got.status)
	}
	// Page by page it is the same.
	var paged int
	for cursor, more := "", true; more; {
		got := w.call(token, "GET", "/endpoints?limit=1"+cursor, nil)
		paged += len(got.list("items"))
		next := got.text("next")
		cursor, more = "&cursor="+next, next != ""
	}
	if paged != 4 {
		t.Errorf("page by page: got %d, want 4", paged)
	}
	// A deny that takes one value away, and narrowing.
	role := w.want(http.StatusOK, "GET", "/roles?workspace=default&search=default/panel", nil)
	rules := append(role.list("items.0.rules"), object{"api": "thermo", "methods": "*", "path": "/devices/d2/**", "deny": true})
	id := role.text("items.0.id")
	w.want(http.StatusOK, "PATCH", "/roles/"+id, object{"rules": rules}, "If-Match", w.revision("/roles/"+id))
	if got := w.listed(token, "")["thermo: GET /devices/{id} in default"]; got != "id=d1" {
		t.Errorf("after a deny: got %q", got)
	}
	w.want(http.StatusOK, "PATCH", "/clients/"+m.id, object{"narrowed_to": []string{"example-reader"}}, "If-Match", w.revision("/clients/"+m.id))
	if got := w.listed(token, ""); len(got) != 0 && (len(got) != 1 || got["thermo: GET /health in "] != "") {
		t.Errorf("narrowed: got %v", got)
	}
	// What is revoked lists nothing.
	w.want(http.StatusOK, "POST", "/clients/"+m.id+"/revoke", nil)
	for name, credential := range map[string]string{"token": token, "secret": m.secret, "nothing": "", "nonsense": "x"} {
		if got := w.call(credential, "GET", "/endpoints", nil); got.status != http.StatusUnauthorized {
			t.Errorf("a revoked %s: got %d, want 401", name, got.status)
		}
	}
}

// What is listed is what a check allows, endpoint by endpoint.
func TestDP10AgreesWithCheck(t *testing.T) {
	w := start(t)
	w.thermo()
	for _, roles := range [][]string{{"panel"}, {"example-reader"}, {"example-writer"}, {"panel", "example-reader"}, {}} {
		m := w.machine("default", roles...)
		got := w.listed(m.secret, "")
		for name, calls := range map[string]map[string]string{
			"thermo": {
				"GET /devices/{id}": "GET /devices/7", "DELETE /devices/{id}": "DELETE /devices/7", "POST /devices/{id}/reset": "POST /devices/7/reset",
				"POST /graphql": "POST /graphql", "GET /secrets": "GET /secrets",
			},
			"example": {"GET /orders": "GET /orders", "POST /orders": "POST /orders", "GET /orders/{order}": "GET /orders/7", "DELETE /orders/{order}": "DELETE /orders/7"},
		} {
			for endpoint, call := range calls {
				method, path, _ := strings.Cut(call, " ")
				body := object{"client": m.id, "api": name, "method": method, "path": path}
				if path == "/graphql" {
					body["operation"] = "query devices"
				}
				allowed := w.want(http.StatusOK, "POST", "/check", body).get("allowed") == true
				shown := false
				for key := range got {
					_, pattern, _ := strings.Cut(endpoint, " ")
					methods, _, _ := strings.Cut(strings.TrimPrefix(key, name+": "), " "+pattern+" in ")
					shown = shown || strings.HasSuffix(key, " "+pattern+" in default") && strings.HasPrefix(key, name+": ") && slices.Contains(strings.Fields(methods), method)
				}
				if allowed != shown {
					t.Errorf("%v, %s of %s: allowed %t, listed %t in %v", roles, endpoint, name, allowed, shown, got)
				}
			}
		}
	}
}

// A credential lists what it may call in its own workspace, and of an API that
// is shared in part the shared part.
func TestDP10StaysInItsWorkspace(t *testing.T) {
	w := start(t)
	w.thermo()
	w.workspace("acme")
	w.workspace("globex")
	w.want(http.StatusOK, "PATCH", "/apis/thermo", object{"shared_with": []object{{"workspace": "acme", "tags": []string{"devices"}}}}, "If-Match", `"1"`)
	for ws, api := range map[string]string{"acme": "thermo", "globex": "*"} {
		w.want(http.StatusCreated, "POST", "/roles", object{"workspace": ws, "name": "all", "rules": []object{{"api": api, "methods": "*", "path": "/**"}}})
	}
	in, out := w.machine("acme", "all"), w.machine("globex", "all")
	want := map[string]string{
		"thermo: GET HEAD /devices/{id} in acme":   "",
		"thermo: POST /devices/{id}/reset in acme": "",
		"thermo: GET /health in ":                  "",
	}
	if diff := cmp.Diff(want, w.listed(in.secret, "?api=thermo")); diff != "" {
		t.Errorf("where it is shared (-want +got):\n%s", diff)
	}
	if got := w.listed(out.secret, "?api=thermo"); len(got) != 0 {
		t.Errorf("where it is not shared: got %v", got)
	}
}

// A personal token without a workspace lists what its owner may call in each of
// theirs: by the owner of the API, or by the workspace that the path names.
func TestDP10OfAPersonalTokenInAllWorkspaces(t *testing.T) {
	w := start(t)
	w.everyone("default")
	w.workspace("acme")
	w.everyone("acme")
	w.workspace("globex") // lets nobody have personal tokens
	w.want(http.StatusCreated, "POST", "/apis", object{
		"name": "tenants", "workspace": "default", "audience": "https://tenants.example", "workspace_from": "param:workspace",
		"shared_with": []object{{"workspace": "acme"}, {"workspace": "globex"}},
		"endpoints":   []object{{"methods": "GET", "path": "/w/{workspace}/orders"}, {"methods": "GET", "path": "/orders"}},
	})
	ann := w.person("ann", "default", "example-reader")
	for _, ws := range []string{"acme", "globex"} {
		w.want(http.StatusCreated, "POST", "/roles", object{"workspace": ws, "name": "all", "rules": []object{{"api": "tenants", "methods": "GET", "path": "/**"}}})
		w.want(http.StatusOK, "PUT", "/grants/"+ws+"/ann", object{"roles": []object{{"role": "all"}}})
	}
	token := w.personal(ann, object{"name": "laptop"})
	want := map[string]string{"tenants: GET /w/{workspace}/orders in acme": "workspace=acme"}
	if diff := cmp.Diff(want, w.listed(token.secret, "?api=tenants")); diff != "" {
		t.Errorf("by the path (-want +got):\n%s", diff)
	}
	if got := w.listed(token.secret, "?api=example"); len(got) != 2 {
		t.Errorf("by the owner of the API: got %v", got)
	}
	// One of a single workspace needs no parameter.
	m := w.machine("acme", "all")
	want["tenants: GET /orders in acme"] = ""
	if diff := cmp.Diff(want, w.listed(m.secret, "?api=tenants")); diff != "" {
		t.Errorf("of one workspace (-want +got):\n%s", diff)
	}
}

// Of Postern's own API: every operation that the credential may do, and of those
// that need no rights all.
func TestDP10OfPosternItself(t *testing.T) {
	w := start(t)
	all := w.listed(w.root, "?api=postern&limit=500")
	free := 0
	for _, op := range admin.Operations() {
		_, bySystem := all["postern: "+op.Method+" "+op.Path+" in system"]
		_, byNobody := all["postern: "+op.Method+" "+op.Path+" in "]
		if !bySystem && !byNobody {
			t.Errorf("the administrator's list lacks %s", op.Name)
		}
		if op.Public || op.AnyToken {
			free++
		}
	}
	plain := w.listed(w.machine("default").secret, "?api=postern")
	if len(plain) != free {
		t.Errorf("one without a role: got %v, want the %d that need none", plain, free)
	}
	auditor := w.listed(w.machine("default", "auditor").secret, "?api=postern&limit=500")
	if _, ok := auditor["postern: GET /api/v1/audit in default"]; !ok {
		t.Errorf("an auditor's list lacks the audit: %v", auditor)
	}
	for key := range auditor {
		if strings.HasPrefix(key, "postern: DELETE") {
			t.Errorf("an auditor's list has %s", key)
		}
	}
}

// What a role opens stands beside it: by itself, without a ceiling, with every
// scope, less what it denies.
func TestARoleSaysWhichEndpointsItOpens(t *testing.T) {
	w := start(t)
	made := w.want(http.StatusCreated, "POST", "/roles", object{"workspace": "default", "name": "clerk", "parents": []string{"example-reader"}, "rules": []object{
		{"api": "example", "methods": "POST", "path": "/orders", "scope": "orders:write"},
		{"api": "example", "methods": "HEAD", "path": "/orders/**", "deny": true},
	}})
	got := w.want(http.StatusOK, "GET", "/roles/"+made.text("id")+"/endpoints", nil)
	found := map[string]string{}
	for _, item := range got.list("items") {
		e := item.(map[string]any)
		found[e["path"].(string)] += e["methods"].(string) + ";"
	}
	if diff := cmp.Diff(map[string]string{"/orders": "GET;POST;", "/orders/{order}": "GET;"}, found); diff != "" {
		t.Errorf("what the role opens (-want +got):\n%s\n%s", diff, got.body)
	}
	if got := w.want(http.StatusOK, "GET", "/roles?workspace=default&search=default/member", nil); got.text("items.0.id") != "" {
		own := w.want(http.StatusOK, "GET", "/roles/"+got.text("items.0.id")+"/endpoints", nil)
		if len(own.list("items")) == 0 {
			t.Errorf("what member opens: %s", own.body)
		}
	}
	stranger := w.machine("default", "example-reader")
	if got := w.call(stranger.secret, "GET", "/roles/"+made.text("id")+"/endpoints", nil); got.status != http.StatusNotFound {
		t.Errorf("to who may not see the role: got %d, want 404", got.status)
	}
}
