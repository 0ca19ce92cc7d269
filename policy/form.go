package policy

import (
	"slices"
	"strings"
)

// form is a path pattern in segments.
type form struct {
	segments []segment
	rest     bool // a /** follows
}

// segment is a literal or, where that is empty, a parameter.
type segment struct{ literal, param string }

// formOf parses a canonical pattern, for an API that ignores case or not.
func formOf(pattern string, fold bool) (f form) {
	path := strings.TrimPrefix(pattern, "/")
	if path == "" {
		return f
	}
	for s := range strings.SplitSeq(path, "/") {
		switch {
		case s == "**":
			f.rest = true
		case isParam(s):
			f.segments = append(f.segments, segment{param: s[1 : len(s)-1]})
		case fold:
			f.segments = append(f.segments, segment{literal: folded(s)})
		default:
			f.segments = append(f.segments, segment{literal: s})
		}
	}
	return f
}

// at is a segment; beyond the end, which a /** covers, it is an unnamed parameter.
func (f *form) at(i int) segment {
	if i < len(f.segments) {
		return f.segments[i]
	}
	return segment{}
}

// meets reports whether some path matches both.
func (f *form) meets(o *form) bool {
	if len(f.segments) < len(o.segments) && !f.rest || len(o.segments) < len(f.segments) && !o.rest {
		return false
	}
	for i := range min(len(f.segments), len(o.segments)) {
		if a, b := f.segments[i].literal, o.segments[i].literal; a != "" && b != "" && a != b {
			return false
		}
	}
	return true
}

// meet is the form of the paths that match both, which do meet. A parameter has
// the name that f gives it, if f does.
func (f *form) meet(o *form) form {
	out := form{segments: make([]segment, max(len(f.segments), len(o.segments))), rest: f.rest && o.rest}
	for i := range out.segments {
		a, b := f.at(i), o.at(i)
		if a.param == "" {
			a.param = b.param
		}
		if a.literal == "" {
			a.literal = b.literal
		}
		out.segments[i] = a
	}
	return out
}

// meetMethods is what two sets of methods have in common; empty is nothing.
func meetMethods(a, b string) string {
	switch {
	case a == "" || b == "":
		return ""
	case a == "*":
		return b
	case b == "*":
		return a
	}
	var both []string
	for m := range strings.SplitSeq(a, " ") {
		if includes(b, m) {
			both = append(both, m)
		}
	}
	return strings.Join(both, " ")
}

// meetOperations is the operations that two rules have in common. An empty one
// is every one.
func meetOperations(a, b string) (string, bool) {
	if a == "" || b == "" {
		return a + b, true
	}
	aKind, aField, _ := strings.Cut(a, " ")
	bKind, bField, _ := strings.Cut(b, " ")
	kind, ok := meetNames(aKind, bKind)
	field, same := meetNames(aField, bField)
	return kind + " " + field, ok && same
}

func meetNames(a, b string) (string, bool) {
	if a == "*" {
		return b, true
	}
	return a, b == "*" || a == b
}

// unlike returns a text that begins as given and is none of these.
func unlike(names map[string]bool, text string) string {
	for names[text] {
		text += text[:1]
	}
	return text
}

// operationTypes are those of GraphQL.
func operationTypes() []string { return []string{"mutation", "query", "subscription"} }

// add inserts into a sorted list, once.
func add(list []string, s string) []string {
	i, found := slices.BinarySearch(list, s)
	if found {
		return list
	}
	return slices.Insert(list, i, s)
}
