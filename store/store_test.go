package store_test

import (
	"errors"
	"fmt"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/store"
)

func TestIDsAreOfTheirKindAndNew(t *testing.T) {
	form := regexp.MustCompile(`^[a-z]{3}[a-z0-9]{24}$`)
	seen := map[string]bool{}
	for prefix, make := range map[string]func() string{
		"cli": func() string { return string(store.NewClientID()) },
		"usr": func() string { return string(store.NewAccountID(store.AccountUser)) },
		"svc": func() string { return string(store.NewAccountID(store.AccountService)) },
		"tea": func() string { return string(store.NewTeamID()) },
		"wsp": func() string { return string(store.NewWorkspaceID()) },
		"api": func() string { return string(store.NewAPIID()) },
		"rol": func() string { return string(store.NewRoleID()) },
		"sec": func() string { return string(store.NewSecretID()) },
		"aud": func() string { return string(store.NewAuditID()) },
	} {
		for range 100 {
			id := make()
			if !form.MatchString(id) || id[:3] != prefix {
				t.Errorf("a new id is %q, want %s and 24 characters of a-z and 0-9", id, prefix)
			}
			if seen[id] {
				t.Errorf("the id %q was made twice", id)
			}
			seen[id] = true
		}
	}
}

func TestGrantIDTellsItsHolder(t *testing.T) {
	team, user := store.HolderID(store.NewTeamID()), store.HolderID(store.NewAccountID(store.AccountUser))
	for _, h := range []store.HolderID{team, user} {
		if got := store.NewGrantID(h, "wsp1").Holder(); got != h {
			t.Errorf("the holder of the grant of %s is %s", h, got)
		}
	}
	if !team.IsTeam() || user.IsTeam() {
		t.Errorf("IsTeam is %t of %s and %t of %s", team.IsTeam(), team, user.IsTeam(), user)
	}
}

func TestTimeIsUTCInWholeMilliseconds(t *testing.T) {
	east := time.FixedZone("east", 3600)
	at := store.At(time.Date(2026, 5, 1, 12, 0, 0, 123_999_999, east))
	if got := at.String(); got != "2026-05-01T11:00:00.123Z" {
		t.Errorf("the time reads %s", got)
	}
	if got := store.At(at.Time()); got != at {
		t.Errorf("there and back again %d is %d", at, got)
	}
	if got := at.Add(1500 * time.Microsecond).Sub(at); got != time.Millisecond {
		t.Errorf("1.5 ms later is %s later, want it rounded down", got)
	}
	var never store.Time
	if store.At(time.Time{}) != never || !never.Time().IsZero() || never.String() != "never" {
		t.Errorf("no time is %d, %v, %q", store.At(time.Time{}), never.Time(), never)
	}
}

