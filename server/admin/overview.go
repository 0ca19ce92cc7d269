package admin

import (
	"context"
	"slices"
	"time"

	"postern/store"
)

// Overview is what a workspace has, what it does, and what in it needs somebody.
type Overview struct {
	Workspace *store.Workspace
	Clients   *ClientCounts // nil for whoever may not list clients
	Traffic   *Traffic      // nil for whoever may not read usage
	// Attention is what needs somebody, the most pressing first, at most a few of
	// each kind.
	Attention []Attention
	Steps     Steps
}

// ClientCounts are numbers of clients, each counted up to 10,000.
type ClientCounts struct {
	Personal, Service int // the active ones
	Expiring          int // active, and expiring within ExpiringSoon
	ExpiringUsed      int // of those, used today (UTC)
	Forgotten         int // never used, and older than ForgottenAfter
}

// What a client that expires soon, and one that is forgotten, is.
const (
	ExpiringSoon   = 14 * day
	ForgottenAfter = 30 * day
)

// Traffic is what clients did in the 24 hours that end with the present one, and
// how many tokens they were given in the 24 before.
type Traffic struct {
	Hours                        []store.UsageTotal // each of the 24
	Issued, Denied, IssuedBefore int64
}

// AttentionKind says why a client needs somebody.
type AttentionKind string

// The kinds of what needs somebody, the most pressing first.
const (
	AttentionLeaked   AttentionKind = "leaked"   // a secret of it leaked, and no newer one replaces it
	AttentionExpiring AttentionKind = "expiring" // within ExpiringSoon
	AttentionOrphaned AttentionKind = "orphaned" // nobody usable answers for it
	AttentionWarned   AttentionKind = "warned"   // it has a warning, such as that the first start made it
)

// Attention is a client that needs somebody.
type Attention struct {
	Kind   AttentionKind
	Client *store.Client
	Used   bool // today (UTC)
}

// Steps are the first things to do in an installation: whether each was done
// since its first start.
type Steps struct{ Endpoints, Role, Client bool }

// Done reports whether all are.
func (s Steps) Done() bool { return s.Endpoints && s.Role && s.Client }

const (
	attentionMost = 5   // of a kind
	notedMost     = 100 // that are looked at
)

// Overview returns what there is to know of a workspace at a glance, as far as the
// actor may list its clients and read its usage.
func (a *Admin) Overview(ctx context.Context, by *Actor, workspace string) (*Overview, error) {
	ws := a.workspace(workspace)
	if ws == nil || !a.may(by, opOverview, ws.ID) {
		return nil, refuse(NotFound, "there is no workspace %q whose overview you may see", printable(workspace))
	}
	out := &Overview{Workspace: ws}
	var err error
	if out.Clients, out.Traffic, err = a.Figures(ctx, by, ws); err != nil || out.Clients == nil {
		return out, err
	}
	if out.Attention, err = a.attention(ctx, ws); err != nil {
		return nil, fromStore(opOverview.Name, err)
	}
	if out.Steps, err = a.steps(ctx, ws); err != nil {
		return nil, fromStore(opOverview.Name, err)
	}
	return out, nil
}

// Figures returns the numbers of an overview: of clients, nil for whoever may not
// list them, and of their traffic, nil for whoever may not read usage.
func (a *Admin) Figures(ctx context.Context, by *Actor, ws *store.Workspace) (clients *ClientCounts, traffic *Traffic, err error) {
	a.flushUsage(ctx)
	if a.may(by, opClientList, ws.ID) {
		if clients, err = a.clientCounts(ctx, ws); err != nil {
			return nil, nil, fromStore(opOverview.Name, err)
		}
	}
	if a.may(by, opUsage, ws.ID) {
		if traffic, err = a.traffic(ctx, ws); err != nil {
			return nil, nil, fromStore(opOverview.Name, err)
		}
	}
	return clients, traffic, nil
}

func (a *Admin) clientCounts(ctx context.Context, ws *store.Workspace) (*ClientCounts, error) {
	out := &ClientCounts{}
	of := store.ClientQuery{Workspaces: []store.WorkspaceID{ws.ID}, Status: store.ClientActive, Now: a.now()}
	soon, forgotten := a.expiring(ws), of
	used := soon
	used.UsedSince = a.today()
	forgotten.Unused, forgotten.MadeBefore = true, a.now().Add(-ForgottenAfter)
	for _, each := range []struct {
		n    *int
		q    store.ClientQuery
		kind store.ClientKind
	}{
		// Each kind by itself is found by an index.
		{&out.Personal, of, store.ClientPersonal},
		{&out.Service, of, store.ClientService},
		{&out.Expiring, soon, store.ClientPersonal},
		{&out.Expiring, soon, store.ClientService},
		{&out.ExpiringUsed, used, store.ClientPersonal},
		{&out.ExpiringUsed, used, store.ClientService},
		{&out.Forgotten, forgotten, store.ClientPersonal},
		{&out.Forgotten, forgotten, store.ClientService},
	} {
		each.q.ClientKind = each.kind
		n, err := a.Store.CountClients(ctx, each.q, countMost)
		if err != nil {
			return nil, err
		}
		*each.n = min(*each.n+n, countMost)
	}
	return out, nil
}

// expiring asks for the active clients of a workspace that expire soon, the next
// one first.
func (a *Admin) expiring(ws *store.Workspace) store.ClientQuery {
	return store.ClientQuery{
		Workspaces: []store.WorkspaceID{ws.ID}, Status: store.ClientActive, Now: a.now(), ExpiresBy: a.now().Add(ExpiringSoon), Sort: store.SortExpires,
	}
}

