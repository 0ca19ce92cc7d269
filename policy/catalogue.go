package policy

import (
	"strings"

	"postern/store"
)

// catalogue is an API with its endpoints compiled.
type catalogue struct {
	record            *store.API
	endpoints, public *node
}

// catalogue compiles an API. An endpoint that cannot be read is left out:
// endpoints open nothing but what is public, and name calls for usage.
func (e *Engine) catalogue(a *store.API) *catalogue {
	return &catalogue{a, e.listed(a, a.Endpoints), e.listed(a, a.Public)}
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

// Endpoint returns the pattern of an API's catalogue that a canonical path
// matches, the most literal one, and whether the call is public: allowed before
// any token is read. Without an endpoint ok is false. It does not allocate.
func (e *Engine) Endpoint(api store.APIID, method, path string) (pattern string, public, ok bool) {
	a := e.state.Load().apis[api]
	rest, rooted := strings.CutPrefix(path, "/")
	if a == nil || !rooted {
		return "", false, false
	}
	open := a.public.first(rest, rest != "", method)
	if r := a.endpoints.first(rest, rest != "", method); r != nil {
		return r.path, open != nil, true
	}
	return open.pattern(), open != nil, open != nil
}
