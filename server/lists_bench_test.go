package server_test

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"testing"
	"time"

	"postern/server"
	"postern/store"
	"postern/store/mongo"
	"postern/store/mongo/mongotest"
)

// BenchmarkLists measures lists of clients through the whole server, search,
// filters, orders and pages: the 95th percentile of the time until the last byte.
// There are 100,000 clients in `make bench`, and a hundredth of that otherwise.
func BenchmarkLists(b *testing.B) {
	b.Run("sqlite", func(b *testing.B) { benchmarkLists(b, nil) })
	b.Run("mongodb", func(b *testing.B) {
		set, err := mongotest.Start(b.Context(), mongotest.Options{})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(set.Stop)
		backend, err := mongo.Open(b.Context(), mongo.Options{URI: set.URI, Database: "postern"})
		if err != nil {
			b.Fatal(err)
		}
		benchmarkLists(b, backend)
	})
}

const listsAsked = 60 // questions of each kind

func benchmarkLists(b *testing.B, backend store.Store) {
	b.Helper()
	n := startNode(b, b.TempDir(), unlimited, func(o *server.Options) {
		if backend != nil {
			_ = o.Store.Close()
			o.Store = backend
		}
	})
	clients := 1_000
	if os.Getenv("POSTERN_BENCH") == "full" {
		clients = 100_000
	}
	n.fillClients(b, clients)
	lists := []struct{ name, query string }{
		{"by name", ""},
		{"by creation, latest first", "sort=created&desc=true"},
		{"by expiry", "sort=expires"},
		{"by last use, latest first", "sort=last_use&desc=true"},
		{"by last use, unused first", "sort=last_use"},
		{"500 by name", "limit=500"},
		{"of a workspace", "workspace=default"},
		{"of an account", "account=" + string(benchAccount(7))},
		{"revoked", "status=revoked"},
		{"expired, by last use", "status=expired&sort=last_use&desc=true"},
		{"unused", "unused=true"},
		{"expiring soon", "sort=expires&expires_by=" + url.QueryEscape(n.clock.now().Add(10*24*time.Hour).UTC().Format(time.RFC3339))},
		{"search for many", "search=backend"},
		{"search for one", fmt.Sprintf("search=number+%d", clients-1)},
		{"search for none", "search=there+is+none"},
		{"search of a workspace, by last use", "workspace=default&search=backend&sort=last_use&desc=true"},
	}
	for _, list := range lists {
		b.Run(list.name, func(b *testing.B) {
			for b.Loop() {
				n.measure(b, "/clients?"+list.query)
			}
		})
	}
	b.Run("page after page", func(b *testing.B) {
		for b.Loop() {
			n.measurePages(b, "/clients?sort=created")
		}
	})
	b.Run("audit of a workspace", func(b *testing.B) {
		for b.Loop() {
			n.measure(b, "/audit?workspace=default")
		}
	})
	b.Run("accounts, search", func(b *testing.B) {
		for b.Loop() {
			n.measure(b, "/accounts?search=machine+7")
		}
	})
	person := n.console(b)
	for _, page := range []struct{ name, path string }{
		{"page, overview", "/console"},
		{"page, tokens", "/console/clients"},
		{"page, tokens by last use", "/console/clients?sort=last_use&desc=true"},
		{"page, tokens never used", "/console/clients?used=never"},
		{"page, search for many tokens", "/console/clients?search=backend"},
		{"page, search for one token", fmt.Sprintf("/console/clients?search=number+%d", clients-1)},
		{"page, users", "/console/accounts"},
	} {
		b.Run(page.name, func(b *testing.B) {
			for b.Loop() {
				person.measure(b, page.path)
			}
		})
	}
}

// measure is for a page of the console, of which it reports the size, too.
func (br *browser) measure(b *testing.B, path string) {
	b.Helper()
	took := make([]time.Duration, listsAsked)
	size := 0
	used := processorTime()
	for i := range took {
		began := time.Now()
		size = len(br.want(b, http.StatusOK, path, nil).body)
		took[i] = time.Since(began)
	}
	report(b, took, processorTime()-used)
	b.ReportMetric(float64(size)/1000, "kB")
}

func (n *node) measure(b *testing.B, path string) {
	b.Helper()
	took := make([]time.Duration, listsAsked)
	used := processorTime()
	for i := range took {
		began := time.Now()
		n.want(b, http.StatusOK, http.MethodGet, path, nil)
		took[i] = time.Since(began)
	}
	report(b, took, processorTime()-used)
}

