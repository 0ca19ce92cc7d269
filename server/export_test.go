package server

import "net/http"

// PublicHandler is what the public listener serves, for measuring it without a
// network.
func (s *Server) PublicHandler() http.Handler { return s.publicHandler() }
