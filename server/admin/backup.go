package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"postern/store"
)

// BackupVersion is the format that Backup writes.
const BackupVersion = 1

// BackupHead is the first line of a backup.
type BackupHead struct {
	Version int        `json:"postern_backup"` // BackupVersion
	MadeAt  store.Time `json:"made_at"`        // milliseconds since 1970
	Issuer  string     `json:"issuer,omitempty"`
}

// BackupLine is one record of a backup.
type BackupLine struct {
	Kind   store.Kind   `json:"kind"`
	Record store.Record `json:"record"`
}

// BackupEnd is the last line of a backup. One without it is cut off.
type BackupEnd struct {
	Records int64 `json:"end"` // how many lines were between
}

// Backup writes every record but keys and what is of running nodes, as of one
// moment, one JSON object a line: a head, the records kind after kind, an
// end. The hashes of secrets and passwords are in it, since without them nothing
// that was restored would work; so it is for owners of the workspace system
// alone, and that one was made is in the audit. Nothing is written to w when the
// actor may not.
func (a *Admin) Backup(ctx context.Context, by *Actor, w io.Writer) error {
	system := a.systemID()
	if err := a.must(by, opBackup, system); err != nil {
		return err
	}
	if !a.holds(by, system, RoleOwner) {
		return a.refused(by, opBackup, system, "only an owner of workspace system makes a backup: the hashes of all secrets are in it")
	}
	if err := a.change(ctx, by, entry{operation: opBackup.Name, workspace: system, name: "backup"}); err != nil {
		return err
	}
	lines := json.NewEncoder(w)
	if err := lines.Encode(BackupHead{BackupVersion, a.now(), a.Issuer}); err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	var end BackupEnd
	err := a.Store.All(ctx, func(r store.Record) error {
		end.Records++
		return lines.Encode(BackupLine{r.Kind(), r})
	}, backupKinds()...)
	if err == nil {
		err = lines.Encode(end)
	}
	if err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	return nil
}

// backupKinds leaves out the keys, since whoever has a backup should not be able
// to sign, nor to show the codes of people's second factors, for which they have
// recovery codes; restore makes new keys, and with them no token of before is good. So
// the revocations of tokens and their status indexes mean nothing either, and the rest is of running
// nodes.
func backupKinds() []store.Kind {
	return slices.DeleteFunc(store.Kinds(), func(k store.Kind) bool {
		return slices.Contains([]store.Kind{
			store.KindKey, store.KindRevocation, store.KindStatusIndex, store.KindHeartbeat, store.KindLease,
			store.KindSession, store.KindIdempotency, store.KindDelivery, store.KindSecondFactor,
		}, k)
	})
}
