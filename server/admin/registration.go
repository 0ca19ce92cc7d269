package admin

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"strings"

	"postern/server/secret"
	"postern/store"
)

// registrationPrefix is what the tokens of registrations begin with.
const registrationPrefix = "prt_"

// newRegistration gives a client the token by which its registration is changed
// (RFC 7592 section 3), and returns it.
func newRegistration(c *store.Client) secret.Secret {
	text := registrationPrefix + rand.Text() + rand.Text()
	sum := sha256.Sum256([]byte(text))
	c.RegistrationHash = sum[:]
	return secret.Of(text)
}

// Registrant is who has the registration token of a client: it acts as the client,
// on the client alone.
type Registrant struct {
	*Actor
}

// Registrant finds out whose registration token a text is. The error is
// Unauthenticated for any that is none of that client's, and where there is no such
// client: nobody learns which.
func (a *Admin) Registrant(ctx context.Context, id store.ClientID, text string, from *Actor) (Registrant, error) {
	refused := refuse(Unauthenticated, "the registration token is not good here")
	sum := sha256.Sum256([]byte(text)) // as long for a client that there is not
	c, err := a.State.Client(ctx, id)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return Registrant{}, fromStore(opClientGet.Name, err)
	}
	if err != nil || !secret.EqualHash(sum[:], c.RegistrationHash) || c.State(a.now()) != store.ClientActive {
		return Registrant{}, refused
	}
	h, err := a.State.Holder(ctx, c.Account)
	if err != nil {
		return Registrant{}, fromStore(opClientGet.Name, err)
	}
	if h.Account.Status != store.AccountActive {
		return Registrant{}, refused
	}
	by := *from
	by.Holder, by.Client, by.Workspace = h, c, c.Workspace
	return Registrant{&by}, nil
}

// Registration is what a registrant may change. It is the whole of it: what is
// left out is so in the client, too (RFC 7592 section 2.2).
type Registration struct {
	Name        string
	AuthMethods []string
	Binding     store.TokenBinding
	Credential  Credential // that it authenticates by from then on; none keeps what it has
}

// EditRegistration changes a client as its registrant wants. Its rights are not
// the registrant's to change, nor is a binding theirs to loosen.
func (a *Admin) EditRegistration(ctx context.Context, by Registrant, in Registration) (*store.Client, error) {
	old := by.Client
	c := *old
	c.Name, c.AuthMethods, c.Binding = strings.TrimSpace(in.Name), in.AuthMethods, in.Binding
	var f faults
	checkTexts(&f, &c)
	checkBinding(&f, &c)
	if err := f.err(); err != nil {
		return nil, err
	}
	if old.Binding != "" && c.Binding != old.Binding {
		return nil, a.refused(by.Actor, opClientEdit, old.Workspace, "a client does not loosen what binds itself; use another credential")
	}
	if err := checkKey(&c, in.Credential, a.Now()); err != nil {
		return nil, err
	}
	if in.Credential.isKey() {
		now := a.now()
		c.Secrets = nil
		for _, s := range old.Secrets {
			if s.Live(now) {
				s = retire(s, now, 0)
			}
			if s.ID == old.Secrets[0].ID {
				c.Secrets = append(c.Secrets, s)
			}
		}
		a.addSecret(&c, "", 0, now)
		in.Credential.fill(&c.Secrets[0])
	}
	err := a.change(ctx, by.Actor, entry{operation: opClientEdit.Name, workspace: c.Workspace, before: old, after: &c, name: c.Name}, store.Update(&c))
	return stored(&c, store.OpUpdate), err
}

// DeleteRegistration ends a client for ever, with the tokens that it minted (RFC
// 7592 section 2.3). A tombstone keeps its id.
func (a *Admin) DeleteRegistration(ctx context.Context, by Registrant) error {
	c := tombstone(by.Client, a.now())
	return a.change(ctx, by.Actor, entry{operation: opClientDelete.Name, workspace: c.Workspace, before: by.Client, after: c, name: c.Name}, store.Update(c))
}
