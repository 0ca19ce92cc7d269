package server_test

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"postern/server"
	"postern/server/assertion"
)

// foreign is an issuer of workloads' JWTs: it publishes its keys where its
// discovery document says, or at the address that a rule names.
type foreign struct {
	*keyHost
	*signer

	bearer atomic.Pointer[string] // that it wants; nil is none
}

func newForeign(t *testing.T) (*foreign, func(*server.Options)) {
	t.Helper()
	host, use := newKeyHost(t)
	f := &foreign{keyHost: host, signer: newSigner(t, "RS256", "of the issuer")}
	f.publish(f.URL, f.signer)
	return f, use
}

// publish serves a discovery document of an issuer, and keys.
func (f *foreign) publish(issuer string, keys ...*signer) {
	var texts []string
	for _, s := range keys {
		texts = append(texts, s.jwk())
	}
	f.serve(func(w http.ResponseWriter, r *http.Request) {
		if want := f.bearer.Load(); want != nil && r.Header.Get("Authorization") != "Bearer "+*want {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		switch r.URL.Path {
		case "/.well-known/openid-configuration":
			_ = json.NewEncoder(w).Encode(map[string]string{"issuer": issuer, "jwks_uri": f.URL + "/openid/v1/jwks"})
		case "/openid/v1/jwks":
			_, _ = w.Write([]byte(`{"keys":[` + strings.Join(texts, ",") + `]}`))
		default:
			http.NotFound(w, r)
		}
	})
}

const (
	pod    = "system:serviceaccount:shop:web"
	branch = "repo:acme/shop:ref:refs/heads/main"
)

// ofPod are the claims of a projected service account token, as the API server of
// Kubernetes makes them.
func (f *foreign) ofPod(now time.Time, change map[string]any) string {
	return f.claims(map[string]any{
		"aud": []string{issuer}, "exp": now.Unix() + 3600, "iat": now.Unix(), "nbf": now.Unix(), "iss": f.URL, "jti": "9f1c7d0e-5b0b-4a6e-8e5a-2d6f0f6f4a51", "sub": pod,
		"kubernetes.io": map[string]any{
			"namespace": "shop", "node": map[string]string{"name": "node-1", "uid": "646e7c5e"},
			"pod": map[string]string{"name": "web-5d4b8", "uid": "5e0bd49b"}, "serviceaccount": map[string]string{"name": "web", "uid": "14ee3fa4"}, "warnafter": now.Unix() + 3000,
		},
	}, change)
}

// ofRun are the claims of the run of a workflow, as GitHub Actions makes them.
func (f *foreign) ofRun(now time.Time, change map[string]any) string {
	return f.claims(map[string]any{
		"jti": "0b8f7e4e", "sub": branch, "aud": issuer, "ref": "refs/heads/main", "sha": strings.Repeat("a", 40), "repository": "acme/shop", "repository_owner": "acme",
		"repository_owner_id": "65", "run_id": "17", "run_number": "10", "run_attempt": "2", "repository_visibility": "private", "repository_id": "74", "actor_id": "12", "actor": "ann",
		"workflow": "deploy", "head_ref": "", "base_ref": "", "event_name": "push", "ref_protected": "true", "ref_type": "branch", "job_workflow_ref": "acme/ci/.github/workflows/deploy.yml@refs/heads/main",
		"runner_environment": "github-hosted", "iss": f.URL, "nbf": now.Unix() - 300, "exp": now.Unix() + 600, "iat": now.Unix(),
		"labels": []any{"linux", 7, true, nil, map[string]string{"a": "b"}}, "depth": 1.50, "hosted": true, "https://acme.example/team": "shop",
	}, change)
}

// claims are some of which some are changed; nil takes one away.
func (f *foreign) claims(c, change map[string]any) string {
	maps.Copy(c, change)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	text, _ := json.Marshal(c)
	return string(text)
}

func (f *foreign) make(claims string) string { return f.sign(f.header(), claims) }

// trust makes a trust rule of a client and returns its id.
func (n *node) trust(t testing.TB, client string, rule map[string]any) string {
	t.Helper()
	id, _ := n.want(t, 201, "POST", "/clients/"+client+"/secrets", map[string]any{"trust": rule, "keep": true, "label": "workload"}).json(t)["secret_id"].(string)
	return id
}

// tokenOf asks for a token of a client with a workload's JWT.
func (n *node) tokenOf(t testing.TB, client, jwt string) answer {
	t.Helper()
	return n.tokenBy(t, jwt, "client_id="+client)
}

func TestWorkloadAPodAndARunAuthenticateTheirClients(t *testing.T) {
	f, use := newForeign(t)
	n := start(t, use)
	client, now := string(n.Example.Client.ID), n.clock.now()
	for name, one := range map[string]struct {
		rule map[string]any
		jwt  string
	}{
		"a pod by its subject": {map[string]any{"issuer": f.URL, "subject": pod}, f.make(f.ofPod(now, nil))},
		"a pod by its claims": {map[string]any{"issuer": f.URL, "claims": []map[string]string{
			{"name": "/kubernetes.io/namespace", "pattern": "shop"}, {"name": "/kubernetes.io/serviceaccount/name", "pattern": "w*"},
		}}, f.make(f.ofPod(now, nil))},
		"a pod by keys at an address": {map[string]any{"issuer": f.URL, "subject": "system:serviceaccount:shop:*", "jwks_uri": f.URL + "/openid/v1/jwks"}, f.make(f.ofPod(now, nil))},
		"a pod by pasted keys":        {map[string]any{"issuer": "https://cluster.example", "subject": pod, "jwks": `{"keys":[` + f.jwk() + `]}`}, f.make(f.ofPod(now, map[string]any{"iss": "https://cluster.example"}))},
		"a run by its subject":        {map[string]any{"issuer": f.URL, "subject": "repo:acme/shop:ref:refs/heads/*"}, f.make(f.ofRun(now, nil))},
		"a run by its claims": {map[string]any{"issuer": f.URL, "claims": []map[string]string{
			{"name": "repository", "pattern": "acme/shop"},
			{"name": "ref", "pattern": "refs/heads/main"},
			{"name": "labels", "pattern": "linux"},
			{"name": "depth", "pattern": "1.5"},
			{"name": "hosted", "pattern": "true"},
			{"name": "https://acme.example/team", "pattern": "shop"},
		}}, f.make(f.ofRun(now, nil))},
		"for 24 hours": {map[string]any{"issuer": f.URL, "subject": pod}, f.make(f.ofPod(now, map[string]any{"exp": now.Unix() + 86400}))},
	} {
		rule := n.trust(t, client, one.rule)
		got := n.tokenOf(t, client, one.jwt)
		if got.status != 200 {
			t.Errorf("%s: got %d %s\n%s", name, got.status, got.body, n.trustTest(t, client, one.jwt).body)
			continue
		}
		text, _ := got.json(t)["access_token"].(string)
		if !n.active(t, text) || n.decided(t, text, "GET", "/orders/7") != 200 {
			t.Errorf("%s: its token is not good", name)
		}
		// It comes again until it ends, here and at the other endpoints.
		if again := n.tokenOf(t, client, one.jwt); again.status != 200 {
			t.Errorf("%s, again: got %d %s", name, again.status, again.body)
		}
		form := "token=" + text + "&client_id=" + client + "&client_assertion_type=" + url.QueryEscape(assertionType) + "&client_assertion=" + one.jwt
		if got := do(t, n.formRequest(t, "/oauth2/introspect", form)); got.status != 200 {
			t.Errorf("%s: the introspection got %d %s", name, got.status, got.body)
		}
		if got := do(t, n.formRequest(t, "/oauth2/revoke", form)); got.status != 200 || n.active(t, text) {
			t.Errorf("%s: the revocation got %d", name, got.status)
		}
		// A rule ends as a secret does, with the tokens it minted.
		text, _ = n.tokenOf(t, client, one.jwt).json(t)["access_token"].(string)
		if got := n.rest(t, "DELETE", "/clients/"+client+"/secrets/"+rule, nil); got.status != 409 {
			t.Errorf("%s: a rule in use ended: got %d %s", name, got.status, got.body)
		}
		n.want(t, 200, "DELETE", "/clients/"+client+"/secrets/"+rule+"?force=true", nil)
		if n.active(t, text) {
			t.Errorf("%s: the rule ended and its token did not", name)
		}
		if got := n.tokenOf(t, client, one.jwt); got.status != 401 {
			t.Errorf("%s: the rule ended, got %d", name, got.status)
		}
	}
}

// trustTest is what the test of a JWT says.
func (n *node) trustTest(t testing.TB, client, jwt string) answer {
	t.Helper()
	return n.want(t, 200, "POST", "/clients/"+client+"/trust/test", map[string]any{"jwt": jwt})
}

// broken are the conditions that fail by the test of a JWT.
func (n *node) broken(t testing.TB, client, jwt string) (accepted bool, names string) {
	t.Helper()
	got := n.trustTest(t, client, jwt)
	for part := range strings.SplitSeq(jwt, ".") {
		if len(part) > 8 && strings.Contains(got.body, part) {
			t.Errorf("the answer holds a part of the JWT: %s", got.body)
		}
	}
	type conditions []struct {
		Name  string `json:"name"`
		Holds bool   `json:"holds"`
	}
	var said struct {
		Accepted   bool       `json:"accepted"`
		Conditions conditions `json:"conditions"`
		Rules      []struct {
			Conditions conditions `json:"conditions"`
		} `json:"rules"`
	}
	if err := json.Unmarshal([]byte(got.body), &said); err != nil {
		t.Fatal(err)
	}
	all := said.Conditions
	for _, r := range said.Rules {
		all = append(all, r.Conditions...)
	}
	var out []string
	for _, c := range all {
		if !c.Holds {
			out = append(out, c.Name)
		}
	}
	return said.Accepted, strings.Join(out, ", ")
}

func TestWorkloadWhatIsWrongIsRefusedAndNamed(t *testing.T) {
	f, use := newForeign(t)
	n := start(t, use)
	client, now := string(n.Example.Client.ID), n.clock.now()
	n.trust(t, client, map[string]any{"issuer": f.URL, "subject": "system:serviceaccount:shop:w*", "claims": []map[string]string{
		{"name": "/kubernetes.io/pod/name", "pattern": "web-*"},
	}})
	strange := newSigner(t, "RS256", "of the issuer")
	unix := now.Unix()
	with := func(change map[string]any) string { return f.make(f.ofPod(now, change)) }
	within := func(change map[string]any) string { return with(map[string]any{"kubernetes.io": change}) }
	good := f.ofPod(now, nil)
	mac := b64([]byte(`{"alg":"HS256"}`)) + "." + b64([]byte(good)) + "." + b64([]byte("x"))
	for name, one := range map[string]struct{ jwt, broken string }{
		"another audience":         {with(map[string]any{"aud": "https://other.example"}), "audience"},
		"two audiences":            {with(map[string]any{"aud": []string{issuer, "https://other.example"}}), "audience"},
		"ours twice":               {with(map[string]any{"aud": []string{issuer, issuer}}), "audience"},
		"the token endpoint":       {with(map[string]any{"aud": issuer + "/oauth2/token"}), "audience"},
		"ours with a slash":        {with(map[string]any{"aud": issuer + "/"}), "audience"},
		"no audience":              {with(map[string]any{"aud": nil}), "form"},
		"an empty list":            {with(map[string]any{"aud": []string{}}), "form"},
		"no iat":                   {with(map[string]any{"iat": nil}), "form"},
		"no exp":                   {with(map[string]any{"exp": nil}), "form"},
		"no sub":                   {with(map[string]any{"sub": nil}), "form"},
		"expired":                  {with(map[string]any{"exp": unix}), "expiry"},
		"good for more than a day": {with(map[string]any{"exp": unix + 86401}), "expiry"},
		"good for ten years":       {with(map[string]any{"exp": unix + 315360000, "iat": unix - 86400}), "expiry"},
		"more than a day at all":   {with(map[string]any{"exp": unix + 60, "iat": unix - 86400}), "expiry"},
		"iat in an hour":           {with(map[string]any{"iat": unix + 3600}), "begin"},
		"nbf in an hour":           {with(map[string]any{"nbf": unix + 3600}), "begin"},
		"another issuer":           {with(map[string]any{"iss": "https://issuer.example"}), "issuer"},
		"the issuer with a slash":  {with(map[string]any{"iss": f.URL + "/"}), "issuer"},
		"another namespace":        {with(map[string]any{"sub": "system:serviceaccount:other:web"}), "subject"},
		"more segments":            {with(map[string]any{"sub": "system:serviceaccount:shop:w:x"}), "subject"},
		"another case":             {with(map[string]any{"sub": "system:serviceaccount:Shop:web"}), "subject"},
		"another pod":              {within(map[string]any{"pod": map[string]any{"name": "api-1"}}), "claim /kubernetes.io/pod/name"},
		"no pod":                   {within(map[string]any{"namespace": "shop"}), "claim /kubernetes.io/pod/name"},
		"a pod that is an object":  {within(map[string]any{"pod": map[string]any{"name": map[string]string{"web-1": "x"}}}), "claim /kubernetes.io/pod/name"},
		"a pod that is null":       {within(map[string]any{"pod": map[string]any{"name": nil}}), "claim /kubernetes.io/pod/name"},
		"two names of a pod":       {f.make(strings.Replace(good, `"pod":{`, `"pod":{"name":"api",`, 1)), "claim /kubernetes.io/pod/name"},
		"two things":               {with(map[string]any{"sub": "x", "kubernetes.io": 1}), "subject, claim /kubernetes.io/pod/name"},
		"another key":              {strange.sign(f.header(), good), "signature"},
		"another alg":              {f.sign(`{"alg":"PS256"}`, good), "signature"},
		"none":                     {b64([]byte(`{"alg":"none"}`)) + "." + b64([]byte(good)) + ".", "form"},
		"HS256":                    {mac, "form"},
		"a key of its own":         {strange.sign(`{"alg":"RS256","jwk":`+strange.jwk()+`}`, good), "form"},
		"jku":                      {strange.sign(`{"alg":"RS256","jku":"`+f.URL+`"}`, good), "form"},
		"a claim twice":            {f.make(`{"sub":"x",` + good[1:]), "form"},
		"no JWT":                   {"x", "form"},
	} {
		if got := n.tokenOf(t, client, one.jwt); got.status != 401 || got.error() != "invalid_client" {
			t.Errorf("%s: got %d %s", name, got.status, got.body)
		}
		if accepted, broken := n.broken(t, client, one.jwt); accepted || broken != one.broken {
			t.Errorf("%s: the test says %q (accepted=%t), want %q", name, broken, accepted, one.broken)
		}
	}
	jwt := f.make(good)
	for name, got := range map[string]answer{
		"without client_id": n.tokenBy(t, jwt), "a client of nobody": n.tokenOf(t, "cliffffffffffffffffffffffff", jwt), "a client without rules": n.tokenOf(t, string(n.Gateway.Client.ID), jwt),
	} {
		if got.status != 401 || got.error() != "invalid_client" {
			t.Errorf("%s: got %d %s", name, got.status, got.body)
		}
	}
	if got := n.tokenBy(t, jwt, "client_id="+client, "client_secret=x"); got.status != 400 {
		t.Errorf("a secret beside it: got %d", got.status)
	}
	if accepted, broken := n.broken(t, client, jwt); !accepted || broken != "" {
		t.Errorf("a good one: the test says %q", broken)
	}
	if got := n.tokenOf(t, client, jwt); got.status != 200 {
		t.Errorf("a good one: got %d %s", got.status, got.body)
	}
	if n.Example.Secret.Reveal() == "" || n.tokenBy(t, f.assert(client, now, nil)).status != 401 {
		t.Error("the issuer's key makes the client's own assertions")
	}
}

// Another client's rule is never tried, and failures are counted.
func TestWorkloadOnlyTheNamedClientsRulesAreTried(t *testing.T) {
	f, use := newForeign(t)
	n := start(t, use, func(o *server.Options) {
		o.FailuresPerClientAddress.Count, o.FailuresPerClientAddress.Per = 3, time.Minute
	})
	mine, other := string(n.Example.Client.ID), string(n.Gateway.Client.ID)
	n.trust(t, mine, map[string]any{"issuer": f.URL, "subject": pod})
	n.trust(t, other, map[string]any{"issuer": f.URL, "subject": "system:serviceaccount:infra:gateway"})
	jwt := f.make(f.ofPod(n.clock.now(), nil))
	if got := n.tokenOf(t, mine, jwt); got.status != 200 {
		t.Fatalf("its own: got %d %s", got.status, got.body)
	}
	for range 3 {
		if got := n.tokenOf(t, other, jwt); got.status != 401 {
			t.Errorf("another's: got %d %s", got.status, got.body)
		}
	}
	if got := n.tokenOf(t, other, jwt); got.status != 429 {
		t.Errorf("the fourth failure: got %d", got.status)
	}
	if got := n.tokenOf(t, mine, jwt); got.status != 200 {
		t.Errorf("a good one after failures of another: got %d", got.status)
	}
}

// Of several rules one has to match wholly: halves of two are none.
func TestWorkloadHalvesOfTwoRulesAreNone(t *testing.T) {
	f, use := newForeign(t)
	n := start(t, use)
	client := string(n.Example.Client.ID)
	for _, one := range [][2]string{{"acme/shop", "refs/heads/release"}, {"acme/site", "refs/heads/main"}} {
		n.trust(t, client, map[string]any{"issuer": f.URL, "claims": []map[string]string{{"name": "repository", "pattern": one[0]}, {"name": "ref", "pattern": one[1]}}})
	}
	now := n.clock.now()
	if got := n.tokenOf(t, client, f.make(f.ofRun(now, nil))); got.status != 401 {
		t.Errorf("got %d %s", got.status, got.body)
	}
	if got := n.tokenOf(t, client, f.make(f.ofRun(now, map[string]any{"ref": "refs/heads/release"}))); got.status != 200 {
		t.Errorf("a whole one: got %d %s", got.status, got.body)
	}
}

// A JWT is good until it ends, as is a rule, and no longer.
func TestWorkloadEnds(t *testing.T) {
	f, use := newForeign(t)
	n := start(t, use)
	client := string(n.Example.Client.ID)
	var rule struct {
		ID     string `json:"secret_id"`
		Client struct {
			Secrets []struct {
				ID        string
				ExpiresAt time.Time `json:"expires_at"`
			}
		}
	}
	made := n.want(t, 201, "POST", "/clients/"+client+"/secrets", map[string]any{"trust": map[string]any{"issuer": f.URL, "subject": pod}, "keep": true, "expires_in": "2h"})
	if err := json.Unmarshal([]byte(made.body), &rule); err != nil || rule.Client.Secrets[0].ID != rule.ID {
		t.Fatalf("%v: %s", err, made.body)
	}
	ends := rule.Client.Secrets[0].ExpiresAt.Unix()
	jwt := f.make(f.ofPod(n.clock.now(), nil))
	n.clock.advance(59 * time.Minute)
	if got := n.tokenOf(t, client, jwt); got.status != 200 {
		t.Errorf("before it ends: got %d %s", got.status, got.body)
	}
	n.clock.advance(time.Minute)
	if got := n.tokenOf(t, client, jwt); got.status != 401 {
		t.Errorf("when it ended: got %d", got.status)
	}
	n.clock.advance(30 * time.Minute)
	if token := claims(t, textOf(t, n.tokenOf(t, client, f.make(f.ofPod(n.clock.now(), nil))))); token["exp"] != float64(ends) {
		t.Errorf("half an hour before the rule ends at %d, a token lives until %v", ends, token["exp"])
	}
	n.clock.advance(30 * time.Minute)
	jwt = f.make(f.ofPod(n.clock.now(), nil))
	if got := n.tokenOf(t, client, jwt); got.status != 401 {
		t.Errorf("when the rule ended: got %d", got.status)
	}
	if _, broken := n.broken(t, client, jwt); broken != "rule" {
		t.Errorf("when the rule ended: the test says %q", broken)
	}
}

// Keys are those of the issuer alone: what its discovery document says of others
// counts for nothing, rotated ones are found, and removed ones die.
func TestWorkloadKeysOfTheIssuer(t *testing.T) {
	f, use := newForeign(t)
	n := start(t, use)
	client := string(n.Example.Client.ID)
	n.trust(t, client, map[string]any{"issuer": f.URL, "subject": pod})
	jwt := func(s *signer) string { return s.sign(s.header(), f.ofPod(n.clock.now(), nil)) }
	ask := func(s *signer) int { return n.tokenOf(t, client, jwt(s)).status }
	for range 3 {
		if got := ask(f.signer); got != 200 {
			t.Fatalf("got %d", got)
		}
	}
	if asked := f.asked.Load(); asked != 2 {
		t.Errorf("three JWTs asked %d times; want the document and the keys once", asked)
	}
	second := newSigner(t, "ES256", "second")
	f.publish(f.URL, f.signer, second)
	n.clock.advance(11 * time.Second)
	if got := ask(second); got != 200 {
		t.Errorf("after a rotation: got %d", got)
	}
	// Nothing is asked for what cannot match.
	asked := f.asked.Load()
	n.clock.advance(6 * time.Minute)
	if got := n.tokenOf(t, client, f.make(f.ofPod(n.clock.now(), map[string]any{"sub": "x"}))); got.status != 401 || f.asked.Load() != asked {
		t.Errorf("another subject: got %d, and the issuer was asked", got.status)
	}
	f.publish(f.URL, second)
	if first, second := ask(f.signer), ask(second); first != 401 || second != 200 {
		t.Errorf("after a removal: the old key got %d, the new one %d", first, second)
	}
	for name, answer := range map[string]http.HandlerFunc{
		"of another issuer": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = fmt.Fprintf(w, `{"issuer":"https://other.example","jwks_uri":"%s/openid/v1/jwks","keys":[%s]}`, f.URL, second.jwk())
		},
		"no keys": func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintf(w, `{"issuer":"%s"}`, f.URL) },
		"keys by http": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = fmt.Fprintf(w, `{"issuer":"%s","jwks_uri":"http://127.0.0.1/","keys":[%s]}`, f.URL, second.jwk())
		},
		"a redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/other", http.StatusFound) },
		"no JSON":    func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
		"100 kB": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = fmt.Fprintf(w, `{"issuer":"%s","jwks_uri":"%s/openid/v1/jwks","x":"%s"}`, f.URL, f.URL, strings.Repeat("x", 100_000))
		},
	} {
		f.serve(answer)
		n.clock.advance(6 * time.Minute)
		if got := ask(second); got != 401 {
			t.Errorf("a discovery document, %s: got %d", name, got)
		}
		if _, broken := n.broken(t, client, jwt(second)); broken != "signature" {
			t.Errorf("a discovery document, %s: the test says %q", name, broken)
		}
	}
	f.publish(f.URL, second)
	n.clock.advance(11 * time.Second)
	if got := ask(second); got != 200 {
		t.Errorf("afterwards: got %d", got)
	}
}

