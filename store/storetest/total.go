package storetest

import (
	"fmt"
	"testing"
	"time"

	"postern/store"
)

func totals(t *testing.T, s store.Store, q store.UsageTotalQuery) []store.UsageTotal {
	t.Helper()
	got, err := s.UsageTotals(t.Context(), q)
	if err != nil {
		t.Fatalf("usage totals: %v", err)
	}
	if len(got) == 0 {
		return nil
	}
	return got
}

func testUsageSums(t *testing.T, s store.Store) {
	const hour, day = store.Time(time.Hour / time.Millisecond), 24
	at := hour * day * 20_000 // begins a day
	sum := func(hours int, w store.WorkspaceID, rule string, o store.Outcome, process string, n int64) store.UsageSum {
		return store.UsageSum{Hour: at + store.Time(hours)*hour, Workspace: w, Rule: rule, Outcome: o, Process: process, Count: n}
	}
	add := func(sums ...store.UsageSum) {
		t.Helper()
		if err := s.AddUsageSums(t.Context(), sums); err != nil {
			t.Fatalf("add usage sums: %v", err)
		}
	}
	add(
		sum(0, "w", "", store.OutcomeIssued, "p", 5), sum(0, "w", "", store.OutcomeIntrospected, "p", 2),
		sum(0, "w", "w/r#1", store.OutcomeAllowed, "p", 7), sum(0, "w", "w/r#1", store.OutcomeAllowed, "q", 1),
		sum(23, "w", "w/r#2", store.OutcomeAllowed, "p", 4), sum(23, "w", "w/d#1", store.OutcomeDenied, "p", 4),
		sum(24, "w", "w/r#1", store.OutcomeAllowed, "p", 3), sum(24, "w", "", store.OutcomeDenied, "p", 9),
		sum(0, "W", "w/r#1", store.OutcomeAllowed, "p", 100), sum(1, "", "w/r#2", store.OutcomeAllowed, "p", 50),
	)
	add(sum(0, "w", "", store.OutcomeIssued, "p", 3)) // a lesser total says nothing
	add(sum(0, "w", "", store.OutcomeIssued, "p", 6), sum(0, "w", "", store.OutcomeIssued, "p", 6))
	add()
	w, all := []store.WorkspaceID{"w"}, store.UsageTotalQuery{From: at, To: at + 48*hour}
	for name, tt := range map[string]struct {
		q    store.UsageTotalQuery
		want []store.UsageTotal
	}{
		"by hour": {store.UsageTotalQuery{By: store.UsageByHour, From: at, To: at + 48*hour, Workspaces: w}, []store.UsageTotal{
			{At: at, Issued: 6, Introspected: 2, Allowed: 8}, {At: at + 23*hour, Allowed: 4, Denied: 4}, {At: at + 24*hour, Allowed: 3, Denied: 9},
		}},
		"by day": {store.UsageTotalQuery{By: store.UsageByDay, From: at, To: at + 48*hour, Workspaces: w}, []store.UsageTotal{
			{At: at, Issued: 6, Introspected: 2, Allowed: 12, Denied: 4}, {At: at + 24*hour, Allowed: 3, Denied: 9},
		}},
		"by hour, up to one": {store.UsageTotalQuery{By: store.UsageByHour, From: at, To: at + 23*hour, Workspaces: w}, []store.UsageTotal{
			{At: at, Issued: 6, Introspected: 2, Allowed: 8},
		}},
		"by day, from an hour of it, without an end": {store.UsageTotalQuery{By: store.UsageByDay, From: at + hour, Workspaces: w}, []store.UsageTotal{
			{At: at, Allowed: 4, Denied: 4}, {At: at + 24*hour, Allowed: 3, Denied: 9},
		}},
		"by rule": {store.UsageTotalQuery{By: store.UsageByRule, From: at, To: at + 48*hour, Workspaces: w}, []store.UsageTotal{
			{Rule: "w/r#1", Allowed: 11}, {Rule: "w/d#1", Denied: 4}, {Rule: "w/r#2", Allowed: 4},
		}},
		"by rule, the first one": {store.UsageTotalQuery{By: store.UsageByRule, From: at, To: at + 24*hour, Workspaces: w, Limit: 1}, []store.UsageTotal{
			{Rule: "w/r#1", Allowed: 8},
		}},
		"by rule of two": {store.UsageTotalQuery{By: store.UsageByRule, From: at, To: at + 48*hour, Workspaces: []store.WorkspaceID{"W", ""}}, []store.UsageTotal{
			{Rule: "w/r#1", Allowed: 100}, {Rule: "w/r#2", Allowed: 50},
		}},
		"by rule of all": {store.UsageTotalQuery{By: store.UsageByRule, From: all.From, To: all.To}, []store.UsageTotal{
			{Rule: "w/r#1", Allowed: 111}, {Rule: "w/r#2", Allowed: 54}, {Rule: "w/d#1", Denied: 4},
		}},
		"of nobody": {store.UsageTotalQuery{By: store.UsageByHour, From: at, To: at + 48*hour, Workspaces: []store.WorkspaceID{"x"}}, nil},
	} {
		same(t, name, tt.want, totals(t, s, tt.q))
	}
	if _, err := s.UsageTotals(t.Context(), store.UsageTotalQuery{By: "month"}); err == nil {
		t.Error("totals by month: got no error")
	}
}

