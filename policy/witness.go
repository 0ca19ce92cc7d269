package policy

import (
	"slices"
	"strings"
)

// Witness returns a path by which all callers of the survey may call an endpoint of
// the API's list by a method, if there is one. Of a GraphQL endpoint it is one where
// they may do all the operations together, such as "query devices"; without any there
// is none. Values of the path's parameters that no rule names are made up.
func (v *Survey) Witness(place int, method string, operations []string) (path string, ok bool) {
	if place < 0 || place >= len(v.a.record.Endpoints) {
		return "", false
	}
	e, f, ok := v.look(place)
	if !ok || !includes(e.Methods, method) {
		return "", false
	}
	does := []string{""}
	if e.GraphQL {
		does = operations
	}
	for i := range v.public {
		if path, ok = v.first(&f, &v.public[i], method, []string{""}); ok { // whatever is done there
			return path, true
		}
	}
	joint := v.together(&f, method, does)
	for i := range joint {
		if path, ok = v.first(&f, &joint[i], method, does); ok {
			return path, true
		}
	}
	return "", false
}

// first returns the first path of a way by which all operations are allowed.
func (v *Survey) first(f *form, w *way, method string, operations []string) (path string, ok bool) {
	if !includes(w.methods, method) || !f.meets(&w.form) {
		return "", false
	}
	for _, m := range v.forms(f, w) {
		p := v.plan(f, &m, w)
		if p == nil {
			continue
		}
		ok = v.search(p, func(tried string) bool {
			path = tried
			return !slices.ContainsFunc(operations, func(op string) bool { return !v.allowed(tried, method, op, nil) })
		})
		if ok {
			return path, true
		}
	}
	return "", false
}

// together returns the ways in which all callers may do all operations by a method,
// on the paths of an endpoint: each way of one is met with each of the others.
func (v *Survey) together(f *form, method string, operations []string) []way {
	if len(v.callers) == 0 || len(operations) == 0 {
		return nil
	}
	joint := []way{{form: form{rest: true}, methods: "*"}}
	for i := range v.callers {
		for _, op := range operations {
			var next []way
			for j := range joint {
				next = v.narrowed(next, &joint[j], f, v.callers[i].ways, method, op)
			}
			joint = next
		}
	}
	return joint
}

// narrowed adds what a way has in common with each of others that do an operation.
func (v *Survey) narrowed(to []way, w *way, f *form, others []way, method, op string) []way {
	for i := range others {
		o := &others[i]
		if !includes(o.methods, method) || !o.does(op) || !o.form.meets(f) || !o.form.meets(&w.form) {
			continue
		}
		if !v.pay() {
			return to
		}
		both := way{form: w.form.meet(&o.form), methods: method, limits: slices.Clone(w.limits)}
		for _, limit := range o.limits {
			both.bound(limit)
		}
		if !slices.ContainsFunc(to, both.same) {
			to = append(to, both)
		}
	}
	return to
}

// does reports whether a way's rule allows an operation; empty is none.
func (w *way) does(op string) bool {
	if op == "" {
		return w.op == ""
	}
	_, ok := meetOperations(w.op, op)
	return ok
}

// bound bounds a way by one more limit.
func (w *way) bound(l limitAt) {
	for i := range w.limits {
		if has := &w.limits[i]; has.place == l.place {
			has.values = slices.DeleteFunc(slices.Clone(has.values), func(value string) bool { return !slices.Contains(l.values, value) })
			return
		}
	}
	w.limits = append(w.limits, l)
}

// same reports whether two ways open the same paths.
func (w way) same(o way) bool {
	return w.form.rest == o.form.rest && slices.Equal(w.form.segments, o.form.segments) &&
		slices.EqualFunc(w.limits, o.limits, func(a, b limitAt) bool { return a.place == b.place && slices.Equal(a.values, b.values) })
}

// Sample returns a path that a pattern matches and that no literal of the API's
// catalogue is part of, beyond those of the pattern.
func (v *Survey) Sample(pattern string) string {
	f := formOf(pattern, v.fold)
	segments := make([]string, len(f.segments))
	for i, s := range f.segments {
		if segments[i] = s.literal; s.literal == "" {
			segments[i] = v.segment
		}
	}
	return "/" + strings.Join(segments, "/")
}

// Methods returns the methods that are named by rules about an API which the
// grants of some callers reach, in whatever workspace, and by their licences; sorted.
func (e *Engine) Methods(callers []*Caller, api string) (out []string) {
	s := e.state.Load()
	named := func(l *linked) {
		for role := range l.closure() {
			for r := range role.rules() {
				if r.deny || r.api != "*" && r.api != api {
					continue
				}
				for m := range strings.SplitSeq(r.methods, " ") {
					if m != "*" {
						out = add(out, m)
					}
				}
			}
		}
	}
	for _, c := range callers {
		for w, g := range s.held(c, "") {
			for i := range g.Roles {
				if l := s.role(w, g.Roles[i].Role); l != nil {
					named(l)
				}
			}
		}
		if l := s.shared.roles.get(c.licence()); l != nil {
			named(l)
		}
	}
	return out
}
