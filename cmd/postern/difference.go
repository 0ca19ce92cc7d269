package main

import (
	"encoding/json"

	"postern/server/audit"
)

// difference says, a line for each member, what a record was before and what it
// is after: "- name: old" and "+ name: new".
func difference(before, after json.RawMessage) ([]string, error) {
	changed, err := audit.Differences(before, after)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, d := range changed {
		if d.Old != nil {
			out = append(out, "- "+d.Path+": "+*d.Old)
		}
		if d.New != nil {
			out = append(out, "+ "+d.Path+": "+*d.New)
		}
	}
	return out, nil
}
