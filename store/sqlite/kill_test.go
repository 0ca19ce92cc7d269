//go:build unix

package sqlite_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"postern/store"
	"postern/store/sqlite"
)

// The environment of a test binary that is not to test, but to be killed, or
// to meet a full disk.
const (
	writeIn = "POSTERN_TEST_WRITE_IN" // the folder
	fillIn  = "POSTERN_TEST_FILL_IN"  // the folder
	kills   = "POSTERN_TEST_KILLS"    // how often; 10 unless set
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(writeIn); dir != "" {
		if err := writeUntilKilled(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// writeUntilKilled has 16 writers, and prints what is acknowledged.
func writeUntilKilled(dir string) error {
	s, err := sqlite.Open(context.Background(), sqlite.Options{Dir: dir})
	if err != nil {
		return err
	}
	errs := make(chan error)
	for range 16 {
		go func() {
			for {
				id := store.NewClientID()
				err := s.Commit(context.Background(),
					store.Insert(&store.Client{ID: id, Name: "written until killed"}),
					store.Insert(&store.AuditEntry{ID: store.AuditID(id), Operation: "client.create"}))
				if err != nil {
					errs <- err
					return
				}
				fmt.Println(id) // to the test that will kill this process
			}
		}()
	}
	return <-errs
}

func TestKillLosesNothingAcknowledged(t *testing.T) {
	rounds := 10
	if text := os.Getenv(kills); text != "" {
		var err error
		if rounds, err = strconv.Atoi(text); err != nil {
			t.Fatalf("%s: %v", kills, err)
		}
	}
	dir := t.TempDir()
	acknowledged := map[string]bool{}
	for round := range rounds {
		for _, id := range killed(t, dir, 1+rand.IntN(400)) {
			acknowledged[id] = true
		}
		s, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir})
		if err != nil {
			t.Fatalf("round %d: open after the kill: %v", round, err)
		}
		if err := s.Check(t.Context()); err != nil {
			t.Errorf("round %d: %v", round, err)
		}
		clients, entries := map[string]bool{}, map[string]bool{}
		err = s.All(t.Context(), func(r store.Record) error {
			if r.Kind() == store.KindClient {
				clients[r.Key()] = true
			} else {
				entries[r.Key()] = true
			}
			return nil
		}, store.KindClient, store.KindAudit)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		for id := range acknowledged {
			if !clients[id] {
				t.Errorf("round %d: client %s was acknowledged and is lost", round, id)
			}
		}
		for id := range clients {
			if !entries[id] {
				t.Errorf("round %d: client %s is there without the entry of its commit", round, id)
			}
		}
		if len(clients) != len(entries) {
			t.Errorf("round %d: %d clients and %d entries, which are written together", round, len(clients), len(entries))
		}
		if err := s.Close(); err != nil {
			t.Errorf("round %d: close: %v", round, err)
		}
	}
	t.Logf("%d kills, %d acknowledged commits", rounds, len(acknowledged))
}

// killed starts a process that writes, kills it after so many
// acknowledgements, and returns all that it gave.
func killed(t *testing.T, dir string, after int) []string {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Env = append(os.Environ(), writeIn+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var ids []string
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			break // it is dead, and a line that is cut off was not read by anybody
		}
		ids = append(ids, strings.TrimSuffix(line, "\n"))
		if len(ids) == after {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait() // "signal: killed"
	if len(ids) < after {
		t.Fatalf("the writing process ended by itself after %d commits", len(ids))
	}
	return ids
}

// TestFullDisk runs in a process of its own, whose files may not grow.
func TestFullDisk(t *testing.T) {
	dir := os.Getenv(fillIn)
	if dir == "" {
		program, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), program, "-test.run=^TestFullDisk$")
		cmd.Env = append(os.Environ(), fillIn+"="+t.TempDir())
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	signal.Ignore(syscall.SIGXFSZ) // then a write past the limit is an error like any other
	s := open(t, dir)
	insert(t, s, "before")
	for round := range 3 {
		limitFiles(t, uint64(size(t, filepath.Join(dir, "postern.db-wal"))+20_000))
		saved, failed := []store.ClientID{}, []store.ClientID{}
		for i := 0; len(failed) < 5 && i < 1000; i++ {
			id := store.ClientID(fmt.Sprintf("filling-%d-%d", round, i))
			err := s.Commit(t.Context(), store.Insert(&store.Client{ID: id, Description: strings.Repeat("x", 1000)}))
			if err != nil {
				checkOutage(t, s, err)
				failed = append(failed, id)
			} else {
				saved = append(saved, id)
			}
		}
		if len(failed) == 0 {
			t.Error("a disk that is full took a thousand clients")
		}
		limitFiles(t, 1<<40)
		insert(t, s, fmt.Sprint("after-", round))
		for _, id := range saved {
			if _, err := s.Client(t.Context(), id); err != nil {
				t.Errorf("client %s, acknowledged while the disk became full: %v", id, err)
			}
		}
		for _, id := range failed {
			if _, err := s.Client(t.Context(), id); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("client %s, whose write failed: got %v, want ErrNotFound", id, err)
			}
		}
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func limitFiles(t *testing.T, bytes uint64) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	limit.Cur = min(bytes, limit.Max)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
}
