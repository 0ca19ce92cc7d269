package shippedtest_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/server/certificate"
	"postern/server/gateway/gatewaytest"
	"postern/server/token"
	"postern/store"
)

// pair makes a self-signed certificate with its key, in PEM.
func pair(t *testing.T) (cert tls.Certificate, certPEM, keyPEM string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "shop.example"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"shop.example"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	keyPEM = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}))
	if cert, err = tls.X509KeyPair([]byte(certPEM), []byte(keyPEM)); err != nil {
		t.Fatal(err)
	}
	return cert, certPEM, keyPEM
}

// byTLS has a gateway's shipped configuration serve TLS and ask for certificates,
// as its guide says; all else stays as it is.
func byTLS(t *testing.T, g gatewayKind, trusted string) gatewayKind {
	t.Helper()
	_, certPEM, keyPEM := pair(t)
	g.secured = true
	var dir string
	g.edit = func(t *testing.T, in string) {
		t.Helper()
		dir = in
		write(t, dir, "site.pem", certPEM)
		write(t, dir, "site.key", keyPEM)
		write(t, dir, "both.pem", certPEM+keyPEM)
		write(t, dir, "clients.pem", trusted)
		change := func(file string, pairs ...string) {
			path := filepath.Join(dir, file)
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for i := 0; i < len(pairs); i += 2 {
				if !strings.Contains(string(text), pairs[i]) {
					t.Fatalf("%s has no %q", file, pairs[i])
				}
			}
			write(t, dir, file, strings.NewReplacer(pairs...).Replace(string(text)))
		}
		const context = `
          transport_socket:
            name: envoy.transport_sockets.tls
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
              common_tls_context:
                tls_certificates: [{certificate_chain: {filename: site.pem}, private_key: {filename: site.key}}]
                validation_context: {trust_chain_verification: ACCEPT_UNTRUSTED, trusted_ca: {filename: clients.pem}}
        - filters:`
		switch g.name {
		case "nginx":
			change("nginx.conf", "        server_name", "        ssl_certificate site.pem;\n        ssl_certificate_key site.key;\n        ssl_verify_client optional_no_ca;\n        server_name")
			text, _ := os.ReadFile(filepath.Join(dir, "nginx.conf"))
			lines := strings.Split(string(text), "\n")
			for i, line := range lines {
				if strings.HasPrefix(line, "        listen ") && !strings.Contains(line, " ssl;") {
					lines[i] = strings.TrimSuffix(line, ";") + " ssl;"
				}
			}
			write(t, dir, "nginx.conf", strings.Join(lines, "\n"))
		case "Caddy":
			change("Caddyfile", "http://:", "https://shop.example:", "\tbind ", "\ttls site.pem site.key {\n\t\tclient_auth {\n\t\t\tmode request\n\t\t}\n\t}\n\tbind ")
		case "HAProxy":
			text, _ := os.ReadFile(filepath.Join(dir, "haproxy.cfg"))
			lines := strings.Split(string(text), "\n")
			for i, line := range lines {
				if strings.HasPrefix(line, "    bind ") {
					lines[i] = line + " ssl crt both.pem verify optional ca-file clients.pem"
				}
			}
			write(t, dir, "haproxy.cfg", strings.Join(lines, "\n"))
		case "Traefik":
			change("dynamic/traefik.yml", "      entryPoints: [web]\n", "      entryPoints: [web]\n      tls: {}\n", "http:\n  routers", "tls:\n  certificates: [{certFile: "+dir+"/site.pem, keyFile: "+dir+"/site.key}]\n  options: {default: {clientAuth: {clientAuthType: RequestClientCert}}}\nhttp:\n  routers")
		default: // Envoy
			change(g.files[0]+".yaml", "\n        - filters:", context[:len(context)-len("\n        - filters:")]+"\n          filters:")
			change(g.files[0]+".yaml", "\n      filter_chains:\n", "\n      filter_chains:\n        -\n")
		}
	}
	return g
}

// Row M05: the certificate that a client presents to a gateway reaches the
// decision, and what a client writes into the header does not, by all but Traefik.
func TestM05GatewaysPassTheCertificate(t *testing.T) {
	t.Parallel()
	for _, g := range kinds {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			own, ownPEM, _ := pair(t)
			other, _, _ := pair(t)
			s := start(t, byTLS(t, g, ownPEM))
			const header = "X-Client-Cert"
			gatewaytest.Change(t, s.World, string(gatewaytest.Shop), func(a *store.API) { a.CertificateHeader = header })
			tok := s.Token(t, gatewaytest.Machine, func(c *token.Claims) { c.Confirmation.Certificate = certificate.Thumbprint(own.Leaf) })
			ask := func(cert *tls.Certificate) (int, error) {
				config := &tls.Config{InsecureSkipVerify: true, ServerName: "shop.example"}
				if cert != nil {
					config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
				}
				transport := &http.Transport{TLSClientConfig: config}
				defer transport.CloseIdleConnections()
				r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+s.address+"/files/open", http.NoBody)
				if err != nil {
					return 0, err
				}
				r.Host = "shop.example"
				r.Header.Set("Authorization", "Bearer "+tok)
				r.Header.Set(header, base64.StdEncoding.EncodeToString(own.Leaf.Raw)) // a client's own word
				res, err := (&http.Client{Transport: transport, Timeout: time.Minute}).Do(r)
				if err != nil {
					return 0, err
				}
				_, _ = io.Copy(io.Discard, res.Body)
				return res.StatusCode, res.Body.Close()
			}
			status, err := ask(&own)
			if err != nil {
				t.Fatal(err)
			}
			if g.name == "Traefik" {
				// Its ForwardAuth drops the one header that it writes a certificate into.
				s.refused(t, "its certificate", status, 401)
				return
			}
			if got := s.passed(t, "its certificate", status); len(got.Header[header]) > 0 && got.Header.Get(header) != "" {
				t.Errorf("the upstream got %s %.40q", header, got.Header.Get(header))
			}
			for what, cert := range map[string]*tls.Certificate{"another certificate": &other, "none": nil} {
				// HAProxy ends the handshake of a certificate that is of no authority of its.
				status, err := ask(cert)
				if err != nil && g.name == "HAProxy" && cert != nil {
					continue
				}
				s.refused(t, what, status, 401)
			}
		})
	}
}
