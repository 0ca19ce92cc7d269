package api_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"postern/server/admin"
	"postern/store"
)

const days = 24 * 3600 // in seconds

// settings changes a workspace's settings as its editing operation does.
func (w *world) settings(name string, edit func(*store.Workspace)) {
	w.t.Helper()
	ws := *w.state.WorkspaceByName(name)
	edit(&ws)
	if err := w.state.Commit(w.t.Context(), store.Update(&ws)); err != nil {
		w.t.Fatal(err)
	}
}

func TestQU3WorkspaceAllowsSomeLifetimesOnly(t *testing.T) {
	w := start(t)
	w.workspace("strict")
	tests := []struct {
		name      string
		lifetimes []int64
		cap       int64
		forbidden bool
		want      map[string]int
		life      time.Duration // of one made without naming it; 0 is never
		choices   []string
	}{
		{
			"no list", nil, 0, false,
			map[string]int{"30d": 201, "17h": 201, "never": 201},
			90 * 24 * time.Hour,
			[]string{"30d", "60d", "90d", "1y", "never"},
		},
		{
			"30 and 60 days",
			[]int64{30 * days, 60 * days},
			0, false,
			map[string]int{"30d": 201, "60d": 201, "720h": 201, "90d": 422, "never": 422, "1d": 422},
			60 * 24 * time.Hour,
			[]string{"30d", "60d"},
		},
		{
			"a year or never",
			[]int64{365 * days, store.LifetimeNever},
			0, false,
			map[string]int{"1y": 201, "never": 201, "90d": 422},
			365 * 24 * time.Hour,
			[]string{"1y", "never"},
		},
		{"never alone", []int64{store.LifetimeNever}, 0, false, map[string]int{"never": 201, "1y": 422}, 0, []string{"never"}},
		{
			"a list and a lower cap",
			[]int64{30 * days, 365 * days, store.LifetimeNever},
			60 * days, false,
			map[string]int{"30d": 201, "1y": 422, "never": 422},
			30 * 24 * time.Hour,
			[]string{"30d"},
		},
		{
			"a cap below every choice", nil, 7 * days, false,
			map[string]int{"7d": 201, "8d": 422, "never": 422},
			7 * 24 * time.Hour,
			[]string{"7d"},
		},
		{"never forbidden", nil, 0, true, map[string]int{"1y": 201, "never": 422}, 90 * 24 * time.Hour, []string{"30d", "60d", "90d", "1y"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w.settings("strict", func(ws *store.Workspace) {
				ws.Lifetimes, ws.MaxLifetime, ws.NeverForbidden = tt.lifetimes, tt.cap, tt.forbidden
			})
			for expires, want := range tt.want {
				if got := w.call(w.root, "POST", "/clients", object{"name": "x", "workspace": "strict", "expires_in": expires}); got.status != want {
					t.Errorf("expires_in %q: got %d %s, want %d", expires, got.status, got.body, want)
				}
			}
			got := w.want(http.StatusCreated, "POST", "/clients", object{"name": "x", "workspace": "strict"})
			created, _ := time.Parse(time.RFC3339, got.text("client.created_at"))
			ends, err := time.Parse(time.RFC3339, got.text("client.expires_at"))
			if tt.life == 0 && (err == nil || len(got.list("warnings")) != 1) || tt.life > 0 && ends.Sub(created) != tt.life {
				t.Errorf("without naming one: got %s, want a life of %v", got.body, tt.life)
			}
			if got := w.admin.ExpiryChoices(w.state.WorkspaceByName("strict")); !slices.Equal(got, tt.choices) {
				t.Errorf("choices: got %v, want %v", got, tt.choices)
			}
		})
	}
}

// P06: whoever means never says never, and is warned.
func TestP06OddDatesForNoExpiry(t *testing.T) {
	w := start(t)
	for name, body := range map[string]object{
		"a hundred years": {"expires_in": "100y"}, "ten years and a day": {"expires_in": "3651d"}, "in hours": {"expires_in": "87601h"},
		"in days": {"expires_in_days": 3651}, "0 days": {"expires_in_days": 0}, "-1 in words": {"expires_in": "-1"}, "-1d": {"expires_in": "-1d"},
		"null day": {"expires_in": "0d"}, "year 9999": {"expires_at": "9999-12-31T23:59:59Z"}, "year 0": {"expires_at": "0000-01-01T00:00:00Z"},
		"1970": {"expires_at": "1970-01-01T00:00:00Z"}, "no date": {"expires_at": ""}, "NEVER": {"expires_in": "NEVER"}, "infinity": {"expires_in": "inf"},
	} {
		body["name"], body["workspace"] = "x", "default"
		if got := w.call(w.root, "POST", "/clients", body); got.status != http.StatusUnprocessableEntity {
			t.Errorf("%s: got %d %s, want 422", name, got.status, got.body)
		}
	}
	w.want(http.StatusCreated, "POST", "/clients", object{"name": "x", "workspace": "default", "expires_in": "10y"})
}

func TestDP9NeverOnlyWhereItIsAllowed(t *testing.T) {
	w := start(t, func(o *admin.Options) { o.NeverAllowed = false })
	for _, body := range []object{{"expires_in": "never"}, {"expires_in_days": -1}} {
		body["name"], body["workspace"] = "x", "default"
		w.want(http.StatusUnprocessableEntity, "POST", "/clients", body)
	}
	got := w.want(http.StatusCreated, "POST", "/clients", object{"name": "x", "workspace": "default", "expires_in_days": 365})
	if len(got.list("warnings")) != 0 || got.get("client.expires_at") == nil {
		t.Errorf("a year: got %s", got.body)
	}
}
