package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"postern/server/api"
)

// secretTable is the secrets of a client.
func (s *session) secretTable(c *api.Client) *table {
	t := &table{none: "The client has no secrets.", columns: []column{
		{title: "SECRET"}, {title: "LABEL", least: 8}, {title: "STATUS"}, {title: "EXPIRES"}, {title: "LAST USED"}, {title: "CREATED", spare: true},
	}}
	for _, secret := range c.Secrets {
		used := "not used"
		if secret.LastUsedAt != 0 {
			used = s.ago(secret.LastUsedAt)
		}
		expires := s.expires(secret.ExpiresAt)
		if secret.ExpiresAt == 0 && c.ExpiresAt != 0 {
			expires = "with client"
		}
		label := secret.Label
		switch {
		case secret.JWK != "":
			label = strings.TrimSpace("key " + label)
		case secret.JWKSURI != "":
			label = strings.TrimSpace("keys at " + secret.JWKSURI + " " + label)
		case secret.X5T != "":
			label = strings.TrimSpace("certificate " + secret.X5T[:8] + " " + label)
		case secret.CertName != "":
			label = strings.TrimSpace("certificate of " + secret.CertName + " " + label)
		case secret.Trust != nil:
			label = strings.TrimSpace("trusts " + secret.Trust.Issuer + " " + label)
		}
		t.add(secret.ID, label, secret.Status, expires, used, s.ago(secret.CreatedAt))
	}
	return t
}

func (a *remote) secretListCommand() *cobra.Command {
	return a.command(command{
		use: "list CLIENT", short: "List the secrets of a client with their expiry and last use", args: cobra.ExactArgs(1),
		run: func(ctx context.Context, s *session, args []string) error {
			c, answer, err := decoded[api.Client](ctx, s, request{method: http.MethodGet, path: clientPath(args[0])})
			if err != nil {
				return err
			}
			return s.show(answer.body, func(w *page) {
				s.secretTable(c).write(w)
				for _, secret := range c.Secrets {
					var f facts
					f.add("secret", secret.ID)
					f.add("created", s.at(secret.CreatedAt))
					if secret.ExpiresAt != 0 {
						f.add("expires", s.at(secret.ExpiresAt))
					}
					f.add("revoked", s.at(secret.RevokedAt))
					f.more("last used", s.lastUse(secret.LastUsedAt, secret.LastUsedFrom, secret.LastUsedEndpoint))
					w.println()
					f.write(w)
				}
			})
		},
	})
}

func (a *remote) clientRotateCommand() *cobra.Command {
	var body api.Rotate
	c := a.command(command{
		use: "rotate CLIENT", short: "Make a new secret; the old ones end after an overlap", args: cobra.ExactArgs(1),
		run: func(ctx context.Context, s *session, args []string) error {
			what := "There is a new secret, and the old ones have ended."
			switch {
			case body.Keep:
				what = "There is a new secret, and the old ones go on."
			case body.Overlap != "":
				what = "There is a new secret, and the old ones end in " + body.Overlap + "."
			}
			return s.newSecret(ctx, what, request{method: http.MethodPost, path: clientPath(args[0], "secrets"), body: &body})
		},
	})
	f := c.Flags()
	f.StringVar(&body.Overlap, "overlap", "", "how long the old secrets go on, such as 1h or 7d; they end now by default")
	f.BoolVar(&body.Keep, "keep", false, "the old secrets go on as they are")
	f.StringVar(&body.ExpiresIn, "expires", "", "when the new secret ends, such as 90d; with the client by default")
	f.StringVar(&body.Label, "label", "", "name of the new secret")
	return c
}

