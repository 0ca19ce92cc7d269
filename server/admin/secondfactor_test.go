package admin_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"postern/server/admin"
	"postern/server/keys"
	"postern/server/secret"
	"postern/store"
)

// The secret is made for the password alone, by no token, and waits for a code;
// nothing but its making shows it, and the store has it sealed.
func TestSecondFactorIsMade(t *testing.T) {
	w := start(t)
	by := w.actorNamed("ann")
	_, err := w.StartTOTP(t.Context(), by, secret.Of("wrong horse battery"))
	if e, ok := errors.AsType[*admin.Error](err); !ok || e.Kind != admin.Invalid || e.Faults[0].Place != "password" {
		t.Errorf("by a wrong password: got %v", err)
	}
	if _, err := w.ConfirmTOTP(t.Context(), by, "123456"); kind(t, err) != admin.Conflict {
		t.Errorf("confirm what is not there: got %v", err)
	}
	if _, err := w.StartTOTP(t.Context(), w.root, secret.Of(w.made.AdminPassword)); kind(t, err) != admin.Forbidden {
		t.Errorf("by a token: got %v", err)
	}
	lost, err := w.StartTOTP(t.Context(), by, secret.Of(annPassword))
	if err != nil {
		t.Fatal(err)
	}
	made, err := w.StartTOTP(t.Context(), by, secret.Of(annPassword))
	if err != nil || made.Secret.Reveal() == lost.Secret.Reveal() {
		t.Fatalf("start again before it is confirmed: %v", err)
	}
	if err := w.EnterOTP(t.Context(), by, ""); err != nil {
		t.Errorf("before it is confirmed the password suffices: %v", err)
	}
	old, err := totp.GenerateCode(lost.Secret.Reveal(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.ConfirmTOTP(t.Context(), by, old); kind(t, err) != admin.Invalid {
		t.Errorf("by a code of the secret before: got %v", err)
	}
	code, err := totp.GenerateCode(made.Secret.Reveal(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	codes, err := w.ConfirmTOTP(t.Context(), by, code)
	if err != nil {
		t.Fatal(err)
	}
	by, err = w.SignIn(t.Context(), "ann", secret.Of(annPassword), netip.MustParseAddr("192.0.2.1"), "test")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.EnterOTP(t.Context(), by, code); kind(t, err) != admin.Unauthenticated {
		t.Errorf("the code that confirmed it, again: got %v", err)
	}
	if err := w.EnterOTP(t.Context(), by, codes[0].Reveal()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.StartTOTP(t.Context(), by, secret.Of(annPassword)); kind(t, err) != admin.Conflict {
		t.Errorf("another one beside it: got %v", err)
	}
	// Nothing that is read anywhere holds it.
	hidden := []string{made.Secret.Reveal(), lost.Secret.Reveal(), codes[1].Reveal(), strings.ReplaceAll(codes[1].Reveal(), "-", "")}
	var text bytes.Buffer
	if err := w.Backup(t.Context(), w.root, &text); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(text.String(), `"kind":"second_factors"`) {
		t.Error("the backup has second factors")
	}
	err = w.state.All(t.Context(), func(r store.Record) error {
		return json.NewEncoder(&text).Encode(r)
	}, store.Kinds()...)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range hidden {
		if strings.Contains(text.String(), s) {
			t.Error("the store or the backup holds a secret or a recovery code as it is")
		}
	}
}

// Its owner removes it by the password or a code; whoever may, another's, unless
// that person holds more than they do.
func TestSecondFactorIsRemoved(t *testing.T) {
	p := withTelephone(t)
	signed := func() *admin.Actor {
		t.Helper()
		by := p.by()
		if err := p.EnterOTP(t.Context(), by, p.code()); err != nil {
			t.Fatal(err)
		}
		return by
	}
	by := signed()
	_, err := p.DeleteTOTP(t.Context(), by, secret.Of("wrong horse battery"), "")
	if e, ok := errors.AsType[*admin.Error](err); !ok || e.Kind != admin.Invalid || e.Faults[0].Place != "password" {
		t.Errorf("by a wrong password: got %v", err)
	}
	_, err = p.DeleteTOTP(t.Context(), by, secret.Secret{}, "123")
	if e, ok := errors.AsType[*admin.Error](err); !ok || e.Kind != admin.Invalid || e.Faults[0].Place != "code" {
		t.Errorf("by a wrong code: got %v", err)
	}
	if acc, err := p.DeleteTOTP(t.Context(), by, secret.Secret{}, p.codes[3].Reveal()); err != nil || acc.SecondFactor || acc.RecoveryHashes != nil {
		t.Errorf("by a recovery code: got %+v, %v", acc, err)
	}
	if err := p.EnterOTP(t.Context(), p.by(), ""); err != nil {
		t.Errorf("after it is removed the password does not suffice: %v", err)
	}
	if _, err := p.DeleteTOTP(t.Context(), p.by(), secret.Of(annPassword), ""); kind(t, err) != admin.Conflict {
		t.Errorf("once more: got %v", err)
	}
	again, err := p.StartTOTP(t.Context(), p.by(), secret.Of(annPassword))
	if err != nil {
		t.Fatal(err)
	}
	p.secret = again.Secret.Reveal()
	if _, err := p.ConfirmTOTP(t.Context(), p.by(), p.code()); err != nil {
		t.Fatal(err)
	}
	lesser := p.actorNamed("bob")
	if _, err := p.DeleteAccountTOTP(t.Context(), lesser, "ann"); kind(t, err) != admin.Forbidden {
		t.Errorf("by somebody who may not: got %v", err)
	}
	p.actorNamed("eve")
	if _, _, err := p.SetGrant(t.Context(), p.root, store.SystemWorkspace, "eve", []admin.Granted{{Role: admin.RoleAdmin}}, 0); err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.SetGrant(t.Context(), p.root, "default", "ann", []admin.Granted{{Role: admin.RoleOwner}}, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := p.EditAccount(t.Context(), p.root, "eve", admin.AccountEdit{Licence: new(admin.LicenceAdmin)}); err != nil {
		t.Fatal(err)
	}
	deputy, err := p.SignIn(t.Context(), "eve", secret.Of("correct horse battery of e"), p.from, "test")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.DeactivateAccount(t.Context(), deputy, "bob"); err != nil {
		t.Fatalf("the deputy administers no accounts: %v", err)
	}
	if _, err := p.DeleteAccountTOTP(t.Context(), deputy, "ann"); kind(t, err) != admin.Forbidden {
		t.Errorf("an owner's, by somebody who may not give that: got %v", err)
	}
	if acc, err := p.DeleteAccountTOTP(t.Context(), p.root, "ann"); err != nil || acc.SecondFactor {
		t.Errorf("by an administrator: got %+v, %v", acc, err)
	}
	if err := p.EnterOTP(t.Context(), p.by(), ""); err != nil {
		t.Errorf("after an administrator removed it: %v", err)
	}
	if _, err := p.DeleteAccountTOTP(t.Context(), p.root, "ann"); kind(t, err) != admin.Conflict {
		t.Errorf("where there is none: got %v", err)
	}
}

// What is in no backup is not there after a restore: a password does not suffice
// then either, but a recovery code does, and lets one start anew.
func TestSecondFactorAfterARestore(t *testing.T) {
	p := withTelephone(t)
	r, err := p.state.Get(t.Context(), store.KindSecondFactor, string(p.by().Account().ID))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.state.Commit(t.Context(), store.Delete(r)); err != nil {
		t.Fatal(err)
	}
	by := p.by()
	if err := p.EnterOTP(t.Context(), by, p.code()); kind(t, err) != admin.Unauthenticated || !strings.Contains(err.Error(), "recovery code") {
		t.Errorf("by the telephone: got %v, want that it was lost", err)
	}
	if err := p.EnterOTP(t.Context(), by, p.codes[0].Reveal()); err != nil {
		t.Fatal(err)
	}
	made, err := p.StartTOTP(t.Context(), by, secret.Of(annPassword))
	if err != nil {
		t.Fatal(err)
	}
	p.secret = made.Secret.Reveal()
	if _, err := p.ConfirmTOTP(t.Context(), by, p.code()); err != nil {
		t.Fatal(err)
	}
}

// Whoever has the store itself gets in: a recovered administrator has no second
// factor. A deleted person has none either.
func TestSecondFactorGoesWithItsAccount(t *testing.T) {
	p := withTelephone(t)
	if _, err := p.Recover(t.Context(), "ann"); err != nil {
		t.Fatal(err)
	}
	factors := func() (n int) {
		t.Helper()
		if err := p.state.All(t.Context(), func(store.Record) error { n++; return nil }, store.KindSecondFactor); err != nil {
			t.Fatal(err)
		}
		return n
	}
	acc, err := p.state.AccountByName(t.Context(), "ann")
	if err != nil || acc.SecondFactor || acc.RecoveryHashes != nil || factors() != 0 {
		t.Errorf("after the recovery: %+v, %v, %d second factors", acc, err, factors())
	}
	q := withTelephone(t)
	if _, err := q.DeactivateAccount(t.Context(), q.root, "ann"); err != nil {
		t.Fatal(err)
	}
	if err := q.DeleteAccount(t.Context(), q.root, "ann"); err != nil {
		t.Fatal(err)
	}
	p = q
	if factors() != 0 {
		t.Error("a deleted account has a second factor")
	}
}

// Another key-encryption key in front seals second factors too.
func TestSecondFactorIsResealed(t *testing.T) {
	p := withTelephone(t)
	before, err := p.state.Get(t.Context(), store.KindSecondFactor, string(p.by().Account().ID))
	if err != nil {
		t.Fatal(err)
	}
	next, err := keys.ParseKEKs(keys.GenerateKEK())
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := next.Open("second factor", before.Key(), before.(*store.SecondFactor).Sealed); ok {
		t.Fatal("any key opens it")
	}
	if _, err := p.ResealKeys(t.Context(), p.root); err != nil {
		t.Fatal(err)
	}
	after, err := p.state.Get(t.Context(), store.KindSecondFactor, before.Key())
	if err != nil || bytes.Equal(before.(*store.SecondFactor).Sealed, after.(*store.SecondFactor).Sealed) {
		t.Errorf("it is sealed as before (%v)", err)
	}
	if err := p.EnterOTP(t.Context(), p.by(), p.code()); err != nil {
		t.Errorf("a code after that: %v", err)
	}
}
