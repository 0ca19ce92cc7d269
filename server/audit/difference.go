package audit

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

// Difference is what a member of a record was before and is after, nil where it
// was or is not there.
type Difference struct {
	Path     string // "secrets.0.label"
	Old, New *string
}

// Differences says which members of a record an entry changed, by their paths.
// Those that are the same are left out, and so is the revision, which always
// changes.
func Differences(before, after json.RawMessage) ([]Difference, error) {
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
	var out []Difference
	for _, path := range slices.Sorted(maps.Keys(all)) {
		was, had := old[path]
		is, has := next[path]
		if was == is && had == has || path == "revision" {
			continue
		}
		d := Difference{Path: path}
		if had {
			d.Old = &was
		}
		if has {
			d.New = &is
		}
		out = append(out, d)
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
