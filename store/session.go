package store

// Session is a person who signed in. Its key is the SHA-256 of what the browser
// holds, in hexadecimal.
type Session struct {
	ID         string    `json:"_id"`
	Revision   int64     `json:"revision"`
	Account    AccountID `json:"account"`
	Generation int64     `json:"generation"`            // of the account at the sign-in: deactivating ends it
	PasswordAt Time      `json:"password_at,omitempty"` // of the account then: a new password ends it
	SecondDone bool      `json:"second_done,omitempty"` // the second factor, which the account may have, was there too
	Address    string    `json:"address,omitempty"`
	ProvedAt   Time      `json:"proved_at,omitempty"` // who it is was last proved
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

// SecondFactor is the secret that makes one-time codes (RFC 6238). Its key is its
// account's id. It is in no backup.
type SecondFactor struct {
	ID        string `json:"_id"`
	Revision  int64  `json:"revision"`
	Sealed    []byte `json:"sealed,omitempty"`    // the secret, by the key-encryption key
	Confirmed bool   `json:"confirmed,omitempty"` // its owner showed a code of it: it is in force
	LastStep  int64  `json:"last_step,omitempty"` // of the last code that was taken; it and those before are used up
	CreatedAt Time   `json:"created_at"`
}

// Kind is KindSecondFactor.
func (f *SecondFactor) Kind() Kind { return KindSecondFactor }

// Key is the account's id.
func (f *SecondFactor) Key() string { return f.ID }

// Rev is the revision.
func (f *SecondFactor) Rev() int64 { return f.Revision }

// WithRev returns a copy at another revision.
func (f *SecondFactor) WithRev(rev int64) Record {
	copied := *f
	copied.Revision = rev
	return &copied
}

// Identity says whose account somebody at an identity provider has. Its key is a
// SHA-256 over the issuer and the subject (OpenID Connect Core section 2), in
// hexadecimal, so that each has one account at most.
type Identity struct {
	ID       string    `json:"_id"`
	Revision int64     `json:"revision"`
	Account  AccountID `json:"account"`
}

// Kind is KindIdentity.
func (i *Identity) Kind() Kind { return KindIdentity }

// Key is the hash.
func (i *Identity) Key() string { return i.ID }

// Rev is the revision.
func (i *Identity) Rev() int64 { return i.Revision }

// WithRev returns a copy at another revision.
func (i *Identity) WithRev(rev int64) Record {
	copied := *i
	copied.Revision = rev
	return &copied
}

// Idempotency remembers what a request with an Idempotency-Key made, so that a
// repeat makes nothing more. Its key is a SHA-256 over the actor and the header,
// in hexadecimal. A client assertion that was used is remembered by the same, so
// that it is used once over all nodes: its key begins with jti_.
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
