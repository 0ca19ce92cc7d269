package leak

import (
	"bytes"
	"encoding/binary"
	"io"
	"slices"
	"sync"

	"postern/server/token"
)

// needle is the beginning of a credential in one spelling.
type needle struct {
	begin string // its first four bytes
	kind  Kind
	// text reads what begins here, as many characters as a credential can have.
	text func(b []byte, at int) []byte
}

//nolint:gochecknoglobals // constants, were there constant structs
var (
	needles = []needle{
		{"pst_", Secret, plain},
		{"psa_", Opaque, plain},
		{"p\x00s\x00", Secret, wide},
		{"p\x00s\x00", Opaque, wide},
		// The characters of base64 that are the same whatever stands before and
		// after, by where in a group of three bytes the prefix begins.
		{"cHN0", Secret, based(0)},
		{"BzdF", Secret, based(1)},
		{"wc3R", Secret, based(2)},
		{"cHNh", Opaque, based(0)},
		{"BzYV", Opaque, based(1)},
		{"wc2F", Opaque, based(2)},
	}
	jwtNeedles = []needle{
		{"eyJh", JWT, plain}, // {"a, of alg
		{"eyJr", JWT, plain}, // {"k, of kid
		{"eyJ0", JWT, plain}, // {"t, of typ
		{"eyJj", JWT, plain}, // {"c, of cty
		{"e\x00y\x00", JWT, wide},
	}
	findOwn  = newTable(needles)
	findJWTs = newTable(slices.Concat(needles, jwtNeedles))
)

// table finds needles in one pass, most of the time by looking at every third
// byte only (Wu and Manber 1994, with blocks of two): how far the next needle
// can begin at the earliest, by the last two of four bytes.
type table struct {
	skip   [1 << 16]uint8
	starts map[uint32][]needle
}

func newTable(list []needle) *table {
	t := &table{starts: map[uint32][]needle{}}
	for i := range t.skip {
		t.skip[i] = 3
	}
	for _, n := range list {
		b := []byte(n.begin)
		for i := range 3 {
			at := binary.BigEndian.Uint16(b[i:])
			t.skip[at] = min(t.skip[at], uint8(2-i)) //nolint:gosec // 0 to 2
		}
		first := binary.BigEndian.Uint32(b)
		t.starts[first] = append(t.starts[first], n)
	}
	return t
}

func (f *Finder) table() *table {
	if len(f.Issuers) > 0 {
		return findJWTs
	}
	return findOwn
}

// find tells of the credentials that begin at start or later and before end.
func (f *Finder) find(b []byte, start, end int, tell func(Found)) {
	t := f.table()
	last := min(end+3, len(b))
	for i := start + 3; i < last; {
		skip := t.skip[uint16(b[i-1])<<8|uint16(b[i])]
		if skip != 0 {
			i += int(skip)
			continue
		}
		at := i - 3
		for _, n := range t.starts[binary.BigEndian.Uint32(b[at:])] {
			if found, ok := f.read(n.kind, n.text(b, at)); ok {
				found.Offset = int64(at)
				tell(found)
				break
			}
		}
		i++
	}
}

const (
	window = 1 << 20
	// reach is how far a credential can go beyond its first byte, in the widest
	// spelling there is.
	reach = 4 * token.MaxLength
	// back is how far base64 is read before what is surely known of it.
	back = 4
)

//nolint:gochecknoglobals // memory that is used again
var windows = sync.Pool{New: func() any { b := make([]byte, window); return &b }}

// Scan reads a text to its end and tells of the credentials in it, by their
// places. A credential that is there twice is told twice. However long the text,
// it takes a megabyte of memory.
func (f *Finder) Scan(r io.Reader, tell func(Found)) (read int64, err error) {
	buf, _ := windows.Get().(*[]byte)
	defer windows.Put(buf)
	b := *buf
	have, start := 0, 0 // bytes in b, and how many of them were looked at
	line, counted := int64(1), 0
	for {
		n, err := io.ReadFull(r, b[have:])
		have += n
		read += int64(n)
		whole := err == io.EOF || err == io.ErrUnexpectedEOF
		if err != nil && !whole {
			return read, err
		}
		end := have
		if !whole {
			end = have - reach
		}
		base := read - int64(have)
		f.find(b[:have], start, end, func(found Found) {
			at := int(found.Offset)
			line += int64(bytes.Count(b[counted:at], []byte{'\n'}))
			counted = at
			found.Line, found.Offset = line, base+found.Offset
			tell(found)
		})
		if whole {
			return read, nil
		}
		line += int64(bytes.Count(b[counted:end], []byte{'\n'}))
		have = copy(b, b[end-back:have])
		start, counted = back, back
	}
}

// Find returns the credentials in a text, by their places.
func (f *Finder) Find(text []byte) []Found {
	var out []Found
	_, _ = f.Scan(bytes.NewReader(text), func(found Found) { out = append(out, found) }) // memory can be read
	return out
}
