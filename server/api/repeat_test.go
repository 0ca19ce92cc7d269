package api_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/server/admin"
	"postern/store"
)

const key = "Idempotency-Key"

// count is how many records of a kind there are.
func (w *world) count(kind store.Kind) int {
	w.t.Helper()
	n := 0
	if err := w.state.All(w.t.Context(), func(store.Record) error { n++; return nil }, kind); err != nil {
		w.t.Fatal(err)
	}
	return n
}

func TestRepeatReturnsTheSameObject(t *testing.T) {
	w := start(t)
	for name, tt := range map[string]struct {
		path, id string
		body     object
		kind     store.Kind
	}{
		"client":    {"/clients", "client_id", object{"name": "x", "workspace": "default", "roles": []string{"example-reader"}}, store.KindClient},
		"role":      {"/roles", "id", object{"name": "x", "workspace": "default"}, store.KindRole},
		"API":       {"/apis", "id", object{"name": "x", "workspace": "default", "audience": "urn:x"}, store.KindAPI},
		"workspace": {"/workspaces", "id", object{"name": "x"}, store.KindWorkspace},
		"team":      {"/teams", "id", object{"name": "x"}, store.KindTeam},
	} {
		first := w.want(http.StatusCreated, "POST", tt.path, tt.body, key, name)
		before := w.count(tt.kind)
		again := w.want(http.StatusCreated, "POST", tt.path, tt.body, key, name)
		if first.text(tt.id) == "" || again.text(tt.id) != first.text(tt.id) || w.count(tt.kind) != before {
			t.Errorf("%s: got %s, then %s", name, first.body, again.body)
		}
		// However the JSON is laid out, it is the same request.
		text, _ := json.MarshalIndent(tt.body, "", "   ")
		if again := w.want(http.StatusCreated, "POST", tt.path, raw(text), key, name); again.text(tt.id) != first.text(tt.id) {
			t.Errorf("%s, laid out in another way: got %s", name, again.body)
		}
		// Another request with the same key is refused, and makes nothing.
		other := maps.Clone(tt.body)
		other["name"] = "y"
		w.want(http.StatusUnprocessableEntity, "POST", tt.path, other, key, name)
		w.want(http.StatusUnprocessableEntity, "POST", "/roles", object{"name": "z", "workspace": "default"}, key, name)
		if w.count(tt.kind) != before {
			t.Errorf("%s: another request made something", name)
		}
	}
}

// The answer with the secret was lost: the repeat gets a new one in its place.
func TestRepeatReplacesASecretThatWasNeverUsed(t *testing.T) {
	w := start(t)
	body := object{"name": "x", "workspace": "default", "roles": []string{"auditor"}, "bearer": true, "label": "first"}
	lost := w.want(http.StatusCreated, "POST", "/clients", body, key, "a")
	got := w.want(http.StatusCreated, "POST", "/clients", body, key, "a")
	if got.text("client_id") != lost.text("client_id") || got.text("client_secret") == lost.text("client_secret") || len(got.list("client.secrets")) != 1 || got.text("client.secrets.0.label") != "first" {
		t.Fatalf("got %s, then %s", lost.body, got.body)
	}
	if old := w.call(lost.text("client_secret"), "GET", "/roles", nil); old.status != http.StatusUnauthorized {
		t.Errorf("the lost secret: got %d, want 401", old.status)
	}
	again := w.want(http.StatusCreated, "POST", "/clients", body, key, "a") // a repeat of the repeat
	if now := w.call(again.text("client_secret"), "GET", "/roles", nil); now.status != http.StatusOK {
		t.Errorf("the last secret: got %d, want 200", now.status)
	}
	// It is in use now: nobody's retry may end it.
	w.want(http.StatusConflict, "POST", "/clients", body, key, "a")
	if now := w.call(again.text("client_secret"), "GET", "/roles", nil); now.status != http.StatusOK {
		t.Errorf("the secret in use after another repeat: got %d, want 200", now.status)
	}

	at := "/clients/" + got.text("client_id") + "/secrets"
	rotated := w.want(http.StatusCreated, "POST", at, object{"keep": true, "expires_in": "30d"}, key, "b")
	repeated := w.want(http.StatusCreated, "POST", at, object{"keep": true, "expires_in": "30d"}, key, "b")
	if len(repeated.list("client.secrets")) != 2 || repeated.text("secret_id") == rotated.text("secret_id") ||
		repeated.text("client.secrets.0.expires_at") != rotated.text("client.secrets.0.expires_at") {
		t.Errorf("rotation: got %s, then %s", rotated.body, repeated.body)
	}
	w.want(http.StatusOK, "POST", "/clients/"+got.text("client_id")+"/revoke", nil)
	w.want(http.StatusConflict, "POST", at, object{"keep": true, "expires_in": "30d"}, key, "b")
}

