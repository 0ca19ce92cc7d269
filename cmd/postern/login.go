package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"time"

	"github.com/spf13/cobra"

	"postern/store"
)

func loginCommand() *cobra.Command {
	var name, client, secretFile, bootstrap string
	c := &cobra.Command{
		Use:   "login (URL --client-id ID | --bootstrap-file FILE)",
		Short: "Remember a server and a client of it, for the other commands",
		Long: `Remember a server and a client of it, for the other commands. The client's
secret comes from standard input, from --secret-file or from the variable
` + secretVariable + `, and is tried before it is kept in
$XDG_CONFIG_HOME/postern/contexts.yaml (0600). The file that the first start of
a server wrote has all of it.`,
		Example: `  postern login --bootstrap-file postern-data/bootstrap.json
  postern login https://postern.example.com \
    --client-id cli0123 --secret-file secret.txt
  pass show postern | postern login http://127.0.0.1:8085 --client-id cli0123`,
		Args: usageArgs(cobra.MaximumNArgs(1)),
	}
	c.Flags().StringVar(&name, "context", "default", "what to call it, for --context")
	c.Flags().StringVar(&client, "client-id", "", "id of the client")
	c.Flags().StringVar(&secretFile, "secret-file", "", "file with the client's secret; - is standard input")
	c.Flags().StringVar(&bootstrap, "bootstrap-file", "", "file that the first start of the server wrote")
	c.MarkFlagsMutuallyExclusive("bootstrap-file", "client-id")
	c.MarkFlagsMutuallyExclusive("bootstrap-file", "secret-file")
	c.RunE = func(c *cobra.Command, args []string) error {
		if name == "" {
			return usageError("--context is empty")
		}
		if bootstrap != "" {
			as, err := readBootstrapFile(bootstrap)
			if err != nil {
				return err
			}
			return told(c, login(c, name, as))
		}
		if len(args) == 0 {
			return usageError("the server's URL is missing; see postern login --help")
		}
		base, err := serverURL(args[0])
		if err != nil {
			return usageError("%q: %w", args[0], err)
		}
		if client == "" {
			return usageError("--client-id is missing")
		}
		secret, err := readSecret(c.Context(), c, secretFile)
		if err != nil {
			return err
		}
		return told(c, login(c, name, identity{base, client, secret}))
	}
	return c
}

// readBootstrapFile returns the administrator's client of a first start.
func readBootstrapFile(file string) (identity, error) {
	text, err := os.ReadFile(file) //nolint:gosec // the user names it
	if err != nil {
		return identity{}, fmt.Errorf("--bootstrap-file: %w", err)
	}
	var first bootstrapFile
	if err := json.Unmarshal(text, &first); err != nil || first.Issuer == "" || first.Admin.ClientID == "" {
		return identity{}, fmt.Errorf("--bootstrap-file: %s is not what the first start of a server writes", file)
	}
	return identity{first.Issuer, first.Admin.ClientID, first.Admin.ClientSecret}, nil
}

func login(c *cobra.Command, name string, as identity) error {
	if u, err := url.Parse(as.Server); err == nil && u.Scheme == "http" && !isLoopback(u.Hostname()) {
		warn(c, "the secret goes over the network unencrypted; use https if you can")
	}
	s := &session{
		cmd: c, out: c.OutOrStdout(), now: time.Now(), http: newHTTPClient(),
		base: as.Server, clientID: as.ClientID, secret: as.ClientSecret,
	}
	_, _, err := s.token(c.Context(), url.Values{"resource": {store.PosternAPI}})
	if r, ok := errors.AsType[*refusal](err); ok && r.OAuthError == "invalid_target" {
		// The secret is right: that is looked at first.
		warn(c, "this client may not administer anything here; postern token get works with it")
		err = nil
	}
	if err != nil {
		return err
	}
	file, err := loadContexts(c)
	if err != nil {
		return err
	}
	file.Current, file.Contexts[name] = name, as
	at, err := file.save()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), "Logged in to %s as %s.\nThe context %s is in %s.\n", as.Server, as.ClientID, name, at)
	return err
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
