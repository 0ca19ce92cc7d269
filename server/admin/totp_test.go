package admin_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"postern/server/admin"
	"postern/server/secret"
	"postern/store"
)

const annPassword = "correct horse battery of a"

// telephone is a person with a second factor, in a world whose clock is turned
// on by hand.
type telephone struct {
	*world
	ahead  *time.Duration
	from   netip.Addr
	secret string
	codes  []secret.Secret // for recovery
}

func withTelephone(t *testing.T) *telephone {
	t.Helper()
	p := &telephone{ahead: new(time.Duration), from: netip.MustParseAddr("192.0.2.1")}
	began := time.Now()
	p.world = start(t, func(o *admin.Options) { o.Now = func() time.Time { return began.Add(*p.ahead) } })
	by := p.actorNamed("ann")
	made, err := p.StartTOTP(t.Context(), by, secret.Of(annPassword))
	if err != nil {
		t.Fatal(err)
	}
	p.secret = made.Secret.Reveal()
	if p.codes, err = p.ConfirmTOTP(t.Context(), by, p.code()); err != nil {
		t.Fatal(err)
	}
	return p
}

// code is what the telephone shows now, a step after the one it showed before.
func (p *telephone) code() string {
	p.t.Helper()
	*p.ahead += 30 * time.Second
	code, err := totp.GenerateCode(p.secret, p.Now())
	if err != nil {
		p.t.Fatal(err)
	}
	return code
}

// by is ann, by the password alone.
func (p *telephone) by() *admin.Actor {
	p.t.Helper()
	by, err := p.SignIn(p.t.Context(), "ann", secret.Of(annPassword), p.from, "test")
	if err != nil {
		p.t.Fatal(err)
	}
	return by
}

// half is half a session of ann's.
func (p *telephone) half() secret.Secret {
	p.t.Helper()
	text, err := p.StartSession(p.t.Context(), p.by())
	if err != nil {
		p.t.Fatal(err)
	}
	return text
}

func wrongCode(code string) string { return code[:5] + string('0'+(code[5]-'0'+1)%10) }

// With a second factor the password gives half a session, which lasts five
// minutes, does nothing, and becomes a whole one under a new id by a code.
func TestHalfSession(t *testing.T) {
	p := withTelephone(t)
	text := p.half()
	s, err := p.Session(t.Context(), text, p.from, "test")
	if err != nil || !s.NeedsCode {
		t.Fatalf("got %+v, %v; want one that needs a code", s, err)
	}
	if _, err := p.Me(t.Context(), s.Actor); kind(t, err) != admin.Forbidden {
		t.Errorf("who they are: got %v, want forbidden", err)
	}
	if _, err := p.MyClients(t.Context(), s.Actor); kind(t, err) != admin.Forbidden {
		t.Errorf("their tokens: got %v, want forbidden", err)
	}
	if _, err := p.ChangePassword(t.Context(), s.Actor, secret.Of(annPassword), secret.Of("another horse battery")); kind(t, err) != admin.Forbidden {
		t.Errorf("another password: got %v, want forbidden", err)
	}
	if _, err := p.DeleteTOTP(t.Context(), s.Actor, secret.Of(annPassword), ""); kind(t, err) != admin.Forbidden {
		t.Errorf("remove the second factor: got %v, want forbidden", err)
	}
	if err := p.Freshen(t.Context(), s.Actor, text, secret.Of(annPassword)); kind(t, err) != admin.Forbidden {
		t.Errorf("freshen: got %v, want forbidden", err)
	}
	good := p.code()
	if _, err := p.EnterCode(t.Context(), text, wrongCode(good), p.from, "test"); kind(t, err) != admin.Unauthenticated {
		t.Errorf("a wrong code: got %v", err)
	}
	whole, err := p.EnterCode(t.Context(), text, good[:3]+" "+good[3:], p.from, "test")
	if err != nil {
		t.Fatal(err)
	}
	if s, err := p.Session(t.Context(), whole, p.from, "test"); err != nil || s.NeedsCode || !s.Fresh || whole.Reveal() == text.Reveal() {
		t.Errorf("the whole session is %+v, %v", s, err)
	}
	if _, err := p.Session(t.Context(), text, p.from, "test"); kind(t, err) != admin.Unauthenticated {
		t.Errorf("half a session, after: got %v", err)
	}
	if _, err := p.EnterCode(t.Context(), whole, p.code(), p.from, "test"); kind(t, err) != admin.Conflict {
		t.Errorf("a code for a whole session: got %v", err)
	}
	late := p.half()
	*p.ahead += 5 * time.Minute
	if _, err := p.EnterCode(t.Context(), late, p.code(), p.from, "test"); kind(t, err) != admin.Unauthenticated {
		t.Errorf("after five minutes: got %v", err)
	}
	if err := p.EndSession(t.Context(), s.Actor, p.half()); err != nil {
		t.Errorf("sign out of half a session: %v", err)
	}
}

