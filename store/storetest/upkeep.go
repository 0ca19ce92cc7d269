package storetest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"postern/store"
)

func testPrune(t *testing.T, s store.Store) {
	// Heartbeats have the store's own time: the present.
	now := store.At(time.Now()) //nolint:forbidigo // compared with what the store read from its clock
	day := 24 * time.Hour
	commit(t, s,
		store.Insert(&store.Revocation{ID: "ended", ExpiresAt: now - 1}),
		store.Insert(&store.Revocation{ID: "ends", ExpiresAt: now + 1}),
		store.Insert(&store.Revocation{ID: "never"}),
		store.Insert(&store.StatusIndex{ID: "ended", Place: 1, ExpiresAt: now - 1}),
		store.Insert(&store.StatusIndex{ID: "ends", Place: 2, ExpiresAt: now + 1}),
		store.Insert(&store.StatusIndex{ID: "never", Place: 3}),
		store.Insert(&store.Session{ID: "ended", ExpiresAt: now - 1}),
		store.Insert(&store.Session{ID: "ends", ExpiresAt: now + 1}),
		store.Insert(&store.Idempotency{ID: "ended", ExpiresAt: now - 1}),
		store.Insert(&store.Delivery{ID: "ended", ExpiresAt: now - 1}),
		store.Insert(&store.Delivery{ID: "waits"}),
		store.Insert(&store.Client{ID: "expired", ExpiresAt: 1}),
		store.Insert(&store.AuditEntry{ID: "old", At: 1}))
	row := func(hour store.Time) store.Usage {
		return store.Usage{Hour: hour, Client: "c", Outcome: "allowed", Process: "p", Count: 1}
	}
	err := s.AddUsage(t.Context(), []store.Usage{row(now.Add(-2 * day)), row(now.Add(-day)), row(now)}, []store.LastUse{{Client: "c", SuccessAt: 1}})
	if err != nil {
		t.Fatalf("add usage: %v", err)
	}
	sum := func(hour store.Time) store.UsageSum {
		return store.UsageSum{Hour: hour, Workspace: "w", Outcome: "allowed", Process: "p", Count: 1}
	}
	if err := s.AddUsageSums(t.Context(), []store.UsageSum{sum(now.Add(-2 * day)), sum(now.Add(-day)), sum(now)}); err != nil {
		t.Fatalf("add usage sums: %v", err)
	}
	if err := s.Beat(t.Context(), "node", 1); err != nil {
		t.Fatalf("beat: %v", err)
	}
	feed := watch(t, s, "")
	if err := s.Prune(t.Context(), now, now.Add(-day)); err != nil {
		t.Fatalf("prune: %v", err)
	}
	same(t, "the changes", []store.Change{{Kind: store.KindRevocation, Key: "ended"}, {Kind: store.KindStatusIndex, Key: "ended"}}, next(t, feed, 2))
	same(t, "what is left", []string{"ends", "never", "ends", "never", "node", "expired", "old", "ends", "waits"},
		keys(all(t, s, store.KindRevocation, store.KindStatusIndex, store.KindHeartbeat, store.KindClient, store.KindAudit, store.KindSession, store.KindIdempotency, store.KindDelivery)))
	kept := usage(t, s, store.UsageQuery{})
	same(t, "usage rows", 2, len(kept))
	same(t, "hours with usage sums", 2, len(totals(t, s, store.UsageTotalQuery{By: store.UsageByHour})))
	same(t, "last uses", 1, len(lastUses(t, s, "c")))

	if err := s.Prune(t.Context(), now.Add(2*time.Hour), now.Add(-day)); err != nil {
		t.Fatalf("prune: %v", err)
	}
	same(t, "what is left two hours later", []string{"never", "never"}, keys(all(t, s, store.KindRevocation, store.KindStatusIndex, store.KindHeartbeat)))
}

