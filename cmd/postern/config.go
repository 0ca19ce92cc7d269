package main

import (
	"encoding/json"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"postern/config"
)

func configCommand() *cobra.Command {
	return group("config", "Show the configuration of a server", configPrintCommand(), configKeysCommand())
}

func configPrintCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "print",
		Short: "Print the configuration that serve would start with, as YAML",
		Long: `Print the configuration that serve would start with, as YAML that it reads back:
from flags, the environment, the file and the defaults.`,
		Args: usageArgs(cobra.NoArgs),
	}
	redact := c.Flags().Bool("redact", true, "write [secret] in place of secrets; --redact=false shows them")
	config.Flags(c.Flags())
	c.RunE = func(c *cobra.Command, _ []string) error {
		file, _ := c.Flags().GetString("config")
		cfg, warnings, err := config.Load(config.Options{Flags: c.Flags(), File: file, Environ: os.Environ()})
		if err != nil {
			return &exitError{exitUsage, err}
		}
		for _, w := range warnings {
			warn(c, w)
		}
		if err := cfg.Print(c.OutOrStdout(), *redact); err != nil {
			return err
		}
		if err := cfg.Validate(); err != nil {
			return &exitError{exitUsage, err}
		}
		return nil
	}
	return c
}

func configKeysCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "keys",
		Short: "List every key of the configuration, with its variable and default",
		Args:  usageArgs(cobra.NoArgs),
	}
	var form output
	form.flag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		return form.show(c.OutOrStdout(), keysAsJSON(), func(w *page) { writeKeys(w, config.Keys()) })
	}
	return c
}

// wireKey is a key as it is shown to a program.
type wireKey struct {
	Key          string `json:"key"`
	Variable     string `json:"variable"`
	FileVariable string `json:"file_variable,omitempty"`
	Flag         string `json:"flag,omitempty"`
	Type         string `json:"type"`
	Default      string `json:"default"`
	Doc          string `json:"doc"`
}

func keysAsJSON() []byte {
	var out []wireKey
	for _, k := range config.Keys() {
		out = append(out, wireKey{k.Name, k.Env, k.FileEnv, k.Flag, k.Type, k.Default, k.Doc})
	}
	text, _ := json.Marshal(out) // texts only
	return text
}

// writeKeys writes a block for each key: four columns of these widths would not
// fit on a terminal.
func writeKeys(w *page, keys []config.Key) {
	for i, k := range keys {
		if i > 0 {
			w.println()
		}
		standard := k.Default
		if standard == "" {
			standard = `""`
		}
		w.printf("%s: %s\n", k.Name, standard)
		for _, line := range wrap(k.Doc, 76) {
			w.println("    " + line)
		}
		names := []string{k.Env}
		if k.FileEnv != "" {
			names = append(names, k.FileEnv)
		}
		if k.Flag != "" {
			names = append(names, k.Flag)
		}
		w.printf("    %s\n", strings.Join(names, "  "))
	}
}

// wrap breaks a text at blanks into lines of at most width characters, where
// words allow.
func wrap(text string, width int) []string {
	var lines []string
	var line string
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
