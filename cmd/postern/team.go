package main

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"postern/server/api"
)

func (a *remote) teamCommands() *cobra.Command {
	return group("team", "Manage teams: sets of people and technical users",
		a.teamListCommand(), a.teamGetCommand(), a.teamCreateCommand(), a.teamEditCommand(), a.teamDeleteCommand(), a.teamAdoptCommand(),
		a.teamMemberCommand("add", "Make accounts members of a team", http.MethodPut),
		a.teamMemberCommand("remove", "Take accounts out of a team", http.MethodDelete))
}

func teamPath(name string, more ...string) string {
	return "/teams/" + strings.Join(append([]string{escape(name)}, more...), "/")
}

func (a *remote) teamListCommand() *cobra.Command {
	var limit int
	c := a.command(command{
		use: "list", short: "List teams",
		run: func(ctx context.Context, s *session, _ []string) error {
			teams, body, err := pages[api.Team](ctx, s, "/teams", url.Values{}, limit)
			if err != nil {
				return err
			}
			t := &table{none: "There are no teams.", columns: []column{
				{title: "NAME", least: 12}, {title: "DESCRIPTION", least: 16}, {title: "CREATED"}, {title: "ID", spare: true},
			}}
			for _, each := range teams {
				t.add(each.Name, each.Description, s.ago(each.CreatedAt), each.ID)
			}
			return s.show(body, func(w *page) { t.write(w) })
		},
	})
	limitFlag(c, &limit)
	return c
}

func (a *remote) teamGetCommand() *cobra.Command {
	return a.command(command{
		use: "get TEAM", short: "Show a team, its members and what it holds", args: cobra.ExactArgs(1),
		run: func(ctx context.Context, s *session, args []string) error {
			team, answer, err := decoded[api.Team](ctx, s, request{method: http.MethodGet, path: teamPath(args[0])})
			if err != nil {
				return err
			}
			members, _, err := pages[api.Account](ctx, s, teamPath(args[0], "members"), url.Values{}, 200)
			if err != nil {
				return err
			}
			grants, _, err := pages[api.Grant](ctx, s, "/grants", url.Values{"holder": {team.ID}}, 200)
			if err != nil {
				return err
			}
			return s.show(answer.body, func(w *page) { s.writeTeam(w, team, members, grants) })
		},
	})
}

func (s *session) writeTeam(w *page, team *api.Team, members []api.Account, grants []api.Grant) {
	var f facts
	f.add("name", team.Name)
	f.add("id", team.ID)
	f.add("display name", team.DisplayName)
	f.add("description", team.Description)
	if team.Provisioned {
		f.add("provisioned", "by SCIM")
	}
	if team.SCIMMayGrant {
		f.add("scim may grant", "its members change by SCIM though it holds roles on Postern's own API")
	}
	f.add("created", s.at(team.CreatedAt))
	var held []string
	for _, g := range grants {
		for _, r := range g.Roles {
			held = append(held, r.Role)
		}
	}
	f.more("holds", held)
	f.write(w)
	w.println()
	t := &table{none: "It has no members.", columns: []column{{title: "MEMBER", least: 16}, {title: "KIND"}, {title: "STATUS"}, {title: "ID", spare: true}}}
	for _, m := range members {
		t.add(m.Name, m.Kind, m.Status, m.ID)
	}
	t.write(w)
}

func teamFlags(c *cobra.Command, p patch) {
	p.text(c, "display-name", "display_name", "how people call it")
	p.text(c, "description", "description", "what it is for")
	p.truth(c, "scim-may-grant", "scim_may_grant", "SCIM may change its members though it holds roles on Postern's own API")
}

func (a *remote) teamCreateCommand() *cobra.Command {
	p := patch{}
	c := a.command(command{
		use: "create NAME", short: "Create a team without members", args: cobra.ExactArgs(1),
		run: func(ctx context.Context, s *session, args []string) error {
			p["name"] = args[0]
			team, answer, err := decoded[api.Team](ctx, s, request{method: http.MethodPost, path: "/teams", body: p})
			if err != nil {
				return err
			}
			return s.show(answer.body, func(w *page) { w.printf("The team %s is created.\n", printable(team.Name)) })
		},
	})
	teamFlags(c, p)
	return c
}

func (a *remote) teamEditCommand() *cobra.Command {
	p := patch{}
	c := a.command(command{
		use: "edit TEAM", short: "Edit a team", args: cobra.ExactArgs(1),
		run: func(ctx context.Context, s *session, args []string) error {
			if err := p.check(s.cmd); err != nil {
				return err
			}
			_, answer, err := decoded[api.Team](ctx, s, request{method: http.MethodPatch, path: teamPath(args[0]), body: p})
			if err != nil {
				return err
			}
			return s.show(answer.body, func(w *page) { w.println("The team is changed.") })
		},
	})
	teamFlags(c, p)
	return c
}

func (a *remote) teamDeleteCommand() *cobra.Command {
	var cascade bool
	c := a.command(command{
		use: "delete TEAM", short: "Delete a team that has no members and holds nothing", args: cobra.ExactArgs(1),
		run: func(ctx context.Context, s *session, args []string) error {
			query := url.Values{}
			if cascade {
				query.Set("cascade", "true")
			}
			return s.done(ctx, request{method: http.MethodDelete, path: teamPath(args[0]), query: query})
		},
	})
	c.Flags().BoolVar(&cascade, "cascade", false, "take its memberships and roles along")
	return c
}

func (a *remote) teamMemberCommand(verb, short, method string) *cobra.Command {
	return a.command(command{
		use: verb + " TEAM ACCOUNT...", short: short, args: cobra.MinimumNArgs(2),
		run: func(ctx context.Context, s *session, args []string) error {
			for _, account := range args[1:] {
				if err := s.done(ctx, request{method: method, path: teamPath(args[0], "members", escape(account))}); err != nil {
					return err
				}
			}
			return nil
		},
	})
}