func testContexts(t *testing.T, s store.Store) {
	commit(t, s, store.Insert(&store.Client{ID: "there"}), store.Insert(&store.Team{ID: "there", Name: "there"}), store.Insert(&store.Account{ID: "there", Name: "there"}))
	calls := map[string]func(context.Context) error{
		"Client":        func(ctx context.Context) error { _, err := s.Client(ctx, "there"); return err },
		"Account":       func(ctx context.Context) error { _, err := s.Account(ctx, "there"); return err },
		"AccountByName": func(ctx context.Context) error { _, err := s.AccountByName(ctx, "there"); return err },
		"Get":           func(ctx context.Context) error { _, err := s.Get(ctx, store.KindTeam, "there"); return err },
		"Deliveries":    func(ctx context.Context) error { _, err := s.Deliveries(ctx, store.DeliveryQuery{}); return err },
		"GrantsOf":      func(ctx context.Context) error { _, err := s.GrantsOf(ctx, "there"); return err },
		"All": func(ctx context.Context) error {
			return s.All(ctx, func(store.Record) error { return nil }, store.KindClient)
		},
		"Clients":      func(ctx context.Context) error { _, err := s.Clients(ctx, store.ClientQuery{}); return err },
		"CountClients": func(ctx context.Context) error { _, err := s.CountClients(ctx, store.ClientQuery{}, 9); return err },
		"Accounts":     func(ctx context.Context) error { _, err := s.Accounts(ctx, store.AccountQuery{}); return err },
		"Grants":       func(ctx context.Context) error { _, err := s.Grants(ctx, store.GrantQuery{}); return err },
		"Audit":        func(ctx context.Context) error { _, err := s.Audit(ctx, store.AuditQuery{}); return err },
		"Commit":       func(ctx context.Context) error { return s.Commit(ctx, store.Insert(&store.Team{ID: "no", Name: "no"})) },
		"Commit of two": func(ctx context.Context) error {
			return s.Commit(ctx, store.Insert(&store.Team{ID: "no", Name: "no"}), store.Insert(&store.Lease{ID: "no"}))
		},
		"Beat":         func(ctx context.Context) error { return s.Beat(ctx, "no", 1) },
		"Prune":        func(ctx context.Context) error { return s.Prune(ctx, 1, 1) },
		"Watch":        func(ctx context.Context) error { _, err := s.Watch(ctx, ""); return err },
		"AddUsageSums": func(ctx context.Context) error { return s.AddUsageSums(ctx, []store.UsageSum{{Hour: 1, Count: 1}}) },
		"UsageTotals": func(ctx context.Context) error {
			_, err := s.UsageTotals(ctx, store.UsageTotalQuery{By: store.UsageByHour})
			return err
		},
		"LastRefusals":          func(ctx context.Context) error { _, err := s.LastRefusals(ctx, nil, 1); return err },
		"AddUsage":              func(ctx context.Context) error { return s.AddUsage(ctx, []store.Usage{{Hour: 1, Count: 1}}, nil) },
		"Usage":                 func(ctx context.Context) error { _, err := s.Usage(ctx, store.UsageQuery{}); return err },
		"LastUses":              func(ctx context.Context) error { _, err := s.LastUses(ctx, "there"); return err },
		"RulesUsed":             func(ctx context.Context) error { _, err := s.RulesUsed(ctx, "", []string{"a/r#1"}); return err },
		"RulesUsed of a client": func(ctx context.Context) error { _, err := s.RulesUsed(ctx, "there", []string{"a/r#1"}); return err },
		"Describe":              func(ctx context.Context) error { _, err := s.Describe(ctx); return err },
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	late, stop := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer stop()
	for _, name := range slices.Sorted(maps.Keys(calls)) {
		for want, ctx := range map[error]context.Context{context.Canceled: cancelled, context.DeadlineExceeded: late} {
			t.Run(name+": "+want.Error(), func(t *testing.T) {
				if err := calls[name](ctx); !errors.Is(err, want) || errors.Is(err, store.ErrUnavailable) {
					t.Errorf("got error %v, want %v and no outage", err, want)
				}
			})
		}
	}
	same(t, "what was written", []string{"there"}, keys(all(t, s, store.KindTeam, store.KindLease, store.KindHeartbeat)))
	same(t, "usage that was written", 0, len(usage(t, s, store.UsageQuery{})))
	commit(t, s, store.Insert(&store.Team{ID: "no", Name: "no"}))
}
