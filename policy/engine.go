// Package policy decides calls: may this caller make this call in this
// workspace, by which rule, and if not, what is missing.
//
// The meaning of every rule is that of a Casbin model (model.conf) over the rows
// of role documents (Rows), and Referee asks Casbin for it. Engine gives the same
// answers from an index: per role and API a trie of path segments, per workspace
// the roles with their inheritance spelled out. It takes no lock to read and
// allocates nothing to decide; one decision in thousands is checked against
// Casbin in the background (Run).
//
// A deny that matches wins over every allow, whatever narrows the caller. What
// is unknown, unreadable or of another workspace refuses.
//
// Paths of calls are spelled by Canonical before they are decided, patterns by
// ParsePath. Who the caller is, and whether its account, client and token are
// good, is for others to know.
package policy

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"

	"postern/store"
)

// Options configures an Engine. The zero value works.
type Options struct {
	Log *slog.Logger // nil means no log
	// Shadow: one decision in this many is checked against plain Casbin while
	// Run runs. 0 means 10,000, a negative number never.
	Shadow int
	// OnShadow is told of each check; detail says how the answers differ. It is
	// called by Run.
	OnShadow func(agrees bool, detail string)
}

// Engine decides. All its methods may be called at any time by many goroutines.
// Until the first Load it refuses everything.
type Engine struct {
	log      *slog.Logger
	shadow   uint32 // 0 is never
	onShadow func(bool, string)
	samples  chan sample
	state    atomic.Pointer[state]
	epoch    atomic.Uint64

	writer sync.Mutex
	homes  map[store.RoleID]store.WorkspaceID // a deleted role comes without its record
	names  map[string]string                  // of APIs and methods, each once in memory
}

// New returns an engine that knows nothing yet. It starts nothing.
func New(o Options) *Engine {
	e := &Engine{log: o.Log, onShadow: o.OnShadow, samples: make(chan sample, 64)}
	e.forget()
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	if e.onShadow == nil {
		e.onShadow = func(bool, string) {}
	}
	switch {
	case o.Shadow == 0:
		e.shadow = 10_000
	case o.Shadow > 0:
		e.shadow = uint32(min(o.Shadow, 1<<31))
	}
	e.state.Store(newState())
	return e
}

// Load replaces all that the engine knows by these records: roles, workspaces,
// APIs and the grants of teams. Other kinds, and grants of accounts, are left
// aside. After an error the engine knows what it knew before.
//
// A role that cannot be read (see CheckRole) does not fail the load. It denies
// everything, to whoever holds or inherits it.
func (e *Engine) Load(records []store.Record) error {
	e.writer.Lock()
	defer e.writer.Unlock()
	if i := slices.Index(records, nil); i >= 0 {
		return fmt.Errorf("load policy: record %d of %d is missing", i+1, len(records))
	}
	e.forget()
	next := edit{newState(), true}
	for _, r := range records {
		switch r := r.(type) {
		case *store.Workspace:
			next.space(r.ID).record = r
		case *store.Role:
			e.homes[r.ID] = r.Workspace
			w := next.space(r.Workspace)
			w.roles.set(r.ID, &linked{role: e.compiled(r)})
		case *store.Grant:
			if r.Holder.IsTeam() {
				next.grant(store.TeamID(r.Holder), r.Workspace, r)
			}
		case *store.API:
			next.api(r.ID, e.catalogue(r))
		}
	}
	next.linkAll(next.shared)
	for i := range next.spaces {
		for _, w := range next.spaces[i].all() {
			next.linkAll(w)
		}
	}
	e.state.Store(next.state)
	e.epoch.Add(1)
	return nil
}

