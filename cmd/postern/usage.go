package main

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"postern/server/api"
	"postern/store"
)

func (a *remote) usageCommand() *cobra.Command {
	var client, since, until, workspace string
	var summary bool
	var days int
	c := a.command(command{
		use: "usage", short: "Show who called what, and when last",
		example: `  postern usage --client cli0123 --since 7d
  postern usage --summary --workspace default --days 30`,
		run: func(ctx context.Context, s *session, _ []string) error {
			for name, of := range map[string]bool{"client": false, "since": false, "until": false, "workspace": true, "days": true} {
				if s.cmd.Flags().Changed(name) && of != summary {
					return usageError("--%s is not for this: --summary takes --workspace and --days, and without it there are --client, --since and --until", name)
				}
			}
			if summary {
				return s.usageSummary(ctx, workspace, days)
			}
			q := url.Values{}
			set(q, "client", client)
			for name, text := range map[string]string{"from": since, "to": until} {
				if text == "" {
					continue
				}
				at, err := moment(text, s.now, -1)
				if err != nil {
					return usageError("--%s: %w", map[string]string{"from": "since", "to": "until"}[name], err)
				}
				q.Set(name, at)
			}
			u, answer, err := decoded[api.Usage](ctx, s, request{method: http.MethodGet, path: "/usage", query: q})
			if err != nil {
				return err
			}
			return s.show(answer.body, func(w *page) { s.writeUsage(w, u, client != "") })
		},
	})
	f := c.Flags()
	f.StringVar(&client, "client", "", "only of this client, with its rules and endpoints")
	f.StringVar(&since, "since", "24h", "from then on: a time, or how long ago, such as 7d")
	f.StringVar(&until, "until", "", "up to then")
	f.BoolVar(&summary, "summary", false, "what all clients did together, and who and what did the most")
	f.StringVar(&workspace, "workspace", "", "sum up this workspace (default: all that you may read)")
	f.IntVar(&days, "days", 1, "sum up so many days: 1 is the last 24 hours, up to 7 are by the hour")
	return c
}

// tally is what a client did.
type tally struct {
	issued, introspected, allowed, denied int64
	used                                  api.Time
	from                                  string
}

func (s *session) writeUsage(w *page, u *api.Usage, one bool) {
	clients := map[string]*tally{}
	of := func(id string) *tally {
		if clients[id] == nil {
			clients[id] = &tally{}
		}
		return clients[id]
	}
	rules := map[[2]string]int64{}
	for _, c := range u.Counters {
		t := of(c.Client)
		switch store.Outcome(c.Outcome) {
		case store.OutcomeIssued:
			t.issued += c.Count
		case store.OutcomeIntrospected:
			t.introspected += c.Count
		case store.OutcomeAllowed:
			t.allowed += c.Count
		case store.OutcomeDenied:
			t.denied += c.Count
		}
		if c.Rule != "" {
			rules[[2]string{c.Rule, c.Outcome}] += c.Count
		}
	}
	for _, l := range u.LastUses {
		if t := of(l.Client); l.SuccessAt >= t.used {
			t.used, t.from = l.SuccessAt, l.SuccessAddress
		}
	}
	n := func(i int64) string { return strconv.FormatInt(i, 10) }
	t := &table{none: "Nothing was used.", columns: []column{
		{title: "CLIENT"}, {title: "TOKENS"}, {title: "INTROSP."}, {title: "ALLOWED"}, {title: "DENIED"}, {title: "LAST USED"}, {title: "FROM", spare: true},
	}}
	ids := slices.SortedFunc(maps.Keys(clients), func(x, y string) int {
		return cmp.Or(cmp.Compare(clients[y].used, clients[x].used), cmp.Compare(x, y))
	})
	for _, id := range ids {
		c := clients[id]
		used := s.ago(c.used)
		if used == "" {
			used = "not used"
		}
		t.add(id, n(c.issued), n(c.introspected), n(c.allowed), n(c.denied), used, c.from)
	}
	t.write(w)
	if !one {
		return
	}
	if len(rules) > 0 {
		w.println()
		byRule := &table{columns: []column{{title: "RULE", least: 24}, {title: "OUTCOME"}, {title: "CALLS"}}}
		keys := slices.SortedFunc(maps.Keys(rules), func(x, y [2]string) int { return cmp.Or(cmp.Compare(rules[y], rules[x]), slices.Compare(x[:], y[:])) })
		for _, k := range keys {
			byRule.add(k[0], k[1], n(rules[k]))
		}
		byRule.write(w)
	}
	for _, l := range u.LastUses {
		var f facts
		f.add("secret", l.Secret)
		f.more("last used", s.lastUse(l.SuccessAt, l.SuccessAddress, l.SuccessEndpoint))
		if l.RefusalAt != 0 {
			f.more("last refused", s.lastUse(l.RefusalAt, l.RefusalAddress, l.RefusalEndpoint))
		}
		w.println()
		f.write(w)
	}
}
