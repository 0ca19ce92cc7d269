package api

import (
	"context"
	"net/http"

	"postern/server/admin"
	"postern/store"
)

// Client is a client as it is shown. Its secrets are never in it.
type Client struct {
	ID               string     `json:"id"`
	Key              string     `json:"key,omitempty"`
	Name             string     `json:"name"`
	Description      string     `json:"description"`
	Kind             string     `json:"kind" enum:"service,personal"`
	Status           string     `json:"status" enum:"pending,active,revoked,expired"`
	RevokedReason    string     `json:"revoked_reason,omitempty"`
	Workspace        string     `json:"workspace" doc:"Its name; empty for all of its account's."`
	Account          *Reference `json:"account"`
	Responsible      *Reference `json:"responsible,omitempty"`
	Roles            []string   `json:"roles" doc:"What its account is granted there, or what narrowing left of that."`
	NarrowedTo       []string   `json:"narrowed_to" doc:"The roles it is left with; null unless it is narrowed."`
	DefaultAPI       string     `json:"default_api,omitempty"`
	Bearer           bool       `json:"bearer" doc:"Its secrets may be sent as Authorization: Bearer."`
	AdminAccess      bool       `json:"admin_access"`
	SCIMOnly         bool       `json:"scim_only"`
	Addresses        []string   `json:"addresses" doc:"Where it may call from; empty is anywhere."`
	Binding          string     `json:"binding,omitempty" doc:"What its access tokens are bound to: certificate (RFC 8705) or dpop (RFC 9449)."`
	Profile          string     `json:"profile,omitempty" doc:"Rules that it keeps besides: fapi2."`
	CreatedAt        Time       `json:"created_at"`
	CreatedBy        *Reference `json:"created_by,omitempty"`
	Parent           string     `json:"parent,omitempty"`
	ExpiresAt        Time       `json:"expires_at"`
	RevokedAt        Time       `json:"revoked_at"`
	Used             bool       `json:"used"`
	LastUsedAt       Time       `json:"last_used_at"`
	LastUsedFrom     string     `json:"last_used_from,omitempty"`
	LastUsedEndpoint string     `json:"last_used_endpoint,omitempty"`
	LastRefusedAt    Time       `json:"last_refused_at"`
	ConfirmBy        Time       `json:"confirm_by" doc:"A pending client that is not confirmed by then is deleted."`
	Secrets          []Secret   `json:"secrets"`
	Warnings         []string   `json:"warnings"`
	Revision         int64      `json:"revision"`
}

// Secret is what is shown of a secret: never its text, nor a hash of it.
type Secret struct {
	ID               string      `json:"id"`
	Label            string      `json:"label"`
	Status           string      `json:"status" enum:"active,expired,revoked"`
	JWK              string      `json:"jwk,omitempty" doc:"A public key in the place of a secret (private_key_jwt)."`
	JWKSURI          string      `json:"jwks_uri,omitempty" doc:"Where such keys are."`
	X5T              string      `json:"x5t#S256,omitempty" doc:"Thumbprint of a certificate in the place of a secret (self_signed_tls_client_auth)."`
	CertName         string      `json:"certificate_name,omitempty" doc:"Or its name (tls_client_auth)."`
	Trust            *TrustShown `json:"trust,omitempty" doc:"A trust rule in the place of a secret: whose JWTs are as good."`
	CreatedAt        Time        `json:"created_at"`
	ExpiresAt        Time        `json:"expires_at"`
	RevokedAt        Time        `json:"revoked_at"`
	LeakedAt         Time        `json:"leaked_at" doc:"When it, or an access token it minted, was first reported as leaked."`
	LastUsedAt       Time        `json:"last_used_at"`
	LastUsedFrom     string      `json:"last_used_from,omitempty"`
	LastUsedEndpoint string      `json:"last_used_endpoint,omitempty"`
}

// NewSecret is the one answer that holds a secret's text.
type NewSecret struct {
	ClientID     string   `json:"client_id"`
	ClientSecret string   `json:"client_secret" doc:"Shown this once; empty where a key or a trust rule was added."`
	SecretID     string   `json:"secret_id"`
	Warnings     []string `json:"warnings"`
	Client       *Client  `json:"client"`
}

