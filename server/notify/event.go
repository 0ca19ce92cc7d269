// Package notify tells those outside of what happened: programs by webhooks
// (https://www.standardwebhooks.com), people by mail.
//
// What is to be told lies in the store as deliveries, written in the transaction
// of the change (package admin does that). A Deliverer sends them, at least once
// each: it repeats what failed, and what it cannot know to have arrived. One node
// at a time does it. An event holds ids, names and times, never a secret.
package notify

import "postern/store"

// The events.
const (
	ClientExpiring    = "client.expiring"
	SecretExpiring    = "client.secret.expiring"
	ClientRevoked     = "client.revoked"
	ClientRestored    = "client.restored"
	ClientDeleted     = "client.deleted"
	SecretRevoked     = "client.secret.revoked"
	ClientLeaked      = "client.leaked"
	AccountLocked     = "account.locked"
	KeyRotationFailed = "key.rotation_failed"
	WebhookTest       = "webhook.test"    // only ever to the webhook that is tested
	AccountInvited    = "account.invited" // only ever by mail
)

// EventType is an event that webhooks can ask for.
type EventType struct{ Name, Text string }

// Events returns the events that webhooks can ask for.
func Events() []EventType {
	return []EventType{
		{ClientExpiring, "A client expires in 14, 7 or 1 days."},
		{SecretExpiring, "A secret of a client expires in 14, 7 or 1 days, and no other one outlives it."},
		{ClientRevoked, "A client was revoked."},
		{ClientRestored, "A revoked client works again."},
		{ClientDeleted, "A client was deleted for ever."},
		{SecretRevoked, "A secret of a client was revoked."},
		{ClientLeaked, "A secret or a token of a client was found where it should not be."},
		{AccountLocked, "Too many wrong passwords: an account is locked for a while."},
		{KeyRotationFailed, "A signing key could not be rotated. The old one goes on, and it is tried again."},
	}
}

// IsEvent reports whether webhooks can ask for an event.
func IsEvent(name string) bool {
	for _, e := range Events() {
		if e.Name == name {
			return true
		}
	}
	return false
}

// Body is an event as it is sent.
type Body struct {
	ID        string `json:"id"` // of the event, the same to every receiver
	Type      string `json:"type"`
	Timestamp string `json:"timestamp"` // RFC 3339
	Workspace *Named `json:"workspace"` // null: of the installation
	Data      Data   `json:"data"`
}

// Named is a record as people read it.
type Named struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Data is what an event is about. What does not apply is left out.
type Data struct {
	Client    *Client `json:"client,omitempty"`
	Secret    *Secret `json:"secret,omitempty"`
	Account   *Named  `json:"account,omitempty"`
	Algorithm string  `json:"algorithm,omitempty"` // of a key
	Days      int     `json:"days,omitempty"`      // until it expires, rounded up
	Reason    string  `json:"reason,omitempty"`
	Actor     string  `json:"actor,omitempty"`  // the name of the account that did it
	Sealed    []byte  `json:"sealed,omitempty"` // a one-time link, for mail only: sealed as SealedLink with the delivery's id
}

// SealedLink is the kind of what Data.Sealed is sealed as.
const SealedLink = "link"

// Client is a client in an event.
type Client struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	Kind        string `json:"kind"`
	Key         string `json:"key,omitempty"`
	Account     string `json:"account"`               // the id of whom it acts as
	Responsible *Named `json:"responsible,omitempty"` // a person
	ExpiresAt   string `json:"expires_at,omitempty"`
}

// Secret is a secret of a client in an event, never its text.
type Secret struct {
	ID        string `json:"id"`
	Label     string `json:"label,omitempty"`
	ExpiresAt string `json:"expires_at,omitempty"`
}

// Moment is a time in an event; empty is never.
func Moment(t store.Time) string {
	if t == 0 {
		return ""
	}
	return t.String()
}
