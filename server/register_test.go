package server_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"postern/server"
	"postern/server/gateway/gatewaytest"
)

func registering(o *server.Options) { o.DynamicRegistration = true }

// registers sends a request of dynamic registration.
func (n *node) registers(t testing.TB, method, path, token string, body any) answer {
	t.Helper()
	text := []byte{}
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			t.Fatal(err)
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), method, n.url+"/oauth2/register"+path, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return do(t, r)
}

func with(pairs ...any) map[string]any {
	m := map[string]any{"client_name": "a workload", "postern_roles": []string{"example-reader"}}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i].(string)] = pairs[i+1]
	}
	return m
}

// RFC 7591 section 3: a client of each method is registered, and gets a token.
func TestRegistrationOfEachMethod(t *testing.T) {
	d := startMTLS(t, registering)
	admin := by(d.Admin).secret
	register := func(method string, more ...any) (as, map[string]any) {
		t.Helper()
		got := d.registers(t, "POST", "", admin, with(append(more, "token_endpoint_auth_method", method)...))
		if got.status != 201 || got.header.Get("Cache-Control") != "no-store" {
			t.Fatalf("%s: got %d %s", method, got.status, got.body)
		}
		m := got.json(t)
		secret, _ := m["client_secret"].(string)
		if (secret != "") != strings.HasPrefix(method, "client_secret") || (m["client_secret_expires_at"] != nil) != (secret != "") {
			t.Errorf("%s: the secret and its end: %s", method, got.body)
		}
		if m["token_endpoint_auth_method"] != method || m["client_id_issued_at"] == nil || !strings.HasPrefix(m["registration_client_uri"].(string), issuer+"/oauth2/register/cli") {
			t.Errorf("%s: got %s", method, got.body)
		}
		return as{m["client_id"].(string), secret}, m
	}
	works := func(method string, got answer) {
		t.Helper()
		if text := textOf(t, got); d.decided(t, text, "GET", "/orders/7") != 200 {
			t.Errorf("%s: its token opens nothing", method)
		}
	}
	basic, _ := register("client_secret_basic")
	works("basic", d.form(t, "/oauth2/token", basic, wantToken))
	if got := d.form(t, "/oauth2/token", as{}, wantToken, "client_id="+basic.id, "client_secret="+basic.secret); got.status != 401 {
		t.Errorf("by another method than the registered one: got %d", got.status)
	}
	post, _ := register("client_secret_post")
	works("post", d.form(t, "/oauth2/token", as{}, wantToken, "client_id="+post.id, "client_secret="+post.secret))
	s := newSigner(t, "ES256", "k")
	signed, _ := register("private_key_jwt", "jwks", json.RawMessage(`{"keys":[`+s.jwk()+`]}`))
	works("private_key_jwt", d.tokenBy(t, s.assert(signed.id, d.clock.now(), nil)))
	own := certify(t, nil, nil)
	key := newSigner(t, "ES256", "k").jwk()
	self, _ := register("self_signed_tls_client_auth", "jwks", json.RawMessage(`{"keys":[`+strings.TrimSuffix(key, "}")+`,"x5c":["`+base64.StdEncoding.EncodeToString(own.Raw)+`"]}]}`))
	works("self_signed_tls_client_auth", d.tokenFor(t, self.id, own))
	named, _ := register("tls_client_auth", "tls_client_auth_san_dns", "ci.example")
	works("tls_client_auth", d.tokenFor(t, named.id, certify(t, d.ca, nil)))
	bound, m := register("client_secret_basic", "dpop_bound_access_tokens", true)
	if got := d.form(t, "/oauth2/token", bound, wantToken); got.status != 400 || got.error() != "invalid_dpop_proof" || m["dpop_bound_access_tokens"] != true {
		t.Errorf("tokens bound by DPoP: got %d %s", got.status, got.body)
	}
	r := d.formRequest(t, "/oauth2/token", wantToken)
	r.SetBasicAuth(bound.id, bound.secret)
	r.Header.Set("DPoP", gatewaytest.NewProver(t).Proof("POST", tokenEndpoint, d.clock.now(), nil))
	if got := do(t, r); got.status != 200 {
		t.Errorf("with a proof: got %d %s", got.status, got.body)
	}
	if meta := d.get(t, "/.well-known/oauth-authorization-server").json(t); meta["registration_endpoint"] != issuer+"/oauth2/register" {
		t.Errorf("metadata: %v", meta["registration_endpoint"])
	}
}

