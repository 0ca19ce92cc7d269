package policy

import (
	"slices"
	"strings"

	"postern/store"
)

// Explanation says what decided and, for a plain refusal, what is missing. It is
// for those who may see the workspace's roles, never for the caller.
type Explanation struct {
	Decision
	// Via is what the deciding allow rule counts through.
	Via *Via `json:"via,omitempty"`
	// Missing is what would be enough, and no less; nil where nothing is
	// missing, or no role of the workspace would do.
	Missing []Need `json:"missing,omitempty"`
	// Nearest is then the id of the allow rule that fits best.
	Nearest string `json:"nearest,omitempty"`
}

// Via is a granted role.
type Via struct {
	Grant  store.GrantID  `json:"grant"`
	Holder store.HolderID `json:"holder"` // the account, or the team
	Role   string         `json:"role"`   // its ref
	Limits []store.Limit  `json:"limits,omitempty"`
}

// Need is one change without which a call is refused.
type Need struct {
	Kind   NeedKind      `json:"kind"`
	Role   string        `json:"role,omitempty"`    // the ref of the role to be granted, left with, limited less, or that is the licence
	RoleID store.RoleID  `json:"role_id,omitempty"` // the same role
	Scope  string        `json:"scope,omitempty"`   // for NeedScope
	Grant  store.GrantID `json:"grant,omitempty"`   // for NeedValue: the grant,
	Place  int           `json:"place,omitempty"`   // and which of its roles, from 0
	Param  string        `json:"param,omitempty"`   // for NeedValue: the limit,
	Value  string        `json:"value,omitempty"`   // and what it lacks
}

// NeedKind says what is to be changed.
type NeedKind string

// The kinds of changes.
const (
	NeedScope   NeedKind = "scope"   // the caller asks for a token with it
	NeedLeft    NeedKind = "left"    // the client's owner leaves it with the role
	NeedValue   NeedKind = "value"   // an administrator adds the value to a limit
	NeedRole    NeedKind = "role"    // an administrator grants the role, without limits
	NeedLicence NeedKind = "licence" // the account gets another licence

	NeedPersonal NeedKind = "personal" // the workspace's settings let the person use personal tokens
)

// need is a set of kinds of changes to suppose.
type need uint8

const (
	scopes need = 1 << iota
	narrowing
	limits
	newRole
)

// attempts lists what to suppose: the fewest kinds of changes first and, of as
// many, what the least powerful person can do.
func attempts() []need {
	return []need{
		0, scopes, narrowing, limits, newRole,
		scopes | narrowing, scopes | limits, narrowing | limits, scopes | newRole, narrowing | newRole,
		scopes | narrowing | limits, scopes | narrowing | newRole,
	}
}

// Explain decides and says why.
func (e *Engine) Explain(c *Caller, r *Request) Explanation {
	s := e.state.Load()
	if c.Personal && !s.mayUsePersonal(c.Holder, r.Workspace) {
		return Explanation{Decision: Decision{Reason: NoRule}, Missing: []Need{{Kind: NeedPersonal}}}
	}
	d, at := s.decide(c, r)
	x := Explanation{Decision: d}
	w := s.space(r.Workspace)
	if w == nil {
		return x
	}
	if at.role != nil {
		x.Via = &Via{at.grant.ID, at.grant.Holder, s.role(w, at.role.Role).ref, at.role.Limits}
	}
	if d.Reason != NoRule && d.Reason != Exceeded {
		return x
	}
	for _, n := range attempts() {
		if x.Missing = s.missing(w, c, r, n); x.Missing != nil {
			return x
		}
	}
	x.Nearest = s.nearest(w, c, r)
	return x
}

