package declare_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postern/cmd/postern/declare"
)

// acme is a file that has every kind and most fields.
const acme = `
kind: workspace
name: acme
description: Rockets and more.
max_lifetime: 400d
---
kind: workspace
name: globex
who_may_create: named
personal_people: [bob, alice]
lifetimes: [30d, 1y, never]
personal_auto: true
leak_policy: client
---
kind: api
name: orders
workspace: acme
audience: https://orders.example.com
hosts: [Orders.example.com]
access_ttl: 15m
introspectors: [acme/gateway]
endpoints:
  - {methods: "GET,HEAD", path: "/orders/{order}", summary: Read, tags: [read, all]}
  - {methods: POST, path: /orders}
public:
  - {methods: GET, path: /health}
shared_with:
  - {workspace: globex, tags: [read]}
---
kind: role
name: reader
workspace: acme
description: Reads orders.
rules:
  - {api: orders, methods: GET HEAD, path: "/orders/{order}", scope: "orders:read"}
---
kind: role
name: writer
workspace: acme
parents: [reader]
rules:
  - {api: orders, methods: POST, path: /orders}
  - {deny: true, api: orders, methods: DELETE, path: /orders/**}
---
kind: client
key: ci
workspace: acme
account: ci
name: CI runner
licence: reader
roles: [{role: reader, resources: {order: ["42", "43"]}}, writer]
expires_in: 90d
addresses: [10.1.2.3, 10.9.9.9/8]
---
kind: client
key: ci-2
workspace: acme
account: ci
narrowed_to: [reader]
expires_in: 12h
---
kind: client
key: idle
workspace: acme
narrowed_to: []
bearer: true
---
kind: client
key: gateway
workspace: acme
expires_in: 1y
---
kind: account
name: alice
display_name: Alice A.
email: alice@example.com
licence: reader
---
kind: account
name: bob
licence: null
status: deactivated
---
kind: team
name: ops
display_name: Operations
scim_may_grant: true
members: [alice, ci, bob]
---
kind: grant
workspace: acme
team: ops
roles: [{role: reader, resources: {order: []}}]
---
kind: grant
workspace: globex
account: ci
roles: [auditor]
`

func TestAFileMakesWhatItSaysOnce(t *testing.T) {
	w := start(t)
	p := w.apply(acme)
	want := []string{
		"create account alice", "create account bob", "create api acme/orders", "create client acme/ci", "create client acme/ci-2", "create client acme/gateway", "create client acme/idle",
		"create grant of account ci in globex", "create grant of team ops in acme", "create role acme/reader", "create role acme/writer", "create team ops",
		"create workspace acme", "create workspace globex", "update api acme/orders introspectors", "update team ops members",
		"update workspace globex personal_people",
	}
	if diff := cmp.Diff(want, sortedLines(p)); diff != "" {
		t.Error(diff)
	}
	if len(w.made) != 6 || w.made["alice"].Invitation == "" {
		t.Errorf("kept are %v, want the secrets of 4 clients and the invitations of 2 people", w.made)
	}
	again := w.plan(acme, declare.Options{Prune: true, Self: declare.Self{Client: w.client}})
	// The grant of the owner, who made the workspaces, is named by no document.
	if diff := cmp.Diff([]string{"delete grant of account admin in acme", "delete grant of account admin in globex"}, said(again)); diff != "" {
		t.Errorf("a second time: %s", diff)
	}
	if again.Unchanged != 14 {
		t.Errorf("%d are unchanged, want 14", again.Unchanged)
	}
}

func TestRulesKeepTheirNumbersWhateverTheirOrder(t *testing.T) {
	w := start(t)
	w.apply(acme)
	before := w.rest("GET", "/roles?workspace=acme&search=acme/writer", nil)["items"].([]any)[0].(map[string]any)
	turned := strings.Replace(acme, `  - {api: orders, methods: POST, path: /orders}
  - {deny: true, api: orders, methods: DELETE, path: /orders/**}`, `  - {deny: true, api: orders, methods: DELETE, path: /orders/**}
  - {api: orders, methods: PUT, path: /orders}
  - {api: orders, methods: POST, path: /orders}`, 1)
	if diff := cmp.Diff([]string{"update role acme/writer rules"}, said(w.apply(turned))); diff != "" {
		t.Fatal(diff)
	}
	after := w.rest("GET", "/roles/"+before["id"].(string), nil)
	numbers := map[string]float64{}
	for _, r := range after["rules"].([]any) {
		rule := r.(map[string]any)
		numbers[rule["methods"].(string)] = rule["number"].(float64)
	}
	if diff := cmp.Diff(map[string]float64{"POST": 1, "DELETE": 2, "PUT": 3}, numbers); diff != "" {
		t.Error(diff)
	}
}

