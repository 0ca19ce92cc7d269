package limit

import (
	"hash/maphash"
	"net/netip"
	"time"
)

// Limiter limits what is done under a name. It may be used by any goroutine.
type Limiter struct{ t *table }

// NewLimiter makes a Limiter that holds at most so many names; zero means
// DefaultMax.
func NewLimiter(most int) *Limiter { return &Limiter{newTable(most)} }

// Allow counts one for a name and reports whether it is within the rate. If not,
// retryAfter is how long until one is, and this one is not counted.
func (l *Limiter) Allow(name string, r Rate, now time.Time) (ok bool, retryAfter time.Duration) {
	return l.t.take(maphash.String(l.t.seed, name), r, now)
}

// Forgive takes back one that Allow counted, such as an attempt that was good.
func (l *Limiter) Forgive(name string, r Rate) { l.t.give(maphash.String(l.t.seed, name), r) }

// AllowFrom is Allow with an address for the name. IPv6 addresses of one /64 are
// one, as for Failures.
func (l *Limiter) AllowFrom(a netip.Addr, r Rate, now time.Time) (ok bool, retryAfter time.Duration) {
	return l.t.take(maphash.Comparable(l.t.seed, network(a)), r, now)
}

// Size returns how many names are held.
func (l *Limiter) Size() int { return l.t.size() }
