package console

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"postern/store"
)

// readLimits reads limits as they are typed, one parameter a line: "device = d1,
// d2". No values allow nothing.
func readLimits(text string) (map[string][]string, error) {
	var out map[string][]string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		at := strings.IndexAny(line, "=:")
		if at <= 0 {
			return nil, errors.New("has a line that is not like “device = d1, d2”: a parameter, and the values it may have")
		}
		param := strings.Trim(strings.TrimSpace(line[:at]), "{}")
		if _, twice := out[param]; twice {
			return nil, errors.New("names the parameter " + param + " twice; put all of its values into one line")
		}
		if out == nil {
			out = map[string][]string{}
		}
		out[param] = append([]string{}, lines(line[at+1:])...)
	}
	return out, nil
}

// limitsOf are limits in the order in which they are kept.
func limitsOf(resources map[string][]string) (out []store.Limit) {
	for _, param := range slices.Sorted(maps.Keys(resources)) {
		out = append(out, store.Limit{Param: param, Values: resources[param]})
	}
	return out
}

// limitLines spells limits as readLimits reads them.
func limitLines(limits []store.Limit) []string {
	out := make([]string, len(limits))
	for i, l := range limits {
		out[i] = strings.TrimSpace(l.Param + " = " + strings.Join(l.Values, ", "))
	}
	return out
}

// parameters are those of the paths of rules that allow.
func parameters(rules []store.Rule) (out []string) {
	for _, r := range rules {
		for segment := range strings.SplitSeq(r.Path, "/") {
			name, isParam := strings.CutPrefix(segment, "{")
			if name = strings.TrimSuffix(name, "}"); isParam && !r.Deny && !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	return out
}

// shortRef is the name of a role to somebody in its workspace.
func shortRef(r *store.Role, workspace string) string {
	return strings.TrimPrefix(r.Ref, workspace+"/")
}

// clipped cuts a text where it is longer than n letters.
func clipped(text string, n int) string {
	for i := range text {
		if n--; n < 0 {
			return text[:i] + "…"
		}
	}
	return text
}
