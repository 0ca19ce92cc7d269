package clienttest_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"postern/docs/guidetest"
	"postern/server/guard"
	"postern/server/servertest"
)

var update = flag.Bool("update", false, "write the table of the guide anew")

// asked is what a library is told.
type asked struct {
	Library       string `json:"library"`
	Modules       string `json:"modules,omitempty"`
	Issuer        string `json:"issuer"`
	Client        string `json:"client"`
	Secret        string `json:"secret"`
	Scope         string `json:"scope"`
	Audience      string `json:"audience"`
	Gateway       string `json:"gateway"`
	GatewaySecret string `json:"gateway_secret"`
	// Key is a private key, a JWK, whose public half is registered.
	Key json.RawMessage `json:"key"`
	// MTLS is where a certificate is presented; the others are files in PEM.
	MTLS        string `json:"mtls"`
	Authority   string `json:"authority"`
	Certificate string `json:"certificate"`
	PrivateKey  string `json:"private_key"`
	// Resource is a server behind a guard.
	Resource string `json:"resource"`
}

// given is what its flows gave; empty where it has no such flow.
type given struct {
	Discovery  string         `json:"discovery"` // the token endpoint
	Basic      string         `json:"basic"`     // an access token
	Post       string         `json:"post"`
	Signed     string         `json:"signed"`    // an access token, by private_key_jwt
	Presented  string         `json:"presented"` // an access token, by a certificate
	Proven     string         `json:"proven"`    // an access token, bound by DPoP
	Called     int            `json:"called"`    // the status of the resource, with Proven
	Wrong      string         `json:"wrong"`     // the error of a wrong secret
	Introspect map[string]any `json:"introspect"`
	Verify     string         `json:"verify"` // the client's id, of a token that it verified
	Revoke     int            `json:"revoke"` // of the token in Post
}

// libraries are those that run, and how.
var libraries = []struct {
	name string
	run  func(t *testing.T, a asked) given
	// odd is how it says what Postern answers with invalid_client, where it does
	// not say so.
	odd string
}{
	{"golang.org/x/oauth2", runGo, ""},
	{"authlib", runPython, ""},
	{"requests-oauthlib", runPython, ""},
	{"openid-client", runNode, "basic"},
	{"oauth4webapi", runNode, "basic"},
	{"curl", runCurl, ""},
}

func TestEveryLibraryWorks(t *testing.T) {
	files := newFiles(t)
	s := servertest.Start(t, files.listen)
	private := register(t, s)
	s.Post(t, "/clients/"+string(s.Example.Client.ID)+"/secrets", map[string]any{"certificate": files.text, "keep": true}, nil)
	g, err := guard.New(guard.Options{Decisions: s.Decisions + "/decide/nginx/example"})
	if err != nil {
		t.Fatal(err)
	}
	resource := httptest.NewServer(g.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })))
	t.Cleanup(resource.Close)
	all := map[string]given{}
	for _, l := range libraries {
		t.Run(l.name, func(t *testing.T) {
			a := asked{
				Library: l.name, Issuer: s.URL, Client: string(s.Example.Client.ID), Secret: s.Example.Secret.Reveal(), Scope: "orders:read",
				Audience: s.API.Audience, Gateway: string(s.Gateway.Client.ID), GatewaySecret: s.Gateway.Secret.Reveal(),
				Key: private, MTLS: files.url, Authority: files.authority, Certificate: files.certificate, PrivateKey: files.key, Resource: resource.URL + "/orders/7",
			}
			got := l.run(t, a)
			all[l.name] = got
			if got.Discovery != "" && got.Discovery != s.URL+"/oauth2/token" {
				t.Errorf("it found the token endpoint %q", got.Discovery)
			}
			for name, token := range map[string]string{"basic": got.Basic, "post": got.Post} {
				if want := name != "post" || got.Revoke == 0; token == "" || active(t, a, token) != want {
					t.Errorf("%s: its token of %d bytes is active: %t, want %t", name, len(token), !want, want)
				}
			}
			if got.Signed != "" && !active(t, a, got.Signed) {
				t.Error("the token that it got with its key is not active")
			}
			if got.Presented != "" && !active(t, a, got.Presented) {
				t.Error("the token that it got with its certificate is not active")
			}
			if got.Proven != "" && (!active(t, a, got.Proven) || got.Called != http.StatusOK) {
				t.Errorf("with the token that it bound to a key the resource answers %d", got.Called)
			}
			if got.Wrong != "invalid_client" && (l.odd == "" || got.Wrong != l.odd) {
				t.Errorf("a wrong secret is told as %q", got.Wrong)
			}
			if got.Introspect != nil && (got.Introspect["active"] != true || got.Introspect["client_id"] != a.Client) {
				t.Errorf("introspection gave %v", got.Introspect)
			}
			if got.Verify != "" && got.Verify != a.Client {
				t.Errorf("it verified the token of %q", got.Verify)
			}
			if got.Revoke != 0 && got.Revoke != http.StatusOK {
				t.Errorf("the revocation was answered with %d", got.Revoke)
			}
		})
	}
	if !t.Failed() {
		guidetest.Table(t, "../../../docs/clients.md", "## What was shown", table(all), *update)
	}
}

// register makes a key for the example's client, and returns the private one.
func register(t *testing.T, s *servertest.Server) json.RawMessage {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	private, err := key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	jwk := map[string]string{"kty": "EC", "crv": "P-256", "kid": "k1", "x": b64(public[1:33]), "y": b64(public[33:])}
	text, err := json.Marshal(jwk)
	if err != nil {
		t.Fatal(err)
	}
	s.Post(t, "/clients/"+string(s.Example.Client.ID)+"/secrets", map[string]any{"jwk": string(text), "keep": true}, nil)
	jwk["d"] = b64(private)
	if text, err = json.Marshal(jwk); err != nil {
		t.Fatal(err)
	}
	return text
}

