package admin

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"

	"postern/server/otp"
	"postern/server/secret"
	"postern/store"
)

//nolint:gochecknoglobals // constants, were there constant structs
var (
	opTOTPStart     = Operation{Name: "me.totp.start", Method: "POST", Path: root + "/me/totp", Tag: "me", Text: "Make the secret of a second factor for your password, which is in force once a code of it is confirmed", Password: true}
	opTOTPConfirm   = Operation{Name: "me.totp.confirm", Method: "POST", Path: root + "/me/totp/confirm", Tag: "me", Text: "Put your second factor in force by a code of it; answers recovery codes", Password: true}
	opTOTPDelete    = Operation{Name: "me.totp.delete", Method: "POST", Path: root + "/me/totp/delete", Tag: "me", Text: "Remove your second factor, by your password or a code", Password: true}
	opAccountNoTOTP = Operation{Name: "account.totp.delete", Method: "DELETE", Path: root + "/accounts/{account}/totp", Tag: "accounts", Text: "Remove a person's second factor, such as after the loss of a telephone", accounts: true}
)

const (
	sealedTOTP    = "second factor" // for keys.KEK.Seal
	recoveryCodes = 10
)

// NewTOTP is a second factor that waits for its confirmation, shown once.
type NewTOTP struct {
	Secret secret.Secret // base32, to type
	URI    secret.Secret // otpauth, as otp.QR draws it
}

// needsCode reports whether the actor signed in by a password, which does not
// suffice for its account.
func (by *Actor) needsCode() bool {
	acc := by.Account()
	return acc != nil && by.Client == nil && acc.SecondFactor && !by.second
}

// halted says why somebody who signed in by password may do nothing yet; empty
// when they may.
func (by *Actor) halted() string {
	switch acc := by.Account(); {
	case acc == nil || by.Client != nil:
		return ""
	case by.needsCode():
		return "your account has a second factor, and its code is missing (header Postern-OTP, or --otp)"
	case acc.MustChange:
		return "your password was set by somebody else; change it first (me.password)"
	default:
		return ""
	}
}

// StartTOTP makes the secret of a second factor for the actor, who proves once
// more to know the password. It is in force once a code of it is confirmed; one
// that was not is replaced. A wrong password is Invalid, at "password".
func (a *Admin) StartTOTP(ctx context.Context, by *Actor, password secret.Secret) (*NewTOTP, error) {
	if err := a.mustOwnFactor(by, opTOTPStart); err != nil {
		return nil, err
	}
	if err := a.provePassword(ctx, by, password); err != nil {
		return nil, err
	}
	acc := by.Account()
	old, err := a.secondFactor(ctx, acc.ID)
	if err != nil {
		return nil, err
	}
	if acc.SecondFactor && old != nil { // without the record a restore lost it
		return nil, refuse(Conflict, "you have a second factor already; remove it first (me.totp.delete)")
	}
	issuer := "Postern"
	if u, err := url.Parse(a.Issuer); err == nil && u.Hostname() != "" && !strings.Contains(u.Hostname(), ":") {
		issuer += " " + u.Hostname()
	}
	out := &NewTOTP{}
	if out.Secret, out.URI, err = otp.New(issuer, acc.Name); err != nil {
		return nil, err
	}
	f := &store.SecondFactor{
		ID: string(acc.ID), Sealed: a.Options.Keys.KEK.Seal(sealedTOTP, string(acc.ID), []byte(out.Secret.Reveal())), CreatedAt: a.now(),
	}
	write := store.Insert(f)
	if old != nil {
		f.Revision = old.Revision
		write = store.Update(f)
	}
	err = a.change(ctx, by, entry{operation: opTOTPStart.Name, workspace: a.systemID(), after: f, name: acc.Name}, write)
	return out, err
}

