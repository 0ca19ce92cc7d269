package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"postern/server"
	"postern/server/certificate"
)

// issued is a certificate with its key.
type issued struct {
	*x509.Certificate
	key *ecdsa.PrivateKey
}

// certify makes a certificate signed by an authority, nil is by itself.
func certify(t testing.TB, by *issued, edit func(*x509.Certificate)) *issued {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{Organization: []string{"Example"}, CommonName: "ci"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		DNSNames: []string{"ci.example"},
	}
	if edit != nil {
		edit(template)
	}
	parent, signer := template, key
	if by != nil {
		parent, signer = by.Certificate, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &issued{c, key}
}

func authority(t testing.TB) *issued {
	t.Helper()
	return certify(t, nil, func(c *x509.Certificate) {
		c.Subject, c.IsCA, c.BasicConstraintsValid = pkix.Name{CommonName: "authority"}, true, true
		c.KeyUsage, c.ExtKeyUsage, c.DNSNames = x509.KeyUsageCertSign, nil, nil
	})
}

func (i *issued) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.Raw}))
}

func (i *issued) tls(chain ...*issued) tls.Certificate {
	c := tls.Certificate{Certificate: [][]byte{i.Raw}, PrivateKey: i.key}
	for _, each := range chain {
		c.Certificate = append(c.Certificate, each.Raw)
	}
	return c
}

// door is a node with a listener for certificates of clients.
type door struct {
	*node
	ca    *issued // issues certificates to clients
	roots *x509.CertPool
}

const mtlsURL = "https://mtls.postern.test"

func startMTLS(t testing.TB, edit ...func(*server.Options)) *door {
	t.Helper()
	d := &door{ca: authority(t), roots: x509.NewCertPool()}
	site := certify(t, nil, func(c *x509.Certificate) {
		c.IPAddresses, c.ExtKeyUsage = []net.IP{net.IPv4(127, 0, 0, 1)}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	})
	d.roots.AddCert(site.Certificate)
	clients := x509.NewCertPool()
	clients.AddCert(d.ca.Certificate)
	d.node = start(t, append([]func(*server.Options){func(o *server.Options) {
		o.MTLSListen, o.MTLSURL, o.ClientCAs = "127.0.0.1:0", mtlsURL, clients
		o.MTLSTLS = &tls.Config{Certificates: []tls.Certificate{site.tls()}, MinVersion: tls.VersionTLS12}
	}}, edit...)...)
	return d
}

// present sends a request to the listener for certificates, nil presents none.
func (d *door) present(t testing.TB, r *http.Request, cert *tls.Certificate) answer {
	t.Helper()
	config := &tls.Config{RootCAs: d.roots, MinVersion: tls.VersionTLS12}
	if cert != nil {
		// Whatever the server says it would accept.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
	}
	transport := &http.Transport{TLSClientConfig: config}
	defer transport.CloseIdleConnections()
	r.URL.Scheme, r.URL.Host = "https", d.server.MTLSAddr()
	return doWith(t, transport, r)
}

// tokenFor asks for a token of a client by a certificate.
func (d *door) tokenFor(t testing.TB, client string, cert *issued, more ...string) answer {
	t.Helper()
	r := d.formRequest(t, "/oauth2/token", strings.Join(append(more, wantToken, "client_id="+client), "&"))
	if cert == nil {
		return d.present(t, r, nil)
	}
	c := cert.tls()
	return d.present(t, r, &c)
}

