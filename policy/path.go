package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// maxPattern bounds a pattern in its canonical spelling, in bytes.
const maxPattern = 1024

// ParsePath checks a path pattern and returns its canonical spelling, which
// parses to itself. A pattern is "/", or segments that each follow a slash: a
// literal, {name} for any one segment, and in last place ** for any number of
// segments, none included.
func ParsePath(pattern string) (string, error) {
	if pattern == "/" {
		return pattern, nil
	}
	rest, rooted := strings.CutPrefix(pattern, "/")
	if !rooted {
		return "", errors.New("a path begins with a slash")
	}
	segments := strings.Split(rest, "/")
	for i, s := range segments {
		var err error
		if segments[i], err = parseSegment(s, segments[:i], i == len(segments)-1); err != nil {
			return "", fmt.Errorf("segment %d of the path, %q: %w", i+1, s, err)
		}
	}
	spelled := "/" + strings.Join(segments, "/")
	if len(spelled) > maxPattern {
		return "", fmt.Errorf("the path has %d bytes in its canonical spelling, and may have %d", len(spelled), maxPattern)
	}
	return spelled, nil
}

func parseSegment(s string, before []string, last bool) (string, error) {
	switch {
	case s == "**" && last:
		return s, nil
	case isParam(s) && slices.Contains(before, s):
		return "", errors.New("a parameter stands twice; give each its own name")
	case isParam(s):
		return s, nil
	case strings.ContainsAny(s, "{}"):
		return "", errors.New("a parameter is a whole segment, {name}, named by at most 32 letters, digits and _; a literal brace is %7B or %7D")
	}
	if strings.Contains(s, "*") {
		return "", errors.New("there are no wildcards but /** in last place; a literal star is %2A")
	}
	spelled, err := Segment(s)
	if err == nil && spelled[0] == ':' {
		// Elsewhere this is how a parameter is written: as a literal it would
		// look like a rule and match nothing.
		err = errors.New("a segment cannot begin with a colon; write {name} for a parameter")
	}
	return spelled, err
}

// isParam reports whether a segment is {name}.
func isParam(s string) bool {
	return len(s) > 2 && s[0] == '{' && s[len(s)-1] == '}' && isName(s[1:len(s)-1])
}

// isName reports whether s is a parameter's name.
func isName(s string) bool { return isField(s) && len(s) <= 32 }

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
func isDigit(c byte) bool  { return '0' <= c && c <= '9' }

// Segment returns the canonical spelling of one literal segment: everything but
// letters, digits and -._~!$&'()+=:@ is percent-encoded in upper case. Paths of
// calls and values of limits are spelled by the same rule. It refuses what no
// canonical call can hold, such as an encoded slash.
func Segment(s string) (string, error) {
	var buf [128]byte
	spelled, err := appendSegment(buf[:0], s, literal)
	if err != nil {
		return "", err
	}
	return string(spelled), nil
}

// Param returns the segment of path that {name} stands for in a pattern that
// matches the path.
func Param(pattern, path, name string) (string, bool) {
	for place := 0; ; place++ {
		s, rest, more := strings.Cut(pattern, "/")
		if len(s) == len(name)+2 && s[0] == '{' && s[1:len(s)-1] == name {
			value := nth(path, place)
			return value, value != ""
		}
		if !more {
			return "", false
		}
		pattern = rest
	}
}

// nth returns a segment of a path by its place; what stands before the first
// slash has place 0. There is none after the last.
func nth(path string, place int) string {
	start := 0
	for i := range len(path) {
		if path[i] != '/' {
			continue
		}
		if place == 0 {
			return path[start:i]
		}
		place, start = place-1, i+1
	}
	if place > 0 {
		return ""
	}
	return path[start:]
}
