package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"postern/server/api"
)

func (a *remote) apiCommands() *cobra.Command {
	return group("api", "Manage APIs: what tokens are for, and what rules are about",
		a.apiListCommand(), a.apiGetCommand(), a.apiCreateCommand(), a.apiEditCommand(), a.apiDeleteCommand(), a.apiImportCommand())
}

func apiPath(name string) string { return "/apis/" + escape(name) }

func (a *remote) apiListCommand() *cobra.Command {
	var limit int
	c := a.command(command{
		use: "list", short: "List APIs",
		run: func(ctx context.Context, s *session, _ []string) error {
			apis, body, err := pages[api.ResourceServer](ctx, s, "/apis", url.Values{}, limit)
			if err != nil {
				return err
			}
			t := &table{none: "There are no APIs that you may see.", columns: []column{
				{title: "NAME", least: 12},
				{title: "AUDIENCE", least: 24},
				{title: "WORKSPACE", least: 9},
				{title: "ENDPOINTS"},
				{title: "TOKENS", spare: true},
				{title: "DESCRIPTION", least: 12, spare: true},
				{title: "ID", spare: true},
			}}
			for _, each := range apis {
				t.add(each.Name, each.Audience, each.Workspace, strconv.Itoa(len(each.Endpoints)), tokensOf(&each), each.Description, each.ID)
			}
			return s.show(body, func(w *page) { t.write(w) })
		},
	})
	limitFlag(c, &limit)
	return c
}

// tokensOf says what kind of tokens an API gets.
func tokensOf(r *api.ResourceServer) string {
	var out []string
	for _, each := range []string{r.Format, r.Algorithm, r.TokenType} {
		if each != "" {
			out = append(out, each)
		}
	}
	if r.AccessTTL > 0 {
		out = append(out, days(r.AccessTTL))
	}
	if len(out) == 0 {
		return "as configured"
	}
	return strings.Join(out, " ")
}

func (a *remote) apiGetCommand() *cobra.Command {
	return a.command(command{
		use: "get API", short: "Show an API and its endpoints", args: cobra.ExactArgs(1),
		run: func(ctx context.Context, s *session, args []string) error {
			r, answer, err := decoded[api.ResourceServer](ctx, s, request{method: http.MethodGet, path: apiPath(args[0])})
			if err != nil {
				return err
			}
			return s.show(answer.body, func(w *page) { s.writeAPI(w, r) })
		},
	})
}

func (s *session) writeAPI(w *page, r *api.ResourceServer) {
	var f facts
	f.add("name", r.Name)
	f.add("id", r.ID)
	f.add("description", r.Description)
	f.add("audience", r.Audience)
	f.more("hosts", r.Hosts)
	f.add("workspace", r.Workspace)
	var shares []string
	for _, share := range r.SharedWith {
		shares = append(shares, strings.TrimSpace(share.Workspace+" "+strings.Join(share.Tags, ",")))
	}
	f.more("shared with", shares)
	f.add("workspace from", r.WorkspaceFrom)
	f.add("tokens", tokensOf(r))
	f.more("introspectors", r.Introspectors)
	if r.MaxStaleness > 0 {
		f.add("max staleness", days(r.MaxStaleness))
	}
	var relaxed []string
	for _, each := range []struct {
		name string
		on   bool
	}{{"semicolon", r.Semicolon}, {"encoded slash", r.EncodedSlash}, {"double slash", r.DoubleSlash}, {"non-ascii", r.NonASCII}, {"fold case", r.FoldCase}} {
		if each.on {
			relaxed = append(relaxed, each.name)
		}
	}
	f.add("certificates", r.CertHeader)
	if r.Delegation {
		f.add("delegation", "it takes tokens of clients that act for others")
	}
	if r.EvaluateIDs {
		f.add("evaluates ids", "introspectors may ask about clients and accounts by id")
	}
	if r.StatusList {
		f.add("status list", "its JWTs name their place in one")
	}
	f.add("paths may have", strings.Join(relaxed, ", "))
	f.add("created", s.at(r.CreatedAt))
	f.write(w)
	for _, text := range r.Warnings {
		w.println("\nwarning: " + printable(text))
	}
	w.println()
	endpointTable(r.Endpoints, r.Public).write(w)
}

