package store

import (
	"errors"
	"fmt"
)

// What can be wrong with a request to a store. Anything else is a fault of the
// backend.
var (
	ErrNotFound    = errors.New("not found")
	ErrExists      = errors.New("exists already")
	ErrConflict    = errors.New("changed by someone else meanwhile")
	ErrGap         = errors.New("changes were lost")
	ErrUnavailable = errors.New("the store does not answer")
)

// Exists says what was taken. It matches ErrExists.
type Exists struct { //nolint:errname // it is the detail of ErrExists, and reads as such
	Kind  Kind
	Field string // as in the record's JSON; "_id" for its key
}

func (e *Exists) Error() string { return fmt.Sprintf("%s: this %s %s", e.Kind, e.Field, ErrExists) }

// Is reports whether target is ErrExists.
func (e *Exists) Is(target error) bool { return target == ErrExists }

// Unavailable is an outage. It matches ErrUnavailable, and wraps its cause,
// which is for the operator's log.
type Unavailable struct { //nolint:errname // likewise of ErrUnavailable
	// Unknown: a write was sent, and may or may not have been done.
	Unknown bool
	// Saved: the write is done, but this node has not seen it come back yet.
	Saved bool
	Err   error
}

func (e *Unavailable) Error() string {
	switch {
	case e.Saved:
		return fmt.Sprintf("saved, but not yet in force on this node: %v", e.Err)
	case e.Unknown:
		return fmt.Sprintf("%v, and the outcome is unknown: %v", ErrUnavailable, e.Err)
	default:
		return fmt.Sprintf("%v: %v", ErrUnavailable, e.Err)
	}
}

// Is reports whether target is ErrUnavailable.
func (e *Unavailable) Is(target error) bool { return target == ErrUnavailable }

func (e *Unavailable) Unwrap() error { return e.Err }
