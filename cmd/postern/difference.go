package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// difference says, a line for each member, what a record was before and what it
// is after: "- name: old" and "+ name: new". Members that are the same are left
// out, and so is the revision, which always changes.
func difference(before, after json.RawMessage) ([]string, error) {
	old, err := members(before)
	if err != nil {
		return nil, err
	}
	next, err := members(after)
	if err != nil {
		return nil, err
	}
	all := maps.Clone(old)
	maps.Copy(all, next)
	var out []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		was, had := old[name]
		is, has := next[name]
		if was == is && had == has || name == "revision" {
			continue
		}
		if had {
			out = append(out, "- "+name+": "+was)
		}
		if has {
			out = append(out, "+ "+name+": "+is)
		}
	}
	return out, nil
}

// members are the values of a JSON object by their paths, such as
// "secrets.0.label".
func members(object json.RawMessage) (map[string]string, error) {
	out := map[string]string{}
	if len(object) == 0 {
		return out, nil
	}
	d := json.NewDecoder(bytes.NewReader(object))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("what it changed is no JSON: %w", err)
	}
	flatten(out, "", v)
	return out, nil
}

func flatten(out map[string]string, path string, v any) {
	inner := func(name string) string { return strings.TrimPrefix(path+"."+name, ".") }
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			flatten(out, inner(name), member)
		}
	case []any:
		for i, member := range v {
			flatten(out, inner(strconv.Itoa(i)), member)
		}
	case string:
		out[path] = v
	case json.Number:
		out[path] = v.String()
		if ms, err := v.Int64(); err == nil && strings.HasSuffix(path, "_at") { // records keep times in milliseconds
			out[path] = time.UnixMilli(ms).UTC().Format(time.RFC3339)
		}
	default:
		out[path] = fmt.Sprint(v)
	}
}
