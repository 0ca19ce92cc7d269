package store

import "fmt"

// Kind says which noun a record is. Its text is the name of the collection.
type Kind string

// The kinds of records.
const (
	KindClient       Kind = "clients"
	KindAccount      Kind = "accounts"
	KindTeam         Kind = "teams"
	KindWorkspace    Kind = "workspaces"
	KindAPI          Kind = "apis"
	KindRole         Kind = "roles"
	KindGrant        Kind = "grants"
	KindKey          Kind = "keys"
	KindRevocation   Kind = "revocations"
	KindInstallation Kind = "installation"
	KindHeartbeat    Kind = "heartbeats"
	KindAudit        Kind = "audit"
	KindChain        Kind = "chains"
	KindLease        Kind = "leases"
	KindWebhook      Kind = "webhooks"
	KindDelivery     Kind = "deliveries"
	KindSession      Kind = "sessions"
	KindIdempotency  Kind = "idempotency"
	KindSecondFactor Kind = "second_factors"
	KindIdentity     Kind = "identities"
	KindStatusIndex  Kind = "status_indexes"
)

// Kinds returns every kind.
func Kinds() []Kind {
	return append(WatchedKinds(), KindAudit, KindChain, KindLease, KindDelivery, KindSession, KindIdempotency, KindSecondFactor, KindIdentity)
}

// WatchedKinds returns the kinds whose changes come through the feed.
func WatchedKinds() []Kind {
	return []Kind{
		KindInstallation, KindWorkspace, KindAPI, KindRole, KindTeam, KindKey, KindRevocation,
		KindWebhook, KindStatusIndex, KindClient, KindAccount, KindGrant, KindHeartbeat,
	}
}

// Record is a pointer to one of the structs of this package.
type Record interface {
	Kind() Kind
	// Key is the record's id, unique within its kind.
	Key() string
	// Rev is the revision: 1 after Insert, one more with each Update.
	Rev() int64
	// WithRev returns a copy at another revision.
	WithRev(rev int64) Record
}

// New returns an empty record of a kind to decode into.
func New(k Kind) (Record, error) {
	switch k {
	case KindClient:
		return new(Client), nil
	case KindAccount:
		return new(Account), nil
	case KindTeam:
		return new(Team), nil
	case KindWorkspace:
		return new(Workspace), nil
	case KindAPI:
		return new(API), nil
	case KindRole:
		return new(Role), nil
	case KindGrant:
		return new(Grant), nil
	case KindKey:
		return new(Key), nil
	case KindRevocation:
		return new(Revocation), nil
	case KindInstallation:
		return new(Installation), nil
	case KindHeartbeat:
		return new(Heartbeat), nil
	case KindAudit:
		return new(AuditEntry), nil
	case KindChain:
		return new(Chain), nil
	case KindLease:
		return new(Lease), nil
	case KindWebhook:
		return new(Webhook), nil
	case KindDelivery:
		return new(Delivery), nil
	case KindSession:
		return new(Session), nil
	case KindIdempotency:
		return new(Idempotency), nil
	case KindSecondFactor:
		return new(SecondFactor), nil
	case KindIdentity:
		return new(Identity), nil
	case KindStatusIndex:
		return new(StatusIndex), nil
	default:
		return nil, fmt.Errorf("no record is of kind %q", string(k))
	}
}

// Op is what a Write does.
type Op uint8

// The operations of a Write.
const (
	OpInsert Op = iota + 1
	OpUpdate
	OpDelete
)

// Write is one record's part in a Commit.
type Write struct {
	Op     Op
	Record Record
}

// Insert adds a record; the store gives it revision 1.
func Insert(r Record) Write { return Write{OpInsert, r} }

// Update replaces the record that is stored at r's revision; what is stored
// then is r at the next one.
func Update(r Record) Write { return Write{OpUpdate, r} }

// Delete removes the record that is stored at r's revision.
func Delete(r Record) Write { return Write{OpDelete, r} }

// Stored returns the record as it is after the write, or nil after a Delete.
func (w Write) Stored() Record {
	switch w.Op {
	case OpInsert:
		return w.Record.WithRev(1)
	case OpUpdate:
		return w.Record.WithRev(w.Record.Rev() + 1)
	default:
		return nil
	}
}
