package admin

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"postern/store"
)

// Never is the lifetime of what has no end.
const Never = time.Duration(-1)

const (
	day = 24 * time.Hour
	// maxLife: what lives longer than this was meant to live for ever, and must say
	// so, or it would go without the warning.
	maxLife = 3650 * day
)

// WarnNever is the warning that goes with everything that never expires.
const WarnNever = "This client never expires. Nothing ends it but a revoke: prefer an end, and rotate."

// Expiry is how long a client lives: for a time, until a moment, for ever, or as
// the defaults say.
type Expiry struct {
	For   time.Duration
	At    store.Time
	Never bool
}

// expiry computes the end of a new client of a workspace, nil for one of all
// workspaces, and the warnings that go with it.
func (a *Admin) expiry(ws *store.Workspace, e Expiry, now store.Time) (ends store.Time, warnings []string, err error) {
	life := e.For
	switch {
	case e.Never:
		life = Never
	case e.At != 0 && e.At <= now:
		return 0, nil, refuse(Invalid, "expires_in: this end is over")
	case e.At != 0:
		life = e.At.Sub(now)
	case life < 0:
		return 0, nil, refuse(Invalid, "expires_in: a life cannot be negative; -1 days is never, and nothing else below 1 is allowed")
	case life == 0:
		life = a.defaultLife(ws)
	}
	limit := a.longest(ws)
	switch {
	case life == Never && !a.mayNever(ws):
		return 0, nil, refuse(Invalid, "expires_in: clients %s must expire; choose %s", of(ws), a.choices(ws))
	case life == Never:
		return 0, []string{WarnNever}, nil
	case limit > 0 && life > limit:
		return 0, nil, refuse(Invalid, "expires_in: clients %s live %s at most; choose %s", of(ws), lifetime(limit), a.choices(ws))
	case !listed(ws, life):
		return 0, nil, refuse(Invalid, "expires_in: clients %s have the lifetimes on its list alone; choose %s", of(ws), a.choices(ws))
	case life > maxLife:
		return 0, nil, refuse(Invalid, "expires_in: 10 years at most; what is to live longer never expires, and says so")
	}
	return now.Add(life), nil, nil
}

// ExpiryChoices are the lifetimes to offer for a new client of a workspace, nil
// for one of all workspaces, as expires_in takes them: "30d", "1y", "never". A
// workspace with a list of its own allows these and no others; otherwise they
// are the installation's, and any other within the cap is as good.
func (a *Admin) ExpiryChoices(ws *store.Workspace) []string {
	offered, _ := a.Lifetimes(ws)
	out := make([]string, len(offered))
	for i, life := range offered {
		out[i] = lifetime(life)
	}
	return out
}

// Lifetimes are the ExpiryChoices as durations, Never among them, and the life of
// a client that is made without naming one.
func (a *Admin) Lifetimes(ws *store.Workspace) (offered []time.Duration, usual time.Duration) {
	all := a.Options.ExpiryChoices
	if ws != nil && len(ws.Lifetimes) > 0 {
		all = lifetimes(ws)
	}
	limit := a.longest(ws)
	for _, life := range all {
		if life == Never && !a.mayNever(ws) || limit > 0 && life > limit || life > maxLife {
			continue
		}
		offered = append(offered, life)
	}
	if len(offered) == 0 && limit > 0 && (ws == nil || len(ws.Lifetimes) == 0) {
		offered = append(offered, limit)
	}
	return offered, a.defaultLife(ws)
}

func (a *Admin) choices(ws *store.Workspace) string {
	choices := a.ExpiryChoices(ws)
	if len(choices) == 0 {
		return "another workspace, since this one allows no lifetime"
	}
	return strings.Join(choices, ", ")
}

// longest is the cap on the life of a client; 0 is none.
func (a *Admin) longest(ws *store.Workspace) time.Duration {
	limit := a.MaxExpiry
	if ws != nil && ws.MaxLifetime > 0 {
		own := time.Duration(ws.MaxLifetime) * time.Second
		if limit == 0 || own < limit {
			limit = own
		}
	}
	return limit
}

func (a *Admin) mayNever(ws *store.Workspace) bool {
	return a.NeverAllowed && a.longest(ws) == 0 && (ws == nil || !ws.NeverForbidden) && listed(ws, Never)
}

// defaultLife is the life of a client made without naming one: the
// installation's, or the nearest to it that the workspace allows.
func (a *Admin) defaultLife(ws *store.Workspace) time.Duration {
	life, limit := a.DefaultExpiry, a.longest(ws)
	if life == Never && !a.mayNever(ws) {
		life = maxLife
	}
	if limit > 0 && life > limit {
		life = limit
	}
	if listed(ws, life) {
		return life
	}
	ends := slices.DeleteFunc(lifetimes(ws), func(l time.Duration) bool { return l == Never || limit > 0 && l > limit })
	if len(ends) == 0 && a.mayNever(ws) {
		return Never
	}
	if len(ends) == 0 {
		return life // which is refused, with the reason
	}
	nearest := slices.Min(ends)
	for _, l := range ends {
		if l <= life && l > nearest {
			nearest = l
		}
	}
	return nearest
}

// lifetimes is the list of a workspace.
func lifetimes(ws *store.Workspace) []time.Duration {
	out := make([]time.Duration, len(ws.Lifetimes))
	for i, seconds := range ws.Lifetimes {
		out[i] = time.Duration(seconds) * time.Second
		if seconds == store.LifetimeNever {
			out[i] = Never
		}
	}
	return out
}

// listed reports whether a workspace's list holds a lifetime. Without one it
// holds all.
func listed(ws *store.Workspace, life time.Duration) bool {
	return ws == nil || len(ws.Lifetimes) == 0 || slices.Contains(lifetimes(ws), life)
}

func of(ws *store.Workspace) string {
	if ws == nil {
		return "of this installation"
	}
	return "of workspace " + ws.Name
}

// lifetime spells a lifetime as expires_in takes it.
func lifetime(life time.Duration) string {
	if life == Never {
		return "never"
	}
	for _, unit := range []struct {
		name string
		is   time.Duration
	}{{"y", 365 * day}, {"d", day}, {"h", time.Hour}, {"m", time.Minute}} {
		if life%unit.is == 0 && life > 0 {
			return fmt.Sprintf("%d%s", life/unit.is, unit.name)
		}
	}
	return life.String()
}
