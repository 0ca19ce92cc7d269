package keys

import (
	"cmp"
	"fmt"
	"slices"

	"postern/store"
)

// Info is what may be told of a key.
type Info struct {
	KID       string      `json:"kid"`
	ID        store.KeyID `json:"id"` // of its record
	Use       string      `json:"use"`
	Algorithm string      `json:"algorithm"`
	Period    int64       `json:"period"`
	State     State       `json:"state"`
	CreatedAt store.Time  `json:"created_at"`
	ActiveAt  store.Time  `json:"active_at"`
	RetireAt  store.Time  `json:"retire_at,omitempty"`
	RevokedAt store.Time  `json:"revoked_at,omitempty"`
}

// State is where a key is in its life.
type State string

// The states of a key.
const (
	StateNext     State = "next"     // published, and not yet used
	StateActive   State = "active"   // signs or seals
	StateRetiring State = "retiring" // its tokens are still good
	StateRetired  State = "retired"
	StateRevoked  State = "revoked"
)

// ErrUnknownKey is a kid that no key has. It matches store.ErrNotFound.
var ErrUnknownKey = fmt.Errorf("no key has this kid: %w", store.ErrNotFound)

// List returns every key, by algorithm, use and period.
func (r *Ring) List() []Info {
	s, now := r.state.Load(), r.now()
	list := make([]Info, 0, len(s.byID))
	for _, e := range s.byID {
		list = append(list, s.info(e, now))
	}
	slices.SortFunc(list, func(a, b Info) int {
		return cmp.Or(cmp.Compare(a.Algorithm, b.Algorithm), cmp.Compare(a.Use, b.Use), cmp.Compare(a.Period, b.Period))
	})
	return list
}

func (s *snapshot) info(e *entry, now store.Time) Info {
	k := e.record
	i := Info{
		KID: e.kid, ID: k.ID, Use: string(k.Use), Algorithm: k.Algorithm, Period: k.Period,
		CreatedAt: k.CreatedAt, ActiveAt: k.ActiveAt, RetireAt: k.RetireAt, RevokedAt: k.RevokedAt,
	}
	active := s.active(kindOf(k), now)
	switch {
	case k.RevokedAt != 0:
		i.State = StateRevoked
	case k.RetireAt.Over(now):
		i.State = StateRetired
	case active == nil || e == active:
		i.State = StateActive
	case k.Period > active.record.Period:
		i.State = StateNext
	default:
		i.State = StateRetiring
	}
	return i
}
