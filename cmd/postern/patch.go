package main

import (
	"strconv"

	"github.com/spf13/cobra"
)

// patch is a merge patch (RFC 7396) that is put together from the flags that were
// given: what is not named stays as it is.
type patch map[string]any

// check wants at least one change.
func (p patch) check(c *cobra.Command) error {
	if len(p) == 0 {
		return usageError("there is nothing to change; see %s --help", c.CommandPath())
	}
	return nil
}

func (p patch) text(c *cobra.Command, flag, name, usage string) {
	c.Flags().Func(flag, usage, func(value string) error { p[name] = value; return nil })
}

func (p patch) truth(c *cobra.Command, flag, name, usage string) {
	c.Flags().BoolFunc(flag, usage, func(value string) error {
		on, err := strconv.ParseBool(value)
		p[name] = on
		return err
	})
}

// list is a flag that may be repeated. An empty value makes the list empty.
func (p patch) list(c *cobra.Command, flag, name, usage string) {
	c.Flags().Func(flag, usage, func(value string) error {
		list, _ := p[name].([]string)
		if list == nil {
			list = []string{}
		}
		if value != "" {
			list = append(list, value)
		}
		p[name] = list
		return nil
	})
}

// seconds is a flag for a duration such as 15m or 90d, sent in seconds. 0 and
// empty take the default.
func (p patch) seconds(c *cobra.Command, flag, name, usage string) {
	c.Flags().Func(flag, usage, func(value string) error {
		d, err := lifetime(value)
		p[name] = int64(d.Seconds())
		return err
	})
}
