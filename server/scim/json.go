package scim

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"unicode/utf8"
)

const maxNesting = 16 // of objects and arrays in a body

var errNesting = errors.New("nested too deeply")

// object is a JSON object as it was sent. Names are compared in any case (RFC
// 7643 section 2.1), and none comes twice.
type object map[string]any

// get returns the member of a name, in any case.
func (o object) get(name string) (any, bool) {
	if v, ok := o[name]; ok {
		return v, true
	}
	for k, v := range o {
		if strings.EqualFold(k, name) {
			return v, true
		}
	}
	return nil, false
}

// decodeObject reads a body that is one JSON object, with numbers as they were
// written.
func decodeObject(body []byte) (object, error) {
	if !utf8.Valid(body) {
		return nil, badSyntax("the body is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	v, err := decodeValue(d, 0)
	if err != nil {
		if e, ok := errors.AsType[*Error](err); ok {
			return nil, e
		}
		return nil, badSyntax("the body is not well-formed JSON")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, badSyntax("there is something after the JSON object in the body")
	}
	o, ok := v.(object)
	if !ok {
		return nil, badSyntax("the body must be a JSON object")
	}
	return o, nil
}

func decodeValue(d *json.Decoder, depth int) (any, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	if depth > maxNesting {
		return nil, errNesting
	}
	switch t {
	case json.Delim('{'):
		return decodeMembers(d, depth)
	case json.Delim('['):
		list := []any{}
		for d.More() {
			v, err := decodeValue(d, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := d.Token()
		return list, err
	default:
		return t, nil
	}
}

// decodeMembers reads an object after its brace.
func decodeMembers(d *json.Decoder, depth int) (any, error) {
	o, seen := object{}, map[string]bool{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		name, ok := t.(string)
		if !ok {
			return nil, errNesting
		}
		if seen[strings.ToLower(name)] {
			return nil, badSyntax("the body has a name twice in one object")
		}
		seen[strings.ToLower(name)] = true
		if o[name], err = decodeValue(d, depth+1); err != nil {
			return nil, err
		}
	}
	_, err := d.Token()
	return o, err
}