func TestOnlyFieldsThatAreNamedChange(t *testing.T) {
	w := start(t)
	w.apply(acme)
	file := "kind: client\nkey: ci\nworkspace: acme\nbearer: true\n---\nkind: api\nname: orders\nworkspace: acme\naudience: https://orders.example.com\naccess_ttl: 1h\n"
	p := w.apply(file)
	if diff := cmp.Diff([]string{"update api acme/orders access_ttl", "update client acme/ci bearer"}, said(p)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]declare.FieldChange{{Field: "access_ttl", Old: []string{"15m"}, New: []string{"1h"}}}, p.Changes[0].Fields); diff != "" {
		t.Error(diff)
	}
	left := w.plan(acme)
	if diff := cmp.Diff([]string{"update api acme/orders access_ttl"}, said(left)); diff != "" {
		t.Errorf("other fields changed: %s", diff)
	}
}

func TestAnExpiryAndAnAccountNeverChange(t *testing.T) {
	w := start(t)
	w.apply(acme)
	p := w.plan("kind: client\nkey: ci\nworkspace: acme\naccount: other\nexpires_in: 30d\n")
	if diff := cmp.Diff([]string{
		"client acme/ci: account never changes: it is ci and the file says other",
		"client acme/ci: expires_in never changes: it is 90d and the file says 30d",
	}, p.Notes); diff != "" || len(p.Changes) > 0 {
		t.Errorf("%s\n%v", diff, said(p))
	}
}

func TestAClientIsRevokedAndRestoredByItsStatus(t *testing.T) {
	w := start(t)
	w.apply(acme)
	status := func() string { return w.rest("GET", "/clients/"+w.made["acme/ci"].ClientID, nil)["status"].(string) }
	file := "kind: client\nkey: ci\nworkspace: acme\nstatus: revoked\n---\nkind: client\nkey: new\nworkspace: acme\nstatus: revoked\n---\nkind: account\nname: alice\nstatus: deactivated\n"
	w.apply(file)
	made := w.rest("GET", "/clients/"+w.made["acme/new"].ClientID, nil)["status"]
	alice := w.rest("GET", "/accounts/alice", nil)["status"]
	if status() != "revoked" || made != "revoked" || alice != "deactivated" {
		t.Errorf("the old client is %s, the new one %s, alice %s", status(), made, alice)
	}
	w.apply(strings.NewReplacer("revoked", "active", "deactivated", "active").Replace(file))
	if alice = w.rest("GET", "/accounts/alice", nil)["status"]; status() != "active" || alice == "deactivated" {
		t.Errorf("after a restore it is %s, and alice %s", status(), alice)
	}
}

// TestPruneDeletes walks what is deleted and what stays although no document
// names it.
func TestPruneDeletes(t *testing.T) {
	w := start(t)
	w.apply(acme)
	w.rest("POST", "/clients", object{"workspace": "acme", "name": "by hand", "roles": []string{"reader"}})
	file := "kind: workspace\nname: acme\n---\nkind: client\nkey: gateway\nworkspace: acme\n---\nkind: role\nname: reader\nworkspace: acme\n---\n" +
		"kind: api\nname: orders\nworkspace: acme\naudience: https://orders.example.com\n"
	o := declare.Options{Prune: true, Self: declare.Self{Client: w.client}}
	p := w.apply(file, o)
	want := []string{
		"delete client acme/ci", "delete client acme/ci-2", "delete client acme/idle",
		"delete grant of account ci in acme", // what the clients held that went
		"delete role acme/writer",
	}
	if diff := cmp.Diff(want, said(p)); diff != "" || p.Deletes() != 3 {
		t.Error(diff)
	}
	if left := said(w.plan(file, o)); len(left) > 0 {
		t.Errorf("afterwards there is still %v", left)
	}
	// An API is not deleted while a role is about it, and that is told.
	p = w.plan("kind: api\nname: other\nworkspace: acme\naudience: https://other.example.com\n", o)
	if n := p.Apply(t.Context(), w.ask, w.options()); n != 1 || !strings.Contains(said(p)[1], "role acme/reader has rules about it") {
		t.Error(said(p))
	}
	// Grants by hand of clients that no file can name stay, and so does whoever asks.
	mine := w.rest("POST", "/clients", object{"workspace": "acme", "name": "me", "key": "me", "roles": []string{"owner"}, "bearer": true})
	w.ask = w.as(mine["client_secret"].(string))
	self, err := declare.SelfOf(t.Context(), w.ask, mine["client_id"].(string))
	if err != nil {
		t.Fatal(err)
	}
	p = w.plan("kind: client\nkey: gateway\nworkspace: acme\n---\nkind: grant\nworkspace: acme\naccount: admin\nroles: [owner]\n---\nkind: grant\nworkspace: acme\nteam: ops\nroles: [{role: reader, resources: {order: []}}]\n", declare.Options{Prune: true, Self: self})
	if got := said(p); len(got) > 0 {
		t.Errorf("it would %v", got)
	}
}

