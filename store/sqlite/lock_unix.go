//go:build unix

package sqlite

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// lockFolder keeps other processes out of a folder until what it returns is
// closed or this process ends, however it ends. The lock file stays, and names
// the process that had it last.
func lockFolder(dir string) (io.Closer, error) {
	f, err := os.OpenFile(filepath.Join(dir, "postern.lock"), os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // the folder is the operator's choice
	if err != nil {
		return nil, fmt.Errorf("lock the store's folder: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder := make([]byte, 32)
		n, _ := f.Read(holder)
		_ = f.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock the store's folder %s: %w", dir, err)
		}
		return nil, fmt.Errorf("the folder %s is in use by another server%s: stop it, or give this one a folder of its own", dir, process(holder[:n]))
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = fmt.Fprintln(f, os.Getpid())
	}
	if err != nil && !errors.Is(err, syscall.ENOSPC) { // the number is for people: a full disk is no reason not to serve
		return nil, errors.Join(fmt.Errorf("lock the store's folder: %w", err), f.Close())
	}
	return f, nil
}

func process(text []byte) string {
	if id := strings.TrimSpace(string(text)); id != "" {
		return " (process " + id + ")"
	}
	return ""
}
