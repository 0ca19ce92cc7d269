package gateway

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"postern/policy"
	"postern/server/strictjson"
	"postern/server/token"
	"postern/store"
)

// Candidates lists who may be found: clients and accounts, page by page.
type Candidates interface {
	Clients(ctx context.Context, q store.ClientQuery) ([]*store.Client, error)
	Accounts(ctx context.Context, q store.AccountQuery) ([]*store.Account, error)
}

// What an answer to a search holds at most, and what it may take: then it ends
// where it is, and says how to go on.
const (
	searchPage = 100
	searchTime = 2 * time.Second
	searchRead = 200 // candidates that are read at once
)

// found is one result: a subject or resource by type and id, or an action by name.
type found struct {
	Type string `json:"type,omitempty"`
	ID   string `json:"id,omitempty"`
	Name string `json:"name,omitempty"`
}

// searched is the answer to a search (AuthZEN 1.0 section 8).
type searched struct {
	Results []found `json:"results"`
	Page    struct {
		Next  string `json:"next_token"` // empty on the last page
		Count int    `json:"count"`
	} `json:"page"`
}

// searches are what is searched for, by the last part of the path: the member of a
// question that is left open.
var searches = map[string]string{"subject": "subject.id", "resource": "resource.id", "action": "action.name"} //nolint:gochecknoglobals // a constant

// search answers which subjects, resources or actions a question is answered with
// yes for: each result is one that an evaluation of it would allow.
func (z *AuthZEN) search(w http.ResponseWriter, r *http.Request, what string) {
	age := z.Decisions.State.Age()
	if age > z.Decisions.MaxStaleness {
		z.refuse(w, r, errStale)
		return
	}
	asking, err := z.authenticate(r)
	if err != nil {
		z.refuse(w, r, err)
		return
	}
	q, err := z.readSearch(r, what, asking)
	if err != nil {
		z.refuse(w, r, &Error{http.StatusBadRequest, "", err.Error()})
		return
	}
	q.api, q.age = z.api(asking, &q.evaluation), age
	out, err := z.find(r.Context(), q)
	if err != nil {
		z.refuse(w, r, err)
		return
	}
	out.Page.Count = len(out.Results)
	answerJSON(w, http.StatusOK, out)
}

// query is a search.
type query struct {
	evaluation

	what  string
	api   *store.API
	age   time.Duration
	limit int
	after cursor
	seal  func(cursor) string
}

// cursor is where the next page goes on.
type cursor struct {
	Value string `json:"v,omitempty"` // by which clients are sorted
	ID    string `json:"i"`           // of the last candidate that was looked at
}

// readSearch reads a request. What is searched for is left out of it, and ignored
// where it is there.
func (z *AuthZEN) readSearch(r *http.Request, what string, asking *store.Client) (*query, error) {
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	members, err := strictjson.Object(body)
	if err != nil {
		return nil, err
	}
	q := &query{evaluation: readEvaluation(members, searches[what]), what: what, limit: searchPage}
	if q.wrong != "" {
		return nil, errors.New(q.wrong)
	}
	if what == "subject" && q.subjectType == "token" {
		return nil, errors.New("subject.type must be client, account or user: nobody lists tokens")
	}
	// A token goes on with the question that it was given for, and with no other.
	mac := hmac.New(sha256.New, z.CursorKey)
	for _, name := range []string{"subject", "action", "resource", "context"} {
		_, _ = mac.Write(append(append([]byte(name), 0), members[name]...))
	}
	_, _ = mac.Write([]byte(what + string(asking.ID)))
	about := mac.Sum(nil)
	q.seal = func(c cursor) string {
		text, _ := json.Marshal(c) // of texts alone
		return base64.RawURLEncoding.EncodeToString(append(tag(about, text), text...))
	}
	return q, q.readPage(members["page"], about)
}

const tagSize = 16

func tag(key, text []byte) []byte {
	mac := hmac.New(sha256.New, key)
	_, _ = mac.Write(text)
	return mac.Sum(nil)[:tagSize]
}

