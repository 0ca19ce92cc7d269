package api_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"postern/server/admin"
	"postern/server/secret"
)

// described is an operation as the OpenAPI document describes it.
type described struct {
	OperationID string `json:"operationId"`
	Summary     string
	Description string
	Tags        []string
	Security    []map[string][]string
	Parameters  []struct {
		Name, In, Description string
		Example               any
	}
	RequestBody *struct{ Content map[string]media }
	Responses   map[string]struct {
		Ref         string `json:"$ref"`
		Description string
		Content     map[string]media
	}
}

type media struct{ Schema, Example any }

// The document says of each operation what it needs, what it takes and what it
// may answer, errors included, with an example of each body.
func TestOpenAPIDescribesEveryOperation(t *testing.T) {
	w := start(t)
	text := w.serve(httptest.NewRequestWithContext(t.Context(), "GET", "/api/v1/openapi.json", http.NoBody)).body
	var doc struct {
		Paths map[string]map[string]described
		Tags  []struct{ Name, Description string }
	}
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	known := map[string]admin.Operation{}
	for _, op := range admin.Operations() {
		known[op.Name] = op
	}
	var tagged []string
	for _, tag := range doc.Tags {
		tagged = append(tagged, tag.Name)
		if tag.Description == "" {
			t.Errorf("tag %s: no description", tag.Name)
		}
	}
	for _, methods := range doc.Paths {
		for method, op := range methods {
			name := op.OperationID
			if op.Summary == "" || op.Description == "" || len(op.Tags) != 1 || !slices.Contains(tagged, op.Tags[0]) {
				t.Errorf("%s: summary %q, description %q, tags %v of %v; want all", name, op.Summary, op.Description, op.Tags, tagged)
			}
			if public := known[name].Public; (len(op.Security) == 0) != public {
				t.Errorf("%s: security %v, public %t", name, op.Security, public)
			}
			errors := []string{"422", "500", "503"}
			if !known[name].Public {
				errors = append(errors, "401", "403")
			}
			if strings.Contains(known[name].Path, "{") {
				errors = append(errors, "404")
			}
			if method != "get" && name != "check" && name != "client.trust.test" {
				errors = append(errors, "409")
			}
			for _, p := range op.Parameters {
				if p.Description == "" || p.In != "query" && p.Example == nil {
					t.Errorf("%s: parameter %s: description %q, example %v; want both", name, p.Name, p.Description, p.Example)
				}
				if p.Name == "If-Match" {
					errors = append(errors, "412")
				}
			}
			if op.RequestBody != nil {
				errors = append(errors, "400", "413", "415")
				for kind, m := range op.RequestBody.Content {
					if m.Example == nil {
						t.Errorf("%s: no example of a body of %s", name, kind)
					}
				}
			}
			for _, status := range errors {
				if op.Responses[status].Ref == "" {
					t.Errorf("%s: %s is not described", name, status)
				}
			}
			succeeds := false
			for status, r := range op.Responses {
				code, err := strconv.Atoi(status)
				if err != nil {
					t.Errorf("%s: an answer of %q", name, status)
				}
				if code >= 300 {
					continue
				}
				succeeds = true
				for kind, m := range r.Content {
					if kind == "application/json" && m.Example == nil {
						t.Errorf("%s: no example of an answer", name)
					}
				}
			}
			if !succeeds {
				t.Errorf("%s: no answer of a success", name)
			}
		}
	}
	if len(text) > 400_000 {
		t.Errorf("the document has %d bytes", len(text))
	}
	// An example of a secret must not look like one that leaked.
	for _, found := range regexp.MustCompile(`ps[a-z]_[A-Za-z0-9_]{40,}`).FindAllString(text, -1) {
		if _, _, err := secret.Parse(found); err == nil {
			t.Errorf("%s is a secret with a right checksum", found)
		}
	}
}

// The document is sound OpenAPI, and its examples are what its schemas say.
func TestOpenAPIExamplesFitTheirSchemas(t *testing.T) {
	w := start(t)
	text := w.serve(httptest.NewRequestWithContext(t.Context(), "GET", "/api/v1/openapi.json", http.NoBody)).body
	doc, err := openapi3.NewLoader().LoadFromData([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			check := func(what string, content openapi3.Content) {
				for kind, m := range content {
					if m.Example == nil || m.Schema == nil {
						continue
					}
					if err := m.Schema.Value.VisitJSON(m.Example, openapi3.MultiErrors()); err != nil {
						t.Errorf("%s %s: the example of %s, %s: %v", method, path, what, kind, err)
					}
				}
			}
			if op.RequestBody != nil {
				check("the body", op.RequestBody.Value.Content)
			}
			for status, r := range op.Responses.Map() {
				check(status, r.Value.Content)
			}
		}
	}
}
