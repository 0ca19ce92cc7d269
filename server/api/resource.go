package api

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"postern/server/admin"
	"postern/store"
)

// ResourceServer is an API as it is shown: what tokens are for, and what rules
// are about.
type ResourceServer struct {
	ID            string     `json:"id"`
	Name          string     `json:"name"`
	Description   string     `json:"description"`
	Workspace     string     `json:"workspace" doc:"The name of its owner."`
	SharedWith    []Share    `json:"shared_with"`
	Audience      string     `json:"audience"`
	Hosts         []string   `json:"hosts" doc:"Empty is any."`
	Endpoints     []Endpoint `json:"endpoints"`
	Public        []Endpoint `json:"public" doc:"Allowed before any token is read."`
	Format        string     `json:"format" enum:",jwt,opaque" doc:"Of its tokens; empty is the installation's default."`
	Algorithm     string     `json:"algorithm" enum:",ES256,EdDSA,RS256"`
	TokenType     string     `json:"token_type"`
	AccessTTL     int64      `json:"access_ttl" doc:"Seconds; 0 is the installation's default."`
	Introspectors []string   `json:"introspectors" doc:"The ids of clients that may introspect its tokens."`
	WorkspaceFrom string     `json:"workspace_from"`
	MaxStaleness  int64      `json:"max_staleness" doc:"Seconds; 0 is the installation's."`
	Semicolon     bool       `json:"semicolon"`
	EncodedSlash  bool       `json:"encoded_slash"`
	DoubleSlash   bool       `json:"double_slash"`
	NonASCII      bool       `json:"non_ascii"`
	FoldCase      bool       `json:"fold_case"`
	CertHeader    string     `json:"certificate_header,omitempty" doc:"Where its gateways say which certificate the client presented; tokens bound to one are refused without."`
	Delegation    bool       `json:"delegation" doc:"It takes tokens of clients that act for others (RFC 8693)."`
	EvaluateIDs   bool       `json:"evaluate_ids" doc:"Its introspectors may evaluate clients and accounts by id (AuthZEN)."`
	StatusList    bool       `json:"status_list" doc:"Its JWTs name a place in a status list, by which gateways that ask nobody refuse revoked ones."`
	Warnings      []string   `json:"warnings"`
	CreatedAt     Time       `json:"created_at"`
	Revision      int64      `json:"revision"`
}

// Share lets another workspace use an API, wholly or the endpoints with any of
// these tags.
type Share struct {
	Workspace string   `json:"workspace" doc:"Id or name; answers have the name."`
	Tags      []string `json:"tags,omitempty"`
}

// Endpoint is one entry of a catalogue.
type Endpoint struct {
	Methods string   `json:"methods" doc:"GET HEAD, or *"`
	Path    string   `json:"path"`
	Summary string   `json:"summary,omitempty"`
	Tags    []string `json:"tags,omitempty"`
	GraphQL bool     `json:"graphql,omitempty"`
}

// ResourceServerPatch is the body of PATCH /apis/{api}.
type ResourceServerPatch struct {
	Description   Maybe[string]     `json:"description,omitzero"`
	Audience      Maybe[string]     `json:"audience,omitzero"`
	Hosts         Maybe[[]string]   `json:"hosts,omitzero"`
	Endpoints     Maybe[[]Endpoint] `json:"endpoints,omitzero"`
	Public        Maybe[[]Endpoint] `json:"public,omitzero"`
	SharedWith    Maybe[[]Share]    `json:"shared_with,omitzero"`
	Format        Maybe[string]     `json:"format,omitzero"`
	Algorithm     Maybe[string]     `json:"algorithm,omitzero"`
	TokenType     Maybe[string]     `json:"token_type,omitzero"`
	AccessTTL     Maybe[int64]      `json:"access_ttl,omitzero"`
	Introspectors Maybe[[]string]   `json:"introspectors,omitzero"`
	WorkspaceFrom Maybe[string]     `json:"workspace_from,omitzero"`
	MaxStaleness  Maybe[int64]      `json:"max_staleness,omitzero"`
	Semicolon     Maybe[bool]       `json:"semicolon,omitzero"`
	EncodedSlash  Maybe[bool]       `json:"encoded_slash,omitzero"`
	DoubleSlash   Maybe[bool]       `json:"double_slash,omitzero"`
	NonASCII      Maybe[bool]       `json:"non_ascii,omitzero"`
	FoldCase      Maybe[bool]       `json:"fold_case,omitzero"`
	EvaluateIDs   Maybe[bool]       `json:"evaluate_ids,omitzero"`
	Delegation    Maybe[bool]       `json:"delegation,omitzero"`
	CertHeader    Maybe[string]     `json:"certificate_header,omitzero" doc:"The header in which its gateways, and nobody else, put the certificate that the client presented."`
	StatusList    Maybe[bool]       `json:"status_list,omitzero"`
}

