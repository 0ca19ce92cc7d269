package store

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// ClientKind says whose credential a client is.
type ClientKind string

// The kinds of clients.
const (
	ClientService  ClientKind = "service"  // of a technical user
	ClientPersonal ClientKind = "personal" // of a person
)

// ClientStatus is the stored part of a client's state; that it expired is
// computed (State).
type ClientStatus string

// The stored statuses, and the computed one.
const (
	ClientPending ClientStatus = "pending" // made, its secret not yet confirmed as saved
	ClientActive  ClientStatus = "active"
	ClientRevoked ClientStatus = "revoked"
	ClientDeleted ClientStatus = "deleted" // a tombstone: the id is never used again
	ClientExpired ClientStatus = "expired" // only ever computed
)

// ReasonLeaked is the reason for revoking that forbids a restore.
const ReasonLeaked = "leaked"

// Client is one managed credential: an OAuth2 client (RFC 6749 section 2), an
// integration or service token, or a personal access token. It acts as one
// account for ever.
type Client struct {
	ID          ClientID   `json:"_id"`
	Revision    int64      `json:"revision"`
	Generation  int64      `json:"generation"` // raised by revoke and delete; tokens of another one are dead
	ClientKind  ClientKind `json:"kind"`
	Name        string     `json:"name"`          // free text
	ClientKey   string     `json:"key,omitempty"` // optional; unique in its workspace
	Description string     `json:"description,omitempty"`

	Account     AccountID   `json:"account"`
	Responsible AccountID   `json:"responsible,omitempty"` // a person, for a service client
	Workspace   WorkspaceID `json:"workspace,omitempty"`   // empty: all of its account's

	Status        ClientStatus `json:"status"`
	RevokedReason string       `json:"revoked_reason,omitempty"`

	Bearer      bool     `json:"bearer,omitempty"`       // its secrets may be sent as Authorization: Bearer
	Narrowed    bool     `json:"narrowed,omitempty"`     // then Roles is all it is left with, an empty list included
	Roles       []RoleID `json:"roles,omitempty"`        // means nothing unless Narrowed
	AdminAccess bool     `json:"admin_access,omitempty"` // lifts the licence for account and licence operations
	SCIMOnly    bool     `json:"scim_only,omitempty"`
	Addresses   []string `json:"addresses,omitempty"`    // CIDR prefixes it may call from; empty is any
	AuthMethods []string `json:"auth_methods,omitempty"` // token_endpoint_auth_method values (RFC 7591 section 2); empty is any it has a credential for
	DefaultAPI  APIID    `json:"default_api,omitempty"`  // for token requests without a resource

	Binding TokenBinding `json:"binding,omitempty"` // what its access tokens are bound to
	Profile Profile      `json:"profile,omitempty"` // rules that it keeps besides

	// RegistrationHash is the SHA-256 of the token by which the client's registration
	// may be read, changed and deleted (RFC 7592); empty where there is none.
	RegistrationHash []byte `json:"registration_hash,omitempty"`

	Secrets []ClientSecret `json:"secrets,omitempty"` // at most 5 live ones

	Warning   string    `json:"warning,omitempty"` // shown wherever the client is, such as that it was made at the first start
	CreatedAt Time      `json:"created_at"`
	CreatedBy AccountID `json:"created_by,omitempty"`
	Parent    ClientID  `json:"parent,omitempty"`     // it was renewed from
	ConfirmBy Time      `json:"confirm_by,omitempty"` // a pending one that is not confirmed by then is deleted
	ExpiresAt Time      `json:"expires_at,omitempty"`
	RevokedAt Time      `json:"revoked_at,omitempty"`
	DeletedAt Time      `json:"deleted_at,omitempty"`
}

// TokenBinding is what a client's access tokens are bound to: who sends one shows
// that it holds that key.
type TokenBinding string

// The bindings. Empty is none, but where a client sends a DPoP proof.
const (
	BindCertificate TokenBinding = "certificate" // that of its TLS connection (RFC 8705 section 3)
	BindDPoP        TokenBinding = "dpop"        // a key that it signs proofs with (RFC 9449)
)

// Profile is a set of rules that a client keeps.
type Profile string

