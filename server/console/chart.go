package console

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"postern/store"
)

// chart is a drawing of totals by hour or day: an area for what was given or
// allowed, bars for what was denied.
type chart struct {
	Title  string
	Hourly bool
	Rows   []store.UsageTotal
	Series string // what the area is of
	Label  string // the whole drawing in a sentence

	Area, Line string // paths
	Bars       []bar
	Grid       []mark // lines across, with their numbers
	Ticks      []mark // times below
}

type bar struct {
	X, Y, Width, Height string
	Title               string
}

type mark struct{ At, Text string }

// What the area of a chart is of.
const (
	seriesIssued  = "Issued"
	seriesAllowed = "Allowed"
)

// Value is what the area is of in a row.
func (c *chart) Value(row store.UsageTotal) int64 {
	if c.Series == seriesAllowed {
		return row.Allowed
	}
	return row.Issued
}

// When is the time of a row in words.
func (c *chart) When(row store.UsageTotal) string {
	at := row.At.Time()
	if c.Hourly {
		return at.Format("2 Jan, 15:04")
	}
	return at.Format("2 Jan 2006")
}

// The size of a chart, and the room for what is beside the plot.
const (
	chartWidth, chartHeight                  = 1000, 240
	plotLeft, plotTop, plotRight, plotBottom = 48, 10, 988, 208
)

// newChart draws totals, which are in order and without gaps.
func newChart(title string, rows []store.UsageTotal, hourly bool, series string) *chart {
	c := &chart{Title: title, Hourly: hourly, Rows: rows, Series: series}
	var values, denied []int64
	var all, refused int64
	for _, r := range rows {
		values, denied = append(values, c.Value(r)), append(denied, r.Denied)
		all, refused = all+c.Value(r), refused+r.Denied
	}
	c.Label = fmt.Sprintf("%s: %s %s and %s denied in all. The numbers are in the table below.", title, count(all), strings.ToLower(series), count(refused))
	top, step := scale(max(most(values), most(denied)))
	y := func(n int64) float64 { return plotBottom - float64(n)*(plotBottom-plotTop)/float64(top) }
	slot := float64(plotRight-plotLeft) / float64(max(len(rows), 1))
	x := func(i int) float64 { return plotLeft + (float64(i)+.5)*slot }
	for n := int64(0); n <= top; n += step {
		c.Grid = append(c.Grid, mark{num(y(n)), short(n)})
	}
	var line strings.Builder
	for i := range rows {
		fmt.Fprintf(&line, "%c%s %s", "ML"[min(i, 1)], num(x(i)), num(y(values[i])))
	}
	if len(rows) > 0 {
		c.Line = line.String()
		c.Area = fmt.Sprintf("%sL%s %dL%s %dZ", c.Line, num(x(len(rows)-1)), plotBottom, num(x(0)), plotBottom)
	}
	width := max(min(slot*.3, 12), 1)
	for i, r := range rows {
		if r.Denied > 0 {
			height := max(plotBottom-y(r.Denied), 2) // one of many is seen, too
			c.Bars = append(c.Bars, bar{num(x(i) - width/2), num(plotBottom - height), num(width), num(height), c.When(r) + ": " + count(r.Denied) + " denied"})
		}
	}
	c.ticks(x)
	return c
}

// ticks puts times below the plot, where they have room.
func (c *chart) ticks(x func(int) float64) {
	every := max(len(c.Rows)/6, 1)
	for i, r := range c.Rows {
		at := r.At.Time()
		switch {
		case c.Hourly && len(c.Rows) > 24 && at.Hour() == 0:
			c.Ticks = append(c.Ticks, mark{num(x(i)), at.Format("Mon 2 Jan")})
		case c.Hourly && len(c.Rows) <= 24 && at.Hour()%4 == 0:
			c.Ticks = append(c.Ticks, mark{num(x(i)), at.Format("15:04")})
		case !c.Hourly && i%every == 0:
			c.Ticks = append(c.Ticks, mark{num(x(i)), at.Format("2 Jan")})
		}
	}
}

// line is the path of a curve in a field.
func line(values []int64, top int64, width, height float64) string {
	var out strings.Builder
	for i, v := range values {
		x := 1 + float64(i)*(width-2)/float64(max(len(values)-1, 1))
		y := height - 2 - float64(v)*(height-4)/float64(max(top, 1))
		fmt.Fprintf(&out, "%c%s %s", "ML"[min(i, 1)], num(x), num(y))
	}
	return out.String()
}

func most(values []int64) int64 {
	var out int64
	for _, v := range values {
		out = max(out, v)
	}
	return out
}

// scale returns the top of an axis for values up to most, and the step between
// its lines: 1, 2 or 5 times a power of ten, of which there are at most six.
func scale(most int64) (top, step int64) {
	step = 1
	for i := 0; step*5 < most; i++ {
		step = []int64{2, 5, 10}[i%3] * int64(math.Pow10(i/3))
	}
	return max((most+step-1)/step, 1) * step, step
}

// short writes a number of an axis: 20k, 1.5M.
func short(n int64) string {
	for _, unit := range []struct {
		of   int64
		name string
	}{{1_000_000_000, "G"}, {1_000_000, "M"}, {1000, "k"}} {
		if n >= unit.of {
			return strconv.FormatFloat(float64(n)/float64(unit.of), 'f', -1, 64) + unit.name
		}
	}
	return strconv.FormatInt(n, 10)
}

// num is a coordinate.
func num(x float64) string { return strconv.FormatFloat(math.Round(x*10)/10, 'f', -1, 64) }

// percent is the change to one number from another.
func percent(is, was int64) string {
	change := (float64(is) - float64(was)) / float64(was) * 100
	if math.Abs(change) < .05 {
		return "±0 %"
	}
	digits := 1
	if math.Abs(change) >= 100 {
		digits = 0
	}
	return fmt.Sprintf("%+.*f %%", digits, change)
}
