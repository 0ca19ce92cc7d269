package store

import "encoding/json"

// Webhook is a receiver of events (deliveries) over HTTPS.
type Webhook struct {
	ID        WebhookID   `json:"_id"`
	Revision  int64       `json:"revision"`
	Workspace WorkspaceID `json:"workspace,omitempty"` // whose events; empty is those of every one
	Name      string      `json:"name"`                // free text
	URL       string      `json:"url"`
	Events    []string    `json:"events,omitempty"` // "client.expiring"; empty is all
	Sealed    []byte      `json:"sealed,omitempty"` // the key that signs, sealed by the key-encryption key
	Disabled  bool        `json:"disabled,omitempty"`
	CreatedAt Time        `json:"created_at"`
	CreatedBy AccountID   `json:"created_by,omitempty"`
}

// Kind is KindWebhook.
func (w *Webhook) Kind() Kind { return KindWebhook }

// Key is the webhook's id.
func (w *Webhook) Key() string { return string(w.ID) }

// Rev is the webhook's revision.
func (w *Webhook) Rev() int64 { return w.Revision }

// WithRev returns a copy at another revision.
func (w *Webhook) WithRev(rev int64) Record {
	copied := *w
	copied.Revision = rev
	return &copied
}

// DeliveryStatus is how far a delivery is.
type DeliveryStatus string

// The statuses of a delivery.
const (
	DeliveryWaiting DeliveryStatus = "waiting"
	DeliveryDone    DeliveryStatus = "done"
	DeliveryFailed  DeliveryStatus = "failed" // given up
)

// Delivery is one event on its way to one receiver, and the log of how it went.
// It is written in the transaction of the change that it tells of, so none is
// lost; its id lets the receiver drop what comes twice.
type Delivery struct {
	ID        DeliveryID      `json:"_id"`
	Revision  int64           `json:"revision"`
	Webhook   WebhookID       `json:"webhook,omitempty"`
	Mail      AccountID       `json:"mail,omitempty"` // to a person instead
	Workspace WorkspaceID     `json:"workspace,omitempty"`
	Event     string          `json:"event"` // "client.expiring"
	Body      json.RawMessage `json:"body,omitempty"`
	CreatedAt Time            `json:"created_at"`

	Status     DeliveryStatus `json:"status"`
	DueAt      Time           `json:"due_at,omitempty"` // of the next try, while it waits
	Tries      int64          `json:"tries,omitempty"`
	LastTryAt  Time           `json:"last_try_at,omitempty"`
	LastStatus int64          `json:"last_status,omitempty"` // of HTTP; 0 is no answer
	LastMillis int64          `json:"last_millis,omitempty"`
	LastSize   int64          `json:"last_size,omitempty"` // of the answer in bytes
	LastError  string         `json:"last_error,omitempty"`
	ExpiresAt  Time           `json:"expires_at,omitempty"` // it is deleted then; set when it is done or failed
}

// Kind is KindDelivery.
func (d *Delivery) Kind() Kind { return KindDelivery }

// Key is the delivery's id.
func (d *Delivery) Key() string { return string(d.ID) }

// Rev is the delivery's revision.
func (d *Delivery) Rev() int64 { return d.Revision }

// WithRev returns a copy at another revision.
func (d *Delivery) WithRev(rev int64) Record {
	copied := *d
	copied.Revision = rev
	return &copied
}

// DeliveryQuery asks for deliveries. Conditions are joined by and.
type DeliveryQuery struct {
	Webhook WebhookID
	Mail    bool // only those to people
	Status  DeliveryStatus
	// DueBy asks for those that wait and are due by then, the most overdue first.
	// Without it they come by id, after After; with Newest from the greatest id
	// down. NewDeliveryID makes ids that are in the order of their making.
	DueBy  Time
	Newest bool
	After  DeliveryID
	Limit  int // 0 is 50
}
