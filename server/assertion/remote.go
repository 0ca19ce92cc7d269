package assertion

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"postern/server/outbound"
)

const (
	remoteLife = 5 * time.Minute  // for which keys are believed
	remoteRest = 10 * time.Second // between two looks at one address
	maxRemotes = 1000
)

// Remote reads keys at addresses (jwks_uri), and those of issuers, and remembers them for five minutes.
// It may be used by any goroutine; who waits for one address holds up nobody who
// waits for another.
type Remote struct {
	Client *outbound.Client
	Access map[string]Access // what it takes to ask an issuer of workloads, by its URL
	Now    func() time.Time

	mu  sync.Mutex
	all map[string]*remote
}

// remote is what is known of one address.
type remote struct {
	mu      sync.Mutex // held while it is read
	keys    []*Key
	fetched time.Time
	tried   time.Time
	err     error
}

// Find returns a key at the address by which the assertion verifies. Keys that
// are older than five minutes are read again, and younger ones when none of them
// fits, since keys are rotated, but no more often than every ten seconds.
func (r *Remote) Find(ctx context.Context, address string, a *Assertion) (*Key, error) {
	return r.find(ctx, address, a, func(ctx context.Context) ([]*Key, error) { return keysAt(ctx, r.Client, address, "") })
}

// find does what Find says with what is known by a name, and how it is read.
func (r *Remote) find(ctx context.Context, name string, a *Assertion, read func(context.Context) ([]*Key, error)) (*Key, error) {
	one := r.at(name)
	one.mu.Lock()
	defer one.mu.Unlock()
	now := r.Now()
	if now.Sub(one.fetched) < remoteLife {
		if k := find(one.keys, a); k != nil {
			return k, nil
		}
	}
	if now.Sub(one.tried) < remoteRest {
		if one.err != nil {
			return nil, one.err
		}
		return nil, errNone
	}
	one.tried = now
	// Who asked may leave; others wait for the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if one.keys, one.err = read(ctx); one.err != nil {
		one.fetched = time.Time{}
		return nil, one.err
	}
	one.fetched = now
	if k := find(one.keys, a); k != nil {
		return k, nil
	}
	return nil, errNone
}

var errNone = errors.New("none of the keys at its jwks_uri made its signature")

func (r *Remote) at(address string) *remote {
	r.mu.Lock()
	defer r.mu.Unlock()
	one := r.all[address]
	if one == nil {
		if r.all == nil || len(r.all) >= maxRemotes {
			r.all = map[string]*remote{}
		}
		one = &remote{}
		r.all[address] = one
	}
	return one
}

// keysAt reads the keys at an address.
func keysAt(ctx context.Context, c *outbound.Client, address, bearer string) ([]*Key, error) {
	body, err := get(ctx, c, "jwks_uri", address, "application/jwk-set+json, application/json", bearer)
	if err != nil {
		return nil, err
	}
	keys, err := ParseKeys(body)
	if err != nil {
		return nil, fmt.Errorf("its jwks_uri: %w", err)
	}
	return keys, nil
}

// get reads what is at an address, which errors call what. bearer is a token to
// say who asks; empty is none.
func get(ctx context.Context, c *outbound.Client, what, address, accept, bearer string) ([]byte, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("its %s is no URL", what)
	}
	q.Header.Set("Accept", accept)
	if bearer != "" {
		q.Header.Set("Authorization", "Bearer "+bearer)
	}
	answer, err := c.Do(ctx, q)
	switch {
	case err != nil:
		return nil, fmt.Errorf("its %s: %s", what, outbound.Reason(err))
	case answer.Status != http.StatusOK:
		return nil, fmt.Errorf("its %s answers %d", what, answer.Status)
	case answer.Truncated:
		return nil, fmt.Errorf("its %s answers with more than 64 kB", what)
	}
	return answer.Body, nil
}

// find returns the key by which an assertion verifies, or nil.
func find(keys []*Key, a *Assertion) *Key {
	for _, k := range keys {
		if k.Verify(a) {
			return k
		}
	}
	return nil
}
