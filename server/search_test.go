package server_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/store"
)

// authzen posts to one of AuthZEN's endpoints.
func (n *node) authzen(t testing.TB, who as, path string, body map[string]any) answer {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	r := n.formRequest(t, "/access/v1/"+path, string(text))
	r.Header.Set("Content-Type", "application/json")
	r.SetBasicAuth(who.id, who.secret)
	return do(t, r)
}

type page struct {
	Results []struct{ Type, ID, Name string }
	Page    struct {
		Next  string `json:"next_token"`
		Count int
	}
}

// searched asks for all pages, and returns how many results each had.
func (n *node) searched(t testing.TB, what string, body map[string]any) (all []string, sizes []int) {
	t.Helper()
	for body["page"] = map[string]any{}; ; {
		got := n.authzen(t, by(n.Gateway), "search/"+what, body)
		var p page
		if err := json.Unmarshal([]byte(got.body), &p); got.status != 200 || err != nil || p.Page.Count != len(p.Results) || p.Results == nil {
			t.Fatalf("search for %s: got %d %s", what, got.status, got.body)
		}
		for _, r := range p.Results {
			all = append(all, r.ID+r.Name)
		}
		sizes = append(sizes, len(p.Results))
		if p.Page.Next == "" {
			return all, sizes
		}
		body["page"] = map[string]any{"token": p.Page.Next}
	}
}

func object(pairs ...string) map[string]any {
	m := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return m
}

func (n *node) evaluates(t testing.TB, subject, action, resource map[string]any) bool {
	t.Helper()
	got := n.authzen(t, by(n.Gateway), "evaluation", map[string]any{"subject": subject, "action": action, "resource": resource})
	if got.status != 200 {
		t.Fatalf("evaluation: got %d %s", got.status, got.body)
	}
	return got.json(t)["decision"] == true
}

func (n *node) evaluatesIDs(t testing.TB) {
	t.Helper()
	etag := n.want(t, 200, "GET", "/apis/example", nil).header.Get("ETag")
	n.want(t, 200, "PATCH", "/apis/example", map[string]any{"evaluate_ids": true}, "If-Match", etag)
}

// AuthZEN 1.0 section 8: what a search finds is what evaluations allow, and all of
// it.
func TestSearchFindsWhatEvaluationsAllow(t *testing.T) {
	n := start(t)
	n.evaluatesIDs(t)
	kinds := [][]string{{"example-reader"}, {"example-writer"}, nil}
	ids := []string{string(n.Example.Client.ID), string(n.Gateway.Client.ID), string(n.Admin.Client.ID)}
	accounts := []string{string(n.Example.Account.ID), string(n.Admin.Account.ID)}
	for i := range 12 {
		who, account := n.client(t, map[string]any{"name": fmt.Sprint("c", i), "bearer": false, "roles": kinds[i%len(kinds)]})
		ids, accounts = append(ids, who.id), append(accounts, account)
		if i == 3 {
			n.want(t, 200, "POST", "/clients/"+who.id+"/revoke", nil)
		}
	}
	for _, call := range []string{"GET /orders/7", "DELETE /orders/7", "POST /orders", "GET /orders", "GET /nowhere", "FETCH /orders/7", "GET /orders/../x"} {
		method, path := split(call)
		action, resource := object("name", method), object("type", "example", "id", path)
		for kind, of := range map[string][]string{"client": ids, "account": accounts, "user": accounts} {
			found, _ := n.searched(t, "subject", map[string]any{"subject": object("type", kind), "action": action, "resource": resource})
			for _, id := range of {
				if want := n.evaluates(t, object("type", kind, "id", id), action, resource); slices.Contains(found, id) != want {
					t.Errorf("%s: %s %s is found: %t, want %t", call, kind, id, !want, want)
				}
			}
			if kind == "client" {
				for _, id := range found {
					if !slices.Contains(ids, id) {
						t.Errorf("%s: %s is nobody", call, id)
					}
				}
			}
		}
	}
	catalogue := n.want(t, 200, "GET", "/apis/example", nil).json(t)["endpoints"].([]any)
	for _, id := range ids {
		subject := object("type", "client", "id", id)
		for _, path := range []string{"/orders/7", "/orders", "/nowhere"} {
			found, _ := n.searched(t, "action", map[string]any{"subject": subject, "resource": object("type", "example", "id", path)})
			for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
				if want := n.evaluates(t, subject, object("name", method), object("type", "example", "id", path)); slices.Contains(found, method) != want {
					t.Errorf("%s at %s: %s is found: %t, want %t", id, path, method, !want, want)
				}
			}
		}
		for _, method := range []string{"GET", "DELETE", "POST", "PUT"} {
			found, _ := n.searched(t, "resource", map[string]any{"subject": subject, "action": object("name", method), "resource": object("type", "example")})
			for _, each := range catalogue {
				pattern := each.(map[string]any)["path"].(string)
				path := strings.NewReplacer("{order}", "7", "{id}", "7").Replace(pattern)
				if want := n.evaluates(t, subject, object("name", method), object("type", "example", "id", path)); slices.Contains(found, pattern) != want && !strings.Contains(path, "{") {
					t.Errorf("%s by %s: %s is found: %t, want %t", method, id, pattern, !want, want)
				}
			}
		}
	}
}

