package scim

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"postern/store"
)

// search is a question about one kind of resource.
type search struct {
	question
	match      matcher // nil is all
	sort, part *attribute
}

func newSearch(k *kind, q question, lenient bool) (search, error) {
	s := search{question: q}
	if q.filter != nil {
		m, err := compile(k, q.filter, lenient)
		if err != nil {
			return s, err
		}
		s.match = m
	}
	if q.sortBy != nil {
		top, sub, ok := k.resolve(*q.sortBy)
		if ok && sub == nil && top.Type == typeComplex {
			sub = lookup(top.SubAttributes, "value")
			ok = sub != nil
		}
		if !ok && !lenient {
			return s, badValue("sortBy: there is nothing here to sort by of this name")
		}
		if ok {
			s.sort, s.part = top, sub
		}
	}
	return s, nil
}

// looks reports whether resources have to be looked at one by one.
func (s search) looks() bool { return s.match != nil || s.sort != nil }

// about reports whether the filter or the order asks for an attribute.
func (s search) about(name string) bool {
	return s.filter != nil && mentions(s.filter, name) || s.sort != nil && s.sort.Name == name
}

// key is what a resource is sorted by: of several values the primary one, else
// the first.
func (s search) key(r resource) any {
	if s.sort == nil {
		return nil
	}
	found := values(r, s.sort, s.part)
	if len(found) == 0 {
		return nil
	}
	a := s.sort
	if s.part != nil {
		a = s.part
		for _, v := range r.list(s.sort.Name) {
			if in, _ := v.(resource); in["primary"] == true && in[a.Name] != nil {
				found = []any{in[a.Name]}
			}
		}
	}
	if text, ok := found[0].(string); ok && !a.CaseExact {
		return strings.ToLower(text)
	}
	return found[0]
}

// compareKeys orders two keys; what has none is last, or first when descending
// (RFC 7644 section 3.4.2.3).
func compareKeys(x, y any, descending bool) int {
	n := 0
	xs, xText := x.(string)
	ys, yText := y.(string)
	switch {
	case x == nil && y == nil:
	case x == nil:
		n = 1
	case y == nil:
		n = -1
	case xText && yText:
		n = cmp.Compare(xs, ys)
	case x == false && y == true:
		n = -1
	case x == true && y == false:
		n = 1
	}
	if descending {
		return -n
	}
	return n
}

// findUsers looks for people. By userName the store finds them at once; else
// they are read page by page.
func (h *Handler) findUsers(r request, s search) ([]hit, error) {
	q := store.AccountQuery{UserName: equalTo(s.filter, "userName"), Limit: scanPage}
	var hits []hit
	for scanned := 0; ; {
		found, err := h.Admin.SCIMUsers(r.Context(), r.by, q)
		if err != nil {
			return nil, err
		}
		for _, acc := range found {
			at := hit{account: acc}
			if s.looks() {
				shown := h.wireUser(acc)
				if s.match != nil && !s.match(shown) {
					continue
				}
				at.key = s.key(shown)
			}
			hits = append(hits, at)
		}
		if scanned += len(found); len(found) < scanPage {
			return hits, nil
		}
		if scanned >= maxScanned {
			return nil, &Error{Status: http.StatusBadRequest, Type: "tooMany", Detail: "there are more people than one answer looks at; filter by userName"}
		}
		q.After = found[len(found)-1].Name
	}
}

func (h *Handler) findGroups(r request, s search) ([]hit, error) {
	teams, err := h.Admin.SCIMGroups(r.Context(), r.by)
	if err != nil {
		return nil, err
	}
	var hits []hit
	for _, t := range teams {
		at := hit{team: t}
		if s.looks() {
			var members []*store.Account
			known := s.about("members") || s.about("meta")
			if known {
				if members, err = h.Admin.SCIMMembers(r.Context(), r.by, t.ID); err != nil {
					return nil, err
				}
			}
			shown := h.wireGroup(t, members, known)
			if s.match != nil && !s.match(shown) {
				continue
			}
			at.key = s.key(shown)
		}
		hits = append(hits, at)
	}
	return hits, nil
}

// equalTo returns the text that every resource that matches has in an attribute,
// or nothing when the filter does not say.
func equalTo(f filter, name string) string {
	switch f := f.(type) {
	case comparison:
		if text, ok := f.value.(string); ok && f.op == "eq" && f.path.sub == "" && strings.EqualFold(f.path.name, name) {
			return text
		}
	case every:
		for _, part := range f {
			if text := equalTo(part, name); text != "" {
				return text
			}
		}
	}
	return ""
}

// mentions reports whether a filter asks for an attribute.
func mentions(f filter, name string) bool {
	switch f := f.(type) {
	case comparison:
		return strings.EqualFold(f.path.name, name)
	case present:
		return strings.EqualFold(f.path.name, name)
	case among:
		return strings.EqualFold(f.path.name, name)
	case negation:
		return mentions(f.inner, name)
	case every:
		return slices.ContainsFunc(f, func(part filter) bool { return mentions(part, name) })
	case some:
		return slices.ContainsFunc(f, func(part filter) bool { return mentions(part, name) })
	default:
		return false
	}
}
