package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"postern/store"
)

// maxDepth is how many levels of parents count: Casbin's role manager looks no
// further.
const maxDepth = 10

// FieldError says what is wrong with one field of a role, and what to do.
type FieldError struct {
	Rule    int    // the number of the rule; 0 for the role itself
	Field   string // as in the role's JSON
	Problem string
}

func (e *FieldError) Error() string {
	if e.Rule == 0 {
		return e.Field + ": " + e.Problem
	}
	return fmt.Sprintf("rule %d, %s: %s", e.Rule, e.Field, e.Problem)
}

// CheckRole returns all that is wrong with a role as joined *FieldErrors, or
// nil. With parents, which returns the stored role of an id or nil, it also
// checks what the role inherits; whether roles that inherit this one become too
// deep is for their own check. Whether the rules' APIs exist is not looked at.
func CheckRole(r *store.Role, parents func(store.RoleID) *store.Role) error {
	c := checker{}
	c.role(r)
	for i := range r.Rules {
		c.rule(&r.Rules[i])
		if i > 0 && r.Rules[i].Number <= r.Rules[i-1].Number {
			c.fail(r.Rules[i].Number, "number", "it does not rise; list rules by number, and give a new rule a new one")
		}
	}
	if parents != nil {
		c.parents(r, parents)
	}
	return errors.Join(c.errs...)
}

type checker struct{ errs []error }

func (c *checker) fail(rule int, field, problem string) {
	c.errs = append(c.errs, &FieldError{rule, field, problem})
}

func (c *checker) role(r *store.Role) {
	ws, name, _ := strings.Cut(r.Ref, "/")
	if !isSlug(ws) && ws != string(store.Shared) || !isSlug(name) {
		c.fail(0, "ref", "want workspace/name or */name, each of at most 63 lower-case letters, digits and hyphens")
	}
	if (ws == string(store.Shared)) != (r.Workspace == store.Shared) || r.Workspace == "" {
		c.fail(0, "workspace", "it is not the one that the role's ref names")
	}
	for i, p := range r.Parents {
		if slices.Contains(r.Parents[:i], p) {
			c.fail(0, "parents", fmt.Sprintf("%s stands twice; name it once", p))
		}
	}
}

func (c *checker) rule(r *store.Rule) {
	if r.Number < 1 {
		c.fail(r.Number, "number", "want 1 or more")
	}
	if r.API != "*" && !isSlug(r.API) {
		c.fail(r.Number, "api", "want the short name of an API, or *")
	}
	if !isMethods(r.Methods) {
		c.fail(r.Number, "methods", "want method names parted by one space, such as GET HEAD, or * alone")
	}
	if _, err := ParsePath(r.Path); err != nil {
		c.fail(r.Number, "path", err.Error())
	}
	if !isOperation(r.Operation) {
		c.fail(r.Number, "operation", "want query, mutation, subscription or *, a space, and the name of a root field or *; or leave it empty")
	}
	if !isScope(r.Scope) {
		c.fail(r.Number, "scope", `want one scope without blanks, commas, quotes and backslashes, or leave it empty`)
	}
	if r.Deny && r.Scope != "" {
		c.fail(r.Number, "scope", "a deny cannot ask for a scope: whoever does not ask for it would escape; leave it empty")
	}
}

// parents walks what the role inherits, following each role once.
func (c *checker) parents(r *store.Role, stored func(store.RoleID) *store.Role) {
	levels := map[store.RoleID]int{} // how many levels of parents a role has
	var chain []*store.Role
	var walk func(*store.Role) (int, bool)
	walk = func(at *store.Role) (int, bool) {
		if i := slices.IndexFunc(chain, func(o *store.Role) bool { return o.ID == at.ID }); i >= 0 {
			c.fail(0, "parents", "a role would inherit itself: "+refs(append(slices.Clone(chain[i:]), at))+"; leave one of these out")
			return 0, false
		}
		if n, done := levels[at.ID]; done {
			return n, true
		}
		chain = append(chain, at)
		defer func() { chain = chain[:len(chain)-1] }()
		deepest := 0
		for _, id := range at.Parents {
			p := stored(id)
			if id == r.ID {
				p = r
			}
			if at == r && (p == nil || p.Workspace != r.Workspace && p.Workspace != store.Shared) {
				c.fail(0, "parents", fmt.Sprintf("%s is neither a role of this workspace nor a shared one", id))
			}
			if p == nil {
				continue
			}
			n, ok := walk(p)
			if !ok {
				return 0, false
			}
			deepest = max(deepest, n+1)
		}
		levels[at.ID] = deepest
		return deepest, true
	}
	if n, ok := walk(r); ok && n > maxDepth {
		c.fail(0, "parents", fmt.Sprintf("roles would be inherited over %d levels, and %d count; inherit from fewer, or name what is needed directly", n, maxDepth))
	}
}

func refs(roles []*store.Role) string {
	names := make([]string, len(roles))
	for i, r := range roles {
		names[i] = r.Ref
	}
	return strings.Join(names, " → ")
}

// CheckLimits returns limits with their values in canonical spelling. It
// refuses parameters that no path can have, and those named twice.
func CheckLimits(limits []store.Limit) ([]store.Limit, error) {
	var out []store.Limit
	var errs []error
	for i, l := range limits {
		if !isName(l.Param) {
			errs = append(errs, fmt.Errorf("limit %d: %q is no parameter's name; want the name without braces", i+1, l.Param))
		}
		if slices.ContainsFunc(limits[:i], func(o store.Limit) bool { return o.Param == l.Param }) {
			errs = append(errs, fmt.Errorf("limit %d: %s stands twice; join the values", i+1, l.Param))
		}
		spelled := store.Limit{Param: l.Param}
		for _, v := range l.Values {
			s, err := Segment(v)
			if err != nil {
				errs = append(errs, fmt.Errorf("limit %d, value %q: %w", i+1, v, err))
			}
			spelled.Values = append(spelled.Values, s)
		}
		out = append(out, spelled)
	}
	return out, errors.Join(errs...)
}

// isSlug reports whether s is a name: lower-case letters, digits and hyphens.
func isSlug(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isDigit(c) && (c < 'a' || 'z' < c) && (c != '-' || i == 0) {
			return false
		}
	}
	return s != "" && len(s) <= 63
}

// isMethods reports whether s is * or tokens (RFC 9110 section 5.6.2) parted by
// one space. A star within a method would look like a wildcard.
func isMethods(s string) bool {
	if s == "*" {
		return true
	}
	for m := range strings.SplitSeq(s, " ") {
		if m == "" {
			return false
		}
		for i := range len(m) {
			if c := m[i]; !isLetter(c) && !isDigit(c) && strings.IndexByte("!#$%&'+.^_`|~-", c) < 0 {
				return false
			}
		}
	}
	return true
}

func isOperation(s string) bool {
	if s == "" {
		return true
	}
	kind, field, _ := strings.Cut(s, " ")
	switch kind {
	case "query", "mutation", "subscription", "*":
		return field == "*" || isField(field)
	}
	return false
}

// isField reports whether s is a GraphQL name.
func isField(s string) bool {
	for i := range len(s) {
		if c := s[i]; c != '_' && !isLetter(c) && (i == 0 || !isDigit(c)) {
			return false
		}
	}
	return s != ""
}

// isScope reports whether s is empty or a scope-token (RFC 6749 section 3.3)
// without a comma: Casbin tells rows apart by joining fields with commas.
func isScope(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c == '"' || c == ',' || c == '\\' || c >= 0x7f {
			return false
		}
	}
	return true
}
