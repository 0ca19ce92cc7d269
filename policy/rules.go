package policy

import (
	"slices"

	"postern/store"
)

// NamedRule is a rule that allows, with what decisions and usage call it by.
type NamedRule struct {
	ID   string // acme/reader#3
	Role *store.Role
	store.Rule
}

// RulesOf returns the rules of a role that allow, by number.
func RulesOf(r *store.Role) (out []NamedRule) {
	for i := range r.Rules {
		if rule := &r.Rules[i]; !rule.Deny {
			out = append(out, NamedRule{ruleID(r, rule), r, *rule})
		}
	}
	return out
}

// Rules returns the rules that allow and that the caller's grants reach in a
// workspace, by the terms of Scopes, as far as its licence allows some of the same;
// by role and number, each once. Every decision that allows a call names one of
// them. What rules that deny take away is not taken off.
func (e *Engine) Rules(c *Caller, ws store.WorkspaceID) []NamedRule {
	s := e.state.Load()
	var found []*rule
	for w, g := range s.held(c, ws) {
		if !s.counts(c, g) {
			continue
		}
		left := s.left(w, c, nil)
		for i := range g.Roles {
			l := s.role(w, g.Roles[i].Role)
			if l == nil {
				continue
			}
			for role := range l.closure() {
				if c.Narrowed && !reaches(left, role) {
					continue
				}
				for r := range role.rules() {
					if !r.deny && s.bounds(c, r) {
						found = append(found, r)
					}
				}
			}
		}
	}
	inOrder(found)
	found = slices.Compact(found)
	out := make([]NamedRule, len(found))
	for i, r := range found {
		out[i] = NamedRule{r.id, r.role.doc, store.Rule{Number: r.number, API: r.api, Methods: r.methods, Path: r.path, Operation: r.op, Scope: r.scope}}
	}
	return out
}

// bounds reports whether the caller's licence allows some call that a rule does.
func (s *state) bounds(c *Caller, r *rule) bool {
	if c.licence() == "" {
		return true
	}
	l := s.shared.roles.get(c.licence())
	if l == nil {
		return false
	}
	for role := range l.closure() {
		for o := range role.rules() {
			if o.deny || o.api != r.api && o.api != "*" && r.api != "*" || meetMethods(o.methods, r.methods) == "" {
				continue
			}
			fold := s.folds[r.api] != nil || s.folds[o.api] != nil
			a, b := formOf(r.path, fold), formOf(o.path, fold)
			if _, both := meetOperations(o.op, r.op); both && a.meets(&b) {
				return true
			}
		}
	}
	return false
}
