package server_test

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"postern/server"
	"postern/server/guard"
	"postern/server/keys"
	"postern/server/secret"
	"postern/server/token"
	"postern/store"
	"postern/store/mongo"
	"postern/store/mongo/mongotest"
)

// shared is the store of several nodes: the first to start closes it.
type shared struct{ store.Store }

func (shared) Close() error { return nil }

// twoNodes starts two nodes on one store.
func twoNodes(t testing.TB) (a, b *node) {
	t.Helper()
	var first server.Options
	a = start(t, func(o *server.Options) { first = *o })
	b = start(t, func(o *server.Options) {
		_ = o.Store.Close() // of its own, which it does not need
		o.Store, o.KEK = shared{first.Store}, first.KEK
	})
	b.Bootstrap = a.Bootstrap
	return a, b
}

// listed switches the status list of the example's API on.
func listed(t testing.TB, n *node) {
	t.Helper()
	patched(t, n, 200, "/apis/example", map[string]any{"status_list": true})
}

// patched changes a record as it is now.
func patched(t testing.TB, n *node, status int, path string, change map[string]any) {
	t.Helper()
	n.want(t, status, "PATCH", path, change, "If-Match", n.want(t, 200, "GET", path, nil).header.Get("ETag"))
}

// guarded is a handler behind a guard that follows the feed of a node, and asks
// nobody.
func guarded(t testing.TB, n *node, edit ...func(*guard.Options)) (*guard.Guard, http.Handler) {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	o := guard.Options{
		Issuer: issuer, Audience: n.API.Audience, JWKS: n.url + "/oauth2/jwks", HTTP: &http.Client{Transport: transport, Timeout: 10 * time.Second}, Now: n.clock.now,
		Feed: &guard.Feed{
			API: "example", ClientID: string(n.Gateway.Client.ID), ClientSecret: n.Gateway.Secret.Reveal(), URL: n.url + "/oauth2/revocations",
			Failed: func(err error) { t.Log("the feed:", err) },
		},
	}
	for _, e := range edit {
		e(&o)
	}
	g, err := guard.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeGuard(t, g) })
	return g, g.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
}

func closeGuard(t testing.TB, g *guard.Guard) {
	t.Helper()
	if err := g.Close(t.Context()); err != nil && t.Context().Err() == nil {
		t.Error(err)
	}
}

