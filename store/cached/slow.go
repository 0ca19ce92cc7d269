package cached

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"postern/store"
)

// slow is what comparing with the slow hashes costs that imported clients have
// left: for each of them its cost, and how many have it. One goroutine writes;
// reads take no lock.
type slow struct {
	mu     sync.Mutex
	costOf map[store.ClientID]string
	counts map[string]int
	shares atomic.Pointer[[]share]
}

// share is a cost, and how many clients have this one or one before it.
type share struct {
	cost string
	upTo uint64
}

func (s *slow) apply(id store.ClientID, c *store.Client) {
	cost := ""
	if c != nil {
		if kept := c.SlowSecret(); kept != nil {
			cost = store.SlowCost(kept.SlowHash)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old, known := s.costOf[id]
	switch {
	case old == cost:
		return
	case s.costOf == nil:
		s.costOf, s.counts = map[store.ClientID]string{}, map[string]int{}
	case known:
		if s.counts[old]--; s.counts[old] == 0 {
			delete(s.counts, old)
		}
		delete(s.costOf, id)
	}
	if cost != "" {
		s.costOf[id] = cost
		s.counts[cost]++
	}
	var shares []share
	total := uint64(0)
	for _, cost := range slices.SortedFunc(maps.Keys(s.counts), cmp.Compare[string]) {
		total += uint64(s.counts[cost]) //nolint:gosec // a count
		shares = append(shares, share{cost, total})
	}
	s.shares.Store(&shares)
}

// pick returns one of the costs: each for as many numbers as there are clients
// that have it. It is empty when there are none.
func (s *slow) pick(n uint64) string {
	shares := s.shares.Load()
	if shares == nil || len(*shares) == 0 {
		return ""
	}
	n %= (*shares)[len(*shares)-1].upTo
	for _, each := range *shares {
		if n < each.upTo {
			return each.cost
		}
	}
	return ""
}

// SlowCost returns what a comparison with an imported secret costs
// (store.SlowCost), of one of the clients that have such a secret; the number
// says of which. While there are none it is empty.
func (s *Store) SlowCost(n uint64) string { return s.whole.Load().slow.pick(n) }

// loadSlow reads the clients that have slow hashes.
func (s *Store) loadSlow(ctx context.Context, into *slow) error {
	q := store.ClientQuery{Slow: true, Limit: 1000}
	for {
		page, err := s.Clients(ctx, q)
		if err != nil {
			return fmt.Errorf("load the imported clients: %w", err)
		}
		for _, c := range page {
			into.apply(c.ID, c)
		}
		if len(page) < q.Limit {
			return nil
		}
		last := page[len(page)-1]
		q.After = &store.ClientCursor{Value: last.SortValue(q.Sort, 0), ID: last.ID}
	}
}
