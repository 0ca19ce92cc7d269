package main

import (
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"postern/server/gateway/shipped"
)

func gatewayCommands() *cobra.Command {
	return group("gateway", "Print what an API gateway needs to ask for decisions", gatewayConfigCommand(), gatewayCredentialCommand())
}

func gatewayConfigCommand() *cobra.Command {
	f := shipped.Example()
	c := &cobra.Command{
		Use:   "config GATEWAY",
		Short: "Print a gateway's configuration that works as it is",
		Long: `Print the configuration of a gateway that asks Postern about every request:
` + strings.Join(shipped.Names(), ", ") + `. It
takes away what a client may not say of itself, waits a limited time, and
refuses where no answer comes. It asks nobody and changes nothing.

What each gateway does with unusual requests is in the guide docs/gateways.md.`,
		Example: `  postern gateway config nginx --api orders --upstream 10.0.0.7:3000 >nginx.conf
  postern gateway config haproxy --api orders >haproxy.cfg
  postern gateway config haproxy-lua >haproxy.lua`,
		Args:      usageArgs(cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs)),
		ValidArgs: shipped.Names(),
		RunE: func(c *cobra.Command, args []string) error {
			text, err := shipped.Config(args[0], f)
			if err != nil {
				return usageError("%w", err)
			}
			_, err = c.OutOrStdout().Write(text)
			return err
		},
	}
	flags := c.Flags()
	flags.StringVar(&f.API, "api", f.API, "short name of the API that is protected")
	flags.StringVar(&f.Decisions, "decisions", f.Decisions, "host:port of Postern's gateway listener")
	flags.StringVar(&f.Upstream, "upstream", f.Upstream, "host:port of what is protected")
	flags.StringVar(&f.Listen, "listen", f.Listen, "host:port where the gateway listens")
	flags.StringVar(&f.Host, "host", "", "name that clients call; any by default")
	flags.StringVar(&f.Issuer, "issuer", f.Issuer, "Postern's public URL, for Apache")
	flags.StringVar(&f.Scope, "scope", "", "scope that a token must have, for Apache; any by default")
	flags.StringVar(&f.Script, "script", "", "path of haproxy.lua; beside haproxy.cfg by default")
	return c
}

func gatewayCredentialCommand() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "credential CLIENT-ID",
		Short: "Print a gateway's own credential as its configuration wants it",
		Long: `Print the value of X-Postern-Gateway for a client that an API names among its
introspectors: what gateways have in the variable POSTERN_GATEWAY, and with
--nginx the file postern-credential.conf. It is a secret, like the client's.

The client's secret is read from standard input, from --secret-file or from
` + secretVariable + `. Nobody is asked whether it is right.`,
		Example: `  export POSTERN_GATEWAY="$(postern gateway credential cli… <gateway.secret)"
  postern gateway credential cli… --nginx <gateway.secret >credential.conf`,
		Args: usageArgs(cobra.ExactArgs(1)),
	}
	nginx := c.Flags().Bool("nginx", false, "as the file that the configuration of nginx includes")
	c.Flags().StringVar(&file, "secret-file", "", "file with the client's secret; - is standard input")
	c.RunE = func(c *cobra.Command, args []string) error {
		secret, err := readSecret(c.Context(), c, file)
		if err != nil {
			return err
		}
		if args[0] == "" || strings.Contains(args[0], ":") {
			return usageError("%q is no id of a client", args[0])
		}
		value := "Basic " + base64.StdEncoding.EncodeToString([]byte(args[0]+":"+secret)) // RFC 7617, not form-encoded
		if *nginx {
			value = `proxy_set_header X-Postern-Gateway "` + value + `";`
		}
		_, err = fmt.Fprintln(c.OutOrStdout(), value)
		return err
	}
	return c
}
