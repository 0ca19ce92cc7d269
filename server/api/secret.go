package api

import (
	"context"
	"time"

	"postern/server/admin"
	"postern/store"
)

// Rotate is the body of POST /clients/{client}/secrets.
type Rotate struct {
	Label     string     `json:"label,omitempty" maxLength:"200"`
	Overlap   string     `json:"overlap,omitempty" doc:"How long the old secrets go on, such as 1h, 24h or 7d; empty ends them now."`
	Keep      bool       `json:"keep,omitempty" doc:"The old secrets go on as they are."`
	ExpiresIn string     `json:"expires_in,omitempty" doc:"Of the new secret; empty lives as long as the client."`
	JWK       string     `json:"jwk,omitempty" maxLength:"4096" doc:"A public key (RFC 7517) in the place of a new secret, for private_key_jwt."`
	JWKSURI   string     `json:"jwks_uri,omitempty" maxLength:"1024" doc:"Or where such keys are: an https URL."`
	Cert      string     `json:"certificate,omitempty" maxLength:"16384" doc:"Or a certificate in PEM, for mutual TLS (self_signed_tls_client_auth)."`
	CertName  string     `json:"certificate_name,omitempty" maxLength:"1024" doc:"Or its name in one of a trusted authority (tls_client_auth): subject:CN=ci,O=Example, dns:, uri:, ip: or email: and the name."`
	Trust     *TrustMake `json:"trust,omitempty" doc:"Or whose JWTs are as good: those that another issuer makes for a workload."`
}

func (m *mounted) secrets() {
	register(m, "client.rotate", m.rotate, created)
	register(m, "client.secret.revoke", m.retire)
}

// retire ends one secret, now or after an overlap.
func (m *mounted) retire(ctx context.Context, by *admin.Actor, in *struct {
	ClientPath
	Condition
	Secret  string `path:"secret" maxLength:"64"`
	Overlap string `query:"overlap" doc:"How long it goes on, such as 1h, 24h or 7d; empty ends it now, with the tokens it minted."`
	Force   bool   `query:"force" doc:"End it though it was used within the last 24 hours, which is otherwise refused with who used it."`
},
) (*changedClientAnswer, error) {
	retirement := admin.Retirement{Force: in.Force, Revision: in.revision()}
	message := "The secret has been successfully revoked."
	if in.Overlap != "" {
		var err error
		if retirement.Overlap, err = duration("query.overlap", in.Overlap); err != nil {
			return nil, err
		}
		if retirement.Overlap > 0 {
			message = "The secret ends in " + in.Overlap + "."
		}
	}
	c, err := m.Admin.RetireSecret(ctx, by, in.id(), store.SecretID(in.Secret), retirement)
	return m.changed(ctx, message, c, err)
}

type rotateInput struct {
	ClientPath
	Condition
	Repeatable
	Body *Rotate
}

func (m *mounted) rotate(ctx context.Context, by *admin.Actor, in *rotateInput) (*newSecretAnswer, error) {
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
		Label: b.Label, Overlap: overlap, Keep: b.Keep, Expiry: ends, Revision: in.revision(), Credential: admin.Credential{JWK: b.JWK, JWKSURI: b.JWKSURI, Cert: b.Cert, CertName: b.CertName}, Trust: b.Trust.rule(),
	})
	return m.newSecret(ctx, made, err)
}
