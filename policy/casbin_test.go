package policy_test

import (
	"testing"

	"github.com/casbin/casbin/v2"
	"github.com/casbin/casbin/v2/model"

	"postern/policy"
	"postern/store"
)

func small(t *testing.T, matcher string) *casbin.Enforcer {
	t.Helper()
	m, err := model.NewModelFromString("[request_definition]\nr = sub\n[policy_definition]\np = sub, eft\n[policy_effect]\n" +
		"e = some(where (p.eft == allow)) && !some(where (p.eft == deny))\n[matchers]\nm = " + matcher)
	if err != nil {
		t.Fatal(err)
	}
	e, err := casbin.NewEnforcer(m)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// What Casbin does that the referee is built around. An update of Casbin that
// changes one of these is to be read about.
func TestCasbinPitfalls(t *testing.T) {
	t.Run("without rules the matcher runs once with empty fields", func(t *testing.T) {
		if ok, err := small(t, "r.sub == p.sub").Enforce(""); !ok || err != nil {
			t.Errorf("got %t, %v", ok, err)
		}
	})
	t.Run("a list is spread over the arguments of a function", func(t *testing.T) {
		e := small(t, "count(r.sub, p.sub) == 2")
		e.AddFunction("count", func(a ...any) (any, error) { return float64(len(a)), nil })
		if _, err := e.AddPolicy("x", "allow"); err != nil {
			t.Fatal(err)
		}
		if ok, err := e.Enforce([]any{1, 2, 3}); ok || err != nil {
			t.Errorf("got %t, %v", ok, err)
		}
	})
	t.Run("a known row refuses the others, without an error", func(t *testing.T) {
		e := small(t, "r.sub == p.sub")
		if _, err := e.AddPolicy("x", "allow"); err != nil {
			t.Fatal(err)
		}
		added, err := e.AddPolicies([][]string{{"y", "allow"}, {"x", "allow"}})
		if has, _ := e.HasPolicy("y", "allow"); added || has || err != nil {
			t.Errorf("added %t, has %t, %v", added, has, err)
		}
	})
	t.Run("an unknown effect counts for nothing", func(t *testing.T) {
		e := small(t, "r.sub == p.sub")
		if _, err := e.AddPolicies([][]string{{"x", "allow"}, {"x", "Deny"}}); err != nil {
			t.Fatal(err)
		}
		if ok, err := e.Enforce("x"); !ok || err != nil {
			t.Errorf("got %t, %v", ok, err)
		}
	})
	t.Run("a panic in a function is an error", func(t *testing.T) {
		e := small(t, "broken(r.sub, p.sub)")
		e.AddFunction("broken", func(a ...any) (any, error) { return a[0].(int) > 0, nil })
		if _, err := e.AddPolicy("x", "allow"); err != nil {
			t.Fatal(err)
		}
		if ok, err := e.Enforce("x"); ok || err == nil {
			t.Errorf("got %t, %v", ok, err)
		}
	})
}

// The referee refuses where there is no rule at all, and names the first rule by
// ref and number however the roles came.
func TestReferee(t *testing.T) {
	c := holder("acme", given("acme/b"), given("acme/a"), given(""))
	d, err := referee(t, []store.Record{workspace("acme")}).Decide(c, get("acme", "/x"))
	if d.Allowed || err != nil {
		t.Errorf("without any rule: %+v, %v", d, err)
	}
	roles := []store.Record{workspace("acme"), role("acme/b", nil, all(1)), role("acme/a", nil, all(2), all(10))}
	if d, err = referee(t, roles).Decide(c, get("acme", "/x")); d.Rule != "acme/a#2" || err != nil {
		t.Errorf("got %+v, %v", d, err)
	}
	same := role("acme/a", nil, all(2))
	same.ID = "another"
	if _, err := policy.NewReferee(append(roles, same)); err == nil {
		t.Error("two roles of one ref were loaded")
	}
}