// today is when the day began (UTC).
func (a *Admin) today() store.Time { return store.At(a.Now().UTC().Truncate(day)) }

func (a *Admin) traffic(ctx context.Context, ws *store.Workspace) (*Traffic, error) {
	s := lastHours(a.now(), 24)
	before := s.From.Add(-day)
	rows, err := a.Store.UsageTotals(ctx, store.UsageTotalQuery{By: store.UsageByHour, From: before, To: s.To, Workspaces: []store.WorkspaceID{ws.ID}})
	if err != nil {
		return nil, err
	}
	out := &Traffic{}
	for len(rows) > 0 && rows[0].At < s.From {
		out.IssuedBefore += rows[0].Issued
		rows = rows[1:]
	}
	out.Hours = s.filled(rows)
	for _, h := range out.Hours {
		out.Issued += h.Issued
		out.Denied += h.Denied
	}
	return out, nil
}

// attention finds the clients of a workspace that need somebody.
func (a *Admin) attention(ctx context.Context, ws *store.Workspace) ([]Attention, error) {
	var out []Attention
	of := []store.WorkspaceID{ws.ID}
	noted, err := a.Store.Clients(ctx, store.ClientQuery{Workspaces: of, Noted: true, Now: a.now(), Limit: notedMost})
	if err != nil {
		return nil, err
	}
	soon := a.expiring(ws)
	soon.Limit = attentionMost
	expiring, err := a.Store.Clients(ctx, soon)
	if err != nil {
		return nil, err
	}
	orphans := store.ClientQuery{Workspaces: of, Status: store.ClientActive, Now: a.now(), Limit: attentionMost}
	if err := a.answeredFor(ctx, ClientList{Orphaned: true}, &orphans); err != nil {
		return nil, err
	}
	orphaned, err := a.Store.Clients(ctx, orphans)
	if err != nil {
		return nil, err
	}
	uses, err := a.LastUses(ctx, expiring)
	if err != nil {
		return nil, err
	}
	for _, each := range []struct {
		kind    AttentionKind
		clients []*store.Client
		is      func(*store.Client) bool
	}{
		{AttentionLeaked, noted, a.unrepaired},
		{AttentionExpiring, expiring, nil},
		{AttentionOrphaned, orphaned, nil},
		{AttentionWarned, noted, func(c *store.Client) bool { return c.Warning != "" && c.State(a.now()) == store.ClientActive }},
	} {
		clients := slices.DeleteFunc(slices.Clone(each.clients), func(c *store.Client) bool { return each.is != nil && !each.is(c) })
		for _, c := range clients[:min(len(clients), attentionMost)] {
			out = append(out, Attention{each.kind, c, each.kind == AttentionExpiring && uses[c.ID].SuccessAt >= a.today()})
		}
	}
	return out, nil
}

// unrepaired reports whether a secret of a client leaked that is not replaced: no
// other one was made since and can be used.
func (a *Admin) unrepaired(c *store.Client) bool {
	leaked := store.Time(0)
	for i := range c.Secrets {
		leaked = max(leaked, c.Secrets[i].LeakedAt)
	}
	return leaked != 0 && c.State(a.now()) != store.ClientExpired && !slices.ContainsFunc(c.Secrets, func(s store.ClientSecret) bool {
		return s.LeakedAt == 0 && s.CreatedAt > leaked && s.Live(a.now())
	})
}

// steps finds out which of the first steps were done. What the first start made
// has its time, and does not count.
func (a *Admin) steps(ctx context.Context, ws *store.Workspace) (out Steps, err error) {
	first := store.Time(0)
	if inst := a.State.Installation(); inst != nil {
		first = inst.CreatedAt
	}
	out.Endpoints = slices.ContainsFunc(a.State.APIs(), func(api *store.API) bool {
		return api.Name != store.PosternAPI && api.OpenTo(ws.ID) && api.CreatedAt > first && len(api.Endpoints) > 0
	})
	out.Role = slices.ContainsFunc(a.State.Roles(), func(r *store.Role) bool {
		return r.Workspace == ws.ID && !r.Builtin && r.CreatedAt > first && len(r.Rules) > 0
	})
	latest, err := a.Store.Clients(ctx, store.ClientQuery{Workspaces: []store.WorkspaceID{ws.ID}, Sort: store.SortCreated, Desc: true, Now: a.now(), Limit: 1})
	out.Client = len(latest) > 0 && latest[0].CreatedAt > first
	return out, err
}

// stretch is hours or days, one after the other.
type stretch struct {
	From, To store.Time
	Each     time.Duration
}

// lastHours is the present hour and those before it.
func lastHours(now store.Time, n int) stretch {
	to := now - now%store.Time(time.Hour/time.Millisecond) + store.Time(time.Hour/time.Millisecond)
	return stretch{to.Add(-time.Duration(n) * time.Hour), to, time.Hour}
}

// filled adds to totals those that are missing.
func (s stretch) filled(rows []store.UsageTotal) []store.UsageTotal {
	var out []store.UsageTotal
	for at := s.From; at < s.To; at = at.Add(s.Each) {
		row := store.UsageTotal{At: at}
		if len(rows) > 0 && rows[0].At == at {
			row, rows = rows[0], rows[1:]
		}
		out = append(out, row)
	}
	return out
}
