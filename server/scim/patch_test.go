package scim_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postern/server/scim"
)

func patch(ops string) string {
	return `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[` + ops + `]}`
}

const (
	barbara = `{"userName":"b","active":true,"name":{"givenName":"Barbara","familyName":"Jensen"},"emails":[{"value":"w@e","type":"work","primary":true}]}`
	tours   = `{"displayName":"Tours","members":[{"value":"a","type":"User"},{"value":"b","type":"User"}]}`
)

func TestPatch(t *testing.T) {
	tests := []struct {
		name, kind, before, ops string
		want                    string // members that differ; null is gone
	}{
		{
			"add members (RFC 7644 section 3.5.2.1)", "Group", tours, `{"op":"add","path":"members","value":[{"display":"Babs","$ref":"https://x/Users/c","value":"c"}]}`,
			`{"members":[{"value":"a","type":"User"},{"value":"b","type":"User"},{"value":"c","$ref":"https://x/Users/c"}]}`,
		},
		{"add one that is there", "Group", tours, `{"op":"add","path":"members","value":[{"value":"a","type":"User"}]}`, `{}`},
		{
			"op in another case, one value without its list", "Group", tours, `{"OP":"Add","Path":"MEMBERS","Value":{"value":"c"}}`,
			`{"members":[{"value":"a","type":"User"},{"value":"b","type":"User"},{"value":"c"}]}`,
		},
		{"remove one by a filter (section 3.5.2.2)", "Group", tours, `{"op":"remove","path":"members[value eq \"a\"]"}`, `{"members":[{"value":"b","type":"User"}]}`},
		{"remove one by its value", "Group", tours, `{"op":"Remove","path":"members","value":[{"value":"a"}]}`, `{"members":[{"value":"b","type":"User"}]}`},
		{"remove one that is not there", "Group", tours, `{"op":"remove","path":"members[value eq \"z\"]"}`, `{}`},
		{"remove all", "Group", tours, `{"op":"remove","path":"members"}`, `{"members":null}`},
		{"replace all (section 3.5.2.3)", "Group", tours, `{"op":"replace","path":"members","value":[{"value":"c"},{"value":"c"}]}`, `{"members":[{"value":"c"}]}`},
		{"replace all by none", "Group", tours, `{"op":"replace","path":"members","value":[]}`, `{"members":null}`},
		{"two in their order", "Group", tours, `{"op":"remove","path":"members"},{"op":"add","path":"members","value":[{"value":"z"}]}`, `{"members":[{"value":"z"}]}`},
		{"without a path, as Okta sends it", "Group", tours, `{"op":"replace","value":{"id":"x","displayName":"New"}}`, `{"displayName":"New"}`},

		{"a sub-attribute", "User", barbara, `{"op":"replace","path":"name.familyName","value":"Smith"}`, `{"name":{"givenName":"Barbara","familyName":"Smith"}}`},
		{"some of a complex attribute", "User", barbara, `{"op":"replace","path":"name","value":{"familyName":"Smith"}}`, `{"name":{"givenName":"Barbara","familyName":"Smith"}}`},
		{
			"by its URN", "User", barbara, `{"op":"add","path":"urn:ietf:params:scim:schemas:core:2.0:User:name.formatted","value":"B. J."}`,
			`{"name":{"givenName":"Barbara","familyName":"Jensen","formatted":"B. J."}}`,
		},
		{"active as a text", "User", barbara, `{"op":"Replace","path":"active","value":"False"}`, `{"active":false}`},
		{
			"names with dots, as Entra ID sends them", "User", barbara, `{"op":"add","value":{"name.givenName":"Babs","urn:other:2.0:User:department":"x","nickName":"y"}}`,
			`{"name":{"givenName":"Babs","familyName":"Jensen"}}`,
		},
		{"in the member of its URN", "User", barbara, `{"op":"add","value":{"urn:ietf:params:scim:schemas:core:2.0:User":{"displayName":"B"}}}`, `{"displayName":"B"}`},
		{"a value that matches", "User", barbara, `{"op":"replace","path":"emails[type eq \"work\"].value","value":"n@e"}`, `{"emails":[{"value":"n@e","type":"work","primary":true}]}`},
		{"a value that none matches is made", "User", `{"userName":"b","active":true}`, `{"op":"add","path":"emails[type eq \"work\"].value","value":"n@e"}`, `{"emails":[{"value":"n@e","type":"work"}]}`},
		{
			"of two that are primary the new one", "User", barbara, `{"op":"add","path":"emails","value":[{"value":"n@e","type":"home","primary":true}]}`,
			`{"emails":[{"value":"w@e","type":"work","primary":false},{"value":"n@e","type":"home","primary":true}]}`,
		},
		{"a part of every value", "User", barbara, `{"op":"remove","path":"emails.primary"}`, `{"emails":[{"value":"w@e","type":"work"}]}`},
		{"nothing is added by null", "User", barbara, `{"op":"add","path":"displayName","value":null}`, `{}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := scim.Patch(tt.kind, tt.before, patch(tt.ops))
			if err != nil {
				t.Fatal(err)
			}
			want, have := values(t, tt.before), values(t, got)
			for k, v := range values(t, tt.want) {
				if want[k] = v; v == nil {
					delete(want, k)
				}
			}
			if diff := cmp.Diff(want, have); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func values(t *testing.T, text string) (v map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestPatchRefusals(t *testing.T) {
	for ops, want := range map[string]string{
		`{"op":"remove"}`: "noTarget",
		`{"op":"move","path":"displayName","value":"x"}`:                       "invalidSyntax",
		`{"op":"add","path":"displayName"}`:                                    "invalidValue",
		`{"op":"add","path":"displayName","value":7}`:                          "invalidValue",
		`{"op":"add","value":"x"}`:                                             "invalidValue",
		`{"op":"add","path":"nickName","value":"x"}`:                           "invalidPath",
		`{"op":"add","path":"password","value":"x"}`:                           "invalidPath",
		`{"op":"add","path":"emails[","value":"x"}`:                            "invalidFilter",
		`{"op":"add","path":"emails[type eq \"work\"]x","value":"x"}`:          "invalidPath",
		`{"op":"add","path":"a b","value":"x"}`:                                "invalidPath",
		`{"op":"add","path":7,"value":"x"}`:                                    "invalidPath",
		`{"op":"replace","path":"id","value":"x"}`:                             "mutability",
		`{"op":"replace","path":"meta.version","value":"x"}`:                   "mutability",
		`{"op":"add","path":"groups","value":[{"value":"x"}]}`:                 "mutability",
		`{"op":"remove","path":"userName"}`:                                    "mutability",
		`{"op":"replace","path":"userName","value":""}`:                        "mutability",
		`{"op":"remove","path":"active"}`:                                      "mutability",
		`{"op":"replace","path":"active","value":"maybe"}`:                     "invalidValue",
		`{"op":"replace","path":"emails[type eq \"home\"].value","value":"x"}`: "noTarget",
		`{"op":"replace","path":"name[givenName eq \"x\"]","value":{}}`:        "invalidFilter",
		`{"op":"replace","path":"emails[nope eq \"x\"].value","value":"x"}`:    "invalidFilter",
		`{"op":"add","path":"displayName","value":"x"},{"op":"remove"}`:        "noTarget", // and the first is not done either
		`7`: "invalidSyntax",
		``:  "invalidSyntax",
	} {
		got, err := scim.Patch("User", barbara, patch(ops))
		if e, ok := errors.AsType[*scim.Error](err); !ok || e.Type != want || e.Status != 400 {
			t.Errorf("%s: got %s, %v; want %s", ops, got, err, want)
		}
	}
	if _, err := scim.Patch("Group", tours, patch(`{"op":"replace","path":"members[value eq \"a\"].value","value":"z"}`)); err == nil {
		t.Error("an immutable sub-attribute was replaced")
	}
	if _, err := scim.Patch("User", barbara, `{"Operations":[{"op":"remove","path":"displayName"}]}`); err == nil {
		t.Error("a PATCH without its schema was carried out")
	}
	if _, err := scim.Patch("User", barbara, patch(`{"op":"remove","path":"displayName","Op":"add"}`)); err == nil {
		t.Error("a name twice was passed over")
	}
}

// A PATCH ends in a resource that could have been sent as it is, or in a refusal
// of a known kind; done twice, remove and replace change nothing more.
func FuzzPatch(f *testing.F) {
	f.Add(`{"op":"add","path":"members","value":[{"value":"c"}]}`, true)
	f.Add(`{"op":"remove","path":"members[value eq \"a\" or type pr]"}`, true)
	f.Add(`{"op":"replace","path":"emails[type eq \"work\"].value","value":"x@y"}`, false)
	f.Add(`{"op":"replace","value":{"name.givenName":"x","emails":[{"value":"a","primary":true},{"value":"b","primary":true}]}}`, false)
	f.Add(`{"op":"remove","path":"name.givenName"},{"op":"remove","path":"name.familyName"}`, false)
	f.Fuzz(func(t *testing.T, ops string, group bool) {
		kind, before := "User", barbara
		if group {
			kind, before = "Group", tours
		}
		once, err := scim.Patch(kind, before, patch(ops))
		if err != nil {
			if e, ok := errors.AsType[*scim.Error](err); !ok || e.Status != 400 || e.Type == "" {
				t.Errorf("%s: %v, which is no refusal that SCIM knows", ops, err)
			}
			return
		}
		sent := fmt.Sprintf(`{"schemas":[%q],%s`, "urn:ietf:params:scim:schemas:core:2.0:"+kind, once[1:])
		read, err := scim.Read(kind, sent)
		if err != nil || !cmp.Equal(values(t, once), values(t, read)) {
			t.Errorf("%s makes %s, which reads as %s, %v", ops, once, read, err)
		}
		if strings.Contains(strings.ToLower(ops), "add") {
			return
		}
		twice, err := scim.Patch(kind, once, patch(ops))
		if e, ok := errors.AsType[*scim.Error](err); ok && e.Type == "noTarget" {
			return // what a filter chose is another by now
		}
		if err != nil || strings.Count(ops, `"op"`) == 1 && once != twice && !strings.Contains(ops, "[") {
			t.Errorf("%s makes %s, and then %s, %v", ops, once, twice, err)
		}
	})
}

func TestSelection(t *testing.T) {
	tests := []struct {
		only, without []string
		want          string
	}{
		{[]string{"userName"}, nil, `{"schemas":["s"],"id":"1","userName":"b"}`},
		{[]string{"NAME.givenname", " emails.value"}, nil, `{"schemas":["s"],"id":"1","name":{"givenName":"B"},"emails":[{"value":"e"}]}`},
		{[]string{"urn:ietf:params:scim:schemas:core:2.0:User:name", "name.givenName"}, nil, `{"schemas":["s"],"id":"1","name":{"givenName":"B","familyName":"J"}}`},
		{[]string{"nickName"}, nil, `{"schemas":["s"],"id":"1"}`},
		{nil, []string{"name", "id", "emails.type"}, `{"schemas":["s"],"id":"1","userName":"b","emails":[{"value":"e"}]}`},
		{nil, []string{"name.givenName", "emails"}, `{"schemas":["s"],"id":"1","userName":"b","name":{"familyName":"J"}}`},
	}
	for _, tt := range tests {
		got, err := scim.Select("User", `{"schemas":["s"],"id":"1","userName":"b","name":{"givenName":"B","familyName":"J"},"emails":[{"value":"e","type":"work"}]}`, tt.only, tt.without)
		if err != nil {
			t.Errorf("%v %v: %v", tt.only, tt.without, err)
			continue
		}
		if diff := cmp.Diff(values(t, tt.want), values(t, got)); diff != "" {
			t.Errorf("%v %v: (-want +got)\n%s", tt.only, tt.without, diff)
		}
	}
	if _, err := scim.Select("User", `{}`, []string{"id"}, []string{"name"}); err == nil {
		t.Error("both at once were taken")
	}
}

func TestReadRefusals(t *testing.T) {
	for body, want := range map[string]string{
		``: "invalidSyntax", `[]`: "invalidSyntax", `{} {}`: "invalidSyntax", `{"a":1,"A":2}`: "invalidSyntax", `{}`: "invalidSyntax",
		`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"]}`:                             "invalidSyntax",
		`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"name":"x"}`:                   "invalidValue",
		`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"emails":[7]}`:                 "invalidValue",
		`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"active":1}`:                   "invalidValue",
		`{"schemas":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`:                 "invalidSyntax",
		"{\"schemas\":[\"urn:ietf:params:scim:schemas:core:2.0:User\"],\"displayName\":\"\xff\"}": "invalidSyntax",
	} {
		got, err := scim.Read("User", body)
		if e, ok := errors.AsType[*scim.Error](err); !ok || e.Type != want {
			t.Errorf("%q: got %s, %v; want %s", body, got, err, want)
		}
	}
}
