package main

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"postern/server/api"
)

// person is how somebody signs in by name and password, for commands about
// oneself; without a name it is the context's token.
type person struct{ name, passwordFile, otp string }

func (p *person) flags(c *cobra.Command) {
	f := c.PersistentFlags()
	f.StringVar(&p.name, "user", "", "sign in by this name and a password, in place of the context")
	f.StringVar(&p.passwordFile, "password-file", "", "file with the password; - is standard input")
	f.StringVar(&p.otp, "otp", "", "`code` of your second factor, if you have one; a terminal is asked for it")
}

// sign makes the session one of a person, if one is named.
func (p *person) sign(ctx context.Context, s *session) error {
	if p.name == "" {
		return nil
	}
	password, err := readPassword(ctx, s.cmd, p.passwordFile, "Password of "+p.name+": ")
	if err != nil {
		return err
	}
	s.user, s.password, s.otp = p.name, password, p.otp
	return nil
}

func (a *remote) meCommands() *cobra.Command {
	p := &person{}
	token := group("token", "Manage your personal tokens",
		a.myTokenListCommand(p), a.myTokenCreateCommand(p), a.myTokenSecretCommand(p),
		a.myTokenChange(p, "confirm", "Say that the secret is saved, which activates the token", http.MethodPost),
		a.myTokenChange(p, "revoke", "Revoke a personal token of yours", http.MethodPost),
		a.myTokenChange(p, "restore", "Restore a revoked personal token of yours", http.MethodPost),
		a.myTokenChange(p, "delete", "Delete a revoked personal token of yours for ever", http.MethodDelete))
	g := group("me", "See who you are, manage your tokens, password and second factor", a.whoamiCommand(p), a.passwordCommand(p), a.totpCommands(p), token)
	p.flags(g)
	return g
}

// mine makes a command about oneself.
func (a *remote) mine(p *person, d command) *cobra.Command {
	run := d.run
	d.run = func(ctx context.Context, s *session, args []string) error {
		if err := p.sign(ctx, s); err != nil {
			return err
		}
		return run(ctx, s, args)
	}
	return a.command(d)
}

func (a *remote) whoamiCommand(p *person) *cobra.Command {
	return a.mine(p, command{
		use: "show", short: "Show who you are, and where you may have personal tokens",
		run: func(ctx context.Context, s *session, _ []string) error {
			me, answer, err := decoded[api.Me](ctx, s, request{method: http.MethodGet, path: "/me"})
			if err != nil {
				return err
			}
			err = s.show(answer.body, func(w *page) {
				s.writeAccount(w, me.Account)
				where := "in no workspace; ask an owner or admin of one"
				if len(me.Workspaces) > 0 {
					where = strings.Join(me.Workspaces, ", ")
				}
				var f facts
				f.add("personal tokens", where)
				f.write(w)
			})
			if me.MustChange {
				s.warnings([]string{"your password was set by somebody else; change it: postern me password"})
			}
			return err
		},
	})
}

func (a *remote) passwordCommand(p *person) *cobra.Command {
	var next string
	c := a.mine(p, command{
		use: "password", short: "Change your password; your tokens go on",
		example: `  postern me password --user ann \
    --password-file old.txt --new-password-file new.txt`,
		run: func(ctx context.Context, s *session, _ []string) error {
			if s.user == "" {
				return usageError("a password is changed by who knows it: name yourself with --user")
			}
			text, err := readPassword(ctx, s.cmd, next, "New password: ")
			if err != nil {
				return err
			}
			return s.done(ctx, request{method: http.MethodPost, path: "/me/password", body: api.PasswordChange{Current: s.password, New: text}})
		},
	})
	c.Flags().StringVar(&next, "new-password-file", "", "file with the new password; - is standard input")
	return c
}

func (a *remote) myTokenListCommand(p *person) *cobra.Command {
	return a.mine(p, command{
		use: "list", short: "List your personal tokens",
		run: func(ctx context.Context, s *session, _ []string) error {
			tokens, body, err := pages[api.Client](ctx, s, "/me/clients", url.Values{}, 0)
			if err != nil {
				return err
			}
			return s.show(body, func(w *page) { s.clientTable(tokens).write(w) })
		},
	})
}

