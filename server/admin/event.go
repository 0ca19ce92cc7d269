package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"postern/server/notify"
	"postern/store"
)

// Event is something that others should hear of: programs by the webhooks of its
// workspace and of the installation, people by mail.
type Event struct {
	Type      string            // one of package notify's
	Workspace store.WorkspaceID // empty: of the installation

	// What it is about; the zero value of each is left out.
	Client    *store.Client
	Secret    *store.ClientSecret
	Account   *store.Account
	Algorithm string
	Days      int
	Reason    string
	Actor     string // name of the account that did it

	Mail []store.AccountID // the people who are told by mail, if mail is configured
	// Link is a one-time link, which only the mail shows. It lies sealed in the
	// store, and only until the mail is sent.
	Link string

	// Once names what is to be told once, whoever tells of it: of equal names at
	// equal times the first wins. It is remembered until Until.
	Once  string
	At    store.Time // 0 is now; required with Once
	Until store.Time
}

// Notify tells of an event that goes with no change of its own. What was told
// before (Once) is no error.
func (a *Admin) Notify(ctx context.Context, e Event) error {
	writes := a.event(ctx, e)
	if len(writes) == 0 {
		return nil
	}
	err := a.Store.Commit(ctx, writes...)
	if e.Once != "" && errors.Is(err, store.ErrExists) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("tell of %s: %w", e.Type, err)
	}
	a.wakeDelivery()
	return nil
}

func (a *Admin) wakeDelivery() {
	if a.Wake != nil {
		a.Wake()
	}
}

// event returns the writes that tell of an event: a delivery for each webhook
// that asked for it and each person. They belong in the commit of the change.
func (a *Admin) event(ctx context.Context, e Event) []store.Write {
	if e.At == 0 {
		e.At = a.now()
	}
	id := string(store.NewDeliveryID(e.At))
	if e.Once != "" {
		id = string(store.NamedDeliveryID(e.At, e.Once))
	}
	var writes []store.Write
	for _, w := range a.State.Webhooks() {
		if wants(w, e) {
			writes = append(writes, a.delivery(ctx, id, e, &store.Delivery{Webhook: w.ID}))
		}
	}
	for i, person := range e.Mail {
		if !slices.Contains(e.Mail[:i], person) {
			writes = append(writes, a.mail(ctx, id, e, person)...)
		}
	}
	if e.Once != "" && len(writes) > 0 {
		// One that goes to nobody is the mark that this was told.
		writes = append(writes, store.Insert(&store.Delivery{
			ID: store.DeliveryID(id), Workspace: e.Workspace, Event: e.Type, CreatedAt: a.now(), Status: store.DeliveryDone, ExpiresAt: e.Until,
		}))
	}
	return writes
}

// mailWrite returns the write that tells one person of an event by mail: none
// when mail is not configured or the person has no address.
func (a *Admin) mailWrite(ctx context.Context, to store.AccountID, e Event) []store.Write {
	if e.At == 0 {
		e.At = a.now()
	}
	return a.mail(ctx, string(store.NewDeliveryID(e.At)), e, to)
}

func (a *Admin) mail(ctx context.Context, id string, e Event, to store.AccountID) []store.Write {
	if !a.MayMail {
		return nil
	}
	person := e.Account // one that is made in this very commit is not found
	if person == nil || person.ID != to {
		h, err := a.State.Holder(ctx, to)
		if err != nil {
			return nil
		}
		person = h.Account
	}
	gone := person.Status == store.AccountDeactivated || person.Status == store.AccountDeleted
	if person.AccountKind != store.AccountUser || person.Email == "" || gone {
		return nil
	}
	return []store.Write{a.delivery(ctx, id, e, &store.Delivery{Mail: to})}
}

// wants reports whether a webhook asked for an event.
func wants(w *store.Webhook, e Event) bool {
	return !w.Disabled && (w.Workspace == "" || w.Workspace == e.Workspace) &&
		(len(w.Events) == 0 || slices.Contains(w.Events, e.Type))
}

// delivery is the write of an event on its way to one receiver, which d names.
func (a *Admin) delivery(ctx context.Context, id string, e Event, d *store.Delivery) store.Write {
	d.ID = store.NamedDeliveryID(e.At, id+" "+string(d.Webhook)+string(d.Mail))
	d.Workspace, d.Event, d.Status = e.Workspace, e.Type, store.DeliveryWaiting
	d.CreatedAt = a.now()
	d.DueAt = d.CreatedAt
	body := notify.Body{
		ID: "evt" + id[3:], Type: e.Type, Timestamp: e.At.String(),
		Data: notify.Data{Algorithm: e.Algorithm, Days: e.Days, Reason: e.Reason, Actor: e.Actor},
	}
	if e.Workspace != "" {
		body.Workspace = &notify.Named{ID: string(e.Workspace), Name: a.workspaceName(e.Workspace)}
	}
	if e.Client != nil {
		body.Data.Client = a.eventClient(ctx, e.Client)
	}
	if s := e.Secret; s != nil {
		body.Data.Secret = &notify.Secret{ID: string(s.ID), Label: s.Label, ExpiresAt: notify.Moment(s.ExpiresAt)}
	}
	if e.Account != nil {
		body.Data.Account = &notify.Named{ID: string(e.Account.ID), Name: e.Account.Name}
	}
	if e.Link != "" && d.Mail != "" {
		body.Data.Sealed = a.Options.Keys.KEK.Seal(notify.SealedLink, string(d.ID), []byte(e.Link))
	}
	d.Body, _ = json.Marshal(body) // strings and numbers
	return store.Insert(d)
}

