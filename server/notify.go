package server

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"postern/server/admin"
	"postern/server/notify"
	"postern/server/outbound"
	"postern/store"
)

// deliverer makes what sends events to webhooks and people.
func (s *Server) deliverer() (*notify.Deliverer, error) {
	o := s.o
	var mailer *notify.Mailer
	if o.Mail != nil {
		mail := *o.Mail
		mail.Now = o.Now
		var err error
		if mailer, err = notify.NewMailer(mail); err != nil {
			return nil, fmt.Errorf("mail: %w", err)
		}
	}
	return notify.New(notify.Options{
		Store: o.Store, KEK: o.KEK, Node: s.node, Mailer: mailer,
		Client:   s.outbound(),
		Webhooks: func() []*store.Webhook { return s.state.Webhooks() },
		Gone:     func(ctx context.Context, w *store.Webhook) error { return s.admin.WebhookGone(ctx, w) },
		Observe:  s.metrics.Delivered, Now: o.Now, Log: o.Log,
	}), nil
}

// outbound is the client for calls to others.
func (s *Server) outbound() *outbound.Client {
	return outbound.New(outbound.Options{Allow: s.o.OutboundAllow, Roots: s.o.OutboundRoots, Agent: "Postern/" + s.o.Version})
}

// rotationFailed tells that a key was not rotated.
func (s *Server) rotationFailed(ctx context.Context, algorithm string) {
	if err := s.admin.KeyRotationFailed(ctx, algorithm); err != nil {
		s.o.Log.WarnContext(ctx, "nobody is told that a key was not rotated", "algorithm", algorithm, "error", err)
	}
}

// remindEvery is how often clients that expire are looked for.
const remindEvery = 10 * time.Minute

// reminding looks for what expires. Every node does: a reminder is written once,
// whoever is first.
type reminding struct {
	admin     *admin.Admin
	reminders *admin.Reminders
	now       func() time.Time
	log       *slog.Logger

	count atomic.Int64
	next  atomic.Int64 // store.Time
}

func (r *reminding) run(ctx context.Context) error {
	tick := time.NewTicker(remindEvery)
	defer tick.Stop()
	for {
		if err := r.look(ctx); err != nil && ctx.Err() == nil {
			r.log.WarnContext(ctx, "nobody is reminded of what expires, until the next look", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (r *reminding) look(ctx context.Context) error {
	count, next, err := r.admin.Expiring(ctx)
	if err != nil {
		return err
	}
	r.count.Store(int64(count))
	r.next.Store(int64(next))
	return r.reminders.Send(ctx)
}

// counted is how many clients were about to expire at the last look.
func (r *reminding) counted() int { return int(r.count.Load()) }

// untilNext is the time until the next client expires, or -1.
func (r *reminding) untilNext() time.Duration {
	next := store.Time(r.next.Load())
	if next == 0 {
		return -1
	}
	return max(next.Sub(store.At(r.now())), 0)
}
