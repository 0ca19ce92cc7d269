package console

import (
	"net/http"

	"postern/server/admin"
	"postern/store"
)

// tiles are the figures above the overview and the table of tokens.
type tiles struct {
	Clients *admin.ClientCounts
	Traffic *admin.Traffic
}

// countMost is where counting ends.
const countMost = 10_000

// Active is how many clients are active, and whether there are more.
func (t tiles) Active() string {
	n := capped(t.Clients.Personal + t.Clients.Service)
	if t.Clients.Personal >= countMost || t.Clients.Service >= countMost {
		return count(t.Clients.Personal+t.Clients.Service) + "+"
	}
	return n
}

// capped is a number that was counted up to countMost.
func capped(n int) string {
	if n == countMost {
		return count(n) + "+"
	}
	return count(n)
}

// Spark is the curve of what was issued.
func (t tiles) Spark() string {
	var values []int64
	for _, h := range t.Traffic.Hours {
		values = append(values, h.Issued)
	}
	return line(values, most(values), 96, 28)
}

// Change compares the last 24 hours with those before.
func (t tiles) Change() string {
	if t.Traffic.IssuedBefore == 0 {
		return "None the day before"
	}
	return percent(t.Traffic.Issued, t.Traffic.IssuedBefore) + " vs. day before"
}

// overviewPage is the first page.
type overviewPage struct {
	Tiles     tiles
	Chart     *chart
	Attention []concern
	Steps     []step
	Nothing   bool // may be seen here
}

// concern is a client that needs somebody, and the button that helps.
type concern struct {
	admin.Attention
	Title, Text, Icon string
	Button, Path      string
	Class             string
}

// step is one of the first things to do.
type step struct {
	Text, Button, Path string
	Done, May          bool
}

// overview is the first page: what there is, and what needs somebody.
func overview(v *visit) error {
	if v.workspace == nil {
		v.Redirect(http.StatusSeeOther, "/console/profile")
		return nil
	}
	p := overviewPage{Nothing: true}
	if v.may("overview.read") {
		o, err := v.console.Admin.Overview(v.Request.Context(), v.by, v.workspace.Name)
		if err != nil {
			return err
		}
		p.Nothing = o.Clients == nil && o.Traffic == nil
		p.Tiles = tiles{o.Clients, o.Traffic}
		if o.Traffic != nil {
			p.Chart = newChart("Access tokens issued and calls denied, per hour", o.Traffic.Hours, true, seriesIssued)
		}
		for _, a := range o.Attention {
			p.Attention = append(p.Attention, v.concern(a))
		}
		if o.Clients != nil && !o.Steps.Done() {
			p.Steps = []step{
				{Text: "Define the endpoints of an API", Button: "Define endpoints", Path: "/console/endpoints", Done: o.Steps.Endpoints, May: v.may("api.create")},
				{Text: "Make a role that opens some of them", Button: "Make a role", Path: "/console/roles", Done: o.Steps.Role, May: v.may("role.create")},
				{Text: "Generate a token that has the role", Button: "Generate token", Path: "/console/clients/new", Done: o.Steps.Client, May: v.may("client.create")},
			}
		}
	}
	return v.show("overview", http.StatusOK, page{Title: "Overview", Section: "overview", Data: p})
}

// concern says of a client why it needs somebody and what to do.
func (v *visit) concern(a admin.Attention) concern {
	c := concern{Attention: a, Button: "View token", Path: clientPath(a.Client.ID)}
	now := store.At(v.console.Now())
	switch a.Kind {
	case admin.AttentionLeaked:
		c.Title, c.Icon, c.Class = "A secret leaked", "triangle-alert", "bad"
		c.Text = "It was reported as found where it does not belong. Make a new secret, or delete the token."
		if c.Client.State(now) == store.ClientActive && c.Client.ClientKind == store.ClientService {
			c.Button, c.Path = "New secret key", clientPath(a.Client.ID)+"/rotate"
		}
	case admin.AttentionExpiring:
		c.Title, c.Icon, c.Class = "Expires "+relative(a.Client.ExpiresAt, now), "clock", "warn"
		c.Text = "It was not used today."
		if a.Used {
			c.Text = "It was used today: whoever uses it needs another one before then."
		}
	case admin.AttentionOrphaned:
		c.Title, c.Icon, c.Class = "Nobody is responsible", "user-x", "warn"
		c.Text = "It goes on without the person who answered for it. Take it over, or revoke it."
	case admin.AttentionWarned:
		c.Title, c.Icon, c.Class = "Has a warning", "info", ""
		c.Text = sentence(a.Client.Warning)
	}
	return c
}