// RFC 7592: its registration token reads, changes and deletes a client, and no other.
func TestRegistrationIsManaged(t *testing.T) {
	n := start(t, registering)
	made := n.registers(t, "POST", "", by(n.Admin).secret, with()).json(t)
	id, token := "/"+made["client_id"].(string), made["registration_access_token"].(string)
	who := as{made["client_id"].(string), made["client_secret"].(string)}
	other := n.registers(t, "POST", "", by(n.Admin).secret, with()).json(t)
	got := n.registers(t, "GET", id, token, nil)
	if m := got.json(t); got.status != 200 || m["client_name"] != "a workload" || m["client_secret"] != nil || m["registration_access_token"] != token || m["postern_workspace"] != "default" {
		t.Errorf("read: got %d %s", got.status, got.body)
	}
	for name, of := range map[string]string{"none": "", "another's": other["registration_access_token"].(string), "a secret": who.secret, "the administrator's": by(n.Admin).secret, "its id": who.id} {
		for _, method := range []string{"GET", "PUT", "DELETE"} {
			got := n.registers(t, method, id, of, with())
			if got.status != 401 || !strings.Contains(got.header.Get("WWW-Authenticate"), "invalid_token") {
				t.Errorf("%s with the token %s: got %d %s", method, name, got.status, got.body)
			}
		}
	}
	if got := n.registers(t, "GET", "/cli000000000000000000000000", token, nil); got.status != 401 {
		t.Errorf("of nobody: got %d", got.status)
	}
	// From a secret to a key: the secret ends.
	s := newSigner(t, "ES256", "k")
	text := n.issue(t, who)
	got = n.registers(t, "PUT", id, token, map[string]any{
		"client_name": "renamed", "token_endpoint_auth_method": "private_key_jwt", "jwks": json.RawMessage(`{"keys":[` + s.jwk() + `]}`),
		"postern_roles": []string{"owner"}, "postern_workspace": "system",
	})
	if m := got.json(t); got.status != 200 || m["client_name"] != "renamed" || m["postern_workspace"] != "default" {
		t.Errorf("changed: got %d %s", got.status, got.body)
	}
	if got := n.form(t, "/oauth2/token", who, wantToken); got.status != 401 || n.active(t, text) {
		t.Errorf("the old secret: got %d", got.status)
	}
	if got := n.tokenBy(t, s.assert(who.id, n.clock.now(), nil)); got.status != 200 {
		t.Errorf("the new key: got %d %s", got.status, got.body)
	}
	if roles := fmt.Sprint(n.want(t, 200, "GET", "/clients/"+who.id, nil).json(t)["roles"]); roles != "[default/example-reader]" {
		t.Errorf("its roles are %s", roles)
	}
	// The same again changes no key; a binding is not loosened.
	body := map[string]any{"client_name": "renamed", "token_endpoint_auth_method": "private_key_jwt", "jwks": json.RawMessage(`{"keys":[` + s.jwk() + `]}`), "dpop_bound_access_tokens": true}
	if got := n.registers(t, "PUT", id, token, body); got.status != 200 {
		t.Errorf("bound: got %d %s", got.status, got.body)
	}
	delete(body, "dpop_bound_access_tokens")
	if got := n.registers(t, "PUT", id, token, body); got.status != 403 || got.error() != "access_denied" {
		t.Errorf("loosened: got %d %s", got.status, got.body)
	}
	if got := n.registers(t, "PUT", id, token, map[string]any{"client_name": "x"}); got.status != 400 {
		t.Errorf("back to a secret: got %d %s", got.status, got.body)
	}
	if got := n.registers(t, "DELETE", id, token, nil); got.status != 204 || got.body != "" {
		t.Errorf("deleted: got %d %s", got.status, got.body)
	}
	if got := n.registers(t, "GET", id, token, nil); got.status != 401 {
		t.Errorf("after that: got %d", got.status)
	}
	if got := n.tokenBy(t, s.assert(who.id, n.clock.now(), nil)); got.status != 401 {
		t.Errorf("a deleted client: got %d", got.status)
	}
	// Revoking a client ends its registration.
	n.want(t, 200, "POST", "/clients/"+other["client_id"].(string)+"/revoke", nil)
	if got := n.registers(t, "GET", "/"+other["client_id"].(string), other["registration_access_token"].(string), nil); got.status != 401 {
		t.Errorf("of a revoked client: got %d", got.status)
	}
	audit := n.want(t, 200, "GET", "/audit?workspace=default&limit=100", nil).body
	if strings.Contains(audit, token) || strings.Contains(n.log.String(), token) || strings.Contains(audit, "registration_hash") {
		t.Error("the registration token, or its hash, is in the audit or the log")
	}
	if !strings.Contains(audit, "client.delete") {
		t.Error("nothing tells of the deletion")
	}
}

