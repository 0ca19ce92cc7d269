package assertion_test

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"postern/server/assertion"
	"postern/store"
)

func TestMatches(t *testing.T) {
	for _, one := range []struct {
		pattern, text string
		want          bool
	}{
		{"a", "a", true},
		{"a", "A", false},
		{"a", "ab", false},
		{"a", "", false},
		{"", "", true},
		{"*", "", true},
		{"*", "abc", true},
		{"*", "a:b", false},
		{"*", "a/b", false},
		{"a*c", "abc", true},
		{"a*c", "ac", true},
		{"a*c", "ab:c", false},
		{"a*b*c", "aXbYc", true},
		{"a*b*c", "abbbc", true},
		{"*-web", "a-web-web", true},
		{"*ab", "aab", true},
		{"repo:acme/shop:*", "repo:acme/shop:pull_request", true},
		{"repo:acme/shop:*", "repo:acme/shop:ref:refs/heads/main", false},
		{"repo:acme/*:ref:refs/heads/main", "repo:acme/x:ref:refs/heads/y:ref:refs/heads/main", false},
		{"a.c", "abc", false},
		{"a?c", "abc", false},
		{"é*", "éa", true},
	} {
		if got := assertion.Matches(one.pattern, one.text); got != one.want {
			t.Errorf("Matches(%q, %q) = %t", one.pattern, one.text, got)
		}
	}
	// As many stars as a pattern may have do not take as many steps as they could.
	if assertion.Matches(strings.Repeat("*a", 250)+"b", strings.Repeat("a", 16<<10)) {
		t.Error("it matches without its end")
	}
}

// FuzzMatches: a pattern matches what the regular expression does that says the
// same.
func FuzzMatches(f *testing.F) {
	f.Add("a*b*c", "aXbYc")
	f.Add("repo:*/*:ref:*", "repo:acme/shop:ref:x")
	f.Add("*ab:*b*", "aab:bab")
	f.Add("**", "::")
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if !utf8.ValidString(pattern) || !utf8.ValidString(text) {
			return
		}
		same := regexp.MustCompile(`(?s)\A` + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, `[^:/]*`) + `\z`)
		if got := assertion.Matches(pattern, text); got != same.MatchString(text) {
			t.Errorf("Matches(%q, %q) = %t", pattern, text, got)
		}
	})
}

// FuzzWorkload: whatever a JWT says, what is taken has every claim that counts, a
// rule that names another issuer never holds, and no pointer leads astray.
func FuzzWorkload(f *testing.F) {
	f.Add(`{"iss":"a","sub":"b","aud":["c"],"exp":2000000000,"iat":1999999999,"d":{"e":["f",1,true,null]}}`, "/d/e")
	f.Add(`{"iss":"a","sub":"b","aud":"c","exp":2e9,"iat":1.5,"~":{"/":{}}}`, "/~0/~1")
	f.Add(`{"iss":"a","sub":"b","aud":[1]}`, "/")
	f.Fuzz(func(t *testing.T, claims, name string) {
		w, err := assertion.ParseWorkload(b64([]byte(`{"alg":"ES256"}`)) + "." + b64([]byte(claims)) + ".c2ln")
		if err != nil {
			return
		}
		if w.Issuer == "" || w.Subject == "" || w.Expires.IsZero() {
			t.Errorf("taken without a claim: %+v", w)
		}
		if assertion.Broken(w.Conditions(w.Expires, "c")) == nil {
			t.Error("it is good when it is over")
		}
		met := w.Meets(&store.TrustRule{Issuer: w.Issuer + "x", Subject: "*", Claims: []store.TrustClaim{{Name: name, Pattern: "*"}}})
		if len(met) != 3 || met[0].Fault == "" {
			t.Errorf("a rule of another issuer: %+v", met)
		}
	})
}
