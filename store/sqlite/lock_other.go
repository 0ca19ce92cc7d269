//go:build !unix

package sqlite

import (
	"errors"
	"fmt"
	"io"
)

// lockFolder fails: without flock two servers could share a folder.
func lockFolder(dir string) (io.Closer, error) {
	return nil, fmt.Errorf("lock the store's folder %s: %w on this system, use MongoDB", dir, errors.ErrUnsupported)
}
