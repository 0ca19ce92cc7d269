// Package oidctest has an identity provider that the console knows nothing of: the
// package oidc-provider of npm, as `make tools` gets it. Its tests let people sign
// in to a whole server by it.
package oidctest

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	_ "embed" // the provider's program
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/server"
	"postern/server/console"
	"postern/server/secret"
)

//go:embed provider.mjs
var program []byte

// Claims are what the provider says of a person, by the name of the claim.
type Claims map[string]any

// Provider is a running identity provider, which answers after Serve.
type Provider struct {
	Issuer string
	Roots  *x509.CertPool // by which it is believed

	in io.WriteCloser
}

const clientSecret = "a secret of the provider's"

// Start starts an identity provider, which ends with the test.
func Start(t testing.TB) *Provider {
	t.Helper()
	modules := os.Getenv("OIDC_PROVIDER")
	if _, err := os.Stat(filepath.Join(modules, "package.json")); modules == "" || err != nil {
		t.Fatal("$OIDC_PROVIDER names no folder of the package oidc-provider: run `make tools`, then `. ~/.cache/postern/env.sh`, or `make test`")
	}
	dir := t.TempDir()
	p := &Provider{Roots: x509.NewCertPool()}
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	p.certify(t, cert, key)
	script := filepath.Join(dir, "provider.mjs")
	write(t, script, program)

	node := exec.Command("node", script)
	complaints := &bytes.Buffer{}
	node.Stderr = complaints
	var err error
	if p.in, err = node.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := node.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	t.Cleanup(func() {
		_ = p.in.Close() // then it ends
		_, _ = io.Copy(io.Discard, lines)
		if err := node.Wait(); err != nil || t.Failed() {
			t.Logf("the provider ended with %v:\n%s", err, complaints)
		}
	})
	p.say(t, map[string]string{"modules": modules, "cert": cert, "key": key})
	line, err := lines.ReadString('\n')
	if err != nil {
		t.Fatalf("the provider says no URL: %v", err)
	}
	p.Issuer = strings.TrimSpace(line)
	return p
}

// Serve makes the provider answer: a server at this URL may ask it, and these are
// the people, by their subject.
func (p *Provider) Serve(t testing.TB, url string, people map[string]Claims) {
	t.Helper()
	p.say(t, map[string]any{"redirect": url + "/console/oidc/callback", "people": people, "secret": clientSecret})
}

// Use is how a server is told of the provider.
func (p *Provider) Use(o *server.Options) {
	o.OIDC = &console.OIDC{
		Issuer: p.Issuer, ClientID: "postern", ClientSecret: secret.Of(clientSecret), Scopes: []string{"openid", "profile", "email"}, GroupsClaim: "groups",
	}
	o.OutboundRoots, o.OutboundAllow = p.Roots, []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
}

func (p *Provider) say(t testing.TB, what any) {
	t.Helper()
	if err := json.NewEncoder(p.in).Encode(what); err != nil {
		t.Fatal(err)
	}
}

// certify makes a certificate of the provider, and believes it.
func (p *Provider) certify(t testing.TB, certFile, keyFile string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "provider"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	p.Roots.AddCert(c)
	key, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	write(t, certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	write(t, keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
}

func write(t testing.TB, file string, text []byte) {
	t.Helper()
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
