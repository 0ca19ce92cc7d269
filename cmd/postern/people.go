package main

import (
	"context"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"postern/server/api"
)

func accountPath(name string, more ...string) string {
	return "/accounts/" + strings.Join(append([]string{escape(name)}, more...), "/")
}

func (a *remote) accountInviteCommand() *cobra.Command {
	var in api.AccountInvite
	var roles []string
	c := a.command(command{
		use: "invite NAME", short: "Invite a person, by a one-time token that sets a password", args: cobra.ExactArgs(1),
		example: `  postern account invite ann --email ann@example.com \
    --workspace default --role member`,
		run: func(ctx context.Context, s *session, args []string) error {
			in.Name = args[0]
			for _, r := range roles {
				in.Roles = append(in.Roles, api.GrantedRole{Role: r})
			}
			return s.invitation(ctx, request{method: http.MethodPost, path: "/accounts", body: &in})
		},
	})
	f := c.Flags()
	f.StringVar(&in.DisplayName, "display-name", "", "how people call them")
	f.StringVar(&in.Email, "email", "", "mail address")
	f.StringVar(&in.Licence, "licence", "", "admin, steward or reader; steward by default")
	f.StringArrayVar(&in.Teams, "team", nil, "`team` to be a member of; may be repeated")
	f.StringVar(&in.Workspace, "workspace", "", "workspace where the roles are given")
	f.StringArrayVar(&roles, "role", nil, "`role` in that workspace; may be repeated")
	return c
}

func (a *remote) accountReinviteCommand() *cobra.Command {
	return a.command(command{
		use: "reinvite ACCOUNT", short: "Make a new one-time token, such as for a forgotten password", args: cobra.ExactArgs(1),
		run: func(ctx context.Context, s *session, args []string) error {
			return s.invitation(ctx, request{method: http.MethodPost, path: accountPath(args[0], "invitation")})
		},
	})
}

// invitation asks for a one-time token and shows it, once.
func (s *session) invitation(ctx context.Context, r request) error {
	made, answer, err := decoded[api.Invitation](ctx, s, r)
	if err != nil {
		return err
	}
	err = s.show(answer.body, func(w *page) {
		var f facts
		f.add("account", made.Account.Name)
		f.add("link", made.Link)
		f.add("token", made.Token)
		f.add("expires", s.at(made.ExpiresAt))
		f.write(w)
		w.println()
	})
	s.warnings(append([]string{"link and token are shown this once; whoever has one sets the password"}, made.Warnings...))
	return err
}

// accountAcceptCommand needs no context: who was invited has none.
func (a *remote) accountAcceptCommand() *cobra.Command {
	var invitation, password string
	c := &cobra.Command{
		Use:   "accept",
		Short: "Accept an invitation: set a password",
		Long: `Accept an invitation: set a password. The token of the invitation comes from
--invitation-file, the password from --password-file or, on a terminal, from the
keyboard.`,
		Example: `  postern account accept --server https://postern.example.com \
    --invitation-file token.txt --password-file password.txt`,
		Args: usageArgs(cobra.NoArgs),
	}
	c.Flags().StringVar(&invitation, "invitation-file", "", "file with the token of the invitation; - is standard input")
	c.Flags().StringVar(&password, "password-file", "", "file with the new password; - is standard input")
	c.RunE = func(c *cobra.Command, _ []string) error {
		s, err := a.session(c)
		if err != nil {
			return err
		}
		s.anonymous = true
		var body api.Acceptance
		if body.Token, err = readSecretFile(c.Context(), c, invitation); err != nil {
			return usageError("--invitation-file: %w", err)
		}
		if body.Password, err = readPassword(c.Context(), c, password, "New password: "); err != nil {
			return err
		}
		done, answer, err := decoded[api.Accepted](c.Context(), s, request{method: http.MethodPost, path: "/invitations/accept", body: &body})
		if err != nil {
			return told(c, err)
		}
		return s.show(answer.body, func(w *page) {
			w.printf("%s You can sign in as %s.\n", done.Message, printable(done.Account.Name))
			if done.Client != "" {
				w.printf("\nA personal token waits for its secret:\n  postern me token secret %s --user %s\n", done.Client, printable(done.Account.Name))
			}
		})
	}
	return c
}

func (a *remote) accountEditCommand() *cobra.Command {
	p := patch{}
	c := a.command(command{
		use: "edit ACCOUNT", short: "Edit an account's display name, mail address, licence and teams", args: cobra.ExactArgs(1),
		run: func(ctx context.Context, s *session, args []string) error {
			if err := p.check(s.cmd); err != nil {
				return err
			}
			account, answer, err := decoded[api.Account](ctx, s, request{method: http.MethodPatch, path: accountPath(args[0]), body: p})
			if err != nil {
				return err
			}
			return s.show(answer.body, func(w *page) { s.writeAccount(w, account) })
		},
	})
	p.text(c, "display-name", "display_name", "how people call them")
	p.text(c, "email", "email", "mail address")
	p.text(c, "licence", "licence", "admin, steward or reader: the ceiling of all its rights")
	p.list(c, "team", "teams", "the `team` it is a member of; may be repeated, \"\" is none")
	return c
}

// accountChange is a command that only names an account.
func (a *remote) accountChange(verb, short string) *cobra.Command {
	return a.command(command{
		use: verb + " ACCOUNT", short: short, args: cobra.ExactArgs(1),
		run: func(ctx context.Context, s *session, args []string) error {
			return s.done(ctx, request{method: http.MethodPost, path: accountPath(args[0], verb)})
		},
	})
}

func (a *remote) accountDeleteCommand() *cobra.Command {
	return a.command(command{
		use: "delete ACCOUNT", short: "Delete a deactivated account for ever", args: cobra.ExactArgs(1),
		run: func(ctx context.Context, s *session, args []string) error {
			return s.done(ctx, request{method: http.MethodDelete, path: accountPath(args[0])})
		},
	})
}