func textOf(t testing.TB, a answer) string {
	t.Helper()
	if a.status != 200 {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	text, _ := a.json(t)["access_token"].(string)
	return text
}

func TestM00AClientPresentsItsCertificate(t *testing.T) {
	d := startMTLS(t)
	client := string(d.Example.Client.ID)
	own := certify(t, nil, nil)
	d.register(t, client, map[string]any{"certificate": own.pem(), "label": "own", "keep": true})
	text := textOf(t, d.tokenFor(t, client, own))
	if !d.active(t, text) || d.decided(t, text, "GET", "/orders/7") != 200 {
		t.Error("the token of a registered certificate is not good")
	}
	d.register(t, client, map[string]any{"certificate_name": "dns:ci.example", "keep": true})
	inter := certify(t, d.ca, func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage, c.ExtKeyUsage = true, true, x509.KeyUsageCertSign, nil
	})
	for name, cert := range map[string]tls.Certificate{
		"issued":         certify(t, d.ca, nil).tls(),
		"issued anew":    certify(t, d.ca, nil).tls(),
		"through a link": certify(t, inter, nil).tls(inter),
	} {
		if got := d.present(t, d.formRequest(t, "/oauth2/token", wantToken+"&client_id="+client), &cert); got.status != 200 {
			t.Errorf("%s: got %d %s", name, got.status, got.body)
		}
	}
	// Revoking the registration ends it, and its tokens.
	shown, _ := d.want(t, 200, "GET", "/clients/"+client, nil).json(t)["secrets"].([]any)
	for _, each := range shown {
		s, _ := each.(map[string]any)
		if s["label"] == "own" {
			if s["x5t#S256"] != certificate.Thumbprint(own.Certificate) || s["expires_at"] == nil {
				t.Errorf("shown as %v", s)
			}
			d.want(t, 200, "DELETE", fmt.Sprintf("/clients/%s/secrets/%s?force=true", client, s["id"]), nil)
		}
	}
	if d.active(t, text) {
		t.Error("the token outlived the certificate's registration")
	}
	if got := d.tokenFor(t, client, own); got.status != 401 {
		t.Errorf("a certificate that is not registered any more: got %d %s", got.status, got.body)
	}
	// A secret works there as everywhere.
	r := d.formRequest(t, "/oauth2/token", wantToken)
	r.SetBasicAuth(client, by(d.Example).secret)
	if got := d.present(t, r, nil); got.status != 200 {
		t.Errorf("a secret without a certificate: got %d %s", got.status, got.body)
	}
	meta := d.get(t, "/.well-known/oauth-authorization-server").json(t)
	aliases, _ := meta["mtls_endpoint_aliases"].(map[string]any)
	if aliases["token_endpoint"] != mtlsURL+"/oauth2/token" || meta["tls_client_certificate_bound_access_tokens"] != true ||
		!strings.Contains(fmt.Sprint(meta["token_endpoint_auth_methods_supported"]), "tls_client_auth") {
		t.Errorf("metadata: %v", meta)
	}
}

func TestM01NobodyElsePassesACertificate(t *testing.T) {
	d := startMTLS(t, func(o *server.Options) { o.CertificateHeader = "Client-Cert" })
	client, own := string(d.Example.Client.ID), certify(t, nil, nil)
	d.register(t, client, map[string]any{"certificate": own.pem(), "keep": true})
	escaped := url.QueryEscape(own.pem())
	for name, value := range map[string]string{
		"Client-Cert":                 ":" + base64.StdEncoding.EncodeToString(own.Raw) + ":",
		"X-Ssl-Client-Cert":           escaped,
		"X-Forwarded-Client-Cert":     `Cert="` + escaped + `"`,
		"X-Client-Cert":               escaped,
		"X-Forwarded-Tls-Client-Cert": base64.StdEncoding.EncodeToString(own.Raw),
	} {
		r := d.formRequest(t, "/oauth2/token", wantToken+"&client_id="+client)
		r.Header.Set(name, value)
		if got := do(t, r); got.status != 401 || got.error() != "invalid_client" {
			t.Errorf("%s from a stranger: got %d %s", name, got.status, got.body)
		}
	}
}

func TestM02AProxyThatIsTrustedPassesTheCertificate(t *testing.T) {
	own := certify(t, nil, nil)
	b64 := base64.StdEncoding.EncodeToString(own.Raw)
	escaped := url.PathEscape(own.pem())
	for header, forms := range map[string]map[string]int{
		"Client-Cert": {":" + b64 + ":": 200, b64: 200, "": 401, ":" + b64: 400, "::": 400, ":!:": 400, strings.Repeat("A", 32<<10): 400, "hello": 400},
		"X-Ssl-Client-Cert": {
			escaped: 200, strings.ReplaceAll(escaped, "+", "%2B"): 200, escaped[:len(escaped)/2]: 400, "%ZZ": 400,
			"-----BEGIN CERTIFICATE-----": 400, url.PathEscape(strings.ReplaceAll(own.pem(), "CERTIFICATE", "PUBLIC KEY")): 400,
		},
		"X-Forwarded-Client-Cert": {
			`By=spiffe://a/b;Hash=00;Subject="CN=a,O=\"b;Cert=c\"";Cert="` + escaped + `"`: 200, `Hash=00`: 401,
			`Cert="` + escaped + `",Cert="` + escaped + `"`: 400, `Cert="` + escaped + `";Cert="` + escaped + `"`: 400, `Cert="` + escaped: 400, "Cert": 400,
		},
	} {
		n := start(t, func(o *server.Options) {
			o.CertificateHeader, o.TrustedProxies = header, []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
			o.FailuresPerClientAddress.Count = 0
		})
		client := string(n.Example.Client.ID)
		n.register(t, client, map[string]any{"certificate": own.pem(), "keep": true})
		for value, want := range forms {
			r := n.formRequest(t, "/oauth2/token", wantToken+"&client_id="+client)
			r.Header.Set(header, value)
			if got := do(t, r); got.status != want {
				t.Errorf("%s: %.60s: got %d %s; want %d", header, value, got.status, got.body, want)
			}
		}
		r := n.formRequest(t, "/oauth2/token", wantToken+"&client_id="+client)
		r.Header[header] = []string{escaped, escaped}
		if got := do(t, r); got.status != 400 || got.error() != "invalid_request" {
			t.Errorf("%s twice: got %d %s", header, got.status, got.body)
		}
	}
}

