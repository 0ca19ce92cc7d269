package policy

import (
	"slices"
	"strings"

	"postern/store"
)

// Callable is an endpoint that a caller may call: some path that the catalogue
// finds it by is allowed.
type Callable struct {
	Place   int      // of the endpoint in the API's list
	Methods []string // of the endpoint, those allowed; * alone is any, less what a rule denies
	Scopes  []string // of the token's, those that the deciding rules ask for; sorted
	// Operations of a GraphQL endpoint that rules allow, such as "query devices"
	// and "mutation *", less what a rule denies; sorted.
	Operations []string
	// Limits are values of the path's parameters, one list for each way in which
	// the endpoint may be called. None at all is any value, less what a rule denies.
	Limits [][]store.Limit
}

// Callable returns the endpoints of an API that the caller may call, in their
// order. It is built from decisions: each rule that allows is met with each
// endpoint and with what the licence allows, and where they leave a segment, a
// method or a field open, one that no rule names stands for all of those.
func (e *Engine) Callable(c *Caller, at Span) []Callable {
	v := e.Survey([]*Caller{c}, at)
	if v == nil {
		return nil
	}
	var out []Callable
	for i := range v.a.record.Endpoints {
		if found := v.endpoint(i); found != nil {
			out = append(out, *found)
		}
	}
	return out
}

// endpoint returns how the one caller may call an endpoint, nil if it may not.
func (v *Survey) endpoint(place int) *Callable {
	e, f, ok := v.look(place)
	if !ok {
		return nil
	}
	out, free := &Callable{Place: place}, false
	ways := slices.Concat(v.public, v.callers[0].ways)
	for i := range ways {
		w := &ways[i]
		common := meetMethods(e.Methods, w.methods)
		if e.GraphQL && !w.public {
			common = meetMethods(common, "POST")
		}
		if common == "" || !f.meets(&w.form) || w.op != "" && !e.GraphQL {
			continue
		}
		for _, m := range v.forms(&f, w) {
			p := v.plan(&f, &m, w)
			if p == nil {
				continue
			}
			found, values := v.along(p, w, common, e.GraphQL && !w.public, out)
			if found && values == nil {
				free = true
			}
			if values != nil && !slices.ContainsFunc(out.Limits, func(l []store.Limit) bool { return slices.EqualFunc(l, values, sameLimit) }) {
				out.Limits = append(out.Limits, values)
			}
		}
	}
	if len(out.Methods) == 0 {
		return nil
	}
	if free {
		out.Limits = nil
	}
	if slices.Contains(out.Methods, "*") {
		out.Methods = []string{"*"}
	}
	out.Operations = slices.DeleteFunc(out.Operations, func(op string) bool {
		kind, field, _ := strings.Cut(op, " ")
		return field != "*" && slices.Contains(out.Operations, kind+" *")
	})
	return out
}

func sameLimit(a, b store.Limit) bool { return a.Param == b.Param && slices.Equal(a.Values, b.Values) }

// along looks for calls of an endpoint that a way allows, and adds their methods
// and operations. It returns the values to which the endpoint's parameters are
// bound, nil where they are not.
func (v *Survey) along(p *plan, w *way, methods string, graphql bool, out *Callable) (found bool, bound []store.Limit) {
	ops := []string{""}
	if graphql {
		ops = v.operations(w.op)
	}
	for m := range strings.SplitSeq(methods, " ") {
		for _, op := range ops {
			if !v.finds(p, m, op, &out.Scopes) {
				continue
			}
			found = true
			out.Methods = add(out.Methods, m)
			if graphql {
				out.Operations = add(out.Operations, op)
			}
			bound = p.bind(bound, func(one *plan) bool { return v.finds(one, m, op, nil) })
		}
	}
	return found, bound
}

// operations spells a rule's operation out by type.
func (v *Survey) operations(op string) (out []string) {
	if op == "" {
		op = "* *"
	}
	kind, field, _ := strings.Cut(op, " ")
	if kind != "*" {
		return []string{op}
	}
	for _, kind := range operationTypes() {
		out = append(out, kind+" "+field)
	}
	return out
}

// bind adds the values of the bound parameters that are allowed.
func (p *plan) bind(to []store.Limit, allowed func(*plan) bool) []store.Limit {
	for _, b := range p.bound {
		at := slices.IndexFunc(to, func(l store.Limit) bool { return l.Param == b.param })
		if at < 0 {
			at, to = len(to), append(to, store.Limit{Param: b.param})
		}
		for _, value := range p.open[b.place] {
			one := *p
			one.open = slices.Clone(p.open)
			one.open[b.place] = []string{value}
			if len(p.open[b.place]) > 1 && !allowed(&one) {
				continue
			}
			meant := p.meaning[value]
			if meant == nil {
				meant = []string{value}
			}
			for _, m := range meant {
				if !slices.Contains(to[at].Values, m) {
					to[at].Values = append(to[at].Values, m)
				}
			}
		}
	}
	return to
}

// finds reports whether some path of a plan is allowed. It adds the scope that the
// deciding rule asks for.
func (v *Survey) finds(p *plan, method, op string, scopes *[]string) bool {
	if method == "*" {
		method = v.method
	}
	if kind, field, _ := strings.Cut(op, " "); field == "*" {
		op = kind + " " + v.field
	}
	return v.search(p, func(path string) bool { return v.allowed(path, method, op, scopes) })
}