// missing returns the changes of these kinds that, made, allow the call; nil
// where they do not.
func (s *state) missing(w *space, c *Caller, r *Request, n need) (out []Need) {
	q := s.query(c, r, n)
	var granted *linked
	if n&newRole != 0 {
		q, granted = s.candidate(w, c, r, n)
	} else {
		q.grants(w)
	}
	if q.allow == nil || q.deny != nil {
		return nil
	}
	if n&scopes != 0 {
		out = append(out, Need{Kind: NeedScope, Scope: q.allow.scope})
	}
	if n&narrowing != 0 {
		out = append(out, Need{Kind: NeedLeft, Role: q.allow.role.ref, RoleID: q.allow.role.doc.ID})
	}
	if granted != nil {
		out = append(out, Need{Kind: NeedRole, Role: granted.ref, RoleID: granted.doc.ID})
	} else {
		out = append(out, q.values(w)...)
	}
	if id := c.licence(); id != "" && s.ceiling(c, r).allow == nil {
		lack := Need{Kind: NeedLicence, RoleID: id}
		if l := s.shared.roles.get(id); l != nil {
			lack.Role = l.ref
		}
		out = append(out, lack)
	}
	return out
}

// values returns the values that the limits of the allow rule's grant lack.
func (q *query) values(w *space) (out []Need) {
	held, grant, place := q.via.role, q.via.grant, 0
	for &grant.Roles[place] != held {
		place++
	}
	for i := range held.Limits {
		if value, broken := q.breaks(q.allow, &held.Limits[i]); broken {
			out = append(out, Need{
				Kind: NeedValue, Role: q.s.role(w, held.Role).ref, RoleID: held.Role,
				Grant: grant.ID, Place: place, Param: held.Limits[i].Param, Value: value,
			})
		}
	}
	return out
}

// candidate returns the role that opens least of those that would allow the call
// if they were granted, with its evaluation.
func (s *state) candidate(w *space, c *Caller, r *Request, n need) (best query, role *linked) {
	least, left := 0, s.left(w, c, nil)
	for _, l := range s.known(w, c) {
		q := s.query(c, r, n)
		q.grant(w, &store.Grant{Workspace: r.Workspace, Roles: []store.GrantedRole{{Role: l.doc.ID}}}, left)
		if opens := l.opensAll(); q.allow != nil && q.deny == nil && (role == nil || opens < least) {
			best, role, least = q, l, opens
		}
	}
	return best, role
}

// opensAll adds up what a role opens with all that it inherits.
func (l *linked) opensAll() (sum int) {
	for r := range l.closure() {
		sum += r.opens
	}
	return sum
}

// known returns the workspace's roles and the shared ones, less the licence,
// ordered by ref.
func (s *state) known(w *space, c *Caller) (roles []*linked) {
	for _, from := range []*space{w, s.shared} {
		for id, l := range from.roles.all() {
			if id != c.licence() {
				roles = append(roles, l)
			}
		}
	}
	slices.SortFunc(roles, func(a, b *linked) int { return strings.Compare(a.ref, b.ref) })
	return roles
}

// nearest returns the first of the allow rules that differ least from the call.
func (s *state) nearest(w *space, c *Caller, r *Request) string {
	q := s.query(c, r, 0)
	var best *rule
	least := 0
	for _, l := range s.known(w, c) {
		for rule := range l.rules() {
			if rule.deny {
				continue
			}
			if d := q.distance(rule); best == nil || d < least || d == least && rule.before(best) {
				best, least = rule, d
			}
		}
	}
	return best.name()
}

// distance is how much a rule differs from the call: by 1 for the method and
// for the operation, 2 for each segment, 4 for the API.
func (q *query) distance(rule *rule) (d int) {
	if !includes(rule.methods, q.r.Method) {
		d++
	}
	if rule.op != "" && !operates(q.r.Operation, rule.op, false) {
		d++
	}
	if rule.api != "*" && rule.api != q.r.API {
		d += 4
	}
	path := rule.path
	if q.fold {
		path = shape(path, true)
	}
	want, have := strings.Split(path, "/"), strings.Split(q.r.Path, "/")
	for i, s := range want {
		if s == "**" {
			have = have[:min(i, len(have))]
		} else if i >= len(have) || s != have[i] && !strings.HasPrefix(s, "{") {
			d += 2
		}
	}
	return d + 2*max(0, len(have)-len(want))
}
