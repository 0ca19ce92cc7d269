package policy_test

import (
	"fmt"

	"postern/policy"
	"postern/store"
)

// The records of the examples: a workspace, two roles and a shared one.
func exampleRecords() []store.Record {
	const shared, acme = store.Shared, store.WorkspaceID("wspacme")
	return []store.Record{
		&store.Workspace{ID: acme, Name: "acme"},
		&store.Role{ID: "rolsteward", Ref: "*/steward", Workspace: shared, Rules: []store.Rule{
			{Number: 1, API: "*", Methods: "*", Path: "/**"},
			{Number: 2, API: "*", Methods: "DELETE", Path: "/**", Deny: true},
		}},
		&store.Role{ID: "rolviewer", Ref: "acme/viewer", Workspace: acme, Rules: []store.Rule{
			{Number: 1, API: "iot", Methods: "GET HEAD", Path: "/devices/{device}/**"},
			{Number: 2, API: "iot", Methods: "POST", Path: "/graphql", Operation: "query devices"},
		}},
		&store.Role{ID: "roloperator", Ref: "acme/operator", Workspace: acme, Parents: []store.RoleID{"rolviewer"}, Rules: []store.Rule{
			{Number: 1, API: "iot", Methods: "POST", Path: "/devices/{device}/reset", Scope: "iot:write"},
			{Number: 2, API: "iot", Methods: "*", Path: "/devices/d9/**", Deny: true},
			{Number: 3, API: "iot", Methods: "DELETE", Path: "/devices/{device}"},
		}},
	}
}

// exampleCaller may operate two devices and view a third.
func exampleCaller() *policy.Caller {
	limited := func(r store.RoleID, devices ...string) store.GrantedRole {
		return store.GrantedRole{Role: r, Limits: []store.Limit{{Param: "device", Values: devices}}}
	}
	return &policy.Caller{
		Holder: &store.Holder{
			Account: &store.Account{ID: "svcrobot", Licence: "rolsteward"},
			Grants: []*store.Grant{{
				ID: store.NewGrantID("svcrobot", "wspacme"), Holder: "svcrobot", Workspace: "wspacme",
				Roles: []store.GrantedRole{limited("roloperator", "d1", "d2"), limited("rolviewer", "d9")},
			}},
		},
		Scopes: []string{"iot:read"},
	}
}

func ExampleEngine_Decide() {
	engine := policy.New(policy.Options{})
	if err := engine.Load(exampleRecords()); err != nil {
		fmt.Println(err)
		return
	}
	for _, target := range []string{"/devices/d1/state?full=1", "/devices/d3/state", "/devices/d1/../d9"} {
		path, err := policy.Canonical(target, policy.Relaxed{})
		if err != nil {
			fmt.Println(err)
			continue
		}
		d := engine.Decide(exampleCaller(), &policy.Request{Workspace: "wspacme", API: "iot", Method: "GET", Path: path})
		fmt.Printf("%t: %s %q\n", d.Allowed, d.Reason, d.Rule)
	}
	// Output:
	// true: granted "acme/viewer#1"
	// false: no rule allows ""
	// the path is refused: it has a segment of dots
}

func ExampleEngine_Explain() {
	engine := policy.New(policy.Options{})
	if err := engine.Load(exampleRecords()); err != nil {
		fmt.Println(err)
		return
	}
	x := engine.Explain(exampleCaller(), &policy.Request{Workspace: "wspacme", API: "iot", Method: "GET", Path: "/devices/d3/state"})
	for _, n := range x.Missing {
		fmt.Printf("%s: missing %s %s=%s in the grant of %s\n", x.Reason, n.Kind, n.Param, n.Value, n.Role)
	}
	// Output:
	// no rule allows: missing value device=d3 in the grant of acme/operator
}
