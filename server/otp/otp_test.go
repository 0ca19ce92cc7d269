package otp_test

import (
	"encoding/base32"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/boombuler/barcode/qr"

	"postern/server/otp"
	"postern/server/secret"
)

// RFC 6238 appendix B, of whose eight digits an app shows the last six.
func TestRFC6238Vectors(t *testing.T) {
	text := secret.Of(base32.StdEncoding.EncodeToString([]byte("12345678901234567890")))
	for at, code := range map[int64]string{
		59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130",
	} {
		step, ok := otp.Match(text, code, time.Unix(at, 0), 0)
		if !ok || step != at/30 {
			t.Errorf("%s at %d: got step %d, %t; want step %d", code, at, step, ok, at/30)
		}
	}
}

// A code is good for its step and one on either side, after the last one that was
// taken, and nothing else is.
func TestMatchSteps(t *testing.T) {
	text := secret.Of(base32.StdEncoding.EncodeToString([]byte("12345678901234567890")))
	const code, own = "081804", 1111111109 / 30
	for _, tt := range []struct {
		name  string
		steps int64 // that the clock is off
		after int64
		code  string
		want  bool
	}{
		{name: "its own step", code: code, want: true},
		{name: "one step late", steps: 1, code: code, want: true},
		{name: "one step early", steps: -1, code: code, want: true},
		{name: "two steps late", steps: 2, code: code},
		{name: "two steps early", steps: -2, code: code},
		{name: "after the step before", after: own - 1, code: code, want: true},
		{name: "again", after: own, code: code},
		{name: "after a later one", after: own + 1, code: code},
		{name: "another code", code: "081805"},
		{name: "seven digits", code: "0818040"},
		{name: "no code"},
	} {
		step, ok := otp.Match(text, tt.code, time.Unix(own*30+30*tt.steps, 0), tt.after)
		if ok != tt.want || ok && step != own {
			t.Errorf("%s: got step %d, %t; want %t", tt.name, step, ok, tt.want)
		}
	}
	if _, ok := otp.Match(secret.Secret{}, code, time.Unix(own*30, 0), 0); ok {
		t.Error("without a secret a code is good")
	}
}

func TestNewMakesWhatAppsRead(t *testing.T) {
	text, uri, err := otp.New("Postern auth.example.com", "ann")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(text.Reveal())
	if err != nil || len(raw) != 20 {
		t.Errorf("the secret has %d bytes (%v), want 20", len(raw), err)
	}
	u, err := url.Parse(uri.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	if u.Scheme != "otpauth" || u.Host != "totp" || u.Path != "/Postern auth.example.com:ann" || q.Get("secret") != text.Reveal() ||
		q.Get("algorithm") != "SHA1" || q.Get("digits") != "6" || q.Get("period") != "30" {
		t.Errorf("the URI is %s", u.Redacted())
	}
	if again, _, err := otp.New("Postern", "ann"); err != nil || again.Reveal() == text.Reveal() {
		t.Errorf("two secrets are equal (%v)", err)
	}
}

// The path covers the dark modules of the code and no others.
func TestQRDrawsEveryModule(t *testing.T) {
	const text, margin = "otpauth://totp/Postern:ann?secret=JBSWY3DPEHPK3PXP", 4
	path, size, err := otp.QR(secret.Of(text))
	if err != nil {
		t.Fatal(err)
	}
	want, err := qr.Encode(text, qr.M, qr.Auto)
	if err != nil {
		t.Fatal(err)
	}
	wide := want.Bounds().Dx()
	if size != wide+2*margin {
		t.Fatalf("it is %d wide, want %d and the margin on both sides", size, wide)
	}
	dark := map[[2]int]bool{}
	for len(path) > 0 {
		var x, y, n, back, read int
		if _, err := fmt.Sscanf(path, "M%d %dh%dv1h-%dz", &x, &y, &n, &back); err != nil || n != back {
			t.Fatalf("%q is no rectangle (%v)", path, err)
		}
		read = len(fmt.Sprintf("M%d %dh%dv1h-%dz", x, y, n, back))
		path = path[read:]
		for i := range n {
			dark[[2]int{x + i, y}] = true
		}
	}
	for y := range size {
		for x := range size {
			in := x >= margin && y >= margin && x < wide+margin && y < wide+margin
			is := false
			if in {
				r, _, _, _ := want.At(x-margin, y-margin).RGBA()
				is = r == 0
			}
			if dark[[2]int{x, y}] != is {
				t.Fatalf("module %d,%d: dark=%t, want %t", x, y, dark[[2]int{x, y}], is)
			}
		}
	}
}
