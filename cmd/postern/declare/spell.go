package declare

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"postern/server/api"
)

const day = 24 * time.Hour

// duration reads 90d, 1y or a Go duration.
func duration(s string) (time.Duration, error) {
	for suffix, unit := range map[string]time.Duration{"d": day, "y": 365 * day} {
		if digits, ok := strings.CutSuffix(s, suffix); ok {
			n, err := strconv.ParseInt(digits, 10, 64)
			if err != nil || n < 0 || n > math.MaxInt64/int64(unit) {
				return 0, errors.New("is no number of days or years")
			}
			return time.Duration(n) * unit, nil
		}
	}
	return time.ParseDuration(s)
}

// spell writes a duration as people do.
func spell(d time.Duration) string {
	switch {
	case d == never:
		return "never"
	case d > 0 && d%day == 0:
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	s := d.String()
	if rest, ok := strings.CutSuffix(s, "m0s"); ok {
		s = rest + "m"
		if rest, ok := strings.CutSuffix(s, "h0m"); ok {
			s = rest + "h"
		}
	}
	return s
}

// lines spells a value so that equal ones are equal: one line for what is one,
// and one for each of a list, whose order is that of the letters since it means
// nothing.
func lines(f *field, value any) []string {
	var out []string
	switch v := value.(type) {
	case nil:
		return nil
	case string:
		if v == "" {
			return nil
		}
		return []string{v}
	case bool:
		if !v && f.initial == "" {
			return nil
		}
		return []string{strconv.FormatBool(v)}
	case int64:
		if v == 0 {
			return nil
		}
		return []string{spell(time.Duration(v) * time.Second)}
	case time.Duration:
		return []string{spell(v)}
	case []string:
		if len(v) == 0 && f.null {
			return []string{"nothing"} // which null is not
		}
		for _, s := range v {
			out = append(out, canonical(f, s))
		}
	case []api.Rule:
		for _, rule := range v {
			out = append(out, ruleLine(rule))
		}
	case []api.Endpoint:
		for _, e := range v {
			out = append(out, endpointLine(e))
		}
	case []api.Share:
		for _, s := range v {
			out = append(out, join(s.Workspace, "tags", slices.Sorted(slices.Values(s.Tags))))
		}
	case []api.GrantedRole:
		for _, g := range v {
			out = append(out, grantedLine(g))
		}
	}
	slices.Sort(out)
	return out
}

// canonical spells one of a list as the server does.
func canonical(f *field, s string) string {
	switch f.name {
	case "hosts":
		return strings.ToLower(strings.TrimSuffix(s, "."))
	case "lifetimes":
		if d, err := duration(s); err == nil {
			return spell(d)
		}
	case "addresses":
		if addr, err := netip.ParseAddr(s); err == nil {
			return netip.PrefixFrom(addr, addr.BitLen()).String()
		}
		if p, err := netip.ParsePrefix(s); err == nil {
			return p.Masked().String()
		}
	}
	return s
}

func join(name, what string, list []string) string {
	if len(list) == 0 {
		return name
	}
	return name + " " + what + "=" + strings.Join(list, ",")
}

func sortedMethods(s string) string {
	return strings.Join(slices.Sorted(strings.SplitSeq(s, " ")), " ")
}

func ruleLine(r api.Rule) string {
	effect := "allow"
	if r.Deny {
		effect = "deny"
	}
	parts := []string{effect, r.API, sortedMethods(r.Methods), r.Path}
	if r.Scope != "" {
		parts = append(parts, "["+r.Scope+"]")
	}
	if r.Operation != "" {
		parts = append(parts, strconv.Quote(r.Operation))
	}
	return strings.Join(parts, " ")
}

func endpointLine(e api.Endpoint) string {
	line := sortedMethods(e.Methods) + " " + e.Path
	if e.GraphQL {
		line += " graphql"
	}
	line = join(line, "tags", slices.Sorted(slices.Values(e.Tags)))
	if e.Summary != "" {
		line += " " + strconv.Quote(e.Summary)
	}
	return line
}

func grantedLine(g api.GrantedRole) string {
	parts := []string{g.Role}
	for _, param := range slices.Sorted(maps.Keys(g.Resources)) {
		parts = append(parts, param+"="+strings.Join(slices.Sorted(slices.Values(g.Resources[param])), ","))
	}
	return strings.Join(parts, " ")
}

// wire is a value as REST wants it.
func wire(value any) any {
	if d, ok := value.(time.Duration); ok { // of expires_in
		if d == never {
			return "never"
		}
		return d.String()
	}
	return value
}

func textNode(s string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(s)
	if n.Style == 0 {
		n.Style = plainOrQuoted(s)
	}
	return n
}

// plainOrQuoted quotes a text where some reader would take it for something
// else without, such as yes.
func plainOrQuoted(s string) yaml.Style {
	plain, err := yaml.Marshal(s)
	if err == nil && string(plain) == s+"\n" {
		return 0
	}
	return yaml.DoubleQuotedStyle
}

func plainNode(tag, s string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: s}
}

