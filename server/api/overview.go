package api

import (
	"context"

	"postern/server/admin"
	"postern/store"
)

// Overview is what a workspace has and what in it needs somebody.
type Overview struct {
	Workspace string        `json:"workspace"`
	Clients   *ClientCounts `json:"clients,omitempty" doc:"Absent for whoever may not list clients."`
	Traffic   *Traffic      `json:"traffic,omitempty" doc:"Absent for whoever may not read usage."`
	Attention []Attention   `json:"attention" doc:"Clients that need somebody, the most pressing first, at most 5 of each kind."`
	Steps     Steps         `json:"steps"`
}

// ClientCounts are numbers of clients.
type ClientCounts struct {
	Personal     int `json:"personal" doc:"Active ones; each number is counted up to 10,000."`
	Service      int `json:"service" doc:"Active ones."`
	Expiring     int `json:"expiring" doc:"Active, and expiring within 14 days."`
	ExpiringUsed int `json:"expiring_used" doc:"Of those, used today (UTC)."`
	Forgotten    int `json:"forgotten" doc:"Active, never used, and older than 30 days."`
}

// Traffic is what clients did in the last 24 hours.
type Traffic struct {
	Hours        []Totals `json:"hours" doc:"The present hour and the 23 before it."`
	Issued       int64    `json:"issued" doc:"Access tokens in these hours."`
	IssuedBefore int64    `json:"issued_before" doc:"Access tokens in the 24 hours before them."`
	Denied       int64    `json:"denied"`
}

// Attention is a client that needs somebody.
type Attention struct {
	Kind      string `json:"kind" enum:"leaked,expiring,orphaned,warned"`
	Client    string `json:"client"`
	Name      string `json:"name"`
	ExpiresAt Time   `json:"expires_at"`
	Warning   string `json:"warning,omitempty"`
	UsedToday bool   `json:"used_today,omitempty" doc:"Of one that expires soon."`
}

// Steps are the first things to do: whether they were done since the first start.
type Steps struct {
	Endpoints bool `json:"endpoints" doc:"An API of this workspace has endpoints."`
	Role      bool `json:"role"`
	Client    bool `json:"client"`
}

// Totals are what was counted in an hour or day, for a rule or for a client.
type Totals struct {
	At           Time   `json:"at" doc:"The start of the hour or day."`
	Rule         string `json:"rule,omitempty"`
	Client       string `json:"client,omitempty"`
	Issued       int64  `json:"issued"`
	Introspected int64  `json:"introspected"`
	Allowed      int64  `json:"allowed"`
	Denied       int64  `json:"denied"`
}

// UsageSummary is what clients did together.
type UsageSummary struct {
	From    Time      `json:"from"`
	To      Time      `json:"to"`
	Per     string    `json:"per" enum:"hour,day"`
	Rows    []Totals  `json:"rows" doc:"One for each hour or day."`
	Sum     Totals    `json:"sum" doc:"Of all rows."`
	Rules   []Totals  `json:"rules" doc:"The ten with the most calls."`
	Clients []Totals  `json:"clients,omitempty" doc:"The ten with the most of everything together; absent where they are too many to find out in a moment."`
	Refused []LastUse `json:"refused" doc:"The ten latest refusals, of each secret the last one."`
}

func (m *mounted) overviews() {
	register(m, "overview.read", func(ctx context.Context, by *admin.Actor, in *struct {
		Workspace string `query:"workspace" default:"default" maxLength:"64" doc:"Id or name."`
	},
	) (*struct{ Body Overview }, error) {
		o, err := m.Admin.Overview(ctx, by, in.Workspace)
		if err != nil {
			return nil, err
		}
		return &struct{ Body Overview }{wireOverview(o)}, nil
	})
	register(m, "usage.summary", func(ctx context.Context, by *admin.Actor, in *struct {
		Workspace string `query:"workspace" maxLength:"64" doc:"Id or name; absent is every one that you may read."`
		Days      int    `query:"days" minimum:"1" maximum:"400" default:"1" doc:"1 is the 24 hours that end with the present one; up to 7 are by the hour, more by days of UTC that end with today."`
	},
	) (*struct{ Body UsageSummary }, error) {
		s, err := m.Admin.UsageSummary(ctx, by, in.Workspace, in.Days)
		if err != nil {
			return nil, err
		}
		out := UsageSummary{
			From: Time(s.From), To: Time(s.To), Per: "day", Rows: wireTotals(s.Rows), Sum: wireTotals([]store.UsageTotal{s.Sum})[0],
			Rules: wireTotals(s.Rules), Refused: wireLastUses(s.Refused),
		}
		if s.Hourly {
			out.Per = "hour"
		}
		if !s.Unranked {
			out.Clients = wireTotals(s.Clients)
		}
		return &struct{ Body UsageSummary }{out}, nil
	})
}

func wireOverview(o *admin.Overview) Overview {
	out := Overview{Workspace: o.Workspace.Name, Attention: make([]Attention, len(o.Attention)), Steps: Steps(o.Steps)}
	if o.Clients != nil {
		out.Clients = new(ClientCounts(*o.Clients))
	}
	if t := o.Traffic; t != nil {
		out.Traffic = &Traffic{wireTotals(t.Hours), t.Issued, t.IssuedBefore, t.Denied}
	}
	for i, a := range o.Attention {
		out.Attention[i] = Attention{string(a.Kind), string(a.Client.ID), a.Client.Name, Time(a.Client.ExpiresAt), a.Client.Warning, a.Used}
	}
	return out
}

func wireTotals(rows []store.UsageTotal) []Totals {
	out := make([]Totals, len(rows))
	for i, r := range rows {
		out[i] = Totals{Time(r.At), r.Rule, string(r.Client), r.Issued, r.Introspected, r.Allowed, r.Denied}
	}
	return out
}

func wireLastUses(uses []store.LastUse) []LastUse {
	out := make([]LastUse, len(uses))
	for i, u := range uses {
		out[i] = LastUse{
			string(u.Client), string(u.Secret), Time(u.SuccessAt), u.SuccessAddress, u.SuccessEndpoint,
			Time(u.RefusalAt), u.RefusalAddress, u.RefusalEndpoint,
		}
	}
	return out
}
