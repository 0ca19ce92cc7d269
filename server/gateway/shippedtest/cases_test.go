package shippedtest_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"postern/docs/guidetest"
	"postern/policy"
	"postern/server/gateway/gatewaytest"
	"postern/server/token"
	"postern/store"
)

// matrix is what every gateway has to stand, in the order in which it does.
var matrix = []struct {
	name string
	test func(t *testing.T, s *site, g gatewayKind)
}{
	{"allowed, denied, no token, bad token (G00)", testAnswers},
	{"42 spellings of an allowed path (G01, G12)", func(t *testing.T, s *site, _ gatewayKind) { testSpellings(t, s, "open") }},
	{"42 spellings of a denied path (G01, G12)", func(t *testing.T, s *site, _ gatewayKind) { testSpellings(t, s, "secret") }},
	{"other methods, and override headers (G02)", testMethods},
	{"forged headers of the question (G03)", testForgedQuestion},
	{"two `Authorization`, a token elsewhere (G04)", testTwoTokens},
	{"forged identity, in every spelling of a name", testForgedIdentity},
	{"the gateway's credential stays with it (G06)", testCredential},
	{"a secret as bearer: the upstream gets a JWT", testSecret},
	{"the client's address, and a forged one", testAddress},
	{"bodies of GraphQL (DC6)", testGraphQL},
	{"a token bound to a key: DPoP, with its nonce (D01, D11)", testDPoP},
	{"revoked, then sent again (G05)", testRevoked},
	{"Postern in trouble: 503", testTrouble},
	{"a decision that never comes", testHung},
	{"Postern is gone", testGone},
}

// DC6, G12: what was decided is what is served, whatever the gateway.
func TestG12EveryGatewayHolds(t *testing.T) {
	t.Parallel()
	t.Run("gateways", func(t *testing.T) {
		for _, g := range kinds {
			t.Run(g.name, func(t *testing.T) {
				t.Parallel()
				g.holds(t)
			})
		}
	})
	if !t.Failed() {
		guidetest.Table(t, guide, "## What was shown", results.table(), *update)
	}
}

// holds runs all cases with a gateway.
func (g *gatewayKind) holds(t *testing.T) {
	t.Helper()
	s := start(t, *g)
	for _, c := range matrix {
		t.Run(c.name, func(t *testing.T) {
			s.remark = "yes"
			c.test(t, s, *g)
			results.add(g.name, c.name, s.remark)
		})
	}
}

func bearer(text string) string { return "Authorization: Bearer " + text }

func testAnswers(t *testing.T, s *site, _ gatewayKind) {
	tok := s.Token(t, gatewaytest.Machine)
	got := s.passed(t, "allowed", s.send(t, "GET", "/files/open?a=1&b=%2F", bearer(tok)))
	if got.RequestURI != "/files/open?a=1&b=%2F" || got.Host != "shop.example" || got.Header.Get("Authorization") != "Bearer "+tok {
		t.Errorf("the upstream got %s at %s, Authorization %d bytes", got.RequestURI, got.Host, len(got.Header.Get("Authorization")))
	}
	s.passed(t, "bearer in small letters", s.send(t, "GET", "/files/open", "authorization: bearer "+tok))
	s.refused(t, "denied", s.send(t, "GET", "/files/secret", bearer(tok)), 403)
	s.refused(t, "unknown", s.send(t, "GET", "/elsewhere", bearer(tok)), 403)
	s.refused(t, "no token", s.send(t, "GET", "/files/open"), 401)
	s.refused(t, "bad token", s.send(t, "GET", "/files/open", bearer(tok+"x")), 401)
	s.refused(t, "another audience", s.send(t, "GET", "/files/open", bearer(s.Token(t, gatewaytest.Machine, func(c *token.Claims) {
		c.Audience = []string{"https://other.example"}
	}))), 401)
	got = s.passed(t, "public", s.send(t, "GET", "/health", bearer(tok)))
	if got.Header.Get("X-Auth-Subject") != "anonymous" || got.Header.Get("Authorization") != "" {
		t.Errorf("of a public call the upstream got the subject %q and Authorization %q", got.Header.Get("X-Auth-Subject"), got.Header.Get("Authorization"))
	}
	body := "a=1"
	got = s.passed(t, "a body", s.sendBody(t, "POST", "/orders", body, bearer(tok), "Content-Type: application/x-www-form-urlencoded", "Content-Length: 3"))
	if got.body != body || got.Method != http.MethodPost {
		t.Errorf("the upstream got %s with %q", got.Method, got.body)
	}
}

