package secret_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"

	"postern/server/secret"
	"postern/store"
)

func TestNewSecretReadsBack(t *testing.T) {
	for _, client := range []store.ClientID{
		store.NewClientID(),
		"billing", // imported
		"a.b-c_d~e", "x", "x61", "cli", "pst_cli", store.ClientID(strings.Repeat("~", 128)),
		"cliABCDEFGHIJKLMNOPQRSTUVWX", // native but for its case
	} {
		s := secret.New(client)
		if !regexp.MustCompile(`^pst_[A-Za-z0-9]+_[A-Za-z0-9]{49}$`).MatchString(s.Reveal()) {
			t.Errorf("secret of %q: %q has another form", client, s.Reveal())
		}
		again, of, err := secret.Parse(s.Reveal())
		if err != nil || of != client || again.Reveal() != s.Reveal() {
			t.Errorf("Parse(secret of %q) = client %q, %v", client, of, err)
		}
	}
	id := store.NewClientID()
	if one, another := secret.New(id), secret.New(id); one.Reveal() == another.Reveal() {
		t.Error("two secrets of a client are the same")
	}
	if s := secret.New(id).Reveal(); !strings.HasPrefix(s, "pst_"+string(id)+"_") {
		t.Errorf("secret of %s: %q does not carry the id as it is", id, s)
	}
}

func TestEveryChangedCharacterIsFoundByTheChecksum(t *testing.T) {
	for _, client := range []store.ClientID{store.NewClientID(), "im.ported"} {
		text := secret.New(client).Reveal()
		for i := range len(text) {
			for _, c := range []byte("0aZ_x-. \x00") {
				if text[i] == c {
					continue
				}
				changed := text[:i] + string(rune(c)) + text[i+1:]
				if _, _, err := secret.Parse(changed); !errors.Is(err, secret.ErrMalformed) {
					t.Errorf("Parse(%q), changed at %d: got %v, want ErrMalformed", changed, i, err)
				}
			}
			if _, _, err := secret.Parse(text[:i]); !errors.Is(err, secret.ErrMalformed) {
				t.Errorf("Parse(%q): got %v, want ErrMalformed", text[:i], err)
			}
		}
		for _, longer := range []string{text + "0", text + "\n", " " + text, text + text, strings.ToUpper(text)} {
			if _, _, err := secret.Parse(longer); !errors.Is(err, secret.ErrMalformed) {
				t.Errorf("Parse(%q): got %v, want ErrMalformed", longer, err)
			}
		}
	}
}

// withChecksum is what an attacker makes who knows the format.
func withChecksum(body string) string { return string(secret.AppendChecksum([]byte(body))) }

func TestAWrongShapeWithARightChecksumIsRefused(t *testing.T) {
	random := strings.Repeat("A", 43)
	for _, body := range []string{
		"", "pst_", "pst__" + random, "pst_x_" + random, "pst_abc_" + random, "pst_x6_" + random, "pst_x6G_" + random,
		"pst_x6B_" + random, // upper case: a second spelling of x6b
		"pst_x636c69616161616161616161616161616161616161616161616161_" + random, // a native id in hex
		"pst_x61_" + random[1:], "pst_x61" + random, "pst_x61_-" + random[1:],
		"pat_x61_" + random, "pst_x" + strings.Repeat("61", 129) + "_" + random,
	} {
		if _, client, err := secret.Parse(withChecksum(body)); !errors.Is(err, secret.ErrMalformed) {
			t.Errorf("Parse(%q): got client %q, %v, want ErrMalformed", body, client, err)
		}
	}
}

func TestMatches(t *testing.T) {
	s, other := secret.New("billing"), secret.New("billing")
	for _, tt := range []struct {
		name  string
		given secret.Secret
		hash  []byte
		want  bool
	}{
		{"its own hash", s, s.Hash(), true},
		{"the hash of another secret", s, other.Hash(), false},
		{"no hash", s, nil, false},
		{"an empty hash", s, []byte{}, false},
		{"the beginning of its hash", s, s.Hash()[:31], false},
		{"its hash and a byte", s, append(s.Hash(), 0), false},
		{"an empty secret with the hash of nothing", secret.Of(""), secret.Of("").Hash(), false},
		{"its text in another case", secret.Of(strings.ToLower(s.Reveal())), s.Hash(), false},
		{"its text and NUL", secret.Of(s.Reveal() + "\x00"), s.Hash(), false},
	} {
		if got := secret.Matches(tt.given, tt.hash); got != tt.want {
			t.Errorf("%s: Matches = %t, want %t", tt.name, got, tt.want)
		}
	}
}

func TestASecretIsNeverPrinted(t *testing.T) {
	const canary = "canary-e21c"
	s := secret.Of(canary)
	type holder struct{ S secret.Secret }
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T %p", "%10s"} {
		fmt.Fprintf(&out, verb+"\n", s, s)
		fmt.Fprintf(&out, verb+"\n", &s, &s)
		fmt.Fprintf(&out, verb+"\n", holder{s}, []secret.Secret{s})
	}
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "s", s, "h", holder{s})
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "s", s, "h", holder{s})
	if err := json.NewEncoder(&out).Encode(map[string]any{"s": s, "p": &s, "h": holder{s}}); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintln(&out, s.String(), s.GoString(), s); err != nil {
		t.Fatal(err)
	}
	for _, leak := range []string{canary, fmt.Sprintf("%x", canary), fmt.Sprintf("%X", canary)} {
		if strings.Contains(out.String(), leak) {
			t.Errorf("the secret was printed as %q:\n%s", leak, out.String())
		}
	}
	if s.Reveal() != canary {
		t.Errorf("Reveal = %q, want %q", s.Reveal(), canary)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(secret.New("cliaaaaaaaaaaaaaaaaaaaaaaaa").Reveal())
	f.Add(secret.New("im.ported").Reveal())
	f.Add("pst_x61_")
	f.Fuzz(func(t *testing.T, text string) {
		// Most inputs fail the checksum: each is tried with a right one as well.
		for _, in := range []string{text, withChecksum(text)} {
			s, client, err := secret.Parse(in)
			if err != nil {
				continue
			}
			if s.Reveal() != in {
				t.Errorf("%q reads as %q", in, s.Reveal())
			}
			// A client has one spelling: but for the random part, New writes the same.
			own := secret.New(client).Reveal()
			if len(own) != len(in) || own[:len(own)-49] != in[:len(in)-49] {
				t.Errorf("%q is of client %q, whose secrets look like %q", in, client, own)
			}
		}
	})
}
