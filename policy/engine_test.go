package policy_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postern/policy"
	"postern/store"
)

// holder is a caller with roles in one workspace and no more.
func holder(ws string, roles ...store.GrantedRole) *policy.Caller {
	return &policy.Caller{Holder: &store.Holder{
		Account: &store.Account{ID: "svc-x"}, Grants: []*store.Grant{grant("svc-x", ws, roles...)},
	}}
}

func get(ws, path string) *policy.Request {
	return &policy.Request{Workspace: workspaceID(ws), API: "shop", Method: "GET", Path: path}
}

func all(number int) store.Rule {
	return store.Rule{Number: number, API: "*", Methods: "*", Path: "/**"}
}

func TestNothingLoadedRefuses(t *testing.T) {
	if d := policy.New(policy.Options{}).Decide(holder("acme", given("acme/a")), get("acme", "/")); d.Allowed {
		t.Errorf("an empty engine allows: %+v", d)
	}
}

func TestRoleCountsInItsWorkspaceOnly(t *testing.T) {
	e := loaded(t, policy.Options{}, workspace("acme"), workspace("globex"), role("acme/a", nil, all(1)), role("globex/heir", []string{"acme/a"}),
		role("*/heir", []string{"acme/a"}), role("*/shared", nil, all(1)))
	for name, tt := range map[string]struct {
		caller *policy.Caller
		ws     string
		want   bool
	}{
		"its own":                                   {holder("acme", given("acme/a")), "acme", true},
		"granted elsewhere":                         {holder("globex", given("acme/a")), "globex", false},
		"granted at home, called elsewhere":         {holder("acme", given("acme/a")), "globex", false},
		"inherited elsewhere":                       {holder("globex", given("globex/heir")), "globex", false},
		"inherited by a shared role":                {holder("acme", given("*/heir")), "acme", false},
		"shared, where it was granted":              {holder("globex", given("*/shared")), "globex", true},
		"shared, where it was not":                  {holder("globex", given("*/shared")), "acme", false},
		"shared, in a workspace that is not there":  {holder("gone", given("*/shared")), "gone", false},
		"shared, granted in the shared workspace":   {holder("*", given("*/shared")), "*", false},
		"shared, granted there, called in a proper": {holder("*", given("*/shared")), "acme", false},
	} {
		if d := e.Decide(tt.caller, get(tt.ws, "/x")); d.Allowed != tt.want {
			t.Errorf("%s: got %+v, want allowed=%t", name, d, tt.want)
		}
	}
}

// Changes of one commit come one by one: a role may come before its workspace,
// and go after it.
func TestNothingIsAllowedOutsideKnownWorkspaces(t *testing.T) {
	e := loaded(t, policy.Options{}, role("acme/a", nil, all(1)), role("*/s", nil, all(1)))
	c := holder("acme", given("acme/a"), given("*/s"))
	if d := e.Decide(c, get("acme", "/x")); d.Allowed {
		t.Errorf("before the workspace is known: %+v", d)
	}
	apply(t, e, workspace("acme"))
	if d := e.Decide(c, get("acme", "/x")); !d.Allowed {
		t.Errorf("once it is known: %+v", d)
	}
	remove(t, e, workspace("acme"))
	remove(t, e, role("acme/a", nil))
	if d := e.Decide(c, get("acme", "/x")); d.Allowed || len(e.RolesOf(c, "")) > 0 {
		t.Errorf("after it was deleted: %+v", d)
	}
}

