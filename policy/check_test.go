package policy_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postern/policy"
	"postern/store"
)

func TestCheckRole(t *testing.T) {
	stored := map[store.RoleID]*store.Role{}
	for _, r := range []*store.Role{role("acme/p", nil), role("globex/p", nil), role("*/p", nil), role("acme/loops", []string{"acme/reader"})} {
		stored[r.ID] = r
	}
	parent := "acme/deep9"
	for i := range 10 {
		r := role(fmt.Sprintf("acme/deep%d", i), nil)
		if i > 0 {
			r.Parents = []store.RoleID{roleID(fmt.Sprintf("acme/deep%d", i-1))}
		}
		stored[r.ID] = r
	}
	type edit = func(*store.Role, *store.Rule)
	for name, tt := range map[string]struct {
		spoil edit
		field string // empty where nothing is wrong
		says  string
	}{
		"as it should be":         {func(*store.Role, *store.Rule) {}, "", ""},
		"parents":                 {func(r *store.Role, _ *store.Rule) { r.Parents = []store.RoleID{roleID("acme/p"), roleID("*/p")} }, "", ""},
		"ten levels":              {func(r *store.Role, _ *store.Rule) { r.Parents = []store.RoleID{roleID(parent)} }, "", ""},
		"any of everything":       {func(_ *store.Role, q *store.Rule) { q.API, q.Methods, q.Path, q.Operation = "*", "*", "/**", "* *" }, "", ""},
		"extension methods":       {func(_ *store.Role, q *store.Rule) { q.Methods = "M-SEARCH get PROPFIND" }, "", ""},
		"shared":                  {func(r *store.Role, _ *store.Rule) { r.Ref, r.Workspace = "*/reader", store.Shared }, "", ""},
		"no workspace in the ref": {func(r *store.Role, _ *store.Rule) { r.Ref = "reader" }, "ref", "workspace/name"},
		"upper case in the ref":   {func(r *store.Role, _ *store.Rule) { r.Ref = "acme/Reader" }, "ref", "lower-case"},
		"comma in the ref":        {func(r *store.Role, _ *store.Rule) { r.Ref = "acme/a,b" }, "ref", ""},
		"long name":               {func(r *store.Role, _ *store.Rule) { r.Ref = "acme/" + strings.Repeat("a", 64) }, "ref", "63"},
		"shared by name alone":    {func(r *store.Role, _ *store.Rule) { r.Ref = "*/reader" }, "workspace", ""},
		"in no workspace":         {func(r *store.Role, _ *store.Rule) { r.Workspace = "" }, "workspace", ""},
		"parent twice":            {func(r *store.Role, _ *store.Rule) { r.Parents = []store.RoleID{roleID("*/p"), roleID("*/p")} }, "parents", "once"},
		"parent of another":       {func(r *store.Role, _ *store.Rule) { r.Parents = []store.RoleID{roleID("globex/p")} }, "parents", "rol-globex/p"},
		"parent that is not":      {func(r *store.Role, _ *store.Rule) { r.Parents = []store.RoleID{roleID("acme/gone")} }, "parents", "acme/gone"},
		"shared, private parent": {func(r *store.Role, _ *store.Rule) {
			r.Ref, r.Workspace, r.Parents = "*/reader", store.Shared, []store.RoleID{roleID("acme/p")}
		}, "parents", "shared"},
		"its own parent": {func(r *store.Role, _ *store.Rule) { r.Parents = []store.RoleID{r.ID} }, "parents", "acme/reader → acme/reader"},
		"a cycle":        {func(r *store.Role, _ *store.Rule) { r.Parents = []store.RoleID{roleID("acme/loops")} }, "parents", "acme/reader → acme/loops → acme/reader"},
		"eleven levels": {func(r *store.Role, _ *store.Rule) {
			r.Parents = []store.RoleID{roleID("acme/top")}
			stored[roleID("acme/top")] = role("acme/top", []string{parent})
		}, "parents", "11 levels"},
		"number 0":              {func(_ *store.Role, q *store.Rule) { q.Number = 0 }, "number", "1"},
		"numbers that fall":     {func(r *store.Role, _ *store.Rule) { r.Rules = append(r.Rules, r.Rules[0]) }, "number", "rise"},
		"no API":                {func(_ *store.Role, q *store.Rule) { q.API = "" }, "api", "short name"},
		"API with a wildcard":   {func(_ *store.Role, q *store.Rule) { q.API = "sh*" }, "api", ""},
		"comma in methods":      {func(_ *store.Role, q *store.Rule) { q.Methods = "GET,POST" }, "methods", "one space"},
		"no method":             {func(_ *store.Role, q *store.Rule) { q.Methods = "" }, "methods", ""},
		"two blanks":            {func(_ *store.Role, q *store.Rule) { q.Methods = "GET  POST" }, "methods", ""},
		"blank at the end":      {func(_ *store.Role, q *store.Rule) { q.Methods = "GET " }, "methods", ""},
		"star among methods":    {func(_ *store.Role, q *store.Rule) { q.Methods = "GET *" }, "methods", "alone"},
		"wildcard in a method":  {func(_ *store.Role, q *store.Rule) { q.Methods = "GE*" }, "methods", ""},
		"wildcard in a path":    {func(_ *store.Role, q *store.Rule) { q.Path = "/a/*" }, "path", "%2A"},
		"regexp in a path":      {func(_ *store.Role, q *store.Rule) { q.Path = "/a/(b|c)" }, "path", ""},
		"no path":               {func(_ *store.Role, q *store.Rule) { q.Path = "" }, "path", "slash"},
		"operation of no type":  {func(_ *store.Role, q *store.Rule) { q.Operation = "devices" }, "operation", "query"},
		"operation, two fields": {func(_ *store.Role, q *store.Rule) { q.Operation = "query a b" }, "operation", ""},
		"comma in a scope":      {func(_ *store.Role, q *store.Rule) { q.Scope = "a,b" }, "scope", "commas"},
		"two scopes":            {func(_ *store.Role, q *store.Rule) { q.Scope = "a b" }, "scope", "one scope"},
		"scope beyond ASCII":    {func(_ *store.Role, q *store.Rule) { q.Scope = "é" }, "scope", ""},
		"deny with a scope":     {func(_ *store.Role, q *store.Rule) { q.Deny, q.Scope = true, "a" }, "scope", "escape"},
	} {
		r := role("acme/reader", nil, store.Rule{Number: 7, API: "shop", Methods: "GET", Path: "/a"})
		tt.spoil(r, &r.Rules[0])
		err := policy.CheckRole(r, func(id store.RoleID) *store.Role { return stored[id] })
		field, ok := errors.AsType[*policy.FieldError](err)
		if tt.field == "" {
			if err != nil {
				t.Errorf("%s: got %v, want nothing wrong", name, err)
			}
			continue
		}
		if !ok || field.Field != tt.field || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: got %v, want it about %s, saying %q", name, err, tt.field, tt.says)
		}
	}
}

