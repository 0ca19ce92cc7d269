package api

import (
	"context"

	"postern/server/admin"
	"postern/server/secret"
	"postern/store"
)

// Me is who asks, and where that may have personal tokens.
type Me struct {
	Account    *Account `json:"account"`
	Workspaces []string `json:"workspaces" doc:"Where you may make and use personal tokens."`
	Holds      []Held   `json:"holds" doc:"Your roles, those of your teams included."`
	MustChange bool     `json:"must_change" doc:"Your password was set by somebody else: change it first."`
}

// Held are somebody's roles in a workspace.
type Held struct {
	Workspace string   `json:"workspace" doc:"Its name."`
	Roles     []string `json:"roles" doc:"Their refs."`
}

// PasswordChange is the body of POST /me/password.
type PasswordChange struct {
	Current string `json:"current" maxLength:"512"`
	New     string `json:"new" maxLength:"512" doc:"At least 12 characters."`
}

// PersonalCreate is the body of POST /me/clients.
type PersonalCreate struct {
	Name          string    `json:"name,omitempty" doc:"Required, unless it renews another token."`
	Description   string    `json:"description,omitempty"`
	Workspace     string    `json:"workspace,omitempty" doc:"Id or name; empty is all of yours."`
	DefaultAPI    string    `json:"default_api,omitempty"`
	ExpiresIn     string    `json:"expires_in,omitempty" doc:"90d, 1y, 12h or never; empty is the default, or as the token it renews."`
	ExpiresInDays *int64    `json:"expires_in_days,omitempty" doc:"The same in days; -1 is never."`
	Label         string    `json:"label,omitempty" maxLength:"200" doc:"Of the first secret."`
	NarrowedTo    *[]string `json:"narrowed_to,omitempty" maxItems:"100" doc:"Only these roles of the workspace."`
	AdminAccess   bool      `json:"admin_access,omitempty"`
	Addresses     []string  `json:"addresses,omitempty" maxItems:"100"`
	Confirm       bool      `json:"confirm,omitempty" doc:"It works only after its secret was confirmed as saved, and is deleted when it was not after 15 minutes."`
}

