package policy

import (
	"encoding/binary"
	"iter"
	"slices"
)

// table finds records by id with fewer waits for memory than a map: it searches
// the ends of the ids, which are random, as numbers that lie side by side. Once
// it is read it does not change.
type table[ID ~string, V any] struct {
	keys    []uint64 // sorted
	entries []entry[ID, V]
}

type entry[ID ~string, V any] struct {
	id    ID
	value *V
}

func (t *table[ID, V]) get(id ID) *V {
	if i, found := t.find(id); found {
		return t.entries[i].value
	}
	return nil
}

func (t *table[ID, V]) find(id ID) (int, bool) {
	key := tail(string(id))
	low, high := 0, len(t.keys)
	for low < high {
		if mid := int(uint(low+high) >> 1); t.keys[mid] < key {
			low = mid + 1
		} else {
			high = mid
		}
	}
	for i := low; i < len(t.keys) && t.keys[i] == key; i++ {
		if t.entries[i].id == id {
			return i, true
		}
	}
	return low, false
}

// with returns a table in which the id has another value, or none if it is nil.
func (t *table[ID, V]) with(id ID, value *V) table[ID, V] {
	changed := t.copied()
	changed.set(id, value)
	return changed
}

func (t *table[ID, V]) copied() table[ID, V] {
	return table[ID, V]{slices.Clone(t.keys), slices.Clone(t.entries)}
}

// set is with for a table that nobody reads yet.
func (t *table[ID, V]) set(id ID, value *V) {
	i, found := t.find(id)
	switch {
	case found && value == nil:
		t.keys, t.entries = slices.Delete(t.keys, i, i+1), slices.Delete(t.entries, i, i+1)
	case found:
		t.entries[i].value = value
	case value != nil:
		t.keys = slices.Insert(t.keys, i, tail(string(id)))
		t.entries = slices.Insert(t.entries, i, entry[ID, V]{id, value})
	}
}

// all yields the entries in no order that means anything.
func (t *table[ID, V]) all() iter.Seq2[ID, *V] {
	return func(yield func(ID, *V) bool) {
		for _, e := range t.entries {
			if !yield(e.id, e.value) {
				return
			}
		}
	}
}

// tail returns the last eight bytes of an id.
func tail(id string) uint64 {
	if len(id) >= 8 {
		return binary.LittleEndian.Uint64([]byte(id[len(id)-8:]))
	}
	var short [8]byte
	copy(short[:], id)
	return binary.LittleEndian.Uint64(short[:])
}
