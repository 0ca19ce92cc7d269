package keys

import (
	"context"
	"errors"
	"fmt"
	"time"

	"postern/store"
)

// ErrRotating is a rotation of an algorithm whose next key is published already.
var ErrRotating = errors.New("its next key is published already, and not yet used")

// The changes that a Ring makes by itself.
const (
	opCreate = "key.create"
	opRotate = "key.rotate"
	opDelete = "key.delete"
)

const (
	tick     = time.Minute
	attempts = 3 // of a change that another node's crosses
	// keep is how long a key stays listed after it is of no more use.
	keep = 7 * 24 * time.Hour
)

// Run rotates keys when their time has come and removes old ones, until ctx is
// done. It runs on every node; of several that rotate at once one wins.
func (r *Ring) Run(ctx context.Context) error {
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		r.maintain(ctx)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
	}
}

func (r *Ring) maintain(ctx context.Context) {
	for algorithm := range r.state.Load().byKind {
		s, now := r.state.Load(), r.now()
		e := s.active(algorithm, now)
		if e == nil || s.next(e, now) != nil || now < e.record.ActiveAt.Add(r.RotateEvery-JWKSMaxAge-Skew) {
			continue
		}
		switch _, err := r.rotate(ctx, algorithm, opRotate); {
		case err == nil, errors.Is(err, ErrRotating): // the other node won
		default:
			r.Log.WarnContext(ctx, "a key was not rotated, and will be tried again", "algorithm", algorithm, "error", err)
			if ctx.Err() == nil {
				r.Failed(ctx, algorithm)
			}
		}
	}
	r.prune(ctx)
}

// prune deletes keys that have long been of no use. The newest of an algorithm
// stays, since it holds the count of periods.
func (r *Ring) prune(ctx context.Context) {
	s, now := r.state.Load(), r.now()
	for _, group := range s.byKind {
		for _, e := range group[:len(group)-1] {
			k := e.record
			if end := k.RetireAt.Sooner(k.RevokedAt); end == 0 || !end.Add(keep).Over(now) {
				continue
			}
			writes := append([]store.Write{store.Delete(k)}, r.audit(opDelete, s.info(e, now))...)
			if err := r.Store.Commit(ctx, writes...); err != nil && !errors.Is(err, store.ErrConflict) {
				r.Log.WarnContext(ctx, "an old key was not deleted, and will be tried again", "key", k.ID, "error", err)
			}
		}
	}
}

func (r *Ring) audit(operation string, key Info) []store.Write {
	if r.Audit == nil {
		return nil
	}
	return r.Audit(operation, key)
}

// Rotate publishes the next key of an algorithm, which is used from JWKSMaxAge
// and Skew later on, and commits also with it. Where the algorithm has no key
// yet, its first one is used at once. ErrRotating means that there is a next
// key already.
func (r *Ring) Rotate(ctx context.Context, algorithm string, also ...store.Write) (Info, error) {
	if use(algorithm) == "" {
		return Info{}, fmt.Errorf("no keys are made for the algorithm %q", algorithm)
	}
	return r.rotate(ctx, algorithm, "", also...)
}

// begin waits for its turn to make a change.
func (r *Ring) begin(ctx context.Context) (done func(), err error) {
	select {
	case r.changing <- struct{}{}:
		return func() { <-r.changing }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for another change of the keys: %w", context.Cause(ctx))
	}
}

// rotate makes the next key of an algorithm or, if reason is opCreate, the first
// one only. An empty reason is an administrator's, who brings his audit along.
func (r *Ring) rotate(ctx context.Context, algorithm, reason string, also ...store.Write) (Info, error) {
	done, err := r.begin(ctx)
	if err != nil {
		return Info{}, err
	}
	defer done()
	for range attempts {
		s, now := r.state.Load(), r.now()
		old := s.active(algorithm, now)
		if old != nil && (reason == opCreate || s.next(old, now) != nil) {
			return Info{}, fmt.Errorf("make a %s key: %w", algorithm, ErrRotating)
		}
		activeAt, state := now, StateActive
		if old != nil {
			activeAt, state = now.Add(JWKSMaxAge+Skew), StateNext
		}
		k, err := r.make(s, algorithm, now, activeAt)
		if err != nil {
			return Info{}, err
		}
		writes := []store.Write{store.Insert(k)}
		if old != nil {
			retiring := *old.record
			retiring.RetireAt = activeAt.Add(r.LongestTTL() + Skew)
			writes = append(writes, store.Update(&retiring))
		}
		info := Info{
			KID: kidOf(k), ID: k.ID, Use: string(k.Use), Algorithm: k.Algorithm, Period: k.Period,
			State: state, CreatedAt: k.CreatedAt, ActiveAt: k.ActiveAt,
		}
		if reason != "" {
			also = r.audit(reason, info)
		}
		switch err = r.commit(ctx, writes, also); {
		case err == nil:
			r.Log.InfoContext(ctx, "a key was published", "key", info.KID, "signs_from", info.ActiveAt)
			return info, nil
		case !errors.Is(err, store.ErrExists) && !errors.Is(err, store.ErrConflict):
			return info, fmt.Errorf("rotate the %s key: %w", algorithm, err)
		}
		if old == nil && r.state.Load().active(algorithm, now) != nil {
			// Another node made the first one, and one was all that was wanted.
			return Info{}, fmt.Errorf("make a %s key: %w", algorithm, ErrRotating)
		}
	}
	return Info{}, fmt.Errorf("rotate the %s key: %w", algorithm, store.ErrConflict)
}

