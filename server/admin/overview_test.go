package admin_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/server/admin"
	"postern/store"
)

// overviewWorld is a world at a noon, with clients of the workspace default in the
// states that an overview counts.
func overviewWorld(t *testing.T) (*world, func(time.Duration)) {
	t.Helper()
	now := time.Now().UTC().Truncate(24 * time.Hour).Add(12*time.Hour + 25*time.Minute)
	w := start(t, func(o *admin.Options) { o.Now = func() time.Time { return now } })
	return w, func(d time.Duration) { now = now.Add(d) }
}

// attention lists "kind name", and "*" where it was used today.
func attention(o *admin.Overview) []string {
	var out []string
	for _, a := range o.Attention {
		text := string(a.Kind) + " " + a.Client.Name
		if a.Used {
			text += "*"
		}
		out = append(out, text)
	}
	return out
}

func (w *world) overview(by *admin.Actor) *admin.Overview {
	w.t.Helper()
	o, err := w.Overview(w.t.Context(), by, "default")
	if err != nil {
		w.t.Fatal(err)
	}
	return o
}

func TestOverviewCountsWhatIsThere(t *testing.T) {
	w, ahead := overviewWorld(t)
	create := func(name string, life time.Duration) *store.Client {
		t.Helper()
		made, err := w.CreateClient(t.Context(), w.root, admin.NewClient{Name: name, Workspace: "default", Expiry: admin.Expiry{For: life}})
		if err != nil {
			t.Fatal(err)
		}
		return made.Client
	}
	ahead(time.Minute)
	create("old and never used", 300*24*time.Hour)
	oldUsed := create("old and used", 300*24*time.Hour)
	ahead(31 * 24 * time.Hour)
	create("soon", 13*24*time.Hour)
	soonUsed, yesterday := create("soon and used", 14*24*time.Hour), create("soon, used yesterday", 2*24*time.Hour)
	create("later", 15*24*time.Hour)
	revoked := create("revoked", 24*time.Hour)
	if _, err := w.RevokeClient(t.Context(), w.root, revoked.ID, ""); err != nil {
		t.Fatal(err)
	}
	use := func(c *store.Client, ago time.Duration) store.LastUse {
		return store.LastUse{Client: c.ID, Secret: c.Secrets[0].ID, SuccessAt: store.At(w.Now().Add(-ago))}
	}
	if err := w.state.AddUsage(t.Context(), nil, []store.LastUse{use(soonUsed, time.Hour), use(yesterday, 13*time.Hour), use(oldUsed, 24*time.Hour)}); err != nil {
		t.Fatal(err)
	}
	got := w.overview(w.root)
	// Two more are of the first start, and were never used.
	want := &admin.ClientCounts{Service: 8, Expiring: 3, ExpiringUsed: 1, Forgotten: 3}
	if diff := cmp.Diff(want, got.Clients); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{
		"expiring soon, used yesterday", "expiring soon", "expiring soon and used*", "warned Example client", "warned Example gateway",
	}, attention(got)); diff != "" {
		t.Errorf("what needs attention (-want +got):\n%s", diff)
	}
}

func TestOverviewAddsUpTwoDays(t *testing.T) {
	w, _ := overviewWorld(t)
	ws := w.made.API.Workspace
	hour := store.At(w.Now().Truncate(time.Hour))
	sum := func(hoursAgo int, of store.WorkspaceID, o store.Outcome, n int64) store.UsageSum {
		return store.UsageSum{Hour: hour.Add(-time.Duration(hoursAgo) * time.Hour), Workspace: of, Outcome: o, Process: "p", Count: n}
	}
	if err := w.state.AddUsageSums(t.Context(), []store.UsageSum{
		sum(0, ws, store.OutcomeIssued, 1), sum(23, ws, store.OutcomeIssued, 10), sum(23, ws, store.OutcomeDenied, 5),
		sum(24, ws, store.OutcomeIssued, 100), sum(47, ws, store.OutcomeIssued, 200), sum(48, ws, store.OutcomeIssued, 4000), sum(1, "other", store.OutcomeIssued, 9000),
	}); err != nil {
		t.Fatal(err)
	}
	got := w.overview(w.root).Traffic
	if got.Issued != 11 || got.Denied != 5 || got.IssuedBefore != 300 || len(got.Hours) != 24 {
		t.Errorf("got %d issued, %d denied, %d the day before in %d hours; want 11, 5, 300 in 24", got.Issued, got.Denied, got.IssuedBefore, len(got.Hours))
	}
	if first, last := got.Hours[0], got.Hours[23]; first.At != hour.Add(-23*time.Hour) || first.Issued != 10 || last.At != hour || last.Issued != 1 {
		t.Errorf("from %+v to %+v", first, last)
	}
}

