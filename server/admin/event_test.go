package admin_test

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postern/server/admin"
	"postern/server/notify"
	"postern/store"
)

// outbox is what waits to be sent, as "receiver event", sorted.
func (w *world) outbox() []string {
	w.t.Helper()
	all, err := w.state.Deliveries(w.t.Context(), store.DeliveryQuery{Status: store.DeliveryWaiting, Limit: 1000})
	if err != nil {
		w.t.Fatal(err)
	}
	out := []string{}
	for _, d := range all {
		out = append(out, string(d.Webhook)+string(d.Mail)+" "+d.Event)
	}
	slices.Sort(out)
	return out
}

// hook puts a webhook into the store.
func (w *world) hook(id, workspace string, events ...string) {
	w.t.Helper()
	h := &store.Webhook{ID: store.WebhookID(id), URL: "https://hooks.example", Events: events, CreatedAt: 1}
	if workspace != "" {
		h.Workspace = w.state.WorkspaceByName(workspace).ID
	}
	if err := w.state.Commit(w.t.Context(), store.Insert(h)); err != nil {
		w.t.Fatal(err)
	}
}

func mailing(o *admin.Options) { o.MayMail = true }

// person makes an account of a person with a mail address.
func (w *world) person(name string) store.AccountID {
	w.t.Helper()
	a := &store.Account{
		ID: store.NewAccountID(store.AccountUser), Generation: 1, AccountKind: store.AccountUser, Name: name,
		Email: name + "@example.com", Status: store.AccountActive, CreatedAt: 1,
	}
	if err := w.state.Commit(w.t.Context(), store.Insert(a)); err != nil {
		w.t.Fatal(err)
	}
	return a.ID
}

func TestChangesOfClientsAreToldInTheSameCommit(t *testing.T) {
	w := start(t, mailing)
	ctx := t.Context()
	if _, err := w.CreateWorkspace(ctx, w.root, admin.WorkspaceInput{Name: "acme"}); err != nil {
		t.Fatal(err)
	}
	w.hook("all", "")
	w.hook("default", "default")
	w.hook("deleted", "default", notify.ClientDeleted)
	w.hook("acme", "acme")
	ada := w.person("ada")
	made, _ := w.machine("default")
	id := made.Client.ID
	if _, err := w.EditClient(ctx, w.root, id, admin.ClientEdit{Responsible: new(string(ada))}); err != nil {
		t.Fatal(err)
	}
	if got := w.outbox(); len(got) != 0 {
		t.Fatalf("before anything is told: %v", got)
	}

	// What is not committed is not told.
	down := errors.New("down")
	w.broken.fail(down)
	if _, err := w.RevokeClient(ctx, w.root, id, "x"); !errors.Is(err, down) {
		t.Fatalf("got %v", err)
	}
	w.broken.fail(nil)
	if got := w.outbox(); len(got) != 0 {
		t.Errorf("after a failure: %v", got)
	}

	if _, err := w.RevokeSecret(ctx, w.root, id, made.SecretID); err != nil {
		t.Fatal(err)
	}
	if _, err := w.RevokeClient(ctx, w.root, id, "no longer used"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.RestoreClient(ctx, w.root, id); err != nil {
		t.Fatal(err)
	}
	if _, err := w.RevokeClient(ctx, w.root, id, ""); err != nil {
		t.Fatal(err)
	}
	if err := w.DeleteClient(ctx, w.root, id); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"all client.deleted", "all client.restored", "all client.revoked", "all client.revoked", "all client.secret.revoked",
		"default client.deleted", "default client.restored", "default client.revoked", "default client.revoked", "default client.secret.revoked",
		"deleted client.deleted",
		string(ada) + " client.revoked", string(ada) + " client.revoked", string(ada) + " client.secret.revoked",
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, w.outbox()); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	all, err := w.state.Deliveries(ctx, store.DeliveryQuery{Webhook: "all", Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range all {
		var b notify.Body
		if err := json.Unmarshal(d.Body, &b); err != nil {
			t.Fatal(err)
		}
		if b.Type != d.Event || b.Workspace.Name != "default" || b.Data.Client.ID != string(id) || b.Data.Client.Responsible.ID != string(ada) || b.Data.Actor != "admin" {
			t.Errorf("body of %s: %s", d.Event, d.Body)
		}
		if d.Event == notify.SecretRevoked && b.Data.Secret.ID != string(made.SecretID) {
			t.Errorf("body of %s: %s", d.Event, d.Body)
		}
	}
}

func TestWhoRevokesIsNotTold(t *testing.T) {
	w := start(t, mailing)
	made, _ := w.machine("default") // of which the administrator is responsible
	account := *w.root.Account()
	account.Email = "admin@example.com"
	if err := w.state.Commit(t.Context(), store.Update(&account)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.RevokeClient(t.Context(), w.root, made.Client.ID, ""); err != nil {
		t.Fatal(err)
	}
	if got := w.outbox(); len(got) != 0 {
		t.Errorf("got %v, want nothing", got)
	}
}

func TestNotifyOnce(t *testing.T) {
	woken := 0
	w := start(t, mailing, func(o *admin.Options) { o.Wake = func() { woken++ } })
	w.hook("all", "")
	w.hook("off", "default") // hears nothing of the installation
	ada := w.person("ada")
	e := admin.Event{Type: notify.AccountLocked, Account: w.root.Account(), Mail: []store.AccountID{ada, ada}, Once: "locked", At: 1000, Until: 5000}
	for range 3 {
		if err := w.Notify(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"all account.locked", string(ada) + " account.locked"}, w.outbox()); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	if woken != 1 {
		t.Errorf("the deliverer was woken %d times, want once", woken)
	}
	e.At = 2000
	if err := w.Notify(t.Context(), e); err != nil || len(w.outbox()) != 4 {
		t.Errorf("the same at another time: %v, %v", err, w.outbox())
	}
}
