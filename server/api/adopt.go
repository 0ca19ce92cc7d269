package api

import (
	"context"

	"postern/server/admin"
)

// AccountAdopt is the body of POST /accounts/{account}/adopt.
type AccountAdopt struct {
	UserName string `json:"user_name,omitempty" maxLength:"254" doc:"What provisioning calls the person, unique in any case; the mail address, else the account's name, where nothing is said."`
}

func (m *mounted) adoption() {
	register(m, "account.adopt", func(ctx context.Context, by *admin.Actor, in *struct {
		AccountPath
		Body *AccountAdopt
	},
	) (*changedAccountAnswer, error) {
		if in.Body == nil {
			in.Body = &AccountAdopt{}
		}
		acc, err := m.Admin.AdoptAccount(ctx, by, in.Account, in.Body.UserName)
		if err != nil {
			return nil, err
		}
		return &changedAccountAnswer{etag(acc.Revision), ChangedAccount{"SCIM sees and changes the account as " + acc.UserName + " now.", m.wireAccount(acc)}}, nil
	})
	register(m, "team.adopt", func(ctx context.Context, by *admin.Actor, in *TeamPath) (*teamAnswer, error) {
		return teamSaid(m.Admin.AdoptTeam(ctx, by, in.Team))
	})
}
