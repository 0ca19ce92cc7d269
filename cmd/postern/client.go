package main

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"postern/server/api"
	"postern/store"
)

func (a *remote) clientCommands() *cobra.Command {
	secret := group("secret", "Manage the secrets of a client",
		a.secretListCommand(), a.secretAddCommand(), a.secretRetireCommand(), a.secretRevokeCommand())
	return group("client", "Manage clients: who may get tokens, with which rights, until when",
		a.clientListCommand(), a.clientGetCommand(), a.clientUnusedCommand(), a.clientCreateCommand(), a.clientEditCommand(),
		a.clientChange("confirm", "Confirm that the secret is saved, which activates the client"),
		a.clientRotateCommand(), a.clientRevokeCommand(),
		a.clientChange("restore", "Restore a revoked client: its secrets work again"),
		a.clientDeleteCommand(), a.clientRenewCommand(), a.clientTakeOverCommand(), secret)
}

func (a *remote) clientListCommand() *cobra.Command {
	query := url.Values{}
	var limit int
	var unused, orphaned, desc bool
	var expiresBy string
	c := a.command(command{
		use: "list", short: "List clients with their roles and last access",
		run: func(ctx context.Context, s *session, _ []string) error {
			if unused {
				query.Set("unused", "true")
			}
			if orphaned {
				query.Set("orphaned", "true")
			}
			if desc {
				query.Set("desc", "true")
			}
			if expiresBy != "" {
				at, err := moment(expiresBy, s.now, +1)
				if err != nil {
					return usageError("--expires-by: %w", err)
				}
				query.Set("expires_by", at)
			}
			clients, body, err := pages[api.Client](ctx, s, "/clients", query, limit)
			if err != nil {
				return err
			}
			return s.show(body, func(w *page) { s.clientTable(clients).write(w) })
		},
	})
	filters(c, query, map[string]string{
		"workspace": "only those of this workspace", "account": "only those that act as this account, by id", "kind": "service or personal",
		"status": "pending, active, revoked or expired", "search": "part of the name, description, key or id",
		"responsible": "only those that this person answers for, by id or name", "sort": "name, created, expires or last_use",
	})
	f := c.Flags()
	f.BoolVar(&unused, "unused", false, "only those that were never used")
	f.BoolVar(&orphaned, "orphaned", false, "only service clients whose responsible person is deactivated, deleted or missing")
	f.BoolVar(&desc, "desc", false, "the last ones first")
	f.StringVar(&expiresBy, "expires-by", "", "only those that expire until then: a time, or 30d from now")
	limitFlag(c, &limit)
	return c
}

// filters adds flags that go into a query as they are.
func filters(c *cobra.Command, query url.Values, texts map[string]string) {
	for name, text := range texts {
		c.Flags().Func(name, text, func(value string) error { set(query, name, value); return nil })
	}
}

func limitFlag(c *cobra.Command, limit *int) {
	c.Flags().IntVar(limit, "limit", 100, "at most so many; 0 is all")
}

func (s *session) clientTable(clients []api.Client) *table {
	t := &table{none: "There are no clients.", columns: []column{
		{title: "ID"},
		{title: "NAME", least: 10},
		{title: "ROLES", least: 8},
		{title: "STATUS"},
		{title: "LAST USED"},
		{title: "EXPIRES", spare: true},
		{title: "CREATED", spare: true},
		{title: "BY", least: 8, spare: true},
		{title: "DESCRIPTION", least: 12, spare: true},
	}}
	for _, c := range clients {
		t.add(c.ID, c.Name, shortRefs(c.Workspace, c.Roles), c.Status, s.lastUsed(&c), s.expires(c.ExpiresAt), s.ago(c.CreatedAt), nameOf(c.CreatedBy), c.Description)
	}
	return t
}

// shortRefs names roles without the workspace that they are in anyway.
func shortRefs(workspace string, refs []string) string {
	short := make([]string, len(refs))
	for i, ref := range refs {
		short[i] = strings.TrimPrefix(ref, workspace+"/")
	}
	return strings.Join(short, ", ")
}

func (s *session) lastUsed(c *api.Client) string {
	if !c.Used {
		return "not used"
	}
	return s.ago(c.LastUsedAt)
}

func (s *session) expires(t api.Time) string {
	if t == 0 {
		return "never"
	}
	return s.ago(t)
}

func nameOf(r *api.Reference) string {
	switch {
	case r == nil:
		return ""
	case r.Name != "":
		return r.Name
	default:
		return r.ID
	}
}

func (a *remote) clientGetCommand() *cobra.Command {
	return a.command(command{
		use: "get CLIENT", short: "Show a client, its secrets and its last access", args: cobra.ExactArgs(1),
		run: func(ctx context.Context, s *session, args []string) error {
			c, answer, err := decoded[api.Client](ctx, s, request{method: http.MethodGet, path: clientPath(args[0])})
			if err != nil {
				return err
			}
			return s.show(answer.body, func(w *page) { s.writeClient(w, c) })
		},
	})
}