// Apply brings one change in. Decisions that begin after it returned know it.
// After an error the engine knows what it knew before.
func (e *Engine) Apply(c store.Change) error {
	e.writer.Lock()
	defer e.writer.Unlock()
	next := *e.state.Load()
	ed := edit{state: &next}
	var known bool
	switch c.Kind {
	case store.KindRole:
		known = change(c, func(r *store.Role) { e.applyRole(&ed, store.RoleID(c.Key), r) })
	case store.KindWorkspace:
		known = change(c, func(w *store.Workspace) {
			if w == nil {
				ed.drop(store.WorkspaceID(c.Key))
			} else {
				ed.space(w.ID).record = w
			}
		})
	case store.KindGrant:
		known = change(c, func(g *store.Grant) { applyGrant(&ed, store.GrantID(c.Key), g) })
	case store.KindAPI:
		known = change(c, func(a *store.API) {
			if a == nil {
				ed.api(store.APIID(c.Key), nil)
			} else {
				ed.api(a.ID, e.catalogue(a))
			}
		})
	default:
		return nil
	}
	if !known {
		return fmt.Errorf("apply a change of %s %s: its record is a %T", c.Kind, c.Key, c.Record)
	}
	e.state.Store(&next)
	e.epoch.Add(1)
	return nil
}

// change calls apply with the record of a change, nil for a deletion, unless it
// is of another type.
func change[T any](c store.Change, apply func(*T)) bool {
	if c.Record == nil {
		apply(nil)
		return true
	}
	r, ok := any(c.Record).(*T)
	if ok {
		apply(r)
	}
	return ok
}

func (e *Engine) applyRole(ed *edit, id store.RoleID, r *store.Role) {
	if home, had := e.homes[id]; had && (r == nil || r.Workspace != home) {
		delete(e.homes, id)
		// A workspace may have gone before its roles.
		if home == store.Shared || ed.spaces[shard(home)].get(home) != nil {
			w := ed.space(home)
			w.roles.set(id, nil)
			relinkFrom(ed, home, w, id)
		}
	}
	if r == nil {
		return
	}
	e.homes[id] = r.Workspace
	w := ed.space(r.Workspace)
	w.roles.set(id, &linked{role: e.compiled(r)})
	relinkFrom(ed, r.Workspace, w, id)
}

func relinkFrom(ed *edit, home store.WorkspaceID, w *space, id store.RoleID) {
	if home == store.Shared {
		ed.relinkAll(id)
	} else {
		ed.relink(w, id)
	}
}

func applyGrant(ed *edit, id store.GrantID, g *store.Grant) {
	holder := id.Holder()
	if !holder.IsTeam() {
		return
	}
	ws := store.WorkspaceID(id[min(len(holder)+1, len(id)):])
	ed.grant(store.TeamID(holder), ws, g)
}

func (e *Engine) forget() {
	e.homes, e.names = map[store.RoleID]store.WorkspaceID{}, map[string]string{}
}

// once returns the same string for equal ones: names that all rules share stay in
// the processor's cache.
func (e *Engine) once(name string) string {
	if known, ok := e.names[name]; ok {
		return known
	}
	e.names[name] = name
	return name
}

func (e *Engine) compiled(doc *store.Role) *role {
	doc, err := usable(doc)
	if err != nil {
		e.log.Error("a role cannot be read and denies everything", "role", string(doc.ID), "ref", doc.Ref, "workspace", string(doc.Workspace), "err", err)
	}
	return compile(doc, e.once)
}

// Epoch rises with each change of what the engine knows. What was asked after
// Epoch gave a number is still true while it gives the same one.
func (e *Engine) Epoch() uint64 { return e.epoch.Load() }

// Decide says whether the caller may make the call. Path must be canonical. It
// does not allocate.
func (e *Engine) Decide(c *Caller, r *Request) Decision {
	s := e.state.Load()
	if c.Personal && !s.mayUsePersonal(c.Holder, r.Workspace) {
		return Decision{Reason: NoRule}
	}
	d, _ := s.decide(c, r)
	if e.shadow > 0 && rand.Uint32N(e.shadow) == 0 { //nolint:gosec // which decisions are checked is no secret
		e.offer(s, c, r, d)
	}
	return d
}
