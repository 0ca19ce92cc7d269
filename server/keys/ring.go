// Package keys holds the keys that sign and seal access tokens, and those that
// sign what is said about tokens: it makes them
// when an algorithm is first used, rotates them, publishes the public ones
// (RFC 7517) and takes them back.
//
// The keys lie in the store, sealed by the key-encryption key (KEK), and every
// node holds all of them in a Ring. The id of a key is its use, algorithm and
// period, so of two nodes that make one at the same time the store's insert
// lets one win.
//
// A new key is published before it is used: it signs only when every verifier
// that caches the JWKS for JWKSMaxAge has it. The old one goes on verifying
// until the last token that it signed has ended. A revoked key is gone at once,
// and so are its tokens.
package keys

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"postern/server/secret"
	"postern/store"
)

const (
	// JWKSMaxAge is how long a verifier may keep the JWKS.
	JWKSMaxAge = 10 * time.Minute
	// Skew is how far the clocks of nodes and verifiers may be apart.
	Skew = time.Minute
)

// Store is what a Ring reads and writes.
type Store interface {
	Commit(ctx context.Context, writes ...store.Write) error
	All(ctx context.Context, yield func(store.Record) error, kinds ...store.Kind) error
}

// Options configures a Ring. Store and KEK are required.
type Options struct {
	Store Store
	KEK   *KEK

	RotateEvery time.Duration // 0 means 30 days
	// LongestTTL is the longest life that a token may have: what is configured, or
	// was within that time. Nil means 1 h.
	LongestTTL func() time.Duration
	// Audit returns the audit entry of a change that the Ring makes by itself:
	// "key.create", "key.rotate" or "key.delete". Nil means none.
	Audit func(operation string, key Info) []store.Write
	// Failed is told of each rotation that did not come about. Nil is told nothing.
	Failed func(ctx context.Context, algorithm string)
	Now    func() time.Time // nil means time.Now
	Log    *slog.Logger     // nil means no log
}

// Ring is the set of keys of an installation, as one node sees it. It learns of
// changes by Load and Apply.
type Ring struct {
	Options

	state atomic.Pointer[snapshot]
	jwks  atomic.Pointer[document]

	applying sync.Mutex    // serialises replacements of state
	changing chan struct{} // holds one: the change that this node is making
}

