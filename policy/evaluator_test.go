package policy_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"postern/policy"
	"postern/store"
)

func (w *world) String() (s string) {
	for _, r := range w.all() {
		s += fmt.Sprintf("%T %+v\n", r, r)
	}
	return s
}

// closure returns a role and what it inherits in a workspace: what policy means,
// written down once more.
func (w *world) closure(id store.RoleID, ws store.WorkspaceID) (out []*store.Role) {
	level := []store.RoleID{id}
	for range 11 {
		var next []store.RoleID
		for _, id := range level {
			r, _ := w.records[string(id)].(*store.Role)
			if r == nil || r.Workspace != ws && r.Workspace != store.Shared || slices.Contains(out, r) {
				continue
			}
			out = append(out, r)
			for _, p := range r.Parents {
				parent, _ := w.records[string(p)].(*store.Role)
				if policy.CheckRole(r, nil) == nil && parent != nil && (parent.Workspace == r.Workspace || parent.Workspace == store.Shared) {
					next = append(next, p)
				}
			}
		}
		level = next
	}
	return out
}

func (w *world) inherits(from, to store.RoleID, ws store.WorkspaceID) bool {
	return slices.ContainsFunc(w.closure(from, ws), func(r *store.Role) bool { return r.ID == to })
}

// granted returns what the caller and its teams were granted in a workspace.
func (w *world) granted(c *policy.Caller, ws store.WorkspaceID) (out []store.GrantedRole) {
	grants := slices.Clone(c.Holder.Grants)
	for _, t := range c.Holder.Account.Teams {
		if g, ok := w.records[string(t)+"@"+string(ws)].(*store.Grant); ok {
			grants = append(grants, g)
		}
	}
	for _, g := range grants {
		if g.Workspace == ws && w.records[string(ws)] != nil {
			out = append(out, g.Roles...)
		}
	}
	return out
}

// allows is the meaning of a decision in twenty lines.
func (w *world) allows(c *policy.Caller, r *policy.Request) bool {
	left := func(role *store.Role) bool {
		return !c.Narrowed || slices.ContainsFunc(c.Roles, func(l store.RoleID) bool { return w.inherits(l, role.ID, r.Workspace) })
	}
	allow, deny := false, false
	for _, g := range w.granted(c, r.Workspace) {
		for _, role := range w.closure(g.Role, r.Workspace) {
			a, d := w.rules(role, r, g.Limits, func(scope string) bool { return c.AnyScope || slices.Contains(c.Scopes, scope) })
			allow, deny = allow || a && left(role), deny || d
		}
	}
	if l := c.Holder.Account.Licence; l != "" && !c.NoLicence {
		bound := false
		for _, role := range w.closure(l, store.Shared) {
			a, d := w.rules(role, r, nil, func(string) bool { return true })
			bound, deny = bound || a, deny || d
		}
		allow = allow && bound
	}
	return allow && !deny
}

// rules tells whether rules of a role allow or deny a call.
func (w *world) rules(role *store.Role, r *policy.Request, limits []store.Limit, has func(string) bool) (allow, deny bool) {
	if policy.CheckRole(role, nil) != nil {
		return false, strings.HasPrefix(r.Path, "/")
	}
	kind, field, known := strings.Cut(r.Operation, " ")
	for _, rule := range role.Rules {
		methods := strings.Split(rule.Methods, " ")
		k, f, _ := strings.Cut(rule.Operation, " ")
		operation := rule.Operation == "" || rule.Deny && !known || known && (k == "*" || k == kind) && (f == "*" || f == field)
		values, matches := w.match(rule.Path, r)
		if (rule.API != "*" && rule.API != r.API) || rule.Methods != "*" && !slices.Contains(methods, r.Method) || !operation || !matches {
			continue
		}
		beyond := slices.ContainsFunc(limits, func(l store.Limit) bool {
			v, ok := values[l.Param]
			return ok && !slices.ContainsFunc(l.Values, func(have string) bool { return have == v || w.folds(r.API) && strings.EqualFold(have, v) })
		})
		deny = deny || rule.Deny
		allow = allow || !rule.Deny && !beyond && (rule.Scope == "" || has(rule.Scope))
	}
	return allow, deny
}

