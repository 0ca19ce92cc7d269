// Package lease lets one node at a time do what one is enough for. A lease only
// saves work: what must never happen twice may not depend on it, since a node that
// was paused goes on after its lease went to another.
package lease

import (
	"context"
	"time"

	"postern/store"
)

// Store is what a lease is read from and written to.
type Store interface {
	All(ctx context.Context, yield func(store.Record) error, kinds ...store.Kind) error
	Commit(ctx context.Context, writes ...store.Write) error
}

// Take reports whether this node holds the lease from now on, and takes or
// renews it. It is renewed when less than half of its length is left. An error
// that matches store.ErrConflict or store.ErrExists means that another node was
// faster.
func Take(ctx context.Context, s Store, id, node string, now store.Time, length time.Duration) (bool, error) {
	var held *store.Lease
	err := s.All(ctx, func(r store.Record) error {
		if l, ok := r.(*store.Lease); ok && l.ID == id {
			held = l
		}
		return nil
	}, store.KindLease)
	if err != nil {
		return false, err
	}
	until := now.Add(length)
	switch {
	case held == nil:
		return true, s.Commit(ctx, store.Insert(&store.Lease{ID: id, Node: node, Until: until}))
	case held.Node == node && held.Until.Sub(now) > length/2:
		return true, nil
	case held.Node == node || held.Until.Over(now):
		return true, s.Commit(ctx, store.Update(&store.Lease{ID: id, Revision: held.Revision, Node: node, Until: until}))
	default:
		return false, nil
	}
}
