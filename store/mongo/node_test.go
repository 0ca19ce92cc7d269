package mongo_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"postern/store/mongo/mongotest"
)

// wrapper stands before mongod and changes its arguments.
type wrapper struct{ script, mongod string }

// wrap makes mongotest start its nodes through a wrapper.
func wrap(t *testing.T) wrapper {
	t.Helper()
	mongod := os.Getenv("MONGOD")
	if mongod == "" {
		mongod = "mongod"
	}
	path, err := exec.LookPath(mongod)
	if err != nil { // then it is where mongotest looks last
		cache, _ := os.UserCacheDir()
		path = filepath.Join(cache, "postern", "mongod-"+mongotest.Version, "mongod")
	}
	w := wrapper{filepath.Join(t.TempDir(), "mongod"), path}
	t.Setenv("MONGOD", w.script)
	return w
}

// write sets which options, each with a value, are dropped and what is added.
func (w wrapper) write(t *testing.T, drop, add string) {
	t.Helper()
	script := fmt.Sprintf(`#!/bin/sh
drop=
for a; do
	shift
	case "$drop$a" in
	drop*) drop= ;;
	%s) drop=drop ;;
	*) set -- "$@" "$a" ;;
	esac
done
exec '%s' "$@" %s
`, drop, w.mongod, add)
	if err := os.WriteFile(w.script, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
}

// startSet starts a replica set of the test's own.
func startSet(t *testing.T, nodes int) *mongotest.Set {
	t.Helper()
	set, err := mongotest.Start(t.Context(), mongotest.Options{Nodes: nodes})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(set.Stop)
	return set
}

// alone is a set's URI without the set's name.
func alone(set *mongotest.Set) string {
	uri, _, _ := strings.Cut(set.URI, "?")
	return uri
}
