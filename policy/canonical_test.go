package policy_test

import (
	"errors"
	"strings"
	"testing"

	"postern/policy"
)

func TestCanonical(t *testing.T) {
	for _, tt := range []struct {
		raw   string
		relax policy.Relaxed
		want  string
	}{
		{raw: "/", want: "/"},
		{raw: "/a", want: "/a"},
		{raw: "/a/", want: "/a"},
		{raw: "/a?x=/../b%00", want: "/a"},
		{raw: "/?/", want: "/"},
		{raw: "/a/?", want: "/a"},
		{raw: "/%61%2f?", relax: policy.Relaxed{EncodedSlash: true}, want: "/a%2F"},
		{raw: "/%61%2d%5F%7e", want: "/a-_~"},
		{raw: "/a,b/c*d", want: "/a%2Cb/c%2Ad"},
		{raw: "/a%2cb", want: "/a%2Cb"},
		{raw: "/%c3%a9", want: "/%C3%A9"},
		{raw: "/A/b", want: "/A/b"},
		{raw: "/.../.a/a.", want: "/.../.a/a."},
		{raw: "/a%20b%23%3f", want: "/a%20b%23%3F"},
		{raw: "/a;b", relax: policy.Relaxed{Semicolon: true}, want: "/a%3Bb"},
		{raw: "/a%3bb", relax: policy.Relaxed{Semicolon: true}, want: "/a%3Bb"},
		{raw: "/a//b", relax: policy.Relaxed{DoubleSlash: true}, want: "/a//b"},
		{raw: "//a//", relax: policy.Relaxed{DoubleSlash: true}, want: "//a"},
		{raw: "///", relax: policy.Relaxed{DoubleSlash: true}, want: "/"},
		{raw: "/é/Ａ", relax: policy.Relaxed{NonASCII: true}, want: "/%C3%A9/%EF%BC%A1"},
		{raw: "/A/%C3%89/x%2C", relax: policy.Relaxed{FoldCase: true}, want: "/a/%C3%A9/x%2C"},
	} {
		if got, err := policy.Canonical(tt.raw, tt.relax); got != tt.want || err != nil {
			t.Errorf("Canonical(%q, %+v) = %q, %v; want %q", tt.raw, tt.relax, got, err, tt.want)
		}
	}
}

