package policy

import (
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
	spaces [shards]map[store.WorkspaceID]*space
	teams  map[store.TeamID][]*store.Grant // each ordered by workspace
	apis   map[store.APIID]*catalogue
	folds  map[string]*store.API // by name, those that ignore case
}

// shards is how many maps hold the workspaces, so that a write to one of
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
	roles  map[store.RoleID]*linked
}

// linked is a role with its inheritance spelled out.
type linked struct {
	*role
	closure []*role // itself and all that it inherits, each once
	reach   []reach // of the closure
}

func newState() *state {
	s := &state{
		shared: &space{roles: map[store.RoleID]*linked{}},
		teams:  map[store.TeamID][]*store.Grant{},
		apis:   map[store.APIID]*catalogue{},
		folds:  map[string]*store.API{},
	}
	for i := range s.spaces {
		s.spaces[i] = map[store.WorkspaceID]*space{}
	}
	return s
}

// space returns a workspace, or nil if there is none, or it is not known yet.
func (s *state) space(id store.WorkspaceID) *space {
	if w := s.spaces[shard(id)][id]; w != nil && w.record != nil {
		return w
	}
	return nil
}

// role returns a role that counts in a workspace: its own, or a shared one.
func (s *state) role(w *space, id store.RoleID) *linked {
	if l := w.roles[id]; l != nil {
		return l
	}
	return s.shared.roles[id]
}

// granted returns the grant of a team in a workspace, or nil.
func (s *state) granted(t store.TeamID, ws store.WorkspaceID) *store.Grant {
	grants := s.teams[t]
	if i, found := slices.BinarySearchFunc(grants, ws, byWorkspace); found {
		return grants[i]
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
	if id == store.Shared {
		e.shared = e.copied(e.shared)
		return e.shared
	}
	at := &e.spaces[shard(id)]
	if !e.fresh {
		*at = maps.Clone(*at)
	}
	w := (*at)[id]
	if w == nil {
		w = &space{roles: map[store.RoleID]*linked{}}
	} else {
		w = e.copied(w)
	}
	(*at)[id] = w
	return w
}

func (e *edit) copied(w *space) *space {
	if e.fresh {
		return w
	}
	return &space{w.record, maps.Clone(w.roles)}
}

// drop removes a workspace and its roles.
func (e *edit) drop(id store.WorkspaceID) {
	at := &e.spaces[shard(id)]
	if !e.fresh {
		*at = maps.Clone(*at)
	}
	delete(*at, id)
}

// relink links anew all roles of w that have, or had, the changed role among
// what they inherit. It writes to w.
func (e *edit) relink(w *space, changed store.RoleID) {
	for id, l := range w.roles {
		if id == changed || l.names(changed) {
			w.roles[id] = e.link(w, l.role)
		}
	}
}

// relinkAll does so in every workspace, for a shared role.
func (e *edit) relinkAll(changed store.RoleID) {
	e.relink(e.shared, changed)
	for i := range e.spaces {
		for id, w := range e.spaces[i] {
			for _, l := range w.roles {
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
	for _, r := range l.closure {
		if slices.Contains(r.parents, parent) {
			return true
		}
	}
	return false
}

// link computes what a role inherits, level by level: Casbin's role manager
// counts ten levels of parents, and takes each role once. A parent that is
// neither of the role's own workspace nor shared gives nothing.
func (e *edit) link(w *space, r *role) *linked {
	if len(r.parents) == 0 {
		return &linked{r, []*role{r}, r.reach}
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
	return &linked{r, closure, all}
}

// grant replaces the grant of a team in a workspace; roles of nil remove it.
func (e *edit) grant(t store.TeamID, ws store.WorkspaceID, g *store.Grant) {
	if !e.fresh {
		e.teams = maps.Clone(e.teams)
	}
	grants := slices.Clone(e.teams[t])
	i, found := slices.BinarySearchFunc(grants, ws, byWorkspace)
	if found {
		grants = slices.Delete(grants, i, i+1)
	}
	if g != nil {
		grants = slices.Insert(grants, i, g)
	}
	if e.teams[t] = grants; len(grants) == 0 {
		delete(e.teams, t)
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
