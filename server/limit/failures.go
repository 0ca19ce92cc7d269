package limit

import (
	"hash/maphash"
	"net/netip"
	"time"
)

// FailureOptions configures Failures. A zero Rate is no limit.
type FailureOptions struct {
	PerClientAddress Rate // of one client id, as it was sent, from one address
	PerAddress       Rate // of all ids from one address
	Max              int  // counters of each sort; zero means DefaultMax
}

// Failures counts failed authentications of clients. It is told of failures only,
// and after the comparison: a good secret passes whatever others try, so nobody
// can lock a client out. It may be used by any goroutine.
type Failures struct {
	o         FailureOptions
	clients   *table
	addresses *table
}

// NewFailures makes Failures.
func NewFailures(o FailureOptions) *Failures {
	return &Failures{o, newTable(o.Max), newTable(o.Max)}
}

// Failed counts a failure and reports whether to answer it with 429, and after
// how long to come again. The address is that of the connection, or what a
// trusted proxy says; IPv6 addresses of one /64 are one, since a single machine
// has that many.
func (f *Failures) Failed(client string, a netip.Addr, now time.Time) (blocked bool, retryAfter time.Duration) {
	from := network(a)
	if ok, wait := f.addresses.take(maphash.Comparable(f.addresses.seed, from), f.o.PerAddress, now); !ok {
		return true, wait // and no counter for each id that it invents
	}
	name := maphash.Comparable(f.clients.seed, attempt{client, from})
	ok, wait := f.clients.take(name, f.o.PerClientAddress, now)
	return !ok, wait
}

// Blocked reports whether a failure would be answered with 429 now, and after how
// long to come again. It counts nothing.
func (f *Failures) Blocked(client string, a netip.Addr, now time.Time) (blocked bool, retryAfter time.Duration) {
	from := network(a)
	if wait := f.addresses.wait(maphash.Comparable(f.addresses.seed, from), f.o.PerAddress, now); wait > 0 {
		return true, wait
	}
	wait := f.clients.wait(maphash.Comparable(f.clients.seed, attempt{client, from}), f.o.PerClientAddress, now)
	return wait > 0, wait
}

// Size returns how many counters are held.
func (f *Failures) Size() int { return f.clients.size() + f.addresses.size() }

type attempt struct {
	client string
	from   [16]byte
}

// Network names an address for a Limiter as Failures counts it: IPv6 addresses of
// one /64 are one.
func Network(a netip.Addr) string {
	b := network(a)
	return string(b[:])
}

// network is an IPv4 address in IPv6's form, or the /64 of an IPv6 address.
func network(a netip.Addr) [16]byte {
	if !a.IsValid() {
		return [16]byte{}
	}
	b := a.As16()
	if !a.Unmap().Is4() {
		clear(b[8:])
	}
	return b
}