// TestMembersComeAndGo: of a team, people and technical users alike.
func TestMembersComeAndGo(t *testing.T) {
	w := start(t)
	w.apply(acme)
	p := w.apply("kind: team\nname: ops\nmembers: [admin, ci]\n---\nkind: team\nname: dev\nmembers: [ci, alice]\n---\nkind: account\nname: alice\nlicence: steward\nemail: \"\"\n")
	want := []string{"update account alice email licence", "create team dev", "update team ops members", "update team dev members"}
	if diff := cmp.Diff(want, said(p)); diff != "" {
		t.Error(diff)
	}
	for team, want := range map[string]string{"ops": "admin ci", "dev": "alice ci"} {
		var names []string
		for _, m := range w.rest("GET", "/teams/"+team+"/members", nil)["items"].([]any) {
			names = append(names, m.(map[string]any)["name"].(string))
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("the members of %s are %s, want %s", team, got, want)
		}
	}
	alice := w.rest("GET", "/accounts/alice", nil)
	if alice["licence"] != "*/steward" || alice["email"] != nil || alice["display_name"] != "Alice A." {
		t.Errorf("alice is %v", alice)
	}
}

func TestNothingIsDeletedAfterAFailure(t *testing.T) {
	w := start(t)
	w.apply(acme)
	file := "kind: client\nkey: gateway\nworkspace: acme\nresponsible: nobody\n"
	p := w.plan(file, declare.Options{Prune: true, Self: declare.Self{Client: w.client}})
	if failed := p.Apply(t.Context(), w.ask, w.options()); failed != len(p.Changes) || failed < 2 {
		t.Errorf("%d failed of %v", failed, said(p))
	}
}

// TestApplyIsNoWayAroundRights: who may not give a role gives none by a file.
func TestApplyIsNoWayAroundRights(t *testing.T) {
	w := start(t)
	w.apply(acme)
	lesser := w.rest("POST", "/clients", object{"workspace": "acme", "name": "lesser", "roles": []string{"admin"}, "bearer": true})
	w.ask = w.as(lesser["client_secret"].(string))
	for name, file := range map[string]string{
		"a grant of owner":          "kind: grant\nworkspace: acme\naccount: ci\nroles: [owner]\n",
		"a client with owner":       "kind: client\nkey: new\nworkspace: acme\nroles: [owner]\n",
		"a client with more rights": "kind: client\nkey: gateway\nworkspace: acme\nadmin_access: true\n",
		"a role that inherits it":   "kind: role\nname: sly\nworkspace: acme\nparents: [owner]\n",
		"a person":                  "kind: account\nname: eve\nlicence: admin\n",
		"a team":                    "kind: team\nname: sly\nscim_may_grant: true\n",
		"a wider licence":           "kind: client\nkey: ci\nworkspace: acme\nlicence: admin\n",
		"the workspace's settings":  "kind: workspace\nname: acme\nmax_lifetime: 1y\n",
	} {
		p, err := declare.Make(t.Context(), w.ask, read(t, file), declare.Options{})
		if err == nil && (p.Apply(t.Context(), w.ask, w.options()) != 1 || len(p.Changes) != 1) {
			t.Errorf("%s: %v", name, said(p))
		}
	}
	docs := read(t, "kind: role\nname: r\nworkspace: globex\n")
	if p, err := declare.Make(t.Context(), w.ask, docs, declare.Options{}); err == nil {
		t.Errorf("a role in another workspace: %v", said(p))
	}
}

func TestWhatOthersChangedMeanwhileIsNotLost(t *testing.T) {
	w := start(t)
	w.apply(acme)
	p := w.plan("kind: workspace\nname: acme\ndescription: mine\n")
	w.rest("PATCH", "/workspaces/acme", object{"description": "theirs"})
	if p.Apply(t.Context(), w.ask, w.options()) != 1 || !strings.Contains(said(p)[0], "run this again") {
		t.Error(said(p))
	}
	if got := w.rest("GET", "/workspaces/acme", nil)["description"]; got != "theirs" {
		t.Errorf("the description is %v", got)
	}
}

