package api_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/store"
)

// webhook makes a webhook, and a delivery to it that has failed.
func (w *world) webhook(body object) (id, delivery string) {
	w.t.Helper()
	id = w.want(http.StatusCreated, "POST", "/webhooks", body).text("webhook.id")
	d := &store.Delivery{
		ID: store.NewDeliveryID(store.At(w.now())), Webhook: store.WebhookID(id), Event: "client.revoked", CreatedAt: store.At(w.now()),
		Status: store.DeliveryFailed, Tries: 12, LastError: "no answer in time", ExpiresAt: store.At(w.now().Add(day)),
	}
	if err := w.state.Commit(w.t.Context(), store.Insert(d)); err != nil {
		w.t.Fatal(err)
	}
	return id, string(d.ID)
}

const day = 24 * time.Hour

func TestWebhookLife(t *testing.T) {
	w := start(t)
	made := w.want(http.StatusCreated, "POST", "/webhooks", object{"workspace": "default", "name": " Alerts ", "url": "https://hooks.example/x", "events": []string{"client.revoked", "client.expiring", "client.revoked"}})
	id, key := made.text("webhook.id"), made.text("signing_secret")
	if !strings.HasPrefix(key, "whsec_") || made.header.Get("Cache-Control") != "no-store" || made.text("webhook.name") != "Alerts" || made.text("webhook.workspace") != "default" {
		t.Errorf("create: %s", made.body)
	}
	if diff := cmp.Diff([]any{"client.expiring", "client.revoked"}, made.list("webhook.events")); diff != "" {
		t.Errorf("events: %s", diff)
	}
	at := "/webhooks/" + id
	got := w.want(http.StatusOK, "GET", at, nil)
	if strings.Contains(got.body, "whsec") || strings.Contains(got.body, "sealed") {
		t.Errorf("get shows the key: %s", got.body)
	}
	w.want(http.StatusPreconditionFailed, "PATCH", at, object{"disabled": true}, "If-Match", `"9"`)
	edited := w.want(http.StatusOK, "PATCH", at, object{"disabled": true, "events": nil}, "If-Match", got.header.Get("ETag"))
	if edited.get("disabled") != true || len(edited.list("events")) != 0 || edited.text("url") != "https://hooks.example/x" {
		t.Errorf("edit: %s", edited.body)
	}
	w.want(http.StatusConflict, "POST", at+"/test", nil)
	w.want(http.StatusOK, "PATCH", at, object{"disabled": false})

	rotated := w.want(http.StatusCreated, "POST", at+"/secret", nil)
	if again := rotated.text("signing_secret"); !strings.HasPrefix(again, "whsec_") || again == key {
		t.Errorf("rotate: %s", rotated.body)
	}
	sent := w.want(http.StatusCreated, "POST", at+"/test", nil)
	if sent.text("event") != "webhook.test" || sent.text("status") != "waiting" {
		t.Errorf("test: %s", sent.body)
	}
	list := w.want(http.StatusOK, "GET", "/webhooks", nil)
	if len(list.list("items")) != 1 || list.text("items.0.id") != id {
		t.Errorf("list: %s", list.body)
	}
	audit := w.want(http.StatusOK, "GET", "/audit?target="+id, nil)
	if n := len(audit.list("items")); n != 5 || strings.Contains(audit.body, "sealed") {
		t.Errorf("audit has %d entries, want 5 without the key: %s", n, audit.body)
	}
	w.want(http.StatusOK, "DELETE", at, nil)
	w.want(http.StatusNotFound, "GET", at, nil)
	if strings.Contains(w.log.String(), key) {
		t.Error("the key is in the log")
	}
}

func TestWebhookOddInput(t *testing.T) {
	w := start(t)
	for name, body := range map[string]object{
		"plain HTTP": {"url": "http://hooks.example"}, "no URL": {}, "a user": {"url": "https://u:canary@hooks.example"}, "a fragment": {"url": "https://hooks.example/#canary"},
		"no host": {"url": "https:///x"}, "unknown event": {"url": "https://hooks.example", "events": []string{"client.made"}},
		"an event that is not for asking": {"url": "https://hooks.example", "events": []string{"account.invited"}}, "long name": {"url": "https://hooks.example", "name": strings.Repeat("x", 201)},
		"long URL": {"url": "https://hooks.example/" + strings.Repeat("x", 2000)}, "no such workspace": {"url": "https://hooks.example", "workspace": "nowhere"},
	} {
		if body["workspace"] == nil {
			body["workspace"] = "default"
		}
		got := w.call(w.root, "POST", "/webhooks", body)
		if got.status != http.StatusUnprocessableEntity || strings.Contains(got.body, "canary") {
			t.Errorf("%s: got %d %s, want 422 without what was sent", name, got.status, got.body)
		}
	}
	for range 20 {
		w.webhook(object{"workspace": "default", "url": "https://hooks.example/"})
	}
	w.want(http.StatusConflict, "POST", "/webhooks", object{"workspace": "default", "url": "https://hooks.example/"})
}

