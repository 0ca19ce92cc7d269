package main

import (
	"encoding/json"
	"runtime"

	"github.com/spf13/cobra"
)

func versionCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program",
		Args:  usageArgs(cobra.NoArgs),
	}
	var form output
	form.flag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		platform := runtime.GOOS + "/" + runtime.GOARCH
		text, err := json.Marshal(struct {
			Version  string `json:"version"`
			Go       string `json:"go"`
			Platform string `json:"platform"`
		}{version, runtime.Version(), platform})
		if err != nil {
			return err
		}
		return form.show(c.OutOrStdout(), text, func(w *page) {
			w.printf("postern %s (%s, %s)\n", version, runtime.Version(), platform)
		})
	}
	return c
}
