package mongotest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Version is the MongoDB that `make tools` fetches, as .ci/tools.lock has it.
const Version = "6.0.5"

// find returns the mongod to run: $MONGOD, else the one on PATH, else the one
// that `make tools` put into the user's cache folder.
func find() (string, error) {
	if bin := os.Getenv("MONGOD"); bin != "" {
		path, err := exec.LookPath(bin)
		if err != nil {
			return "", fmt.Errorf("look for the mongod that $MONGOD names: %w", err)
		}
		return path, nil
	}
	if path, err := exec.LookPath("mongod"); err == nil {
		return path, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("look for mongod: %w", err)
	}
	path, err := exec.LookPath(filepath.Join(cache, "postern", "mongod-"+Version, "mongod"))
	if err != nil {
		return "", errors.New("no mongod: run `make tools`, or set MONGOD to a mongod 6.0 or newer")
	}
	return path, nil
}