// New returns a Ring without keys.
func New(o Options) *Ring {
	if o.RotateEvery == 0 {
		o.RotateEvery = 30 * 24 * time.Hour
	}
	if o.LongestTTL == nil {
		o.LongestTTL = func() time.Duration { return time.Hour }
	}
	if o.Failed == nil {
		o.Failed = func(context.Context, string) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	r := &Ring{Options: o, changing: make(chan struct{}, 1)}
	r.state.Store(newSnapshot(map[store.KeyID]*entry{}))
	return r
}

func (r *Ring) now() store.Time { return store.At(r.Now()) }

// entry is one key, opened while it is of use.
type entry struct {
	record *store.Key
	kid    string
	signer *Signer // of an access key or one of statements
	sealer *Sealer // of a sealing key
}

// usable reports whether the key verifies or opens tokens.
func (e *entry) usable(now store.Time) bool {
	return e.record.RevokedAt == 0 && !e.record.RetireAt.Over(now) && (e.signer != nil || e.sealer != nil)
}

// headed is a signing key, found by the header of its tokens.
type headed struct {
	*entry
	typ string
}

// snapshot is every key at one moment. It does not change.
type snapshot struct {
	byID     map[store.KeyID]*entry
	byKID    map[string]*entry
	byHeader map[string]headed
	byKind   map[string][]*entry // by period
}

func newSnapshot(byID map[store.KeyID]*entry) *snapshot {
	s := &snapshot{byID, map[string]*entry{}, map[string]headed{}, map[string][]*entry{}}
	for _, e := range byID {
		s.byKID[e.kid] = e
		s.byKind[kindOf(e.record)] = append(s.byKind[kindOf(e.record)], e)
		if e.signer != nil && e.record.Use == store.UseAccess {
			s.byHeader[e.signer.accessToken] = headed{e, TypeAccessToken}
			s.byHeader[e.signer.jwt] = headed{e, TypeJWT}
		}
	}
	for _, group := range s.byKind {
		slices.SortFunc(group, func(a, b *entry) int { return cmp.Compare(a.record.Period, b.record.Period) })
	}
	return s
}

// active returns the key of a kind that signs or seals now: the newest
// whose time has come, or else the first usable one, since the node that made
// it may have a faster clock. It is nil if there is none.
func (s *snapshot) active(kind string, now store.Time) *entry {
	var first *entry
	for _, e := range slices.Backward(s.byKind[kind]) {
		if !e.usable(now) {
			continue
		}
		if e.record.ActiveAt <= now {
			return e
		}
		first = e
	}
	return first
}

// next returns the usable key that is to follow e, or nil.
func (s *snapshot) next(e *entry, now store.Time) *entry {
	for _, later := range s.byKind[kindOf(e.record)] {
		if later.record.Period > e.record.Period && later.usable(now) {
			return later
		}
	}
	return nil
}

// Load replaces all keys by those among records. A key that the key-encryption
// key does not open is an error that matches ErrSealed.
func (r *Ring) Load(records []store.Record) error {
	r.applying.Lock()
	defer r.applying.Unlock()
	known := r.state.Load().byID
	byID := map[store.KeyID]*entry{}
	for _, record := range records {
		k, ok := record.(*store.Key)
		if !ok {
			continue
		}
		e, err := r.open(k, known[k.ID])
		if err != nil {
			return err
		}
		byID[k.ID] = e
	}
	r.state.Store(newSnapshot(byID))
	return nil
}

// Apply takes in one change of a key; others are ignored.
func (r *Ring) Apply(c store.Change) error {
	if c.Kind != store.KindKey {
		return nil
	}
	if c.Record != nil {
		return r.put(c.Record)
	}
	r.applying.Lock()
	defer r.applying.Unlock()
	byID := maps.Clone(r.state.Load().byID)
	delete(byID, store.KeyID(c.Key))
	r.state.Store(newSnapshot(byID))
	return nil
}

// put takes in records that are newer than what is known.
func (r *Ring) put(records ...store.Record) error {
	r.applying.Lock()
	defer r.applying.Unlock()
	byID := maps.Clone(r.state.Load().byID)
	for _, record := range records {
		k, ok := record.(*store.Key)
		if !ok {
			continue
		}
		old := byID[k.ID]
		if old != nil && old.record.Revision >= k.Revision {
			continue
		}
		e, err := r.open(k, old)
		if err != nil {
			return err
		}
		byID[k.ID] = e
	}
	r.state.Store(newSnapshot(byID))
	return nil
}

// reload reads the keys anew, after another node was quicker.
func (r *Ring) reload(ctx context.Context) error {
	var records []store.Record
	err := r.Store.All(ctx, func(record store.Record) error {
		records = append(records, record)
		return nil
	}, store.KindKey)
	if err != nil {
		return fmt.Errorf("read the keys: %w", err)
	}
	return r.put(records...)
}

// open makes the entry of a record. Keys that are revoked or retired stay shut;
// what old has open already is taken over.
func (r *Ring) open(k *store.Key, old *entry) (*entry, error) {
	e := &entry{record: k, kid: kidOf(k)}
	if k.RevokedAt != 0 || k.RetireAt.Over(r.now()) {
		return e, nil
	}
	if old != nil && bytes.Equal(old.record.Sealed, k.Sealed) && old.kid == e.kid {
		e.signer, e.sealer = old.signer, old.sealer
		return e, nil
	}
	if u := use(kindOf(k)); u == "" || u != k.Use || k.Algorithm != algorithmOf(kindOf(k)) {
		r.Log.Warn("a key of an unknown kind is left alone", "key", k.ID, "use", k.Use, "algorithm", k.Algorithm)
		return e, nil
	}
	private, ok := r.KEK.open(k)
	if !ok && old != nil && old.kid == e.kid && (old.signer != nil || old.sealer != nil) {
		// Resealed meanwhile: the key itself is what it was.
		r.Log.Warn("a key was sealed by a key-encryption key that this node was not given; it goes on, but will not start again", "key", k.ID)
		e.signer, e.sealer = old.signer, old.sealer
		return e, nil
	}
	if !ok {
		return nil, fmt.Errorf("open key %s: %w; give the key-encryption key that this store was used with (keys.encryption_key may hold several, separated by commas)", k.ID, ErrSealed)
	}
	if k.Use == store.UseSeal {
		aead, err := chacha20poly1305.NewX(private)
		if err != nil {
			return nil, fmt.Errorf("open key %s: %w", k.ID, err)
		}
		e.sealer = &Sealer{KID: e.kid, aead: aead}
		return e, nil
	}
	key, err := parsePrivate(k.Algorithm, private)
	if err != nil {
		return nil, fmt.Errorf("open key %s: %w", k.ID, err)
	}
	// Who can write to the store, but lacks the KEK, must not be able to put a
	// public key of his own in the place of ours.
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, fmt.Errorf("open key %s: %w", k.ID, err)
	}
	if !bytes.Equal(public, k.Public) {
		return nil, fmt.Errorf("open key %s: its public part is not that of the sealed one: the store was tampered with", k.ID)
	}
	if e.signer, err = newSigner(e.kid, k.Algorithm, key); err != nil {
		return nil, fmt.Errorf("open key %s: %w", k.ID, err)
	}
	return e, nil
}

