package policy

import (
	"slices"
	"strings"
)

// node is a place in a trie of path segments.
type node struct {
	literal []edge // sorted by their first segment
	param   *node
	rest    []rule // a /** ends here
	here    []rule
}

// edge leads on by one segment, or by several that nothing branches off from.
type edge struct {
	path string
	head int // length of the first segment
	to   *node
}

// plant makes a trie of rules and returns it with its own copies of them. With
// fold it is for paths in lower case.
func plant(rules []rule, fold bool) (*node, []rule) {
	type planted struct {
		shape string
		rule  *rule
	}
	list := make([]planted, len(rules))
	for i := range rules {
		list[i] = planted{shape(rules[i].path, fold), &rules[i]}
	}
	slices.SortStableFunc(list, func(a, b planted) int { return strings.Compare(a.shape, b.shape) })
	own := make([]rule, len(rules))
	for i := range list {
		own[i] = *list[i].rule
	}
	root := &node{}
	for start, end := 0, 0; start < len(list); start = end {
		for end = start + 1; end < len(list) && list[end].shape == list[start].shape; end++ {
		}
		*root.place(list[start].shape) = own[start:end:end]
	}
	root.compress()
	return root, own
}

// shape is a pattern without the names of its parameters: what its rules have
// in common with all others in the same place of a trie.
func shape(pattern string, fold bool) string {
	if !fold && !strings.Contains(pattern, "{") {
		return pattern
	}
	segments := strings.Split(pattern, "/")
	for i, s := range segments {
		switch {
		case strings.HasPrefix(s, "{"):
			segments[i] = "{}"
		case fold:
			segments[i] = folded(s)
		}
	}
	return strings.Join(segments, "/")
}

// folded returns a canonical literal in lower case, as Canonical does.
func folded(segment string) string {
	low, err := appendSegment(nil, segment, literal|fold)
	if err != nil { // no call has it in any case
		return segment
	}
	return string(low)
}

// place returns where the rules of a shape belong.
func (n *node) place(shape string) *[]rule {
	for s := range strings.SplitSeq(shape[1:], "/") {
		switch s {
		case "": // the pattern is /
		case "**":
			return &n.rest
		case "{}":
			if n.param == nil {
				n.param = &node{}
			}
			n = n.param
		default:
			i, found := n.find(s)
			if !found {
				n.literal = append(n.literal, edge{})
				copy(n.literal[i+1:], n.literal[i:])
				n.literal[i] = edge{s, len(s), &node{}}
			}
			n = n.literal[i].to
		}
	}
	return &n.here
}

// find returns the place of the edge that begins with a segment.
func (n *node) find(segment string) (int, bool) {
	low, high := 0, len(n.literal)
	for low < high {
		mid := int(uint(low+high) >> 1)
		e := &n.literal[mid]
		switch c := strings.Compare(e.path[:e.head], segment); {
		case c == 0:
			return mid, true
		case c < 0:
			low = mid + 1
		default:
			high = mid
		}
	}
	return low, false
}

// compress joins chains of single literals into one edge: most rules of a role
// begin with the same segments.
func (n *node) compress() {
	for i := range n.literal {
		e := &n.literal[i]
		for t := e.to; len(t.literal) == 1 && t.param == nil && t.rest == nil && t.here == nil; t = e.to {
			e.path, e.to = e.path+"/"+t.literal[0].path, t.literal[0].to
		}
		e.to.compress()
	}
	if n.param != nil {
		n.param.compress()
	}
}

// next follows the literal edge that a path goes along, and returns what is
// left of the path; more is false at its end. The node is nil where none does.
func (n *node) next(path, head string) (to *node, rest string, more bool) {
	e := (*edge)(nil)
	if len(n.literal) == 1 {
		e = &n.literal[0]
	} else if i, found := n.find(head); found {
		e = &n.literal[i]
	} else {
		return nil, "", false
	}
	rest, along := strings.CutPrefix(path, e.path)
	switch {
	case !along:
		return nil, "", false
	case rest == "":
		return e.to, "", false
	case rest[0] == '/':
		return e.to, rest[1:], true
	}
	return nil, "", false
}

// walk shows q every rule whose pattern matches the path, which is without its
// first slash; more is false at its end.
func (n *node) walk(path string, more bool, q *query) {
	for {
		if n.rest != nil {
			q.match(n.rest)
		}
		if !more {
			q.match(n.here)
			return
		}
		head, tail, deeper := cut(path)
		if n.param != nil && head != "" {
			n.param.walk(tail, deeper, q)
		}
		if len(n.literal) == 0 {
			return
		}
		if n, path, more = n.next(path, head); n == nil {
			return
		}
	}
}

// first returns the rule with the most literal pattern of those that match the
// path and the method: literals come before parameters, and /** comes last.
func (n *node) first(path string, more bool, method string) *rule {
	if !more {
		if r := of(n.here, method); r != nil {
			return r
		}
		return of(n.rest, method)
	}
	head, tail, deeper := cut(path)
	if len(n.literal) > 0 {
		if to, rest, further := n.next(path, head); to != nil {
			if r := to.first(rest, further, method); r != nil {
				return r
			}
		}
	}
	if n.param != nil && head != "" {
		if r := n.param.first(tail, deeper, method); r != nil {
			return r
		}
	}
	return of(n.rest, method)
}

// of returns the first rule with the method.
func of(rules []rule, method string) *rule {
	for i := range rules {
		if includes(rules[i].methods, method) {
			return &rules[i]
		}
	}
	return nil
}

// cut parts a path after its first segment, as strings.Cut does.
func cut(path string) (head, tail string, more bool) {
	if i := strings.IndexByte(path, '/'); i >= 0 {
		return path[:i], path[i+1:], true
	}
	return path, "", false
}

// includes reports whether a set of methods has a method.
func includes(methods, method string) bool {
	if methods == "*" {
		return true
	}
	for len(methods) >= len(method) && method != "" {
		if methods[:len(method)] == method && (len(methods) == len(method) || methods[len(method)] == ' ') {
			return true
		}
		i := strings.IndexByte(methods, ' ')
		if i < 0 {
			return false
		}
		methods = methods[i+1:]
	}
	return false
}
