package main

import (
	"strings"
	"unicode/utf8"
)

// column is one of a table.
type column struct {
	title string
	least int  // how narrow it may become; 0 is never narrower than its widest cell
	spare bool // left out where the others would become too narrow for it
}

// table is rows below titles.
type table struct {
	columns []column
	rows    [][]string
	none    string // what is said when there are no rows
}

func (t *table) add(cells ...string) {
	for i := range cells {
		if cells[i] = printable(cells[i]); cells[i] == "" {
			cells[i] = "-"
		}
	}
	t.rows = append(t.rows, cells)
}

const gap = 2

// roomy is the width up to which the cells of the other columns are shown before
// a spare one is.
const roomy = 28

// write fits the table into the page: spare columns go first, from the
// right; then the widest of those that may become narrower are cut.
func (t *table) write(w *page) {
	if len(t.rows) == 0 {
		w.println(t.none)
		return
	}
	widths := make([]int, len(t.columns))
	for i, c := range t.columns {
		widths[i] = utf8.RuneCountInString(c.title)
		for _, row := range t.rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	shown := t.shown(widths, w.width)
	over := t.total(widths, shown) - w.width
	for w.width > 0 && over > 0 {
		widest := -1
		for _, i := range shown {
			if t.columns[i].least > 0 && widths[i] > t.columns[i].least && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break
		}
		widths[widest]--
		over--
	}
	titles := make([]string, len(t.columns))
	for i, c := range t.columns {
		titles[i] = c.title
	}
	for _, row := range append([][]string{titles}, t.rows...) {
		var line strings.Builder
		for n, i := range shown {
			if n > 0 {
				line.WriteString(strings.Repeat(" ", gap))
			}
			line.WriteString(pad(cut(row[i], widths[i]), widths[i]))
		}
		w.println(strings.TrimRight(line.String(), " "))
	}
}

// shown are the columns for which there is room.
func (t *table) shown(widths []int, width int) []int {
	narrow := make([]int, len(widths))
	var shown []int
	for i, c := range t.columns {
		shown = append(shown, i)
		narrow[i] = widths[i]
		if c.least > 0 {
			narrow[i] = min(max(c.least, roomy), widths[i])
		}
	}
	for n := len(shown) - 1; n >= 0 && width > 0 && t.total(narrow, shown) > width; n-- {
		if t.columns[shown[n]].spare {
			shown = append(shown[:n], shown[n+1:]...)
		}
	}
	return shown
}

func (t *table) total(widths []int, shown []int) int {
	total := gap * (len(shown) - 1)
	for _, i := range shown {
		total += widths[i]
	}
	return total
}

func cut(text string, width int) string {
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	return string([]rune(text)[:width-1]) + "…"
}

func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(text)))
}

// facts is what is said of one thing: a name and a value a line.
type facts struct{ lines [][2]string }

// add leaves out what has no value.
func (f *facts) add(name, value string) {
	if value != "" {
		f.lines = append(f.lines, [2]string{name, printable(value)})
	}
}

// more adds lines below the last one, without a name.
func (f *facts) more(name string, values []string) {
	for i, v := range values {
		if i > 0 {
			name = ""
		}
		f.add(name, v)
	}
}

func (f *facts) write(w *page) {
	width := 0
	for _, l := range f.lines {
		width = max(width, len(l[0]))
	}
	for _, l := range f.lines {
		w.printf("%s  %s\n", pad(l[0], width), l[1])
	}
}
