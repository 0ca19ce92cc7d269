package console

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"postern/server/admin"
)

// form is what was typed into a form, and what is wrong with it. A page shows it
// again with both.
type form struct {
	Values  url.Values
	Faults  map[string]string // by field
	Summary []string          // sentences, above the form
	Now     []difference      // what somebody else saved meanwhile
}

// difference is a field in which a record is not what was typed.
type difference struct{ Label, Value string }

// overtaken notes that somebody else saved the record since the form was opened,
// and where it is not what was typed. Sent again, the form is about what was
// saved. Each of labels is a field and what it is called.
func (f *form) overtaken(saved url.Values, labels ...[2]string) {
	f.Summary = []string{"Somebody else changed this while you did. Nothing of yours is saved yet: look at what it is now, and save again to put yours in its place."}
	for _, l := range labels {
		now := saved[l[0]]
		if slices.Equal(f.Values[l[0]], now) || f.Values.Get(l[0]) == "" && strings.Join(now, "") == "" {
			continue
		}
		text := strings.Join(now, ", ")
		if text == "" {
			text = "nothing"
		}
		f.Now = append(f.Now, difference{l[1], text})
	}
	f.Values.Set("revision", saved.Get("revision"))
}

// asRefusal is an error of an operation, or nil for any other.
func asRefusal(err error) *admin.Error {
	e, _ := errors.AsType[*admin.Error](err)
	return e
}

// seconds reads a number of seconds, of which nothing is 0.
func (f *form) seconds(name string) *time.Duration {
	text := strings.TrimSpace(f.Values.Get(name))
	if text == "" {
		return new(time.Duration(0))
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > 1<<31 {
		f.fault(name, "must be a number of seconds, or empty")
	}
	return new(time.Duration(n) * time.Second)
}

// isStale reports whether somebody else was faster.
func isStale(err error) bool {
	e, ok := errors.AsType[*admin.Error](err)
	return ok && e.Kind == admin.Stale
}

// fault says what is wrong with a field.
func (f *form) fault(field, message string) {
	if f.Faults == nil {
		f.Faults = map[string]string{}
	}
	if f.Faults[field] == "" {
		f.Faults[field] = sentence(message)
	}
	f.Summary = append(f.Summary, sentence("the field “"+strings.ReplaceAll(field, "_", " ")+"” "+message))
}

// take notes an error that is about what was sent, or that passes, and reports
// whether it is one: every refusal is, but not what nobody classified.
func (f *form) take(err error) bool {
	e, ok := errors.AsType[*admin.Error](err)
	if !ok {
		return false
	}
	if len(e.Faults) == 0 {
		place, message, has := strings.Cut(e.Message, ": ")
		if has && f.Values.Has(field(place)) && place == field(place) {
			f.fault(place, message)
			return true
		}
		f.Summary = append(f.Summary, sentence(e.Message))
	}
	for _, fault := range e.Faults {
		f.fault(field(fault.Place), fault.Message)
	}
	return true
}

// field is the field of a form for a place in an operation's input.
func field(place string) string {
	if i := strings.IndexAny(place, "[."); i >= 0 {
		return place[:i]
	}
	return place
}

// on reports whether a box is ticked.
func on(values url.Values, name string) bool { return values.Get(name) != "" }

// lines are the lines of a text that hold something, and what commas part in them.
func lines(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" ,\r\n\t", r) })
}

// statusOf is the HTTP status of a refusal.
func statusOf(err error) int {
	e, ok := errors.AsType[*admin.Error](err)
	if !ok {
		return http.StatusInternalServerError
	}
	switch e.Kind {
	case admin.Invalid, admin.Unauthenticated:
		return http.StatusUnprocessableEntity
	case admin.Forbidden:
		return http.StatusForbidden
	case admin.NotFound:
		return http.StatusNotFound
	case admin.Conflict:
		return http.StatusConflict
	case admin.Stale:
		return http.StatusPreconditionFailed
	case admin.Precondition:
		return http.StatusPreconditionRequired
	case admin.Unavailable:
		return http.StatusServiceUnavailable
	case admin.TooMany:
		return http.StatusTooManyRequests
	}
	return http.StatusInternalServerError
}

func seconds(d time.Duration) string { return strconv.Itoa(int(d.Round(time.Second) / time.Second)) }

// control is a field of a form, for the templates of controls.html.
type control struct {
	Name, Label, Kind, Value, Hint, Fault string
	Placeholder, Autocomplete, Max, Class string
	List                                  string // the id of a datalist
	Required, Optional, Autofocus, Mono   bool
	Options                               []option
	Picked                                []string
}

// option is one choice of a list.
type option struct {
	Value, Label, Note string
	Disabled           bool
}

// Is reports whether an option is chosen.
func (c control) Is(value string) bool { return slices.Contains(c.Picked, value) }

// input makes a control. more holds options such as "required", "hint=…",
// "kind=password", "value=…" for what stands there at first.
func input(f form, name, label string, more ...string) control {
	c := control{Name: name, Label: label, Kind: "text", Fault: f.Faults[name]}
	for _, m := range more {
		key, value, _ := strings.Cut(m, "=")
		switch key {
		case "required":
			c.Required = true
		case "optional":
			c.Optional = true
		case "autofocus":
			c.Autofocus = true
		case "mono":
			c.Mono = true
		case "kind":
			c.Kind = value
		case "hint":
			c.Hint = value
		case "value":
			c.Value, c.Picked = value, []string{value}
		case "placeholder":
			c.Placeholder = value
		case "autocomplete":
			c.Autocomplete = value
		case "list":
			c.List = value
		case "max":
			c.Max = value
		case "class":
			c.Class = value
		default:
			panic("console: no control has an option " + key)
		}
	}
	if f.Values.Has(name) {
		c.Value, c.Picked = f.Values.Get(name), f.Values[name]
	}
	if c.Kind == "password" {
		c.Value = "" // never sent back
	}
	return c
}

// choose makes a control with options: for a select, radio buttons or boxes.
func choose(f form, name, label string, options []option, more ...string) control {
	c := input(f, name, label, more...)
	c.Options = options
	return c
}
