package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"gopkg.in/yaml.v3"

	"postern/server/api"
)

func (a *remote) roleCommands() *cobra.Command {
	return group("role", "Manage roles: named lists of rules",
		a.roleListCommand(), a.roleGetCommand(), a.roleEndpointsCommand(), a.roleUnusedCommand(), a.roleCreateCommand(), a.roleEditCommand(), a.roleDeleteCommand())
}

func rolePath(ref string) string { return "/roles/" + escape(ref) }

func (a *remote) roleListCommand() *cobra.Command {
	query := url.Values{}
	var limit int
	c := a.command(command{
		use: "list", short: "List roles",
		run: func(ctx context.Context, s *session, _ []string) error {
			roles, body, err := pages[api.Role](ctx, s, "/roles", query, limit)
			if err != nil {
				return err
			}
			t := &table{none: "There are no roles.", columns: []column{
				{title: "ROLE"}, {title: "RULES"}, {title: "INHERITS", least: 8}, {title: "DESCRIPTION", least: 20}, {title: "ID", spare: true}, {title: "CREATED", spare: true},
			}}
			for _, r := range roles {
				t.add(r.Ref, strconv.Itoa(len(r.Rules)), shortRefs(r.Workspace, r.Parents), r.Description, r.ID, s.ago(r.CreatedAt))
			}
			return s.show(body, func(w *page) { t.write(w) })
		},
	})
	filters(c, query, map[string]string{"workspace": "only those of this workspace, and the shared ones", "search": "part of the name or description"})
	limitFlag(c, &limit)
	return c
}

func (a *remote) roleGetCommand() *cobra.Command {
	ref := roleRef{}
	c := a.command(command{
		use: "get ROLE", short: "Show a role and its rules", args: cobra.ExactArgs(1),
		run: func(ctx context.Context, s *session, args []string) error {
			r, answer, err := s.role(ctx, ref, args[0])
			if err != nil {
				return err
			}
			return s.show(answer.body, func(w *page) { s.writeRole(w, r) })
		},
	})
	ref.flag(c)
	return c
}

func (s *session) writeRole(w *page, r *api.Role) {
	var f facts
	f.add("role", r.Ref)
	f.add("id", r.ID)
	f.add("description", r.Description)
	if r.Builtin {
		f.add("built in", "it cannot be changed")
	}
	f.more("inherits", r.Parents)
	f.add("created", s.at(r.CreatedAt))
	f.write(w)
	w.println()
	t := &table{none: "It has no rules.", columns: []column{
		{title: "#"}, {title: "RULE"}, {title: "API"}, {title: "METHODS", least: 7}, {title: "PATH", least: 20}, {title: "SCOPE", least: 8}, {title: "OPERATION", least: 9, spare: true},
	}}
	for _, rule := range r.Rules {
		effect := "allow"
		if rule.Deny {
			effect = "deny"
		}
		t.add(strconv.Itoa(rule.Number), effect, rule.API, rule.Methods, rule.Path, rule.Scope, rule.Operation)
	}
	t.write(w)
}

// ruleFlags are rules as they are typed: in flags, or in a file.
type ruleFlags struct {
	api         string
	allow, deny []string
	file        string
}

func (r *ruleFlags) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&r.api, "api", "", "API that --allow and --deny are about")
	f.StringArrayVar(&r.allow, "allow", nil, "`rule` such as 'GET,HEAD /orders/** orders:read', or 'POST /graphql op=query orders'; the scope may be left out; may be repeated")
	f.StringArrayVar(&r.deny, "deny", nil, "`rule` such as 'DELETE /orders/**'; may be repeated")
	f.StringVarP(&r.file, "file", "f", "", "YAML or JSON file with description, parents and rules; - is standard input")
}

// rules returns those of the flags.
func (r *ruleFlags) rules() ([]api.Rule, error) {
	if r.api == "" && len(r.allow)+len(r.deny) > 0 {
		return nil, usageError("--api is missing: which API are --allow and --deny about?")
	}
	var out []api.Rule
	for _, each := range []struct {
		flag  string
		texts []string
		deny  bool
	}{{"--allow", r.allow, false}, {"--deny", r.deny, true}} {
		for _, text := range each.texts {
			rule, err := parseRule(text)
			if err != nil {
				return nil, usageError("%s %q: %w", each.flag, text, err)
			}
			rule.API, rule.Deny = r.api, each.deny
			out = append(out, rule)
		}
	}
	return out, nil
}

