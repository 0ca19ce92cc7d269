package cached_test

import (
	"context"
	"fmt"
	"testing"

	"postern/store"
	"postern/store/cached"
)

// Hot reads are to take 60 ns at most and to allocate nothing. The context is
// one that can be cancelled, as a request's is.
func BenchmarkHotReads(b *testing.B) {
	var records []store.Record
	for i := range 1000 {
		id := fmt.Sprintf("%024d", i)
		records = append(records,
			&store.Client{ID: store.ClientID("cli" + id), Revision: 1},
			&store.Account{ID: store.AccountID("svc" + id), Revision: 1},
			&store.Role{ID: store.RoleID("rol" + id), Ref: "w/" + id, Revision: 1},
			&store.Revocation{ID: id, Revision: 1})
	}
	s := loaded(b, newFake(records...), cached.Options{})
	var ids []string
	for i := range 256 {
		ids = append(ids, fmt.Sprintf("%024d", i))
	}
	for _, bench := range []struct {
		name   string
		prefix string
		read   func(ctx context.Context, s *cached.Store, id string) bool
	}{
		{"client", "cli", func(ctx context.Context, s *cached.Store, id string) bool {
			c, err := s.Client(ctx, store.ClientID(id))
			return err == nil && c != nil
		}},
		{"holder", "svc", func(ctx context.Context, s *cached.Store, id string) bool {
			h, err := s.Holder(ctx, store.AccountID(id))
			return err == nil && h != nil
		}},
		{"role", "rol", func(_ context.Context, s *cached.Store, id string) bool { return s.Role(store.RoleID(id)) != nil }},
		{"revoked", "", func(_ context.Context, s *cached.Store, id string) bool { return s.Revoked(id) }},
		{"not revoked", "jti", func(_ context.Context, s *cached.Store, id string) bool { return !s.Revoked(id) }},
		{"age", "", func(_ context.Context, s *cached.Store, _ string) bool { return s.Age() >= 0 }},
	} {
		b.Run(bench.name, func(b *testing.B) {
			ctx, cancel := context.WithCancel(b.Context())
			defer cancel()
			var asked []string
			for _, id := range ids {
				asked = append(asked, bench.prefix+id)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if !bench.read(ctx, s, asked[i%len(asked)]) {
					b.Fatalf("%s: not the expected answer", asked[i%len(asked)])
				}
			}
		})
	}
}
