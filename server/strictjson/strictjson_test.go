package strictjson_test

import (
	"testing"

	"postern/server/strictjson"
)

func TestObject(t *testing.T) {
	for text, good := range map[string]bool{
		`{}`: true, ` {"a":1,"A":{"b":1,"b":2}} `: true, `{"a":null}`: true,
		"": false, `[]`: false, `null`: false, `{"a":1,"a":1}`: false, "{\"a\":1,\"\\u0061\":1}": false, `{"a":1}{}`: false, `{"a":1} x`: false,
		`{"a":1,}`: false, `{"a"}`: false, `{a:1}`: false, `{"a":1`: false, `{"a":}`: false,
	} {
		if got, err := strictjson.Object([]byte(text)); (err == nil) != good || (got != nil) != good {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
}

func TestText(t *testing.T) {
	for value, want := range map[string]string{`"a"`: "a", `""`: "", "\"\\u0061\"": "a"} {
		if got, ok := strictjson.Text([]byte(value)); !ok || got != want {
			t.Errorf("%s: %q, %t", value, got, ok)
		}
	}
	for _, value := range []string{"", "1", "null", `{"a":1}`, `"a`} {
		if got, ok := strictjson.Text([]byte(value)); ok {
			t.Errorf("%s: %q", value, got)
		}
	}
}
