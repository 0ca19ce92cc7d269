package gateway

import (
	"context"
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

// Pages makes the tokens of next pages, which nobody else reads or makes, each good
// for one question on all nodes for a day.
type Pages interface {
	SealCursor(question, after any) (string, error)
	OpenCursor(cursor string, question, after any) error
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
		Next  string `json:"next_token"` // empty where nothing is left to be tried
		Count int    `json:"count"`
	} `json:"page"`
}

// searches are what is searched for, by the last part of the path: the member of a
// question that is left open.
var searches = map[string]string{"subject": "subject.id", "resource": "resource.id", "action": "action.name"} //nolint:gochecknoglobals // a constant

// search answers which subjects, resources or actions a question is answered with
// yes for: each result is one that an evaluation of it would allow. It is no use of
// a secret or token, and makes none.
func (z *AuthZEN) search(w http.ResponseWriter, r *http.Request, what string) {
	asking, age, err := z.admit(w, r)
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
	answerJSON(w, http.StatusOK, out)
}

// query is a search, and what of its answer there is.
type query struct {
	evaluation

	api   *store.API
	age   time.Duration
	limit int
	asked asked
	after cursor

	until time.Time
	tried int
	found []found
	more  *cursor // nil where all were tried
}

// asked is what a page's token is bound to: who asks for what.
type asked struct {
	What    string
	Asking  store.ClientID
	Members map[string]json.RawMessage
}

// cursor is where the next page goes on.
type cursor struct {
	// Value is by what clients are sorted, or the workspace that was tried last for
	// a resource; empty where all were.
	Value string `json:"v,omitempty"`
	ID    string `json:"i"` // of the last candidate that was looked at
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
	q := &query{evaluation: readEvaluation(members, searches[what]), limit: searchPage, found: []found{}}
	if q.wrong != "" {
		return nil, errors.New(q.wrong)
	}
	if what == "subject" && q.subjectType == "token" {
		return nil, errors.New("subject.type must be client, account or user: nobody lists tokens")
	}
	q.searched = true
	q.asked = asked{what, asking.ID, map[string]json.RawMessage{}}
	for _, name := range []string{"subject", "action", "resource", "context"} {
		if text, there := members[name]; there {
			q.asked.Members[name] = text
		}
	}
	return q, z.readPage(q, members["page"])
}

func (z *AuthZEN) readPage(q *query, from json.RawMessage) error {
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
	if text != "" && z.Pages.OpenCursor(text, q.asked, &q.after) != nil {
		return errors.New("page.token is not one that this search was given, or older than a day; start from the first page")
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
	q.until = z.Decisions.Now().Add(searchTime)
	var err error
	switch q.asked.What {
	case "subject":
		err = z.subjects(ctx, q)
	case "action":
		err = z.actions(ctx, q)
	default:
		err = z.resources(ctx, q)
	}
	if err != nil {
		return nil, err
	}
	out := &searched{Results: q.found}
	out.Page.Count = len(q.found)
	if q.more != nil {
		if out.Page.Next, err = z.Pages.SealCursor(q.asked, *q.more); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// ends reports whether a page ends before the next candidate, after the one that the
// cursor is of: it has all that it may have, or its time is over. Every page looks at
// one at least, so that there is a last one.
func (z *AuthZEN) ends(q *query, last cursor) bool {
	if len(q.found) == q.limit || q.tried > 0 && z.Decisions.Now().After(q.until) {
		q.more = &last
		return true
	}
	q.tried++
	return false
}

// allows reports whether an evaluation is answered with yes. Its error is our own
// trouble.
func (z *AuthZEN) allows(ctx context.Context, q *query, e *evaluation, who func() (*token.Caller, error)) (bool, error) {
	_, err := z.decide(ctx, q.api, e, q.age, who)
	if err == nil {
		return true, nil
	}
	if AsError(err).Status == http.StatusServiceUnavailable {
		return false, err
	}
	return false, nil
}

// subjects walks all clients or accounts in their order.
func (z *AuthZEN) subjects(ctx context.Context, q *query) error {
	last := q.after
	for {
		ids, at, err := z.candidates(ctx, q, last)
		if err != nil {
			return err
		}
		for i, id := range ids {
			if z.ends(q, last) {
				return nil
			}
			e := q.evaluation
			e.subject = id
			allowed, err := z.allows(ctx, q, &e, func() (*token.Caller, error) { return z.caller(ctx, q.api, &e) })
			if err != nil {
				return err
			}
			if allowed {
				q.found = append(q.found, found{Type: q.subjectType, ID: id})
			}
			last = at[i]
		}
		if len(ids) < searchRead {
			return nil
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

// usual are the methods that are tried beside those that catalogue and rules name
// (RFC 9110 section 9.3, RFC 5789).
var usual = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} //nolint:gochecknoglobals // a constant

// subject is who a search for actions or resources is about.
type subject struct {
	caller  *token.Caller // nil, with err, where nobody is
	err     error
	callers []*policy.Caller // it and those that act for it, as the policy knows them
}

func (s *subject) who() (*token.Caller, error) { return s.caller, s.err }

// subject finds out who a search is about. Its error is our own trouble: nobody at
// all may still do what is public.
func (z *AuthZEN) subject(ctx context.Context, q *query) (*subject, error) {
	s := &subject{}
	if s.caller, s.err = z.caller(ctx, q.api, &q.evaluation); s.err != nil {
		if AsError(s.err).Status == http.StatusServiceUnavailable {
			return nil, s.err
		}
		return s, nil
	}
	for _, c := range append([]*token.Caller{s.caller}, s.caller.Actors...) {
		s.callers = append(s.callers, c.Policy())
	}
	return s, nil
}

// actions tries every method that the API or a rule names, and the usual ones.
func (z *AuthZEN) actions(ctx context.Context, q *query) error {
	of, err := z.subject(ctx, q)
	if err != nil {
		return err
	}
	methods := slices.Concat(usual, z.Decisions.Policy.Methods(of.callers, q.api.Name))
	for _, e := range slices.Concat(q.api.Endpoints, q.api.Public) {
		for m := range strings.FieldsSeq(e.Methods) {
			if m != "*" {
				methods = append(methods, m)
			}
		}
	}
	slices.Sort(methods)
	last := q.after
	for _, method := range slices.Compact(methods) {
		if method <= q.after.ID {
			continue
		}
		if z.ends(q, last) {
			return nil
		}
		e := q.evaluation
		e.method = method
		allowed, err := z.allows(ctx, q, &e, of.who)
		if err != nil {
			return err
		}
		if allowed {
			q.found = append(q.found, found{Name: method})
		}
		last = cursor{ID: method}
	}
	return nil
}
