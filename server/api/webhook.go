package api

import (
	"context"

	"postern/server/admin"
	"postern/server/secret"
	"postern/store"
)

// Webhook is a receiver of events as it is shown.
type Webhook struct {
	ID        string   `json:"id"`
	Workspace string   `json:"workspace,omitempty" doc:"Whose events it gets; absent for those of every one and of the installation."`
	Name      string   `json:"name"`
	URL       string   `json:"url"`
	Events    []string `json:"events" doc:"Empty for all."`
	Disabled  bool     `json:"disabled"`
	CreatedAt Time     `json:"created_at"`
	Revision  int64    `json:"revision"`
}

// WebhookPatch is the body of PATCH /webhooks/{webhook}.
type WebhookPatch struct {
	Name     Maybe[string]   `json:"name,omitzero"`
	URL      *string         `json:"url,omitempty" format:"uri" doc:"https, without a user or a fragment."`
	Events   Maybe[[]string] `json:"events,omitzero" doc:"Such as client.expiring; null and empty are all."`
	Disabled *bool           `json:"disabled,omitempty"`
}

// WebhookCreate is the body of POST /webhooks.
type WebhookCreate struct {
	Workspace string `json:"workspace,omitempty" doc:"Whose events it gets, by id or name; absent for those of every one and of the installation."`
	WebhookPatch
}

// NewWebhook is a webhook with its new signing key.
type NewWebhook struct {
	Message       string   `json:"message"`
	Webhook       *Webhook `json:"webhook"`
	SigningSecret string   `json:"signing_secret" doc:"whsec_ and base64, as Standard Webhooks has it. It is shown this once."`
}

// Delivery is one event on its way to one webhook.
type Delivery struct {
	ID         string `json:"id" doc:"Sent as webhook-id, the same at each try."`
	Event      string `json:"event"`
	Status     string `json:"status" enum:"waiting,done,failed"`
	CreatedAt  Time   `json:"created_at"`
	DueAt      Time   `json:"due_at" doc:"Of the next try."`
	Tries      int64  `json:"tries"`
	LastTryAt  Time   `json:"last_try_at"`
	LastStatus int64  `json:"last_status,omitempty" doc:"Of the answer; absent if there was none."`
	LastMillis int64  `json:"last_millis,omitempty"`
	LastSize   int64  `json:"last_size,omitempty" doc:"Of the answer, in bytes; it is not kept."`
	LastError  string `json:"last_error,omitempty"`
	Revision   int64  `json:"revision"`
}

// WebhookPath names a webhook.
type WebhookPath struct {
	Webhook string `path:"webhook" maxLength:"64"`
}

type webhookAnswer struct {
	ETag string `header:"ETag"`
	Body *Webhook
}

type newWebhookAnswer struct {
	ETag string `header:"ETag"`
	Body NewWebhook
}

type deliveryAnswer struct{ Body *Delivery }

type deliveriesInput struct {
	WebhookPath
	Page
	Status string `query:"status" enum:"waiting,done,failed"`
}