func TestExpiry(t *testing.T) {
	for _, tt := range []struct {
		name        string
		expiry, now store.Time
		over        bool
	}{
		{"a millisecond before", 10, 9, false},
		{"at its moment", 10, 10, true},
		{"later", 10, 11, true},
		{"never", 0, 11, false},
	} {
		if got := tt.expiry.Over(tt.now); got != tt.over {
			t.Errorf("%s: an expiry at %d is over at %d: %t, want %t", tt.name, tt.expiry, tt.now, got, tt.over)
		}
	}
	for _, tt := range []struct{ a, b, want store.Time }{{0, 0, 0}, {0, 5, 5}, {5, 0, 5}, {5, 7, 5}, {7, 5, 5}} {
		if got := tt.a.Sooner(tt.b); got != tt.want {
			t.Errorf("the sooner of %d and %d is %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}

func TestClientState(t *testing.T) {
	for _, tt := range []struct {
		stored  store.ClientStatus
		expires store.Time
		want    store.ClientStatus
	}{
		{store.ClientActive, 0, store.ClientActive},
		{store.ClientActive, 11, store.ClientActive},
		{store.ClientActive, 10, store.ClientExpired},
		{store.ClientPending, 10, store.ClientExpired},
		{store.ClientRevoked, 10, store.ClientRevoked},
		{store.ClientDeleted, 10, store.ClientDeleted},
	} {
		c := &store.Client{Status: tt.stored, ExpiresAt: tt.expires}
		if got := c.State(10); got != tt.want {
			t.Errorf("a client that is %s and expires at %d is %s at 10, want %s", tt.stored, tt.expires, got, tt.want)
		}
	}
}

func TestClientSecrets(t *testing.T) {
	c := &store.Client{Secrets: []store.ClientSecret{{ID: "a"}, {ID: "b", ExpiresAt: 10}, {ID: "c", RevokedAt: 99}}}
	for id, want := range map[store.SecretID]bool{"a": true, "b": false, "c": false} {
		if got := c.Secret(id).Live(10); got != want {
			t.Errorf("secret %s is live at 10: %t, want %t", id, got, want)
		}
	}
	if got := c.Secret("d"); got != nil {
		t.Errorf("a secret that the client has not is %v, want nil", got)
	}
}

func TestSortValue(t *testing.T) {
	c := &store.Client{Name: "Ölmühle A", CreatedAt: 12}
	got := map[store.ClientSort]string{}
	for _, by := range []store.ClientSort{store.SortName, store.SortCreated, store.SortExpires, store.SortLastUse} {
		got[by] = c.SortValue(by, 7)
	}
	want := map[store.ClientSort]string{store.SortName: "ölmühle a", store.SortCreated: "12", store.SortExpires: "0", store.SortLastUse: "7"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("values of a cursor (-want +got):\n%s", diff)
	}
}

func TestAPIIsOpenToItsOwnerAndWhomItIsSharedWith(t *testing.T) {
	a := &store.API{Name: "orders", Workspace: "owner", SharedWith: []store.Share{{Workspace: "guest", Tags: []string{"read"}}}}
	for workspace, want := range map[store.WorkspaceID]bool{"owner": true, "guest": true, "other": false, "": false} {
		if got := a.OpenTo(workspace); got != want {
			t.Errorf("the API is open to %q: %t, want %t", workspace, got, want)
		}
	}
	if share := a.ShareOf("guest"); share == nil || a.ShareOf("owner") != nil {
		t.Errorf("the shares of the guest and of the owner are %v and %v", share, a.ShareOf("owner"))
	}
	if own := (&store.API{Name: store.PosternAPI, Workspace: "system"}); !own.OpenTo("other") {
		t.Error("Postern's own API is not open to every workspace")
	}
}

func TestEveryKindHasItsRecord(t *testing.T) {
	for _, kind := range store.Kinds() {
		r, err := store.New(kind)
		if err != nil {
			t.Errorf("New(%s): %v", kind, err)
			continue
		}
		if r.Kind() != kind || r.Rev() != 0 || r.Key() != "" {
			t.Errorf("New(%s) is %s %q at revision %d, want an empty one of that kind", kind, r.Kind(), r.Key(), r.Rev())
		}
		if copied := r.WithRev(3); copied.Rev() != 3 || r.Rev() != 0 {
			t.Errorf("WithRev(3) of %s is at revision %d and left %d behind", kind, copied.Rev(), r.Rev())
		}
	}
	if r, err := store.New("usage"); err == nil {
		t.Errorf("New(usage) is %v, want an error: counters are no records", r)
	}
}

func TestStored(t *testing.T) {
	r := &store.Team{ID: "t", Revision: 4}
	if got := store.Insert(r).Stored().Rev(); got != 1 {
		t.Errorf("an insert stores revision %d, want 1", got)
	}
	if got := store.Update(r).Stored().Rev(); got != 5 {
		t.Errorf("an update of revision 4 stores %d, want 5", got)
	}
	if got := store.Delete(r).Stored(); got != nil {
		t.Errorf("a delete stores %v, want nothing", got)
	}
}

func TestErrorsAreOfTheirKind(t *testing.T) {
	exists := fmt.Errorf("commit: %w", &store.Exists{Kind: store.KindTeam, Field: "name"})
	if !errors.Is(exists, store.ErrExists) || errors.Is(exists, store.ErrConflict) {
		t.Errorf("%v is ErrExists: %t, ErrConflict: %t", exists, errors.Is(exists, store.ErrExists), errors.Is(exists, store.ErrConflict))
	}
	cause := errors.New("disk on fire")
	for _, outage := range []*store.Unavailable{{Err: cause}, {Unknown: true, Err: cause}, {Saved: true, Err: cause}} {
		if err := fmt.Errorf("commit: %w", outage); !errors.Is(err, store.ErrUnavailable) || !errors.Is(err, cause) {
			t.Errorf("%v is ErrUnavailable: %t, its cause: %t", err, errors.Is(err, store.ErrUnavailable), errors.Is(err, cause))
		}
	}
}
