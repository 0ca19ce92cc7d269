package server_test

import (
	"maps"
	"net/http"
	"net/url"
	"testing"
	"time"
)

// decidedAt is decided for another API than the example, from an address.
func (n *node) decidedAt(t testing.TB, api, token, method, path, address string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.decide+"/decide/nginx/"+api, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("X-Original-Method", method)
	r.Header.Set("X-Original-URI", path)
	if address != "" {
		r.Header.Set("X-Real-IP", address)
	}
	return do(t, r).status
}

// client makes a service client in workspace default that may send its secret as
// a bearer, and returns it with its account's id.
func (n *node) client(t testing.TB, more map[string]any) (who as, account string) {
	t.Helper()
	body := map[string]any{"name": "integration", "workspace": "default", "bearer": true}
	maps.Copy(body, more)
	made := n.want(t, 201, "POST", "/clients", body).json(t)
	c := made["client"].(map[string]any)
	return as{made["client_id"].(string), made["client_secret"].(string)}, c["account"].(map[string]any)["id"].(string)
}

func roles(refs ...string) []string { return refs }

func TestSB4RoleDecidesWhichEndpoints(t *testing.T) {
	n := start(t)
	for role, want := range map[string]map[string]int{
		"example-reader": {"GET /orders/1": 200, "DELETE /orders/1": 403, "POST /orders": 403, "GET /other": 403},
		"example-writer": {"GET /orders/1": 200, "DELETE /orders/1": 200, "POST /orders": 200, "GET /other": 403},
	} {
		who, _ := n.client(t, map[string]any{"roles": roles(role)})
		token := n.issue(t, who)
		for call, want := range want {
			method, path := split(call)
			for name, credential := range map[string]string{"token": token, "bearer": who.secret} {
				if got := n.decided(t, credential, method, path); got != want {
					t.Errorf("%s, by %s: %s is %d, want %d", role, name, call, got, want)
				}
			}
			explained := n.want(t, 200, "POST", "/check", map[string]any{"client": who.id, "api": "example", "method": method, "path": path}).json(t)
			if explained["allowed"] != (want == 200) {
				t.Errorf("%s: check says %v of %s", role, explained["allowed"], call)
			}
		}
	}
}

func split(call string) (method, path string) {
	for i := range call {
		if call[i] == ' ' {
			return call[:i], call[i+1:]
		}
	}
	return call, ""
}

// everywhere asks each place that takes a client's credentials: the token
// endpoint, introspection, a decision and Postern's own API, by its secret and by
// what that minted.
func (n *node) everywhere(t testing.TB, who as, minted string) map[string]int {
	t.Helper()
	out := map[string]int{"token endpoint": n.form(t, "/oauth2/token", who, wantToken).status}
	if n.exchange(t, who.secret).status != 200 {
		out["exchange"] = 401
	} else {
		out["exchange"] = 200
	}
	for name, credential := range map[string]string{"secret": who.secret, "token": minted} {
		out["decision by "+name] = n.decided(t, credential, "GET", "/orders/1")
		out["introspection of "+name] = 401
		if n.active(t, credential) {
			out["introspection of "+name] = 200
		}
	}
	out["own API"] = n.restAs(t, who.secret, "GET", "/roles", nil).status
	return out
}

func wantEverywhere(t testing.TB, when string, got map[string]int, want int) {
	t.Helper()
	for place, status := range got {
		if status != want {
			t.Errorf("%s: %s says %d, want %d", when, place, status, want)
		}
	}
}

func TestSB5RevokeStopsEveryUseAtOnce(t *testing.T) {
	n := start(t, noFailureLimit)
	who, _ := n.client(t, map[string]any{"roles": roles("example-reader", "auditor"), "default_api": "example"})
	minted := n.issue(t, who)
	wantEverywhere(t, "before", n.everywhere(t, who, minted), 200)
	n.want(t, 200, "POST", "/clients/"+who.id+"/revoke", nil)
	wantEverywhere(t, "after the revoke", n.everywhere(t, who, minted), 401)
	n.want(t, 200, "POST", "/clients/"+who.id+"/restore", nil)
	wantEverywhere(t, "after the restore", n.everywhere(t, who, n.issue(t, who)), 200)
	if n.active(t, minted) {
		t.Error("a token of before the revoke lives again")
	}
}