func (a *remote) myTokenCreateCommand(p *person) *cobra.Command {
	var in api.PersonalCreate
	var narrowed []string
	c := a.mine(p, command{
		use: "create NAME", short: "Make a personal token", args: cobra.ExactArgs(1),
		example: `  postern me token create laptop --user ann --expires 30d`,
		run: func(ctx context.Context, s *session, args []string) error {
			in.Name = args[0]
			if s.cmd.Flags().Changed("narrow") {
				in.NarrowedTo = &narrowed
			}
			return s.newSecret(ctx, "The token is made. Share it with nobody: who has it acts as you.", request{method: http.MethodPost, path: "/me/clients", body: &in})
		},
	})
	personalFlags(c, &in)
	f := c.Flags()
	f.StringVar(&in.Workspace, "workspace", "", "good in this workspace alone; in all of yours by default")
	f.StringVar(&in.Description, "description", "", "what it is for")
	f.StringVar(&in.DefaultAPI, "api", "", "API that its access tokens are for unless it asks for another")
	f.StringArrayVar(&narrowed, "narrow", nil, "leave it only this `role` of yours in the workspace; may be repeated")
	f.StringArrayVar(&in.Addresses, "address", nil, "`network` it may call from, such as 10.0.0.0/8; may be repeated")
	f.BoolVar(&in.AdminAccess, "admin-access", false, "your licence does not bound its work on accounts")
	f.BoolVar(&in.Confirm, "confirm", false, "it works only after postern me token confirm, within 15 minutes")
	return c
}

func personalFlags(c *cobra.Command, in *api.PersonalCreate) {
	c.Flags().StringVar(&in.ExpiresIn, "expires", "", "30d, 90d, 1y, 12h or never; the server's default otherwise")
	c.Flags().StringVar(&in.Label, "label", "", "name of its first secret")
}

func (a *remote) myTokenSecretCommand(p *person) *cobra.Command {
	var body api.Rotate
	c := a.mine(p, command{
		use: "secret TOKEN", short: "Make a new secret of a token, or the first one of one that waits", args: cobra.ExactArgs(1),
		run: func(ctx context.Context, s *session, args []string) error {
			s.asItself()
			return s.newSecret(ctx, "There is a new secret.", request{method: http.MethodPost, path: "/me" + clientPath(args[0], "secrets"), body: &body})
		},
	})
	c.Flags().StringVar(&body.Overlap, "overlap", "", "how long the old secrets go on, such as 1h or 7d; they end now by default")
	c.Flags().BoolVar(&body.Keep, "keep", false, "the old secrets go on as they are")
	c.Flags().StringVar(&body.Label, "label", "", "name of the new secret")
	return c
}

func (a *remote) myTokenChange(p *person, verb, short, method string) *cobra.Command {
	return a.mine(p, command{
		use: verb + " TOKEN", short: short, args: cobra.ExactArgs(1),
		run: func(ctx context.Context, s *session, args []string) error {
			path := clientPath(args[0], verb)
			if method == http.MethodDelete {
				path = clientPath(args[0])
			}
			return s.done(ctx, request{method: method, path: "/me" + path})
		},
	})
}

// asItself sends the personal token of the context as it is: an access token makes
// no secret.
func (s *session) asItself() {
	if s.user == "" && s.bearer == "" {
		s.bearer = s.secret
	}
}

// clientRenewCommand makes a personal token by the one that it renews.
func (a *remote) clientRenewCommand() *cobra.Command {
	var in api.PersonalCreate
	c := a.command(command{
		use: "renew", short: "Make a new personal token by the context's own, before that ends",
		run: func(ctx context.Context, s *session, _ []string) error {
			s.asItself()
			return s.newSecret(ctx, "The token is renewed; the old one goes on until it ends.", request{method: http.MethodPost, path: "/me/clients", body: &in})
		},
	})
	personalFlags(c, &in)
	c.Flags().StringVar(&in.Name, "name", "", "as the old one by default")
	return c
}

func (a *remote) clientTakeOverCommand() *cobra.Command {
	return a.command(command{
		use: "takeover CLIENT", short: "Become responsible for a client, such as an orphaned one", args: cobra.ExactArgs(1),
		run: func(ctx context.Context, s *session, args []string) error {
			return s.done(ctx, request{method: http.MethodPost, path: clientPath(args[0], "takeover")})
		},
	})
}
