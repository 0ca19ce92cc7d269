// Package sqlite is the embedded store: one SQLite file in one folder, for one
// server.
//
// Durable: a commit is acknowledged after its fsync (WAL, synchronous=FULL).
// One goroutine writes; commits that come at the same time share a transaction
// and its fsync (writer.go). Reads have connections of their own and see every
// commit that was acknowledged before they began.
//
// The change feed is in this process, published after the transaction and
// before the answer (feed.go). A lock file keeps a second server out, so no
// change can come from elsewhere.
//
// Never does it make a new database where a damaged one lies (open.go). While
// the disk is full, writes are store.Unavailable and reads go on.
package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"postern/store"
)

// file is the database's name in its folder.
const file = "postern.db"

// readers is how many reads go on at once.
const readers = 4

// Options configures a Store. Only Dir is required.
type Options struct {
	Dir string           // the folder, made if it is not there
	Now func() time.Time // nil means time.Now
	Log *slog.Logger     // nil means no log
}

// Store is a store.Store on SQLite. Open makes it.
type Store struct {
	options Options
	tables  map[store.Kind]*table
	lock    io.Closer
	write   *writer
	feed    *feed
	reader  *sql.DB

	heartbeats heartbeats

	client, account, accountByName, grantsOf *sql.Stmt
}

var _ store.Store = (*Store)(nil)

// Open opens the folder's database, or makes one if there is none, and starts
// its writer, which Close stops. It is an error if another process has it open,
// if it is damaged, or if a newer program wrote it.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("open the store in %s: %w", o.Dir, err)
	}
	o.Dir = dir
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open the store: make its folder: %w", err)
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return nil, err
	}
	s := &Store{options: o, tables: tables(), lock: lock, feed: newFeed(), heartbeats: heartbeats{rows: map[string]*store.Heartbeat{}}}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open the store in %s: %w", dir, err), s.Close())
	}
	return s, nil
}

func (s *Store) open(ctx context.Context) error {
	path := filepath.Join(s.options.Dir, file)
	if err := create(ctx, path); err != nil {
		return err
	}
	conn, err := connect(ctx, path)
	if err != nil {
		return err
	}
	s.write = newWriter(conn, s.feed, s.options.Log)
	s.reader = pool(path, "&_query_only=1")
	s.reader.SetMaxOpenConns(readers)
	s.reader.SetMaxIdleConns(readers)
	if err := s.sound(ctx); err != nil {
		return err
	}
	for text, stmt := range map[string]**sql.Stmt{
		"SELECT doc FROM clients WHERE id = ?":    &s.client,
		"SELECT doc FROM accounts WHERE id = ?":   &s.account,
		"SELECT doc FROM accounts WHERE name = ?": &s.accountByName,
		// A grant's id is holder@workspace, and A is the character after @.
		"SELECT doc FROM grants WHERE id >= ?1 || '@' AND id < ?1 || 'A' ORDER BY id": &s.grantsOf,
	} {
		if *stmt, err = s.reader.PrepareContext(ctx, text); err != nil {
			return fmt.Errorf("prepare %q: %w", text, err)
		}
	}
	go s.write.run()
	s.write.started = true
	return nil
}

// Close ends the writes that were begun, refuses others, ends the feeds, and
// closes the database.
func (s *Store) Close() error {
	var errs []error
	if s.write != nil {
		errs = append(errs, s.write.close())
	}
	s.feed.close()
	if s.reader != nil {
		errs = append(errs, s.reader.Close())
	}
	errs = append(errs, s.lock.Close())
	return errors.Join(errs...)
}

// Describe is "SQLite" and its version.
func (s *Store) Describe(ctx context.Context) (string, error) {
	var version string
	err := s.reader.QueryRowContext(ctx, "SELECT sqlite_version()").Scan(&version)
	if err != nil {
		return "", readError(ctx, "describe the store", err)
	}
	return "SQLite " + version, nil
}

// errClosed is the cause of outages after Close.
var errClosed = errors.New("the store is closed")

// readError returns what a failed read answers: the context's own error, or an
// outage.
func readError(ctx context.Context, doing string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", doing, ctx.Err())
	}
	return fmt.Errorf("%s: %w", doing, &store.Unavailable{Err: err})
}

// limit is a page's length: 0 is 50, and -1 all.
func limit(n int) int { return cmp.Or(n, 50) }
