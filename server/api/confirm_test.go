package api_test

import (
	"net/http"
	"testing"
	"time"

	"postern/store"
)

func TestSB3UnconfirmedVanishesAfterFifteenMinutes(t *testing.T) {
	w := start(t)
	create := func(name string) answer {
		return w.want(http.StatusCreated, "POST", "/clients", object{
			"name": name, "key": name, "workspace": "default", "roles": []string{"auditor"}, "bearer": true, "confirm": true,
		})
	}
	confirmed, forgotten := create("confirmed"), create("forgotten")
	if forgotten.text("client.confirm_by") == "" {
		t.Errorf("it does not say until when: %s", forgotten.body)
	}
	w.want(http.StatusOK, "POST", "/clients/"+confirmed.text("client_id")+"/confirm", nil)
	at := "/clients/" + forgotten.text("client_id")
	sweep := func() {
		t.Helper()
		if err := w.admin.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	w.later(15*time.Minute - time.Second)
	sweep()
	w.want(http.StatusOK, "GET", at, nil)
	if got := w.call(forgotten.text("client_secret"), "GET", "/roles", nil); got.status != http.StatusUnauthorized {
		t.Errorf("a pending client works: %d", got.status)
	}
	w.later(time.Second)
	// From now on nobody finds it, whether the sweep has come by or not.
	w.want(http.StatusNotFound, "POST", at+"/confirm", nil)
	w.want(http.StatusNotFound, "POST", at+"/secrets", nil)
	sweep()
	w.want(http.StatusNotFound, "GET", at, nil)
	if got := w.want(http.StatusOK, "GET", "/clients?search=forgotten", nil); got.get("total") != 0.0 {
		t.Errorf("it is still listed: %s", got.body)
	}
	stone, err := w.state.Client(t.Context(), store.ClientID(forgotten.text("client_id")))
	if err != nil || stone.Status != store.ClientDeleted || len(stone.Secrets) != 0 {
		t.Errorf("got %+v, %v; want a tombstone", stone, err)
	}
	entries := w.want(http.StatusOK, "GET", "/audit?operation=client.unconfirmed", nil)
	if len(entries.list("items")) != 1 || entries.text("items.0.target") != forgotten.text("client_id") || entries.text("items.0.actor") != "postern" {
		t.Errorf("audit: %s", entries.body)
	}
	// The technical user that was made for it is gone too; the other's is there.
	holder, err := w.state.Holder(t.Context(), store.AccountID(forgotten.text("client.account.id")))
	if err != nil || holder.Account.Status != store.AccountDeleted || len(holder.Grants) != 0 {
		t.Errorf("its technical user: %+v, %v", holder, err)
	}
	if got := w.call(confirmed.text("client_secret"), "GET", "/roles", nil); got.status != http.StatusOK {
		t.Errorf("the confirmed one: got %d, want 200", got.status)
	}
	// A second sweep finds nothing, and its key is free again.
	sweep()
	create("forgotten")
}

// Of two nodes one sweeps, and takes over when the other is gone.
func TestSB3OneNodeSweeps(t *testing.T) {
	w := start(t)
	create := func() string {
		return w.want(http.StatusCreated, "POST", "/clients", object{"name": "x", "workspace": "default", "confirm": true}).text("client_id")
	}
	first := create()
	w.later(15 * time.Minute)
	lease := &store.Lease{ID: "unconfirmed-clients", Node: "another", Until: store.At(w.now()).Add(time.Minute)}
	if err := w.state.Commit(t.Context(), store.Insert(lease)); err != nil {
		t.Fatal(err)
	}
	status := func() store.ClientStatus {
		t.Helper()
		if err := w.admin.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		c, err := w.state.Client(t.Context(), store.ClientID(first))
		if err != nil {
			t.Fatal(err)
		}
		return c.Status
	}
	if got := status(); got != store.ClientPending {
		t.Errorf("swept while another node holds the lease: %s", got)
	}
	w.later(time.Minute)
	if got := status(); got != store.ClientDeleted {
		t.Errorf("not swept after the other's lease: %s", got)
	}
}

// A revoke ends the waiting: what an administrator decided is not undone.
func TestSB3RevokedWhilePendingIsKept(t *testing.T) {
	w := start(t)
	id := w.want(http.StatusCreated, "POST", "/clients", object{"name": "x", "workspace": "default", "confirm": true}).text("client_id")
	w.want(http.StatusOK, "POST", "/clients/"+id+"/revoke", nil)
	w.later(time.Hour)
	if err := w.admin.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.want(http.StatusOK, "GET", "/clients/"+id, nil); got.text("status") != "revoked" {
		t.Errorf("got %s, want revoked", got.text("status"))
	}
}

// What nobody saved and nobody wants is deleted without a revoke, with the
// technical user that was made for it.
func TestSB3UnconfirmedCanBeDiscarded(t *testing.T) {
	w := start(t)
	made := w.want(http.StatusCreated, "POST", "/clients", object{"name": "x", "workspace": "default", "roles": []string{"auditor"}, "confirm": true})
	at := "/clients/" + made.text("client_id")
	w.want(http.StatusOK, "DELETE", at, nil)
	w.want(http.StatusNotFound, "GET", at, nil)
	holder, err := w.state.Holder(t.Context(), store.AccountID(made.text("client.account.id")))
	if err != nil || holder.Account.Status != store.AccountDeleted || len(holder.Grants) != 0 {
		t.Errorf("its technical user: %+v, %v", holder, err)
	}
	entries := w.want(http.StatusOK, "GET", "/audit?operation=client.delete", nil)
	if len(entries.list("items")) != 1 || entries.text("items.0.target") != made.text("client_id") {
		t.Errorf("audit: %s", entries.body)
	}
}

// A person's own token waits in the same way, and its owner confirms it.
func TestSB3PersonalWaitsForItsOwner(t *testing.T) {
	w := start(t)
	w.everyone("default")
	ann := w.person("ann", "default", "member", "example-reader")
	bob := w.person("bob", "default", "member", "example-reader")
	made := w.as("ann", ann.password, "POST", "/me/clients", object{"name": "laptop", "workspace": "default", "confirm": true})
	if made.status != http.StatusCreated || made.text("client.status") != "pending" {
		t.Fatalf("got %d %s", made.status, made.body)
	}
	if got := w.call(made.text("client_secret"), "GET", "/me", nil); got.status != http.StatusUnauthorized {
		t.Errorf("before it is confirmed: got %d, want 401", got.status)
	}
	at := "/me/clients/" + made.text("client_id")
	for _, method := range []string{"POST", "DELETE"} {
		path := at
		if method == "POST" {
			path += "/confirm"
		}
		if got := w.as("bob", bob.password, method, path, nil); got.status != http.StatusNotFound {
			t.Errorf("%s by another person: got %d, want 404", method, got.status)
		}
	}
	if got := w.as("ann", ann.password, "POST", at+"/confirm", nil); got.status != http.StatusOK || got.text("client.status") != "active" {
		t.Errorf("confirmed by its owner: got %d %s", got.status, got.body)
	}
	if got := w.call(made.text("client_secret"), "GET", "/me", nil); got.status != http.StatusOK {
		t.Errorf("once it is confirmed: got %d, want 200", got.status)
	}
}