func TestM03AClientIsWhoItsCertificateSays(t *testing.T) {
	d := startMTLS(t)
	client := string(d.Example.Client.ID)
	d.register(t, client, map[string]any{"certificate_name": "subject:CN=ci,O=Example", "keep": true})
	if got := d.tokenFor(t, client, certify(t, d.ca, nil)); got.status != 200 {
		t.Fatalf("the right one: got %d %s", got.status, got.body)
	}
	other := authority(t)
	for name, cert := range map[string]*issued{
		"self-signed":       certify(t, nil, nil),
		"another authority": certify(t, other, nil),
		"expired":           certify(t, d.ca, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }),
		"not yet":           certify(t, d.ca, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) }),
		"for servers":       certify(t, d.ca, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }),
		"another subject":   certify(t, d.ca, func(c *x509.Certificate) { c.Subject.CommonName = "cd" }),
		"more of a subject": certify(t, d.ca, func(c *x509.Certificate) { c.Subject.OrganizationalUnit = []string{"x"} }),
		"a comma in it":     certify(t, d.ca, func(c *x509.Certificate) { c.Subject = pkix.Name{CommonName: "ci,O=Example"} }),
		"the authority":     d.ca,
		"none":              nil,
	} {
		if got := d.tokenFor(t, client, cert); got.status != 401 || got.error() != "invalid_client" {
			t.Errorf("%s: got %d %s", name, got.status, got.body)
		}
	}
	for name, cert := range map[string]string{
		"expired":     certify(t, nil, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }).pem(),
		"for servers": certify(t, nil, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }).pem(),
		"no PEM":      "hello",
	} {
		if got := d.rest(t, "POST", "/clients/"+client+"/secrets", map[string]any{"certificate": cert, "keep": true}); got.status != 422 && got.status != 400 {
			t.Errorf("register %s: got %d %s", name, got.status, got.body)
		}
	}
	for _, name := range []string{"ci.example", "dns:", "dns:*.example", "ip:ci", "oid:1.2"} {
		if got := d.rest(t, "POST", "/clients/"+client+"/secrets", map[string]any{"certificate_name": name, "keep": true}); got.status != 422 && got.status != 400 {
			t.Errorf("register %s: got %d %s", name, got.status, got.body)
		}
	}
}

func TestM04ACertificateIsOfOneClient(t *testing.T) {
	d := startMTLS(t)
	a, _ := d.client(t, map[string]any{"bearer": false})
	b, _ := d.client(t, map[string]any{"bearer": false, "roles": roles("example-reader")})
	ofB := certify(t, nil, nil)
	d.register(t, b.id, map[string]any{"certificate": ofB.pem(), "keep": true})
	if got := d.tokenFor(t, b.id, ofB); got.status != 200 {
		t.Fatalf("its own: got %d %s", got.status, got.body)
	}
	for _, id := range []string{a.id, "cli" + strings.Repeat("0", 24), ""} {
		if got := d.tokenFor(t, id, ofB); got.status != 401 {
			t.Errorf("B's certificate as %q: got %d %s", id, got.status, got.body)
		}
	}
	// The subject of B's, by who made it up.
	if got := d.tokenFor(t, b.id, certify(t, nil, nil)); got.status != 401 {
		t.Errorf("another certificate of the same subject: got %d %s", got.status, got.body)
	}
	end := certify(t, nil, func(c *x509.Certificate) { c.NotAfter = d.clock.now().Add(time.Hour) })
	d.register(t, b.id, map[string]any{"certificate": end.pem(), "keep": true})
	if got := d.tokenFor(t, b.id, end); got.status != 200 {
		t.Errorf("an hour before its end: got %d %s", got.status, got.body)
	}
	d.clock.advance(2 * time.Hour)
	if got := d.tokenFor(t, b.id, end); got.status != 401 {
		t.Errorf("an hour after its end: got %d %s", got.status, got.body)
	}
}

