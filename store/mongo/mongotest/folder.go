package mongotest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// newFolder makes a data folder for one set and removes those whose owner is
// gone. The owner keeps the returned file open: its lock says that it lives,
// and unlike a process id it cannot be somebody else's.
func newFolder() (string, *os.File, error) {
	base := filepath.Join(os.TempDir(), fmt.Sprintf("postern-mongod-%d", os.Getuid()))
	if err := os.MkdirAll(base, 0o700); err != nil {
		return "", nil, err
	}
	// One process at a time, or one would sweep what another has not locked yet.
	gate, err := lock(filepath.Join(base, "lock"), syscall.LOCK_EX)
	if err != nil {
		return "", nil, err
	}
	defer gate.Close()
	if err := sweep(base); err != nil {
		return "", nil, err
	}
	dir, err := os.MkdirTemp(base, "set-")
	if err != nil {
		return "", nil, err
	}
	owner, err := lock(filepath.Join(dir, "owner"), syscall.LOCK_EX|syscall.LOCK_NB)
	return dir, owner, err
}

func sweep(base string) error {
	dirs, err := filepath.Glob(filepath.Join(base, "set-*"))
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		owner, err := lock(filepath.Join(dir, "owner"), syscall.LOCK_EX|syscall.LOCK_NB)
		if errors.Is(err, syscall.EWOULDBLOCK) {
			continue
		}
		if err != nil {
			return err
		}
		// A node in its last moments may still write: then the next start sweeps.
		_ = os.RemoveAll(dir)
		_ = owner.Close()
	}
	return nil
}

func lock(path string, how int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), how); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
	}
	return f, nil
}
