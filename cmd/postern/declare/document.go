package declare

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"gopkg.in/yaml.v3"

	"postern/config"
)

// Document says what one thing should be. Fields it does not name are left as
// they are.
type Document struct {
	Key
	File   string
	Line   int
	values map[string]any // by field, in the types that form tells
	lines  map[string]int
}

// Fault is what is wrong with a file.
type Fault struct { //nolint:errname // the word of the API
	File    string
	Line    int
	Message string
}

func (f *Fault) Error() string { return fmt.Sprintf("%s:%d: %s", f.File, f.Line, f.Message) }

// Version is that of the form of files. It may stand in any document; one that
// says nothing is of this version, for ever.
const version = "v1"

// Read reads the documents of a file. Its error joins a *Fault for each thing
// that is wrong.
func Read(name string, content io.Reader) ([]*Document, error) {
	r := &reader{file: name}
	d := yaml.NewDecoder(content)
	for {
		var node yaml.Node
		err := d.Decode(&node)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			r.faults = append(r.faults, fmt.Errorf("%s: %s", name, strings.TrimPrefix(err.Error(), "yaml: ")))
			break
		}
		if doc := r.document(node.Content[0]); doc != nil {
			r.all = append(r.all, doc)
		}
	}
	return r.all, errors.Join(r.faults...)
}

// reader collects what is wrong.
type reader struct {
	file   string
	all    []*Document
	faults []error
}

func (r *reader) fault(at *yaml.Node, format string, args ...any) {
	r.faults = append(r.faults, &Fault{r.file, at.Line, fmt.Sprintf(format, args...)})
}

// document reads one; nil if it is empty or wrong.
func (r *reader) document(node *yaml.Node) *Document {
	if node.Tag == "!!null" {
		return nil // two --- in a row
	}
	before := len(r.faults)
	fields := r.fields(node)
	if len(r.faults) > before {
		return nil
	}
	if v := fields["postern"]; v != nil && v.value.Value != version {
		r.fault(v.value, "this version of postern reads files of postern: %s", version)
		return nil
	}
	named := fields["kind"]
	if named == nil {
		r.fault(node, "kind is missing; it is one of %s", strings.Join(KindNames(), ", "))
		return nil
	}
	k := kindNamed(named.value.Value)
	if k == nil {
		r.fault(named.value, "there is no kind %q; did you mean %s?", printable(named.value.Value), config.Nearest(named.value.Value, KindNames()))
		return nil
	}
	doc := &Document{Key: Key{Kind: k.name}, File: r.file, Line: node.Line, values: map[string]any{}, lines: map[string]int{}}
	r.name(doc, k, node, fields)
	for _, f := range k.fields {
		if given := fields[f.name]; given != nil {
			delete(fields, f.name)
			doc.lines[f.name] = given.value.Line
			doc.values[f.name] = r.value(k, &f, doc.Workspace, given.value)
		} else if f.required {
			r.fault(node, "%s is missing", f.name)
		}
	}
	delete(fields, "postern")
	delete(fields, "kind")
	for name, given := range fields {
		r.fault(given.key, "there is no field %q of kind %s; did you mean %s?", printable(name), k.name, config.Nearest(name, k.names()))
	}
	if len(r.faults) > before {
		return nil
	}
	return doc
}

// names are the fields that a document of the kind can have.
func (k *kind) names() []string {
	names := []string{"kind"}
	if k.name == kindGrant {
		names = append(names, "account", "team")
	} else {
		names = append(names, k.key)
	}
	if k.within {
		names = append(names, "workspace")
	}
	for _, f := range k.fields {
		names = append(names, f.name)
	}
	return names
}

// KindNames are the kinds of documents.
func KindNames() []string {
	var names []string
	for _, k := range kinds() {
		names = append(names, k.name)
	}
	return names
}

// named is a field of a document as it is written.
type named struct{ key, value *yaml.Node }

// fields are those of a mapping, each there once.
func (r *reader) fields(node *yaml.Node) map[string]*named {
	if node.Kind != yaml.MappingNode {
		r.fault(node, "must be fields, each with its name and a colon")
		return nil
	}
	fields := map[string]*named{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		switch {
		case value.Kind == yaml.AliasNode || value.Anchor != "" || key.Kind != yaml.ScalarNode || key.Tag == "!!merge":
			r.fault(key, "anchors, aliases and merges are not read here; write it out")
		case fields[key.Value] != nil:
			r.fault(key, "%s is there twice, first in line %d", printable(key.Value), fields[key.Value].key.Line)
		default:
			fields[key.Value] = &named{key, value}
		}
	}
	return fields
}