func endpointTable(endpoints, public []api.Endpoint) *table {
	t := &table{none: "It has no endpoints; rules may name any path.", columns: []column{
		{title: "METHODS", least: 7}, {title: "PATH", least: 20}, {title: "SUMMARY", least: 16}, {title: "TAGS", least: 8, spare: true},
	}}
	for _, e := range endpoints {
		what := e.Summary
		if e.GraphQL {
			what = strings.TrimSpace("GraphQL. " + what)
		}
		t.add(e.Methods, e.Path, what, strings.Join(e.Tags, ", "))
	}
	for _, e := range public {
		t.add(e.Methods, e.Path, strings.TrimSpace("public: no token is needed. "+e.Summary), strings.Join(e.Tags, ", "))
	}
	return t
}

func apiFlags(c *cobra.Command, p patch) {
	p.text(c, "audience", "audience", "what its tokens are for: an absolute URI, or a name")
	p.text(c, "description", "description", "what it does")
	p.list(c, "host", "hosts", "host `name` it is called by; may be repeated, \"\" is any")
	p.text(c, "format", "format", "of its tokens: jwt or opaque; \"\" is as configured")
	p.text(c, "algorithm", "algorithm", "that signs its tokens: ES256, EdDSA or RS256")
	p.text(c, "token-type", "token_type", "typ of its tokens: at+jwt or JWT")
	p.seconds(c, "access-ttl", "access_ttl", "how long its tokens live, such as 15m")
	p.list(c, "introspector", "introspectors", "client that may introspect its tokens, by id; may be repeated")
	p.text(c, "workspace-from", "workspace_from", "fixed, or param:NAME for a parameter of the path")
	p.text(c, "certificate-header", "certificate_header", "header in which its gateways pass the client's certificate")
	p.seconds(c, "max-staleness", "max_staleness", "refuse decisions from a state older than this")
	p.endpoints(c, "endpoint", "endpoints", false, "such as 'GET,HEAD /orders/{order}'; may be repeated, \"\" is none")
	p.endpoints(c, "graphql", "endpoints", true, "endpoint that speaks GraphQL, such as 'POST /graphql', beside those of --endpoint; may be repeated")
	p.endpoints(c, "public", "public", false, "endpoint that needs no token; may be repeated, \"\" is none")
	p.shares(c, "share", "shared_with", "workspace that may use it, or WORKSPACE:TAG,TAG; may be repeated, \"\" is none")
	for _, each := range []struct{ flag, name, what string }{
		{"semicolon", "semicolon", "a ; in a segment"},
		{"encoded-slash", "encoded_slash", "%2F in a segment"},
		{"double-slash", "double_slash", "// in a path"},
		{"non-ascii", "non_ascii", "raw bytes beyond ASCII"},
	} {
		p.truth(c, each.flag, each.name, "its upstream takes "+each.what+" as an ordinary part of a path")
	}
	p.truth(c, "fold-case", "fold_case", "its upstream ignores case in paths")
	p.truth(c, "delegation", "delegation", "it takes tokens of clients that act for others")
	p.truth(c, "status-list", "status_list", "its JWTs name a place in a status list")
	p.truth(c, "evaluate-ids", "evaluate_ids", "its introspectors may ask about clients and accounts by id (AuthZEN)")
}

// endpoints is a flag for "METHODS PATH", its methods parted by commas.
func (p patch) endpoints(c *cobra.Command, flag, name string, graphql bool, usage string) {
	c.Flags().Func(flag, usage, func(value string) error {
		list, _ := p[name].([]api.Endpoint)
		if list == nil {
			list = []api.Endpoint{}
		}
		if value != "" {
			rule, err := parseRule(value)
			if err != nil || rule.Scope != "" || rule.Operation != "" {
				return fmt.Errorf("must be methods and a path, such as 'GET,HEAD /orders/{order}'")
			}
			list = append(list, api.Endpoint{Methods: rule.Methods, Path: rule.Path, GraphQL: graphql})
		}
		p[name] = list
		return nil
	})
}

