package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"postern/store"
	"postern/store/sqlite"
)

const (
	backupHead   = `{"postern_backup":1,"made_at":1767225600000}` + "\n"
	installation = `{"kind":"installation","record":{"_id":"bootstrap","revision":4,"generation":7,"created_at":1}}` + "\n"
)

func emptyStore(t *testing.T) store.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir(), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// restored restores a text into a store, and returns what is there then.
func restored(t *testing.T, s store.Store, text string) ([]store.Record, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "backup.ndjson")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &cobra.Command{}
	c.SetContext(t.Context())
	c.SetOut(io.Discard)
	c.SetErr(io.Discard)
	failed := restoreFile(c, s, file)
	var all []store.Record
	if err := s.All(t.Context(), func(r store.Record) error { all = append(all, r); return nil }, store.Kinds()...); err != nil {
		t.Fatal(err)
	}
	return all, failed
}

func TestRestoreRaisesTheGeneration(t *testing.T) {
	all, err := restored(t, emptyStore(t), backupHead+installation+`{"end":1}`+"\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		if i, ok := r.(*store.Installation); ok {
			if i.Generation != 8 {
				t.Errorf("generation %d, want 8: tokens of generation 7 would live again", i.Generation)
			}
			return
		}
	}
	t.Errorf("there is no installation among %v", all)
}

func TestRestoreOfManyRecords(t *testing.T) {
	var text strings.Builder
	text.WriteString(backupHead)
	text.WriteString(installation)
	const many = 2*batch + 1
	for n := range many {
		fmt.Fprintf(&text, `{"kind":"teams","record":{"_id":"tea%d","revision":3,"name":"team-%d","created_at":1}}`+"\n", n, n)
	}
	fmt.Fprintf(&text, `{"end":%d}`+"\n", many+1)
	all, err := restored(t, emptyStore(t), text.String())
	if want := many + 2; err != nil || len(all) != want { // the installation, and the entry of the audit
		t.Errorf("%d records, %v; want %d", len(all), err, want)
	}
}

func TestNothingIsRestoredFromWhatIsNoBackup(t *testing.T) {
	const team = `{"kind":"teams","record":{"_id":"tea1","name":"a","created_at":1}}` + "\n"
	for name, text := range map[string]string{
		"empty":                   "",
		"something else":          "hello\n",
		"a newer version":         `{"postern_backup":2}` + "\n" + installation + `{"end":1}` + "\n",
		"cut off":                 backupHead + installation + team,
		"a record lost":           backupHead + installation + team + `{"end":3}` + "\n",
		"more after the end":      backupHead + installation + `{"end":1}` + "\n" + team,
		"no installation":         backupHead + team + `{"end":1}` + "\n",
		"an unknown kind":         backupHead + installation + `{"kind":"spoons","record":{"_id":"1"}}` + "\n" + `{"end":2}` + "\n",
		"a signing key":           backupHead + installation + `{"kind":"keys","record":{"_id":"1"}}` + "\n" + `{"end":2}` + "\n",
		"a revocation":            backupHead + installation + `{"kind":"revocations","record":{"_id":"1"}}` + "\n" + `{"end":2}` + "\n",
		"a record without an id":  backupHead + installation + `{"kind":"teams","record":{"name":"a"}}` + "\n" + `{"end":2}` + "\n",
		"a field nobody knows":    backupHead + installation + `{"kind":"teams","record":{"_id":"1","colour":"red"}}` + "\n" + `{"end":2}` + "\n",
		"half a line":             backupHead + installation + `{"kind":"teams","rec` + "\n" + `{"end":2}` + "\n",
		"an end that is a record": backupHead + installation + team + `{"end":2,"kind":"teams"}` + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			all, err := restored(t, emptyStore(t), text)
			if err == nil || len(all) != 0 {
				t.Errorf("got %v, and %d records", err, len(all))
			}
		})
	}
}

func TestNothingIsRestoredIntoAFilledStore(t *testing.T) {
	s := emptyStore(t)
	err := s.Commit(t.Context(), store.Insert(&store.Client{ID: "cli1", Generation: 1, ClientKind: store.ClientService, Name: "old", Status: store.ClientRevoked, CreatedAt: 1}))
	if err != nil {
		t.Fatal(err)
	}
	all, err := restored(t, s, backupHead+installation+`{"kind":"clients","record":{"_id":"cli1","kind":"service","name":"old","status":"active","created_at":1}}`+"\n"+`{"end":2}`+"\n")
	if err == nil || !strings.Contains(err.Error(), "1 client is revoked here and active in the backup") || len(all) != 1 {
		t.Errorf("got %v, and %d records", err, len(all))
	}
}