// The API server of Kubernetes has a CA of its own, and answers who says who it is.
func TestWorkloadTheAPIServerWantsItsCAAndAToken(t *testing.T) {
	f, use := newForeign(t)
	dir := t.TempDir()
	ca, token := filepath.Join(dir, "ca.crt"), filepath.Join(dir, "token")
	write := func(name string, text []byte) {
		t.Helper()
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.Certificate().Raw}))
	write(token, []byte("first\n"))
	n := start(t, use, func(o *server.Options) {
		o.OutboundRoots = nil
		o.Issuers = map[string]assertion.Access{f.URL: {CAFile: ca, TokenFile: token}}
	})
	client := string(n.Example.Client.ID)
	ask := func() int { return n.tokenOf(t, client, f.make(f.ofPod(n.clock.now(), nil))).status }
	wants := func(bearer string) { f.bearer.Store(&bearer) }
	for name, uri := range map[string]string{"discovered": "", "at its address": f.URL + "/openid/v1/jwks"} {
		write(token, []byte("first\n"))
		wants("first")
		rule := n.trust(t, client, map[string]any{"issuer": f.URL, "subject": pod, "jwks_uri": uri})
		if got := ask(); got != 200 {
			t.Errorf("%s: got %d", name, got)
		}
		// The token is renewed under way.
		write(token, []byte("second"))
		wants("second")
		n.clock.advance(6 * time.Minute)
		if got := ask(); got != 200 {
			t.Errorf("%s, with a new token: got %d", name, got)
		}
		write(token, []byte("a b"))
		n.clock.advance(6 * time.Minute)
		if got := ask(); got != 401 {
			t.Errorf("%s, with no good token: got %d", name, got)
		}
		n.clock.advance(11 * time.Second)
		if said := n.trustTest(t, client, f.make(f.ofPod(n.clock.now(), nil))).body; !strings.Contains(said, "token_file: it has no bearer token") || strings.Contains(said, dir) {
			t.Errorf("%s, with no good token: the test says %s", name, said)
		}
		n.want(t, 200, "DELETE", "/clients/"+client+"/secrets/"+rule+"?force=true", nil)
		n.clock.advance(6 * time.Minute)
	}
}

