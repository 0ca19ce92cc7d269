package scim

import (
	"slices"
	"strings"
)

// resource is a resource by the names of its schema. Values are strings, bools,
// further maps of complex attributes, and lists ([]any) of what has several.
type resource map[string]any

// clone copies it deeply.
func (r resource) clone() resource {
	out := make(resource, len(r))
	for k, v := range r {
		out[k] = cloneValue(v)
	}
	return out
}

func cloneValue(v any) any {
	switch v := v.(type) {
	case resource:
		return v.clone()
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = cloneValue(v[i])
		}
		return out
	default:
		return v
	}
}

// text returns the string of an attribute, or of a sub-attribute.
func (r resource) text(names ...string) string {
	var v any = r
	for _, name := range names {
		in, _ := v.(resource)
		v = in[name]
	}
	s, _ := v.(string)
	return s
}

func (r resource) list(name string) []any {
	l, _ := r[name].([]any)
	return l
}

// put sets an attribute unless the value is nothing.
func (r resource) put(name string, value any) {
	switch v := value.(type) {
	case string:
		if v == "" {
			return
		}
	case resource:
		if len(v) == 0 {
			return
		}
	case []any:
		if len(v) == 0 {
			return
		}
	}
	r[name] = value
}

// read takes a resource out of a body that creates or replaces one. What cannot
// be written is passed over (RFC 7644 section 3.5.1), and so is what the schema
// does not know, a password among it: systems send more than one keeps.
func (k *kind) read(body object) (resource, error) {
	schemas, _ := body.get("schemas")
	list, _ := schemas.([]any)
	if !slices.ContainsFunc(list, func(v any) bool { s, _ := v.(string); return strings.EqualFold(s, k.schema.ID) }) {
		return nil, badSyntax("schemas: must name %s", k.schema.ID)
	}
	out := resource{}
	for i := range k.attributes {
		a := &k.attributes[i]
		v, ok := body.get(a.Name)
		if !ok || a.Mutability == readOnly {
			continue
		}
		value, err := coerce(a, a.Name, v)
		if err != nil {
			return nil, err
		}
		if value != nil {
			out[a.Name] = value
		}
	}
	return out, nil
}

// coerce makes the value of an attribute of what was sent; nil is no value (RFC
// 7643 section 2.5).
func coerce(a *attribute, place string, v any) (any, error) {
	if !a.MultiValued {
		return coerceOne(a, place, v)
	}
	list, ok := v.([]any)
	if !ok && v != nil {
		list = []any{v} // some send one value without its list
	}
	var out []any
	for _, v := range list {
		value, err := coerceOne(a, place, v)
		if err != nil {
			return nil, err
		}
		if value != nil {
			out = append(out, value)
		}
	}
	if len(out) == 0 {
		return nil, nil
	}
	return out, nil
}

func coerceOne(a *attribute, place string, v any) (any, error) {
	if v == nil {
		return nil, nil
	}
	switch a.Type {
	case typeComplex:
		if s, ok := v.(string); ok && lookup(a.SubAttributes, "value") != nil {
			v = object{"value": s}
		}
		o, ok := v.(object)
		if !ok {
			return nil, badValue("%s: must be an object", place)
		}
		return coerceComplex(a, place, o)
	case typeBoolean:
		if b, ok := v.(bool); ok {
			return b, nil
		}
		// Entra ID sends "True" and "False".
		if s, ok := v.(string); ok && strings.EqualFold(s, "true") {
			return true, nil
		} else if ok && strings.EqualFold(s, "false") {
			return false, nil
		}
		return nil, badValue("%s: must be true or false", place)
	default:
		s, ok := v.(string)
		if !ok {
			return nil, badValue("%s: must be a string", place)
		}
		if s == "" {
			return nil, nil
		}
		return s, nil
	}
}

func coerceComplex(a *attribute, place string, o object) (any, error) {
	out := resource{}
	for i := range a.SubAttributes {
		sub := &a.SubAttributes[i]
		v, ok := o.get(sub.Name)
		if !ok || sub.Mutability == readOnly {
			continue
		}
		value, err := coerce(sub, place+"."+sub.Name, v)
		if err != nil {
			return nil, err
		}
		if value != nil {
			out[sub.Name] = value
		}
	}
	if len(out) == 0 {
		return nil, nil
	}
	return out, nil
}

// selection is what of a resource is to be sent (RFC 7644 section 3.9). The zero
// value is everything.
type selection struct {
	only, without []path
}

// parseSelection reads the parameters attributes and excludedAttributes.
func parseSelection(only, without []string) (selection, error) {
	var s selection
	if len(only) > 0 && len(without) > 0 {
		return s, badValue("attributes and excludedAttributes exclude each other")
	}
	for _, list := range []struct {
		from []string
		to   *[]path
	}{{only, &s.only}, {without, &s.without}} {
		for _, text := range list.from {
			p, err := parsePath(strings.TrimSpace(text))
			if err != nil {
				return s, badValue("attributes: a name is not well-formed")
			}
			*list.to = append(*list.to, p)
		}
	}
	return s, nil
}

// wants reports whether an attribute is sent, at least in part.
func (s selection) wants(k *kind, a *attribute) bool {
	named := func(p path) bool {
		top, _, ok := k.resolve(p)
		return ok && top.Name == a.Name
	}
	switch {
	case a.Returned == returnedAlways:
		return true
	case len(s.only) > 0:
		return slices.ContainsFunc(s.only, named)
	default:
		return !slices.ContainsFunc(s.without, func(p path) bool { return p.sub == "" && named(p) })
	}
}

// apply leaves of a resource what is to be sent.
func (s selection) apply(k *kind, r resource) resource {
	if len(s.only) == 0 && len(s.without) == 0 {
		return r
	}
	out := resource{}
	for i := range k.attributes {
		a := &k.attributes[i]
		v, has := r[a.Name]
		if !has || !s.wants(k, a) {
			continue
		}
		out.put(a.Name, s.parts(k, a, v))
	}
	return out
}

// parts leaves of a complex attribute the sub-attributes that are to be sent.
func (s selection) parts(k *kind, a *attribute, v any) any {
	var only, without []string
	for _, p := range s.only {
		if top, sub, ok := k.resolve(p); ok && top.Name == a.Name {
			if sub == nil {
				return v // all of it is asked for
			}
			only = append(only, sub.Name)
		}
	}
	for _, p := range s.without {
		if top, sub, ok := k.resolve(p); ok && top.Name == a.Name && sub != nil {
			without = append(without, sub.Name)
		}
	}
	if len(only) == 0 && len(without) == 0 {
		return v
	}
	keep := func(v any) any {
		out := resource{}
		in, _ := v.(resource)
		for name, value := range in {
			if (len(only) == 0 || slices.Contains(only, name)) && !slices.Contains(without, name) {
				out[name] = value
			}
		}
		return out
	}
	list, ok := v.([]any)
	if !ok {
		return keep(v)
	}
	out := make([]any, 0, len(list))
	for _, v := range list {
		if kept, _ := keep(v).(resource); len(kept) > 0 {
			out = append(out, kept)
		}
	}
	return out
}
