package store

// AccountKind says whether an account is a person or a technical user.
type AccountKind string

// The kinds of accounts.
const (
	AccountUser    AccountKind = "user"
	AccountService AccountKind = "service"
)

// AccountStatus is the state of an account.
type AccountStatus string

// The statuses of an account.
const (
	AccountInvited     AccountStatus = "invited"
	AccountActive      AccountStatus = "active"
	AccountDeactivated AccountStatus = "deactivated"
	AccountDeleted     AccountStatus = "deleted" // kept for its name in the audit
)

// Account is who acts: a person or a technical user.
type Account struct {
	ID           AccountID     `json:"_id"`
	Revision     int64         `json:"revision"`
	Generation   int64         `json:"generation"`
	AccountKind  AccountKind   `json:"kind"`
	Name         string        `json:"name"` // a slug, unique in the installation, immutable
	DisplayName  string        `json:"display_name,omitempty"`
	Email        string        `json:"email,omitempty"`
	Status       AccountStatus `json:"status"`
	Licence      RoleID        `json:"licence,omitempty"` // a shared role: the ceiling; empty is none
	Teams        []TeamID      `json:"teams,omitempty"`
	PasswordHash string        `json:"password_hash,omitempty"` // argon2id, of a person
	MustChange   bool          `json:"must_change,omitempty"`   // the password was set by someone else
	PasswordAt   Time          `json:"password_at,omitempty"`   // it was last set

	// SecondFactor: a password alone does not suffice; see the record of that name.
	SecondFactor   bool     `json:"second_factor,omitempty"`
	RecoveryHashes [][]byte `json:"recovery_hashes,omitempty"` // SHA-256 of the one-time codes that stand in for it

	InviteHash []byte `json:"invite_hash,omitempty"` // SHA-256 of the one-time link's token
	InviteEnds Time   `json:"invite_ends,omitempty"`

	// What a provisioning system calls the person (RFC 7643 section 4.1).
	Provisioned bool   `json:"provisioned,omitempty"` // it came by SCIM or was adopted: SCIM sees and changes it
	UserName    string `json:"user_name,omitempty"`   // unique in any case; empty is none
	ExternalID  string `json:"external_id,omitempty"`
	GivenName   string `json:"given_name,omitempty"`
	FamilyName  string `json:"family_name,omitempty"`
	// FormattedName is the whole name as that system writes it.
	FormattedName string `json:"formatted_name,omitempty"`
	// EmailNotPrimary: that system said that Email is not the one it prefers.
	EmailNotPrimary bool `json:"email_not_primary,omitempty"`

	// Who the person is at the identity provider, once they signed in by it.
	Issuer        string   `json:"issuer,omitempty"`
	Subject       string   `json:"subject,omitempty"`
	ProviderTeams []TeamID `json:"provider_teams,omitempty"` // those of Teams that its groups gave

	Warning    string    `json:"warning,omitempty"`
	CreatedAt  Time      `json:"created_at"`
	CreatedBy  AccountID `json:"created_by,omitempty"`
	ModifiedAt Time      `json:"modified_at,omitempty"` // the last change; 0 is none
	DeletedAt  Time      `json:"deleted_at,omitempty"`
}

// Kind is KindAccount.
func (a *Account) Kind() Kind { return KindAccount }

// Key is the account's id.
func (a *Account) Key() string { return string(a.ID) }

// Rev is the account's revision.
func (a *Account) Rev() int64 { return a.Revision }

// WithRev returns a copy at another revision.
func (a *Account) WithRev(rev int64) Record {
	copied := *a
	copied.Revision = rev
	return &copied
}

// Holder is an account with the grants it holds itself: what a decision needs
// to know of it. The grants of its teams are kept with the roles.
type Holder struct {
	Account *Account
	Grants  []*Grant
}

// AccountQuery asks for accounts. The zero value is all but the deleted ones,
// by name.
type AccountQuery struct {
	AccountKind AccountKind
	Status      AccountStatus
	Team        TeamID
	Licence     RoleID
	Provisioned bool   // those that SCIM sees
	UserName    string // exactly this one, in any case
	Search      string // part of the name, display name, mail address or id, in any case
	After       string // the name of the last row of the page before
	Limit       int    // 0 is 50
}

// Team is a set of accounts; an account names its teams.
type Team struct {
	ID          TeamID `json:"_id"`
	Revision    int64  `json:"revision"`
	Name        string `json:"name"` // a slug, unique in the installation, immutable
	Description string `json:"description,omitempty"`
	CreatedAt   Time   `json:"created_at"`

	// What a provisioning system calls it (RFC 7643 section 4.2).
	Provisioned  bool   `json:"provisioned,omitempty"` // it came by SCIM or was adopted: SCIM sees and changes it
	DisplayName  string `json:"display_name,omitempty"`
	ExternalID   string `json:"external_id,omitempty"`
	SCIMMayGrant bool   `json:"scim_may_grant,omitempty"` // SCIM changes its members though it holds roles on Postern's own API
	ModifiedAt   Time   `json:"modified_at,omitempty"`    // the last change of it or, by SCIM, of its members; 0 is none
}

// Kind is KindTeam.
func (t *Team) Kind() Kind { return KindTeam }

// Key is the team's id.
func (t *Team) Key() string { return string(t.ID) }

// Rev is the team's revision.
func (t *Team) Rev() int64 { return t.Revision }

// WithRev returns a copy at another revision.
func (t *Team) WithRev(rev int64) Record {
	copied := *t
	copied.Revision = rev
	return &copied
}
