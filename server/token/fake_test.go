package token_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"postern/server/keys"
	"postern/server/secret"
	"postern/server/token"
	"postern/store"
)

const issuer = "https://postern.example"

// world is the state that tokens are verified against: a client of a technical
// user in one workspace. Tests change it.
type world struct {
	at time.Time

	inst      *store.Installation
	workspace *store.Workspace
	account   *store.Account
	holder    *store.Holder // of account
	client    *store.Client
	revoked   map[string]bool
	err       error // of reading the client or the account
	reads     int   // of clients
	bearer    secret.Secret

	ring     *keys.Ring
	minter   *token.Minter
	verifier *token.Verifier
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{
		at:        time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		inst:      &store.Installation{ID: store.InstallationKey, Generation: 1},
		workspace: &store.Workspace{ID: "wsp1", Generation: 1, Name: "acme", APIAccess: true},
		account:   &store.Account{ID: "svc1", Generation: 4, AccountKind: store.AccountService, Status: store.AccountActive},
		revoked:   map[string]bool{},
	}
	w.client = &store.Client{
		ID: store.NewClientID(), Generation: 2, ClientKind: store.ClientService, Account: "svc1", Workspace: "wsp1",
		Status: store.ClientActive, Bearer: true,
	}
	w.bearer = secret.New(w.client.ID)
	w.client.Secrets = []store.ClientSecret{{ID: "sec1", Hash: w.bearer.Hash(), Generation: 7}}
	kek, err := keys.ParseKEKs("b2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2w=")
	if err != nil {
		t.Fatal(err)
	}
	w.ring = keys.New(keys.Options{Store: &keyStore{}, KEK: kek, Now: w.now})
	w.minter = token.NewMinter(token.MinterOptions{Keys: w.ring, Issuer: issuer})
	w.verifier = w.newVerifier(t, issuer)
	return w
}

func (w *world) newVerifier(t testing.TB, issuer string) *token.Verifier {
	t.Helper()
	v, err := token.NewVerifier(token.VerifierOptions{Keys: w.ring, Issuer: issuer, State: w, Now: w.now, CacheSize: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (w *world) now() time.Time { return w.at }

func (w *world) Client(_ context.Context, id store.ClientID) (*store.Client, error) {
	w.reads++
	if w.err != nil {
		return nil, w.err
	}
	if w.client == nil || w.client.ID != id {
		return nil, store.ErrNotFound
	}
	return w.client, nil
}

func (w *world) Holder(_ context.Context, id store.AccountID) (*store.Holder, error) {
	if w.err != nil {
		return nil, w.err
	}
	if w.account == nil || w.account.ID != id {
		return nil, store.ErrNotFound
	}
	if w.holder == nil || w.holder.Account != w.account {
		w.holder = &store.Holder{Account: w.account}
	}
	return w.holder, nil
}

func (w *world) Workspace(id store.WorkspaceID) *store.Workspace {
	if w.workspace == nil || w.workspace.ID != id {
		return nil
	}
	return w.workspace
}

func (w *world) Installation() *store.Installation { return w.inst }

func (w *world) Revoked(jti string) bool { return w.revoked[jti] }

// claims are those of a token that is good for an hour.
func (w *world) claims() token.Claims {
	return token.Claims{
		Subject: w.account.ID, ClientID: w.client.ID, Audience: []string{"https://orders.example"},
		IssuedAt: w.at.Unix(), ExpiresAt: w.at.Unix() + 3600,
		Scope: "orders:read orders:write", Workspace: "wsp1",
		Gen:      token.Gen(w.inst, w.workspace, w.account, w.client, &w.client.Secrets[0]),
		SecretID: "sec1", Roles: []string{"acme/reader"},
	}
}

func (w *world) mint(t testing.TB, c token.Claims, s token.Shape) string {
	t.Helper()
	text, err := w.minter.Mint(t.Context(), c, s)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// shapes are all the ways to write a token.
func shapes() map[string]token.Shape {
	return map[string]token.Shape{
		"ES256":  {Format: store.FormatJWT, Algorithm: keys.ES256},
		"EdDSA":  {Format: store.FormatJWT, Algorithm: keys.EdDSA},
		"RS256":  {Format: store.FormatJWT, Algorithm: keys.RS256, Type: keys.TypeJWT},
		"opaque": {Format: store.FormatOpaque},
	}
}

// keyStore keeps what a ring writes.
type keyStore struct {
	mu   sync.Mutex
	keys map[string]store.Record
}

func (s *keyStore) Commit(_ context.Context, writes ...store.Write) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys == nil {
		s.keys = map[string]store.Record{}
	}
	for _, w := range writes {
		if _, taken := s.keys[w.Record.Key()]; taken && w.Op == store.OpInsert {
			return &store.Exists{Kind: store.KindKey, Field: "_id"}
		}
		s.keys[w.Record.Key()] = w.Stored()
	}
	return nil
}

func (s *keyStore) All(_ context.Context, yield func(store.Record) error, _ ...store.Kind) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.keys {
		if err := yield(k); err != nil {
			return err
		}
	}
	return nil
}
