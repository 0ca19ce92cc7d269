package browsertest_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience is how long anything awaited may take. It only bounds a failure.
const patience = 15 * time.Second

// tab is a tab with cookies of its own. Its methods fail the test.
type tab struct {
	*testing.T
	look
	ctx   context.Context
	watch *watch
	parts []part // where to look for things; nothing is the whole page
}

func newTab(t *testing.T, l look) *tab {
	t.Helper()
	browser, err := chromium()
	if err != nil {
		t.Fatal(err)
	}
	w := &watch{changed: make(chan struct{}, 1), loading: map[string]string{}}
	ctx, _ := chromedp.NewContext(browser, chromedp.WithNewBrowserContext(), chromedp.WithListener(w.event))
	tab := &tab{T: t, look: l, ctx: ctx, watch: w}
	t.Cleanup(tab.close)
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: l.scheme}}}
	tab.do("open a tab", call(emulation.SetEmulatedMedia, media))
	tab.script(!l.scriptless)
	size := []chromedp.EmulateViewportOption{}
	if l.mobile {
		size = append(size, chromedp.EmulateMobile, chromedp.EmulateTouch)
	}
	tab.do("size the tab", chromedp.EmulateViewport(l.width, l.height, size...))
	return tab
}

// close says what the pages complained about, and closes the tab.
func (tab *tab) close() {
	if !tab.Failed() {
		tab.settle()
	}
	for _, fault := range tab.watch.complaints() {
		tab.Errorf("the page complains: %s", fault)
	}
	if err := chromedp.Cancel(tab.ctx); err != nil {
		tab.Errorf("close the tab: %v", err)
	}
}

// call is a command of the protocol as a step.
func call[P, R any](command cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, command, params)
		return err
	})
}

func (tab *tab) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	tab.Helper()
	// The first steps make the tab, which lives as long as their context.
	if chromedp.FromContext(tab.ctx).Target == nil {
		if err := chromedp.Do(tab.ctx); err != nil {
			tab.Fatalf("%s: %v", what, err)
		}
	}
	ctx, cancel := context.WithTimeout(tab.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		tab.Fatalf("%s: %v", what, err)
	}
}

func (tab *tab) script(allowed bool) {
	tab.Helper()
	tab.do("allow or forbid script", call(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !allowed}))
}

// scripted does what needs script of the test's own, be the page's forbidden or not.
func (tab *tab) scripted(do func(context.Context) error) {
	tab.Helper()
	if tab.scriptless {
		tab.script(true)
		defer tab.script(false)
	}
	ctx, cancel := context.WithTimeout(tab.ctx, patience)
	defer cancel()
	if err := do(ctx); err != nil {
		tab.Fatal(err)
	}
}

// open goes to an address and returns when the page is loaded.
func (tab *tab) open(url string) {
	tab.Helper()
	tab.do("open "+url, chromedp.Navigate(url))
	tab.settle()
}

// expect says that a complaint that contains this text is to come, by the end of
// the test.
func (tab *tab) expect(complaint string) { tab.watch.expect(complaint) }

// until returns when check says that it is so, which it is asked whenever
// something happened in the tab. What failed because the page is changing right
// now is asked again, too.
func (tab *tab) until(what string, check func(context.Context) error) {
	tab.Helper()
	ctx, cancel := context.WithTimeout(tab.ctx, patience)
	defer cancel()
	for {
		tab.watch.forget()
		// The browser tells of changes only below what it was asked for.
		_, err := chromedp.Call(ctx, dom.GetDocument, dom.GetDocumentParams{Depth: new(int64(-1))})
		if err == nil {
			err = check(ctx)
		}
		if err == nil {
			return
		}
		select {
		case <-tab.watch.changed:
		case <-ctx.Done():
			page := *tab
			page.parts = nil
			tab.Fatalf("%s: %v\nThe page %s shows:\n%s", what, err, tab.address(), page.text())
		}
	}
}

// settle returns when nothing is being loaded.
func (tab *tab) settle() {
	tab.Helper()
	tab.until("wait for what is being loaded", func(ctx context.Context) error {
		if _, err := evaluate[int](ctx, "0"); err != nil {
			return err
		}
		return tab.watch.busy()
	})
}

// evaluate runs script in the page, where the page may run none, too.
func evaluate[T any](ctx context.Context, script string) (T, error) {
	return chromedp.Run(ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
}

// address is where the tab is, without the query, which may hold a secret.
func (tab *tab) address() string {
	url, err := evaluate[string](tab.ctx, "location.pathname")
	if err != nil {
		return err.Error()
	}
	return url
}

// text is what can be read in the tab, or in the part of it.
func (tab *tab) text() string {
	ctx, cancel := context.WithTimeout(tab.ctx, patience)
	defer cancel()
	text, err := tab.read(ctx)
	if err != nil {
		return err.Error()
	}
	return text
}

func (tab *tab) read(ctx context.Context) (string, error) {
	if len(tab.parts) == 0 {
		return evaluate[string](ctx, "document.body.innerText")
	}
	root, err := tab.root(ctx)
	if err != nil {
		return "", err
	}
	return on[string](ctx, root, "function() { return this.innerText }")
}

// see waits until the text can be read. White space counts as one blank.
func (tab *tab) see(text string) {
	tab.Helper()
	tab.until("see "+text, func(ctx context.Context) error {
		if got, err := tab.read(ctx); err != nil {
			return err
		} else if !strings.Contains(folded(got), folded(text)) {
			return errors.New("it is not there")
		}
		return nil
	})
}

// dontSee waits until the text cannot be read, in a tab that has settled.
func (tab *tab) dontSee(text string) {
	tab.Helper()
	tab.settle()
	tab.until("not see "+text, func(ctx context.Context) error {
		if got, err := tab.read(ctx); err != nil {
			return err
		} else if strings.Contains(folded(got), folded(text)) {
			return errors.New("it is there")
		}
		return nil
	})
}

func folded(s string) string { return strings.Join(strings.Fields(s), " ") }

// on calls a function of script with a node as this.
func on[T any](ctx context.Context, node cdp.BackendNodeID, function string, args ...any) (out T, err error) {
	object, err := chromedp.Call(ctx, dom.ResolveNode, dom.ResolveNodeParams{BackendNodeID: node})
	if err != nil {
		return out, err
	}
	self := func(p *runtime.CallFunctionOnParams) { p.ObjectID = object.Object.ObjectID }
	return chromedp.Run(ctx, chromedp.CallFunctionOn[T](function, self, args...))
}

// screenshot writes the tab as NAME-LOOK.png into $POSTERN_SCREENSHOTS, if that
// names a folder.
func (tab *tab) screenshot(name string) {
	tab.Helper()
	dir := os.Getenv("POSTERN_SCREENSHOTS")
	if dir == "" {
		return
	}
	tab.settle()
	image, err := chromedp.Run(tab.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		tab.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		tab.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+"-"+tab.name+".png"), image, 0o644); err != nil {
		tab.Fatal(err)
	}
}
