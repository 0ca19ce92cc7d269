package admin

import (
	"context"
	"time"

	"postern/server/assertion"
	"postern/server/certificate"
	"postern/server/outbound"
	"postern/server/secret"
	"postern/store"
)

// Rotation is the input for RotateSecret.
type Rotation struct {
	Label   string
	Overlap time.Duration // how long the old secrets go on; 0 ends them now
	Keep    bool          // the old ones go on as they are: a further secret
	Expiry  Expiry        // of the new secret; the zero value lives as long as the client
	Credential
	Trust    *Trust // or whose JWTs are as good as one
	Revision int64
}

// Credential stands in the place of a new secret: one of these, or none.
type Credential struct {
	JWK      string // a public key (private_key_jwt)
	JWKSURI  string // or where such keys are
	Cert     string // or a certificate, in PEM (RFC 8705 section 2.2)
	CertName string // or its name, where an authority issues it (section 2.1); see certificate.CheckName
}

// RotateSecret makes a new secret for a client and ends the old ones after an
// overlap.
func (a *Admin) RotateSecret(ctx context.Context, by *Actor, id store.ClientID, in Rotation) (*Created, error) {
	return once(ctx, a, by, opClientRotate, func(by *Actor) (*Created, error) {
		return a.rotateSecret(ctx, by, id, in)
	}, func(by *Actor, seen *store.Idempotency) (*Created, error) {
		return a.secretAgain(ctx, by, opClientRotate, seen)
	})
}

func (a *Admin) rotateSecret(ctx context.Context, by *Actor, id store.ClientID, in Rotation) (*Created, error) {
	old, err := a.client(ctx, by, opClientRotate, id)
	if err != nil {
		return nil, err
	}
	now := a.now()
	switch state := old.State(now); {
	case in.Revision != 0 && in.Revision != old.Revision:
		return nil, stale(old.Revision)
	case state != store.ClientActive && state != store.ClientPending:
		return nil, refuse(Conflict, "the client is %s; only an active client gets a new secret", state)
	case in.Overlap < 0:
		return nil, refuse(Invalid, "overlap: cannot be negative")
	}
	if err := checkKey(old, in.Credential, a.Now()); err != nil {
		return nil, err
	}
	rule, err := checkTrust(old, in)
	if err != nil {
		return nil, err
	}
	if err := a.makesSecret(ctx, by, opClientRotate, old); err != nil {
		return nil, err
	}
	c := *old
	c.Secrets = nil
	live := 0
	for _, s := range old.Secrets {
		if s.Live(now) && !in.Keep {
			s = retire(s, now, in.Overlap)
		}
		if s.Live(now) {
			live++
		}
		if s.Live(now) || s.ID == old.Secrets[0].ID {
			c.Secrets = append(c.Secrets, s)
		}
	}
	if live >= maxSecrets {
		return nil, refuse(Conflict, "the client has %d live secrets already; revoke one first", live)
	}
	var expires store.Time
	if in.Expiry.For > 0 {
		expires = now.Add(in.Expiry.For)
	}
	if old.Status == store.ClientPending && len(old.Secrets) == 0 {
		c.Status = store.ClientActive // made without one; this is its first
	}
	made := a.addSecret(&c, in.Label, expires, now)
	if in.isKey() {
		made.text = secret.Secret{}
		in.fill(&c.Secrets[0])
	}
	if rule != nil {
		made.text = secret.Secret{}
		c.Secrets[0].Hash, c.Secrets[0].Trust = nil, rule
	}
	if err := a.change(ctx, by, entry{operation: opClientRotate.Name, workspace: c.Workspace, before: old, after: &c, name: c.Name, made: madeSecretOf(c.ID, made.id)}, store.Update(&c)); err != nil {
		return nil, err
	}
	return &Created{Client: stored(&c, store.OpUpdate), Secret: made.text, SecretID: made.id, Warnings: warnSecret(&c)}, nil
}

