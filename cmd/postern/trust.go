package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"postern/server/api"
)

func (a *remote) trustCommands() *cobra.Command {
	return group("trust", "Manage trust rules: whose JWTs do in the place of a secret",
		a.trustAddCommand(), a.trustListCommand(), a.trustRemoveCommand(), a.trustTestCommand())
}

func (a *remote) trustAddCommand() *cobra.Command {
	rule := api.TrustMake{}
	body := api.Rotate{Keep: true, Trust: &rule}
	var claims []string
	var file string
	c := a.command(command{
		use: "add CLIENT --issuer URL", short: "Let the JWTs of an issuer authenticate a client", args: cobra.ExactArgs(1),
		long: `Let the JWTs that an issuer makes for a workload authenticate a client: those of
Kubernetes service accounts, of GitHub Actions, or of any OpenID Connect issuer.
Each condition has to hold. In a pattern, * stands for any run without : and /.

The issuer's keys are read where its discovery document says, unless --jwks-file
or --jwks-uri says otherwise. A rule that is too wide, such as one for a service
account of any namespace, is refused without --allow-wide.`,
		example: `  postern trust add cli0123 --subject system:serviceaccount:shop:web \
    --issuer https://kubernetes.default.svc.cluster.local
  postern trust add cli0123 \
    --issuer https://token.actions.githubusercontent.com \
    --claim repository=acme/shop --claim ref=refs/heads/main`,
		run: func(ctx context.Context, s *session, args []string) error {
			if rule.Issuer == "" {
				return usageError("--issuer is needed; see %s --help", s.cmd.CommandPath())
			}
			for _, text := range claims {
				name, pattern, ok := strings.Cut(text, "=")
				if !ok || name == "" {
					return usageError("--claim: must be name=pattern, such as repository=acme/shop")
				}
				rule.Claims = append(rule.Claims, api.TrustClaim{Name: name, Pattern: pattern})
			}
			if file != "" {
				text, err := os.ReadFile(file) //nolint:gosec // whoever runs this names a file of their own
				if err != nil {
					return fmt.Errorf("--jwks-file: %w", err)
				}
				rule.JWKS = strings.TrimSpace(string(text))
			}
			what := "The trust rule is made, and what the client had goes on. Try it by: postern trust test"
			return s.newSecret(ctx, what, request{method: http.MethodPost, path: clientPath(args[0], "secrets"), body: &body})
		},
	})
	f := c.Flags()
	f.StringVar(&rule.Issuer, "issuer", "", "the iss of the JWTs, an https `URL`")
	f.StringVar(&rule.Subject, "subject", "", "`pattern` of their sub; any by default")
	f.StringArrayVar(&claims, "claim", nil, "`name=pattern` of a claim; may be repeated. A name that begins with / is a JSON pointer, such as /kubernetes.io/namespace")
	f.StringVar(&file, "jwks-file", "", "file with the issuer's public keys, a JWK Set")
	f.StringVar(&rule.JWKSURI, "jwks-uri", "", "https URL where the issuer's public keys are")
	f.BoolVar(&rule.AllowWide, "allow-wide", false, "make the rule though it is too wide")
	f.StringVar(&body.ExpiresIn, "expires", "", "when it ends, such as 90d; with the client by default")
	f.StringVar(&body.Label, "label", "", "its name")
	return c
}

func (a *remote) trustListCommand() *cobra.Command {
	return a.command(command{
		use: "list CLIENT", short: "List the trust rules of a client with their last use", args: cobra.ExactArgs(1),
		run: func(ctx context.Context, s *session, args []string) error {
			c, answer, err := decoded[api.Client](ctx, s, request{method: http.MethodGet, path: clientPath(args[0])})
			if err != nil {
				return err
			}
			return s.show(answer.body, func(w *page) {
				t := &table{none: "The client has no trust rules.", columns: []column{
					{title: "RULE"}, {title: "LABEL", least: 8}, {title: "STATUS"}, {title: "EXPIRES"}, {title: "LAST USED"},
				}}
				var each []facts
				for _, secret := range c.Secrets {
					if secret.Trust == nil {
						continue
					}
					used, expires := "not used", s.expires(secret.ExpiresAt)
					if secret.LastUsedAt != 0 {
						used = s.ago(secret.LastUsedAt)
					}
					if secret.ExpiresAt == 0 && c.ExpiresAt != 0 {
						expires = "with client"
					}
					t.add(secret.ID, secret.Label, secret.Status, expires, used)
					each = append(each, trustFacts(&secret))
				}
				t.write(w)
				for _, f := range each {
					w.println()
					f.write(w)
				}
			})
		},
	})
}