// ProfileFAPI2 is the FAPI 2.0 Security Profile, as far as it is about clients that
// get tokens for themselves: they authenticate by key or certificate, and their
// tokens are bound.
const ProfileFAPI2 Profile = "fapi2"

// ClientSecret is one secret of a client, never its text, or what stands in its
// place.
type ClientSecret struct {
	ID         SecretID   `json:"id"`
	Label      string     `json:"label,omitempty"`
	Hash       []byte     `json:"hash,omitempty"`      // SHA-256 of the whole text
	SlowHash   string     `json:"slow_hash,omitempty"` // of an imported secret; Hash is empty then
	JWK        string     `json:"jwk,omitempty"`       // a public key in the place of a secret (private_key_jwt)
	JWKSURI    string     `json:"jwks_uri,omitempty"`  // or where such keys are
	X5T        string     `json:"x5t,omitempty"`       // thumbprint (x5t#S256) of a certificate in the place of a secret (RFC 8705 section 2.2)
	CertName   string     `json:"cert_name,omitempty"` // or its name, in one of a trusted authority (section 2.1); see certificate.CheckName
	Trust      *TrustRule `json:"trust,omitempty"`     // or whose JWTs are as good; never changed
	Generation int64      `json:"generation"`
	CreatedAt  Time       `json:"created_at"`
	ExpiresAt  Time       `json:"expires_at,omitempty"`
	RevokedAt  Time       `json:"revoked_at,omitempty"`
	LeakedAt   Time       `json:"leaked_at,omitempty"` // it, or a token it minted, was reported as leaked
}

// SlowSecret returns the client's imported secret that is kept by a slow hash
// and not revoked, or nil. There is one at most; a client that is deleted has
// none.
func (c *Client) SlowSecret() *ClientSecret {
	if c.Status == ClientDeleted {
		return nil
	}
	for i := range c.Secrets {
		if s := &c.Secrets[i]; s.SlowHash != "" && s.RevokedAt == 0 {
			return s
		}
	}
	return nil
}

// SlowCost returns the part of a slow hash that says what comparing with it
// costs: its algorithm and parameters, without salt and digest.
func SlowCost(hash string) string {
	cut := func(text string) string { return text[:max(strings.LastIndexByte(text, '$'), 0)] }
	if strings.HasPrefix(hash, "$2") { // bcrypt has salt and digest in one
		return cut(hash)
	}
	return cut(cut(hash))
}

// IsKey reports whether the client signs with a key of its own, or an issuer does
// for it, and no secret of this entry is known to anybody else.
func (s *ClientSecret) IsKey() bool {
	return s.JWK != "" || s.JWKSURI != "" || s.X5T != "" || s.CertName != "" || s.Trust != nil
}

// Live reports whether the secret can be used at a time, as far as the secret
// itself goes.
func (s *ClientSecret) Live(now Time) bool { return s.RevokedAt == 0 && !s.ExpiresAt.Over(now) }

// State is the client's status at a time: the stored one, or expired.
func (c *Client) State(now Time) ClientStatus {
	if (c.Status == ClientActive || c.Status == ClientPending) && c.ExpiresAt.Over(now) {
		return ClientExpired
	}
	return c.Status
}

// Lapsed reports whether the client waited for a confirmation that did not come
// in time. What lapsed is as good as deleted.
func (c *Client) Lapsed(now Time) bool { return c.Status == ClientPending && c.ConfirmBy.Over(now) }

// Ends are the times at which the client and its unrevoked secrets expire.
func (c *Client) Ends() []Time {
	var out []Time
	add := func(t Time) {
		if t != 0 && !slices.Contains(out, t) {
			out = append(out, t)
		}
	}
	add(c.ExpiresAt)
	for i := range c.Secrets {
		if c.Secrets[i].RevokedAt == 0 {
			add(c.Secrets[i].ExpiresAt)
		}
	}
	return out
}

// Noted reports whether there is something to know about the client wherever it
// is: it has a warning, or a secret of it leaked.
func (c *Client) Noted() bool {
	return c.Status != ClientDeleted && (c.Warning != "" || slices.ContainsFunc(c.Secrets, func(s ClientSecret) bool { return s.LeakedAt != 0 }))
}

