package main

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"postern/server/api"
)

func (a *remote) grantCommands() *cobra.Command {
	return group("grant", "Manage grants: the roles of accounts and teams in a workspace",
		a.grantListCommand(), a.grantSetCommand(), a.grantDeleteCommand())
}

func (a *remote) grantListCommand() *cobra.Command {
	var workspace, role, holder string
	var limit int
	c := a.command(command{
		use: "list", short: "List the grants of a workspace, or of an account or team",
		run: func(ctx context.Context, s *session, _ []string) error {
			q := url.Values{}
			if set(q, "holder", holder); holder == "" {
				q.Set("workspace", workspace)
				set(q, "role", role)
			} else if role != "" {
				return usageError("--role is about a workspace; leave --holder out")
			}
			grants, body, err := pages[api.Grant](ctx, s, "/grants", q, limit)
			if err != nil {
				return err
			}
			t := &table{none: "There are no grants.", columns: []column{
				{title: "HOLDER", least: 16}, {title: "WORKSPACE"}, {title: "ROLE", least: 16}, {title: "ONLY", least: 10}, {title: "HOLDER ID", spare: true}, {title: "CREATED", spare: true},
			}}
			for _, g := range grants {
				name := g.Holder.Name
				if g.Team {
					name += " (team)"
				}
				for _, r := range g.Roles {
					t.add(name, g.Workspace, strings.TrimPrefix(r.Role, g.Workspace+"/"), limits(r.Resources), g.Holder.ID, s.ago(g.CreatedAt))
				}
			}
			return s.show(body, func(w *page) { t.write(w) })
		},
	})
	c.Flags().StringVar(&workspace, "workspace", "default", "workspace whose grants to list")
	c.Flags().StringVar(&role, "role", "", "only those that name this role")
	c.Flags().StringVar(&holder, "holder", "", "account or team whose grants to list, in all workspaces")
	limitFlag(c, &limit)
	return c
}

// limits says what a role is limited to: "device=d1,d2".
func limits(resources map[string][]string) string {
	var out []string
	for _, param := range slices.Sorted(maps.Keys(resources)) {
		out = append(out, param+"="+strings.Join(resources[param], ","))
	}
	return strings.Join(out, " ")
}

func (a *remote) grantSetCommand() *cobra.Command {
	var workspace string
	var roles, only []string
	c := a.command(command{
		use: "set HOLDER", short: "Set the roles of an account or team in a workspace", args: cobra.ExactArgs(1),
		long: `Set the roles of an account or team in a workspace: those that are named, and no
others.`,
		example: `  postern grant set ci-runner --role example-reader
  postern grant set ci-runner --role operator --only operator:device=d1,d2`,
		run: func(ctx context.Context, s *session, args []string) error {
			if len(roles) == 0 {
				return usageError("--role is missing; postern grant delete takes all roles away")
			}
			given, err := grantedRoles(roles, only)
			if err != nil {
				return err
			}
			path := "/grants/" + escape(workspace) + "/" + escape(args[0])
			body := map[string]any{"roles": given}
			g, answer, err := decoded[api.ChangedGrant](ctx, s, request{method: http.MethodPut, path: path, body: body})
			if err != nil {
				return err
			}
			err = s.show(answer.body, func(w *page) {
				var f facts
				f.add("holder", g.Holder.Name)
				f.add("workspace", g.Workspace)
				var held []string
				for _, r := range g.Roles {
					held = append(held, strings.TrimSpace(r.Role+" "+limits(r.Resources)))
				}
				f.more("roles", held)
				f.write(w)
			})
			s.warnings(g.Warnings)
			return err
		},
	})
	c.Flags().StringVar(&workspace, "workspace", "default", "workspace they hold in")
	c.Flags().StringArrayVar(&roles, "role", nil, "`role` by name; may be repeated")
	c.Flags().StringArrayVar(&only, "only", nil, "`limit` of a role, such as operator:device=d1,d2; may be repeated")
	return c
}

// grantedRoles joins roles with their limits, each "ROLE:PARAM=VALUE,VALUE".
func grantedRoles(roles, only []string) ([]api.GrantedRole, error) {
	given := make([]api.GrantedRole, len(roles))
	for i, name := range roles {
		given[i].Role = name
	}
	for _, text := range only {
		role, limit, ok := strings.Cut(text, ":")
		param, values, isLimit := strings.Cut(limit, "=")
		at := slices.Index(roles, role)
		if !ok || !isLimit || param == "" {
			return nil, usageError("--only %q: must be ROLE:PARAMETER=VALUE,VALUE", text)
		}
		if at < 0 {
			return nil, usageError("--only %q: %s is not given by --role", text, role)
		}
		if given[at].Resources == nil {
			given[at].Resources = map[string][]string{}
		}
		if _, twice := given[at].Resources[param]; twice {
			return nil, usageError("--only %q: %s has a limit for %s already", text, role, param)
		}
		given[at].Resources[param] = []string{} // an empty list allows nothing
		if values != "" {
			given[at].Resources[param] = strings.Split(values, ",")
		}
	}
	return given, nil
}

func (a *remote) grantDeleteCommand() *cobra.Command {
	var workspace string
	c := a.command(command{
		use: "delete HOLDER", short: "Take all roles in a workspace from an account or team", args: cobra.ExactArgs(1),
		run: func(ctx context.Context, s *session, args []string) error {
			return s.done(ctx, request{method: http.MethodDelete, path: "/grants/" + escape(workspace) + "/" + escape(args[0])})
		},
	})
	c.Flags().StringVar(&workspace, "workspace", "default", "workspace they hold in")
	return c
}