// Two segments of one hash are still two.
func TestSegmentsThatCollide(t *testing.T) {
	e := loaded(t, policy.Options{}, workspace("acme"), role("acme/a", nil,
		store.Rule{Number: 1, API: "shop", Methods: "*", Path: "/costarring"}, store.Rule{Number: 2, API: "shop", Methods: "*", Path: "/liquid"},
		store.Rule{Number: 3, API: "shop", Methods: "*", Path: "/altarage/x"}, store.Rule{Number: 4, API: "shop", Methods: "*", Path: "/zinke/x"}))
	for path, want := range map[string]string{"/costarring": "acme/a#1", "/liquid": "acme/a#2", "/altarage/x": "acme/a#3", "/zinke/x": "acme/a#4", "/zinke": ""} {
		if d := e.Decide(holder("acme", given("acme/a")), get("acme", path)); d.Rule != want {
			t.Errorf("%s: got %+v, want %s", path, d, want)
		}
	}
}

// Imported or unlucky ids may end alike; they are still two.
func TestIdsThatEndAlike(t *testing.T) {
	one, two := role("acme/a", nil, all(1)), role("acme/b", nil)
	one.ID, two.ID = "rol1-00000000", "rol2-00000000"
	e := loaded(t, policy.Options{}, workspace("acme"), one, two)
	for id, want := range map[store.RoleID]bool{one.ID: true, two.ID: false, "rol3-00000000": false} {
		if d := e.Decide(holder("acme", store.GrantedRole{Role: id}), get("acme", "/x")); d.Allowed != want {
			t.Errorf("%s: got %+v, want allowed=%t", id, d, want)
		}
	}
	remove(t, e, two)
	if d := e.Decide(holder("acme", store.GrantedRole{Role: one.ID}), get("acme", "/x")); !d.Allowed {
		t.Errorf("after the other was deleted: %+v", d)
	}
}

// A licence is a shared role: the owner of a workspace must not be able to lift it.
func TestLicenceIsShared(t *testing.T) {
	e := loaded(t, policy.Options{}, workspace("acme"), role("acme/a", nil, all(1)), role("*/all", nil, all(1)), role("*/none", nil))
	for licence, want := range map[store.RoleID]policy.Reason{
		"": policy.Granted, roleID("*/all"): policy.Granted, roleID("*/none"): policy.Exceeded,
		roleID("*/gone"): policy.Exceeded, roleID("acme/a"): policy.Exceeded,
	} {
		c := holder("acme", given("acme/a"))
		c.Holder.Account.Licence = licence
		if d := e.Decide(c, get("acme", "/x")); d.Reason != want {
			t.Errorf("licence %q: got %+v, want %q", licence, d, want)
		}
		if c.NoLicence = true; !e.Decide(c, get("acme", "/x")).Allowed {
			t.Errorf("licence %q, lifted: refused", licence)
		}
	}
}

// Leaving out a role that cannot be read would lose its denies.
func TestUnreadableRoleDeniesEverything(t *testing.T) {
	bad := role("acme/bad", nil, store.Rule{Number: 1, API: "shop", Methods: "GET", Path: "/a/*", Deny: true})
	records := []store.Record{workspace("acme"), bad, role("acme/all", nil, all(1)), role("acme/heir", []string{"acme/bad"}, all(1))}
	e, f := loaded(t, policy.Options{}, records...), referee(t, records)
	for name, tt := range map[string]struct {
		roles []store.GrantedRole
		want  policy.Reason
	}{
		"alone":          {[]store.GrantedRole{given("acme/bad")}, policy.Denied},
		"beside another": {[]store.GrantedRole{given("acme/all"), given("acme/bad")}, policy.Denied},
		"inherited":      {[]store.GrantedRole{given("acme/heir")}, policy.Denied},
		"not held":       {[]store.GrantedRole{given("acme/all")}, policy.Granted},
	} {
		c := holder("acme", tt.roles...)
		got := e.Decide(c, get("acme", "/x"))
		want, err := f.Decide(c, get("acme", "/x"))
		if got.Reason != tt.want || got != want || err != nil {
			t.Errorf("%s: got %+v, Casbin %+v, %v; want %q", name, got, want, err, tt.want)
		}
	}
	mended := role("acme/bad", nil)
	apply(t, e, mended)
	if d := e.Decide(holder("acme", given("acme/heir")), get("acme", "/x")); !d.Allowed {
		t.Errorf("after the role was mended: %+v", d)
	}
	unnamed := role("acme/bad", nil)
	unnamed.Ref = "a, b"
	apply(t, e, unnamed)
	if d := e.Decide(holder("acme", given("acme/heir")), get("acme", "/x")); d.Reason != policy.Denied {
		t.Errorf("after its ref was spoilt: %+v", d)
	}
}

