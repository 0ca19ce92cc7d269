// Package token mints and verifies access tokens, and knows a client's secret
// that is sent as a bearer.
//
// A token is a JWT (RFC 9068) or opaque: sealed, for resource servers that
// introspect (RFC 7662). Either holds everything there is to it; nothing is
// stored. It ends with its exp, or earlier: it carries the generations of the
// installation, workspace, account, client and secret at its minting, and lives
// only as long as all of them are the current ones and all of these records are
// usable. The clock has no part in that.
//
// Whether its audience is the right one, and what its scopes allow, is for the
// caller to say.
package token

import (
	"context"
	"errors"
	"sync/atomic"

	"postern/policy"
	"postern/store"
)

// MaxLength is the longest text that Verify looks at, in bytes. Minted tokens are
// at most half as long.
const (
	MaxLength = 8192
	maxMinted = 4096
)

// ErrInvalid is a text that is no good as an access token, for whatever reason.
// The wrapped text gives the reason, for the log: whoever sent it is told
// nothing.
var ErrInvalid = errors.New("invalid token")

// ErrTooLong is a token that would be longer than gateways let through, because
// of too many scopes or audiences.
var ErrTooLong = errors.New("the token would be too long")

// State is what verifying reads: the records of now.
type State interface {
	// Client returns a client whatever its status, or store.ErrNotFound.
	Client(ctx context.Context, id store.ClientID) (*store.Client, error)
	// Holder returns an account whatever its status, or store.ErrNotFound.
	Holder(ctx context.Context, id store.AccountID) (*store.Holder, error)
	// Workspace returns a workspace, or nil if there is none.
	Workspace(id store.WorkspaceID) *store.Workspace
	// Installation returns the installation, or nil before the first start.
	Installation() *store.Installation
	// Revoked reports whether the access token with this jti was revoked.
	Revoked(jti string) bool
}

// Token is a verified access token. It does not change.
type Token struct {
	Claims
	Scopes Scopes            // Claims.Scope, split
	Format store.TokenFormat // FormatJWT or FormatOpaque
	Type   string            // of a JWT: keys.TypeAccessToken or keys.TypeJWT
	KID    string            // the key that signed or sealed it

	gen generations

	// Memos are for the doors: what each made of the token last.
	Decided, Introspected atomic.Pointer[any]
}

// Caller is who sent a credential that is good now.
type Caller struct {
	Token     *Token // nil for a secret sent as a bearer
	Client    *store.Client
	Secret    store.SecretID // which one was sent, or minted the token
	Holder    *store.Holder
	Workspace *store.Workspace // the one it is for; nil is all of the account's
	Scopes    Scopes
	AnyScope  bool       // a secret sent as a bearer: no scope narrows it
	ExpiresAt store.Time // zero is never
	At        store.Time // when this was found out

	// Actors are who acts for the client, and for each other, the one that sent the
	// token first. None may do what the client may not, nor the other way round.
	Actors []*Caller
}

// Sender is the client that sent the credential.
func (c *Caller) Sender() *store.Client {
	if len(c.Actors) > 0 {
		return c.Actors[0].Client
	}
	return c.Client
}

// Policy is the caller as the policy knows it.
func (c *Caller) Policy() *policy.Caller {
	return &policy.Caller{
		Holder: c.Holder, Narrowed: c.Client.Narrowed, Roles: c.Client.Roles, Scopes: c.Scopes, AnyScope: c.AnyScope,
		Personal: c.Client.ClientKind == store.ClientPersonal,
	}
}
