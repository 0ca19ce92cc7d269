package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"postern/store"
)

func loginCommand() *cobra.Command {
	var name, client, secretFile string
	c := &cobra.Command{
		Use:   "login URL --client-id ID",
		Short: "Remember a server and a client of it, for the other commands",
		Long: `Remember a server and a client of it, for the other commands. The client's
secret comes from standard input, from --secret-file or from the variable
` + secretVariable + `, and is tried before it is kept in
$XDG_CONFIG_HOME/postern/contexts.yaml (0600).`,
		Example: `  postern login https://postern.example.com \
    --client-id cli0123 --secret-file secret.txt
  pass show postern | postern login http://127.0.0.1:8085 --client-id cli0123`,
		Args: usageArgs(cobra.ExactArgs(1)),
	}
	c.Flags().StringVar(&name, "context", "default", "what to call it, for --context")
	c.Flags().StringVar(&client, "client-id", "", "id of the client")
	c.Flags().StringVar(&secretFile, "secret-file", "", "file with the client's secret; - is standard input")
	c.RunE = func(c *cobra.Command, args []string) error {
		base, err := serverURL(args[0])
		if err != nil {
			return usageError("%q: %w", args[0], err)
		}
		if client == "" {
			return usageError("--client-id is missing")
		}
		if name == "" {
			return usageError("--context is empty")
		}
		secret, err := readSecret(c.Context(), c, secretFile)
		if err != nil {
			return err
		}
		return told(c, login(c, name, identity{base, client, secret}))
	}
	return c
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
