package leak_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf16"

	"postern/server/leak"
	"postern/server/secret"
	"postern/store"
)

const issuer = "https://postern.example"

// opaqueToken is a text of the form of an opaque access token.
func opaqueToken() string {
	b := secret.AppendRandomDigits([]byte("psa_seal-XC20P-1_"), 220)
	return string(secret.AppendChecksum(b))
}

func jwt(iss string) string {
	part := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	return part(`{"alg":"ES256","kid":"access-ES256-1","typ":"at+jwt"}`) + "." +
		part(`{"iss":"`+iss+`","sub":"svc1","client_id":"clia","exp":1}`) + "." + part(strings.Repeat("s", 64))
}

func utf16Of(text string, big bool) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(text)) {
		if big {
			b = append(b, byte(u>>8), byte(u))
		} else {
			b = append(b, byte(u), byte(u>>8))
		}
	}
	return string(b)
}

func TestFind(t *testing.T) {
	native, imported := store.NewClientID(), store.ClientID("legacy.app~1")
	s, x, o, j := secret.New(native).Reveal(), secret.New(imported).Reveal(), opaqueToken(), jwt(issuer)
	basic := base64.StdEncoding.EncodeToString
	for _, tt := range []struct {
		name, text string
		want       string // kind, client, line of each
	}{
		{"nothing", "", ""},
		{"text without any", "passwords: 1234\npst_ psa_ eyJhbGciOiJub25lIn0.e30.\n", ""},
		{"alone", s, "secret native 1"},
		{"of an imported client", "\n\nkey=" + x + "\n", "secret imported 3"},
		{"in quotes", `{"client_secret": "` + s + `"}`, "secret native 1"},
		{"in the middle of a word", "abc" + s + "def", "secret native 1"},
		{"the prefix twice", "pst_" + s, "secret native 1"},
		{"in a word of underscores", "_" + s + "_", "secret native 1"},
		{"two of them", s + x, "secret native 1, secret imported 1"},
		{"twice", s + "\n" + s, "secret native 1, secret native 2"},
		{"a wrong checksum", s[:len(s)-1] + "~", ""},
		{"a digit less", s[:len(s)-1], ""},
		{"broken by a line", s[:50] + "\n" + s[50:], ""},
		{"in a binary file", "\x00\xff\xfe" + s + "\x00\n\x00" + o + "\xff", "secret native 1, opaque  2"},
		{"an opaque token", "token: " + o + ".", "opaque  1"},
		{"an opaque token in the middle of a word", "Bearer" + o + "and more", "opaque  1"},
		{"an opaque token with a wrong checksum", o[:30] + "!" + o[31:], ""},
		{"a JWT", "Authorization: Bearer " + j + "\r\n", "jwt clia 1"},
		{"a JWT of another issuer", jwt("https://other.example"), ""},
		{"a JWT without a signature", j[:strings.LastIndexByte(j, '.')+1], ""},
		{"UTF-16, little end first", "\xff\xfe" + utf16Of("key: "+s+"\r\n"+x+" "+o+" "+j, false), "secret native 1, secret imported 2, opaque  2, jwt clia 2"},
		{"UTF-16, big end first", "\xfe\xff" + utf16Of("key: "+s+"\r\n"+x+" "+o+" "+j, true), "secret native 1, secret imported 2, opaque  2, jwt clia 2"},
		{"base64", "data:\n  secret: " + basic([]byte(s)) + "\n", "secret native 2"},
		{"base64 after one byte", basic([]byte(":" + s)), "secret native 1"},
		{"base64 after two bytes", basic([]byte("a:" + s + "\n")), "secret native 1"},
		{"base64 of an opaque token, in each place", basic([]byte(o)) + " " + basic([]byte("x"+o)) + " " + basic([]byte("xx"+o)), "opaque  1, opaque  1, opaque  1"},
		{"base64url", base64.RawURLEncoding.EncodeToString([]byte("???" + s)), "secret native 1"},
		{"base64 in lines", "\n" + basic([]byte("xx" + s))[:60] + "\n" + basic([]byte("xx" + s))[60:], "secret native 2"},
	} {
		f := leak.Finder{Issuers: []string{issuer}}
		var got []string
		for _, found := range f.Find([]byte(tt.text)) {
			id := string(found.ClientID)
			switch found.ClientID {
			case native:
				id = "native"
			case imported:
				id = "imported"
			}
			got = append(got, fmt.Sprintf("%s %s %d", found.Kind, id, found.Line))
			if text := found.Text.Reveal(); text != s && text != x && text != o && text != j {
				t.Errorf("%s: found %q, which was not put there", tt.name, text)
			}
		}
		if strings.Join(got, ", ") != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, strings.Join(got, ", "), tt.want)
		}
	}
	if found := (&leak.Finder{}).Find([]byte(j)); len(found) != 0 {
		t.Error("a JWT is found though no issuer was named")
	}
}

