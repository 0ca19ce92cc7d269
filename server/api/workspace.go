package api

import (
	"context"
	"fmt"
	"time"

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
	Lifetimes      []string `json:"lifetimes" doc:"The only lifetimes that a client may have, such as 90d or never; empty is any."`
	ExpiryChoices  []string `json:"expiry_choices" doc:"What to offer for the life of a new client."`
	PersonalAuto   bool     `json:"personal_auto" doc:"A new person gets a personal token, which waits until its owner makes the secret."`
	LeakPolicy     string   `json:"leak_policy" enum:"revoke,client,alert" doc:"What a leaked secret costs: that secret, the whole client, or nothing but an alert."`
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

	PersonalPeople Maybe[[]string] `json:"personal_people,omitzero" maxItems:"1000" doc:"Who is named, by id or name."`
	Lifetimes      Maybe[[]string] `json:"lifetimes,omitzero" maxItems:"50"`
	PersonalAuto   *bool           `json:"personal_auto,omitempty"`
	LeakPolicy     *string         `json:"leak_policy,omitempty" enum:"revoke,client,alert"`
}

// Transfer is the body of POST /workspaces/{workspace}/transfer.
type Transfer struct {
	To string `json:"to" maxLength:"64" doc:"A person, by id or name."`
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
		return pageOf(m.API, in.Page, "workspaces", all, func(w *store.Workspace) string { return w.Name }, m.wireWorkspace)
	})
	register(m, "workspace.create", func(ctx context.Context, by *admin.Actor, in *struct {
		Repeatable
		Body WorkspaceCreate
	},
	) (*workspaceAnswer, error) {
		made, err := in.Body.input()
		if err != nil {
			return nil, err
		}
		made.Name = in.Body.Name
		w, err := m.Admin.CreateWorkspace(ctx, by, made)
		return m.workspace(w, err)
	}, created)
	register(m, "workspace.get", func(ctx context.Context, by *admin.Actor, in *WorkspacePath) (*workspaceAnswer, error) {
		w, err := m.Admin.Workspace(ctx, by, in.Workspace)
		return m.workspace(w, err)
	})
	register(m, "workspace.edit", func(ctx context.Context, by *admin.Actor, in *struct {
		WorkspacePath
		Condition
		Body WorkspacePatch
	},
	) (*workspaceAnswer, error) {
		edit, err := in.Body.input()
		if err != nil {
			return nil, err
		}
		w, err := m.Admin.EditWorkspace(ctx, by, in.Workspace, edit, in.revision())
		return m.workspace(w, err)
	})
	register(m, "workspace.transfer", func(ctx context.Context, by *admin.Actor, in *struct {
		WorkspacePath
		Body Transfer
	},
	) (*messageAnswer, error) {
		return said("The workspace has another owner now.", m.Admin.TransferWorkspace(ctx, by, in.Workspace, in.Body.To))
	})
	register(m, "workspace.delete", func(ctx context.Context, by *admin.Actor, in *struct {
		WorkspacePath
		Condition
	},
	) (*messageAnswer, error) {
		return said("The workspace is deleted.", m.Admin.DeleteWorkspace(ctx, by, in.Workspace, in.revision()))
	})
}

func (m *mounted) workspace(w *store.Workspace, err error) (*workspaceAnswer, error) {
	if err != nil {
		return nil, err
	}
	return &workspaceAnswer{etag(w.Revision), m.wireWorkspace(w)}, nil
}

func (b *WorkspacePatch) input() (admin.WorkspaceInput, error) {
	out := admin.WorkspaceInput{
		Description: b.Description.pointer(), APIAccess: b.APIAccess, WhoMayCreate: (*store.WhoMayCreate)(b.WhoMayCreate),
		MaxLifetime: seconds(b.MaxLifetime), NeverForbidden: b.NeverForbidden, PersonalPeople: b.PersonalPeople.pointer(),
		PersonalAuto: b.PersonalAuto, LeakPolicy: (*store.LeakPolicy)(b.LeakPolicy),
	}
	if b.Lifetimes.Sent {
		lifetimes := make([]admin.Expiry, len(b.Lifetimes.Value))
		for i, text := range b.Lifetimes.Value {
			e, err := expiry(text, nil)
			if err != nil || e == (admin.Expiry{}) {
				return out, invalid(fmt.Sprintf("body.lifetimes[%d]", i), "must be a lifetime such as 90d, or never")
			}
			lifetimes[i] = e
		}
		out.Lifetimes = &lifetimes
	}
	return out, nil
}

// lifetimes spells lifetimes as they are written.
func lifetimes(seconds []int64) []string {
	out := make([]string, len(seconds))
	for i, s := range seconds {
		switch d := time.Duration(s) * time.Second; {
		case s == store.LifetimeNever:
			out[i] = "never"
		case d%(365*day) == 0:
			out[i] = fmt.Sprintf("%dy", d/(365*day))
		case d%day == 0:
			out[i] = fmt.Sprintf("%dd", d/day)
		default:
			out[i] = d.String()
		}
	}
	return out
}

func (m *mounted) wireWorkspace(w *store.Workspace) *Workspace {
	out := &Workspace{
		ID: string(w.ID), Name: w.Name, Description: w.Description, APIAccess: w.APIAccess, WhoMayCreate: string(w.WhoMayCreate),
		PersonalPeople: texts(w.PersonalPeople), MaxLifetime: w.MaxLifetime, NeverForbidden: w.NeverForbidden,
		Lifetimes: lifetimes(w.Lifetimes), ExpiryChoices: orEmpty(m.Admin.ExpiryChoices(w)), PersonalAuto: w.PersonalAuto, LeakPolicy: string(w.LeakPolicy),
		Warnings: []string{}, CreatedAt: Time(w.CreatedAt), Revision: w.Revision,
	}
	if out.LeakPolicy == "" {
		out.LeakPolicy = string(store.LeakRevokeSecret)
	}
	if w.Warning != "" {
		out.Warnings = append(out.Warnings, w.Warning)
	}
	return out
}
