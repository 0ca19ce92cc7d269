package policy

import (
	"slices"
	"strings"

	"postern/store"
)

// Span is a part of an API that is looked at for what a caller may call.
type Span struct {
	API store.APIID
	// Workspaces is the one that calls are decided in; of Postern's own API, that
	// and system: one must allow, and a rule that denies in either denies.
	Workspaces []store.WorkspaceID
	// Param, unless it is empty, names a parameter of the catalogue's paths that
	// must have one of Values, and be there unless it is Optional.
	Param    string
	Values   []string
	Optional bool
}

// What looking may cost, in decisions. Rules that deny many of the values of
// several limits are tried value by value; what is not found by then is left out.
const (
	maxTries     = 20_000    // for an endpoint
	maxTriesEver = 1_000_000 // for an API
)

// Survey is one look at an API, as it is at one time. It is for one goroutine.
type Survey struct {
	s    *state
	a    *catalogue
	at   Span
	fold bool

	entries  []listing
	public   []way
	callers  []surveyed
	names    map[string]bool // every literal of a path, method and field of GraphQL
	segment  string          // none of them
	method   string
	field    string
	longest  int // segments of a pattern
	triesAll int
	tries    int
	place    int // of the endpoint that is looked at
}

// surveyed is a caller with the ways in which its calls can come to be allowed.
type surveyed struct {
	*Caller

	workspaces []store.WorkspaceID // of the span, those where it counts
	ways       []way
}

// way is how calls can come to be allowed: by a rule, bounded by the limits it
// was granted with, under a rule of the licence.
type way struct {
	form    form
	methods string
	op      string
	public  bool
	limits  []limitAt
}

// listing is an endpoint of the catalogue.
type listing struct {
	place   int
	form    form
	graphql bool
}

// limitAt is the values that a segment may have.
type limitAt struct {
	place  int
	values []string
}

// Survey looks at an API for what all of some callers may call, as one who calls
// and those that act for it must. With no caller it is what is public. It returns
// nil where there is no such API.
func (e *Engine) Survey(callers []*Caller, at Span) *Survey {
	s := e.state.Load()
	a := s.apis[at.API]
	if a == nil {
		return nil
	}
	v := &Survey{s: s, a: a, at: at, fold: a.record.FoldCase, names: map[string]bool{"*": true}, triesAll: maxTriesEver}
	for i := range a.record.Endpoints {
		e := &a.record.Endpoints[i]
		v.learn(e.Path, e.Methods, "")
		if a.graphql {
			v.entries = append(v.entries, listing{i, formOf(e.Path, v.fold), e.GraphQL})
		}
	}
	for i := range a.record.Public {
		open := &a.record.Public[i]
		v.learn(open.Path, open.Methods, "")
		v.public = append(v.public, way{form: formOf(open.Path, v.fold), methods: open.Methods, public: true})
	}
	for _, c := range callers {
		v.callers = append(v.callers, v.meet(c))
	}
	v.segment, v.method, v.field = unlike(v.names, "~"), unlike(v.names, "~"), unlike(v.names, "_")
	return v
}

// meet finds the ways of a caller, and learns the rules that it is bound by.
func (v *Survey) meet(c *Caller) surveyed {
	of := surveyed{Caller: c, workspaces: v.at.Workspaces}
	if c.Personal { // elsewhere nothing counts, a deny neither
		of.workspaces = slices.DeleteFunc(slices.Clone(of.workspaces), func(ws store.WorkspaceID) bool { return !v.s.mayUsePersonal(c.Holder, ws) })
	}
	ceiling := v.ceiling(c)
	for _, ws := range of.workspaces {
		for w, g := range v.s.held(c, ws) {
			for i := range g.Roles {
				if l := v.s.role(w, g.Roles[i].Role); l != nil {
					of.ways = append(of.ways, v.held(l, &g.Roles[i], ceiling)...)
				}
			}
		}
	}
	return of
}

// learn remembers the names of a rule.
func (v *Survey) learn(path, methods, op string) {
	f := formOf(path, v.fold)
	v.longest = max(v.longest, len(f.segments))
	for _, s := range f.segments {
		v.names[s.literal] = true
	}
	for m := range strings.SplitSeq(methods, " ") {
		v.names[m] = true
	}
	_, field, _ := strings.Cut(op, " ")
	v.names[field] = true
}

