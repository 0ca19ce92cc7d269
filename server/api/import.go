package api

import (
	"context"

	"postern/server/admin"
	"postern/server/secret"
	"postern/store"
)

// ClientImport is the body of POST /clients/import.
type ClientImport struct {
	Workspace     string           `json:"workspace" doc:"Id or name." example:"default"`
	ExpiresIn     string           `json:"expires_in,omitempty" doc:"90d, 1y, 12h or never, for clients without an end of their own; empty is the default." example:"1y"`
	ExpiresInDays *int64           `json:"expires_in_days,omitempty" doc:"The same in days; -1 is never."`
	DryRun        bool             `json:"dry_run,omitempty" doc:"Only say what would come of it."`
	Clients       []ImportedClient `json:"clients" minItems:"1" maxItems:"500"`
}

// ImportedClient is a client of another server.
type ImportedClient struct {
	ClientID    string   `json:"client_id" doc:"It stays: 1 to 128 of A-Z, a-z, 0-9, -, ., _ and ~." example:"billing-exporter"`
	Name        string   `json:"name,omitempty" doc:"Empty is the id."`
	Description string   `json:"description,omitempty"`
	Secret      string   `json:"secret,omitempty" doc:"The text of its secret."`
	SecretHash  string   `json:"secret_hash,omitempty" doc:"In its place, a hash of bcrypt, PBKDF2 or argon2id." example:"$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"`
	Roles       []string `json:"roles,omitempty" maxItems:"100" doc:"Of the workspace, for its technical user."`
	ExpiresAt   Time     `json:"expires_at,omitempty"`
}

// ClientsImported tells of each client of an import, in the order in which they
// were sent.
type ClientsImported struct {
	Imported int              `json:"imported" doc:"How many were made, or would be."`
	Left     int              `json:"left_out" doc:"How many were not."`
	Items    []ClientImported `json:"items"`
}

// ClientImported is what became of one client of an import.
type ClientImported struct {
	ClientID  string `json:"client_id"`
	Status    string `json:"status" enum:"imported,would be imported,exists,refused"`
	Reason    string `json:"reason,omitempty" doc:"Of one that was left out."`
	KeptBy    string `json:"kept_by,omitempty" enum:"sha256,bcrypt,pbkdf2,argon2id" doc:"The hash that its secret is kept by until it is used."`
	Account   string `json:"account,omitempty" doc:"The name of its technical user."`
	ExpiresAt Time   `json:"expires_at"`
}

func (m *mounted) importClients(ctx context.Context, by *admin.Actor, in *struct{ Body ClientImport }) (*struct{ Body ClientsImported }, error) {
	b := &in.Body
	ends, err := expiry(b.ExpiresIn, b.ExpiresInDays)
	if err != nil {
		return nil, err
	}
	input := admin.ClientImport{Workspace: b.Workspace, Expiry: ends, DryRun: b.DryRun}
	for _, c := range b.Clients {
		input.Clients = append(input.Clients, admin.ImportedClient{
			ID: store.ClientID(c.ClientID), Name: c.Name, Description: c.Description, Secret: secret.Of(c.Secret), SecretHash: c.SecretHash,
			Roles: c.Roles, ExpiresAt: store.Time(c.ExpiresAt),
		})
	}
	results, err := m.Admin.ImportClients(ctx, by, input)
	if err != nil {
		return nil, err
	}
	out := &struct{ Body ClientsImported }{ClientsImported{Items: []ClientImported{}}}
	for _, r := range results {
		if r.Status == admin.ImportMade || r.Status == admin.ImportWould {
			out.Body.Imported++
		} else {
			out.Body.Left++
		}
		out.Body.Items = append(out.Body.Items, ClientImported{
			ClientID: string(r.ID), Status: string(r.Status), Reason: r.Reason, KeptBy: r.Kept, Account: r.Account, ExpiresAt: Time(r.Expires),
		})
	}
	return out, nil
}
