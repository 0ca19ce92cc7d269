package assertion_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"postern/server/assertion"
)

func b64(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }

// FuzzParse: whatever is signed, what is taken has every claim that counts, and
// another signature makes it another's.
func FuzzParse(f *testing.F) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	public, err := private.PublicKey.Bytes()
	if err != nil {
		f.Fatal(err)
	}
	key, err := assertion.ParseKey([]byte(`{"kty":"EC","crv":"P-256","x":"` + b64(public[1:33]) + `","y":"` + b64(public[33:]) + `"}`))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(`{"alg":"ES256"}`, `{"iss":"a","sub":"a","aud":"b","exp":2000000000,"jti":"c"}`)
	f.Add(`{"alg":"ES256","kid":"k"}`, `{"iss":"a","sub":"a","aud":"b","exp":2e9,"jti":"c","iat":1.5,"nbf":0.5}`)
	f.Add(`{"alg":"none"}`, `{}`)
	f.Add(`{"alg":"ES256","crit":[]}`, `[]`)
	f.Fuzz(func(t *testing.T, header, claims string) {
		signed := b64([]byte(header)) + "." + b64([]byte(claims))
		sum := sha256.Sum256([]byte(signed))
		r, s, err := ecdsa.Sign(rand.Reader, private, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		signature := append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
		a, err := assertion.Parse(signed + "." + b64(signature))
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("an error of two lines: %q", err)
			}
			return
		}
		if a.Issuer == "" || a.Subject == "" || a.ID == "" || len(a.ID) > 128 || a.Expires.IsZero() {
			t.Errorf("taken without a claim: %+v", a)
		}
		var said map[string]any // a struct would take ALG for alg
		if json.Unmarshal([]byte(header), &said) == nil && said["alg"] == "ES256" && !key.Verify(a) {
			t.Errorf("its own key does not verify it: %q", header)
		}
		signature[40] ^= 1
		if forged, err := assertion.Parse(signed + "." + b64(signature)); err == nil && key.Verify(forged) {
			t.Error("another signature is as good")
		}
		if a.Check(a.Expires, "b") == nil || a.Check(a.Expires.Add(-2*time.Hour), "b") == nil {
			t.Error("it is good when it is over, or two hours before")
		}
	})
}

// FuzzParseKey: no text makes it fail, and no private key is taken.
func FuzzParseKey(f *testing.F) {
	f.Add(`{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`)
	f.Add(`{"kty":"RSA","n":"AQAB","e":"AQAB"}`)
	f.Add(`{"kty":"EC","crv":"P-256","x":"","y":"","d":"a"}`)
	f.Fuzz(func(t *testing.T, text string) {
		var members map[string]any
		_ = json.Unmarshal([]byte(text), &members)
		if _, private := members["d"]; private {
			if _, err := assertion.ParseKey([]byte(text)); err == nil {
				t.Errorf("taken: %q", text)
			}
		}
		if _, err := assertion.ParseKeys([]byte(`{"keys":[` + text + `]}`)); err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("an error of two lines: %q", err)
		}
	})
}
