package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"postern/server/keys"
	"postern/server/lease"
	"postern/server/outbound"
	"postern/store"
)

const (
	leaseID     = "notify"
	leaseLength = 30 * time.Second

	page        = 200 // of what is due
	atOnce      = 32  // sent at once
	perReceiver = 2   // of these to one receiver, so that a slow one holds up no other

	// LogKept is how long a delivery that has ended is kept.
	LogKept = 30 * 24 * time.Hour
)

// waits are the times between tries; after the last one it is given up, three
// days after the first.
//
//nolint:gochecknoglobals // a constant, were there constant lists
var waits = []time.Duration{
	5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour,
	3 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour, 24 * time.Hour,
}

// MaxTries is how often a delivery is tried.
func MaxTries() int { return len(waits) + 1 }

// Store is what a Deliverer reads and writes. It must be the store itself: what
// another node wrote a moment ago counts.
type Store interface {
	lease.Store
	Deliveries(ctx context.Context, q store.DeliveryQuery) ([]*store.Delivery, error)
	Get(ctx context.Context, kind store.Kind, key string) (store.Record, error)
	Account(ctx context.Context, id store.AccountID) (*store.Account, error)
}

// Options configures a Deliverer. Store, KEK, Client and Node are required.
type Options struct {
	Store  Store
	KEK    *keys.KEK
	Client *outbound.Client
	Mailer *Mailer // nil: no mail is sent
	Node   string  // this node's name, unlike any other's

	// Webhooks returns all webhooks, for when more is due than one page holds; nil
	// means none.
	Webhooks func() []*store.Webhook
	// Gone disables a webhook whose receiver answered 410: it wants no more. Nil
	// does nothing.
	Gone func(ctx context.Context, w *store.Webhook) error
	// Observe is told how each try ended: "webhook" or "mail"; "done", "again" or
	// "failed". May be nil.
	Observe func(kind, outcome string)

	Every  time.Duration    // between looks for what is due; zero means 5 s
	Now    func() time.Time // nil means time.Now
	Random func() float64   // in [0, 1), for jitter; nil means a good one
	Log    *slog.Logger     // nil means no log
}

// Deliverer sends what waits in the store.
type Deliverer struct {
	o    Options
	wake chan struct{}

	mu      sync.Mutex
	sending map[store.DeliveryID]bool
	busy    map[string]int // by receiver
	running sync.WaitGroup
}

// New makes a Deliverer. It starts nothing.
func New(o Options) *Deliverer {
	if o.Webhooks == nil {
		o.Webhooks = func() []*store.Webhook { return nil }
	}
	if o.Gone == nil {
		o.Gone = func(context.Context, *store.Webhook) error { return nil }
	}
	if o.Observe == nil {
		o.Observe = func(string, string) {}
	}
	if o.Every == 0 {
		o.Every = 5 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Random == nil {
		o.Random = rand.Float64
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Deliverer{o: o, wake: make(chan struct{}, 1), sending: map[store.DeliveryID]bool{}, busy: map[string]int{}}
}

// Wake makes Run look now. It does not wait, and may be called before Run.
func (d *Deliverer) Wake() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// Run delivers until ctx is done. What is being sent then is sent again by the
// next start. An outage of the store only delays it.
func (d *Deliverer) Run(ctx context.Context) error {
	tick := time.NewTicker(d.o.Every)
	defer tick.Stop()
	defer d.running.Wait()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-d.wake:
		}
		err := d.round(ctx)
		if errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrExists) {
			err = nil // another node took the lease
		}
		if err != nil && !failing && ctx.Err() == nil { // one line an outage
			d.o.Log.WarnContext(ctx, "nothing is delivered to webhooks and people", "error", err)
		}
		failing = err != nil
	}
}

func (d *Deliverer) now() store.Time { return store.At(d.o.Now()) }

// round starts to send what is due, as far as there is room.
func (d *Deliverer) round(ctx context.Context) error {
	due, err := d.due(ctx)
	if err != nil || len(due) == 0 { // without anything due nothing is written
		return err
	}
	ours, err := lease.Take(ctx, d.o.Store, leaseID, d.o.Node, d.now(), max(3*d.o.Every, leaseLength))
	if err != nil || !ours {
		return err
	}
	for _, one := range due {
		d.start(ctx, one)
	}
	return nil
}

// due is what waits and is due, the most overdue first. When there is more than
// a page of it, some of each receiver is among it, so that the queue of one that
// does not answer hides no other.
func (d *Deliverer) due(ctx context.Context) ([]*store.Delivery, error) {
	now := d.now()
	due, err := d.o.Store.Deliveries(ctx, store.DeliveryQuery{DueBy: now, Limit: page})
	if err != nil || len(due) < page {
		return due, err
	}
	queries := []store.DeliveryQuery{{Mail: true, DueBy: now, Limit: 2 * perReceiver}}
	for _, w := range d.o.Webhooks() {
		queries = append(queries, store.DeliveryQuery{Webhook: w.ID, DueBy: now, Limit: 2 * perReceiver})
	}
	var each []*store.Delivery
	for _, q := range queries {
		some, err := d.o.Store.Deliveries(ctx, q)
		if err != nil {
			return nil, err
		}
		each = append(each, some...)
	}
	return append(each, due...), nil
}