// ChangedClient is a client with a word on what was done to it.
type ChangedClient struct {
	Message string  `json:"message"`
	Client  *Client `json:"client"`
}

// Message says what was done.
type Message struct {
	Message string `json:"message"`
}

// ClientCreate is the body of POST /clients.
type ClientCreate struct {
	Kind          string    `json:"kind,omitempty" enum:"service,personal"`
	Name          string    `json:"name"`
	Key           string    `json:"key,omitempty"`
	Description   string    `json:"description,omitempty"`
	Workspace     string    `json:"workspace,omitempty" doc:"Id or name."`
	Account       string    `json:"account,omitempty" doc:"A technical user, by id or name; empty makes a new one."`
	NewAccount    string    `json:"new_account,omitempty" maxLength:"64" doc:"The name of the new technical user; empty makes one of the client's."`
	Roles         []string  `json:"roles,omitempty" maxItems:"100" doc:"For a new technical user."`
	DefaultAPI    string    `json:"default_api,omitempty"`
	ExpiresIn     string    `json:"expires_in,omitempty" doc:"90d, 1y, 12h or never; empty is the default. A workspace may allow some lifetimes only."`
	ExpiresInDays *int64    `json:"expires_in_days,omitempty" doc:"The same in days; -1 is never."`
	Label         string    `json:"label,omitempty" maxLength:"200" doc:"Of the first secret."`
	Bearer        *bool     `json:"bearer,omitempty"`
	NarrowedTo    *[]string `json:"narrowed_to,omitempty" maxItems:"100"`
	AdminAccess   bool      `json:"admin_access,omitempty" doc:"Its account's licence does not bound work on accounts and licences."`
	SCIMOnly      bool      `json:"scim_only,omitempty" doc:"It is good for /scim/v2 and nothing else; it gives nothing by itself."`
	Addresses     []string  `json:"addresses,omitempty" maxItems:"100"`
	Binding       string    `json:"binding,omitempty" enum:"certificate,dpop" doc:"What its access tokens are bound to: its certificate (RFC 8705), or a key that it proves by DPoP (RFC 9449)."`
	Profile       string    `json:"profile,omitempty" enum:"fapi2" doc:"Rules that it keeps besides: the FAPI 2.0 Security Profile."`
	JWK           string    `json:"jwk,omitempty" maxLength:"4096" doc:"A public key (RFC 7517) in the place of its first secret, for private_key_jwt."`
	JWKSURI       string    `json:"jwks_uri,omitempty" maxLength:"1024" doc:"Or where such keys are: an https URL."`
	Cert          string    `json:"certificate,omitempty" maxLength:"16384" doc:"Or a certificate in PEM, for mutual TLS."`
	CertName      string    `json:"certificate_name,omitempty" maxLength:"1024" doc:"Or its name in one of a trusted authority."`
	Confirm       bool      `json:"confirm,omitempty" doc:"It works only after its secret was confirmed as saved, and is deleted when it was not after 15 minutes."`
}

// ClientPatch is the body of PATCH /clients/{client}.
type ClientPatch struct {
	Name        Maybe[string]   `json:"name,omitzero"`
	Description Maybe[string]   `json:"description,omitzero"`
	Addresses   Maybe[[]string] `json:"addresses,omitzero" maxItems:"100"`
	Binding     Maybe[string]   `json:"binding,omitzero" doc:"certificate or dpop; null ends it."`
	Profile     Maybe[string]   `json:"profile,omitzero" doc:"fapi2; null ends it."`
	Responsible Maybe[string]   `json:"responsible,omitzero"`
	Bearer      Maybe[bool]     `json:"bearer,omitzero"`
	DefaultAPI  Maybe[string]   `json:"default_api,omitzero"`
	NarrowedTo  Maybe[[]string] `json:"narrowed_to,omitzero" maxItems:"100" doc:"null ends the narrowing."`
	AdminAccess Maybe[bool]     `json:"admin_access,omitzero"`
	SCIMOnly    Maybe[bool]     `json:"scim_only,omitzero"`

	// What never changes is known here to be refused as that, and not as a slip.
	ID        Maybe[any] `json:"id,omitzero" doc:"Never changes."`
	Kind      Maybe[any] `json:"kind,omitzero" doc:"Never changes."`
	Account   Maybe[any] `json:"account,omitzero" doc:"Never changes."`
	ExpiresAt Maybe[any] `json:"expires_at,omitzero" doc:"Never changes."`
	ExpiresIn Maybe[any] `json:"expires_in,omitzero" doc:"Never changes."`
}

