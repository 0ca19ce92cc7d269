package gateway_test

import (
	"fmt"
	"sync"
	"testing"

	"postern/server/gateway/gatewaytest"
	"postern/store"
)

// Of several things that are wrong, the first one that is looked at is the
// answer: who is not known learns nothing of what would come next.
func TestTheOrderOfChecks(t *testing.T) {
	each(t, func(t *testing.T, w *gatewaytest.World, binding string) {
		gatewaytest.Change(t, w, string(gatewaytest.Shop), func(a *store.API) { a.Hosts = []string{"shop.example"} })
		tok := w.Token(t, gatewaytest.Machine)
		if names := bindings[binding].names; len(names) > 0 { // Envoy's question cannot be without a method
			ask(w, binding, "GET", "/..", "").with("X-Postern-Gateway", "Basic eDp5").without(names[0]).gives(t, 401)
			ask(w, binding, "GET", "/..", "").without(names[0]).gives(t, 403)
		}
		ask(w, binding, "GET", "/..", "").with("X-Postern-Gateway", "Basic eDp5").gives(t, 401)
		ask(w, binding, "GET", "/..", "").to(binding, "evil.example").gives(t, 401)
		ask(w, binding, "GET", "/..", "nonsense").gives(t, 401)
		ask(w, binding, "GET", "/..", tok).gives(t, 403)
		ask(w, binding, "GET", "/files/open", tok).to(binding, "evil.example").gives(t, 403)
		ask(w, binding, "GET", "/files/secret", tok).gives(t, 403)
		ask(w, binding, "GET", "/files/open", tok).gives(t, 200)
	})
}

func TestAListOfRolesThatNoGatewayCouldHoldIsLeftOut(t *testing.T) {
	w := gatewaytest.New(t)
	g := &store.Grant{
		ID:     store.NewGrantID(store.HolderID(gatewaytest.Account), gatewaytest.Acme),
		Holder: store.HolderID(gatewaytest.Account), Workspace: gatewaytest.Acme,
		Roles: []store.GrantedRole{{Role: gatewaytest.Clerk}},
	}
	for i := range 40 {
		r := &store.Role{ID: store.RoleID(fmt.Sprintf("rol%d", i)), Workspace: gatewaytest.Acme, Ref: fmt.Sprintf("acme/a-role-with-a-name-of-some-length-%d", i)}
		w.Set(t, r)
		g.Roles = append(g.Roles, store.GrantedRole{Role: r.ID})
	}
	w.Set(t, g)
	rec := ask(w, "nginx", "GET", "/files/open", w.Token(t, gatewaytest.Machine)).gives(t, 200)
	if got := rec.Header().Get("X-Auth-Roles"); got != "-" {
		t.Errorf("X-Auth-Roles has %d bytes: %.80q", len(got), got)
	}
}

func TestManyAskAtOnce(t *testing.T) {
	w := gatewaytest.New(t)
	tok, bearer := w.Token(t, gatewaytest.Machine), w.Secret(gatewaytest.Bearer)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				for _, q := range []struct {
					target, bearer string
					status         int
				}{{"/files/open", tok, 200}, {"/files/open", bearer, 200}, {"/files/secret", bearer, 403}, {"/files/open", tok + "x", 401}} {
					if got := ask(w, "forward", "GET", q.target, q.bearer).answer().Code; got != q.status {
						t.Errorf("%s: got %d, want %d", q.target, got, q.status)
					}
				}
			}
		})
	}
	wg.Wait()
}
