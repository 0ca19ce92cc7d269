package policy

import (
	"context"
	"fmt"
	"slices"

	"postern/store"
)

// sample is a decision to check, with all that it was made from.
type sample struct {
	state   *state
	caller  Caller
	request Request
	got     Decision
}

// offer hands a decision to Run. When Run is behind, or is not running, the
// sample is dropped: a decision never waits.
func (e *Engine) offer(s *state, c *Caller, r *Request, d Decision) {
	own := *c
	own.Roles, own.Scopes = slices.Clone(c.Roles), slices.Clone(c.Scopes)
	select {
	case e.samples <- sample{s, own, *r, d}:
	default:
	}
}

// Run checks sampled decisions against plain Casbin until ctx is done.
func (e *Engine) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case sm := <-e.samples:
			detail := sm.check()
			if detail != "" {
				e.log.ErrorContext(ctx, "the index and Casbin decide differently", "workspace", string(sm.request.Workspace), "detail", detail)
			}
			e.onShadow(detail == "", detail)
		}
	}
}

// check returns how Casbin's decision differs, or nothing.
func (sm *sample) check() string {
	f, err := NewReferee(sm.state.around(&sm.caller, &sm.request))
	if err != nil {
		return err.Error()
	}
	want, err := f.Decide(&sm.caller, &sm.request)
	if err == nil && want == sm.got {
		return ""
	}
	return fmt.Sprintf("account %s, API %s, %s %q, operation %q: the index says %+v; Casbin says %+v, error %v",
		sm.caller.Holder.Account.ID, sm.request.API, sm.request.Method, sm.request.Path, sm.request.Operation, sm.got, want, err)
}

// around returns the records that can matter to one decision: the grants of the
// caller's teams, the roles that are named there, by its own grants, by its
// narrowing and as its licence, and what these inherit.
func (s *state) around(c *Caller, r *Request) (records []store.Record) {
	w := s.space(r.Workspace)
	if w == nil {
		w = &space{}
	} else {
		records = append(records, w.record)
	}
	if a := s.folds[r.API]; a != nil {
		records = append(records, a)
	}
	roles := slices.Clone(c.Roles)
	roles = append(roles, c.licence())
	grants := slices.Clone(c.Holder.Grants)
	for _, t := range c.Holder.Account.Teams {
		if g := s.granted(t, r.Workspace); g != nil {
			grants = append(grants, g)
			records = append(records, g)
		}
	}
	for _, g := range grants {
		for _, held := range g.Roles {
			roles = append(roles, held.Role)
		}
	}
	for seen := map[store.RoleID]bool{}; len(roles) > 0; {
		id := roles[0]
		roles = roles[1:]
		if l := s.role(w, id); l != nil && !seen[id] {
			seen[id] = true
			records = append(records, l.doc)
			roles = append(roles, l.parents...)
		}
	}
	return records
}
