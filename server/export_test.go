package server

import (
	"context"
	"net/http"
)

// PublicHandler is what the public listener serves, for measuring it without a
// network.
func (s *Server) PublicHandler() http.Handler { return s.publicHandler() }

// PruneNow deletes what has ended, as Run does every few minutes.
func (s *Server) PruneNow(ctx context.Context) error { return s.pruneNow(ctx) }

// Remind looks for what expires, as Run does every few minutes.
func (s *Server) Remind(ctx context.Context) error { return s.remind.look(ctx) }
