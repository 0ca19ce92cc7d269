package admin

import (
	"context"
	"errors"
	"strings"
	"time"

	"postern/server/secret"
	"postern/store"
)

// ClientImport is the input for ImportClients.
type ClientImport struct {
	Workspace string // id or name
	Clients   []ImportedClient
	Expiry    Expiry // of clients that have no end of their own
	DryRun    bool   // only say what would come of it
}

// ImportedClient is a client of another server: its id, and its secret or the
// hash of that.
type ImportedClient struct {
	ID          store.ClientID
	Name        string // empty is the id
	Description string
	Secret      secret.Secret
	SecretHash  string     // as secret.ParseSlow reads it
	Roles       []string   // of the workspace, for its technical user
	ExpiresAt   store.Time // 0 is as ClientImport.Expiry says
}

// ImportStatus is what became of an imported client.
type ImportStatus string

// The outcomes of an import.
const (
	ImportMade     ImportStatus = "imported"
	ImportWould    ImportStatus = "would be imported" // a dry run
	ImportConflict ImportStatus = "exists"            // there is, or was, a client of this id
	ImportRefused  ImportStatus = "refused"           // it has faults
)

// ImportResult tells of one client of an import.
type ImportResult struct {
	ID      store.ClientID
	Status  ImportStatus
	Reason  string // of a conflict or refusal; one line
	Kept    string // what its secret is kept by: "sha256", "bcrypt", "pbkdf2" or "argon2id"
	Account string // the name of its technical user
	Expires store.Time
}

// mostImported is how many clients one call imports.
const mostImported = 500

// ImportClients makes service clients that keep the ids and secrets they have on
// another server, each with a technical user of its own. They are no bearers. It
// needs what CreateClient needs for each of them; what the actor may not give
// refuses all. Otherwise each client stands for itself, and the results come in
// the order of the input.
func (a *Admin) ImportClients(ctx context.Context, by *Actor, in ClientImport) ([]ImportResult, error) {
	ws := a.workspace(in.Workspace)
	if ws == nil {
		return nil, &Error{Kind: Invalid, Message: "the request has faults", Faults: []Fault{{"workspace", "is required; there is no workspace by this name"}}}
	}
	for _, op := range []Operation{opClientImport, opClientCreate} {
		if err := a.must(by, op, ws.ID); err != nil {
			return nil, err
		}
	}
	if len(in.Clients) == 0 || len(in.Clients) > mostImported {
		return nil, refuse(Invalid, "clients: must be 1 to %d; import more of them in several calls", mostImported)
	}
	now := a.now()
	plans := make([]*importPlan, len(in.Clients))
	for i := range in.Clients {
		p, err := a.planImport(by, ws, &in.Clients[i], in.Expiry, now)
		if err != nil {
			return nil, err
		}
		plans[i] = p
	}
	seen, down := map[store.ClientID]bool{}, false
	results := make([]ImportResult, len(plans))
	for i, p := range plans {
		results[i] = p.result
		switch {
		case p.result.Status == ImportRefused:
			continue
		case down:
			results[i].Status, results[i].Reason = ImportRefused, "it was not tried, since the store does not answer; import it again"
			continue
		case seen[p.client.ID]:
			results[i].Status, results[i].Reason = ImportConflict, "it comes twice in this import"
			continue
		}
		seen[p.client.ID] = true
		err := a.importOne(ctx, by, p, in.DryRun, &results[i])
		if e, ok := errors.AsType[*Error](err); ok && e.Kind == Unavailable && i > 0 {
			// Those before it are made, and must be told of.
			down = true
			results[i].Status, results[i].Reason = ImportRefused, e.Message
		} else if err != nil {
			return nil, err
		}
	}
	return results, nil
}

// importPlan is what would be written of one client.
type importPlan struct {
	client  *store.Client
	account *store.Account
	grant   *store.Grant  // nil without roles
	plain   secret.Secret // that needs a slow hash still
	result  ImportResult
}

// planImport checks a client of an import. Its error is that the actor may not
// give what the client would have; what else is wrong is in the result.
func (a *Admin) planImport(by *Actor, ws *store.Workspace, in *ImportedClient, e Expiry, now store.Time) (*importPlan, error) {
	c := &store.Client{
		ID: in.ID, Generation: 1, ClientKind: store.ClientService, Name: strings.TrimSpace(in.Name), Description: in.Description,
		Responsible: by.accountID(), Workspace: ws.ID, Status: store.ClientActive, CreatedAt: now, CreatedBy: by.accountID(),
	}
	p := &importPlan{client: c, result: ImportResult{ID: in.ID, Status: ImportWould}}
	var f faults
	switch {
	case !validClientID(string(in.ID)) || in.ID == "." || in.ID == "..":
		f.add("client_id", "must be 1 to 128 of A-Z, a-z, 0-9, -, ., _ and ~")
	case c.Name == "":
		c.Name = string(in.ID)
	}
	checkTexts(&f, c)
	p.keep(&f, in, now)
	roles := a.roles(&f, "roles", ws, in.Roles)
	c.DefaultAPI = a.defaultAPI(&f, "", roles)
	given := make([]store.GrantedRole, len(roles))
	for i, r := range roles {
		given[i].Role = r.ID
	}
	if err := a.mayGive(by, opClientImport, gift{workspace: ws.ID, roles: given}); err != nil {
		return nil, err
	}
	if in.ExpiresAt != 0 {
		e = Expiry{For: time.Duration(in.ExpiresAt-now) * time.Millisecond}
		if in.ExpiresAt.Over(now) {
			f.add("expires_at", "is in the past")
		}
	}
	var err error
	if c.ExpiresAt, _, err = a.expiry(ws, e, now); err != nil {
		if refused, ok := errors.AsType[*Error](err); ok {
			f.add("", "%s", refused.Message)
		}
	}
	p.result.Expires = c.ExpiresAt
	if len(f) > 0 {
		p.result.Status, p.result.Reason = ImportRefused, f.line()
		return p, nil
	}
	p.account = a.importedUser(by, c)
	p.result.Account = p.account.Name
	c.Account = p.account.ID
	if len(given) > 0 {
		p.grant = newGrant(store.HolderID(c.Account), ws.ID, given, now)
	}
	return p, nil
}

