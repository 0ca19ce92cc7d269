package store

// SystemWorkspace is the name of the workspace that owns Postern's own API.
// Roles held in it count in every workspace.
const SystemWorkspace = "system"

// WhoMayCreate says who may make and use personal clients in a workspace.
type WhoMayCreate string

// The values of WhoMayCreate.
const (
	CreateAdministrators WhoMayCreate = "administrators"
	CreateEveryone       WhoMayCreate = "everyone"
	CreateNamed          WhoMayCreate = "named" // administrators and the people named
)

// LifetimeNever stands among Workspace.Lifetimes for a client that lives for ever.
const LifetimeNever = -1

// LeakPolicy says what is done when a secret of a workspace's client was found
// where it should not be.
type LeakPolicy string

// The values of LeakPolicy.
const (
	LeakRevokeSecret LeakPolicy = "revoke" // that secret, and the tokens it minted
	LeakRevokeClient LeakPolicy = "client" // the whole client
	LeakAlert        LeakPolicy = "alert"  // people are told, and nothing else
)

// Workspace is the unit of isolation, and Casbin's domain.
type Workspace struct {
	ID          WorkspaceID `json:"_id"`
	Revision    int64       `json:"revision"`
	Generation  int64       `json:"generation"`
	Name        string      `json:"name"` // a slug, unique in the installation, immutable
	Description string      `json:"description,omitempty"`

	APIAccess      bool         `json:"api_access"` // off: no token is issued for it and none is good in it
	WhoMayCreate   WhoMayCreate `json:"who_may_create,omitempty"`
	PersonalPeople []AccountID  `json:"personal_people,omitempty"` // who is named, for CreateNamed
	MaxLifetime    int64        `json:"max_lifetime,omitempty"`    // cap on a client's life in seconds; 0 is none
	NeverForbidden bool         `json:"never_forbidden,omitempty"` // clients must expire
	Lifetimes      []int64      `json:"lifetimes,omitempty"`       // the only ones a client may have, in seconds, Never among them; empty is any
	PersonalAuto   bool         `json:"personal_auto,omitempty"`   // a new person gets a personal client, which is pending until its owner makes the secret
	LeakPolicy     LeakPolicy   `json:"leak_policy,omitempty"`     // what a leaked secret costs; empty is LeakRevokeSecret

	Warning   string    `json:"warning,omitempty"`
	CreatedAt Time      `json:"created_at"`
	CreatedBy AccountID `json:"created_by,omitempty"`
}

// Kind is KindWorkspace.
func (w *Workspace) Kind() Kind { return KindWorkspace }

// Key is the workspace's id.
func (w *Workspace) Key() string { return string(w.ID) }

// Rev is the workspace's revision.
func (w *Workspace) Rev() int64 { return w.Revision }

// WithRev returns a copy at another revision.
func (w *Workspace) WithRev(rev int64) Record {
	copied := *w
	copied.Revision = rev
	return &copied
}

// Installation is the one organisation that this store belongs to. Its key is
// InstallationKey; inserting it decides which of several first starts wins.
type Installation struct {
	ID         string `json:"_id"`
	Revision   int64  `json:"revision"`
	Generation int64  `json:"generation"` // a restored backup raises it: all older tokens are dead
	CreatedAt  Time   `json:"created_at"`
}

// InstallationKey is the key of the one Installation.
const InstallationKey = "bootstrap"

// Kind is KindInstallation.
func (i *Installation) Kind() Kind { return KindInstallation }

// Key is InstallationKey.
func (i *Installation) Key() string { return i.ID }

// Rev is the installation's revision.
func (i *Installation) Rev() int64 { return i.Revision }

// WithRev returns a copy at another revision.
func (i *Installation) WithRev(rev int64) Record {
	copied := *i
	copied.Revision = rev
	return &copied
}