// isKey reports whether a key or certificate of the client's is to stand in the
// place of a secret.
func (in *Credential) isKey() bool {
	return in.JWK != "" || in.JWKSURI != "" || in.Cert != "" || in.CertName != ""
}

// fill makes a new secret the key or certificate, which checkKey has seen.
func (in *Credential) fill(s *store.ClientSecret) {
	s.Hash, s.JWK, s.JWKSURI, s.CertName = nil, in.JWK, in.JWKSURI, in.CertName
	if in.Cert == "" {
		return
	}
	if cert, err := certificate.Parse(in.Cert); err == nil {
		s.X5T, s.ExpiresAt = certificate.Thumbprint(cert), s.ExpiresAt.Sooner(store.At(cert.NotAfter))
	}
}

// checkKey refuses a key that no assertion could be verified by, a certificate
// that no client could present, and either for a client of which a person is to
// have a secret.
func checkKey(c *store.Client, in Credential, now time.Time) error {
	given := 0
	for _, each := range []string{in.JWK, in.JWKSURI, in.Cert, in.CertName} {
		if each != "" {
			given++
		}
	}
	switch {
	case given == 0:
		return nil
	case given > 1:
		return refuse(Invalid, "jwk, jwks_uri, certificate and certificate_name are credentials each; add one at a time")
	case c.ClientKind == store.ClientPersonal || c.Bearer:
		return refuse(Conflict, "a personal token, and one that is sent as a bearer, is a secret; keys are for service clients")
	case len(in.JWK) > 4096:
		return refuse(Invalid, "jwk: has more than 4,096 bytes")
	}
	if in.Cert != "" {
		cert, err := certificate.Parse(in.Cert)
		if err == nil {
			err = certificate.Authentic(cert, now)
		}
		if err != nil {
			return refuse(Invalid, "certificate: %s", err)
		}
		return nil
	}
	if in.CertName != "" {
		if err := certificate.CheckName(in.CertName); err != nil {
			return refuse(Invalid, "certificate_name: %s", err)
		}
		return nil
	}
	if in.JWK != "" {
		if _, err := assertion.ParseKey([]byte(in.JWK)); err != nil {
			return refuse(Invalid, "jwk: %s", err)
		}
		return nil
	}
	if err := outbound.CheckURL(in.JWKSURI); err != nil || len(in.JWKSURI) > 1024 {
		return refuse(Invalid, "jwks_uri: must be a URL that begins with https://, of at most 1,024 bytes, without user, password and fragment")
	}
	return nil
}

// makesSecret refuses a secret to who may not have it: who makes one can act as
// the client's account.
func (a *Admin) makesSecret(ctx context.Context, by *Actor, op Operation, c *store.Client) error {
	if acc := by.Account(); c.ClientKind == store.ClientPersonal && (acc == nil || acc.ID != c.Account) && !by.machine {
		return a.refused(by, op, c.Workspace, "a personal client's secret is made by its owner alone; an administrator may revoke it")
	}
	return a.givesClient(ctx, by, op, c)
}

// warnSecret is the warning that goes with the newest secret of a client.
func warnSecret(c *store.Client) []string {
	if rule := c.Secrets[0].Trust; rule != nil && rule.Wide != "" {
		return []string{"This trust rule is wide: " + rule.Wide + "."}
	}
	if c.Secrets[0].IsKey() {
		return nil // nobody can lose what only the client has
	}
	if c.ExpiresAt != 0 || c.Secrets[0].ExpiresAt != 0 {
		return nil
	}
	return []string{"This secret never expires, as its client does not: prefer an end, and rotate."}
}

// retire ends a secret after an overlap.
func retire(s store.ClientSecret, now store.Time, overlap time.Duration) store.ClientSecret {
	if overlap == 0 {
		s.RevokedAt, s.Generation = now, s.Generation+1
		return s
	}
	s.ExpiresAt = s.ExpiresAt.Sooner(now.Add(overlap))
	return s
}