// trustFacts are the conditions of a rule, and where its keys are.
func trustFacts(secret *api.Secret) facts {
	var f facts
	f.add("rule", secret.ID)
	f.add("issuer", secret.Trust.Issuer)
	f.add("subject", secret.Trust.Subject)
	for _, claim := range secret.Trust.Claims {
		f.add("claim", claim.Name+" = "+claim.Pattern)
	}
	switch {
	case secret.Trust.JWKS != "":
		f.add("keys", "in the rule")
	case secret.Trust.JWKSURI != "":
		f.add("keys", "at "+secret.Trust.JWKSURI)
	default:
		f.add("keys", "where the issuer says")
	}
	f.add("too wide", secret.Trust.Wide)
	return f
}

func (a *remote) trustRemoveCommand() *cobra.Command {
	var force bool
	c := a.command(command{
		use: "remove CLIENT RULE", short: "End a trust rule, unless someone uses it", args: cobra.ExactArgs(2),
		long: `End a trust rule, and the tokens that were made by it. While it is in use, which
is 24 hours after each success, that is refused with who uses it; --force ends
it all the same.`,
		run: func(ctx context.Context, s *session, args []string) error {
			query := url.Values{}
			if force {
				query.Set("force", "true")
			}
			return s.done(ctx, request{method: http.MethodDelete, path: clientPath(args[0], "secrets", escape(args[1])), query: query})
		},
	})
	c.Flags().BoolVar(&force, "force", false, "end it though it is in use")
	return c
}

func (a *remote) trustTestCommand() *cobra.Command {
	var body api.TrustTest
	var file string
	c := a.command(command{
		use: "test CLIENT (--jwt-file FILE | --jwt JWT)", short: "Say whether a JWT would authenticate a client, or why not", args: cobra.ExactArgs(1),
		long: `Say whether a JWT would authenticate a client by one of its trust rules, and
which condition fails. It ends with 0 when it would and with 5 when not. It uses
nothing up. Other programs of this machine see what stands behind --jwt: prefer
a file.`,
		example: `  postern trust test cli0123 --jwt-file /var/run/secrets/tokens/postern
  curl -s "$ACTIONS_ID_TOKEN_REQUEST_URL&audience=https://auth.example.com" \
    -H "Authorization: Bearer $ACTIONS_ID_TOKEN_REQUEST_TOKEN" | jq -r .value |
    postern trust test cli0123 --jwt-file -`,
		run: func(ctx context.Context, s *session, args []string) error {
			if (file == "") == (body.JWT == "") {
				return usageError("one of --jwt-file and --jwt is needed; see %s --help", s.cmd.CommandPath())
			}
			if file != "" {
				text, err := readSecretFile(ctx, s.cmd, file)
				if err != nil {
					return fmt.Errorf("--jwt-file: %w", err)
				}
				body.JWT = text
			}
			if strings.Count(body.JWT, ".") != 2 {
				return errors.New("that is no JWT: it has not three parts with a dot between them")
			}
			r, answer, err := decoded[api.TrustReport](ctx, s, request{method: http.MethodPost, path: clientPath(args[0], "trust", "test"), body: &body})
			if err != nil {
				return err
			}
			err = s.show(answer.body, func(w *page) { trustReport(w, r) })
			if err == nil && !r.Accepted {
				err = &exitError{code: exitNo}
			}
			return err
		},
	})
	c.Flags().StringVar(&file, "jwt-file", "", "`file` with the JWT; - is standard input")
	c.Flags().StringVar(&body.JWT, "jwt", "", "the `JWT` itself")
	return c
}

// trustReport says which conditions hold, rule by rule.
func trustReport(w *page, r *api.TrustReport) {
	word := "accepted: the JWT authenticates the client"
	if !r.Accepted {
		word = "refused: the JWT does not authenticate the client"
	}
	w.println(word)
	conditions := func(all []api.TrustCondition) {
		for _, c := range all {
			if c.Holds {
				w.printf("  ok   %s\n", printable(c.Name))
				continue
			}
			w.printf("  fail %s: %s\n", printable(c.Name), printable(c.Why))
			if c.Want != "" {
				w.printf("         want %s\n", printable(c.Want))
			}
			if c.Got != "" {
				w.printf("         got  %s\n", printable(c.Got))
			}
		}
	}
	conditions(r.Conditions)
	for _, t := range r.Rules {
		w.printf("\nrule %s\n", printable(strings.TrimSpace(t.SecretID+" "+t.Label)))
		conditions(t.Conditions)
	}
	if read := len(r.Conditions) > 0 && r.Conditions[0].Name != "form"; read && len(r.Rules) == 0 {
		w.println("\nThe client has no trust rules.")
	}
}
