package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"postern/server/api"
)

func (a *remote) workspaceCommands() *cobra.Command {
	return group("workspace", "Manage workspaces: the units of isolation",
		a.workspaceListCommand(), a.workspaceGetCommand(), a.workspaceCreateCommand(), a.workspaceEditCommand(),
		a.workspaceTransferCommand(), a.workspaceDeleteCommand())
}

func (a *remote) workspaceListCommand() *cobra.Command {
	var limit int
	c := a.command(command{
		use: "list", short: "List workspaces",
		run: func(ctx context.Context, s *session, _ []string) error {
			all, body, err := pages[api.Workspace](ctx, s, "/workspaces", url.Values{}, limit)
			if err != nil {
				return err
			}
			t := &table{none: "There are no workspaces that you may see.", columns: []column{
				{title: "NAME"}, {title: "DESCRIPTION", least: 16}, {title: "CREATED"}, {title: "ID", spare: true},
			}}
			for _, w := range all {
				t.add(w.Name, w.Description, s.ago(w.CreatedAt), w.ID)
			}
			return s.show(body, func(w *page) { t.write(w) })
		},
	})
	limitFlag(c, &limit)
	return c
}

func workspacePath(name string) string { return "/workspaces/" + escape(name) }

func (a *remote) workspaceGetCommand() *cobra.Command {
	return a.command(command{
		use: "get WORKSPACE", short: "Show a workspace and its settings", args: cobra.ExactArgs(1),
		run: func(ctx context.Context, s *session, args []string) error {
			ws, answer, err := decoded[api.Workspace](ctx, s, request{method: http.MethodGet, path: workspacePath(args[0])})
			if err != nil {
				return err
			}
			return s.show(answer.body, func(w *page) { s.writeWorkspace(w, ws) })
		},
	})
}

func (s *session) writeWorkspace(w *page, ws *api.Workspace) {
	var f facts
	f.add("name", ws.Name)
	f.add("id", ws.ID)
	f.add("description", ws.Description)
	access := "on"
	if !ws.APIAccess {
		access = "off: no token is issued for it, and none is good in it"
	}
	f.add("api access", access)
	f.add("personal tokens", "made by "+ws.WhoMayCreate)
	longest := "any"
	if ws.MaxLifetime > 0 {
		longest = days(ws.MaxLifetime)
	}
	if ws.NeverForbidden {
		longest += ", but not never"
	}
	f.add("client lifetime", longest)
	f.more("lifetimes", ws.Lifetimes)
	if ws.PersonalAuto {
		f.add("new people", "get a personal token, which waits for its owner")
	}
	f.add("a leak costs", map[string]string{"client": "the whole client", "alert": "nothing; people are told"}[ws.LeakPolicy])
	f.add("created", s.at(ws.CreatedAt))
	f.write(w)
	for _, text := range ws.Warnings {
		w.println("\nwarning: " + printable(text))
	}
}

// days says a number of seconds in the largest unit that holds it whole.
func days(seconds int64) string {
	for _, unit := range []struct {
		name string
		is   int64
	}{{"d", 86400}, {"h", 3600}, {"m", 60}} {
		if seconds%unit.is == 0 {
			return fmt.Sprintf("%d%s", seconds/unit.is, unit.name)
		}
	}
	return fmt.Sprintf("%ds", seconds)
}

func workspaceFlags(c *cobra.Command, p patch) {
	p.text(c, "description", "description", "what it is for")
	p.truth(c, "api-access", "api_access", "whether tokens are issued for it and good in it")
	p.text(c, "personal", "who_may_create", "who makes personal tokens: administrators, everyone or named")
	p.seconds(c, "max-lifetime", "max_lifetime", "the longest life of a client, such as 90d; 0 is any")
	p.truth(c, "never-forbidden", "never_forbidden", "clients must expire")
	p.list(c, "person", "personal_people", "who may have personal tokens, with --personal named; may be repeated, \"\" is nobody")
	p.list(c, "lifetime", "lifetimes", "the only lifetimes a client may have, such as 90d or never; may be repeated, \"\" is any")
	p.truth(c, "personal-auto", "personal_auto", "make a personal token for each new person, to wait for its owner")
	p.text(c, "leak-policy", "leak_policy", "what a leaked secret costs: revoke (it), client, or alert")
}

func (a *remote) workspaceCreateCommand() *cobra.Command {
	p := patch{}
	c := a.command(command{
		use: "create NAME", short: "Create a workspace; you become its owner", args: cobra.ExactArgs(1),
		run: func(ctx context.Context, s *session, args []string) error {
			p["name"] = args[0]
			ws, answer, err := decoded[api.Workspace](ctx, s, request{method: http.MethodPost, path: "/workspaces", body: p})
			if err != nil {
				return err
			}
			return s.show(answer.body, func(w *page) {
				w.printf("The workspace is created.\n\n")
				s.writeWorkspace(w, ws)
			})
		},
	})
	workspaceFlags(c, p)
	return c
}

func (a *remote) workspaceEditCommand() *cobra.Command {
	p := patch{}
	c := a.command(command{
		use: "edit WORKSPACE", short: "Edit a workspace's description and settings", args: cobra.ExactArgs(1),
		run: func(ctx context.Context, s *session, args []string) error {
			ws, answer, err := edited[api.Workspace](ctx, s, workspacePath(args[0]), p)
			if err != nil {
				return err
			}
			return s.show(answer.body, func(w *page) { s.writeWorkspace(w, ws) })
		},
	})
	workspaceFlags(c, p)
	return c
}

func (a *remote) workspaceTransferCommand() *cobra.Command {
	return a.command(command{
		use: "transfer WORKSPACE ACCOUNT", short: "Give the ownership of a workspace to somebody else", args: cobra.ExactArgs(2),
		run: func(ctx context.Context, s *session, args []string) error {
			return s.done(ctx, request{method: http.MethodPost, path: workspacePath(args[0]) + "/transfer", body: api.Transfer{To: args[1]}})
		},
	})
}

func (a *remote) workspaceDeleteCommand() *cobra.Command {
	return a.command(command{
		use: "delete WORKSPACE", short: "Delete a workspace that has no clients and no APIs", args: cobra.ExactArgs(1),
		run: func(ctx context.Context, s *session, args []string) error {
			before, err := s.call(ctx, request{method: http.MethodGet, path: workspacePath(args[0])})
			if err != nil {
				return err
			}
			return s.done(ctx, request{method: http.MethodDelete, path: workspacePath(args[0]), match: before.etag})
		},
	})
}
