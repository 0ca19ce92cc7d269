package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"postern/store"
)

func testUsage(t *testing.T, s store.Store) {
	t.Run("totals", func(t *testing.T) { testTotals(t, s) })
	t.Run("queries", func(t *testing.T) { testUsageQueries(t, s) })
	t.Run("last uses", func(t *testing.T) { testLastUses(t, s) })
	t.Run("rules used", func(t *testing.T) { testRulesUsed(t, s) })
	t.Run("last uses of a client that changes", func(t *testing.T) { testUsesOfAChangingClient(t, s) })
	t.Run("sums", func(t *testing.T) { testUsageSums(t, s) })
	t.Run("totals by client", func(t *testing.T) { testTotalsByClient(t, s) })
	t.Run("last refusals", func(t *testing.T) { testLastRefusals(t, s) })
	t.Run("usage of many processes at once", func(t *testing.T) {
		const processes, rounds = 8, 10
		row := store.Usage{Hour: start, Client: "many", Secret: "s", Outcome: store.OutcomeAllowed}
		errs := together(processes, func(i int) error {
			for n := range int64(rounds) {
				row := row
				row.Process, row.Count = fmt.Sprint("process-", i), n+1
				use := store.LastUse{Client: "many", Secret: "s", SuccessAt: start + store.Time(i*rounds) + store.Time(n)}
				if err := s.AddUsage(t.Context(), []store.Usage{row}, []store.LastUse{use}); err != nil {
					return err
				}
			}
			return nil
		})
		if err := errors.Join(errs...); err != nil {
			t.Fatalf("add usage: %v", err)
		}
		row.Count = processes * rounds
		same(t, "usage", []store.Usage{row}, usage(t, s, store.UsageQuery{Clients: []store.ClientID{"many"}}))
		same(t, "last use", start+processes*rounds-1, lastUses(t, s, "many")[0].SuccessAt)
	})
}

// testUsesOfAChangingClient has a client used and changed at the same time: each
// use and each change is kept, and lists know of both.
func testUsesOfAChangingClient(t *testing.T, s store.Store) {
	const rounds = 30
	const id = "changing"
	commit(t, s, store.Insert(&store.Client{ID: id}))
	errs := together(2, func(i int) error {
		for n := range int64(rounds) {
			if i == 0 {
				if err := s.AddUsage(t.Context(), nil, []store.LastUse{{Client: id, Secret: "s", SuccessAt: start + store.Time(n)}}); err != nil {
					return err
				}
			} else if err := s.Commit(t.Context(), store.Update(&store.Client{ID: id, Revision: n + 1, Name: fmt.Sprint(n)})); err != nil {
				return err
			}
		}
		return nil
	})
	if err := errors.Join(errs...); err != nil {
		t.Fatalf("use and change: %v", err)
	}
	commit(t, s, store.Update(&store.Client{ID: id, Revision: rounds + 1, Name: "in the end"}), store.Insert(&store.Client{ID: "never used"}))
	for _, tt := range []struct {
		q    store.ClientQuery
		want []string
	}{
		{store.ClientQuery{Search: "in the end"}, []string{id}},
		{store.ClientQuery{Unused: true}, []string{"never used"}},
		{store.ClientQuery{Sort: store.SortLastUse}, []string{"never used", id}},
	} {
		got, err := s.Clients(t.Context(), tt.q)
		if err != nil {
			t.Fatalf("clients: %v", err)
		}
		same(t, fmt.Sprintf("clients by %+v", tt.q), tt.want, keys(got))
	}
}

func testTotals(t *testing.T, s store.Store) {
	row := store.Usage{Hour: start, Client: "totals", Secret: "s", Rule: "acme/reader#3", Outcome: store.OutcomeAllowed}
	counted := func(process string, count int64) store.Usage {
		row := row
		row.Process, row.Count = process, count
		return row
	}
	for _, step := range []struct {
		name string
		add  []store.Usage
		want int64
	}{
		{"first", []store.Usage{counted("p", 5)}, 5},
		{"the same again", []store.Usage{counted("p", 5)}, 5},
		{"a greater total", []store.Usage{counted("p", 9)}, 9},
		{"a smaller total", []store.Usage{counted("p", 7)}, 9},
		{"another process", []store.Usage{counted("P", 2)}, 11},
		{"the same row twice at once", []store.Usage{counted("p", 12), counted("p", 10)}, 14},
		{"nothing", nil, 14},
		{"a great number", []store.Usage{counted("p", 1<<53)}, 1<<53 + 2},
	} {
		if err := s.AddUsage(t.Context(), step.add, nil); err != nil {
			t.Fatalf("%s: add usage: %v", step.name, err)
		}
		same(t, step.name, []store.Usage{counted("", step.want)}, usage(t, s, store.UsageQuery{Clients: []store.ClientID{"totals"}}))
	}
}