// match turns a pattern into a regular expression.
func (w *world) match(pattern string, r *policy.Request) (map[string]string, bool) {
	pattern, _ = policy.ParsePath(pattern)
	body, open := strings.CutSuffix(pattern, "/**")
	exp := "^"
	var names []string
	for s := range strings.SplitSeq(strings.TrimPrefix(body, "/"), "/") {
		switch {
		case body == "":
		case strings.HasPrefix(s, "{"):
			exp, names = exp+"/([^/]+)", append(names, s[1:len(s)-1])
		case w.folds(r.API):
			low, _ := policy.Canonical("/"+s, policy.Relaxed{FoldCase: true})
			exp += regexp.QuoteMeta(low)
		default:
			exp += "/" + regexp.QuoteMeta(s)
		}
	}
	if open {
		exp += "(?:/.*)?"
	}
	if !strings.HasPrefix(r.Path, "/") {
		return nil, false
	}
	if w.regexps[exp] == nil {
		w.regexps[exp] = regexp.MustCompile(exp + "$")
	}
	found := w.regexps[exp].FindStringSubmatch(r.Path)
	values := map[string]string{}
	for i, name := range names {
		if found != nil {
			values[name] = found[i+1]
		}
	}
	return values, found != nil
}

// Scopes, Reaches, RolesOf and Covers are what their comments say, spelled out.
func TestReachAgainstDefinition(t *testing.T) {
	found := map[string]int{}
	for seed := range uint64(200) {
		w := newWorld(seed + 900)
		e := loaded(t, policy.Options{}, w.all()...)
		for range 60 {
			r, c := w.request(), w.caller()
			ws, spaces := r.Workspace, []store.WorkspaceID{r.Workspace}
			if w.IntN(3) == 0 {
				ws, spaces = "", []store.WorkspaceID{workspaceID("acme"), workspaceID("globex"), workspaceID("gone")}
			}
			if ws == "" {
				spaces = []store.WorkspaceID{workspaceID("acme"), workspaceID("globex"), workspaceID("gone")}
			}
			apis := pick(w, []string{"shop"}, []string{"iot", "shop"}, nil, []string{r.API})
			scopes, refs, reached := w.reach(c, spaces, apis)
			if got := e.Scopes(c, ws, apis); !slices.Equal(got, scopes) {
				t.Fatalf("Scopes(%+v, %q, %v) = %v, want %v\n%s", *c, ws, apis, got, scopes, w)
			}
			if got := e.RolesOf(c, ws); !slices.Equal(got, refs) {
				t.Fatalf("RolesOf(%+v, %q) = %v, want %v\n%s", *c, ws, got, refs, w)
			}
			if len(apis) == 1 && e.Reaches(c, ws, apis[0]) != reached {
				t.Fatalf("Reaches(%+v, %q, %v) = %t\n%s", *c, ws, apis, !reached, w)
			}
			g := w.grant("svc-y", "acme").Roles[0]
			if got, want := e.Covers(c, r.Workspace, g), w.covers(c, r.Workspace, g); got != want {
				t.Fatalf("Covers(%+v, %q, %+v) = %t\n%s", *c, r.Workspace, g, got, w)
			} else if want {
				found["covers"]++
			}
			found["scopes"] += len(scopes)
			found["refs"] += len(refs)
		}
	}
	if len(found) != 3 {
		t.Errorf("some never came up: %v", found)
	}
}

func (w *world) reach(c *policy.Caller, spaces []store.WorkspaceID, apis []string) (scopes, refs []string, reached bool) {
	for _, ws := range spaces {
		for _, g := range w.granted(c, ws) {
			for i, r := range w.closure(g.Role, ws) {
				if i == 0 && !c.Narrowed || c.Narrowed && slices.Contains(c.Roles, r.ID) {
					refs = append(refs, r.Ref)
				}
				if c.Narrowed && !slices.ContainsFunc(c.Roles, func(l store.RoleID) bool { return w.inherits(l, r.ID, ws) }) {
					continue
				}
				for _, rule := range r.Rules {
					if policy.CheckRole(r, nil) != nil || rule.Deny || len(apis) == 0 || rule.API != "*" && !slices.Contains(apis, rule.API) {
						continue
					}
					if reached = true; rule.Scope != "" {
						scopes = append(scopes, rule.Scope)
					}
				}
			}
		}
	}
	slices.Sort(scopes)
	slices.Sort(refs)
	return slices.Compact(scopes), slices.Compact(refs), reached
}

func (w *world) covers(c *policy.Caller, ws store.WorkspaceID, g store.GrantedRole) bool {
	every := w.closure(g.Role, ws)
	for _, held := range w.granted(c, ws) {
		ok := len(every) > 0
		for _, r := range every {
			ok = ok && w.inherits(held.Role, r.ID, ws) &&
				(!c.Narrowed || slices.ContainsFunc(c.Roles, func(l store.RoleID) bool { return w.inherits(l, r.ID, ws) }))
		}
		for _, wide := range held.Limits {
			tight := false
			for _, l := range g.Limits {
				outside := func(v string) bool { return !slices.Contains(wide.Values, v) }
				tight = tight || l.Param == wide.Param && !slices.ContainsFunc(l.Values, outside)
			}
			ok = ok && tight
		}
		if ok {
			return true
		}
	}
	return false
}