// testSpellings sends what servers read differently. A gateway may refuse it, or
// spell it anew before it asks; what reaches the upstream must be what the policy
// allows, however that reads it.
func testSpellings(t *testing.T, s *site, last string) {
	tok := s.Token(t, gatewaytest.Machine)
	anew := 0
	for _, spelling := range gatewaytest.Spellings() {
		target := strings.ReplaceAll(spelling, "X", last)
		status := s.send(t, "GET", target, bearer(tok))
		for _, got := range s.take() {
			path, err := policy.Canonical(got.RequestURI, policy.Relaxed{})
			if u, parseErr := url.Parse(got.RequestURI); err != nil && parseErr == nil && u.IsAbs() {
				path, err = policy.Canonical(u.RequestURI(), policy.Relaxed{}) // it asked for its path
			}
			if err != nil || path != "/files" && !strings.HasPrefix(path, "/files/") || strings.HasPrefix(strings.ToLower(path)+"/", "/files/secret/") {
				t.Errorf("%q reached the upstream as %q", target, got.RequestURI)
			}
			if got.RequestURI != target {
				anew++
				t.Logf("%q reached the upstream as %q", target, got.RequestURI)
			}
			if status != http.StatusOK {
				t.Errorf("%q: status %d, and it reached the upstream", target, status)
			}
			status = http.StatusForbidden
		}
		if status != 0 && (status < 300 || status >= 500) {
			t.Errorf("%q: status %d", target, status)
		}
	}
	if anew > 0 {
		s.remark = fmt.Sprintf("yes; %d spelled anew", anew)
	}
	if last == "secret" {
		for _, target := range []string{"/files/secret", "/files/%73ecret", "/files/secret/", "/files/secret?/files/open", "/_postern", "/orders/../_postern"} {
			s.refused(t, target, s.send(t, "GET", target, bearer(tok)), 403, 404, 400)
		}
		return
	}
	for _, target := range []string{"/files/open", "/files/open/", "/files/%6fpen", "/files/open?to=/../secret", "/files/SECRET"} {
		if got := s.passed(t, target, s.send(t, "GET", target, bearer(tok))); got.RequestURI != target && got.RequestURI != strings.ReplaceAll(target, "%6f", "o") {
			t.Errorf("%q reached the upstream as %q", target, got.RequestURI)
		}
	}
}

func testMethods(t *testing.T, s *site, g gatewayKind) {
	tok := s.Token(t, gatewaytest.Machine)
	for _, method := range []string{"HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW", "get", "Get"} {
		s.refused(t, method, s.send(t, method, "/files/open", bearer(tok), "Content-Length: 0"), 403, 405, 400, 501, 0)
	}
	for _, name := range []string{"X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method", "X-Forwarded-Method", "X-Original-Method"} {
		s.refused(t, name, s.send(t, "POST", "/files/open", bearer(tok), name+": GET", "Content-Length: 0"), 403)
		got := s.passed(t, name, s.send(t, "GET", "/files/open", bearer(tok), name+": POST"))
		if got.Method != http.MethodGet {
			t.Errorf("%s made it %s", name, got.Method)
		}
	}
	if g.standard {
		s.remark = "yes; others than standard ones: 400"
		s.refused(t, "another method", s.send(t, "BREW", "/any", bearer(tok), "Content-Length: 0"), 400)
		return
	}
	got := s.passed(t, "another method", s.send(t, "BREW", "/any", bearer(tok), "Content-Length: 0"))
	if got.Method != "BREW" {
		t.Errorf("the upstream got %s", got.Method)
	}
}