// active asks whether a token is good.
func active(t *testing.T, a asked, token string) bool {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, a.Issuer+"/oauth2/introspect", strings.NewReader(url.Values{"token": {token}}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(a.Gateway, a.GatewaySecret)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var got struct{ Active bool }
	if err := json.NewDecoder(answer.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	return got.Active
}

func runGo(t *testing.T, a asked) (got given) {
	t.Helper()
	ctx := t.Context()
	provider, err := oidc.NewProvider(ctx, a.Issuer)
	if err != nil {
		t.Fatal(err)
	}
	got.Discovery = provider.Endpoint().TokenURL
	token := func(style oauth2.AuthStyle, secret string) (string, error) {
		c := clientcredentials.Config{ClientID: a.Client, ClientSecret: secret, TokenURL: got.Discovery, Scopes: []string{a.Scope}, AuthStyle: style}
		tok, err := c.Token(ctx)
		if err != nil {
			return "", err
		}
		return tok.AccessToken, nil
	}
	if got.Basic, err = token(oauth2.AuthStyleInHeader, a.Secret); err != nil {
		t.Error(err)
	}
	if got.Post, err = token(oauth2.AuthStyleInParams, a.Secret); err != nil {
		t.Error(err)
	}
	if _, err = token(oauth2.AuthStyleAutoDetect, a.Secret); err != nil {
		t.Errorf("finding out the method: %v", err)
	}
	pair, err := tls.LoadX509KeyPair(a.Certificate, a.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	authority, err := os.ReadFile(a.Authority)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	presenting := clientcredentials.Config{ClientID: a.Client, TokenURL: a.MTLS + "/oauth2/token", AuthStyle: oauth2.AuthStyleInParams}
	presented, err := presenting.Token(context.WithValue(ctx, oauth2.HTTPClient, &http.Client{Transport: transport}))
	if err != nil {
		t.Fatal(err)
	}
	got.Presented = presented.AccessToken
	_, err = token(oauth2.AuthStyleInHeader, "wrong")
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		got.Wrong = refused.ErrorCode
	}
	verified, err := provider.Verifier(&oidc.Config{ClientID: a.Audience, SupportedSigningAlgs: []string{"ES256"}}).Verify(ctx, got.Basic)
	if err != nil {
		t.Fatal(err)
	}
	var claims struct {
		Client string `json:"client_id"`
	}
	if err := verified.Claims(&claims); err != nil {
		t.Fatal(err)
	}
	got.Verify = claims.Client
	return got
}

func runPython(t *testing.T, a asked) given {
	t.Helper()
	python := os.Getenv("CLIENTS_PYTHON")
	if python == "" {
		t.Fatal("there is no $CLIENTS_PYTHON; get it by: make tools")
	}
	return runScript(t, a, python, "python.py")
}

func runNode(t *testing.T, a asked) given {
	t.Helper()
	if a.Modules = os.Getenv("CLIENTS_NODE"); a.Modules == "" {
		t.Fatal("there is no $CLIENTS_NODE; get it by: make tools")
	}
	return runScript(t, a, "node", "node.mjs")
}

func runScript(t *testing.T, a asked, program, script string) (got given) {
	t.Helper()
	path, err := filepath.Abs(script)
	if err != nil {
		t.Fatal(err)
	}
	in, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	out := execute(t.Context(), t, bytes.NewReader(in), program, path)
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return got
}

func execute(ctx context.Context, t *testing.T, in *bytes.Reader, program string, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(ctx, program, args...)
	if in != nil {
		cmd.Stdin = in
	}
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", program, err, &said)
	}
	return out
}

func runCurl(t *testing.T, a asked) (got given) {
	t.Helper()
	curl := func(path string, args ...string) (answer map[string]any) {
		t.Helper()
		out := execute(t.Context(), t, nil, "curl", append([]string{"-sS", a.Issuer + path}, args...)...)
		if len(out) > 0 {
			if err := json.Unmarshal(out, &answer); err != nil {
				t.Fatalf("%s: %v: %s", path, err, out)
			}
		}
		return answer
	}
	text := func(v any) string { s, _ := v.(string); return s }
	got.Discovery = text(curl("/.well-known/oauth-authorization-server")["token_endpoint"])
	got.Basic = text(curl("/oauth2/token", "-u", a.Client+":"+a.Secret, "-d", "grant_type=client_credentials", "-d", "scope="+a.Scope)["access_token"])
	got.Post = text(curl("/oauth2/token", "-d", "grant_type=client_credentials", "-d", "client_id="+a.Client, "-d", "client_secret="+a.Secret)["access_token"])
	var presented map[string]any
	if err := json.Unmarshal(execute(t.Context(), t, nil, "curl", "-sS", a.MTLS+"/oauth2/token", "--cacert", a.Authority, "--cert", a.Certificate, "--key", a.PrivateKey,
		"-d", "grant_type=client_credentials", "-d", "client_id="+a.Client), &presented); err != nil {
		t.Fatal(err)
	}
	got.Presented = text(presented["access_token"])
	got.Wrong = text(curl("/oauth2/token", "-u", a.Client+":wrong", "-d", "grant_type=client_credentials")["error"])
	got.Introspect = curl("/oauth2/introspect", "-u", a.Gateway+":"+a.GatewaySecret, "-d", "token="+got.Basic)
	curl("/oauth2/revoke", "-f", "-u", a.Client+":"+a.Secret, "-d", "token="+got.Post)
	got.Revoke = http.StatusOK
	return got
}
