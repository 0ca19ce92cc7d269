package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Backup writes the store as of one moment to a new file, which is a database
// that Open takes as its postern.db. Reads and writes go on meanwhile. The file
// appears under its name when it is whole and durable, and must not be there
// before.
func (s *Store) Backup(ctx context.Context, path string) error {
	if err := s.backup(ctx, path); err != nil {
		return fmt.Errorf("back up the store to %s: %w", path, err)
	}
	return nil
}

func (s *Store) backup(ctx context.Context, path string) error {
	if _, err := os.Lstat(path); err == nil {
		return os.ErrExist
	} else if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	// SQLite takes an empty file, and this one nobody else may read.
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	err = s.copyTo(ctx, f)
	if err := errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncFolder(filepath.Dir(path))
}

func (s *Store) copyTo(ctx context.Context, f *os.File) error {
	// The readers' connections refuse any statement that writes.
	db := pool(filepath.Join(s.options.Dir, file), "")
	_, err := db.ExecContext(ctx, "VACUUM INTO ?", f.Name())
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return errors.Join(err, db.Close(), f.Sync()) // SQLite does not sync a copy
}