// ClientPath names a client.
type ClientPath struct {
	Client string `path:"client" maxLength:"128"`
}

func (p ClientPath) id() store.ClientID { return store.ClientID(p.Client) }

type clientAnswer struct {
	ETag string `header:"ETag"`
	Body *Client
}

type newSecretAnswer struct {
	ETag string `header:"ETag"`
	Body NewSecret
}

type changedClientAnswer struct {
	ETag string `header:"ETag"`
	Body ChangedClient
}

type messageAnswer struct{ Body Message }

type clientsInput struct {
	Page
	Workspace   string `query:"workspace" doc:"Id or name."`
	Account     string `query:"account" doc:"Its id."`
	Kind        string `query:"kind" enum:"service,personal"`
	Status      string `query:"status" enum:"pending,active,revoked,expired"`
	Search      string `query:"search" maxLength:"200" doc:"Part of the name, description, key or id."`
	Unused      bool   `query:"unused" doc:"Never used with success."`
	ExpiresBy   moment `query:"expires_by" doc:"Expires, and not later than this."`
	Responsible string `query:"responsible" maxLength:"64" doc:"The person who answers for it, by id or name."`
	Orphaned    bool   `query:"orphaned" doc:"Service clients whose responsible person is deactivated, deleted or missing."`
	Sort        string `query:"sort" enum:"name,created,expires,last_use" default:"name"`
	Desc        bool   `query:"desc"`
}

func (m *mounted) clients() {
	register(m, "client.list", m.listClients)
	register(m, "client.create", m.createClient, created)
	register(m, "client.get", func(ctx context.Context, by *admin.Actor, in *ClientPath) (*clientAnswer, error) {
		c, err := m.Admin.Client(ctx, by, in.id())
		return m.client(ctx, c, err)
	})
	register(m, "client.import", m.importClients)
	register(m, "client.edit", m.editClient)
	register(m, "client.confirm", func(ctx context.Context, by *admin.Actor, in *ClientPath) (*changedClientAnswer, error) {
		c, err := m.Admin.ConfirmClient(ctx, by, in.id())
		return m.changed(ctx, "The token is confirmed and works now.", c, err)
	})
	register(m, "client.revoke", func(ctx context.Context, by *admin.Actor, in *struct {
		ClientPath
		Body *struct {
			Reason string `json:"reason,omitempty" maxLength:"200" doc:"One revoked as leaked is never restored."`
		}
	},
	) (*changedClientAnswer, error) {
		var reason string
		if in.Body != nil {
			reason = in.Body.Reason
		}
		c, err := m.Admin.RevokeClient(ctx, by, in.id(), reason)
		return m.changed(ctx, "The token has been successfully revoked.", c, err)
	})
	register(m, "client.restore", func(ctx context.Context, by *admin.Actor, in *ClientPath) (*changedClientAnswer, error) {
		c, err := m.Admin.RestoreClient(ctx, by, in.id())
		return m.changed(ctx, "The token has been successfully restored.", c, err)
	})
	register(m, "client.delete", func(ctx context.Context, by *admin.Actor, in *ClientPath) (*messageAnswer, error) {
		err := m.Admin.DeleteClient(ctx, by, in.id())
		return &messageAnswer{Message{"User token successfully deleted."}}, err
	})
}

