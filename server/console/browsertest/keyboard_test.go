package browsertest_test

import (
	"context"
	"strings"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// key presses a key: Tab, Shift+Tab, Enter, Escape, Space, an arrow, Home, End.
// What that loads is loaded when it returns.
func (tab *tab) key(name string) {
	tab.Helper()
	options := []chromedp.KeyOption{}
	plain, shifted := strings.CutPrefix(name, "Shift+")
	if shifted {
		options = append(options, chromedp.KeyModifiers(chromedp.ModifierShift))
	}
	text, ok := map[string]string{
		"Tab": kb.Tab, "Enter": kb.Enter, "Escape": kb.Escape, "Space": " ", "ArrowDown": kb.ArrowDown, "ArrowUp": kb.ArrowUp,
		"ArrowLeft": kb.ArrowLeft, "ArrowRight": kb.ArrowRight, "Home": kb.Home, "End": kb.End,
	}[plain]
	if !ok {
		tab.Fatalf("there is no key %s", name)
	}
	tab.rendered()
	tab.do("press "+name, chromedp.KeyEvent(text, options...))
	tab.settle()
}

// rendered returns after the next frame: only then autofocus has had its effect.
func (tab *tab) rendered() {
	tab.Helper()
	tab.scripted(func(ctx context.Context) error {
		_, err := evaluate[bool](ctx, "new Promise(done => requestAnimationFrame(() => done(true)))")
		return err
	})
}

// write types into what has the focus.
func (tab *tab) write(text string) {
	tab.Helper()
	tab.rendered()
	tab.do("write", call(input.InsertText, input.InsertTextParams{Text: text}))
}

// focused is the accessible name of what has the focus; empty if nothing has.
func (tab *tab) focused() string {
	tab.Helper()
	tab.rendered()
	ctx, cancel := context.WithTimeout(tab.ctx, patience)
	defer cancel()
	object, err := chromedp.Run(ctx, chromedp.Evaluate[*runtime.RemoteObject]("document.activeElement"))
	if err != nil {
		tab.Fatalf("find what has the focus: %v", err)
	}
	if object.ObjectID == "" || object.ClassName == "HTMLBodyElement" {
		return ""
	}
	got, err := chromedp.Call(ctx, accessibility.GetPartialAXTree, accessibility.GetPartialAXTreeParams{ObjectID: object.ObjectID, FetchRelatives: new(false)})
	if err != nil || len(got.Nodes) == 0 {
		tab.Fatalf("find the name of what has the focus: %v", err)
	}
	return folded(text(got.Nodes[0].Name))
}

// tabTo presses Tab until what has this name has the focus. What is passed on the
// way, and it, must show that it has (WCAG 2.4.7).
func (tab *tab) tabTo(name string) {
	tab.Helper()
	var passed []string
	for range 100 {
		tab.key("Tab")
		at := tab.focused()
		shown, err := evaluate[bool](tab.ctx, `(() => {
			const style = getComputedStyle(document.activeElement)
			return document.activeElement === document.body || style.outlineStyle !== "none" || style.boxShadow !== "none"
		})()`)
		if err != nil {
			tab.Fatal(err)
		}
		if !shown {
			tab.Fatalf("%q does not show that it has the focus", at)
		}
		if at == folded(name) {
			return
		}
		if passed = append(passed, at); len(passed) > 1 && at == passed[0] && at != "" {
			break
		}
	}
	tab.Fatalf("Tab does not lead to %q; it leads to %q", name, passed)
}
