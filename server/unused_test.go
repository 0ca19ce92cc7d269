package server_test

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/server"
)

// unused is the answer of …/unused.
type unused struct {
	Since time.Time `json:"since"`
	Rules []struct {
		Rule, Role, API, Methods, Path, Scope string
		LastUsedAt                            *time.Time `json:"last_used_at"`
	} `json:"rules"`
}

func (u unused) ids() []string {
	out := []string{}
	for _, r := range u.Rules {
		out = append(out, r.Rule)
	}
	return out
}

func (n *node) unused(t testing.TB, path string) (u unused) {
	t.Helper()
	if err := json.Unmarshal([]byte(n.want(t, 200, "GET", path, nil).body), &u); err != nil {
		t.Fatal(err)
	}
	return u
}

func (n *node) call(t testing.TB, who as, want int, calls ...string) {
	t.Helper()
	for _, call := range calls {
		method, path := split(call)
		if got := n.decided(t, who.secret, method, path); got != want {
			t.Fatalf("%s: got %d, want %d", call, got, want)
		}
	}
}

// roleAt is the path of a role.
func (n *node) roleAt(t testing.TB, ref string) string {
	t.Helper()
	var found struct {
		Items []struct{ ID, Ref string }
	}
	if err := json.Unmarshal([]byte(n.want(t, 200, "GET", "/roles?search="+url.QueryEscape(ref), nil).body), &found); err != nil {
		t.Fatal(err)
	}
	for _, r := range found.Items {
		if r.Ref == ref {
			return "/roles/" + r.ID
		}
	}
	t.Fatalf("there is no role %s", ref)
	return ""
}

func forAYear(o *server.Options) { o.UsageRetention = 365 * 24 * time.Hour }

// What a client's rights reach and what allowed it nothing for 90 days: by rule,
// over all its secrets, as long as that is.
func TestUnusedByAClient(t *testing.T) {
	n := start(t, forAYear)
	who, account := n.client(t, map[string]any{"roles": roles("example-writer"), "expires_in": "1y"})
	other, _ := n.client(t, map[string]any{"roles": roles("example-writer")})
	made := n.clock.now()
	const get, post, del = "default/example-reader#1", "default/example-writer#1", "default/example-writer#2"
	at := "/clients/" + who.id + "/unused"
	check := func(when, query string, want ...string) unused {
		t.Helper()
		u := n.unused(t, at+query)
		if diff := cmp.Diff(append([]string{}, want...), u.ids()); diff != "" {
			t.Errorf("%s, unused%s (-want +got):\n%s", when, query, diff)
		}
		return u
	}

	u := check("at first", "", get, post, del)
	if r := u.Rules[2]; r.Role != "default/example-writer" || r.API != "example" || r.Methods != "DELETE" || r.Path != "/orders/{order}" || r.Scope != "orders:write" || r.LastUsedAt != nil {
		t.Errorf("a rule is %+v", r)
	}
	if u.Since.After(n.clock.now()) || made.Sub(u.Since).Abs() > time.Minute {
		t.Errorf("of a client made at %s: since %s", made, u.Since)
	}
	// What others do, and what is refused, is no use of it.
	n.call(t, other, 200, "GET /orders/1", "POST /orders")
	n.call(t, who, 403, "PUT /orders/1")
	check("after the calls of another", "", get, post, del)
	n.call(t, who, 200, "GET /orders/1")
	check("after a call", "", post, del)
	second := n.want(t, 201, "POST", "/clients/"+who.id+"/secrets", map[string]any{"overlap": "1h"}).json(t)
	n.call(t, as{who.id, second["client_secret"].(string)}, 200, "POST /orders")
	check("after one by another secret", "", del)

	n.clock.advance(40 * 24 * time.Hour)
	who.secret = second["client_secret"].(string)
	n.call(t, who, 200, "DELETE /orders/1")
	u = check("forty days later", "?days=30", get, post)
	if r := u.Rules[0]; r.LastUsedAt == nil || made.Sub(*r.LastUsedAt).Abs() > 2*time.Hour {
		t.Errorf("of a rule that was used at %s: %+v", made, r)
	}
	if days := n.clock.now().Sub(u.Since); days < 30*24*time.Hour || days > 30*24*time.Hour+time.Minute {
		t.Errorf("thirty days are since %s", u.Since)
	}
	check("forty days later", "")
	n.clock.advance(51 * 24 * time.Hour)
	check("ninety-one days later", "", get, post)
	check("ninety-one days later", "?days=92")

	// The rights of now count: what is taken away is in no list, nor is a call back.
	n.want(t, 200, "PATCH", "/clients/"+who.id, map[string]any{"narrowed_to": roles("example-reader")})
	check("narrowed", "", get)
	n.want(t, 200, "DELETE", "/grants/default/"+account, nil)
	check("without a grant", "")
}