// measurePages asks for one page after the other.
func (n *node) measurePages(b *testing.B, path string) {
	b.Helper()
	var took []time.Duration
	used := processorTime()
	cursor := ""
	for range listsAsked {
		began := time.Now()
		got := n.want(b, http.StatusOK, http.MethodGet, path+cursor, nil)
		took = append(took, time.Since(began))
		next, _ := got.json(b)["next"].(string)
		if next == "" {
			break
		}
		cursor = "&cursor=" + next
	}
	report(b, took, processorTime()-used)
}

// report reports times, and the processor time of this process for each question:
// clocks also measure what else runs here.
func report(b *testing.B, took []time.Duration, used time.Duration) {
	b.Helper()
	first := took[0]
	slices.Sort(took)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	b.ReportMetric(ms(first), "ms-first")
	b.ReportMetric(ms(took[len(took)/2]), "ms-p50")
	b.ReportMetric(ms(took[len(took)*95/100]), "ms-p95")
	b.ReportMetric(ms(used)/float64(len(took)), "cpu-ms")
}

const benchAccounts = 200

func benchAccount(i int) store.AccountID { return store.AccountID(fmt.Sprintf("svcbench%016d", i)) }

// fillClients puts clients of every kind and state into the store, half of them
// used.
func (n *node) fillClients(b *testing.B, clients int) {
	b.Helper()
	w := newBulk(b, n.store)
	spaces := []store.WorkspaceID{n.API.Workspace}
	for _, name := range []string{"w1", "w2"} {
		space := &store.Workspace{ID: store.NewWorkspaceID(), Generation: 1, Name: name, APIAccess: true, CreatedAt: 1}
		spaces = append(spaces, space.ID)
		w.add(space)
	}
	for i := range benchAccounts {
		w.add(&store.Account{
			ID: benchAccount(i), Generation: 1, AccountKind: store.AccountService, Name: fmt.Sprintf("machine-%d", i),
			DisplayName: fmt.Sprintf("Machine %d", i), Status: store.AccountActive, Licence: n.Example.Account.Licence, CreatedAt: 1,
		})
	}
	now := store.At(n.clock.now())
	kinds := []string{"shop backend", "nightly batch", "mobile gateway", "sensor"}
	var uses []store.LastUse
	for i := range clients {
		c := &store.Client{
			ID: store.NewClientID(), Generation: 1, ClientKind: store.ClientService, Name: fmt.Sprintf("%s number %d", kinds[i%len(kinds)], i),
			Description: fmt.Sprintf("Made to be listed, batch %d.", i%97), Account: benchAccount(i % benchAccounts), Workspace: spaces[i%len(spaces)],
			Responsible: n.Admin.Account.ID, CreatedBy: n.Admin.Account.ID, Status: store.ClientActive, DefaultAPI: n.API.ID,
			CreatedAt: now.Add(-time.Duration(i) * time.Minute), ExpiresAt: now.Add(time.Duration(i%365+1) * 24 * time.Hour),
			Secrets: []store.ClientSecret{{ID: store.NewSecretID(), Hash: fmt.Appendf(nil, "%032d", i), Generation: 1, CreatedAt: 1}},
		}
		switch i % 10 {
		case 0:
			c.Status, c.RevokedAt = store.ClientRevoked, now
		case 1:
			c.ExpiresAt = now.Add(-time.Hour)
		case 2:
			c.ExpiresAt = 0
		}
		if i%2 == 0 {
			uses = append(uses, store.LastUse{Client: c.ID, Secret: c.Secrets[0].ID, SuccessAt: now.Add(-time.Duration(i*7919%clients) * time.Minute), SuccessAddress: "203.0.113.7", SuccessEndpoint: "GET /orders/{id}"})
		}
		w.add(c)
	}
	w.end()
	for chunk := range slices.Chunk(uses, 1000) {
		if err := n.store.AddUsage(b.Context(), nil, chunk); err != nil {
			b.Fatal(err)
		}
	}
	began := time.Now()
	for n.rest(b, http.MethodPost, "/clients", map[string]any{"name": "settle", "workspace": "default"}).status != http.StatusCreated {
		if time.Since(began) > 10*time.Minute {
			b.Fatal("the node does not catch up")
		}
	}
}