func (a *remote) secretAddCommand() *cobra.Command {
	body := api.Rotate{Keep: true}
	var key keyFlags
	c := a.command(command{
		use: "add CLIENT", short: "Make a further secret, or register a key; the others go on", args: cobra.ExactArgs(1),
		long: `Make a further secret. With --jwk-file or --jwks-uri the client gets none: it
signs with a key of its own (private_key_jwt), of which the public half is
registered, or read where the client publishes it. With --certificate-file or
--certificate-name it presents a certificate (mutual TLS): this one, or one that
an authority of server.mtls_ca_file issues for that name.`,
		example: `  postern client secret add cli0123 --label "second site" --expires 30d
  postern client secret add cli0123 --jwk-file public.jwk.json
  postern client secret add cli0123 --jwks-uri https://ci.example.com/jwks
  postern client secret add cli0123 --certificate-file client.pem
  postern client secret add cli0123 --certificate-name dns:ci.example.com`,
		run: func(ctx context.Context, s *session, args []string) error {
			what := "There is a new secret, and the old ones go on."
			if err := key.read(&body.JWK, &body.Cert); err != nil {
				return err
			}
			if body.JWK != "" || body.JWKSURI != "" || body.Cert != "" || body.CertName != "" {
				what = "The key is registered, and what the client had goes on. End its secrets by: postern client secret retire"
			}
			return s.newSecret(ctx, what, request{method: http.MethodPost, path: clientPath(args[0], "secrets"), body: &body})
		},
	})
	key.add(c, &body.JWKSURI, &body.CertName)
	c.Flags().StringVar(&body.ExpiresIn, "expires", "", "when it ends, such as 90d; with the client by default")
	c.Flags().StringVar(&body.Label, "label", "", "its name")
	return c
}

// keyFlags name the files of a key or certificate in the place of a secret.
type keyFlags struct{ jwk, certificate string }

func (k *keyFlags) add(c *cobra.Command, jwksURI, certificateName *string) {
	c.Flags().StringVar(&k.jwk, "jwk-file", "", "file with the client's public key, a JWK, in the place of a secret")
	c.Flags().StringVar(jwksURI, "jwks-uri", "", "https URL where the client's public keys are, in the place of a secret")
	c.Flags().StringVar(&k.certificate, "certificate-file", "", "file with the client's certificate in PEM, in the place of a secret")
	c.Flags().StringVar(certificateName, "certificate-name", "", "`name` in the client's certificate, in the place of a secret")
}

// read reads the files that were named.
func (k *keyFlags) read(jwk, certificate *string) error {
	for _, each := range []struct {
		flag, name string
		to         *string
	}{{"--jwk-file", k.jwk, jwk}, {"--certificate-file", k.certificate, certificate}} {
		if each.name == "" {
			continue
		}
		text, err := os.ReadFile(each.name)
		if err != nil {
			return fmt.Errorf("%s: %w", each.flag, err)
		}
		*each.to = strings.TrimSpace(string(text))
	}
	return nil
}

func (a *remote) secretRetireCommand() *cobra.Command {
	var overlap string
	var force bool
	c := a.command(command{
		use: "retire CLIENT SECRET-ID", short: "End one secret, unless someone uses it", args: cobra.ExactArgs(2),
		long: `End one secret, and the tokens it minted. While it is in use, which is 24 hours
after each success, that is refused with who uses it; --force ends it all the
same.`,
		run: func(ctx context.Context, s *session, args []string) error {
			query := url.Values{}
			set(query, "overlap", overlap)
			if force {
				query.Set("force", "true")
			}
			return s.done(ctx, request{method: http.MethodDelete, path: clientPath(args[0], "secrets", escape(args[1])), query: query})
		},
	})
	c.Flags().StringVar(&overlap, "overlap", "", "how long it goes on, such as 1h or 7d; it ends now by default")
	c.Flags().BoolVar(&force, "force", false, "end it though it is in use")
	return c
}

// secretRevokeCommand is for an emergency: it asks nothing.
func (a *remote) secretRevokeCommand() *cobra.Command {
	return a.command(command{
		use: "revoke CLIENT SECRET-ID", short: "End one secret at once, in use or not: retire --force", args: cobra.ExactArgs(2),
		run: func(ctx context.Context, s *session, args []string) error {
			return s.done(ctx, request{
				method: http.MethodDelete, path: clientPath(args[0], "secrets", escape(args[1])), query: url.Values{"force": {"true"}},
			})
		},
	})
}
