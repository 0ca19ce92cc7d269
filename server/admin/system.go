package admin

import (
	"context"
	"errors"
	"time"

	"postern/store"
)

// SystemFacts is what is fixed while a node runs.
type SystemFacts struct {
	Version   string
	Store     string // "sqlite" or "mongodb"
	Config    string // what is in force, as YAML, without secrets
	StartedAt store.Time
}

// System is how a node is.
type System struct {
	SystemFacts

	Node    string
	Age     time.Duration // of the state that it decides from
	Latency time.Duration // of one read from the store, just now
}

// System returns how the node is that answers.
func (a *Admin) System(ctx context.Context, by *Actor) (*System, error) {
	if err := a.must(by, opSystem, a.systemID()); err != nil {
		return nil, err
	}
	began := time.Now() //nolint:forbidigo // not the clock of a test: this is measured
	if _, err := a.Store.Get(ctx, store.KindDelivery, "none"); err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, fromStore(opSystem.Name, err)
	}
	out := &System{SystemFacts: a.Facts, Node: a.Node, Latency: time.Since(began)}
	if a.Age != nil {
		out.Age = a.Age()
	}
	return out, nil
}