// odd is a record that claims to be of a kind that it is not.
type odd struct{ *store.Account }

func (odd) Kind() store.Kind { return store.KindRole }

func TestG08FailedLoadKeepsTheLastGoodState(t *testing.T) {
	e := loaded(t, policy.Options{}, workspace("acme"), role("acme/a", nil, all(1)))
	if err := e.Load([]store.Record{workspace("globex"), nil}); err == nil {
		t.Error("a list with a hole was loaded")
	}
	if err := e.Apply(store.Change{Kind: store.KindRole, Key: "rol-acme/a", Record: odd{&store.Account{}}}); err == nil {
		t.Error("an account was applied as a role")
	}
	if d := e.Decide(holder("acme", given("acme/a")), get("acme", "/x")); !d.Allowed {
		t.Errorf("after failed loads: %+v", d)
	}
	remove(t, e, role("acme/a", nil))
	if d := e.Decide(holder("acme", given("acme/a")), get("acme", "/x")); d.Allowed {
		t.Errorf("after a deletion that followed: %+v", d)
	}
}

func TestChangesThatDoNotMatter(t *testing.T) {
	e := loaded(t, policy.Options{}, workspace("acme"), role("acme/a", nil, all(1)), &store.Key{ID: "key"}, grant("svc-x", "acme", given("acme/a")))
	for _, r := range []store.Record{&store.Key{ID: "key"}, &store.Client{ID: "cli"}, grant("svc-x", "acme")} {
		apply(t, e, r)
		remove(t, e, r)
	}
	remove(t, e, role("globex/gone", nil))
	remove(t, e, workspace("gone"))
	if d := e.Decide(holder("acme", given("acme/a")), get("acme", "/x")); !d.Allowed {
		t.Errorf("got %+v", d)
	}
}

// A role changes from one rule to another while it is read: each read sees
// exactly one of them, with all that belongs to it.
func TestReadsDuringSwaps(t *testing.T) {
	docs := []*store.Role{
		role("*/x", nil, store.Rule{Number: 1, API: "shop", Methods: "*", Path: "/a", Scope: "one"}),
		role("*/x", nil, store.Rule{Number: 2, API: "shop", Methods: "*", Path: "/b", Scope: "two"}),
	}
	e := loaded(t, policy.Options{Shadow: 50}, workspace("acme"), docs[0], role("acme/y", []string{"*/x"}))
	c := holder("acme", given("acme/y"))
	c.Holder.Account.Teams, c.AnyScope = []store.TeamID{"tea-ops"}, true
	ctx, cancel := context.WithCancel(t.Context())
	var stop atomic.Bool
	var all sync.WaitGroup
	all.Go(func() { e.Run(ctx) })
	for range 3 {
		all.Go(func() {
			for !stop.Load() {
				if d := e.Decide(c, get("acme", "/a")); d.Allowed && (d.Rule != "*/x#1" || d.Pattern != "/a") {
					t.Errorf("got %+v", d)
				}
				if s := e.Scopes(c, "", []string{"shop"}); len(s) != 1 {
					t.Errorf("got scopes %v", s)
				}
				e.Explain(c, get("acme", "/c"))
				e.Endpoint("api-shop", "GET", "/a")
			}
		})
	}
	for i := range 1500 {
		apply(t, e, docs[i%2])
		apply(t, e, grant("tea-ops", "acme", given("*/x")))
		apply(t, e, role("globex/z", nil, store.Rule{Number: 1, API: "*", Methods: "*", Path: "/**"}))
		apply(t, e, &store.API{ID: "api-shop", Name: "shop", FoldCase: i%3 == 0, Endpoints: []store.Endpoint{{Methods: "*", Path: "/a"}}})
		remove(t, e, role("globex/z", nil))
		if i%100 == 0 {
			if err := e.Load([]store.Record{workspace("acme"), docs[0], role("acme/y", []string{"*/x"})}); err != nil {
				t.Error(err)
			}
		}
	}
	stop.Store(true)
	cancel()
	all.Wait()
}

