package main

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// each calls test with every command.
func each(t *testing.T, test func(t *testing.T, c *cobra.Command)) {
	t.Helper()
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		t.Run(strings.ReplaceAll(c.CommandPath(), " ", "_"), func(t *testing.T) { test(t, c) })
		for _, inner := range c.Commands() {
			walk(inner)
		}
	}
	walk(rootCommand())
}

func TestHelpFitsATerminal(t *testing.T) {
	each(t, func(t *testing.T, c *cobra.Command) {
		var out bytes.Buffer
		c.SetOut(&out)
		if err := c.Help(); err != nil {
			t.Fatal(err)
		}
		for line := range strings.SplitSeq(out.String(), "\n") {
			if n := utf8.RuneCountInString(line); n > 80 {
				t.Errorf("%d columns: %s", n, line)
			}
		}
	})
}

// A plain error of cobra's would end with 1, as if the command had been tried.
func TestWrongArgumentsAreErrorsOfUsage(t *testing.T) {
	each(t, func(t *testing.T, c *cobra.Command) {
		if !c.HasParent() || c.HasSubCommands() {
			return // those say it themselves
		}
		wrong := []string{"1", "2", "3", "4"}
		if strings.HasSuffix(c.Use, "...]") {
			return // takes any number
		} else if strings.HasSuffix(c.Use, "...") {
			wrong = nil // takes any number but none
		}
		err := c.ValidateArgs(wrong)
		if e, ok := err.(*exitError); !ok || e.code != exitUsage { //nolint:errorlint // as run() sees it
			t.Errorf("%d arguments: got %v, want an error of usage", len(wrong), err)
		}
	})
}

func TestNoCommandTakesASecretAsFlag(t *testing.T) {
	each(t, func(t *testing.T, c *cobra.Command) {
		for _, name := range []string{"secret", "client-secret", "token", "password"} {
			if c.Flags().Lookup(name) != nil {
				t.Errorf("--%s would show it to every user of the machine", name)
			}
		}
	})
}