// ConfirmTOTP puts the actor's second factor in force: from now on a password
// alone does not suffice. It returns recovery codes, each of which stands in for a
// code once; nobody is shown them again. The session that it is asked in goes on;
// others by a password alone need a code.
func (a *Admin) ConfirmTOTP(ctx context.Context, by *Actor, code string) ([]secret.Secret, error) {
	if err := a.mustOwnFactor(by, opTOTPConfirm); err != nil {
		return nil, err
	}
	old := by.Account()
	f, err := a.secondFactor(ctx, old.ID)
	if err != nil {
		return nil, err
	}
	switch {
	case f == nil:
		return nil, refuse(Conflict, "there is no second factor to confirm; make one first (me.totp.start)")
	case f.Confirmed:
		return nil, refuse(Conflict, "your second factor is in force already")
	}
	if err := a.attempt(ctx, by); err != nil {
		return nil, err
	}
	next, ok := a.taken(f, code)
	if !ok {
		return nil, invalidAt("code", "is wrong; take the one that the app shows now, and see that the telephone's clock is right")
	}
	a.signIns.succeeded(old.Name, by.Address)
	next.Confirmed = true
	acc := *old
	acc.SecondFactor, acc.RecoveryHashes = true, nil
	var codes []secret.Secret
	for range recoveryCodes {
		one := secret.Of(letters(16, 4))
		codes, acc.RecoveryHashes = append(codes, one), append(acc.RecoveryHashes, recoveryOf(one.Reveal()).Hash())
	}
	writes := []store.Write{store.Update(next), store.Update(&acc)}
	if by.session != "" {
		s, err := a.sessionAt(ctx, by.session)
		if err != nil {
			return nil, err
		}
		s.SecondDone, s.ProvedAt = true, a.now()
		writes = append(writes, store.Update(s))
	}
	err = a.change(ctx, by, entry{operation: opTOTPConfirm.Name, workspace: a.systemID(), before: old, after: &acc, name: acc.Name}, writes...)
	if err != nil {
		return nil, err
	}
	by.second = true
	by.became(stored(&acc, store.OpUpdate))
	return codes, nil
}

// DeleteTOTP removes the actor's second factor, by a password or else by a code of
// it. What is wrong is Invalid, at "password" or "code".
func (a *Admin) DeleteTOTP(ctx context.Context, by *Actor, password secret.Secret, code string) (*store.Account, error) {
	if err := a.mustOwnFactor(by, opTOTPDelete); err != nil {
		return nil, err
	}
	if password.IsSet() {
		if err := a.provePassword(ctx, by, password); err != nil {
			return nil, err
		}
	} else if err := a.useCode(ctx, by, code); err != nil {
		if e, ok := errors.AsType[*Error](err); ok && e.Kind == Unauthenticated {
			return nil, invalidAt("code", "%s", e.Message)
		}
		return nil, err
	}
	acc, err := a.withoutTOTP(ctx, by, opTOTPDelete, by.Account().ID)
	return acc, err
}

// DeleteAccountTOTP removes a person's second factor. Who has the password then
// needs nothing else, so it is a gift of all that the person holds.
func (a *Admin) DeleteAccountTOTP(ctx context.Context, by *Actor, idOrName string) (*store.Account, error) {
	old, err := a.changeable(ctx, by, opAccountNoTOTP, idOrName)
	if err == nil {
		err = padlock(old, "password")
	}
	if err == nil {
		err = a.givesPerson(ctx, by, opAccountNoTOTP, old)
	}
	if err != nil {
		return nil, err
	}
	return a.withoutTOTP(ctx, by, opAccountNoTOTP, old.ID)
}

func (a *Admin) withoutTOTP(ctx context.Context, by *Actor, op Operation, id store.AccountID) (*store.Account, error) {
	h, err := a.State.Holder(ctx, id) // a recovery code may have changed it just now
	if err != nil {
		return nil, fromStore(op.Name, err)
	}
	old := h.Account
	f, err := a.secondFactor(ctx, id)
	if err != nil {
		return nil, err
	}
	if f == nil && !old.SecondFactor {
		return nil, refuse(Conflict, "%s has no second factor", old.Name)
	}
	acc := *old
	acc.SecondFactor, acc.RecoveryHashes = false, nil
	writes := []store.Write{store.Update(&acc)}
	if f != nil {
		writes = append(writes, store.Delete(f))
	}
	err = a.change(ctx, by, entry{operation: op.Name, workspace: a.systemID(), before: old, after: &acc, name: acc.Name}, writes...)
	return stored(&acc, store.OpUpdate), err
}

// mustOwnFactor is mustOwn for the second factor, which no token changes: it
// guards the password, not them.
func (a *Admin) mustOwnFactor(by *Actor, op Operation) error {
	if err := a.mustOwn(by, op); err != nil {
		return err
	}
	if by.Client != nil {
		return a.refused(by, op, a.systemID(), "a second factor is changed by who knows the password: sign in by name and password")
	}
	return nil
}

// EnterOTP proves by a code that whoever signed in by the actor's password is its
// person. Where the account has no second factor, or the code was given before,
// nothing is asked for. A code that is not good is Unauthenticated, and none too.
func (a *Admin) EnterOTP(ctx context.Context, by *Actor, code string) error {
	if !by.needsCode() {
		return nil
	}
	if strings.TrimSpace(code) == "" {
		return refuse(Unauthenticated, "%s", by.halted())
	}
	if err := a.useCode(ctx, by, code); err != nil {
		return err
	}
	by.second = true
	return nil
}

