package admin_test

import (
	"errors"
	"testing"

	"postern/server/admin"
	"postern/server/secret"
	"postern/store"
)

// What a page showed is not shown again: a repeat makes nothing, and learns what
// the first one made.
func TestQU10RepeatOfWhatWasShownGetsNoSecret(t *testing.T) {
	w := start(t)
	first := secret.Of(w.made.AdminPassword)
	person, err := w.SignIn(t.Context(), w.made.AdminUser, first, w.root.Address, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.ChangePassword(t.Context(), person, first, secret.Of("correct horse battery")); err != nil {
		t.Fatal(err)
	}
	guest, err := w.InviteAccount(t.Context(), person, admin.NewAccount{Name: "guest"})
	if err != nil {
		t.Fatal(err)
	}
	url, name := "https://hooks.example", "shown"
	rotated, _ := w.machine("default", "example-reader")
	for what, do := range map[string]func(by *admin.Actor) (id string, text secret.Secret, err error){
		"client.create": func(by *admin.Actor) (string, secret.Secret, error) {
			return made(w.CreateClient(t.Context(), by, admin.NewClient{Name: name, Workspace: "default"}))
		},
		"me.client.create": func(by *admin.Actor) (string, secret.Secret, error) {
			return made(w.CreatePersonal(t.Context(), by, admin.NewPersonal{Name: name, Workspace: "default"}))
		},
		"client.rotate": func(by *admin.Actor) (string, secret.Secret, error) {
			return made(w.RotateSecret(t.Context(), by, rotated.Client.ID, admin.Rotation{Label: name, Keep: true}))
		},
		"webhook.create": func(by *admin.Actor) (string, secret.Secret, error) {
			hook, key, err := w.CreateWebhook(t.Context(), by, admin.WebhookInput{Workspace: "default", Name: &name, URL: &url})
			if err != nil {
				return "", key, err
			}
			return string(hook.ID), key, nil
		},
		"account.invite": func(by *admin.Actor) (string, secret.Secret, error) {
			made, err := w.InviteAccount(t.Context(), by, admin.NewAccount{Name: name})
			if err != nil {
				return "", secret.Secret{}, err
			}
			return string(made.Account.ID), made.Token, nil
		},
		"account.reinvite": func(by *admin.Actor) (string, secret.Secret, error) {
			made, err := w.ReinviteAccount(t.Context(), by, string(guest.Account.ID))
			if err != nil {
				return "", secret.Secret{}, err
			}
			return string(made.Account.ID), made.Token, nil
		},
	} {
		by := *person
		by.Once = &admin.Once{Key: what, Request: []byte(what), Shown: true}
		name = "shown"
		id, text, err := do(&by)
		if err != nil || !text.IsSet() {
			t.Errorf("%s: %v, with a secret %t", what, err, text.IsSet())
			continue
		}
		before := w.records(t)
		_, _, err = do(&by)
		if e, ok := errors.AsType[*admin.Error](err); !ok || e.Kind != admin.Conflict || e.Made != id {
			t.Errorf("%s again: got %v, want a conflict that names %s", what, err, id)
		}
		// The same form with something else in it is no repeat.
		name, by.Once.Request = "other", []byte("other")
		_, _, err = do(&by)
		if e, ok := errors.AsType[*admin.Error](err); !ok || e.Kind != admin.Conflict || e.Made != "" {
			t.Errorf("%s, another request: got %v, want a conflict", what, err)
		}
		if after := w.records(t); before != after {
			t.Errorf("%s: a repeat wrote something: %d records, then %d", what, before, after)
		}
	}
}

func made(c *admin.Created, err error) (string, secret.Secret, error) {
	if err != nil {
		return "", secret.Secret{}, err
	}
	return string(c.Client.ID), c.Secret, nil
}

// records counts what was written: audit entries.
func (w *world) records(t *testing.T) (n int) {
	t.Helper()
	if err := w.state.All(t.Context(), func(store.Record) error { n++; return nil }, store.KindAudit); err != nil {
		t.Fatal(err)
	}
	return n
}
