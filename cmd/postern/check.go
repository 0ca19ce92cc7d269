package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"postern/policy"
	"postern/server/api"
)

func (a *remote) checkCommand() *cobra.Command {
	var in api.Check
	var scopes []string
	var explain bool
	c := a.command(command{
		use: "check METHOD PATH --api API (--client ID | --role ROLE)", short: "Decide about a call that nobody made, and say why", args: cobra.ExactArgs(2),
		long: `Decide about a call that nobody made, as a gateway would be told. It ends with 0
when the call is allowed and with 5 when it is not.`,
		example: `  postern check DELETE /orders/42 --api example --client cli0123 --explain`,
		run: func(ctx context.Context, s *session, args []string) error {
			if in.API == "" || (in.Client == "") == (in.Role == "") {
				return usageError("--api and one of --client and --role are needed; see %s --help", s.cmd.CommandPath())
			}
			in.Method, in.Path = args[0], args[1]
			if s.cmd.Flags().Changed("scope") {
				in.Scopes = &scopes
			}
			x, answer, err := decoded[api.Explanation](ctx, s, request{method: http.MethodPost, path: "/check", body: &in})
			if err != nil {
				return err
			}
			err = s.show(answer.body, func(w *page) {
				w.println(verdict(&in, x))
				if explain {
					explanation(&in, x).write(w)
				}
			})
			if err == nil && !x.Allowed {
				err = &exitError{code: exitNo}
			}
			return err
		},
	})
	f := c.Flags()
	f.StringVar(&in.API, "api", "", "API that is called, by its short name")
	f.StringVar(&in.Client, "client", "", "client that calls, by id")
	f.StringVar(&in.Role, "role", "", "in place of a client: a role alone, by `ref` such as default/reader")
	f.StringVar(&in.Workspace, "workspace", "", "workspace of the call; that of the client or role by default")
	f.StringVar(&in.Operation, "operation", "", "GraphQL operation, such as 'query devices'")
	f.StringArrayVar(&scopes, "scope", nil, "`scope` of the token, may be repeated, \"\" is none; all that the client may have by default")
	f.BoolVar(&explain, "explain", false, "say by which rules, or what is missing")
	return c
}

func verdict(in *api.Check, x *api.Explanation) string {
	word := "allowed"
	if !x.Allowed {
		word = "denied"
	}
	return fmt.Sprintf("%s: %s %s (%s)", word, printable(in.Method), printable(in.Path), x.Reason)
}

// explanation says what made the decision, or would change it.
func explanation(in *api.Check, x *api.Explanation) *facts {
	f := &facts{}
	switch policy.Reason(x.Reason) {
	case policy.Denied:
		f.add("denied by", "rule "+x.Rule)
	case policy.Forbids:
		f.add("denied by", "rule "+x.Ceiling+" of the account's licence")
	default:
		if x.Rule != "" {
			f.add("allowed by", "rule "+x.Rule)
		}
		if x.Ceiling != "" {
			f.add("within", "rule "+x.Ceiling+" of the account's licence")
		}
	}
	if x.Via != nil && x.Via.Holder != "" {
		f.add("through", fmt.Sprintf("role %s, granted to %s", x.Via.Role, x.Via.Holder))
	}
	var needs []string
	for _, n := range x.Missing {
		needs = append(needs, need(in, n))
	}
	f.more("missing", needs)
	if x.Nearest != "" {
		f.add("nearest", "rule "+x.Nearest+"; no role of the workspace would do")
	}
	return f
}

// need says in words what is to be done.
func need(in *api.Check, n api.Needs) string {
	switch policy.NeedKind(n.Kind) {
	case policy.NeedScope:
		return fmt.Sprintf("scope %s: ask for it with the token", n.Scope)
	case policy.NeedLeft:
		return fmt.Sprintf("role %s, which client %s is narrowed not to have", n.Role, in.Client)
	case policy.NeedValue:
		holder, _, _ := strings.Cut(n.Grant, "@")
		return fmt.Sprintf("%s=%s in the limit of role %s, granted to %s", n.Param, n.Value, n.Role, holder)
	case policy.NeedRole:
		return fmt.Sprintf("role %s: grant it to the client's account", n.Role)
	case policy.NeedLicence:
		return fmt.Sprintf("a wider licence than %s for the account", orNone(n.Role))
	case policy.NeedPersonal:
		return "that the workspace's settings let its owner use personal tokens"
	}
	return strings.Join(slices.DeleteFunc([]string{n.Kind, n.Role, n.Scope, n.Param, n.Value}, func(s string) bool { return s == "" }), " ")
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}
