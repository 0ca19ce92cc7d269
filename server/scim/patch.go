package scim

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

const maxOperations = 1000 // of one PATCH

// operation is one change of a PATCH (RFC 7644 section 3.5.2).
type operation struct {
	op    string // add, remove or replace
	path  *target
	value any  // as it was sent
	has   bool // a value was sent
}

// parsePatch reads the body of a PATCH.
func parsePatch(body object) ([]operation, error) {
	schemas, _ := body.get("schemas")
	list, _ := schemas.([]any)
	if !slices.ContainsFunc(list, func(v any) bool { s, _ := v.(string); return strings.EqualFold(s, messagePatch) }) {
		return nil, badSyntax("schemas: must name %s", messagePatch)
	}
	v, _ := body.get("Operations")
	sent, ok := v.([]any)
	if !ok || len(sent) == 0 || len(sent) > maxOperations {
		return nil, badSyntax("Operations: must be a list of 1 to %d", maxOperations)
	}
	out := make([]operation, len(sent))
	for i, v := range sent {
		o, ok := v.(object)
		if !ok {
			return nil, badSyntax("Operations: each must be an object")
		}
		var err error
		if out[i], err = parseOperation(o); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func parseOperation(o object) (operation, error) {
	var out operation
	v, _ := o.get("op")
	name, _ := v.(string)
	// Entra ID sends "Add".
	if out.op = strings.ToLower(name); out.op != "add" && out.op != "remove" && out.op != "replace" {
		return out, badSyntax("Operations: op must be add, remove or replace")
	}
	out.value, out.has = o.get("value")
	if v, ok := o.get("path"); ok && v != nil && v != "" {
		text, ok := v.(string)
		if !ok {
			return out, badPath("path: must be a string")
		}
		t, err := parseTarget(text)
		if err != nil {
			return out, err
		}
		out.path = &t
	}
	switch {
	case out.op == "remove" && out.path == nil:
		return out, &Error{Status: http.StatusBadRequest, Type: "noTarget", Detail: "to remove something, name it by path"}
	case out.op != "remove" && !out.has:
		return out, badValue("to %s something, send its value", out.op)
	}
	return out, nil
}

// patch returns a copy of a resource with operations carried out in their order,
// all or none.
func (k *kind) patch(r resource, ops []operation) (resource, error) {
	p := &patcher{kind: k, r: r.clone()}
	for _, op := range ops {
		var err error
		if op.path != nil {
			err = p.at(op, *op.path)
		} else {
			err = p.whole(op)
		}
		if err != nil {
			return nil, err
		}
	}
	for i := range k.attributes {
		if a := &k.attributes[i]; a.Required && a.Mutability != readOnly {
			if _, has := p.r[a.Name]; !has {
				return nil, notMutable("%s is required and cannot be removed", a.Name)
			}
		}
	}
	return p.r, nil
}

type patcher struct {
	kind *kind
	r    resource
}

// whole carries out an operation without a path, whose value is a part of the
// resource. As with a resource that is replaced, what cannot be written or is
// not known is passed over: Okta sends the id along.
func (p *patcher) whole(op operation) error {
	o, ok := op.value.(object)
	if !ok {
		return badValue("without a path the value must be an object")
	}
	for _, name := range sortedNames(o) {
		if in, ok := o[name].(object); ok && strings.EqualFold(name, p.kind.schema.ID) {
			if err := p.whole(operation{op: op.op, value: in, has: true}); err != nil {
				return err
			}
			continue
		}
		// Entra ID sends paths as names: "name.givenName".
		t, err := parseTarget(name)
		if err != nil {
			continue
		}
		top, sub, known := p.kind.resolve(t.full())
		if !known || top.Mutability == readOnly || sub != nil && sub.Mutability == readOnly {
			continue
		}
		if err := p.at(operation{op: op.op, value: o[name], has: true}, t); err != nil {
			return err
		}
	}
	return nil
}

// full is the path with the sub-attribute after the filter.
func (t target) full() path {
	if t.sub != "" {
		return path{t.path.urn, t.path.name, t.sub}
	}
	return t.path
}

// at carries out an operation at a path.
func (p *patcher) at(op operation, t target) error {
	top, sub, ok := p.kind.resolve(t.full())
	switch {
	case !ok:
		return badPath("path: there is no attribute %s in a %s here", short(t.full().String()), p.kind.name)
	case top.Mutability == readOnly || sub != nil && sub.Mutability == readOnly:
		return notMutable("%s is read-only", short(t.full().String()))
	case sub != nil && sub.Mutability == immutable:
		return notMutable("%s cannot be changed; remove the value and add another", short(t.full().String()))
	case t.with != nil && (!top.MultiValued || top.Type != typeComplex):
		return badFilter("%s has no values to choose from", top.Name)
	case t.with != nil:
		return p.chosen(op, t, top, sub)
	case sub != nil:
		return p.part(op, top, sub)
	default:
		return p.attribute(op, top)
	}
}

// attribute changes a whole attribute.
func (p *patcher) attribute(op operation, a *attribute) error {
	value, err := coerce(a, a.Name, op.value)
	if err != nil {
		return err
	}
	list, _ := value.([]any)
	switch {
	case op.op == "remove" && op.has && op.value != nil && a.MultiValued:
		// Entra ID names the members to remove by the value.
		p.set(a, without(p.r.list(a.Name), list))
	case op.op == "remove":
		delete(p.r, a.Name)
	case value == nil && op.op == "replace":
		delete(p.r, a.Name)
	case value == nil:
		// Adding nothing changes nothing.
	case a.MultiValued && op.op == "add":
		p.set(a, join(p.r.list(a.Name), list))
	case a.MultiValued:
		p.set(a, join(nil, list))
	case a.Type == typeComplex:
		// Sub-attributes that are not named stay (RFC 7644 section 3.5.2.3).
		old, _ := p.r[a.Name].(resource)
		p.r.put(a.Name, merged(old, value.(resource)))
	default:
		p.r[a.Name] = value
	}
	return nil
}

// part changes a sub-attribute, of every value where there are several.
func (p *patcher) part(op operation, a, sub *attribute) error {
	value, err := coerce(sub, a.Name+"."+sub.Name, op.value)
	if err != nil {
		return err
	}
	if op.op == "remove" {
		value = nil
	}
	if !a.MultiValued {
		in, _ := p.r[a.Name].(resource)
		p.set(a, withPart(in, sub, value))
		return nil
	}
	list := p.r.list(a.Name)
	if len(list) == 0 && value != nil {
		list = []any{resource{}}
	}
	out := make([]any, len(list))
	for i, v := range list {
		in, _ := v.(resource)
		out[i] = withPart(in, sub, value)
	}
	p.set(a, out)
	return nil
}

// chosen changes the values that match the filter of a path.
func (p *patcher) chosen(op operation, t target, a, sub *attribute) error {
	match, err := compileValue(a, t.with)
	if err != nil {
		return err
	}
	var value any
	if op.op != "remove" {
		if sub != nil {
			value, err = coerce(sub, a.Name+"."+sub.Name, op.value)
		} else {
			value, err = coerceOne(a, a.Name, first(op.value))
		}
		if err != nil {
			return err
		}
	}
	var out []any
	var changed []any
	matched := false
	for _, v := range p.r.list(a.Name) {
		in, _ := v.(resource)
		if !match(in) {
			out = append(out, v)
			continue
		}
		matched = true
		if next := chosenValue(op, in, sub, value); len(next) > 0 {
			out, changed = append(out, next), append(changed, next)
		}
	}
	if !matched && op.op == "replace" {
		return &Error{Status: http.StatusBadRequest, Type: "noTarget", Detail: "no value of " + a.Name + " matches the filter of the path"}
	}
	if !matched && op.op == "add" && value != nil {
		// Entra ID adds emails[type eq "work"].value to a person without one.
		next := chosenValue(op, implied(a, t.with), sub, value)
		out, changed = append(out, next), append(changed, next)
	}
	p.set(a, onePrimary(out, changed))
	return nil
}

// chosenValue is one value of an attribute after an operation.
func chosenValue(op operation, in resource, sub *attribute, value any) resource {
	switch {
	case op.op == "remove" && sub == nil:
		return nil
	case sub != nil:
		return withPart(in, sub, value)
	default:
		whole, _ := value.(resource)
		return merged(in, whole)
	}
}

// implied is the value that a filter asks for: of "type eq "work"" one whose
// type is work.
func implied(a *attribute, f filter) resource {
	out := resource{}
	switch f := f.(type) {
	case every:
		for _, part := range f {
			maps.Copy(out, implied(a, part))
		}
	case comparison:
		if sub := lookup(a.SubAttributes, f.path.name); sub != nil && f.op == "eq" {
			if v, err := coerceOne(sub, sub.Name, f.value); err == nil && v != nil {
				out[sub.Name] = v
			}
		}
	}
	return out
}

func first(v any) any {
	if list, ok := v.([]any); ok && len(list) > 0 {
		return list[0]
	}
	return v
}

// set puts a value into the resource; an empty one is none.
func (p *patcher) set(a *attribute, value any) {
	delete(p.r, a.Name)
	p.r.put(a.Name, value)
}

func withPart(in resource, sub *attribute, value any) resource {
	out := in.clone()
	if value == nil {
		delete(out, sub.Name)
	} else {
		out[sub.Name] = value
	}
	return out
}

func merged(old, more resource) resource {
	out := old.clone()
	maps.Copy(out, more)
	return out
}

// identity is what two values of one attribute must differ in.
func identity(v any) string {
	r, _ := v.(resource)
	return r.text("value") + "\x00" + r.text("type")
}

// join adds values to others; one that is there already is not added again.
func join(old, more []any) []any {
	at := make(map[string]int, len(old)+len(more))
	out := make([]any, 0, len(old)+len(more))
	for _, v := range slices.Concat(old, more) {
		id := identity(v)
		if i, ok := at[id]; ok {
			out[i] = v
			continue
		}
		at[id] = len(out)
		out = append(out, v)
	}
	return onePrimary(out, more)
}

// without removes values, whose type need not be named.
func without(old, gone []any) []any {
	names := make(map[string]bool, len(gone))
	for _, v := range gone {
		r, _ := v.(resource)
		names[r.text("value")] = true
	}
	return slices.DeleteFunc(slices.Clone(old), func(v any) bool {
		r, _ := v.(resource)
		return names[r.text("value")]
	})
}

// onePrimary lets at most one value be primary: the last of those that were just
// written so (RFC 7644 section 3.5.2).
func onePrimary(all, written []any) []any {
	chosen := -1
	for i, v := range all {
		r, _ := v.(resource)
		if r["primary"] == true && slices.ContainsFunc(written, func(w any) bool { return identity(w) == identity(v) }) {
			chosen = i
		}
	}
	if chosen < 0 {
		return all
	}
	for i, v := range all {
		if r, _ := v.(resource); i != chosen && r["primary"] == true {
			all[i] = withPart(r, &attribute{Name: "primary"}, false)
		}
	}
	return all
}

func sortedNames(o object) []string {
	out := make([]string, 0, len(o))
	for name := range o {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}