func testUsageQueries(t *testing.T, s store.Store) {
	const hour = store.Time(time.Hour / time.Millisecond)
	at := hour * 500_000 // in ascending order, the client before the secret before the rule before the outcome
	rows := []store.Usage{
		{Hour: at, Client: "Q", Secret: "a", Outcome: store.OutcomeIssued, Count: 1},
		{Hour: at, Client: "q", Secret: "a", Outcome: store.OutcomeAllowed, Count: 2},
		{Hour: at, Client: "q", Secret: "a", Outcome: store.OutcomeDenied, Count: 3},
		{Hour: at, Client: "q", Secret: "a", Rule: "A/r#2", Outcome: store.OutcomeAllowed, Count: 4},
		{Hour: at, Client: "q", Secret: "a", Rule: "a/r#10", Outcome: store.OutcomeAllowed, Count: 5},
		{Hour: at, Client: "q", Secret: "a", Rule: "a/r#2", Outcome: store.OutcomeAllowed, Count: 6},
		{Hour: at, Client: "q", Secret: "b", Outcome: store.OutcomeAllowed, Count: 7},
		{Hour: at, Client: "r", Outcome: store.OutcomeDenied, Count: 8},
		{Hour: at + hour, Client: "q", Secret: "a", Outcome: store.OutcomeAllowed, Count: 9},
		{Hour: at + 2*hour, Client: "q", Secret: "a", Outcome: store.OutcomeAllowed, Count: 10},
	}
	for i := range rows { // in another order than they come back
		row := rows[(i*7)%len(rows)]
		row.Process = "p"
		if err := s.AddUsage(t.Context(), []store.Usage{row}, nil); err != nil {
			t.Fatalf("add usage: %v", err)
		}
	}
	for name, tt := range map[string]struct {
		q    store.UsageQuery
		want []store.Usage
	}{
		"of three clients":          {store.UsageQuery{From: at, To: at + 3*hour, Clients: []store.ClientID{"Q", "q", "r"}}, rows},
		"of every client":           {store.UsageQuery{From: at, To: at + 3*hour, Limit: 3}, rows[:3]},
		"of one":                    {store.UsageQuery{From: at, To: at + 3*hour, Clients: []store.ClientID{"Q"}}, rows[:1]},
		"up to an hour":             {store.UsageQuery{From: at, To: at + hour, Clients: []store.ClientID{"q"}}, rows[1:7]},
		"from an hour to the next":  {store.UsageQuery{From: at + hour, To: at + 2*hour}, rows[8:9]},
		"from an hour, no end":      {store.UsageQuery{From: at + hour, Clients: []store.ClientID{"q", "r"}}, rows[8:]},
		"of nobody who was counted": {store.UsageQuery{From: at, To: at + hour, Clients: []store.ClientID{"x"}}, nil},
	} {
		got := usage(t, s, tt.q)
		if len(got) == 0 {
			got = nil
		}
		same(t, name, tt.want, got)
	}
}

func testLastUses(t *testing.T, s store.Store) {
	success := func(at store.Time, from string) store.LastUse {
		return store.LastUse{Client: "last", Secret: "s", SuccessAt: at, SuccessAddress: from, SuccessEndpoint: "GET /" + from}
	}
	refusal := func(at store.Time, from string) store.LastUse {
		return store.LastUse{Client: "last", Secret: "s", RefusalAt: at, RefusalAddress: from, RefusalEndpoint: "PUT /" + from}
	}
	both := func(s, r store.LastUse) store.LastUse {
		s.RefusalAt, s.RefusalAddress, s.RefusalEndpoint = r.RefusalAt, r.RefusalAddress, r.RefusalEndpoint
		return s
	}
	for _, step := range []struct {
		name string
		add  []store.LastUse
		want store.LastUse
	}{
		{"a first refusal", []store.LastUse{refusal(start+5, "one")}, refusal(start+5, "one")},
		{"a first success", []store.LastUse{success(start, "two")}, both(success(start, "two"), refusal(start+5, "one"))},
		{"a later success", []store.LastUse{success(start+9, "three")}, both(success(start+9, "three"), refusal(start+5, "one"))},
		{"an earlier success", []store.LastUse{success(start+8, "four")}, both(success(start+9, "three"), refusal(start+5, "one"))},
		{"the same again", []store.LastUse{success(start+9, "three")}, both(success(start+9, "three"), refusal(start+5, "one"))},
		{
			"a later success with an earlier refusal",
			[]store.LastUse{both(success(start+10, "five"), refusal(start+4, "five"))},
			both(success(start+10, "five"), refusal(start+5, "one")),
		},
		{
			"an earlier success with a later refusal",
			[]store.LastUse{both(success(start+1, "six"), refusal(start+20, "six"))},
			both(success(start+10, "five"), refusal(start+20, "six")),
		},
		{
			"two at once, the later one first",
			[]store.LastUse{success(start+30, "seven"), success(start+29, "eight")},
			both(success(start+30, "seven"), refusal(start+20, "six")),
		},
	} {
		if err := s.AddUsage(t.Context(), nil, step.add); err != nil {
			t.Fatalf("%s: add last use: %v", step.name, err)
		}
		same(t, step.name, []store.LastUse{step.want}, lastUses(t, s, "last"))
	}
	more := []store.LastUse{
		{Client: "LAST", Secret: "s", SuccessAt: 1}, {Client: "last", Secret: "S", SuccessAt: 1}, {Client: "last", SuccessAt: 1},
	}
	if err := s.AddUsage(t.Context(), nil, more); err != nil {
		t.Fatalf("add last uses: %v", err)
	}
	got := lastUses(t, s, "last", "absent", "LAST")
	names := []string{}
	for _, u := range got {
		names = append(names, string(u.Client)+"/"+string(u.Secret))
	}
	same(t, "rows by client and secret", []string{"LAST/s", "last/", "last/S", "last/s"}, names)
	if got := lastUses(t, s); len(got) != 0 {
		t.Errorf("last uses of no client: got %v, want none", got)
	}
}