func testForgedQuestion(t *testing.T, s *site, _ gatewayKind) {
	tok := s.Token(t, gatewaytest.Machine)
	for _, name := range []string{
		"X-Original-URI", "X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Uri", "X-Forwarded-Path", "X-Forwarded-Prefix", "X-Envoy-Original-Path",
		"x-original-uri", "X-Envoy-Auth-Partial-Body", "X-Postern-Gateway",
	} {
		forged := name + ": /files/open"
		s.refused(t, name, s.send(t, "GET", "/files/secret", bearer(tok), forged), 403, 401)
		s.refused(t, name+" twice", s.send(t, "GET", "/files/secret", bearer(tok), forged, forged), 403, 401)
		s.refused(t, name+" without a token", s.send(t, "GET", "/files/open", forged), 401)
		s.passed(t, name, s.send(t, "GET", "/files/open", bearer(tok), name+": /files/secret"))
	}
	for _, forged := range []string{"X-Forwarded-Host: localhost", "Forwarded: host=localhost;for=127.0.0.1", "User-Agent: kube-probe/1.30", "X-Forwarded-Proto: https", "Connection: Authorization"} {
		s.refused(t, forged, s.send(t, "GET", "/files/secret", bearer(tok), forged), 403, 401)
		s.refused(t, forged, s.send(t, "GET", "/files/open", forged), 401)
	}
	// What a client takes away hop by hop is what it does not get.
	for _, name := range []string{"X-Original-URI", "X-Original-Method", "X-Postern-Gateway", "X-Forwarded-Uri", "X-Real-IP", "X-Auth-Client"} {
		status := s.send(t, "GET", "/files/secret", bearer(tok), "Connection: close, "+name)
		s.refused(t, "Connection: "+name, status, 403, 401, 400, 500)
		status = s.send(t, "GET", "/files/open", bearer(tok), "Connection: close, "+name)
		for _, got := range s.take() {
			if got.Header.Get("X-Auth-Client") != string(gatewaytest.Machine) || status != http.StatusOK {
				t.Errorf("Connection: %s: status %d, X-Auth-Client %q", name, status, got.Header.Get("X-Auth-Client"))
			}
		}
	}
}

func testTwoTokens(t *testing.T, s *site, _ gatewayKind) {
	good, other := s.Token(t, gatewaytest.Machine), s.Token(t, gatewaytest.Roaming)
	for what, headers := range map[string][]string{
		"twice the same":  {bearer(good), bearer(good)},
		"two tokens":      {bearer(good), bearer(other)},
		"a bad one first": {bearer("x"), bearer(good)},
		"a bad one last":  {bearer(good), bearer("x")},
		"Basic beside it": {bearer(good), "Authorization: Basic eDp5"},
		"with a comma":    {"Authorization: Bearer " + good + ", Bearer " + other},
		"in a cookie":     {"Cookie: access_token=" + good},
		"another header":  {"X-Auth-Token: " + good, "Proxy-Authorization: Bearer " + good},
		"an underscore":   {"Authorization_: Bearer " + good},
	} {
		s.refused(t, what, s.send(t, "GET", "/files/open", headers...), 401, 400)
	}
	s.refused(t, "in the query", s.send(t, "GET", "/files/open?access_token="+good), 401)
}

// identityNames are the headers that only Postern fills.
var identityNames = []string{"X-Auth-Subject", "X-Auth-Client", "X-Auth-Workspace", "X-Auth-Roles", "X-Auth-Scope"}

func testForgedIdentity(t *testing.T, s *site, _ gatewayKind) {
	var plain []string
	for _, name := range append(identityNames, "X-Auth-Token") {
		plain = append(plain, name+": root", name+": root", strings.ToLower(name)+": root")
	}
	s.identityHolds(t, plain)
	// Many upstreams take any of these for a dash.
	for _, c := range "!#$%&'*+.^_`|~" {
		var odd []string
		for _, header := range plain {
			odd = append(odd, strings.ReplaceAll(header, "-", string(c)), strings.Replace(header, "-", string(c), 1))
		}
		s.identityHolds(t, odd)
	}
}

