package policy_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postern/policy"
	"postern/store"
)

func ids(rules []policy.NamedRule) (out []string) {
	for _, r := range rules {
		out = append(out, r.ID)
	}
	return out
}

// What decides that a call is allowed is among the rules that are reached: so what
// no decision named is what nobody used.
func TestWhatAllowsIsAmongTheRulesReached(t *testing.T) {
	allowed := 0
	for seed := range uint64(150) {
		w := newWorld(seed + 9000)
		e := loaded(t, policy.Options{Shadow: -1}, w.all()...)
		for range 200 {
			r, c := w.request(), w.caller()
			d := e.Decide(c, r)
			if !d.Allowed {
				continue
			}
			allowed++
			if got := ids(e.Rules(c, r.Workspace)); !slices.Contains(got, d.Rule) {
				t.Fatalf("Decide(%+v, %+v) is allowed by %s, but the rules reached are %v\n%s", *c, *r, d.Rule, got, w)
			}
		}
	}
	if allowed < 1000 {
		t.Errorf("only %d calls were allowed", allowed)
	}
}

func TestRulesAreWhatGrantsReach(t *testing.T) {
	shop := func(number int, methods, path string) store.Rule {
		return store.Rule{Number: number, API: "shop", Methods: methods, Path: path}
	}
	deny := shop(9, "*", "/secret")
	deny.Deny = true
	e := loaded(t, policy.Options{}, workspace("acme"), workspace("globex"),
		role("acme/a", []string{"acme/b"}, shop(1, "GET", "/x"), shop(2, "PUT", "/x/{id}"), deny),
		role("acme/b", nil, shop(10, "GET", "/y"), shop(11, "*", "/z/**")),
		role("*/reader", nil, store.Rule{Number: 1, API: "*", Methods: "GET", Path: "/**"}),
		role("*/one", nil, shop(1, "*", "/z/one")),
		role("*/elsewhere", nil, store.Rule{Number: 1, API: "iot", Methods: "*", Path: "/**"}))
	for name, tt := range map[string]struct {
		ws     string
		change func(*policy.Caller)
		want   []string
	}{
		"all of them":             {"acme", nil, []string{"acme/a#1", "acme/a#2", "acme/b#10", "acme/b#11"}},
		"in another workspace":    {"globex", nil, nil},
		"narrowed to a parent":    {"acme", func(c *policy.Caller) { c.Narrowed, c.Roles = true, []store.RoleID{roleID("acme/b")} }, []string{"acme/b#10", "acme/b#11"}},
		"narrowed to nothing":     {"acme", func(c *policy.Caller) { c.Narrowed = true }, nil},
		"under a licence":         {"acme", func(c *policy.Caller) { c.Holder.Account.Licence = roleID("*/reader") }, []string{"acme/a#1", "acme/b#10", "acme/b#11"}},
		"under one of one path":   {"acme", func(c *policy.Caller) { c.Holder.Account.Licence = roleID("*/one") }, []string{"acme/b#11"}},
		"under one of other APIs": {"acme", func(c *policy.Caller) { c.Holder.Account.Licence = roleID("*/elsewhere") }, nil},
		"under one that is gone":  {"acme", func(c *policy.Caller) { c.Holder.Account.Licence = roleID("*/gone") }, nil},
	} {
		c := holder("acme", given("acme/a"), given("acme/b"))
		if tt.change != nil {
			tt.change(c)
		}
		if diff := cmp.Diff(tt.want, ids(e.Rules(c, workspaceID(tt.ws)))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