// KID returns what tokens and the JWKS call a key.
func KID(k *store.Key) string { return kidOf(k) }

// kidOf returns what tokens and the JWKS call a key: its id and, for a public
// key, some digits of its hash. Two installations, or one before and after it
// was restored without its keys, count the same periods: verifiers that
// remember a JWKS by kid must not take one key for the other.
func kidOf(k *store.Key) string {
	if len(k.Public) == 0 {
		return string(k.ID)
	}
	sum := sha256.Sum256(k.Public)
	return string(secret.AppendBase62([]byte(string(k.ID)+"-"), sum[:6]))
}

// Signer returns the key that signs with an algorithm now. The first use of an
// algorithm makes one, which writes to the store.
func (r *Ring) Signer(ctx context.Context, algorithm string) (*Signer, error) {
	if use(algorithm) != store.UseAccess {
		return nil, fmt.Errorf("no tokens are signed by the algorithm %q", algorithm)
	}
	e, err := r.active(ctx, algorithm)
	if err != nil {
		return nil, err
	}
	return e.signer, nil
}

// Statement returns the key that signs status lists and the feed of revocations
// now. The first use makes one, which writes to the store.
func (r *Ring) Statement(ctx context.Context) (*Signer, error) {
	e, err := r.active(ctx, Statement)
	if err != nil {
		return nil, err
	}
	return e.signer, nil
}

// Sealer returns the key that seals opaque tokens now. The first use makes one,
// which writes to the store.
func (r *Ring) Sealer(ctx context.Context) (*Sealer, error) {
	e, err := r.active(ctx, XC20P)
	if err != nil {
		return nil, err
	}
	return e.sealer, nil
}

func (r *Ring) active(ctx context.Context, kind string) (*entry, error) {
	if e := r.state.Load().active(kind, r.now()); e != nil {
		return e, nil
	}
	return r.first(ctx, kind)
}

// Usable reports whether the key with this kid is neither revoked nor retired.
func (r *Ring) Usable(kid string, now store.Time) bool {
	e := r.state.Load().byKID[kid]
	return e != nil && e.usable(now)
}

// Lookup returns the public key with this kid if access tokens that it signed
// are good now.
func (r *Ring) Lookup(kid string, now store.Time) (*Verifier, bool) {
	e := r.state.Load().byKID[kid]
	if e == nil || e.signer == nil || e.record.Use != store.UseAccess || !e.usable(now) {
		return nil, false
	}
	return &e.signer.Verifier, true
}

// LookupHeader returns the public key whose tokens begin with this encoded JOSE
// header, and the type that it names, if such tokens are good now.
func (r *Ring) LookupHeader(header string, now store.Time) (v *Verifier, typ string, ok bool) {
	h, ok := r.state.Load().byHeader[header]
	if !ok || !h.usable(now) {
		return nil, "", false
	}
	return &h.signer.Verifier, h.typ, true
}

// Opener returns the sealing key with this kid if what it sealed is good now.
func (r *Ring) Opener(kid string, now store.Time) (*Sealer, bool) {
	e := r.state.Load().byKID[kid]
	if e == nil || e.sealer == nil || !e.usable(now) {
		return nil, false
	}
	return e.sealer, true
}

// isSaved reports whether a commit was done though this node has not seen it
// come back.
func isSaved(err error) bool {
	u, ok := errors.AsType[*store.Unavailable](err)
	return ok && u.Saved
}
