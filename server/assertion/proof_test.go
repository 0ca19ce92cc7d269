package assertion_test

import (
	"strings"
	"testing"
	"time"

	"postern/server/assertion"
	"postern/server/gateway/gatewaytest"
)

// RFC 7638 section 3.1 has this key and its thumbprint.
func TestThumbprintIsThatOfTheRFC(t *testing.T) {
	k, err := assertion.ParseKey([]byte(`{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}`))
	if err != nil || k.Thumbprint() != "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs" {
		t.Errorf("got %v, %v", k, err)
	}
}

// The example of RFC 9449 section 4.1, which is of 2019.
func TestProofOfTheRFC(t *testing.T) {
	const proof = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
	p, err := assertion.ParseProof(proof)
	if err != nil {
		t.Fatal(err)
	}
	// Section 6.1 binds a token to that key.
	if p.Key != "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" || !p.IsFor("https://server.example.com/token") || p.Check(time.Unix(1562262616, 0), "POST") != nil {
		t.Errorf("read as %+v", p)
	}
	if p.Check(time.Now(), "POST") == nil {
		t.Error("it is still good")
	}
}

// FuzzParseProof: whatever is sent, it is refused or says all that is compared.
func FuzzParseProof(f *testing.F) {
	now := time.Unix(1562262616, 0)
	good := gatewaytest.NewProver(f).Proof("GET", "https://shop.example/a", now, map[string]any{"ath": "x", "nonce": "y"})
	for _, seed := range []string{good, good + ".", strings.ToUpper(good), "..", "e30.e30.", "eyJ0eXAiOiJkcG9wK2p3dCJ9.e30."} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := assertion.ParseProof(text)
		if err != nil {
			return
		}
		if len(p.Key) != 43 || p.ID == "" || p.Method == "" || p.Target == nil || p.Target.Host == "" {
			t.Errorf("%q was read as %+v", text, p)
		}
		_ = p.Check(now, p.Method)
		if p.IsFor("https://other.example/") && p.Target.Hostname() != "other.example" {
			t.Errorf("%q is for another host", text)
		}
	})
}
