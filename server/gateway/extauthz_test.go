package gateway_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"postern/server/certificate"
	"postern/server/gateway"
	"postern/server/gateway/gatewaytest"
	"postern/server/token"
	"postern/store"
)

// envoy asks a World by gRPC.
type envoy struct {
	*gatewaytest.World

	client   authv3.AuthorizationClient
	metadata metadata.MD
}

func newEnvoy(t *testing.T, w *gatewaytest.World) *envoy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, ended := gateway.NewExtAuthz(w.Handler, nil), make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		server.Stop()
		if err := <-ended; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Error(err)
		}
	})
	return &envoy{w, authv3.NewAuthorizationClient(conn), metadata.Pairs("x-postern-api", "shop", "x-postern-gateway", w.Basic(gatewaytest.Gateway))}
}

func (e *envoy) check(t *testing.T, method, path, token string, change ...func(*authv3.AttributeContext)) *authv3.CheckResponse {
	t.Helper()
	headers := map[string]string{":path": "/files/secret", "x-original-uri": "/files/secret", "x-forwarded-for": "203.0.113.9"}
	if token != "" {
		headers["authorization"] = "Bearer " + token
	}
	a := &authv3.AttributeContext{
		Source:  &authv3.AttributeContext_Peer{Address: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{Address: "192.0.2.7"}}}},
		Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{Method: method, Path: path, Host: "shop.example", Size: -1, Headers: headers}},
	}
	for _, c := range change {
		c(a)
	}
	answer, err := e.client.Check(metadata.NewOutgoingContext(t.Context(), e.metadata), &authv3.CheckRequest{Attributes: a})
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// status is what Envoy answers with, or 200.
func status(answer *authv3.CheckResponse) int {
	if denied := answer.GetDeniedResponse(); denied != nil {
		return int(denied.GetStatus().GetCode())
	}
	if answer.GetOkResponse() != nil && answer.GetStatus().GetCode() == int32(codes.OK) {
		return 200
	}
	return 0
}

func TestExtAuthzDecidesAsABindingDoes(t *testing.T) {
	w := gatewaytest.New(t)
	e := newEnvoy(t, w)
	tok := w.Token(t, gatewaytest.Machine)
	for _, tt := range []struct {
		name, method, path, token string
		want                      int
	}{
		{"allowed", "GET", "/files/open?a=1", tok, 200},
		{"denied", "GET", "/files/secret", tok, 403},
		{"a method of its own", "BREW", "/any", tok, 200},
		{"small letters", "get", "/any", tok, 403},
		{"no token", "GET", "/files/open", "", 401},
		{"a bad token", "GET", "/files/open", tok + "x", 401},
		{"two tokens", "GET", "/files/open", tok + ",Bearer " + tok, 401},
		{"no path", "GET", "", tok, 403},
		{"public", "GET", "/health", "", 200},
		{"a secret", "GET", "/files/open", w.Secret(gatewaytest.Bearer), 200},
	} {
		answer := e.check(t, tt.method, tt.path, tt.token)
		if got := status(answer); got != tt.want {
			t.Errorf("%s: got %d, want %d", tt.name, got, tt.want)
		}
		if code := codes.Code(answer.GetStatus().GetCode()); (code == codes.OK) != (tt.want == 200) {
			t.Errorf("%s: the code is %s", tt.name, code)
		}
	}
	for _, spelling := range gatewaytest.Spellings() {
		for _, last := range []string{"open", "secret"} {
			if target := strings.ReplaceAll(spelling, "X", last); status(e.check(t, "GET", target, tok)) == 200 {
				t.Errorf("%q is allowed", target)
			}
		}
	}
	given := map[string]string{}
	answer := e.check(t, "GET", "/files/open", w.Secret(gatewaytest.Bearer)).GetOkResponse()
	for _, h := range answer.GetHeaders() {
		if h.GetAppendAction() != corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD {
			t.Errorf("%s is not put in the place of the client's", h.GetHeader().GetKey())
		}
		given[h.GetHeader().GetKey()] = h.GetHeader().GetValue()
	}
	if given["x-auth-client"] != string(gatewaytest.Bearer) || given["x-auth-roles"] != "acme/clerk" || strings.Count(given["authorization"], ".") != 2 || len(given) != 6 {
		t.Errorf("Envoy is given %v", given)
	}
	if removed := e.check(t, "GET", "/health", tok).GetOkResponse().GetHeadersToRemove(); !strings.Contains(strings.Join(removed, " "), "authorization") {
		t.Errorf("of a public call the upstream gets Authorization; removed is %v", removed)
	}
}

