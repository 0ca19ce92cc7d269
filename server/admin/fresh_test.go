package admin_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"postern/server/admin"
	"postern/server/secret"
	"postern/store"
)

// A session is fresh for ten minutes after the sign-in, and for ten more after
// the password again, which is counted as a sign-in is.
func TestFreshSessions(t *testing.T) {
	var ahead time.Duration
	w := start(t, func(o *admin.Options) { o.Now = func() time.Time { return time.Now().Add(ahead) } })
	from := netip.MustParseAddr("192.0.2.1")
	password := secret.Of(w.made.AdminPassword)
	text, err := w.StartSession(t.Context(), w.signedIn(w.made.AdminPassword))
	if err != nil {
		t.Fatal(err)
	}
	session := func() *admin.SignedIn {
		t.Helper()
		s, err := w.Session(t.Context(), text, from, "test")
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if s := session(); !s.Fresh || s.NeedsCode {
		t.Errorf("after the sign-in it is %+v, want fresh and without a code", s)
	}
	ahead += 9 * time.Minute
	if !session().Fresh {
		t.Error("after nine minutes it is not fresh")
	}
	ahead += time.Minute
	if session().Fresh {
		t.Error("after ten minutes it is fresh, used or not")
	}
	by := session().Actor
	err = w.Freshen(t.Context(), by, text, secret.Of("wrong horse battery"))
	if e, ok := errors.AsType[*admin.Error](err); !ok || e.Kind != admin.Invalid || len(e.Faults) != 1 || e.Faults[0].Place != "password" || session().Fresh {
		t.Errorf("by a wrong password: got %v, want a fault at password", err)
	}
	if err := w.Freshen(t.Context(), by, text, password); err != nil || !session().Fresh {
		t.Errorf("by the password: got %v", err)
	}
	if err := w.Freshen(t.Context(), by, secret.Of("x"), password); kind(t, err) != admin.Unauthenticated {
		t.Errorf("a session that is none: got %v", err)
	}
	other, err := w.StartSession(t.Context(), w.actorNamed("bob"))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Freshen(t.Context(), by, other, password); kind(t, err) != admin.Unauthenticated {
		t.Errorf("somebody else's session: got %v", err)
	}
	ahead += 11 * time.Minute
	for range 10 {
		if err := w.Freshen(t.Context(), by, text, secret.Of("wrong horse battery")); kind(t, err) != admin.Invalid {
			t.Fatal(err)
		}
	}
	if err := w.Freshen(t.Context(), by, text, password); kind(t, err) != admin.TooMany || session().Fresh {
		t.Errorf("the right password after ten wrong ones: got %v, want too many", err)
	}
}

// actorNamed is a new person, who signed in by a password of their own.
func (w *world) actorNamed(name string) *admin.Actor {
	w.t.Helper()
	invited, err := w.InviteAccount(w.t.Context(), w.root, admin.NewAccount{Name: name})
	if err != nil {
		w.t.Fatal(err)
	}
	from := netip.MustParseAddr("192.0.2.1")
	password := secret.Of("correct horse battery of " + name[:1])
	if _, _, err := w.AcceptInvitation(w.t.Context(), invited.Token, password, from, "test"); err != nil {
		w.t.Fatal(err)
	}
	by, err := w.SignIn(w.t.Context(), name, password, from, "test")
	if err != nil {
		w.t.Fatal(err)
	}
	return by
}

// Nobody whose password was set by somebody else does anything in a session
// before it is changed, whatever their roles.
func TestSessionOfAPasswordSetBySomebodyElse(t *testing.T) {
	w := start(t)
	by := w.signedIn(w.made.AdminPassword)
	if _, err := w.CreateTeam(t.Context(), by, admin.TeamInput{Name: "ops"}); kind(t, err) != admin.Forbidden {
		t.Errorf("before: got %v, want forbidden", err)
	}
	if me, err := w.Me(t.Context(), by); err != nil || !me.MustChange {
		t.Errorf("who they are: got %+v, %v", me, err)
	}
	if _, err := w.ChangePassword(t.Context(), by, secret.Of(w.made.AdminPassword), secret.Of("correct horse battery")); err != nil {
		t.Fatal(err)
	}
	if _, err := w.CreateTeam(t.Context(), by, admin.TeamInput{Name: "ops"}); err != nil {
		t.Errorf("after: %v", err)
	}
	if acc := by.Account(); acc.MustChange || acc.Status != store.AccountActive {
		t.Errorf("the actor is as before: %+v", acc)
	}
}
