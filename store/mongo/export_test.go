package mongo

// SetFew makes lists of more than n clients take the road for many.
func (s *Store) SetFew(n int) { s.few = n }
