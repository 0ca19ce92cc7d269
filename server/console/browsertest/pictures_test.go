package browsertest_test

import (
	"math"
	"testing"
	"time"

	"postern/server"
	"postern/server/servertest"
	"postern/store"
)

// lively is a world in which much is going on: what the pictures of the README
// show.
func lively(t *testing.T) *world {
	t.Helper()
	type object = map[string]any
	var backend store.Store
	w := &world{servertest.Start(t, func(o *server.Options) { backend = o.Store })}
	w.PostAs(t, w.AdminUser, w.AdminPassword, "/me/password", map[string]string{"current": w.AdminPassword, "new": good}, nil)
	for _, api := range []struct {
		name, text string
		endpoints  []object
	}{
		{"warehouse", "Stock, deliveries and the catalog", []object{
			{"methods": "GET HEAD", "path": "/items", "summary": "List items", "tags": []string{"stock"}},
			{"methods": "GET HEAD", "path": "/items/{item}", "summary": "Read an item", "tags": []string{"stock"}},
			{"methods": "PUT", "path": "/items/{item}", "summary": "Change an item", "tags": []string{"stock"}},
			{"methods": "POST", "path": "/deliveries", "summary": "Announce a delivery", "tags": []string{"delivery"}},
			{"methods": "GET", "path": "/deliveries/{delivery}", "summary": "Where a delivery is", "tags": []string{"delivery"}},
		}},
		{"billing", "Invoices and payments", []object{
			{"methods": "GET HEAD", "path": "/invoices", "summary": "List invoices"},
			{"methods": "POST", "path": "/invoices", "summary": "Write an invoice"},
			{"methods": "GET HEAD", "path": "/invoices/{invoice}", "summary": "Read an invoice"},
		}},
	} {
		w.Post(t, "/apis", object{"name": api.name, "audience": "https://" + api.name + ".example.com", "description": api.text, "workspace": "default", "endpoints": api.endpoints}, nil)
	}
	for _, role := range []struct {
		name, text string
		rules      []object
	}{
		{"catalog-reader", "Reads items and deliveries", []object{{"api": "warehouse", "methods": "GET HEAD", "path": "/**"}}},
		{"stock-keeper", "Changes items, announces deliveries", []object{{"api": "warehouse", "methods": "*", "path": "/**"}}},
		{"invoice-writer", "Writes and reads invoices", []object{{"api": "billing", "methods": "GET HEAD POST", "path": "/invoices/**"}}},
	} {
		w.Post(t, "/roles", object{"name": role.name, "workspace": "default", "description": role.text, "rules": role.rules}, nil)
	}
	now := store.At(time.Now())
	var rows []store.Usage
	var sums []store.UsageSum
	var uses []store.LastUse
	for i, c := range []struct {
		name, text, role, expires, state string
		calls                            int64 // an hour
		ago                              time.Duration
		endpoint                         string
	}{
		{"nightly-warehouse-sync", "Copies the catalog each night", "catalog-reader", "90d", "", 420, 2 * time.Minute, "GET /items"},
		{"storefront", "Shows what is in stock", "catalog-reader", "365d", "", 2600, time.Second, "GET /items/{item}"},
		{"scanner-gate-3", "Books what comes in at gate 3", "stock-keeper", "60d", "", 310, 40 * time.Second, "PUT /items/{item}"},
		{"scanner-gate-4", "Books what comes in at gate 4", "stock-keeper", "7d", "", 260, 90 * time.Second, "PUT /items/{item}"},
		{"invoice-run", "Writes invoices at the end of the month", "invoice-writer", "90d", "", 35, 26 * time.Hour, "POST /invoices"},
		{"bookkeeping-export", "Hands invoices to bookkeeping", "invoice-writer", "10d", "", 12, 3 * time.Hour, "GET /invoices"},
		{"delivery-board", "The board in the yard", "catalog-reader", "30d", "", 95, 5 * time.Minute, "GET /deliveries/{delivery}"},
		{"old-storefront", "Was replaced by storefront", "catalog-reader", "never", "revoked", 0, 40 * 24 * time.Hour, "GET /items"},
		{"partner-preview", "For the partner’s first tests", "catalog-reader", "60d", "", 0, 0, ""},
	} {
		var made struct {
			Client struct {
				ID      store.ClientID
				Secrets []struct{ ID store.SecretID }
			}
		}
		w.Post(t, "/clients", object{"name": c.name, "description": c.text, "workspace": "default", "roles": []string{c.role}, "expires_in": c.expires}, &made)
		id, secret := made.Client.ID, made.Client.Secrets[0].ID
		for hour := range 48 {
			day := math.Sin(float64(hour)/24*2*math.Pi) + 1.4 // as days go
			count := func(outcome store.Outcome, n float64) {
				if n >= 1 {
					rows = append(rows, store.Usage{
						Hour: store.At(now.Time().Truncate(time.Hour).Add(-time.Duration(hour) * time.Hour)), Client: id, Secret: secret,
						Rule: "default/" + c.role + "#1", Outcome: outcome, Process: "picture", Count: int64(n),
					})
					sums = append(sums, store.UsageSum{
						Hour: rows[len(rows)-1].Hour, Workspace: w.Example.Client.Workspace, Rule: rows[len(rows)-1].Rule, Outcome: outcome, Process: c.name, Count: int64(n),
					})
				}
			}
			calls := float64(c.calls) * day
			count(store.OutcomeAllowed, calls)
			count(store.OutcomeIssued, calls/10)
			count(store.OutcomeDenied, calls/90*float64((hour*7+i)%5))
		}
		if c.ago > 0 {
			uses = append(uses, store.LastUse{Client: id, Secret: secret, SuccessAt: now.Add(-c.ago), SuccessAddress: "10.20.0." + string(rune('1'+i)), SuccessEndpoint: c.endpoint})
		}
		if c.state == "revoked" {
			w.Post(t, "/clients/"+string(id)+"/revoke", object{"reason": "replaced"}, nil)
		}
	}
	if err := backend.AddUsage(t.Context(), rows, uses); err != nil {
		t.Fatal(err)
	}
	if err := backend.AddUsageSums(t.Context(), sums); err != nil {
		t.Fatal(err)
	}
	return w
}

// The pictures of the README: pages of a world in which much is going on. They
// pass what every page passes.
func TestPictures(t *testing.T) {
	w := lively(t)
	for _, l := range looks {
		if l.scriptless {
			continue
		}
		t.Run(l.name, func(t *testing.T) {
			tab := newTab(t, l)
			w.signIn(tab)
			for _, p := range []struct{ name, path, text string }{
				{"readme-overview", "/console", "Needs attention"},
				{"readme-tokens", "/console/clients", "nightly-warehouse-sync"},
				{"readme-usage", "/console/usage", "storefront"},
				{"readme-api", "/console/endpoints/warehouse", "Announce a delivery"},
			} {
				tab.open(w.URL + p.path)
				tab.see(p.text)
				tab.axe()
				tab.screenshot(p.name)
			}
			tab.open(w.URL + "/console/clients")
			tab.click("scanner-gate-3")
			tab.see("What it may call")
			tab.axe()
			tab.screenshot("readme-token")
			tab.click("Simulate a call")
			tab.choose("API", "billing")
			tab.fill("Path", "/invoices")
			tab.click("Ask")
			tab.see("What is missing, and no more")
			tab.axe()
			tab.screenshot("readme-simulator")
		})
	}
}
