package clienttest_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"postern/server"
)

// files are a certificate of the server and one of the client, as programs read
// them.
type files struct {
	url, address                string // of the listener for certificates
	authority, certificate, key string // paths
	text                        string // of the client's certificate
	server                      tls.Certificate
}

func newFiles(t *testing.T) *files {
	t.Helper()
	dir := t.TempDir()
	save := func(name, kind string, der []byte) (path, text string) {
		path, text = filepath.Join(dir, name), string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path, text
	}
	certify := func(edit func(*x509.Certificate)) (der []byte, key *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		template := &x509.Certificate{
			SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "test"}, BasicConstraintsValid: true,
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		}
		edit(template)
		if der, err = x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key); err != nil {
			t.Fatal(err)
		}
		return der, key
	}
	f := &files{}
	site, siteKey := certify(func(c *x509.Certificate) {
		c.IPAddresses, c.ExtKeyUsage = []net.IP{net.IPv4(127, 0, 0, 1)}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		c.IsCA, c.KeyUsage = true, x509.KeyUsageDigitalSignature|x509.KeyUsageCertSign // some want that of what they trust
	})
	f.authority, _ = save("site.pem", "CERTIFICATE", site)
	f.server = tls.Certificate{Certificate: [][]byte{site}, PrivateKey: siteKey}
	own, ownKey := certify(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })
	f.certificate, f.text = save("client.pem", "CERTIFICATE", own)
	raw, err := x509.MarshalPKCS8PrivateKey(ownKey)
	if err != nil {
		t.Fatal(err)
	}
	f.key, _ = save("client.key", "PRIVATE KEY", raw)
	// The metadata names the port before anything listens there.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.address = l.Addr().String()
	f.url = "https://" + f.address
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return f
}

// listen has a server listen for certificates.
func (f *files) listen(o *server.Options) {
	o.MTLSListen, o.MTLSURL = f.address, f.url
	o.MTLSTLS = &tls.Config{Certificates: []tls.Certificate{f.server}, MinVersion: tls.VersionTLS12}
}
