package strictjson_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"testing"

	"postern/server/strictjson"
)

// byTokens is Object by the tokens of encoding/json.
func byTokens(text []byte) (map[string]json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	if start, err := d.Token(); err != nil || start != json.Delim('{') {
		return nil, strictjson.ErrNoObject
	}
	members := map[string]json.RawMessage{}
	for d.More() {
		key, err := d.Token()
		name, ok := key.(string)
		if err != nil || !ok {
			return nil, strictjson.ErrNoObject
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil || len(value) == 0 {
			return nil, strictjson.ErrNoObject
		}
		if _, twice := members[name]; twice {
			return nil, strictjson.ErrTwice
		}
		members[name] = value
	}
	if _, err := d.Token(); err != nil {
		return nil, strictjson.ErrNoObject
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, strictjson.ErrNoObject
	}
	return members, nil
}

// FuzzObject: what is read is what encoding/json reads, member by member.
func FuzzObject(f *testing.F) {
	for _, seed := range []string{
		`{}`, ` {"a":1,"A":{"b":[1,"]}",{}],"c":"\"}"} , "x" : null}`, `{"a":true,"b":-1.5e3 }`, "{\"\\u0061\":1,\"a\":2}", `{"a":"\\"}`, `{"a":"\\\""}`, `[]`, `{"a":1}{}`,
		"{\"\xff\":\"\xff\"}", `{"a":[[]],"b":[]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := strictjson.Object(text)
		want, wantErr := byTokens(text)
		if (err == nil) != (wantErr == nil) || len(got) != len(want) {
			t.Fatalf("%q: got %v, %v; want %v, %v", text, got, err, want, wantErr)
		}
		for name, value := range want {
			if !bytes.Equal(got[name], value) {
				t.Errorf("%q: %q is %q, want %q", text, name, got[name], value)
			}
			plain := ""
			if s, ok := strictjson.Text(got[name]); ok != (json.Unmarshal(value, &plain) == nil && value[0] == '"') || s != plain && ok {
				t.Errorf("%q: the text %q", value, s)
			}
		}
	})
}
