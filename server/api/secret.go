package api

import (
	"context"
	"time"

	"postern/server/admin"
	"postern/store"
)

// Rotate is the body of POST /clients/{client}/secrets.
type Rotate struct {
	Label     string `json:"label,omitempty" maxLength:"200"`
	Overlap   string `json:"overlap,omitempty" doc:"How long the old secrets go on, such as 1h, 24h or 7d; empty ends them now."`
	Keep      bool   `json:"keep,omitempty" doc:"The old secrets go on as they are."`
	ExpiresIn string `json:"expires_in,omitempty" doc:"Of the new secret; empty lives as long as the client."`
}

func (m *mounted) secrets() {
	register(m, "client.rotate", m.rotate, created)
	register(m, "client.secret.revoke", func(ctx context.Context, by *admin.Actor, in *struct {
		ClientPath
		Secret string `path:"secret" maxLength:"64"`
	},
	) (*changedClientAnswer, error) {
		c, err := m.Admin.RevokeSecret(ctx, by, in.id(), store.SecretID(in.Secret))
		return m.changed(ctx, "The secret has been successfully revoked.", c, err)
	})
}

func (m *mounted) rotate(ctx context.Context, by *admin.Actor, in *struct {
	ClientPath
	Condition
	Body *Rotate
},
) (*newSecretAnswer, error) {
	b := in.Body
	if b == nil {
		b = &Rotate{}
	}
	ends, err := expiry(b.ExpiresIn, nil)
	if err != nil {
		return nil, err
	}
	var overlap time.Duration
	if b.Overlap != "" {
		if overlap, err = duration("body.overlap", b.Overlap); err != nil {
			return nil, err
		}
	}
	made, err := m.Admin.RotateSecret(ctx, by, in.id(), admin.Rotation{
		Label: b.Label, Overlap: overlap, Keep: b.Keep, Expiry: ends, Revision: in.revision(),
	})
	return m.newSecret(ctx, made, err)
}
