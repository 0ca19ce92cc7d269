package policy_test

import (
	"slices"
	"testing"

	"postern/policy"
	"postern/store"
)

// compare decides n random calls by the index, by Casbin and by the evaluator.
func (w *world) compare(t *testing.T, e *policy.Engine, n int, count map[policy.Reason]int) {
	t.Helper()
	f := referee(t, w.all())
	for range n {
		r, c := w.request(), w.caller()
		want, err := f.Decide(c, r)
		got := e.Decide(c, r)
		if got != want || err != nil {
			t.Fatalf("Decide(%+v, %+v)\n got %+v\nwant %+v, %v\n%s", *c, *r, got, want, err, w)
		}
		if simple := w.allows(c, r); got.Allowed != simple {
			t.Fatalf("Decide(%+v, %+v) = %+v, but the evaluator says %t\n%s", *c, *r, got, simple, w)
		}
		count[want.Reason]++
	}
}

// The index, plain Casbin and a plain evaluator agree in verdict, and the first
// two in reason, rules and pattern: for loaded models, and after single changes.
func TestIndexAgreesWithCasbin(t *testing.T) {
	count := map[policy.Reason]int{}
	for seed := range uint64(420) {
		w := newWorld(seed)
		e := loaded(t, policy.Options{Shadow: -1}, w.all()...)
		w.compare(t, e, 120, count)
		for range 6 {
			w.change(t, e)
		}
		w.compare(t, e, 120, count)
	}
	total := 0
	for _, reason := range []policy.Reason{policy.Granted, policy.Denied, policy.Forbids, policy.NoRule, policy.Exceeded} {
		if total += count[reason]; count[reason] < 500 {
			t.Errorf("%q came up %d times only: %v", reason, count[reason], count)
		}
	}
	if total < 100_000 {
		t.Errorf("%d decisions were compared, want 100,000", total)
	}
	t.Log(count)
}

// A change applied leaves an engine as one that loads the outcome: also what is
// not asked for by decisions alone.
func TestAppliedIsLoaded(t *testing.T) {
	for seed := range uint64(150) {
		w := newWorld(seed + 5000)
		applied := loaded(t, policy.Options{Shadow: -1}, w.all()...)
		for range 12 {
			w.change(t, applied)
		}
		fresh := loaded(t, policy.Options{Shadow: -1}, w.all()...)
		for range 60 {
			r, c := w.request(), w.caller()
			ws := pick(w, r.Workspace, "")
			if got, want := applied.Scopes(c, ws, []string{r.API}), fresh.Scopes(c, ws, []string{r.API}); !slices.Equal(got, want) {
				t.Fatalf("Scopes(%+v, %q): applied %v, loaded %v", *c, ws, got, want)
			}
			if got, want := applied.RolesOf(c, ws), fresh.RolesOf(c, ws); !slices.Equal(got, want) {
				t.Fatalf("RolesOf(%+v, %q): applied %v, loaded %v", *c, ws, got, want)
			}
			if got, want := applied.Explain(c, r), fresh.Explain(c, r); got.Decision != want.Decision || got.Nearest != want.Nearest || !slices.Equal(got.Missing, want.Missing) {
				t.Fatalf("Explain(%+v, %+v): applied %+v, loaded %+v", *c, *r, got, want)
			}
		}
	}
}

// Taking something away never gives anything: not a narrower client, fewer
// scopes, a tighter limit or a licence.
func TestLessIsNeverMore(t *testing.T) {
	for seed := range uint64(300) {
		w := newWorld(seed)
		e := loaded(t, policy.Options{Shadow: -1}, w.all()...)
		for range 200 {
			r, c := w.request(), w.caller()
			if e.Decide(c, r).Allowed {
				continue
			}
			if less := w.less(c); e.Decide(less, r).Allowed {
				t.Fatalf("%+v is refused %+v, but %+v is allowed\n%s", *c, *r, *less, w)
			}
		}
	}
}

func (w *world) less(c *policy.Caller) *policy.Caller {
	less, holder, account := *c, *c.Holder, *c.Holder.Account
	less.Holder, holder.Account = &holder, &account
	switch w.IntN(4) {
	case 0:
		less.Scopes, less.AnyScope = nil, false
	case 1:
		if less.Roles = less.Roles[:len(less.Roles)/2]; !c.Narrowed {
			less.Narrowed, less.Roles = true, []store.RoleID{roleID(w.anyRole())}
		}
	case 2:
		holder.Grants = nil
		for _, g := range c.Holder.Grants {
			tight := *g
			tight.Roles = slices.Clone(g.Roles)
			tight.Roles[0].Limits = append(slices.Clone(tight.Roles[0].Limits), store.Limit{Param: "device", Values: []string{"x"}})
			holder.Grants = append(holder.Grants, &tight)
		}
	case 3:
		if less.NoLicence = false; account.Licence == "" {
			account.Licence = roleID(w.anyRole())
		}
	}
	return &less
}

// Inheritance counts over ten levels, by either engine.
func TestDepth(t *testing.T) {
	records := []store.Record{workspace("acme")}
	for i := range 14 {
		r := role("acme/r"+string(rune('a'+i)), []string{"acme/r" + string(rune('b'+i))},
			store.Rule{Number: 1, API: "shop", Methods: "GET", Path: "/r" + string(rune('a'+i))})
		records = append(records, r)
	}
	e, f := loaded(t, policy.Options{}, records...), referee(t, records)
	c := &policy.Caller{Holder: &store.Holder{Account: &store.Account{}, Grants: []*store.Grant{grant("svc-x", "acme", given("acme/ra"))}}}
	for i := range 14 {
		r := &policy.Request{Workspace: workspaceID("acme"), API: "shop", Method: "GET", Path: "/r" + string(rune('a'+i))}
		got := e.Decide(c, r)
		want, err := f.Decide(c, r)
		if got != want || err != nil || got.Allowed != (i <= 10) {
			t.Errorf("a rule %d levels up: got %+v, Casbin %+v, %v", i, got, want, err)
		}
	}
}
