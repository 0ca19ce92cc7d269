package console

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"postern/server/admin"
)

// reference is the description of the REST API, from its OpenAPI document.
type reference struct {
	Groups     []referenceGroup
	operations map[string]*operation
}

// referenceGroup is the operations of one tag.
type referenceGroup struct {
	Name, Text string
	Operations []*operation
}

// operation is one method of one path.
type operation struct {
	ID, Method, Path, Summary string
	Text                      string
	Tag                       string
	Parameters                []property
	Body                      []property
	BodyType                  string // the media type
	BodyExample               string
	Answers                   []referenceAnswer
	Public                    bool // it needs no credential
	Password                  bool // name and password will do, too
	Curl                      string
}

// referenceAnswer is what an operation answers with a status.
type referenceAnswer struct {
	Status  int
	Text    string
	Fields  []property
	Example string
}

// Good reports whether it is no error.
func (a referenceAnswer) Good() bool { return a.Status < http.StatusBadRequest }

// property is a parameter, or a field of a body or an answer.
type property struct {
	Name, Type, Text string
	Where            string // of a parameter: path, query or header
	Required         bool
	Depth            int // of a field within others
}

// Address is the page of an operation.
func (o *operation) Address() string { return "/console/api-reference/" + url.PathEscape(o.ID) }

// The parts of an OpenAPI document that are shown (OpenAPI 3.1 section 4.8).
type (
	document struct {
		Tags       []struct{ Name, Description string }
		Paths      map[string]map[string]described
		Components struct {
			Schemas   map[string]*schema
			Responses map[string]answered
		}
	}
	described struct {
		OperationID          string
		Summary, Description string
		Tags                 []string
		Parameters           []struct {
			Name, In, Description string
			Required              bool
			Schema                *schema
		}
		RequestBody *struct{ Content map[string]content }
		Responses   map[string]answered
		Security    []map[string][]string
	}
	answered struct {
		Ref         string `json:"$ref"`
		Description string
		Content     map[string]content
	}
	content struct {
		Schema  *schema
		Example json.RawMessage
	}
	schema struct {
		Ref         string `json:"$ref"`
		Type        any    // a name, or several of which one is null
		Format      string
		Description string
		Properties  map[string]*schema
		Required    []string
		Items       *schema
		Enum        []any
		Default     any
		Minimum     *float64
		Maximum     *float64
		MaxLength   *int
		MaxItems    *int
	}
)

// readReference reads the document of the API, whose calls go to a server.
func readReference(text []byte, server string) (*reference, error) {
	var d document
	if err := json.Unmarshal(text, &d); err != nil {
		return nil, fmt.Errorf("read the description of the API: %w", err)
	}
	out := &reference{operations: map[string]*operation{}}
	groups := map[string]int{}
	for _, t := range d.Tags {
		groups[t.Name] = len(out.Groups)
		out.Groups = append(out.Groups, referenceGroup{Name: t.Name, Text: t.Description})
	}
	for _, path := range slices.Sorted(maps.Keys(d.Paths)) {
		for _, method := range []string{"get", "post", "put", "patch", "delete"} {
			from, there := d.Paths[path][method]
			if !there {
				continue
			}
			o := d.operation(strings.ToUpper(method), path, from)
			o.Curl = o.curl(server)
			out.operations[o.ID] = o
			if i, known := groups[o.Tag]; known {
				out.Groups[i].Operations = append(out.Groups[i].Operations, o)
			}
		}
	}
	return out, nil
}

func (d *document) operation(method, path string, from described) *operation {
	o := &operation{ID: from.OperationID, Method: method, Path: path, Summary: from.Summary, Text: from.Description, Public: len(from.Security) == 0}
	if len(from.Tags) > 0 {
		o.Tag = from.Tags[0]
	}
	for _, s := range from.Security {
		if _, password := s["password"]; password {
			o.Password = true
		}
	}
	for _, p := range from.Parameters {
		o.Parameters = append(o.Parameters, property{Name: p.Name, Type: d.kind(p.Schema), Text: p.Schema.within(p.Description), Where: p.In, Required: p.Required})
	}
	if from.RequestBody != nil {
		for _, kind := range slices.Sorted(maps.Keys(from.RequestBody.Content)) {
			c := from.RequestBody.Content[kind]
			o.BodyType, o.Body, o.BodyExample = kind, d.fields(c.Schema, 0), indented(c.Example)
		}
	}
	for _, status := range slices.Sorted(maps.Keys(from.Responses)) {
		a := from.Responses[status]
		if name, isRef := strings.CutPrefix(a.Ref, "#/components/responses/"); isRef {
			a = d.Components.Responses[name]
		}
		code, _ := strconv.Atoi(status)
		one := referenceAnswer{Status: code, Text: a.Description}
		for _, kind := range slices.Sorted(maps.Keys(a.Content)) {
			one.Example = indented(a.Content[kind].Example)
			if one.Good() {
				one.Fields = d.fields(a.Content[kind].Schema, 0)
			}
		}
		o.Answers = append(o.Answers, one)
	}
	return o
}

// resolve follows a reference into the components.
func (d *document) resolve(s *schema) *schema {
	for range 8 {
		if s == nil {
			return &schema{}
		}
		name, isRef := strings.CutPrefix(s.Ref, "#/components/schemas/")
		if !isRef {
			return s
		}
		s = d.Components.Schemas[name]
	}
	return &schema{}
}