// RevokeSecret revokes one secret and, with it, the tokens it minted. It asks
// nothing: it is for an emergency, and RetireSecret for the everyday.
func (a *Admin) RevokeSecret(ctx context.Context, by *Actor, id store.ClientID, secretID store.SecretID) (*store.Client, error) {
	return a.RetireSecret(ctx, by, id, secretID, Retirement{Force: true})
}

// RevokeClient stops every further use of a client, and of the tokens it minted.
func (a *Admin) RevokeClient(ctx context.Context, by *Actor, id store.ClientID, reason string) (*store.Client, error) {
	old, err := a.client(ctx, by, opClientRevoke, id)
	if err != nil {
		return nil, err
	}
	if old.Status == store.ClientRevoked {
		return nil, refuse(Conflict, "the client is revoked already")
	}
	if len(reason) > maxName {
		return nil, refuse(Invalid, "reason: has more than %d characters", maxName)
	}
	c := *old
	c.Status, c.RevokedReason, c.RevokedAt, c.ConfirmBy = store.ClientRevoked, reason, a.now(), 0
	c.Generation++
	err = a.change(ctx, by, entry{operation: opClientRevoke.Name, workspace: c.Workspace, before: old, after: &c, name: c.Name}, store.Update(&c))
	return stored(&c, store.OpUpdate), err
}

// RestoreClient makes a revoked client work again. Access tokens from before
// the revoke stay dead, since its generation was raised and is not lowered.
func (a *Admin) RestoreClient(ctx context.Context, by *Actor, id store.ClientID) (*store.Client, error) {
	old, err := a.client(ctx, by, opClientRestore, id)
	if err != nil {
		return nil, err
	}
	now := a.now()
	h, err := a.State.Holder(ctx, old.Account)
	if err != nil {
		return nil, fromStore(opClientRestore.Name, err)
	}
	switch {
	case old.Status != store.ClientRevoked:
		return nil, refuse(Conflict, "only a revoked client is restored, and this one is %s", old.State(now))
	case old.RevokedReason == store.ReasonLeaked:
		return nil, refuse(Conflict, "a leaked client is never restored; make a new one")
	case old.ExpiresAt.Over(now):
		return nil, refuse(Conflict, "the client expired at %s; make a new one", old.ExpiresAt)
	case h.Account.Status != store.AccountActive:
		return nil, refuse(Conflict, "its account %s is %s; reactivate that first", h.Account.Name, h.Account.Status)
	case old.Workspace != "" && a.State.Workspace(old.Workspace) == nil:
		return nil, refuse(Conflict, "its workspace is gone")
	}
	if err := a.givesAccount(ctx, by, opClientRestore, h.Account, h.Grants); err != nil {
		return nil, err
	}
	c := *old
	c.Status, c.RevokedReason, c.RevokedAt = store.ClientActive, "", 0
	err = a.change(ctx, by, entry{operation: opClientRestore.Name, workspace: c.Workspace, before: old, after: &c, name: c.Name}, store.Update(&c))
	return stored(&c, store.OpUpdate), err
}

// DeleteClient ends a revoked client for ever. A tombstone keeps its id. One whose
// secret nobody confirmed never worked: it is deleted without a revoke, with the
// technical user that was made for it.
func (a *Admin) DeleteClient(ctx context.Context, by *Actor, id store.ClientID) error {
	old, err := a.client(ctx, by, opClientDelete, id)
	if err != nil {
		return err
	}
	switch old.Status {
	case store.ClientRevoked:
	case store.ClientPending:
		if err := a.drop(ctx, by, opClientDelete.Name, old); err != nil {
			return fromStore(opClientDelete.Name, err)
		}
		return nil
	default:
		return refuse(Conflict, "only a revoked client is deleted, and this one is %s; revoke it first", old.State(a.now()))
	}
	c := tombstone(old, a.now())
	return a.change(ctx, by, entry{operation: opClientDelete.Name, workspace: c.Workspace, before: old, after: c, name: c.Name}, store.Update(c))
}