func TestExtAuthzNeedsAnAPIAndACredential(t *testing.T) {
	w := gatewaytest.New(t)
	e := newEnvoy(t, w)
	tok, good := w.Token(t, gatewaytest.Machine), e.metadata
	for name, tt := range map[string]struct {
		metadata metadata.MD
		want     int
	}{
		"nothing": {metadata.MD{}, 401}, "no credential": {metadata.Pairs("x-postern-api", "shop"), 401},
		"a stranger's": {metadata.Pairs("x-postern-api", "shop", "x-postern-gateway", w.Basic(gatewaytest.Stranger)), 401},
		"no API":       {metadata.Pairs("x-postern-gateway", w.Basic(gatewaytest.Gateway)), 403},
		"two APIs":     {metadata.Pairs("x-postern-api", "shop", "x-postern-api", "shop", "x-postern-gateway", w.Basic(gatewaytest.Gateway)), 403},
	} {
		e.metadata = tt.metadata
		if got := status(e.check(t, "GET", "/files/open", tok)); got != tt.want {
			t.Errorf("%s: got %d, want %d", name, got, tt.want)
		}
	}
	e.metadata = good
	w.SetAge(2 * time.Minute)
	if got := status(e.check(t, "GET", "/files/open", tok)); got != 503 {
		t.Errorf("from an old state: got %d", got)
	}
	w.SetAge(0)
	// A client with a list calls from what Envoy says, not from what a header says.
	gatewaytest.Change(t, w, string(gatewaytest.Machine), func(c *store.Client) { c.Addresses = []string{"203.0.113.9/32"} })
	if got := status(e.check(t, "GET", "/files/open", tok)); got != 403 {
		t.Errorf("from another address: got %d", got)
	}
	gatewaytest.Change(t, w, string(gatewaytest.Machine), func(c *store.Client) { c.Addresses = []string{"192.0.2.7/32"} })
	if got := status(e.check(t, "GET", "/files/open", tok)); got != 200 {
		t.Errorf("from its address: got %d", got)
	}
}

// DC6
func TestDC6ExtAuthzDecidesBodies(t *testing.T) {
	w := graphqlShop(t)
	e := newEnvoy(t, w)
	tok := w.Token(t, gatewaytest.Machine)
	query := graphqlBody(`{ devices { id } }`)
	post := func(body string, change func(*authv3.AttributeContext_HttpRequest)) int {
		return status(e.check(t, "POST", "/graphql", tok, func(a *authv3.AttributeContext) {
			r := a.GetRequest().GetHttp()
			r.Body, r.Size = body, int64(len(body))
			r.Headers["content-type"] = "application/json"
			if change != nil {
				change(r)
			}
		}))
	}
	for name, tt := range map[string]struct {
		body   string
		change func(*authv3.AttributeContext_HttpRequest)
		want   int
	}{
		"a query":       {query, nil, 200},
		"as bytes":      {query, func(r *authv3.AttributeContext_HttpRequest) { r.RawBody, r.Body = []byte(r.GetBody()), "" }, 200},
		"in chunks":     {query, func(r *authv3.AttributeContext_HttpRequest) { r.Size = -1 }, 200},
		"another field": {graphqlBody(`{ users { id } }`), nil, 403},
		"no body":       {"", nil, 403},
		"a part":        {query, func(r *authv3.AttributeContext_HttpRequest) { r.Size++ }, 403},
		"said a part":   {query, func(r *authv3.AttributeContext_HttpRequest) { r.Headers["x-envoy-auth-partial-body"] = "true" }, 403},
		"encoded":       {query, func(r *authv3.AttributeContext_HttpRequest) { r.Headers["content-encoding"] = "gzip" }, 403},
		"too large":     {query + strings.Repeat(" ", 64<<10), nil, 403},
		"with a query":  {query, func(r *authv3.AttributeContext_HttpRequest) { r.Path = "/graphql?query=x" }, 403},
	} {
		if got := post(tt.body, tt.change); got != tt.want {
			t.Errorf("%s: got %d, want %d", name, got, tt.want)
		}
	}
}

// Bound tokens: the proof is a header of the client, the certificate is in Envoy's
// own attributes.
func TestExtAuthzDecidesAboutBoundTokens(t *testing.T) {
	w := gatewaytest.New(t)
	e := newEnvoy(t, w)
	prover := gatewaytest.NewProver(t)
	tok := w.Token(t, gatewaytest.Machine, func(c *token.Claims) { c.Confirmation.Key = prover.Thumbprint() })
	send := func(proof string) *authv3.CheckResponse {
		return e.check(t, "GET", "/files/open", "", func(a *authv3.AttributeContext) {
			headers := a.GetRequest().GetHttp().GetHeaders()
			headers["authorization"], headers["dpop"] = "DPoP "+tok, proof
		})
	}
	proof := func(nonce string) string {
		return prover.Proof("GET", "https://shop.example/files/open", w.Now(), map[string]any{"ath": gatewaytest.Hash(tok), "nonce": nonce})
	}
	nonce := ""
	first := send(proof(""))
	for _, h := range first.GetDeniedResponse().GetHeaders() {
		if h.GetHeader().GetKey() == "dpop-nonce" {
			nonce = h.GetHeader().GetValue()
		}
	}
	if status(first) != 401 || nonce == "" {
		t.Fatalf("without a nonce: %v", first)
	}
	good := proof(nonce)
	if got := []int{status(send(good)), status(send(good)), status(send(proof(nonce) + "," + proof(nonce)))}; !slices.Equal(got, []int{200, 401, 401}) {
		t.Errorf("once, again, two in one: %v", got)
	}

	own := newCertificate(t)
	text := url.QueryEscape(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: own.Raw})))
	bound := w.Token(t, gatewaytest.Machine, func(c *token.Claims) { c.Confirmation.Certificate = certificate.Thumbprint(own) })
	for name, tt := range map[string]struct {
		change func(*authv3.AttributeContext)
		want   int
	}{
		"its certificate": {func(a *authv3.AttributeContext) { a.Source.Certificate = strings.ReplaceAll(text, "+", "%20") }, 200},
		"none":            {func(*authv3.AttributeContext) {}, 401},
		"in a header":     {func(a *authv3.AttributeContext) { a.GetRequest().GetHttp().GetHeaders()["x-client-cert"] = text }, 401},
	} {
		if got := status(e.check(t, "GET", "/files/open", bound, tt.change)); got != tt.want {
			t.Errorf("%s: %d, want %d", name, got, tt.want)
		}
	}
}

func newCertificate(t *testing.T) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
