package policy

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxPath bounds the path of a call in bytes.
const maxPath = 8192

// Relaxed names what an API's upstream is known to treat as an ordinary part of
// a path, so that calls need not be refused for it. See store.API.
type Relaxed struct {
	Semicolon    bool // ; is spelled %3B
	EncodedSlash bool // %2F stays, and parts no segments
	DoubleSlash  bool // empty segments stay
	NonASCII     bool // raw UTF-8 is spelled in percent escapes
	FoldCase     bool // the upstream ignores case: the path is lower-cased
}

// PathReason says why a path is refused.
type PathReason string

// The reasons to refuse a path. Servers disagree on what each of these means,
// so that the one that decides and the one that serves could see two paths.
const (
	PathNotRooted    PathReason = "it does not begin with a slash"
	PathTooLong      PathReason = "it is too long"
	PathEmpty        PathReason = "it has an empty segment"
	PathDots         PathReason = "it has a segment of dots"
	PathEscape       PathReason = "it has a broken percent escape"
	PathControl      PathReason = "it has a control character"
	PathSlash        PathReason = "it has an encoded slash"
	PathBackslash    PathReason = "it has a backslash"
	PathTwiceEncoded PathReason = "it has an encoded percent sign"
	PathSemicolon    PathReason = "it has a semicolon"
	PathFragment     PathReason = "it has a fragment"
	PathNonASCII     PathReason = "it has bytes beyond ASCII that are not percent-encoded"
	PathNotUTF8      PathReason = "it is not UTF-8"
	PathLookalike    PathReason = "it has a character that some servers turn into an ASCII one"
	PathCharacter    PathReason = "it has a character that no path may have (RFC 3986 section 3.3)"
)

// PathError refuses a path. Its text does not repeat the path.
type PathError struct{ Reason PathReason }

func (e *PathError) Error() string { return "the path is refused: " + string(e.Reason) }

// Canonical returns the one spelling of a request target's path by which it is
// decided: the query is cut off, and trailing slashes, escapes are decoded and
// everything but letters, digits and -._~!$&'()+=:@ is encoded in upper case.
// What servers are known to understand differently is a *PathError. A path
// that is canonical already comes back as it is, without an allocation.
func Canonical(raw string, o Relaxed) (string, error) {
	if i := strings.IndexByte(raw, '?'); i >= 0 {
		raw = raw[:i]
	}
	if raw == "" || raw[0] != '/' {
		return "", &PathError{PathNotRooted}
	}
	if len(raw) > maxPath {
		return "", &PathError{PathTooLong}
	}
	for len(raw) > 1 && raw[len(raw)-1] == '/' && (o.DoubleSlash || raw[len(raw)-2] != '/') {
		// Or a deny of /a could be walked around as /a/.
		raw = raw[:len(raw)-1]
	}
	if raw == "/" || !o.FoldCase && isCanonical(raw) {
		return raw, nil
	}
	var buf [256]byte
	spelled, rest, more := buf[:0], raw[1:], true
	for more {
		var segment string
		segment, rest, more = strings.Cut(rest, "/")
		spelled = append(spelled, '/')
		if segment == "" && o.DoubleSlash {
			continue
		}
		var err error
		if spelled, err = appendSegment(spelled, segment, o.call()); err != nil {
			return "", err
		}
	}
	if len(spelled) > maxPath {
		return "", &PathError{PathTooLong}
	}
	if string(spelled) == raw {
		return raw, nil
	}
	return string(spelled), nil
}

// isCanonical reports whether a rooted path has nothing but plain characters,
// no empty segment and no segment of dots. Others may be canonical, too.
func isCanonical(path string) bool {
	start := 1
	for i := 1; i <= len(path); i++ {
		if i < len(path) && path[i] != '/' {
			if !isPlain(path[i]) {
				return false
			}
			continue
		}
		if s := path[start:i]; s == "" || s == "." || s == ".." {
			return false
		}
		start = i + 1
	}
	return true
}

// isPlain reports whether a byte stands for itself in a canonical path.
func isPlain(c byte) bool {
	const (
		low  = 1<<'-' | 1<<'.' | 1<<'!' | 1<<'$' | 1<<'&' | 1<<'\'' | 1<<'(' | 1<<')' | 1<<'+' | 1<<'=' | 1<<':' | (1<<10-1)<<'0'
		high = 1<<('_'-64) | 1<<('~'-64) | 1<<('@'-64) | (1<<26-1)<<('A'-64) | (1<<26-1)<<('a'-64)
	)
	if c < 64 {
		return uint64(low)>>c&1 != 0
	}
	return c < 128 && uint64(high)>>(c-64)&1 != 0
}

// leave says what a segment may have besides plain characters and escapes.
type leave uint8

const (
	semicolon leave = 1 << iota
	encodedSlash
	nonASCII
	fold
	star // a call's * is a character; a pattern's would be a wildcard that we do not have
	lookalike
	encodedSemicolon

	// literal is for segments of patterns and values of limits: what is typed
	// there is never decoded twice, and may wait for calls that an API allows.
	literal = nonASCII | lookalike | encodedSemicolon
)

