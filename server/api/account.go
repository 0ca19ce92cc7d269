package api

import (
	"context"

	"postern/server/admin"
	"postern/store"
)

// Account is a person or a technical user as it is shown.
type Account struct {
	ID           string   `json:"id"`
	Kind         string   `json:"kind" enum:"user,service" doc:"service is a technical user: its name and status are fixed."`
	Name         string   `json:"name"`
	DisplayName  string   `json:"display_name"`
	Email        string   `json:"email,omitempty"`
	Status       string   `json:"status" enum:"invited,active,deactivated,deleted"`
	Licence      string   `json:"licence" doc:"The ref of the role that is its ceiling; empty is none."`
	Teams        []string `json:"teams" doc:"Their names."`
	Locked       bool     `json:"locked" doc:"The padlock: name, status and password of a technical user are not edited by hand."`
	Provisioned  bool     `json:"provisioned" doc:"It came by SCIM, or was adopted."`
	SecondFactor bool     `json:"second_factor" doc:"The password alone does not suffice; a code of a telephone does, too."`
	Provider     string   `json:"provider,omitempty" doc:"The identity provider that the person signs in by, once they did."`
	UserName     string   `json:"user_name,omitempty" doc:"What the provisioning system calls the person."`
	ExternalID   string   `json:"external_id,omitempty"`
	Warnings     []string `json:"warnings"`
	CreatedAt    Time     `json:"created_at"`
	Revision     int64    `json:"revision"`
}

type accountAnswer struct {
	ETag string `header:"ETag"`
	Body *Account
}

type accountsInput struct {
	Page
	Kind    string `query:"kind" enum:"user,service"`
	Status  string `query:"status" enum:"invited,active,deactivated"`
	Team    string `query:"team" maxLength:"64" doc:"Only its members, by id or name."`
	Licence string `query:"licence" maxLength:"64" doc:"Only those with it, by name."`
	Search  string `query:"search" maxLength:"200" doc:"Part of the name, display name, mail address or id."`
}

func (m *mounted) accounts() {
	register(m, "account.list", func(ctx context.Context, by *admin.Actor, in *accountsInput) (*listAnswer[*Account], error) {
		question := *in
		question.Page = Page{}
		q := store.AccountQuery{AccountKind: store.AccountKind(in.Kind), Status: store.AccountStatus(in.Status), Search: in.Search, Limit: in.Limit + 1}
		if err := m.Admin.NameTeamAndLicence(&q, in.Team, in.Licence); err != nil {
			return nil, err
		}
		if in.Cursor != "" {
			if err := m.Admin.OpenCursor(in.Cursor, question, &q.After); err != nil {
				return nil, err
			}
		}
		found, err := m.Admin.Accounts(ctx, by, q)
		if err != nil {
			return nil, err
		}
		return pageFrom(m.API, in.Page, question, found, func(a *store.Account) any { return a.Name }, m.wireAccount)
	})
	register(m, "account.get", func(ctx context.Context, by *admin.Actor, in *struct {
		Account string `path:"account" maxLength:"64" doc:"Id or name."`
	},
	) (*accountAnswer, error) {
		found, err := m.Admin.Account(ctx, by, in.Account)
		if err != nil {
			return nil, err
		}
		return &accountAnswer{etag(found.Revision), m.wireAccount(found)}, nil
	})
}

func (m *mounted) wireAccount(a *store.Account) *Account {
	out := &Account{
		ID: string(a.ID), Kind: string(a.AccountKind), Name: a.Name, DisplayName: a.DisplayName, Email: a.Email, Status: string(a.Status),
		Teams: orEmpty(m.Admin.TeamNames(a.Teams)), Locked: a.AccountKind == store.AccountService, Provisioned: a.Provisioned,
		SecondFactor: a.SecondFactor, Provider: a.Issuer,
		UserName: a.UserName, ExternalID: a.ExternalID, Warnings: []string{}, CreatedAt: Time(a.CreatedAt), Revision: a.Revision,
	}
	if a.Licence != "" {
		out.Licence = m.Admin.RoleRefs([]store.RoleID{a.Licence})[0]
	}
	if a.Warning != "" {
		out.Warnings = append(out.Warnings, a.Warning)
	}
	return out
}
