package declare

import (
	"cmp"
	"slices"
	"strings"

	"postern/store"
)

// prune plans to delete what no document names: of the kinds that documents are
// of, in the workspaces that they are about. What belongs to the installation,
// what is built in, the workspace system, clients without a key (which no
// document can name) and whoever asks stay.
func (p *planner) prune(docs []*Document, self Self) {
	managed, keeps := map[string]bool{}, map[Key]bool{}
	for _, doc := range docs {
		managed[doc.Kind] = true
		keeps[doc.Key] = true
		if doc.Kind == kindClient { // what it holds is its own affair, named or not
			keeps[Key{kindGrant, doc.Workspace, "account " + p.accountOf(doc)}] = true
		}
	}
	gone, acts := p.accountsOf(keeps, managed[kindClient])
	var deletes []*Change
	for _, r := range p.state.records {
		switch {
		case keeps[r.Key] || r.builtin || r.Workspace == "" || r.Workspace == store.SystemWorkspace:
			continue
		case r.Kind == kindGrant && gone[r.holder] && r.holder != self.Account:
			// The technical user of clients that go.
		case !managed[r.Kind] || r.id == self.Client || r.holder != "" && r.holder == self.Account:
			continue
		case r.Kind == kindGrant && isTechnical(r.holder) && !acts[r.holder]:
			continue // of clients that no document can name
		}
		deletes = append(deletes, &Change{Action: remove, Kind: r.Kind, Workspace: r.Workspace, Name: r.Name, phase: p.deletePhase(r), old: r})
	}
	slices.SortFunc(deletes, func(a, b *Change) int {
		return cmp.Or(a.phase-b.phase, cmp.Compare(a.Workspace, b.Workspace), cmp.Compare(a.Name, b.Name))
	})
	p.Changes = append(p.Changes, deletes...)
}

// accountsOf tells of technical users whether all of the clients that act as
// them go, and whether any of them has a key at all.
func (p *planner) accountsOf(keeps map[Key]bool, managed bool) (gone, acts map[string]bool) {
	gone, acts = map[string]bool{}, map[string]bool{}
	for _, r := range p.state.records {
		if r.Kind == kindClient && managed {
			gone[r.holder] = true
		}
	}
	for _, r := range p.state.records {
		if r.Kind != kindClient {
			continue
		}
		acts[r.holder] = true
		if keeps[r.Key] || r.Workspace == store.SystemWorkspace {
			gone[r.holder] = false
		}
	}
	return gone, acts
}

func isTechnical(holder string) bool { return strings.HasPrefix(holder, "svc") }

// deletePhase is the other way round than making: clients first, then what they
// held, then roles before those they inherit, then APIs.
func (p *planner) deletePhase(r *Record) int {
	switch r.Kind {
	case kindClient:
		return phaseDelete
	case kindGrant:
		return phaseDelete + 1
	case kindRole:
		return phaseDelete + 100 - p.below(r, 0)
	default:
		return phaseDelete + 200
	}
}

// below is how far a role stands below those it inherits.
func (p *planner) below(r *Record, seen int) int {
	most := 0
	parents, _ := r.values["parents"].([]string)
	for _, ref := range parents {
		w, name, _ := strings.Cut(ref, "/")
		if parent := p.state.records[Key{kindRole, w, name}]; parent != nil && seen < 90 {
			most = max(most, p.below(parent, seen+1)+1)
		}
	}
	return most
}
