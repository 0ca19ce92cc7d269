package status

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"

	"postern/server/token"
	"postern/store"
)

// attempts are made at a place that other nodes want, too.
const attempts = 20

// Place implements token.Statuses: it finds the place of the tokens of a secret
// at its generations. The first of them writes one record.
func (l *Lists) Place(ctx context.Context, c *token.Claims) (uri string, bit int64, err error) {
	id := store.StatusIndexID(c.SecretID, c.Workspace, c.Gen)
	r := l.known(id)
	for range attempts {
		switch {
		case r != nil && r.ExpiresAt == 0:
			return l.URI(r.Place/size + 1), r.Place % size, nil
		case r != nil: // it was over, and now it is not
			r, err = l.extend(ctx, r)
		default:
			r, err = l.insert(ctx, id, c)
		}
		if err != nil {
			return "", 0, fmt.Errorf("find a place in a status list: %w", err)
		}
	}
	return "", 0, errNoPlace
}

func (l *Lists) known(id string) *store.StatusIndex {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if i := l.indexes[id]; i != nil {
		return i.record
	}
	return nil
}

// insert takes a place that seems free, and returns the record, or nil if another
// took the place.
func (l *Lists) insert(ctx context.Context, id string, c *token.Claims) (*store.StatusIndex, error) {
	r := &store.StatusIndex{
		ID: id, Place: l.free(), Client: c.ClientID, Account: c.Subject, Workspace: c.Workspace, Secret: c.SecretID, Gen: c.Gen,
	}
	err := l.Store.Commit(ctx, store.Insert(r))
	taken, ok := errors.AsType[*store.Exists](err)
	switch {
	case err == nil:
		return r, nil
	case !ok:
		return nil, err
	case taken.Field == "_id":
		return l.stored(ctx, id)
	default:
		return nil, nil //nolint:nilnil // the place was taken, as the comment says
	}
}

// extend makes an index last again whose client was not usable for a while.
func (l *Lists) extend(ctx context.Context, r *store.StatusIndex) (*store.StatusIndex, error) {
	next := *r
	next.ExpiresAt = 0
	err := l.Store.Commit(ctx, store.Update(&next))
	if errors.Is(err, store.ErrConflict) {
		return l.stored(ctx, r.ID)
	}
	return &next, err
}

// stored reads an index that another node wrote, or nil if it was deleted since.
func (l *Lists) stored(ctx context.Context, id string) (*store.StatusIndex, error) {
	record, err := l.Store.Get(ctx, store.KindStatusIndex, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil //nolint:nilnil // as the comment says
	}
	r, _ := record.(*store.StatusIndex)
	return r, err
}

// free returns a random place that nobody has, in the first list of which less
// than half is taken.
func (l *Lists) free() int64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	n := 0
	for n < len(l.lists) && l.lists[n].taken >= size/2 {
		n++
	}
	for {
		var b [4]byte
		_, _ = rand.Read(b[:]) // crypto/rand.Read never fails
		place := int64(n)*size + int64(binary.BigEndian.Uint32(b[:])%size)
		if l.places[place] == nil {
			return place
		}
	}
}