// start sends one in the background, unless that is being done or there is no
// room; then a later round does.
func (d *Deliverer) start(ctx context.Context, one *store.Delivery) {
	receiver := string(one.Webhook) // all mail goes to one server
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.sending[one.ID] || d.busy[receiver] >= perReceiver || len(d.sending) >= atOnce {
		return
	}
	d.sending[one.ID] = true
	d.busy[receiver]++
	d.running.Go(func() {
		d.deliver(ctx, one)
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.sending, one.ID)
		if d.busy[receiver]--; d.busy[receiver] == 0 {
			delete(d.busy, receiver)
		}
		d.Wake() // there is room now
	})
}

// result is how a try ended.
type result struct {
	ok     bool
	never  bool  // no further try helps
	status int64 // of HTTP, or of SMTP
	size   int64
	reason string        // why it failed, in words for the log of deliveries
	after  time.Duration // the receiver asks to wait so long
	untold bool          // nothing was sent
}

func (d *Deliverer) deliver(ctx context.Context, listed *store.Delivery) {
	one, err := d.waiting(ctx, listed)
	if one == nil {
		d.wait(ctx, listed, err)
		return
	}
	kind, send := "webhook", d.sendWebhook
	if one.Mail != "" {
		kind, send = "mail", d.sendMail
	}
	began := d.o.Now()
	r, err := send(ctx, one)
	if err != nil {
		d.wait(ctx, one, err)
		return
	}
	if ctx.Err() != nil && !r.ok {
		return // it was cut off by our own end, which is not the receiver's fault
	}
	after, outcome := d.judged(one, r, d.o.Now().Sub(began))
	d.o.Observe(kind, outcome)
	if outcome != "done" {
		d.o.Log.InfoContext(ctx, "a delivery failed", "delivery", one.ID, "webhook", one.Webhook, "event", one.Event,
			"tries", after.Tries, "status", r.status, "reason", r.reason, "outcome", outcome)
	}
	d.mark(ctx, after)
}

// waiting reads a delivery once more: between the list and now it may have been
// sent. Nil is one that is not to be sent now.
func (d *Deliverer) waiting(ctx context.Context, listed *store.Delivery) (*store.Delivery, error) {
	r, err := d.o.Store.Get(ctx, store.KindDelivery, string(listed.ID))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	one, ok := r.(*store.Delivery)
	if !ok || one.Status != store.DeliveryWaiting || one.DueAt > d.now() {
		return nil, nil
	}
	return one, nil
}

// wait leaves a delivery for later, after an error of our own store.
func (d *Deliverer) wait(ctx context.Context, one *store.Delivery, err error) {
	if err == nil || ctx.Err() != nil {
		return
	}
	d.o.Log.WarnContext(ctx, "a delivery waits", "delivery", one.ID, "error", err)
	d.pause(ctx)
}

// judged is the delivery after a try.
func (d *Deliverer) judged(one *store.Delivery, r result, took time.Duration) (*store.Delivery, string) {
	now := d.now()
	after := *one
	after.LastStatus, after.LastSize, after.LastError = r.status, r.size, clip(r.reason, 200)
	if !r.untold {
		after.Tries++
		after.LastTryAt, after.LastMillis = now, took.Milliseconds()
	}
	if !r.ok && !r.never && int(after.Tries) <= len(waits) {
		wait := waits[max(after.Tries, 1)-1]
		wait += time.Duration((d.o.Random() - 0.5) * 0.4 * float64(wait)) // a fifth more or less
		after.DueAt = now.Add(max(wait, min(r.after, 24*time.Hour)))
		return &after, "again"
	}
	after.Status, after.DueAt, after.ExpiresAt = store.DeliveryFailed, 0, now.Add(LogKept)
	if after.Mail != "" {
		after.Body = nil // it may hold a one-time link
	}
	if r.ok {
		after.Status = store.DeliveryDone
		return &after, "done"
	}
	return &after, "failed"
}

// mark writes how a try ended. While the store does not answer it is repeated,
// since otherwise the receiver would get it twice. Who changed the delivery
// meanwhile knows better.
func (d *Deliverer) mark(ctx context.Context, after *store.Delivery) {
	deadline := d.o.Now().Add(leaseLength)
	for {
		try, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
		err := d.o.Store.Commit(try, store.Update(after))
		cancel()
		if err == nil || errors.Is(err, store.ErrConflict) {
			return
		}
		if ctx.Err() != nil || d.o.Now().After(deadline) {
			d.o.Log.WarnContext(ctx, "how a delivery went is not written, so it is sent again", "delivery", after.ID, "error", err)
			return
		}
		d.pause(ctx)
	}
}

// pause waits a second.
func (d *Deliverer) pause(ctx context.Context) {
	t := time.NewTimer(time.Second)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// clip is the beginning of a text.
func clip(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return text[:most] + "…"
}

// unsealed opens the one-time link of a mail, if it has one.
func (d *Deliverer) unsealed(one *store.Delivery, b *Body) (string, error) {
	if len(b.Data.Sealed) == 0 {
		return "", nil
	}
	link, ok := d.o.KEK.Open(SealedLink, string(one.ID), b.Data.Sealed)
	if !ok {
		return "", fmt.Errorf("open the link: %w", keys.ErrSealed)
	}
	return string(link), nil
}
