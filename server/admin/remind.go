package admin

import (
	"context"
	"fmt"
	"slices"
	"time"

	"postern/server/notify"
	"postern/store"
)

// remindBefore are the times before an end at which people are reminded of it.
//
//nolint:gochecknoglobals // a constant, were there constant lists
var remindBefore = []time.Duration{1 * day, 7 * day, 14 * day}

// Reminders reminds of clients and secrets that expire.
type Reminders struct {
	a *Admin
	// told are the ids of what this node knows was told, or will never be, so that
	// the next look writes nothing.
	told map[store.DeliveryID]bool
}

// Reminders returns the reminders of this node. They are for one goroutine.
func (a *Admin) Reminders() *Reminders { return &Reminders{a: a, told: map[store.DeliveryID]bool{}} }

// Send tells the webhooks and the responsible people of each client, and of each
// secret that no other one outlives, that has crossed 14, 7 or 1 days before its
// end since it was made: once each, whichever nodes do it and whenever they
// start. Who was not there to be told then, such as a webhook of later, is not.
func (r *Reminders) Send(ctx context.Context) error {
	if !r.a.MayMail && len(r.a.State.Webhooks()) == 0 {
		return nil
	}
	now := r.a.now()
	seen := map[store.DeliveryID]bool{}
	q := store.ClientQuery{
		Status: store.ClientActive, Now: now, EndsFrom: now, EndsTo: now.Add(slices.Max(remindBefore)) + 1, Sort: store.SortCreated, Limit: 500,
	}
	for {
		clients, err := r.a.Store.Clients(ctx, q)
		if err != nil {
			return fmt.Errorf("look for what expires: %w", err)
		}
		for _, c := range clients {
			for _, e := range due(c, now) {
				id := store.NamedDeliveryID(e.At, e.Once)
				if !r.told[id] {
					if err := r.send(ctx, c, e); err != nil {
						return err
					}
				}
				seen[id] = true
			}
		}
		if len(clients) < q.Limit {
			r.told = seen
			return nil
		}
		last := clients[len(clients)-1]
		q.After = &store.ClientCursor{Value: last.SortValue(q.Sort, 0), ID: last.ID}
	}
}

func (r *Reminders) send(ctx context.Context, c *store.Client, e Event) error {
	if e.Type == notify.ClientExpiring && r.renewed(ctx, c) {
		return nil
	}
	e.Mail = r.a.responsible(ctx, c)
	return r.a.Notify(ctx, e)
}

// due are the reminders of a client that are due.
func due(c *store.Client, now store.Time) []Event {
	var out []Event
	if e, ok := reminder(notify.ClientExpiring, c, nil, c.ExpiresAt, c.CreatedAt, now); ok {
		out = append(out, e)
	}
	for i := range c.Secrets {
		s := &c.Secrets[i]
		ends := s.ExpiresAt
		if !s.Live(now) || ends == 0 || c.ExpiresAt != 0 && c.ExpiresAt <= ends || outlived(c, s, now) {
			continue // the client's own end is what is told of, or a newer secret is there
		}
		if e, ok := reminder(notify.SecretExpiring, c, s, ends, s.CreatedAt, now); ok {
			out = append(out, e)
		}
	}
	return out
}

// reminder is the event that tells of an end, if one of the times before it was
// crossed since what ends was made.
func reminder(event string, c *store.Client, s *store.ClientSecret, ends, made, now store.Time) (Event, bool) {
	if ends == 0 || ends.Over(now) {
		return Event{}, false
	}
	left := ends.Sub(now)
	for _, before := range remindBefore {
		at := ends.Add(-before)
		if left > before || made > at {
			continue
		}
		once := fmt.Sprintf("%s %s %d %s", event, c.ID, ends, before)
		if s != nil {
			once += " " + string(s.ID)
		}
		return Event{
			Type: event, Workspace: c.Workspace, Client: c, Secret: s, Days: int((left + day - 1) / day),
			Once: once, At: at, Until: ends.Add(day),
		}, true
	}
	return Event{}, false
}

// outlived reports whether another live secret of the client goes on after s.
func outlived(c *store.Client, s *store.ClientSecret, now store.Time) bool {
	return slices.ContainsFunc(c.Secrets, func(o store.ClientSecret) bool {
		return o.ID != s.ID && o.Live(now) && (o.ExpiresAt == 0 || o.ExpiresAt > s.ExpiresAt)
	})
}

// renewed reports whether a client has a successor that works.
func (r *Reminders) renewed(ctx context.Context, c *store.Client) bool {
	q := store.ClientQuery{Account: c.Account, Status: store.ClientActive, Now: r.a.now(), Limit: 500}
	others, err := r.a.Store.Clients(ctx, q)
	return err == nil && slices.ContainsFunc(others, func(o *store.Client) bool {
		return o.Parent == c.ID && (o.ExpiresAt == 0 || o.ExpiresAt > c.ExpiresAt)
	})
}

// Expiring is how many active clients expire, or have a secret that does, within
// 14 days, counted up to 10,000; and when the next active client expires, 0 for
// never.
func (a *Admin) Expiring(ctx context.Context) (count int, next store.Time, err error) {
	now := a.now()
	q := store.ClientQuery{Status: store.ClientActive, Now: now, EndsFrom: now, EndsTo: now.Add(14 * day)}
	if count, err = a.Store.CountClients(ctx, q, 10_000); err != nil {
		return 0, 0, fmt.Errorf("count what expires: %w", err)
	}
	first, err := a.Store.Clients(ctx, store.ClientQuery{Status: store.ClientActive, Now: now, Sort: store.SortExpires, Limit: 1})
	if err != nil {
		return 0, 0, fmt.Errorf("look for what expires next: %w", err)
	}
	if len(first) > 0 {
		next = first[0].ExpiresAt
	}
	return count, next, nil
}
