package server_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/server"
	"postern/store"
)

// counted is a store that counts what is written to it.
type counted struct {
	store.Store
	commits, writes, rows, beats atomic.Int64
}

// Commit counts everything but the seals of audit entries: those come later, by
// the clock, for what was done before.
func (c *counted) Commit(ctx context.Context, writes ...store.Write) error {
	sealing := func(w store.Write) bool {
		k := w.Record.Kind()
		return k == store.KindChain || k == store.KindLease || k == store.KindAudit && w.Op == store.OpUpdate
	}
	if !slices.ContainsFunc(writes, sealing) {
		c.commits.Add(1)
		c.writes.Add(int64(len(writes)))
	}
	return c.Store.Commit(ctx, writes...)
}

func (c *counted) AddUsage(ctx context.Context, rows []store.Usage, uses []store.LastUse) error {
	c.rows.Add(int64(len(rows) + len(uses)))
	return c.Store.AddUsage(ctx, rows, uses)
}

func (c *counted) Beat(ctx context.Context, node string, count int64) error {
	c.beats.Add(1)
	return c.Store.Beat(ctx, node, count)
}

// startCounted starts a node with some callers, and returns when all they need
// is there: after the first token of each format there are its keys.
func startCounted(tb testing.TB) (n *node, c *counted, dir string) {
	tb.Helper()
	c, dir = &counted{}, tb.TempDir()
	n = startNode(tb, dir, unlimited, func(o *server.Options) {
		c.Store = o.Store
		o.Store, o.UsageInterval = c, time.Second
	})
	n.fill(tb, 10, 64)
	for _, format := range []string{"opaque", "jwt"} {
		n.setFormat(tb, format)
		n.issue(tb, n.callers[0])
	}
	return n, c, dir
}

// tokens gets this many over 32 connections.
func (n *node) tokens(tb testing.TB, count int) {
	tb.Helper()
	var got atomic.Int64
	var all sync.WaitGroup
	for worker := range connections {
		c := n.callers[worker%len(n.callers)]
		s := shot{addr: n.url[len("http://"):], want: 200}
		s.requests = slices.Repeat([][]byte{post("/oauth2/token", c.basic(), wantToken)}, count/connections)
		all.Go(func() {
			answered, err := s.once()
			if got.Add(answered); err != nil {
				tb.Error(err)
			}
		})
	}
	all.Wait()
	if want := int64(count / connections * connections); got.Load() != want {
		tb.Fatalf("%d of %d tokens", got.Load(), want)
	}
}

// size is what is in a SQLite store.
type size struct {
	Records int64 // of every table but those of usage and of sealing
	Bytes   int64 // the pages of those tables
	Usage   int64 // rows
}

// sizeOf reads it from the file, by a connection of its own.
func sizeOf(tb testing.TB, dir string) size {
	tb.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "postern.db")+"?mode=ro")
	if err != nil {
		tb.Fatal(err)
	}
	defer db.Close()
	var s size
	for text, into := range map[string]*int64{
		"SELECT sum(ncell) FROM dbstat WHERE name IN (" + lasting + ") AND pagetype = 'leaf'": &s.Records,
		"SELECT sum(pgsize) FROM dbstat WHERE name IN (" + lasting + ")":                      &s.Bytes,
		"SELECT (SELECT count(*) FROM usage) + (SELECT count(*) FROM last_use)":               &s.Usage,
	} {
		if err := db.QueryRowContext(tb.Context(), text).Scan(into); err != nil {
			tb.Fatal(text, err)
		}
	}
	return s
}

const lasting = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT IN ('usage', 'usage_sums', 'last_use', 'chains', 'leases')"

// What an access token is stands in the token: issuing one writes nothing but
// usage.
func TestIssuingWritesNothing(t *testing.T) {
	n, c, dir := startCounted(t)
	for _, format := range []string{"jwt", "opaque"} {
		n.setFormat(t, format)
		before, commits := sizeOf(t, dir), c.commits.Load()
		n.tokens(t, 2048)
		if got := c.commits.Load() - commits; got != 0 {
			t.Errorf("%s: %d commits while 2048 tokens were issued; want none", format, got)
		}
		after := sizeOf(t, dir)
		before.Usage, after.Usage = 0, 0
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("%s: the store has changed (-before +after):\n%s", format, diff)
		}
	}
}

// BenchmarkMillionTokens issues a million JWTs, or a fiftieth of that.
func BenchmarkMillionTokens(b *testing.B) {
	count := 20_000
	if os.Getenv("POSTERN_BENCH") == "full" {
		count = 1_000_000
	}
	for b.Loop() {
		n, c, dir := startCounted(b)
		before := sizeOf(b, dir)
		commits, writes, rows, beats := c.commits.Load(), c.writes.Load(), c.rows.Load(), c.beats.Load()
		began := time.Now()
		n.tokens(b, count)
		took := time.Since(began)
		commits, writes, rows, beats = c.commits.Load()-commits, c.writes.Load()-writes, c.rows.Load()-rows, c.beats.Load()-beats
		after := sizeOf(b, dir)
		b.Logf("%d tokens in %s: %d commits of %d records; %d rows of usage written (%d there), %d heartbeats; store before %d records, %d bytes, after %d records, %d bytes",
			count, took.Round(time.Millisecond), commits, writes, rows, after.Usage, beats, before.Records, before.Bytes, after.Records, after.Bytes)
		b.ReportMetric(float64(writes), "store-writes")
		b.ReportMetric(float64(after.Bytes-before.Bytes), "store-bytes-more")
		b.ReportMetric(float64(count)/took.Seconds(), "tokens/s")
		n.stop()
	}
}
