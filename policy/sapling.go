package policy

import (
	"cmp"
	"slices"
	"strings"
)

// sapling is a node while its trie is being made.
type sapling struct {
	literal []branch // sorted by segment
	param   *sapling
	rest    []rule
	here    []rule
}

type branch struct {
	segment string
	to      *sapling
}

// place returns where the rules of a shape belong.
func (n *sapling) place(shape string) *[]rule {
	for s := range strings.SplitSeq(shape[1:], "/") {
		switch s {
		case "": // the pattern is /
		case "**":
			return &n.rest
		case "{}":
			if n.param == nil {
				n.param = &sapling{}
			}
			n = n.param
		default:
			i, found := slices.BinarySearchFunc(n.literal, s, func(b branch, s string) int { return strings.Compare(b.segment, s) })
			if !found {
				n.literal = slices.Insert(n.literal, i, branch{s, &sapling{}})
			}
			n = n.literal[i].to
		}
	}
	return &n.here
}

// slab is what a trie is made of, side by side: a decision that finds nothing of
// it in the processor's cache waits for fewer lines and pages.
type slab struct {
	nodes []node
	edges []edge
	heads []uint32
	text  strings.Builder
}

// pack makes the trie. It joins chains of single literals into one edge, since
// most rules of a role begin with the same segments.
func (n *sapling) pack() *node {
	var nodes, edges, text int
	n.count(&nodes, &edges, &text)
	s := &slab{nodes: make([]node, 0, nodes), edges: make([]edge, 0, edges), heads: make([]uint32, 0, edges)}
	s.text.Grow(text)
	return s.add(n)
}

// count finds how much room the trie needs at most.
func (n *sapling) count(nodes, edges, text *int) {
	*nodes++
	for _, b := range n.literal {
		*edges++
		*text += len(b.segment) + 1
		b.to.count(nodes, edges, text)
	}
	if n.param != nil {
		n.param.count(nodes, edges, text)
	}
}

func (s *slab) add(n *sapling) *node {
	s.nodes = append(s.nodes, node{rest: n.rest, here: n.here})
	to := &s.nodes[len(s.nodes)-1]
	slices.SortFunc(n.literal, func(a, b branch) int { return cmp.Compare(hash(a.segment), hash(b.segment)) })
	from := len(s.edges)
	for _, b := range n.literal {
		start := s.text.Len()
		s.text.WriteString(b.segment)
		for b.to.single() {
			s.text.WriteString("/" + b.to.literal[0].segment)
			b.to = b.to.literal[0].to
		}
		s.edges = append(s.edges, edge{path: s.text.String()[start:]})
	}
	to.edges = s.edges[from:len(s.edges):len(s.edges)]
	if len(n.literal) > 1 {
		from := len(s.heads)
		for _, b := range n.literal {
			s.heads = append(s.heads, hash(b.segment))
		}
		to.heads = s.heads[from:len(s.heads):len(s.heads)]
	}
	for i, b := range n.literal {
		for b.to.single() {
			b.to = b.to.literal[0].to
		}
		to.edges[i].to = s.add(b.to)
	}
	if n.param != nil {
		to.param = s.add(n.param)
	}
	return to
}

// single reports whether a place only leads on, by one literal.
func (n *sapling) single() bool {
	return len(n.literal) == 1 && n.param == nil && n.rest == nil && n.here == nil
}
