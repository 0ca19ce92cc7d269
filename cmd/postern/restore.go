package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern/config"
	"postern/server/admin"
	"postern/server/telemetry"
	"postern/store"
)

func restoreCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "restore FILE",
		Short: "Fill an empty store from a backup",
		Long: `Fill an empty store from a backup, with no server running on it. Access tokens
of before are dead: new keys are made, and the installation's generation is
raised. Secrets of clients go on. The key-encryption key is not in a backup:
bring it along, or the audit of before cannot be verified.

A client that was revoked after the backup was made is active again. Into a
store that is not empty nothing is written, but these clients are named.`,
		Example: `  postern restore postern-backup.ndjson --data ./postern-data`,
		Args:    usageArgs(cobra.ExactArgs(1)),
	}
	config.Flags(c.Flags())
	for _, name := range []string{"listen", "gateway-listen", "ops-listen", "bootstrap-file"} {
		_ = c.Flags().MarkHidden(name) // they are there
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		s, err := openStoreOf(c)
		if err != nil {
			return err
		}
		err = restoreFile(c, s, args[0])
		if closing := s.Close(); err == nil {
			err = closing
		}
		return err
	}
	return c
}

// openStoreOf opens the store of the configuration, under its lock.
func openStoreOf(c *cobra.Command) (store.Store, error) {
	file, _ := c.Flags().GetString("config")
	cfg, warnings, err := config.Load(config.Options{Flags: c.Flags(), File: file, Environ: os.Environ()})
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	for _, w := range warnings {
		warn(c, w)
	}
	if c.Flags().Changed("mongodb-uri") && !c.Flags().Changed("store") {
		cfg.Store.Driver = "mongodb"
	}
	log, err := telemetry.NewLogger(c.ErrOrStderr(), "text", "warn")
	if err != nil {
		return nil, err
	}
	return openStore(c.Context(), cfg, log)
}

func restoreFile(c *cobra.Command, s store.Store, name string) error {
	b, err := openBackup(name)
	if err != nil {
		return err
	}
	defer b.file.Close()
	// Once through, before anything is written: half a store is worse than none.
	if err := b.each(func(store.Record) error { return nil }); err != nil {
		return err
	}
	if b.installation == nil {
		return fmt.Errorf("%s: there is no installation in it", name)
	}
	revived, filled, err := b.revived(c.Context(), s)
	if err != nil {
		return err
	}
	if filled {
		if _, err := io.WriteString(c.OutOrStdout(), strings.Join(revived, "")); err != nil {
			return err
		}
		named := "no client is revoked here and active in the backup"
		if len(revived) > 0 {
			named = plural(len(revived), "client is", "clients are") + " revoked here and active in the backup, named above"
		}
		return fmt.Errorf("this store is not empty, and nothing was written; %s; restore into an empty store", named)
	}
	written, err := b.restore(c.Context(), s)
	if err != nil {
		return fmt.Errorf("%w; %d of %d records are written: empty the store and repeat", err, written, b.records)
	}
	c.PrintErr(afterRestore)
	_, err = fmt.Fprintf(c.OutOrStdout(), "%s restored as of %s.\n", plural(int(b.records), "record is", "records are"), b.head.MadeAt)
	return err
}

const afterRestore = `Access tokens of before are dead.
The store was empty, so nothing tells which clients were revoked since the backup
was made: those are active again. Revoke them anew.
Without the key-encryption key of before, the audit of before cannot be verified:
put it into keys.encryption_key, or into keys/kek of the data folder, before the
first start.
`

// backup is one that is being read.
type backup struct {
	name         string
	file         *os.File
	head         admin.BackupHead
	records      int64
	installation *store.Installation
	system       store.WorkspaceID
}

func openBackup(name string) (*backup, error) {
	f, err := os.Open(name) //nolint:gosec // whoever runs this names a file of their own
	if err != nil {
		return nil, err
	}
	return &backup{name: name, file: f}, nil
}

const mostLine = 32 << 20

