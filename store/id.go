package store

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"strconv"
	"strings"
)

// The ids of most records are a prefix of three letters and 24 random characters
// of [a-z0-9] (124 bits), and never used again.

type (
	// ClientID is the id of a client; an imported one keeps the id it had.
	ClientID string
	// SecretID is the id of one secret of a client.
	SecretID string
	// AccountID is the id of an account.
	AccountID string
	// TeamID is the id of a team.
	TeamID string
	// WorkspaceID is the id of a workspace.
	WorkspaceID string
	// APIID is the id of an API.
	APIID string
	// RoleID is the id of a role.
	RoleID string
	// GrantID is the id of the grants of one holder in one workspace (NewGrantID).
	GrantID string
	// KeyID is the id of a key.
	KeyID string
	// WebhookID is the id of a webhook.
	WebhookID string
	// DeliveryID is the id of one event on its way to one receiver.
	DeliveryID string
	// AuditID is the id of an audit entry.
	AuditID string
)

// HolderID is the id of an account or of a team: who can hold a grant.
type HolderID string

// Shared is the workspace of roles that every workspace can use.
const Shared WorkspaceID = "*"

// The prefixes of ids.
const (
	prefixClient    = "cli"
	prefixUser      = "usr"
	prefixService   = "svc"
	prefixTeam      = "tea"
	prefixWorkspace = "wsp"
	prefixAPI       = "api"
	prefixRole      = "rol"
	prefixSecret    = "sec"
	prefixAudit     = "aud"
	prefixWebhook   = "hok"
	prefixDelivery  = "dlv"
)

// NewClientID makes an id for a new client.
func NewClientID() ClientID { return ClientID(newID(prefixClient)) }

// NewSecretID makes an id for a new secret.
func NewSecretID() SecretID { return SecretID(newID(prefixSecret)) }

// NewAccountID makes an id for a new account: usr… or svc….
func NewAccountID(k AccountKind) AccountID {
	if k == AccountService {
		return AccountID(newID(prefixService))
	}
	return AccountID(newID(prefixUser))
}

// NewTeamID makes an id for a new team.
func NewTeamID() TeamID { return TeamID(newID(prefixTeam)) }

// NewWorkspaceID makes an id for a new workspace.
func NewWorkspaceID() WorkspaceID { return WorkspaceID(newID(prefixWorkspace)) }

// NewAPIID makes an id for a new API.
func NewAPIID() APIID { return APIID(newID(prefixAPI)) }

// NewRoleID makes an id for a new role.
func NewRoleID() RoleID { return RoleID(newID(prefixRole)) }

// NewAuditID makes an id for a new audit entry.
func NewAuditID() AuditID { return AuditID(newID(prefixAudit)) }

// NewWebhookID makes an id for a new webhook.
func NewWebhookID() WebhookID { return WebhookID(newID(prefixWebhook)) }

// NewDeliveryID makes an id for a new delivery. Unlike others it begins with the
// time, so that a list by id is a list by time.
func NewDeliveryID(now Time) DeliveryID {
	return DeliveryID(deliveryPrefix(now) + newID("")[:15])
}

// NamedDeliveryID is the one id of a delivery that is to be made once at most,
// whoever makes it: equal times and names give equal ids.
func NamedDeliveryID(at Time, name string) DeliveryID {
	sum := sha256.Sum256([]byte(name))
	return DeliveryID(deliveryPrefix(at) + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:10])[:15]))
}

// deliveryPrefix is followed by 15 characters.
func deliveryPrefix(at Time) string {
	digits := strconv.FormatInt(int64(at), 36)
	return prefixDelivery + strings.Repeat("0", max(9-len(digits), 0)) + digits
}

// NewGrantID is the id of the one grant of a holder in a workspace.
func NewGrantID(h HolderID, w WorkspaceID) GrantID { return GrantID(string(h) + "@" + string(w)) }

// Holder returns who holds the grant with this id.
func (id GrantID) Holder() HolderID {
	h, _, _ := strings.Cut(string(id), "@")
	return HolderID(h)
}

// IsTeam reports whether the holder is a team.
func (h HolderID) IsTeam() bool { return strings.HasPrefix(string(h), prefixTeam) }

func newID(prefix string) string {
	const digits = "abcdefghijklmnopqrstuvwxyz0123456789"
	id := make([]byte, 0, len(prefix)+24)
	id = append(id, prefix...)
	var random [32]byte
	for len(id) < cap(id) {
		_, _ = rand.Read(random[:]) // crypto/rand.Read never fails
		for _, b := range random {
			// 252 is the largest multiple of 36 in a byte: above it some digits would come more often.
			if b < 252 && len(id) < cap(id) {
				id = append(id, digits[b%36])
			}
		}
	}
	return string(id)
}
