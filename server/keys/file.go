package keys

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// FileKEK reads the key-encryption key that an embedded store keeps beside
// itself, in dir/keys/kek, and makes it on first use. It refuses a file that
// others than its owner may read. Where the store has sealed keys already
// (sealedKeys), a missing file is an error: another key would open none of them.
func FileKEK(dir string, sealedKeys bool) (*KEK, error) {
	path := filepath.Join(dir, "keys", "kek")
	k, err := readKEK(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	if sealedKeys {
		return nil, fmt.Errorf("%s is missing, but the store holds keys that only it opens: put it back, or give its text as keys.encryption_key", path)
	}
	if err := writeKEK(path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make the key-encryption key: %w", err)
	}
	return readKEK(path) // ours, or that of another process that was quicker
}

func readKEK(path string) (*KEK, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read the key-encryption key: %w", err)
	}
	if mode := info.Mode(); !mode.IsRegular() || mode.Perm()&0o077 != 0 && runtime.GOOS != "windows" {
		return nil, fmt.Errorf("read the key-encryption key: %s is %v, and only its owner may be able to read it: chmod 600 it", path, mode)
	}
	text, err := os.ReadFile(path) //nolint:gosec // the path is the operator's own
	if err != nil {
		return nil, fmt.Errorf("read the key-encryption key: %w", err)
	}
	k, err := ParseKEKs(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return k, nil
}

// writeKEK makes the file whole or not at all, and leaves one that is there
// alone (fs.ErrExist).
func writeKEK(path string) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	temp, err := os.CreateTemp(dir, ".kek-*") // 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temp.Name()) }()
	_, err = temp.WriteString(GenerateKEK() + "\n")
	if err := errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return err
	}
	if err := os.Link(temp.Name(), path); err != nil { // unlike a rename, never over another
		return err
	}
	return syncDir(dir)
}

// syncDir makes a new name in a folder last: keys sealed by a file that a power
// cut takes away are lost.
func syncDir(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // the path is the operator's own
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
