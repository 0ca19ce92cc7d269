package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/spf13/cobra"

	"postern/server/admin"
)

func (a *remote) backupCommand() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "backup",
		Short: "Stream all records but keys and usage into a file (0600)",
		Long: `Stream a backup into a file that only you can read: it holds the hashes of all
secrets. Signing keys, revoked tokens and usage are not in it; postern restore
makes new keys. Only an owner of the workspace system may make one.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := a.session(c)
			if err != nil {
				return err
			}
			if file == "" {
				file = "postern-backup-" + s.now.UTC().Format("20060102-150405") + ".ndjson"
			}
			return told(c, s.backup(c.Context(), file))
		},
	}
	c.Flags().StringVarP(&file, "output", "o", "", "file to write, - is standard output; named after the time by default")
	a.target(c)
	return c
}

func (s *session) backup(ctx context.Context, file string) error {
	resp, err := s.open(ctx, request{method: http.MethodGet, path: "/backup"})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if file == "-" {
		_, err := copyBackup(os.Stdout, resp.Body)
		return err
	}
	var records int64
	err = writePrivate(file, func(w io.Writer) error {
		n, err := copyBackup(w, resp.Body)
		records = n
		return err
	})
	if err != nil {
		return fmt.Errorf("back up into %s: %w", file, err)
	}
	s.cmd.PrintErrf(`%s of %s are in %s.
It holds the hashes of all secrets: keep it where you keep secrets, and the
key-encryption key, which is not in it, somewhere else.
`, plural(int(records), "record", "records"), s.base, file)
	return nil
}

// copyBackup copies a backup and makes sure of its end: one that is cut off is no
// backup.
func copyBackup(w io.Writer, r io.Reader) (int64, error) {
	tail := &lastLine{}
	if _, err := io.Copy(io.MultiWriter(w, tail), r); err != nil {
		return 0, fmt.Errorf("the backup broke off: %w", err)
	}
	n, ok := backupEnd(tail.line)
	if !ok {
		return 0, errors.New("the backup broke off: its last line is missing")
	}
	return n, nil
}

// backupEnd reads the last line of a backup: how many records it has.
func backupEnd(line []byte) (records int64, ok bool) {
	var members map[string]json.RawMessage
	var end admin.BackupEnd
	if json.Unmarshal(line, &members) != nil || len(members) != 1 || members["end"] == nil {
		return 0, false
	}
	err := json.Unmarshal(line, &end)
	return end.Records, err == nil
}

// lastLine keeps the last line that is written to it.
type lastLine struct {
	line  []byte
	ended bool
}

func (l *lastLine) Write(p []byte) (int, error) {
	for _, b := range p {
		if l.ended {
			l.line, l.ended = l.line[:0], false
		}
		if b == '\n' {
			l.ended = true
			continue
		}
		l.line = append(l.line, b)
	}
	return len(p), nil
}