// The answer to each request that makes something is lost, and asked for again:
// nothing is made twice, and the secret that is kept is the one that works.
func TestWhatIsMadeCanBeAskedForAgain(t *testing.T) {
	w := start(t)
	var mu sync.Mutex
	keys, unkeyed := map[string]bool{}, []string{}
	straight := w.ask
	lossy := func(ctx context.Context, r declare.Request) ([]byte, error) {
		makes := r.Method == http.MethodPost && strings.Count(r.Path, "/") == 1 && r.Path != "/check"
		if !makes {
			return straight(ctx, r)
		}
		mu.Lock()
		if r.Once == "" || keys[r.Once] {
			unkeyed = append(unkeyed, r.Path)
		}
		keys[r.Once] = true
		mu.Unlock()
		if _, err := straight(ctx, r); err != nil {
			return nil, err
		}
		return straight(ctx, r)
	}
	p := w.plan(acme)
	if p.Apply(t.Context(), lossy, w.options()) > 0 {
		t.Fatal(said(p))
	}
	if len(keys) < 10 || len(unkeyed) > 0 {
		t.Errorf("%d keys, and none of its own for %v", len(keys), unkeyed)
	}
	if again := w.plan(acme); len(again.Changes) > 0 {
		t.Errorf("it is not as declared: %v", said(again))
	}
	s := w.made["acme/ci"]
	listed := w.rest("GET", "/clients/"+s.ClientID, nil)["secrets"].([]any)
	if len(listed) != 1 || listed[0].(map[string]any)["id"] != s.SecretID {
		t.Errorf("kept is secret %s of %v", s.SecretID, listed)
	}
}

func TestWhatWasInterruptedIsGoneOnWith(t *testing.T) {
	w := start(t)
	p := w.plan(acme)
	ctx, stop := context.WithTimeout(t.Context(), testTimeout)
	defer stop()
	o := w.options()
	o.Workers, o.Progress = 1, once(stop)
	failed := p.Apply(ctx, w.ask, o)
	if failed != len(p.Changes)-1 || p.Changes[1].Error != declare.ErrNotBegun.Error() {
		t.Errorf("%d of %v", failed, said(p))
	}
	if first, rest := p.Changes[0].Key(), w.apply(acme); len(rest.Changes) != failed || slices.ContainsFunc(rest.Changes, func(c *declare.Change) bool { return c.Key() == first }) {
		t.Errorf("the rest is %v", said(rest))
	}
	if left := said(w.plan(acme)); len(left) > 0 {
		t.Errorf("afterwards there is still %v", left)
	}
}

func TestTheFilesFaultsAreAllTold(t *testing.T) {
	w := start(t)
	for name, tt := range map[string]struct{ file, want string }{
		"a workspace that is nowhere": {"kind: role\nname: r\nworkspace: none\n", "file:3: there is no workspace none, neither here nor on the server"},
		"a role that is nowhere":      {"kind: role\nname: r\nworkspace: default\nparents: [none]\n", "file:4: there is no role default/none, neither here nor on the server"},
		"twice the same":              {"kind: workspace\nname: acme\n---\nkind: workspace\nname: acme\n", "file:4: workspace acme is there twice, first at file:1"},
		"a team that is nowhere":      {"kind: grant\nteam: none\nworkspace: default\nroles: [member]\n", "file:2: there is no team none, neither here nor on the server"},
		"two licences of one account": {
			"kind: client\nkey: a\nworkspace: default\naccount: a\nlicence: reader\n---\nkind: client\nkey: b\nworkspace: default\naccount: a\nlicence: null\n",
			"file:11: a has another licence at file:1",
		},
		"built in": {"kind: role\nname: owner\nworkspace: default\n", "file:1: role default/owner is built in and stays as it is"},
		"two lists for one account": {
			"kind: client\nkey: a\nworkspace: default\naccount: a\nroles: [member]\n---\nkind: grant\naccount: a\nworkspace: default\nroles: [owner]\n",
			"file:10: a has other roles at file:1; an account has one list of roles in a workspace",
		},
	} {
		_, err := declare.Make(t.Context(), w.ask, read(t, tt.file), declare.Options{})
		if err == nil || err.Error() != tt.want {
			t.Errorf("%s: got %v, want %s", name, err, tt.want)
		}
	}
}

