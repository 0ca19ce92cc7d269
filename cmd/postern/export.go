package main

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"postern/cmd/postern/declare"
)

func (a *remote) exportCommand() *cobra.Command {
	var o declare.ExportOptions
	c := a.command(command{
		use: "export", short: "Write what the server has as files for apply",
		long: `Write what the server has as YAML documents for postern apply, on standard
output. Applying them to this server changes nothing; applying them to an empty
one makes the same again, with new secrets: these are never written.`,
		example: `  postern export > postern.yaml
  postern export --workspace acme --kind role --kind api`,
		run: func(ctx context.Context, s *session, _ []string) error {
			for _, k := range o.Kinds {
				if !slices.Contains(declare.KindNames(), k) {
					return usageError("--kind: must be one of %s", strings.Join(declare.KindNames(), ", "))
				}
			}
			if err := s.authenticate(ctx); err != nil {
				return err
			}
			notes, err := declare.Export(ctx, s.declared(), s.out, o)
			for _, n := range notes {
				s.cmd.PrintErrln("note: " + printable(n))
			}
			return err
		},
	})
	c.Flags().StringArrayVar(&o.Workspaces, "workspace", nil, "only what belongs to this `workspace`; may be repeated")
	c.Flags().StringArrayVar(&o.Kinds, "kind", nil, "only documents of this `kind`; may be repeated")
	return c
}