// Whoever writes a rule names an address of keys. The token of the configuration
// goes to the issuer, and not there.
func TestWorkloadTheTokenGoesToItsIssuerAlone(t *testing.T) {
	f, use := newForeign(t)
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("secret-token"), 0o600); err != nil {
		t.Fatal(err)
	}
	const api = "https://kubernetes.default.svc.cluster.local"
	n := start(t, use, func(o *server.Options) { o.Issuers = map[string]assertion.Access{api: {TokenFile: token}} })
	var seen atomic.Pointer[string]
	f.serve(func(w http.ResponseWriter, r *http.Request) {
		seen.Store(new(r.Header.Get("Authorization")))
		_, _ = w.Write([]byte(`{"keys":[` + f.jwk() + `]}`))
	})
	client := string(n.Example.Client.ID)
	n.trust(t, client, map[string]any{"issuer": api, "subject": pod, "jwks_uri": f.URL + "/openid/v1/jwks"})
	if got := n.tokenOf(t, client, f.make(f.ofPod(n.clock.now(), map[string]any{"iss": api}))); got.status != 200 {
		t.Errorf("got %d %s", got.status, got.body)
	}
	if got := seen.Load(); got == nil || *got != "" {
		t.Error("it was not asked, or got the token")
	}
}

func TestWorkloadRulesThatAreTooWide(t *testing.T) {
	n := start(t)
	client := string(n.Example.Client.ID)
	const github = "https://token.actions.githubusercontent.com"
	claim := func(of ...string) []map[string]string {
		var out []map[string]string
		for i := 0; i < len(of); i += 2 {
			out = append(out, map[string]string{"name": of[i], "pattern": of[i+1]})
		}
		return out
	}
	const cluster = "https://cluster.example"
	for name, rule := range map[string]map[string]any{
		"a bare issuer":                 {"issuer": cluster},
		"a subject of anything":         {"issuer": cluster, "subject": "*:*:*:*"},
		"a claim of anything":           {"issuer": cluster, "claims": claim("team", "*")},
		"the default of all namespaces": {"issuer": cluster, "subject": "system:serviceaccount:*:default"},
		"of some namespaces":            {"issuer": cluster, "subject": "system:serviceaccount:team-*:web"},
		"with a claim of some":          {"issuer": cluster, "subject": "system:serviceaccount:*:web", "claims": claim("/kubernetes.io/namespace", "team-*")},
		"hidden by wildcards":           {"issuer": cluster, "subject": "sys*:*:*:web"},
		"a name in all namespaces":      {"issuer": cluster, "claims": claim("/kubernetes.io/serviceaccount/name", "default")},
		"any owner":                     {"issuer": github, "subject": "repo:*/shop:ref:refs/heads/main"},
		"any repository":                {"issuer": github, "subject": "repo:acme/*:ref:refs/heads/main"},
		"some owners":                   {"issuer": "https://ghes.example/_services/token", "subject": "repo:acme*/shop:ref:refs/heads/main"},
		"any branch of anybody":         {"issuer": github, "claims": claim("ref", "refs/heads/main")},
		"whoever calls a workflow":      {"issuer": github, "claims": claim("job_workflow_ref", "acme/ci/.github/workflows/deploy.yml@refs/heads/main")},
		"an owner":                      {"issuer": github, "claims": claim("repository_owner", "acme")},
	} {
		body := map[string]any{"trust": rule, "keep": true}
		if got := n.rest(t, "POST", "/clients/"+client+"/secrets", body); got.status != 422 || !strings.Contains(got.body, "too wide") || !strings.Contains(got.body, "allow_wide") {
			t.Errorf("%s: got %d %s", name, got.status, got.body)
		}
		rule["allow_wide"] = true
		made := n.want(t, 201, "POST", "/clients/"+client+"/secrets", body)
		if !strings.Contains(fmt.Sprint(made.json(t)["warnings"]), "is wide") {
			t.Errorf("%s: without a warning: %s", name, made.body)
		}
		id, _ := made.json(t)["secret_id"].(string)
		if shown := n.want(t, 200, "GET", "/audit?workspace=default&limit=1", nil).body; !strings.Contains(shown, `"wide":"`) || !strings.Contains(shown, id) {
			t.Errorf("%s: the audit does not keep that it was allowed: %s", name, shown)
		}
		n.want(t, 200, "DELETE", "/clients/"+client+"/secrets/"+id+"?force=true", nil)
	}
	for name, rule := range map[string]map[string]any{
		"one service account":       {"issuer": cluster, "subject": pod},
		"those of a namespace":      {"issuer": cluster, "subject": "system:serviceaccount:shop:*"},
		"a namespace by its claim":  {"issuer": cluster, "subject": "system:serviceaccount:*:web", "claims": claim("/kubernetes.io/namespace", "shop")},
		"a branch of a repository":  {"issuer": github, "subject": branch},
		"branches of a repository":  {"issuer": github, "subject": "repo:acme/shop:ref:refs/heads/*"},
		"an environment":            {"issuer": github, "subject": "repo:acme/shop:environment:production"},
		"a repository by its claim": {"issuer": github, "claims": claim("repository_id", "74")},
		"a user of another issuer":  {"issuer": cluster, "subject": "*-worker", "allow_wide": true},
	} {
		made := n.want(t, 201, "POST", "/clients/"+client+"/secrets", map[string]any{"trust": rule, "keep": true})
		id, _ := made.json(t)["secret_id"].(string)
		if strings.Contains(made.body, "is wide") {
			t.Errorf("%s: is wide: %s", name, made.body)
		}
		n.want(t, 200, "DELETE", "/clients/"+client+"/secrets/"+id+"?force=true", nil)
	}
}

