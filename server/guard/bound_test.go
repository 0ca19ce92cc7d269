package guard_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"postern/server/certificate"
	"postern/server/gateway/gatewaytest"
	"postern/server/guard"
	"postern/server/token"
	"postern/store"
)

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

// presenting is a handler that gets each request as if its connection had the
// certificate, nil is one without TLS.
func presenting(h http.Handler, c *x509.Certificate) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c != nil {
			r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{c}}
		}
		h.ServeHTTP(w, r)
	})
}

// M05, D08: who does not show the key of a bound token is refused, by keys alone.
func TestM05VerifiesWhatATokenIsBoundTo(t *testing.T) {
	w := gatewaytest.New(t)
	own, other := newCertificate(t), newCertificate(t)
	bound := w.Token(t, gatewaytest.Machine, func(c *token.Claims) { c.Confirmation.Certificate = certificate.Thumbprint(own) })
	toKey := w.Token(t, gatewaytest.Machine, func(c *token.Claims) { c.Confirmation.Key = gatewaytest.NewProver(t).Thumbprint() })
	plain := w.Token(t, gatewaytest.Machine)
	published := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write(w.Ring.JWKS()) }))
	t.Cleanup(published.Close)
	h := newGuard(t, guard.Options{Issuer: gatewaytest.Issuer, Audience: "https://shop.example", JWKS: published.URL, Now: w.Now}).Handler(whoami)
	for name, tt := range map[string]struct {
		token string
		shown *x509.Certificate
		want  int
	}{
		"its certificate":                     {bound, own, 200},
		"another":                             {bound, other, 401},
		"none":                                {bound, nil, 401},
		"a token bound to nothing":            {plain, nil, 200},
		"that, by who presents a certificate": {plain, own, 200},
		"bound to a key":                      {toKey, own, 401},
	} {
		if rec := call(presenting(h, tt.shown), "GET", "/", tt.token); rec.Code != tt.want {
			t.Errorf("%s: status %d, want %d", name, rec.Code, tt.want)
		}
	}
}

// Where Postern decides it gets the certificate and the proof, and nothing of that
// is used again for a call that has neither.
func TestM05DecisionsAboutBoundTokens(t *testing.T) {
	d := decisions(t)
	own, other := newCertificate(t), newCertificate(t)
	bound := d.Token(t, gatewaytest.Machine, func(c *token.Claims) { c.Confirmation.Certificate = certificate.Thumbprint(own) })
	gatewaytest.Change(t, d.World, string(gatewaytest.Shop), func(a *store.API) { a.CertificateHeader = "X-Client-Cert" })
	h := d.guard(t, func(o *guard.Options) { o.Reuse, o.CertificateHeader = time.Minute, "X-Client-Cert" })
	for i, tt := range []struct {
		shown *x509.Certificate
		want  int
	}{{own, 200}, {other, 401}, {nil, 401}, {own, 200}} {
		if rec := call(presenting(h, tt.shown), "GET", "/files/open", bound); rec.Code != tt.want {
			t.Errorf("call %d: status %d, want %d", i, rec.Code, tt.want)
		}
	}
	if got := d.asked.Load(); got != 3 {
		t.Errorf("Postern was asked %d times, want 3: a decision is used again for the same certificate", got)
	}

	prover := gatewaytest.NewProver(t)
	toKey := d.Token(t, gatewaytest.Machine, func(c *token.Claims) { c.Confirmation.Key = prover.Thumbprint() })
	send := func(proof string) *httptest.ResponseRecorder {
		return call(h, "GET", "/files/open", "", "Authorization", "DPoP "+toKey, "DPoP", proof)
	}
	proof := func(nonce string) string {
		return prover.Proof("GET", "https://shop.example/files/open", d.Now(), map[string]any{"ath": gatewaytest.Hash(toKey), "nonce": nonce})
	}
	first := send(proof(""))
	if first.Code != 401 || !strings.Contains(first.Header().Get("WWW-Authenticate"), "use_dpop_nonce") {
		t.Fatalf("without a nonce: status %d, %v", first.Code, first.Header())
	}
	good := proof(first.Header().Get("DPoP-Nonce"))
	if rec := send(good); rec.Code != 200 {
		t.Errorf("with it: status %d, %v", rec.Code, rec.Header())
	}
	if rec := send(good); rec.Code != 401 {
		t.Errorf("the same proof again: status %d", rec.Code)
	}
	if rec := call(h, "GET", "/files/open", "", "Authorization", "DPoP "+toKey); rec.Code != 401 {
		t.Errorf("without a proof: status %d", rec.Code)
	}
}
