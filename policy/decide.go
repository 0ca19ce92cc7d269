package policy

import (
	"slices"
	"strings"

	"postern/store"
)

// Caller is who makes calls. Nothing of it is kept or changed.
type Caller struct {
	Holder   *store.Holder  // the account with its own grants; required
	Narrowed bool           // the client is left with Roles only; an empty list is nothing
	Roles    []store.RoleID // means nothing unless Narrowed
	Scopes   []string       // of the token
	AnyScope bool           // the secret itself came as bearer: there is no token to narrow
	// Personal: the client is a person's own token, which counts only in
	// workspaces whose settings let this person use one (MayUsePersonal).
	Personal bool
	// NoLicence lifts the account's licence. It gives nothing by itself.
	NoLicence bool
}

// licence returns the role that bounds the caller, if any does.
func (c *Caller) licence() store.RoleID {
	if c.NoLicence {
		return ""
	}
	return c.Holder.Account.Licence
}

// Request is one call, or one root field of a GraphQL call.
type Request struct {
	Workspace store.WorkspaceID
	API       string // its short name
	Method    string
	Path      string // as Canonical returned it
	Operation string // "query devices"; empty when there is none, or it is unknown
}

// Decision is a verdict, and what made it.
type Decision struct {
	Allowed bool   `json:"allowed"`
	Reason  Reason `json:"reason"`
	Rule    string `json:"rule,omitempty"`    // the deciding rule of the grants, such as acme/reader#3
	Ceiling string `json:"ceiling,omitempty"` // the deciding rule of the licence
	Pattern string `json:"pattern,omitempty"` // the path of the rule that decided
}

// Reason says in a word what decided.
type Reason string

// The reasons for a decision. Of several that apply, the first is given.
const (
	Denied   Reason = "a rule denies"
	Forbids  Reason = "the licence denies"
	NoRule   Reason = "no rule allows"
	Exceeded Reason = "the licence does not reach so far"
	Granted  Reason = "granted"
)

// verdict joins what the grants and the licence say. Each is allowed or not, by
// a rule if it names one; a refusal that names a rule is a deny.
func verdict(held, bound bool, rule, ceiling string) Decision {
	d := Decision{Rule: rule, Ceiling: ceiling}
	switch {
	case !held && rule != "":
		d.Reason = Denied
	case !bound && ceiling != "":
		d.Reason = Forbids
	case !held:
		d.Reason = NoRule
	case !bound:
		d.Reason = Exceeded
	default:
		d.Allowed, d.Reason = true, Granted
	}
	return d
}

// query is one evaluation of grants, or of a licence. It stays on the stack.
type query struct {
	s        *state
	c        *Caller
	r        *Request
	fold     bool      // the API ignores case
	waive    need      // what Explain supposes away
	onlyDeny bool      // the client was not left with the role that is looked at
	at       grantedAt // the role that is looked at was granted here
	allow    *rule
	deny     *rule
	via      grantedAt // of allow
	over     int       // how many limits of via it exceeds
}

// grantedAt is a granted role with the grant it stands in; nil for a licence.
type grantedAt struct {
	grant *store.Grant
	role  *store.GrantedRole
}

func (s *state) query(c *Caller, r *Request, waive need) query {
	return query{s: s, c: c, r: r, waive: waive, fold: len(s.folds) > 0 && s.folds[r.API] != nil}
}

func (s *state) decide(c *Caller, r *Request) (Decision, grantedAt) {
	q := s.query(c, r, 0)
	if w := s.space(r.Workspace); w != nil {
		q.grants(w)
	}
	rule := q.named()
	if c.licence() == "" {
		d := verdict(rule != nil && !rule.deny, true, rule.name(), "")
		d.Pattern = rule.pattern()
		return d, q.via
	}
	b := s.ceiling(c, r)
	bound := b.named()
	d := verdict(rule != nil && !rule.deny, bound != nil && !bound.deny, rule.name(), bound.name())
	if d.Pattern = rule.pattern(); d.Reason == Forbids {
		d.Pattern = bound.pattern()
	}
	return d, q.via
}

// ceiling evaluates the licence, a shared role. It bounds the account, so that
// the token's scopes and the client's narrowing do not matter.
func (s *state) ceiling(c *Caller, r *Request) query {
	q := s.query(c, r, scopes)
	if l := s.shared.roles.get(c.licence()); l != nil {
		q.role(l.role)
		for _, role := range l.inherited {
			q.role(role)
		}
	}
	return q
}

