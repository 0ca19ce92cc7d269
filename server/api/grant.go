package api

import (
	"context"

	"postern/server/admin"
	"postern/store"
)

// Grant is the roles of an account or team in one workspace.
type Grant struct {
	ID        string        `json:"id"`
	Workspace string        `json:"workspace" doc:"Its name."`
	Holder    Reference     `json:"holder"`
	Team      bool          `json:"team" doc:"Whether the holder is a team."`
	Roles     []GrantedRole `json:"roles"`
	CreatedAt Time          `json:"created_at"`
	Revision  int64         `json:"revision"`
}

// GrantedRole is a role with the limits it is given with.
type GrantedRole struct {
	Role      string              `json:"role" doc:"Id, name or ref; answers have the ref."`
	Resources map[string][]string `json:"resources,omitempty" doc:"For each parameter of a path the values that are allowed; an empty list allows none."`
}

// ChangedGrant is a grant with what the actor should know about it.
type ChangedGrant struct {
	Grant
	Warnings []string `json:"warnings"`
}

// GrantPath names a grant.
type GrantPath struct {
	Workspace string `path:"workspace" maxLength:"64" doc:"Id or name."`
	Holder    string `path:"holder" maxLength:"64" doc:"An account or team, by id or name."`
}

type grantAnswer struct {
	ETag string `header:"ETag"`
	Body ChangedGrant
}

type grantsInput struct {
	Page
	Workspace string `query:"workspace" doc:"Id or name."`
	Role      string `query:"role" doc:"Only those in the workspace that name this role, by id, name or ref."`
	Holder    string `query:"holder" doc:"An account or team, by id or name."`
}

func (m *mounted) grants() {
	register(m, "grant.list", m.listGrants)
	register(m, "grant.set", func(ctx context.Context, by *admin.Actor, in *struct {
		GrantPath
		Condition
		Body struct {
			Roles []GrantedRole `json:"roles" maxItems:"200"`
		}
	},
	) (*grantAnswer, error) {
		roles := make([]admin.Granted, len(in.Body.Roles))
		for i, r := range in.Body.Roles {
			roles[i] = admin.Granted(r)
		}
		g, warnings, err := m.Admin.SetGrant(ctx, by, in.Workspace, in.Holder, roles, in.revision())
		if err != nil {
			return nil, err
		}
		return &grantAnswer{etag(g.Revision), ChangedGrant{m.wireGrant(ctx, g), orEmpty(warnings)}}, nil
	})
	register(m, "grant.delete", func(ctx context.Context, by *admin.Actor, in *struct {
		GrantPath
		Condition
	},
	) (*messageAnswer, error) {
		_, _, err := m.Admin.SetGrant(ctx, by, in.Workspace, in.Holder, nil, in.revision())
		return &messageAnswer{Message{"The roles are taken back."}}, err
	})
}

func (m *mounted) listGrants(ctx context.Context, by *admin.Actor, in *grantsInput) (*listAnswer[Grant], error) {
	if (in.Workspace == "") == (in.Holder == "") {
		return nil, invalid("query", "name a workspace or a holder")
	}
	if in.Role != "" && in.Workspace == "" {
		return nil, invalid("query", "name the workspace, too, in which the role is held")
	}
	wire := func(g *store.Grant) Grant { return m.wireGrant(ctx, g) }
	question := *in
	question.Page = Page{}
	if in.Holder != "" {
		grants, err := m.Admin.Grants(ctx, by, admin.GrantList{Holder: in.Holder})
		if err != nil {
			return nil, err
		}
		return pageOf(m.API, in.Page, question, grants, func(g *store.Grant) string { return string(g.ID) }, wire)
	}
	var after store.GrantID
	if in.Cursor != "" {
		if err := m.Admin.OpenCursor(in.Cursor, question, &after); err != nil {
			return nil, err
		}
	}
	grants, err := m.Admin.Grants(ctx, by, admin.GrantList{Workspace: in.Workspace, Role: in.Role, After: after, Limit: in.Limit + 1})
	if err != nil {
		return nil, err
	}
	return pageFrom(m.API, in.Page, question, grants, func(g *store.Grant) any { return g.ID }, wire)
}

// pageFrom makes the answer from one row more than the page has, which tells
// whether there is a next one.
func pageFrom[R, T any](a *API, p Page, question any, rows []R, position func(R) any, wire func(R) T) (*listAnswer[T], error) {
	out := &listAnswer[T]{List[T]{Items: []T{}}}
	if len(rows) > p.Limit {
		rows = rows[:p.Limit]
		next, err := a.Admin.SealCursor(question, position(rows[p.Limit-1]))
		if err != nil {
			return nil, err
		}
		out.Body.Next = next
	}
	for _, r := range rows {
		out.Body.Items = append(out.Body.Items, wire(r))
	}
	return out, nil
}

func (m *mounted) wireGrant(ctx context.Context, g *store.Grant) Grant {
	out := Grant{
		ID: string(g.ID), Workspace: m.Admin.WorkspaceName(g.Workspace), Team: g.Holder.IsTeam(),
		Holder: Reference{string(g.Holder), m.Admin.HolderName(ctx, g.Holder)},
		Roles:  make([]GrantedRole, len(g.Roles)), CreatedAt: Time(g.CreatedAt), Revision: g.Revision,
	}
	for i, r := range g.Roles {
		given := GrantedRole{Role: m.Admin.RoleRefs([]store.RoleID{r.Role})[0]}
		if len(r.Limits) > 0 {
			given.Resources = map[string][]string{}
		}
		for _, l := range r.Limits {
			given.Resources[l.Param] = orEmpty(l.Values)
		}
		out.Roles[i] = given
	}
	return out
}
