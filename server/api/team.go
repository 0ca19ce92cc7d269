package api

import (
	"context"

	"postern/server/admin"
	"postern/store"
)

// Team is a set of accounts, people and technical users alike.
type Team struct {
	ID           string `json:"id"`
	Name         string `json:"name"`
	DisplayName  string `json:"display_name"`
	Description  string `json:"description"`
	Provisioned  bool   `json:"provisioned" doc:"It came by SCIM, or was adopted."`
	ExternalID   string `json:"external_id,omitempty"`
	SCIMMayGrant bool   `json:"scim_may_grant" doc:"SCIM may change its members though it holds roles on Postern's own API."`
	CreatedAt    Time   `json:"created_at"`
	Revision     int64  `json:"revision"`
}

// TeamPatch is the body of PATCH /teams/{team}.
type TeamPatch struct {
	DisplayName  Maybe[string] `json:"display_name,omitzero"`
	Description  Maybe[string] `json:"description,omitzero"`
	SCIMMayGrant *bool         `json:"scim_may_grant,omitempty"`
}

// TeamCreate is the body of POST /teams.
type TeamCreate struct {
	Name string `json:"name" doc:"It never changes."`
	TeamPatch
}

// TeamPath names a team.
type TeamPath struct {
	Team string `path:"team" maxLength:"64" doc:"Id or name."`
}

// MemberPath names an account in a team.
type MemberPath struct {
	TeamPath
	AccountPath
}

type teamAnswer struct {
	ETag string `header:"ETag"`
	Body *Team
}

func (m *mounted) teams() {
	register(m, "team.list", func(ctx context.Context, by *admin.Actor, in *struct{ Page }) (*listAnswer[*Team], error) {
		all, err := m.Admin.Teams(ctx, by)
		if err != nil {
			return nil, err
		}
		return pageOf(m.API, in.Page, "teams", all, func(t *store.Team) string { return t.Name }, wireTeam)
	})
	register(m, "team.create", func(ctx context.Context, by *admin.Actor, in *struct {
		Repeatable
		Body TeamCreate
	},
	) (*teamAnswer, error) {
		made := in.Body.input()
		made.Name = in.Body.Name
		return teamSaid(m.Admin.CreateTeam(ctx, by, made))
	}, created)
	register(m, "team.get", func(ctx context.Context, by *admin.Actor, in *TeamPath) (*teamAnswer, error) {
		return teamSaid(m.Admin.Team(ctx, by, in.Team))
	})
	register(m, "team.edit", func(ctx context.Context, by *admin.Actor, in *struct {
		TeamPath
		Condition
		Body TeamPatch
	},
	) (*teamAnswer, error) {
		return teamSaid(m.Admin.EditTeam(ctx, by, in.Team, in.Body.input(), in.revision()))
	})
	register(m, "team.delete", func(ctx context.Context, by *admin.Actor, in *struct {
		TeamPath
		Cascade bool `query:"cascade" doc:"Take its memberships and grants along."`
	},
	) (*messageAnswer, error) {
		return said("The team is deleted.", m.Admin.DeleteTeam(ctx, by, in.Team, in.Cascade))
	})
	register(m, "team.members", m.listMembers)
	register(m, "team.member.add", func(ctx context.Context, by *admin.Actor, in *MemberPath) (*changedAccountAnswer, error) {
		return m.member("The account is a member of the team.")(m.Admin.AddMember(ctx, by, in.Team, in.Account))
	})
	register(m, "team.member.remove", func(ctx context.Context, by *admin.Actor, in *MemberPath) (*changedAccountAnswer, error) {
		return m.member("The account is not a member of the team any more.")(m.Admin.RemoveMember(ctx, by, in.Team, in.Account))
	})
}

func (m *mounted) listMembers(ctx context.Context, by *admin.Actor, in *struct {
	Page
	TeamPath
},
) (*listAnswer[*Account], error) {
	question := "members of " + in.Team
	var after string
	if in.Cursor != "" {
		if err := m.Admin.OpenCursor(in.Cursor, question, &after); err != nil {
			return nil, err
		}
	}
	found, err := m.Admin.Members(ctx, by, in.Team, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return pageFrom(m.API, in.Page, question, found, func(a *store.Account) any { return a.Name }, m.wireAccount)
}

func (m *mounted) member(message string) func(*store.Account, error) (*changedAccountAnswer, error) {
	return func(acc *store.Account, err error) (*changedAccountAnswer, error) {
		if err != nil {
			return nil, err
		}
		return &changedAccountAnswer{etag(acc.Revision), ChangedAccount{message, m.wireAccount(acc)}}, nil
	}
}

func (b *TeamPatch) input() admin.TeamInput {
	return admin.TeamInput{DisplayName: b.DisplayName.pointer(), Description: b.Description.pointer(), SCIMMayGrant: b.SCIMMayGrant}
}

func teamSaid(t *store.Team, err error) (*teamAnswer, error) {
	if err != nil {
		return nil, err
	}
	return &teamAnswer{etag(t.Revision), wireTeam(t)}, nil
}

func wireTeam(t *store.Team) *Team {
	return &Team{
		ID: string(t.ID), Name: t.Name, DisplayName: t.DisplayName, Description: t.Description, Provisioned: t.Provisioned,
		ExternalID: t.ExternalID, SCIMMayGrant: t.SCIMMayGrant, CreatedAt: Time(t.CreatedAt), Revision: t.Revision,
	}
}