func awaitReady(t testing.TB, g *guard.Guard) {
	t.Helper()
	if err := g.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// passes is the status that a handler answers a token with.
func passes(h http.Handler, token string) int {
	r := httptest.NewRequest(http.MethodGet, "/orders/42", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return rec.Code
}

// await waits until a handler answers all tokens with a status, and returns how
// long that took.
func await(t testing.TB, h http.Handler, status int, tokens ...string) time.Duration {
	t.Helper()
	began := time.Now()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for time.Since(began) < 20*time.Second {
		if !slices.ContainsFunc(tokens, func(text string) bool { return passes(h, text) != status }) {
			return time.Since(began)
		}
		<-tick.C
	}
	t.Fatalf("after 20 s not all of %d tokens are answered %d", len(tokens), status)
	return 0
}

// crowd are clients with several secrets each, some in a workspace of their own, and
// the tokens that each secret got.
type crowd struct {
	clients []*store.Client
	secrets map[store.SecretID]as
	tokens  map[store.SecretID][]string
	other   string // id of the workspace that the last quarter is in
}

// gather makes a crowd of accounts with this many clients each, of two secrets, and
// gets tokens for each of them.
func gather(t testing.TB, n *node, accounts, clients, tokens int) *crowd {
	t.Helper()
	other, _ := n.want(t, 201, "POST", "/workspaces", map[string]any{"name": "other", "api_access": true}).json(t)["id"].(string)
	patched(t, n, 200, "/apis/example", map[string]any{"shared_with": []any{map[string]any{"workspace": "other"}}})
	role, _ := n.want(t, 201, "POST", "/roles", map[string]any{
		"workspace": "other", "name": "reader", "rules": []any{map[string]any{"api": "example", "methods": "GET", "path": "/orders/{order}", "scope": "orders:read"}},
	}).json(t)["id"].(string)
	grants, err := n.store.GrantsOf(t.Context(), store.HolderID(n.Example.Client.Account))
	if err != nil {
		t.Fatal(err)
	}
	c := &crowd{secrets: map[store.SecretID]as{}, tokens: map[store.SecretID][]string{}, other: other}
	var writes []store.Write
	for i := range accounts {
		account := *n.Example.Account
		account.ID, account.Name = store.NewAccountID(store.AccountService), fmt.Sprintf("crowd-%d", i)
		ws, roles := grants[0].Workspace, grants[0].Roles
		if i >= accounts*3/4 {
			ws, roles = store.WorkspaceID(other), []store.GrantedRole{{Role: store.RoleID(role)}}
		}
		holder := store.HolderID(account.ID)
		writes = append(writes, store.Insert(&account), store.Insert(&store.Grant{ID: store.NewGrantID(holder, ws), Holder: holder, Workspace: ws, Roles: roles}))
		for range clients {
			client := *n.Example.Client
			client.ID, client.ClientKey, client.Account, client.Workspace, client.Secrets = store.NewClientID(), "", account.ID, ws, nil
			for range 2 {
				text := secret.New(client.ID)
				s := store.ClientSecret{ID: store.NewSecretID(), Hash: text.Hash(), Generation: 1, CreatedAt: client.CreatedAt}
				client.Secrets = append(client.Secrets, s)
				c.secrets[s.ID] = as{string(client.ID), text.Reveal()}
			}
			writes = append(writes, store.Insert(&client))
			c.clients = append(c.clients, &client)
		}
	}
	n.commit(t, writes...)
	var g errgroup.Group
	g.SetLimit(8)
	type minted struct {
		of   store.SecretID
		text string
	}
	got := make(chan minted, len(c.secrets)*tokens)
	for id, who := range c.secrets {
		g.Go(func() error {
			for range tokens {
				got <- minted{id, n.issue(t, who, "resource=example")}
			}
			return nil
		})
	}
	_ = g.Wait()
	close(got)
	for m := range got {
		c.tokens[m.of] = append(c.tokens[m.of], m.text)
	}
	return c
}

// of returns the tokens of clients.
func (c *crowd) of(clients ...*store.Client) (list []string) {
	for _, client := range clients {
		for i := range client.Secrets {
			list = append(list, c.tokens[client.Secrets[i].ID]...)
		}
	}
	return list
}

// places are the indexes that a node's store has.
func places(t testing.TB, s store.Store) (list []*store.StatusIndex) {
	t.Helper()
	if err := s.All(t.Context(), func(r store.Record) error { list = append(list, r.(*store.StatusIndex)); return nil }, store.KindStatusIndex); err != nil {
		t.Fatal(err)
	}
	return list
}

// A gateway that verifies offline refuses each of a thousand tokens soon after it was
// revoked at another node, in whatever way, and nobody was ever asked about one.
func TestRevocationReachesWhoNeverAsks(t *testing.T) {
	a, b := twoNodes(t)
	t.Logf("the slowest was refused %s after its revoke", revokeAll(t, a, b))
}

// BenchmarkRevocation measures how long after a revoke at one node a gateway that
// follows another refuses the token: the slowest of a thousand.
func BenchmarkRevocation(b *testing.B) {
	run := func(b *testing.B, first, second *node) {
		b.Helper()
		for b.Loop() {
			b.ReportMetric(float64(revokeAll(b, first, second).Microseconds())/1000, "ms-slowest")
		}
	}
	b.Run("sqlite", func(b *testing.B) {
		first, second := twoNodes(b)
		run(b, first, second)
	})
	b.Run("mongodb", func(b *testing.B) {
		set, err := mongotest.Start(b.Context(), mongotest.Options{})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(set.Stop)
		var kek *keys.KEK
		open := func(o *server.Options) {
			_ = o.Store.Close()
			backend, err := mongo.Open(b.Context(), mongo.Options{URI: set.URI, Database: "postern"})
			if err != nil {
				b.Fatal(err)
			}
			if kek == nil {
				kek = o.KEK
			}
			o.Store, o.KEK = backend, kek
		}
		first := start(b, open)
		second := start(b, open)
		second.Bootstrap = first.Bootstrap
		run(b, first, second)
	})
}

// revokeAll mints a thousand tokens at a, has a gateway follow b, revokes them all at
// a and returns how long the slowest was good after its revoke.
func revokeAll(t testing.TB, a, b *node) (worst time.Duration) {
	t.Helper()
	listed(t, a)
	b.settle(t)
	const accounts, clients, each = 25, 4, 5
	c := gather(t, a, accounts, clients, each)
	g, h := guarded(t, b)
	awaitReady(t, g)
	all := c.of(c.clients...)
	if len(all) != 1000 {
		t.Fatalf("%d tokens, want 1000", len(all))
	}
	for _, text := range all {
		if status := passes(h, text); status != http.StatusOK {
			t.Fatalf("before any revoke a token is answered %d", status)
		}
	}
	if got := len(places(t, a.store)); got != accounts*clients*2 {
		t.Errorf("%d places for %d secrets", got, accounts*clients*2)
	}
	slowest := map[string]time.Duration{}
	revoke := func(what string, tokens []string, do func()) {
		t.Helper()
		do()
		took := await(t, h, http.StatusUnauthorized, tokens...)
		worst, slowest[what] = max(worst, took), max(slowest[what], took)
	}
	left := c.clients
	take := func(n int) []*store.Client { taken := left[:n]; left = left[n:]; return taken }
	for _, client := range take(20) {
		revoke("a client", c.of(client), func() { a.want(t, 200, "POST", "/clients/"+string(client.ID)+"/revoke", map[string]any{}) })
	}
	for _, client := range take(20) {
		for i := range client.Secrets {
			s := client.Secrets[i].ID
			revoke("a secret", c.tokens[s], func() { a.want(t, 200, "DELETE", fmt.Sprintf("/clients/%s/secrets/%s?force=true", client.ID, s), nil) })
		}
	}
	for client := range slices.Chunk(take(20), clients) {
		revoke("an account", c.of(client...), func() {
			account, err := a.store.Account(t.Context(), client[0].Account)
			if err != nil {
				t.Fatal(err)
			}
			next := *account
			next.Status, next.Generation = store.AccountDeactivated, account.Generation+1
			a.commit(t, store.Update(&next))
		})
	}
	for _, client := range take(12) {
		for i := range client.Secrets {
			who := c.secrets[client.Secrets[i].ID]
			for _, text := range c.tokens[client.Secrets[i].ID] {
				revoke("a single token", []string{text}, func() {
					if got := a.form(t, "/oauth2/revoke", who, "token="+text); got.status != 200 {
						t.Fatalf("revoke: %d %s", got.status, got.body)
					}
				})
			}
		}
	}
	revoke("a workspace", c.of(left...), func() { patched(t, a, 200, "/workspaces/other", map[string]any{"api_access": false}) })

	refused := 0
	for _, text := range all {
		if passes(h, text) == http.StatusUnauthorized {
			refused++
		}
	}
	if refused != len(all) {
		t.Errorf("%d of %d tokens are refused", refused, len(all))
	}
	for _, n := range []*node{a, b} {
		for _, active := range []string{"true", "false"} {
			if line := `postern_introspections_total{active="` + active + `"} 0`; !strings.Contains(n.getOps(t, "/metrics").body, line+"\n") {
				t.Errorf("the metrics have no line %s", line)
			}
		}
	}
	t.Logf("%d of %d tokens refused, introspections: 0; the slowest after a revoke of %v", refused, len(all), slowest)
	return worst
}

// A new secret and a new generation get a place of their own; what has one writes
// nothing more, and no place is given twice while a token of it can live.
func TestOnePlaceForASecretAndGeneration(t *testing.T) {
	a, b := twoNodes(t)
	listed(t, a)
	b.settle(t)
	var g errgroup.Group
	for range 20 { // of both nodes at once
		for _, n := range []*node{a, b} {
			g.Go(func() error { n.issue(t, by(a.Example)); return nil })
		}
	}
	_ = g.Wait()
	if got := places(t, a.store); len(got) != 1 {
		t.Fatalf("%d places after many requests of one secret at two nodes: %+v", len(got), got)
	}
	uri, first := placeOf(t, a.issue(t, by(a.Example)))
	if _, again := placeOf(t, b.issue(t, by(a.Example))); again != first || uri != issuer+"/oauth2/statuslists/1" {
		t.Errorf("places %d and %d in %s", first, again, uri)
	}
	id := "/clients/" + string(a.Example.Client.ID)
	a.want(t, 200, "POST", id+"/revoke", map[string]any{})
	a.want(t, 200, "POST", id+"/restore", map[string]any{})
	b.settle(t)
	_, second := placeOf(t, b.issue(t, by(a.Example)))
	if second == first {
		t.Error("tokens of before and after a revoke share a place")
	}
	if bits := statusBits(t, a, 1); !bits(first) || bits(second) {
		t.Errorf("the list says %t of the old place and %t of the new one", bits(first), bits(second))
	}
	if got := places(t, a.store); len(got) != 2 || got[0].Place == got[1].Place {
		t.Errorf("places: %+v", got)
	}
}

// placeOf reads a token's claim status.
func placeOf(t testing.TB, text string) (uri string, index int64) {
	t.Helper()
	i, err := token.Inspect(text)
	if err != nil {
		t.Fatal(err)
	}
	var claims struct {
		Status struct {
			List struct {
				Index *int64 `json:"idx"`
				URI   string `json:"uri"`
			} `json:"status_list"`
		} `json:"status"`
	}
	if err := json.Unmarshal(i.Claims, &claims); err != nil {
		t.Fatal(err)
	}
	if claims.Status.List.Index == nil {
		return "", -1
	}
	return claims.Status.List.URI, *claims.Status.List.Index
}

// payloadOf reads a JWS whose header must be of a type, and its kid.
func payloadOf(t testing.TB, text, typ string) (payload []byte, kid string) {
	t.Helper()
	parts := strings.Split(strings.TrimSpace(text), ".")
	if len(parts) != 3 {
		t.Fatalf("%q is no JWS", text)
	}
	var header struct{ Alg, Typ, Kid string }
	read := func(part string) []byte {
		raw, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	if err := json.Unmarshal(read(parts[0]), &header); err != nil || header.Typ != typ || header.Alg != "ES256" {
		t.Fatalf("the header is %+v, %v", header, err)
	}
	return read(parts[1]), header.Kid
}

// statusBits fetches a status list and decodes it as the draft says (section 4).
func statusBits(t testing.TB, n *node, list int) func(index int64) bool {
	t.Helper()
	got := n.getAs(t, fmt.Sprintf("/oauth2/statuslists/%d", list), as{})
	if got.status != 200 || got.header.Get("Content-Type") != "application/statuslist+jwt" || !strings.HasPrefix(got.header.Get("Cache-Control"), "public, max-age=") {
		t.Fatalf("status list: %d %v %s", got.status, got.header, got.body)
	}
	payload, kid := payloadOf(t, got.body, "statuslist+jwt")
	var p struct {
		Iss, Sub      string
		Iat, Exp, TTL int64
		List          struct {
			Bits int
			Lst  string
		} `json:"status_list"`
	}
	if err := json.Unmarshal(payload, &p); err != nil {
		t.Fatal(err)
	}
	if p.Sub != fmt.Sprintf("%s/oauth2/statuslists/%d", issuer, list) || p.Iss != issuer || p.List.Bits != 1 || p.TTL <= 0 || p.Exp <= p.Iat || !strings.HasPrefix(kid, "statement-") {
		t.Fatalf("the list says %s, by %s", payload, kid)
	}
	raw, err := base64.RawURLEncoding.DecodeString(p.List.Lst)
	if err != nil {
		t.Fatal(err)
	}
	z, err := zlib.NewReader(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	bits, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return func(index int64) bool { return bits[index/8]&(1<<(index%8)) != 0 }
}

// get asks the public listener.
func (n *node) getAs(t testing.TB, path string, who as, headers ...string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.url+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if who.id != "" {
		r.SetBasicAuth(url.QueryEscape(who.id), url.QueryEscape(who.secret))
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return do(t, r)
}

// told is what a long poll answers, with its messages read.
type told struct {
	cursor   string
	more     bool
	messages []map[string]any
}

func (n *node) poll(t testing.TB, who as, after string, wait int) told {
	t.Helper()
	got := n.getAs(t, fmt.Sprintf("/oauth2/revocations?api=example&wait=%d&after=%s", wait, url.QueryEscape(after)), who)
	if got.status != 200 {
		t.Fatalf("poll: %d %s", got.status, got.body)
	}
	var body struct {
		Messages []string
		Cursor   string
		More     bool
	}
	if err := json.Unmarshal([]byte(got.body), &body); err != nil {
		t.Fatal(err)
	}
	out := told{cursor: body.Cursor, more: body.More}
	for _, text := range body.Messages {
		payload, kid := payloadOf(t, text, "revocations+jwt")
		if !strings.HasPrefix(kid, "statement-") {
			t.Errorf("a message is signed by %s", kid)
		}
		var m map[string]any
		if err := json.Unmarshal(payload, &m); err != nil {
			t.Fatal(err)
		}
		out.messages = append(out.messages, m)
	}
	return out
}

// jtis are the tokens that messages tell of.
func (a told) jtis() (list []string) {
	for _, m := range a.messages {
		tokens, _ := m["tokens"].([]any)
		for _, each := range tokens {
			list = append(list, each.(map[string]any)["jti"].(string))
		}
	}
	return list
}

func jtiOf(t testing.TB, text string) string {
	t.Helper()
	i, err := token.Inspect(text)
	if err != nil {
		t.Fatal(err)
	}
	var claims struct{ Jti string }
	if err := json.Unmarshal(i.Claims, &claims); err != nil {
		t.Fatal(err)
	}
	return claims.Jti
}

// A long poll begins with all there is, goes on from its cursor, waits for what is to
// come, and begins anew where its cursor is worth nothing: at another node.
func TestRevocationsByLongPoll(t *testing.T) {
	a, b := twoNodes(t)
	gateway := by(a.Gateway)
	first, second := a.issue(t, by(a.Example)), a.issue(t, by(a.Example))
	revoke := func(text string) {
		if got := a.form(t, "/oauth2/revoke", by(a.Example), "token="+text); got.status != 200 {
			t.Fatalf("revoke: %d %s", got.status, got.body)
		}
	}
	revoke(first)
	all := a.poll(t, gateway, "", 25) // does not wait: there is something to say
	if got := all.jtis(); len(all.messages) != 1 || all.messages[0]["snapshot"] != true || !slices.Equal(got, []string{jtiOf(t, first)}) {
		t.Fatalf("the snapshot is %v", all)
	}
	if aud := all.messages[0]["aud"]; aud != gateway.id || all.messages[0]["sub"] != nil {
		t.Errorf("the message is for %v", aud)
	}
	nothing := a.poll(t, gateway, all.cursor, 0)
	if nothing.cursor != all.cursor || len(nothing.jtis()) != 0 || nothing.messages[0]["snapshot"] != nil || nothing.messages[0]["after"] != all.cursor {
		t.Errorf("with nothing new it says %v", nothing)
	}
	later := make(chan told, 1)
	go func() { later <- a.poll(t, gateway, all.cursor, 25) }()
	revoke(second)
	if next := <-later; !slices.Equal(next.jtis(), []string{jtiOf(t, second)}) || next.messages[0]["after"] != all.cursor {
		t.Errorf("after the cursor it says %v", next)
	}
	b.settle(t)
	elsewhere := b.poll(t, gateway, all.cursor, 25)
	if got := elsewhere.jtis(); elsewhere.messages[0]["snapshot"] != true || len(got) != 2 {
		t.Errorf("at another node the cursor gives %v", elsewhere)
	}
	for _, cursor := range []string{"x", ".", "x.1", all.cursor + "0000", all.cursor[:len(all.cursor)-1] + "-1", strings.Repeat("9", 40)} {
		if got := a.poll(t, gateway, cursor, 25); got.messages[0]["snapshot"] != true {
			t.Errorf("the cursor %q gives %v", cursor, got)
		}
	}
}

// Only an API's introspectors are told, and of its tokens alone.
func TestRevocationsAreForTheAPIsGateways(t *testing.T) {
	n := start(t)
	n.want(t, 201, "POST", "/apis", map[string]any{"name": "second", "workspace": "default", "audience": "https://second.example"})
	foreign := n.issue(t, by(n.Admin)) // for Postern's own API
	if got := n.form(t, "/oauth2/revoke", by(n.Admin), "token="+foreign); got.status != 200 {
		t.Fatalf("revoke: %d %s", got.status, got.body)
	}
	own := n.issue(t, by(n.Example))
	if got := n.form(t, "/oauth2/revoke", by(n.Example), "token="+own); got.status != 200 {
		t.Fatalf("revoke: %d %s", got.status, got.body)
	}
	if got := n.poll(t, by(n.Gateway), "", 0).jtis(); !slices.Equal(got, []string{jtiOf(t, own)}) {
		t.Errorf("the gateway is told of %v; want its API's token alone", got)
	}
	// Of a token whose audience was not kept everyone is told.
	n.commit(t, store.Insert(&store.Revocation{ID: "before", Client: n.Admin.Client.ID, ExpiresAt: store.At(time.Now().Add(time.Hour))}))
	if got := n.poll(t, by(n.Gateway), "", 0).jtis(); !slices.Contains(got, "before") {
		t.Errorf("the gateway is told of %v; want the one whose audience nobody knows, too", got)
	}
	for name, tt := range map[string]struct {
		query, accept string
		who           as
		status        int
		error         string
	}{
		"another client":         {"api=example", "", by(n.Example), 403, "access_denied"},
		"the administrator":      {"api=example", "", by(n.Admin), 403, "access_denied"},
		"another API":            {"api=second", "", by(n.Gateway), 403, "access_denied"},
		"an API that is not":     {"api=none", "", by(n.Gateway), 403, "access_denied"},
		"a stream of another":    {"api=second", "text/event-stream", by(n.Gateway), 403, "access_denied"},
		"nobody":                 {"api=example", "", as{}, 401, "invalid_client"},
		"a wrong secret":         {"api=example", "", as{by(n.Gateway).id, "wrong"}, 401, "invalid_client"},
		"no API":                 {"", "", by(n.Gateway), 400, "invalid_request"},
		"too long a wait":        {"api=example&wait=26", "", by(n.Gateway), 400, "invalid_request"},
		"a wait before the past": {"api=example&wait=-1", "", by(n.Gateway), 400, "invalid_request"},
		"a secret in the query":  {"api=example&client_id=x&client_secret=y", "", as{}, 400, "invalid_request"},
		"a parameter twice":      {"api=example&api=second", "", by(n.Gateway), 400, "invalid_request"},
	} {
		if got := n.getAs(t, "/oauth2/revocations?"+tt.query, tt.who, "Accept", tt.accept); got.status != tt.status || got.error() != tt.error || strings.Contains(got.body, jtiOf(t, own)) {
			t.Errorf("%s: %d %s; want %d %s", name, got.status, got.body, tt.status, tt.error)
		}
	}
}

// What the statement key signed is no access token, and what signs access tokens
// signs no status.
func TestStatementsAreNoAccessTokens(t *testing.T) {
	n := start(t)
	listed(t, n)
	good := n.issue(t, by(n.Example))
	list := n.getAs(t, "/oauth2/statuslists/1", as{}).body
	message := func() string {
		var body struct{ Messages []string }
		_ = json.Unmarshal([]byte(n.getAs(t, "/oauth2/revocations?api=example", by(n.Gateway)).body), &body)
		return body.Messages[0]
	}()
	goodParts, listParts := strings.Split(good, "."), strings.Split(list, ".")
	for name, text := range map[string]string{
		"a status list": list, "a message of the feed": message,
		"an access token's claims behind a list's header": listParts[0] + "." + goodParts[1] + "." + listParts[2],
	} {
		if n.active(t, text) || n.decided(t, text, "GET", "/orders/42") != http.StatusUnauthorized {
			t.Errorf("%s passes for an access token", name)
		}
	}
	// Signed as an access token is, but by the statement key.
	var record *store.Key
	if err := n.store.All(t.Context(), func(r store.Record) error {
		if k := r.(*store.Key); k.Use == store.UseStatement {
			record = k
		}
		return nil
	}, store.KindKey); err != nil || record == nil {
		t.Fatalf("the statement key: %v", err)
	}
	header := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"alg":"ES256","kid":"%s","typ":"at+jwt"}`, keys.KID(record)))
	if text := header + "." + goodParts[1] + "." + goodParts[2]; n.active(t, text) {
		t.Error("an access token under the statement key's name is good")
	}
	if !n.active(t, good) {
		t.Error("the access token itself is not good")
	}
	got := n.getAs(t, "/oauth2/statuslists", as{}).json(t)
	if lists, _ := got["status_lists"].([]any); len(lists) != 1 || lists[0] != issuer+"/oauth2/statuslists/1" {
		t.Errorf("the lists are %v", got)
	}
	about := n.getAs(t, "/.well-known/oauth-authorization-server", as{}).json(t)
	if about["status_list_aggregation_endpoint"] != issuer+"/oauth2/statuslists" || about["postern_revocations_endpoint"] != issuer+"/oauth2/revocations" {
		t.Errorf("the metadata is %v", about)
	}
	if got := n.getAs(t, "/oauth2/statuslists/1?time=1700000000", as{}); got.status != http.StatusNotImplemented {
		t.Errorf("a list of the past: %d", got.status)
	}
	for _, path := range []string{"0", "2", "-1", "01", "x", "99999999999999999999"} {
		if got := n.getAs(t, "/oauth2/statuslists/"+path, as{}); got.status != http.StatusNotFound {
			t.Errorf("status list %s: %d", path, got.status)
		}
	}
}

// Without the switch a token says nothing of a status, and with it tokens for several
// APIs are to agree.
func TestStatusIsForAPIsThatWantIt(t *testing.T) {
	n := start(t)
	if uri, _ := placeOf(t, n.issue(t, by(n.Example))); uri != "" || len(places(t, n.store)) != 0 {
		t.Errorf("without the switch the token's status is at %q", uri)
	}
	patched(t, n, http.StatusUnprocessableEntity, "/apis/example", map[string]any{"status_list": true, "format": "opaque"})
	listed(t, n)
	uri, index := placeOf(t, n.issue(t, by(n.Example)))
	if uri == "" {
		t.Error("with the switch the token has no status")
	}
	// What a gateway gets in the place of a secret is an access token as any other.
	client, err := n.store.Client(t.Context(), n.Example.Client.ID)
	if err != nil {
		t.Fatal(err)
	}
	bearer := *client
	bearer.Bearer = true
	n.commit(t, store.Update(&bearer))
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.decide+"/decide/nginx/example", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+n.Example.Secret.Reveal())
	r.Header.Set("X-Original-Method", "GET")
	r.Header.Set("X-Original-URI", "/orders/42")
	got := do(t, r)
	if exchanged, at := placeOf(t, got.header.Get("X-Auth-Token")); exchanged != uri || at != index {
		t.Errorf("the status of an exchanged token is at %s %d, of others at %s %d", exchanged, at, uri, index)
	}
	// Tokens for several APIs need them to agree.
	n.want(t, 201, "POST", "/apis", map[string]any{"name": "second", "workspace": "default", "audience": "https://second.example"})
	if got := n.form(t, "/oauth2/token", by(n.Admin), wantToken, "resource=example", "resource=second"); got.error() != "invalid_target" {
		t.Errorf("a token for an API with the switch and one without: %d %s", got.status, got.body)
	}
}

// stream opens a stream at an address, for the example's gateway.
func stream(t testing.TB, n *node, base, after string) io.ReadCloser {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/oauth2/revocations?api=example", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth(url.QueryEscape(by(n.Gateway).id), url.QueryEscape(by(n.Gateway).secret))
	r.Header.Set("Accept", "text/event-stream")
	r.Header.Set("Last-Event-ID", after)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close(); http.DefaultClient.CloseIdleConnections() })
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" || res.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("stream: %d %v", res.StatusCode, res.Header)
	}
	return res.Body
}

// event reads one event of a stream: its id and payload.
func event(t testing.TB, r *bufio.Reader) (id string, payload map[string]any) {
	t.Helper()
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch {
		case name == "id":
			id = value
		case name == "data":
			text, _ := payloadOf(t, value, "revocations+jwt")
			if err := json.Unmarshal(text, &payload); err != nil {
				t.Fatal(err)
			}
		case line == "\n":
			return id, payload
		}
	}
}

// A stream begins with all there is or goes on from its cursor, says something when
// there is nothing, and outlives the deadlines that other answers have.
func TestRevocationsByStream(t *testing.T) {
	n := start(t)
	token := n.issue(t, by(n.Example))
	impatient := httptest.NewUnstartedServer(n.server.PublicHandler())
	impatient.Config.ReadTimeout, impatient.Config.WriteTimeout = 300*time.Millisecond, 300*time.Millisecond
	impatient.Start()
	t.Cleanup(impatient.Close)
	first := bufio.NewReader(stream(t, n, impatient.URL, ""))
	id, all := event(t, first)
	if all["snapshot"] != true || id == "" || id != all["cursor"] {
		t.Fatalf("the first event is %s %v", id, all)
	}
	for range 4 { // for two seconds
		next, nothing := event(t, first)
		if next != id || nothing["after"] != id || nothing["snapshot"] != nil {
			t.Errorf("with nothing new it says %s %v", next, nothing)
		}
	}
	if got := n.form(t, "/oauth2/revoke", by(n.Example), "token="+token); got.status != 200 {
		t.Fatalf("revoke: %d %s", got.status, got.body)
	}
	for {
		_, m := event(t, first)
		if m["tokens"] != nil {
			break
		}
	}
	// Whoever comes again hears what it missed, and not all of it.
	_, missed := event(t, bufio.NewReader(stream(t, n, n.url, id)))
	if tokens, _ := missed["tokens"].([]any); missed["after"] != id || missed["snapshot"] != nil || len(tokens) != 1 {
		t.Errorf("after the cursor it says %v", missed)
	}
}

// A stream ends at once when the server stops, when its client is revoked, and when
// the node loses touch with its store; nobody waits for it.
func TestAStreamEndsWithWhatItStandsOn(t *testing.T) {
	lost := &outage{}
	n := start(t, func(o *server.Options) {
		lost.Store = o.Store
		o.Store, o.MaxStaleness = lost, time.Second
	})
	revoked := stream(t, n, n.url, "")
	n.want(t, 200, "POST", "/clients/"+string(n.Gateway.Client.ID)+"/revoke", map[string]any{})
	if text, err := io.ReadAll(revoked); err != nil || !strings.HasPrefix(string(text), "id: ") {
		t.Errorf("the revoked client's stream: %v %q", err, text)
	}
	n.want(t, 200, "POST", "/clients/"+string(n.Gateway.Client.ID)+"/restore", map[string]any{})
	stale := stream(t, n, n.url, "")
	listed(t, n)
	n.issue(t, by(n.Example))
	lost.down.Store(true)
	if text, err := io.ReadAll(stale); err != nil || !strings.HasPrefix(string(text), "id: ") {
		t.Errorf("the stream of a node that lost touch: %v %q", err, text)
	}
	for _, path := range []string{"/oauth2/revocations?api=example", "/oauth2/statuslists", "/oauth2/statuslists/1"} {
		if got := n.getAs(t, path, by(n.Gateway)); got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
			t.Errorf("%s of a node that lost touch: %d %s", path, got.status, got.body)
		}
	}
	lost.down.Store(false)
	for n.getAs(t, "/oauth2/statuslists/1", as{}).status != 200 { // until its heartbeat comes back
		n.server.PublicAddr()
	}
	last, cursor := stream(t, n, n.url, ""), n.poll(t, by(n.Gateway), "", 0).cursor
	entered, waited := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(waited)
		r := httptest.NewRequest(http.MethodGet, "/oauth2/revocations?api=example&wait=25&after="+cursor, nil)
		r.SetBasicAuth(url.QueryEscape(by(n.Gateway).id), url.QueryEscape(by(n.Gateway).secret))
		close(entered)
		n.server.PublicHandler().ServeHTTP(httptest.NewRecorder(), r)
	}()
	<-entered
	n.stop() // fails the test if it takes longer than ShutdownTimeout
	if _, err := io.ReadAll(last); err != nil {
		t.Errorf("the stream was cut off: %v", err)
	}
	<-waited
}