// first makes the first key of an algorithm, or waits for whoever does. No
// verifier can know it yet, but each has to ask for the JWKS when it meets an
// unknown kid.
func (r *Ring) first(ctx context.Context, algorithm string) (*entry, error) {
	_, err := r.rotate(ctx, algorithm, opCreate)
	if e := r.state.Load().active(algorithm, r.now()); e != nil {
		return e, nil // by us or by another, and whether or not it came back yet
	}
	if err == nil {
		err = store.ErrConflict
	}
	return nil, fmt.Errorf("no %s key can be had: %w", algorithm, err)
}

// Revoke takes a key back: it leaves the JWKS at once, the tokens that it signed
// or sealed are dead, and its private part is destroyed. If it was the active
// one, the next, or else a new one, is used at once. Also is committed with it.
// A kid that no key has is ErrUnknownKey; a second time changes nothing.
func (r *Ring) Revoke(ctx context.Context, kid string, also ...store.Write) (Info, error) {
	done, err := r.begin(ctx)
	if err != nil {
		return Info{}, err
	}
	defer done()
	for range attempts {
		s, now := r.state.Load(), r.now()
		e := s.byKID[kid]
		if e == nil {
			return Info{}, fmt.Errorf("revoke key %q: %w", kid, ErrUnknownKey)
		}
		if e.record.RevokedAt != 0 {
			return s.info(e, now), nil
		}
		writes, err := r.revocation(s, e, now)
		if err != nil {
			return Info{}, err
		}
		err = r.commit(ctx, writes, also)
		s = r.state.Load()
		if err == nil {
			r.Log.InfoContext(ctx, "a key was revoked", "key", kid)
			return s.info(s.byKID[kid], now), nil
		}
		if !errors.Is(err, store.ErrExists) && !errors.Is(err, store.ErrConflict) {
			return Info{}, fmt.Errorf("revoke key %q: %w", kid, err)
		}
	}
	return Info{}, fmt.Errorf("revoke key %q: %w", kid, store.ErrConflict)
}

// revocation returns the writes that revoke e and leave its algorithm with a key
// to go on with.
func (r *Ring) revocation(s *snapshot, e *entry, now store.Time) ([]store.Write, error) {
	revoked := *e.record
	revoked.RevokedAt, revoked.Sealed = now, nil
	writes := []store.Write{store.Update(&revoked)}
	active := s.active(kindOf(e.record), now)
	switch {
	case e == active:
		if next := s.next(e, now); next != nil {
			promoted := *next.record
			promoted.ActiveAt = now
			return append(writes, store.Update(&promoted)), nil
		}
		k, err := r.make(s, kindOf(e.record), now, now)
		if err != nil {
			return nil, err
		}
		return append(writes, store.Insert(k)), nil
	case active != nil && e == s.next(active, now):
		goesOn := *active.record
		goesOn.RetireAt = 0
		return append(writes, store.Update(&goesOn)), nil
	default:
		return writes, nil
	}
}

// Reseal seals every key anew by the first key-encryption key, after which the
// others can be dropped, and commits also with it. It returns how many keys
// there are. The private parts of keys of no more use are destroyed.
func (r *Ring) Reseal(ctx context.Context, also ...store.Write) (int, error) {
	done, err := r.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer done()
	// What was made a moment ago by another node must not be left behind.
	if err := r.reload(ctx); err != nil {
		return 0, fmt.Errorf("reseal the keys: %w", err)
	}
	now, resealed := r.now(), 0
	var writes []store.Write
	for _, e := range r.state.Load().byID {
		k := *e.record
		if k.RevokedAt != 0 || k.RetireAt.Over(now) {
			if k.Sealed == nil {
				continue
			}
			k.Sealed = nil
		} else {
			private, ok := r.KEK.open(&k)
			if !ok {
				return 0, fmt.Errorf("reseal key %s: %w", k.ID, ErrSealed)
			}
			k.Sealed = r.KEK.seal(&k, private)
			resealed++
		}
		writes = append(writes, store.Update(&k))
	}
	if err := r.commit(ctx, writes, also); err != nil {
		return 0, fmt.Errorf("reseal the keys: %w", err)
	}
	return resealed, nil
}

// make makes the record of the next key of a kind.
func (r *Ring) make(s *snapshot, kind string, now, activeAt store.Time) (*store.Key, error) {
	period := int64(1)
	if group := s.byKind[kind]; len(group) > 0 {
		period = group[len(group)-1].record.Period + 1
	}
	algorithm := algorithmOf(kind)
	private, public, err := generate(algorithm)
	if err != nil {
		return nil, err
	}
	k := &store.Key{
		ID:  store.KeyID(fmt.Sprintf("%s-%s-%d", use(kind), algorithm, period)),
		Use: use(kind), Algorithm: algorithm, Period: period, Public: public,
		CreatedAt: now, ActiveAt: activeAt,
	}
	k.Sealed = r.KEK.seal(k, private)
	return k, nil
}

// commit writes keys and what goes with them, and takes the keys in without
// waiting for the feed. After an error that says that another node was quicker,
// it has read what that node wrote.
func (r *Ring) commit(ctx context.Context, writes, also []store.Write) error {
	err := r.Store.Commit(ctx, append(writes, also...)...)
	switch {
	case err == nil || isSaved(err):
		for _, w := range writes {
			if putErr := r.put(w.Stored()); putErr != nil {
				return putErr
			}
		}
	case errors.Is(err, store.ErrExists) || errors.Is(err, store.ErrConflict):
		if readErr := r.reload(ctx); readErr != nil {
			return readErr
		}
	}
	return err
}