func (m *mounted) me() {
	register(m, "me.get", func(ctx context.Context, by *admin.Actor, _ *struct{}) (*struct{ Body Me }, error) {
		me, err := m.Admin.Me(ctx, by)
		if err != nil {
			return nil, err
		}
		out := Me{Account: m.wireAccount(me.Account), Workspaces: orEmpty(me.Workspaces), Holds: []Held{}, MustChange: me.MustChange}
		for _, h := range me.Holds {
			out.Holds = append(out.Holds, Held(h))
		}
		return &struct{ Body Me }{out}, nil
	})
	register(m, "me.password", func(ctx context.Context, by *admin.Actor, in *struct{ Body PasswordChange }) (*messageAnswer, error) {
		_, err := m.Admin.ChangePassword(ctx, by, secret.Of(in.Body.Current), secret.Of(in.Body.New))
		return said("The password is changed; your tokens go on.", err)
	})
	register(m, "me.client.list", func(ctx context.Context, by *admin.Actor, in *struct{ Page }) (*listAnswer[*Client], error) {
		all, err := m.Admin.MyClients(ctx, by)
		if err != nil {
			return nil, err
		}
		views, err := m.Admin.Describe(ctx, all...)
		if err != nil {
			return nil, err
		}
		at := make([]*admin.ClientView, len(views))
		for i := range views {
			at[i] = &views[i]
		}
		key := func(v *admin.ClientView) string {
			return v.Client.SortValue(store.SortName, 0) + "\x00" + string(v.Client.ID)
		}
		return pageOf(m.API, in.Page, "clients of "+string(by.Account().ID), at, key, m.wireClient)
	})
	register(m, "me.client.create", m.createPersonal, created)
	register(m, "me.client.get", func(ctx context.Context, by *admin.Actor, in *ClientPath) (*clientAnswer, error) {
		c, err := m.Admin.MyClient(ctx, by, in.id())
		return m.client(ctx, c, err)
	})
	register(m, "me.client.confirm", func(ctx context.Context, by *admin.Actor, in *ClientPath) (*changedClientAnswer, error) {
		return m.mine(ctx, by, in, "The token is confirmed and works now.", func() (*store.Client, error) {
			return m.Admin.ConfirmClient(ctx, by, in.id())
		})
	})
	register(m, "me.client.rotate", func(ctx context.Context, by *admin.Actor, in *rotateInput) (*newSecretAnswer, error) {
		if _, err := m.Admin.MyClient(ctx, by, in.id()); err != nil {
			return nil, err
		}
		return m.rotate(ctx, by, in)
	}, created)
	register(m, "me.client.secret.revoke", func(ctx context.Context, by *admin.Actor, in *struct {
		ClientPath
		Secret string `path:"secret" maxLength:"64"`
	},
	) (*changedClientAnswer, error) {
		if _, err := m.Admin.MyClient(ctx, by, in.id()); err != nil {
			return nil, err
		}
		c, err := m.Admin.RevokeSecret(ctx, by, in.id(), store.SecretID(in.Secret))
		return m.changed(ctx, "The secret has been successfully revoked.", c, err)
	})
	register(m, "me.client.revoke", func(ctx context.Context, by *admin.Actor, in *ClientPath) (*changedClientAnswer, error) {
		return m.mine(ctx, by, in, "The token has been successfully revoked.", func() (*store.Client, error) {
			return m.Admin.RevokeClient(ctx, by, in.id(), "")
		})
	})
	register(m, "me.client.restore", func(ctx context.Context, by *admin.Actor, in *ClientPath) (*changedClientAnswer, error) {
		return m.mine(ctx, by, in, "The token has been successfully restored.", func() (*store.Client, error) {
			return m.Admin.RestoreClient(ctx, by, in.id())
		})
	})
	register(m, "me.client.delete", func(ctx context.Context, by *admin.Actor, in *ClientPath) (*messageAnswer, error) {
		if _, err := m.Admin.MyClient(ctx, by, in.id()); err != nil {
			return nil, err
		}
		return said("User token successfully deleted.", m.Admin.DeleteClient(ctx, by, in.id()))
	})
	register(m, "client.takeover", func(ctx context.Context, by *admin.Actor, in *ClientPath) (*changedClientAnswer, error) {
		c, err := m.Admin.TakeOver(ctx, by, in.id())
		return m.changed(ctx, "You are responsible for the token now.", c, err)
	})
}

// mine does something to a personal client of the actor's.
func (m *mounted) mine(ctx context.Context, by *admin.Actor, in *ClientPath, message string, do func() (*store.Client, error)) (*changedClientAnswer, error) {
	if _, err := m.Admin.MyClient(ctx, by, in.id()); err != nil {
		return nil, err
	}
	c, err := do()
	return m.changed(ctx, message, c, err)
}

func (m *mounted) createPersonal(ctx context.Context, by *admin.Actor, in *struct {
	Repeatable
	Body PersonalCreate
},
) (*newSecretAnswer, error) {
	b := &in.Body
	ends, err := expiry(b.ExpiresIn, b.ExpiresInDays)
	if err != nil {
		return nil, err
	}
	made := admin.NewPersonal{
		Name: b.Name, Description: b.Description, Workspace: b.Workspace, DefaultAPI: b.DefaultAPI, Expiry: ends, Label: b.Label,
		AdminAccess: b.AdminAccess, Addresses: b.Addresses, Confirm: b.Confirm,
	}
	if b.NarrowedTo != nil {
		made.Narrowed, made.Narrow = true, *b.NarrowedTo
	}
	c, err := m.Admin.CreatePersonal(ctx, by, made)
	return m.newSecret(ctx, c, err)
}
