package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"postern/server/api"
)

func (a *remote) auditCommands() *cobra.Command {
	return group("audit", "Read the audit, and check that nobody changed it", a.auditListCommand(), a.auditVerifyCommand())
}

func (a *remote) auditListCommand() *cobra.Command {
	query := url.Values{}
	var limit int
	var since, until string
	c := a.command(command{
		use: "list", short: "List who changed what, newest first",
		example: `  postern audit list --operation client.revoke --since 7d -o json`,
		run: func(ctx context.Context, s *session, _ []string) error {
			for _, each := range []struct{ flag, name, text string }{{"since", "from", since}, {"until", "to", until}} {
				if each.text == "" {
					continue
				}
				at, err := moment(each.text, s.now, -1)
				if err != nil {
					return usageError("--%s: %w", each.flag, err)
				}
				query.Set(each.name, at)
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
				{title: "TARGET ID", spare: true},
			}}
			for _, e := range entries {
				result := "done"
				if e.Refused != "" {
					result = "refused"
					if e.Count > 1 {
						result += fmt.Sprintf(" x%d", e.Count)
					}
				}
				t.add(s.ago(e.At), e.Actor, e.Operation, e.TargetName, e.Workspace, result, e.Address, e.Target)
			}
			return s.show(body, func(w *page) { t.write(w) })
		},
	})
	filters(c, query, map[string]string{
		"workspace": "only of this workspace", "account": "only by this account, by id", "client": "only by this client", "target": "only about the thing with this id",
		"operation": "only this operation, such as client.revoke",
	})
	c.Flags().StringVar(&since, "since", "", "from then on: a time, or how long ago, such as 7d")
	c.Flags().StringVar(&until, "until", "", "up to then")
	limitFlag(c, &limit)
	return c
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
	c.Flags().StringVar(&workspace, "workspace", "default", "workspace whose audit to check")
	return c
}
