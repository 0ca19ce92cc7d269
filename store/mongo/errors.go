package mongo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/topology"

	"postern/store"
)

// How long calls may take in all, and one attempt. The driver repeats on its
// own what the server says can be repeated; the second attempt is for a primary
// that hangs.
const (
	readBudget       = 3 * time.Second
	writeBudget      = 2750 * time.Millisecond // and abortBudget more is 3 s
	abortBudget      = 250 * time.Millisecond
	backgroundBudget = 8 * time.Second
	attemptBudget    = 2 * time.Second
	awaitBudget      = 500 * time.Millisecond // after which the server says that there is no change
)

// read calls try until it has an answer, within the time that a read may take.
func (s *Store) read(ctx context.Context, what string, try func(context.Context) error) error {
	return s.retry(ctx, readBudget, what, try)
}

// retry calls try until it succeeds, fails for good, or budget is over. The
// error is one of package store's, or that of a context that ended.
func (s *Store) retry(ctx context.Context, budget time.Duration, what string, try func(context.Context) error) error {
	all, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	for wait := 2 * time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		one, done := context.WithTimeout(all, attemptBudget)
		err := try(one)
		done()
		switch {
		case err == nil:
			return nil
		case ours(err):
			return fmt.Errorf("%s: %w", what, err)
		case ctx.Err() != nil:
			return fmt.Errorf("%s: %w", what, ctx.Err())
		case !transient(err):
			return s.outage(what, err)
		}
		select {
		case <-all.Done():
			return s.outage(what, err)
		case <-time.After(wait/2 + rand.N(wait)): //nolint:gosec // spreads out writers that got in each other's way
		}
	}
}

// outage wraps an error of the driver. Only its text is kept: the value itself
// cannot be hashed, and its deadline is not the caller's.
func (s *Store) outage(what string, err error) *store.Unavailable {
	return &store.Unavailable{Err: errors.New(what + ": " + s.mask(err.Error()))}
}

// ours reports whether an error is one of package store's already.
func ours(err error) bool {
	return errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrExists) || errors.Is(err, store.ErrConflict) ||
		errors.Is(err, store.ErrGap) || errors.Is(err, store.ErrUnavailable)
}

// errPending: a write was done, but a majority does not know it yet.
var errPending = errors.New("the write is not yet known to a majority")

// transient reports whether trying again can help.
func transient(err error) bool {
	if errors.Is(err, driver.ErrClientDisconnected) || errors.As(err, new(driver.MarshalError)) {
		return false
	}
	answer, ok := errors.AsType[driver.ServerError](err)
	if !ok || driver.IsTimeout(err) || driver.IsNetworkError(err) || writeConcern(err) {
		return true
	}
	if slices.ContainsFunc([]string{
		"TransientTransactionError", unknownCommit, "RetryableWriteError", "RetryableError", "SystemOverloadedError",
	}, answer.HasErrorLabel) {
		return true
	}
	return slices.ContainsFunc([]int{
		6, 7, 89, 9001, // network between the servers
		24, 50, 112, 262, // locks and time limits
		91, 189, 10107, 11600, 11602, 13435, 13436, // not primary, or not for long
		133, 134, 239, 246, // no primary, or no snapshot, yet
	}, answer.HasErrorCode)
}

// unsent reports whether nothing left this process.
func unsent(err error) bool { return errors.As(err, new(topology.ServerSelectionError)) }

// writeConcern reports whether a write was done, but not acknowledged as asked.
func writeConcern(err error) bool {
	if bulk, ok := errors.AsType[driver.BulkWriteException](err); ok {
		return bulk.WriteConcernError != nil
	}
	one, ok := errors.AsType[driver.WriteException](err)
	return ok && one.WriteConcernError != nil
}

// taken turns a duplicate key into *store.Exists, or returns nil. The last field
// of each unique index is what it makes unique.
func taken(kind store.Kind, err error) error {
	if !driver.IsDuplicateKeyError(err) {
		return nil
	}
	var raw bson.Raw
	if bulk, ok := errors.AsType[driver.BulkWriteException](err); ok && len(bulk.WriteErrors) > 0 {
		raw = bulk.WriteErrors[0].Raw
	} else if command, ok := errors.AsType[driver.CommandError](err); ok {
		raw = command.Raw
	}
	field := "_id"
	if pattern, ok := raw.Lookup("keyPattern").DocumentOK(); ok {
		if elements, err := pattern.Elements(); err == nil && len(elements) > 0 {
			field = elements[len(elements)-1].Key()
		}
	} else if _, index, ok := strings.Cut(err.Error(), " index: "); ok {
		index, _, _ = strings.Cut(index, " ")
		field = lastField(index)
	}
	if field != "_id" {
		field = strings.TrimPrefix(field, "_") // what derives from a field is told by its name
	}
	return &store.Exists{Kind: kind, Field: field}
}
