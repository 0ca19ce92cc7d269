package declare_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postern/cmd/postern/declare"
)

// TestExportThenApplyChangesNothing: on the server that was exported, and on an
// empty one, whose export is the same again.
func TestExportThenApplyChangesNothing(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := start(t)
			w.apply(acme)
			w.apply(random(rand.New(rand.NewPCG(seed, 1))))
			w.apply("kind: client\nkey: idle\nworkspace: acme\nstatus: revoked\n---\nkind: client\nkey: ci-2\nworkspace: acme\nlicence: reader\n")
			w.rest("POST", "/clients", object{"workspace": "acme", "name": "pending", "key": "pending", "confirm": true})
			w.rest("POST", "/clients", object{"workspace": "default", "name": "for ever", "key": "for-ever", "expires_in": "never"})
			w.rest("POST", "/clients", object{"workspace": "default", "name": "Ölmühle: \"no\"\n", "key": "odd", "expires_in": "1.5s"})
			file := w.export()
			for _, secret := range w.made {
				for _, text := range []string{secret.Secret, secret.SecretID, secret.Invitation} {
					if text != "" && strings.Contains(file, text) {
						t.Error("a secret is exported")
					}
				}
			}
			p := w.plan(file, declare.Options{Prune: true, Self: declare.Self{Client: w.client}})
			if len(p.Changes) > 0 {
				t.Errorf("on the same server: %v\n%s", said(p), file)
			}
			for _, n := range p.Notes {
				t.Error(n)
			}

			fresh := start(t)
			fresh.apply(file)
			if left := said(fresh.plan(file)); len(left) > 0 {
				t.Errorf("on another server a second time: %v\n%s", left, file)
			}
			// Where the one that lives for 1.5 s has expired it is made and revoked.
			if diff := cmp.Diff(strings.ReplaceAll(file, "status: expired", "status: revoked"), fresh.export()); diff != "" {
				t.Errorf("the other server's export: %s", diff)
			}
		})
	}
}

// random is a file of two workspaces with APIs that they share, roles that
// inherit each other, clients and grants.
func random(r *rand.Rand) string {
	var b strings.Builder
	one := func(list ...string) string { return list[r.IntN(len(list))] }
	some := func(list ...string) string {
		var out []string
		for _, s := range list {
			if r.IntN(2) == 0 {
				out = append(out, s)
			}
		}
		return "[" + strings.Join(out, ", ") + "]"
	}
	maybe := func(format string, args ...any) {
		if r.IntN(2) == 0 {
			fmt.Fprintf(&b, format+"\n", args...)
		}
	}
	path := func() string {
		return "\"/" + one("a", "b%20c", "{x}") + "/" + one("d", "{y}", "é", "**") + "\""
	}
	for _, w := range []string{"red", "blue"} {
		fmt.Fprintf(&b, "---\nkind: workspace\nname: %s\n", w)
		maybe("api_access: %s", one("true", "false"))
		maybe("who_may_create: %s", one("administrators", "everyone", "named"))
		maybe("never_forbidden: false")
		for i := range 2 {
			fmt.Fprintf(&b, "---\nkind: api\nname: %s-%d\nworkspace: %s\naudience: %s-%d\n", w, i, w, w, i)
			fmt.Fprintf(&b, "shared_with: [{workspace: %s, tags: %s}]\n", one("acme", "default"), some("t1", "t2"))
			maybe("fold_case: true")
			maybe("evaluate_ids: true")
			maybe("certificate_header: X-Client-Cert")
			maybe("format: opaque")
			maybe("token_type: JWT")
			maybe("semicolon: true")
			maybe("workspace_from: param:x")
			maybe("introspectors: %s", some(w+"/c0", w+"/c1"))
			b.WriteString("endpoints:\n")
			for range 3 {
				fmt.Fprintf(&b, "  - {%s, path: %s, tags: %s}\n", one("methods: GET", "methods: POST GET, graphql: true", "methods: \"*\""), path(), some("t1", "t2"))
			}
		}
		for i := range 4 {
			fmt.Fprintf(&b, "---\nkind: role\nname: r%d\nworkspace: %s\n", i, w)
			if i > 0 {
				fmt.Fprintf(&b, "parents: [r%d]\n", r.IntN(i))
			}
			maybe("description: %q", one("x", "no", "12", "a: b # c", " é\t"))
			b.WriteString("rules:\n")
			for range 1 + r.IntN(3) {
				fmt.Fprintf(&b, "  - {api: %s-%d, methods: %s, path: %s, deny: %s}\n", w, r.IntN(2), one("GET", "POST GET", "\"*\""), path(), one("true", "false"))
			}
		}
		for i := range 5 {
			fmt.Fprintf(&b, "---\nkind: client\nkey: c%d\nworkspace: %s\n", i, w)
			maybe("name: %q", one("CI", "yes", "0x1"))
			if r.IntN(2) == 0 {
				account := r.IntN(3)
				fmt.Fprintf(&b, "account: %s-%d\n", w, account)
				maybe("licence: %s", []string{"reader", "null", "admin"}[account])
			}
			maybe("expires_in: %s", one("90d", "1y", "12h30m", "never"))
			b.WriteString(one("bearer: true\n", "binding: certificate\nprofile: fapi2\n", "binding: dpop\n", "scim_only: true\n", ""))
			maybe("admin_access: true")
			maybe("addresses: %s", some("10.1.2.3", "192.0.2.0/24", "\"2001:db8::1/32\""))
			maybe("narrowed_to: %s", some("r0", "r1"))
			maybe("default_api: %s-1", w)
		}
		fmt.Fprintf(&b, "---\nkind: client\nkey: held\nworkspace: %s\naccount: held-%s\nroles: [{role: r0, resources: {x: %s, y: []}}, r1, {role: r1, resources: {x: [1%%202]}}]\n", w, w, some("a", "b"))
		fmt.Fprintf(&b, "---\nkind: grant\naccount: held-%s\nworkspace: default\nroles: %s\n", w, one("[example-reader]", "[member, auditor]"))
	}
	return b.String()
}

// FuzzRead: what is read and written reads and writes the same.
func FuzzRead(f *testing.F) {
	f.Add(acme)
	f.Add(random(rand.New(rand.NewPCG(7, 7))))
	f.Fuzz(func(t *testing.T, in string) {
		docs, err := declare.Read("f", strings.NewReader(in))
		if err != nil {
			return
		}
		var once, twice strings.Builder
		if err := declare.Write(&once, docs); err != nil {
			t.Fatal(err)
		}
		again, err := declare.Read("f", strings.NewReader(once.String()))
		if err != nil {
			t.Fatalf("%v\n%s", err, once.String())
		}
		if err := declare.Write(&twice, again); err != nil || once.String() != twice.String() {
			t.Errorf("%v: %s", err, cmp.Diff(once.String(), twice.String()))
		}
	})
}
