package console

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"time"

	"postern/server/admin"
	"postern/store"
)

// clientPage is everything about one client.
type clientPage struct {
	clientRow

	ByWhom  string // who may be told apart from the account: the person responsible
	Parent  string // the id that it was renewed from
	Secrets []secretRow
	Opens   []reach // what it may call, by role
	More    int     // endpoints that are not shown
	Unused  *admin.UnusedReport
	Chart   *chart
	Denied  int64 // in the time of the chart
	Refused []store.LastUse
	History []*store.AuditEntry
	At      string // the page itself, to come back to

	visit *visit
}

// secretRow is a secret of a client, never its text.
type secretRow struct {
	store.ClientSecret

	Use  store.LastUse
	Live bool
}

// State is what a secret can do, in a word.
func (s secretRow) State() string {
	switch {
	case s.LeakedAt != 0:
		return "Leaked"
	case s.RevokedAt != 0:
		return "Retired"
	case !s.Live:
		return "Expired"
	case s.ExpiresAt != 0:
		return "Ends"
	}
	return "Active"
}

// reach is the endpoints that one of its roles opens.
type reach struct {
	Ref       string
	ID        store.RoleID
	Endpoints []admin.OpenEndpoint
	Known     bool
}

// May reports whether the rules let the person do an operation where the client
// lives, which need not be the chosen workspace.
func (p clientPage) May(operation string) bool {
	ws := p.Client.Workspace
	if ws == "" {
		return p.Own || p.visit.maySystem(operation)
	}
	return p.visit.console.Admin.May(p.visit.by, operation, ws)
}

// Path is the page of a client, or one below it.
func (p clientPage) Path(below string) string { return clientPath(p.Client.ID) + below }

// SimulatePath asks the simulator about an endpoint that it may call.
func (p clientPage) SimulatePath(e admin.OpenEndpoint) string {
	return "/console/simulator?" + url.Values{"client": {string(p.Client.ID)}, "api": {e.API.Name}, "path": {e.Endpoint.Path}}.Encode()
}

// Deletable reports whether it is there still.
func (p clientPage) Deletable() bool { return p.State != store.ClientDeleted }

// Rotatable reports whether it can get another secret.
func (p clientPage) Rotatable() bool {
	return p.State == store.ClientActive && (p.Client.ClientKind == store.ClientService || p.Own)
}

const (
	endpointsShown = 60
	clientDays     = 30
)

func client(v *visit) error {
	view, err := v.clientOf()
	if err != nil {
		return err
	}
	ctx, a, id := v.Request.Context(), v.console.Admin, view.Client.ID
	p := clientPage{
		clientRow: clientRow{ClientView: *view, Endpoints: -1, Own: view.Client.Account == v.by.Account().ID},
		Parent:    string(view.Client.Parent), At: clientPath(id), visit: v,
	}
	now := store.At(v.console.Now())
	for _, s := range view.Client.Secrets {
		p.Secrets = append(p.Secrets, secretRow{s, view.SecretUses[s.ID], s.Live(now)})
	}
	slices.SortStableFunc(p.Secrets, func(x, y secretRow) int { return cmp.Compare(y.CreatedAt, x.CreatedAt) })
	p.reaches(v)
	p.Unused, err = a.ClientUnused(ctx, v.by, id, 0)
	if may, err := allowed(err); err != nil {
		return err
	} else if !may {
		p.Unused = nil
	}
	if err := p.used(v); err != nil {
		return err
	}
	if p.History, err = v.history(string(id), ""); err != nil {
		return err
	}
	return v.show("client", http.StatusOK, page{
		Title: view.Client.Name, Section: "clients", Crumbs: []crumb{{"Tokens", "/console/clients"}}, Data: p,
	})
}

// reaches adds what its roles open, the first of it.
func (p *clientPage) reaches(v *visit) {
	shown := 0
	for _, ref := range p.Roles {
		one := reach{Ref: ref}
		r, err := v.console.Admin.Role(v.Request.Context(), v.by, ref)
		if err == nil {
			one.ID = r.ID
			opens := v.opens(r)
			one.Known = opens.Known
			room := max(endpointsShown-shown, 0)
			one.Endpoints = opens.Endpoints[:min(len(opens.Endpoints), room)]
			p.More += len(opens.Endpoints) - len(one.Endpoints)
			shown += len(one.Endpoints)
		}
		p.Opens = append(p.Opens, one)
	}
}

// used adds what it did in the last days, and when its secrets were refused last.
func (p *clientPage) used(v *visit) error {
	to := v.console.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, 1)
	from := to.AddDate(0, 0, -clientDays)
	report, err := v.console.Admin.Usage(v.Request.Context(), v.by, p.Client.ID, store.At(from), store.At(to))
	if may, err := allowed(err); !may {
		return err
	}
	days := make([]store.UsageTotal, clientDays)
	for i := range days {
		days[i].At = store.At(from.AddDate(0, 0, i))
	}
	for _, c := range report.Counters {
		day := &days[min(max(int(c.Hour.Sub(store.At(from))/(24*time.Hour)), 0), clientDays-1)]
		switch c.Outcome {
		case store.OutcomeIssued:
			day.Issued += c.Count
		case store.OutcomeIntrospected:
			day.Introspected += c.Count
		case store.OutcomeAllowed:
			day.Allowed += c.Count
		case store.OutcomeDenied:
			day.Denied += c.Count
			p.Denied += c.Count
		}
	}
	if len(report.Counters) > 0 {
		p.Chart = newChart("Access tokens issued and calls denied, per day", days, false, seriesIssued)
	}
	for _, u := range report.LastUses {
		if u.RefusalAt != 0 {
			p.Refused = append(p.Refused, u)
		}
	}
	slices.SortFunc(p.Refused, func(x, y store.LastUse) int { return cmp.Compare(y.RefusalAt, x.RefusalAt) })
	return nil
}
