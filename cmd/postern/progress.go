package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// progress is a bar on a terminal, and nothing elsewhere. It is drawn at most ten
// times a second.
type progress struct {
	w           io.Writer // nil shows nothing
	now         func() time.Time
	began, last time.Time
	done, total int
	drawn       bool
}

func newProgress(w io.Writer, total int, now func() time.Time) *progress {
	p := &progress{now: now, began: now(), total: total}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.w = w
	}
	return p
}

const (
	barCells  = 30
	drawEvery = 100 * time.Millisecond
)

func (p *progress) add() {
	p.done++
	if p.w == nil {
		return
	}
	now := p.now()
	if now.Sub(p.last) < drawEvery && p.done < p.total {
		return
	}
	p.last, p.drawn = now, true
	full := barCells * p.done / max(p.total, 1)
	left := ""
	if spent := now.Sub(p.began); p.done < p.total && spent > time.Second {
		left = fmt.Sprintf("  %s left", (spent * time.Duration(p.total-p.done) / time.Duration(p.done)).Round(time.Second))
	}
	_, _ = fmt.Fprintf(p.w, "\r[%s%s] %d of %d%s\x1b[K", strings.Repeat("=", full), strings.Repeat(" ", barCells-full), p.done, p.total, left)
}

// clear takes the bar away, for a line in its place.
func (p *progress) clear() {
	if p.drawn {
		_, _ = fmt.Fprint(p.w, "\r\x1b[K")
		p.drawn = false
	}
}