// identityHolds checks that an upstream gets the identity that was decided, and
// nothing of what a client forged.
func (s *site) identityHolds(t *testing.T, forged []string) {
	t.Helper()
	account, client := string(gatewaytest.Account), string(gatewaytest.Machine)
	for _, tt := range []struct {
		name, target, token string
		want                []string
	}{
		{"a token", "/files/open", s.Token(t, gatewaytest.Machine), []string{account, client, "wspacme", "acme/clerk", "orders:write"}},
		{"no scope", "/files/open", s.Token(t, gatewaytest.Machine, func(c *token.Claims) { c.Scope = "" }), []string{account, client, "wspacme", "acme/clerk", "-"}},
		{"public", "/health", "", []string{"anonymous", "-", "-", "-", "-"}},
	} {
		headers := forged
		if tt.token != "" {
			headers = append([]string{bearer(tt.token)}, forged...)
		}
		got := s.passed(t, tt.name, s.send(t, "GET", tt.target, headers...))
		for i, name := range identityNames {
			if values := got.Header[name]; len(values) != 1 || values[0] != tt.want[i] {
				t.Errorf("%s: %s is %q, want %q", tt.name, name, values, tt.want[i])
			}
		}
		for name, values := range got.Header {
			if strings.Contains(strings.Join(values, " "), "root") {
				t.Errorf("%s: the upstream got the forged %s: %q", tt.name, name, values)
			}
		}
	}
}

func testCredential(t *testing.T, s *site, _ gatewayKind) {
	sent := bearer(s.Token(t, gatewaytest.Machine))
	for _, headers := range [][]string{{sent}, {sent, "X-Postern-Gateway: Basic eDp5"}, {sent, "X-Postern-Gateway: a", "X-Postern-Gateway: b"}} {
		got := s.passed(t, fmt.Sprint(len(headers)), s.send(t, "GET", "/files/open", headers...))
		for name, values := range got.Header {
			if text := strings.Join(values, " "); strings.EqualFold(name, "X-Postern-Gateway") && text != "" || strings.Contains(text, s.Basic(gatewaytest.Gateway)) {
				t.Errorf("the upstream got %s", name)
			}
		}
		for _, name := range []string{"X-Original-Uri", "X-Original-Method", "X-Original-Host"} {
			if got.Header.Get(name) != "" {
				t.Errorf("the upstream got %s", name)
			}
		}
	}
}

func testSecret(t *testing.T, s *site, _ gatewayKind) {
	secret := s.Secret(gatewaytest.Bearer)
	for target, public := range map[string]bool{"/files/open": false, "/health": true} {
		got := s.passed(t, target, s.send(t, "GET", target, bearer(secret)))
		for name, values := range got.Header {
			if strings.Contains(strings.Join(values, " "), secret) {
				t.Errorf("%s: the upstream got the secret in %s", target, name)
			}
		}
		if jwt := got.Header.Get("Authorization"); public != (jwt == "") || !public && strings.Count(jwt, ".") != 2 {
			t.Errorf("%s: the upstream got an Authorization of %d bytes, no JWT", target, len(jwt))
		}
		if got.Header.Get("X-Auth-Token") != "" {
			t.Errorf("%s: the upstream got X-Auth-Token", target)
		}
	}
}

func testAddress(t *testing.T, s *site, _ gatewayKind) {
	set := func(list ...string) {
		gatewaytest.Change(t, s.World, string(gatewaytest.Machine), func(c *store.Client) { c.Addresses = list })
	}
	defer set()
	tok := bearer(s.Token(t, gatewaytest.Machine))
	set("127.0.0.0/8")
	s.passed(t, "from its address", s.send(t, "GET", "/files/open", tok))
	set("192.0.2.7/32")
	for _, forged := range []string{"X-Forwarded-For: 192.0.2.7", "X-Real-IP: 192.0.2.7", "Forwarded: for=192.0.2.7", "X-Envoy-External-Address: 192.0.2.7", "X-Client-IP: 192.0.2.7"} {
		s.refused(t, forged, s.send(t, "GET", "/files/open", tok, forged), 403)
		s.refused(t, forged+" twice", s.send(t, "GET", "/files/open", tok, forged, forged), 403)
	}
}

