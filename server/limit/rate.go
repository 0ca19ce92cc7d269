// Package limit says who asks too often. It counts in the memory of this process:
// with several nodes each has its own limits, and a restart forgets.
//
// What is counted is a name (a client's id, an address), not a record, so a limit
// survives that the record is replaced. The counters are GCRA (the generic cell
// rate algorithm): one number each, the time when all that was allowed has
// drained. Memory is bounded; when it is full, counters that have drained make
// room, or else one of those nearest to it.
package limit

import (
	"hash/maphash"
	"sync"
	"time"
)

// Rate is how often something may happen: Count times at once, and then again one
// by one as Per goes by. The zero Rate is no limit.
type Rate struct {
	Count int
	Per   time.Duration
}

// None reports whether the rate limits nothing.
func (r Rate) None() bool { return r.Count <= 0 || r.Per <= 0 }

const (
	shards  = 64
	sampled = 8 // counters looked at to make room for one

	// DefaultMax is how many counters are held where nothing else is said; they
	// take some 3 MB.
	DefaultMax = 100_000
)

// table holds counters by the hash of their names: short, and of one size,
// however long the names are that strangers send. The seed is secret, so nobody
// can look for names that collide; by chance two of 100,000 do once in 10^9 runs.
type table struct {
	seed   maphash.Seed
	most   int // in one shard
	shards [shards]shard
}

type shard struct {
	mu      sync.Mutex
	drained map[uint64]int64 // Unix nanoseconds
	_       [48]byte         // keeps neighbours off this shard's cache line
}

func newTable(most int) *table {
	if most <= 0 {
		most = DefaultMax
	}
	t := &table{seed: maphash.MakeSeed(), most: max(most/shards, 1)}
	for i := range t.shards {
		t.shards[i].drained = map[uint64]int64{}
	}
	return t
}

// take counts one and reports whether it is within the rate; if not, it is not
// counted, and wait is how long until one is.
func (t *table) take(name uint64, r Rate, now time.Time) (ok bool, wait time.Duration) {
	if r.None() {
		return true, 0
	}
	at, step := now.UnixNano(), max(int64(r.Per)/int64(r.Count), 1)
	s := &t.shards[name%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	drained, known := s.drained[name]
	if drained < at || drained > at+int64(r.Per)+step { // the latter when the clock was put back, or the rate changed
		drained = at
	}
	if wait := drained + step - at - int64(r.Per); wait > 0 {
		return false, time.Duration(wait)
	}
	if !known && len(s.drained) >= t.most {
		s.makeRoom(at)
	}
	s.drained[name] = drained + step
	return true, 0
}

// give takes back one that take counted.
func (t *table) give(name uint64, r Rate) {
	if r.None() {
		return
	}
	s := &t.shards[name%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if drained, known := s.drained[name]; known {
		s.drained[name] = drained - max(int64(r.Per)/int64(r.Count), 1)
	}
}

// wait is how long until one more is within the rate; 0 is now.
func (t *table) wait(name uint64, r Rate, now time.Time) time.Duration {
	if r.None() {
		return 0
	}
	at, step := now.UnixNano(), max(int64(r.Per)/int64(r.Count), 1)
	s := &t.shards[name%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	drained := s.drained[name]
	if drained < at || drained > at+int64(r.Per)+step { // as take has it
		return 0
	}
	return max(0, time.Duration(drained+step-at-int64(r.Per)))
}

// makeRoom forgets some counters: those of a sample that have drained, which
// lose nothing by it, or else the one that is nearest to it.
func (s *shard) makeRoom(now int64) {
	var nearest uint64
	least, seen, freed := int64(0), 0, false
	for name, drained := range s.drained { // starts anywhere
		if drained <= now {
			delete(s.drained, name)
			freed = true
		} else if least == 0 || drained < least {
			nearest, least = name, drained
		}
		if seen++; seen == sampled {
			break
		}
	}
	if !freed {
		delete(s.drained, nearest)
	}
}

func (t *table) size() int {
	n := 0
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		n += len(s.drained)
		s.mu.Unlock()
	}
	return n
}