func TestWorkloadWhatIsNoRuleIsRefused(t *testing.T) {
	n := start(t)
	client := string(n.Example.Client.ID)
	key := newSigner(t, "ES256", "k")
	const half = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0MTI"
	of := func(change map[string]any) map[string]any {
		rule := map[string]any{"issuer": "https://cluster.example", "subject": pod}
		maps.Copy(rule, change)
		return map[string]any{"trust": rule, "keep": true}
	}
	claims := func(of ...any) map[string]any { return map[string]any{"claims": of} }
	pair := func(name, pattern string) map[string]string {
		return map[string]string{"name": name, "pattern": pattern}
	}
	for name, body := range map[string]map[string]any{
		"no issuer":            of(map[string]any{"issuer": ""}),
		"http":                 of(map[string]any{"issuer": "http://cluster.example"}),
		"a name":               of(map[string]any{"issuer": "cluster"}),
		"a password":           of(map[string]any{"issuer": "https://a:b@cluster.example"}),
		"a query":              of(map[string]any{"issuer": "https://cluster.example?a=b"}),
		"two stars":            of(map[string]any{"subject": "repo:acme/shop:**"}),
		"a line":               of(map[string]any{"subject": "a\nb"}),
		"two places of keys":   of(map[string]any{"jwks_uri": "https://keys.example", "jwks": `{"keys":[` + key.jwk() + `]}`}),
		"keys by http":         of(map[string]any{"jwks_uri": "http://keys.example"}),
		"no key":               of(map[string]any{"jwks": `{"keys":[]}`}),
		"no set":               of(map[string]any{"jwks": key.jwk()}),
		"a private key":        of(map[string]any{"jwks": `{"keys":[` + key.jwk() + `,` + strings.Replace(key.jwk(), "{", `{"d":"`+half+`",`, 1) + `]}`}),
		"a claim without name": of(claims(pair("", "x"))),
		"an empty pattern":     of(claims(pair("team", ""))),
		"the audience":         of(claims(pair("aud", "x"))),
		"the subject":          of(claims(pair("/sub", "x"))),
		"a claim twice":        of(claims(pair("team", "x"), pair("team", "y"))),
		"a key beside it":      {"trust": map[string]any{"issuer": "https://cluster.example", "subject": pod}, "jwk": key.jwk(), "keep": true},
	} {
		if got := n.rest(t, "POST", "/clients/"+client+"/secrets", body); got.status != 422 && got.status != 400 || strings.Contains(got.body, half) {
			t.Errorf("%s: got %d %s", name, got.status, got.body)
		}
	}
	n.want(t, 200, "PATCH", "/clients/"+client, map[string]any{"bearer": true}, "If-Match", n.want(t, 200, "GET", "/clients/"+client, nil).header.Get("ETag"))
	if got := n.rest(t, "POST", "/clients/"+client+"/secrets", of(nil)); got.status != 409 {
		t.Errorf("a client that is sent as a bearer: got %d %s", got.status, got.body)
	}
}