func TestQU4ExpiryStopsEveryUseToTheSecond(t *testing.T) {
	n := start(t, noFailureLimit)
	who, _ := n.client(t, map[string]any{"roles": roles("example-reader", "auditor"), "default_api": "example", "expires_in": "30m"})
	got := n.form(t, "/oauth2/token", who, wantToken).json(t)
	minted := got["access_token"].(string)
	if life := got["expires_in"].(float64); life > 1800 {
		t.Errorf("the token lives %v s, longer than its client", life)
	}
	ends, err := time.Parse(time.RFC3339, n.want(t, 200, "GET", "/clients/"+who.id, nil).json(t)["expires_at"].(string))
	if err != nil {
		t.Fatal(err)
	}
	n.clock.advance(ends.Sub(n.clock.now()) - 20*time.Second)
	wantEverywhere(t, "before its end", n.everywhere(t, who, minted), 200)
	n.clock.advance(ends.Sub(n.clock.now()))
	wantEverywhere(t, "at its end", n.everywhere(t, who, minted), 401)
	if got := n.rest(t, "POST", "/clients/"+who.id+"/secrets", nil); got.status != http.StatusConflict {
		t.Errorf("a new secret of an expired client: got %d %s, want 409", got.status, got.body)
	}
}

func TestQU5SCIMTokenIsForNothingElse(t *testing.T) {
	n := start(t, noFailureLimit)
	who, _ := n.client(t, map[string]any{"roles": roles("example-reader", "owner"), "default_api": "example", "scim_only": true})
	if got := n.form(t, "/oauth2/token", who, wantToken); got.error() != "unauthorized_client" {
		t.Errorf("token endpoint: got %d %s", got.status, got.body)
	}
	if got := n.exchange(t, who.secret); got.error() != "unauthorized_client" {
		t.Errorf("exchange: got %d %s", got.status, got.body)
	}
	if n.active(t, who.secret) {
		t.Error("introspection says active")
	}
	if got := n.decided(t, who.secret, "GET", "/orders/1"); got == 200 {
		t.Errorf("decision: got %d", got)
	}
	if got := n.form(t, "/oauth2/introspect", who, "token=x"); got.error() != "unauthorized_client" {
		t.Errorf("it introspects: got %d %s", got.status, got.body)
	}
	for _, call := range []string{"GET /clients", "PATCH /clients/" + who.id, "POST /clients"} {
		method, path := split(call)
		if got := n.restAs(t, who.secret, method, path, map[string]any{"scim_only": false}); got.status != http.StatusForbidden {
			t.Errorf("%s: got %d %s, want 403", call, got.status, got.body)
		}
	}
	n.want(t, 422, "PATCH", "/clients/"+who.id, map[string]any{"bearer": false})
	n.want(t, 422, "POST", "/clients", map[string]any{"name": "x", "workspace": "default", "scim_only": true, "bearer": false})
	n.want(t, 200, "PATCH", "/clients/"+who.id, map[string]any{"scim_only": false})
	if got := n.decided(t, who.secret, "GET", "/orders/1"); got != 200 {
		t.Errorf("decision once it is for more than SCIM: got %d, want 200", got)
	}
}

func TestQU11OneTokenForCommandLineAndREST(t *testing.T) {
	n := start(t)
	who, _ := n.client(t, map[string]any{"roles": roles("auditor", "example-reader"), "default_api": "postern"})
	minted := n.issue(t, who)
	for name, credential := range map[string]string{"the secret": who.secret, "a token it minted": minted} {
		if got := n.restAs(t, credential, "GET", "/clients", nil); got.status != 200 {
			t.Errorf("REST by %s: got %d %s", name, got.status, got.body)
		}
		if got := n.restAs(t, credential, "POST", "/clients", map[string]any{"name": "x", "workspace": "default"}); got.status != 403 {
			t.Errorf("what it may not, by %s: got %d, want 403", name, got.status)
		}
	}
}

// An integration makes a technical user, to whom rights and restrictions are
// given as to anybody.
func TestDG3IntegrationMakesATechnicalUser(t *testing.T) {
	n := start(t)
	who, account := n.client(t, nil)
	got := n.want(t, 200, "GET", "/accounts/"+account, nil).json(t)
	if got["kind"] != "service" || got["licence"] != "*/steward" || got["status"] != "active" {
		t.Errorf("its account: %v", got)
	}
	if got := n.decided(t, who.secret, "GET", "/orders/1"); got != 403 {
		t.Errorf("without rights: got %d, want 403", got)
	}
	n.want(t, 200, "PUT", "/grants/default/"+account, map[string]any{"roles": []any{map[string]any{"role": "example-reader"}}})
	if got := n.decided(t, who.secret, "GET", "/orders/1"); got != 200 {
		t.Errorf("with a role: got %d, want 200", got)
	}
	n.want(t, 200, "PUT", "/grants/default/"+account, map[string]any{"roles": []any{map[string]any{"role": "example-writer", "resources": map[string]any{"order": []string{"7"}}}}})
	if mine, other := n.decided(t, who.secret, "DELETE", "/orders/7"), n.decided(t, who.secret, "DELETE", "/orders/8"); mine != 200 || other != 403 {
		t.Errorf("restricted to one order: %d and %d, want 200 and 403", mine, other)
	}
	// A further token for the same technical user has the same.
	second, same := n.client(t, map[string]any{"account": account})
	if got := n.decided(t, second.secret, "DELETE", "/orders/7"); got != 200 || same != account {
		t.Errorf("a second token of the technical user: got %d for %s", got, same)
	}
}

