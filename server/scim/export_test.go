package scim

import "encoding/json"

// Kinds are the kinds of resources, by name.
func Kinds() map[string]*kind {
	return map[string]*kind{"User": newKind(userSchema()), "Group": newKind(groupSchema())}
}

// Filter is a filter and what it says of resources.
type Filter struct{ f filter }

// ParseFilter reads a filter.
func ParseFilter(text string) (Filter, error) {
	f, err := parseFilter(text)
	return Filter{f}, err
}

func (f Filter) String() string { return f.f.String() }

// Tree is the filter in plain values: what binds how.
func (f Filter) Tree() any { return tree(f.f) }

func tree(f filter) any {
	all := func(op string, parts []filter) any {
		out := []any{op}
		for _, p := range parts {
			out = append(out, tree(p))
		}
		return out
	}
	switch f := f.(type) {
	case comparison:
		return []any{f.op, f.path.String(), f.value}
	case present:
		return []any{"pr", f.path.String()}
	case among:
		return []any{"among", f.path.String(), tree(f.inner)}
	case negation:
		return []any{"not", tree(f.inner)}
	case every:
		return all("and", f)
	case some:
		return all("or", f)
	default:
		return nil
	}
}

// Matches reports whether a resource, as JSON, matches the filter.
func (f Filter) Matches(kind, resource string) (bool, error) {
	k := Kinds()[kind]
	m, err := compile(k, f.f, false)
	if err != nil {
		return false, err
	}
	return m(everything(resource)), nil
}

// everything reads a resource with what is read-only.
func everything(text string) resource {
	o, err := decodeObject([]byte(text))
	if err != nil {
		panic(err)
	}
	return plain(o).(resource)
}

func plain(v any) any {
	switch v := v.(type) {
	case object:
		out := resource{}
		for name, m := range v {
			out[name] = plain(m)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = plain(v[i])
		}
		return out
	default:
		return v
	}
}

// Patch carries out a PATCH on a resource; all are JSON.
func Patch(kind, resource, body string) (string, error) {
	k := Kinds()[kind]
	o, err := decodeObject([]byte(body))
	if err != nil {
		return "", err
	}
	ops, err := parsePatch(o)
	if err != nil {
		return "", err
	}
	before := everything(resource)
	kept, _ := json.Marshal(before)
	out, err := k.patch(before, ops)
	if after, _ := json.Marshal(before); string(after) != string(kept) {
		panic("the resource that was patched changed")
	}
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(out)
	return string(text), err
}

// Read reads a resource that is created or replaced, as JSON.
func Read(kind, body string) (string, error) {
	o, err := decodeObject([]byte(body))
	if err != nil {
		return "", err
	}
	r, err := Kinds()[kind].read(o)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(r)
	return string(text), err
}

// Select leaves of a resource, as JSON, what is asked for.
func Select(kind, resource string, only, without []string) (string, error) {
	k := Kinds()[kind]
	s, err := parseSelection(only, without)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(s.apply(k, everything(resource)))
	return string(text), err
}
