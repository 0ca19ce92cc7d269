package policy

import (
	"slices"
	"strings"
)

// node is a place in a trie of path segments.
type node struct {
	edges []edge
	param *node
	rest  []rule // a /** ends here
	here  []rule
	heads []uint32 // hashes of the edges' first segments, sorted; none for a single edge
}

// edge leads on by one literal segment, or by several that nothing branches off
// from.
type edge struct {
	path string
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
	root := &sapling{}
	for start := 0; start < len(list); {
		end := start + 1
		for end < len(list) && list[end].shape == list[start].shape {
			end++
		}
		*root.place(list[start].shape) = own[start:end:end]
		start = end
	}
	return root.pack(), own
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

// next follows the edge that a path goes along, and returns what is left of the
// path; more is false at its end. The node is nil where no edge does.
func (n *node) next(path, head string) (to *node, rest string, more bool) {
	if len(n.edges) == 1 {
		return n.edges[0].follow(path)
	}
	key := hash(head)
	low, high := 0, len(n.heads)
	for low < high {
		if mid := int(uint(low+high) >> 1); n.heads[mid] < key {
			low = mid + 1
		} else {
			high = mid
		}
	}
	for ; low < len(n.heads) && n.heads[low] == key; low++ {
		if to, rest, more = n.edges[low].follow(path); to != nil {
			return to, rest, more
		}
	}
	return nil, "", false
}

func (e *edge) follow(path string) (to *node, rest string, more bool) {
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

// hash is FNV-1a.
func hash(s string) uint32 {
	h := uint32(2166136261)
	for i := range len(s) {
		h = (h ^ uint32(s[i])) * 16777619
	}
	return h
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
		switch {
		case n.param == nil && len(n.edges) == 0:
			return
		case n.param == nil && len(n.edges) == 1:
			n, path, more = n.edges[0].follow(path)
		default:
			head, tail, deeper := cut(path)
			if n.param != nil && head != "" {
				n.param.walk(tail, deeper, q)
			}
			n, path, more = n.next(path, head)
		}
		if n == nil {
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
	if to, rest, further := n.next(path, head); to != nil {
		if r := to.first(rest, further, method); r != nil {
			return r
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

// cut parts a path after its first segment, as strings.Cut does, which is slower
// on segments of few bytes.
func cut(path string) (head, tail string, more bool) {
	for i := range len(path) {
		if path[i] == '/' {
			return path[:i], path[i+1:], true
		}
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
