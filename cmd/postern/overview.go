package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"postern/server/api"
	"postern/store"
)

func (a *remote) overviewCommand() *cobra.Command {
	var workspace string
	c := a.command(command{
		use: "overview", short: "Show what a workspace has, and what in it needs somebody",
		run: func(ctx context.Context, s *session, _ []string) error {
			o, answer, err := decoded[api.Overview](ctx, s, request{method: http.MethodGet, path: "/overview", query: url.Values{"workspace": {workspace}}})
			if err != nil {
				return err
			}
			return s.show(answer.body, func(w *page) { s.writeOverview(w, o) })
		},
	})
	c.Flags().StringVar(&workspace, "workspace", "default", "of this workspace")
	return c
}

func (s *session) writeOverview(w *page, o *api.Overview) {
	var f facts
	f.add("workspace", o.Workspace)
	if c := o.Clients; c != nil {
		f.add("active clients", fmt.Sprintf("%d: %d personal, %d service", c.Personal+c.Service, c.Personal, c.Service))
		f.add("expiring within 14 days", fmt.Sprintf("%d, of which %d were used today", c.Expiring, c.ExpiringUsed))
		f.add("never used, older than 30 days", strconv.Itoa(c.Forgotten))
	}
	if t := o.Traffic; t != nil {
		f.add("tokens issued, last 24 hours", fmt.Sprintf("%d, and %d in the 24 before", t.Issued, t.IssuedBefore))
		f.add("calls denied, last 24 hours", strconv.FormatInt(t.Denied, 10))
	}
	f.write(w)
	if len(o.Attention) == 0 {
		return
	}
	w.println()
	t := &table{columns: []column{{title: "NEEDS ATTENTION", least: 12}, {title: "CLIENT", least: 12}, {title: "ID"}, {title: "WHY", least: 20}}}
	for _, a := range o.Attention {
		why := a.Warning
		switch a.Kind {
		case "leaked":
			why = "a secret of it leaked"
		case "orphaned":
			why = "nobody answers for it"
		case "expiring":
			why = "expires " + s.ago(a.ExpiresAt)
			if a.UsedToday {
				why += ", used today"
			}
		}
		t.add(a.Kind, a.Name, a.Client, why)
	}
	t.write(w)
}

// usageSummary shows what the clients of a workspace did together.
func (s *session) usageSummary(ctx context.Context, workspace string, days int) error {
	query := url.Values{"days": {strconv.Itoa(days)}}
	set(query, "workspace", workspace)
	u, answer, err := decoded[api.UsageSummary](ctx, s, request{method: http.MethodGet, path: "/usage/summary", query: query})
	if err != nil {
		return err
	}
	return s.show(answer.body, func(w *page) {
		n := func(i int64) string { return strconv.FormatInt(i, 10) }
		counts := func(t *table, first string, c api.Totals) {
			t.add(first, n(c.Issued), n(c.Introspected), n(c.Allowed), n(c.Denied))
		}
		columns := func(first string) []column {
			return []column{{title: first, least: 16}, {title: "TOKENS"}, {title: "INTROSP."}, {title: "ALLOWED"}, {title: "DENIED"}}
		}
		layout := map[string]string{"hour": "2006-01-02 15:04", "day": time.DateOnly}[u.Per]
		t := &table{columns: columns("FROM (UTC)")}
		for _, r := range u.Rows {
			counts(t, store.Time(r.At).Time().Format(layout), r)
		}
		counts(t, "in all", u.Sum)
		t.write(w)
		for _, top := range []struct {
			title string
			rows  []api.Totals
			of    func(api.Totals) string
		}{{"RULE", u.Rules, func(t api.Totals) string { return t.Rule }}, {"CLIENT", u.Clients, func(t api.Totals) string { return t.Client }}} {
			if len(top.rows) == 0 {
				continue
			}
			w.println()
			t := &table{columns: columns(top.title)}
			for _, r := range top.rows {
				counts(t, top.of(r), r)
			}
			t.write(w)
		}
		if len(u.Refused) == 0 {
			return
		}
		w.println()
		t = &table{columns: []column{{title: "LAST REFUSED", least: 12}, {title: "CLIENT"}, {title: "ENDPOINT", least: 16}, {title: "FROM", spare: true}}}
		for _, r := range u.Refused {
			t.add(s.ago(r.RefusalAt), r.Client, r.RefusalEndpoint, r.RefusalAddress)
		}
		t.write(w)
	})
}
