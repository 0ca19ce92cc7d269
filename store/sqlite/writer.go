package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"postern/store"
)

const (
	// patience is how long a write waits for its answer.
	patience = 3 * time.Second
	// batch is how many jobs share a transaction at most.
	batch = 256
)

// job is a part of a transaction.
type job struct {
	// run does it. An error that is not the database's own undoes this job and
	// leaves its neighbours.
	run func(*writer) ([]store.Change, error)
	// memory is instead of run where no database is needed.
	memory func() []store.Change
	// whole says that run is one statement, which undoes itself when it fails.
	whole bool

	state   atomic.Int32
	changes []store.Change
	err     error
	done    chan struct{}
}

// The states of a job.
const (
	waiting int32 = iota
	taken         // by the writer: it will be done, or fail
	left          // by its caller: it will not be done
)

// writer is the one that writes. Only its goroutine uses conn and statements.
type writer struct {
	conn       *sql.DB // of one connection
	statements map[string]*sql.Stmt
	feed       *feed
	log        *slog.Logger
	started    bool
	failing    bool

	mu     sync.Mutex
	queue  []*job
	closed bool
	wake   chan struct{} // holds one when the queue has something new
	ended  chan struct{}
}

func newWriter(conn *sql.DB, f *feed, log *slog.Logger) *writer {
	return &writer{
		conn: conn, statements: map[string]*sql.Stmt{}, feed: f, log: log,
		wake: make(chan struct{}, 1), ended: make(chan struct{}),
	}
}

// do has a job done and waits for it. A job that is not begun when ctx ends is
// never done; of one that is, the outcome is waited for.
func (w *writer) do(ctx context.Context, j *job) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	j.done = make(chan struct{})
	if !w.enqueue(j) {
		return &store.Unavailable{Err: errClosed}
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-j.done:
		return j.err
	case <-ctx.Done():
		if j.state.CompareAndSwap(waiting, left) {
			return ctx.Err()
		}
	case <-late.C:
		if j.state.CompareAndSwap(waiting, left) {
			return &store.Unavailable{Err: fmt.Errorf("the disk has not kept up for %s", patience)}
		}
		return &store.Unavailable{Unknown: true, Err: fmt.Errorf("no answer from the disk in %s", patience)}
	}
	select {
	case <-j.done:
		return j.err
	case <-late.C:
		return &store.Unavailable{Unknown: true, Err: fmt.Errorf("no answer from the disk in %s", patience)}
	}
}

func (w *writer) enqueue(j *job) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return false
	}
	w.queue = append(w.queue, j)
	w.signal()
	return true
}

func (w *writer) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// next waits for jobs. None means that the writer is closed.
func (w *writer) next() []*job {
	for {
		w.mu.Lock()
		n := min(len(w.queue), batch)
		jobs := w.queue[:n:n]
		w.queue = w.queue[n:]
		closed := w.closed
		w.mu.Unlock()
		if n > 0 || closed {
			return jobs
		}
		<-w.wake
	}
}

// close does what is queued and ends the writer.
func (w *writer) close() error {
	w.mu.Lock()
	w.closed = true
	w.signal()
	w.mu.Unlock()
	if w.started {
		<-w.ended
	}
	return w.conn.Close()
}

func (w *writer) run() {
	defer close(w.ended)
	for {
		jobs := w.next()
		if len(jobs) == 0 {
			return
		}
		w.answer(jobs)
	}
}

// answer does jobs in one transaction, publishes their changes, and tells their
// callers.
func (w *writer) answer(jobs []*job) {
	var mine, stored []*job
	for _, j := range jobs {
		if !j.state.CompareAndSwap(waiting, taken) {
			continue
		}
		mine = append(mine, j)
		if j.run != nil {
			stored = append(stored, j)
		}
	}
	if len(stored) > 0 {
		err := w.transaction(stored)
		if (err != nil) != w.failing {
			w.failing = err != nil
			w.log.Warn("writes to the store", "failing", w.failing, "err", err)
		}
		if err != nil {
			for _, j := range stored {
				j.err = err
			}
		}
	}
	for _, j := range mine {
		if j.memory != nil {
			j.changes = j.memory()
		}
		if j.err == nil {
			w.feed.publish(j.changes)
		}
	}
	for _, j := range mine {
		close(j.done)
	}
}

// transaction does jobs in one transaction. Its error is an outage, and
// undid all of them; errors of single jobs are in the jobs.
func (w *writer) transaction(jobs []*job) error {
	if err := w.exec("BEGIN IMMEDIATE"); err != nil {
		return &store.Unavailable{Err: err}
	}
	for _, j := range jobs {
		if err := w.part(j); err != nil {
			w.rollback()
			return &store.Unavailable{Err: err}
		}
	}
	if err := w.exec("COMMIT"); err != nil {
		w.rollback()
		return &store.Unavailable{Unknown: !unwritten(err), Err: err}
	}
	return nil
}

// part does one job of a transaction. Its error is one that ends the
// transaction.
func (w *writer) part(j *job) error {
	if !j.whole {
		if err := w.exec("SAVEPOINT job"); err != nil {
			return err
		}
	}
	j.changes, j.err = j.run(w)
	if fatal(j.err) {
		return j.err
	}
	if j.whole {
		return nil
	}
	if j.err != nil {
		if err := w.exec("ROLLBACK TO job"); err != nil {
			return err
		}
	}
	return w.exec("RELEASE job")
}

func (w *writer) rollback() {
	// SQLite may have rolled back by itself, and then says so by an error.
	_ = w.exec("ROLLBACK")
}

func (w *writer) exec(text string, args ...any) error {
	_, err := w.affect(text, args...)
	return err
}

// affect executes a statement and returns how many rows it changed. The
// statement is prepared once: texts are few.
func (w *writer) affect(text string, args ...any) (int64, error) {
	stmt, err := w.prepare(text)
	if err != nil {
		return 0, err
	}
	result, err := stmt.Exec(args...) //nolint:noctx // a transaction is shared, and no caller's context may end it
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

func (w *writer) prepare(text string) (*sql.Stmt, error) {
	if stmt, ok := w.statements[text]; ok {
		return stmt, nil
	}
	stmt, err := w.conn.Prepare(text) //nolint:noctx // as above
	if err != nil {
		return nil, err
	}
	w.statements[text] = stmt
	return stmt, nil
}

// fatal reports whether an error of a statement ends its transaction: the
// database's own fault, which SQLite may have rolled back already.
func fatal(err error) bool {
	switch resultCode(err) & 0xff {
	case 0, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_RANGE, sqlite3.SQLITE_MISMATCH:
		return false
	default:
		return true
	}
}

// unwritten reports whether a failed COMMIT has surely left nothing behind: the
// disk did not take the last page, without which the others do not count. After
// another fault, of the fsync above all, they may count when the file is read
// anew.
func unwritten(err error) bool {
	switch resultCode(err) {
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR_WRITE:
		return true
	default:
		return false
	}
}

// resultCode is SQLite's extended result code in an error, or 0.
func resultCode(err error) int {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code()
	}
	return 0
}
