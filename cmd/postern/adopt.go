package main

import (
	"context"
	"net/http"

	"github.com/spf13/cobra"

	"postern/server/api"
)

func (a *remote) accountAdoptCommand() *cobra.Command {
	in := api.AccountAdopt{}
	c := a.command(command{
		use: "adopt ACCOUNT", short: "Let SCIM see and change a person who was made by hand", args: cobra.ExactArgs(1),
		run: func(ctx context.Context, s *session, args []string) error {
			changed, answer, err := decoded[api.ChangedAccount](ctx, s, request{method: http.MethodPost, path: "/accounts/" + escape(args[0]) + "/adopt", body: in})
			if err != nil {
				return err
			}
			return s.show(answer.body, func(w *page) { w.println(printable(changed.Message)) })
		},
	})
	c.Flags().StringVar(&in.UserName, "user-name", "", "what the provisioning system calls the person (default the mail address, else the name)")
	return c
}

func (a *remote) teamAdoptCommand() *cobra.Command {
	return a.command(command{
		use: "adopt TEAM", short: "Let SCIM see and change a team that was made by hand", args: cobra.ExactArgs(1),
		run: func(ctx context.Context, s *session, args []string) error {
			team, answer, err := decoded[api.Team](ctx, s, request{method: http.MethodPost, path: "/teams/" + escape(args[0]) + "/adopt"})
			if err != nil {
				return err
			}
			return s.show(answer.body, func(w *page) {
				w.println("SCIM sees and changes the team " + printable(team.Name) + " and its provisioned members now.")
			})
		},
	})
}