func testGraphQL(t *testing.T, s *site, g gatewayKind) {
	const query, mutation = `{"query":"{ devices { id } }"}`, `{"query":"mutation { devices { id } }"}`
	pad := func(n int) string { return query + strings.Repeat(" ", n-len(query)) }
	tok := bearer(s.Token(t, gatewaytest.Machine))
	for _, tt := range []struct {
		name, method, target, body string
		headers                    []string
		passes                     bool
	}{
		{"an allowed query", "POST", "/graphql", query, nil, true},
		{"64 kB of it", "POST", "/graphql", pad(64 << 10), nil, true},
		{"a mutation", "POST", "/graphql", mutation, nil, false},
		{"another query", "POST", "/graphql", `{"query":"{ devices { id } users { id } }"}`, nil, false},
		{"a batch", "POST", "/graphql", "[" + query + "," + mutation + "]", nil, false},
		{"no body", "POST", "/graphql", "", nil, false},
		{"a byte more than 64 kB", "POST", "/graphql", pad(64<<10 + 1), nil, false},
		{"256 kB", "POST", "/graphql", pad(256 << 10), nil, false},
		{"an encoded body", "POST", "/graphql", query, []string{"Content-Encoding: gzip"}, false},
		{"a query behind the path", "POST", "/graphql?query=mutation%7Bdevices%7D", query, nil, false},
		{"GET", "GET", "/graphql?query=%7Bdevices%7D", "", nil, false},
		{"another method by a header", "POST", "/graphql", mutation, []string{"X-Forwarded-Method: GET", "X-Forwarded-Uri: /orders/7"}, false},
		{"the path with a slash", "POST", "/graphql/", mutation, nil, false},
		{"the path, escaped", "POST", "/%67raphql", mutation, nil, false},
	} {
		for _, chunked := range []bool{false, true} {
			if chunked && tt.body == "" {
				continue // a GET with a body is another request
			}
			headers := append([]string{tok, "Content-Type: application/json"}, tt.headers...)
			sent := tt.body
			if chunked {
				headers = append(headers, "Transfer-Encoding: chunked")
				sent = fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(tt.body), tt.body)
			} else {
				headers = append(headers, fmt.Sprintf("Content-Length: %d", len(tt.body)))
			}
			what := fmt.Sprintf("%s, chunked %t", tt.name, chunked)
			status := s.sendBody(t, tt.method, tt.target, sent, headers...)
			if !tt.passes || !g.body || chunked && !g.chunked {
				s.refused(t, what, status, 403, 401, 413, 500, 0)
				continue
			}
			if got := s.passed(t, what, status); got.body != tt.body {
				t.Errorf("%s: the upstream got %d bytes of %d", what, len(got.body), len(tt.body))
			}
		}
	}
	if !g.body {
		s.remark = "refused: it passes no body"
	} else if !g.chunked {
		s.remark = "yes; in chunks: refused"
	}
	// A body that is not decided about is nobody's affair, whatever its size.
	big := strings.Repeat("a", 1<<20)
	got := s.passed(t, "1 MB elsewhere", s.sendBody(t, "POST", "/orders", big, tok, fmt.Sprintf("Content-Length: %d", len(big))))
	if got.body != big {
		t.Errorf("elsewhere: the upstream got %d bytes of %d", len(got.body), len(big))
	}
}

func testRevoked(t *testing.T, s *site, _ gatewayKind) {
	const jti = "AAAAAAAAAAAAAAAAAAAAAA"
	tok := bearer(s.Token(t, gatewaytest.Machine, func(c *token.Claims) { c.ID = jti }))
	for range 3 {
		s.passed(t, "before", s.send(t, "GET", "/files/open", tok))
	}
	s.Revoke(jti)
	for range 3 {
		s.refused(t, "afterwards", s.send(t, "GET", "/files/open", tok), 401)
	}
}

