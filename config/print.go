package config

import (
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
)

// Print writes c to w as YAML that Load reads back to the same, its keys in the
// order of [Keys]. With redact, a secret that is set is written as "[secret]";
// without, it is written as it is.
func (c Config) Print(w io.Writer, redact bool) error {
	var out strings.Builder
	var open []string // the sections the last key was in
	for _, f := range fields() {
		path := strings.Split(f.Name, ".")
		sections, name := path[:len(path)-1], path[len(path)-1]
		for i, section := range sections {
			if i >= len(open) || open[i] != section {
				open = open[:min(i, len(open))] // what was open deeper belongs to another section
				fmt.Fprintf(&out, "%s%s:\n", strings.Repeat("  ", i), section)
				open = append(open, section)
			}
		}
		open = open[:len(sections)]
		fmt.Fprintf(&out, "%s%s: %s\n", strings.Repeat("  ", len(sections)), name, yamlValue(f.in(&c), redact))
	}
	if _, err := io.WriteString(w, out.String()); err != nil {
		return fmt.Errorf("print the configuration: %w", err)
	}
	return nil
}

// yamlValue writes what at points to in YAML's flow style. Free text is quoted:
// YAML reads Go's escapes, and would take some plain words for something else.
func yamlValue(at any, redact bool) string {
	switch at := at.(type) {
	case *string:
		return strconv.Quote(*at)
	case *Secret:
		if redact && at.IsSet() {
			return strconv.Quote(redacted)
		}
		return strconv.Quote(at.Reveal())
	case *[]netip.Prefix:
		return quoted(*at)
	case *[]GroupTeam:
		return quoted(*at)
	case *[]Issuer:
		return quoted(*at)
	case *[]Lifetime:
		return "[" + strings.ReplaceAll(format(at), ",", ", ") + "]"
	}
	if text := format(at); text != "" {
		return text
	}
	return `""`
}

// quoted writes a list of texts.
func quoted[T fmt.Stringer](list []T) string {
	items := make([]string, len(list))
	for i, v := range list {
		items[i] = strconv.Quote(v.String())
	}
	return "[" + strings.Join(items, ", ") + "]"
}
