package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"postern/server/api"
)

func (a *remote) auditCommands() *cobra.Command {
	return group("audit", "Read the audit, follow it, and check that nobody changed it",
		a.auditListCommand(), a.auditShowCommand(), a.auditTailCommand(), a.auditExportCommand(), a.auditVerifyCommand())
}

// auditFilters are the flags that say which entries are asked for.
type auditFilters struct {
	query        url.Values
	since, until string
}

func (f *auditFilters) flags(c *cobra.Command) {
	f.query = url.Values{}
	filters(c, f.query, map[string]string{
		"workspace": "only of this workspace; * is what belongs to none", "account": "only by this account, by id", "client": "only by this client",
		"target": "only about the thing with this id", "operation": "only this operation, such as client.revoke",
	})
	c.Flags().BoolFunc("refused", "only what was refused", func(string) error { f.query.Set("refused", "true"); return nil })
	c.Flags().StringVar(&f.since, "since", "", "from then on: a time, or how long ago, such as 7d")
	c.Flags().StringVar(&f.until, "until", "", "up to then")
	// What REST calls them is understood too.
	c.Flags().SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		return pflag.NormalizedName(cmp.Or(map[string]string{"from": "since", "to": "until"}[name], name))
	})
}

// asked is the query that the flags make.
func (f *auditFilters) asked(now time.Time) (url.Values, error) {
	query := maps.Clone(f.query)
	for _, each := range []struct{ flag, name, text string }{{"since", "from", f.since}, {"until", "to", f.until}} {
		if each.text == "" {
			continue
		}
		at, err := moment(each.text, now, -1)
		if err != nil {
			return nil, usageError("--%s: %w", each.flag, err)
		}
		query.Set(each.name, at)
	}
	return query, nil
}

func (a *remote) auditListCommand() *cobra.Command {
	var wanted auditFilters
	var limit int
	c := a.command(command{
		use: "list", short: "List who changed what, newest first",
		example: `  postern audit list --operation client.revoke --since 7d -o json`,
		run: func(ctx context.Context, s *session, _ []string) error {
			query, err := wanted.asked(s.now)
			if err != nil {
				return err
			}
			entries, body, err := pages[api.AuditEntry](ctx, s, "/audit", query, limit)
			if err != nil {
				return err
			}
			t := &table{none: "There are no entries.", columns: []column{
				{title: "WHEN"},
				{title: "WHO", least: 8},
				{title: "OPERATION"},
				{title: "TARGET", least: 12},
				{title: "WORKSPACE", least: 7},
				{title: "RESULT", least: 7},
				{title: "FROM", spare: true},
				{title: "ID", spare: true},
			}}
			for i := range entries {
				e := &entries[i]
				t.add(s.ago(e.At), e.Actor, e.Operation, e.TargetName, e.Workspace, result(e), e.Address, e.ID)
			}
			return s.show(body, func(w *page) { t.write(w) })
		},
	})
	wanted.flags(c)
	limitFlag(c, &limit)
	return c
}

// result says in a word or two how an operation ended.
func result(e *api.AuditEntry) string {
	switch {
	case e.Refused == "":
		return "done"
	case e.Count > 1:
		return fmt.Sprintf("refused x%d", e.Count)
	default:
		return "refused"
	}
}

func (a *remote) auditShowCommand() *cobra.Command {
	return a.command(command{
		use: "show ID", short: "Show one entry, and what changed", args: cobra.ExactArgs(1),
		run: func(ctx context.Context, s *session, args []string) error {
			e, answer, err := decoded[api.AuditEntry](ctx, s, request{method: http.MethodGet, path: "/audit/" + escape(args[0])})
			if err != nil {
				return err
			}
			lines, err := difference(e.Before, e.After)
			if err != nil {
				return fmt.Errorf("entry %s: %w", e.ID, err)
			}
			return s.show(answer.body, func(w *page) {
				f := &facts{}
				f.add("when", s.at(e.At))
				f.add("who", strings.TrimSpace(e.Actor+" "+e.Account))
				f.add("by client", e.Client)
				f.add("from", e.Address)
				f.add("request", e.RequestID)
				f.add("operation", e.Operation)
				f.add("target", strings.TrimSpace(e.TargetName+" "+e.Target))
				f.add("workspace", e.Workspace)
				f.add("result", result(e))
				f.add("because", e.Refused)
				if e.Place > 0 {
					f.add("place", strconv.FormatInt(e.Place, 10))
				} else {
					f.add("place", "not sealed yet")
				}
				f.write(w)
				if len(lines) > 0 {
					w.println()
				}
				for _, line := range lines {
					w.println(printable(line))
				}
			})
		},
	})
}

func (a *remote) auditVerifyCommand() *cobra.Command {
	var workspace string
	c := a.command(command{
		use: "verify", short: "Check that nobody changed the audit of a workspace",
		long: `Check that nobody changed the audit of a workspace. It ends with 0 when the
chain is whole and with 5 when it is not.`,
		run: func(ctx context.Context, s *session, _ []string) error {
			r, answer, err := decoded[api.AuditReport](ctx, s, request{
				method: http.MethodGet, path: "/audit/verify", query: url.Values{"workspace": {workspace}},
			})
			if err != nil {
				return err
			}
			err = s.show(answer.body, func(w *page) {
				entries := plural(int(r.Entries), "entry", "entries")
				if r.Whole {
					w.printf("The audit of %s is whole: %s.\n", workspace, entries)
					return
				}
				w.printf("The audit of %s is not whole: %s, %s.\n\n", workspace, entries, plural(len(r.Problems), "problem", "problems"))
				for _, p := range r.Problems {
					w.printf("%s: %s\n", p.Fault, printable(p.Text))
				}
			})
			if err == nil && !r.Whole {
				err = &exitError{code: exitNo}
			}
			return err
		},
	})
	c.Flags().StringVar(&workspace, "workspace", "default", "workspace whose audit to check; * is what belongs to none")
	return c
}