func testTotalsByClient(t *testing.T, s store.Store) {
	const hour = store.Time(time.Hour / time.Millisecond)
	at := hour * 700_000
	for id, w := range map[store.ClientID]store.WorkspaceID{"tc1": "tw", "tc2": "tw", "tc3": "tw", "tc4": "TW", "tc5": ""} {
		c := &store.Client{ID: id, Workspace: w, Status: store.ClientActive}
		if id == "tc3" {
			c.Status = store.ClientDeleted // what it did stays
		}
		commit(t, s, store.Insert(c))
	}
	row := func(hours int, client store.ClientID, secret store.SecretID, o store.Outcome, n int64) store.Usage {
		return store.Usage{Hour: at + store.Time(hours)*hour, Client: client, Secret: secret, Outcome: o, Process: "p", Count: n}
	}
	if err := s.AddUsage(t.Context(), []store.Usage{
		row(0, "tc1", "a", store.OutcomeIssued, 1), row(0, "tc1", "b", store.OutcomeIssued, 2), row(1, "tc1", "a", store.OutcomeAllowed, 30),
		row(0, "tc2", "a", store.OutcomeDenied, 40), row(1, "tc3", "a", store.OutcomeIntrospected, 33), row(2, "tc3", "a", store.OutcomeDenied, 500),
		row(0, "tc4", "a", store.OutcomeAllowed, 90), row(0, "tc5", "a", store.OutcomeAllowed, 80),
	}, nil); err != nil {
		t.Fatalf("add usage: %v", err)
	}
	one, two, three := store.UsageTotal{Client: "tc1", Issued: 3, Allowed: 30}, store.UsageTotal{Client: "tc2", Denied: 40}, store.UsageTotal{Client: "tc3", Introspected: 33}
	four, five := store.UsageTotal{Client: "tc4", Allowed: 90}, store.UsageTotal{Client: "tc5", Allowed: 80}
	for name, tt := range map[string]struct {
		workspaces []store.WorkspaceID
		limit      int
		want       []store.UsageTotal
	}{
		"of a workspace":      {[]store.WorkspaceID{"tw"}, 0, []store.UsageTotal{two, one, three}},
		"the first two of it": {[]store.WorkspaceID{"tw"}, 2, []store.UsageTotal{two, one}},
		"of two, one none":    {[]store.WorkspaceID{"TW", ""}, 0, []store.UsageTotal{four, five}},
		"of all":              {nil, 3, []store.UsageTotal{four, five, two}},
		"of nobody":           {[]store.WorkspaceID{"Tw"}, 0, nil},
	} {
		same(t, name, tt.want, totals(t, s, store.UsageTotalQuery{By: store.UsageByClient, From: at, To: at + 2*hour, Workspaces: tt.workspaces, Limit: tt.limit}))
	}
}

func testLastRefusals(t *testing.T, s store.Store) {
	for id, w := range map[store.ClientID]store.WorkspaceID{"rc1": "rw", "rc2": "rw", "rc3": "RW"} {
		commit(t, s, store.Insert(&store.Client{ID: id, Workspace: w, Status: store.ClientActive}))
	}
	const late = start * 2
	var uses []store.LastUse
	for i, u := range []struct {
		client store.ClientID
		secret store.SecretID
		at     store.Time
	}{{"rc1", "b", late + 5}, {"rc2", "a", late + 9}, {"rc1", "a", late + 5}, {"rc3", "a", late + 20}, {"rc2", "b", 0}} {
		use := store.LastUse{Client: u.client, Secret: u.secret, SuccessAt: late, RefusalAt: u.at, SuccessAddress: "192.0.2.1", SuccessEndpoint: "GET /a"}
		if u.at != 0 {
			use.RefusalAddress, use.RefusalEndpoint = fmt.Sprint("192.0.2.", i), "PUT /b"
		}
		uses = append(uses, use)
	}
	if err := s.AddUsage(t.Context(), nil, uses); err != nil {
		t.Fatalf("add last uses: %v", err)
	}
	for name, tt := range map[string]struct {
		workspaces []store.WorkspaceID
		limit      int
		want       []store.LastUse
	}{
		"of a workspace":   {[]store.WorkspaceID{"rw"}, 10, []store.LastUse{uses[1], uses[2], uses[0]}},
		"the first of it":  {[]store.WorkspaceID{"rw"}, 1, []store.LastUse{uses[1]}},
		"the first of all": {nil, 2, []store.LastUse{uses[3], uses[1]}},
		"of nobody":        {[]store.WorkspaceID{"Rw"}, 10, nil},
	} {
		got, err := s.LastRefusals(t.Context(), tt.workspaces, tt.limit)
		if err != nil {
			t.Fatalf("last refusals: %v", err)
		}
		if len(got) == 0 {
			got = nil
		}
		same(t, name, tt.want, got)
	}
}