// ResourceServerCreate is the body of POST /apis.
type ResourceServerCreate struct {
	Name      string `json:"name"`
	Workspace string `json:"workspace" doc:"Its owner, by id or name."`
	ResourceServerPatch
}

// Imported is what an OpenAPI document made of an API.
type Imported struct {
	DryRun    bool            `json:"dry_run"`
	Endpoints []Endpoint      `json:"endpoints"`
	Warnings  []string        `json:"warnings" doc:"Paths that a catalogue cannot say."`
	API       *ResourceServer `json:"api"`
}

// ServerPath names an API.
type ServerPath struct {
	API string `path:"api" maxLength:"64" doc:"Id or name."`
}

type apiAnswer struct {
	ETag string `header:"ETag"`
	Body *ResourceServer
}

type importAnswer struct {
	ETag string `header:"ETag"`
	Body Imported
}

func (m *mounted) apis() {
	register(m, "api.list", func(ctx context.Context, by *admin.Actor, in *struct{ Page }) (*listAnswer[*ResourceServer], error) {
		apis, err := m.Admin.APIs(ctx, by)
		if err != nil {
			return nil, err
		}
		return pageOf(m.API, in.Page, "apis", apis, func(api *store.API) string { return api.Name }, m.wireAPI)
	})
	register(m, "api.create", func(ctx context.Context, by *admin.Actor, in *struct {
		Repeatable
		Body ResourceServerCreate
	},
	) (*apiAnswer, error) {
		made := in.Body.input()
		made.Name, made.Workspace = in.Body.Name, in.Body.Workspace
		api, err := m.Admin.CreateAPI(ctx, by, made)
		return m.api(api, err)
	}, created)
	register(m, "api.get", func(ctx context.Context, by *admin.Actor, in *ServerPath) (*apiAnswer, error) {
		api, err := m.Admin.API(ctx, by, in.API)
		return m.api(api, err)
	})
	register(m, "api.edit", func(ctx context.Context, by *admin.Actor, in *struct {
		ServerPath
		Condition
		Body ResourceServerPatch
	},
	) (*apiAnswer, error) {
		api, err := m.Admin.EditAPI(ctx, by, in.API, in.Body.input(), in.revision())
		return m.api(api, err)
	})
	register(m, "api.import", m.importOpenAPI, func(op *huma.Operation) { op.MaxBodyBytes = maxOpenAPI })
	register(m, "api.delete", func(ctx context.Context, by *admin.Actor, in *struct {
		ServerPath
		Condition
	},
	) (*messageAnswer, error) {
		err := m.Admin.DeleteAPI(ctx, by, in.API, in.revision())
		return &messageAnswer{Message{"The API is deleted."}}, err
	})
}

func (m *mounted) importOpenAPI(ctx context.Context, by *admin.Actor, in *struct {
	ServerPath
	Condition
	DryRun  bool   `query:"dry_run" doc:"Only say what would come of it."`
	RawBody []byte `contentType:"application/octet-stream" doc:"An OpenAPI 3 document, in JSON or YAML, of at most 2 MB."`
},
) (*importAnswer, error) {
	api, imported, err := m.Admin.ImportOpenAPI(ctx, by, in.API, in.RawBody, in.revision(), in.DryRun)
	if err != nil {
		return nil, err
	}
	return &importAnswer{etag(api.Revision), Imported{in.DryRun, wireEndpoints(imported.Endpoints), orEmpty(imported.Warnings), m.wireAPI(api)}}, nil
}