func clientPath(id string, more ...string) string {
	return "/clients/" + strings.Join(append([]string{escape(id)}, more...), "/")
}

func (s *session) writeClient(w *page, c *api.Client) {
	var f facts
	f.add("id", c.ID)
	f.add("key", c.Key)
	f.add("name", c.Name)
	f.add("description", c.Description)
	f.add("kind", c.Kind)
	status := c.Status
	if c.RevokedAt != 0 {
		status += " " + s.at(c.RevokedAt)
	}
	if c.RevokedReason != "" {
		status += ", reason: " + c.RevokedReason
	}
	f.add("status", status)
	f.add("workspace", c.Workspace)
	f.add("acts as", nameOf(c.Account))
	f.add("responsible", nameOf(c.Responsible))
	f.more("roles", c.Roles)
	if c.NarrowedTo != nil {
		f.add("narrowed to", "only "+strings.Join(c.NarrowedTo, ", "))
	}
	f.add("default api", c.DefaultAPI)
	f.more("addresses", c.Addresses)
	if c.Bearer {
		f.add("bearer", "its secrets may be sent directly")
	}
	if c.AdminAccess {
		f.add("admin access", "its licence does not bound work on accounts")
	}
	if c.SCIMOnly {
		f.add("scim only", "it is good for SCIM and nothing else")
	}
	f.add("tokens bound to", map[string]string{"certificate": "its certificate", "dpop": "a key that it proves (DPoP)"}[c.Binding])
	f.add("profile", c.Profile)
	created := s.at(c.CreatedAt)
	if by := nameOf(c.CreatedBy); by != "" {
		created += " by " + by
	}
	f.add("created", created)
	f.add("expires", s.expiresAt(c.ExpiresAt))
	f.add("confirm until", s.at(c.ConfirmBy))
	f.more("last used", s.lastUse(c.LastUsedAt, c.LastUsedFrom, c.LastUsedEndpoint))
	f.add("last refused", s.at(c.LastRefusedAt))
	f.write(w)
	for _, text := range c.Warnings {
		w.println("\nwarning: " + printable(text))
	}
	if len(c.Secrets) == 0 {
		return
	}
	w.println()
	s.secretTable(c).write(w)
}

func (s *session) expiresAt(t api.Time) string {
	if t == 0 {
		return "never"
	}
	return s.at(t)
}

// lastUse is when, and on lines of their own from where and for what.
func (s *session) lastUse(t api.Time, from, endpoint string) []string {
	if t == 0 {
		return []string{"not used"}
	}
	lines := []string{s.at(t)}
	if from != "" {
		lines = append(lines, "from "+from)
	}
	if endpoint != "" {
		lines = append(lines, "for "+endpoint)
	}
	return lines
}

func (a *remote) clientCreateCommand() *cobra.Command {
	var in api.ClientCreate
	var bearer bool
	var narrowed []string
	var key keyFlags
	c := a.command(command{
		use: "create NAME", short: "Create a client; its id and secret are made by the server", args: cobra.ExactArgs(1),
		example: `  postern client create "CI runner" --role example-reader --expires 90d
  postern client create "CI runner" --role example-reader --jwk-file public.json`,
		run: func(ctx context.Context, s *session, args []string) error {
			in.Name = args[0]
			if err := key.read(&in.JWK, &in.Cert); err != nil {
				return err
			}
			if s.cmd.Flags().Changed("bearer") {
				in.Bearer = &bearer
			}
			if s.cmd.Flags().Changed("narrow") {
				in.NarrowedTo = &narrowed
			}
			return s.newSecret(ctx, "The client is created.", request{method: http.MethodPost, path: "/clients", body: &in})
		},
	})
	f := c.Flags()
	f.StringVar(&in.Workspace, "workspace", "default", "workspace of the client")
	f.StringArrayVar(&in.Roles, "role", nil, "`role` for it, by name; may be repeated")
	f.StringVar(&in.Description, "description", "", "what it is for")
	f.StringVar(&in.Key, "key", "", "a name of your own for it, unique in the workspace")
	f.StringVar(&in.Account, "account", "", "technical user to act as; a new one by default")
	f.StringVar(&in.DefaultAPI, "api", "", "API that its tokens are for unless it asks for another")
	f.StringVar(&in.ExpiresIn, "expires", "", "30d, 90d, 1y, 12h or never; the server's default otherwise")
	f.StringVar(&in.Label, "label", "", "name of its first secret")
	key.add(c, &in.JWKSURI, &in.CertName)
	f.BoolVar(&bearer, "bearer", false, "its secrets may be sent directly as Authorization: Bearer")
	f.StringArrayVar(&narrowed, "narrow", nil, "leave it only this `role` of its account's; may be repeated")
	f.StringArrayVar(&in.Addresses, "address", nil, "`network` it may call from, such as 10.0.0.0/8; may be repeated")
	f.BoolVar(&in.AdminAccess, "admin-access", false, "its licence does not bound work on accounts")
	f.BoolVar(&in.SCIMOnly, "scim-only", false, "it is good for SCIM and nothing else")
	f.StringVar(&in.Binding, "binding", "", "what its tokens are bound to: certificate or dpop")
	f.StringVar(&in.Profile, "profile", "", "rules that it keeps besides: fapi2")
	f.BoolVar(&in.Confirm, "confirm", false, "it works only after postern client confirm, within 15 minutes")
	return c
}

