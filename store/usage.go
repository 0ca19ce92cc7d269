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