// useCode takes a code of the actor's second factor, or a recovery code, and
// remembers that it is used up.
func (a *Admin) useCode(ctx context.Context, by *Actor, code string) error {
	if err := a.attempt(ctx, by); err != nil {
		return err
	}
	acc := by.Account()
	f, err := a.secondFactor(ctx, acc.ID)
	if err != nil {
		return err
	}
	bad := "the code is wrong or used up; take the one that the app shows next, or a recovery code"
	if f == nil && acc.SecondFactor {
		bad = "the second factor was lost when the server was restored: take a recovery code, or ask an administrator to remove it (account.totp.delete)"
	}
	if f != nil && f.Confirmed {
		if next, ok := a.taken(f, code); ok {
			err := a.Store.Commit(ctx, store.Update(next))
			if errors.Is(err, store.ErrConflict) {
				return refuse(Unauthenticated, "%s", bad) // of two at once one used it
			}
			if err == nil {
				a.signIns.succeeded(acc.Name, by.Address)
			}
			return fromStore("take a code", err)
		}
	}
	given := recoveryOf(code)
	left := slices.DeleteFunc(slices.Clone(acc.RecoveryHashes), func(hash []byte) bool { return secret.Matches(given, hash) })
	if len(left) < len(acc.RecoveryHashes) {
		changed := *acc
		changed.RecoveryHashes = left
		err := a.change(ctx, by, entry{operation: "session.recoverycode", workspace: a.systemID(), before: acc, after: &changed, name: acc.Name}, store.Update(&changed))
		if err == nil {
			a.signIns.succeeded(acc.Name, by.Address)
			by.became(stored(&changed, store.OpUpdate))
		}
		return err
	}
	a.Log.InfoContext(ctx, "a password was right and the code wrong", "account", acc.ID, "address", by.Address, "request_id", by.RequestID)
	if a.Refusals != nil {
		a.Refusals.Add(a.entry(by, entry{operation: "session.start", workspace: a.systemID(), after: acc, name: acc.Name, refused: "the password was right and the code wrong"}))
	}
	return refuse(Unauthenticated, "%s", bad)
}

// became makes the actor one whose account was changed by itself.
func (by *Actor) became(acc *store.Account) {
	by.Holder = &store.Holder{Account: acc, Grants: by.Holder.Grants}
}

// taken is the second factor after a code was taken, if that is good.
func (a *Admin) taken(f *store.SecondFactor, code string) (*store.SecondFactor, bool) {
	plain, ok := a.Options.Keys.KEK.Open(sealedTOTP, f.ID, f.Sealed)
	if !ok {
		a.Log.Error("a second factor does not open with any of the key-encryption keys given", "account", f.ID)
		return nil, false
	}
	step, ok := otp.Match(secret.Of(string(plain)), strings.Join(strings.Fields(code), ""), a.Now(), f.LastStep)
	if !ok {
		return nil, false
	}
	next := *f
	next.LastStep = step
	return &next, true
}

// recoveryOf is a recovery code as it is hashed, however it was typed.
func recoveryOf(code string) secret.Secret {
	return secret.Of(strings.Map(func(r rune) rune {
		if r == '-' || r == ' ' {
			return -1
		}
		return r
	}, strings.ToLower(code)))
}

// secondFactor reads an account's second factor; nil if there is none.
func (a *Admin) secondFactor(ctx context.Context, id store.AccountID) (*store.SecondFactor, error) {
	r, err := a.Store.Get(ctx, store.KindSecondFactor, string(id))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fromStore("read a second factor", err)
	}
	f, _ := r.(*store.SecondFactor)
	return f, nil
}

// resealedFactors are the writes that seal people's second factors by the first
// key-encryption key.
func (a *Admin) resealedFactors(ctx context.Context) ([]store.Write, error) {
	kek := a.Options.Keys.KEK
	var out []store.Write
	err := a.Store.All(ctx, func(r store.Record) error {
		f, _ := r.(*store.SecondFactor)
		plain, ok := kek.Open(sealedTOTP, f.ID, f.Sealed)
		if !ok {
			return refuse(Conflict, "the second factor of account %s does not open; remove it first (account.totp.delete)", f.ID)
		}
		next := *f
		next.Sealed = kek.Seal(sealedTOTP, f.ID, plain)
		out = append(out, store.Update(&next))
		return nil
	}, store.KindSecondFactor)
	return out, fromStore(opKeyReseal.Name, err)
}