// API users have rights and devices of their own, and no person behind them.
func TestDC4APIUsersHaveTheirOwnRightsAndDevices(t *testing.T) {
	n := start(t)
	n.want(t, 201, "POST", "/apis", map[string]any{"name": "devices", "workspace": "default", "audience": "https://devices.example.com"})
	n.want(t, 201, "POST", "/roles", map[string]any{"name": "operator", "workspace": "default", "rules": []any{
		map[string]any{"api": "devices", "methods": "GET POST", "path": "/devices/{device}/**"},
	}})
	users := map[string]as{}
	for _, device := range []string{"d1", "d2"} {
		who, account := n.client(t, map[string]any{"name": "API user of " + device})
		n.want(t, 200, "PUT", "/grants/default/"+account, map[string]any{"roles": []any{
			map[string]any{"role": "operator", "resources": map[string]any{"device": []string{device}}},
		}})
		users[device] = who
	}
	for own, who := range users {
		for _, device := range []string{"d1", "d2", "d3"} {
			want := 403
			if device == own {
				want = 200
			}
			if got := n.decidedAt(t, "devices", who.secret, "POST", "/devices/"+device+"/start", ""); got != want {
				t.Errorf("the user of %s on %s: got %d, want %d", own, device, got, want)
			}
		}
	}
}

// A token for a function: a technical user in a team has what the team has.
func TestDC5TokensForTeams(t *testing.T) {
	n := start(t)
	who, account := n.client(t, nil)
	n.want(t, 201, "POST", "/teams", map[string]any{"name": "support"})
	team := n.want(t, 200, "GET", "/teams/support", nil).json(t)["id"].(string)
	n.want(t, 200, "PUT", "/grants/default/"+team, map[string]any{"roles": []any{map[string]any{"role": "example-reader"}}})
	if got := n.decided(t, who.secret, "GET", "/orders/1"); got != 403 {
		t.Errorf("before it is a member: got %d, want 403", got)
	}
	n.want(t, 200, "PUT", "/teams/support/members/"+account, nil)
	token := n.issue(t, who, "resource=example")
	if bearer, minted := n.decided(t, who.secret, "GET", "/orders/1"), n.decided(t, token, "GET", "/orders/1"); bearer != 200 || minted != 200 {
		t.Errorf("as a member: got %d and %d, want 200", bearer, minted)
	}
	n.want(t, 200, "DELETE", "/teams/support/members/"+account, nil)
	if bearer, minted := n.decided(t, who.secret, "GET", "/orders/1"), n.decided(t, token, "GET", "/orders/1"); bearer != 403 || minted != 403 {
		t.Errorf("as no member any more: got %d and %d, want 403", bearer, minted)
	}
}

// Each version of an API is an API of its own, with rules and catalogue of its
// own: one token is good for all that its roles name.
func TestDP7TokensWorkForEveryVersion(t *testing.T) {
	n := start(t)
	for version, path := range map[string]string{"things-v1": "/v1/things", "things-v2": "/v2/things"} {
		n.want(t, 201, "POST", "/apis", map[string]any{
			"name": version, "workspace": "default", "audience": "https://" + version + ".example.com",
			"endpoints": []any{map[string]any{"methods": "GET", "path": path}},
		})
	}
	n.want(t, 201, "POST", "/roles", map[string]any{"name": "things", "workspace": "default", "rules": []any{
		map[string]any{"api": "things-v1", "methods": "GET", "path": "/v1/things"}, map[string]any{"api": "things-v2", "methods": "GET", "path": "/v2/things"},
	}})
	who, _ := n.client(t, map[string]any{"roles": roles("things")})
	token := n.issue(t, who, "resource=things-v1", "resource=things-v2")
	for name, credential := range map[string]string{"token": token, "secret": who.secret} {
		for _, version := range []string{"v1", "v2"} {
			other := map[string]string{"v1": "v2", "v2": "v1"}[version]
			own, wrong := n.decidedAt(t, "things-"+version, credential, "GET", "/"+version+"/things", ""), n.decidedAt(t, "things-"+version, credential, "GET", "/"+other+"/things", "")
			if own != 200 || wrong != 403 {
				t.Errorf("%s at %s: its own path %d, the other's %d; want 200 and 403", name, version, own, wrong)
			}
		}
	}
}

