// Package slow compares imported secrets with their slow hashes (bcrypt, PBKDF2,
// argon2id) without the node becoming slow by it.
//
// A slow hash is computed two at a time; 32 more wait, and everyone else is told
// to come again (ErrBusy). A secret that was found right is remembered by its
// digest, so that it costs as little as any other from then on; what was wrong
// is not. After its first use a secret is kept by what it needs and no more: by
// its SHA-256 if it is strong (secret.Strong), else by argon2id.
//
// While any imported secret is left, whoever fails has caused one slow hash: an
// unknown client, or one without an imported secret, that of a decoy. Which it
// is cannot be told by the time it took.
package slow

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/sync/singleflight"

	"postern/server/secret"
	"postern/store"
)

// ErrBusy means that too many slow comparisons wait already. Come again shortly.
var ErrBusy = errors.New("too many imported secrets are being checked")

const (
	atOnce    = 2   // slow hashes at the same time
	mostWait  = 32  // and so many more that wait for that
	mostLater = 256 // secrets waiting to be kept by another hash
)

// Options configures a Checker. Cost is required.
type Options struct {
	// Cost is what a comparison costs with one of the imported secrets that are
	// left (store.SlowCost), chosen by the number; empty while there are none.
	Cost func(n uint64) string
	// Key makes the choice of a cost for a client's id secret. Nodes of one
	// installation have the same.
	Key []byte
	// Rehash keeps a secret of a client by another hash than old: a SHA-256, or a
	// slow one. nil leaves all as they are.
	Rehash func(ctx context.Context, client store.ClientID, id store.SecretID, old string, hash []byte, slow string) error
	// Matches compares; nil means secret.MatchesSlow.
	Matches  func(given secret.Secret, hash string) (bool, error)
	Remember int          // at most so many secrets; zero means 100,000
	Log      *slog.Logger // nil means no log
}

// Checker compares. It may be used by any goroutine; see Run.
type Checker struct {
	o       Options
	seed    [32]byte // of the memory, so that it holds no digest that means anything elsewhere
	known   *otter.Cache[[sha256.Size]byte, struct{}]
	flights singleflight.Group
	slots   chan struct{}
	waiting atomic.Int64
	later   chan rehash
}

// New returns a Checker. It starts nothing.
func New(o Options) *Checker {
	if o.Matches == nil {
		o.Matches = secret.MatchesSlow
	}
	if o.Remember == 0 {
		o.Remember = 100_000
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	c := &Checker{
		o: o, slots: make(chan struct{}, atOnce), later: make(chan rehash, mostLater),
		known: otter.Must(&otter.Options[[sha256.Size]byte, struct{}]{MaximumSize: o.Remember}),
	}
	_, _ = rand.Read(c.seed[:]) // crypto/rand.Read never fails
	return c
}

// Needed reports whether Check would compute anything for a client: nil is an
// unknown one.
func (c *Checker) Needed(client *store.Client) bool {
	return client != nil && client.SlowSecret() != nil || c.o.Cost(0) != ""
}

// Remembered returns the client's imported secret if the one with this digest
// was found to be it before, or nil.
func (c *Checker) Remembered(client *store.Client, digest []byte) *store.ClientSecret {
	if client == nil {
		return nil
	}
	kept := client.SlowSecret()
	if kept == nil {
		return nil
	}
	if _, known := c.known.GetIfPresent(c.key(client.ID, kept.SlowHash, digest)); !known {
		return nil
	}
	return kept
}

// Check returns the client's imported secret if given is it, or nil. id is what
// the client calls itself; client is nil if there is none of this id. While any
// imported secret is left it computes exactly one slow hash, whoever the client
// is. Any error means that nobody can say now; ErrBusy is one.
func (c *Checker) Check(ctx context.Context, id store.ClientID, client *store.Client, given secret.Secret, digest []byte) (*store.ClientSecret, error) {
	var kept *store.ClientSecret
	if client != nil {
		kept = client.SlowSecret()
	}
	hash := ""
	if kept != nil {
		hash = kept.SlowHash
	} else {
		var err error
		if hash, err = c.decoy(id); hash == "" {
			return nil, err
		}
	}
	key := c.key(id, hash, digest)
	// Many machines may share one client and start at once: one of them computes.
	// It goes on when the one who began it gives up: others wait too.
	flight := c.flights.DoChan(string(key[:]), func() (any, error) {
		return c.compare(context.WithoutCancel(ctx), given, hash)
	})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case result := <-flight:
		if matched, _ := result.Val.(bool); !matched || kept == nil {
			return nil, result.Err
		}
	}
	c.known.Set(key, struct{}{})
	c.rehashLater(client.ID, kept, given, digest)
	return kept, nil
}