// grants evaluates the account's grants in a workspace, and its teams'.
func (q *query) grants(w *space) {
	var buf [8]*linked
	left := buf[:0]
	if q.c.Narrowed && q.waive&narrowing == 0 {
		left = q.s.left(w, q.c, left)
	}
	for _, g := range q.c.Holder.Grants {
		if g.Workspace == q.r.Workspace {
			q.grant(w, g, left)
		}
	}
	for _, t := range q.c.Holder.Account.Teams {
		if g := q.s.granted(t, q.r.Workspace); g != nil {
			q.grant(w, g, left)
		}
	}
}

// left returns the roles that a narrowed client was left with.
func (s *state) left(w *space, c *Caller, to []*linked) []*linked {
	for _, id := range c.Roles {
		if l := s.role(w, id); l != nil {
			to = append(to, l)
		}
	}
	return to
}

// grant evaluates the roles of a grant, for a client that was left with some.
func (q *query) grant(w *space, g *store.Grant, left []*linked) {
	for i := range g.Roles {
		held := &g.Roles[i]
		l := q.s.role(w, held.Role)
		if l == nil {
			continue
		}
		q.at = grantedAt{g, held}
		q.held(l.role, left)
		for _, role := range l.inherited {
			q.held(role, left)
		}
	}
}

// held evaluates a role that a grant reaches.
func (q *query) held(r *role, left []*linked) {
	q.onlyDeny = q.c.Narrowed && q.waive&narrowing == 0 && !reaches(left, r)
	if !q.onlyDeny || r.denies {
		q.role(r)
	}
}

// reaches reports whether one of the roles is the wanted one, or inherits it.
func reaches(from []*linked, wanted *role) bool {
	for _, l := range from {
		if l.has(wanted) {
			return true
		}
	}
	return false
}

func (q *query) role(r *role) {
	if q.r.Path == "" || q.r.Path[0] != '/' {
		return
	}
	path := q.r.Path[1:]
	for i := range r.tries {
		t := &r.tries[i]
		if t.api != q.r.API && t.api != "*" {
			continue
		}
		root := t.root
		if q.fold {
			root = t.folded
		}
		root.walk(path, path != "", q)
	}
}

// match keeps the first rule of each effect. Where Explain waives limits, that
// is the first allow of those that exceed the fewest.
func (q *query) match(rules []rule) {
	for i := range rules {
		r := &rules[i]
		if !includes(r.methods, q.r.Method) || r.op != "" && !operates(q.r.Operation, r.op, r.deny) {
			continue
		}
		if r.deny {
			if q.deny == nil || r.before(q.deny) {
				q.deny = r
			}
			continue
		}
		if q.onlyDeny || r.scope != "" && !q.c.AnyScope && q.waive&scopes == 0 && !slices.Contains(q.c.Scopes, r.scope) {
			continue
		}
		over := 0
		if q.at.role != nil && len(q.at.role.Limits) > 0 && len(r.params) > 0 {
			over = q.exceeds(r)
		}
		if over > 0 && q.waive&limits == 0 {
			continue
		}
		if q.allow == nil || over < q.over || over == q.over && r.before(q.allow) {
			q.allow, q.via, q.over = r, q.at, over
		}
	}
}

// exceeds counts the limits that a rule which matches the path breaks.
func (q *query) exceeds(r *rule) (over int) {
	for i := range q.at.role.Limits {
		if _, broken := q.breaks(r, &q.at.role.Limits[i]); broken {
			over++
		}
	}
	return over
}

// breaks reports whether the call has another value than a limit allows, and which.
func (q *query) breaks(r *rule, l *store.Limit) (value string, broken bool) {
	for i := range r.params {
		if r.params[i].name == l.Param {
			value = nth(q.r.Path, r.params[i].place)
			return value, !allows(l, value, q.fold)
		}
	}
	return "", false
}

// allows reports whether a limit has a value.
func allows(l *store.Limit, value string, fold bool) bool {
	if fold {
		return slices.ContainsFunc(l.Values, func(v string) bool { return strings.EqualFold(v, value) })
	}
	return slices.Contains(l.Values, value)
}

// operates reports whether a rule's operation covers the call's. That may be
// unknown, where a gateway passes no body: then no allow rule that names an
// operation applies, and every deny rule does.
func operates(call, rule string, deny bool) bool {
	kind, field, known := strings.Cut(call, " ")
	if !known {
		return deny
	}
	k, f, _ := strings.Cut(rule, " ")
	return (k == "*" || k == kind) && (f == "*" || f == field)
}

func (q *query) named() *rule {
	if q.deny != nil {
		return q.deny
	}
	return q.allow
}

// name is the rule's id, empty for none.
func (r *rule) name() string {
	if r == nil {
		return ""
	}
	return r.id
}

// pattern is the rule's path, empty for none.
func (r *rule) pattern() string {
	if r == nil {
		return ""
	}
	return r.path
}
