package store

import (
	"slices"
	"strings"
)

// PosternAPI is the name of Postern's own API.
const PosternAPI = "postern"

// TokenFormat is how an API's access tokens are written.
type TokenFormat string

// The token formats. Empty takes the installation's default.
const (
	FormatJWT    TokenFormat = "jwt"    // RFC 9068
	FormatOpaque TokenFormat = "opaque" // sealed, to be introspected (RFC 7662)
)

// API is a resource server: what tokens are for, and what rules are about.
type API struct {
	ID          APIID       `json:"_id"`
	Revision    int64       `json:"revision"`
	Name        string      `json:"name"` // a slug, unique in the installation, immutable
	Description string      `json:"description,omitempty"`
	Workspace   WorkspaceID `json:"workspace"` // its owner
	SharedWith  []Share     `json:"shared_with,omitempty"`
	Audience    string      `json:"audience"`        // unique (RFC 8707 resource)
	Hosts       []string    `json:"hosts,omitempty"` // lower case, no port; empty is any
	Endpoints   []Endpoint  `json:"endpoints,omitempty"`
	Public      []Endpoint  `json:"public,omitempty"` // allowed before any token is read

	Format        TokenFormat `json:"format,omitempty"`
	Algorithm     string      `json:"algorithm,omitempty"`  // ES256, EdDSA, RS256
	TokenType     string      `json:"token_type,omitempty"` // the JWT's typ; empty is at+jwt
	AccessTTL     int64       `json:"access_ttl,omitempty"` // seconds; 0 takes the installation's
	Introspectors []ClientID  `json:"introspectors,omitempty"`
	WorkspaceFrom string      `json:"workspace_from,omitempty"` // "" or "fixed": its owner; "param:<name>": a parameter of the endpoint
	MaxStaleness  int64       `json:"max_staleness,omitempty"`  // seconds, where it wants less than the installation

	// Delegation has it take tokens of clients that act for other ones (RFC 8693).
	Delegation bool `json:"delegation,omitempty"`

	// EvaluateIDs lets its introspectors ask about clients and accounts by their
	// ids (AuthZEN), and not only about tokens that they were shown.
	EvaluateIDs bool `json:"evaluate_ids,omitempty"`

	// CertificateHeader is where its gateways say which certificate the client of
	// a call presented; empty: they do not, and tokens bound to one are refused. A
	// gateway that is not known to set it would pass on what a client writes there.
	CertificateHeader string `json:"certificate_header,omitempty"`
	// StatusList gives its tokens a place in a status list
	// (draft-ietf-oauth-status-list), by which gateways that do not ask learn that
	// they are revoked. It is for JWTs.
	StatusList bool `json:"status_list,omitempty"`

	// What its upstream is known to treat as an ordinary part of a path.
	Semicolon    bool `json:"semicolon,omitempty"`
	EncodedSlash bool `json:"encoded_slash,omitempty"`
	DoubleSlash  bool `json:"double_slash,omitempty"`
	NonASCII     bool `json:"non_ascii,omitempty"`
	FoldCase     bool `json:"fold_case,omitempty"` // rules and calls are lower-cased

	Warning   string `json:"warning,omitempty"`
	CreatedAt Time   `json:"created_at"`
}

// Share lets another workspace use an API, wholly or the endpoints with any of
// these tags.
type Share struct {
	Workspace WorkspaceID `json:"workspace"`
	Tags      []string    `json:"tags,omitempty"`
}

// Endpoint is one entry of an API's catalogue.
type Endpoint struct {
	Methods string   `json:"methods"` // "GET HEAD", or *
	Path    string   `json:"path"`    // a pattern, as in rules
	Summary string   `json:"summary,omitempty"`
	Tags    []string `json:"tags,omitempty"`
	GraphQL bool     `json:"graphql,omitempty"`
}

// Takes reports whether the endpoint is called by a method.
func (e *Endpoint) Takes(method string) bool {
	return e.Methods == "*" || slices.Contains(strings.Fields(e.Methods), method)
}

// OpenTo reports whether a workspace has a part in the API: it owns it, or the
// API is shared with it, wholly or in part. Postern's own is open to all.
func (a *API) OpenTo(w WorkspaceID) bool {
	return a.Workspace == w || a.Name == PosternAPI || a.ShareOf(w) != nil
}

// ShareOf returns the share of a workspace that does not own the API, or nil.
func (a *API) ShareOf(w WorkspaceID) *Share {
	for i := range a.SharedWith {
		if a.SharedWith[i].Workspace == w {
			return &a.SharedWith[i]
		}
	}
	return nil
}

// Kind is KindAPI.
func (a *API) Kind() Kind { return KindAPI }

// Key is the API's id.
func (a *API) Key() string { return string(a.ID) }

// Rev is the API's revision.
func (a *API) Rev() int64 { return a.Revision }

// WithRev returns a copy at another revision.
func (a *API) WithRev(rev int64) Record {
	copied := *a
	copied.Revision = rev
	return &copied
}
