package token_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"postern/server/token"
)

func TestParseScope(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       token.Scopes
	}{
		{"none", "", nil},
		{"one", "a", token.Scopes{"a"}},
		{"several, in their order", "b a c", token.Scopes{"b", "a", "c"}},
		{"all that the grammar allows", "!#[]~ https://x.example/y?z=1", token.Scopes{"!#[]~", "https://x.example/y?z=1"}},
		{"differing in case only", "a A", token.Scopes{"a", "A"}},
	} {
		if got, err := token.ParseScope(tt.text); err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%s: ParseScope(%q) = %q, %v, want %q", tt.name, tt.text, got, err, tt.want)
		}
	}
	for _, text := range []string{
		" ", "a ", " a", "a  b", "a\tb", "a\nb", "a\r\nb", "a\x00", "\x7f", "a\"", "a\\b", "caf\xc3\xa9", "\xff", "a\u00a0b",
		"a b a", "a a", strings.Repeat("a", 4096),
	} {
		if got, err := token.ParseScope(text); !errors.Is(err, token.ErrScope) {
			t.Errorf("ParseScope(%.20q) = %q, %v, want ErrScope", text, got, err)
		}
	}
}

func FuzzParseScope(f *testing.F) {
	f.Add("orders:read orders:write")
	f.Add("a a")
	f.Add(" ")
	f.Fuzz(func(t *testing.T, in string) {
		scopes, err := token.ParseScope(in)
		if err != nil {
			return
		}
		again, err := token.ParseScope(scopes.String())
		if err != nil || !slices.Equal(again, scopes) || scopes.String() != in {
			t.Errorf("%q reads as %q, but %q back, %v", in, scopes, again, err)
		}
		for i, s := range scopes {
			if s == "" || strings.ContainsAny(s, " \"\\") || slices.Contains(scopes[:i], s) {
				t.Errorf("%q reads as %q", in, scopes)
			}
		}
	})
}
