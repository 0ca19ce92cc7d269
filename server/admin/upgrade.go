package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"postern/store"
)

// Upgrade brings what is built in to this version: the licences, the built-in
// roles of each workspace, and the catalogue of Postern's own API. It is called
// before the state is loaded, on every start; of several nodes one does it.
func (a *Admin) Upgrade(ctx context.Context) error {
	now := a.now()
	var workspaces []*store.Workspace
	var own *store.API
	roles := map[string]*store.Role{}
	err := a.Store.All(ctx, func(r store.Record) error {
		switch r := r.(type) {
		case *store.Workspace:
			workspaces = append(workspaces, r)
		case *store.API:
			if r.Name == store.PosternAPI {
				own = r
			}
		case *store.Role:
			roles[r.Ref] = r
		}
		return nil
	}, store.KindWorkspace, store.KindAPI, store.KindRole)
	if err != nil {
		return fmt.Errorf("upgrade what is built in: %w", err)
	}
	var writes []store.Write
	bring := func(wanted []*store.Role) {
		for _, w := range wanted {
			switch have := roles[w.Ref]; {
			case have == nil:
				writes = append(writes, store.Insert(w))
			case have.Builtin && (have.Description != w.Description || !sameRules(have.Rules, w.Rules)):
				next := *have
				next.Description, next.Rules = w.Description, renumbered(have, w.Rules)
				next.LastNumber = max(have.LastNumber, lastNumber(next.Rules))
				writes = append(writes, store.Update(&next))
			}
		}
	}
	bring(licences(now))
	system := store.WorkspaceID("")
	for _, ws := range workspaces {
		if ws.Name == store.SystemWorkspace {
			system = ws.ID
		}
		bring(workspaceRoles(ws, now))
	}
	if own != nil {
		wanted := posternAPI(own.Workspace, a.Issuer, now)
		if !slices.EqualFunc(own.Endpoints, wanted.Endpoints, sameEndpoint) {
			next := *own
			next.Endpoints = wanted.Endpoints
			writes = append(writes, store.Update(&next))
		}
	}
	if len(writes) == 0 {
		return nil
	}
	e := a.entry(&Actor{machine: true}, entry{operation: "installation.upgrade", workspace: system, name: "installation"})
	err = a.Store.Commit(ctx, append(writes, store.Insert(e))...)
	if errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrExists) {
		return nil // another node does the same at this moment
	}
	if err != nil {
		return fmt.Errorf("upgrade what is built in: %w", err)
	}
	return nil
}

// renumbered gives rules the numbers that equal rules of the role have; new ones
// get numbers that were never given.
func renumbered(have *store.Role, rules []store.Rule) []store.Rule {
	out := make([]store.Rule, len(rules))
	last := have.LastNumber
	for i, r := range rules {
		r.Number = 0
		for _, h := range have.Rules {
			same := h
			same.Number = 0
			if same == r {
				r.Number = h.Number
			}
		}
		if r.Number == 0 {
			last++
			r.Number = last
		}
		out[i] = r
	}
	slices.SortFunc(out, func(x, y store.Rule) int { return x.Number - y.Number })
	return out
}

func lastNumber(rules []store.Rule) int {
	last := 0
	for _, r := range rules {
		last = max(last, r.Number)
	}
	return last
}

// sameRules reports whether two lists hold the same rules, whatever their numbers.
func sameRules(x, y []store.Rule) bool {
	has := func(list []store.Rule, r store.Rule) bool {
		return slices.ContainsFunc(list, func(o store.Rule) bool {
			o.Number = r.Number
			return o == r
		})
	}
	for _, r := range x {
		if !has(y, r) {
			return false
		}
	}
	return len(x) == len(y)
}

func sameEndpoint(x, y store.Endpoint) bool {
	return x.Methods == y.Methods && x.Path == y.Path && x.Summary == y.Summary && slices.Equal(x.Tags, y.Tags) && x.GraphQL == y.GraphQL
}