// newSecret asks for a secret and shows it, once.
func (s *session) newSecret(ctx context.Context, what string, r request) error {
	made, answer, err := decoded[api.NewSecret](ctx, s, r)
	if err != nil {
		return err
	}
	err = s.show(answer.body, func(w *page) {
		w.println(what)
		w.println()
		var f facts
		f.add("client id", made.ClientID)
		f.add("client secret", made.ClientSecret)
		if made.ClientSecret == "" {
			f.add("key", made.SecretID)
		}
		if made.Client != nil {
			f.add("roles", shortRefs(made.Client.Workspace, made.Client.Roles))
			f.add("expires", s.expiresAt(made.Client.ExpiresAt))
		}
		f.write(w)
		w.println()
	})
	warnings := made.Warnings
	if made.ClientSecret != "" {
		warnings = append([]string{"the secret is shown this once; save it now"}, warnings...)
	}
	s.warnings(warnings)
	if made.Client != nil && made.Client.Status == string(store.ClientPending) {
		confirm := "postern client confirm "
		if strings.HasPrefix(r.path, "/me/") {
			confirm = "postern me token confirm "
		}
		s.warnings([]string{"it works once you have said that, within 15 minutes: " + confirm + made.ClientID})
	}
	return err
}

func (a *remote) clientEditCommand() *cobra.Command {
	p := patch{}
	c := a.command(command{
		use: "edit CLIENT", short: "Edit a client", args: cobra.ExactArgs(1),
		example: `  postern client edit cli0123 --name "CI runner" --address 10.0.0.0/8`,
		run: func(ctx context.Context, s *session, args []string) error {
			if err := p.check(s.cmd); err != nil {
				return err
			}
			c, answer, err := decoded[api.Client](ctx, s, request{method: http.MethodPatch, path: clientPath(args[0]), body: p})
			if err != nil {
				return err
			}
			return s.show(answer.body, func(w *page) { s.writeClient(w, c) })
		},
	})
	p.text(c, "name", "name", "new name")
	p.text(c, "description", "description", "what it is for")
	p.text(c, "responsible", "responsible", "account of the person who answers for it")
	p.text(c, "api", "default_api", "API that its tokens are for unless it asks for another")
	p.truth(c, "bearer", "bearer", "its secrets may be sent directly as Authorization: Bearer")
	p.truth(c, "admin-access", "admin_access", "its licence does not bound work on accounts")
	p.truth(c, "scim-only", "scim_only", "it is good for SCIM and nothing else")
	p.text(c, "binding", "binding", "what its tokens are bound to: certificate or dpop, \"\" is nothing")
	p.text(c, "profile", "profile", "rules that it keeps besides: fapi2, \"\" is none")
	p.list(c, "address", "addresses", "`network` it may call from; may be repeated, \"\" is anywhere")
	p.list(c, "narrow", "narrowed_to", "leave it only this `role`; may be repeated, \"\" leaves none")
	c.Flags().BoolFunc("widen", "end the narrowing: it has all roles of its account", func(string) error { p["narrowed_to"] = nil; return nil })
	return c
}

// clientChange is a command that only names a client.
func (a *remote) clientChange(verb, short string) *cobra.Command {
	return a.command(command{
		use: verb + " CLIENT", short: short, args: cobra.ExactArgs(1),
		run: func(ctx context.Context, s *session, args []string) error {
			return s.done(ctx, request{method: http.MethodPost, path: clientPath(args[0], verb)})
		},
	})
}

func (a *remote) clientRevokeCommand() *cobra.Command {
	var body struct {
		Reason string `json:"reason,omitempty"`
	}
	c := a.command(command{
		use: "revoke CLIENT", short: "Revoke a client: nothing of it works any more, at once", args: cobra.ExactArgs(1),
		run: func(ctx context.Context, s *session, args []string) error {
			return s.done(ctx, request{method: http.MethodPost, path: clientPath(args[0], "revoke"), body: &body})
		},
	})
	c.Flags().StringVar(&body.Reason, "reason", "", "why; what is revoked as leaked is never restored")
	return c
}

func (a *remote) clientDeleteCommand() *cobra.Command {
	return a.command(command{
		use: "delete CLIENT", short: "Delete a revoked client for ever", args: cobra.ExactArgs(1),
		run: func(ctx context.Context, s *session, args []string) error {
			return s.done(ctx, request{method: http.MethodDelete, path: clientPath(args[0])})
		},
	})
}