func (m *mounted) listClients(ctx context.Context, by *admin.Actor, in *clientsInput) (*listAnswer[*Client], error) {
	expiresBy, err := in.ExpiresBy.time("expires_by")
	if err != nil {
		return nil, err
	}
	page, err := m.Admin.Clients(ctx, by, admin.ClientList{Workspace: in.Workspace, Responsible: in.Responsible, Orphaned: in.Orphaned, Cursor: in.Cursor, Query: store.ClientQuery{
		Account: store.AccountID(in.Account), ClientKind: store.ClientKind(in.Kind), Status: store.ClientStatus(in.Status),
		Search: in.Search, Unused: in.Unused, ExpiresBy: expiresBy, Sort: store.ClientSort(in.Sort), Desc: in.Desc, Limit: in.Limit,
	}})
	if err != nil {
		return nil, err
	}
	views, err := m.Admin.Describe(ctx, page.Clients...)
	if err != nil {
		return nil, err
	}
	out := &listAnswer[*Client]{List[*Client]{Items: make([]*Client, len(views)), Next: page.Next, Total: &page.Total}}
	for i := range views {
		out.Body.Items[i] = m.wireClient(&views[i])
	}
	return out, nil
}

func (m *mounted) createClient(ctx context.Context, by *admin.Actor, in *struct {
	Repeatable
	Body ClientCreate
},
) (*newSecretAnswer, error) {
	b := &in.Body
	ends, err := expiry(b.ExpiresIn, b.ExpiresInDays)
	if err != nil {
		return nil, err
	}
	made := admin.NewClient{
		Kind: store.ClientKind(b.Kind), Name: b.Name, Key: b.Key, Description: b.Description, Workspace: b.Workspace,
		Account: b.Account, NewAccount: b.NewAccount, Roles: b.Roles, DefaultAPI: b.DefaultAPI, Expiry: ends, Label: b.Label, Bearer: b.Bearer,
		AdminAccess: b.AdminAccess, SCIMOnly: b.SCIMOnly, Addresses: b.Addresses, Confirm: b.Confirm,
		Binding: store.TokenBinding(b.Binding), Profile: store.Profile(b.Profile),
		Credential: admin.Credential{JWK: b.JWK, JWKSURI: b.JWKSURI, Cert: b.Cert, CertName: b.CertName},
	}
	if b.NarrowedTo != nil {
		made.Narrowed, made.Narrow = true, *b.NarrowedTo
	}
	c, err := m.Admin.CreateClient(ctx, by, made)
	return m.newSecret(ctx, c, err)
}

func (m *mounted) editClient(ctx context.Context, by *admin.Actor, in *struct {
	ClientPath
	Condition
	Body ClientPatch
},
) (*clientAnswer, error) {
	b := &in.Body
	if b.ID.Sent || b.Kind.Sent || b.Account.Sent || b.ExpiresAt.Sent || b.ExpiresIn.Sent {
		return nil, problem(http.StatusConflict, "the id, kind, account and expiry of a token never change; make a new one")
	}
	edit := admin.ClientEdit{
		Name: b.Name.pointer(), Description: b.Description.pointer(), Addresses: b.Addresses.pointer(), Bearer: b.Bearer.pointer(),
		DefaultAPI: b.DefaultAPI.pointer(), Narrow: b.NarrowedTo.pointer(), AdminAccess: b.AdminAccess.pointer(),
		SCIMOnly: b.SCIMOnly.pointer(), Binding: (*store.TokenBinding)(b.Binding.pointer()), Profile: (*store.Profile)(b.Profile.pointer()),
		Responsible: b.Responsible.pointer(), Revision: in.revision(),
	}
	if b.NarrowedTo.Sent {
		edit.Narrowed = new(!b.NarrowedTo.Null)
	}
	c, err := m.Admin.EditClient(ctx, by, in.id(), edit)
	return m.client(ctx, c, err)
}

// client is the answer with a client.
func (m *mounted) client(ctx context.Context, c *store.Client, err error) (*clientAnswer, error) {
	if err != nil {
		return nil, err
	}
	views, err := m.Admin.Describe(ctx, c)
	if err != nil {
		return nil, err
	}
	return &clientAnswer{etag(c.Revision), m.wireClient(&views[0])}, nil
}

