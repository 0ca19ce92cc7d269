package mongo

// SetRoads makes the store walk so many rows at most, and find fewer than few by
// an index.
func (s *Store) SetRoads(stretch, few int) { s.stretch, s.few = stretch, few }

// The field beside an account's own that the first version of the schema did not
// have, and the collection that the second one did not have.
const (
	Derived    = fieldUserName
	ClientList = clientList
)