// slugs are names as the server knows them.
var slugs = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

const slugRule = "must be 1 to 63 of a-z, 0-9 and -, the first a letter or digit"

// name reads what the document is about, and takes that out of its fields.
func (r *reader) name(doc *Document, k *kind, node *yaml.Node, fields map[string]*named) {
	take := func(name string) string {
		given := fields[name]
		if given == nil {
			return ""
		}
		delete(fields, name)
		doc.lines[name] = given.value.Line
		s, ok := r.text(given.value, name)
		if !ok {
			return "?" // which is told
		}
		if !slugs.MatchString(s) {
			r.fault(given.value, "%s %s", name, slugRule)
		}
		return s
	}
	if k.within {
		if doc.Workspace = take("workspace"); doc.Workspace == "" {
			r.fault(node, "workspace is missing")
		}
	}
	if k.name != kindGrant {
		if doc.Name = take(k.key); doc.Name == "" {
			r.fault(node, "%s is missing", k.key)
		}
		return
	}
	account, team := take("account"), take("team")
	switch {
	case (account == "") == (team == ""):
		r.fault(node, "who holds it? name an account or a team")
	case team != "":
		doc.Name = "team " + team
	default:
		doc.Name = "account " + account
	}
}

// text reads a string. What YAML takes for something else needs quotes, lest
// 0123 and no come out as others than they were written.
func (r *reader) text(node *yaml.Node, what string) (string, bool) {
	if node.Kind != yaml.ScalarNode || node.Tag != "!!str" {
		r.fault(node, "%s must be a text; put it in quotes if it looks like a number, a date, true or null", what)
		return "", false
	}
	return node.Value, true
}

// items are the nodes of a list.
func (r *reader) items(node *yaml.Node, what string) []*yaml.Node {
	if node.Kind != yaml.SequenceNode {
		r.fault(node, "%s must be a list", what)
		return nil
	}
	for _, item := range node.Content {
		if item.Kind == yaml.AliasNode || item.Anchor != "" {
			r.fault(item, "anchors and aliases are not read here; write it out")
			return nil
		}
	}
	return node.Content
}

// strict reads the fields of an inner mapping.
func (r *reader) strict(node *yaml.Node, what string, known ...string) map[string]*named {
	fields := r.fields(node)
	for name, given := range fields {
		if !slices.Contains(known, name) {
			r.fault(given.key, "there is no field %q of %s; did you mean %s?", printable(name), what, config.Nearest(name, known))
		}
	}
	return fields
}

func printable(s string) string {
	if len(s) > 60 {
		s = s[:60] + "…"
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

// Same refuses two documents about one thing.
func same(docs []*Document) error {
	var faults []error
	seen := map[Key]*Document{}
	for _, doc := range docs {
		if first := seen[doc.Key]; first != nil {
			faults = append(faults, &Fault{doc.File, doc.Line, fmt.Sprintf("%s is there twice, first at %s:%d", doc.Key, first.File, first.Line)})
			continue
		}
		seen[doc.Key] = doc
	}
	return errors.Join(faults...)
}

// Write spells documents as YAML.
func Write(w io.Writer, docs []*Document) error {
	for i, doc := range docs {
		if i > 0 {
			if _, err := io.WriteString(w, "---\n"); err != nil {
				return err
			}
		}
		var out bytes.Buffer
		e := yaml.NewEncoder(&out)
		e.SetIndent(2)
		if err := e.Encode(doc.node()); err != nil {
			return fmt.Errorf("write %s: %w", doc.Key, err)
		}
		if _, err := w.Write(out.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// node is the document as YAML.
func (d *Document) node() *yaml.Node {
	k := kindNamed(d.Kind)
	out := &yaml.Node{Kind: yaml.MappingNode}
	put := func(name string, value *yaml.Node) {
		out.Content = append(out.Content, textNode(name), value)
	}
	put("kind", textNode(d.Kind))
	if d.Kind != kindGrant {
		put(k.key, textNode(d.Name))
	}
	if k.within {
		put("workspace", textNode(d.Workspace))
	}
	if d.Kind == kindGrant {
		holder, name, _ := strings.Cut(d.Name, " ")
		put(holder, textNode(name))
	}
	for _, f := range k.fields {
		if value, ok := d.values[f.name]; ok {
			put(f.name, nodeOf(value))
		}
	}
	return out
}