// Row G01: every spelling that two servers could read as two paths.
func TestG01AmbiguousPathsAreRefused(t *testing.T) {
	anything := policy.Relaxed{Semicolon: true, EncodedSlash: true, DoubleSlash: true, NonASCII: true, FoldCase: true}
	for _, tt := range []struct {
		raw    string
		reason policy.PathReason
		relax  policy.Relaxed
	}{
		{raw: "/a/../b", reason: policy.PathDots},
		{raw: "/..", reason: policy.PathDots},
		{raw: "/a/..", reason: policy.PathDots},
		{raw: "/../../etc", reason: policy.PathDots},
		{raw: "/a/../b", reason: policy.PathDots, relax: anything},
		{raw: "/a/..?x", reason: policy.PathDots},
		{raw: "/a/../", reason: policy.PathDots},
		{raw: "/./a", reason: policy.PathDots},
		{raw: "/a/.", reason: policy.PathDots},
		{raw: "/a/./", reason: policy.PathDots},
		{raw: "/a/%2e%2e/b", reason: policy.PathDots},
		{raw: "/a/%2E./b", reason: policy.PathDots},
		{raw: "/a/.%2e", reason: policy.PathDots},
		{raw: "/%2e/a", reason: policy.PathDots},
		{raw: "/a/..%2fb", reason: policy.PathSlash},
		{raw: "/a/..%2Fb", reason: policy.PathDots, relax: anything},
		{raw: "/a%2f..%2fb", reason: policy.PathDots, relax: anything},
		{raw: "/a%2Fb", reason: policy.PathSlash},
		{raw: "/%2f", reason: policy.PathSlash},
		{raw: "/a%2f", reason: policy.PathSlash},
		{raw: "/a/%252e%252e/b", reason: policy.PathTwiceEncoded},
		{raw: "/a%252fb", reason: policy.PathTwiceEncoded},
		{raw: "/a%25", reason: policy.PathTwiceEncoded, relax: anything},
		{raw: "/a/..;/b", reason: policy.PathSemicolon},
		{raw: "/a/..;/b", reason: policy.PathDots, relax: anything},
		{raw: "/a/..;x=1/b", reason: policy.PathDots, relax: anything},
		{raw: "/a/..%3b/b", reason: policy.PathDots, relax: anything},
		{raw: "/a;x", reason: policy.PathSemicolon},
		{raw: "/;/a", reason: policy.PathSemicolon},
		{raw: "/a%3Bx", reason: policy.PathSemicolon},
		{raw: `/a\b`, reason: policy.PathBackslash},
		{raw: `/..\b`, reason: policy.PathBackslash, relax: anything},
		{raw: "/a%5cb", reason: policy.PathBackslash},
		{raw: "/..%5C", reason: policy.PathBackslash, relax: anything},
		{raw: "/%c0%ae%c0%ae/", reason: policy.PathNotUTF8},
		{raw: "/%c0%af", reason: policy.PathNotUTF8, relax: anything},
		{raw: "/%e0%80%af", reason: policy.PathNotUTF8},
		{raw: "/%ff", reason: policy.PathNotUTF8},
		{raw: "/\xff", reason: policy.PathNotUTF8, relax: anything},
		{raw: "//a", reason: policy.PathEmpty},
		{raw: "/a//b", reason: policy.PathEmpty},
		{raw: "/a//", reason: policy.PathEmpty},
		{raw: "//", reason: policy.PathEmpty},
		{raw: "//host/a", reason: policy.PathEmpty},
		{raw: "/a%00", reason: policy.PathControl},
		{raw: "/a%00.png", reason: policy.PathControl, relax: anything},
		{raw: "/a\x00", reason: policy.PathControl},
		{raw: "/a%0a", reason: policy.PathControl},
		{raw: "/a%0d%0aX:", reason: policy.PathControl},
		{raw: "/a\r\n", reason: policy.PathControl},
		{raw: "/a%7f", reason: policy.PathControl},
		{raw: "/a%09", reason: policy.PathControl},
		{raw: "/%C2%85", reason: policy.PathControl, relax: anything},
		{raw: "/a#x", reason: policy.PathFragment},
		{raw: "/#", reason: policy.PathFragment, relax: anything},
		{raw: "/é", reason: policy.PathNonASCII},
		{raw: "/．．/b", reason: policy.PathNonASCII},
		{raw: "/%EF%BC%8E%EF%BC%8E/b", reason: policy.PathLookalike},
		{raw: "/a%EF%BC%8Fb", reason: policy.PathLookalike},
		{raw: "/%E2%80%A5/b", reason: policy.PathLookalike},
		{raw: "/%E2%84%AA", reason: policy.PathLookalike, relax: policy.Relaxed{FoldCase: true}},
		{raw: "/%C5%BF", reason: policy.PathLookalike, relax: anything},
		{raw: "http://host/a", reason: policy.PathNotRooted},
		{raw: "HTTPS://host/a", reason: policy.PathNotRooted, relax: anything},
		{raw: "*", reason: policy.PathNotRooted},
		{raw: "", reason: policy.PathNotRooted},
		{raw: "?/a", reason: policy.PathNotRooted},
		{raw: "a/b", reason: policy.PathNotRooted},
		{raw: "host:443", reason: policy.PathNotRooted},
		{raw: ".", reason: policy.PathNotRooted},
		{raw: " /a", reason: policy.PathNotRooted},
		{raw: "/a%", reason: policy.PathEscape},
		{raw: "/a%2", reason: policy.PathEscape},
		{raw: "/a%zz", reason: policy.PathEscape},
		{raw: "/%u002e", reason: policy.PathEscape},
		{raw: "/a%+1", reason: policy.PathEscape, relax: anything},
		{raw: "/a b", reason: policy.PathCharacter},
		{raw: "/a|b", reason: policy.PathCharacter},
		{raw: "/{id}", reason: policy.PathCharacter},
		{raw: `/"`, reason: policy.PathCharacter},
		{raw: "/<", reason: policy.PathCharacter, relax: anything},
		{raw: "/" + strings.Repeat("a", 8192), reason: policy.PathTooLong},
		{raw: "/" + strings.Repeat(",", 4000), reason: policy.PathTooLong},
	} {
		got, err := policy.Canonical(tt.raw, tt.relax)
		refused, ok := errors.AsType[*policy.PathError](err)
		if !ok || refused.Reason != tt.reason || got != "" {
			t.Errorf("Canonical(%.40q, %+v) = %q, %v; want it refused: %s", tt.raw, tt.relax, got, err, tt.reason)
		}
	}
}
