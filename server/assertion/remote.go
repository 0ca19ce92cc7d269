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

// Remote reads keys at addresses (jwks_uri), and remembers them for five minutes.
// It may be used by any goroutine; who waits for one address holds up nobody who
// waits for another.
type Remote struct {
	Client *outbound.Client
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
	one := r.at(address)
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
		return nil, errors.New("none of the keys at its jwks_uri made its signature")
	}
	one.tried = now
	if one.keys, one.err = r.fetch(ctx, address); one.err != nil {
		one.fetched = time.Time{}
		return nil, one.err
	}
	one.fetched = now
	if k := find(one.keys, a); k != nil {
		return k, nil
	}
	return nil, errors.New("none of the keys at its jwks_uri made its signature")
}

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

func (r *Remote) fetch(ctx context.Context, address string) ([]*Key, error) {
	// Who asked may leave; others wait for the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, errors.New("its jwks_uri is no URL")
	}
	q.Header.Set("Accept", "application/jwk-set+json, application/json")
	answer, err := r.Client.Do(ctx, q)
	switch {
	case err != nil:
		return nil, fmt.Errorf("its jwks_uri: %s", outbound.Reason(err))
	case answer.Status != http.StatusOK:
		return nil, fmt.Errorf("its jwks_uri answers %d", answer.Status)
	case answer.Truncated:
		return nil, errors.New("its jwks_uri answers with more than 64 kB")
	}
	keys, err := ParseKeys(answer.Body)
	if err != nil {
		return nil, fmt.Errorf("its jwks_uri: %w", err)
	}
	return keys, nil
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