// parseRule reads "METHODS PATH [SCOPE] [op=OPERATION]", its methods parted by
// commas. An operation of GraphQL has a blank in it, so that it comes last.
func parseRule(text string) (api.Rule, error) {
	text, operation, graphql := strings.Cut(text, " op=")
	parts := strings.Fields(text)
	if len(parts) < 2 || len(parts) > 3 || graphql && len(strings.Fields(operation)) != 2 {
		return api.Rule{}, errors.New(`must be methods, a path and perhaps a scope, such as "GET,HEAD /orders/** orders:read", and at most an operation behind, such as "POST /graphql op=query orders"`)
	}
	rule := api.Rule{Methods: strings.ReplaceAll(parts[0], ",", " "), Path: parts[1], Operation: strings.Join(strings.Fields(operation), " ")}
	if len(parts) == 3 {
		rule.Scope = strings.TrimSuffix(strings.TrimPrefix(parts[2], "["), "]")
	}
	return rule, nil
}

// roleFile is what a file says of a role. The name and workspace may be in it,
// as role get -o yaml writes them, and mean nothing.
type roleFile struct {
	Description *string     `json:"description"`
	Parents     *[]string   `json:"parents"`
	Rules       *[]api.Rule `json:"rules"`

	ID        any `json:"id"`
	Workspace any `json:"workspace"`
	Name      any `json:"name"`
	Ref       any `json:"ref"`
	Builtin   any `json:"builtin"`
	CreatedAt any `json:"created_at"`
	Revision  any `json:"revision"`
}

