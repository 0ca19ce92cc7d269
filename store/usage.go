package store

// Outcome says how a call ended.
type Outcome string

// The outcomes that usage counts.
const (
	OutcomeIssued       Outcome = "issued"       // an access token
	OutcomeIntrospected Outcome = "introspected" // as active
	OutcomeAllowed      Outcome = "allowed"      // by a decision, or by Postern's own API
	OutcomeDenied       Outcome = "denied"
)

// Usage is a counter: what one secret of a client did in one hour.
type Usage struct {
	Hour    Time     `json:"hour"` // its start
	Client  ClientID `json:"client"`
	Secret  SecretID `json:"secret"`
	Rule    string   `json:"rule,omitempty"` // "acme/reader#3"; empty where no rule was named
	Outcome Outcome  `json:"outcome"`
	Process string   `json:"process,omitempty"` // who counted; empty in answers
	Count   int64    `json:"count"`             // its running total
}

// LastUse is when a secret of a client was last used, and last refused.
type LastUse struct {
	Client          ClientID `json:"client"`
	Secret          SecretID `json:"secret"`
	SuccessAt       Time     `json:"success_at,omitempty"`
	SuccessAddress  string   `json:"success_address,omitempty"`
	SuccessEndpoint string   `json:"success_endpoint,omitempty"` // "GET /orders/{id}", the catalogue's pattern
	RefusalAt       Time     `json:"refusal_at,omitempty"`
	RefusalAddress  string   `json:"refusal_address,omitempty"`
	RefusalEndpoint string   `json:"refusal_endpoint,omitempty"`
}

// UsageQuery asks for counters of the hours From <= hour < To.
type UsageQuery struct {
	From, To Time
	Clients  []ClientID // empty is every one
	Limit    int        // 0 is 1000
}

// UsageSum is a counter of all clients of a workspace together: what Usage counts
// in one hour, without saying who. It is written beside it, so that nobody adds up
// a hundred thousand clients to see a day.
type UsageSum struct {
	Hour      Time
	Workspace WorkspaceID // of the clients; empty for those without
	Rule      string
	Outcome   Outcome
	Process   string // who counted
	Count     int64  // its running total
}

// UsageBy says what there is a UsageTotal for.
type UsageBy string

// Totals are by time or by who and what: times come in order, rules and clients
// with the most counted first, and those that are equal by name.
const (
	UsageByHour   UsageBy = "hour"
	UsageByDay    UsageBy = "day"    // in UTC
	UsageByRule   UsageBy = "rule"   // where one was named
	UsageByClient UsageBy = "client" // from the counters of each, which takes long where they are many
)

// UsageTotalQuery asks for totals of the hours From <= hour < To.
type UsageTotalQuery struct {
	By         UsageBy
	From, To   Time          // 0 is open
	Workspaces []WorkspaceID // of clients of any of these; empty is every one
	Limit      int           // of rules and clients; 0 is 10
}

// UsageTotal is what was counted, over processes, for one hour, day, rule or
// client. Where nothing was there is none.
type UsageTotal struct {
	At     Time // of an hour or day, its start
	Rule   string
	Client ClientID

	Issued, Introspected, Allowed, Denied int64
}
