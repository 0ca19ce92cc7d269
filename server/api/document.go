package api

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"postern/server/admin"
)

// typeProblem is the media type of every error (RFC 9457).
const typeProblem = "application/problem+json"

// tags are the groups of operations, as a reader meets them.
//
//nolint:gochecknoglobals // a constant table
var tags = []struct{ name, text string }{
	{"clients", "Every managed credential: OAuth2 clients, integration and personal tokens. A secret's text is in the answer that makes it, and never again."},
	{"me", "What people do for themselves, with their own tokens."},
	{"roles", "Named lists of rules: which calls are allowed, and which are denied."},
	{"grants", "The roles of an account or team in a workspace, each perhaps limited to some resources."},
	{"apis", "The resource servers that tokens are for, with their audiences and endpoints."},
	{"workspaces", "The units of isolation, with their settings."},
	{"accounts", "People and technical users: who a client acts as."},
	{"teams", "Sets of accounts that are granted roles together."},
	{"keys", "The keys that sign and seal tokens; never the keys themselves."},
	{"usage", "Who called what, when."},
	{"audit", "Every change and every refusal of a change, in a chain that shows when it was tampered with."},
	{"policy", "Decisions about calls, explained."},
	{"leaks", "Secrets that were found where they do not belong."},
	{"webhooks", "Who is told of what happens."},
	{"system", "The installation itself."},
}

// faultOf is an error that operations answer.
type faultOf struct {
	name, text, detail string
	headers            []string
}

// faultsOf are the errors by status: their names in the document, what they mean
// and what they say.
//
//nolint:gochecknoglobals // a constant table
var faultsOf = map[int]faultOf{
	http.StatusBadRequest:            {"Unreadable", "The body is no JSON that every reader understands alike, or there is none.", "request body is required", nil},
	http.StatusUnauthorized:          {"Unauthenticated", "No credential was sent, or one that is not good here.", "the credential is not good here", []string{"WWW-Authenticate"}},
	http.StatusForbidden:             {"Forbidden", "The actor may not do this here, or would give away more than it holds.", "you may not do this here (client.create); ask an owner or admin of workspace acme", nil},
	http.StatusNotFound:              {"NotFound", "There is no such thing, or none that the actor may see.", `there is no workspace "acme" whose clients you may see`, nil},
	http.StatusRequestTimeout:        {"Slow", "The body did not come in time.", "request body read timeout", nil},
	http.StatusConflict:              {"Conflict", "The rules of its life do not allow this now; the detail says what to do.", "only a revoked token is deleted; revoke it first", nil},
	http.StatusPreconditionFailed:    {"Stale", "It was changed since it was read: read it again and repeat the change.", "it was changed by someone else meanwhile; read it again and repeat the change", nil},
	http.StatusRequestEntityTooLarge: {"TooLarge", "The body is larger than this operation reads.", "request body is too large limit=1048576 bytes", nil},
	http.StatusUnsupportedMediaType:  {"Unsupported", "The body is of a media type that this operation does not read.", "unknown content type", nil},
	http.StatusUnprocessableEntity:   {"Invalid", "The request has faults; each is listed with its place, and without what was sent there.", "the request has faults", nil},
	http.StatusPreconditionRequired:  {"PreconditionRequired", "The change must name in If-Match the revision that it was made on.", "name the revision that you read in If-Match: it is 3 now", nil},
	http.StatusTooManyRequests:       {"TooMany", "Too many attempts; Retry-After says when to try again.", "too many attempts; try again later", []string{"Retry-After"}},
	http.StatusInternalServerError:   {"Failed", "Something went wrong here, and is in the server's log under the request's id.", "something went wrong here, and is in the server's log", nil},
	http.StatusServiceUnavailable:    {"Unavailable", "The store does not answer, or this node lost touch with it; Retry-After says when to try again.", "the store does not answer; nothing was changed, try again shortly", []string{"Retry-After"}},
}

// describe completes the description that huma made of the operations: what each
// needs, what it may answer, and examples.
func (m *mounted) describe() ([]byte, error) {
	doc := m.huma.OpenAPI()
	schemas := doc.Components.Schemas.Map()
	delete(schemas, "ErrorModel")
	delete(schemas, "ErrorDetail")
	schemas["Problem"], schemas["Fault"] = problemSchema()
	doc.Components.Responses = map[string]*huma.Response{}
	doc.Components.Headers = headers()
	for status, f := range faultsOf {
		doc.Components.Responses[f.name] = f.response(status)
	}
	s := &sampler{registry: doc.Components.Schemas}
	used := map[string]bool{}
	for _, item := range doc.Paths {
		for _, op := range []*huma.Operation{item.Get, item.Put, item.Post, item.Patch, item.Delete} {
			if op == nil {
				continue
			}
			known := m.operations[op.OperationID]
			used[known.Tag] = true
			op.Description = strings.TrimSpace(op.Description + " " + needs(known))
			delete(op.Responses, "default")
			for _, status := range errorsOf(known, op) {
				op.Responses[strconv.Itoa(status)] = &huma.Response{Ref: "#/components/responses/" + faultsOf[status].name}
			}
			s.operation(op)
		}
	}
	for _, t := range tags {
		if used[t.name] {
			doc.Tags = append(doc.Tags, &huma.Tag{Name: t.name, Description: t.text})
		}
	}
	return json.Marshal(doc)
}

