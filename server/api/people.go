package api

import (
	"context"
	"net/http"

	"postern/server/admin"
	"postern/server/secret"
)

// AccountInvite is the body of POST /accounts.
type AccountInvite struct {
	Name        string        `json:"name" doc:"A name to sign in with; it never changes."`
	DisplayName string        `json:"display_name,omitempty"`
	Email       string        `json:"email,omitempty"`
	Licence     string        `json:"licence,omitempty" doc:"admin, steward or reader; steward where nothing is said."`
	Teams       []string      `json:"teams,omitempty" maxItems:"100" doc:"Ids or names."`
	Workspace   string        `json:"workspace,omitempty" doc:"Id or name; where the roles are given at once."`
	Roles       []GrantedRole `json:"roles,omitempty" maxItems:"200"`
}

// Invitation is the one answer that holds the token of a one-time link.
type Invitation struct {
	Token     string   `json:"token" doc:"Shown this once. It sets a password, once."`
	Link      string   `json:"link" doc:"The page that takes it, for the person who was invited."`
	ExpiresAt Time     `json:"expires_at"`
	Warnings  []string `json:"warnings"`
	Account   *Account `json:"account"`
}

// AccountPatch is the body of PATCH /accounts/{account}.
type AccountPatch struct {
	DisplayName Maybe[string]   `json:"display_name,omitzero"`
	Email       Maybe[string]   `json:"email,omitzero"`
	Licence     Maybe[string]   `json:"licence,omitzero" doc:"admin, steward or reader; null is no ceiling."`
	Teams       Maybe[[]string] `json:"teams,omitzero" maxItems:"100" doc:"Ids or names."`

	// What never changes by this is known here to be refused as that.
	ID       Maybe[any] `json:"id,omitzero" doc:"Never changes."`
	Kind     Maybe[any] `json:"kind,omitzero" doc:"Never changes."`
	Name     Maybe[any] `json:"name,omitzero" doc:"Never changes."`
	Status   Maybe[any] `json:"status,omitzero" doc:"Changes by deactivate and reactivate."`
	Password Maybe[any] `json:"password,omitzero" doc:"Changes by an invitation, or by its owner."`
}

// Acceptance is the body of POST /invitations/accept.
type Acceptance struct {
	Token    string `json:"token" maxLength:"400"`
	Password string `json:"password" maxLength:"512" doc:"At least 12 characters."`
}

// Accepted is a person who can sign in now.
type Accepted struct {
	Message string   `json:"message"`
	Account *Account `json:"account"`
	// Client is the pending personal token of a new person, where the settings
	// make one: its owner makes the secret at POST /me/clients/{client}/secrets.
	Client string `json:"client,omitempty" doc:"The id of a personal token that waits for its secret."`
}

// AccountPath names an account.
type AccountPath struct {
	Account string `path:"account" maxLength:"64" doc:"Id or name."`
}

type invitationAnswer struct {
	ETag string `header:"ETag"`
	Body Invitation
}

// ChangedAccount is an account with a word on what was done to it.
type ChangedAccount struct {
	Message string   `json:"message"`
	Account *Account `json:"account"`
}

type changedAccountAnswer struct {
	ETag string `header:"ETag"`
	Body ChangedAccount
}

