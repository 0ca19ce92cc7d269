package admin

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"postern/policy"
	"postern/store"
)

// OpenEndpoint is an endpoint that a credential may call.
type OpenEndpoint struct {
	policy.Callable

	API       *store.API
	Workspace *store.Workspace // that its calls are decided in; nil for what needs no rights
	Endpoint  store.Endpoint
}

// Endpoints returns what the presented credential may call, by API, workspace
// and place in the catalogue: of the APIs that an access token is for, of all for
// a secret. Anybody may ask that about themselves. An API without a catalogue
// has nothing to list.
func (a *Admin) Endpoints(_ context.Context, by *Actor) ([]OpenEndpoint, error) {
	if by.Holder == nil || by.Client == nil {
		return nil, refuse(Forbidden, "there is no credential to list the endpoints of")
	}
	apis := slices.DeleteFunc(slices.Clone(a.State.APIs()), func(api *store.API) bool {
		return by.Audience != nil && !slices.Contains(by.Audience, api.Audience)
	})
	slices.SortFunc(apis, func(x, y *store.API) int { return cmp.Compare(x.Name, y.Name) })
	var out []OpenEndpoint
	for _, api := range apis {
		if api.Name == store.PosternAPI {
			out = append(out, a.ownEndpoints(by, api)...)
			continue
		}
		workspaces := a.decidedIn(by, api)
		for _, ws := range workspaces {
			out = append(out, a.endpointsIn(by, api, ws)...)
		}
		if len(workspaces) > 0 {
			out = append(out, publicOf(api)...)
		}
	}
	return out, nil
}

// workspaceParam returns the parameter of paths that names the workspace, if
// that is how an API says it.
func workspaceParam(api *store.API) (string, bool) {
	return strings.CutPrefix(api.WorkspaceFrom, "param:")
}

// byName returns the workspaces in order.
func byName(all []*store.Workspace) []*store.Workspace {
	return slices.SortedFunc(slices.Values(all), func(x, y *store.Workspace) int { return cmp.Compare(x.Name, y.Name) })
}

func publicOf(api *store.API) (out []OpenEndpoint) {
	for i, e := range api.Public {
		out = append(out, OpenEndpoint{API: api, Endpoint: e, Callable: policy.Callable{Place: len(api.Endpoints) + i, Methods: []string{e.Methods}}})
	}
	return out
}

// decidedIn returns the workspaces that calls of an API with the actor's
// credential can be decided in, as a gateway finds them.
func (a *Admin) decidedIn(by *Actor, api *store.API) []*store.Workspace {
	var in []*store.Workspace
	switch _, param := workspaceParam(api); {
	case by.Workspace != "":
		in = []*store.Workspace{a.State.Workspace(by.Workspace)}
	case param:
		in = byName(a.State.Workspaces())
	default:
		in = []*store.Workspace{a.State.Workspace(api.Workspace)}
	}
	c := by.caller()
	return slices.DeleteFunc(in, func(ws *store.Workspace) bool {
		return ws == nil || !ws.APIAccess || !api.OpenTo(ws.ID) || !a.Policy.Reaches(c, ws.ID, api.Name)
	})
}

// endpointsIn returns the endpoints of an API that the actor may call in a
// workspace: those with a shared tag, where only these are shared with it.
func (a *Admin) endpointsIn(by *Actor, api *store.API, ws *store.Workspace) (out []OpenEndpoint) {
	at := policy.Span{API: api.ID, Workspaces: []store.WorkspaceID{ws.ID}}
	if param, ok := workspaceParam(api); ok {
		at.Param, at.Values, at.Optional = param, []string{ws.Name, string(ws.ID)}, by.Workspace != ""
	}
	var tags []string
	if share := api.ShareOf(ws.ID); share != nil && ws.ID != api.Workspace {
		tags = share.Tags
	}
	for _, found := range a.Policy.Callable(by.caller(), at) {
		e := api.Endpoints[found.Place]
		if len(tags) > 0 && !slices.ContainsFunc(e.Tags, func(t string) bool { return slices.Contains(tags, t) }) {
			continue
		}
		for _, limits := range found.Limits {
			for i := range limits {
				if limits[i].Param == at.Param && slices.Contains(limits[i].Values, ws.Name) {
					limits[i].Values = []string{ws.Name} // its id says the same again
				}
			}
		}
		out = append(out, OpenEndpoint{Callable: found, API: api, Workspace: ws, Endpoint: e})
	}
	return out
}