func (m *mounted) changed(ctx context.Context, message string, c *store.Client, err error) (*changedClientAnswer, error) {
	answer, err := m.client(ctx, c, err)
	if err != nil {
		return nil, err
	}
	return &changedClientAnswer{answer.ETag, ChangedClient{message, answer.Body}}, nil
}

func (m *mounted) newSecret(ctx context.Context, made *admin.Created, err error) (*newSecretAnswer, error) {
	if err != nil {
		return nil, err
	}
	out := &newSecretAnswer{etag(made.Client.Revision), NewSecret{
		ClientID: string(made.Client.ID), ClientSecret: made.Secret.Reveal(), SecretID: string(made.SecretID), Warnings: orEmpty(made.Warnings),
	}}
	if made.Client.Revision == 1 {
		view := m.Admin.DescribeNew(ctx, made.Client)
		out.Body.Client = m.wireClient(&view)
		return out, nil
	}
	// The client exists, and its secret is never shown again: what cannot be read
	// now is left out rather than answered with an error.
	if views, err := m.Admin.Describe(ctx, made.Client); err == nil {
		out.Body.Client = m.wireClient(&views[0])
	}
	return out, nil
}

func (m *mounted) wireClient(v *admin.ClientView) *Client {
	c := v.Client
	out := &Client{
		ID: string(c.ID), Key: c.ClientKey, Name: c.Name, Description: c.Description, Kind: string(c.ClientKind), Status: string(v.State),
		RevokedReason: c.RevokedReason, Workspace: v.Workspace, Account: reference(v.Account), Responsible: reference(v.Responsible),
		Roles: orEmpty(v.Roles), NarrowedTo: v.NarrowedTo, DefaultAPI: v.DefaultAPI, Bearer: c.Bearer, AdminAccess: c.AdminAccess,
		SCIMOnly: c.SCIMOnly, Addresses: orEmpty(c.Addresses), Binding: string(c.Binding), Profile: string(c.Profile), CreatedAt: Time(c.CreatedAt), CreatedBy: reference(v.CreatedBy),
		Parent: string(c.Parent), ExpiresAt: Time(c.ExpiresAt), RevokedAt: Time(c.RevokedAt), Used: v.LastUse.SuccessAt != 0,
		LastUsedAt: Time(v.LastUse.SuccessAt), LastUsedFrom: v.LastUse.SuccessAddress, LastUsedEndpoint: v.LastUse.SuccessEndpoint,
		LastRefusedAt: Time(v.LastUse.RefusalAt), ConfirmBy: Time(c.ConfirmBy), Secrets: []Secret{}, Warnings: []string{}, Revision: c.Revision,
	}
	switch {
	case c.Warning != "":
		out.Warnings = append(out.Warnings, c.Warning)
	case c.ExpiresAt == 0 && v.State != store.ClientRevoked:
		out.Warnings = append(out.Warnings, admin.WarnNever)
	}
	now := store.At(m.Now())
	for i := range c.Secrets {
		s, use := &c.Secrets[i], v.SecretUses[c.Secrets[i].ID]
		status := "active"
		switch {
		case s.RevokedAt != 0:
			status = "revoked"
		case s.ExpiresAt.Over(now):
			status = "expired"
		}
		out.Secrets = append(out.Secrets, Secret{
			ID: string(s.ID), Label: s.Label, Status: status, JWK: s.JWK, JWKSURI: s.JWKSURI, X5T: s.X5T, CertName: s.CertName, Trust: wireTrust(s.Trust), CreatedAt: Time(s.CreatedAt), ExpiresAt: Time(s.ExpiresAt), RevokedAt: Time(s.RevokedAt), LeakedAt: Time(s.LeakedAt),
			LastUsedAt: Time(use.SuccessAt), LastUsedFrom: use.SuccessAddress, LastUsedEndpoint: use.SuccessEndpoint,
		})
	}
	return out
}
