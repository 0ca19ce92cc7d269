package admin_test

import (
	"errors"
	"net/netip"
	"testing"

	"postern/server/admin"
	"postern/server/secret"
	"postern/store"
)

// lose takes from the first administrator everything that an administrator needs.
func (w *world) lose() *store.Account {
	w.t.Helper()
	ctx := w.t.Context()
	r, err := w.broken.Get(ctx, store.KindAccount, string(w.made.Admin.Account.ID))
	if err != nil {
		w.t.Fatal(err)
	}
	acc := *r.(*store.Account)
	acc.Status, acc.Licence, acc.PasswordHash = store.AccountDeactivated, "", ""
	acc.Generation++
	g, err := w.broken.Get(ctx, store.KindGrant, string(store.NewGrantID(store.HolderID(acc.ID), w.state.WorkspaceByName(store.SystemWorkspace).ID)))
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.state.Commit(ctx, store.Update(&acc), store.Delete(g)); err != nil {
		w.t.Fatal(err)
	}
	return stored(w, &acc)
}

func stored(w *world, a *store.Account) *store.Account {
	w.t.Helper()
	r, err := w.broken.Get(w.t.Context(), store.KindAccount, string(a.ID))
	if err != nil {
		w.t.Fatal(err)
	}
	return r.(*store.Account)
}

func TestALostAdministratorComesBack(t *testing.T) {
	w := start(t)
	lost := w.lose()
	if _, err := w.RotateKey(t.Context(), w.actor(w.made.Admin.Client), "EdDSA"); kind(t, err) != admin.Forbidden {
		t.Fatalf("the lost administrator may still do something: %v", err)
	}
	got, err := w.Recover(t.Context(), "admin")
	if err != nil {
		t.Fatal(err)
	}
	acc := stored(w, got.Account)
	if got.New || acc.ID != lost.ID || acc.Status != store.AccountActive || !acc.MustChange || acc.PasswordAt == 0 || acc.Generation != lost.Generation {
		t.Errorf("the account is %+v, want the old one, active, of the same generation, with a password to change", acc)
	}
	if ok, err := secret.MatchesPassword(acc.PasswordHash, got.Password); !ok || err != nil {
		t.Errorf("the new password does not match: %v", err)
	}
	if by, err := w.SignIn(t.Context(), "admin", got.Password, netip.MustParseAddr("192.0.2.1"), ""); err != nil || by.Account().ID != acc.ID {
		t.Errorf("sign in with the new password: %v", err)
	}
	by := w.actor(got.Created.Client)
	if _, err := w.RotateKey(t.Context(), by, "EdDSA"); err != nil {
		t.Errorf("the recovered administrator may not rotate keys: %v", err)
	}
	if _, err := w.CreateWorkspace(t.Context(), by, admin.WorkspaceInput{Name: "second"}); err != nil {
		t.Errorf("the recovered administrator may not make workspaces: %v", err)
	}
	c := got.Created.Client
	if c.ExpiresAt == 0 || !secret.Matches(got.Created.Secret, c.Secrets[0].Hash) || c.Warning == "" {
		t.Errorf("the client is %+v, want one that ends and carries a warning", c)
	}
	entries, err := w.state.Audit(t.Context(), store.AuditQuery{Operation: "installation.recover"})
	if err != nil || len(entries) != 1 || entries[0].Actor != "postern" || entries[0].Target != string(acc.ID) {
		t.Errorf("audit: got %+v, %v; want one entry by postern about the account", entries, err)
	}
	// Once more: nothing is there twice.
	again, err := w.Recover(t.Context(), "admin")
	if err != nil || again.Account.ID != lost.ID || again.Password.Reveal() == got.Password.Reveal() {
		t.Errorf("once more: %+v, %v", again, err)
	}
}

func TestRecoverMakesAnAccountWhereThereIsNone(t *testing.T) {
	w := start(t)
	gone := *w.lose()
	gone.Status = store.AccountDeleted
	if err := w.state.Commit(t.Context(), store.Update(&gone)); err != nil {
		t.Fatal(err)
	}
	for asked, want := range map[string]string{"rescue": "rescue", "admin": "admin-2", "example-client": "example-client-2"} {
		got, err := w.Recover(t.Context(), asked)
		if err != nil {
			t.Fatal(err)
		}
		if !got.New || got.Account.Name != want {
			t.Errorf("%s: got the account %s, new %t; want %s", asked, got.Account.Name, got.New, want)
		}
		if _, err := w.Keys(t.Context(), w.actor(got.Created.Client)); err != nil {
			t.Errorf("%s: may not read the keys: %v", asked, err)
		}
	}
	if _, err := w.Recover(t.Context(), "No Name"); err == nil {
		t.Error("a name that is none was taken")
	}
}

func TestRecoverGivesOwnerInPlaceOfALimitedOne(t *testing.T) {
	w := start(t)
	system := w.state.WorkspaceByName(store.SystemWorkspace).ID
	id := store.NewGrantID(store.HolderID(w.made.Admin.Account.ID), system)
	r, err := w.broken.Get(t.Context(), store.KindGrant, string(id))
	if err != nil {
		t.Fatal(err)
	}
	g := *r.(*store.Grant)
	owner := g.Roles[0].Role
	g.Roles = []store.GrantedRole{{Role: owner, Limits: []store.Limit{{Param: "client"}}}}
	if err := w.state.Commit(t.Context(), store.Update(&g)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Recover(t.Context(), "admin"); err != nil {
		t.Fatal(err)
	}
	if r, err = w.broken.Get(t.Context(), store.KindGrant, string(id)); err != nil {
		t.Fatal(err)
	}
	if roles := r.(*store.Grant).Roles; len(roles) != 1 || roles[0].Role != owner || len(roles[0].Limits) != 0 {
		t.Errorf("the grant has %+v, want owner without limits", roles)
	}
}

func TestRecoverNeedsAFilledStore(t *testing.T) {
	w := start(t)
	inst := w.state.Installation()
	if err := w.state.Commit(t.Context(), store.Delete(inst)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Recover(t.Context(), "admin"); !errors.Is(err, admin.ErrEmpty) {
		t.Errorf("got %v, want ErrEmpty", err)
	}
}