func (m *mounted) people() {
	register(m, "account.invite", func(ctx context.Context, by *admin.Actor, in *struct {
		Repeatable
		Body AccountInvite
	},
	) (*invitationAnswer, error) {
		b := &in.Body
		made, err := m.Admin.InviteAccount(ctx, by, admin.NewAccount{
			Name: b.Name, DisplayName: b.DisplayName, Email: b.Email, Licence: b.Licence, Teams: b.Teams, Workspace: b.Workspace, Roles: granted(b.Roles),
		})
		return m.invitation(made, err)
	}, created)
	register(m, "account.reinvite", func(ctx context.Context, by *admin.Actor, in *AccountPath) (*invitationAnswer, error) {
		made, err := m.Admin.ReinviteAccount(ctx, by, in.Account)
		return m.invitation(made, err)
	}, created)
	register(m, "account.edit", m.editAccount)
	register(m, "account.deactivate", func(ctx context.Context, by *admin.Actor, in *AccountPath) (*changedAccountAnswer, error) {
		acc, err := m.Admin.DeactivateAccount(ctx, by, in.Account)
		if err != nil {
			return nil, err
		}
		return &changedAccountAnswer{etag(acc.Revision), ChangedAccount{"The account is deactivated; its personal tokens have stopped.", m.wireAccount(acc)}}, nil
	})
	register(m, "account.reactivate", func(ctx context.Context, by *admin.Actor, in *AccountPath) (*changedAccountAnswer, error) {
		acc, err := m.Admin.ReactivateAccount(ctx, by, in.Account)
		if err != nil {
			return nil, err
		}
		return &changedAccountAnswer{etag(acc.Revision), ChangedAccount{"The account is reactivated.", m.wireAccount(acc)}}, nil
	})
	register(m, "account.delete", func(ctx context.Context, by *admin.Actor, in *AccountPath) (*messageAnswer, error) {
		return said("The account is deleted.", m.Admin.DeleteAccount(ctx, by, in.Account))
	})
	register(m, "invitation.accept", func(ctx context.Context, by *admin.Actor, in *struct{ Body Acceptance }) (*struct{ Body Accepted }, error) {
		acc, pending, err := m.Admin.AcceptInvitation(ctx, secret.Of(in.Body.Token), secret.Of(in.Body.Password), by.Address, by.RequestID)
		if err != nil {
			return nil, err
		}
		out := &struct{ Body Accepted }{Accepted{Message: "The password is set.", Account: m.wireAccount(acc)}}
		if pending != nil {
			out.Body.Client = string(pending.ID)
		}
		return out, nil
	})
}

// said is the answer of an operation that only says what was done.
func said(message string, err error) (*messageAnswer, error) {
	if err != nil {
		return nil, err
	}
	return &messageAnswer{Message{message}}, nil
}

func (m *mounted) editAccount(ctx context.Context, by *admin.Actor, in *struct {
	AccountPath
	Condition
	Body AccountPatch
},
) (*accountAnswer, error) {
	b := &in.Body
	switch {
	case b.ID.Sent, b.Kind.Sent, b.Name.Sent:
		return nil, problem(http.StatusConflict, "the id, kind and name of an account never change")
	case b.Status.Sent:
		return nil, problem(http.StatusConflict, "the status of a person changes by deactivate and reactivate; that of a technical user never by hand")
	case b.Password.Sent:
		return nil, problem(http.StatusConflict, "a password is set by its owner, with an invitation; a technical user has none")
	}
	acc, err := m.Admin.EditAccount(ctx, by, in.Account, admin.AccountEdit{
		DisplayName: b.DisplayName.pointer(), Email: b.Email.pointer(), Licence: b.Licence.pointer(), Teams: b.Teams.pointer(), Revision: in.revision(),
	})
	if err != nil {
		return nil, err
	}
	return &accountAnswer{etag(acc.Revision), m.wireAccount(acc)}, nil
}

func (m *mounted) invitation(made *admin.Invited, err error) (*invitationAnswer, error) {
	if err != nil {
		return nil, err
	}
	return &invitationAnswer{etag(made.Account.Revision), Invitation{
		Token: made.Token.Reveal(), Link: m.Admin.InvitationLink(made.Token), ExpiresAt: Time(made.Ends), Warnings: orEmpty(made.Warnings), Account: m.wireAccount(made.Account),
	}}, nil
}

func granted(roles []GrantedRole) []admin.Granted {
	out := make([]admin.Granted, len(roles))
	for i, r := range roles {
		out[i] = admin.Granted(r)
	}
	return out
}