// deepest is how far fields within fields are listed.
const deepest = 2

// fields are those of an object, each followed by those within it.
func (d *document) fields(s *schema, depth int) (out []property) {
	if s = d.resolve(s); s.Items != nil {
		s = d.resolve(s.Items)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		p := s.Properties[name]
		out = append(out, property{
			Name: name, Type: d.kind(p), Text: p.within(p.Description), Required: slices.Contains(s.Required, name), Depth: depth,
		})
		if depth < deepest {
			out = append(out, d.fields(p, depth+1)...)
		}
	}
	return out
}

// kind is the type of a value in a few words.
func (d *document) kind(s *schema) string {
	if s == nil {
		return "any"
	}
	at := d.resolve(s)
	name := ""
	switch t := at.Type.(type) {
	case string:
		name = t
	case []any:
		for _, each := range t {
			if text, ok := each.(string); ok && text != "null" {
				name = text
			}
		}
	}
	switch {
	case name == "array":
		return "array of " + d.kind(at.Items)
	case at.Format == "date-time":
		return "time"
	case len(at.Enum) > 0:
		var values []string
		for _, v := range at.Enum {
			values = append(values, fmt.Sprint(v))
		}
		return strings.Join(values, " | ")
	}
	return cmp.Or(name, "any")
}

// within is a description with what the value must keep to.
func (s *schema) within(text string) string {
	if s == nil {
		return text
	}
	var out []string
	if s.Minimum != nil {
		out = append(out, "at least "+strconv.FormatFloat(*s.Minimum, 'f', -1, 64))
	}
	if s.Maximum != nil {
		out = append(out, "at most "+strconv.FormatFloat(*s.Maximum, 'f', -1, 64))
	}
	if s.MaxLength != nil {
		out = append(out, "at most "+strconv.Itoa(*s.MaxLength)+" characters")
	}
	if s.MaxItems != nil {
		out = append(out, "at most "+strconv.Itoa(*s.MaxItems)+" of them")
	}
	if s.Default != nil {
		out = append(out, fmt.Sprintf("%v where it is left out", s.Default))
	}
	if len(out) == 0 {
		return text
	}
	return strings.TrimSpace(text + " " + sentence(strings.Join(out, ", ")))
}

func indented(example json.RawMessage) string {
	var out bytes.Buffer
	if len(example) == 0 || json.Indent(&out, example, "", "  ") != nil {
		return ""
	}
	return out.String()
}

// curl is a command that works once its variables are set.
func (o *operation) curl(server string) string {
	var b strings.Builder
	b.WriteString("curl")
	if o.Method != http.MethodGet {
		b.WriteString(" -X " + o.Method)
	}
	if !o.Public {
		b.WriteString(` -H "Authorization: Bearer $POSTERN_TOKEN"`)
	}
	path := o.Path
	for _, p := range o.Parameters {
		if p.Where == "path" {
			path = strings.ReplaceAll(path, "{"+p.Name+"}", "$"+strings.ToUpper(p.Name))
		}
	}
	fmt.Fprintf(&b, " \\\n  \"%s%s\"", server, path)
	if o.BodyExample != "" {
		fmt.Fprintf(&b, " \\\n  -H 'Content-Type: %s' \\\n  -d '%s'", o.BodyType, strings.ReplaceAll(o.BodyExample, "'", `'\''`))
	}
	return b.String()
}

// referencePage is the list of operations.
type referencePage struct {
	Search string
	Groups []referenceGroup
	Server string
}

// theReference is read at its first use, when the API is described.
func (c *Console) theReference() (*reference, error) {
	c.referenceOnce.Do(func() {
		if c.Reference == nil {
			c.referenceError = &admin.Error{Kind: admin.NotFound, Message: "this server has no REST API"}
			return
		}
		c.reference, c.referenceError = readReference(c.Reference(), c.Issuer)
	})
	return c.reference, c.referenceError
}

func apiReference(v *visit) error {
	ref, err := v.console.theReference()
	if err != nil {
		return err
	}
	p := referencePage{Search: v.Query("search"), Server: v.console.Issuer}
	want := strings.ToLower(strings.TrimSpace(p.Search))
	for _, g := range ref.Groups {
		found := referenceGroup{Name: g.Name, Text: g.Text}
		for _, o := range g.Operations {
			if strings.Contains(strings.ToLower(o.ID+" "+o.Method+" "+o.Path+" "+o.Summary), want) {
				found.Operations = append(found.Operations, o)
			}
		}
		if len(found.Operations) > 0 {
			p.Groups = append(p.Groups, found)
		}
	}
	return v.show("reference", http.StatusOK, page{Title: "API reference", Section: "reference", Data: p})
}

func referenceOperation(v *visit) error {
	ref, err := v.console.theReference()
	if err != nil {
		return err
	}
	o := ref.operations[v.Param("operation")]
	if o == nil {
		return &admin.Error{Kind: admin.NotFound, Message: "the REST API has no such operation"}
	}
	return v.show("operation", http.StatusOK, page{Title: o.Summary, Section: "reference", Crumbs: []crumb{{"API reference", "/console/api-reference"}}, Data: o})
}
