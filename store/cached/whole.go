package cached

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"

	"postern/store"
)

// wholeKinds returns the kinds of which memory holds every record.
func wholeKinds() []store.Kind {
	return []store.Kind{
		store.KindInstallation, store.KindWorkspace, store.KindAPI, store.KindRole,
		store.KindTeam, store.KindKey, store.KindRevocation, store.KindWebhook, store.KindStatusIndex,
	}
}

// whole is every record of the whole kinds. One goroutine writes; reads take
// no lock.
type whole struct {
	installation atomic.Pointer[store.Installation]
	workspaces   shelf[*store.Workspace]
	apis         shelf[*store.API]
	roles        shelf[*store.Role]
	teams        shelf[*store.Team]
	keys         shelf[*store.Key]
	revocations  shelf[*store.Revocation]
	webhooks     shelf[*store.Webhook]
	indexes      shelf[*store.StatusIndex]
	teamGrants   sync.Map // store.HolderID -> []*store.Grant, by workspace
	slow         slow

	mu       sync.Mutex
	byClient map[store.ClientID]map[string]store.Time // when the revocations of a client end
}

func newWhole() *whole {
	return &whole{
		workspaces: newShelf(func(w *store.Workspace) string { return w.Name }),
		apis: newShelf(
			func(a *store.API) string { return a.Name },
			func(a *store.API) string { return a.Audience }),
		roles:       newShelf(func(r *store.Role) string { return r.Ref }),
		teams:       newShelf(func(t *store.Team) string { return t.Name }),
		keys:        newShelf[*store.Key](),
		revocations: newShelf[*store.Revocation](),
		webhooks:    newShelf[*store.Webhook](),
		indexes:     newShelf[*store.StatusIndex](),
		byClient:    make(map[store.ClientID]map[string]store.Time),
	}
}

// apply reports false if it knew of the change already: the feed starts before
// the snapshot does, so its first changes may be in it.
func (w *whole) apply(c store.Change) bool {
	switch c.Kind {
	case store.KindInstallation:
		return w.applyInstallation(c)
	case store.KindWorkspace:
		return w.workspaces.apply(c)
	case store.KindAPI:
		return w.apis.apply(c)
	case store.KindRole:
		return w.roles.apply(c)
	case store.KindTeam:
		return w.teams.apply(c)
	case store.KindKey:
		return w.keys.apply(c)
	case store.KindRevocation:
		return w.applyRevocation(c)
	case store.KindWebhook:
		return w.webhooks.apply(c)
	case store.KindStatusIndex:
		return w.indexes.apply(c)
	case store.KindGrant:
		return w.applyTeamGrant(c)
	default:
		return false
	}
}

func (w *whole) applyInstallation(c store.Change) bool {
	old := w.installation.Load()
	next, _ := c.Record.(*store.Installation)
	if next == nil {
		return w.installation.CompareAndSwap(old, nil) && old != nil
	}
	if old != nil && old.Revision >= next.Revision {
		return false
	}
	w.installation.Store(next)
	return true
}

func (w *whole) applyRevocation(c store.Change) bool {
	old, known := w.revocations.get(c.Key)
	if !w.revocations.apply(c) {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if known {
		delete(w.byClient[old.Client], c.Key)
		if len(w.byClient[old.Client]) == 0 {
			delete(w.byClient, old.Client)
		}
	}
	if r, ok := c.Record.(*store.Revocation); ok {
		if w.byClient[r.Client] == nil {
			w.byClient[r.Client] = make(map[string]store.Time)
		}
		w.byClient[r.Client][c.Key] = r.ExpiresAt
	}
	return true
}

func (w *whole) applyTeamGrant(c store.Change) bool {
	holder := store.GrantID(c.Key).Holder()
	old := w.grantsOf(holder)
	at, found := slices.BinarySearchFunc(old, store.GrantID(c.Key), func(g *store.Grant, id store.GrantID) int {
		return cmp.Compare(g.ID, id) // of one holder, the order by workspace
	})
	next := slices.Clone(old)
	switch g, ok := c.Record.(*store.Grant); {
	case !ok && !found, ok && found && old[at].Revision >= g.Revision:
		return false
	case !ok:
		next = slices.Delete(next, at, at+1)
	case found:
		next[at] = g
	default:
		next = slices.Insert(next, at, g)
	}
	if len(next) == 0 {
		w.teamGrants.Delete(holder)
	} else {
		w.teamGrants.Store(holder, next)
	}
	return true
}

func (w *whole) grantsOf(team store.HolderID) []*store.Grant {
	held, _ := w.teamGrants.Load(team)
	grants, _ := held.([]*store.Grant)
	return grants
}

// revokedOf counts a client's revocations that have not ended.
func (w *whole) revokedOf(client store.ClientID, now store.Time) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	live := 0
	for _, ends := range w.byClient[client] {
		if !ends.Over(now) {
			live++
		}
	}
	return live
}

// shelf holds every record of one kind by its key, and by other texts that
// are unique in it.
type shelf[R store.Record] struct {
	byKey  *sync.Map // string -> R
	names  []func(R) string
	byName []*sync.Map // for each of names, string -> R
}

func newShelf[R store.Record](names ...func(R) string) shelf[R] {
	s := shelf[R]{byKey: new(sync.Map), names: names}
	for range names {
		s.byName = append(s.byName, new(sync.Map))
	}
	return s
}

func (s *shelf[R]) get(key string) (R, bool) { return find[R](s.byKey, key) }

func (s *shelf[R]) named(name int, text string) (R, bool) { return find[R](s.byName[name], text) }

func find[R store.Record](m *sync.Map, key string) (R, bool) {
	held, _ := m.Load(key)
	r, ok := held.(R)
	return r, ok
}

func (s *shelf[R]) apply(c store.Change) bool {
	old, known := s.get(c.Key)
	next, ok := c.Record.(R)
	switch {
	case ok && known && old.Rev() >= next.Rev(), !ok && !known:
		return false
	case ok:
		s.byKey.Store(c.Key, next)
		for i, name := range s.names {
			s.byName[i].Store(name(next), next)
		}
	default:
		s.byKey.Delete(c.Key)
	}
	if known {
		for i, name := range s.names {
			// It may be another record's by now: one commit can free a name and take it.
			s.byName[i].CompareAndDelete(name(old), old)
		}
	}
	return true
}

// all returns the records by key.
func (s *shelf[R]) all() []R {
	var records []R
	s.byKey.Range(func(_, r any) bool {
		records = append(records, r.(R))
		return true
	})
	slices.SortFunc(records, func(a, b R) int { return cmp.Compare(a.Key(), b.Key()) })
	return records
}
