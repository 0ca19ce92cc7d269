package admin

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"postern/server/limit"
	"postern/server/notify"
	"postern/server/secret"
	"postern/store"
)

// How long passwords are, in characters and in bytes (NIST SP 800-63B section
// 3.1.1 asks for 15 where nothing else protects, 8 otherwise; we count failures).
const (
	minPassword = 12
	maxPassword = 512
)

// How often somebody may try: for one account from one address, for one account
// from everywhere, and from one address. They count before the comparison.
const (
	triesOfAccountAddress = 10
	triesOfAccount        = 30
	triesOfAddress        = 100
	triesPer              = 15 * time.Minute
)

// slowAtOnce is how many passwords are hashed at once, slowQueue how many more
// wait: each takes 19 MiB and some 20 ms.
const (
	slowAtOnce = 2
	slowQueue  = 32
)

// signIns counts and queues attempts to sign in, on this node.
type signIns struct {
	pairs, accounts, addresses *limit.Limiter
	told                       *limit.Limiter // of accounts that are locked, so that attempts do not become writes
	running                    chan struct{}
	waiting                    atomic.Int64
}

func newSignIns() *signIns {
	return &signIns{
		pairs: limit.NewLimiter(0), accounts: limit.NewLimiter(0), addresses: limit.NewLimiter(0), told: limit.NewLimiter(0),
		running: make(chan struct{}, slowAtOnce),
	}
}

// counter is one of those that an attempt counts in.
type counter struct {
	limiter *limit.Limiter
	name    string
	rate    limit.Rate
}

func (s *signIns) counters(name string, from netip.Addr) []counter {
	near := limit.Network(from)
	out := []counter{{s.addresses, near, limit.Rate{Count: triesOfAddress, Per: triesPer}}}
	if name != "" {
		out = append(out,
			counter{s.pairs, near + " " + name, limit.Rate{Count: triesOfAccountAddress, Per: triesPer}},
			counter{s.accounts, name, limit.Rate{Count: triesOfAccount, Per: triesPer}})
	}
	return out
}

// attempt counts an attempt for a name, which may be empty, from an address, and
// refuses it when there were too many.
func (s *signIns) attempt(name string, from netip.Addr, now time.Time) error {
	for _, c := range s.counters(name, from) {
		if ok, wait := c.limiter.Allow(c.name, c.rate, now); !ok {
			return tooMany(wait)
		}
	}
	return nil
}

// succeeded takes back an attempt that was good.
func (s *signIns) succeeded(name string, from netip.Addr) {
	for _, c := range s.counters(name, from) {
		c.limiter.Forgive(c.name, c.rate)
	}
}

func tooMany(wait time.Duration) error {
	wait = wait.Truncate(time.Second) + time.Second
	return &Error{Kind: TooMany, Message: fmt.Sprintf("too many attempts; try again in %s", wait), RetryAfter: wait}
}

