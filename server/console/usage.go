package console

import (
	"net/http"
	"net/url"
	"strconv"

	"postern/server/admin"
	"postern/store"
)

// usagePage is what the clients of a workspace do.
type usagePage struct {
	Tabs []tab
	Of   []tab // what the area of the chart is of
	*admin.UsageSummary
	Chart *chart
	Names map[store.ClientID]string
}

// tab is a link to another look at the same.
type tab struct {
	Text, Path string
	Here       bool
}

// Name is what a client is called, or its id.
func (p usagePage) Name(id store.ClientID) string {
	if name := p.Names[id]; name != "" {
		return name
	}
	return string(id)
}

// ClientPath is the page of a client.
func (p usagePage) ClientPath(id store.ClientID) string { return clientPath(id) }

// Sums are the figures above the chart.
func (p usagePage) Sums() []figure {
	return []figure{
		{"Access tokens issued", p.Sum.Issued}, {"Calls allowed", p.Sum.Allowed}, {"Calls denied", p.Sum.Denied}, {"Introspected as active", p.Sum.Introspected},
	}
}

type figure struct {
	Name   string
	Number int64
}

// spans are the ranges of the page, in days.
func spans() []int { return []int{1, 7, 30, 90} }

func usage(v *visit) error {
	if v.workspace == nil {
		return errNoWorkspace
	}
	ctx, query := v.Request.Context(), v.Request.URL.Query()
	days, err := strconv.Atoi(query.Get("days"))
	if err != nil {
		days = 1
	}
	series := seriesIssued
	if query.Get("show") == "allowed" {
		series = seriesAllowed
	}
	p := usagePage{}
	if p.UsageSummary, err = v.console.Admin.UsageSummary(ctx, v.by, v.workspace.Name, days); err != nil {
		return err
	}
	var ids []store.ClientID
	for _, c := range p.Clients {
		ids = append(ids, c.Client)
	}
	for _, r := range p.Refused {
		ids = append(ids, r.Client)
	}
	if p.Names, err = v.console.Admin.ClientNames(ctx, v.by, ids...); err != nil {
		return err
	}
	to := func(days int, series string) string {
		q := url.Values{"days": {strconv.Itoa(days)}}
		if series == seriesAllowed {
			q.Set("show", "allowed")
		}
		return "/console/usage?" + q.Encode()
	}
	for _, n := range spans() {
		text := "24 hours"
		if n > 1 {
			text = plural(n, "day", "days")
		}
		p.Tabs = append(p.Tabs, tab{text, to(n, series), n == days})
	}
	for _, s := range []string{seriesIssued, seriesAllowed} {
		p.Of = append(p.Of, tab{s, to(days, s), s == series})
	}
	title := map[string]string{seriesIssued: "Access tokens issued", seriesAllowed: "Calls allowed"}[series] + " and calls denied, per "
	title += map[bool]string{true: "hour", false: "day"}[p.Hourly]
	p.Chart = newChart(title, p.Rows, p.Hourly, series)
	return v.show("usage", http.StatusOK, page{Title: "Usage", Section: "usage", Data: p})
}
