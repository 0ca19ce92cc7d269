package policy

import (
	"iter"
	"slices"
	"strings"

	"postern/store"
)

// held yields the grants of a caller and of its teams with their workspaces, in
// one workspace or, where ws is empty, in all of them.
func (s *state) held(c *Caller, ws store.WorkspaceID) iter.Seq2[*space, *store.Grant] {
	return func(yield func(*space, *store.Grant) bool) {
		var w *space
		if ws != "" {
			if w = s.space(ws); w == nil {
				return
			}
		}
		for _, g := range c.Holder.Grants {
			if ws != "" && g.Workspace != ws {
				continue
			}
			if at := s.or(w, g); at != nil && !yield(at, g) {
				return
			}
		}
		for _, t := range c.Holder.Account.Teams {
			if ws != "" {
				if g := s.granted(t, ws); g != nil && !yield(w, g) {
					return
				}
				continue
			}
			all := s.teams.get(t)
			if all == nil {
				continue
			}
			for _, g := range all.grants {
				if at := s.space(g.Workspace); at != nil && !yield(at, g) {
					return
				}
			}
		}
	}
}

func (s *state) or(w *space, g *store.Grant) *space {
	if w != nil {
		return w
	}
	return s.space(g.Workspace)
}

// asks yields what the allow rules ask for that the caller's grants reach, less
// its narrowing, API by API.
func (s *state) asks(c *Caller, ws store.WorkspaceID) iter.Seq[*reach] {
	return func(yield func(*reach) bool) {
		for w, g := range s.held(c, ws) {
			if !s.counts(c, g) {
				continue
			}
			var buf [8]*linked
			left := buf[:0]
			if c.Narrowed {
				left = s.left(w, c, left)
			}
			for i := range g.Roles {
				l := s.role(w, g.Roles[i].Role)
				if l == nil {
					continue
				}
				if !c.Narrowed {
					if !each(l.reach, yield) {
						return
					}
					continue
				}
				if reaches(left, l.role) && !each(l.role.reach, yield) {
					return
				}
				for _, r := range l.inherited {
					if reaches(left, r) && !each(r.reach, yield) {
						return
					}
				}
			}
		}
	}
}

// each yields what a list has until it is told to stop.
func each(list []reach, yield func(*reach) bool) bool {
	for i := range list {
		if !yield(&list[i]) {
			return false
		}
	}
	return true
}

// Scopes returns, sorted, what the caller may ask a token for: the scopes named
// by allow rules of these APIs (short names) that its grants reach in a
// workspace, less its narrowing. An empty workspace is every one where it has
// grants. The caller's own scopes, limits and licence do not matter.
func (e *Engine) Scopes(c *Caller, ws store.WorkspaceID, apis []string) []string {
	var out []string
	for r := range e.state.Load().asks(c, ws) {
		if len(r.scopes) > 0 && (r.api == "*" && len(apis) > 0 || slices.Contains(apis, r.api)) {
			out = union(out, r.scopes)
		}
	}
	return slices.Clone(out) // it may be the index's own
}

// Reaches reports whether the caller's grants reach an allow rule for an API,
// by the terms of Scopes.
func (e *Engine) Reaches(c *Caller, ws store.WorkspaceID, api string) bool {
	for r := range e.state.Load().asks(c, ws) {
		if r.api == "*" || r.api == api {
			return true
		}
	}
	return false
}

// RolesOf returns, sorted and each once, the refs of the roles granted to the
// caller and its teams in a workspace, or in all where it is empty. For a
// narrowed client it is the roles it was left with, as far as the grants reach
// them.
func (e *Engine) RolesOf(c *Caller, ws store.WorkspaceID) []string {
	s := e.state.Load()
	var out []string
	for w, g := range s.held(c, ws) {
		if !s.counts(c, g) {
			continue
		}
		for i := range g.Roles {
			l := s.role(w, g.Roles[i].Role)
			switch {
			case l == nil:
			case !c.Narrowed:
				out = append(out, l.ref)
			default:
				for _, kept := range s.left(w, c, nil) {
					if l.has(kept.role) {
						out = append(out, kept.ref)
					}
				}
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Covers reports whether the caller holds a granted role in a workspace itself:
// one of its grants there, or of its teams', reaches the role and all that it
// inherits, with the same limits or wider ones, and narrowing leaves all of
// that to it. Its licence does not matter.
func (e *Engine) Covers(c *Caller, ws store.WorkspaceID, g store.GrantedRole) bool {
	s := e.state.Load()
	w := s.space(ws)
	if w == nil {
		return false
	}
	wanted := s.role(w, g.Role)
	if wanted == nil {
		return false
	}
	if c.Narrowed {
		left := s.left(w, c, nil)
		for r := range wanted.closure() {
			if !reaches(left, r) {
				return false
			}
		}
	}
	for _, held := range s.held(c, ws) {
		if !s.counts(c, held) {
			continue
		}
		for i := range held.Roles {
			h := &held.Roles[i]
			l := s.role(w, h.Role)
			if l != nil && within(g.Limits, h.Limits) && l.hasAll(wanted) {
				return true
			}
		}
	}
	return false
}

// within reports whether limits are as tight as others, or tighter.
func within(limits, wider []store.Limit) bool {
	for _, w := range wider {
		tighter := func(l store.Limit) bool {
			return l.Param == w.Param && !slices.ContainsFunc(l.Values, func(v string) bool { return !slices.Contains(w.Values, v) })
		}
		if !slices.ContainsFunc(limits, tighter) {
			return false
		}
	}
	return true
}

// Unlimited returns the ids of the allow rules, sorted, that a granted role
// with limits reaches and that none of its limits bounds, since they lack the
// parameters. Whoever makes such a grant is to be told.
func (e *Engine) Unlimited(ws store.WorkspaceID, g store.GrantedRole) []string {
	s := e.state.Load()
	w := s.space(ws)
	if w == nil || len(g.Limits) == 0 {
		return nil
	}
	l := s.role(w, g.Role)
	if l == nil {
		return nil
	}
	var out []*rule
	for role := range l.closure() {
		for r := range role.rules() {
			bound := slices.ContainsFunc(r.params, func(p param) bool {
				return slices.ContainsFunc(g.Limits, func(l store.Limit) bool { return l.Param == p.name })
			})
			if !r.deny && !bound {
				out = append(out, r)
			}
		}
	}
	return named(out)
}

// inOrder sorts rules by role and number.
func inOrder(rules []*rule) {
	slices.SortFunc(rules, func(a, b *rule) int {
		if a.role != b.role {
			return strings.Compare(a.role.ref, b.role.ref)
		}
		return a.number - b.number
	})
}

// named returns the ids of rules in their order.
func named(rules []*rule) []string {
	inOrder(rules)
	var ids []string
	for _, r := range rules {
		ids = append(ids, r.id)
	}
	return ids
}
