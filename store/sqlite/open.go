package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver
)

// checkTime is how long the check of a store at its start may take: a third of
// the time in which the first token is to be there.
const checkTime = 100 * time.Millisecond

// pool opens connections to a file. They wait for a lock that a backup or a
// checkpoint holds for a moment.
func pool(path, more string) *sql.DB {
	name := (&url.URL{Scheme: "file", OmitHost: true, Path: path}).String()
	db, err := sql.Open("sqlite", name+"?mode=rw&_busy_timeout=5000"+more)
	if err != nil {
		panic(fmt.Sprintf("the SQLite driver is linked in: %v", err))
	}
	return db
}

// create makes the database if there is none. It is made under another name and
// renamed when it is whole, so that an empty or half-made postern.db can only
// be a damaged one.
func create(ctx context.Context, path string) error {
	_, err := os.Stat(path)
	if err == nil {
		return os.Chmod(path, 0o600)
	}
	if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if _, err := os.Stat(path + "-wal"); err == nil {
		return fmt.Errorf("%s is not there, but its %s-wal is: put the file back, or move both away to start anew", path, file)
	}
	made := path + ".new"
	for _, leftover := range []string{made, made + "-journal"} {
		if err := os.Remove(leftover); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	f, err := os.OpenFile(made, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // the folder is the operator's choice
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	db := pool(made, "&_synchronous=FULL")
	db.SetMaxOpenConns(1)
	err = migrate(ctx, db, 0)
	if err := errors.Join(err, db.Close()); err != nil {
		return fmt.Errorf("make a new database: %w", err)
	}
	if err := os.Rename(made, path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// connect opens the connection that writes, and brings an older schema up to
// date.
func connect(ctx context.Context, path string) (*sql.DB, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() == 0 {
		return nil, fmt.Errorf("%s is empty, so it was damaged: %s", path, restoreHint)
	}
	db := pool(path, "&_journal_mode=WAL&_synchronous=FULL"+
		"&_pragma=journal_size_limit(67108864)&_pragma=wal_autocheckpoint(4000)&_pragma=cache_size(-8000)&_pragma=temp_store(MEMORY)")
	db.SetMaxOpenConns(1)
	if err := current(ctx, db); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

const restoreHint = "restore a backup, or move it away to start anew"

func current(ctx context.Context, db *sql.DB) error {
	var application, version int
	if err := db.QueryRowContext(ctx, "PRAGMA application_id").Scan(&application); err != nil {
		return fmt.Errorf("%s is damaged or not a database: %w: %s", file, err, restoreHint)
	}
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return fmt.Errorf("read the schema version: %w", err)
	}
	switch {
	case application != applicationID:
		return fmt.Errorf("%s is a database, but not one of Postern: give the store a folder of its own", file)
	case version > len(migrations()):
		return fmt.Errorf("%s has schema version %d, and this program knows %d: start the newer program that wrote it, or restore an older backup",
			file, version, len(migrations()))
	case version < len(migrations()):
		return migrate(ctx, db, version)
	}
	return nil
}

// migrate brings a schema from one version to the newest, all or nothing.
func migrate(ctx context.Context, db *sql.DB, from int) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("migrate the schema: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // after Commit there is nothing to roll back
	for version, statements := range migrations()[from:] {
		for _, statement := range statements {
			if _, err := tx.ExecContext(ctx, statement); err != nil {
				return fmt.Errorf("migrate the schema to version %d: %q: %w", from+version+1, statement, err)
			}
		}
	}
	for _, pragma := range []string{fmt.Sprintf("PRAGMA application_id = %d", applicationID), fmt.Sprintf("PRAGMA user_version = %d", len(migrations()))} {
		if _, err := tx.ExecContext(ctx, pragma); err != nil {
			return fmt.Errorf("migrate the schema: %w", err)
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("migrate the schema: %w", err)
	}
	return nil
}

// sound checks as much as can be done in checkTime, the small tables that
// everything depends on first. A store of some ten thousand records is checked
// whole; of a larger one the rest is left to Check, since a start must not take
// minutes. What a crash can do is covered without it: the checksums of the WAL
// cut off what was not written whole.
func (s *Store) sound(ctx context.Context) error {
	short, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	for _, name := range checked() {
		err := s.check(short, "PRAGMA quick_check("+name+")")
		if ctx.Err() == nil && short.Err() != nil {
			s.options.Log.InfoContext(ctx, "the store is too large to check it whole at the start", "checked_before", name)
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: %s", err, restoreHint)
		}
	}
	return nil
}

// Check reads the whole database and returns an error if it is damaged. It can
// take minutes, while the store is used.
func (s *Store) Check(ctx context.Context) error {
	return s.check(ctx, "PRAGMA integrity_check")
}

func (s *Store) check(ctx context.Context, pragma string) error {
	var verdict string
	if err := s.reader.QueryRowContext(ctx, pragma).Scan(&verdict); err != nil {
		return fmt.Errorf("%s is damaged or cannot be read: %w", file, err)
	}
	if verdict != "ok" {
		return fmt.Errorf("%s is damaged: %s", file, strings.ReplaceAll(verdict, "\n", ", "))
	}
	return nil
}

// syncFolder makes renames in a folder durable.
func syncFolder(dir string) error {
	f, err := os.Open(dir) //nolint:gosec // the folder is the operator's choice
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
