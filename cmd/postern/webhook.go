package main

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"postern/server/api"
)

func (a *remote) webhookCommands() *cobra.Command {
	return group("webhook", "Manage webhooks: who is told of what happens to clients",
		a.webhookListCommand(), a.webhookGetCommand(), a.webhookCreateCommand(), a.webhookEditCommand(), a.webhookDeleteCommand(),
		a.webhookRotateCommand(), a.webhookTestCommand(), a.webhookDeliveriesCommand(), a.webhookRetryCommand())
}

func webhookPath(id string) string { return "/webhooks/" + escape(id) }

func (a *remote) webhookListCommand() *cobra.Command {
	query := url.Values{}
	var limit int
	c := a.command(command{
		use: "list", short: "List webhooks",
		run: func(ctx context.Context, s *session, _ []string) error {
			all, body, err := pages[api.Webhook](ctx, s, "/webhooks", query, limit)
			if err != nil {
				return err
			}
			t := &table{none: "There are no webhooks.", columns: []column{
				{title: "ID"}, {title: "NAME", least: 8}, {title: "URL", least: 12}, {title: "STATE"}, {title: "WORKSPACE", spare: true}, {title: "EVENTS", spare: true},
			}}
			for _, w := range all {
				t.add(w.ID, w.Name, w.URL, webhookState(&w), webhookWorkspace(&w), webhookEvents(&w))
			}
			return s.show(body, func(w *page) { t.write(w) })
		},
	})
	filters(c, query, map[string]string{"workspace": "only those of this workspace"})
	limitFlag(c, &limit)
	return c
}

func webhookState(w *api.Webhook) string {
	if w.Disabled {
		return "disabled"
	}
	return "enabled"
}

func webhookWorkspace(w *api.Webhook) string {
	if w.Workspace == "" {
		return "all"
	}
	return w.Workspace
}

func webhookEvents(w *api.Webhook) string {
	if len(w.Events) == 0 {
		return "all"
	}
	return strings.Join(w.Events, " ")
}

func (a *remote) webhookGetCommand() *cobra.Command {
	c := a.command(command{
		use: "get WEBHOOK", short: "Show a webhook, never its signing secret", args: cobra.ExactArgs(1),
		run: func(ctx context.Context, s *session, args []string) error {
			w, answer, err := decoded[api.Webhook](ctx, s, request{method: http.MethodGet, path: webhookPath(args[0])})
			if err != nil {
				return err
			}
			return s.show(answer.body, func(p *page) { s.writeWebhook(p, w) })
		},
	})
	c.Aliases = []string{"show"}
	return c
}

func (s *session) writeWebhook(p *page, w *api.Webhook) {
	var f facts
	f.add("id", w.ID)
	f.add("name", w.Name)
	f.add("url", w.URL)
	f.add("state", webhookState(w))
	f.add("workspace", webhookWorkspace(w))
	f.more("events", w.Events)
	if len(w.Events) == 0 {
		f.add("events", "all")
	}
	f.add("created", s.at(w.CreatedAt))
	f.write(p)
}

func webhookFlags(c *cobra.Command, p patch) {
	p.text(c, "name", "name", "what it is called")
	p.list(c, "event", "events", "`event` that it gets, such as client.expiring; may be repeated; none is all")
	p.truth(c, "disabled", "disabled", "whether nothing is sent to it")
}

func (a *remote) webhookCreateCommand() *cobra.Command {
	p := patch{}
	var workspace string
	var all bool
	c := a.command(command{
		use: "create URL", short: "Create a webhook and show its signing secret, once", args: cobra.ExactArgs(1),
		long: `Create a webhook: Postern posts events to the URL, signed as Standard Webhooks
has it. The signing secret is shown this once.`,
		example: `  postern webhook create https://hooks.example.com/postern \
    --event client.expiring`,
		run: func(ctx context.Context, s *session, args []string) error {
			p["url"] = args[0]
			if !all {
				p["workspace"] = workspace
			}
			return s.newWebhook(ctx, request{method: http.MethodPost, path: "/webhooks", body: p})
		},
	})
	c.Flags().StringVar(&workspace, "workspace", "default", "workspace whose events it gets")
	c.Flags().BoolVar(&all, "all", false, "it gets the events of every workspace, and of the installation")
	c.MarkFlagsMutuallyExclusive("workspace", "all")
	webhookFlags(c, p)
	return c
}

// newWebhook shows a signing secret.
func (s *session) newWebhook(ctx context.Context, r request) error {
	made, answer, err := decoded[api.NewWebhook](ctx, s, r)
	if err != nil {
		return err
	}
	return s.show(answer.body, func(p *page) {
		p.println(printable(made.Message) + "\n")
		s.writeWebhook(p, made.Webhook)
		p.println("\nsigning secret  " + printable(made.SigningSecret))
	})
}