func (a *Admin) eventClient(ctx context.Context, c *store.Client) *notify.Client {
	out := &notify.Client{
		ID: string(c.ID), Name: c.Name, Kind: string(c.ClientKind), Key: c.ClientKey, Account: string(c.Account), ExpiresAt: notify.Moment(c.ExpiresAt),
	}
	if c.Responsible != "" {
		out.Responsible = &notify.Named{ID: string(c.Responsible), Name: a.HolderName(ctx, store.HolderID(c.Responsible))}
	}
	return out
}

// told returns the writes that tell of what a change does to clients.
func (a *Admin) told(ctx context.Context, by *Actor, e entry, writes []store.Write) []store.Write {
	var out []store.Write
	for _, w := range writes {
		after, ok := w.Record.(*store.Client)
		if !ok || w.Op != store.OpUpdate {
			continue
		}
		before, ok := e.before.(*store.Client)
		if !ok || before.ID != after.ID {
			var err error
			if before, err = a.State.Client(ctx, after.ID); err != nil {
				continue // then the update fails too
			}
		}
		for _, event := range changes(before, after) {
			if acc := by.Account(); acc != nil {
				event.Actor = acc.Name
			}
			if tellsPeople(event.Type) {
				// Who did it knows.
				event.Mail = slices.DeleteFunc(a.responsible(ctx, after), func(id store.AccountID) bool { return id == by.accountID() })
			}
			out = append(out, a.event(ctx, event)...)
		}
	}
	return out
}

func tellsPeople(event string) bool {
	return event == notify.ClientRevoked || event == notify.SecretRevoked
}

// changes says what happened to a client as events.
func changes(before, after *store.Client) []Event {
	about := Event{Workspace: after.Workspace, Client: after}
	if before.Status != after.Status {
		switch {
		case after.Status == store.ClientRevoked:
			about.Type, about.Reason = notify.ClientRevoked, after.RevokedReason
		case after.Status == store.ClientDeleted:
			about.Type = notify.ClientDeleted
		case before.Status == store.ClientRevoked:
			about.Type = notify.ClientRestored
		default:
			return nil
		}
		return []Event{about}
	}
	var out []Event
	for i := range after.Secrets {
		s := &after.Secrets[i]
		if old := before.Secret(s.ID); s.RevokedAt != 0 && old != nil && old.RevokedAt == 0 {
			one := about
			one.Type, one.Secret = notify.SecretRevoked, s
			out = append(out, one)
		}
	}
	return out
}

// responsible is who looks after a client: its owner or its responsible person,
// or else the owners of its workspace.
func (a *Admin) responsible(ctx context.Context, c *store.Client) []store.AccountID {
	if !a.MayMail {
		return nil
	}
	id := c.Responsible
	if c.ClientKind == store.ClientPersonal {
		id = c.Account
	}
	if h, err := a.State.Holder(ctx, id); id != "" && err == nil && h.Account.Status == store.AccountActive {
		return []store.AccountID{id}
	}
	return a.ownersOf(ctx, c.Workspace)
}

// ownersOf are the accounts that hold owner in a workspace themselves; in system
// for none.
func (a *Admin) ownersOf(ctx context.Context, ws store.WorkspaceID) []store.AccountID {
	if !a.MayMail {
		return nil
	}
	if ws == "" {
		ws = a.systemID()
	}
	r := a.State.RoleByRef(a.workspaceName(ws) + "/" + RoleOwner)
	if r == nil {
		return nil
	}
	grants, err := a.Store.Grants(ctx, store.GrantQuery{Workspace: ws, Role: r.ID})
	if err != nil {
		return nil // then nothing is committed either
	}
	var out []store.AccountID
	for _, g := range grants {
		if !g.Holder.IsTeam() {
			out = append(out, store.AccountID(g.Holder))
		}
	}
	return out
}

// KeyRotationFailed tells the owners of the installation, once a day, that an
// algorithm's key was not rotated.
func (a *Admin) KeyRotationFailed(ctx context.Context, algorithm string) error {
	now := a.now()
	day := now - now%(24*60*60*1000)
	return a.Notify(ctx, Event{
		Type: notify.KeyRotationFailed, Algorithm: algorithm, Mail: a.ownersOf(ctx, ""),
		Once: notify.KeyRotationFailed + " " + algorithm, At: day, Until: now.Add(48 * time.Hour),
	})
}