// needs says who may call an operation, and where it is seen afterwards.
func needs(op admin.Operation) string {
	text := "Needs a role that allows `" + op.Method + " " + op.Path + "` on the API `postern`, within the licence of the account."
	switch {
	case op.Public:
		text = "Needs no credential."
	case op.AnyToken:
		text = "Needs no role."
	case op.Password:
		text += " A person may also say who they are by name and password (Basic), and the code of a second factor in the header `Postern-OTP`."
	}
	if op.Method != http.MethodGet {
		text += " The audit calls it `" + op.Name + "`."
	}
	return text
}

// errorsOf are the statuses of the errors that an operation may answer.
func errorsOf(known admin.Operation, op *huma.Operation) []int {
	out := []int{http.StatusUnprocessableEntity, http.StatusInternalServerError, http.StatusServiceUnavailable}
	if !known.Public {
		out = append(out, http.StatusUnauthorized, http.StatusForbidden)
	}
	if known.Public || known.Password {
		out = append(out, http.StatusTooManyRequests)
	}
	if op.RequestBody != nil {
		out = append(out, http.StatusBadRequest, http.StatusRequestTimeout, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType)
	}
	if len(op.Parameters) > 0 || op.RequestBody != nil {
		out = append(out, http.StatusNotFound)
	}
	if op.Method != http.MethodGet && known.Name != "check" && known.Name != "client.trust.test" {
		out = append(out, http.StatusConflict)
	}
	if slices.ContainsFunc(op.Parameters, func(p *huma.Param) bool { return p.Name == "If-Match" }) {
		out = append(out, http.StatusPreconditionFailed)
		if slices.Contains([]string{"roles", "apis", "workspaces"}, known.Tag) {
			out = append(out, http.StatusPreconditionRequired)
		}
	}
	return out
}

func (f faultOf) response(status int) *huma.Response {
	told := map[string]any{"title": http.StatusText(status), "status": status, "detail": f.detail, "request_id": "k3v9q2m7xw4t-2f"}
	if status == http.StatusUnprocessableEntity {
		told["errors"] = []any{map[string]any{"location": "body.expires_in", "message": "must be a duration such as 12h, 90d or 1y"}}
	}
	out := &huma.Response{
		Description: f.text,
		Content: map[string]*huma.MediaType{typeProblem: {
			Schema: &huma.Schema{Ref: "#/components/schemas/Problem"}, Example: told,
		}},
	}
	for _, name := range f.headers {
		if out.Headers == nil {
			out.Headers = map[string]*huma.Header{}
		}
		out.Headers[name] = &huma.Header{Ref: "#/components/headers/" + name}
	}
	return out
}

func headers() map[string]*huma.Header {
	text := func(about, example string) *huma.Header {
		return &huma.Header{Description: about, Schema: &huma.Schema{Type: huma.TypeString}, Example: example}
	}
	return map[string]*huma.Header{
		"ETag":             text("The revision, for If-Match.", `"3"`),
		"Retry-After":      text("Seconds to wait.", retryAfter),
		"WWW-Authenticate": text("How to authenticate, and what was wrong (RFC 6750, RFC 7617).", `Bearer realm="postern", error="invalid_token"`),
	}
}

// problemSchema is the schema of Problem, and of Fault, which it lists.
func problemSchema() (whole, fault *huma.Schema) {
	text := func(about string) *huma.Schema { return &huma.Schema{Type: huma.TypeString, Description: about} }
	fault = &huma.Schema{
		Type: huma.TypeObject, AdditionalProperties: false, Required: []string{"message"},
		Description: "One thing wrong with the request.",
		Properties: map[string]*huma.Schema{
			"location": text("Where, such as body.rules[2].path."),
			"message":  text("What."),
		},
	}
	whole = &huma.Schema{
		Type: huma.TypeObject, AdditionalProperties: false, Required: []string{"title", "status", "detail"},
		Description: "An error (RFC 9457). It never repeats what was sent.",
		Properties: map[string]*huma.Schema{
			"title":      text("The status in words."),
			"status":     {Type: huma.TypeInteger, Description: "The status of the answer."},
			"detail":     text("The cause, and what to do."),
			"errors":     {Type: huma.TypeArray, Items: &huma.Schema{Ref: "#/components/schemas/Fault"}, Description: "Every fault, when the request has some."},
			"request_id": text("Names the request in the log and the audit."),
		},
	}
	return whole, fault
}

// aboutParameter describes the parameters that say nothing of themselves.
func aboutParameter(p *huma.Param) string {
	known := map[string]string{
		"limit": "How many at most.", "cursor": "next of the page before.", "desc": "Largest first.", "sort": "By what.", "client": "Its id.",
		"kind": "Only of this kind.", "status": "Only in this state.", "secret": "Its id.", "role": "Its id.",
		"from": "RFC 3339; from then on.", "to": "RFC 3339; before then.", "Idempotency-Key": "A name for this request: a repeat answers as the first one did.",
		"If-Match": "The ETag of what you read.",
	}
	if text := known[p.Name]; text != "" {
		return text
	}
	if p.In == "path" {
		return "Its id or name."
	}
	return "Only of this " + strings.ReplaceAll(p.Name, "_", " ") + "."
}
