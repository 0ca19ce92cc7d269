package scim_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"postern/server/scim"
)

// bjensen is the example of RFC 7643 section 8.2, as far as it is kept.
const bjensen = `{
	"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "id": "2819c223", "externalId": "bjensen",
	"userName": "bjensen@example.com", "displayName": "Babs Jensen", "active": true,
	"name": {"formatted": "Ms. Barbara J Jensen, III", "familyName": "Jensen", "givenName": "Barbara"},
	"emails": [{"value": "bjensen@example.com", "type": "work", "primary": true}],
	"groups": [{"value": "e9e30dba", "display": "Tour Guides", "type": "direct"}, {"value": "fc348aa8", "display": "Employees", "type": "direct"}],
	"meta": {"resourceType": "User", "created": "2010-01-23T04:56:22.000Z", "lastModified": "2011-05-13T04:42:34.000Z", "version": "W\/\"7\""}
}`

func TestFilterPrecedence(t *testing.T) {
	eq := func(name string) any { return []any{"eq", name, "x"} }
	tests := map[string]any{
		`a eq "x" or b eq "x" and c eq "x"`:   []any{"or", eq("a"), []any{"and", eq("b"), eq("c")}},
		`(a eq "x" or b eq "x") and c eq "x"`: []any{"and", []any{"or", eq("a"), eq("b")}, eq("c")},
		`not (a eq "x") and b EQ "x"`:         []any{"and", []any{"not", eq("a")}, eq("b")},
		`NOT(a pr OR b pr)`:                   []any{"not", []any{"or", []any{"pr", "a"}, []any{"pr", "b"}}},
		`not pr and and pr`:                   []any{"and", []any{"pr", "not"}, []any{"pr", "and"}},
		`m[type eq "x" and not (v co "]")]`:   []any{"among", "m", []any{"and", eq("type"), []any{"not", []any{"co", "v", "]"}}}},
		`a eq null`:                           []any{"eq", "a", nil},
		`a eq TRUE`:                           nil,
		`a ge -1.5e3`:                         []any{"ge", "a", json.Number("-1.5e3")},
		`a eq "q\"uo\\te"`:                    []any{"eq", "a", `q"uo\te`},
		`urn:ietf:params:scim:schemas:core:2.0:User:name.givenName sw "x"`: []any{"sw", "urn:ietf:params:scim:schemas:core:2.0:User:name.givenName", "x"},
	}
	for text, want := range tests {
		f, err := scim.ParseFilter(text)
		if want == nil {
			if err == nil {
				t.Errorf("%s: reads as %v, want an error", text, f)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if diff := cmp.Diff(want, f.Tree()); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", text, diff)
		}
	}
}

func TestFilterRefusals(t *testing.T) {
	for _, text := range []string{
		"", " ", "a", "a eq", `a eq "x`, `a eq x`, `a eq "x" and`, `a eq "x" or or`, `(a pr`, `a pr)`, `a[b pr`, `a[b[c pr]]`, `a.b[c pr]`, `a is "x"`,
		`not a pr`, `a eq {"b":1}`, `a eq [1]`, `.a pr`, `a. pr`, `a.b.c pr`, `9a pr`, `x:a pr`, "a eq \"\xff\"", `a pr b pr`,
		strings.Repeat("(", 40) + "a pr" + strings.Repeat(")", 40), `a eq "` + strings.Repeat("x", 9000) + `"`,
	} {
		f, err := scim.ParseFilter(text)
		if e, ok := errors.AsType[*scim.Error](err); !ok || e.Type != "invalidFilter" || e.Status != 400 {
			t.Errorf("%q: got %v, %v; want invalidFilter", text, f, err)
		}
	}
}

func TestFilterMatches(t *testing.T) {
	for text, want := range map[string]bool{
		// The examples of RFC 7644 section 3.4.2.2.
		`userName eq "bjensen@example.com"`:                          true,
		`userName Eq "BJENSEN@example.com"`:                          true,
		`name.familyName co "ENSE"`:                                  true,
		`urn:ietf:params:scim:schemas:core:2.0:User:userName sw "B"`: true,
		`URN:ietf:params:scim:schemas:core:2.0:USER:username sw "J"`: false,
		`displayName pr`: true,
		`meta.lastModified gt "2011-05-13T04:42:34Z"`:                                    false,
		`meta.lastModified ge "2011-05-13T06:42:34+02:00"`:                               true,
		`meta.lastModified lt "2012-01-01T00:00:00Z"`:                                    true,
		`displayName pr and active eq true`:                                              true,
		`active eq "False" or emails.type eq "work"`:                                     true,
		`emails[type eq "work" and value co "@example.com"] or externalId eq "nobody"`:   true,
		`emails[type eq "home"]`:                                                         false,
		`emails co "EXAMPLE"`:                                                            true,
		`groups eq "fc348aa8"`:                                                           true,
		`groups.value eq "FC348AA8"`:                                                     false,
		`not (emails[primary eq true])`:                                                  false,
		`externalId eq "BJENSEN"`:                                                        false,
		`id eq "2819c223" and not (id eq "x")`:                                           true,
		`schemas eq "urn:ietf:params:scim:schemas:core:2.0:User"`:                        true,
		`userName ew ".com" and userName gt "a" and userName le "c" and active ne false`: true,
		`name eq null`:                     false,
		`name ne null`:                     true,
		`groups[display eq "tour guides"]`: true,
	} {
		f, err := scim.ParseFilter(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, err := f.Matches("User", bjensen); err != nil || got != want {
			t.Errorf("%s: got %t, %v; want %t", text, got, err, want)
		}
	}
	// What the schema does not have, or has otherwise, would match by accident.
	for _, text := range []string{
		`title pr`, `password eq "x"`, `name.middleName pr`, `urn:other:userName pr`, `active gt false`, `active eq "maybe"`, `userName eq 1`, `userName gt null`,
		`meta.created co "2010"`, `meta.created eq "yesterday"`, `name eq "x"`, `userName[value eq "x"]`, `emails[display pr]`, `active co "t"`,
	} {
		f, err := scim.ParseFilter(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got, err := f.Matches("User", bjensen)
		if e, ok := errors.AsType[*scim.Error](err); !ok || e.Type != "invalidFilter" {
			t.Errorf("%s: got %t, %v; want invalidFilter", text, got, err)
		}
	}
}

// What parses, prints, and what prints, parses to the same.
func FuzzFilter(f *testing.F) {
	for _, seed := range []string{
		`userName eq "bjensen"`, `a pr and (b lt 1 or not (c ne null))`, `emails[type eq "work" or value co "\u0041"].x pr`, `((a pr))`, `a[not (b pr) and c pr] or d pr`,
		`urn:a:2.0:B:c.d ew "\\"`, `not (a pr and b pr or c pr)`, `a eq "\ud800"`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := scim.ParseFilter(text)
		if err != nil {
			return
		}
		again, err := scim.ParseFilter(parsed.String())
		if err != nil && len(parsed.String()) < 8<<10 { // printed, it may be too long
			t.Fatalf("%q prints as %q, which does not parse: %v", text, parsed, err)
		}
		if err == nil && !cmp.Equal(parsed.Tree(), again.Tree()) {
			t.Errorf("%q reads as %q, but %q back", text, parsed, again)
		}
	})
}

// The matcher agrees with an evaluator that does not know schemas: on texts,
// truths and lists of them.
func TestFilterAgreesWithANaiveOne(t *testing.T) {
	texts := rapid.SampledFrom([]string{"", "a", "A", "ab", "b", "ba", "é"})
	rapid.Check(t, func(t *rapid.T) {
		user := map[string]any{"active": rapid.Bool().Draw(t, "active")}
		if s := texts.Draw(t, "userName"); s != "" {
			user["userName"] = s
		}
		name := map[string]any{}
		for _, part := range []string{"givenName", "familyName"} {
			if s := texts.Draw(t, part); s != "" {
				name[part] = s
			}
		}
		if len(name) > 0 {
			user["name"] = name
		}
		var groups []any
		for range rapid.IntRange(0, 3).Draw(t, "groups") {
			groups = append(groups, map[string]any{"value": rapid.SampledFrom([]string{"a", "A", "b"}).Draw(t, "value"), "display": rapid.SampledFrom([]string{"a", "A", "b"}).Draw(t, "display")})
		}
		if groups != nil {
			user["groups"] = groups
		}
		body, err := json.Marshal(user)
		if err != nil {
			t.Fatal(err)
		}
		text := expression(t, 3)
		f, err := scim.ParseFilter(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		got, err := f.Matches("User", string(body))
		if want := naive(f.Tree(), user); err != nil || got != want {
			t.Errorf("%s of %s: got %t, %v; want %t", text, body, got, err, want)
		}
	})
}

func expression(t *rapid.T, depth int) string {
	if depth > 0 {
		switch rapid.IntRange(0, 5).Draw(t, "shape") {
		case 0:
			return expression(t, depth-1) + " and " + expression(t, depth-1)
		case 1:
			return expression(t, depth-1) + " or " + expression(t, depth-1)
		case 2:
			return "not (" + expression(t, depth-1) + ")"
		case 3:
			return "(" + expression(t, depth-1) + ")"
		case 4:
			return `groups[value eq "a" and display ` + rapid.SampledFrom([]string{"eq", "ne", "sw"}).Draw(t, "op") + ` "b" or value pr and display co "A"]`
		}
	}
	at := rapid.SampledFrom([]string{"userName", "USERNAME", "name.givenName", "name.familyName", "groups.value", "groups.display", "groups"}).Draw(t, "path")
	op := rapid.SampledFrom([]string{"eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le", "pr"}).Draw(t, "op")
	if op == "pr" {
		return at + " pr"
	}
	return fmt.Sprintf("%s %s %q", at, op, rapid.SampledFrom([]string{"a", "A", "ab", "b", "é"}).Draw(t, "value"))
}

// naive evaluates a filter by its text.
func naive(tree any, in map[string]any) bool {
	node := tree.([]any)
	switch node[0] {
	case "and":
		return !slices.ContainsFunc(node[1:], func(n any) bool { return !naive(n, in) })
	case "or":
		return slices.ContainsFunc(node[1:], func(n any) bool { return naive(n, in) })
	case "not":
		return !naive(node[1], in)
	case "among":
		list, _ := in[node[1].(string)].([]any)
		return slices.ContainsFunc(list, func(v any) bool { return naive(node[2], v.(map[string]any)) })
	}
	var found []string
	exact := false
	name, sub, _ := strings.Cut(strings.ToLower(node[1].(string)), ".")
	for key, v := range in {
		if strings.ToLower(key) != name {
			continue
		}
		list, isList := v.([]any)
		if !isList {
			list = []any{v}
		} else if sub == "" && node[0] != "pr" {
			sub = "value"
		}
		exact = sub == "value" || name == "value"
		for _, v := range list {
			if m, ok := v.(map[string]any); ok && sub != "" {
				for key, v := range m {
					if strings.ToLower(key) == sub {
						found = append(found, v.(string))
					}
				}
			} else {
				found = append(found, fmt.Sprint(v))
			}
		}
	}
	if node[0] == "pr" {
		return len(found) > 0
	}
	want := node[2].(string)
	if len(found) == 0 {
		return node[0] == "ne"
	}
	return slices.ContainsFunc(found, func(have string) bool {
		want := want
		if !exact {
			have, want = strings.ToLower(have), strings.ToLower(want)
		}
		return map[string]bool{
			"eq": have == want, "ne": have != want, "co": strings.Contains(have, want), "sw": strings.HasPrefix(have, want), "ew": strings.HasSuffix(have, want),
			"gt": have > want, "ge": have >= want, "lt": have < want, "le": have <= want,
		}[node[0].(string)]
	})
}

// A filter of the longest length takes no time worth naming to read.
func TestFilterOfTheLongestLengthIsRead(t *testing.T) {
	text := strings.Repeat("a pr or ", 1000) + "a pr"
	done := make(chan error, 1)
	go func() { _, err := scim.ParseFilter(text); done <- err }()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("it is still reading")
	}
}