// ownEndpoints returns those of Postern's own API. What may be called in system
// may be so in every workspace, unless a rule denies it there, and stands in the
// list once.
func (a *Admin) ownEndpoints(by *Actor, api *store.API) (out []OpenEndpoint) {
	system := a.State.WorkspaceByName(store.SystemWorkspace)
	if system == nil {
		return nil
	}
	in := []*store.Workspace{a.State.Workspace(by.Client.Workspace)}
	if by.Client.Workspace == "" {
		in = append([]*store.Workspace{system}, byName(a.State.Workspaces())...)
	}
	c := by.caller()
	listed := map[int]bool{} // in system
	for i, ws := range in {
		if ws == nil || i > 0 && (ws.ID == system.ID || !a.Policy.Reaches(c, ws.ID, api.Name)) {
			continue
		}
		at := policy.Span{API: api.ID, Workspaces: []store.WorkspaceID{ws.ID}}
		if ws.ID != system.ID {
			at.Workspaces = append(at.Workspaces, system.ID)
		}
		for _, found := range a.ownCallable(by, api, at) {
			e := api.Endpoints[found.Place]
			if op, ok := operationAt(e); listed[found.Place] || ok && op.free() {
				continue
			}
			listed[found.Place] = ws.ID == system.ID
			out = append(out, OpenEndpoint{Callable: found, API: api, Workspace: ws, Endpoint: e})
		}
	}
	for place, e := range api.Endpoints {
		if op, ok := operationAt(e); ok && op.free() {
			out = append(out, OpenEndpoint{Callable: policy.Callable{Place: place, Methods: []string{e.Methods}}, API: api, Endpoint: e})
		}
	}
	return out
}

// ownCallable asks with and without the ceiling that admin access lifts.
func (a *Admin) ownCallable(by *Actor, api *store.API, at policy.Span) []policy.Callable {
	out := a.Policy.Callable(by.caller(), at)
	if !by.Client.AdminAccess {
		return out
	}
	c := by.caller()
	c.NoLicence = true
	for _, found := range a.Policy.Callable(c, at) {
		op, ok := operationAt(api.Endpoints[found.Place])
		if ok && op.accounts && !slices.ContainsFunc(out, func(o policy.Callable) bool { return o.Place == found.Place }) {
			out = append(out, found)
		}
	}
	return out
}

// operationAt finds the operation that an endpoint of Postern's own API is.
func operationAt(e store.Endpoint) (Operation, bool) {
	for _, op := range Operations() {
		if op.Method == e.Methods && op.Path == e.Path {
			return op, true
		}
	}
	return Operation{}, false
}

// RoleEndpoints returns what a role opens to an account that holds it in its
// workspace and nothing else, without a ceiling and with every scope.
func (a *Admin) RoleEndpoints(ctx context.Context, by *Actor, id string) ([]OpenEndpoint, error) {
	r, err := a.findRole(by, opRoleOpens, id)
	if err != nil {
		return nil, err
	}
	ws := r.Workspace
	if ws == store.Shared {
		ws = a.systemID()
	}
	found, err := a.Endpoints(ctx, &Actor{Holder: holderOf(r, ws), Client: &store.Client{Workspace: ws}, Workspace: ws, AnyScope: true})
	// What needs no rights is opened by no role.
	return slices.DeleteFunc(found, func(e OpenEndpoint) bool { return e.Workspace == nil }), err
}
