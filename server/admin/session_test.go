package admin_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"postern/server/admin"
	"postern/server/secret"
	"postern/store"
)

// signedIn is the administrator after a sign-in by a password of their own.
func (w *world) signedIn(password string) *admin.Actor {
	w.t.Helper()
	by, err := w.SignIn(w.t.Context(), "admin", secret.Of(password), netip.MustParseAddr("192.0.2.1"), "test")
	if err != nil {
		w.t.Fatal(err)
	}
	return by
}

// W11: a session has a new id at each sign-in, and is dead after its end, a new
// password, a deactivation, half an hour without use, and eight hours.
func TestW11Sessions(t *testing.T) {
	var ahead time.Duration
	w := start(t, func(o *admin.Options) { o.Now = func() time.Time { return time.Now().Add(ahead) } })
	from := netip.MustParseAddr("192.0.2.1")
	open := func(by *admin.Actor) secret.Secret {
		t.Helper()
		text, err := w.StartSession(t.Context(), by)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	good := func(text secret.Secret) bool {
		t.Helper()
		s, err := w.Session(t.Context(), text, from, "test")
		if err != nil && kind(t, err) != admin.Unauthenticated {
			t.Fatal(err)
		}
		return err == nil && s.Actor.Account().Name == "admin"
	}
	by := w.signedIn(w.made.AdminPassword)
	first, second := open(by), open(by)
	if first.Reveal() == second.Reveal() || !good(first) || !good(second) || good(secret.Of("x")) || good(secret.Secret{}) {
		t.Fatal("of two sessions both must be good, and nothing else")
	}
	if _, err := w.StartSession(t.Context(), w.root); kind(t, err) != admin.Forbidden {
		t.Errorf("DP12: a token opens a session: %v", err)
	}
	if err := w.EndSession(t.Context(), by, first); err != nil || good(first) || !good(second) {
		t.Errorf("one ends and the other goes on: %v", err)
	}
	if err := w.EndSession(t.Context(), by, first); err != nil {
		t.Errorf("end it again: %v", err)
	}
	for range 3 { // each use moves the end of the idle time
		ahead += 25 * time.Minute
		if !good(second) {
			t.Fatalf("used every 25 minutes it is dead after %v", ahead)
		}
	}
	ahead += 31 * time.Minute
	if good(second) {
		t.Error("after half an hour without use it is good")
	}
	third := open(by)
	for range 7 * 3 {
		ahead += 20 * time.Minute
		if !good(third) {
			t.Fatalf("used all the time it is dead after %v", ahead)
		}
	}
	for range 6 {
		ahead += 20 * time.Minute
		good(third)
	}
	if good(third) {
		t.Error("after more than eight hours it is good")
	}
	fourth := open(by)
	if _, err := w.ChangePassword(t.Context(), by, secret.Of(w.made.AdminPassword), secret.Of("correct horse battery")); err != nil {
		t.Fatal(err)
	}
	if good(fourth) {
		t.Error("after a new password it is good")
	}
	if next := open(by); next.Reveal() == fourth.Reveal() || !good(next) {
		t.Error("whoever changed the password goes on in a session under a new id, and it is not good")
	}
	if err := w.state.All(t.Context(), func(r store.Record) error {
		if s := r.(*store.Session); strings.Contains(s.ID, fourth.Reveal()) {
			t.Error("the store holds what the browser has")
		}
		return nil
	}, store.KindSession); err != nil {
		t.Fatal(err)
	}
}

// An older version's built-in roles, and its catalogue, are brought up to date;
// what is there keeps its ids and the numbers of its rules.
func TestUpgradeBringsWhatIsBuiltInToThisVersion(t *testing.T) {
	w := start(t)
	admins, own := w.state.RoleByRef("default/admin"), w.state.APIByName(store.PosternAPI)
	older := *admins
	older.Rules = append([]store.Rule{{Number: 1, API: "postern", Methods: "GET", Path: "/api/v1/gone"}}, admins.Rules[3:]...)
	older.LastNumber = 40
	catalogue := *own
	catalogue.Endpoints = own.Endpoints[:3]
	if err := w.state.Commit(t.Context(), store.Update(&older), store.Update(&catalogue), store.Delete(w.state.RoleByRef("default/member"))); err != nil {
		t.Fatal(err)
	}
	if err := w.Upgrade(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := w.state.RoleByRef("default/admin")
	if got.ID != admins.ID || len(got.Rules) != len(admins.Rules) || got.LastNumber <= 40 {
		t.Errorf("the role is %+v", got)
	}
	for _, r := range got.Rules {
		if r.Path == "/api/v1/gone" {
			t.Error("a rule of the older version is still there")
		}
		if r.Path == admins.Rules[5].Path && r.Methods == admins.Rules[5].Methods && r.Number != admins.Rules[5].Number {
			t.Errorf("rule %d became %d", admins.Rules[5].Number, r.Number)
		}
	}
	if w.state.RoleByRef("default/member") == nil || len(w.state.APIByName(store.PosternAPI).Endpoints) != len(own.Endpoints) {
		t.Error("a role or a part of the catalogue is missing")
	}
	before := w.state.APIByName(store.PosternAPI).Revision
	if err := w.Upgrade(t.Context()); err != nil || w.state.APIByName(store.PosternAPI).Revision != before {
		t.Errorf("again it changes something: %v", err)
	}
}
