package mongo

// SetFew makes lists of more than n clients take the road for many.
func (s *Store) SetFew(n int) { s.few = n }

// Derived are the fields beside a client's and an account's own that the first
// version of the schema did not have.
func Derived() (client, account string) { return fieldEnds, fieldUserName }
