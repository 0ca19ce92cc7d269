package main

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDifferenceNamesWhatChanged(t *testing.T) {
	for name, tt := range map[string]struct {
		before, after string
		want          []string
	}{
		"made":     {``, `{"name":"x","addresses":[]}`, []string{"+ name: x"}},
		"deleted":  {`{"name":"x"}`, ``, []string{"- name: x"}},
		"nothing":  {``, ``, nil},
		"the same": {`{"name":"x","revision":1}`, `{"revision":2,"name":"x"}`, nil},
		"members of members": {
			`{"secrets":[{"id":"a","label":"old"}],"n":1,"gone":true}`, `{"secrets":[{"id":"a","label":"new"},{"id":"b"}],"n":2}`,
			[]string{"- gone: true", "- n: 1", "+ n: 2", "- secrets.0.label: old", "+ secrets.0.label: new", "+ secrets.1.id: b"},
		},
		"a time":         {`{}`, `{"revoked_at":1795647666840}`, []string{"+ revoked_at: 2026-11-25T23:01:06Z"}},
		"a long number":  {`{}`, `{"n":12345678901234567890}`, []string{"+ n: 12345678901234567890"}},
		"empty and none": {`{"a":""}`, `{}`, []string{"- a: "}},
	} {
		got, err := difference(json.RawMessage(tt.before), json.RawMessage(tt.after))
		if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
	if _, err := difference(json.RawMessage(`{`), nil); err == nil {
		t.Error("no JSON: no error")
	}
}