// importedUser is a new technical user for an imported client. An imported id
// ends in nothing random, so the name is unique by the end of the account's.
func (a *Admin) importedUser(by *Actor, c *store.Client) *store.Account {
	id := store.NewAccountID(store.AccountService)
	account := &store.Account{
		ID: id, Generation: 1, AccountKind: store.AccountService, Name: slug(c.Name) + "-" + string(id[len(id)-6:]), DisplayName: c.Name,
		Status: store.AccountActive, CreatedAt: c.CreatedAt, CreatedBy: by.accountID(),
	}
	if r := a.State.RoleByRef(LicenceSteward); r != nil {
		account.Licence = r.ID
	}
	return account
}

// keep gives the client its secret, and says what it is kept by: the SHA-256 of
// a text that is strong, argon2id of one that is not, or the hash it comes with.
func (p *importPlan) keep(f *faults, in *ImportedClient, now store.Time) {
	s := store.ClientSecret{ID: store.NewSecretID(), Label: "imported", Generation: 1, CreatedAt: now}
	text := in.Secret.Reveal()
	switch {
	case in.Secret.IsSet() == (in.SecretHash != ""):
		f.add("secret", "one of secret and secret_hash is required, and not both")
	case in.SecretHash != "":
		hash, err := secret.ParseSlow(in.SecretHash)
		if err != nil {
			f.add("secret_hash", "%s", err.Error())
			return
		}
		s.SlowHash = hash
		p.result.Kept, _, _ = strings.Cut(strings.TrimPrefix(hash, "$"), "$")
		switch {
		case strings.HasPrefix(p.result.Kept, "2"):
			p.result.Kept = "bcrypt"
		case strings.HasPrefix(p.result.Kept, "pbkdf2"):
			p.result.Kept = "pbkdf2"
		}
	case secret.Looks(text):
		f.add("secret", "begins as the secrets of this server do, and would be taken for one of them; rotate it before the import")
	case len(text) > 1024:
		f.add("secret", "is longer than 1024 bytes")
	case in.Secret.Strong():
		s.Hash, p.result.Kept = in.Secret.Hash(), "sha256"
	default:
		p.plain, p.result.Kept = in.Secret, "argon2id"
	}
	p.client.Secrets = []store.ClientSecret{s}
}

// line says all faults in one line.
func (f faults) line() string {
	var texts []string
	for _, one := range f {
		if one.Place == "" {
			texts = append(texts, one.Message)
		} else {
			texts = append(texts, one.Place+": "+one.Message)
		}
	}
	return strings.Join(texts, "; ")
}

// importOne writes a client, and tells of it. Its error is one of the store.
func (a *Admin) importOne(ctx context.Context, by *Actor, p *importPlan, dryRun bool, result *ImportResult) error {
	taken := func() {
		result.Status, result.Reason = ImportConflict, "there is or was a client of this id, and ids are never used again"
	}
	if dryRun {
		_, err := a.State.Client(ctx, p.client.ID)
		switch {
		case err == nil:
			taken()
		case !errors.Is(err, store.ErrNotFound):
			return fromStore(opClientImport.Name, err)
		}
		return nil
	}
	if p.plain.IsSet() {
		hash, err := a.hashSlowly(p.plain)
		if err != nil {
			return err
		}
		p.client.Secrets[0].SlowHash = hash
	}
	writes := []store.Write{store.Insert(p.account), store.Insert(p.client)}
	if p.grant != nil {
		writes = append(writes, store.Insert(p.grant))
	}
	err := a.change(ctx, by, entry{operation: opClientImport.Name, workspace: p.client.Workspace, after: p.client, name: p.client.Name}, writes...)
	e, _ := errors.AsType[*Error](err)
	switch {
	case err == nil:
		result.Status = ImportMade
	case e != nil && e.Kind == Conflict:
		taken()
	default:
		return err
	}
	return nil
}

// hashSlowly makes one argon2id hash at a time: an import has many.
func (a *Admin) hashSlowly(text secret.Secret) (string, error) {
	a.hashing.Lock()
	defer a.hashing.Unlock()
	return secret.HashPassword(text)
}

// RehashSecret keeps an imported secret by another hash than old, after it was
// used: by a SHA-256 or a slow one. Tokens that it minted live on. That
// somebody else was faster, or the secret is gone, is no error.
func (a *Admin) RehashSecret(ctx context.Context, id store.ClientID, secretID store.SecretID, old string, hash []byte, slow string) error {
	const attempts = 3
	for n := 1; ; n++ {
		before, err := a.State.Client(ctx, id)
		if err != nil {
			return err
		}
		c := *before
		c.Secrets = append([]store.ClientSecret(nil), before.Secrets...)
		s := c.Secret(secretID)
		if s == nil || s.SlowHash != old {
			return nil
		}
		s.Hash, s.SlowHash = hash, slow
		e := a.entry(&Actor{machine: true}, entry{operation: "client.secret.rehash", workspace: c.Workspace, before: before, after: &c, name: c.Name})
		err = a.Store.Commit(ctx, store.Update(&c), store.Insert(e))
		if !errors.Is(err, store.ErrConflict) || n == attempts {
			return err
		}
	}
}
