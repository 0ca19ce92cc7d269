package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"postern/server/admin"
	"postern/store"
)

// Time is RFC 3339 in UTC with milliseconds; none is null.
type Time store.Time

// MarshalJSON writes the time.
func (t Time) MarshalJSON() ([]byte, error) {
	if t == 0 {
		return []byte("null"), nil
	}
	return []byte(`"` + store.Time(t).String() + `"`), nil
}

// UnmarshalJSON reads RFC 3339, or null.
func (t *Time) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		*t = 0
		return nil
	}
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		return err
	}
	return t.UnmarshalText([]byte(s))
}

// UnmarshalText reads RFC 3339, for parameters.
func (t *Time) UnmarshalText(text []byte) error {
	at, err := time.Parse(time.RFC3339Nano, string(text))
	if err != nil || at.Year() < 1970 || at.Year() > 9999 {
		return errors.New("is no time such as 2026-01-31T12:00:00Z")
	}
	*t = Time(store.At(at))
	return nil
}

// Schema is for huma.
func (Time) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: "date-time", Nullable: true}
}

// moment is an optional time in the query, which huma hands over as text.
type moment string

func (m moment) time(name string) (store.Time, error) {
	if m == "" {
		return 0, nil
	}
	var t Time
	if err := t.UnmarshalText([]byte(m)); err != nil {
		return 0, invalid("query."+name, err.Error())
	}
	return store.Time(t), nil
}

// Maybe is a property of a merge patch (RFC 7396): absent is left as it is, null
// is taken away.
type Maybe[T any] struct {
	Sent, Null bool
	Value      T
}

// UnmarshalJSON remembers that the property was sent.
func (m *Maybe[T]) UnmarshalJSON(text []byte) error {
	m.Sent = true
	if string(text) == "null" {
		m.Null = true
		return nil
	}
	return json.Unmarshal(text, &m.Value)
}

// MarshalJSON writes the value or null; absent ones are for omitzero.
func (m Maybe[T]) MarshalJSON() ([]byte, error) {
	if m.Null {
		return []byte("null"), nil
	}
	return json.Marshal(m.Value)
}

// Schema is that of the value, or null.
func (Maybe[T]) Schema(r huma.Registry) *huma.Schema {
	s := *r.Schema(reflect.TypeFor[T](), true, "")
	if s.Ref == "" && s.Type != "" { // what has no type may be null anyway
		s.Nullable = true
	}
	return &s
}

// pointer is nil for an absent property; null is the zero value.
func (m *Maybe[T]) pointer() *T {
	if !m.Sent {
		return nil
	}
	return &m.Value
}

// or returns the property, or what there was before.
func (m *Maybe[T]) or(before T) T {
	if !m.Sent {
		return before
	}
	return m.Value
}

// seconds is a duration of a property in seconds; nil if it is absent.
func seconds(m Maybe[int64]) *time.Duration {
	if !m.Sent {
		return nil
	}
	d := time.Duration(min(max(m.Value, -1), math.MaxInt64/int64(time.Second))) * time.Second
	return &d
}

// Reference names a record.
type Reference struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

func reference(n admin.Named) *Reference {
	if n.ID == "" {
		return nil
	}
	return &Reference{string(n.ID), n.Name}
}

// Page asks for a page of a list.
type Page struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"50"`
	Cursor string `query:"cursor" maxLength:"2048" doc:"next of the page before"`
}

// List is a page of a list.
type List[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty" doc:"The cursor of the next page; absent on the last one."`
	Total *int   `json:"total,omitempty" doc:"How many there are in all, counted up to 10,000; absent where nobody counts."`
}

type listAnswer[T any] struct{ Body List[T] }

// pageOf cuts a page out of a list that is in memory, ordered by key.
func pageOf[R, T any](a *API, p Page, question any, all []R, key func(R) string, wire func(R) T) (*listAnswer[T], error) {
	out := &listAnswer[T]{Body: List[T]{Items: []T{}, Total: new(len(all))}}
	var after string
	if p.Cursor != "" {
		if err := a.Admin.OpenCursor(p.Cursor, question, &after); err != nil {
			return nil, err
		}
	}
	for i, r := range all {
		if after != "" && key(r) <= after {
			continue
		}
		if len(out.Body.Items) == p.Limit {
			next, err := a.Admin.SealCursor(question, key(all[i-1]))
			out.Body.Next = next
			return out, err
		}
		out.Body.Items = append(out.Body.Items, wire(r))
	}
	return out, nil
}

// orEmpty is a list that is never null.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// texts are ids as strings.
func texts[S ~string](list []S) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = string(s)
	}
	return out
}

func etag(revision int64) string { return `"` + strconv.FormatInt(revision, 10) + `"` }

