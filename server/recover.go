package server

import (
	"context"
	"fmt"

	"postern/server/admin"
	"postern/store"
)

// Recover gives an installation whose administrators are lost a new one: see
// admin.Recover. The key-encryption key must be the one of this store. Call it in
// place of Run.
func (s *Server) Recover(ctx context.Context, account string) (*admin.Recovered, error) {
	var sealed []store.Record
	err := s.o.Store.All(ctx, func(r store.Record) error { sealed = append(sealed, r); return nil }, store.KindKey)
	if err != nil {
		return nil, fmt.Errorf("read the keys: %w", err)
	}
	if err := s.keys.Load(sealed); err != nil {
		return nil, err
	}
	return s.admin.Recover(ctx, account)
}
