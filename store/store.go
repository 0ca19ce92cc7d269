// Package store is Postern's vocabulary: the records it keeps, the queries it
// asks, and the promises that every backend makes about them.
//
// It does no I/O. The backends are store/sqlite and store/mongo; store/cached
// stands in front of either for hot reads. The promises are executable:
// store/storetest runs them against every backend.
//
// Records are handed out by pointer and never change afterwards: a caller that
// wants to change one copies it first. Times are UTC in whole milliseconds
// (Time). An empty list and an absent one are the same and read back as nil.
package store

import (
	"context"
	"io"
)

// Store is everything a backend does. A caller declares the part it needs.
//
// Every method returns an error that matches ErrUnavailable when the backend
// gave no answer in time; a cancelled context returns its own error. Reads see
// every write that was acknowledged before they began, by whichever process.
type Store interface {
	Reader
	Lister
	Committer
	Watcher
	UsageStore

	// Describe names the backend and its version for people, as in "SQLite 3.53.0".
	// It asks the backend, so it also tells whether it answers.
	Describe(ctx context.Context) (string, error)
	io.Closer
}

// Reader finds single records.
type Reader interface {
	// Client returns the client with this id, byte for byte, whatever its
	// status (a deleted client is a tombstone), or ErrNotFound.
	Client(ctx context.Context, id ClientID) (*Client, error)
	// Account returns the account with this id, or ErrNotFound.
	Account(ctx context.Context, id AccountID) (*Account, error)
	// AccountByName returns the account with this name, or ErrNotFound.
	AccountByName(ctx context.Context, name string) (*Account, error)
	// Get returns the record of a kind with this key, byte for byte, or
	// ErrNotFound. It is for kinds that have no method of their own.
	Get(ctx context.Context, kind Kind, key string) (Record, error)
	// GrantsOf returns the grants of an account or team, one for each
	// workspace, ordered by workspace. None is an empty list, not an error.
	GrantsOf(ctx context.Context, holder HolderID) ([]*Grant, error)
}

// Lister reads many records, ordered, a page at a time.
type Lister interface {
	// All calls yield with every record of these kinds, kind after kind in the
	// order given, each kind ordered by key, all as of one moment. It stops at
	// the first error of yield and returns it.
	All(ctx context.Context, yield func(Record) error, kinds ...Kind) error
	// Clients returns a page of clients.
	Clients(ctx context.Context, q ClientQuery) ([]*Client, error)
	// CountClients counts what Clients would return over all pages, up to most.
	CountClients(ctx context.Context, q ClientQuery, most int) (int, error)
	// Accounts returns a page of accounts.
	Accounts(ctx context.Context, q AccountQuery) ([]*Account, error)
	// Grants returns a page of grants, ordered by id.
	Grants(ctx context.Context, q GrantQuery) ([]*Grant, error)
	// Deliveries returns a page of deliveries.
	Deliveries(ctx context.Context, q DeliveryQuery) ([]*Delivery, error)
	// Audit returns a page of audit entries, newest first unless q asks otherwise.
	Audit(ctx context.Context, q AuditQuery) ([]*AuditEntry, error)
}

// Committer writes.
type Committer interface {
	// Commit does all the writes or none, durably (an fsync, a majority of
	// the replica set). An Insert of a known key or taken unique name is
	// ErrExists; an Update or Delete of a record that is not at that revision
	// (or is not there) is ErrConflict. After an error that matches
	// ErrUnavailable the outcome may be unknown: see Unavailable.
	Commit(ctx context.Context, writes ...Write) error
	// Beat writes this node's heartbeat, which comes back through the feed.
	Beat(ctx context.Context, node string, count int64) error
	// Prune deletes revocations, status indexes, sessions, deliveries and idempotency
	// keys that ended before now, heartbeats that stopped more than an hour ago, and usage
	// rows and sums of hours before keepUsage.
	Prune(ctx context.Context, now, keepUsage Time) error
}

// Watcher tells of changes.
type Watcher interface {
	// Watch opens the change feed just after a position, or at the present
	// moment when from is empty. Every commit of a watched kind that is
	// acknowledged after Watch returned comes through. A position that the
	// backend no longer has is ErrGap.
	Watch(ctx context.Context, from Position) (Feed, error)
}

// Feed is an open change feed. It is used by one goroutine.
type Feed interface {
	// Next waits for the next change. Changes of one record come in the order
	// of their revisions; those of one commit come without others between them.
	// ErrGap means that changes were lost: watch anew and load everything.
	Next(ctx context.Context) (Change, error)
	// Position is where the feed stands: a Watch from there continues with the
	// change after the last one returned.
	Position() Position
	Close() error
}

// Position is a place in the change feed. It is opaque, and means something to
// the backend that made it only.
type Position string

// Change is one committed change of a record of a watched kind.
type Change struct {
	Kind   Kind
	Key    string
	Record Record // the whole record as committed; nil when it was deleted
}

// UsageStore keeps counters and last uses. They are outside the feed, revisions
// and transactions.
type UsageStore interface {
	// AddUsage raises each row to its total and each last use to its times
	// where they are greater than what is stored: writing the same twice
	// changes nothing.
	AddUsage(ctx context.Context, rows []Usage, uses []LastUse) error
	// AddUsageSums raises each sum to its total in the same way.
	AddUsageSums(ctx context.Context, sums []UsageSum) error
	// Usage returns totals added up over processes, ordered by hour, client,
	// secret, rule, outcome.
	Usage(ctx context.Context, q UsageQuery) ([]Usage, error)
	// LastUses returns what is known of these clients' last uses, a row for
	// each secret, ordered by client and secret.
	LastUses(ctx context.Context, clients ...ClientID) ([]LastUse, error)
	// UsageTotals returns what was counted by clients of some workspaces: by hour,
	// day and rule from the sums, by client from the counters.
	UsageTotals(ctx context.Context, q UsageTotalQuery) ([]UsageTotal, error)
	// LastRefusals returns the last uses of clients of these workspaces, or of any
	// where none is named, that have a refusal: the latest first, limit at most,
	// those of one moment by client and secret.
	LastRefusals(ctx context.Context, workspaces []WorkspaceID, limit int) ([]LastUse, error)
	// RulesUsed returns, of these rules, those that allowed calls in the hours
	// that are kept, each with the last such hour: calls of one client, or of any
	// where it is empty.
	RulesUsed(ctx context.Context, client ClientID, rules []string) (map[string]Time, error)
}
