package gateway

import (
	"context"
	"maps"
	"slices"
	"strings"

	"postern/policy"
	"postern/server/token"
	"postern/store"
)

// resources are the endpoints of the API's catalogue that the subject may call, by
// their patterns: /orders/{id} is one that some value of id opens. For each, the
// policy names a path that should be allowed, and an evaluation of it is.
func (z *AuthZEN) resources(ctx context.Context, q *query) error {
	of, err := z.subject(ctx, q)
	if err != nil {
		return err
	}
	l := z.look(q, of)
	if l.public == nil {
		return nil // the policy has not heard of the API yet
	}
	last := q.after
	for _, path := range slices.Sorted(maps.Keys(l.places)) {
		if path < q.after.ID || path == q.after.ID && q.after.Value == "" {
			continue
		}
		if z.ends(q, last) {
			return nil
		}
		allowed := false
		if path != q.after.ID { // else it was looked at by the page before
			if allowed, err = l.allowed(ctx, l.open(path)); err != nil {
				return err
			}
		}
		for _, ws := range l.in {
			if allowed || path == q.after.ID && string(ws.ID) <= q.after.Value {
				continue
			}
			if last.ID == path && last != q.after && z.ends(q, last) {
				return nil
			}
			if allowed, err = l.allowed(ctx, l.inside(ws, path)); err != nil {
				return err
			}
			last = cursor{Value: string(ws.ID), ID: path}
		}
		if allowed {
			q.found = append(q.found, found{Type: q.evaluation.api, ID: path})
		}
		last = cursor{ID: path}
	}
	return nil
}

// look is one at the endpoints of an API.
type look struct {
	z  *AuthZEN
	q  *query
	of *subject

	places     map[string][]int    // in the API's list, of those that take the method, by path
	samples    map[string]struct{} // the paths that are public as a whole
	in         []*store.Workspace
	operations []string // that the body of the context has
	public     *policy.Survey
	surveys    map[store.WorkspaceID]*policy.Survey
}

func (z *AuthZEN) look(q *query, of *subject) *look {
	l := &look{z: z, q: q, of: of, places: map[string][]int{}, samples: map[string]struct{}{}, surveys: map[store.WorkspaceID]*policy.Survey{}}
	for i := range q.api.Endpoints {
		if e := &q.api.Endpoints[i]; e.Takes(q.method) {
			l.places[e.Path] = append(l.places[e.Path], i)
		}
	}
	for _, e := range q.api.Public {
		if e.Takes(q.method) {
			if _, there := l.places[e.Path]; !there {
				l.places[e.Path] = nil
			}
			l.samples[e.Path] = struct{}{}
		}
	}
	if of.caller != nil {
		l.in = z.decidedIn(q.api, of)
	}
	l.operations, _ = q.operations(call{method: q.method}) // without any, no GraphQL call is allowed
	l.public = z.Decisions.Policy.Survey(nil, policy.Span{API: q.api.ID})
	return l
}

// allowed reports whether an evaluation of one of some paths is answered with yes.
func (l *look) allowed(ctx context.Context, paths []string) (bool, error) {
	for _, path := range paths {
		e := l.q.evaluation
		e.path = path
		if allowed, err := l.z.allows(ctx, l.q, &e, l.of.who); allowed || err != nil {
			return allowed, err
		}
	}
	return false, nil
}

// open returns paths of a pattern that anybody may call.
func (l *look) open(pattern string) (paths []string) {
	if _, whole := l.samples[pattern]; whole {
		return []string{l.public.Sample(pattern)}
	}
	return l.witnesses(l.public, pattern)
}

// inside returns paths of a pattern that the subject may call in a workspace.
func (l *look) inside(ws *store.Workspace, pattern string) []string {
	s := l.surveys[ws.ID]
	if s == nil {
		if s = l.z.Decisions.Policy.Survey(l.of.callers, l.span(ws)); s == nil {
			return nil
		}
		l.surveys[ws.ID] = s
	}
	return l.witnesses(s, pattern)
}

func (l *look) witnesses(s *policy.Survey, pattern string) (paths []string) {
	for _, place := range l.places[pattern] {
		if path, ok := s.Witness(place, l.q.method, l.operations); ok {
			paths = append(paths, path)
		}
	}
	return paths
}

// span is what of an API is decided in a workspace.
func (l *look) span(ws *store.Workspace) policy.Span {
	at := policy.Span{API: l.q.api.ID, Workspaces: []store.WorkspaceID{ws.ID}}
	if param, ok := strings.CutPrefix(l.q.api.WorkspaceFrom, "param:"); ok {
		at.Param, at.Optional = param, l.of.caller.Workspace != nil
		for _, value := range []string{ws.Name, string(ws.ID)} {
			if called := l.z.Decisions.workspaceCalled(value); called != nil && called.ID == ws.ID {
				at.Values = append(at.Values, value)
			}
		}
	}
	return at
}

// decidedIn returns the workspaces that calls of a subject can be decided in, as
// Handler.workspace finds one of them for a call, by their ids: those of which the
// policy allows something to it, and to each that acts for it.
func (z *AuthZEN) decidedIn(api *store.API, of *subject) []*store.Workspace {
	var in []*store.Workspace
	switch _, param := strings.CutPrefix(api.WorkspaceFrom, "param:"); {
	case of.caller.Workspace != nil:
		in = []*store.Workspace{of.caller.Workspace}
	case param:
		in = slices.Clone(z.Workspaces())
	default:
		in = []*store.Workspace{z.Decisions.State.Workspace(api.Workspace)}
	}
	in = slices.DeleteFunc(in, func(ws *store.Workspace) bool {
		if ws == nil || !ws.APIAccess || !api.OpenTo(ws.ID) {
			return true
		}
		return slices.ContainsFunc(of.caller.Actors, func(c *token.Caller) bool { return c.Client.Workspace != "" && c.Client.Workspace != ws.ID }) ||
			slices.ContainsFunc(of.callers, func(c *policy.Caller) bool { return !z.Decisions.Policy.Reaches(c, ws.ID, api.Name) })
	})
	slices.SortFunc(in, func(a, b *store.Workspace) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return in
}
