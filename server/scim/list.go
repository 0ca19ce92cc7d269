package scim

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"postern/store"
)

// Bounds of an answer.
const (
	defaultCount = 100
	maxCount     = 500     // resources in one answer
	maxScanned   = 200_000 // people looked at for one
	maxMembers   = 20_000  // shown in one list of groups
	scanPage     = 1000
)

// question is what a list is asked (RFC 7644 section 3.4.2).
type question struct {
	filter     filter // nil is all
	sortBy     *path
	descending bool
	start      int // from 1
	count      int
	selection  selection
}

// selection reads what of a resource is to be sent.
func (r request) selection() (selection, error) {
	q, err := r.query()
	if err != nil {
		return selection{}, err
	}
	return parseSelection(listed(q.Get("attributes")), listed(q.Get("excludedAttributes")))
}

// query reads the parameters of a request. One that comes twice is refused: each
// reader would take another.
func (r request) query() (url.Values, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, badValue("the query is not well-formed")
	}
	for _, v := range q {
		if len(v) > 1 {
			return nil, badValue("the query has a parameter twice")
		}
	}
	return q, nil
}

func listed(s string) []string {
	if strings.TrimSpace(s) == "" {
		return nil
	}
	return strings.Split(s, ",")
}

// asked reads a question out of a query.
func (r request) asked() (question, error) {
	q, err := r.query()
	if err != nil {
		return question{}, err
	}
	out := question{start: 1, count: defaultCount}
	if out.selection, err = r.selection(); err != nil {
		return out, err
	}
	if err := out.where(q.Get("filter"), q.Get("sortBy"), q.Get("sortOrder")); err != nil {
		return out, err
	}
	for name, to := range map[string]*int{"startIndex": &out.start, "count": &out.count} {
		if text := q.Get(name); text != "" {
			if *to, err = strconv.Atoi(text); err != nil {
				return out, badValue("%s: must be a whole number", name)
			}
		}
	}
	out.bound()
	return out, nil
}

// searched reads a question out of a body (RFC 7644 section 3.4.3).
func (r request) searched() (question, error) {
	out := question{start: 1, count: defaultCount}
	body, err := r.body()
	if err != nil {
		return out, err
	}
	schemas, _ := body.get("schemas")
	list, _ := schemas.([]any)
	if !slices.ContainsFunc(list, func(v any) bool { s, _ := v.(string); return strings.EqualFold(s, messageSearch) }) {
		return out, badSyntax("schemas: must name %s", messageSearch)
	}
	var texts [3]string
	for i, name := range []string{"filter", "sortBy", "sortOrder"} {
		if v, ok := body.get(name); ok && v != nil {
			if texts[i], ok = v.(string); !ok {
				return out, badValue("%s: must be a string", name)
			}
		}
	}
	if err := out.where(texts[0], texts[1], texts[2]); err != nil {
		return out, err
	}
	for name, to := range map[string]*int{"startIndex": &out.start, "count": &out.count} {
		if v, ok := body.get(name); ok && v != nil {
			n, ok := v.(json.Number)
			i, err := strconv.Atoi(n.String())
			if !ok || err != nil {
				return out, badValue("%s: must be a whole number", name)
			}
			*to = i
		}
	}
	var names [2][]string
	for i, name := range []string{"attributes", "excludedAttributes"} {
		v, _ := body.get(name)
		list, _ := v.([]any)
		for _, v := range list {
			s, ok := v.(string)
			if !ok {
				return out, badValue("%s: must be a list of names", name)
			}
			names[i] = append(names[i], s)
		}
	}
	out.selection, err = parseSelection(names[0], names[1])
	out.bound()
	return out, err
}

func (q *question) where(filterText, sortBy, order string) (err error) {
	if filterText != "" {
		if q.filter, err = parseFilter(filterText); err != nil {
			return err
		}
	}
	if sortBy != "" {
		p, err := parsePath(sortBy)
		if err != nil {
			return badValue("sortBy: an attribute's name is not well-formed")
		}
		q.sortBy = &p
	}
	switch strings.ToLower(order) {
	case "", "ascending":
	case "descending":
		q.descending = true
	default:
		return badValue("sortOrder: must be ascending or descending")
	}
	return nil
}

// bound reads numbers below their least as that (RFC 7644 section 3.4.2.4).
func (q *question) bound() {
	q.start = max(q.start, 1)
	q.count = min(max(q.count, 0), maxCount)
}

func (h *Handler) listOf(k *kind) func(request) (answer, error) {
	return func(r request) (answer, error) {
		q, err := r.asked()
		if err != nil {
			return answer{}, err
		}
		return h.list(r, q, false, k)
	}
}

func (h *Handler) searchOf(k *kind) func(request) (answer, error) {
	return func(r request) (answer, error) {
		q, err := r.searched()
		if err != nil {
			return answer{}, err
		}
		return h.list(r, q, false, k)
	}
}

// searchAll finds resources of both kinds.
func (h *Handler) searchAll(r request) (answer, error) {
	q, err := r.searched()
	if err != nil {
		return answer{}, err
	}
	return h.list(r, q, true, h.users, h.groups)
}

// hit is a resource that matches, with what it is sorted by.
type hit struct {
	account *store.Account // or
	team    *store.Team
	key     any // nil is no value
}

func (h *Handler) list(r request, q question, lenient bool, kinds ...*kind) (answer, error) {
	var hits []hit
	for _, k := range kinds {
		s, err := newSearch(k, q, lenient)
		if err != nil {
			return answer{}, err
		}
		find := h.findUsers
		if k == h.groups {
			find = h.findGroups
		}
		found, err := find(r, s)
		if err != nil {
			return answer{}, err
		}
		hits = append(hits, found...)
	}
	if q.sortBy != nil {
		slices.SortStableFunc(hits, func(x, y hit) int { return compareKeys(x.key, y.key, q.descending) })
	}
	page := hits[min(q.start-1, len(hits)):]
	page = page[:min(q.count, len(page))]
	resources, err := h.wire(r, q, page)
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK, body: map[string]any{
		"schemas": []string{messageList}, "totalResults": len(hits), "startIndex": q.start, "itemsPerPage": len(resources), "Resources": resources,
	}}, nil
}

// wire is a page of hits as they are sent. It is shorter than the page when the
// members of its groups are too many for one answer.
func (h *Handler) wire(r request, q question, page []hit) ([]resource, error) {
	out := make([]resource, 0, len(page))
	members := 0
	for _, at := range page {
		if at.account != nil {
			out = append(out, q.selection.apply(h.users, h.wireUser(at.account)))
			continue
		}
		known := q.selection.wants(h.groups, lookup(h.groups.attributes, "members"))
		var in []*store.Account
		if known {
			var err error
			if in, err = h.Admin.SCIMMembers(r.Context(), r.by, at.team.ID); err != nil {
				return nil, err
			}
			if members += len(in); members > maxMembers && len(out) > 0 {
				return out, nil
			}
		}
		out = append(out, q.selection.apply(h.groups, h.wireGroup(at.team, in, known)))
	}
	return out, nil
}
