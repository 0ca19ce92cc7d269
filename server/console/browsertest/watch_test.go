package browsertest_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
)

// watch hears all that happens in a tab: it keeps what the pages complain about
// and knows what is being loaded.
type watch struct {
	changed chan struct{} // holds a value when something happened since forget

	mu       sync.Mutex
	faults   []string
	expected []string
	loading  map[string]string // what for, by request or frame
}

func (w *watch) forget() {
	select {
	case <-w.changed:
	default:
	}
}

func (w *watch) expect(complaint string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.expected = append(w.expected, complaint)
}

// complaints returns those that were not expected, and what was expected in vain.
func (w *watch) complaints() (all []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	used := map[string]bool{}
	for _, fault := range w.faults {
		i := slices.IndexFunc(w.expected, func(e string) bool { return strings.Contains(fault, e) })
		if i < 0 {
			all = append(all, fault)
			continue
		}
		used[w.expected[i]] = true
	}
	for _, e := range w.expected {
		if !used[e] {
			all = append(all, "not at all, where this was expected: "+e)
		}
	}
	return all
}

// busy is an error that says what is being loaded, or nil.
func (w *watch) busy() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.loading) == 0 {
		return nil
	}
	return fmt.Errorf("still loading %v", slices.Collect(maps.Values(w.loading)))
}

func (w *watch) fault(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(w.faults, text) {
		w.faults = append(w.faults, text)
	}
}

// event is called for every event of the tab, in their order, by the one
// goroutine that reads them.
func (w *watch) event(ev any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch ev := ev.(type) {
	case *runtime.EventExceptionThrown:
		d := ev.ExceptionDetails
		text := d.Text
		if d.Exception != nil {
			text += " " + d.Exception.Description
		}
		w.fault("exception at %s:%d: %s", d.URL, d.LineNumber+1, text)
	case *runtime.EventConsoleAPICalled:
		if ev.Type == runtime.ConsoleAPICalledTypeError || ev.Type == runtime.ConsoleAPICalledTypeWarning || ev.Type == runtime.ConsoleAPICalledTypeAssert {
			var text []string
			for _, arg := range ev.Args {
				text = append(text, string(arg.Value)+arg.Description)
			}
			w.fault("console.%s: %s", ev.Type, strings.Join(text, " "))
		}
	case *log.EventEntryAdded:
		// Among them is what violates the policy. What the network has to say is
		// told below, with the request.
		if e := ev.Entry; e.Source != log.EntrySourceNetwork && (e.Level == log.EntryLevelError || e.Level == log.EntryLevelWarning) {
			w.fault("%s: %s %s", e.Source, e.Text, e.URL)
		}
	default:
		w.load(ev)
	}
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// load follows what is being loaded: requests, and pages that are on their way.
func (w *watch) load(ev any) {
	switch ev := ev.(type) {
	case *network.EventRequestWillBeSent:
		// A stream of events has no end to wait for.
		if ev.Type != network.ResourceTypeEventSource {
			w.loading[string(ev.RequestID)] = ev.Request.URL
		}
	case *network.EventResponseReceived:
		// A page may well be an error; what it loads may not.
		if r := ev.Response; r.Status >= 500 || r.Status >= 400 && ev.Type != network.ResourceTypeDocument {
			w.fault("%s %s: %d", ev.Type, r.URL, r.Status)
		}
	case *network.EventLoadingFinished:
		delete(w.loading, string(ev.RequestID))
	case *network.EventLoadingFailed:
		url := w.loading[string(ev.RequestID)]
		delete(w.loading, string(ev.RequestID))
		if !ev.Canceled {
			w.fault("%s %s: %s %s", ev.Type, url, ev.ErrorText, ev.BlockedReason)
		}
	case *page.EventFrameRequestedNavigation:
		if ev.Disposition == page.ClientNavigationDispositionCurrentTab {
			w.loading[string(ev.FrameID)] = ev.URL
		}
	case *page.EventFrameStartedLoading:
		w.loading[string(ev.FrameID)] = "a page"
	case *page.EventFrameStoppedLoading:
		delete(w.loading, string(ev.FrameID))
	case *page.EventFrameNavigated:
		// The end of what the page before was loading is not always told.
		if ev.Frame.ParentID == "" {
			maps.DeleteFunc(w.loading, func(id, _ string) bool { return id != string(ev.Frame.ID) && id != string(ev.Frame.LoaderID) })
		}
	}
}