// shares is a flag for "WORKSPACE" or "WORKSPACE:TAG,TAG".
func (p patch) shares(c *cobra.Command, flag, name, usage string) {
	c.Flags().Func(flag, usage, func(value string) error {
		list, _ := p[name].([]api.Share)
		if list == nil {
			list = []api.Share{}
		}
		if value != "" {
			workspace, tags, tagged := strings.Cut(value, ":")
			share := api.Share{Workspace: workspace}
			if tagged {
				share.Tags = strings.Split(tags, ",")
			}
			list = append(list, share)
		}
		p[name] = list
		return nil
	})
}

func (a *remote) apiCreateCommand() *cobra.Command {
	p := patch{}
	var workspace string
	c := a.command(command{
		use: "create NAME --audience URI", short: "Register an API", args: cobra.ExactArgs(1),
		example: `  postern api create orders --audience https://orders.example.com \
    --endpoint 'GET,HEAD /orders/{order}' --endpoint 'POST /orders'`,
		run: func(ctx context.Context, s *session, args []string) error {
			p["name"], p["workspace"] = args[0], workspace
			r, answer, err := decoded[api.ResourceServer](ctx, s, request{method: http.MethodPost, path: "/apis", body: p})
			if err != nil {
				return err
			}
			return s.show(answer.body, func(w *page) {
				w.printf("The API is registered.\n\n")
				s.writeAPI(w, r)
			})
		},
	})
	c.Flags().StringVar(&workspace, "workspace", "default", "workspace that owns it")
	apiFlags(c, p)
	return c
}

func (a *remote) apiEditCommand() *cobra.Command {
	p := patch{}
	c := a.command(command{
		use: "edit API", short: "Edit an API", args: cobra.ExactArgs(1),
		run: func(ctx context.Context, s *session, args []string) error {
			r, answer, err := edited[api.ResourceServer](ctx, s, apiPath(args[0]), p)
			if err != nil {
				return err
			}
			return s.show(answer.body, func(w *page) { s.writeAPI(w, r) })
		},
	})
	apiFlags(c, p)
	return c
}

func (a *remote) apiDeleteCommand() *cobra.Command {
	return a.command(command{
		use: "delete API", short: "Delete an API that no role names", args: cobra.ExactArgs(1),
		run: func(ctx context.Context, s *session, args []string) error {
			before, err := s.call(ctx, request{method: http.MethodGet, path: apiPath(args[0])})
			if err != nil {
				return err
			}
			return s.done(ctx, request{method: http.MethodDelete, path: apiPath(args[0]), match: before.etag})
		},
	})
}

func (a *remote) apiImportCommand() *cobra.Command {
	var dryRun bool
	c := a.command(command{
		use: "import API FILE", short: "Replace an API's endpoints by those of an OpenAPI document", args: cobra.ExactArgs(2),
		run: func(ctx context.Context, s *session, args []string) error {
			document, err := readFile(ctx, s.cmd, args[1])
			if err != nil {
				return err
			}
			before, err := s.call(ctx, request{method: http.MethodGet, path: apiPath(args[0])})
			if err != nil {
				return err
			}
			q := url.Values{}
			if dryRun {
				q.Set("dry_run", "true")
			}
			in, answer, err := decoded[api.Imported](ctx, s, request{
				method: http.MethodPost, path: apiPath(args[0]) + "/openapi", query: q, body: document, match: before.etag,
			})
			if err != nil {
				return err
			}
			err = s.show(answer.body, func(w *page) {
				what := "The API has %d endpoints now.\n\n"
				if dryRun {
					what = "The API would have %d endpoints; nothing is changed.\n\n"
				}
				w.printf(what, len(in.Endpoints))
				endpointTable(in.Endpoints, nil).write(w)
			})
			s.warnings(in.Warnings)
			return err
		},
	})
	c.Flags().BoolVar(&dryRun, "dry-run", false, "only say what would come of it")
	return c
}