func sequence(items ...*yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.SequenceNode, Content: items}
}

// flow is a mapping on one line; nil values are left out.
func flow(pairs ...any) *yaml.Node {
	out := &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle}
	for i := 0; i+1 < len(pairs); i += 2 {
		name := pairs[i].(string) //nolint:forcetypeassert // written below
		switch v := pairs[i+1].(type) {
		case string:
			if v != "" {
				out.Content = append(out.Content, textNode(name), textNode(v))
			}
		case bool:
			if v {
				out.Content = append(out.Content, textNode(name), plainNode("!!bool", "true"))
			}
		case []string:
			if len(v) > 0 {
				out.Content = append(out.Content, textNode(name), textNodes(v))
			}
		case *yaml.Node:
			out.Content = append(out.Content, textNode(name), v)
		}
	}
	return out
}

func textNodes(list []string) *yaml.Node {
	out := sequence()
	out.Style = yaml.FlowStyle
	for _, s := range list {
		out.Content = append(out.Content, textNode(s))
	}
	return out
}

// nodeOf is a value as YAML.
func nodeOf(value any) *yaml.Node {
	switch v := value.(type) {
	case nil:
		return plainNode("!!null", "null")
	case string:
		return textNode(v)
	case bool:
		return plainNode("!!bool", strconv.FormatBool(v))
	case int64:
		return textNode(spell(time.Duration(v) * time.Second))
	case time.Duration:
		return textNode(spell(v))
	case []string:
		return textNodes(v)
	}
	out := sequence()
	switch v := value.(type) {
	case []api.Rule:
		for _, r := range v {
			out.Content = append(out.Content, flow("deny", r.Deny, "api", r.API, "methods", r.Methods, "path", r.Path, "operation", r.Operation, "scope", r.Scope))
		}
	case []api.Endpoint:
		for _, e := range v {
			out.Content = append(out.Content, flow("methods", e.Methods, "path", e.Path, "summary", e.Summary, "tags", e.Tags, "graphql", e.GraphQL))
		}
	case []api.Share:
		for _, s := range v {
			if len(s.Tags) == 0 {
				out.Content = append(out.Content, textNode(s.Workspace))
			} else {
				out.Content = append(out.Content, flow("workspace", s.Workspace, "tags", s.Tags))
			}
		}
	case []api.GrantedRole:
		for _, g := range v {
			if len(g.Resources) == 0 {
				out.Content = append(out.Content, textNode(g.Role))
				continue
			}
			limits := flow()
			for _, param := range slices.Sorted(maps.Keys(g.Resources)) {
				limits.Content = append(limits.Content, textNode(param), textNodes(g.Resources[param]))
			}
			out.Content = append(out.Content, flow("role", g.Role, "resources", limits))
		}
	default:
		panic(fmt.Sprintf("declare: no way to write %T", value)) // a form without a case here
	}
	if !slices.ContainsFunc(out.Content, func(n *yaml.Node) bool { return n.Kind != yaml.ScalarNode }) {
		out.Style = yaml.FlowStyle
	}
	return out
}

// shortened leaves the workspace away of roles that are in it.
func shortened(f *field, workspace string, value any) any {
	short := func(ref string) string { return strings.TrimPrefix(ref, workspace+"/") }
	switch v := value.(type) {
	case []string:
		if f.form != roles {
			return value
		}
		out := slices.Clone(v)
		for i := range out {
			out[i] = short(out[i])
		}
		return out
	case []api.GrantedRole:
		out := slices.Clone(v)
		for i := range out {
			out[i].Role = short(out[i].Role)
		}
		return out
	default:
		return value
	}
}
