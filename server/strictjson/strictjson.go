// Package strictjson reads JSON that another reader reads too, and decides by it:
// what two readers may take for two things is refused (RFC 8259 section 4, RFC
// 8725 section 2.4). Names are compared byte for byte, where encoding/json folds
// their case.
package strictjson

import (
	"encoding/json"
	"errors"
)

// The errors of Object. They say nothing of what was read.
var (
	ErrNoObject = errors.New("it is not one JSON object")
	ErrTwice    = errors.New("a member stands twice in it")
)

// Object reads one JSON object and nothing else: in which no member stands twice,
// and nothing behind it. What is inside its members is not looked at, but that it
// is JSON.
func Object(text []byte) (map[string]json.RawMessage, error) {
	if !json.Valid(text) {
		return nil, ErrNoObject
	}
	// What follows needs no check of its own: text is JSON.
	i := blanks(text, 0)
	if text[i] != '{' {
		return nil, ErrNoObject
	}
	members := make(map[string]json.RawMessage, 8)
	for i = blanks(text, i+1); text[i] != '}'; i = blanks(text, i) {
		end := valueEnd(text, i)
		name, ok := Text(text[i:end])
		if !ok {
			return nil, ErrNoObject
		}
		if _, twice := members[name]; twice {
			return nil, ErrTwice
		}
		i = blanks(text, blanks(text, end)+1) // behind the colon
		end = valueEnd(text, i)
		members[name] = text[i:end:end]
		if i = blanks(text, end); text[i] == ',' {
			i++
		}
	}
	return members, nil
}

// blanks returns the first index from i on at which there is no blank.
func blanks(text []byte, i int) int {
	for i < len(text) && (text[i] == ' ' || text[i] == '\n' || text[i] == '\t' || text[i] == '\r') {
		i++
	}
	return i
}

// valueEnd returns the index behind the value that begins at i.
func valueEnd(text []byte, i int) int {
	for depth := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			for i++; text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
			if depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
			if depth < 0 {
				return i // of a number or a word, at the end of what it is in
			}
		case ',', ' ', '\n', '\t', '\r':
			if depth == 0 {
				return i
			}
		}
	}
	return i
}

// Text reads a JSON string, and nothing where the value is none or absent.
func Text(value json.RawMessage) (s string, ok bool) {
	if len(value) < 2 || value[0] != '"' {
		return "", false
	}
	for _, c := range value[1 : len(value)-1] {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			return s, json.Unmarshal(value, &s) == nil
		}
	}
	return string(value[1 : len(value)-1]), value[len(value)-1] == '"'
}
