// Package audit makes the record of who changed what, and makes it hard to
// change afterwards.
//
// An entry is built by Entry and written by its caller in the transaction of the
// change. Soon afterwards a Sealer gives it a place in its workspace's chain: a
// link, which is an HMAC over the entry and the link before, under a key that is
// not in the store (Key). Verify finds what was then altered, removed or put in
// by someone who can write to the store but lacks that key. What it cannot find
// is an entry forged in the seconds before it is sealed, a store put back,
// entries and heads together, to how it was within the last two hours, or a chain
// removed whole with its head.
//
// Refusals are merged by a Merger, so that who is refused a thousand times a
// minute fills one entry.
package audit

import (
	"encoding/json"
	"slices"
	"time"

	"postern/store"
)

// Entry makes the entry of an operation ("client.revoke") on a record, of which
// before or after may be nil. Who acted, from where, and why it was refused is
// for the caller to fill in. An entry without a workspace goes into the
// installation's own chain.
func Entry(at time.Time, in store.WorkspaceID, operation string, before, after store.Record) *store.AuditEntry {
	e := &store.AuditEntry{ID: store.NewAuditID(), At: store.At(at), Workspace: in, Operation: operation}
	for _, r := range []store.Record{before, after} {
		if r != nil {
			e.TargetKind, e.Target, e.TargetName = r.Kind(), r.Key(), name(r)
		}
	}
	e.Before, e.After = Redacted(before), Redacted(after)
	return e
}

// Redacted is a record as JSON, without anything that would help to log in, sign
// or open: every field that is left out is named here. Nil is nil.
func Redacted(r store.Record) json.RawMessage {
	switch full := r.(type) {
	case nil:
		return nil
	case *store.Client:
		c := *full
		c.RegistrationHash = nil
		c.Secrets = slices.Clone(c.Secrets)
		for i := range c.Secrets {
			c.Secrets[i].Hash, c.Secrets[i].SlowHash = nil, ""
		}
		r = &c
	case *store.Account:
		a := *full
		a.PasswordHash, a.InviteHash, a.RecoveryHashes = "", nil, nil
		r = &a
	case *store.SecondFactor:
		f := *full
		f.Sealed = nil
		r = &f
	case *store.Webhook:
		w := *full
		w.Sealed = nil
		r = &w
	case *store.Delivery:
		d := *full
		d.Body = nil
		r = &d
	case *store.Key:
		k := *full
		k.Sealed = nil
		r = &k
	}
	body, err := json.Marshal(r)
	if err != nil {
		return nil // records are strings and numbers; only JSON inside an audit entry can be wrong
	}
	return body
}

// name is what people call the record.
func name(r store.Record) string {
	switch r := r.(type) {
	case *store.Client:
		return r.Name
	case *store.Account:
		return r.Name
	case *store.Team:
		return r.Name
	case *store.Workspace:
		return r.Name
	case *store.API:
		return r.Name
	case *store.Webhook:
		return r.Name
	case *store.Role:
		return r.Ref
	default:
		return ""
	}
}
