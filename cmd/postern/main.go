// Command postern is an OAuth2 client-credentials authorization server for
// machines, and the tool that administers a running one.
//
// A file of this package is a command. serve, init and restore open a store;
// everything else talks to a running server. Data goes to standard output, all
// else to standard error.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// version is set by the build.
var version = "dev"

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := rootCommand()
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	if e, ok := errors.AsType[*exitError](err); ok {
		if e.err != nil {
			fmt.Fprintln(os.Stderr, "postern: "+oneLine(e.err))
		}
		return e.code
	}
	fmt.Fprintln(os.Stderr, "postern: "+oneLine(err))
	return exitFailed
}

// The exit codes.
const (
	exitOK         = 0
	exitFailed     = 1
	exitUsage      = 2
	exitNotFound   = 3
	exitNotAllowed = 4
	exitNo         = 5 // the answer is no
)

// exitError ends the program with a code; a nil err says nothing more.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// usage is an error of how a command was called.
func usageError(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "postern",
		Short: "An OAuth2 authorization server for machines, and its command line",
		Long: `Postern issues access tokens to machines (OAuth2 client credentials), decides
for API gateways which calls they may make, and shows who used what.

  postern serve          start a server on an embedded store
  postern login          tell this command line where the server is
  postern client list    see what it knows`,
		Args:          cobra.ArbitraryArgs,
		RunE:          noCommand,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageError("%w; see %s --help", err, c.CommandPath())
	})
	root.SetUsageTemplate(usageTemplate(root.UsageTemplate()))
	root.AddCommand(serveCommand(), initCommand(), configCommand(), versionCommand(), gatewayCommands())
	root.AddCommand(adminCommands()...)
	root.AddCommand((&remote{}).scanCommand())
	return root
}