func (a *remote) webhookEditCommand() *cobra.Command {
	p := patch{}
	c := a.command(command{
		use: "edit WEBHOOK", short: "Edit, disable or enable a webhook", args: cobra.ExactArgs(1),
		example: `  postern webhook edit hok… --disabled=false`,
		run: func(ctx context.Context, s *session, args []string) error {
			w, answer, err := edited[api.Webhook](ctx, s, webhookPath(args[0]), p)
			if err != nil {
				return err
			}
			return s.show(answer.body, func(page *page) { s.writeWebhook(page, w) })
		},
	})
	p.text(c, "url", "url", "where events are posted")
	webhookFlags(c, p)
	return c
}

func (a *remote) webhookDeleteCommand() *cobra.Command {
	return a.command(command{
		use: "delete WEBHOOK", short: "Delete a webhook; what waits for it is not sent", args: cobra.ExactArgs(1),
		run: func(ctx context.Context, s *session, args []string) error {
			return s.done(ctx, request{method: http.MethodDelete, path: webhookPath(args[0])})
		},
	})
}

func (a *remote) webhookRotateCommand() *cobra.Command {
	return a.command(command{
		use: "rotate WEBHOOK", short: "Make a new signing secret; the old one ends in 24 hours", args: cobra.ExactArgs(1),
		run: func(ctx context.Context, s *session, args []string) error {
			return s.newWebhook(ctx, request{method: http.MethodPost, path: webhookPath(args[0]) + "/secret"})
		},
	})
}

func (a *remote) webhookTestCommand() *cobra.Command {
	return a.command(command{
		use: "test WEBHOOK", short: "Send a test event to a webhook", args: cobra.ExactArgs(1),
		long: `Send a test event to a webhook. It is on its way then: postern webhook
deliveries shows how it went.`,
		run: func(ctx context.Context, s *session, args []string) error {
			return s.delivery(ctx, request{method: http.MethodPost, path: webhookPath(args[0]) + "/test"})
		},
	})
}

func (a *remote) webhookRetryCommand() *cobra.Command {
	return a.command(command{
		use: "retry WEBHOOK DELIVERY", short: "Send an event once more, by its old id", args: cobra.ExactArgs(2),
		run: func(ctx context.Context, s *session, args []string) error {
			path := webhookPath(args[0]) + "/deliveries/" + escape(args[1]) + "/retry"
			return s.delivery(ctx, request{method: http.MethodPost, path: path})
		},
	})
}

func (s *session) delivery(ctx context.Context, r request) error {
	d, answer, err := decoded[api.Delivery](ctx, s, r)
	if err != nil {
		return err
	}
	return s.show(answer.body, func(p *page) {
		var f facts
		f.add("delivery", d.ID)
		f.add("event", d.Event)
		f.add("status", d.Status)
		f.write(p)
	})
}

func (a *remote) webhookDeliveriesCommand() *cobra.Command {
	query := url.Values{}
	var limit int
	c := a.command(command{
		use: "deliveries WEBHOOK", short: "List what was sent to a webhook, and what waits", args: cobra.ExactArgs(1),
		long: `List what was sent to a webhook, and what waits, the newest first. An ended
delivery is kept for 30 days.`,
		run: func(ctx context.Context, s *session, args []string) error {
			all, body, err := pages[api.Delivery](ctx, s, webhookPath(args[0])+"/deliveries", query, limit)
			if err != nil {
				return err
			}
			t := &table{none: "Nothing was sent to it.", columns: []column{
				{title: "ID"},
				{title: "EVENT", least: 10},
				{title: "STATUS"},
				{title: "TRIES"},
				{title: "HTTP"},
				{title: "LAST TRY"},
				{title: "ERROR", spare: true},
				{title: "NEXT TRY", spare: true},
			}}
			for _, d := range all {
				code := ""
				if d.LastStatus != 0 {
					code = strconv.FormatInt(d.LastStatus, 10)
				}
				next := ""
				if d.DueAt != 0 {
					next = s.at(d.DueAt)
				}
				t.add(d.ID, d.Event, d.Status, strconv.FormatInt(d.Tries, 10), code, s.ago(d.LastTryAt), d.LastError, next)
			}
			return s.show(body, func(w *page) { t.write(w) })
		},
	})
	filters(c, query, map[string]string{"status": "only those that are waiting, done or failed"})
	limitFlag(c, &limit)
	return c
}
