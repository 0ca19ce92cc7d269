package gateway

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"

	"postern/policy"
	"postern/server/strictjson"
	"postern/server/token"
	"postern/store"
)

const (
	maxBody       = 64 << 10 // bytes of a GraphQL call
	maxTokens     = 8192     // of a document: each takes some hundred bytes once it is parsed
	maxRootFields = 32       // of an operation, each as often as it stands there
	maxFieldName  = 128      // bytes: it is written down as a last use
)

// decideFields decides a call of a GraphQL endpoint: one request for each root
// field of the operation. All must be allowed; the first refusal is the answer.
func (h *Handler) decideFields(ctx context.Context, caller *token.Caller, who *policy.Caller, req *policy.Request, api *store.API, ws *store.Workspace, c call, pattern string) (identity, error) {
	operations, err := c.readOperations()
	if err != nil {
		h.record(caller, c, pattern, "", store.OutcomeDenied)
		return identity{}, &Error{http.StatusForbidden, "", "the GraphQL call cannot be decided: " + err.Error()}
	}
	rules := make([]string, len(operations))
	for i, op := range operations {
		req.Operation = op
		if rules[i], _, err = h.ask(caller, who, req, c, pattern+" "+op); err != nil {
			return identity{}, err
		}
	}
	if c.searched {
		return identity{}, nil
	}
	id, err := h.identify(ctx, caller, who, api, ws)
	if err != nil {
		return identity{}, err
	}
	for i, op := range operations {
		h.record(caller, c, pattern+" "+op, rules[i], store.OutcomeAllowed)
	}
	return id, nil
}

// readOperations reads those of a GraphQL call.
func (c call) readOperations() ([]string, error) {
	if c.operations != nil {
		return c.operations()
	}
	return operationsOf(c.asked, c.binding, c)
}

// isPlainPost refuses a GraphQL call that is not decided by its body alone.
func (c call) isPlainPost() error {
	if c.method != http.MethodPost {
		return errors.New("its method is not POST")
	}
	if strings.Contains(c.target, "?") {
		// Many servers take the document, the operation's name or a persisted id
		// from the query, and some of them prefer it to the body.
		return errors.New("it has a query")
	}
	return nil
}