// compare computes a slow hash when its turn has come.
func (c *Checker) compare(ctx context.Context, given secret.Secret, hash string) (bool, error) {
	select {
	case c.slots <- struct{}{}:
	default:
		if c.waiting.Add(1) > mostWait {
			c.waiting.Add(-1)
			return false, ErrBusy
		}
		c.slots <- struct{}{}
		c.waiting.Add(-1)
	}
	defer func() { <-c.slots }()
	matched, err := c.o.Matches(given, hash)
	if errors.Is(err, secret.ErrSlowHash) {
		// Nothing can match it, and nothing gets better by an error.
		c.o.Log.ErrorContext(ctx, "a secret is kept by a hash that cannot be used", "error", err)
		return false, nil
	}
	return matched, err
}

// decoy is a hash that costs what one of the imported secrets does, the same
// for the same id as long as these stay the same. It is empty when there are none.
func (c *Checker) decoy(id store.ClientID) (string, error) {
	mac := hmac.New(sha256.New, c.o.Key)
	mac.Write([]byte(id))
	cost := c.o.Cost(binary.BigEndian.Uint64(mac.Sum(nil)))
	if cost == "" {
		return "", nil
	}
	hash, err := secret.Decoy(cost)
	if err != nil {
		return "", fmt.Errorf("make a decoy: %w", err)
	}
	return hash, nil
}

// key is what a secret of a client is remembered by.
func (c *Checker) key(client store.ClientID, hash string, digest []byte) [sha256.Size]byte {
	text := make([]byte, 0, 384) // most need no more, and that stays on the stack
	text = append(text, c.seed[:]...)
	text = append(text, digest...) // of one length
	text = append(text, client...)
	text = append(text, 0) // in neither of them
	text = append(text, hash...)
	return sha256.Sum256(text)
}

// rehash is a secret that was found right, to be kept by another hash.
type rehash struct {
	client store.ClientID
	id     store.SecretID
	old    string
	given  secret.Secret
	digest []byte
}

func (c *Checker) rehashLater(client store.ClientID, kept *store.ClientSecret, given secret.Secret, digest []byte) {
	if c.o.Rehash == nil || secret.IsArgon2id(kept.SlowHash) && !given.Strong() {
		return
	}
	select {
	case c.later <- rehash{client, kept.ID, kept.SlowHash, given, digest}:
	default: // its turn comes when it is checked again
	}
}

// Run keeps secrets that were used by another hash, until ctx is done. While the
// store is down it tries again.
func (c *Checker) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case r := <-c.later:
			c.rehash(ctx, r)
		}
	}
}

func (c *Checker) rehash(ctx context.Context, r rehash) {
	hash, kept := r.digest, ""
	if !r.given.Strong() {
		select {
		case c.slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		var err error
		hash = nil
		kept, err = secret.HashPassword(r.given)
		<-c.slots
		if err != nil {
			c.o.Log.ErrorContext(ctx, "an imported secret keeps its old hash", "client", string(r.client), "error", err)
			return
		}
	}
	if kept != "" {
		// Before it is kept: from then on requests look for it, and it was made of
		// what was right.
		c.known.Set(c.key(r.client, kept, r.digest), struct{}{})
	}
	pause := time.Second
	for {
		err := c.o.Rehash(ctx, r.client, r.id, r.old, hash, kept)
		switch {
		case err == nil, ctx.Err() != nil:
			return
		case !errors.Is(err, store.ErrUnavailable):
			c.o.Log.WarnContext(ctx, "an imported secret keeps its old hash", "client", string(r.client), "error", err)
			return
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
		pause = min(2*pause, time.Minute)
	}
}