// A page has 100 at most, and goes on where it ended.
func TestSearchIsPaged(t *testing.T) {
	n := start(t)
	n.evaluatesIDs(t)
	var writes []store.Write
	var want []string
	for i := range 230 { // they act as the example's account
		c := &store.Client{
			ID: store.NewClientID(), Generation: 1, ClientKind: store.ClientService, Name: fmt.Sprint("many ", i), Account: n.Example.Account.ID,
			Workspace: n.Example.Client.Workspace, Status: store.ClientActive, CreatedAt: store.At(n.clock.now()) - store.Time(i%7),
		}
		writes, want = append(writes, store.Insert(c)), append(want, string(c.ID))
	}
	n.commit(t, writes...)
	body := map[string]any{"subject": object("type", "client"), "action": object("name", "GET"), "resource": object("type", "example", "id", "/orders/7")}
	found, sizes := n.searched(t, "subject", body)
	if len(found) != 231 || !slices.Equal(sizes, []int{100, 100, 31}) {
		t.Errorf("pages of %v", sizes)
	}
	slices.Sort(found)
	for _, id := range want {
		if _, there := slices.BinarySearch(found, id); !there {
			t.Errorf("%s is not found", id)
		}
	}
	if len(slices.Compact(found)) != 231 {
		t.Error("some are found twice")
	}
	body["page"] = map[string]any{"limit": 3}
	got := n.authzen(t, by(n.Gateway), "search/subject", body)
	var p page
	if err := json.Unmarshal([]byte(got.body), &p); err != nil || p.Page.Count != 3 || p.Page.Next == "" {
		t.Fatalf("three of them: %s", got.body)
	}
	// The token is for that question, unaltered.
	for name, change := range map[string]func(map[string]any){
		"another action":   func(b map[string]any) { b["action"] = object("name", "DELETE") },
		"another resource": func(b map[string]any) { b["resource"] = object("type", "example", "id", "/orders") },
		"an altered token": func(b map[string]any) { b["page"] = map[string]any{"token": p.Page.Next[:len(p.Page.Next)-2] + "AA"} },
		"no token":         func(b map[string]any) { b["page"] = map[string]any{"token": "hello"} },
		"a number":         func(b map[string]any) { b["page"] = map[string]any{"token": 7} },
		"no page":          func(b map[string]any) { b["page"] = "x" },
		"nothing a page":   func(b map[string]any) { b["page"] = map[string]any{"limit": 0} },
	} {
		next := map[string]any{"subject": body["subject"], "action": body["action"], "resource": body["resource"], "page": map[string]any{"token": p.Page.Next}}
		change(next)
		if got := n.authzen(t, by(n.Gateway), "search/subject", next); got.status != 400 {
			t.Errorf("%s: got %d %s", name, got.status, got.body)
		}
	}
}

// A search that takes longer than two seconds answers what it has, and where it is.
func TestSearchEndsInTime(t *testing.T) {
	n := start(t)
	n.evaluatesIDs(t)
	for i := range 3 {
		n.client(t, map[string]any{"name": fmt.Sprint("c", i), "roles": roles("example-reader")})
	}
	n.clock.tick(time.Second) // each look at the clock
	found, sizes := n.searched(t, "subject", map[string]any{"subject": object("type", "client"), "action": object("name", "GET"), "resource": object("type", "example", "id", "/orders/7")})
	if len(found) != 4 || len(sizes) < 3 {
		t.Errorf("found %d on pages of %v", len(found), sizes)
	}
}

func TestSearchIsRefused(t *testing.T) {
	n := start(t)
	question := func() map[string]any {
		return map[string]any{"subject": object("type", "client"), "action": object("name", "GET"), "resource": object("type", "example", "id", "/orders/7")}
	}
	if got := n.authzen(t, by(n.Gateway), "search/subject", question()); got.status != 403 || !strings.Contains(got.body, "evaluate_ids") {
		t.Errorf("without the right: got %d %s", got.status, got.body)
	}
	n.evaluatesIDs(t)
	if got := n.authzen(t, by(n.Example), "search/subject", question()); got.status != 403 {
		t.Errorf("by a client that introspects for nobody: got %d %s", got.status, got.body)
	}
	if got := n.authzen(t, as{string(n.Gateway.Client.ID), "x"}, "search/subject", question()); got.status != 401 {
		t.Errorf("by a stranger: got %d", got.status)
	}
	for name, change := range map[string]func(map[string]any){
		"tokens":          func(b map[string]any) { b["subject"] = object("type", "token") },
		"another subject": func(b map[string]any) { b["subject"] = object("type", "dog") },
		"no resource":     func(b map[string]any) { delete(b, "resource") },
		"no action":       func(b map[string]any) { delete(b, "action") },
	} {
		q := question()
		change(q)
		if got := n.authzen(t, by(n.Gateway), "search/subject", q); got.status != 400 {
			t.Errorf("%s: got %d %s", name, got.status, got.body)
		}
	}
	if got := n.authzen(t, by(n.Gateway), "search/planet", question()); got.status != 404 {
		t.Errorf("search for planets: got %d", got.status)
	}
	// Resources and actions of who has a token may be asked without the right to ids.
	m := start(t)
	token := object("type", "token", "id", m.issue(t, by(m.Example)))
	if found, _ := m.searched(t, "action", map[string]any{"subject": token, "resource": object("type", "example", "id", "/orders/7")}); !slices.Equal(found, []string{"GET", "HEAD"}) && !slices.Equal(found, []string{"GET"}) {
		t.Errorf("actions of a token: %v", found)
	}
	if found, _ := m.searched(t, "resource", map[string]any{"subject": token, "action": object("name", "GET"), "resource": object("type", "example")}); len(found) == 0 {
		t.Error("a token opens nothing")
	}
	if found, _ := m.searched(t, "resource", map[string]any{"subject": object("type", "token", "id", "hello"), "action": object("name", "GET"), "resource": object("type", "example")}); len(found) != 0 {
		t.Errorf("no token opens %v", found)
	}
}
