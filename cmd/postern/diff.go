package main

import (
	"context"

	"github.com/spf13/cobra"

	"postern/cmd/postern/declare"
)

func (a *remote) diffCommand() *cobra.Command {
	var files []string
	var o declare.Options
	c := a.command(command{
		use: "diff -f FILE", short: "Say what apply would change",
		long: `Say what postern apply would change. It exits with 0 when that is nothing, and
with 5 otherwise.`,
		example: `  postern diff -f acme/ --prune`,
		run: func(ctx context.Context, s *session, _ []string) error {
			plan, _, err := s.plan(ctx, files, o)
			if err != nil {
				return err
			}
			if err := s.showPlan(plan); err != nil {
				return err
			}
			if len(plan.Changes) > 0 {
				return &exitError{code: exitNo}
			}
			return nil
		},
	})
	filesFlag(c, &files)
	c.Flags().BoolVar(&o.Prune, "prune", false, "count what apply --prune would delete")
	return c
}
