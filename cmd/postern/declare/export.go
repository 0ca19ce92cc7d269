package declare

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"postern/store"
)

// ExportOptions say what is written.
type ExportOptions struct {
	Workspaces []string // empty is all that may be seen
	Kinds      []string // empty is all
}

// Export writes what the server has as documents, and returns what they cannot
// say. Secrets are nowhere in it. Fields that have the value of a new thing are
// left out.
func Export(ctx context.Context, server Server, w io.Writer, o ExportOptions) (notes []string, err error) {
	about := scope{kinds: map[string]bool{}}
	if len(o.Workspaces) > 0 {
		about.workspaces = o.Workspaces
	}
	wanted := func(kind string) bool {
		if len(o.Kinds) == 0 {
			return len(o.Workspaces) == 0 || kind != kindAccount && kind != kindTeam // these are of no workspace
		}
		return slices.Contains(o.Kinds, kind)
	}
	for _, k := range kinds() {
		about.kinds[k.name] = wanted(k.name)
	}
	if about.kinds[kindAPI] || about.kinds[kindGrant] {
		about.kinds[kindClient] = true // introspectors, and technical users
	}
	about.teams = about.kinds[kindTeam]
	about.lenient = len(o.Kinds) == 0
	about.accounts = about.teams || about.kinds[kindAccount] || wanted(kindClient) || wanted(kindWorkspace)
	s, err := readState(ctx, server, about)
	if err != nil {
		return nil, err
	}
	for _, name := range o.Workspaces {
		if !slices.Contains(s.workspaces, name) {
			return nil, fmt.Errorf("there is no workspace %s that you may see", printable(name))
		}
	}
	e := &exporter{state: s, holders: map[string]string{}, licences: map[string]bool{}}
	for _, r := range e.sorted() {
		if wanted(r.Kind) && !r.builtin {
			e.export(r)
		}
	}
	if s.hidden {
		e.note("people, teams and licences are left out: you may not list accounts")
	}
	if s.unnamed > 0 && wanted(kindClient) {
		e.note("%d service clients have no key and are left out: a file cannot name them", s.unnamed)
	}
	return e.notes, Write(w, e.docs)
}

// exporter turns records into documents.
type exporter struct {
	state *State
	docs  []*Document
	notes []string

	holders  map[string]string // the first client of each technical user, by workspace and account
	licences map[string]bool   // the technical users whose licence is said
}

func (e *exporter) note(format string, args ...any) {
	e.notes = append(e.notes, fmt.Sprintf(format, args...))
}

// sorted are the records in the order in which they can be made.
func (e *exporter) sorted() []*Record {
	order := map[string]int{}
	for i, k := range kinds() {
		order[k.name] = i
	}
	p := &planner{Plan: &Plan{state: e.state}}
	var all []*Record
	below := map[*Record]int{}
	for _, r := range e.state.records {
		all = append(all, r)
		if r.Kind == kindRole {
			below[r] = p.below(r, 0)
		}
	}
	slices.SortFunc(all, func(a, b *Record) int {
		return cmp.Or(order[a.Kind]-order[b.Kind], cmp.Compare(a.Workspace, b.Workspace), below[a]-below[b], cmp.Compare(a.Name, b.Name))
	})
	return all
}

func (e *exporter) export(r *Record) {
	doc := &Document{Key: r.Key, values: map[string]any{}}
	k := kindNamed(r.Kind)
	for i := range k.fields {
		f := &k.fields[i]
		value, known := r.values[f.name]
		now := lines(f, value)
		initially := len(now) == 0 && f.initial == "" || len(now) == 1 && now[0] == f.initial
		if !known || initially && !f.required {
			continue
		}
		doc.values[f.name] = shortened(f, r.Workspace, value)
	}
	switch r.Kind {
	case kindAPI:
		e.exportAPI(doc)
	case kindClient:
		if doc.values["name"] == r.Name {
			delete(doc.values, "name")
		}
		// What its account holds is said with the first of its clients.
		holder := r.Workspace + "\n" + r.holder
		if e.holders[holder] == "" {
			e.holders[holder] = r.Name
		} else {
			delete(doc.values, "roles")
		}
		if e.licences[r.holder] {
			delete(doc.values, "licence")
		}
		e.licences[r.holder] = true
	case kindGrant:
		if e.holders[r.Workspace+"\n"+r.holder] != "" {
			return
		}
		if isTechnical(r.holder) && !e.named(r.holder) {
			e.note("what %s holds in %s is left out: its clients have no key, so a file cannot make it", strings.TrimPrefix(r.Name, "account "), r.Workspace)
			return
		}
	case kindWorkspace:
		if r.Name == store.SystemWorkspace && len(doc.values) == 0 {
			return
		}
	}
	e.docs = append(e.docs, doc)
}

// named reports whether a technical user is made by a client of the export.
func (e *exporter) named(holder string) bool {
	for _, r := range e.state.records {
		if r.Kind == kindClient && r.holder == holder {
			return true
		}
	}
	return false
}

func (e *exporter) exportAPI(doc *Document) {
	refs, _ := doc.values["introspectors"].([]string)
	if i := slices.IndexFunc(refs, isID); i >= 0 {
		e.note("%s: introspectors are left out, since client %s has no key", doc.Key, refs[i])
		delete(doc.values, "introspectors")
	}
}