// operationsOf reads the operations of a call out of the request that asks about
// it: its gateway must pass the client's body, whole.
func operationsOf(r *http.Request, b *binding, c call) ([]string, error) {
	if err := c.isPlainPost(); err != nil {
		return nil, err
	}
	switch {
	case !b.body:
		return nil, errors.New("this binding passes no body")
	case !isWhole(r.Header["X-Envoy-Auth-Partial-Body"]):
		return nil, errors.New("the gateway passed a part of the body")
	case len(r.Header["Content-Encoding"]) > 0:
		return nil, errors.New("its body is encoded")
	case len(r.Header["Content-Type"]) != 1:
		return nil, errors.New("it has not exactly one content type")
	case r.ContentLength > maxBody:
		return nil, errTooLarge
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	switch {
	case err != nil || r.ContentLength >= 0 && int64(len(body)) != r.ContentLength:
		return nil, errors.New("its body is not whole")
	case len(body) > maxBody:
		return nil, errTooLarge
	}
	return operations(r.Header["Content-Type"][0], body)
}

var errTooLarge = errors.New("its body has more than 64 kB")

// isWhole reads X-Envoy-Auth-Partial-Body.
func isWhole(partial []string) bool {
	return len(partial) == 0 || len(partial) == 1 && partial[0] == "false"
}

// operations returns what a GraphQL request asks for: "query devices" for each
// root field of the one operation that its body chooses, in order and each once,
// with aliases and fragments resolved. It follows the GraphQL specification
// (October 2021) and GraphQL over HTTP. What another reader of the same bytes may
// take for another operation is refused: the upstream is such a reader.
func operations(contentType string, body []byte) ([]string, error) {
	kind, params, err := mime.ParseMediaType(contentType)
	if charset, ok := params["charset"]; err != nil || ok && !strings.EqualFold(charset, "utf-8") {
		return nil, errors.New("its content type cannot be read, or is not in UTF-8")
	}
	if !utf8.Valid(body) {
		return nil, errors.New("its body is not UTF-8")
	}
	switch kind {
	case "application/json":
		document, name, err := parseRequest(body)
		if err != nil {
			return nil, err
		}
		return rootFields(document, name)
	case "application/graphql":
		return rootFields(string(body), "")
	}
	return nil, errors.New("its content type is neither application/json nor application/graphql")
}

// parseRequest reads the JSON of a request: one object, in which nothing stands
// twice, in another case or behind the end, and of which nothing is unknown: it
// may be another server's name for a persisted document.
func parseRequest(body []byte) (document, name string, err error) {
	members, err := strictjson.Object(body)
	if err != nil {
		return "", "", err
	}
	document, ok := strictjson.Text(members["query"])
	if !ok {
		return "", "", errors.New("it has no document")
	}
	for key, value := range members {
		switch null := string(value) == "null"; key {
		case "query":
		case "operationName":
			if name, ok = strictjson.Text(value); !ok && !null {
				return "", "", errors.New("its operationName is no text")
			}
		case "variables":
			if value[0] != '{' && !null {
				return "", "", errors.New("its variables are no object")
			}
		case "extensions":
			if null {
				continue
			}
			extensions, err := strictjson.Object(value)
			if err != nil {
				return "", "", err
			}
			for key := range extensions {
				if strings.HasPrefix(strings.ToLower(key), "persisted") {
					return "", "", errors.New("it names a persisted document")
				}
			}
		default:
			return "", "", errors.New("it has a member that is not of GraphQL over HTTP")
		}
	}
	return document, name, nil
}

// rootFields resolves the operation that a document has by this name, or the
// only one where there is no name.
func rootFields(document, name string) ([]string, error) {
	if isAmbiguous(document) {
		return nil, errors.New("not everybody reads its document alike")
	}
	doc, err := parser.ParseQueryWithTokenLimit(&ast.Source{Input: document}, maxTokens)
	if err != nil {
		return nil, errors.New("its document cannot be read") // err quotes it
	}
	chosen, err := choose(doc.Operations, name)
	if err != nil {
		return nil, err
	}
	f := fields{kind: string(chosen.Operation), fragments: map[string]*ast.FragmentDefinition{}, open: map[string]bool{}}
	for _, fragment := range doc.Fragments {
		if f.fragments[fragment.Name] != nil {
			return nil, errors.New("it has two fragments of one name")
		}
		f.fragments[fragment.Name] = fragment
	}
	if err := f.collect(chosen.SelectionSet); err != nil {
		return nil, err
	}
	return f.operations, nil
}

// isAmbiguous reports whether a document has what lexers part differently: more
// than three quotes in a row, of which the first three end a block string by the
// specification and the last three do here, and what old editions of the
// specification, unlike later ones, end a comment by.
func isAmbiguous(document string) bool {
	return strings.Contains(document, `""""`) || strings.ContainsAny(document, "\u2028\u2029")
}

// choose returns the operation to execute (section 6.1, GetOperation).
func choose(all ast.OperationList, name string) (chosen *ast.OperationDefinition, err error) {
	for i, op := range all {
		if len(all) > 1 && op.Name == "" {
			return nil, errors.New("it has an operation without a name among others")
		}
		if slices.ContainsFunc(all[:i], func(o *ast.OperationDefinition) bool { return o.Name == op.Name }) {
			return nil, errors.New("it has two operations of one name")
		}
		if op.Name == name || name == "" && len(all) == 1 {
			chosen = op
		}
	}
	if chosen == nil {
		return nil, errors.New("it does not choose one of its operations")
	}
	return chosen, nil
}

// fields collects the root fields of an operation. A field that a directive may
// skip counts: its condition may be a variable.
type fields struct {
	kind       string
	fragments  map[string]*ast.FragmentDefinition
	open       map[string]bool // the fragments that are looked into
	seen       int
	operations []string
}

func (f *fields) collect(set ast.SelectionSet) error {
	for _, selection := range set {
		switch s := selection.(type) {
		case *ast.Field:
			if err := f.add(s.Name); err != nil {
				return err
			}
		case *ast.InlineFragment:
			if err := f.collect(s.SelectionSet); err != nil {
				return err
			}
		case *ast.FragmentSpread:
			if err := f.spread(s.Name); err != nil {
				return err
			}
		default:
			return errors.New("it selects what is neither a field nor a fragment")
		}
	}
	return nil
}

func (f *fields) add(name string) error {
	if f.seen++; f.seen > maxRootFields {
		return errors.New("it has more than 32 root fields")
	}
	if len(name) > maxFieldName {
		return errors.New("the name of a root field is too long")
	}
	if op := f.kind + " " + name; !slices.Contains(f.operations, op) {
		f.operations = append(f.operations, op)
	}
	return nil
}

func (f *fields) spread(name string) error {
	fragment := f.fragments[name]
	if fragment == nil || f.open[name] {
		return errors.New("a fragment is missing, or has itself in it")
	}
	f.open[name] = true
	defer delete(f.open, name)
	return f.collect(fragment.SelectionSet)
}