// Condition is the If-Match header (RFC 9110 section 13.1.1): one strong tag.
type Condition struct {
	IfMatch string `header:"If-Match" doc:"The ETag of what you read."`
}

// revision is the one that is named, 0 if none is, and -1 if it can be none.
// That of * is none: it would promise a look and leave it out.
func (m Condition) revision() int64 {
	switch m.IfMatch {
	case "", "*":
		return 0
	}
	text, ok := strings.CutPrefix(m.IfMatch, `"`)
	text, closed := strings.CutSuffix(text, `"`)
	n, err := strconv.ParseInt(text, 10, 64)
	if !ok || !closed || err != nil || n < 1 {
		return -1
	}
	return n
}

const day = 24 * time.Hour

// duration reads "90d", "1y" (365 days) or a Go duration such as "12h".
func duration(location, text string) (time.Duration, error) {
	for suffix, unit := range map[string]time.Duration{"d": day, "y": 365 * day} {
		digits, ok := strings.CutSuffix(text, suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || n < 0 || n > math.MaxInt64/int64(unit) {
			return 0, invalid(location, "must be a number of days or years, such as 90d or 1y")
		}
		return time.Duration(n) * unit, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, invalid(location, "must be a duration such as 12h, 90d or 1y")
	}
	return d, nil
}

// maxDays: who asks for more means never, and must say so to be warned.
const maxDays = 3650

// expiry reads when something ends: for a time, "never", or nothing said; or the
// same in days, where -1 is never.
func expiry(in string, days *int64) (admin.Expiry, error) {
	switch {
	case in != "" && days != nil:
		return admin.Expiry{}, invalid("body.expires_in_days", "say expires_in or expires_in_days, not both")
	case days != nil && *days == -1, in == "never":
		return admin.Expiry{Never: true}, nil
	case days != nil && (*days < 1 || *days > maxDays):
		return admin.Expiry{}, invalid("body.expires_in_days", "must be 1 to 3650, or -1 for never")
	case days != nil:
		return admin.Expiry{For: time.Duration(*days) * day}, nil
	case in == "":
		return admin.Expiry{}, nil
	}
	d, err := duration("body.expires_in", in)
	if err == nil && (d <= 0 || d > maxDays*day) { // 0 would be the default, near 0 is a slip
		err = invalid("body.expires_in", "must be more than nothing and at most 10 years, or never")
	}
	return admin.Expiry{For: d}, err
}

// strictJSON reads what is JSON in every reader's eyes: valid UTF-8, no half of a
// surrogate pair, no name twice, not too deep.
func strictJSON() huma.Format {
	return huma.Format{
		Marshal: func(w io.Writer, v any) error { return json.NewEncoder(w).Encode(v) },
		Unmarshal: func(text []byte, v any) error {
			if err := checkJSON(text); err != nil {
				return err
			}
			return json.Unmarshal(text, v)
		},
	}
}

const maxDepth = 32

func checkJSON(text []byte) error {
	if !utf8.Valid(text) {
		return errors.New("is not UTF-8")
	}
	if halfSurrogate(text) {
		return errors.New("has half of a surrogate pair")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	var open []map[string]bool // the names of each object that is open; nil for an array
	name := false              // whether a name comes next
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil // what is cut off is for json.Unmarshal
		}
		if err != nil {
			return fmt.Errorf("is no JSON: %w", err)
		}
		switch t := t.(type) {
		case json.Delim:
			switch t {
			case '{':
				open = append(open, map[string]bool{})
			case '[':
				open = append(open, nil)
			default:
				open = open[:len(open)-1]
			}
			if len(open) > maxDepth {
				return fmt.Errorf("is nested deeper than %d levels", maxDepth)
			}
		case string:
			if name {
				names := open[len(open)-1]
				if names[t] {
					return errors.New("has a name twice in an object")
				}
				names[t] = true
				name = false
				continue
			}
		}
		name = len(open) > 0 && open[len(open)-1] != nil
	}
}

// halfSurrogate finds \ud800 to \udfff that stand alone, which readers turn into
// different texts.
func halfSurrogate(text []byte) bool {
	for {
		i := bytes.IndexByte(text, '\\')
		if i < 0 || i+1 >= len(text) {
			return false
		}
		first, ok := escaped(text[i:])
		if !ok {
			text = text[i+2:]
			continue
		}
		text = text[i+6:]
		switch {
		case first >= 0xdc00 && first < 0xe000:
			return true
		case first >= 0xd800 && first < 0xdc00:
			second, ok := escaped(text)
			if !ok || second < 0xdc00 || second > 0xdfff {
				return true
			}
			text = text[6:]
		}
	}
}

// escaped reads \uXXXX at the beginning of text.
func escaped(text []byte) (uint64, bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(text[2:6]), 16, 32)
	return n, err == nil
}
