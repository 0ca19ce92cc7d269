package policy_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"

	"postern/policy"
	"postern/store"
)

// The size of what is measured: 100,000 rules in 10,000 roles.
const (
	benchSpaces  = 1000
	benchRoles   = 10
	benchRules   = 10
	benchCallers = 500_000
)

// processorTime reports it per operation: on a shared machine wall time measures
// the neighbours. Use it as: defer processorTime(b)(), right before the loop.
func processorTime(b *testing.B) func() {
	used := func() int64 {
		var r syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
			b.Fatal(err)
		}
		return r.Utime.Nano() + r.Stime.Nano()
	}
	from := used()
	return func() { b.ReportMetric(float64(used()-from)/float64(b.N), "cpu-ns/op") }
}

// Ids in benchmarks are as long as real ones, and each is a string of its own.
func benchID(prefix string, n int) string { return fmt.Sprintf("%s%09d%015d", prefix, n, n*7919) }

func benchRole(ws, k int) *store.Role {
	name := fmt.Sprintf("w%04d", ws)
	r := &store.Role{
		ID: store.RoleID(benchID("rol", ws*benchRoles+k)), Ref: fmt.Sprintf("%s/role%d", name, k),
		Workspace: store.WorkspaceID(benchID("wsp", ws)),
	}
	if k > 0 && k%3 == 0 {
		r.Parents = []store.RoleID{store.RoleID(benchID("rol", ws*benchRoles+k-1))}
	}
	if k == 9 {
		r.Parents = append(r.Parents, "rolbase")
	}
	for i := range benchRules - 1 {
		r.Rules = append(r.Rules, store.Rule{
			Number: i + 1, API: "iot", Methods: "GET HEAD",
			Path: fmt.Sprintf("/api/%s/r%d/k%d/{device}", name, k, i), Scope: []string{"", "read", "write"}[i%3],
		})
	}
	r.Rules = append(r.Rules, store.Rule{Number: benchRules, API: "iot", Methods: "*", Path: fmt.Sprintf("/api/%s/r%d/k9/**", name, k), Deny: true})
	return r
}

func benchRecords() (records []store.Record) {
	records = append(records,
		&store.Role{
			ID: "rolsteward", Ref: "*/steward", Workspace: store.Shared, Rules: []store.Rule{
				{Number: 1, API: "*", Methods: "*", Path: "/**"}, {Number: 2, API: "*", Methods: "*", Path: "/admin/**", Deny: true},
			},
		},
		&store.Role{ID: "rolbase", Ref: "*/base", Workspace: store.Shared, Rules: []store.Rule{{Number: 1, API: "iot", Methods: "GET", Path: "/health"}}},
		&store.API{ID: "apiiot", Name: "iot", Endpoints: []store.Endpoint{{Methods: "GET HEAD", Path: "/api/{ws}/{r}/{k}/{device}"}, {Methods: "*", Path: "/api/**"}}},
	)
	for w := range benchSpaces {
		ws := store.WorkspaceID(benchID("wsp", w))
		records = append(records, &store.Workspace{ID: ws, Name: fmt.Sprintf("w%04d", w)})
		for k := range benchRoles {
			records = append(records, benchRole(w, k))
		}
		team := store.HolderID(benchID("tea", w))
		records = append(records, &store.Grant{
			ID: store.NewGrantID(team, ws), Holder: team, Workspace: ws,
			Roles: []store.GrantedRole{{Role: store.RoleID(benchID("rol", w*benchRoles))}},
		})
	}
	return records
}