func TestAHintDoesNotTellTheCredential(t *testing.T) {
	s := secret.New(store.NewClientID()).Reveal()
	found := (&leak.Finder{}).Find([]byte(s))
	if len(found) != 1 || found[0].Hint() != "pst_cl…"+s[len(s)-4:] {
		t.Fatalf("got %+v", found)
	}
	if text := fmt.Sprintf("%v %+v %#v", found, found, found); strings.Contains(text, s[34:54]) {
		t.Error("what is found prints its text")
	}
}

// However long the text and however it is read: each credential is told once, in
// its place.
func TestScanFindsWhatLiesAcrossItsReads(t *testing.T) {
	s, o := secret.New(store.NewClientID()).Reveal(), opaqueToken()
	wide := utf16Of(o, false)
	const size = 3 << 20
	for name, planted := range map[string]string{"secret": s, "opaque": o, "UTF-16": wide, "base64": base64.StdEncoding.EncodeToString([]byte("xx" + s))} {
		for _, near := range []int{1 << 20, 1<<20 - 32<<10} { // where windows end, and where they begin to be kept
			for shift := -700; shift <= 700; shift += 61 {
				b := bytes.Repeat([]byte("0123456789abcde\n"), size/16)
				at := near + shift
				copy(b[at:], planted)
				copy(b[at+len(planted):], " ")
				copy(b[at-1:], " ")
				lines := int64(bytes.Count(b[:at], []byte{'\n'})) + 1
				n := 0
				read, err := (&leak.Finder{}).Scan(bytes.NewReader(b), func(f leak.Found) {
					n++
					if f.Line != lines || f.Offset < int64(at) || f.Offset > int64(at)+4 {
						t.Errorf("%s at %d: told at %d, line %d; want line %d", name, at, f.Offset, f.Line, lines)
					}
				})
				if n != 1 || err != nil || read != size {
					t.Fatalf("%s at %d: told %d times, %v, %d bytes read", name, at, n, err, read)
				}
			}
		}
	}
}

func TestScanTellsOfAReadThatFails(t *testing.T) {
	s := secret.New(store.NewClientID()).Reveal()
	n := 0
	_, err := (&leak.Finder{}).Scan(io.MultiReader(strings.NewReader(s), iotest.ErrReader(io.ErrClosedPipe)), func(leak.Found) { n++ })
	if err == nil {
		t.Error("got no error")
	}
}

// The law: each credential that stands in a text is found, and nothing is whose
// checksum is wrong.
func FuzzFind(f *testing.F) {
	f.Add([]byte("before "), []byte(" after"), uint8(0), 10, byte(1))
	f.Add([]byte("pst_"), []byte("pst_x"), uint8(1), 70, byte(0x20))
	f.Add([]byte("psa_a_"), []byte("0000000"), uint8(2), 100, byte(7))
	f.Add([]byte{0xff, 0xfe}, []byte{0, 'p', 0}, uint8(3), 0, byte(0))
	s, x, o := secret.New(store.NewClientID()).Reveal(), secret.New("legacy.app~1").Reveal(), opaqueToken()
	f.Fuzz(func(t *testing.T, before, after []byte, which uint8, at int, flip byte) {
		text := []string{s, x, o}[which%3]
		finder := leak.Finder{}
		has := func(b []byte, text string) bool {
			for _, found := range finder.Find(b) {
				if found.Text.Reveal() == text {
					return true
				}
			}
			return false
		}
		whole := append(append(bytes.Clone(before), text...), after...)
		if !has(whole, text) {
			t.Errorf("%q is not found in %q", text, whole)
		}
		for _, found := range finder.Find(whole) {
			if _, ok := secret.CutChecksum(found.Text.Reveal()); !ok {
				t.Errorf("%q is found in %q, and its checksum is wrong", found.Text.Reveal(), whole)
			}
		}
		broken := []byte(text)
		if at < 0 || at >= len(broken) || flip == 0 {
			return
		}
		broken[at] ^= flip
		whole = append(append(bytes.Clone(before), broken...), after...)
		if has(whole, string(broken)) {
			t.Errorf("%q is found, and is broken at %d", broken, at)
		}
	})
}

func BenchmarkScan(b *testing.B) {
	words := strings.Fields("func the steps of packet passed to psalm post status a_b t_x \x00\x00 := { } return nil import package string")
	var text bytes.Buffer
	for i := 0; text.Len() < 16<<20; i++ {
		text.WriteString(words[(i*i+i/3)%len(words)])
		text.WriteByte(" \n"[i%11/10])
	}
	b.SetBytes(int64(text.Len()))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := (&leak.Finder{}).Scan(bytes.NewReader(text.Bytes()), func(leak.Found) { b.Fatal("found") }); err != nil {
			b.Fatal(err)
		}
	}
}
