// Package cached is a store around a store, for hot reads.
//
// The whole of the small kinds (installation, workspaces, APIs, roles, teams,
// keys, revocations, webhooks, status indexes, and the grants of teams) is in memory: asking for one
// reads nothing, and one that is not there does not exist. Of clients and of
// accounts with their grants the ones used lately are in memory, bounded in
// number, each for at most a minute; of clients that were imported it is known
// what comparing with their secrets costs.
//
// Run keeps that true by the change feed of the store within, and Age tells
// how true it is. What is read before the first load, or when Run has ended,
// comes from the store within. Everything that is not said here is passed to
// it as it is.
package cached

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"postern/store"
)

// Subscriber makes something of the kinds that are whole in memory, and is
// told of them by Run, one call at a time.
type Subscriber interface {
	// Load replaces all it knew by these records: all of the kinds
	// installation, workspaces, apis, roles, teams, keys, revocations, webhooks and
	// status indexes, in that order, and then the grants held by teams. If it refuses the first
	// load, Run ends with its error; a later one it is to answer from what it
	// had.
	Load(records []store.Record) error
	// Apply changes what it knows. Changes come in the order of the feed, and
	// before a Commit of this node that made them returns. Its error is logged.
	Apply(c store.Change) error
}

// Follower is a Subscriber that is told of every change of a client or account,
// too, of which memory holds some only. It may hear of one that it knows, and of
// those before what it read from the store: revisions tell.
type Follower interface {
	Subscriber
	// Follow is as Apply, of clients and accounts.
	Follow(c store.Change)
}

// Options configures a Store. Only Node is required.
type Options struct {
	Node        string           // the name of this process among all that run on the store
	TTL         time.Duration    // how long a client or account is kept; zero means 60 s
	Clients     int              // at most so many are kept; zero means 100,000
	Holders     int              // likewise of accounts with their grants
	Now         func() time.Time // nil means time.Now
	Log         *slog.Logger     // nil means no log
	Subscribers []Subscriber
}

// within gives Store the methods of the store it stands in front of.
type within = store.Store

// Store is a store.Store that answers hot reads from memory. The records and
// lists it hands out are shared: nobody may change them.
type Store struct {
	within
	node        string
	log         *slog.Logger
	subscribers []Subscriber

	clock   *clock
	whole   atomic.Pointer[whole]
	clients *recent[store.ClientID, *store.Client]
	holders *recent[store.AccountID, *store.Holder] // without an account where only grants are known
	waits   waits

	live      atomic.Bool // Run has loaded, and has not ended
	ready     chan struct{}
	readyOnce sync.Once
	seen      atomic.Int64 // when memory held all that was written, by the clock; -1 is never
	missed    atomic.Int64
}

// New returns a store in front of inner. It starts nothing: see Run. Close
// closes inner, once Run has ended.
func New(inner store.Store, o Options) *Store {
	if o.TTL == 0 {
		o.TTL = time.Minute
	}
	if o.Clients == 0 {
		o.Clients = 100_000
	}
	if o.Holders == 0 {
		o.Holders = 100_000
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Store{
		within:      inner,
		node:        o.Node,
		log:         o.Log,
		subscribers: o.Subscribers,
		clock:       newClock(o.Now),
		ready:       make(chan struct{}),
	}
	s.whole.Store(newWhole())
	s.seen.Store(-1)
	s.clients = newRecent(s.clock, o.TTL, o.Clients, inner.Client, olderClient)
	s.holders = newRecent(s.clock, o.TTL, o.Holders, s.loadHolder, olderHolder)
	return s
}

// Ready is closed after the first load: then memory answers.
func (s *Store) Ready() <-chan struct{} { return s.ready }

// Client returns the client with this id as store.Reader says. A client known
// to this node is found, and one known not to exist is not, while the store
// within is down; of any other the error matches store.ErrUnavailable then.
func (s *Store) Client(ctx context.Context, id store.ClientID) (*store.Client, error) {
	if !s.live.Load() {
		return s.within.Client(ctx, id)
	}
	return s.clients.get(ctx, id)
}

// Holder returns an account and the grants it holds itself, ordered by
// workspace, or store.ErrNotFound. The pointer is the same until one of them
// changes or is read anew.
func (s *Store) Holder(ctx context.Context, id store.AccountID) (*store.Holder, error) {
	h, err := s.holder(ctx, id)
	if err != nil {
		return nil, err
	}
	if h.Account == nil {
		return nil, fmt.Errorf("account %s: %w", id, store.ErrNotFound)
	}
	return h, nil
}

// Account returns the account with this id, as store.Reader says.
func (s *Store) Account(ctx context.Context, id store.AccountID) (*store.Account, error) {
	if !s.live.Load() {
		return s.within.Account(ctx, id)
	}
	h, err := s.Holder(ctx, id)
	if err != nil {
		return nil, err
	}
	return h.Account, nil
}

// GrantsOf returns the grants of an account or team, as store.Reader says.
func (s *Store) GrantsOf(ctx context.Context, holder store.HolderID) ([]*store.Grant, error) {
	if !s.live.Load() {
		return s.within.GrantsOf(ctx, holder)
	}
	if holder.IsTeam() {
		return s.whole.Load().grantsOf(holder), ctx.Err()
	}
	h, err := s.holder(ctx, store.AccountID(holder))
	if err != nil {
		return nil, err
	}
	return h.Grants, nil
}

func (s *Store) holder(ctx context.Context, id store.AccountID) (*store.Holder, error) {
	if !s.live.Load() {
		return s.loadHolder(ctx, id)
	}
	return s.holders.get(ctx, id)
}

// loadHolder reads an account and its grants. An account that is not there is
// a Holder without one.
func (s *Store) loadHolder(ctx context.Context, id store.AccountID) (*store.Holder, error) {
	account, err := s.within.Account(ctx, id)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	grants, err := s.within.GrantsOf(ctx, store.HolderID(id))
	if err != nil {
		return nil, err
	}
	return &store.Holder{Account: account, Grants: grants}, nil
}

func olderClient(loaded, known *store.Client) bool { return loaded.Revision < known.Revision }

func olderHolder(loaded, known *store.Holder) bool {
	if loaded.Account != nil && known.Account != nil && loaded.Account.Revision < known.Account.Revision {
		return true
	}
	return slices.ContainsFunc(loaded.Grants, func(g *store.Grant) bool {
		return slices.ContainsFunc(known.Grants, func(k *store.Grant) bool { return k.ID == g.ID && g.Revision < k.Revision })
	})
}
