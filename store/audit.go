package store

import "encoding/json"

// AuditEntry is one change, or one refusal of a change. It is written in the
// transaction of the change and gets its place in the workspace's chain soon
// afterwards.
type AuditEntry struct {
	ID        AuditID     `json:"_id"`
	Revision  int64       `json:"revision"`
	At        Time        `json:"at"`
	Workspace WorkspaceID `json:"workspace,omitempty"` // empty: the installation's own chain

	Account   AccountID `json:"account,omitempty"` // who acted
	Actor     string    `json:"actor,omitempty"`   // and its name then
	Client    ClientID  `json:"client,omitempty"`  // by which credential
	Address   string    `json:"address,omitempty"`
	RequestID string    `json:"request_id,omitempty"`

	Operation  string          `json:"operation"` // "client.revoke"
	TargetKind Kind            `json:"target_kind,omitempty"`
	Target     string          `json:"target,omitempty"` // its id
	TargetName string          `json:"target_name,omitempty"`
	Refused    string          `json:"refused,omitempty"` // why, when it was
	Count      int64           `json:"count,omitempty"`   // of equal refusals in one minute
	Before     json.RawMessage `json:"before,omitempty"`  // JSON without secrets
	After      json.RawMessage `json:"after,omitempty"`

	Place int64  `json:"place,omitempty"` // in the chain, from 1; 0 while unsealed
	Link  []byte `json:"link,omitempty"`  // HMAC over the entry and the link before
}

// Kind is KindAudit.
func (e *AuditEntry) Kind() Kind { return KindAudit }

// Key is the entry's id.
func (e *AuditEntry) Key() string { return string(e.ID) }

// Rev is the entry's revision.
func (e *AuditEntry) Rev() int64 { return e.Revision }

// WithRev returns a copy at another revision.
func (e *AuditEntry) WithRev(rev int64) Record {
	copied := *e
	copied.Revision = rev
	return &copied
}

// AuditQuery asks for audit entries, by time and id.
type AuditQuery struct {
	Workspaces []WorkspaceID // any of these; empty is every one. "" is the installation's own
	Account    AccountID
	Client     ClientID
	Target     string
	Operation  string
	Refused    bool // only refusals
	From, To   Time // From <= at < To; zero is open
	Unsealed   bool // without a place, oldest first
	Oldest     bool // oldest first
	ByPlace    bool // sealed ones of the one workspace asked for, by place
	AfterPlace int64
	After      *AuditCursor
	Limit      int // 0 is 50
}

// AuditCursor is where the next page starts.
type AuditCursor struct {
	At Time
	ID AuditID
}

// Chain is the head of one workspace's audit chain. Its key is the workspace's
// id, or "installation".
type Chain struct {
	ID        string `json:"_id"`
	Revision  int64  `json:"revision"`
	Place     int64  `json:"place"`
	Link      []byte `json:"link,omitempty"`
	SignedAt  Time   `json:"signed_at,omitempty"`
	Signature []byte `json:"signature,omitempty"`
}

// Kind is KindChain.
func (c *Chain) Kind() Kind { return KindChain }

// Key is the workspace's id.
func (c *Chain) Key() string { return c.ID }

// Rev is the chain's revision.
func (c *Chain) Rev() int64 { return c.Revision }

// WithRev returns a copy at another revision.
func (c *Chain) WithRev(rev int64) Record {
	copied := *c
	copied.Revision = rev
	return &copied
}
