package scim

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"
)

// Bounds of what a client may ask: nobody writes a filter of these sizes.
const (
	maxFilter = 8 << 10 // bytes
	maxDepth  = 32      // of parentheses
)

// parseFilter reads a filter by the grammar of RFC 7644 section 3.4.2.2. Not
// binds tighter than and, and tighter than or.
func parseFilter(text string) (filter, error) {
	p := &parser{text: text}
	if len(text) > maxFilter || !utf8.ValidString(text) {
		return nil, badFilter("it is longer than 8 kB, or not UTF-8")
	}
	f, err := p.or(false)
	if err != nil {
		return nil, err
	}
	if p.space(); p.at < len(p.text) {
		return nil, p.unexpected()
	}
	return f, nil
}

// target is the path of a PATCH operation (RFC 7644 section 3.5.2):
// "members", "name.familyName", "emails[type eq \"work\"].value".
type target struct {
	path path   // without the sub-attribute after a filter
	with filter // of the values; nil takes all
	sub  string // after the filter
}

func (t target) String() string {
	s := t.path.String()
	if t.with != nil {
		s += "[" + t.with.String() + "]"
	}
	if t.sub != "" {
		s += "." + t.sub
	}
	return s
}

// parseTarget reads the path of a PATCH operation.
func parseTarget(text string) (target, error) {
	p := &parser{text: text}
	bad := &Error{Status: 400, Type: "invalidPath", Detail: "the path is not written as RFC 7644 section 3.5.2 says"}
	if len(text) > maxFilter || !utf8.ValidString(text) {
		return target{}, bad
	}
	at, err := parsePath(p.word())
	if err != nil {
		return target{}, bad
	}
	t := target{path: at}
	if p.take('[') {
		if at.sub != "" {
			return target{}, bad
		}
		if t.with, err = p.or(true); err != nil {
			return target{}, err
		}
		if p.space(); !p.take(']') {
			return target{}, bad
		}
		if p.take('.') {
			if t.sub = p.word(); !isName(t.sub) {
				return target{}, bad
			}
		}
	}
	if p.at < len(p.text) {
		return target{}, bad
	}
	return t, nil
}

// parsePath reads the name of an attribute.
func parsePath(text string) (path, error) {
	var p path
	if i := strings.LastIndexByte(text, ':'); i >= 0 {
		if p.urn, text = text[:i], text[i+1:]; !isURN(p.urn) {
			return path{}, badFilter("an attribute's name is not well-formed")
		}
	}
	p.name, p.sub, _ = strings.Cut(text, ".")
	if !isName(p.name) || p.sub != "" && !isName(p.sub) || strings.HasSuffix(text, ".") {
		return path{}, badFilter("an attribute's name is not well-formed")
	}
	return p, nil
}

// isName reports whether a text is an ATTRNAME, or $ref.
func isName(s string) bool {
	s = strings.TrimPrefix(s, "$")
	if s == "" || !isLetter(s[0]) {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isLetter(c) && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

func isURN(s string) bool {
	if len(s) < 4 || !strings.EqualFold(s[:4], "urn:") {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isLetter(c) && (c < '0' || c > '9') && !strings.ContainsRune(":.-_", rune(c)) {
			return false
		}
	}
	return true
}

// parser reads a text from its start to its end.
type parser struct {
	text  string
	at    int
	depth int
}

func (p *parser) space() {
	for p.at < len(p.text) && p.text[p.at] == ' ' {
		p.at++
	}
}

func (p *parser) take(c byte) bool {
	if p.at < len(p.text) && p.text[p.at] == c {
		p.at++
		return true
	}
	return false
}

// word takes what stands before the next space or bracket.
func (p *parser) word() string {
	end := strings.IndexAny(p.text[p.at:], ` ()[]"`)
	if end < 0 {
		end = len(p.text) - p.at
	}
	w := p.text[p.at : p.at+end]
	p.at += end
	return w
}

// keyword takes a word if it is the next one, in any case.
func (p *parser) keyword(word string) bool {
	start := p.at
	p.space()
	if strings.EqualFold(p.word(), word) {
		return true
	}
	p.at = start
	return false
}

func (p *parser) unexpected() error {
	if p.at >= len(p.text) {
		return badFilter("it ends too early")
	}
	return badFilter("it cannot be read from byte %d on", p.at+1)
}

// or reads a filter. Within the brackets of a value filter there is no other one.
func (p *parser) or(within bool) (filter, error) {
	parts, err := p.list(within, "or", p.and)
	if err != nil || len(parts) > 1 {
		return some(parts), err
	}
	return parts[0], nil
}

func (p *parser) and(within bool) (filter, error) {
	parts, err := p.list(within, "and", p.term)
	if err != nil || len(parts) > 1 {
		return every(parts), err
	}
	return parts[0], nil
}

func (p *parser) list(within bool, by string, next func(bool) (filter, error)) ([]filter, error) {
	var parts []filter
	for {
		f, err := next(within)
		if err != nil {
			return nil, err
		}
		parts = append(parts, f)
		if !p.keyword(by) {
			return parts, nil
		}
	}
}

func (p *parser) term(within bool) (filter, error) {
	p.space()
	if p.take('(') {
		return p.group(within)
	}
	start := p.at
	if p.keyword("not") {
		p.space()
		if p.take('(') {
			inner, err := p.group(within)
			return negation{inner}, err
		}
		p.at = start // an attribute may have this name
	}
	at, err := parsePath(p.word())
	if err != nil {
		return nil, p.unexpected()
	}
	if !within && at.sub == "" && p.take('[') {
		inner, err := p.or(true)
		if err != nil {
			return nil, err
		}
		if p.space(); !p.take(']') {
			return nil, p.unexpected()
		}
		return among{at, inner}, nil
	}
	return p.compared(at)
}

// group reads on after an opening parenthesis.
func (p *parser) group(within bool) (filter, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, badFilter("it has more than %d parentheses in each other", maxDepth)
	}
	inner, err := p.or(within)
	if err != nil {
		return nil, err
	}
	if p.space(); !p.take(')') {
		return nil, p.unexpected()
	}
	p.depth--
	return inner, nil
}

func operators() []string { return []string{"eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"} }

// compared reads the operator after an attribute, and the value.
func (p *parser) compared(at path) (filter, error) {
	p.space()
	start := p.at
	op := strings.ToLower(p.word())
	if op == "pr" {
		return present{at}, nil
	}
	if !slices.Contains(operators(), op) {
		p.at = start
		return nil, p.unexpected()
	}
	p.space()
	value, err := p.value()
	return comparison{at, op, value}, err
}

// value reads false, null, true, a number or a string, as JSON writes them.
func (p *parser) value() (any, error) {
	start := p.at
	if p.take('"') {
		for p.at < len(p.text) && p.text[p.at] != '"' {
			if p.text[p.at] == '\\' {
				p.at++
			}
			p.at++
		}
		p.at++
	} else {
		p.word()
	}
	end := min(p.at, len(p.text))
	d := json.NewDecoder(strings.NewReader(p.text[start:end]))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil || d.More() {
		p.at = start
		return nil, p.unexpected()
	}
	p.at = end
	switch v.(type) {
	case nil, bool, string, json.Number:
		return v, nil
	default:
		p.at = start
		return nil, p.unexpected()
	}
}