func TestM05ATokenIsBoundToACertificate(t *testing.T) {
	for _, format := range []string{"jwt", "opaque"} {
		t.Run(format, func(t *testing.T) {
			d := startMTLS(t)
			d.setFormat(t, format)
			client, own, other := string(d.Example.Client.ID), certify(t, nil, nil), certify(t, nil, nil)
			d.register(t, client, map[string]any{"certificate": own.pem(), "keep": true})
			d.want(t, 200, "PATCH", "/clients/"+client, map[string]any{"binding": "certificate"})
			text := textOf(t, d.tokenFor(t, client, own))
			seen := d.introspect(t, by(d.Gateway), text)
			confirmation, _ := seen["cnf"].(map[string]any)
			if seen["active"] != true || seen["token_type"] != "Bearer" || confirmation["x5t#S256"] != certificate.Thumbprint(own.Certificate) {
				t.Errorf("introspection says %v", seen)
			}
			decide := func(header, value string) answer {
				r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, d.decide+"/decide/nginx/example", http.NoBody)
				r.Header = http.Header{"Authorization": {"Bearer " + text}, "X-Original-Method": {"GET"}, "X-Original-Uri": {"/orders/7"}}
				if header != "" {
					r.Header.Set(header, value)
				}
				return do(t, r)
			}
			if got := decide("X-Client-Cert", url.PathEscape(own.pem())); got.status != 401 {
				t.Errorf("by a header that no gateway is known to set: got %d", got.status)
			}
			d.want(t, 200, "PATCH", "/apis/example", map[string]any{"certificate_header": "x-client-cert"}, "If-Match", d.want(t, 200, "GET", "/apis/example", nil).header.Get("ETag"))
			for name, want := range map[string]struct {
				header, value string
				status        int
			}{
				"the certificate": {"X-Client-Cert", url.PathEscape(own.pem()), 200},
				"another":         {"X-Client-Cert", url.PathEscape(other.pem()), 401},
				"none":            {"", "", 401},
				"empty":           {"X-Client-Cert", "", 401},
				"elsewhere":       {"Client-Cert", url.PathEscape(own.pem()), 401},
				"no certificate":  {"X-Client-Cert", "hello", 401},
			} {
				got := decide(want.header, want.value)
				if got.status != want.status || want.status == 401 && !strings.Contains(got.header.Get("WWW-Authenticate"), "invalid_token") {
					t.Errorf("%s: got %d %v; want %d", name, got.status, got.header, want.status)
				}
			}
			// Without a certificate there is no token, whatever else the client has.
			if got := d.form(t, "/oauth2/token", by(d.Example), wantToken); got.status != 400 || got.error() != "invalid_request" {
				t.Errorf("by its secret alone: got %d %s", got.status, got.body)
			}
			r := d.formRequest(t, "/oauth2/token", wantToken)
			r.SetBasicAuth(client, by(d.Example).secret)
			cert := own.tls()
			if seen := d.introspect(t, by(d.Gateway), textOf(t, d.present(t, r, &cert))); seen["cnf"] == nil {
				t.Errorf("a token by secret and certificate is bound to nothing: %v", seen)
			}
		})
	}
}

// The administration asks for the certificate as any API does.
func TestM05BoundTokensAtPosternsOwnAPI(t *testing.T) {
	d := startMTLS(t)
	own := certify(t, nil, nil)
	viewer, _ := d.client(t, map[string]any{"bearer": false, "binding": "certificate", "roles": roles("auditor")})
	d.register(t, viewer.id, map[string]any{"certificate": own.pem(), "keep": true})
	text := textOf(t, d.tokenFor(t, viewer.id, own, "resource=postern"))
	ask := func(cert *issued) int {
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, d.url+"/api/v1/clients", http.NoBody)
		r.Header.Set("Authorization", "Bearer "+text)
		if cert == nil {
			return do(t, r).status
		}
		c := cert.tls()
		return d.present(t, r, &c).status
	}
	if got := []int{ask(own), ask(nil), ask(certify(t, nil, nil))}; fmt.Sprint(got) != "[200 401 401]" {
		t.Errorf("with its certificate, none and another: %v", got)
	}
}