// slowly does what takes a processor and memory for a while, when it is its turn.
func (s *signIns) slowly(ctx context.Context, do func() error) error {
	if s.waiting.Add(1) > slowQueue {
		s.waiting.Add(-1)
		return tooMany(time.Second)
	}
	defer s.waiting.Add(-1)
	select {
	case s.running <- struct{}{}:
		defer func() { <-s.running }()
		return do()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// nobody is the hash that the password of an unknown person is compared with, so
// that it takes as long.
const nobody = "$argon2id$v=19$m=19456,t=2,p=1$rwRV5h34jqqvUdat+fFNOA$SLuQL29D9y4OFDdURyZX3RY4etpVV3m8KGq4W2yyuoE"

// SignIn finds out who a person is by name and password. A name that nobody has,
// a wrong password and an account that is not active are the same to whoever
// asks: Unauthenticated. After too many attempts it is TooMany, whatever the
// password.
//
// An account may have a second factor: the actor may do nothing then, before
// EnterOTP, or EnterCode on the session that StartSession starts.
func (a *Admin) SignIn(ctx context.Context, name string, password secret.Secret, from netip.Addr, requestID string) (*Actor, error) {
	h, err := a.byPassword(ctx, name, password, from, requestID)
	if err != nil {
		return nil, err
	}
	return &Actor{Holder: h, AnyScope: true, Address: from, RequestID: requestID}, nil
}

// byPassword finds who has a name and password, as SignIn says.
func (a *Admin) byPassword(ctx context.Context, name string, password secret.Secret, from netip.Addr, requestID string) (*store.Holder, error) {
	if utf8.RuneCountInString(name) > maxName {
		name = ""
	}
	name = strings.ToLower(name)
	if err := a.signIns.attempt(name, from, a.Now()); err != nil { // before anything is read
		a.locked(ctx, name, from, requestID)
		return nil, err
	}
	acc, err := a.personNamed(ctx, name)
	if err != nil {
		return nil, err
	}
	hash := nobody
	if acc != nil && acc.PasswordHash != "" {
		hash = acc.PasswordHash
	}
	matches := false
	err = a.signIns.slowly(ctx, func() (err error) {
		matches, err = secret.MatchesPassword(hash, password)
		return err
	})
	if e, ok := errors.AsType[*Error](err); ok {
		return nil, e
	}
	if err != nil {
		return nil, fmt.Errorf("sign in: %w", err)
	}
	if !matches || acc == nil || acc.PasswordHash == "" || acc.Status != store.AccountActive {
		a.Log.InfoContext(ctx, "a sign-in failed", "address", from, "request_id", requestID)
		return nil, refuse(Unauthenticated, "name or password is wrong")
	}
	h, err := a.State.Holder(ctx, acc.ID)
	if err != nil {
		return nil, fromStore("sign in", err)
	}
	if h.Account.Status != store.AccountActive {
		return nil, refuse(Unauthenticated, "name or password is wrong")
	}
	a.signIns.succeeded(name, from)
	return h, nil
}

// provePassword asks the actor once more for its password. A wrong one is Invalid,
// at "password"; attempts are counted as those to sign in are.
func (a *Admin) provePassword(ctx context.Context, by *Actor, password secret.Secret) error {
	if by.Account().PasswordHash == "" {
		return invalidAt("password", "is none that you have; sign in again as you did")
	}
	_, err := a.byPassword(ctx, by.Account().Name, password, by.Address, by.RequestID)
	if e, ok := errors.AsType[*Error](err); ok && e.Kind == Unauthenticated {
		return invalidAt("password", "is wrong")
	}
	return err
}

// attempt counts an attempt of the actor's to prove who it is by something else
// than a password, as one by password is counted.
func (a *Admin) attempt(ctx context.Context, by *Actor) error {
	name := by.Account().Name
	err := a.signIns.attempt(name, by.Address, a.Now())
	if err != nil {
		a.locked(ctx, name, by.Address, by.RequestID)
	}
	return err
}

// personNamed finds a person by name, or by the name that a provisioning system
// gave; nil if there is none.
func (a *Admin) personNamed(ctx context.Context, name string) (*store.Account, error) {
	if name == "" || !utf8.ValidString(name) {
		return nil, nil
	}
	acc, err := a.Store.AccountByName(ctx, name)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, fromStore("sign in", err)
	}
	// Asked in any case, so that it takes as long for one name as for another.
	named, err := a.Store.Accounts(ctx, store.AccountQuery{UserName: name, Limit: 1})
	if err != nil {
		return nil, fromStore("sign in", err)
	}
	if acc == nil && len(named) > 0 {
		acc = named[0]
	}
	if acc == nil || acc.AccountKind != store.AccountUser {
		return nil, nil
	}
	return acc, nil
}

// locked tells the audit and those who want to hear of it that an account is
// locked for a while: once in that time, whatever comes.
func (a *Admin) locked(ctx context.Context, name string, from netip.Addr, requestID string) {
	if first, _ := a.signIns.told.Allow(name, limit.Rate{Count: 1, Per: triesPer}, a.Now()); !first {
		return
	}
	acc, err := a.personNamed(ctx, name)
	if err != nil || acc == nil {
		return // the next one who is refused after that time tells
	}
	now := a.now()
	err = a.Notify(ctx, Event{
		Type: notify.AccountLocked, Account: acc, Mail: []store.AccountID{acc.ID}, Reason: "too many attempts to sign in",
		Once: notify.AccountLocked + " " + string(acc.ID), At: now - now%store.Time(triesPer.Milliseconds()), Until: now.Add(2 * triesPer),
	})
	if err != nil {
		a.Log.WarnContext(ctx, "nobody was told of a locked account", "account", acc.ID, "error", err)
	}
	if a.Refusals == nil {
		return
	}
	e := a.entry(&Actor{Address: from, RequestID: requestID}, entry{
		operation: "account.locked", workspace: a.systemID(), name: acc.Name, refused: "too many attempts to sign in",
	})
	e.TargetKind, e.Target, e.Account = store.KindAccount, string(acc.ID), acc.ID
	a.Refusals.Add(e)
}

// setPassword gives an account a password that its owner chose.
func (a *Admin) setPassword(ctx context.Context, acc *store.Account, password secret.Secret) error {
	text := password.Reveal()
	var f faults
	switch {
	case !utf8.ValidString(text) || len(text) > maxPassword:
		f.add("password", "must be text of at most %d bytes", maxPassword)
	case utf8.RuneCountInString(text) < minPassword:
		f.add("password", "must have at least %d characters; several words are best", minPassword)
	case strings.Contains(strings.ToLower(text), strings.ToLower(acc.Name)), strings.Trim(text, text[:1]) == "":
		f.add("password", "is too easy to guess: it holds the account's name, or is one character again and again")
	}
	if err := f.err(); err != nil {
		return err
	}
	return a.signIns.slowly(ctx, func() error {
		hash, err := secret.HashPassword(password)
		if err != nil {
			return fmt.Errorf("set a password: %w", err)
		}
		acc.PasswordHash, acc.PasswordAt, acc.MustChange = hash, a.now(), false
		return nil
	})
}
