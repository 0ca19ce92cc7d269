package declare

import (
	"slices"
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
		if f.name == "licence" {
			s = strings.TrimPrefix(s, "*/")
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
