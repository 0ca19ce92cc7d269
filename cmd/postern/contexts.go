package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"gopkg.in/yaml.v3"
)

// contexts is the file of the servers that this command line has logged in to.
type contexts struct {
	Current  string              `yaml:"current"`
	Contexts map[string]identity `yaml:"contexts"`
}

// identity is a server and who we are there.
type identity struct {
	Server       string `yaml:"server"`
	ClientID     string `yaml:"client_id"`
	ClientSecret string `yaml:"client_secret"`
}

var errNoContext = errors.New("this command line knows no server; log in with postern login URL --client-id ID, or give --server and --token-file")

// contextsFile is where the file is (XDG Base Directory Specification).
func contextsFile() (string, error) {
	dir := os.Getenv("XDG_CONFIG_HOME")
	if !filepath.IsAbs(dir) { // what is not absolute is to be ignored
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("find the folder for contexts: %w; set XDG_CONFIG_HOME", err)
		}
		dir = filepath.Join(home, ".config")
	}
	return filepath.Join(dir, "postern", "contexts.yaml"), nil
}

// loadContexts reads the file; a missing one is empty. It warns when others may
// read the secrets in it.
func loadContexts(c *cobra.Command) (*contexts, error) {
	name, err := contextsFile()
	if err != nil {
		return nil, err
	}
	f := &contexts{Contexts: map[string]identity{}}
	text, err := os.ReadFile(name) //nolint:gosec // it is where the environment says
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the contexts: %w", err)
	}
	if info, err := os.Stat(name); err == nil && info.Mode().Perm()&0o077 != 0 {
		warn(c, fmt.Sprintf("others can read the secrets in %s; run chmod 600 on it", name))
	}
	// The parser's words may repeat the file, which holds secrets.
	if yaml.Unmarshal(text, f) != nil {
		return nil, fmt.Errorf("%s is not a file of contexts; mend or delete it, and log in again", name)
	}
	if f.Contexts == nil {
		f.Contexts = map[string]identity{}
	}
	return f, nil
}

// pick returns a context by name, or the current one.
func (f *contexts) pick(name string) (string, identity, error) {
	if name == "" {
		name = f.Current
	}
	if at, ok := f.Contexts[name]; ok {
		return name, at, nil
	}
	if name == "" {
		return "", identity{}, &exitError{exitUsage, errNoContext}
	}
	if len(f.Contexts) == 0 {
		return "", identity{}, usageError("there is no context %q; %w", name, errNoContext)
	}
	return "", identity{}, usageError("there is no context %q; there are %s", name, strings.Join(slices.Sorted(maps.Keys(f.Contexts)), ", "))
}

// save replaces the file as a whole: it is the old one or the new one, whatever
// happens meanwhile.
func (f *contexts) save() (string, error) {
	name, err := contextsFile()
	if err != nil {
		return "", err
	}
	text, err := yaml.Marshal(f)
	if err != nil {
		return "", fmt.Errorf("write the contexts: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return "", fmt.Errorf("write the contexts: %w", err)
	}
	if err := writePrivate(name, func(w io.Writer) error { _, err := w.Write(text); return err }); err != nil {
		return "", fmt.Errorf("write the contexts: %w", err)
	}
	return name, nil
}

// writePrivate writes a file that only its owner can read (0600), which gets its
// name when it is complete and on the disk.
func writePrivate(name string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone already when it was renamed
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
