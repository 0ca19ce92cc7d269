package store

// StatusIndex is the place of one secret, at one set of generations, in a token
// status list (draft-ietf-oauth-status-list): every token that it mints for an
// API with StatusList names it. It stays while such a token can live.
type StatusIndex struct {
	ID        string      `json:"_id"` // see StatusIndexID: of two nodes that make one, the insert lets one win
	Revision  int64       `json:"revision"`
	Place     int64       `json:"place"` // counted over all lists; unique
	Client    ClientID    `json:"client"`
	Account   AccountID   `json:"account"`
	Workspace WorkspaceID `json:"workspace,omitempty"` // of the tokens; empty for all
	Secret    SecretID    `json:"secret"`
	Gen       string      `json:"gen"`                  // as the tokens carry it
	ExpiresAt Time        `json:"expires_at,omitempty"` // no token of it lives any more; 0 while one can be minted
}

// StatusIndexID is the id of the index of a secret's tokens in a workspace at
// these generations.
func StatusIndexID(s SecretID, ws WorkspaceID, gen string) string {
	return string(s) + "/" + string(ws) + "/" + gen
}

// Kind is KindStatusIndex.
func (i *StatusIndex) Kind() Kind { return KindStatusIndex }

// Key is the index's id.
func (i *StatusIndex) Key() string { return i.ID }

// Rev is the index's revision.
func (i *StatusIndex) Rev() int64 { return i.Revision }

// WithRev returns a copy at another revision.
func (i *StatusIndex) WithRev(rev int64) Record {
	copied := *i
	copied.Revision = rev
	return &copied
}
