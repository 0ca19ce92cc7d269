package main

import (
	"context"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"postern/server/api"
)

func (a *remote) endpointsCommand() *cobra.Command {
	query := url.Values{}
	var limit int
	c := a.command(command{
		use: "endpoints", short: "List the endpoints that a token may call",
		long: `List the endpoints that the presented token may call: an access token those of
the APIs it is for, a secret those of all. Any good token may ask, and needs no
role on Postern's own API.`,
		example: `  postern token get --client-id cli0123 >token
  postern endpoints --server https://postern.example.com --token-file token`,
		run: func(ctx context.Context, s *session, _ []string) error {
			found, body, err := pages[api.OpenEndpoint](ctx, s, "/endpoints", query, limit)
			if err != nil {
				return err
			}
			t := openTable("There are no endpoints that this token may call.", found)
			return s.show(body, func(w *page) { t.write(w) })
		},
	})
	filters(c, query, map[string]string{"api": "only those of this API, by its short name"})
	limitFlag(c, &limit)
	return c
}

// onlyOf says what an endpoint is bound to.
func onlyOf(e *api.OpenEndpoint) string {
	if len(e.Operations) > 0 {
		return strings.Join(e.Operations, ", ")
	}
	var ways []string
	for _, values := range e.Resources {
		var bound []string
		for _, param := range slices.Sorted(maps.Keys(values)) {
			bound = append(bound, param+"="+strings.Join(values[param], ","))
		}
		ways = append(ways, strings.Join(bound, " "))
	}
	return strings.Join(ways, " or ")
}

// openTable is a table of endpoints that can be called.
func openTable(none string, found []api.OpenEndpoint) *table {
	t := &table{none: none, columns: []column{
		{title: "API"},
		{title: "METHODS", least: 7},
		{title: "PATH", least: 20},
		{title: "ONLY", least: 12},
		{title: "SUMMARY", least: 12, spare: true},
		{title: "WORKSPACE", spare: true},
		{title: "SCOPES", spare: true},
	}}
	for i := range found {
		e := &found[i]
		t.add(e.API, e.Methods, e.Path, onlyOf(e), e.Summary, e.Workspace, strings.Join(e.Scopes, " "))
	}
	return t
}

func (a *remote) roleEndpointsCommand() *cobra.Command {
	ref := roleRef{}
	var limit int
	c := a.command(command{
		use: "endpoints ROLE", short: "List the endpoints that a role opens by itself", args: cobra.ExactArgs(1),
		run: func(ctx context.Context, s *session, args []string) error {
			r, _, err := s.role(ctx, ref, args[0])
			if err != nil {
				return err
			}
			found, body, err := pages[api.OpenEndpoint](ctx, s, rolePath(r.ID)+"/endpoints", url.Values{}, limit)
			if err != nil {
				return err
			}
			t := openTable("It opens no endpoint of a catalogue.", found)
			return s.show(body, func(w *page) { t.write(w) })
		},
	})
	ref.flag(c)
	limitFlag(c, &limit)
	return c
}
