package token

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/maypok86/otter/v2"

	"postern/server/keys"
	"postern/server/secret"
	"postern/store"
)

// VerifierOptions configures a Verifier. Keys, Issuer and State are required.
type VerifierOptions struct {
	Keys      *keys.Ring
	Issuer    string // the only iss that is good
	State     State
	CacheSize int              // tokens remembered; 0 means 100,000
	Now       func() time.Time // nil means time.Now
}

// Verifier says who a credential belongs to. It remembers the tokens whose
// signature it has checked, by their SHA-256; everything else about them is
// checked each time.
type Verifier struct {
	VerifierOptions
	seen *otter.Cache[[sha256.Size]byte, *Token]
}

// NewVerifier returns a Verifier.
func NewVerifier(o VerifierOptions) (*Verifier, error) {
	if o.CacheSize == 0 {
		o.CacheSize = 100_000
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	seen, err := otter.New(&otter.Options[[sha256.Size]byte, *Token]{MaximumSize: o.CacheSize})
	if err != nil {
		return nil, fmt.Errorf("make the cache of tokens: %w", err)
	}
	return &Verifier{o, seen}, nil
}

// Verify says who sent a credential as a bearer: an access token that is bound to
// nothing, or a secret. ErrInvalid means that it is no good. Any other error
// means that nobody can say now: the state could not be read
// (store.ErrUnavailable), or ctx is done.
func (v *Verifier) Verify(ctx context.Context, text string) (*Caller, error) {
	return v.VerifyHeld(ctx, text, func(asked Confirmation) bool { return !asked.Bound() })
}

// VerifyHeld is Verify of a credential whose sender may have shown a key: holds
// says whether it is the one that a token asks for (RFC 8705 section 3, RFC 9449
// section 7.1). It is asked of what is bound to none too.
func (v *Verifier) VerifyHeld(ctx context.Context, text string, holds func(Confirmation) bool) (*Caller, error) {
	caller, err := v.Examine(ctx, text)
	if err != nil {
		return nil, err
	}
	var asked Confirmation
	if caller.Token != nil {
		asked = caller.Token.Confirmation
	}
	if !holds(asked) {
		return nil, invalid("its sender did not show the key that it is bound to, or showed one for what is bound to none")
	}
	return caller, nil
}

// Certificate is for VerifyHeld of a bearer: presented says whether the sender
// presented the certificate of a thumbprint.
func Certificate(presented func(thumbprint string) bool) func(Confirmation) bool {
	return func(asked Confirmation) bool {
		return asked.Key == "" && (asked.Certificate == "" || presented(asked.Certificate))
	}
}

// Examine says whose a credential is for who did not get it from its sender: it
// is Verify, but does not ask whether the sender of a token held the key that it
// is bound to.
func (v *Verifier) Examine(ctx context.Context, text string) (*Caller, error) {
	if len(text) > MaxLength {
		return nil, invalid("it is too long")
	}
	now := store.At(v.Now())
	if secret.Looks(text) {
		return v.bearer(ctx, text, now)
	}
	digest := sha256.Sum256(append(make([]byte, 0, 1024), text...)) // most tokens need no more, and that stays on the stack
	t, seen := v.seen.GetIfPresent(digest)
	if !seen {
		var err error
		if t, err = v.parse(text, now); err != nil {
			return nil, err
		}
	}
	caller, err := v.accept(ctx, t, now)
	if !seen && err == nil {
		v.seen.Set(digest, t)
	}
	return caller, err
}

// Own reads an access token of this server, whether or not it is good for
// anything still: its signature or seal is right, and nothing else was checked.
// ErrInvalid is any other text.
func (v *Verifier) Own(text string) (*Token, error) {
	if len(text) > MaxLength {
		return nil, invalid("it is too long")
	}
	return v.parse(text, store.At(v.Now()))
}

// parse reads a token that was not seen before, and checks what will not change:
// that it is ours, whole and unaltered.
func (v *Verifier) parse(text string, now store.Time) (*Token, error) {
	if strings.HasPrefix(text, opaquePrefix) {
		return v.parseOpaque(text, now)
	}
	return v.parseJWT(text, now)
}

// parseJWT reads a JWT. Its header must be, byte for byte, one that the Minter
// writes with a key of ours: so the algorithm is the key's, whatever the header
// would like it to be, and crit, jwk, x5c and the like have no meaning to give.
func (v *Verifier) parseJWT(text string, now store.Time) (*Token, error) {
	if strings.Count(text, ".") != 2 {
		return nil, invalid("it does not have three parts")
	}
	dot, lastDot := strings.IndexByte(text, '.'), strings.LastIndexByte(text, '.')
	key, typ, ok := v.Keys.LookupHeader(text[:dot], now)
	if !ok {
		return nil, invalid("its header is not that of a key in use")
	}
	signature, err := decode(text[lastDot+1:])
	if err != nil || !key.Verify([]byte(text[:lastDot]), signature) {
		return nil, invalid("its signature is wrong")
	}
	payload, err := decode(text[dot+1 : lastDot])
	if err != nil {
		return nil, invalid("its claims are not base64url")
	}
	claims, err := parseClaims(payload)
	if err != nil {
		return nil, invalid(err.Error())
	}
	if claims.Issuer != v.Issuer {
		return nil, invalid("its issuer is another")
	}
	return complete(&Token{Claims: claims, Format: store.FormatJWT, Type: typ, KID: key.KID})
}

// parseOpaque reads a sealed token.
func (v *Verifier) parseOpaque(text string, now store.Time) (*Token, error) {
	additional, kid, sealed, ok := splitOpaque(text)
	if !ok {
		return nil, invalid("its checksum or form is wrong")
	}
	sealer, ok := v.Keys.Opener(kid, now)
	if !ok {
		return nil, invalid("its key is not in use")
	}
	b, err := secret.AppendDecodedBase62(nil, sealed)
	if err != nil {
		return nil, invalid(err.Error())
	}
	plain, err := sealer.Open(nil, b, []byte(additional))
	if err != nil {
		return nil, invalid(err.Error())
	}
	claims, err := parseBinary(plain)
	if err != nil {
		return nil, invalid(err.Error())
	}
	claims.Issuer = v.Issuer
	return complete(&Token{Claims: claims, Format: store.FormatOpaque, KID: kid})
}

// complete fills in what is derived from the claims. A claim that is missing is
// not one that need not be checked.
func complete(t *Token) (*Token, error) {
	if err := t.check(); err != nil {
		return nil, invalid(err.Error())
	}
	if t.ID == "" {
		return nil, invalid("it has no jti")
	}
	var ok bool
	if t.gen, ok = parseGenerations(t.Gen); !ok {
		return nil, invalid("its generations cannot be read")
	}
	var err error
	if t.Scopes, err = ParseScope(t.Scope); err != nil {
		return nil, invalid(err.Error())
	}
	return t, nil
}

// decode reads base64url without padding in its one spelling: the library skips
// line breaks and unless told so the bits that are left over, and each token
// must be good in one spelling only.
func decode(text string) ([]byte, error) {
	if strings.ContainsAny(text, "\r\n") {
		return nil, base64.CorruptInputError(0)
	}
	return base64.RawURLEncoding.Strict().DecodeString(text)
}

// accept checks what may change about a token that is ours.
func (v *Verifier) accept(ctx context.Context, t *Token, now store.Time) (*Caller, error) {
	expires := store.Time(t.ExpiresAt * 1000)
	switch {
	case expires.Over(now):
		return nil, invalid("it is expired")
	case !v.Keys.Usable(t.KID, now):
		return nil, invalid("its key is not in use")
	case v.State.Revoked(t.ID):
		return nil, invalid("it is revoked")
	}
	caller := &Caller{Token: t, Secret: t.SecretID, Scopes: t.Scopes, ExpiresAt: expires, At: now}
	client, err := v.client(ctx, t.ClientID, now)
	if err != nil {
		return nil, err
	}
	// A client acts as one account for ever; this says so even if a store does not.
	if client.Account != t.Subject || client.Workspace != "" && client.Workspace != t.Workspace {
		return nil, invalid("its client is of another account or workspace")
	}
	s := client.Secret(t.SecretID)
	if s == nil || !s.Live(now) {
		return nil, invalid("its secret is not in use")
	}
	if err := v.fill(ctx, caller, client, t.Workspace); err != nil {
		return nil, err
	}
	inst := v.State.Installation()
	if inst == nil || t.gen != current(inst, caller.Workspace, caller.Holder.Account, client, s) {
		return nil, invalid("its generations are not the current ones")
	}
	for _, a := range t.Actor.Chain() {
		actor, err := v.actor(ctx, a, now)
		if err != nil {
			return nil, err
		}
		caller.Actors = append(caller.Actors, actor)
	}
	return caller, nil
}

// actor returns the client that acts for another one, if it may be used as it
// could when it began to.
func (v *Verifier) actor(ctx context.Context, a *Actor, now store.Time) (*Caller, error) {
	c, err := v.client(ctx, a.ClientID, now)
	if err != nil {
		return nil, err
	}
	s := c.Secret(a.SecretID)
	if c.Account != a.Subject || s == nil || !s.Live(now) {
		return nil, invalid("what its actor authenticated with is not in use")
	}
	of := &Caller{Secret: a.SecretID, AnyScope: true, At: now}
	if err := v.fill(ctx, of, c, c.Workspace); err != nil {
		return nil, err
	}
	was, ok := parseGenerations(a.Gen)
	inst := v.State.Installation()
	if !ok || inst == nil || was != current(inst, of.Workspace, of.Holder.Account, c, s) {
		return nil, invalid("the generations of its actor are not the current ones")
	}
	return of, nil
}

// bearer verifies a client's secret that is sent as a bearer. Imported secrets
// are none, whatever the client is: they do not say whose they are.
func (v *Verifier) bearer(ctx context.Context, text string, now store.Time) (*Caller, error) {
	given, id, err := secret.Parse(text)
	if err != nil {
		return nil, invalid(err.Error())
	}
	client, err := v.client(ctx, id, now)
	if err != nil {
		return nil, err
	}
	if !client.Bearer {
		return nil, invalid("the client's secrets are not bearers")
	}
	var match *store.ClientSecret
	hash := given.Hash()
	for i := range client.Secrets {
		if s := &client.Secrets[i]; s.Live(now) && secret.EqualHash(hash, s.Hash) {
			match = s
		}
	}
	if match == nil {
		return nil, invalid("it is no live secret of the client")
	}
	caller := &Caller{Secret: match.ID, AnyScope: true, ExpiresAt: client.ExpiresAt.Sooner(match.ExpiresAt), At: now}
	if err := v.fill(ctx, caller, client, client.Workspace); err != nil {
		return nil, err
	}
	return caller, nil
}

// Client says what a client may do now, whatever token or secret it has. The
// error is ErrInvalid where it may do nothing.
func (v *Verifier) Client(ctx context.Context, id store.ClientID) (*Caller, error) {
	now := store.At(v.Now())
	client, err := v.client(ctx, id, now)
	if err != nil {
		return nil, err
	}
	caller := &Caller{AnyScope: true, ExpiresAt: client.ExpiresAt, At: now}
	return caller, v.fill(ctx, caller, client, client.Workspace)
}

// Account says what an account may do now in a workspace, nil is the one of the
// call, by no client. The error is ErrInvalid where it may do nothing, or is no
// person and must be one.
func (v *Verifier) Account(ctx context.Context, id store.AccountID, person bool, ws *store.Workspace) (*Caller, error) {
	caller := &Caller{AnyScope: true, Workspace: ws, At: store.At(v.Now())}
	if err := v.fill(ctx, caller, &store.Client{Account: id}, ""); err != nil {
		return nil, err
	}
	if person && caller.Holder.Account.AccountKind != store.AccountUser {
		return nil, invalid("its account is no person's")
	}
	return caller, nil
}

// client returns a client that is active.
func (v *Verifier) client(ctx context.Context, id store.ClientID, now store.Time) (*store.Client, error) {
	c, err := v.State.Client(ctx, id)
	if err != nil {
		return nil, missing(err, "client")
	}
	if state := c.State(now); state != store.ClientActive {
		return nil, invalid("its client is " + string(state))
	}
	return c, nil
}

// fill adds the client, its account and the workspace, all of which must be
// usable.
func (v *Verifier) fill(ctx context.Context, caller *Caller, client *store.Client, workspace store.WorkspaceID) error {
	holder, err := v.State.Holder(ctx, client.Account)
	if err != nil {
		return missing(err, "account")
	}
	if holder.Account.Status != store.AccountActive {
		return invalid("its account is " + string(holder.Account.Status))
	}
	if workspace != "" {
		caller.Workspace = v.State.Workspace(workspace)
		if caller.Workspace == nil {
			return invalid("its workspace does not exist")
		}
		if !caller.Workspace.APIAccess {
			return invalid("its workspace has no API access")
		}
	}
	caller.Client, caller.Holder = client, holder
	return nil
}

// missing tells a record that is not there from one that could not be read.
func missing(err error, what string) error {
	if errors.Is(err, store.ErrNotFound) {
		return invalid("its " + what + " does not exist")
	}
	return fmt.Errorf("verify a token: read its %s: %w", what, err)
}

func invalid(reason string) error { return fmt.Errorf("%w: %s", ErrInvalid, reason) }
