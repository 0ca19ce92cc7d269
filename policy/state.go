package policy

import (
	"iter"
	"maps"
	"slices"
	"strings"

	"postern/store"
)

// state is all that decisions are made from. Once it is published, it and all
// below it never change: a write makes a new one of what it touches, and shares
// the rest.
type state struct {
	shared *space
	spaces [shards]table[store.WorkspaceID, space]
	teams  table[store.TeamID, team]
	apis   map[store.APIID]*catalogue
	folds  map[string]*store.API // by name, those that ignore case
}

// shards is how many tables hold the workspaces, so that a write to one of
// thousands copies few of them.
const shards = 64

// shard spreads ids by their last characters, which are random.
func shard(id store.WorkspaceID) int {
	if len(id) < 2 {
		return 0
	}
	return int(id[len(id)-1]*31+id[len(id)-2]) % shards
}

// space is a workspace with its roles, or the shared roles.
type space struct {
	record *store.Workspace // nil until it is known: nothing is allowed in it then
	roles  table[store.RoleID, linked]
}

// team is what a team was granted, ordered by workspace.
type team struct{ grants []*store.Grant }

// linked is a role with its inheritance spelled out.
type linked struct {
	*role
	inherited []*role // each once
	reach     []reach // of itself and what it inherits
}

// has reports whether a role is the linked one, or inherited by it.
func (l *linked) has(r *role) bool { return l.role == r || slices.Contains(l.inherited, r) }

// hasAll reports whether another role, and all that it inherits, is among them.
func (l *linked) hasAll(o *linked) bool {
	return l.has(o.role) && !slices.ContainsFunc(o.inherited, func(r *role) bool { return !l.has(r) })
}

// closure yields the role and what it inherits.
func (l *linked) closure() iter.Seq[*role] {
	return func(yield func(*role) bool) {
		if !yield(l.role) {
			return
		}
		for _, r := range l.inherited {
			if !yield(r) {
				return
			}
		}
	}
}

func newState() *state {
	return &state{
		shared: &space{},
		apis:   map[store.APIID]*catalogue{},
		folds:  map[string]*store.API{},
	}
}

// space returns a workspace, or nil if there is none, or it is not known yet.
func (s *state) space(id store.WorkspaceID) *space {
	if w := s.spaces[shard(id)].get(id); w != nil && w.record != nil {
		return w
	}
	return nil
}

// role returns a role that counts in a workspace: its own, or a shared one.
func (s *state) role(w *space, id store.RoleID) *linked {
	if l := w.roles.get(id); l != nil {
		return l
	}
	return s.shared.roles.get(id)
}

// granted returns the grant of a team in a workspace, or nil.
func (s *state) granted(t store.TeamID, ws store.WorkspaceID) *store.Grant {
	held := s.teams.get(t)
	if held == nil {
		return nil
	}
	if i, found := slices.BinarySearchFunc(held.grants, ws, byWorkspace); found {
		return held.grants[i]
	}
	return nil
}

func byWorkspace(g *store.Grant, ws store.WorkspaceID) int {
	return strings.Compare(string(g.Workspace), string(ws))
}

// edit is a state in the making. Its maps may be written to only after they
// were copied, but for those of a new state.
type edit struct {
	*state
	fresh bool
}

// space returns a workspace to write to, making it where there is none.
func (e *edit) space(id store.WorkspaceID) *space {
	old := e.shared
	if id != store.Shared {
		old = e.spaces[shard(id)].get(id)
	}
	if e.fresh && old != nil {
		return old
	}
	w := &space{}
	if old != nil {
		w.record, w.roles = old.record, old.roles.copied()
	}
	switch {
	case id == store.Shared:
		e.shared = w
	case e.fresh:
		e.spaces[shard(id)].set(id, w)
	default:
		e.spaces[shard(id)] = e.spaces[shard(id)].with(id, w)
	}
	return w
}

// drop removes a workspace and its roles.
func (e *edit) drop(id store.WorkspaceID) {
	e.spaces[shard(id)] = e.spaces[shard(id)].with(id, nil)
}

// relink links anew all roles of w that have, or had, the changed role among
// what they inherit. Nobody reads w yet.
func (e *edit) relink(w *space, changed store.RoleID) {
	for id, l := range w.roles.all() {
		if id == changed || l.names(changed) {
			w.roles.set(id, e.link(w, l.role))
		}
	}
}

// linkAll links every role of a workspace that nobody reads yet.
func (e *edit) linkAll(w *space) {
	for i := range w.roles.entries {
		w.roles.entries[i].value = e.link(w, w.roles.entries[i].value.role)
	}
}

// relinkAll does so in every workspace, for a shared role.
func (e *edit) relinkAll(changed store.RoleID) {
	e.relink(e.shared, changed)
	for i := range e.spaces {
		for id, w := range e.spaces[i].all() {
			for _, l := range w.roles.all() {
				if l.names(changed) {
					e.relink(e.space(id), changed)
					break
				}
			}
		}
	}
}

// names reports whether the role, or one that it inherits, has a parent.
func (l *linked) names(parent store.RoleID) bool {
	if slices.Contains(l.parents, parent) {
		return true
	}
	return slices.ContainsFunc(l.inherited, func(r *role) bool { return slices.Contains(r.parents, parent) })
}

// link computes what a role inherits, level by level: Casbin's role manager
// counts ten levels of parents, and takes each role once. A parent that is
// neither of the role's own workspace nor shared gives nothing.
func (e *edit) link(w *space, r *role) *linked {
	if len(r.parents) == 0 {
		return &linked{role: r, reach: r.reach}
	}
	closure := []*role{r}
	level := closure
	for range maxDepth {
		from := len(closure)
		for _, child := range level {
			for _, id := range child.parents {
				p := e.role(w, id)
				if p == nil || child.doc.Workspace == store.Shared && p.doc.Workspace != store.Shared || slices.Contains(closure, p.role) {
					continue
				}
				closure = append(closure, p.role)
			}
		}
		level = closure[from:]
	}
	all := slices.Clone(r.reach)
	for _, p := range closure[1:] {
		for _, more := range p.reach {
			all = join(all, more)
		}
	}
	return &linked{r, closure[1:], all}
}

// grant replaces the grant of a team in a workspace; nil removes it.
func (e *edit) grant(t store.TeamID, ws store.WorkspaceID, g *store.Grant) {
	var changed team
	if old := e.teams.get(t); old != nil {
		changed.grants = slices.Clone(old.grants)
	}
	i, found := slices.BinarySearchFunc(changed.grants, ws, byWorkspace)
	if found {
		changed.grants = slices.Delete(changed.grants, i, i+1)
	}
	if g != nil {
		changed.grants = slices.Insert(changed.grants, i, g)
	}
	held := &changed
	if len(changed.grants) == 0 {
		held = nil
	}
	if e.fresh {
		e.teams.set(t, held)
	} else {
		e.teams = e.teams.with(t, held)
	}
}

// api replaces the catalogue of an API; a record of nil removes it.
func (e *edit) api(id store.APIID, a *catalogue) {
	if !e.fresh {
		e.apis, e.folds = maps.Clone(e.apis), maps.Clone(e.folds)
	}
	if old := e.apis[id]; old != nil {
		delete(e.folds, old.record.Name)
	}
	if delete(e.apis, id); a == nil {
		return
	}
	if e.apis[id] = a; a.record.FoldCase {
		e.folds[a.record.Name] = a.record
	}
}
