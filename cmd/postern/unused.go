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

const unusedNote = `
A call counts for the one rule that decided it, so all calls of that time would
have been allowed without these rules, too. Only decisions that a gateway asks
for count: of an API that checks tokens by itself, all rules are listed.`

func (a *remote) clientUnusedCommand() *cobra.Command {
	var days int
	c := a.command(command{
		use: "unused CLIENT", short: "List the rules that a client may use and has not used", args: cobra.ExactArgs(1),
		long: `List the rules that the rights of a client reach now, and by which it was
allowed nothing in the last days.
` + unusedNote,
		example: `  postern client unused cli0123 --days 30`,
		run: func(ctx context.Context, s *session, args []string) error {
			return s.unused(ctx, clientPath(args[0])+"/unused", days)
		},
	})
	daysFlag(c, &days)
	return c
}

func (a *remote) roleUnusedCommand() *cobra.Command {
	ref := roleRef{}
	var days int
	c := a.command(command{
		use: "unused ROLE", short: "List the rules of a role that nobody has used", args: cobra.ExactArgs(1),
		long: `List the rules of a role itself, not of its parents, by which nobody was
allowed anything in the last days.
` + unusedNote,
		run: func(ctx context.Context, s *session, args []string) error {
			r, _, err := s.role(ctx, ref, args[0])
			if err != nil {
				return err
			}
			return s.unused(ctx, rolePath(r.ID)+"/unused", days)
		},
	})
	ref.flag(c)
	daysFlag(c, &days)
	return c
}

func daysFlag(c *cobra.Command, days *int) {
	c.Flags().IntVar(days, "days", 0, "so many days back, at most as usage is kept (default 90, or as it is kept)")
}

// unused shows the rules that were not used.
func (s *session) unused(ctx context.Context, path string, days int) error {
	query := url.Values{}
	if s.cmd.Flags().Changed("days") {
		query.Set("days", strconv.Itoa(days))
	}
	u, answer, err := decoded[api.Unused](ctx, s, request{method: http.MethodGet, path: path, query: query})
	if err != nil {
		return err
	}
	return s.show(answer.body, func(w *page) {
		since := fmt.Sprintf("%s (%s)", store.Time(u.Since).Time().Format(time.RFC3339), s.ago(u.Since))
		if len(u.Rules) == 0 {
			w.println("Every rule was used since " + since + ", or there is none.")
			return
		}
		w.println("Not used since " + since + ":")
		w.println()
		t := &table{columns: []column{
			{title: "RULE", least: 16}, {title: "API"}, {title: "METHODS", least: 7}, {title: "PATH", least: 20}, {title: "ONLY", least: 12}, {title: "LAST USED"}, {title: "SCOPE", spare: true},
		}}
		for _, r := range u.Rules {
			last := s.ago(r.LastUsedAt)
			if last == "" {
				last = "not used"
			}
			t.add(r.Rule, r.API, r.Methods, r.Path, r.Operation, last, r.Scope)
		}
		t.write(w)
	})
}
