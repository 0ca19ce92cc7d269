package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"gopkg.in/yaml.v3"

	"postern/policy"
	"postern/store"
)

const (
	maxOpenAPI = 2 << 20
	maxDepth   = 64
)

// Import is what an OpenAPI document holds for a catalogue.
type Import struct {
	Endpoints []store.Endpoint
	Warnings  []string // of paths that a catalogue cannot say
}

// ImportOpenAPI replaces the endpoints of an API by those of an OpenAPI 3
// document, in JSON or YAML of at most 2 MB. Nothing outside the document is
// read. A dry run changes nothing. Endpoints that are GraphQL stay so: OpenAPI
// has no word for it, and what is no longer marked is no longer read.
func (a *Admin) ImportOpenAPI(ctx context.Context, by *Actor, idOrName string, document []byte, revision int64, dryRun bool) (*store.API, *Import, error) {
	old, err := a.findAPI(by, opAPIImport, idOrName)
	if err != nil {
		return nil, nil, err
	}
	imported, err := readOpenAPI(document)
	if err != nil {
		return nil, nil, err
	}
	imported.keepGraphQL(old.Endpoints)
	if dryRun {
		return old, imported, nil
	}
	api, err := a.editAPI(ctx, by, opAPIImport, idOrName, APIInput{Endpoints: &imported.Endpoints}, revision)
	return api, imported, err
}

// keepGraphQL marks what was marked, and adds what the document leaves out.
func (i *Import) keepGraphQL(old []store.Endpoint) {
	for _, was := range old {
		if !was.GraphQL {
			continue
		}
		i.Endpoints = slices.DeleteFunc(i.Endpoints, func(e store.Endpoint) bool { return e.Path == was.Path && e.Methods == "POST" })
		i.Endpoints = append(i.Endpoints, was)
	}
}

// partOfSegment finds a {parameter} that is not a whole segment, as in
// /files/{name}.json, which a pattern cannot say: one parameter stands for all.
var partOfSegment = regexp.MustCompile(`^[^{}]*\{([A-Za-z_][A-Za-z0-9_]{0,31})\}[^{}]*$`)

func readOpenAPI(document []byte) (*Import, error) {
	if len(document) > maxOpenAPI {
		return nil, refuse(Invalid, "the document is larger than 2 MB")
	}
	if err := checkDepth(document); err != nil {
		return nil, err
	}
	loader := openapi3.NewLoader()
	loader.IsExternalRefsAllowed = false
	loader.ReadFromURIFunc = func(*openapi3.Loader, *url.URL) ([]byte, error) {
		return nil, fmt.Errorf("external references are not followed")
	}
	doc, err := loader.LoadFromData(document)
	if err != nil {
		return nil, refuse(Invalid, "this is no OpenAPI 3 document: %s", printable(err.Error()))
	}
	if doc.OpenAPI == "" || doc.Paths == nil {
		return nil, refuse(Invalid, "this is no OpenAPI 3 document with paths")
	}
	base := basePath(doc)
	out := &Import{}
	for _, path := range doc.Paths.InMatchingOrder() {
		item := doc.Paths.Value(path)
		pattern, warning := pathPattern(base + path)
		if warning != "" {
			out.Warnings = append(out.Warnings, warning)
		}
		if pattern == "" {
			continue
		}
		operations := item.Operations()
		for _, method := range sortedKeys(operations) {
			o := operations[method]
			out.Endpoints = append(out.Endpoints, store.Endpoint{Methods: method, Path: pattern, Summary: o.Summary, Tags: o.Tags})
		}
	}
	slices.SortStableFunc(out.Endpoints, func(x, y store.Endpoint) int { return strings.Compare(x.Path, y.Path) })
	return out, nil
}

// basePath is the path of the first server, which all paths are below.
func basePath(doc *openapi3.T) string {
	if len(doc.Servers) == 0 {
		return ""
	}
	u, err := url.Parse(doc.Servers[0].URL)
	if err != nil || strings.ContainsAny(u.Path, "{}") {
		return ""
	}
	return strings.TrimSuffix(u.Path, "/")
}

func pathPattern(path string) (pattern, warning string) {
	if len(path) > 1 {
		path = strings.TrimSuffix(path, "/")
	}
	segments := strings.Split(path, "/")
	for i, s := range segments {
		if strings.HasPrefix(s, "{") && strings.HasSuffix(s, "}") && strings.Count(s, "{") == 1 {
			segments[i] = "{" + parameter(s[1:len(s)-1]) + "}"
		} else if m := partOfSegment.FindStringSubmatch(s); m != nil {
			segments[i] = "{" + m[1] + "}"
			warning = fmt.Sprintf("%s: a parameter is a whole segment here, so %s became {%s}", path, s, m[1])
		}
	}
	pattern, err := policy.ParsePath(strings.Join(segments, "/"))
	if err != nil {
		return "", fmt.Sprintf("%s is left out: %v", path, err)
	}
	return pattern, warning
}

// parameter makes a name that a pattern allows.
func parameter(name string) string {
	out := strings.Map(func(r rune) rune {
		if r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '_'
	}, name)
	if out == "" || out[0] >= '0' && out[0] <= '9' {
		out = "_" + out
	}
	return out[:min(len(out), 32)]
}

// checkDepth refuses a document that is nested deeper than any real one, before
// a recursive reader sees it.
func checkDepth(document []byte) error {
	d := json.NewDecoder(bytes.NewReader(document))
	for depth := 0; ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) && depth == 0 {
			return nil
		}
		if err != nil {
			return checkYAML(document)
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth > maxDepth {
			return errDeep()
		}
	}
}

// checkYAML does it for YAML, and refuses aliases, by which a small document can
// stand for a huge one.
func checkYAML(document []byte) error {
	var root yaml.Node // keeps aliases as they are
	if err := yaml.Unmarshal(document, &root); err != nil {
		return refuse(Invalid, "the document is neither JSON nor YAML: %s", printable(err.Error()))
	}
	return checkNode(&root, 0)
}

func checkNode(n *yaml.Node, depth int) error {
	switch {
	case n.Kind == yaml.AliasNode:
		return refuse(Invalid, "YAML aliases are not followed; write the document without them")
	case depth > maxDepth:
		return errDeep()
	}
	for _, below := range n.Content {
		if err := checkNode(below, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func errDeep() error {
	return refuse(Invalid, "the document is nested deeper than %d levels", maxDepth)
}
