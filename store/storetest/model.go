package storetest

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"

	"postern/store"
)

// model is a store that is plainly right: a map, and no clever thing.
type model struct {
	records map[store.Kind]map[string]store.Record
	lastUse map[store.ClientID]store.Time
}

func newModel() *model {
	return &model{records: map[store.Kind]map[string]store.Record{}, lastUse: map[store.ClientID]store.Time{}}
}

// commit does all writes or returns what is wrong with the first that cannot be.
func (m *model) commit(writes ...store.Write) error {
	next := map[store.Kind]map[string]store.Record{}
	for kind, records := range m.records {
		next[kind] = maps.Clone(records)
	}
	for _, w := range writes {
		kind, key := w.Record.Kind(), w.Record.Key()
		if next[kind] == nil {
			next[kind] = map[string]store.Record{}
		}
		old, known := next[kind][key]
		switch {
		case w.Op == store.OpInsert && known:
			return &store.Exists{Kind: kind, Field: "_id"}
		case w.Op != store.OpInsert && (!known || old.Rev() != w.Record.Rev()):
			return store.ErrConflict
		case w.Op == store.OpDelete:
			delete(next[kind], key)
			continue
		}
		for other, r := range next[kind] {
			if field := clash(w.Record, r); field != "" && other != key {
				return &store.Exists{Kind: kind, Field: field}
			}
		}
		next[kind][key] = w.Stored()
	}
	m.records = next
	return nil
}

// clash names the unique field in which two records of a kind are equal.
func clash(a, b store.Record) string {
	switch a := a.(type) {
	case *store.Workspace:
		if a.Name == b.(*store.Workspace).Name {
			return "name"
		}
	case *store.Team:
		if a.Name == b.(*store.Team).Name {
			return "name"
		}
	case *store.Client:
		if b := b.(*store.Client); a.ClientKey != "" && a.ClientKey == b.ClientKey && a.Workspace == b.Workspace {
			return "key"
		}
	}
	return ""
}

// all returns the records of a kind, ordered by key.
func (m *model) all(kind store.Kind) []store.Record {
	return slices.SortedFunc(maps.Values(m.records[kind]), func(a, b store.Record) int { return cmp.Compare(a.Key(), b.Key()) })
}

// clients answers a ClientQuery.
func (m *model) clients(q store.ClientQuery) []*store.Client {
	var out []*store.Client
	for _, r := range m.records[store.KindClient] {
		if c := r.(*store.Client); m.wanted(c, q) {
			out = append(out, c)
		}
	}
	slices.SortFunc(out, func(a, b *store.Client) int {
		order := cmp.Or(m.compare(a, b, q.Sort), cmp.Compare(a.ID, b.ID))
		if q.Desc {
			return -order
		}
		return order
	})
	if q.After != nil {
		if i := slices.IndexFunc(out, func(c *store.Client) bool { return c.ID == q.After.ID }); i >= 0 {
			out = out[i+1:]
		}
	}
	return out[:min(len(out), cmp.Or(q.Limit, 50))]
}

func (m *model) wanted(c *store.Client, q store.ClientQuery) bool {
	texts := strings.ToLower(strings.Join([]string{c.Name, c.Description, c.ClientKey, string(c.ID)}, "\x00"))
	state := c.Status
	if q.Now != 0 {
		state = c.State(q.Now)
	}
	return (len(q.Workspaces) == 0 || slices.Contains(q.Workspaces, c.Workspace)) &&
		(q.Account == "" || q.Account == c.Account) &&
		(q.ClientKind == "" || q.ClientKind == c.ClientKind) &&
		(q.Status == "" && state != store.ClientDeleted || q.Status == state) &&
		strings.Contains(texts, strings.ToLower(q.Search)) &&
		(!q.Unused || m.lastUse[c.ID] == 0) &&
		(q.UsedSince == 0 || m.lastUse[c.ID] >= q.UsedSince) &&
		(q.MadeBefore == 0 || c.CreatedAt < q.MadeBefore) &&
		(q.EndsTo == 0 || slices.ContainsFunc(c.Ends(), func(t store.Time) bool { return q.EndsFrom <= t && t < q.EndsTo })) &&
		(len(q.Responsible) == 0 || slices.Contains(q.Responsible, c.Responsible)) &&
		(!q.Noted || c.Noted()) &&
		(!q.Slow || c.SlowSecret() != nil) &&
		(q.ConfirmBy == 0 || c.ConfirmBy != 0 && c.ConfirmBy <= q.ConfirmBy) &&
		(q.ExpiresBy == 0 || c.ExpiresAt != 0 && c.ExpiresAt <= q.ExpiresBy)
}

func (m *model) compare(a, b *store.Client, sort store.ClientSort) int {
	switch sort {
	case store.SortCreated:
		return cmp.Compare(a.CreatedAt, b.CreatedAt)
	case store.SortExpires:
		never := func(t store.Time) store.Time {
			if t == 0 {
				return math.MaxInt64
			}
			return t
		}
		return cmp.Compare(never(a.ExpiresAt), never(b.ExpiresAt))
	case store.SortLastUse:
		return cmp.Compare(m.lastUse[a.ID], m.lastUse[b.ID])
	default:
		return cmp.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name))
	}
}

// cursor is where the page after this client starts.
func (m *model) cursor(c *store.Client, sort store.ClientSort) *store.ClientCursor {
	return &store.ClientCursor{Value: c.SortValue(sort, m.lastUse[c.ID]), ID: c.ID}
}