func readRoleFile(ctx context.Context, c *cobra.Command, name string) (roleFile, error) {
	var out roleFile
	text, err := readFile(ctx, c, name)
	if err != nil {
		return out, err
	}
	var tree any
	if err := yaml.Unmarshal(text, &tree); err != nil {
		return out, fmt.Errorf("%s: %w", name, err)
	}
	text, err = json.Marshal(tree)
	if err != nil {
		return out, fmt.Errorf("%s: its names must be texts: %w", name, err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields() // a deny misspelt is no deny
	if err := d.Decode(&out); err != nil {
		return out, fmt.Errorf("%s: %s", name, strings.TrimPrefix(err.Error(), "json: "))
	}
	return out, nil
}

const mostFile = 4 << 20

func readFile(ctx context.Context, c *cobra.Command, name string) ([]byte, error) {
	if name == "-" {
		return interruptible(ctx, func() ([]byte, error) { return io.ReadAll(io.LimitReader(c.InOrStdin(), mostFile)) })
	}
	return os.ReadFile(name) //nolint:gosec // whoever runs this names a file of their own
}

func (a *remote) roleCreateCommand() *cobra.Command {
	var in api.RoleCreate
	var rules ruleFlags
	c := a.command(command{
		use: "create NAME", short: "Create a role", args: cobra.ExactArgs(1),
		example: `  postern role create order-clerk --api example \
    --allow 'GET,HEAD /orders/** orders:read' \
    --allow 'POST /orders orders:write'
  postern role create order-clerk -f clerk.yaml`,
		run: func(ctx context.Context, s *session, args []string) error {
			in.Name = args[0]
			typed, err := rules.rules()
			if err != nil {
				return err
			}
			if rules.file != "" {
				file, err := readRoleFile(ctx, s.cmd, rules.file)
				if err != nil {
					return err
				}
				if file.Description != nil && in.Description == "" {
					in.Description = *file.Description
				}
				if file.Parents != nil {
					in.Parents = append(*file.Parents, in.Parents...)
				}
				if file.Rules != nil {
					in.Rules = *file.Rules
				}
			}
			in.Rules = append(in.Rules, typed...)
			r, answer, err := decoded[api.Role](ctx, s, request{method: http.MethodPost, path: "/roles", body: &in})
			if err != nil {
				return err
			}
			return s.show(answer.body, func(w *page) {
				w.printf("The role is created.\n\n")
				s.writeRole(w, r)
			})
		},
	})
	c.Flags().StringVar(&in.Workspace, "workspace", "default", "workspace of the role")
	c.Flags().StringVar(&in.Description, "description", "", "what it is for")
	c.Flags().StringArrayVar(&in.Parents, "parent", nil, "`role` whose rules it has too; may be repeated")
	rules.flags(c)
	return c
}

func (a *remote) roleEditCommand() *cobra.Command {
	ref := roleRef{}
	p := patch{}
	var rules ruleFlags
	var remove []int
	c := a.command(command{
		use: "edit ROLE", short: "Edit a role: its description, parents and rules", args: cobra.ExactArgs(1),
		long: `Edit a role. --allow and --deny add rules, --remove takes one away by its
number; a file replaces what it names.`,
		example: `  postern role edit clerk --api example --deny 'DELETE /orders/**' --remove 2`,
		run: func(ctx context.Context, s *session, args []string) error {
			typed, err := rules.rules()
			if err != nil {
				return err
			}
			r, answer, err := s.role(ctx, ref, args[0])
			if err != nil {
				return err
			}
			next := r.Rules
			if rules.file != "" {
				file, err := readRoleFile(ctx, s.cmd, rules.file)
				if err != nil {
					return err
				}
				p.file(file)
				if file.Rules != nil {
					next = *file.Rules
				}
			}
			for _, n := range remove {
				at := slices.IndexFunc(next, func(r api.Rule) bool { return r.Number == n })
				if at < 0 {
					return usageError("--remove: there is no rule %d", n)
				}
				next = slices.Delete(slices.Clone(next), at, at+1)
			}
			if len(typed)+len(remove) > 0 {
				p["rules"] = append(next, typed...)
			}
			if err := p.check(s.cmd); err != nil {
				return err
			}
			r, answer, err = decoded[api.Role](ctx, s, request{method: http.MethodPatch, path: rolePath(r.ID), body: p, match: answer.etag})
			if err != nil {
				return err
			}
			return s.show(answer.body, func(w *page) { s.writeRole(w, r) })
		},
	})
	ref.flag(c)
	p.text(c, "description", "description", "what it is for")
	p.list(c, "parent", "parents", "`role` whose rules it has too, in place of the parents so far; may be repeated, \"\" is none")
	rules.flags(c)
	c.Flags().IntSliceVar(&remove, "remove", nil, "`number` of a rule to take away; may be repeated")
	return c
}

// file adds what a file names, unless a flag named it.
func (p patch) file(f roleFile) {
	if f.Description != nil && p["description"] == nil {
		p["description"] = *f.Description
	}
	if f.Parents != nil && p["parents"] == nil {
		p["parents"] = *f.Parents
	}
	if f.Rules != nil {
		p["rules"] = *f.Rules
	}
}

func (a *remote) roleDeleteCommand() *cobra.Command {
	ref := roleRef{}
	var cascade bool
	c := a.command(command{
		use: "delete ROLE", short: "Delete a role that nobody holds", args: cobra.ExactArgs(1),
		run: func(ctx context.Context, s *session, args []string) error {
			r, answer, err := s.role(ctx, ref, args[0])
			if err != nil {
				return err
			}
			q := url.Values{}
			if cascade {
				q.Set("cascade", "true")
			}
			return s.done(ctx, request{method: http.MethodDelete, path: rolePath(r.ID), query: q, match: answer.etag})
		},
	})
	ref.flag(c)
	c.Flags().BoolVar(&cascade, "cascade", false, "take it from everybody who holds it")
	return c
}

// roleRef says which workspace a role's bare name is of.
type roleRef struct{ workspace string }

func (r *roleRef) flag(c *cobra.Command) {
	c.Flags().StringVar(&r.workspace, "workspace", "default", "workspace of a role that is given by its bare name")
}

// role finds a role by id, by ref such as acme/reader, or by name. A ref is no
// segment of a path, so the list is asked for its id.
func (s *session) role(ctx context.Context, at roleRef, name string) (*api.Role, *answer, error) {
	if isRoleID(name) {
		return decoded[api.Role](ctx, s, request{method: http.MethodGet, path: rolePath(name)})
	}
	ref := name
	if !strings.Contains(name, "/") {
		ref = at.workspace + "/" + name
	}
	q := url.Values{}
	if workspace, bare, _ := strings.Cut(ref, "/"); workspace != "*" {
		q.Set("workspace", workspace)
		q.Set("search", bare)
	}
	roles, _, err := pages[api.Role](ctx, s, "/roles", q, 0)
	if err != nil {
		return nil, nil, err
	}
	found := slices.IndexFunc(roles, func(r api.Role) bool { return r.Ref == ref })
	if found < 0 {
		return nil, nil, &refusal{status: http.StatusNotFound, Detail: fmt.Sprintf("there is no role %s that you may see", ref)}
	}
	return decoded[api.Role](ctx, s, request{method: http.MethodGet, path: rolePath(roles[found].ID)})
}

func isRoleID(text string) bool {
	return len(text) == 27 && strings.HasPrefix(text, "rol") && !strings.ContainsAny(text, "/-")
}
