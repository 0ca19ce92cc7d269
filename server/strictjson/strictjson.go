// Package strictjson reads JSON that another reader reads too, and decides by it:
// what two readers may take for two things is refused (RFC 8259 section 4, RFC
// 8725 section 2.4). Names are compared byte for byte, where encoding/json folds
// their case.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

// The errors of Object. They say nothing of what was read.
var (
	ErrNoObject = errors.New("it is not one JSON object")
	ErrTwice    = errors.New("a member stands twice in it")
)

// Object reads one JSON object and nothing else: in which no member stands twice,
// and nothing behind it. What is inside its members is not looked at.
func Object(text []byte) (map[string]json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	if start, err := d.Token(); err != nil || start != json.Delim('{') {
		return nil, ErrNoObject
	}
	members := map[string]json.RawMessage{}
	for d.More() {
		key, err := d.Token()
		name, ok := key.(string)
		if err != nil || !ok {
			return nil, ErrNoObject
		}
		if _, twice := members[name]; twice {
			return nil, ErrTwice
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil || len(value) == 0 {
			return nil, ErrNoObject
		}
		members[name] = value
	}
	if _, err := d.Token(); err != nil { // the brace
		return nil, ErrNoObject
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, ErrNoObject
	}
	return members, nil
}

// Text reads a JSON string, and nothing where the value is none or absent.
func Text(value json.RawMessage) (s string, ok bool) {
	if len(value) == 0 || value[0] != '"' {
		return "", false
	}
	return s, json.Unmarshal(value, &s) == nil
}