func testTrouble(t *testing.T, s *site, g gatewayKind) {
	tok := bearer(s.Token(t, gatewaytest.Machine))
	s.remark = fmt.Sprintf("refused, %d", g.trouble)
	s.SetAge(2 * time.Minute)
	s.refused(t, "stale", s.send(t, "GET", "/files/open", tok), g.trouble)
	s.refused(t, "stale, and public", s.send(t, "GET", "/health"), g.trouble)
	s.SetAge(0)
	s.passed(t, "afterwards", s.send(t, "GET", "/files/open", tok))
}

func testHung(t *testing.T, s *site, g gatewayKind) {
	tok := bearer(s.Token(t, gatewaytest.Machine))
	s.remark = fmt.Sprintf("refused, %d, %s", g.hung, g.patience)
	release := s.decisions.hang()
	s.refused(t, "hung", s.send(t, "GET", "/files/open", tok), g.hung)
	release()
	s.passed(t, "afterwards", s.send(t, "GET", "/files/open", tok))
}

func testGone(t *testing.T, s *site, g gatewayKind) {
	tok := bearer(s.Token(t, gatewaytest.Machine))
	s.remark = fmt.Sprintf("refused, %d", g.unreachable)
	s.decisions.stop()
	s.refused(t, "gone", s.send(t, "GET", "/files/open", tok), g.unreachable)
	s.refused(t, "gone, and public", s.send(t, "GET", "/health"), g.unreachable)
	s.refused(t, "gone, without a token", s.send(t, "GET", "/files/open"), g.unreachable)
}

// testDPoP sends a token that is bound to a key. The nonce for the proof comes with
// a refusal, so the gateway must pass that on.
func testDPoP(t *testing.T, s *site, _ gatewayKind) {
	prover := gatewaytest.NewProver(t)
	tok := s.Token(t, gatewaytest.Machine, func(c *token.Claims) { c.Confirmation.Key = prover.Thumbprint() })
	proof := func(nonce, ath string) string {
		return "DPoP: " + prover.Proof("GET", "https://shop.example/files/open", s.Now(), map[string]any{"nonce": nonce, "ath": ath})
	}
	sent := "Authorization: DPoP " + tok
	s.refused(t, "without a nonce", s.send(t, "GET", "/files/open", sent, proof("", gatewaytest.Hash(tok))), 401)
	nonce := s.answered.Get("DPoP-Nonce")
	if nonce == "" || !strings.Contains(s.answered.Get("WWW-Authenticate"), "use_dpop_nonce") {
		t.Fatalf("no nonce came: %v", s.answered)
	}
	good := proof(nonce, gatewaytest.Hash(tok))
	got := s.passed(t, "with the nonce", s.send(t, "GET", "/files/open?a=1", sent, good))
	if got.Header.Get("Authorization") != "DPoP "+tok || got.Header.Get("X-Auth-Client") != string(gatewaytest.Machine) {
		t.Errorf("the upstream got %v", got.Header)
	}
	s.refused(t, "the same proof again", s.send(t, "GET", "/files/open", sent, good), 401)
	s.refused(t, "two proofs", s.send(t, "GET", "/files/open", sent, proof(nonce, gatewaytest.Hash(tok)), proof(nonce, gatewaytest.Hash(tok))), 401, 400)
	s.refused(t, "for another token", s.send(t, "GET", "/files/open", sent, proof(nonce, gatewaytest.Hash(tok+"x"))), 401)
	s.refused(t, "for another path", s.send(t, "GET", "/files/open", sent,
		"DPoP: "+prover.Proof("GET", "https://shop.example/files", s.Now(), map[string]any{"nonce": nonce, "ath": gatewaytest.Hash(tok)})), 401)
	s.refused(t, "as a bearer", s.send(t, "GET", "/files/open", bearer(tok), proof(nonce, gatewaytest.Hash(tok))), 401)
	s.refused(t, "a policy that refuses", s.send(t, "GET", "/files/secret", sent,
		"DPoP: "+prover.Proof("GET", "https://shop.example/files/secret", s.Now(), map[string]any{"nonce": nonce, "ath": gatewaytest.Hash(tok)})), 403)
}
