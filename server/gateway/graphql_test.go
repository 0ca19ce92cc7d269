package gateway_test

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"

	"postern/server/gateway"
	"postern/server/gateway/gatewaytest"
	"postern/server/token"
	"postern/store"
)

// graphqlBody is a request's body in JSON.
func graphqlBody(document string, more ...string) string {
	members := map[string]json.RawMessage{"query": quoted(document)}
	for i := 0; i+1 < len(more); i += 2 {
		members[more[i]] = json.RawMessage(more[i+1])
	}
	text, _ := json.Marshal(members)
	return string(text)
}

func quoted(s string) json.RawMessage {
	text, _ := json.Marshal(s)
	return text
}

// many is a selection of n fields.
func many(n int) string { return "{" + strings.Repeat(" a", n) + " }" }

func TestDC6OperationsOfADocument(t *testing.T) {
	const named = `query A { devices { id } } mutation B { reset(id: 1) { ok } } subscription C { events { at } }`
	tests := []struct {
		name string
		body string
		want []string // nil is a refusal
	}{
		{"the short form", graphqlBody(`{ devices { id } }`), []string{"query devices"}},
		{"a name", graphqlBody(`query All { devices { id } }`), []string{"query devices"}},
		{"a mutation", graphqlBody(`mutation { reset(id: 1) { ok } }`), []string{"mutation reset"}},
		{"a subscription", graphqlBody(`subscription { events { at } }`), []string{"subscription events"}},
		{"several fields", graphqlBody(`{ devices { id } users { id } }`), []string{"query devices", "query users"}},
		{"an alias is resolved", graphqlBody(`{ devices: users { id } }`), []string{"query users"}},
		{"the same field twice", graphqlBody(`{ a: users { id } b: users { id } }`), []string{"query users"}},
		{"a fragment", graphqlBody(`{ ...F } fragment F on Query { users { id } ...G } fragment G on Query { devices { id } }`), []string{"query users", "query devices"}},
		{"a fragment in the line", graphqlBody(`{ ... on Query { users { id } } ... @include(if: $x) { devices { id } } }`), []string{"query users", "query devices"}},
		{"a fragment that nobody uses", graphqlBody(`{ users { id } } fragment F on Query { devices { id } }`), []string{"query users"}},
		{"what a directive may skip counts", graphqlBody(`{ users @skip(if: true) { id } devices { id } }`), []string{"query users", "query devices"}},
		{"introspection is a field like any other", graphqlBody(`{ __schema { types { name } } __type(name: "X") { name } __typename }`), []string{"query __schema", "query __type", "query __typename"}},
		{"the name chooses", graphqlBody(named, "operationName", `"B"`), []string{"mutation reset"}},
		{"with variables and extensions", graphqlBody(`query A($x: Int) { users(id: $x) { id } }`, "variables", `{"x":1,"y":{"z":[1,2]}}`, "extensions", `{"clientLibrary":{"name":"x"}}`), []string{"query users"}},
		{"with nothing in them", graphqlBody(`{ users { id } }`, "variables", `null`, "extensions", `null`, "operationName", `null`), []string{"query users"}},
		{"an empty name is none", graphqlBody(`query A { users { id } }`, "operationName", `""`), []string{"query users"}},
		{"a document in a string", graphqlBody(`{ users(note: "} mutation { reset }") { id } }`), []string{"query users"}},
		{"a document in a comment", graphqlBody("# mutation { reset }\n{ users { id } }"), []string{"query users"}},
		{"a block string", graphqlBody(`{ users(note: """a "quoted" \""" word""") { id } }`), []string{"query users"}},
		{"32 fields", graphqlBody(many(32)), []string{"query a"}},
		{"white space around", " \r\n" + graphqlBody(`{ users { id } }`) + "\n ", []string{"query users"}},
		{"an escaped name of a member", `{"quer\u0079":"{ users }"}`, []string{"query users"}},

		{"33 fields", graphqlBody(many(33)), nil},
		{"33 fields by a fragment", graphqlBody(`{ ` + strings.Repeat("...F ", 33) + `} fragment F on Query { a }`), nil},
		{"a fragment that doubles", graphqlBody(`{ ...A } fragment A on Q { ...B ...B } fragment B on Q { ...C ...C } fragment C on Q { ...D ...D } fragment D on Q { ...E ...E } fragment E on Q { ...F ...F } fragment F on Q { a b }`), nil},
		{"no name for several", graphqlBody(named), nil},
		{"a name that is not there", graphqlBody(named, "operationName", `"D"`), nil},
		{"a name that the only one has not", graphqlBody(`query A { users { id } }`, "operationName", `"B"`), nil},
		{"a name that the only one lacks", graphqlBody(`{ users { id } }`, "operationName", `"B"`), nil},
		{"a name in another case", graphqlBody(named, "operationName", `"b"`), nil},
		{"two of one name", graphqlBody(`query A { users { id } } mutation A { reset { ok } }`, "operationName", `"A"`), nil},
		{"one without a name among others", graphqlBody(`{ users { id } } mutation B { reset { ok } }`, "operationName", `"B"`), nil},
		{"a cycle", graphqlBody(`{ ...F } fragment F on Query { ...G } fragment G on Query { ...F }`), nil},
		{"a fragment in itself", graphqlBody(`{ users { id } ...F } fragment F on Query { ...F }`), nil},
		{"a fragment that is missing", graphqlBody(`{ users { id } ...F }`), nil},
		{"two fragments of one name", graphqlBody(`{ ...F } fragment F on Query { users { id } } fragment F on Query { devices { id } }`), nil},
		{"only fragments", graphqlBody(`fragment F on Query { users { id } }`), nil},
		{"nothing", graphqlBody(``), nil},
		{"a schema", graphqlBody(`type Query { users: Int } { users }`), nil},
		{"an open brace", graphqlBody(`{ users { id }`), nil},
		{"an empty selection", graphqlBody(`{ }`), nil},
		{"a deep one", graphqlBody(strings.Repeat("{a", 2000) + strings.Repeat("}", 2000)), nil},
		{"many tokens", graphqlBody(`{ users(x: [` + strings.Repeat("1 ", 9000) + `]) { id } }`), nil},
		{"a long name", graphqlBody(`{ ` + strings.Repeat("a", 129) + ` }`), nil},
		// What this lexer parts in another way than the specification says.
		{"four quotes", graphqlBody(`{ users(x: ["""a""""]) } #"]) reset }`), nil},
		{"six quotes in a block", graphqlBody(`{ users(x: ["""a"""""" ]) } # """]) reset }`), nil},
		{"a separator of lines", graphqlBody("{ users #\u2028 reset\n }"), nil},
		{"a separator of paragraphs", graphqlBody("{ users #\u2029 reset\n }"), nil},
		{"a control character", graphqlBody("{ users #\v reset\n }"), nil},

		{"a batch", `[{"query":"{ users { id } }"}]`, nil},
		{"a batch of none", `[]`, nil},
		{"a persisted id", `{"id":"abc"}`, nil},
		{"a persisted id beside a document", `{"query":"{ users { id } }","id":"abc"}`, nil},
		{"a persisted hash", `{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"00"}}}`, nil},
		{"a persisted hash beside a document", graphqlBody(`{ users { id } }`, "extensions", `{"persistedQuery":{"version":1}}`), nil},
		{"one in another case", graphqlBody(`{ users { id } }`, "extensions", `{"PersistedQuery":{"version":1}}`), nil},
		{"no document", `{"query":null}`, nil},
		{"a document that is no text", `{"query":{"a":1}}`, nil},
		{"a member twice", `{"query":"{ users }","query":"mutation { reset }"}`, nil},
		{"a member twice, once escaped", `{"query":"{ users }","quer\u0079":"mutation { reset }"}`, nil},
		{"a member in another case", `{"query":"{ users }","Query":"mutation { reset }"}`, nil},
		{"an extension twice", `{"query":"{ users }","extensions":{"a":1,"a":2}}`, nil},
		{"a name that is no text", graphqlBody(`{ users }`, "operationName", `7`), nil},
		{"variables that are a text", graphqlBody(`{ users }`, "variables", `"{}"`), nil},
		{"extensions that are a list", graphqlBody(`{ users }`, "extensions", `[]`), nil},
		{"something behind", graphqlBody(`{ users }`) + `{}`, nil},
		{"a zero byte behind", graphqlBody(`{ users }`) + "\x00", nil},
		{"a byte order mark", "\ufeff" + graphqlBody(`{ users }`), nil},
		{"bytes that are no UTF-8", `{"query":"{ users } #` + "\xff" + `"}`, nil},
		{"a part", graphqlBody(`{ users }`)[:12], nil},
		{"an empty body", "", nil},
		{"null", "null", nil},
		{"a text", `"{ users }"`, nil},
		{"a form", "query=%7B+users+%7D", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := gateway.Operations("application/json", []byte(tt.body))
			if !slices.Equal(got, tt.want) || (err == nil) != (tt.want != nil) {
				t.Errorf("got %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

func TestContentTypesOfGraphQL(t *testing.T) {
	body := []byte(graphqlBody(`{ users }`))
	for kind, want := range map[string]bool{
		"application/json": true, "Application/JSON; charset=utf-8": true, `application/json;charset="UTF-8"`: true,
		"application/json; charset=utf-16": false, "text/json": false, "text/plain": false, "": false, "application/json, text/plain": false,
		"application/x-www-form-urlencoded": false, "multipart/form-data; boundary=x": false, "application/graphql": false, "application/json;;": false,
	} {
		if got, err := gateway.Operations(kind, body); (err == nil) != want {
			t.Errorf("%q: got %q, %v; want it read: %t", kind, got, err, want)
		}
	}
	got, err := gateway.Operations("application/graphql", []byte("{ users }"))
	if want := []string{"query users"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("a bare document: got %q, %v; want %q", got, err, want)
	}
}

// graphqlShop adds a GraphQL endpoint to the shop, of which a clerk may query
// devices and sites, and everything but secrets where the scope says so.
func graphqlShop(t testing.TB) *gatewaytest.World {
	t.Helper()
	w := gatewaytest.New(t)
	gatewaytest.Change(t, w, string(gatewaytest.Shop), func(a *store.API) {
		a.Endpoints = append(slices.Clone(a.Endpoints), store.Endpoint{Methods: "POST", Path: "/graphql", GraphQL: true, Tags: []string{"graphql"}})
	})
	gatewaytest.Change(t, w, string(gatewaytest.Clerk), func(r *store.Role) {
		r.Rules = append(slices.Clone(r.Rules),
			store.Rule{Number: 7, API: "shop", Methods: "POST", Path: "/graphql", Operation: "query devices"},
			store.Rule{Number: 8, API: "shop", Methods: "POST", Path: "/graphql", Operation: "query sites"},
			store.Rule{Number: 9, API: "shop", Methods: "GET POST", Path: "/graphql", Scope: "all"},
			store.Rule{Number: 10, API: "shop", Methods: "*", Path: "/graphql", Operation: "* secrets", Deny: true},
		)
	})
	return w
}

// post is a question about a GraphQL call with a body.
func post(w *gatewaytest.World, binding, bearer, body string) question {
	q := ask(w, binding, "POST", "/graphql", bearer).with("Content-Type", "application/json")
	q.Body, q.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	return q
}

func TestDC6RulesNameOperations(t *testing.T) {
	w := graphqlShop(t)
	plain := w.Token(t, gatewaytest.Machine)
	all := w.Token(t, gatewaytest.Machine, func(c *token.Claims) { c.Scope = "all" })
	tests := []struct {
		name     string
		token    string
		document string
		want     int
	}{
		{"an allowed field", plain, `{ devices { id } }`, 200},
		{"two allowed fields", plain, `{ devices { id } sites { id } }`, 200},
		{"one of two", plain, `{ devices { id } users { id } }`, 403},
		{"the other of two", plain, `{ users { id } devices { id } }`, 403},
		{"another type", plain, `mutation { devices { id } }`, 403},
		{"an alias", plain, `{ devices: users { id } }`, 403},
		{"what kind of thing it is", plain, `{ __typename devices { id } }`, 403},
		{"a rule without an operation is for all", all, `mutation { anything { id } }`, 200},
		{"less what is denied", all, `mutation { anything { id } secrets { id } }`, 403},
		{"in a fragment", all, `{ ...F } fragment F on Query { s: secrets { id } }`, 403},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			post(w, "forward", tt.token, graphqlBody(tt.document)).gives(t, tt.want)
		})
	}
	// The same token opens the rest of the API as before.
	ask(w, "forward", "GET", "/orders/1", plain).gives(t, 200)
	ask(w, "nginx", "GET", "/orders/1", plain).gives(t, 200)
}

// Whatever rules there are, even one for all operations: what cannot be decided
// field by field is refused.
func TestDC6WhatIsNotWholeAndPlainIsRefused(t *testing.T) {
	w := graphqlShop(t)
	all := w.Token(t, gatewaytest.Machine, func(c *token.Claims) { c.Scope = "all" })
	body := graphqlBody(`{ devices { id } }`)
	full := func() question { return post(w, "forward", all, body) }
	full().gives(t, 200)
	full().with("X-Envoy-Auth-Partial-Body", "false").gives(t, 200)

	padded := body + strings.Repeat(" ", 64<<10-len(body))
	post(w, "forward", all, padded).gives(t, 200)
	post(w, "forward", all, padded+" ").gives(t, 403)
	unknown := post(w, "forward", all, padded+" ")
	unknown.ContentLength = -1
	unknown.gives(t, 403)
	chunked := full()
	chunked.ContentLength = -1
	chunked.gives(t, 200)
	short := full()
	short.ContentLength++
	short.gives(t, 403)
	broken := full()
	broken.Body = io.NopCloser(io.MultiReader(strings.NewReader(body), failing{}))
	broken.gives(t, 403)
	bare := full()
	bare.Body, bare.ContentLength = http.NoBody, 0
	bare.gives(t, 403)

	full().with("X-Envoy-Auth-Partial-Body", "true").gives(t, 403)
	full().with("X-Envoy-Auth-Partial-Body", "false", "true").gives(t, 403)
	full().with("Content-Encoding", "gzip").gives(t, 403)
	full().with("Content-Type", "application/json", "application/json").gives(t, 403)
	full().without("Content-Type").gives(t, 403)
	full().with("X-Forwarded-Uri", "/graphql?query=mutation{reset}").gives(t, 403)
	full().with("X-Forwarded-Uri", "/graphql?").gives(t, 403)
	full().with("X-Forwarded-Uri", "/graphql/").gives(t, 200)
	full().with("X-Forwarded-Method", "GET").gives(t, 403)
	post(w, "nginx", all, body).gives(t, 403) // nobody knows whose body it is
	post(w, "ingress-nginx", all, body).gives(t, 403)
	post(w, "haproxy", all, body).gives(t, 200)
	post(w, "envoy", all, body).gives(t, 200)
	post(w, "envoy", all, body).with("X-Envoy-Auth-Partial-Body", "true").gives(t, 403)
	post(w, "forward", all, "["+body+"]").gives(t, 403)
	post(w, "forward", "", body).gives(t, 401)
	post(w, "forward", all+"x", body).gives(t, 401)
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// Each root field is one request, and is counted as one: by its rule.
func TestDC6UsageCountsRootFields(t *testing.T) {
	w := graphqlShop(t)
	tok := w.Token(t, gatewaytest.Machine)
	post(w, "forward", tok, graphqlBody(`{ a: devices { id } sites { id } b: devices { id } }`)).gives(t, 200)
	post(w, "forward", tok, graphqlBody(`{ devices { id } users { id } secrets { id } }`)).gives(t, 403)
	post(w, "forward", tok, `no GraphQL`).gives(t, 403)
	rows, uses := w.Used(t)
	got := map[string]int64{}
	for _, r := range rows {
		got[string(r.Outcome)+" "+r.Rule] += r.Count
	}
	want := map[string]int64{"allowed acme/clerk#7": 1, "allowed acme/clerk#8": 1, "denied ": 2}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("counted (-want +got):\n%s", diff)
	}
	for _, u := range uses {
		if u.SuccessEndpoint != "POST /graphql query sites" || !strings.HasPrefix(u.RefusalEndpoint, "POST /graphql") {
			t.Errorf("last use: got %q and %q", u.SuccessEndpoint, u.RefusalEndpoint)
		}
	}
}

// naive finds the root fields of a request as the specification collects them
// (section 6.3.2), over a document that is parsed already and says what it says.
func naive(body string) (fields map[string]bool, ok bool) {
	var r struct {
		Query         string
		OperationName string
	}
	if json.Unmarshal([]byte(body), &r) != nil {
		return nil, false
	}
	doc, err := parser.ParseQuery(&ast.Source{Input: r.Query})
	if err != nil {
		return nil, false
	}
	op := doc.Operations.ForName(r.OperationName)
	if op == nil {
		return nil, false
	}
	fields = map[string]bool{}
	visited := map[string]bool{}
	todo := []ast.SelectionSet{op.SelectionSet}
	for len(todo) > 0 {
		set := todo[0]
		todo = todo[1:]
		for _, s := range set {
			switch s := s.(type) {
			case *ast.Field:
				fields[string(op.Operation)+" "+s.Name] = true
			case *ast.InlineFragment:
				todo = append(todo, s.SelectionSet)
			case *ast.FragmentSpread:
				if f := doc.Fragments.ForName(s.Name); f != nil && !visited[s.Name] {
					visited[s.Name] = true
					todo = append(todo, f.SelectionSet)
				}
			}
		}
	}
	return fields, true
}

// FuzzGraphQL holds the reading of calls to these laws: what is read is what a
// reader finds who collects fields in another way; and a call is allowed if, and
// only if, it is read and each of its fields is.
func FuzzGraphQL(f *testing.F) {
	w := graphqlShop(f)
	tok := w.Token(f, gatewaytest.Machine)
	for _, seed := range []string{
		graphqlBody(`{ devices { id } }`),
		graphqlBody(`query A { devices } mutation B { ...F } fragment F on M { x: sites ... { secrets } }`, "operationName", `"A"`),
		graphqlBody(`{ ...F ...F } fragment F on Query { sites(a: """b""" c: "\u0022") }`, "variables", `{}`, "extensions", `{"a":1}`),
		`[{"query":"{ devices }"}]`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		operations, err := gateway.Operations("application/json", []byte(body))
		allowed := err == nil
		if err == nil {
			fields, ok := naive(body)
			if !ok || len(fields) != len(operations) || len(fields) == 0 {
				t.Fatalf("%q: got %q, want %v", body, operations, fields)
			}
			for _, op := range operations {
				if !fields[op] {
					t.Errorf("%q: got %q, want %v", body, operations, fields)
				}
				allowed = allowed && (op == "query devices" || op == "query sites")
			}
		}
		want := http.StatusForbidden
		if allowed && len(body) <= 64<<10 {
			want = http.StatusOK
		}
		if got := post(w, "forward", tok, body).answer().Code; got != want {
			t.Errorf("%q: got %d, want %d", body, got, want)
		}
	})
}