func (m *mounted) api(api *store.API, err error) (*apiAnswer, error) {
	if err != nil {
		return nil, err
	}
	return &apiAnswer{etag(api.Revision), m.wireAPI(api)}, nil
}

func (b *ResourceServerPatch) input() admin.APIInput {
	in := admin.APIInput{
		Description: b.Description.pointer(), Audience: b.Audience.pointer(), Hosts: b.Hosts.pointer(), Algorithm: b.Algorithm.pointer(),
		TokenType: b.TokenType.pointer(), AccessTTL: seconds(b.AccessTTL), Introspectors: b.Introspectors.pointer(),
		WorkspaceFrom: b.WorkspaceFrom.pointer(), MaxStaleness: seconds(b.MaxStaleness), Semicolon: b.Semicolon.pointer(),
		EncodedSlash: b.EncodedSlash.pointer(), DoubleSlash: b.DoubleSlash.pointer(), NonASCII: b.NonASCII.pointer(), FoldCase: b.FoldCase.pointer(),
		EvaluateIDs: b.EvaluateIDs.pointer(), Delegation: b.Delegation.pointer(), StatusList: b.StatusList.pointer(), CertificateHeader: b.CertHeader.pointer(),
	}
	if b.Format.Sent {
		in.Format = new(store.TokenFormat(b.Format.Value))
	}
	if b.Endpoints.Sent {
		in.Endpoints = new(endpointsOf(b.Endpoints.Value))
	}
	if b.Public.Sent {
		in.Public = new(endpointsOf(b.Public.Value))
	}
	if b.SharedWith.Sent {
		shares := make([]store.Share, len(b.SharedWith.Value))
		for i, s := range b.SharedWith.Value {
			shares[i] = store.Share{Workspace: store.WorkspaceID(s.Workspace), Tags: s.Tags}
		}
		in.SharedWith = &shares
	}
	return in
}

func endpointsOf(in []Endpoint) []store.Endpoint {
	out := make([]store.Endpoint, len(in))
	for i, e := range in {
		out[i] = store.Endpoint(e)
	}
	return out
}

func wireEndpoints(in []store.Endpoint) []Endpoint {
	out := make([]Endpoint, len(in))
	for i, e := range in {
		out[i] = Endpoint(e)
	}
	return out
}

func (m *mounted) wireAPI(api *store.API) *ResourceServer {
	out := &ResourceServer{
		ID: string(api.ID), Name: api.Name, Description: api.Description, Workspace: m.Admin.WorkspaceName(api.Workspace),
		SharedWith: make([]Share, len(api.SharedWith)), Audience: api.Audience, Hosts: orEmpty(api.Hosts), Endpoints: wireEndpoints(api.Endpoints),
		Public: wireEndpoints(api.Public), Format: string(api.Format), Algorithm: api.Algorithm, TokenType: api.TokenType, AccessTTL: api.AccessTTL,
		Introspectors: texts(api.Introspectors), WorkspaceFrom: api.WorkspaceFrom, MaxStaleness: api.MaxStaleness, Semicolon: api.Semicolon,
		EncodedSlash: api.EncodedSlash, DoubleSlash: api.DoubleSlash, NonASCII: api.NonASCII, FoldCase: api.FoldCase,
		EvaluateIDs: api.EvaluateIDs, Delegation: api.Delegation, StatusList: api.StatusList, CertHeader: api.CertificateHeader,
		Warnings: []string{}, CreatedAt: Time(api.CreatedAt), Revision: api.Revision,
	}
	for i, s := range api.SharedWith {
		out.SharedWith[i] = Share{m.Admin.WorkspaceName(s.Workspace), s.Tags}
	}
	if api.Warning != "" {
		out.Warnings = append(out.Warnings, api.Warning)
	}
	return out
}