// rulesOf returns the rules about the API of a role and what it inherits that
// allow, and learns all of them.
func (v *Survey) rulesOf(l *linked) (allow []*rule) {
	for role := range l.closure() {
		for r := range role.rules() {
			if r.api != "*" && r.api != v.a.record.Name {
				continue
			}
			v.learn(r.path, r.methods, r.op)
			if !r.deny {
				allow = append(allow, r)
			}
		}
	}
	return allow
}

// ceiling returns what the licence allows. No licence allows everything.
func (v *Survey) ceiling(c *Caller) []way {
	id := c.licence()
	if id == "" {
		return []way{{form: form{rest: true}, methods: "*"}}
	}
	l := v.s.shared.roles.get(id)
	if l == nil {
		return nil
	}
	var out []way
	for _, r := range v.rulesOf(l) {
		out = append(out, way{form: formOf(r.path, v.fold), methods: r.methods, op: r.op})
	}
	return out
}

// held returns the ways that a granted role opens.
func (v *Survey) held(l *linked, h *store.GrantedRole, ceiling []way) (ways []way) {
	for _, r := range v.rulesOf(l) {
		f := formOf(r.path, v.fold)
		var limits []limitAt
		for _, limit := range h.Limits {
			for _, p := range r.params {
				if p.name == limit.Param {
					limits = append(limits, limitAt{p.place - 1, v.spelled(limit.Values)})
				}
			}
		}
		for i := range ceiling {
			bound := &ceiling[i]
			methods := meetMethods(r.methods, bound.methods)
			op, ok := meetOperations(r.op, bound.op)
			if ok && methods != "" && f.meets(&bound.form) {
				ways = append(ways, way{form: f.meet(&bound.form), methods: methods, op: op, limits: limits})
			}
		}
	}
	return ways
}

func (v *Survey) spelled(values []string) []string {
	if !v.fold {
		return values
	}
	out := make([]string, len(values))
	for i, value := range values {
		out[i] = folded(value)
	}
	return out
}

// look begins to look at an endpoint.
func (v *Survey) look(place int) (e *store.Endpoint, f form, ok bool) {
	e = &v.a.record.Endpoints[place]
	v.place, v.tries = place, maxTries
	if _, err := ParsePath(e.Path); err != nil || !isMethods(e.Methods) {
		return nil, form{}, false // it is in no catalogue either
	}
	return e, formOf(e.Path, v.fold), true
}

// forms returns the paths of an endpoint that a way covers. Where a GraphQL
// endpoint takes some of them for itself by its method POST, those that a more
// literal endpoint takes from that one are named one by one.
func (v *Survey) forms(f *form, w *way) []form {
	m := f.meet(&w.form)
	out := []form{m}
	if !v.a.graphql {
		return out
	}
	taken := slices.ContainsFunc(v.entries, func(o listing) bool { return o.graphql && o.place != v.place && o.form.meets(f) })
	for i := range v.entries {
		if o := &v.entries[i]; taken && !o.graphql && o.place != v.place && o.form.meets(&m) {
			out = append(out, m.meet(&o.form))
		}
	}
	return out
}

// plan is the paths to be tried for an endpoint and a way.
type plan struct {
	open    [][]string // the values to try of each segment
	rest    bool
	bound   []boundAt
	meaning map[string][]string // of a value: those that it stands for
}

// boundAt is a parameter of the endpoint that a way binds to values.
type boundAt struct {
	place int
	param string
}