func (q *query) readPage(from json.RawMessage, about []byte) error {
	if from == nil {
		return nil
	}
	page, err := strictjson.Object(from)
	if err != nil {
		return errors.New("page is no object")
	}
	if limit := page["limit"]; limit != nil {
		if json.Unmarshal(limit, &q.limit) != nil || q.limit < 1 {
			return errors.New("page.limit must be a number above 0")
		}
		q.limit = min(q.limit, searchPage)
	}
	value := page["token"]
	if value == nil {
		return nil
	}
	text, ok := strictjson.Text(value)
	if !ok {
		return errors.New("page.token is no text")
	}
	if text == "" {
		return nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(raw) <= tagSize || !hmac.Equal(raw[:tagSize], tag(about, raw[tagSize:])) || json.Unmarshal(raw[tagSize:], &q.after) != nil {
		return errors.New("page.token is not one that this search was given")
	}
	return nil
}

func (z *AuthZEN) find(ctx context.Context, q *query) (*searched, error) {
	if err := decidable(q.api, q.age); err != nil {
		return nil, err
	}
	if q.subjectType != "token" && !q.api.EvaluateIDs {
		return nil, errIDs
	}
	switch q.what {
	case "subject":
		return z.subjects(ctx, q)
	case "action":
		return z.actions(ctx, q)
	default:
		return z.resources(ctx, q)
	}
}

// allows reports whether an evaluation is answered with yes. Its error is our own
// trouble.
func (z *AuthZEN) allows(ctx context.Context, q *query, e *evaluation) (bool, error) {
	_, err := z.decide(ctx, q.api, e, q.age)
	if err == nil {
		return true, nil
	}
	if AsError(err).Status == http.StatusServiceUnavailable {
		return false, err
	}
	return false, nil
}

// subjects walks all clients or accounts in their order.
func (z *AuthZEN) subjects(ctx context.Context, q *query) (*searched, error) {
	out, until := &searched{Results: []found{}}, z.Decisions.Now().Add(searchTime)
	next := q.after
	for {
		ids, at, err := z.candidates(ctx, q, next)
		if err != nil {
			return nil, err
		}
		for i, id := range ids {
			e := q.evaluation
			e.subject = id
			allowed, err := z.allows(ctx, q, &e)
			if err != nil {
				return nil, err
			}
			next = at[i]
			if allowed {
				out.Results = append(out.Results, found{Type: q.subjectType, ID: id})
			}
			if len(out.Results) == q.limit || z.Decisions.Now().After(until) {
				out.Page.Next = q.seal(next)
				return out, nil
			}
		}
		if len(ids) < searchRead {
			return out, nil
		}
	}
}

// candidates returns the ids behind a cursor, and the cursor of each.
func (z *AuthZEN) candidates(ctx context.Context, q *query, after cursor) (ids []string, at []cursor, err error) {
	if q.subjectType == "client" {
		page := store.ClientQuery{Limit: searchRead, Sort: store.SortCreated}
		if after.ID != "" {
			page.After = &store.ClientCursor{Value: after.Value, ID: store.ClientID(after.ID)}
		}
		all, err := z.Candidates.Clients(ctx, page)
		if err != nil {
			return nil, nil, err
		}
		for _, c := range all {
			ids = append(ids, string(c.ID))
			at = append(at, cursor{Value: c.SortValue(store.SortCreated, 0), ID: string(c.ID)})
		}
		return ids, at, nil
	}
	page := store.AccountQuery{Limit: searchRead, After: after.ID}
	if q.subjectType == "user" {
		page.AccountKind = store.AccountUser
	}
	all, err := z.Candidates.Accounts(ctx, page)
	if err != nil {
		return nil, nil, err
	}
	for _, a := range all {
		ids = append(ids, string(a.ID))
		at = append(at, cursor{ID: a.Name})
	}
	return ids, at, nil
}

// usual are the methods that are tried beside those that the API's catalogue names
// (RFC 9110 section 9.3, RFC 5789).
var usual = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} //nolint:gochecknoglobals // a constant

// actions tries every method that the API knows, and the usual ones.
func (z *AuthZEN) actions(ctx context.Context, q *query) (*searched, error) {
	methods := slices.Clone(usual)
	for _, e := range slices.Concat(q.api.Endpoints, q.api.Public) {
		for m := range strings.FieldsSeq(e.Methods) {
			if m != "*" {
				methods = append(methods, m)
			}
		}
	}
	slices.Sort(methods)
	out := &searched{Results: []found{}}
	for _, method := range slices.Compact(methods) {
		if method <= q.after.ID {
			continue
		}
		e := q.evaluation
		e.method = method
		allowed, err := z.allows(ctx, q, &e)
		if err != nil {
			return nil, err
		}
		if !allowed {
			continue
		}
		if len(out.Results) == q.limit {
			out.Page.Next = q.seal(cursor{ID: out.Results[q.limit-1].Name})
			break
		}
		out.Results = append(out.Results, found{Name: method})
	}
	return out, nil
}

