package sqlite_test

import (
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"postern/store"
	"postern/store/sqlite"
)

// BenchmarkCommit counts acknowledged, durable commits of 16 writers: a client
// and the audit entry of its change.
func BenchmarkCommit(b *testing.B) {
	for name, writes := range map[string]func(id store.ClientID) []store.Write{
		"client and entry": func(id store.ClientID) []store.Write {
			return []store.Write{
				store.Insert(&store.Client{ID: id, Name: "bench", Secrets: []store.ClientSecret{{Hash: make([]byte, 32)}}}),
				store.Insert(&store.AuditEntry{ID: store.AuditID(id), Operation: "client.create"}),
			}
		},
		"revocation": func(id store.ClientID) []store.Write {
			return []store.Write{store.Insert(&store.Revocation{ID: string(id), ExpiresAt: 1})}
		},
	} {
		b.Run(name, func(b *testing.B) {
			s := openForBench(b, b.TempDir())
			var left atomic.Int64
			left.Store(int64(b.N))
			b.ResetTimer()
			var writers sync.WaitGroup
			for range 16 {
				writers.Go(func() {
					for left.Add(-1) >= 0 {
						if err := s.Commit(b.Context(), writes(store.NewClientID())...); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			writers.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
		})
	}
}

// BenchmarkOpen opens a store of 100,000 clients.
func BenchmarkOpen(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "data")
	s := openForBench(b, dir)
	for i := range 100 {
		var writes []store.Write
		for n := range 1000 {
			writes = append(writes, store.Insert(&store.Client{
				ID: store.NewClientID(), Name: fmt.Sprintf("client %d of %d", n, i), Workspace: "wsp1", Account: "svc1",
				Status: store.ClientActive, Secrets: []store.ClientSecret{{Hash: make([]byte, 32)}},
			}))
		}
		if err := s.Commit(b.Context(), writes...); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s, err := sqlite.Open(b.Context(), sqlite.Options{Dir: dir})
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkClient reads one client by id.
func BenchmarkClient(b *testing.B) {
	s := openForBench(b, b.TempDir())
	if err := s.Commit(b.Context(), store.Insert(&store.Client{ID: "c", Secrets: []store.ClientSecret{{Hash: make([]byte, 32)}}})); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := s.Client(b.Context(), "c"); err != nil {
			b.Fatal(err)
		}
	}
}

func openForBench(b *testing.B, dir string) *sqlite.Store {
	b.Helper()
	s, err := sqlite.Open(b.Context(), sqlite.Options{Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	return s
}
