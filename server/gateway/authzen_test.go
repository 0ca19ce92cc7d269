package gateway_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"postern/server/gateway"
	"postern/server/gateway/gatewaytest"
	"postern/server/token"
	"postern/store"
)

// evaluator asks a World as the shop's gateway, unless it is told another
// credential.
type evaluator struct {
	*gatewaytest.World

	door *gateway.AuthZEN
	as   string
}

func newEvaluator(w *gatewaytest.World) *evaluator {
	return &evaluator{w, &gateway.AuthZEN{
		Decisions: w.Handler, APIs: w.APIs, Issuer: gatewaytest.Issuer,
		Address: func(*http.Request) netip.Addr { return netip.MustParseAddr("192.0.2.1") },
	}, w.Basic(gatewaytest.Gateway)}
}

func (e *evaluator) post(path, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	if e.as != "" {
		r.Header.Set("Authorization", e.as)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	e.door.ServeHTTP(rec, r)
	return rec
}

// verdict is an answer.
type verdict struct {
	Decision bool
	Context  struct {
		Status                                          int
		Reason                                          string
		Subject, Client, Workspace, Roles, Scope, Token string
		Error                                           struct {
			Status  int
			Message string
		}
	}
}

func decoded[T any](t *testing.T, rec *httptest.ResponseRecorder) (out T) {
	t.Helper()
	if rec.Code != http.StatusOK || rec.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("status %d, %s: %s", rec.Code, rec.Header().Get("Content-Type"), rec.Body)
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// about is a question of the shop.
func about(kind, id, method, path, more string) string {
	return `{"subject":{"type":` + strconv.Quote(kind) + `,"id":` + strconv.Quote(id) + `},"action":{"name":` + strconv.Quote(method) +
		`},"resource":{"type":"shop","id":` + strconv.Quote(path) + `}` + more + `}`
}

func TestAuthZENDecidesAsABindingDoes(t *testing.T) {
	w := gatewaytest.New(t)
	e := newEvaluator(w)
	tok := w.Token(t, gatewaytest.Machine)
	for _, tt := range []struct {
		name, method, path, token string
		status                    int // what a binding answers
	}{
		{"allowed", "GET", "/files/open", tok, 200},
		{"with a query", "GET", "/files/open?a=1", tok, 200},
		{"denied", "GET", "/files/secret", tok, 403},
		{"another method", "POST", "/files/open", tok, 403},
		{"a method of its own", "BREW", "/any", tok, 200},
		{"small letters", "get", "/files/open", tok, 403},
		{"no path", "GET", "files/open", tok, 403},
		{"an odd path", "GET", "/files/../files/open", tok, 403},
		{"a bad token", "GET", "/files/open", tok + "x", 401},
		{"a secret", "GET", "/files/open", w.Secret(gatewaytest.Bearer), 200},
		{"a secret that is no bearer", "GET", "/files/open", w.Secret(gatewaytest.Machine), 401},
		{"another audience", "GET", "/files/open", w.Token(t, gatewaytest.Machine, func(c *token.Claims) { c.Audience = []string{"https://other.example"} }), 401},
		{"public", "GET", "/health", "x", 200},
	} {
		got := decoded[verdict](t, e.post("/access/v1/evaluation", about("token", tt.token, tt.method, tt.path, "")))
		if got.Decision != (tt.status == 200) || !got.Decision && (got.Context.Status != tt.status || got.Context.Reason == "") {
			t.Errorf("%s: got %+v, want %d", tt.name, got, tt.status)
		}
		if bound := ask(w, "nginx", tt.method, tt.path, tt.token).answer(); bound.Code != tt.status {
			t.Errorf("%s: a binding answers %d, want %d", tt.name, bound.Code, tt.status)
		}
	}
	got := decoded[verdict](t, e.post("/access/v1/evaluation", about("token", tok, "GET", "/files/open", ""))).Context
	if got.Subject != string(gatewaytest.Account) || got.Client != string(gatewaytest.Machine) || got.Workspace != "wspacme" || got.Roles != "acme/clerk" || got.Scope != "orders:write" || got.Token != "" {
		t.Errorf("the identity of a token: %+v", got)
	}
	got = decoded[verdict](t, e.post("/access/v1/evaluation", about("token", w.Secret(gatewaytest.Bearer), "GET", "/files/open", ""))).Context
	if strings.Count(got.Token, ".") != 2 {
		t.Errorf("a secret was exchanged for %q", got.Token)
	}
	// G01
	for _, spelling := range gatewaytest.Spellings() {
		for _, last := range []string{"open", "secret"} {
			target := strings.ReplaceAll(spelling, "X", last)
			if decoded[verdict](t, e.post("/access/v1/evaluation", about("token", tok, "GET", target, ""))).Decision {
				t.Errorf("%q is allowed", target)
			}
		}
	}
	// It is counted as the call that it is.
	if _, uses := w.Used(t); len(uses) == 0 {
		t.Error("nothing was counted")
	}
}

func TestAuthZENFindsTheAPI(t *testing.T) {
	w := gatewaytest.New(t)
	e := newEvaluator(w)
	tok := w.Token(t, gatewaytest.Machine)
	route := func(host string) verdict {
		body := `{"subject":{"type":"token","id":"` + tok + `"},"action":{"name":"GET"},"resource":{"type":"route","id":"/files/open","properties":{"hostname":"` + host + `"}}}`
		return decoded[verdict](t, e.post("/access/v1/evaluation", body))
	}
	if route("shop.example").Decision {
		t.Error("an API without hosts was found by one")
	}
	gatewaytest.Change(t, w, string(gatewaytest.Shop), func(a *store.API) { a.Hosts = []string{"shop.example"} })
	if !route("shop.example").Decision || !route("SHOP.example:8443").Decision || route("other.example").Decision || route("shop.example/").Decision {
		t.Error("an API is not found by its host")
	}
	if !decoded[verdict](t, e.post("/access/v1/evaluation", about("token", tok, "GET", "/files/open", ""))).Decision {
		t.Error("an API with hosts is not found by its name")
	}
	// Two APIs of one host are none.
	w.Set(t, &store.API{ID: "apitwin", Name: "twin", Workspace: gatewaytest.Acme, Audience: "https://shop.example", Hosts: []string{"shop.example"}, Introspectors: []store.ClientID{gatewaytest.Gateway}})
	if route("shop.example").Decision {
		t.Error("one of two APIs was chosen")
	}
	// Of an API that it does not introspect for a gateway learns no more than of none.
	e.as = w.Basic(gatewaytest.Stranger)
	foreign := e.post("/access/v1/evaluation", about("token", tok, "GET", "/files/open", "")).Body.String()
	none := e.post("/access/v1/evaluation", strings.Replace(about("token", tok, "GET", "/files/open", ""), `"shop"`, `"nothing"`, 1)).Body.String()
	if foreign != none || strings.Contains(foreign, "true") {
		t.Errorf("of a foreign API it learns %s, of none %s", foreign, none)
	}
}

func TestAuthZENAsksAboutIDs(t *testing.T) {
	w := gatewaytest.New(t)
	e := newEvaluator(w)
	ask := func(kind, id, path, more string) verdict {
		return decoded[verdict](t, e.post("/access/v1/evaluation", about(kind, id, "GET", path, more)))
	}
	if got := ask("client", string(gatewaytest.Machine), "/files/open", ""); got.Decision || !strings.Contains(got.Context.Reason, "evaluate_ids") {
		t.Errorf("without the right: %+v", got)
	}
	gatewaytest.Change(t, w, string(gatewaytest.Shop), func(a *store.API) { a.EvaluateIDs = true })
	w.Set(t, &store.Account{ID: "usrann", Name: "ann", AccountKind: store.AccountUser, Status: store.AccountActive, Generation: 1},
		&store.Grant{ID: store.NewGrantID("usrann", gatewaytest.Globex), Holder: "usrann", Workspace: gatewaytest.Globex, Roles: []store.GrantedRole{{Role: gatewaytest.Buyer}}})
	gatewaytest.Change(t, w, string(gatewaytest.Shop), func(a *store.API) { a.SharedWith = []store.Share{{Workspace: gatewaytest.Globex}} })
	for _, tt := range []struct {
		name, kind, id, path, more string
		want                       bool
	}{
		{"a client", "client", string(gatewaytest.Machine), "/files/open", "", true},
		{"a client, denied", "client", string(gatewaytest.Machine), "/files/secret", "", false},
		{"a client in another workspace", "client", string(gatewaytest.Machine), "/files/open", `,"context":{"workspace":"globex"}`, false},
		{"a client of all workspaces", "client", string(gatewaytest.Roaming), "/files/secret", `,"context":{"workspace":"globex"}`, true},
		{"and in the API's own", "client", string(gatewaytest.Roaming), "/files/secret", "", false},
		{"an account", "account", string(gatewaytest.Account), "/files/open", "", true},
		{"an account elsewhere", "account", string(gatewaytest.Account), "/files/secret", `,"context":{"workspace":"wspglobex"}`, true},
		{"a person", "user", "usrann", "/files/secret", `,"context":{"workspace":"globex"}`, true},
		{"a person where it has nothing", "user", "usrann", "/files/open", `,"context":{"workspace":"acme"}`, false},
		{"a technical user is no person", "user", string(gatewaytest.Account), "/files/open", "", false},
		{"nobody", "account", "usrnobody", "/files/open", "", false},
		{"no client", "client", "cliffffffffffffffffffffffff", "/files/open", "", false},
		{"an account is no client", "client", string(gatewaytest.Account), "/files/open", "", false},
		{"no workspace", "account", string(gatewaytest.Account), "/files/open", `,"context":{"workspace":"nowhere"}`, false},
	} {
		if got := ask(tt.kind, tt.id, tt.path, tt.more); got.Decision != tt.want {
			t.Errorf("%s: %+v, want %t", tt.name, got, tt.want)
		}
	}
	if rows, uses := w.Used(t); len(rows)+len(uses) > 0 {
		t.Errorf("questions were counted as calls: %v %v", rows, uses)
	}
	gatewaytest.Change(t, w, string(gatewaytest.Machine), func(c *store.Client) { c.Status = store.ClientRevoked })
	gatewaytest.Change(t, w, "usrann", func(a *store.Account) { a.Status = store.AccountDeactivated })
	if ask("client", string(gatewaytest.Machine), "/files/open", "").Decision || ask("user", "usrann", "/files/secret", `,"context":{"workspace":"globex"}`).Decision {
		t.Error("a revoked client or a deactivated person may call")
	}
}

func TestAuthZENSemantics(t *testing.T) {
	w := gatewaytest.New(t)
	e := newEvaluator(w)
	tok := w.Token(t, gatewaytest.Machine)
	yes, no := `{"resource":{"type":"shop","id":"/files/open"}}`, `{"resource":{"type":"shop","id":"/files/secret"}}`
	ask := func(options string, each ...string) []bool {
		t.Helper()
		body := `{"subject":{"type":"token","id":"` + tok + `"},"action":{"name":"GET"},"evaluations":[` + strings.Join(each, ",") + `]` + options + `}`
		var got []bool
		for _, v := range decoded[struct{ Evaluations []verdict }](t, e.post("/access/v1/evaluations", body)).Evaluations {
			got = append(got, v.Decision)
		}
		return got
	}
	for _, tt := range []struct {
		semantic string
		each     []string
		want     []bool
	}{
		{"", []string{yes, no, yes}, []bool{true, false, true}},
		{"execute_all", []string{no, yes}, []bool{false, true}},
		{"deny_on_first_deny", []string{yes, no, yes}, []bool{true, false}},
		{"deny_on_first_deny", []string{yes, yes}, []bool{true, true}},
		{"permit_on_first_permit", []string{no, yes, no}, []bool{false, true}},
		{"permit_on_first_permit", []string{no, no}, []bool{false, false}},
		// One that is no question is a refusal.
		{"deny_on_first_deny", []string{yes, `{"resource":{"type":"shop"}}`, yes}, []bool{true, false}},
		{"", []string{`[]`, yes}, []bool{false, true}},
		{"", []string{`{"action":{"name":"DELETE"},"resource":{"type":"shop","id":"/files/open"}}`, yes}, []bool{false, true}},
	} {
		options := ""
		if tt.semantic != "" {
			options = `,"options":{"evaluations_semantic":"` + tt.semantic + `"}`
		}
		if got := ask(options, tt.each...); !slices.Equal(got, tt.want) {
			t.Errorf("%s of %d: got %v, want %v", tt.semantic, len(tt.each), got, tt.want)
		}
	}
	// Without evaluations it is one (section 7.1).
	if !decoded[verdict](t, e.post("/access/v1/evaluations", about("token", tok, "GET", "/files/open", ""))).Decision {
		t.Error("a request without evaluations is not answered as one evaluation")
	}
}

func TestAuthZENRefusesWhatIsNoQuestion(t *testing.T) {
	w := gatewaytest.New(t)
	e := newEvaluator(w)
	tok := w.Token(t, gatewaytest.Machine)
	good := about("token", tok, "GET", "/files/open", "")
	for name, body := range map[string]string{
		"nothing": "", "no object": "[]", "text": "a", "two": good + good, "a member twice": `{"subject":1,` + good[1:],
		"no subject": strings.Replace(good, `"subject"`, `"Subject"`, 1), "no resource": strings.Replace(good, `"resource"`, `"x"`, 1), "no action": strings.Replace(good, `"action"`, `"x"`, 1),
		"an unknown subject": about("robot", "x", "GET", "/", ""), "a number": strings.Replace(good, `"GET"`, `1`, 1), "an empty id": about("token", "", "GET", "/", ""),
		"no address":      strings.Replace(good, `"id":"/files/open"`, `"id":"/files/open","properties":{"ip":"x"}`, 1),
		"a route nowhere": strings.Replace(good, `"shop"`, `"route"`, 1), "not UTF-8": strings.Replace(good, "/files", "/\xff", 1),
		"too large": good + strings.Repeat(" ", 1<<20),
	} {
		rec := e.post("/access/v1/evaluation", body)
		if rec.Code != http.StatusBadRequest || strings.Contains(rec.Body.String(), tok) {
			t.Errorf("%s: status %d: %s", name, rec.Code, rec.Body)
		}
	}
	for name, body := range map[string]string{
		"no array":          `{"evaluations":1}`,
		"an odd semantic":   `{"evaluations":[` + good + `],"options":{"evaluations_semantic":"any"}}`,
		"too many":          `{"evaluations":[` + strings.Repeat("{},", 1000) + `{}]}`,
		"options no object": `{"evaluations":[` + good + `],"options":[]}`,
	} {
		if rec := e.post("/access/v1/evaluations", body); rec.Code != http.StatusBadRequest {
			t.Errorf("%s: status %d: %s", name, rec.Code, rec.Body)
		}
	}
	if rec := e.post("/access/v1/evaluation", good, "Content-Type", "text/plain"); rec.Code != http.StatusBadRequest {
		t.Errorf("another content type: status %d", rec.Code)
	}
	if rec := e.post("/access/v1/evaluation", good, "X-Request-ID", "abc-1"); rec.Header().Get("X-Request-Id") != "abc-1" {
		t.Errorf("the request id came back as %q", rec.Header().Get("X-Request-Id"))
	}
}

func TestAuthZENNeedsAGatewaysCredential(t *testing.T) {
	w := gatewaytest.New(t)
	e := newEvaluator(w)
	question := about("token", w.Token(t, gatewaytest.Machine), "GET", "/files/open", "")
	wait := time.Duration(0)
	e.door.Failed = func(netip.Addr) time.Duration { return wait }
	for name, credential := range map[string]string{"none": "", "a token": "Bearer x", "a wrong secret": w.Basic(gatewaytest.Gateway)[:30], "nobody": "Basic eDp5"} {
		e.as = credential
		rec := e.post("/access/v1/evaluation", question)
		if rec.Code != http.StatusUnauthorized || !strings.HasPrefix(rec.Header().Get("WWW-Authenticate"), "Basic ") {
			t.Errorf("%s: status %d, %q", name, rec.Code, rec.Header().Get("WWW-Authenticate"))
		}
	}
	wait = 3 * time.Second
	if rec := e.post("/access/v1/evaluation", question); rec.Code != http.StatusTooManyRequests || rec.Header().Get("Retry-After") != "4" {
		t.Errorf("after too many failures: status %d, Retry-After %q", rec.Code, rec.Header().Get("Retry-After"))
	}
	// A good one is never refused for the failures of others.
	e.as = w.Basic(gatewaytest.Gateway)
	decoded[verdict](t, e.post("/access/v1/evaluation", question))
	// Our own trouble is no decision.
	w.SetAge(2 * time.Minute)
	if rec := e.post("/access/v1/evaluation", question); rec.Code != http.StatusServiceUnavailable {
		t.Errorf("from an old state: status %d", rec.Code)
	}
	w.SetAge(0)
	w.Break(http.ErrServerClosed)
	if rec := e.post("/access/v1/evaluation", question); rec.Code != http.StatusServiceUnavailable || strings.Contains(rec.Body.String(), "closed") {
		t.Errorf("in an outage: status %d: %s", rec.Code, rec.Body)
	}
}

// DC6: a body in the context is decided as one that a gateway passes.
func TestDC6AuthZENDecidesBodies(t *testing.T) {
	w := graphqlShop(t)
	e := newEvaluator(w)
	tok := w.Token(t, gatewaytest.Machine)
	for body, want := range map[string]bool{
		graphqlBody(`{ devices { id } }`): true, graphqlBody(`{ users { id } }`): false, "": false, "[]": false,
	} {
		got := decoded[verdict](t, e.post("/access/v1/evaluation", about("token", tok, "POST", "/graphql", `,"context":{"body":`+strconv.Quote(body)+`}`)))
		if got.Decision != want {
			t.Errorf("%q: %+v", body, got)
		}
	}
	if decoded[verdict](t, e.post("/access/v1/evaluation", about("token", tok, "POST", "/graphql", ""))).Decision {
		t.Error("a call without its body was allowed")
	}
}
