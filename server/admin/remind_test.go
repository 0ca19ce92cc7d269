package admin_test

import (
	"encoding/json"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/server/admin"
	"postern/server/notify"
	"postern/store"
)

// calendar is a clock that a test moves.
type calendar struct{ ahead atomic.Int64 }

func (c *calendar) now() time.Time          { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *calendar) advance(d time.Duration) { c.ahead.Add(int64(d)) }

const day = 24 * time.Hour

// reminded is what waits to be sent: event, client or secret, and days.
func (w *world) reminded() []string {
	w.t.Helper()
	all, err := w.state.Deliveries(w.t.Context(), store.DeliveryQuery{Status: store.DeliveryWaiting, Limit: 1000})
	if err != nil {
		w.t.Fatal(err)
	}
	out := []string{}
	for _, d := range all { // by the time of the reminder
		var b notify.Body
		if err := json.Unmarshal(d.Body, &b); err != nil {
			w.t.Fatal(err)
		}
		label := b.Data.Client.Name
		if b.Data.Secret != nil {
			label += "/" + b.Data.Secret.Label
		}
		out = append(out, string(d.Webhook)+string(d.Mail)+" "+label+" "+map[int]string{1: "1", 7: "7", 14: "14"}[b.Data.Days])
	}
	return out
}

func TestRemindersComeOnceEach(t *testing.T) {
	var c calendar
	w := start(t, func(o *admin.Options) { o.Now = c.now })
	ctx := t.Context()
	w.hook("h", "default")
	made := func(name string, life time.Duration) *admin.Created {
		got, err := w.CreateClient(ctx, w.root, admin.NewClient{Name: name, Workspace: "default", Expiry: admin.Expiry{For: life}})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	made("month", 30*day)
	made("ten days", 10*day) // too short for the first reminder
	made("far", 300*day)
	gone := made("revoked", 30*day)
	if _, err := w.RevokeClient(ctx, w.root, gone.Client.ID, ""); err != nil {
		t.Fatal(err)
	}
	rest := len(w.outbox()) // it is told of the revoke
	nodes := []*admin.Reminders{w.Reminders(), w.Reminders()}
	look := func() {
		t.Helper()
		for _, n := range append(nodes, w.Reminders()) { // and one that has just started
			for range 2 {
				if err := n.Send(ctx); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for range 31 {
		look()
		c.advance(day)
	}
	want := []string{"h month 14", "h month 7", "h month 1", "h ten days 7", "h ten days 1"}
	got := w.reminded()
	seen := map[string]int{}
	for _, g := range got {
		seen[g]++
	}
	if len(got) != len(want)+rest {
		t.Errorf("%d reminders, want %d: %v", len(got)-rest, len(want), got)
	}
	for _, one := range want {
		if seen[one] != 1 {
			t.Errorf("%q came %d times, want once", one, seen[one])
		}
	}
}

func TestRemindersOfSecrets(t *testing.T) {
	var c calendar
	w := start(t, mailing, func(o *admin.Options) { o.Now = c.now })
	ctx := t.Context()
	w.hook("h", "default", notify.SecretExpiring)
	ada := w.person("ada")
	client, _ := w.machine("default")
	id := client.Client.ID
	if _, err := w.EditClient(ctx, w.root, id, admin.ClientEdit{Responsible: new(string(ada))}); err != nil {
		t.Fatal(err)
	}
	rotate := func(label string, life time.Duration) {
		t.Helper()
		if _, err := w.RotateSecret(ctx, w.root, id, admin.Rotation{Label: label, Expiry: admin.Expiry{For: life}, Overlap: time.Hour}); err != nil {
			t.Fatal(err)
		}
	}
	look := func() []string {
		t.Helper()
		if err := w.Reminders().Send(ctx); err != nil {
			t.Fatal(err)
		}
		return w.reminded()
	}
	rotate("first", 20*day)
	if got := look(); len(got) != 0 {
		t.Errorf("20 days before, with an older secret that ends in an hour: %v", got)
	}
	name := client.Client.Name
	c.advance(6*day + time.Hour)
	want := []string{"h " + name + "/first 14", string(ada) + " " + name + "/first 14"}
	if diff := cmp.Diff(map[string]bool{want[0]: true, want[1]: true}, set(look())); diff != "" {
		t.Errorf("14 days before (-want +got):\n%s", diff)
	}
	rotate("second", 40*day) // and nothing more is said of the first
	c.advance(8 * day)
	if got := look(); len(got) != 2 {
		t.Errorf("after a rotation: %v", got)
	}
}

func set(list []string) map[string]bool {
	out := map[string]bool{}
	for _, s := range list {
		out[s] = true
	}
	return out
}

func TestRemindersOfARenewedClient(t *testing.T) {
	var c calendar
	w := start(t, func(o *admin.Options) { o.Now = c.now })
	w.hook("h", "default")
	old, err := w.CreateClient(t.Context(), w.root, admin.NewClient{Name: "old", Workspace: "default", Expiry: admin.Expiry{For: 30 * day}})
	if err != nil {
		t.Fatal(err)
	}
	next := *old.Client
	next.ID, next.Parent, next.Secrets, next.ExpiresAt = store.NewClientID(), old.Client.ID, nil, next.ExpiresAt.Add(90*day)
	if err := w.state.Commit(t.Context(), store.Insert(&next)); err != nil {
		t.Fatal(err)
	}
	c.advance(17 * day)
	if err := w.Reminders().Send(t.Context()); err != nil || len(w.outbox()) != 0 {
		t.Errorf("%v, %v; want nothing", w.reminded(), err)
	}
}

func TestKeyRotationThatFailedIsToldOnceADay(t *testing.T) {
	var c calendar
	w := start(t, mailing, func(o *admin.Options) { o.Now = c.now })
	w.hook("system", "")
	w.hook("other", "default")
	for range 3 {
		if err := w.KeyRotationFailed(t.Context(), "ES256"); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"system key.rotation_failed"}, w.outbox()); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	c.advance(day)
	if err := w.KeyRotationFailed(t.Context(), "ES256"); err != nil || len(w.outbox()) != 2 {
		t.Errorf("a day later: %v, %v", err, w.outbox())
	}
}

// After key reseal, the older key-encryption key is of no more use to webhooks
// either.
func TestWebhookKeysAreResealed(t *testing.T) {
	w := start(t)
	made, key, err := w.CreateWebhook(t.Context(), w.root, admin.WebhookInput{Workspace: "default", URL: new("https://hooks.example")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.ResealKeys(t.Context(), w.root); err != nil {
		t.Fatal(err)
	}
	after := w.state.Webhook(made.ID)
	if string(after.Sealed) == string(made.Sealed) {
		t.Error("it lies as it was")
	}
	signer, err := notify.OpenSigner(w.Options.Keys.KEK, after)
	if err != nil || signer[0].Text().Reveal() != key.Reveal() {
		t.Errorf("its key is another one: %v", err)
	}
}
