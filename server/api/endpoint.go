package api

import (
	"context"
	"fmt"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"postern/server/admin"
	"postern/store"
)

// OpenEndpoint is an endpoint that the presented credential may call.
type OpenEndpoint struct {
	API        string                `json:"api" doc:"Short name."`
	Workspace  string                `json:"workspace,omitempty" doc:"Whose rights decide; absent where none are needed."`
	Methods    string                `json:"methods" doc:"Of the endpoint's methods, those allowed: GET HEAD, or * for any, less what a rule denies."`
	Path       string                `json:"path"`
	Summary    string                `json:"summary,omitempty"`
	Tags       []string              `json:"tags,omitempty"`
	GraphQL    bool                  `json:"graphql,omitempty"`
	Operations []string              `json:"operations,omitempty" doc:"Of a GraphQL endpoint: query devices, mutation *; less what a rule denies."`
	Scopes     []string              `json:"scopes,omitempty" doc:"Of the credential's scopes, those that this needs."`
	Resources  []map[string][]string `json:"resources,omitempty" doc:"Values of the path's parameters, a set for each way to call it; absent is any value, less what a rule denies."`
}

func (m *mounted) endpoints() {
	register(m, "endpoint.list", func(ctx context.Context, by *admin.Actor, in *struct {
		Page
		API string `query:"api" maxLength:"64" doc:"Only of this API, by its short name."`
	},
	) (*listAnswer[OpenEndpoint], error) {
		found, err := m.Admin.Endpoints(ctx, by)
		if err != nil {
			return nil, err
		}
		var all []placed
		for i := range found {
			if in.API == "" || in.API == found[i].API.Name {
				all = append(all, placed{i, &found[i]})
			}
		}
		question := "endpoints of " + string(by.Client.ID) + " " + in.API
		return pageOf(m.API, in.Page, question, all, placed.key, func(p placed) OpenEndpoint { return wireOpen(p.OpenEndpoint) })
	}, func(op *huma.Operation) {
		op.Description = "Any credential that is good for some API may ask this about itself: an access token, which lists the endpoints of the APIs it is for, or a secret that may be sent as a bearer, which lists those of all."
	})
	register(m, "role.endpoints", m.roleEndpoints)
}

// roleEndpoints lists what a role opens.
func (m *mounted) roleEndpoints(ctx context.Context, by *admin.Actor, in *struct {
	Page
	RolePath
},
) (*listAnswer[OpenEndpoint], error) {
	found, err := m.Admin.RoleEndpoints(ctx, by, in.Role)
	if err != nil {
		return nil, err
	}
	all := make([]placed, len(found))
	for i := range found {
		all[i] = placed{i, &found[i]}
	}
	return pageOf(m.API, in.Page, "endpoints of role "+in.Role, all, placed.key, func(p placed) OpenEndpoint { return wireOpen(p.OpenEndpoint) })
}

// placed is an endpoint with its place in the list.
type placed struct {
	place int
	*admin.OpenEndpoint
}

func (p placed) key() string { return fmt.Sprintf("%09d", p.place) }

func wireOpen(e *admin.OpenEndpoint) OpenEndpoint {
	out := OpenEndpoint{
		API: e.API.Name, Methods: strings.Join(e.Methods, " "), Path: e.Endpoint.Path, Summary: e.Endpoint.Summary, Tags: e.Endpoint.Tags,
		GraphQL: e.Endpoint.GraphQL, Operations: e.Operations, Scopes: e.Scopes,
	}
	if e.Workspace != nil {
		out.Workspace = e.Workspace.Name
	}
	for _, limits := range e.Limits {
		out.Resources = append(out.Resources, resourcesOf(limits))
	}
	return out
}

func resourcesOf(limits []store.Limit) map[string][]string {
	out := map[string][]string{}
	for _, l := range limits {
		out[l.Param] = l.Values
	}
	return out
}
