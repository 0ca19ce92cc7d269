package main

import (
	"context"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"postern/server/api"
)

func (a *remote) totpCommands(p *person) *cobra.Command {
	return group("totp", "Manage your second factor: one-time codes of a telephone",
		a.totpStartCommand(p), a.totpConfirmCommand(p), a.totpDeleteCommand(p))
}

func (a *remote) totpStartCommand(p *person) *cobra.Command {
	return a.mine(p, command{
		use: "start", short: "Make the secret of a second factor, to be confirmed",
		example: `  postern me totp start --user ann
  postern me totp confirm 123456 --user ann`,
		run: func(ctx context.Context, s *session, _ []string) error {
			if s.user == "" {
				return usageError("a second factor is made by who knows the password: name yourself with --user")
			}
			made, answer, err := decoded[api.TOTPStarted](ctx, s, request{method: http.MethodPost, path: "/me/totp", body: api.TOTPStart{Password: s.password}})
			if err != nil {
				return err
			}
			err = s.show(answer.body, func(w *page) {
				var f facts
				f.add("secret", made.Secret)
				f.add("uri", made.URI)
				f.write(w)
				w.println()
			})
			s.warnings([]string{"it is in force once you confirm a code of it: postern me totp confirm CODE", "the secret is shown this once; whoever has it has your codes"})
			return err
		},
	})
}

func (a *remote) totpConfirmCommand(p *person) *cobra.Command {
	return a.mine(p, command{
		use: "confirm CODE", short: "Put your second factor in force; shows recovery codes", args: cobra.ExactArgs(1),
		run: func(ctx context.Context, s *session, args []string) error {
			made, answer, err := decoded[api.RecoveryCodes](ctx, s, request{method: http.MethodPost, path: "/me/totp/confirm", body: api.TOTPConfirm{Code: args[0]}})
			if err != nil {
				return err
			}
			err = s.show(answer.body, func(w *page) { w.println(strings.Join(made.Codes, "\n")) })
			s.warnings([]string{"from now on your password alone does not suffice", "each recovery code stands in for a code once; they are shown this once, so keep them where the telephone is not"})
			return err
		},
	})
}

func (a *remote) totpDeleteCommand(p *person) *cobra.Command {
	return a.mine(p, command{
		use: "delete", short: "Remove your second factor: the password suffices then",
		run: func(ctx context.Context, s *session, _ []string) error {
			if s.user == "" {
				return usageError("a second factor is removed by who knows the password: name yourself with --user")
			}
			return s.done(ctx, request{method: http.MethodPost, path: "/me/totp/delete", body: api.TOTPDelete{Password: s.password}})
		},
	})
}

func (a *remote) accountTOTPDeleteCommand() *cobra.Command {
	return a.command(command{
		use: "delete ACCOUNT", short: "Remove a person's second factor, such as when a telephone is lost", args: cobra.ExactArgs(1),
		run: func(ctx context.Context, s *session, args []string) error {
			return s.done(ctx, request{method: http.MethodDelete, path: accountPath(args[0], "totp")})
		},
	})
}

// askCode asks the person at a terminal for a code of the second factor; elsewhere
// there is none.
func askCode(ctx context.Context, c *cobra.Command) (string, error) {
	terminal, ok := c.InOrStdin().(*os.File)
	if !ok || !term.IsTerminal(int(terminal.Fd())) {
		return "", nil
	}
	c.PrintErr("Code of your second factor: ")
	text, err := interruptible(ctx, func() ([]byte, error) { return term.ReadPassword(int(terminal.Fd())) })
	c.PrintErrln()
	return strings.TrimSpace(string(text)), err
}