// Rules about Postern's own API are not counted, and so in no list.
func TestUnusedLeavesPosternItselfOut(t *testing.T) {
	n := start(t)
	who, _ := n.client(t, map[string]any{"roles": roles("auditor", "example-reader")})
	if got := n.unused(t, "/clients/"+who.id+"/unused").ids(); !slices.Equal(got, []string{"default/example-reader#1"}) {
		t.Errorf("of an auditor: %v", got)
	}
	if got := n.unused(t, n.roleAt(t, "default/auditor")+"/unused").ids(); len(got) != 0 {
		t.Errorf("of the role auditor: %v", got)
	}
}

// Of a role it is what nobody used; what it denies is no use to anybody.
func TestUnusedOfARole(t *testing.T) {
	n := start(t, forAYear)
	rule := func(methods, path string, deny bool) map[string]any {
		return map[string]any{"api": "example", "methods": methods, "path": path, "deny": deny}
	}
	n.want(t, 201, "POST", "/roles", map[string]any{"workspace": "default", "name": "clerk", "parents": roles("example-reader"), "rules": []any{
		rule("POST", "/orders", false), rule("DELETE", "/orders/{order}", false), rule("DELETE", "/orders/7", true), rule("*", "/**", false),
	}})
	one, _ := n.client(t, map[string]any{"roles": roles("clerk")})
	two, _ := n.client(t, map[string]any{"roles": roles("clerk")})
	at := n.roleAt(t, "default/clerk") + "/unused"
	check := func(when string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(append([]string{}, want...), n.unused(t, at).ids()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	}
	check("at first", "default/clerk#1", "default/clerk#2", "default/clerk#4")
	n.call(t, one, 200, "POST /orders")
	n.call(t, two, 200, "GET /orders/1") // by clerk#4, which comes before the parent's
	n.call(t, two, 403, "DELETE /orders/7")
	check("after two calls", "default/clerk#2")
	n.clock.advance(91 * 24 * time.Hour)
	check("a quarter later", "default/clerk#1", "default/clerk#2", "default/clerk#4")
}

func TestUnusedAsksNoFurtherThanUsageIsKept(t *testing.T) {
	n := start(t, func(o *server.Options) { o.UsageRetention = 30 * 24 * time.Hour })
	for _, of := range []string{"/clients/" + string(n.Example.Client.ID), n.roleAt(t, "default/example-reader")} {
		n.want(t, 200, "GET", of+"/unused", nil)
		n.want(t, 200, "GET", of+"/unused?days=30", nil)
		if got := n.want(t, 422, "GET", of+"/unused?days=31", nil); !strings.Contains(got.body, "usage is kept for 30 days") {
			t.Errorf("more than is kept: %s", got.body)
		}
		for _, days := range []string{"0", "-1", "401", "x", ""} {
			if got := n.rest(t, "GET", of+"/unused?days="+days, nil); days != "" && got.status != 422 {
				t.Errorf("days=%s: got %d, want 422", days, got.status)
			}
		}
	}
	n.clock.advance(40 * 24 * time.Hour)
	if since := n.unused(t, n.roleAt(t, "default/example-reader")+"/unused").Since; n.clock.now().Sub(since) > 31*24*time.Hour {
		t.Errorf("of what is kept for 30 days: since %s", since)
	}
}

// What a shared role is used for is the installation's.
func TestUnusedIsForWhoMaySeeIt(t *testing.T) {
	n := start(t)
	owner, _ := n.client(t, map[string]any{"roles": roles("owner")})
	for path, want := range map[string]int{
		n.roleAt(t, "*/admin") + "/unused": 403, n.roleAt(t, "default/example-reader") + "/unused": 200, n.roleAt(t, "system/owner") + "/unused": 404,
		"/clients/" + string(n.Example.Client.ID) + "/unused": 200, "/clients/" + string(n.Admin.Client.ID) + "/unused": 404,
	} {
		if got := n.restAs(t, owner.secret, "GET", path, nil); got.status != want {
			t.Errorf("%s: got %d %s, want %d", path, got.status, got.body, want)
		}
	}
	n.want(t, 200, "GET", "/clients/"+string(n.Admin.Client.ID)+"/unused", nil) // one's own token
}
