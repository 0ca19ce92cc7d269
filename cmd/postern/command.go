package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"
)

// adminCommands are those that talk to a running server, and those that bring a
// store into another place.
func adminCommands() []*cobra.Command {
	a := &remote{}
	talking := []*cobra.Command{
		a.webhookCommands(), a.importCommands(),
		a.clientCommands(), a.trustCommands(), a.roleCommands(), a.grantCommands(), a.apiCommands(), a.workspaceCommands(), a.accountCommands(), a.teamCommands(), a.meCommands(),
		a.tokenCommands(), a.checkCommand(), a.endpointsCommand(), a.keyCommands(), a.systemCommand(), a.overviewCommand(), a.usageCommand(), a.auditCommands(), a.doctorCommand(),
		a.applyCommand(), a.diffCommand(),
	}
	for _, c := range talking {
		a.flags(c)
	}
	export := a.exportCommand()
	a.target(export)
	return append(talking, export, loginCommand(), a.backupCommand(), restoreCommand())
}

// group is a command that only holds others.
func group(name, short string, commands ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{
		Use:   name,
		Short: short,
		RunE:  noCommand,
	}
	g.AddCommand(commands...)
	return g
}

// usageTemplate makes cobra's own fit a terminal, and leaves away the line that a
// group can be run, which only shows its help.
func usageTemplate(standard string) string {
	return strings.NewReplacer(
		".FlagUsages", ".FlagUsagesWrapped 80",
		`for more information about a command.`, "for more about one.",
		"{{if .Runnable}}", "{{if and .Runnable (not .HasAvailableSubCommands)}}",
	).Replace(standard)
}

// noCommand is run when none of a group's commands is named.
func noCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return c.Help()
	}
	c.SuggestionsMinimumDistance = 2
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		return usageError("there is no command %q; did you mean %s %s?", args[0], c.CommandPath(), near[0])
	}
	return usageError("there is no command %q; see %s --help", args[0], c.CommandPath())
}

// usageArgs makes what is wrong with the arguments an error of usage.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil {
			return usageError("%w; see %s --help", err, c.CommandPath())
		}
		return nil
	}
}

// command describes one that talks to a server.
type command struct {
	use, short, long, example string
	args                      cobra.PositionalArgs // nil is none
	run                       func(ctx context.Context, s *session, args []string) error
}

// command makes one that talks to a server.
func (a *remote) command(d command) *cobra.Command {
	if d.args == nil {
		d.args = cobra.NoArgs
	}
	return &cobra.Command{
		Use: d.use, Short: d.short, Long: d.long, Example: d.example, Args: usageArgs(d.args),
		RunE: func(c *cobra.Command, args []string) error {
			s, err := a.session(c)
			if err == nil {
				err = d.run(c.Context(), s, args)
			}
			return told(c, err)
		},
	}
}

// told says what a server refused, a line for each thing, and what that exits
// with. Other errors it leaves as they are.
func told(c *cobra.Command, err error) error {
	r, ok := errors.AsType[*refusal](err)
	if !ok {
		return err
	}
	c.PrintErrln("postern: " + printable(r.Error()))
	for _, f := range r.Errors {
		c.PrintErrln("  " + printable(line(f)))
	}
	return &exitError{code: r.exit()}
}

func warn(c *cobra.Command, text string) { c.PrintErrln("warning: " + printable(text)) }