func TestWebhookRights(t *testing.T) {
	w := start(t)
	w.workspace("acme")
	all, _ := w.webhook(object{"url": "https://hooks.example/all"})
	of, _ := w.webhook(object{"workspace": "default", "url": "https://hooks.example/default"})
	w.webhook(object{"workspace": "acme", "url": "https://hooks.example/acme"})
	for _, tt := range []struct {
		role                       string
		sees, edits, makes, forAll int
	}{
		{"owner", 200, 200, 201, 403}, {"admin", 200, 200, 201, 403}, {"auditor", 200, 403, 403, 403}, {"member", 404, 404, 403, 403},
	} {
		m := w.machine("default", tt.role)
		for what, call := range map[string]struct {
			want         int
			method, path string
			body         object
		}{
			"sees its workspace's":          {tt.sees, "GET", "/webhooks/" + of, nil},
			"edits it":                      {tt.edits, "PATCH", "/webhooks/" + of, object{"name": "n"}},
			"makes one":                     {tt.makes, "POST", "/webhooks", object{"workspace": "default", "url": "https://hooks.example"}},
			"makes one of the installation": {tt.forAll, "POST", "/webhooks", object{"url": "https://hooks.example"}},
			"sees one of the installation":  {404, "GET", "/webhooks/" + all, nil},
			"makes one elsewhere":           {403, "POST", "/webhooks", object{"workspace": "acme", "url": "https://hooks.example"}},
		} {
			var body any
			if call.body != nil {
				body = call.body
			}
			if got := w.call(m.secret, call.method, call.path, body); got.status != call.want {
				t.Errorf("%s %s: got %d %s, want %d", tt.role, what, got.status, got.body, call.want)
			}
		}
	}
	m := w.machine("default", "auditor")
	got := w.call(m.secret, "GET", "/webhooks", nil)
	if len(got.list("items")) != 3 || strings.Contains(got.body, all) || strings.Contains(got.body, "acme") {
		t.Errorf("list of an auditor of default: %s", got.body)
	}
}

func TestWebhookDeliveries(t *testing.T) {
	w := start(t)
	id, failed := w.webhook(object{"workspace": "default", "url": "https://hooks.example"})
	other, foreign := w.webhook(object{"workspace": "default", "url": "https://hooks.example"})
	at := "/webhooks/" + id + "/deliveries"
	w.later(time.Second)
	tested := w.want(http.StatusCreated, "POST", "/webhooks/"+id+"/test", nil).text("id")
	got := w.want(http.StatusOK, "GET", at+"?limit=1", nil)
	if len(got.list("items")) != 1 || got.text("items.0.id") != tested || got.text("next") == "" {
		t.Errorf("the newest: %s", got.body)
	}
	got = w.want(http.StatusOK, "GET", at+"?limit=1&cursor="+got.text("next"), nil)
	if got.text("items.0.id") != failed || got.text("next") != "" || got.get("items.0.tries") != 12.0 || got.text("items.0.last_error") != "no answer in time" {
		t.Errorf("the one before: %s", got.body)
	}
	if got := w.want(http.StatusOK, "GET", at+"?status=failed", nil); len(got.list("items")) != 1 {
		t.Errorf("failed ones: %s", got.body)
	}
	w.want(http.StatusNotFound, "POST", at+"/"+foreign+"/retry", nil)
	w.want(http.StatusNotFound, "POST", at+"/dlvnone/retry", nil)
	w.want(http.StatusConflict, "POST", at+"/"+tested+"/retry", nil)
	got = w.want(http.StatusOK, "POST", at+"/"+failed+"/retry", nil)
	if got.text("id") != failed || got.text("status") != "waiting" || got.get("tries") != 0.0 {
		t.Errorf("retry: %s", got.body)
	}
	w.want(http.StatusOK, "PATCH", "/webhooks/"+other, object{"disabled": true})
	w.want(http.StatusConflict, "POST", "/webhooks/"+other+"/deliveries/"+foreign+"/retry", nil)
}