// benchCaller has two grants; with everything also a licence, limits, scopes, a
// team, and a narrowed client.
func benchCaller(rnd *rand.Rand, i int, everything bool) (*policy.Caller, *policy.Request) {
	w, k, l, device := rnd.IntN(benchSpaces), rnd.IntN(benchRoles), rnd.IntN(benchRoles), fmt.Sprintf("d%d", i)
	account := &store.Account{ID: store.AccountID(benchID("svc", i))}
	roles := []store.GrantedRole{{Role: store.RoleID(benchID("rol", w*benchRoles+k))}, {Role: store.RoleID(benchID("rol", w*benchRoles+l))}}
	c := &policy.Caller{Holder: &store.Holder{Account: account}, AnyScope: true}
	if everything {
		roles[0].Limits = []store.Limit{{Param: "device", Values: []string{"d", "d0", device}}}
		account.Licence, account.Teams = store.RoleID(strings.Clone("rolsteward")), []store.TeamID{store.TeamID(benchID("tea", w))}
		c.Narrowed, c.Roles = true, []store.RoleID{store.RoleID(benchID("rol", w*benchRoles+k))}
		c.AnyScope, c.Scopes = false, []string{"write", "read"}
	}
	g := &store.Grant{Holder: store.HolderID(account.ID), Workspace: store.WorkspaceID(benchID("wsp", w)), Roles: roles}
	g.ID = store.NewGrantID(g.Holder, g.Workspace)
	c.Holder.Grants = []*store.Grant{g}
	return c, &policy.Request{
		Workspace: store.WorkspaceID(benchID("wsp", w)), API: strings.Clone("iot"), Method: "GET",
		Path: fmt.Sprintf("/api/w%04d/r%d/k%d/%s", w, k, rnd.IntN(benchRules-1), device),
	}
}

// BenchmarkDecide: one caller is hot; all of them in turn, each with its own
// workspace and roles, are cold.
func BenchmarkDecide(b *testing.B) {
	e := loaded(b, policy.Options{}, benchRecords()...)
	for _, kind := range []string{"grants", "everything"} {
		rnd := rand.New(rand.NewPCG(1, 1))
		callers, requests := make([]*policy.Caller, benchCallers), make([]*policy.Request, benchCallers)
		for i := range callers {
			callers[i], requests[i] = benchCaller(rnd, i, kind == "everything")
		}
		for _, n := range []int{1, benchCallers} {
			for _, method := range []string{"GET", "POST"} {
				b.Run(fmt.Sprintf("%s/callers=%d/%s", kind, n, method), func(b *testing.B) {
					b.ReportAllocs()
					defer processorTime(b)()
					for i := 0; b.Loop(); i = (i + 7919) % n { // no order that a processor could foresee
						requests[i].Method = method
						if d := e.Decide(callers[i], requests[i]); d.Allowed != (method == "GET") {
							b.Fatal(d)
						}
					}
				})
			}
		}
	}
}

// BenchmarkToken: what the token endpoint asks, for a caller with two grants.
func BenchmarkToken(b *testing.B) {
	e := loaded(b, policy.Options{}, benchRecords()...)
	c, r := benchCaller(rand.New(rand.NewPCG(1, 1)), 1, false)
	apis := []string{"iot"}
	for name, ask := range map[string]func(){
		"scopes":            func() { e.Scopes(c, r.Workspace, apis) },
		"scopes everywhere": func() { e.Scopes(c, "", apis) },
		"reaches":           func() { e.Reaches(c, r.Workspace, "iot") },
		"roles":             func() { e.RolesOf(c, r.Workspace) },
		"endpoint":          func() { e.Endpoint("apiiot", "GET", r.Path) },
		"explain":           func() { e.Explain(&policy.Caller{Holder: &store.Holder{Account: &store.Account{}}}, r) },
		"canonical":         func() { _, _ = policy.Canonical(r.Path, policy.Relaxed{}) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			defer processorTime(b)()
			for b.Loop() {
				ask()
			}
		})
	}
}

// BenchmarkChange: single changes among 10,000 roles of 1,000 workspaces.
func BenchmarkChange(b *testing.B) {
	records := benchRecords()
	e := loaded(b, policy.Options{}, records...)
	for name, r := range map[string]store.Record{
		"role": benchRole(5, 5), "shared role": records[1], "workspace": records[3], "team grant": records[14], "api": records[2],
	} {
		b.Run(name, func(b *testing.B) {
			defer processorTime(b)()
			for b.Loop() {
				apply(b, e, r)
			}
		})
	}
	b.Run("everything", func(b *testing.B) {
		defer processorTime(b)()
		for b.Loop() {
			if err := e.Load(records); err != nil {
				b.Fatal(err)
			}
		}
	})
}
