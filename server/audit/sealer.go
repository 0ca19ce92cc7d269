package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"postern/server/lease"
	"postern/store"
)

const (
	batchSize = 100
	leaseID   = "audit-sealer"

	// A head is signed with each entry, and again when its signature is an hour
	// old, so that an old head put back is found out.
	signEvery = time.Hour
	lookEvery = time.Minute // for heads to sign
)

// Store is what a Sealer reads and writes.
type Store interface {
	Audit(ctx context.Context, q store.AuditQuery) ([]*store.AuditEntry, error)
	All(ctx context.Context, yield func(store.Record) error, kinds ...store.Kind) error
	Commit(ctx context.Context, writes ...store.Write) error
}

// Options configures a Sealer. Store, Keys and Node are required.
type Options struct {
	Store Store
	Keys  [][]byte         // made by Key; the first seals, all verify
	Node  string           // this node's name, unlike any other's
	Every time.Duration    // between looks for new entries; zero means 5 s
	Now   func() time.Time // nil means time.Now
	Log   *slog.Logger     // nil means no log
}

// Sealer gives entries their places. One node at a time does it, by a lease; that
// two never make a fork does not depend on the lease, but on the revision of the
// chain's head.
type Sealer struct {
	o    Options
	look store.Time // when to look for heads to sign
}

// New makes a Sealer. It starts nothing.
func New(o Options) *Sealer {
	if o.Every == 0 {
		o.Every = 5 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Sealer{o: o}
}

// Run seals what is new until ctx is done. An outage of the store only delays it.
func (s *Sealer) Run(ctx context.Context) error {
	tick := time.NewTicker(s.o.Every)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			err := s.Seal(ctx)
			if err != nil && !failing && ctx.Err() == nil { // one line an outage
				s.o.Log.WarnContext(ctx, "the audit is not sealed", "error", err)
			}
			failing = err != nil
		}
	}
}

// Seal gives every waiting entry its place, oldest first, unless another node
// holds the lease: then it does nothing. It is for one goroutine.
func (s *Sealer) Seal(ctx context.Context) error {
	err := s.seal(ctx)
	if errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrExists) {
		return nil // another node was faster, and all it did not do is done next time
	}
	if err != nil {
		return fmt.Errorf("seal the audit: %w", err)
	}
	return nil
}

func (s *Sealer) seal(ctx context.Context) error {
	now := store.At(s.o.Now())
	waiting, err := s.waiting(ctx)
	if err != nil || len(waiting) == 0 && now < s.look {
		return err
	}
	heads, err := s.heads(ctx)
	if err != nil {
		return err
	}
	if len(waiting) == 0 && len(unsigned(heads, now)) == 0 { // so that nothing is written while nothing happens
		s.look = now.Add(lookEvery)
		return nil
	}
	if ours, err := s.lease(ctx, now); err != nil || !ours {
		return err
	}
	for len(waiting) > 0 {
		if err := s.place(ctx, heads, waiting, now); err != nil {
			return err
		}
		if len(waiting) < batchSize {
			break
		}
		if waiting, err = s.waiting(ctx); err != nil {
			return err
		}
	}
	if err := s.move(ctx, heads, unsigned(heads, now), nil, now); err != nil {
		return err
	}
	if len(unsigned(heads, now)) == 0 {
		s.look = now.Add(lookEvery)
	}
	return nil
}

func (s *Sealer) waiting(ctx context.Context) ([]*store.AuditEntry, error) {
	return s.o.Store.Audit(ctx, store.AuditQuery{Unsealed: true, Limit: batchSize})
}

// lease reports whether this node may seal now, and takes or renews the lease.
func (s *Sealer) lease(ctx context.Context, now store.Time) (bool, error) {
	return lease.Take(ctx, s.o.Store, leaseID, s.o.Node, now, max(3*s.o.Every, 30*time.Second))
}

func (s *Sealer) heads(ctx context.Context) (map[string]*store.Chain, error) {
	heads := map[string]*store.Chain{}
	err := s.o.Store.All(ctx, func(r store.Record) error {
		if c, ok := r.(*store.Chain); ok {
			heads[c.ID] = c
		}
		return nil
	}, store.KindChain)
	return heads, err
}

// place commits the entries at the ends of their chains, and brings heads up to
// date with what it committed.
func (s *Sealer) place(ctx context.Context, heads map[string]*store.Chain, entries []*store.AuditEntry, now store.Time) error {
	var writes []store.Write
	moved := map[string]*store.Chain{}
	for _, e := range entries {
		id := chainID(e.Workspace)
		head := moved[id]
		if head == nil {
			head = &store.Chain{ID: id}
			if old := heads[id]; old != nil {
				*head = *old
			}
			moved[id] = head
		}
		sealed := *e
		sealed.Place = head.Place + 1
		sealed.Link = link(s.o.Keys[0], &sealed, head.Link)
		head.Place, head.Link = sealed.Place, sealed.Link
		writes = append(writes, store.Update(&sealed))
	}
	return s.move(ctx, heads, moved, writes, now)
}

// unsigned returns copies of heads that nothing was added to for an hour, as many
// as one commit should hold.
func unsigned(heads map[string]*store.Chain, now store.Time) map[string]*store.Chain {
	old := map[string]*store.Chain{}
	for id, c := range heads {
		if now.Sub(c.SignedAt) >= signEvery && len(old) < batchSize {
			copied := *c
			old[id] = &copied
		}
	}
	return old
}

// move signs these heads and commits them with other writes. A head is updated at
// the revision it was read at: if someone else moved it, nothing is written.
func (s *Sealer) move(ctx context.Context, heads, moved map[string]*store.Chain, writes []store.Write, now store.Time) error {
	if len(moved) == 0 {
		return nil
	}
	for _, head := range moved {
		head.SignedAt = now
		head.Signature = signature(s.o.Keys[0], head)
		if head.Revision == 0 {
			writes = append(writes, store.Insert(head))
		} else {
			writes = append(writes, store.Update(head))
		}
	}
	if err := s.o.Store.Commit(ctx, writes...); err != nil {
		return err
	}
	for id, head := range moved {
		copied := *head
		copied.Revision++
		heads[id] = &copied
	}
	return nil
}
