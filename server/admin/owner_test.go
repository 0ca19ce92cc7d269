package admin_test

import (
	"sync"
	"testing"

	"postern/server/admin"
	"postern/store"
)

// W08: of two owners who are taken away at the same moment one stays.
func TestW08OfTwoOwnersWhoGoAtOnceOneStays(t *testing.T) {
	w := start(t)
	made, err := w.CreateClient(t.Context(), w.root, admin.NewClient{Name: "second owner", Workspace: "default", Roles: []string{admin.RoleOwner}})
	if err != nil {
		t.Fatal(err)
	}
	owners := []string{string(w.made.Admin.Account.ID), string(made.Account.ID)}
	role := []admin.Granted{{Role: admin.RoleOwner}}
	for round := range 20 {
		errs := make([]error, len(owners))
		var both sync.WaitGroup
		for i, id := range owners {
			both.Go(func() { _, _, errs[i] = w.SetGrant(t.Context(), w.root, "default", id, nil, 0) })
		}
		both.Wait()
		if errs[0] == nil && errs[1] == nil {
			t.Fatalf("round %d: both owners are gone", round)
		}
		left, err := w.state.Grants(t.Context(), store.GrantQuery{Workspace: w.made.API.Workspace, Role: w.state.RoleByRef("default/owner").ID, Limit: -1})
		if err != nil || len(left) == 0 {
			t.Fatalf("round %d: %d owners are left, %v", round, len(left), err)
		}
		for _, id := range owners {
			if _, _, err := w.SetGrant(t.Context(), w.root, "default", id, role, 0); err != nil {
				t.Fatal(err)
			}
		}
	}
}