// A session goes on when its person puts a second factor in force in it; another
// one, by a password alone, needs a code from then on.
func TestSessionsAtTheSecondFactor(t *testing.T) {
	w := start(t)
	from := netip.MustParseAddr("192.0.2.1")
	by := w.actorNamed("ann")
	var texts [2]secret.Secret
	for i := range texts {
		var err error
		if texts[i], err = w.StartSession(t.Context(), by); err != nil {
			t.Fatal(err)
		}
	}
	s, err := w.Session(t.Context(), texts[0], from, "test")
	if err != nil {
		t.Fatal(err)
	}
	made, err := w.StartTOTP(t.Context(), s.Actor, secret.Of(annPassword))
	if err != nil {
		t.Fatal(err)
	}
	code, err := totp.GenerateCode(made.Secret.Reveal(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.ConfirmTOTP(t.Context(), s.Actor, code); err != nil {
		t.Fatal(err)
	}
	for i, needs := range []bool{false, true} {
		if s, err := w.Session(t.Context(), texts[i], from, "test"); err != nil || s.NeedsCode != needs {
			t.Errorf("session %d: got %+v, %v; needs a code: want %t", i, s, err, needs)
		}
	}
	// By another password it ends, and goes on under a new id without another code.
	if _, err := w.ChangePassword(t.Context(), s.Actor, secret.Of(annPassword), secret.Of("another horse battery")); err != nil {
		t.Fatal(err)
	}
	next, err := w.StartSession(t.Context(), s.Actor)
	if err != nil {
		t.Fatal(err)
	}
	if s, err := w.Session(t.Context(), next, from, "test"); err != nil || s.NeedsCode {
		t.Errorf("after another password: got %+v, %v; want a whole session", s, err)
	}
}

// A code is good once, so is each recovery code, and what is no code is nothing.
func TestCodesAreGoodOnce(t *testing.T) {
	p := withTelephone(t)
	enter := func(code string) admin.Kind {
		t.Helper()
		return kind(t, p.EnterOTP(t.Context(), p.by(), code))
	}
	good := p.code()
	if enter(good) != 0 || enter(good) != admin.Unauthenticated {
		t.Error("a code must be good once")
	}
	if len(p.codes) != 10 || !strings.Contains(p.codes[0].Reveal(), "-") {
		t.Fatalf("there are %d recovery codes, want 10 in groups of letters", len(p.codes))
	}
	first, second := p.codes[0].Reveal(), p.codes[1].Reveal()
	if enter(strings.ToUpper(strings.ReplaceAll(first, "-", " "))) != 0 || enter(first) != admin.Unauthenticated || enter(second) != 0 {
		t.Error("each recovery code must be good once, however it is typed")
	}
	for _, code := range []string{"", " ", "-", "000", second, strings.Repeat("x", 10_000)} {
		if enter(code) != admin.Unauthenticated {
			t.Errorf("%.20q is good", code)
		}
	}
	if acc := p.by().Account(); len(acc.RecoveryHashes) != 8 {
		t.Errorf("%d recovery codes are left, want 8", len(acc.RecoveryHashes))
	}
}

// Codes are counted before they are compared: after ten that are wrong the right
// one is of no use from there, and the person hears of it.
func TestCodesAreCounted(t *testing.T) {
	p := withTelephone(t)
	by := p.by()
	for range 10 {
		if err := p.EnterOTP(t.Context(), by, "x"); kind(t, err) != admin.Unauthenticated {
			t.Fatal(err)
		}
	}
	if err := p.EnterOTP(t.Context(), by, p.code()); kind(t, err) != admin.TooMany {
		t.Errorf("the right code after ten wrong ones: got %v, want too many", err)
	}
	if err := p.merger.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	entries, err := p.state.Audit(t.Context(), store.AuditQuery{Account: by.Account().ID})
	if err != nil {
		t.Fatal(err)
	}
	for operation, why := range map[string]string{"session.start": "the code wrong", "account.locked": "too many attempts"} {
		if !slices.ContainsFunc(entries, func(e *store.AuditEntry) bool { return e.Operation == operation && strings.Contains(e.Refused, why) }) {
			t.Errorf("no refusal of %s says %q", operation, why)
		}
	}
}
