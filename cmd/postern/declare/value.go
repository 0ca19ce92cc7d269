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

	"postern/policy"
	"postern/server/api"
)

// never is the lifetime that does not end.
const never = time.Duration(-1)

// value reads a field; its type is told by the field's form.
func (r *reader) value(k *kind, f *field, workspace string, node *yaml.Node) any {
	if node.Tag == "!!null" && node.Kind == yaml.ScalarNode {
		if !f.null {
			r.fault(node, "%s has no value; write one, or leave the line away to leave it as it is", f.name)
		}
		return nil
	}
	switch f.form {
	case truth:
		if node.Kind != yaml.ScalarNode || node.Tag != "!!bool" {
			r.fault(node, "%s must be true or false", f.name)
		}
		return node.Value == "true"
	case span:
		d, err := duration(node.Value)
		if node.Kind != yaml.ScalarNode || err != nil || d < 0 || d%time.Second != 0 {
			r.fault(node, "%s must be whole seconds, such as 15m, 12h, 90d or 1y; 0s is none", f.name)
		}
		return int64(d / time.Second)
	case life:
		d, err := duration(node.Value)
		if node.Value == "never" {
			d, err = never, nil
		}
		if node.Kind != yaml.ScalarNode || err != nil || d <= 0 && d != never {
			r.fault(node, "%s must be a lifetime such as 12h, 90d or 1y, or never", f.name)
		}
		return d
	case texts, roles:
		return r.textList(f, workspace, node)
	case rules:
		var out []api.Rule
		for _, item := range r.items(node, f.name) {
			out = append(out, r.rule(item))
		}
		return out
	case endpoints:
		var out []api.Endpoint
		for _, item := range r.items(node, f.name) {
			out = append(out, r.endpoint(item))
		}
		return out
	case shares:
		return r.shares(node)
	case granted:
		return r.granted(workspace, node)
	default:
		s, ok := r.text(node, f.name)
		if ok && f.oneOf != nil && !slices.Contains(f.oneOf, s) {
			r.fault(node, "%s must be one of %s", f.name, strings.Join(slices.DeleteFunc(slices.Clone(f.oneOf), func(s string) bool { return s == "" }), ", "))
		}
		if k.name == kindClient && f.name == "account" && ok && !slugs.MatchString(s) {
			r.fault(node, "account %s", slugRule)
		}
		return s
	}
}

func (r *reader) textList(f *field, workspace string, node *yaml.Node) []string {
	out := []string{}
	for _, item := range r.items(node, f.name) {
		s, _ := r.text(item, "each of "+f.name)
		if f.form == roles {
			s = roleRef(workspace, s)
		}
		if slices.Contains(out, s) {
			r.fault(item, "%s is there twice", printable(s))
		}
		out = append(out, s)
	}
	return out
}

// roleRef is a role's name with its workspace.
func roleRef(workspace, name string) string {
	if strings.Contains(name, "/") {
		return name
	}
	return workspace + "/" + name
}

// strings reads fields of an inner mapping that are texts.
func (r *reader) strings(fields map[string]*named, into map[string]*string) {
	for name, to := range into {
		if given := fields[name]; given != nil {
			*to, _ = r.text(given.value, name)
		}
	}
}

func (r *reader) truth(fields map[string]*named, name string) bool {
	given := fields[name]
	if given != nil && given.value.Tag != "!!bool" {
		r.fault(given.value, "%s must be true or false", name)
	}
	return given != nil && given.value.Value == "true"
}

// path checks a pattern and spells it as the server does.
func (r *reader) path(fields map[string]*named, text string) string {
	path, err := policy.ParsePath(text)
	if err == nil {
		return path
	}
	if given := fields["path"]; given != nil {
		r.fault(given.value, "%v", err)
	}
	return text
}

func (r *reader) methods(fields map[string]*named, text string) string {
	text = strings.ReplaceAll(text, ",", " ")
	if err := policy.CheckMethods(text); err != nil {
		if given := fields["methods"]; given != nil {
			r.fault(given.value, "%v", err)
		}
	}
	return text
}

func (r *reader) require(node *yaml.Node, fields map[string]*named, names ...string) {
	for _, name := range names {
		if fields != nil && fields[name] == nil {
			r.fault(node, "%s is missing", name)
		}
	}
}

func (r *reader) rule(node *yaml.Node) api.Rule {
	var out api.Rule
	fields := r.strict(node, "a rule", "api", "methods", "path", "operation", "scope", "deny")
	r.require(node, fields, "api", "methods", "path")
	r.strings(fields, map[string]*string{"api": &out.API, "methods": &out.Methods, "path": &out.Path, "operation": &out.Operation, "scope": &out.Scope})
	out.Deny = r.truth(fields, "deny")
	out.Path = r.path(fields, out.Path)
	out.Methods = r.methods(fields, out.Methods)
	return out
}

func (r *reader) endpoint(node *yaml.Node) api.Endpoint {
	var out api.Endpoint
	fields := r.strict(node, "an endpoint", "methods", "path", "summary", "tags", "graphql")
	r.require(node, fields, "methods", "path")
	r.strings(fields, map[string]*string{"methods": &out.Methods, "path": &out.Path, "summary": &out.Summary})
	out.GraphQL = r.truth(fields, "graphql")
	if given := fields["tags"]; given != nil {
		out.Tags = r.textList(&field{name: "tags", form: texts}, "", given.value)
	}
	out.Path = r.path(fields, out.Path)
	out.Methods = r.methods(fields, out.Methods)
	return out
}

// shares reads workspaces, each by its name, or with the tags it gets.
func (r *reader) shares(node *yaml.Node) []api.Share {
	out := []api.Share{}
	for _, item := range r.items(node, "shared_with") {
		if item.Kind == yaml.ScalarNode {
			name, _ := r.text(item, "each of shared_with")
			out = append(out, api.Share{Workspace: name})
			continue
		}
		var s api.Share
		fields := r.strict(item, "shared_with", "workspace", "tags")
		r.require(item, fields, "workspace")
		r.strings(fields, map[string]*string{"workspace": &s.Workspace})
		if given := fields["tags"]; given != nil {
			s.Tags = r.textList(&field{name: "tags", form: texts}, "", given.value)
		}
		out = append(out, s)
	}
	return out
}

// granted reads roles, each by its name, or with the limits it is given with.
func (r *reader) granted(workspace string, node *yaml.Node) []api.GrantedRole {
	out := []api.GrantedRole{}
	for _, item := range r.items(node, "roles") {
		if item.Kind == yaml.ScalarNode {
			name, _ := r.text(item, "each of roles")
			out = append(out, api.GrantedRole{Role: roleRef(workspace, name)})
			continue
		}
		var g api.GrantedRole
		fields := r.strict(item, "roles", "role", "resources")
		r.require(item, fields, "role")
		r.strings(fields, map[string]*string{"role": &g.Role})
		g.Role = roleRef(workspace, g.Role)
		if given := fields["resources"]; given != nil {
			g.Resources = map[string][]string{}
			for param, values := range r.fields(given.value) {
				list := r.textList(&field{name: param, form: texts}, "", values.value)
				for i, v := range list {
					s, err := policy.Segment(v)
					if err != nil {
						r.fault(values.value, "%s: %v", param, err)
					}
					list[i] = s
				}
				g.Resources[param] = list
			}
		}
		out = append(out, g)
	}
	return out
}

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
	line := g.Role
	for _, param := range slices.Sorted(maps.Keys(g.Resources)) {
		line += " " + param + "=" + strings.Join(slices.Sorted(slices.Values(g.Resources[param])), ",")
	}
	return line
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