// All that is wrong is said at once, by rule and field.
func TestCheckRoleSaysEverything(t *testing.T) {
	r := role("acme/a", nil, store.Rule{Number: 2, API: "shop", Methods: "", Path: "/a"}, store.Rule{Number: 1, API: "", Methods: "GET", Path: "a"})
	want := []string{
		"rule 2, methods: want method names parted by one space, such as GET HEAD, or * alone",
		"rule 1, api: want the short name of an API, or *",
		"rule 1, path: a path begins with a slash",
		"rule 1, number: it does not rise; list rules by number, and give a new rule a new one",
	}
	if diff := cmp.Diff(want, strings.Split(policy.CheckRole(r, nil).Error(), "\n")); diff != "" {
		t.Error(diff)
	}
}

func TestCheckLimits(t *testing.T) {
	got, err := policy.CheckLimits([]store.Limit{{Param: "device", Values: []string{"d1", "a,é"}}, {Param: "site"}})
	if diff := cmp.Diff([]store.Limit{{Param: "device", Values: []string{"d1", "a%2C%C3%A9"}}, {Param: "site"}}, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	for _, bad := range [][]store.Limit{{{Param: "{device}"}}, {{Param: ""}}, {{Param: "a"}, {Param: "a"}}, {{Param: "a", Values: []string{"x/y"}}}, {{Param: "a", Values: []string{""}}}} {
		if _, err := policy.CheckLimits(bad); err == nil {
			t.Errorf("%+v was let through", bad)
		}
	}
}

func TestCheckMethods(t *testing.T) {
	for methods, ok := range map[string]bool{"GET": true, "GET HEAD": true, "*": true, "": false, "GET,HEAD": false, "GET *": false, "GET\n": false} {
		if err := policy.CheckMethods(methods); (err == nil) != ok {
			t.Errorf("CheckMethods(%q) = %v", methods, err)
		}
	}
}