// plan returns what to try of an endpoint's paths that have a narrower form, nil
// for nothing.
func (v *Survey) plan(f, m *form, w *way) *plan {
	p := &plan{rest: m.rest, open: make([][]string, len(m.segments)), meaning: map[string][]string{}}
	named := v.at.Param == "" || v.at.Optional
	for i, s := range m.segments {
		isBound := f.at(i).literal == "" && m.segments[i].param != ""
		switch limit := w.limit(i); {
		case s.literal != "":
			p.open[i] = []string{s.literal}
			isBound = isBound && f.at(i).param != ""
		case limit != nil:
			p.open[i] = v.telling(limit.values, p.meaning)
		default:
			p.open[i], isBound = []string{v.segment}, false
		}
		if v.at.Param != "" && f.at(i).param == v.at.Param {
			named, isBound = true, true
			p.open[i] = slices.DeleteFunc(slices.Clone(v.at.Values), func(value string) bool {
				return s.literal != "" && s.literal != value
			})
		}
		if len(p.open[i]) == 0 {
			return nil
		}
		if isBound {
			p.bound = append(p.bound, boundAt{i, s.param})
		}
	}
	if !named {
		return nil
	}
	return p
}

func (w *way) limit(place int) *limitAt {
	for i := range w.limits {
		if w.limits[i].place == place {
			return &w.limits[i]
		}
	}
	return nil
}

// telling returns the values that some rule names, and one for all others, which
// comes first.
func (v *Survey) telling(values []string, meaning map[string][]string) (out []string) {
	var plain []string
	for _, value := range values {
		if v.names[value] {
			out = append(out, value)
		} else {
			plain = append(plain, value)
		}
	}
	if len(plain) > 0 {
		out = slices.Insert(out, 0, plain[0])
		meaning[plain[0]] = plain
	}
	return out
}

// search tries the paths of a plan until one will do.
func (v *Survey) search(p *plan, does func(path string) bool) bool {
	chosen := make([]string, len(p.open), len(p.open)+v.longest+2)
	try := func(segments []string) bool { return does("/" + strings.Join(segments, "/")) }
	var walk func(i int) bool
	walk = func(i int) bool {
		if i < len(p.open) {
			for _, value := range p.open[i] {
				if chosen[i] = value; walk(i + 1) {
					return true
				}
				if v.tries == 0 || v.triesAll == 0 {
					break // the other paths, of which there may be very many, are refused untried
				}
			}
			return false
		}
		if try(chosen) {
			return true
		}
		for more := chosen; p.rest && len(more) <= v.longest; {
			if more = append(more, v.segment); try(more) {
				return true
			}
		}
		return false
	}
	return walk(0)
}

// allowed decides about one call, as a gateway would.
func (v *Survey) allowed(path, method, op string, scopes *[]string) bool {
	if !v.pay() {
		return false
	}
	if spelled, err := Canonical(path, RelaxedFor(v.a.record)); err != nil || spelled != path {
		return false // no call has it
	}
	found, entry := v.a.find(method, path)
	if entry == nil || entry.number != v.place {
		return false // that is another endpoint
	}
	if found.Public {
		return true
	}
	if found.GraphQL && (method != "POST" || op == "") {
		return false
	}
	for i := range v.callers {
		by := v.decides(&v.callers[i], method, path, op)
		if by == nil {
			return false
		}
		if by.scope != "" && scopes != nil {
			*scopes = add(*scopes, by.scope)
		}
	}
	return len(v.callers) > 0
}

// pay takes a try off those that are left, and says whether one was.
func (v *Survey) pay() bool {
	if v.tries == 0 || v.triesAll == 0 {
		return false
	}
	v.tries, v.triesAll = v.tries-1, v.triesAll-1
	return true
}

// decides returns the rule that allows a call of a caller, nil if none does.
func (v *Survey) decides(c *surveyed, method, path, op string) (by *rule) {
	for _, ws := range c.workspaces {
		d, via := v.s.decide(c.Caller, &Request{Workspace: ws, API: v.a.record.Name, Method: method, Path: path, Operation: op})
		switch {
		case d.Reason == Denied || d.Reason == Forbids:
			return nil
		case d.Allowed && by == nil:
			by = v.s.ruleOf(ws, via, d.Rule)
		}
	}
	return by
}

// ruleOf finds a rule by its id, of a role that was granted.
func (s *state) ruleOf(ws store.WorkspaceID, via grantedAt, id string) *rule {
	if l := s.role(s.space(ws), via.role.Role); l != nil {
		for role := range l.closure() {
			for r := range role.rules() {
				if r.id == id {
					return r
				}
			}
		}
	}
	return nil
}
