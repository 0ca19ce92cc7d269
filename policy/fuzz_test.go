package policy_test

import (
	"strings"
	"testing"

	"postern/policy"
	"postern/store"
)

// What is canonical stays so, and holds nothing that another server could take
// for a way to another path.
func FuzzCanonical(f *testing.F) {
	for _, s := range []string{"/", "/a/b", "/a/?b", "/%61%2C", "/é/", "/a;b", "/a%2Fb", "//a//b", "/A%C3%89", "/a/..;/b", "/%c0%ae"} {
		for _, relax := range []uint8{0, 1, 31} {
			f.Add(s, relax)
		}
	}
	f.Fuzz(func(t *testing.T, raw string, relax uint8) {
		o := policy.Relaxed{Semicolon: relax&1 > 0, EncodedSlash: relax&2 > 0, DoubleSlash: relax&4 > 0, NonASCII: relax&8 > 0, FoldCase: relax&16 > 0}
		path, err := policy.Canonical(raw, o)
		if err != nil {
			return
		}
		if again, err := policy.Canonical(path, o); again != path || err != nil {
			t.Errorf("%q is %q, and that is %q, %v", raw, path, again, err)
		}
		if path[0] != '/' || strings.ContainsAny(path, "\\;#?*{}|\"<> \x00\x7f") || len(path) > 1 && strings.HasSuffix(path, "/") {
			t.Errorf("%q is %q", raw, path)
		}
		for s := range strings.SplitSeq(path[1:], "/") {
			if s == "." || s == ".." || s == "" && path != "/" && !o.DoubleSlash {
				t.Errorf("%q is %q", raw, path)
			}
		}
		if path != strings.ToLower(path) && o.FoldCase && !strings.Contains(path, "%") {
			t.Errorf("%q is %q in lower case", raw, path)
		}
		// A pattern made of it matches it: both are spelled by the same rule.
		if pattern, err := policy.ParsePath(path); err == nil && pattern != path {
			t.Errorf("%q is %q as a call, %q as a pattern", raw, path, pattern)
		}
	})
}

// What parses prints as what parses to the same, and a call that fills in its
// parameters is matched by it, and by no other method.
func FuzzParsePath(f *testing.F) {
	for _, s := range []string{"/", "/**", "/a/{id}", "/a/{x}/b/{y}/**", "/%41,é", "/a%3Bb", "/{id}x", "/:id", "/a/*"} {
		f.Add(s, "v")
	}
	f.Fuzz(func(t *testing.T, in, value string) {
		pattern, err := policy.ParsePath(in)
		if err != nil {
			return
		}
		if again, err := policy.ParsePath(pattern); again != pattern || err != nil {
			t.Errorf("%q prints as %q, which parses to %q, %v", in, pattern, again, err)
		}
		value, err = policy.Segment(value)
		if err != nil {
			return
		}
		var path []string
		for s := range strings.SplitSeq(pattern[1:], "/") {
			if strings.HasPrefix(s, "{") || s == "**" {
				s = value
			}
			path = append(path, s)
		}
		r := role("acme/a", nil, store.Rule{Number: 1, API: "shop", Methods: "GET", Path: in})
		e := loaded(t, policy.Options{Shadow: -1}, workspace("acme"), r)
		call := get("acme", "/"+strings.Join(path, "/"))
		if d := e.Decide(holder("acme", given("acme/a")), call); !d.Allowed || d.Pattern != pattern {
			t.Errorf("%q does not match %q: %+v", pattern, call.Path, d)
		}
		if call.Method = "HEAD"; e.Decide(holder("acme", given("acme/a")), call).Allowed {
			t.Errorf("%q matches another method", pattern)
		}
		c := holder("acme", given("acme/a", store.Limit{Param: "id", Values: []string{value + "x"}}))
		if call.Method = "GET"; e.Decide(c, call).Allowed == strings.Contains(pattern, "{id}") {
			t.Errorf("a limit on id, and %q: the other way round", pattern)
		}
	})
}
