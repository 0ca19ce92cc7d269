package policy

import (
	"iter"
	"slices"
	"strconv"
	"strings"

	"postern/store"
)

// role is a role document, compiled. It does not know its parents' rules.
type role struct {
	tries   []trie
	denies  bool
	doc     *store.Role
	ref     string
	parents []store.RoleID
	opens   int // how much its allow rules open (weight)
	reach   []reach
}

// trie holds the rules of one API.
type trie struct {
	api    string
	root   *node
	folded *node  // for an API that ignores case; root where nothing is in upper case
	rules  []rule // all of the trie
}

// rule is what a decision needs of a rule. What it reads first comes first.
type rule struct {
	methods   string // parted by one space, or *
	op, scope string
	deny      bool
	number    int
	role      *role
	params    []param
	path, id  string
	api       string
}

// param is a parameter of a path and the place of its segment.
type param struct {
	name  string
	place int
}

// reach is what the allow rules of an API ask for. There is one for each API
// with such a rule.
type reach struct {
	api    string
	scopes []string // sorted; empty when the rules ask for none
}

// usable returns the role as decisions take it. A document that CheckRole
// refuses was not written by this version of Postern: a deny that cannot be read
// would be lost if the role were left out, so that it denies everything instead.
func usable(doc *store.Role) (*store.Role, error) {
	err := CheckRole(doc, nil)
	if err == nil {
		return doc, nil
	}
	closed := &store.Role{
		ID: doc.ID, Workspace: doc.Workspace, Ref: doc.Ref,
		Rules: []store.Rule{{API: "*", Methods: "*", Path: "/**", Deny: true}},
	}
	if ws, name, _ := strings.Cut(doc.Ref, "/"); !isSlug(name) || !isSlug(ws) && ws != string(store.Shared) {
		closed.Ref = "*/" + string(doc.ID) // where it counts is for Workspace to say
	}
	return closed, err
}

// compile makes a role of a document that usable returned; once is for names that
// many rules have.
func compile(doc *store.Role, once func(string) string) *role {
	r := &role{doc: doc, ref: doc.Ref, parents: doc.Parents}
	rules, upper := make([]rule, len(doc.Rules)), false
	for i := range doc.Rules {
		from := &doc.Rules[i]
		path, _ := ParsePath(from.Path) // usable has parsed it
		rules[i] = rule{
			methods: once(from.Methods), op: once(from.Operation), scope: once(from.Scope), deny: from.Deny,
			number: from.Number, role: r, params: params(path), path: path, id: ruleID(doc, from), api: once(from.API),
		}
		r.denies = r.denies || from.Deny
		upper = upper || strings.ToLower(path) != path
		if !from.Deny {
			r.opens += rules[i].weight()
			r.reach = join(r.reach, reach{api: from.API, scopes: one(from.Scope)})
		}
	}
	r.tries = plantAll(rules, upper)
	return r
}

// plantAll makes the tries of each API of rules that lie in order of number.
func plantAll(rules []rule, upper bool) (tries []trie) {
	slices.SortStableFunc(rules, func(a, b rule) int { return strings.Compare(a.api, b.api) })
	for start := 0; start < len(rules); {
		t := trie{api: rules[start].api}
		end := start + 1
		for end < len(rules) && rules[end].api == t.api {
			end++
		}
		t.root, t.rules = plant(rules[start:end], false)
		if t.folded = t.root; upper {
			t.folded, _ = plant(rules[start:end], true)
		}
		tries = append(tries, t)
		start = end
	}
	return tries
}

// ruleID is what usage counts by.
func ruleID(r *store.Role, rule *store.Rule) string { return r.Ref + "#" + strconv.Itoa(rule.Number) }

func params(pattern string) (out []param) {
	place := 0
	for s := range strings.SplitSeq(pattern, "/") {
		if strings.HasPrefix(s, "{") {
			out = append(out, param{s[1 : len(s)-1], place})
		}
		place++
	}
	return out
}

// before reports whether the rule is named rather than another: rules are
// ordered by their role's ref, then by number.
func (r *rule) before(o *rule) bool {
	if r.role == o.role {
		return r.number < o.number
	}
	return r.role.ref < o.role.ref
}

// weight is what an allow rule opens: 1, tenfold for any method, for any API and
// for a parameter, a hundredfold for /**.
func (r *rule) weight() int {
	w := 1
	if r.methods == "*" {
		w *= 10
	}
	if r.api == "*" {
		w *= 10
	}
	if len(r.params) > 0 {
		w *= 10
	}
	if strings.HasSuffix(r.path, "/**") {
		w *= 100
	}
	return w
}

// join adds what an API's rules ask for to a list, in place of its own entry
// for the API.
func join(list []reach, more reach) []reach {
	i := slices.IndexFunc(list, func(r reach) bool { return r.api == more.api })
	if i < 0 {
		return append(list, more)
	}
	list[i].scopes = union(list[i].scopes, more.scopes)
	return list
}

func one(scope string) []string {
	if scope == "" {
		return nil
	}
	return []string{scope}
}

// union joins two sorted lists without repetitions. It changes neither, and
// returns one of them when it has all.
func union(a, b []string) []string {
	if len(b) > len(a) {
		a, b = b, a
	}
	if contains(a, b) {
		return a
	}
	out := make([]string, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		switch c := strings.Compare(a[0], b[0]); {
		case c < 0:
			out, a = append(out, a[0]), a[1:]
		case c > 0:
			out, b = append(out, b[0]), b[1:]
		default:
			out, a, b = append(out, a[0]), a[1:], b[1:]
		}
	}
	return append(append(out, a...), b...)
}

// contains reports whether a sorted list has all of another.
func contains(all, some []string) bool {
	for _, s := range some {
		for len(all) > 0 && all[0] < s {
			all = all[1:]
		}
		if len(all) == 0 || all[0] != s {
			return false
		}
	}
	return true
}

// rules yields the rules of all APIs.
func (r *role) rules() iter.Seq[*rule] {
	return func(yield func(*rule) bool) {
		for i := range r.tries {
			for j := range r.tries[i].rules {
				if !yield(&r.tries[i].rules[j]) {
					return
				}
			}
		}
	}
}
