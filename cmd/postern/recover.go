package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"postern/server/admin"
)

// recoverAdministrator gives an installation whose administrators are lost a new
// one. Whoever has the store may do that, and nobody else: the embedded one is
// under its lock, MongoDB takes the key-encryption key.
func recoverAdministrator(c *cobra.Command, account string) error {
	n, err := openNode(c)
	if err != nil {
		return err
	}
	defer n.close()
	file := n.cfg.Bootstrap.File
	if file == "" && !term.IsTerminal(int(os.Stdout.Fd())) {
		if n.cfg.Store.Driver != "sqlite" {
			return errors.New("there is no terminal to show the new secrets on; say where they go with --bootstrap-file")
		}
		file = filepath.Join(n.cfg.Store.SQLite.Dir, "recover.json")
	}
	if file == "" {
		made, err := n.recover(c.Context(), account)
		if err != nil {
			return err
		}
		_, err = io.WriteString(c.OutOrStdout(), recovery(n.describe(&admin.Bootstrap{AdminUser: made.Account.Name, AdminPassword: made.Password.Reveal(), Admin: made.Created})))
		return err
	}
	// The file is opened before the secrets are made: they exist nowhere else.
	err = writePrivate(file, func(w io.Writer) error {
		made, err := n.recover(c.Context(), account)
		if err != nil {
			return err
		}
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(n.describe(&admin.Bootstrap{AdminUser: made.Account.Name, AdminPassword: made.Password.Reveal(), Admin: made.Created}))
	})
	if err != nil {
		return fmt.Errorf("recover an administrator into %s: %w", file, err)
	}
	c.PrintErrf("An administrator is back. Its password and a client's secret are in\n%s: use them, then delete it.\n", file)
	return nil
}

func (n *node) recover(ctx context.Context, account string) (*admin.Recovered, error) {
	return n.server.Recover(ctx, account)
}

// recovery is what a person sees: the new secrets, once.
func recovery(f bootstrapFile) string {
	return fmt.Sprintf(`
An administrator is back. The secrets below are shown once.

User %s, password %s, which must be changed at the first sign-in.
Or, once a server runs, by the command line for a week:

printf %%s %s |
  postern login %s --client-id %s

`, f.Admin.Username, f.Admin.Password, f.Admin.ClientSecret, f.Issuer, f.Admin.ClientID)
}