// A token is issued for one project and opens nothing in another, though its
// account holds roles there; a personal one is good wherever its owner is.
func TestDP14TokenOfOneProjectOpensNoOther(t *testing.T) {
	n := start(t)
	var account string
	clients := map[string]as{}
	for _, project := range []string{"north", "south"} {
		n.want(t, 201, "POST", "/workspaces", map[string]any{"name": project})
		n.want(t, 201, "POST", "/apis", map[string]any{"name": project + "-api", "workspace": project, "audience": "https://" + project + ".example.com"})
		n.want(t, 201, "POST", "/roles", map[string]any{"name": "reader", "workspace": project, "rules": []any{
			map[string]any{"api": project + "-api", "methods": "GET", "path": "/**"},
		}})
		body := map[string]any{"workspace": project}
		if account != "" {
			body["account"] = account
		}
		clients[project], account = n.client(t, body)
		n.want(t, 200, "PUT", "/grants/"+project+"/"+account, map[string]any{"roles": []any{map[string]any{"role": "reader"}}})
	}
	for own, who := range clients {
		other := map[string]string{"north": "south", "south": "north"}[own]
		token := n.issue(t, who, "resource="+own+"-api")
		for name, credential := range map[string]string{"token": token, "secret": who.secret} {
			mine, theirs := n.decidedAt(t, own+"-api", credential, "GET", "/x", ""), n.decidedAt(t, other+"-api", credential, "GET", "/x", "")
			if mine != 200 || theirs == 200 {
				t.Errorf("%s of %s: %d at home, %d in %s; want 200 and a refusal", name, own, mine, theirs, other)
			}
		}
		if got := n.form(t, "/oauth2/token", who, wantToken, "resource="+url.QueryEscape("https://"+other+".example.com")); got.error() != "invalid_target" {
			t.Errorf("a token of %s for %s: got %d %s, want invalid_target", own, other, got.status, got.body)
		}
	}
	// The endpoints that another project has of a shared API may be fewer.
	etag := n.want(t, 200, "GET", "/apis/north-api", nil).header.Get("ETag")
	n.want(t, 200, "PATCH", "/apis/north-api", map[string]any{
		"endpoints":   []any{map[string]any{"methods": "GET", "path": "/open", "tags": []string{"open"}}, map[string]any{"methods": "GET", "path": "/closed"}},
		"shared_with": []any{map[string]any{"workspace": "south", "tags": []string{"open"}}},
	}, "If-Match", etag)
	n.want(t, 201, "POST", "/roles", map[string]any{"name": "guest", "workspace": "south", "rules": []any{
		map[string]any{"api": "north-api", "methods": "GET", "path": "/**"},
	}})
	guest, _ := n.client(t, map[string]any{"workspace": "south", "roles": roles("guest")})
	for path, want := range map[string]int{"/open": 200, "/closed": 403} {
		if got := n.decidedAt(t, "north-api", guest.secret, "GET", path, ""); got != want {
			t.Errorf("a guest of the shared API at %s: got %d, want %d", path, got, want)
		}
	}
	personal := n.personal(t)
	n.want(t, 200, "PUT", "/grants/north/admin", map[string]any{"roles": []any{map[string]any{"role": "owner"}, map[string]any{"role": "reader"}}})
	n.want(t, 200, "PUT", "/grants/south/admin", map[string]any{"roles": []any{map[string]any{"role": "owner"}, map[string]any{"role": "reader"}}})
	for _, project := range []string{"north", "south"} {
		path := map[string]string{"north": "/open", "south": "/x"}[project]
		if got := n.decidedAt(t, project+"-api", personal.secret, "GET", path, ""); got != 200 {
			t.Errorf("a personal token in %s: got %d, want 200", project, got)
		}
	}
}

// An address list binds the secret at the token endpoint and at the gateway.
func TestAddressListAtTheGateway(t *testing.T) {
	n := start(t, noFailureLimit)
	who, _ := n.client(t, map[string]any{"roles": roles("example-reader"), "addresses": []string{"192.0.2.0/24"}})
	for address, want := range map[string]int{"192.0.2.9": 200, "198.51.100.1": 403, "": 403} {
		if got := n.decidedAt(t, "example", who.secret, "GET", "/orders/1", address); got != want {
			t.Errorf("decision from %q: got %d, want %d", address, got, want)
		}
	}
	if got := n.form(t, "/oauth2/token", who, wantToken); got.status != 401 {
		t.Errorf("a token from elsewhere: got %d, want 401", got.status)
	}
}
