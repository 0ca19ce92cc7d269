package console

import (
	"fmt"
	"html/template"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"postern/store"
)

// funcs are what templates can call.
func (c *Console) funcs() template.FuncMap {
	return template.FuncMap{
		"asset":     c.assetPath,
		"icon":      c.icon,
		"input":     input,
		"choose":    choose,
		"once":      onceValue,
		"when":      func(t store.Time) template.HTML { return moment(t, relative(t, store.At(c.Now()))) },
		"day":       func(t store.Time) template.HTML { return moment(t, t.Time().Format("2 Jan 2006")) },
		"local":     local,
		"exact":     func(t store.Time) template.HTML { return moment(t, exact(t)) },
		"count":     count[int],
		"count64":   count[int64],
		"capped":    capped,
		"plural":    plural,
		"sentence":  sentence,
		"initials":  initials,
		"provider":  func() *provider { return c.provider },
		"list":      func(values ...string) []string { return values },
		"join":      strings.Join,
		"field":     ruleField,
		"duration":  duration,
		"codeParts": codeParts,
		"clipped":   clipped,
	}
}

// icon is one of icons.svg. It says nothing: what it stands for is beside it, or
// in a label.
func (c *Console) icon(name string) template.HTML {
	//nolint:gosec // the name is ours, and escaped all the same
	return template.HTML(`<svg class="icon" aria-hidden="true"><use href="` + c.assetPath("icons.svg") + "#" + template.HTMLEscapeString(name) + `"/></svg>`)
}

// moment is a time as text, with the exact one for whoever hovers and for programs.
func moment(t store.Time, text string) template.HTML {
	//nolint:gosec // numbers and names of months
	return template.HTML(fmt.Sprintf(`<time datetime="%s" title="%s">%s</time>`, t.Time().Format(time.RFC3339), exact(t), template.HTMLEscapeString(text)))
}

// local is the same time where the reader is, which only script knows.
func local(t store.Time) template.HTML {
	//nolint:gosec // numbers
	return template.HTML(`<span data-script-only hidden> (<time data-local datetime="` + t.Time().Format(time.RFC3339) + `"></time>)</span>`)
}

func exact(t store.Time) string { return t.Time().Format("2 Jan 2006, 15:04:05 UTC") }

// relative says how far a time is from now: "2 minutes ago", "in 89 days".
func relative(t, now store.Time) string {
	d := now.Sub(t)
	ahead := d < 0
	if ahead {
		d = -d
	}
	var text string
	switch {
	case d < 45*time.Second:
		return "just now"
	case d < time.Hour:
		text = plural(max(int(d.Round(time.Minute)/time.Minute), 1), "minute", "minutes")
	case d < 24*time.Hour:
		text = plural(int(d.Round(time.Hour)/time.Hour), "hour", "hours")
	case d < 100*24*time.Hour:
		text = plural(int(d/(24*time.Hour)), "day", "days")
	case d < 730*24*time.Hour:
		text = plural(int(d/(30*24*time.Hour)), "month", "months")
	default:
		text = plural(int(d/(365*24*time.Hour)), "year", "years")
	}
	if ahead {
		return "in " + text
	}
	return text + " ago"
}

// textPart is a part of a text, perhaps between backquotes.
type textPart struct {
	Text string
	Code bool
}

// codeParts parts a text at its backquotes.
func codeParts(text string) (out []textPart) {
	for i, part := range strings.Split(text, "`") {
		out = append(out, textPart{part, i%2 == 1})
	}
	return out
}

// duration spells a whole number of years, days, hours or minutes.
func duration(d time.Duration) string {
	const year = 365 * 24 * time.Hour
	switch {
	case d%year == 0 && d > 0:
		return plural(int(d/year), "year", "years")
	case d%(24*time.Hour) == 0 && d > 0:
		return plural(int(d/(24*time.Hour)), "day", "days")
	case d%time.Hour == 0 && d > 0:
		return plural(int(d/time.Hour), "hour", "hours")
	case d%time.Minute == 0 && d > 0:
		return plural(int(d/time.Minute), "minute", "minutes")
	}
	return d.String()
}

// plural is "1 role", "7 roles", "1,200 roles".
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(n) + " " + many
}

// count writes a number with commas between its thousands.
func count[N int | int64](n N) string {
	text := strconv.FormatInt(int64(n), 10)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// sentence makes one of a message of an operation.
func sentence(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	if size == 0 {
		return ""
	}
	text = string(unicode.ToUpper(first)) + text[size:]
	if !strings.ContainsAny(text[len(text)-1:], ".!?") {
		text += "."
	}
	return text
}

// initials are one or two letters for a name.
func initials(name string) string {
	var out []rune
	word := false
	for _, r := range name {
		letter := unicode.IsLetter(r) || unicode.IsDigit(r)
		if letter && !word && len(out) < 2 {
			out = append(out, unicode.ToUpper(r))
		}
		word = letter
	}
	return string(out)
}
