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
	"postern/server/notify"
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
		"webhook":   {"/webhooks", "webhook.id", object{"name": "x", "workspace": "default", "url": "https://hooks.example"}, store.KindWebhook},
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

// A person's own token, too: by password, and by the token that renews itself.
func TestRepeatReplacesThePersonalSecretThatWasNeverUsed(t *testing.T) {
	w := start(t)
	w.everyone("default")
	ann := w.person("ann", "default", "member", "example-reader")
	body := object{"name": "laptop", "workspace": "default", "expires_in": "30d"}
	byPassword := func() answer { return w.as("ann", ann.password, "POST", "/me/clients", body, key, "a") }
	lost, got := byPassword(), byPassword()
	if lost.status != http.StatusCreated || got.status != http.StatusCreated || got.text("client_id") != lost.text("client_id") || got.text("client_secret") == lost.text("client_secret") || len(got.list("client.secrets")) != 1 {
		t.Fatalf("by password: got %s, then %s", lost.body, got.body)
	}
	if old := w.call(lost.text("client_secret"), "GET", "/me", nil); old.status != http.StatusUnauthorized {
		t.Errorf("the lost secret: got %d, want 401", old.status)
	}
	if n := len(w.as("ann", ann.password, "GET", "/me/clients", nil).list("items")); n != 1 {
		t.Errorf("ann has %d tokens, want 1", n)
	}
	// Another token of hers, which ends sooner, gets no secret of it by the key.
	short := w.personal(ann, object{"name": "short", "workspace": "default", "expires_in": "1d"})
	if stolen := w.call(short.secret, "POST", "/me/clients", body, key, "a"); stolen.status != http.StatusForbidden {
		t.Errorf("by another token: got %d %s, want 403", stolen.status, stolen.body)
	}
	laptop := got.text("client_secret")
	w.later(time.Hour)
	renew := func() answer { return w.call(laptop, "POST", "/me/clients", object{"description": "next"}, key, "b") }
	lost, got = renew(), renew()
	if lost.status != http.StatusCreated || got.status != http.StatusCreated || got.text("client_id") != lost.text("client_id") || got.text("client_secret") == lost.text("client_secret") {
		t.Fatalf("renewing: got %s, then %s", lost.body, got.body)
	}
	// It is in use now, and then it reaches no further than what it was made by.
	if used := w.call(got.text("client_secret"), "GET", "/me", nil); used.status != http.StatusOK {
		t.Errorf("the last secret: got %d, want 200", used.status)
	}
	if again := renew(); again.status != http.StatusConflict {
		t.Errorf("renewing once it is in use: got %d %s, want 409", again.status, again.body)
	}
	if used := w.call(laptop, "GET", "/me", nil); used.status != http.StatusOK {
		t.Errorf("the renewed token itself: got %d, want 200", used.status)
	}
	if again := byPassword(); again.status != http.StatusConflict {
		t.Errorf("by password once it is in use: got %d %s, want 409", again.status, again.body)
	}
}

// What a token renewed itself to got wider before anybody used it: the token does
// not get that by repeating itself.
func TestRepeatOfARenewalReachesNoFurther(t *testing.T) {
	w := start(t)
	w.everyone("default")
	ann := w.person("ann", "default", "member", "example-reader")
	bound := w.personal(ann, object{"name": "bound", "workspace": "default", "addresses": []string{"192.0.2.0/24"}})
	made := w.call(bound.secret, "POST", "/me/clients", object{}, key, "a")
	if made.status != http.StatusCreated {
		t.Fatalf("renew: got %d %s", made.status, made.body)
	}
	w.want(http.StatusOK, "PATCH", "/clients/"+made.text("client_id"), object{"addresses": nil})
	if got := w.call(bound.secret, "POST", "/me/clients", object{}, key, "a"); got.status != http.StatusForbidden {
		t.Errorf("got %d %s, want 403", got.status, got.body)
	}
}

// The signing key of a webhook is as a secret: a repeat makes another one, until
// something was delivered by it.
func TestRepeatReplacesASigningKeyThatWasNeverUsed(t *testing.T) {
	w := start(t)
	body := object{"workspace": "default", "url": "https://hooks.example"}
	lost := w.want(http.StatusCreated, "POST", "/webhooks", body, key, "a")
	got := w.want(http.StatusCreated, "POST", "/webhooks", body, key, "a")
	again := w.want(http.StatusCreated, "POST", "/webhooks", body, key, "a")
	id := lost.text("webhook.id")
	seen := map[string]bool{lost.text("signing_secret"): true, got.text("signing_secret"): true, again.text("signing_secret"): true}
	if got.text("webhook.id") != id || again.text("webhook.id") != id || len(seen) != 3 || seen[""] {
		t.Fatalf("got %s, then %s, then %s", lost.body, got.body, again.body)
	}
	// The key that lies there is the last one, alone: the lost ones sign nothing.
	signer, err := notify.OpenSigner(w.admin.Options.Keys.KEK, w.state.Webhook(store.WebhookID(id)))
	if err != nil || len(signer) != 1 || signer[0].Text().Reveal() != again.text("signing_secret") {
		t.Errorf("%d keys are kept, %v; want the last one alone", len(signer), err)
	}
	w.want(http.StatusCreated, "POST", "/webhooks/"+id+"/secret", nil)
	w.want(http.StatusConflict, "POST", "/webhooks", body, key, "a") // somebody made another key since

	id = w.want(http.StatusCreated, "POST", "/webhooks", body, key, "b").text("webhook.id")
	d := &store.Delivery{
		ID: store.NewDeliveryID(store.At(w.now())), Webhook: store.WebhookID(id), Event: "client.revoked", CreatedAt: store.At(w.now()),
		Status: store.DeliveryDone, Tries: 1, LastStatus: http.StatusNoContent, ExpiresAt: store.At(w.now().Add(day)),
	}
	if err := w.state.Commit(t.Context(), store.Insert(d)); err != nil {
		t.Fatal(err)
	}
	if used := w.want(http.StatusConflict, "POST", "/webhooks", body, key, "b"); !strings.Contains(used.body, "is in use") {
		t.Errorf("once something was delivered: %s", used.body)
	}
	w.want(http.StatusOK, "DELETE", "/webhooks/"+id, nil)
	w.want(http.StatusConflict, "POST", "/webhooks", body, key, "b")
	// Nothing of a key lies where the requests are remembered.
	if err := w.state.All(t.Context(), func(r store.Record) error {
		text, err := json.Marshal(r)
		if strings.Contains(string(text), "whsec_") {
			t.Errorf("a key is remembered: %s", text)
		}
		return err
	}, store.KindIdempotency, store.KindWebhook, store.KindAudit); err != nil {
		t.Fatal(err)
	}
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
		"client.create": true, "client.rotate": true, "me.client.create": true, "me.client.rotate": true, "account.invite": true, "webhook.create": true,
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