func TestRead(t *testing.T) {
	for name, tt := range map[string]struct{ file, want string }{
		"no kind":             {"name: acme\n", "f:1: kind is missing; it is one of workspace, api"},
		"unknown kind":        {"\nkind: rol\n", `f:2: there is no kind "rol"; did you mean role?`},
		"unknown field":       {"kind: api\nname: a\nworkspace: w\naudience: x\naudiance: y\n", `f:5: there is no field "audiance" of kind api; did you mean audience?`},
		"a field twice":       {"kind: workspace\nname: a\nname: b\n", "f:3: name is there twice, first in line 2"},
		"in a rule":           {"kind: role\nname: a\nworkspace: w\nrules:\n  - {api: a, methods: GET, path: /, denny: true}\n", `f:5: there is no field "denny" of a rule; did you mean deny?`},
		"a rule field twice":  {"kind: role\nname: a\nworkspace: w\nrules:\n  - {api: a, api: b, methods: GET, path: /}\n", "f:5: api is there twice, first in line 5"},
		"a rule's path":       {"kind: role\nname: a\nworkspace: w\nrules:\n  - {api: a, methods: GET, path: orders}\n", "f:5: a path begins with a slash"},
		"a rule without path": {"kind: role\nname: a\nworkspace: w\nrules:\n  - {api: a, methods: GET}\n", "f:5: path is missing"},
		"a number for text":   {"kind: workspace\nname: 123\n", "f:2: name must be a text; put it in quotes"},
		"yes for true":        {"kind: workspace\nname: a\napi_access: yes\n", "f:3: api_access must be true or false"},
		"no value":            {"kind: workspace\nname: a\ndescription:\n", "f:3: description has no value"},
		"no workspace":        {"kind: role\nname: a\n", "f:1: workspace is missing"},
		"a bad name":          {"kind: workspace\nname: Acme\n", "f:2: name must be 1 to 63 of a-z"},
		"no audience":         {"kind: api\nname: a\nworkspace: w\n", "f:1: audience is missing"},
		"a bad lifetime":      {"kind: client\nkey: a\nworkspace: w\nexpires_in: 90\n", "f:4: expires_in must be a lifetime such as 12h, 90d or 1y, or never"},
		"two holders":         {"kind: grant\naccount: a\nteam: b\nworkspace: w\nroles: [r]\n", "f:1: who holds it? name an account or a team"},
		"an alias":            {"kind: role\nname: a\nworkspace: w\nparents: &p [a]\n", "f:4: anchors, aliases and merges are not read here"},
		"another version":     {"postern: v2\nkind: workspace\nname: a\n", "f:1: this version of postern reads files of postern: v1"},
		"no YAML":             {"kind: [\n", "f: line 1: did not find expected node content"},
		"no mapping":          {"- kind: role\n", "f:1: must be fields, each with its name and a colon"},
		"a bad status":        {"kind: client\nkey: a\nworkspace: w\nstatus: dead\n", "f:4: status must be one of active, revoked, expired"},
	} {
		docs, err := declare.Read("f", strings.NewReader(tt.file))
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) || len(docs) > 0 {
			t.Errorf("%s: got %v, want %s", name, err, tt.want)
		}
	}
	docs := read(t, "---\n---\npostern: v1\nkind: workspace\nname: a\n---\n# nothing\n")
	if len(docs) != 1 {
		t.Errorf("%d documents, want 1", len(docs))
	}
}

func TestTheExampleOfTheManualWorks(t *testing.T) {
	manual, err := os.ReadFile("../../../docs/declarative.md")
	if err != nil {
		t.Fatal(err)
	}
	_, file, ok := strings.Cut(string(manual), "```yaml\n")
	file, _, ok2 := strings.Cut(file, "```\n")
	if !ok || !ok2 {
		t.Fatal("it has no example")
	}
	w := start(t)
	w.apply(file)
	if left := said(w.plan(file)); len(left) > 0 {
		t.Errorf("afterwards there is still %v", left)
	}
}

func TestAServerThatIsGoneIsNoPlan(t *testing.T) {
	gone := func(context.Context, declare.Request) ([]byte, error) { return nil, errors.New("gone") }
	if _, err := declare.Make(t.Context(), gone, read(t, acme), declare.Options{}); err == nil {
		t.Error("there is a plan")
	}
	odd := func(context.Context, declare.Request) ([]byte, error) { return []byte("<html>"), nil }
	if _, err := declare.Make(t.Context(), odd, read(t, acme), declare.Options{}); err == nil || !strings.Contains(err.Error(), http.MethodGet+" /workspaces: the answer is not what this version expects") {
		t.Errorf("got %v", err)
	}
}
