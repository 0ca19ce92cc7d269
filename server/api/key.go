package api

import (
	"context"

	"postern/server/admin"
	"postern/server/keys"
)

// Key is a signing or sealing key as it is shown: never the key itself.
type Key struct {
	KID       string `json:"kid"`
	ID        string `json:"id"`
	Use       string `json:"use"`
	Algorithm string `json:"algorithm"`
	Period    int64  `json:"period"`
	State     string `json:"state"`
	CreatedAt Time   `json:"created_at"`
	ActiveAt  Time   `json:"active_at"`
	RetireAt  Time   `json:"retire_at"`
	RevokedAt Time   `json:"revoked_at"`
}

type keyAnswer struct{ Body Key }

func (m *mounted) keys() {
	register(m, "key.list", func(ctx context.Context, by *admin.Actor, _ *struct{}) (*listAnswer[Key], error) {
		all, err := m.Admin.Keys(ctx, by)
		if err != nil {
			return nil, err
		}
		out := &listAnswer[Key]{List[Key]{Items: make([]Key, len(all)), Total: new(len(all))}}
		for i, k := range all {
			out.Body.Items[i] = wireKey(k)
		}
		return out, nil
	})
	register(m, "key.rotate", func(ctx context.Context, by *admin.Actor, in *struct {
		Body struct {
			Algorithm string `json:"algorithm" enum:"ES256,EdDSA,RS256,XC20P,statement"`
		}
	},
	) (*keyAnswer, error) {
		k, err := m.Admin.RotateKey(ctx, by, in.Body.Algorithm)
		return &keyAnswer{wireKey(k)}, err
	}, created)
	register(m, "key.revoke", func(ctx context.Context, by *admin.Actor, in *struct {
		Key string `path:"key" maxLength:"200" doc:"Its kid."`
	},
	) (*keyAnswer, error) {
		k, err := m.Admin.RevokeKey(ctx, by, in.Key)
		return &keyAnswer{wireKey(k)}, err
	})
	register(m, "key.reseal", func(ctx context.Context, by *admin.Actor, _ *struct{}) (*struct {
		Body struct {
			Keys int `json:"keys" doc:"How many were sealed."`
		}
	}, error,
	) {
		n, err := m.Admin.ResealKeys(ctx, by)
		out := &struct {
			Body struct {
				Keys int `json:"keys" doc:"How many were sealed."`
			}
		}{}
		out.Body.Keys = n
		return out, err
	})
}

func wireKey(k keys.Info) Key {
	return Key{
		KID: k.KID, ID: string(k.ID), Use: k.Use, Algorithm: k.Algorithm, Period: k.Period, State: string(k.State),
		CreatedAt: Time(k.CreatedAt), ActiveAt: Time(k.ActiveAt), RetireAt: Time(k.RetireAt), RevokedAt: Time(k.RevokedAt),
	}
}
