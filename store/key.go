package store

// KeyUse says what a key is for.
type KeyUse string

// The uses of keys.
const (
	UseAccess KeyUse = "access" // signs access tokens
	UseSeal   KeyUse = "seal"   // seals opaque access tokens
	// UseStatement signs what says something about tokens and is none: status lists
	// and the feed of revocations.
	UseStatement KeyUse = "statement"
)

// Key is a signing or sealing key. Its id is use, algorithm and period: of two
// nodes that make one at the same time, the insert lets one win.
type Key struct {
	ID        KeyID  `json:"_id"` // as the kid of a JWT
	Revision  int64  `json:"revision"`
	Use       KeyUse `json:"use"`
	Algorithm string `json:"algorithm"`
	Period    int64  `json:"period"`           // counts rotations from 1
	Sealed    []byte `json:"sealed"`           // the private key, sealed by the key-encryption key
	Public    []byte `json:"public,omitempty"` // PKIX DER; empty for sealing keys
	CreatedAt Time   `json:"created_at"`       // published from then on
	ActiveAt  Time   `json:"active_at"`        // signs from then on
	RetireAt  Time   `json:"retire_at,omitempty"`
	RevokedAt Time   `json:"revoked_at,omitempty"`
}

// Kind is KindKey.
func (k *Key) Kind() Kind { return KindKey }

// Key is the key's id.
func (k *Key) Key() string { return string(k.ID) }

// Rev is the key's revision.
func (k *Key) Rev() int64 { return k.Revision }

// WithRev returns a copy at another revision.
func (k *Key) WithRev(rev int64) Record {
	copied := *k
	copied.Revision = rev
	return &copied
}

// Revocation is one revoked access token (RFC 7009), kept until it would have
// expired.
type Revocation struct {
	ID       string   `json:"_id"` // the token's jti
	Revision int64    `json:"revision"`
	Client   ClientID `json:"client"`
	// Audience is the token's: whose gateways are told. Empty, as of those before it
	// was kept, tells all.
	Audience  []string `json:"audience,omitempty"`
	ExpiresAt Time     `json:"expires_at"`
}

// Kind is KindRevocation.
func (r *Revocation) Kind() Kind { return KindRevocation }

// Key is the token's jti.
func (r *Revocation) Key() string { return r.ID }

// Rev is the revocation's revision.
func (r *Revocation) Rev() int64 { return r.Revision }

// WithRev returns a copy at another revision.
func (r *Revocation) WithRev(rev int64) Record {
	copied := *r
	copied.Revision = rev
	return &copied
}

// Heartbeat is a row that a node writes to see it come back by the feed.
type Heartbeat struct {
	ID       string `json:"_id"` // the node
	Revision int64  `json:"revision"`
	Count    int64  `json:"count"`
	BeatAt   Time   `json:"beat_at"`
}

// Kind is KindHeartbeat.
func (h *Heartbeat) Kind() Kind { return KindHeartbeat }

// Key is the node.
func (h *Heartbeat) Key() string { return h.ID }

// Rev is the heartbeat's revision; it stays what it was.
func (h *Heartbeat) Rev() int64 { return h.Revision }

// WithRev returns a copy at another revision.
func (h *Heartbeat) WithRev(rev int64) Record {
	copied := *h
	copied.Revision = rev
	return &copied
}

// Lease lets one node at a time do a job, such as sealing the audit.
type Lease struct {
	ID       string `json:"_id"` // the job
	Revision int64  `json:"revision"`
	Node     string `json:"node"`
	Until    Time   `json:"until"`
}

// Kind is KindLease.
func (l *Lease) Kind() Kind { return KindLease }

// Key is the job.
func (l *Lease) Key() string { return l.ID }

// Rev is the lease's revision.
func (l *Lease) Rev() int64 { return l.Revision }

// WithRev returns a copy at another revision.
func (l *Lease) WithRev(rev int64) Record {
	copied := *l
	copied.Revision = rev
	return &copied
}