func TestRegistrationIsRefused(t *testing.T) {
	off := start(t)
	if got := off.registers(t, "POST", "", by(off.Admin).secret, with()); got.status != 404 {
		t.Errorf("it is off, and got %d %s", got.status, got.body)
	}
	if strings.Contains(off.get(t, "/.well-known/oauth-authorization-server").body, "registration") {
		t.Error("it is off, and in the metadata")
	}
	n := start(t, registering)
	nobody, _ := n.client(t, map[string]any{"roles": roles("example-reader")})
	for name, token := range map[string]string{"none": "", "a stranger's": "hello", "a token for another API": n.issue(t, by(n.Example))} {
		if got := n.registers(t, "POST", "", token, with()); got.status != 401 {
			t.Errorf("the initial access token is %s: got %d %s", name, got.status, got.body)
		}
	}
	if got := n.registers(t, "POST", "", nobody.secret, with()); got.status != 403 || got.error() != "access_denied" {
		t.Errorf("by who may create no clients: got %d %s", got.status, got.body)
	}
	key := newSigner(t, "ES256", "k").jwk()
	for name, tt := range map[string]struct {
		body map[string]any
		code string
	}{
		"another grant":            {with("grant_types", []string{"authorization_code"}), "invalid_client_metadata"},
		"a redirect":               {with("redirect_uris", []string{"https://a.example"}), "invalid_redirect_uri"},
		"a response type":          {with("response_types", []string{"code"}), "invalid_client_metadata"},
		"a statement":              {with("software_statement", "e30.e30."), "unapproved_software_statement"},
		"client_secret_jwt":        {with("token_endpoint_auth_method", "client_secret_jwt"), "invalid_client_metadata"},
		"none":                     {with("token_endpoint_auth_method", "none"), "invalid_client_metadata"},
		"a key without a method":   {with("jwks", json.RawMessage(`{"keys":[`+key+`]}`)), "invalid_client_metadata"},
		"a method without a key":   {with("token_endpoint_auth_method", "private_key_jwt"), "invalid_client_metadata"},
		"two keys":                 {with("token_endpoint_auth_method", "private_key_jwt", "jwks", json.RawMessage(`{"keys":[`+key+`,`+key+`]}`)), "invalid_client_metadata"},
		"a private key":            {with("token_endpoint_auth_method", "private_key_jwt", "jwks", json.RawMessage(`{"keys":[`+strings.TrimSuffix(key, "}")+`,"d":"AA"}]}`)), "invalid_client_metadata"},
		"an address without TLS":   {with("token_endpoint_auth_method", "private_key_jwt", "jwks_uri", "http://a.example"), "invalid_client_metadata"},
		"no certificate":           {with("token_endpoint_auth_method", "self_signed_tls_client_auth", "jwks", json.RawMessage(`{"keys":[`+key+`]}`)), "invalid_client_metadata"},
		"two names":                {with("token_endpoint_auth_method", "tls_client_auth", "tls_client_auth_san_dns", "a.example", "tls_client_auth_san_ip", "10.0.0.1"), "invalid_client_metadata"},
		"two bindings":             {with("dpop_bound_access_tokens", true, "tls_client_certificate_bound_access_tokens", true), "invalid_client_metadata"},
		"a number for a name":      {with("client_name", 7), "invalid_client_metadata"},
		"a role that there is not": {with("postern_roles", []string{"nothing"}), "invalid_client_metadata"},
		"64 kB":                    {with("client_uri", strings.Repeat("x", 70<<10)), "invalid_client_metadata"},
	} {
		got := n.registers(t, "POST", "", by(n.Admin).secret, tt.body)
		if got.status != 400 || got.error() != tt.code || !json.Valid([]byte(got.body)) {
			t.Errorf("%s: got %d %s; want %s", name, got.status, got.body, tt.code)
		}
	}
	r, _ := http.NewRequestWithContext(t.Context(), "POST", n.url+"/oauth2/register", strings.NewReader(`{"client_name":"a","client_name":"b"}`))
	r.Header = http.Header{"Authorization": {"Bearer " + by(n.Admin).secret}, "Content-Type": {"application/json"}}
	if got := do(t, r); got.status != 400 {
		t.Errorf("a member twice: got %d %s", got.status, got.body)
	}
	r = n.formRequest(t, "/oauth2/register", url.Values{"client_name": {"x"}}.Encode())
	r.Header.Set("Authorization", "Bearer "+by(n.Admin).secret)
	if got := do(t, r); got.status != 400 {
		t.Errorf("a form: got %d %s", got.status, got.body)
	}
}
