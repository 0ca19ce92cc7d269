package main

import (
	"context"
	"net/http"
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

// edited sends a patch for what it read at a path: of somebody else's change
// meanwhile the server tells.
func edited[T any](ctx context.Context, s *session, path string, p patch) (*T, *answer, error) {
	if err := p.check(s.cmd); err != nil {
		return nil, nil, err
	}
	before, err := s.call(ctx, request{method: http.MethodGet, path: path})
	if err != nil {
		return nil, nil, err
	}
	return decoded[T](ctx, s, request{method: http.MethodPatch, path: path, body: p, match: before.etag})
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
