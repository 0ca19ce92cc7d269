package server_test

import (
	"encoding/json"
	"testing"
	"time"

	"postern/server/admin"
)

// used is the answer of GET /api/v1/usage.
type used struct {
	Counters []struct {
		Client, Secret, Rule, Outcome string
		Count                         int64
	} `json:"counters"`
	LastUses []lastUse `json:"last_uses"`
}

type lastUse struct {
	Client, Secret  string
	SuccessAt       time.Time `json:"success_at"`
	SuccessAddress  string    `json:"success_address"`
	SuccessEndpoint string    `json:"success_endpoint"`
	RefusalAt       time.Time `json:"refusal_at"`
	RefusalAddress  string    `json:"refusal_address"`
	RefusalEndpoint string    `json:"refusal_endpoint"`
}

// sum adds the counts of an outcome up, over all hours, of one secret and rule
// where they are named.
func (u used) sum(outcome, secret, rule string) (n int64) {
	for _, c := range u.Counters {
		if c.Outcome == outcome && (secret == "" || c.Secret == secret) && (rule == "" || c.Rule == rule) {
			n += c.Count
		}
	}
	return n
}

func (n *node) usage(t testing.TB, of admin.Created) (u used) {
	t.Helper()
	got := n.want(t, 200, "GET", "/usage?client="+string(of.Client.ID), nil)
	if err := json.Unmarshal([]byte(got.body), &u); err != nil {
		t.Fatal(err)
	}
	return u
}

func TestUsageCountsByRuleAndSecret(t *testing.T) {
	dir := t.TempDir()
	n := startNode(t, dir)
	const reader = "default/example-reader#1"
	id, first := string(n.Example.Client.ID), string(n.Example.SecretID)
	rotated := n.want(t, 201, "POST", "/clients/"+id+"/secrets", map[string]any{"overlap": "1h"}).json(t)
	second, _ := rotated["secret_id"].(string)
	text, _ := rotated["client_secret"].(string)

	old, fresh := n.issue(t, by(n.Example)), n.issue(t, as{id, text})
	n.issue(t, as{id, text})
	for token, calls := range map[string]int{old: 2, fresh: 5} {
		for range calls {
			if got := n.decided(t, token, "GET", "/orders/42"); got != 200 {
				t.Fatalf("decision: got %d", got)
			}
		}
	}
	for range 3 {
		if got := n.decided(t, fresh, "DELETE", "/orders/42?x=y"); got != 403 {
			t.Fatalf("decision: got %d", got)
		}
	}
	n.active(t, old)
	// Neither of these is a use of the client.
	n.decided(t, "nonsense", "GET", "/orders/42")
	n.form(t, "/oauth2/token", as{id, "wrong"}, wantToken)

	check := func(u used, more int64) {
		t.Helper()
		for _, want := range []struct {
			outcome, secret, rule string
			count                 int64
		}{
			{"issued", first, "", 1},
			{"issued", second, "", 2},
			{"allowed", first, reader, 2 + more},
			{"allowed", second, reader, 5},
			{"allowed", "", "", 7 + more},
			{"denied", first, "", 0},
			{"denied", second, "", 3},
			{"introspected", first, "", 1},
			{"introspected", second, "", 0},
		} {
			if got := u.sum(want.outcome, want.secret, want.rule); got != want.count {
				t.Errorf("%s by secret %q under rule %q: counted %d, want %d", want.outcome, want.secret, want.rule, got, want.count)
			}
		}
	}
	// Asking writes what is in memory; asking again adds nothing.
	for range 3 {
		check(n.usage(t, n.Example), 0)
	}
	for _, u := range n.usage(t, n.Example).LastUses {
		if u.Secret != second {
			continue
		}
		if u.SuccessEndpoint != "GET /orders/{order}" || u.RefusalEndpoint != "DELETE /orders/{order}" {
			t.Errorf("last use at %q, last refusal at %q; want the patterns of the catalogue", u.SuccessEndpoint, u.RefusalEndpoint)
		}
		if now := n.clock.now(); u.SuccessAt.IsZero() || u.RefusalAt.Before(u.SuccessAt) || u.RefusalAt.After(now) || now.Sub(u.SuccessAt) > time.Minute {
			t.Errorf("last use at %s, last refusal at %s, now %s", u.SuccessAt, u.RefusalAt, now)
		}
	}

	// A restart loses nothing, and counts on from there.
	n.stop()
	again := startNode(t, dir)
	again.Bootstrap = n.Bootstrap
	check(again.usage(t, n.Example), 0)
	again.decided(t, old, "GET", "/orders/42")
	check(again.usage(t, n.Example), 1)
}

// The gateway says from where the client calls; the address of a token request
// is the peer's.
func TestLastUseHasTheAddressOfTheCaller(t *testing.T) {
	n := start(t)
	n.issue(t, by(n.Example))
	u := n.usage(t, n.Example).LastUses
	if len(u) != 1 || u[0].SuccessAddress != "127.0.0.1" || u[0].SuccessEndpoint != "POST /oauth2/token" || !u[0].RefusalAt.IsZero() {
		t.Errorf("after a token request: %+v", u)
	}
	// The administrator's own calls count, too.
	u = n.usage(t, n.Admin).LastUses
	if len(u) != 1 || u[0].SuccessEndpoint != "GET /api/v1/usage" {
		t.Errorf("of the administrator: %+v", u)
	}
}