// resources are the endpoints of the API's catalogue that the subject may call in
// some way, by their patterns: /orders/{id} is one that some value of id opens. An
// endpoint without parameters is one that an evaluation allows.
func (z *AuthZEN) resources(ctx context.Context, q *query) (*searched, error) {
	h, api := z.Decisions, q.api
	out := &searched{Results: []found{}}
	var paths []string
	for _, e := range api.Public {
		if takes(strings.Fields(e.Methods), q.method) {
			paths = append(paths, e.Path)
		}
	}
	caller, err := z.caller(ctx, api, &q.evaluation)
	if err != nil && AsError(err).Status == http.StatusServiceUnavailable {
		return nil, err
	}
	// An address that is not said is one that a list refuses, as in an evaluation.
	if err == nil && !caller.Client.SCIMOnly && caller.Sender().MayCallFrom(q.address) {
		for _, ws := range z.decidedIn(caller, api) {
			paths = append(paths, h.opened(caller, api, ws, q.method)...)
		}
	}
	if q.host != "" && len(api.Hosts) > 0 && !isOneOf(api.Hosts, q.host) {
		return out, nil
	}
	slices.Sort(paths)
	for _, path := range slices.Compact(paths) {
		if path <= q.after.ID {
			continue
		}
		if !strings.ContainsAny(path, "{*") { // one path, of which an evaluation knows all, such as the body that it has
			e := q.evaluation
			e.path = path
			allowed, err := z.allows(ctx, q, &e)
			if err != nil {
				return nil, err
			}
			if !allowed {
				continue
			}
		}
		if len(out.Results) == q.limit {
			out.Page.Next = q.seal(cursor{ID: out.Results[q.limit-1].ID})
			break
		}
		out.Results = append(out.Results, found{Type: q.evaluation.api, ID: path})
	}
	return out, nil
}

func takes(methods []string, method string) bool {
	return slices.Contains(methods, "*") || slices.Contains(methods, method)
}

// decidedIn returns the workspaces that calls of a caller can be decided in, as
// workspace finds one of them for a call.
func (z *AuthZEN) decidedIn(caller *token.Caller, api *store.API) []*store.Workspace {
	var in []*store.Workspace
	switch _, param := strings.CutPrefix(api.WorkspaceFrom, "param:"); {
	case caller.Workspace != nil:
		in = []*store.Workspace{caller.Workspace}
	case param:
		in = slices.Clone(z.Workspaces())
	default:
		in = []*store.Workspace{z.Decisions.State.Workspace(api.Workspace)}
	}
	return slices.DeleteFunc(in, func(ws *store.Workspace) bool { return ws == nil || !ws.APIAccess || !api.OpenTo(ws.ID) })
}

// opened returns the patterns of the endpoints that a caller, and whoever acts for
// it, may call in a workspace by a method.
func (h *Handler) opened(caller *token.Caller, api *store.API, ws *store.Workspace, method string) []string {
	at := policy.Span{API: api.ID, Workspaces: []store.WorkspaceID{ws.ID}}
	if param, ok := strings.CutPrefix(api.WorkspaceFrom, "param:"); ok {
		at.Param, at.Values, at.Optional = param, []string{ws.Name, string(ws.ID)}, caller.Workspace != nil
	}
	var tags []string
	if share := api.ShareOf(ws.ID); share != nil && ws.ID != api.Workspace {
		tags = share.Tags
	}
	places := map[int]int{}
	callers := append([]*token.Caller{caller}, caller.Actors...)
	for _, c := range callers {
		if of := c.Client.Workspace; of != "" && of != ws.ID {
			return nil
		}
		for _, each := range h.Policy.Callable(c.Policy(), at) {
			if takes(each.Methods, method) {
				places[each.Place]++
			}
		}
	}
	var paths []string
	for place, times := range places {
		e := &api.Endpoints[place]
		if times == len(callers) && (len(tags) == 0 || slices.ContainsFunc(e.Tags, func(t string) bool { return slices.Contains(tags, t) })) {
			paths = append(paths, e.Path)
		}
	}
	return paths
}