func (o Relaxed) call() leave {
	l := star
	if o.Semicolon {
		l |= semicolon | encodedSemicolon
	}
	if o.EncodedSlash {
		l |= encodedSlash
	}
	if o.NonASCII {
		l |= nonASCII | lookalike
	}
	if o.FoldCase {
		l |= fold
	}
	return l
}

// appendSegment appends the canonical spelling of a segment.
func appendSegment(to []byte, s string, may leave) ([]byte, error) {
	var buf [256]byte
	meant := buf[:0]
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' {
			if i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2]) {
				return nil, &PathError{PathEscape}
			}
			c = unhex(s[i+1])<<4 | unhex(s[i+2])
			i += 2
			if reason := encodedByte(c, may); reason != "" {
				return nil, &PathError{reason}
			}
		} else if reason := rawByte(c, may); reason != "" {
			return nil, &PathError{reason}
		}
		meant = append(meant, c)
	}
	if reason := whole(meant, may); reason != "" {
		return nil, &PathError{reason}
	}
	if may&fold != 0 {
		var reason PathReason
		if meant, reason = lower(meant); reason != "" {
			return nil, &PathError{reason}
		}
	}
	return spell(to, meant), nil
}

// encodedByte says what is wrong with a byte that was percent-encoded.
func encodedByte(c byte, may leave) PathReason {
	switch {
	case c < 0x20 || c == 0x7f:
		return PathControl
	case c == '%':
		return PathTwiceEncoded
	case c == '\\':
		return PathBackslash
	case c == '/' && may&encodedSlash == 0:
		return PathSlash
	case c == ';' && may&encodedSemicolon == 0:
		// Proxies decode and send it on raw.
		return PathSemicolon
	}
	return ""
}

// rawByte says what is wrong with a byte that stands for itself.
func rawByte(c byte, may leave) PathReason {
	switch {
	case isPlain(c) || c == ',' || c == '*' && may&star != 0 || c == ';' && may&semicolon != 0 || c >= 0x80 && may&nonASCII != 0:
		return ""
	case c < 0x20 || c == 0x7f:
		return PathControl
	case c >= 0x80:
		return PathNonASCII
	case c == '\\':
		return PathBackslash
	case c == ';':
		return PathSemicolon
	case c == '#':
		return PathFragment
	}
	return PathCharacter
}

// whole says what is wrong with a decoded segment as a whole.
func whole(meant []byte, may leave) PathReason {
	if len(meant) == 0 {
		return PathEmpty
	}
	// Even where ; and %2F are ordinary, dots beside them never are: /..;/ climbs.
	rest := meant
	for len(rest) > 0 {
		end := 0
		for end < len(rest) && rest[end] != '/' && rest[end] != ';' {
			end++
		}
		if s := rest[:end]; string(s) == "." || string(s) == ".." {
			return PathDots
		}
		rest = rest[min(end+1, len(rest)):]
	}
	if !utf8.Valid(meant) {
		return PathNotUTF8
	}
	for i := 0; i < len(meant); {
		r, size := utf8.DecodeRune(meant[i:])
		i += size
		if r >= utf8.RuneSelf && unicode.IsControl(r) {
			return PathControl
		}
		if may&lookalike == 0 && isLookalike(r) {
			return PathLookalike
		}
	}
	return ""
}

// isLookalike reports whether compatibility normalization (Unicode NFKC), which
// some servers apply to paths, turns a character into ASCII that has a meaning
// in a path: the fullwidth forms, and those that become dots or a slash.
func isLookalike(r rune) bool {
	switch r {
	case '\u2024', '\u2025', '\u2026', '\ufe52', '\ufe54', '\ufe68', '\ufe6a', '\u2100', '\u2101', '\u2105', '\u2106', '\u037e':
		return true
	}
	return '\uff01' <= r && r <= '\uff5e'
}

// lower returns a segment in lower case, and may write into it. A letter beyond ASCII that has its
// other case within it, such as the Kelvin sign, is refused: upstreams differ.
func lower(meant []byte) ([]byte, PathReason) {
	i := 0
	for ; i < len(meant) && meant[i] < utf8.RuneSelf; i++ {
		if c := meant[i]; 'A' <= c && c <= 'Z' {
			meant[i] = c | 0x20
		}
	}
	if i == len(meant) {
		return meant, ""
	}
	low := append(make([]byte, 0, 2*len(meant)), meant[:i]...)
	for i < len(meant) {
		r, size := utf8.DecodeRune(meant[i:])
		i += size
		if r >= utf8.RuneSelf && (unicode.ToLower(r) < utf8.RuneSelf || unicode.ToUpper(r) < utf8.RuneSelf) {
			return nil, PathLookalike
		}
		low = utf8.AppendRune(low, unicode.ToLower(r))
	}
	return low, ""
}

// spell appends a decoded segment with its escapes.
func spell(to, meant []byte) []byte {
	const digits = "0123456789ABCDEF"
	for _, c := range meant {
		if isPlain(c) {
			to = append(to, c)
		} else {
			to = append(to, '%', digits[c>>4], digits[c&15])
		}
	}
	return to
}

func isHex(c byte) bool { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }

func unhex(c byte) byte {
	if isDigit(c) {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}
