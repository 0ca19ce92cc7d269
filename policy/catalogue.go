package policy

import (
	"slices"
	"strings"

	"postern/store"
)

// catalogue is an API with its endpoints compiled.
type catalogue struct {
	record            *store.API
	endpoints, public *node
	graphql           bool // some endpoint is GraphQL
}

// catalogue compiles an API. An endpoint that cannot be read is left out:
// endpoints open nothing but what is public, and name calls for usage.
func (e *Engine) catalogue(a *store.API) *catalogue {
	graphql := slices.ContainsFunc(a.Endpoints, func(e store.Endpoint) bool { return e.GraphQL })
	return &catalogue{a, e.listed(a, a.Endpoints), e.listed(a, a.Public), graphql}
}

func (e *Engine) listed(a *store.API, endpoints []store.Endpoint) *node {
	var rules []rule
	for i := range endpoints {
		path, err := ParsePath(endpoints[i].Path)
		if err != nil || !isMethods(endpoints[i].Methods) {
			e.log.Error("an endpoint cannot be read and is left out", "api", string(a.ID), "endpoint", i+1, "err", err)
			continue
		}
		rules = append(rules, rule{methods: endpoints[i].Methods, path: path, number: i})
	}
	root, _ := plant(rules, a.FoldCase)
	return root
}

// Found is what a catalogue says of a call.
type Found struct {
	Pattern string // the path of its entry
	Public  bool   // it is allowed before any token is read
	Known   bool   // it has an entry
	// GraphQL says that what it does stands in its body. That is so by its path:
	// where POST is GraphQL, any other method may be another way to say the same.
	GraphQL bool
}

// Endpoint returns what an API's catalogue says of a canonical path, by the most
// literal entry that matches it. It does not allocate.
func (e *Engine) Endpoint(api store.APIID, method, path string) Found {
	a := e.state.Load().apis[api]
	if a == nil {
		return Found{}
	}
	f, _ := a.find(method, path)
	return f
}

// find also returns the entry itself; nil where it is a public one or none.
func (a *catalogue) find(method, path string) (Found, *rule) {
	rest, rooted := strings.CutPrefix(path, "/")
	if !rooted {
		return Found{}, nil
	}
	open := a.public.first(rest, rest != "", method)
	r := a.endpoints.first(rest, rest != "", method)
	f := Found{Pattern: r.pattern(), Public: open != nil, Known: r != nil || open != nil}
	if a.graphql {
		f.GraphQL = a.isGraphQL(r) || a.isGraphQL(a.endpoints.first(rest, rest != "", "POST"))
	}
	if r == nil {
		f.Pattern = open.pattern()
	}
	return f, r
}

// isGraphQL reports whether an entry, maybe none, is marked so.
func (a *catalogue) isGraphQL(r *rule) bool { return r != nil && a.record.Endpoints[r.number].GraphQL }