func testRulesUsed(t *testing.T, s store.Store) {
	const hour = store.Time(time.Hour / time.Millisecond)
	at := hour * 600_000
	row := func(hours int, client store.ClientID, secret store.SecretID, rule string, outcome store.Outcome) store.Usage {
		return store.Usage{Hour: at + store.Time(hours)*hour, Client: client, Secret: secret, Rule: rule, Outcome: outcome, Process: "p", Count: 1}
	}
	if err := s.AddUsage(t.Context(), []store.Usage{
		row(0, "one", "a", "u/r#1", store.OutcomeAllowed),
		row(5, "one", "a", "u/r#1", store.OutcomeAllowed),
		row(3, "one", "b", "u/r#1", store.OutcomeAllowed), // another secret of it
		row(9, "one", "a", "u/r#1", store.OutcomeDenied),
		row(1, "one", "a", "u/r#10", store.OutcomeAllowed),
		row(2, "one", "a", "u/deny#1", store.OutcomeDenied),
		row(2, "one", "a", "", store.OutcomeAllowed),
		row(2, "One", "a", "U/r#1", store.OutcomeAllowed),
		row(7, "two", "a", "u/r#1", store.OutcomeAllowed),
		row(4, "two", "a", "u/r#2", store.OutcomeAllowed),
	}, nil); err != nil {
		t.Fatalf("add usage: %v", err)
	}
	asked := []string{"u/r#1", "u/r#2", "u/r#3", "u/r#10", "u/deny#1", "U/r#1"}
	for name, tt := range map[string]struct {
		client store.ClientID
		rules  []string
		want   map[string]store.Time
	}{
		"by one":                   {"one", asked, map[string]store.Time{"u/r#1": at + 5*hour, "u/r#10": at + hour}},
		"by another":               {"two", asked, map[string]store.Time{"u/r#1": at + 7*hour, "u/r#2": at + 4*hour}},
		"by nobody who was there":  {"three", asked, map[string]store.Time{}},
		"by anybody":               {"", asked, map[string]store.Time{"u/r#1": at + 7*hour, "u/r#2": at + 4*hour, "u/r#10": at + hour, "U/r#1": at + 2*hour}},
		"one rule by anybody":      {"", []string{"u/r#2"}, map[string]store.Time{"u/r#2": at + 4*hour}},
		"no rules by one":          {"one", nil, map[string]store.Time{}},
		"no rules by anybody":      {"", nil, map[string]store.Time{}},
		"a rule that is not there": {"", []string{"u/r"}, map[string]store.Time{}},
	} {
		got, err := s.RulesUsed(t.Context(), tt.client, tt.rules)
		if err != nil {
			t.Fatalf("%s: rules used: %v", name, err)
		}
		same(t, "rules used "+name, tt.want, got)
	}
}

func usage(t *testing.T, s store.Store, q store.UsageQuery) []store.Usage {
	t.Helper()
	rows, err := s.Usage(t.Context(), q)
	if err != nil {
		t.Fatalf("usage: %v", err)
	}
	return rows
}

func lastUses(t *testing.T, s store.Store, clients ...store.ClientID) []store.LastUse {
	t.Helper()
	rows, err := s.LastUses(t.Context(), clients...)
	if err != nil {
		t.Fatalf("last uses: %v", err)
	}
	return rows
}
