package scim

import (
	"slices"
	"strings"
	"time"
)

// matcher says whether a resource, or one value of a complex attribute, matches.
type matcher func(resource) bool

// compile checks a filter against a kind of resource. Of an attribute that the
// kind does not have, lenient says that it has no value (RFC 7644 section
// 3.4.2.1, of several kinds at once); else the filter is refused, since a name
// that is misspelt would match everything or nothing.
func compile(k *kind, f filter, lenient bool) (matcher, error) {
	c := compiler{resolve: func(p path) (*attribute, *attribute, bool) { return k.resolve(p) }, lenient: lenient}
	return c.compile(f)
}

// compileValue checks a filter of the values of one attribute.
func compileValue(a *attribute, f filter) (matcher, error) {
	c := compiler{resolve: func(p path) (*attribute, *attribute, bool) {
		sub := lookup(a.SubAttributes, p.name)
		return sub, nil, sub != nil && p.urn == "" && p.sub == ""
	}}
	return c.compile(f)
}

type compiler struct {
	resolve func(path) (top, sub *attribute, ok bool)
	lenient bool
}

func (c compiler) compile(f filter) (matcher, error) {
	switch f := f.(type) {
	case every:
		parts, err := c.all(f)
		return func(r resource) bool {
			for _, m := range parts {
				if !m(r) {
					return false
				}
			}
			return true
		}, err
	case some:
		parts, err := c.all(f)
		return func(r resource) bool {
			for _, m := range parts {
				if m(r) {
					return true
				}
			}
			return false
		}, err
	case negation:
		inner, err := c.compile(f.inner)
		return func(r resource) bool { return !inner(r) }, err
	case among:
		return c.among(f)
	case present:
		top, sub, err := c.find(f.path)
		if err != nil || top == nil {
			return never, err
		}
		return func(r resource) bool { return len(values(r, top, sub)) > 0 }, nil
	case comparison:
		return c.comparison(f)
	default:
		return nil, badFilter("it cannot be read")
	}
}

func never(resource) bool { return false }

func (c compiler) all(parts []filter) ([]matcher, error) {
	out := make([]matcher, len(parts))
	for i, f := range parts {
		m, err := c.compile(f)
		if err != nil {
			return nil, err
		}
		out[i] = m
	}
	return out, nil
}

// find resolves a path. Nothing and no error is an attribute without a value.
func (c compiler) find(p path) (top, sub *attribute, err error) {
	top, sub, ok := c.resolve(p)
	if !ok && !c.lenient {
		return nil, nil, badFilter("there is no attribute %s here", short(p.String()))
	}
	if !ok {
		return nil, nil, nil
	}
	return top, sub, nil
}

func (c compiler) among(f among) (matcher, error) {
	top, _, err := c.find(f.path)
	if err != nil || top == nil {
		return never, err
	}
	if len(top.SubAttributes) == 0 {
		return nil, badFilter("%s has no sub-attributes to filter by", top.Name)
	}
	inner, err := compileValue(top, f.inner)
	if err != nil {
		return nil, err
	}
	return func(r resource) bool {
		for _, v := range values(r, top, nil) {
			if in, ok := v.(resource); ok && inner(in) {
				return true
			}
		}
		return false
	}, nil
}

func (c compiler) comparison(f comparison) (matcher, error) {
	top, sub, err := c.find(f.path)
	if err != nil {
		return nil, err
	}
	if top == nil {
		return func(resource) bool { return f.op == "ne" && f.value != nil || f.op == "eq" && f.value == nil }, nil
	}
	a := top
	if sub != nil {
		a = sub
	} else if top.Type == typeComplex && f.value != nil {
		// "emails co …" means the value of each (RFC 7643 section 2.4).
		if sub = lookup(top.SubAttributes, "value"); sub == nil || !top.MultiValued {
			return nil, badFilter("%s has parts; compare one of them", top.Name)
		}
		a = sub
	}
	holds, err := comparer(a, f)
	if err != nil {
		return nil, err
	}
	return func(r resource) bool {
		found := values(r, top, sub)
		if len(found) == 0 {
			return f.op == "ne" && f.value != nil || f.op == "eq" && f.value == nil
		}
		return slices.ContainsFunc(found, holds)
	}, nil
}

// comparer says whether one value of an attribute is as a comparison wants it.
func comparer(a *attribute, f comparison) (func(any) bool, error) {
	if f.value == nil {
		switch f.op {
		case "eq":
			return func(any) bool { return false }, nil
		case "ne":
			return func(any) bool { return true }, nil
		}
		return nil, badFilter("null can only be compared by eq and ne")
	}
	if a.Type == typeBoolean {
		return compareBool(a, f)
	}
	want, ok := f.value.(string)
	if !ok {
		return nil, badFilter("%s is compared with a text in quotes", a.Name)
	}
	if a.Type == typeDateTime {
		return compareTime(a, f.op, want)
	}
	fold := func(s string) string { return s }
	if !a.CaseExact {
		fold = strings.ToLower
		want = fold(want)
	}
	return func(v any) bool {
		s, _ := v.(string)
		return compareText(fold(s), f.op, want)
	}, nil
}

func compareText(have, op, want string) bool {
	switch op {
	case "co":
		return strings.Contains(have, want)
	case "sw":
		return strings.HasPrefix(have, want)
	case "ew":
		return strings.HasSuffix(have, want)
	default:
		return ordered(strings.Compare(have, want), op)
	}
}

func ordered(cmp int, op string) bool {
	switch op {
	case "eq":
		return cmp == 0
	case "ne":
		return cmp != 0
	case "gt":
		return cmp > 0
	case "ge":
		return cmp >= 0
	case "lt":
		return cmp < 0
	case "le":
		return cmp <= 0
	default:
		return false
	}
}

func compareBool(a *attribute, f comparison) (func(any) bool, error) {
	want, err := coerceOne(a, a.Name, f.value)
	if err != nil || f.op != "eq" && f.op != "ne" {
		return nil, badFilter("%s is true or false, and compared by eq and ne", a.Name)
	}
	return func(v any) bool { return (v == want) == (f.op == "eq") }, nil
}

func compareTime(a *attribute, op, text string) (func(any) bool, error) {
	want, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || op == "co" || op == "sw" || op == "ew" {
		return nil, badFilter(`%s is a time such as "2026-01-31T12:00:00Z", and compared by eq ne gt ge lt le`, a.Name)
	}
	return func(v any) bool {
		s, _ := v.(string)
		have, err := time.Parse(time.RFC3339Nano, s)
		return err == nil && ordered(have.Compare(want), op)
	}, nil
}

// values returns what a resource has in an attribute or sub-attribute.
func values(r resource, top, sub *attribute) []any {
	v, ok := r[top.Name]
	if !ok {
		return nil
	}
	list, isList := v.([]any)
	if !isList {
		list = []any{v}
	}
	if sub == nil {
		return list
	}
	var out []any
	for _, v := range list {
		in, _ := v.(resource)
		if v, ok := in[sub.Name]; ok {
			out = append(out, v)
		}
	}
	return out
}

// short keeps a name out of a request within bounds. It has no odd characters,
// or it would not have been read.
func short(s string) string {
	if len(s) > 100 {
		return s[:100] + "…"
	}
	return s
}