func TestFoldCase(t *testing.T) {
	r := role("acme/a", nil, store.Rule{Number: 1, API: "*", Methods: "*", Path: "/Files/{Name}"},
		store.Rule{Number: 2, API: "*", Methods: "*", Path: "/Files/Secret", Deny: true}, store.Rule{Number: 3, API: "*", Methods: "*", Path: "/%C3%89t%C3%A9"})
	e := loaded(t, policy.Options{}, workspace("acme"), r, &store.API{ID: "api-shop", Name: "shop", FoldCase: true})
	for raw, want := range map[string]policy.Reason{
		"/FILES/x": policy.Granted, "/files/SECRET": policy.Denied, "/Files/Secret": policy.Denied, "/%C3%A9T%c3%89": policy.Granted, "/other": policy.NoRule,
	} {
		path, err := policy.Canonical(raw, policy.Relaxed{FoldCase: true})
		if d := e.Decide(holder("acme", given("acme/a")), get("acme", path)); d.Reason != want || err != nil {
			t.Errorf("%s as %s: got %+v, %v; want %q", raw, path, d, err, want)
		}
	}
	limited := holder("acme", given("acme/a", store.Limit{Param: "Name", Values: []string{"X"}}))
	if d := e.Decide(limited, get("acme", "/files/x")); !d.Allowed || d.Pattern != "/Files/{Name}" {
		t.Errorf("a limit in another case: got %+v", d)
	}
	apply(t, e, &store.API{ID: "api-shop", Name: "shop"})
	if d := e.Decide(holder("acme", given("acme/a")), get("acme", "/files/x")); d.Allowed {
		t.Errorf("once case counts again: got %+v", d)
	}
}

func TestEndpoint(t *testing.T) {
	shop := &store.API{
		ID: "api-shop", Name: "shop",
		Endpoints: []store.Endpoint{
			{Methods: "GET", Path: "/orders/{id}"},
			{Methods: "GET", Path: "/orders/new"},
			{Methods: "GET HEAD", Path: "/{kind}/{id}"},
			{Methods: "*", Path: "/orders/**"},
			{Methods: "GET", Path: "/"},
			{Methods: "GET", Path: "/bad/*"},
			{Methods: "GET,HEAD", Path: "/bad"},
		},
		Public: []store.Endpoint{{Methods: "GET", Path: "/orders/new"}, {Methods: "OPTIONS", Path: "/**"}},
	}
	e := loaded(t, policy.Options{}, shop)
	type found struct {
		Pattern    string
		Public, OK bool
	}
	for call, want := range map[string]found{
		"GET /orders/new":   {"/orders/new", true, true},
		"GET /orders/7":     {"/orders/{id}", false, true},
		"HEAD /orders/7":    {"/orders/**", false, true},
		"HEAD /items/7":     {"/{kind}/{id}", false, true},
		"POST /orders/7":    {"/orders/**", false, true},
		"GET /orders/7/x":   {"/orders/**", false, true},
		"GET /":             {"/", false, true},
		"OPTIONS /orders/7": {"/orders/**", true, true},
		"OPTIONS /other":    {"/**", true, true},
		"POST /other":       {},
		"GET /bad/x/y":      {},
		"GET orders/7":      {},
	} {
		method, path, _ := strings.Cut(call, " ")
		at := e.Endpoint("api-shop", method, path)
		if got := (found{at.Pattern, at.Public, at.Known}); got != want {
			t.Errorf("%s: %s", call, cmp.Diff(want, got))
		}
	}
	if e.Endpoint("api-gone", "GET", "/").Known {
		t.Error("an API that is not there has an endpoint")
	}
	remove(t, e, shop)
	if e.Endpoint("api-shop", "GET", "/").Known {
		t.Error("an API that was deleted has an endpoint")
	}
}

