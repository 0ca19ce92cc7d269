package browsertest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/chromedp/chromedp"
)

// axeSource is axe-core.
var axeSource = sync.OnceValues(func() (string, error) {
	path := os.Getenv("AXE")
	if path == "" {
		return "", errors.New("there is no axe-core: $AXE names no axe.min.js, for the browser tests; get it by: make tools, then . ~/.cache/postern/env.sh, or make test")
	}
	text, err := os.ReadFile(path)
	return string(text), err
})

// violation is a rule of axe-core and an element that breaks it.
type violation struct{ Rule, Impact, Help, Element, Summary string }

func (v violation) String() string {
	return fmt.Sprintf("%s (%s): %s\n%s\n%s", v.Rule, v.Impact, v.Help, v.Element, v.Summary)
}

// axe fails the test for every element of the page that breaks WCAG 2.2, A and
// AA, as axe-core sees it, and for a page wider than the window (WCAG 1.4.10).
func (tab *tab) axe() {
	tab.Helper()
	tab.settle()
	for _, v := range tab.violations() {
		tab.Errorf("%s: %s", tab.address(), v)
	}
	wide, err := evaluate[int](tab.ctx, "document.documentElement.scrollWidth - document.documentElement.clientWidth")
	if err != nil {
		tab.Fatal(err)
	}
	if wide > 0 {
		tab.Errorf("%s: the page is %d pixels wider than the window", tab.address(), wide)
	}
}

// violations asks axe-core about the page.
func (tab *tab) violations() (all []violation) {
	tab.Helper()
	source, err := axeSource()
	if err != nil {
		tab.Fatal(err)
	}
	tab.scripted(func(ctx context.Context) error {
		if err := chromedp.Do(ctx, chromedp.Evaluate[chromedp.Void](source)); err != nil {
			return fmt.Errorf("load axe-core into the page: %w", err)
		}
		all, err = evaluate[[]violation](ctx, `axe.run({
			runOnly: {type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}, resultTypes: ["violations"],
		}).then(r => r.violations.flatMap(v => v.nodes.map(n => (
			{Rule: v.id, Impact: v.impact, Help: v.help, Element: n.html, Summary: n.failureSummary}))))`)
		if err != nil {
			return fmt.Errorf("run axe-core: %w", err)
		}
		return nil
	})
	return all
}

// rules are the rules that were broken.
func rules(all []violation) string {
	var names []string
	for _, v := range all {
		names = append(names, v.Rule)
	}
	return strings.Join(names, " ")
}
