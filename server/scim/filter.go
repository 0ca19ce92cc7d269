package scim

import (
	"encoding/json"
	"strings"
)

// path names an attribute (RFC 7644 section 3.10): "userName", "name.givenName",
// "urn:ietf:params:scim:schemas:core:2.0:User:userName".
type path struct {
	urn, name, sub string
}

func (p path) String() string {
	s := p.name
	if p.urn != "" {
		s = p.urn + ":" + s
	}
	if p.sub != "" {
		s += "." + p.sub
	}
	return s
}

// filter is an expression that a resource matches or not (RFC 7644 section
// 3.4.2.2). Its text parses to the same filter.
type filter interface {
	String() string
	binds() int // how tightly; what binds less stands in parentheses
}

type (
	// comparison is "userName eq "x"", by one of the operators but pr.
	comparison struct {
		path  path
		op    string // lower case
		value any    // string, bool, json.Number or nil
	}
	// present is "title pr".
	present struct{ path path }
	// among is "emails[type eq "work"]": one value of the attribute matches.
	among struct {
		path  path
		inner filter
	}
	// negation is "not (…)".
	negation struct{ inner filter }
	// every is "… and …", of two or more.
	every []filter
	// some is "… or …", of two or more.
	some []filter
)

const (
	bindsOr = iota + 1
	bindsAnd
	bindsTight
)

func (comparison) binds() int { return bindsTight }
func (present) binds() int    { return bindsTight }
func (among) binds() int      { return bindsTight }
func (negation) binds() int   { return bindsTight }
func (every) binds() int      { return bindsAnd }
func (some) binds() int       { return bindsOr }

func (c comparison) String() string {
	value, _ := json.Marshal(c.value) // what was read from JSON can be written
	return c.path.String() + " " + c.op + " " + string(value)
}

func (p present) String() string  { return p.path.String() + " pr" }
func (a among) String() string    { return a.path.String() + "[" + a.inner.String() + "]" }
func (n negation) String() string { return "not (" + n.inner.String() + ")" }
func (e every) String() string    { return joined(e, " and ", bindsAnd) }
func (s some) String() string     { return joined(s, " or ", bindsOr) }

func joined(parts []filter, by string, binds int) string {
	texts := make([]string, len(parts))
	for i, p := range parts {
		if texts[i] = p.String(); p.binds() <= binds {
			texts[i] = "(" + texts[i] + ")"
		}
	}
	return strings.Join(texts, by)
}
