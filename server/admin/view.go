package admin

import (
	"cmp"
	"context"
	"slices"

	"postern/policy"
	"postern/store"
)

// ClientView is a client with everything that lists and details show beside it.
type ClientView struct {
	Client      *store.Client
	State       store.ClientStatus // as of now: active becomes expired
	Account     Named
	Responsible Named
	CreatedBy   Named
	Workspace   string   // its name; empty is all of its account's
	DefaultAPI  string   // short name
	Roles       []string // refs of what its account is granted there, or what narrowing left of that
	NarrowedTo  []string // refs; nil unless narrowed
	LastUse     store.LastUse
	SecretUses  map[store.SecretID]store.LastUse
}

// Named is an account as people read it.
type Named struct {
	ID   store.AccountID
	Name string
}

// Describe returns what is shown of clients that the actor may see, in their
// order, with the last uses of this moment.
func (a *Admin) Describe(ctx context.Context, clients ...*store.Client) ([]ClientView, error) {
	if len(clients) == 0 {
		return nil, nil
	}
	a.flushUsage(ctx)
	ids := make([]store.ClientID, len(clients))
	for i, c := range clients {
		ids[i] = c.ID
	}
	rows, err := a.Store.LastUses(ctx, ids...)
	if err != nil {
		return nil, fromStore("describe clients", err)
	}
	uses := map[store.ClientID]map[store.SecretID]store.LastUse{}
	for _, r := range rows {
		if uses[r.Client] == nil {
			uses[r.Client] = map[store.SecretID]store.LastUse{}
		}
		uses[r.Client][r.Secret] = r
	}
	return a.describe(ctx, clients, uses), nil
}

// DescribeNew is Describe for a client that was made just now, which nobody has
// used.
func (a *Admin) DescribeNew(ctx context.Context, c *store.Client) ClientView {
	return a.describe(ctx, []*store.Client{c}, nil)[0]
}

func (a *Admin) describe(ctx context.Context, clients []*store.Client, uses map[store.ClientID]map[store.SecretID]store.LastUse) []ClientView {
	names := a.AccountNames(ctx, clients)
	now := a.now()
	out := make([]ClientView, len(clients))
	for i, c := range clients {
		v := ClientView{
			Client: c, State: c.State(now), SecretUses: uses[c.ID],
			Account:     Named{c.Account, names[c.Account]},
			Responsible: Named{c.Responsible, names[c.Responsible]},
			CreatedBy:   Named{c.CreatedBy, names[c.CreatedBy]},
		}
		if c.Workspace != "" {
			v.Workspace = a.workspaceName(c.Workspace)
		}
		if api := a.State.API(c.DefaultAPI); api != nil {
			v.DefaultAPI = api.Name
		}
		if h, err := a.State.Holder(ctx, c.Account); err == nil {
			v.Roles = a.Policy.RolesOf(&policy.Caller{Holder: h, Narrowed: c.Narrowed, Roles: c.Roles, Personal: c.ClientKind == store.ClientPersonal}, c.Workspace)
		}
		if c.Narrowed {
			v.NarrowedTo = a.RoleRefs(c.Roles)
		}
		for _, use := range v.SecretUses {
			v.LastUse = later(v.LastUse, use)
		}
		out[i] = v
	}
	return out
}

// RoleRefs returns the refs of roles; one that is gone shows its id.
func (a *Admin) RoleRefs(ids []store.RoleID) []string {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = string(id)
		if r := a.State.Role(id); r != nil {
			out[i] = r.Ref
		}
	}
	return out
}

// later joins the last uses of two secrets of one client.
func later(x, y store.LastUse) store.LastUse {
	x.Client = y.Client
	if y.SuccessAt > x.SuccessAt {
		x.Secret, x.SuccessAt, x.SuccessAddress, x.SuccessEndpoint = y.Secret, y.SuccessAt, y.SuccessAddress, y.SuccessEndpoint
	}
	if y.RefusalAt > x.RefusalAt {
		x.RefusalAt, x.RefusalAddress, x.RefusalEndpoint = y.RefusalAt, y.RefusalAddress, y.RefusalEndpoint
	}
	return x
}

// flushUsage brings what this node counted into the store, so that an answer
// includes it.
func (a *Admin) flushUsage(ctx context.Context) {
	if a.FlushUsage == nil {
		return
	}
	if err := a.FlushUsage(ctx); err != nil {
		a.Log.WarnContext(ctx, "usage of this node is not in the answer yet", "error", err)
	}
}

// HolderName returns the name of an account or team, or its id when it is gone.
func (a *Admin) HolderName(ctx context.Context, id store.HolderID) string {
	if t := a.State.Team(store.TeamID(id)); t != nil {
		return t.Name
	}
	if h, err := a.State.Holder(ctx, store.AccountID(id)); err == nil {
		return h.Account.Name
	}
	return string(id)
}

// WorkspaceName returns the name of a workspace, or its id when it is gone.
func (a *Admin) WorkspaceName(id store.WorkspaceID) string {
	if id == store.Shared {
		return string(id)
	}
	return a.workspaceName(id)
}

// TeamNames returns the names of teams, sorted.
func (a *Admin) TeamNames(ids []store.TeamID) []string {
	var out []string
	for _, id := range ids {
		if t := a.State.Team(id); t != nil {
			out = append(out, t.Name)
		}
	}
	slices.Sort(out)
	return out
}

// ResourceOf is the audience of an API that a client can ask tokens for: of its
// default, else of the first by name that its rights reach, Postern's own last.
// It is empty where there is none.
func (a *Admin) ResourceOf(ctx context.Context, c *store.Client) string {
	if api := a.State.API(c.DefaultAPI); api != nil {
		return api.Audience
	}
	h, err := a.State.Holder(ctx, c.Account)
	if err != nil {
		return ""
	}
	by := &Actor{Holder: h, Client: c, Workspace: c.Workspace, AnyScope: true}
	own := ""
	for _, api := range slices.SortedFunc(slices.Values(a.State.APIs()), func(x, y *store.API) int { return cmp.Compare(x.Name, y.Name) }) {
		switch {
		case api.Name == store.PosternAPI:
			if slices.ContainsFunc(a.ownEndpoints(by, api), func(e OpenEndpoint) bool { return e.Workspace != nil }) {
				own = api.Audience
			}
		case len(a.decidedIn(by, api)) > 0:
			return api.Audience
		}
	}
	return own
}
