package policy

import (
	"slices"

	"postern/store"
)

// MayUsePersonal reports whether a person may make and use personal tokens in a
// workspace: who is owner or admin of it, or of the workspace system, always;
// others where its settings say so of everyone who holds a role there, or of
// them by name.
func (e *Engine) MayUsePersonal(h *store.Holder, ws store.WorkspaceID) bool {
	return e.state.Load().mayUsePersonal(h, ws)
}

func (s *state) mayUsePersonal(h *store.Holder, ws store.WorkspaceID) bool {
	w := s.space(ws)
	if w == nil || w.record == nil {
		return false
	}
	c := &Caller{Holder: h}
	member := false
	for at, g := range s.held(c, "") {
		name := at.record.Name
		own := g.Workspace == ws
		if !own && name != store.SystemWorkspace {
			continue
		}
		member = member || own
		for i := range g.Roles {
			l := s.role(at, g.Roles[i].Role)
			if l != nil && l.administers(name) {
				return true
			}
		}
	}
	switch w.record.WhoMayCreate {
	case store.CreateEveryone:
		return member
	case store.CreateNamed:
		return slices.Contains(w.record.PersonalPeople, h.Account.ID)
	case store.CreateAdministrators:
	}
	return false
}

// administers reports whether a role is, or inherits, owner or admin of the
// workspace of this name.
func (l *linked) administers(name string) bool {
	for r := range l.closure() {
		if after, ok := cutWorkspace(r.ref, name); ok && (after == "owner" || after == "admin") {
			return true
		}
	}
	return false
}

func cutWorkspace(ref, name string) (string, bool) {
	if len(ref) > len(name) && ref[:len(name)] == name && ref[len(name)] == '/' {
		return ref[len(name)+1:], true
	}
	return "", false
}

// counts reports whether a grant counts for a caller: by a personal token only
// where the person may use one.
func (s *state) counts(c *Caller, g *store.Grant) bool {
	return !c.Personal || s.mayUsePersonal(c.Holder, g.Workspace)
}
