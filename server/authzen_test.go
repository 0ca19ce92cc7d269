package server_test

import (
	"fmt"
	"net/http"
	"testing"
)

// AuthZEN on the public listener: a gateway finds the addresses and asks about a
// token and, once its API lets it, about a client.
func TestAuthZENOverTheWire(t *testing.T) {
	n := start(t)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.url+"/.well-known/authzen-configuration", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	found := do(t, r).json(t)
	if found["policy_decision_point"] != issuer || found["access_evaluation_endpoint"] != issuer+"/access/v1/evaluation" || found["access_evaluations_endpoint"] != issuer+"/access/v1/evaluations" {
		t.Fatalf("the configuration is %v", found)
	}
	evaluate := func(who as, kind, id, path string) answer {
		t.Helper()
		r := n.formRequest(t, "/access/v1/evaluation",
			fmt.Sprintf(`{"subject":{"type":%q,"id":%q},"action":{"name":"GET"},"resource":{"type":"example","id":%q}}`, kind, id, path))
		r.Header.Set("Content-Type", "application/json")
		r.SetBasicAuth(who.id, who.secret)
		return do(t, r)
	}
	token, client := n.issue(t, by(n.Example)), string(n.Example.Client.ID)
	for path, want := range map[string]bool{"/orders/7": true, "/elsewhere": false} {
		if got := evaluate(by(n.Gateway), "token", token, path); got.status != 200 || got.json(t)["decision"] != want {
			t.Errorf("%s: got %d %s", path, got.status, got.body)
		}
	}
	if got := evaluate(by(n.Gateway), "client", client, "/orders/7"); got.json(t)["decision"] != false {
		t.Errorf("by id, without the right: %s", got.body)
	}
	etag := n.want(t, 200, "GET", "/apis/example", nil).header.Get("ETag")
	n.want(t, 200, "PATCH", "/apis/example", map[string]any{"evaluate_ids": true}, "If-Match", etag)
	if got := evaluate(by(n.Gateway), "client", client, "/orders/7"); got.json(t)["decision"] != true {
		t.Errorf("by id: %s", got.body)
	}
	n.want(t, 200, "POST", "/clients/"+client+"/revoke", map[string]any{})
	if got := evaluate(by(n.Gateway), "client", client, "/orders/7"); got.json(t)["decision"] != false {
		t.Errorf("by id, revoked: %s", got.body)
	}
	if got := evaluate(as{client, "x"}, "token", token, "/orders/7"); got.status != 401 {
		t.Errorf("a stranger got %d", got.status)
	}
}
