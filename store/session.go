package store

// Session is a person who signed in by password. Its key is the SHA-256 of what
// the browser holds, in hexadecimal.
type Session struct {
	ID         string    `json:"_id"`
	Revision   int64     `json:"revision"`
	Account    AccountID `json:"account"`
	Generation int64     `json:"generation"`            // of the account at the sign-in: deactivating ends it
	PasswordAt Time      `json:"password_at,omitempty"` // of the account then: a new password ends it
	Address    string    `json:"address,omitempty"`
	CreatedAt  Time      `json:"created_at"`
	SeenAt     Time      `json:"seen_at"`
	ExpiresAt  Time      `json:"expires_at"` // at the latest
}

// Kind is KindSession.
func (s *Session) Kind() Kind { return KindSession }

// Key is the session's id.
func (s *Session) Key() string { return s.ID }

// Rev is the session's revision.
func (s *Session) Rev() int64 { return s.Revision }

// WithRev returns a copy at another revision.
func (s *Session) WithRev(rev int64) Record {
	copied := *s
	copied.Revision = rev
	return &copied
}

// Idempotency remembers what a request with an Idempotency-Key made, so that a
// repeat makes nothing more. Its key is a SHA-256 over the actor and the header,
// in hexadecimal.
type Idempotency struct {
	ID        string `json:"_id"`
	Revision  int64  `json:"revision"`
	Operation string `json:"operation"` // "client.create"
	Request   string `json:"request"`   // HMAC-SHA-256 of the request, in hexadecimal
	Target    string `json:"target"`    // the id of what it made; of a secret, its client and its own
	ExpiresAt Time   `json:"expires_at"`
}

// Kind is KindIdempotency.
func (i *Idempotency) Kind() Kind { return KindIdempotency }

// Key is the hash.
func (i *Idempotency) Key() string { return i.ID }

// Rev is the revision.
func (i *Idempotency) Rev() int64 { return i.Revision }

// WithRev returns a copy at another revision.
func (i *Idempotency) WithRev(rev int64) Record {
	copied := *i
	copied.Revision = rev
	return &copied
}
