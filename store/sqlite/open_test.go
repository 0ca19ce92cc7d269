package sqlite_test

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postern/store"
	"postern/store/sqlite"
)

func TestSecondServerIsRefused(t *testing.T) {
	dir := t.TempDir()
	first, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	_, err = sqlite.Open(t.Context(), sqlite.Options{Dir: dir})
	if err == nil {
		t.Fatal("the same folder was opened twice")
	}
	for _, part := range []string{dir, fmt.Sprintf("process %d", os.Getpid())} {
		if !strings.Contains(err.Error(), part) || strings.Contains(err.Error(), "\n") {
			t.Errorf("the refusal is %q; want one line that names %s", err, part)
		}
	}
	insert(t, first, "still-writable")
	if err := first.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	again := open(t, dir)
	if _, err := again.Client(t.Context(), "still-writable"); err != nil {
		t.Errorf("client after the store was opened again: %v", err)
	}
}

func TestFilesAreTheOwnersAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := open(t, dir)
	insert(t, s, "c")
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder: got %v, %v; want 0700", info.Mode(), err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: got %v, %v; want 0600", e.Name(), info.Mode(), err)
		}
	}
	if len(entries) < 3 {
		t.Errorf("the folder holds %v; want the database, its WAL and the lock", entries)
	}
}

func TestOnlySoundFilesAreOpened(t *testing.T) {
	page := func(n int) int64 { return int64(n) * 4096 }
	tests := []struct {
		name   string
		damage func(t *testing.T, path string)
		want   string
	}{
		{"empty", func(t *testing.T, path string) { truncate(t, path, 0) }, "damaged"},
		{"shorter than its header", func(t *testing.T, path string) { truncate(t, path, 50) }, "not a database"},
		{"half of it", func(t *testing.T, path string) { truncate(t, path, page(60)) }, "damaged"},
		{"a last page that is gone", func(t *testing.T, path string) { truncate(t, path, size(t, path)-4096) }, "damaged"},
		{"not a database", func(t *testing.T, path string) { overwrite(t, path, 0, []byte("Dear diary")) }, "not a database"},
		{"a page of zeros", func(t *testing.T, path string) { overwrite(t, path, page(90), make([]byte, 4096)) }, "damaged"},
		{"many pages of noise", func(t *testing.T, path string) { overwrite(t, path, page(40), bytes.Repeat([]byte{0xa5}, 4096*30)) }, "damaged"},
		{"a schema of noise", func(t *testing.T, path string) { overwrite(t, path, 100, bytes.Repeat([]byte{0xa5}, 3000)) }, "damaged"},
		{"of a newer program", func(t *testing.T, path string) { execute(t, path, "PRAGMA user_version = 1000") }, "newer program"},
		{"of another program", func(t *testing.T, path string) { execute(t, path, "PRAGMA application_id = 1") }, "not one of Postern"},
		{"gone, but for its WAL", func(t *testing.T, path string) {
			if err := os.Rename(path, path+"-wal"); err != nil {
				t.Fatal(err)
			}
		}, "postern.db-wal is"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := filepath.Join(dir, "postern.db")
			s, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir})
			if err != nil {
				t.Fatalf("open: %v", err)
			}
			var writes []store.Write
			for i := range 300 {
				writes = append(writes, store.Insert(&store.Client{ID: store.ClientID(fmt.Sprint("client-", i)), Name: strings.Repeat("long", 100)}))
			}
			if err := s.Commit(t.Context(), writes...); err != nil {
				t.Fatalf("commit: %v", err)
			}
			if err := s.Close(); err != nil {
				t.Fatalf("close: %v", err)
			}
			tt.damage(t, path)
			before, _ := os.ReadFile(path)
			_, err = sqlite.Open(t.Context(), sqlite.Options{Dir: dir})
			if err == nil {
				t.Fatal("the store was opened")
			}
			if !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), dir) || strings.Contains(err.Error(), "\n") {
				t.Errorf("the refusal is %q; want one line with the folder and %q", err, tt.want)
			}
			if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
				t.Errorf("the refused file was changed: %d bytes, now %d", len(before), len(after))
			}
		})
	}
}

// TestTruncatedWAL opens what a crash left, with less and less of the WAL.
func TestTruncatedWAL(t *testing.T) {
	const commits = 20
	dir := t.TempDir()
	s := open(t, dir)
	for i := range commits {
		insert(t, s, fmt.Sprintf("client-%02d", i))
	}
	whole, err := os.ReadFile(filepath.Join(dir, "postern.db-wal"))
	if err != nil {
		t.Fatal(err)
	}
	for cut := 0; cut <= len(whole); cut += len(whole)/30 + 7 {
		crashed := t.TempDir()
		if err := os.CopyFS(crashed, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(crashed, "postern.db-shm")); err != nil {
			t.Fatal(err)
		}
		truncateTo := int64(len(whole) - cut)
		if err := os.Truncate(filepath.Join(crashed, "postern.db-wal"), truncateTo); err != nil {
			t.Fatal(err)
		}
		s := open(t, crashed)
		if err := s.Check(t.Context()); err != nil {
			t.Errorf("with %d of %d bytes of the WAL: %v", truncateTo, len(whole), err)
		}
		clients, err := s.Clients(t.Context(), store.ClientQuery{})
		if err != nil {
			t.Errorf("with %d of %d bytes of the WAL: %v", truncateTo, len(whole), err)
		}
		for i, c := range clients {
			if want := store.ClientID(fmt.Sprintf("client-%02d", i)); c.ID != want {
				t.Errorf("with %d of %d bytes of the WAL client %d is %s, want %s: an older commit is lost and a younger one is not",
					truncateTo, len(whole), i, c.ID, want)
			}
		}
		if cut == 0 && len(clients) != commits {
			t.Errorf("with the whole WAL there are %d clients, want %d", len(clients), commits)
		}
	}
}

func TestHalfMadeDatabaseIsMadeAnew(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "postern.db.new"), []byte("the first start was killed here"), 0o600); err != nil {
		t.Fatal(err)
	}
	insert(t, open(t, dir), "c")
}

func TestClosedStore(t *testing.T) {
	s, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	feed, err := s.Watch(t.Context(), "")
	if err != nil {
		t.Fatalf("watch: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	if err := s.Commit(t.Context(), store.Insert(&store.Client{ID: "late"})); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("commit after the close: got error %v, want ErrUnavailable", err)
	}
	if _, err := s.Client(t.Context(), "late"); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("read after the close: got error %v, want ErrUnavailable", err)
	}
	if _, err := feed.Next(t.Context()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("next after the close: got error %v, want ErrUnavailable", err)
	}
}

func insert(t *testing.T, s *sqlite.Store, id string) {
	t.Helper()
	if err := s.Commit(t.Context(), store.Insert(&store.Client{ID: store.ClientID(id), Name: strings.Repeat(id, 50)})); err != nil {
		t.Fatalf("insert client %s: %v", id, err)
	}
}

func size(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func truncate(t *testing.T, path string, to int64) {
	t.Helper()
	if from := size(t, path); from <= to {
		t.Fatalf("the database has only %d bytes", from)
	}
	if err := os.Truncate(path, to); err != nil {
		t.Fatal(err)
	}
}

func overwrite(t *testing.T, path string, at int64, with []byte) {
	t.Helper()
	if all := size(t, path); at+int64(len(with)) > all {
		t.Fatalf("the database has only %d bytes", all)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt(with, at)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

func execute(t *testing.T, path, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.ExecContext(t.Context(), statement)
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}