// The console lists rules among the client's secrets.
func TestWorkloadConsoleShowsTrustRules(t *testing.T) {
	n := start(t)
	client := string(n.Example.Client.ID)
	rule := n.trust(t, client, map[string]any{"issuer": "https://cluster.example", "subject": pod})
	got := n.console(t).want(t, http.StatusOK, "/console/clients/"+client, nil)
	says(t, got, "Trusts https://cluster.example", "workload", rule+"/retire")
}

// The log says why, without the JWT.
func TestWorkloadTheLogDoesNotHoldTheJWT(t *testing.T) {
	f, use := newForeign(t)
	n := start(t, use)
	client := string(n.Example.Client.ID)
	n.trust(t, client, map[string]any{"issuer": f.URL, "subject": pod})
	strange := newSigner(t, "RS256", "k")
	for _, jwt := range []string{strange.sign(strange.header(), f.ofPod(n.clock.now(), nil)), f.make(f.ofPod(n.clock.now(), map[string]any{"sub": "system:serviceaccount:other:spy"}))} {
		n.tokenOf(t, client, jwt)
		parts := strings.Split(jwt, ".")
		for _, part := range append(parts, "other:spy") {
			if strings.Contains(n.log.String(), part) {
				t.Errorf("the log holds %q", part)
			}
		}
	}
	if !strings.Contains(n.log.String(), "workload refused") || !strings.Contains(n.log.String(), "condition=signature") {
		t.Errorf("the log does not say why:\n%s", n.log.String())
	}
}

// FAPI 2.0 wants a key of the client's own, and each assertion once.
func TestWorkloadIsNoneOfFAPI2(t *testing.T) {
	f, use := newForeign(t)
	n := start(t, use)
	client := string(n.Example.Client.ID)
	n.trust(t, client, map[string]any{"issuer": f.URL, "subject": pod})
	n.want(t, 200, "PATCH", "/clients/"+client, map[string]any{"binding": "dpop", "profile": "fapi2"})
	jwt := f.make(f.ofPod(n.clock.now(), nil))
	if got := n.tokenOf(t, client, jwt); got.status != 401 {
		t.Errorf("got %d %s", got.status, got.body)
	}
	if accepted, names := n.broken(t, client, jwt); accepted || names != "client" {
		t.Errorf("the test accepts it (%t), or names %s", accepted, names)
	}
}
