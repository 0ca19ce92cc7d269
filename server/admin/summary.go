package admin

import (
	"context"
	"errors"
	"slices"
	"time"

	"postern/store"
)

// UsageSummary is what the clients of a workspace, or of all that the actor may
// read, did in some days.
type UsageSummary struct {
	From, To store.Time
	Hourly   bool               // else daily, by days of UTC
	Rows     []store.UsageTotal // one for each hour or day, in order
	Sum      store.UsageTotal
	Rules    []store.UsageTotal // with the most calls
	// Clients are those with the most of everything together. Unranked says that
	// they are too many to find out in a moment.
	Clients  []store.UsageTotal
	Unranked bool
	Refused  []store.LastUse // the latest refusals, of each secret the last one
}

const (
	summaryTop = 10
	// hourlyMost is how many days are shown by the hour.
	hourlyMost = 7
	// rankingBudget is how long it may take to find the clients with the most
	// calls, for which all their counters are read.
	rankingBudget = 1500 * time.Millisecond
)

// UsageSummary sums up the last days of a workspace: 1 is the 24 hours that end
// with the present one; 7 are by the hour, too; more are days that end with today.
func (a *Admin) UsageSummary(ctx context.Context, by *Actor, workspace string, days int) (*UsageSummary, error) {
	ids, all := a.readable(by, opUsageSummary)
	if !all && len(ids) == 0 {
		return nil, refuse(Forbidden, "you may not read usage; ask an owner, admin or auditor of your workspace")
	}
	if workspace != "" {
		w := a.workspace(workspace)
		if w == nil || !all && !slices.Contains(ids, w.ID) {
			return nil, refuse(NotFound, "there is no workspace %q whose usage you may read", printable(workspace))
		}
		ids = []store.WorkspaceID{w.ID}
	}
	if kept := int(a.UsageRetention / day); days < 1 || days > kept {
		return nil, refuse(Invalid, "days: must be 1 to %d, as long as usage is kept (usage.retention)", kept)
	}
	out, s := &UsageSummary{Hourly: days <= hourlyMost}, lastHours(a.now(), 24*days)
	q := store.UsageTotalQuery{By: store.UsageByHour, Workspaces: ids}
	if !out.Hourly {
		to := a.today().Add(day)
		q.By, s = store.UsageByDay, stretch{to.Add(-time.Duration(days) * day), to, day}
	}
	out.From, out.To = s.From, s.To
	q.From, q.To, q.Limit = s.From, s.To, summaryTop
	a.flushUsage(ctx)
	rows, err := a.Store.UsageTotals(ctx, q)
	if err != nil {
		return nil, fromStore(opUsageSummary.Name, err)
	}
	out.Rows = s.filled(rows)
	for _, r := range rows {
		out.Sum.Issued += r.Issued
		out.Sum.Introspected += r.Introspected
		out.Sum.Allowed += r.Allowed
		out.Sum.Denied += r.Denied
	}
	q.By = store.UsageByRule
	if out.Rules, err = a.Store.UsageTotals(ctx, q); err != nil {
		return nil, fromStore(opUsageSummary.Name, err)
	}
	if out.Refused, err = a.Store.LastRefusals(ctx, ids, summaryTop); err != nil {
		return nil, fromStore(opUsageSummary.Name, err)
	}
	soon, cancel := context.WithTimeout(ctx, rankingBudget)
	defer cancel()
	q.By = store.UsageByClient
	out.Clients, err = a.Store.UsageTotals(soon, q)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		out.Clients, out.Unranked, err = nil, true, nil
	}
	return out, fromStore(opUsageSummary.Name, err)
}

// ClientNames returns the names of clients that the actor may see in a list beside
// this one; of others there is none.
func (a *Admin) ClientNames(ctx context.Context, by *Actor, ids ...store.ClientID) (map[store.ClientID]string, error) {
	out := map[store.ClientID]string{}
	for _, id := range ids {
		c, err := a.State.Client(ctx, id)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, fromStore(opClientGet.Name, err)
		}
		ws := c.Workspace
		if ws == "" {
			ws = a.systemID()
		}
		if a.may(by, opClientGet, ws, string(id)) {
			out[id] = c.Name
		}
	}
	return out, nil
}
