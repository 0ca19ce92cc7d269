package policy_test

import (
	"strings"
	"testing"

	"postern/policy"
)

func TestParsePath(t *testing.T) {
	for in, want := range map[string]string{
		"/": "/", "/**": "/**", "/a/**": "/a/**", "/a/{id}": "/a/{id}", "/{_a9}/{b}/**": "/{_a9}/{b}/**",
		"/v1.0/a,b": "/v1.0/a%2Cb", "/%41%2c%7bx%7d": "/A%2C%7Bx%7D", "/é": "/%C3%A9", "/%c3%a9": "/%C3%A9",
		"/Users('x')/$count": "/Users('x')/$count", "/%2A%2A": "/%2A%2A", "/jobs/7:run": "/jobs/7:run",
		"/a%3Bb": "/a%3Bb", "/a%23%3F": "/a%23%3F", "/...": "/...", "/~a/-_.!&()+=@": "/~a/-_.!&()+=@",
		"/" + strings.Repeat("a", 1023): "/" + strings.Repeat("a", 1023),
	} {
		got, err := policy.ParsePath(in)
		if got != want || err != nil {
			t.Errorf("ParsePath(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
}

// Row G07: what looks like a regular expression or another tool's wildcard is
// refused, as is what no canonical call can have.
func TestG07PatternsThatAreRefused(t *testing.T) {
	for _, in := range []string{
		"", "a", "a/b", "/a/", "//a", "/a//b", "/.", "/..", "/a/../b", "/%2e%2E/b", "/a/.%2e", "/a%2Fb", "/a%5cb", `/a\b`,
		"/a%", "/a%0", "/a%zz", "/a%00", "/a%1f", "/a%7F", "/a%25b", "/a?b", "/a#b", "/a;b", "/a|b", "/(a|b)^", "/^a", "/*", "/*x", "/a/*/b",
		"/a/**/b", "/a**", "/***", "/:id", "/%3Aid", "/{id}x", "/x{id}", "/{}", "/{a}/{a}", "/{a-b}", "/{9a}", "/{" + strings.Repeat("a", 33) + "}", "/{a}b}", "/[a]",
		`/"a"`, "/a b", "/a\tb", "/a\x00", "/\xff", "/%ff", "/%c0%ae", "/%C2%85", "/" + strings.Repeat("a", 1024), "/" + strings.Repeat("é", 200),
	} {
		if got, err := policy.ParsePath(in); err == nil {
			t.Errorf("ParsePath(%q) = %q; want it refused", in, got)
		}
	}
}

func TestSegment(t *testing.T) {
	for in, want := range map[string]string{"d1": "d1", "a,b": "a%2Cb", "%64%31": "d1", "ü": "%C3%BC", ":x": ":x", "a%20b": "a%20b"} {
		if got, err := policy.Segment(in); got != want || err != nil {
			t.Errorf("Segment(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"", ".", "..", "a/b", "a%2fb", "*", "{x}", "a b", "%", "\xc3"} {
		if got, err := policy.Segment(in); err == nil {
			t.Errorf("Segment(%q) = %q; want it refused", in, got)
		}
	}
}

func TestParam(t *testing.T) {
	for _, tt := range []struct{ pattern, path, name, want string }{
		{"/w/{ws}/x/{id}", "/w/acme/x/7", "ws", "acme"},
		{"/w/{ws}/x/{id}", "/w/acme/x/7", "id", "7"},
		{"/w/{ws}/**", "/w/acme/x/7", "ws", "acme"},
		{"/w/{ws}/**", "/w/acme/x/7", "id", ""},
		{"/w/{ws}", "/w", "ws", ""},
		{"/w/ws", "/w/ws", "ws", ""},
	} {
		if got, ok := policy.Param(tt.pattern, tt.path, tt.name); got != tt.want || ok != (tt.want != "") {
			t.Errorf("Param(%q, %q, %q) = %q, %t; want %q", tt.pattern, tt.path, tt.name, got, ok, tt.want)
		}
	}
}
