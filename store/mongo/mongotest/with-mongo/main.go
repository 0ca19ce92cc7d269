// Command with-mongo runs a command beside a MongoDB replica set of three nodes:
//
//	with-mongo go test ./...
//
// The command finds the set in $POSTERN_TEST_MONGODB_URI; when that is set
// already, with-mongo starts nothing. It has with-mongo's stdin, stdout and
// stderr, gets the SIGINT and SIGTERM sent to it, and gives it its exit code. At
// its end the nodes are killed and their data is removed.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"postern/store/mongo/mongotest"
)

func main() {
	code, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "with-mongo:", err)
	}
	os.Exit(code)
}

// run returns the command's exit code, or 1 and why there is none.
func run(args []string) (int, error) {
	if len(args) == 0 {
		return 2, errors.New("usage: with-mongo COMMAND [ARGUMENT...]")
	}
	ctx := context.Background()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)

	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if os.Getenv(mongotest.EnvURI) == "" {
		starting, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
		set, err := mongotest.Start(starting, mongotest.Options{Nodes: 3})
		stop()
		if err != nil {
			return 1, err
		}
		defer set.Stop()
		cmd.Env = append(os.Environ(), mongotest.EnvURI+"="+set.URI)
	}

	if err := cmd.Start(); err != nil {
		return 1, err
	}
	go func() {
		for s := range signals {
			_ = cmd.Process.Signal(s) // the only error is that it has ended
		}
	}()
	err := cmd.Wait()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal()), nil // as a shell says it
	}
	if _, ok := errors.AsType[*exec.ExitError](err); ok {
		err = nil
	}
	return cmd.ProcessState.ExitCode(), err
}