func TestOverviewTellsOfWhatNeedsSomebody(t *testing.T) {
	w, ahead := overviewWorld(t)
	ahead(time.Minute)
	leaked, _ := w.machine("default")
	if err := w.ReportLeaks(t.Context(), &admin.Actor{}, []admin.Leaked{{Secret: leaked.Secret, Client: leaked.Client.ID}}); err != nil {
		t.Fatal(err)
	}
	if got := attention(w.overview(w.root)); !slices.Contains(got, "leaked machine") {
		t.Errorf("after a leak: got %q", got)
	}
	ahead(time.Minute)
	if _, err := w.RotateSecret(t.Context(), w.root, leaked.Client.ID, admin.Rotation{}); err != nil {
		t.Fatal(err)
	}
	if got := attention(w.overview(w.root)); slices.Contains(got, "leaked machine") {
		t.Errorf("after a new secret: got %q", got)
	}
	if _, err := w.InviteAccount(t.Context(), w.root, admin.NewAccount{Name: "ann"}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.EditClient(t.Context(), w.root, leaked.Client.ID, admin.ClientEdit{Responsible: new("ann")}); err != nil {
		t.Fatal(err)
	}
	if got := attention(w.overview(w.root)); slices.Contains(got, "orphaned machine") {
		t.Errorf("while ann is there: got %q", got)
	}
	if _, err := w.DeactivateAccount(t.Context(), w.root, "ann"); err != nil {
		t.Fatal(err)
	}
	if got := attention(w.overview(w.root)); !slices.Contains(got, "orphaned machine") {
		t.Errorf("after ann is deactivated: got %q", got)
	}
}

// What the first start made is no step that was done.
func TestOverviewKnowsTheFirstSteps(t *testing.T) {
	w, ahead := overviewWorld(t)
	check := func(want admin.Steps) {
		t.Helper()
		if got := w.overview(w.root).Steps; got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	check(admin.Steps{})
	ahead(time.Minute)
	if _, err := w.CreateAPI(t.Context(), w.root, admin.APIInput{Name: "orders", Workspace: "default", Audience: new("https://orders.example"), Endpoints: &[]store.Endpoint{{Methods: "GET", Path: "/orders"}}}); err != nil {
		t.Fatal(err)
	}
	check(admin.Steps{Endpoints: true})
	w.machine("default")
	check(admin.Steps{Endpoints: true, Client: true})
}

// Who may only do a part of it sees a part of it.
func TestOverviewShowsWhatOneMaySee(t *testing.T) {
	w := start(t)
	for i, tt := range []struct {
		paths            []string
		clients, traffic bool
	}{
		{[]string{"/api/v1/overview"}, false, false},
		{[]string{"/api/v1/overview", "/api/v1/clients"}, true, false},
		{[]string{"/api/v1/overview", "/api/v1/usage"}, false, true},
	} {
		name := fmt.Sprint("part", i)
		var rules []store.Rule
		for _, p := range tt.paths {
			rules = append(rules, store.Rule{API: store.PosternAPI, Methods: "GET", Path: p})
		}
		if _, err := w.CreateRole(t.Context(), w.root, admin.RoleInput{Workspace: "default", Name: name, Rules: rules}); err != nil {
			t.Fatal(err)
		}
		_, by := w.machine("default", name)
		o := w.overview(by)
		if (o.Clients != nil) != tt.clients || (o.Traffic != nil) != tt.traffic || (len(o.Attention) > 0) != tt.clients {
			t.Errorf("by %q: got clients %v, traffic %v, %d that need attention", tt.paths, o.Clients, o.Traffic, len(o.Attention))
		}
	}
	_, by := w.machine("default", "member")
	if _, err := w.Overview(t.Context(), by, "default"); kind(t, err) != admin.NotFound {
		t.Errorf("by a member: got %v, want not found", err)
	}
}