// What is GraphQL by POST is so by every method: a GET may carry a document too.
func TestEndpointSaysWhatIsGraphQL(t *testing.T) {
	shop := &store.API{ID: "api-shop", Name: "shop", Endpoints: []store.Endpoint{
		{Methods: "POST", Path: "/graphql", GraphQL: true},
		{Methods: "GET", Path: "/graphql"},
		{Methods: "GET POST", Path: "/{any}"},
		{Methods: "*", Path: "/v2/**", GraphQL: true},
		{Methods: "POST", Path: "/v2/files"},
	}}
	e := loaded(t, policy.Options{}, shop)
	for call, want := range map[string]bool{
		"POST /graphql": true, "GET /graphql": true, "PUT /graphql": true, "POST /graphql/x": false,
		"POST /orders": false, "GET /orders": false,
		"POST /v2": true, "DELETE /v2/a/b": true, "POST /v2/files": false, "GET /v2/files": true,
	} {
		method, path, _ := strings.Cut(call, " ")
		if got := e.Endpoint("api-shop", method, path).GraphQL; got != want {
			t.Errorf("%s: GraphQL %t, want %t", call, got, want)
		}
	}
}

func TestDecideDoesNotAllocate(t *testing.T) {
	records := exampleRecords()
	e := loaded(t, policy.Options{Shadow: -1}, append(records, &store.API{ID: "api", Name: "iot", Endpoints: []store.Endpoint{{Methods: "*", Path: "/devices/{d}/**"}}})...)
	c := exampleCaller()
	c.Narrowed, c.Roles = true, []store.RoleID{"rolviewer"}
	r := &policy.Request{Workspace: "wspacme", API: "iot", Method: "GET", Path: "/devices/d1/state"}
	for name, f := range map[string]func(){
		"Decide":    func() { e.Decide(c, r) },
		"Reaches":   func() { e.Reaches(c, "", "iot") },
		"Endpoint":  func() { e.Endpoint("api", "GET", r.Path) },
		"Canonical": func() { _, _ = policy.Canonical("/devices/d%2C1/state?x", policy.Relaxed{}) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

// What is handed out may be written to: the index keeps its own.
func TestScopesAreTheCallersOwn(t *testing.T) {
	e := loaded(t, policy.Options{}, workspace("acme"), role("acme/a", nil, store.Rule{Number: 1, API: "shop", Methods: "*", Path: "/", Scope: "read"}))
	for range 2 {
		got := e.Scopes(holder("acme", given("acme/a")), "", []string{"shop"})
		if !cmp.Equal(got, []string{"read"}) {
			t.Fatalf("got %v", got)
		}
		got[0] = "write"
	}
}

func TestUnlimited(t *testing.T) {
	e := loaded(t, policy.Options{}, workspace("acme"),
		role("acme/a", []string{"*/b"}, store.Rule{Number: 1, API: "shop", Methods: "*", Path: "/d/{device}"}, store.Rule{Number: 12, API: "shop", Methods: "*", Path: "/d/**"}, store.Rule{Number: 13, API: "iot", Methods: "*", Path: "/x", Deny: true}),
		role("*/b", nil, all(2)))
	ws := workspaceID("acme")
	if got := e.Unlimited(ws, given("acme/a", store.Limit{Param: "device"})); !cmp.Equal(got, []string{"*/b#2", "acme/a#12"}) {
		t.Errorf("got %v", got)
	}
	if got := e.Unlimited(ws, given("acme/a")); got != nil {
		t.Errorf("without limits: got %v", got)
	}
}