// each hands out the records. It checks the whole form: a head, lines of kinds
// that a backup may have, an end that counts them.
func (b *backup) each(yield func(store.Record) error) error {
	if _, err := b.file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("%s: a backup is read twice, so it must be a file: %w", b.name, err)
	}
	lines := bufio.NewScanner(b.file)
	lines.Buffer(make([]byte, 64<<10), mostLine)
	b.records = 0
	number, ended := 0, false
	for lines.Scan() {
		number++
		err := func() error {
			switch {
			case number == 1:
				return b.begin(lines.Bytes())
			case ended:
				return errors.New("there is more after the end")
			}
			if n, isEnd := backupEnd(lines.Bytes()); isEnd {
				if ended = true; n != b.records {
					return fmt.Errorf("the end counts %d records, but there are %d", n, b.records)
				}
				return nil
			}
			r, err := b.record(lines.Bytes())
			if err != nil {
				return err
			}
			b.records++
			return yield(r)
		}()
		if err != nil {
			return fmt.Errorf("%s: line %d: %w", b.name, number, err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%s: line %d: %w", b.name, number+1, err)
	}
	if !ended {
		return fmt.Errorf("%s is cut off: its last line is missing", b.name)
	}
	return nil
}

func (b *backup) begin(line []byte) error {
	if err := json.Unmarshal(line, &b.head); err != nil || b.head.Version == 0 {
		return errors.New("this is no backup of Postern")
	}
	if b.head.Version != admin.BackupVersion {
		return fmt.Errorf("this is a backup of version %d; this program reads version %d", b.head.Version, admin.BackupVersion)
	}
	return nil
}

func (b *backup) record(line []byte) (store.Record, error) {
	var l struct {
		Kind   store.Kind      `json:"kind"`
		Record json.RawMessage `json:"record"`
	}
	if err := json.Unmarshal(line, &l); err != nil {
		return nil, fmt.Errorf("this is no record: %w", err)
	}
	r, err := store.New(l.Kind)
	if err != nil {
		return nil, err
	}
	switch l.Kind {
	case store.KindKey, store.KindRevocation, store.KindStatusIndex, store.KindHeartbeat, store.KindLease:
		return nil, fmt.Errorf("a backup has no %s", l.Kind)
	default:
	}
	d := json.NewDecoder(bytes.NewReader(l.Record))
	d.DisallowUnknownFields() // what is not understood would be lost
	if err := d.Decode(r); err != nil {
		return nil, fmt.Errorf("a record of %s: %w", l.Kind, err)
	}
	if r.Key() == "" {
		return nil, fmt.Errorf("a record of %s without an id", l.Kind)
	}
	switch r := r.(type) {
	case *store.Installation:
		b.installation = r
	case *store.Workspace:
		if r.Name == store.SystemWorkspace {
			b.system = r.ID
		}
	}
	return r, nil
}

// revived names the clients that are revoked in the store and active in the
// backup, and tells whether there is anything in the store.
func (b *backup) revived(ctx context.Context, s store.Store) (names []string, filled bool, err error) {
	revoked := map[string]bool{}
	err = s.All(ctx, func(r store.Record) error {
		filled = true
		if c, ok := r.(*store.Client); ok && (c.Status == store.ClientRevoked || c.Status == store.ClientDeleted) {
			revoked[c.Key()] = true
		}
		return nil
	}, store.Kinds()...)
	if err != nil || len(revoked) == 0 {
		return nil, filled, err
	}
	err = b.each(func(r store.Record) error {
		if c, ok := r.(*store.Client); ok && revoked[c.Key()] && c.Status == store.ClientActive {
			names = append(names, string(c.ID)+"  "+printable(c.Name)+"\n")
		}
		return nil
	})
	slices.Sort(names)
	return names, filled, err
}

const batch = 500

// restore writes the records in batches, the installation last: until it is
// there, no server serves from this store.
func (b *backup) restore(ctx context.Context, s store.Store) (written int, err error) {
	var writes []store.Write
	flush := func() error {
		if len(writes) == 0 {
			return nil
		}
		if err := s.Commit(ctx, writes...); err != nil {
			return fmt.Errorf("restore: %w", err)
		}
		written += len(writes)
		writes = writes[:0]
		return nil
	}
	err = b.each(func(r store.Record) error {
		if r.Kind() == store.KindInstallation {
			return nil
		}
		writes = append(writes, store.Insert(r))
		if len(writes) == batch {
			return flush()
		}
		return nil
	})
	if err == nil {
		err = flush()
	}
	if err != nil {
		return written, err
	}
	last := *b.installation
	last.Generation++ // every access token of before carries the old one
	entry := &store.AuditEntry{
		ID: store.NewAuditID(), At: store.At(time.Now()), Workspace: b.system, Operation: "installation.restore", Actor: "postern",
		TargetKind: store.KindInstallation, Target: last.Key(), TargetName: "installation",
	}
	writes = append(writes, store.Insert(&last), store.Insert(entry))
	return written, flush()
}
