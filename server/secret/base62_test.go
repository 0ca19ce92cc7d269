package secret_test

import (
	"bytes"
	"errors"
	"testing"

	"postern/server/secret"
)

func TestBase62(t *testing.T) {
	for n := range 40 {
		for _, fill := range []byte{0, 1, 0x7f, 0xff} {
			in := bytes.Repeat([]byte{fill}, n)
			text := secret.AppendBase62(nil, in)
			out, err := secret.AppendDecodedBase62(nil, string(text))
			if err != nil || !bytes.Equal(in, out) {
				t.Errorf("%x is written as %s, which reads as %x, %v", in, text, out, err)
			}
		}
	}
	for _, bad := range []string{
		"0", "0000", "00000000", // no number of bytes has so many digits
		"48",          // 256
		"LygHa16AHYG", // 2^64
		"zzzzzzzzzzz", "-0", "0_", "00\x00", "é",
	} {
		if out, err := secret.AppendDecodedBase62(nil, bad); !errors.Is(err, secret.ErrBase62) {
			t.Errorf("%q reads as %x, %v, want ErrBase62", bad, out, err)
		}
	}
}

func TestChecksum(t *testing.T) {
	text := secret.AppendChecksum([]byte("pst_"))
	if body, ok := secret.CutChecksum(string(text)); body != "pst_" || !ok {
		t.Errorf("CutChecksum(%s) = %q, %t", text, body, ok)
	}
	for _, bad := range []string{"", "00000", string(text) + "0", string(text[:len(text)-1])} {
		if _, ok := secret.CutChecksum(bad); ok {
			t.Errorf("CutChecksum(%q) says it is right", bad)
		}
	}
	// CRC-32 of "123456789" is cbf43926, the check value of its catalogue entry.
	if got, want := string(secret.AppendChecksum([]byte("123456789"))), "1234567893jZRME"; got != want {
		t.Errorf("AppendChecksum = %q, want %q", got, want)
	}
}

func FuzzBase62(f *testing.F) {
	f.Add("LygHa16AHYF")
	f.Add("00")
	f.Fuzz(func(t *testing.T, text string) {
		if back, err := secret.AppendDecodedBase62(nil, string(secret.AppendBase62(nil, []byte(text)))); err != nil || string(back) != text {
			t.Errorf("%q reads back as %q, %v", text, back, err)
		}
		b, err := secret.AppendDecodedBase62(nil, text)
		if err != nil {
			return
		}
		if again := string(secret.AppendBase62(nil, b)); again != text {
			t.Errorf("%q reads as %x, which is written %q", text, b, again)
		}
	})
}
