package status

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"postern/store"
)

const (
	readers     = 16 // of clients and accounts at once
	readTimeout = 3 * time.Second
	retryRead   = 250 * time.Millisecond
	expireEvery = 500 * time.Millisecond
	retireEvery = 10 * time.Minute
	retireSome  = 1000
	// retireAfter is how much longer than its tokens an index stays: nodes whose
	// memory is old may still mint for it, and clocks may be wrong.
	retireAfter = 24 * time.Hour
)

// Run reads the clients and accounts that are not known yet, notices what expires,
// and lets go of the places of what is over, until ctx is done.
func (l *Lists) Run(ctx context.Context) error {
	expire, retire := time.NewTicker(expireEvery), time.NewTicker(retireEvery)
	defer expire.Stop()
	defer retire.Stop()
	for {
		if !l.readAll(ctx) {
			select { // the store does not answer: Age tells
			case <-time.After(retryRead):
				continue
			case <-ctx.Done():
				return nil
			}
		}
		select {
		case <-l.wake:
		case <-expire.C:
			l.expire()
		case <-retire.C:
			l.Retire(ctx)
		case <-ctx.Done():
			return nil
		}
	}
}

// readAll reads what is to be read, and reports whether nothing is left.
func (l *Lists) readAll(ctx context.Context) bool {
	l.mu.RLock()
	ids := make([]any, 0, len(l.unread))
	for id := range l.unread {
		ids = append(ids, id)
	}
	l.mu.RUnlock()
	g, reading := errgroup.WithContext(ctx)
	g.SetLimit(readers)
	for _, id := range ids {
		g.Go(func() error { return l.read(reading, id) })
	}
	if err := g.Wait(); err != nil {
		if ctx.Err() == nil {
			l.Log.WarnContext(ctx, "who has tokens in status lists is not read yet, and will be tried again", "error", err)
		}
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.settled = l.settled || len(l.unread) == 0
	return len(l.unread) == 0
}

func (l *Lists) read(ctx context.Context, id any) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	var c *store.Client
	var a *store.Account
	var err error
	switch id := id.(type) {
	case store.ClientID:
		c, err = l.Store.Client(ctx, id)
	case store.AccountID:
		a, err = l.Store.Account(ctx, id)
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch id := id.(type) {
	case store.ClientID:
		l.learnClient(id, c)
	case store.AccountID:
		l.learnAccount(id, a)
	}
	return nil
}

// expire notices that a client or a secret expired, of which no change tells.
func (l *Lists) expire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.nextEnd.Over(l.now()) {
		l.judgeAll()
	}
}

// Retire gives an end to the indexes that no token can be minted for: when the
// last one is over, and retireAfter, Prune deletes them and their places are free.
// Every node does it, and of those that meet one wins.
func (l *Lists) Retire(ctx context.Context) {
	ends := l.now().Add(l.LongestTTL() + retireAfter)
	var over []*store.StatusIndex
	l.mu.RLock()
	for _, i := range l.indexes {
		if i.invalid && i.record.ExpiresAt == 0 {
			next := *i.record
			next.ExpiresAt = ends
			if over = append(over, &next); len(over) == retireSome {
				break
			}
		}
	}
	l.mu.RUnlock()
	for _, r := range over {
		err := l.Store.Commit(ctx, store.Update(r))
		if err != nil && !errors.Is(err, store.ErrConflict) {
			l.Log.WarnContext(ctx, "places in status lists are not let go of yet, and will be tried again", "error", err)
			return
		}
	}
}