// Secret returns the client's secret with this id, or nil.
func (c *Client) Secret(id SecretID) *ClientSecret {
	for i := range c.Secrets {
		if c.Secrets[i].ID == id {
			return &c.Secrets[i]
		}
	}
	return nil
}

// MayCallFrom reports whether the client may be used from an address: one on its
// list, or any where it has none. With a list, an unknown address is on none.
func (c *Client) MayCallFrom(from netip.Addr) bool {
	return len(c.Addresses) == 0 || slices.ContainsFunc(c.Addresses, func(text string) bool {
		p, err := netip.ParsePrefix(text)
		return err == nil && from.IsValid() && p.Contains(from.Unmap())
	})
}

// Authenticates reports whether the client may authenticate by a method (RFC
// 7591 section 2): one on its list, or any where it has none.
func (c *Client) Authenticates(method string) bool {
	return len(c.AuthMethods) == 0 || slices.Contains(c.AuthMethods, method)
}

// Kind is KindClient.
func (c *Client) Kind() Kind { return KindClient }

// Key is the client's id.
func (c *Client) Key() string { return string(c.ID) }

// Rev is the client's revision.
func (c *Client) Rev() int64 { return c.Revision }

// WithRev returns a copy at another revision.
func (c *Client) WithRev(rev int64) Record {
	copied := *c
	copied.Revision = rev
	return &copied
}

// ClientSort is a column that lists of clients can be ordered by.
type ClientSort string

// The orders of lists of clients; equal values are ordered by id.
const (
	SortName    ClientSort = "name" // by Unicode code points of the lower-cased name
	SortCreated ClientSort = "created"
	SortExpires ClientSort = "expires"  // never comes last
	SortLastUse ClientSort = "last_use" // never used comes first
)

// ClientQuery asks for clients. The zero value is all but the deleted ones,
// by name. Conditions are joined by and.
type ClientQuery struct {
	Workspaces []WorkspaceID // any of these; empty is every one. "" among them means those without
	Account    AccountID
	ClientKind ClientKind
	Status     ClientStatus // as State says at Now; ClientDeleted lists tombstones
	Search     string       // part of the name, description, key or id, in any case
	Unused     bool         // never used with success
	UsedSince  Time         // used with success then or later
	MadeBefore Time         // created before then
	ExpiresBy  Time         // expires, and not later than this
	EndsFrom   Time         // the client or one of its unrevoked secrets expires at EndsFrom <= t < EndsTo
	EndsTo     Time         // 0 does not ask
	ConfirmBy  Time         // has a ConfirmBy, and not later than this
	Slow       bool         // has a SlowSecret
	Noted      bool         // as Client.Noted says

	// Responsible are accounts of which one is responsible; "" among them means
	// nobody. Empty does not ask.
	Responsible []AccountID
	Now         Time // for Status; required with it

	Sort  ClientSort // empty is SortName
	Desc  bool
	After *ClientCursor
	Limit int // 0 is 50
}

// IsFigure reports whether a query asks for no more than the figures of an overview
// do: the active clients of one kind in some workspaces, by times and use. Backends
// count those in an index of their own.
func (q ClientQuery) IsFigure() bool {
	return len(q.Workspaces) > 0 && q.Status == ClientActive && q.ClientKind != "" && q.Search == "" && q.Account == "" &&
		len(q.Responsible) == 0 && q.EndsTo == 0 && q.ConfirmBy == 0 && !q.Slow && !q.Noted
}

// ClientCursor is where the next page starts: after the row with this value in
// the sorted column (Client.SortValue) and this id.
type ClientCursor struct {
	Value string
	ID    ClientID
}

// SortValue is what stands for the client in a ClientCursor: the lower-cased
// name, or a time in decimal milliseconds, "0" for none. last is the client's
// last use with success.
func (c *Client) SortValue(by ClientSort, last Time) string {
	switch by {
	case SortCreated:
		return strconv.FormatInt(int64(c.CreatedAt), 10)
	case SortExpires:
		return strconv.FormatInt(int64(c.ExpiresAt), 10)
	case SortLastUse:
		return strconv.FormatInt(int64(last), 10)
	default:
		return strings.ToLower(c.Name)
	}
}
