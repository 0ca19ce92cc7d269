package admin

import (
	"context"
	"errors"

	"postern/server/keys"
	"postern/store"
)

// Keys returns the signing and sealing keys, never their secret parts.
func (a *Admin) Keys(_ context.Context, by *Actor) ([]keys.Info, error) {
	if err := a.must(by, opKeyList, a.systemID()); err != nil {
		return nil, err
	}
	return a.Options.Keys.List(), nil
}

// RotateKey publishes a new key of an algorithm. It signs once verifiers can
// know it.
func (a *Admin) RotateKey(ctx context.Context, by *Actor, algorithm string) (info keys.Info, err error) {
	switch algorithm {
	case keys.ES256, keys.EdDSA, keys.RS256, keys.XC20P, keys.Statement:
	default:
		return info, &Error{Kind: Invalid, Message: "the request has faults", Faults: []Fault{{"algorithm", "must be ES256, EdDSA, RS256, XC20P or statement"}}}
	}
	err = a.changeKey(by, opKeyRotate, algorithm, func(also store.Write) error {
		info, err = a.Options.Keys.Rotate(ctx, algorithm, also)
		return err
	})
	return info, err
}

// RevokeKey takes the key with this kid out of use and out of the JWKS at once;
// every token signed or sealed by it is dead.
func (a *Admin) RevokeKey(ctx context.Context, by *Actor, kid string) (info keys.Info, err error) {
	err = a.changeKey(by, opKeyRevoke, kid, func(also store.Write) error {
		info, err = a.Options.Keys.Revoke(ctx, kid, also)
		return err
	}, policySegment(kid))
	return info, err
}

// ResealKeys seals all keys by the first key-encryption key, those that sign for
// webhooks and people's second factors among them, and returns how many of
// Postern's own there are.
func (a *Admin) ResealKeys(ctx context.Context, by *Actor) (count int, err error) {
	err = a.changeKey(by, opKeyReseal, "", func(also store.Write) error {
		webhooks, err := a.resealed()
		if err != nil {
			return err
		}
		factors, err := a.resealedFactors(ctx)
		if err != nil {
			return err
		}
		count, err = a.Options.Keys.Reseal(ctx, append(append(webhooks, factors...), also)...)
		return err
	})
	return count, err
}

func (a *Admin) changeKey(by *Actor, op Operation, name string, change func(also store.Write) error, ids ...string) error {
	if err := a.must(by, op, a.systemID(), ids...); err != nil {
		return err
	}
	e := a.entry(by, entry{operation: op.Name, workspace: a.systemID(), name: name})
	e.TargetKind, e.Target = store.KindKey, name
	switch err := change(store.Insert(e)); {
	case errors.Is(err, keys.ErrUnknownKey):
		return refuse(NotFound, "there is no key %q", printable(name))
	case errors.Is(err, keys.ErrRotating):
		return refuse(Conflict, "the next key of %s is published already and takes over soon", printable(name))
	default:
		return fromStore(op.Name, err)
	}
}

// KeyEntry is the audit entry of a change of keys that the server makes by
// itself: that a key was made, rotated, or deleted after its time.
func (a *Admin) KeyEntry(operation string, k keys.Info) []store.Write {
	e := a.entry(&Actor{machine: true}, entry{operation: operation, workspace: a.systemID(), name: k.KID})
	e.TargetKind, e.Target = store.KindKey, string(k.ID)
	return []store.Write{store.Insert(e)}
}