func TestRepeatIsBoundToTheActorAndTheDay(t *testing.T) {
	w := start(t)
	body := object{"name": "x", "workspace": "default"}
	first := w.want(http.StatusCreated, "POST", "/clients", body, key, "a").text("client_id")
	owner := w.machine("default", "owner")
	if got := w.call(owner.secret, "POST", "/clients", body, key, "a"); got.status != http.StatusCreated || got.text("client_id") == first {
		t.Errorf("another actor: got %d %s, want a client of its own", got.status, got.body)
	}
	w.later(24*time.Hour - time.Second)
	if got := w.want(http.StatusCreated, "POST", "/clients", body, key, "a"); got.text("client_id") != first {
		t.Errorf("within the day: got %s", got.body)
	}
	w.later(time.Second)
	second := w.want(http.StatusCreated, "POST", "/clients", body, key, "a").text("client_id")
	if second == first {
		t.Error("after a day: got the same client")
	}
	if got := w.want(http.StatusCreated, "POST", "/clients", body, key, "a"); got.text("client_id") != second {
		t.Errorf("a repeat of that: got %s", got.body)
	}
	// Who may not any more gets nothing by repeating.
	w.want(http.StatusOK, "PUT", "/grants/default/"+owner.account, object{"roles": []object{{"role": "auditor"}}})
	if got := w.call(owner.secret, "POST", "/clients", body, key, "a"); got.status != http.StatusForbidden {
		t.Errorf("an actor who lost the right: got %d %s, want 403", got.status, got.body)
	}
	w.want(http.StatusUnprocessableEntity, "POST", "/clients", body, key, strings.Repeat("k", 256))
}

func TestTwoRequestsAtOnceMakeOneObject(t *testing.T) {
	w := start(t)
	before := w.count(store.KindClient)
	const many = 8
	answers := make([]answer, many)
	var all sync.WaitGroup
	for i := range many {
		all.Go(func() {
			answers[i] = w.call(w.root, "POST", "/clients", object{"name": "x", "workspace": "default", "bearer": true, "roles": []string{"auditor"}}, key, "a")
		})
	}
	all.Wait()
	if got := w.count(store.KindClient) - before; got != 1 {
		t.Errorf("%d clients were made, want 1", got)
	}
	works, made := 0, ""
	for _, a := range answers {
		if a.status == http.StatusCreated {
			made = a.text("client_id")
		}
	}
	for _, a := range answers {
		switch {
		case a.status == http.StatusCreated && a.text("client_id") == made:
			if w.call(a.text("client_secret"), "GET", "/roles", nil).status == http.StatusOK {
				works++
			}
		default:
			t.Errorf("got %d %s", a.status, a.body)
		}
	}
	if works != 1 {
		t.Errorf("%d of the secrets work, want the last one", works)
	}
}

// A refusal is not remembered: what was wrong can be put right.
func TestRefusedRequestCanBeSentAgain(t *testing.T) {
	w := start(t)
	body := object{"name": "x", "workspace": "default", "roles": []string{"later"}}
	w.want(http.StatusUnprocessableEntity, "POST", "/clients", body, key, "a")
	w.want(http.StatusCreated, "POST", "/roles", object{"name": "later", "workspace": "default"})
	w.want(http.StatusCreated, "POST", "/clients", body, key, "a")
}

// What can be repeated says so in the description, and nothing else does.
func TestWhatCreatesTakesAnIdempotencyKey(t *testing.T) {
	w := start(t)
	var doc struct {
		Paths map[string]map[string]struct {
			OperationID string `json:"operationId"`
			Parameters  []struct{ Name string }
		}
	}
	got := w.serve(httptest.NewRequestWithContext(t.Context(), "GET", "/api/v1/openapi.json", http.NoBody))
	if err := json.Unmarshal([]byte(got.body), &doc); err != nil {
		t.Fatal(err)
	}
	creates := map[string]bool{
		"client.create": true, "client.rotate": true, "me.client.rotate": true, "account.invite": true,
		"role.create": true, "api.create": true, "workspace.create": true, "team.create": true,
	}
	takes := map[string]bool{}
	for _, methods := range doc.Paths {
		for _, op := range methods {
			for _, p := range op.Parameters {
				takes[op.OperationID] = takes[op.OperationID] || p.Name == key
			}
		}
	}
	for _, op := range admin.Operations() {
		if takes[op.Name] != creates[op.Name] {
			t.Errorf("%s: takes an Idempotency-Key: %t, want %t", op.Name, takes[op.Name], creates[op.Name])
		}
	}
}
