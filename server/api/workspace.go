package api

import (
	"context"

	"postern/server/admin"
	"postern/store"
)

// Workspace is a workspace as it is shown.
type Workspace struct {
	ID             string   `json:"id"`
	Name           string   `json:"name"`
	Description    string   `json:"description"`
	APIAccess      bool     `json:"api_access" doc:"Off: no token is issued for it, and none is good in it."`
	WhoMayCreate   string   `json:"who_may_create" enum:"administrators,everyone,named"`
	PersonalPeople []string `json:"personal_people" doc:"The ids of who is named."`
	MaxLifetime    int64    `json:"max_lifetime" doc:"The longest life of a client in seconds; 0 is no cap."`
	NeverForbidden bool     `json:"never_forbidden" doc:"Clients must expire."`
	Warnings       []string `json:"warnings"`
	CreatedAt      Time     `json:"created_at"`
	Revision       int64    `json:"revision"`
}

// WorkspacePatch is the body of PATCH /workspaces/{workspace}.
type WorkspacePatch struct {
	Description    Maybe[string] `json:"description,omitzero"`
	APIAccess      *bool         `json:"api_access,omitempty"`
	WhoMayCreate   *string       `json:"who_may_create,omitempty" enum:"administrators,everyone,named"`
	MaxLifetime    Maybe[int64]  `json:"max_lifetime,omitzero"`
	NeverForbidden *bool         `json:"never_forbidden,omitempty"`
}

// WorkspaceCreate is the body of POST /workspaces.
type WorkspaceCreate struct {
	Name string `json:"name"`
	WorkspacePatch
}

// WorkspacePath names a workspace.
type WorkspacePath struct {
	Workspace string `path:"workspace" maxLength:"64" doc:"Id or name."`
}

type workspaceAnswer struct {
	ETag string `header:"ETag"`
	Body *Workspace
}

func (m *mounted) workspaces() {
	register(m, "workspace.list", func(ctx context.Context, by *admin.Actor, in *struct{ Page }) (*listAnswer[*Workspace], error) {
		all, err := m.Admin.Workspaces(ctx, by)
		if err != nil {
			return nil, err
		}
		return pageOf(m.API, in.Page, "workspaces", all, func(w *store.Workspace) string { return w.Name }, wireWorkspace)
	})
	register(m, "workspace.create", func(ctx context.Context, by *admin.Actor, in *struct{ Body WorkspaceCreate }) (*workspaceAnswer, error) {
		made := in.Body.input()
		made.Name = in.Body.Name
		w, err := m.Admin.CreateWorkspace(ctx, by, made)
		return workspace(w, err)
	}, created)
	register(m, "workspace.get", func(ctx context.Context, by *admin.Actor, in *WorkspacePath) (*workspaceAnswer, error) {
		w, err := m.Admin.Workspace(ctx, by, in.Workspace)
		return workspace(w, err)
	})
	register(m, "workspace.edit", func(ctx context.Context, by *admin.Actor, in *struct {
		WorkspacePath
		Condition
		Body WorkspacePatch
	},
	) (*workspaceAnswer, error) {
		w, err := m.Admin.EditWorkspace(ctx, by, in.Workspace, in.Body.input(), in.revision())
		return workspace(w, err)
	})
}

func workspace(w *store.Workspace, err error) (*workspaceAnswer, error) {
	if err != nil {
		return nil, err
	}
	return &workspaceAnswer{etag(w.Revision), wireWorkspace(w)}, nil
}

func (b *WorkspacePatch) input() admin.WorkspaceInput {
	return admin.WorkspaceInput{
		Description: b.Description.pointer(), APIAccess: b.APIAccess, WhoMayCreate: (*store.WhoMayCreate)(b.WhoMayCreate),
		MaxLifetime: seconds(b.MaxLifetime), NeverForbidden: b.NeverForbidden,
	}
}

func wireWorkspace(w *store.Workspace) *Workspace {
	out := &Workspace{
		ID: string(w.ID), Name: w.Name, Description: w.Description, APIAccess: w.APIAccess, WhoMayCreate: string(w.WhoMayCreate),
		PersonalPeople: texts(w.PersonalPeople), MaxLifetime: w.MaxLifetime, NeverForbidden: w.NeverForbidden,
		Warnings: []string{}, CreatedAt: Time(w.CreatedAt), Revision: w.Revision,
	}
	if w.Warning != "" {
		out.Warnings = append(out.Warnings, w.Warning)
	}
	return out
}