func TestM06FAPI2(t *testing.T) {
	d := startMTLS(t, func(o *server.Options) { o.TokenEndpointAudience = true })
	client, own := string(d.Example.Client.ID), certify(t, nil, nil)
	d.register(t, client, map[string]any{"certificate": own.pem(), "keep": true})
	if got := d.rest(t, "PATCH", "/clients/"+client, map[string]any{"profile": "fapi2"}); got.status != 422 {
		t.Errorf("without bound tokens: got %d %s", got.status, got.body)
	}
	if got := d.rest(t, "PATCH", "/clients/"+client, map[string]any{"binding": "certificate", "bearer": true}); got.status != 422 {
		t.Errorf("bound tokens and bearers: got %d %s", got.status, got.body)
	}
	d.want(t, 200, "PATCH", "/clients/"+client, map[string]any{"profile": "fapi2", "binding": "certificate"})
	if got := d.tokenFor(t, client, own); got.status != 200 {
		t.Errorf("by its certificate: got %d %s", got.status, got.body)
	}
	cert := own.tls()
	r := d.formRequest(t, "/oauth2/token", wantToken)
	r.SetBasicAuth(client, by(d.Example).secret)
	if got := d.present(t, r, &cert); got.status != 401 {
		t.Errorf("by a secret: got %d %s", got.status, got.body)
	}
	for alg, want := range map[string]int{"ES256": 200, "PS256": 200, "EdDSA": 200, "RS256": 401} {
		s := newSigner(t, alg, alg)
		d.want(t, 201, "POST", "/clients/"+client+"/secrets", map[string]any{"jwk": s.jwk(), "keep": true})
		ask := func(change map[string]any) answer {
			body := wantToken + "&client_assertion_type=" + url.QueryEscape(assertionType) + "&client_assertion=" + s.assert(client, d.clock.now(), change)
			return d.present(t, d.formRequest(t, "/oauth2/token", body), &cert)
		}
		if got := ask(nil); got.status != want {
			t.Errorf("an assertion by %s: got %d %s; want %d", alg, got.status, got.body, want)
		}
		if got := ask(map[string]any{"aud": issuer + "/oauth2/token"}); got.status != 401 {
			t.Errorf("an assertion for the endpoint: got %d", got.status)
		}
		if got := ask(map[string]any{"iat": d.clock.now().Unix() + 9}); got.status != want {
			t.Errorf("9 s ahead: got %d; want %d", got.status, want)
		}
		shown, _ := d.want(t, 200, "GET", "/clients/"+client, nil).json(t)["secrets"].([]any)
		newest, _ := shown[0].(map[string]any)
		d.want(t, 200, "DELETE", fmt.Sprintf("/clients/%s/secrets/%s?force=true", client, newest["id"]), nil)
	}
	d.want(t, 200, "PATCH", "/apis/example", map[string]any{"algorithm": "RS256"}, "If-Match", d.want(t, 200, "GET", "/apis/example", nil).header.Get("ETag"))
	if got := d.tokenFor(t, client, own); got.status != 400 || got.error() != "invalid_target" {
		t.Errorf("a token signed by RS256: got %d %s", got.status, got.body)
	}
}

// A client made with a certificate, or a key, never has a secret.
func TestM00AClientIsMadeWithoutASecret(t *testing.T) {
	d := startMTLS(t)
	own, s := certify(t, nil, nil), newSigner(t, "ES256", "k")
	for name, body := range map[string]map[string]any{"certificate": {"certificate": own.pem()}, "key": {"jwk": s.jwk()}} {
		body["name"], body["workspace"], body["roles"] = name, "default", roles("example-reader")
		made := d.want(t, 201, "POST", "/clients", body).json(t)
		if made["client_secret"] != "" {
			t.Errorf("%s: there is a secret", name)
		}
		id := made["client_id"].(string)
		got := d.tokenBy(t, s.assert(id, d.clock.now(), nil))
		if name == "certificate" {
			got = d.tokenFor(t, id, own)
		}
		if got.status != 200 {
			t.Errorf("%s: got %d %s", name, got.status, got.body)
		}
	}
	body := map[string]any{"name": "both", "workspace": "default", "jwk": s.jwk(), "certificate": own.pem()}
	if got := d.rest(t, "POST", "/clients", body); got.status != 422 {
		t.Errorf("both at once: got %d %s", got.status, got.body)
	}
}
