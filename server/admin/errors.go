package admin

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"postern/store"
)

// Kind says what is wrong with a request for an operation.
type Kind int

// The kinds of errors.
const (
	Invalid         Kind = iota + 1 // the input is wrong: see Faults
	Forbidden                       // the actor may not
	NotFound                        // no such thing, or none that the actor may see
	Conflict                        // the rules of its life do not allow it now
	Stale                           // changed since the actor read it
	Precondition                    // the revision must be named
	Unavailable                     // the store gives no answer
	Unauthenticated                 // a name and password that are not good
	TooMany                         // too often: see RetryAfter
)

// Error is a refusal. Its text is for the actor, and holds no secret.
type Error struct {
	Kind    Kind
	Message string  // one line: the cause, and what to do
	Faults  []Fault // of Invalid, each with its place
	Unknown bool    // of Unavailable: the change may or may not have been made
	Made    string  // of Conflict: the id of what the first of equal requests made, whose answer was shown (Once.Shown)
	// RetryAfter is, of TooMany, how long until it is worth to come again.
	RetryAfter time.Duration
	Err        error // for the operator's log
}

// Fault is one thing wrong with the input.
type Fault struct {
	Place   string // "rules[2].path"
	Message string
}

func (e *Error) Error() string {
	parts := []string{e.Message}
	for _, f := range e.Faults {
		parts = append(parts, f.Place+": "+f.Message)
	}
	return strings.Join(parts, "; ")
}

func (e *Error) Unwrap() error { return e.Err }

func refuse(k Kind, format string, args ...any) error {
	return &Error{Kind: k, Message: fmt.Sprintf(format, args...)}
}

// faults gathers what is wrong with an input.
type faults []Fault

func (f *faults) add(place, format string, args ...any) {
	*f = append(*f, Fault{place, fmt.Sprintf(format, args...)})
}

func (f faults) err() error {
	if len(f) == 0 {
		return nil
	}
	return &Error{Kind: Invalid, Message: "the request has faults", Faults: f}
}

// invalidAt is a refusal of one thing that is wrong with an input.
func invalidAt(place, format string, args ...any) error {
	var f faults
	f.add(place, format, args...)
	return f.err()
}

// fromStore turns an error of the store into one for the actor.
func fromStore(doing string, err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	e := &Error{Err: fmt.Errorf("%s: %w", doing, err)}
	taken, isTaken := errors.AsType[*store.Exists](err)
	down, _ := errors.AsType[*store.Unavailable](err)
	switch {
	case errors.Is(err, store.ErrNotFound):
		e.Kind, e.Message = NotFound, "there is no such thing"
	case isTaken:
		e.Kind, e.Message = Conflict, fmt.Sprintf("this %s is taken; choose another", strings.TrimPrefix(taken.Field, "_"))
	case errors.Is(err, store.ErrConflict):
		e.Kind, e.Message = Stale, "it was changed by someone else meanwhile; read it again and repeat the change"
	case down != nil && down.Saved:
		e.Kind, e.Message = Unavailable, "the change is saved, but this node has not applied it yet; read it again in a moment"
	case down != nil && down.Unknown:
		e.Kind, e.Unknown, e.Message = Unavailable, true, "the store did not answer in time, and the change may or may not have been made; read it again before repeating"
	case errors.Is(err, store.ErrUnavailable):
		e.Kind, e.Message = Unavailable, "the store does not answer; nothing was changed, try again shortly"
	default:
		return e.Err
	}
	return e
}
