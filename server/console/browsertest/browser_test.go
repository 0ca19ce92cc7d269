package browsertest_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/chromedp/chromedp"
)

// chromium is one browser for all tests of the process, started by the first that
// needs it.
var chromium = sync.OnceValues(func() (context.Context, error) {
	path, err := found("CHROMIUM", "chromium", "chromium-browser", "google-chrome")
	if err != nil {
		return nil, err
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:len(chromedp.DefaultExecAllocatorOptions):len(chromedp.DefaultExecAllocatorOptions)],
		chromedp.ExecPath(path),
		chromedp.Flag("lang", "en-US"),
		// The tests tell of every request of their own; the browser has none to make.
		chromedp.Flag("disable-component-update", true),
	)
	ctx, _ := chromedp.NewExecAllocator(context.Background(), options...)
	// chromedp keeps a mirror of each page, which is not used here, and says where
	// it is not whole.
	ctx, _ = chromedp.NewContext(ctx, chromedp.WithErrorf(func(string, ...any) {}))
	if err := chromedp.Do(ctx); err != nil {
		return nil, fmt.Errorf("start %s: %w", path, err)
	}
	started.Store(true)
	return ctx, nil
})

var started atomic.Bool

func TestMain(m *testing.M) {
	code := m.Run()
	if started.Load() {
		browser, _ := chromium()
		if err := chromedp.Cancel(browser); err != nil {
			fmt.Fprintln(os.Stderr, "Chromium did not end well:", err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

// found returns the command that a variable names, or the first of these on PATH.
func found(variable string, names ...string) (string, error) {
	for _, name := range append([]string{os.Getenv(variable)}, names...) {
		if path, err := exec.LookPath(name); name != "" && err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("there is no %s, neither as $%s nor on PATH, for the browser tests; get it by: make tools", names[0], variable)
}

// look is how a page is looked at.
type look struct {
	name          string
	scheme        string // prefers-color-scheme
	width, height int64
	mobile        bool
	scriptless    bool
}

var looks = []look{
	{name: "light-desktop", scheme: "light", width: 1440, height: 900},
	{name: "dark-desktop", scheme: "dark", width: 1440, height: 900},
	{name: "light-mobile", scheme: "light", width: 430, height: 932, mobile: true},
	{name: "dark-mobile", scheme: "dark", width: 430, height: 932, mobile: true},
	{name: "no-script", scheme: "light", width: 1440, height: 900, scriptless: true},
}

// each runs f in light and in dark, on a desktop and on a phone, and without
// script, each in a fresh tab. A page that needs script asks tab.scriptless.
func each(t *testing.T, f func(*testing.T, *tab)) {
	t.Helper()
	for _, l := range looks {
		t.Run(l.name, func(t *testing.T) { f(t, newTab(t, l)) })
	}
}

// desktop returns a tab in the first look, for what does not depend on it.
func desktop(t *testing.T) *tab {
	t.Helper()
	return newTab(t, looks[0])
}
