package certificate_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"testing"
	"time"

	"postern/server/certificate"
)

func make1(t testing.TB) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id, _ := url.Parse("spiffe://example/ci")
	template := &x509.Certificate{
		SerialNumber: big.NewInt(7), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		Subject:  pkix.Name{CommonName: "ci, the first", Organization: []string{"Example"}},
		DNSNames: []string{"ci.example"}, URIs: []*url.URL{id}, IPAddresses: []net.IP{net.IPv4(10, 0, 0, 1)}, EmailAddresses: []string{"Ci@Example.com"},
	}
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

func TestACertificateHasItsNamesAndNoOthers(t *testing.T) {
	c := make1(t)
	for name, want := range map[string]bool{
		`subject:CN=ci\, the first,O=Example`: true,
		"subject:O=Example":                   false,
		`subject:O=Example,CN=ci\, the first`: false,
		"dns:ci.example":                      true,
		"dns:CI.example":                      true,
		"dns:example":                         false,
		"dns:x.ci.example":                    false,
		"dns:10.0.0.1":                        false,
		"uri:spiffe://example/ci":             true,
		"uri:spiffe://example/CI":             false,
		"uri:spiffe://example/ci/":            false,
		"ip:10.0.0.1":                         true,
		"ip:::ffff:10.0.0.1":                  true,
		"ip:10.0.0.2":                         false,
		"email:Ci@example.COM":                true,
		"email:ci@example.com":                false,
		"ci.example":                          false,
	} {
		if got := certificate.Has(c, name); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

// FuzzFromHeader: whatever a header holds, there is an error, nothing, or a
// certificate, and of what a proxy writes always that one.
func FuzzFromHeader(f *testing.F) {
	c := make1(f)
	text := url.PathEscape(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})))
	b64 := base64.StdEncoding.EncodeToString(c.Raw)
	for _, seed := range []string{text, b64, ":" + b64 + ":", b64 + "," + b64, `Hash=1;Cert="` + text + `"`, `Cert="a\"b";By=x`, "Cert=", ";;=", `="`} {
		f.Add(seed, "more")
	}
	f.Fuzz(func(t *testing.T, value, subject string) {
		for _, name := range []string{"Client-Cert", "X-Forwarded-Client-Cert"} {
			got, err := certificate.FromHeader(http.Header{name: {value}}, name)
			if err != nil && got != nil {
				t.Errorf("%s: both a certificate and %v", name, err)
			}
		}
		quoted := ""
		for _, r := range []byte(subject) {
			if r == '"' || r == '\\' {
				quoted += `\`
			}
			quoted += string([]byte{r})
		}
		got, err := certificate.FromHeader(http.Header{"X-Forwarded-Client-Cert": {`Subject="` + quoted + `";Cert="` + text + `"`}}, "X-Forwarded-Client-Cert")
		if err != nil || got == nil || certificate.Thumbprint(got) != certificate.Thumbprint(c) {
			t.Errorf("a subject of %q: got %v", subject, err)
		}
	})
}