func (m *mounted) webhooks() {
	register(m, "webhook.list", func(ctx context.Context, by *admin.Actor, in *struct {
		Page
		Workspace string `query:"workspace" doc:"Id or name."`
	},
	) (*listAnswer[*Webhook], error) {
		all, err := m.Admin.Webhooks(ctx, by, in.Workspace)
		if err != nil {
			return nil, err
		}
		// The workspace and name are what they are sorted by, and the id tells equal ones apart.
		key := func(w *store.Webhook) string { return string(w.Workspace) + "\x00" + w.Name + "\x00" + string(w.ID) }
		return pageOf(m.API, in.Page, []string{"webhooks", in.Workspace}, all, key, m.wireWebhook)
	})
	register(m, "webhook.create", func(ctx context.Context, by *admin.Actor, in *struct {
		Repeatable
		Body WebhookCreate
	},
	) (*newWebhookAnswer, error) {
		made := in.Body.input()
		made.Workspace = in.Body.Workspace
		w, key, err := m.Admin.CreateWebhook(ctx, by, made)
		return m.newWebhook("The webhook is created. Save its signing secret: it is not shown again.", w, key, err)
	}, created)
	register(m, "webhook.get", func(ctx context.Context, by *admin.Actor, in *WebhookPath) (*webhookAnswer, error) {
		w, err := m.Admin.Webhook(ctx, by, in.Webhook)
		return m.webhook(w, err)
	})
	register(m, "webhook.edit", func(ctx context.Context, by *admin.Actor, in *struct {
		WebhookPath
		Condition
		Body WebhookPatch
	},
	) (*webhookAnswer, error) {
		w, err := m.Admin.EditWebhook(ctx, by, in.Webhook, in.Body.input(), in.revision())
		return m.webhook(w, err)
	})
	register(m, "webhook.delete", func(ctx context.Context, by *admin.Actor, in *WebhookPath) (*messageAnswer, error) {
		err := m.Admin.DeleteWebhook(ctx, by, in.Webhook)
		return &messageAnswer{Message{"The webhook is deleted."}}, err
	})
	register(m, "webhook.rotate", func(ctx context.Context, by *admin.Actor, in *WebhookPath) (*newWebhookAnswer, error) {
		w, key, err := m.Admin.RotateWebhook(ctx, by, in.Webhook)
		return m.newWebhook("This is the new signing secret. The old one signs beside it for 24 hours.", w, key, err)
	}, created)
	register(m, "webhook.test", func(ctx context.Context, by *admin.Actor, in *WebhookPath) (*deliveryAnswer, error) {
		d, err := m.Admin.TestWebhook(ctx, by, in.Webhook)
		return delivery(d, err)
	}, created)
	register(m, "webhook.deliveries", m.deliveries)
	register(m, "delivery.retry", func(ctx context.Context, by *admin.Actor, in *struct {
		WebhookPath
		Delivery string `path:"delivery" maxLength:"64"`
	},
	) (*deliveryAnswer, error) {
		d, err := m.Admin.RetryDelivery(ctx, by, in.Webhook, in.Delivery)
		return delivery(d, err)
	})
}

func (m *mounted) deliveries(ctx context.Context, by *admin.Actor, in *deliveriesInput) (*listAnswer[*Delivery], error) {
	question := *in
	question.Page = Page{}
	q := store.DeliveryQuery{Status: store.DeliveryStatus(in.Status), Limit: in.Limit + 1}
	if in.Cursor != "" {
		if err := m.Admin.OpenCursor(in.Cursor, question, &q.After); err != nil {
			return nil, err
		}
	}
	found, err := m.Admin.Deliveries(ctx, by, in.Webhook, q)
	if err != nil {
		return nil, err
	}
	return pageFrom(m.API, in.Page, question, found, func(d *store.Delivery) any { return d.ID }, wireDelivery)
}

func (b *WebhookPatch) input() admin.WebhookInput {
	return admin.WebhookInput{Name: b.Name.pointer(), URL: b.URL, Events: b.Events.pointer(), Disabled: b.Disabled}
}

func (m *mounted) webhook(w *store.Webhook, err error) (*webhookAnswer, error) {
	if err != nil {
		return nil, err
	}
	return &webhookAnswer{etag(w.Revision), m.wireWebhook(w)}, nil
}

func (m *mounted) newWebhook(message string, w *store.Webhook, key secret.Secret, err error) (*newWebhookAnswer, error) {
	if err != nil {
		return nil, err
	}
	return &newWebhookAnswer{etag(w.Revision), NewWebhook{message, m.wireWebhook(w), key.Reveal()}}, nil
}

func (m *mounted) wireWebhook(w *store.Webhook) *Webhook {
	out := &Webhook{
		ID: string(w.ID), Name: w.Name, URL: w.URL, Events: orEmpty(w.Events), Disabled: w.Disabled,
		CreatedAt: Time(w.CreatedAt), Revision: w.Revision,
	}
	if w.Workspace != "" {
		out.Workspace = m.Admin.WorkspaceName(w.Workspace)
	}
	return out
}

func delivery(d *store.Delivery, err error) (*deliveryAnswer, error) {
	if err != nil {
		return nil, err
	}
	return &deliveryAnswer{wireDelivery(d)}, nil
}

func wireDelivery(d *store.Delivery) *Delivery {
	return &Delivery{
		ID: string(d.ID), Event: d.Event, Status: string(d.Status), CreatedAt: Time(d.CreatedAt), DueAt: Time(d.DueAt), Tries: d.Tries,
		LastTryAt: Time(d.LastTryAt), LastStatus: d.LastStatus, LastMillis: d.LastMillis, LastSize: d.LastSize, LastError: d.LastError, Revision: d.Revision,
	}
}
