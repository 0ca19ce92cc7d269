package browsertest_test

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"postern/server/console"
)

// evil is what no page may take for more than text: markup, a formula, text that
// runs from right to left, and more of it than fits anywhere.
const (
	markup = `<script>window.evil=1</script><img src=x onerror="window.evil=2">"'><svg/onload=window.evil=3>{{7*7}}`
	turned = "\u202Etxt.exe\u202C \u05d0\u05d1\u05d2 =1+1"
)

func evil(long int) string {
	return markup + turned + strings.Repeat(" wide", long) + strings.Repeat("W", long)
}

// haunted is a world whose every text is evil, as far as the limits let it, and
// pages that have much of it.
func haunted(t *testing.T) (w *world, pages []string) {
	t.Helper()
	w = start(t)
	type object = map[string]any
	post := func(path string, in object) (out struct{ ID, Name string }) {
		t.Helper()
		w.Post(t, path, in, &out)
		return out
	}
	post("/workspaces", object{"name": "haunted", "description": evil(60)})
	post("/apis", object{
		"name": "haunted", "audience": "urn:x:'<b>;--", "description": evil(60), "workspace": "default",
		"endpoints": []object{{"methods": "GET", "path": "/b/{x}", "summary": evil(20), "tags": []string{markup}}},
	})
	role := post("/roles", object{
		"name": "haunted", "workspace": "default", "description": evil(60),
		"rules": []object{{"api": "haunted", "methods": "GET", "path": "/b/**"}},
	})
	post("/teams", object{"name": "haunted", "description": evil(60)})
	w.Post(t, "/accounts", object{"name": "haunted", "display_name": evil(3)}, nil)
	var made struct{ Client struct{ ID string } }
	w.Post(t, "/clients", object{
		"name": evil(3), "description": evil(150), "workspace": "default", "roles": []string{"default/haunted"}, "label": markup,
	}, &made)
	w.Post(t, "/clients/"+made.Client.ID+"/revoke", object{"reason": markup}, nil)
	w.Send(t, http.MethodPatch, "/roles/"+role.ID, object{"description": "was worse"}, nil)
	w.Post(t, "/keys/rotate", object{"algorithm": "ES256"}, nil)
	w.Post(t, "/webhooks", object{"name": evil(3), "url": "https://hooks.example.com/<b>?'x", "workspace": "default"}, nil)
	return w, []string{"/console/clients/" + made.Client.ID, "/console/roles/" + role.ID + "/versions"}
}

// seen are the facts of a page.
type seen struct {
	Status int
	Evil   bool
	Wide   int // pixels that the page is wider than its window
	Widest string
	Paint  float64
	Bytes  int
	Links  []string
}

const facts = `(() => {
	const nav = performance.getEntriesByType("navigation")[0];
	const paint = performance.getEntriesByName("first-contentful-paint")[0];
	return {
		status: nav.responseStatus, evil: "evil" in window, bytes: nav.transferSize, paint: paint ? paint.startTime : 0,
		wide: Math.max(0, document.scrollingElement.scrollWidth - document.documentElement.clientWidth),
		widest: [...document.querySelectorAll("main *")].filter(e => e.getBoundingClientRect().right > document.documentElement.clientWidth + 4 && !e.closest(".scroll") && !e.closest("svg")).map(e => e.outerHTML.slice(0, 160)).slice(0, 3).join(" | "),
		links: [...document.querySelectorAll("a[href], [hx-get]")].map(e => e.getAttribute("hx-get") ?? e.getAttribute("href")),
	};
})()`

// routes are those of the console that can be asked for.
func routes() (out []string) {
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	console.New(console.Options{Issuer: "https://postern.example"}).Mount(r)
	for _, route := range r.Routes() {
		if route.Method == http.MethodGet {
			out = append(out, route.Path)
		}
	}
	slices.Sort(out)
	return out
}

// unlinked are routes that no link of a page leads to.
var unlinked = map[string]string{
	"/console/":                     "leads to the first page",
	"/console/assets/:hash/:name":   "is no page",
	"/console/sign-in":              "is for whoever has not signed in",
	"/console/code":                 "is a step of signing in",
	"/console/invitation":           "is opened by a one-time link",
	"/console/clients/export":       "is a file",
	"/console/audit/export":         "is a file",
	"/console/clients/:client/save": "follows a form",

	"/console/accounts/:account/second-factor": "is of a person who has one",
}

// perRoute is how many addresses of a route are opened.
const perRoute = 2

// TestW10EveryPageShowsTextAsText follows every link of the console from its first
// page: whatever people wrote is shown as text, and every page is one that
// everybody can use.
func TestW10EveryPageShowsTextAsText(t *testing.T) {
	w, first := haunted(t)
	patterns := map[string]*regexp.Regexp{}
	all := routes()
	for _, route := range all {
		patterns[route] = regexp.MustCompile("^" + regexp.MustCompile(`:\w+`).ReplaceAllString(route, "[^/]+") + "$")
	}
	routeOf := func(path string) string {
		if slices.Contains(all, path) {
			return path
		}
		for _, route := range all {
			if patterns[route].MatchString(path) {
				return route
			}
		}
		return ""
	}
	for _, l := range looks {
		if l.name != "light-desktop" && l.name != "dark-mobile" {
			continue
		}
		t.Run(l.name, func(t *testing.T) {
			tab := newTab(t, l)
			w.signIn(tab)
			opened := map[string]int{}
			queue, queued := append([]string{"/console"}, first...), map[string]bool{"/console": true}
			var slowest float64
			largest, count := 0, 0
			for len(queue) > 0 {
				address := queue[0]
				queue = queue[1:]
				u, err := url.Parse(address)
				if err != nil {
					t.Fatalf("a link to %q", address)
				}
				route := routeOf(u.Path)
				if route == "" {
					t.Errorf("a link leads to %s, which is no page", address)
					continue
				}
				if why := unlinked[route]; opened[route] == perRoute || strings.HasPrefix(why, "is ") {
					continue
				}
				opened[route]++
				count++
				tab.open(w.URL + address)
				var page seen
				tab.scripted(func(ctx context.Context) (err error) {
					page, err = evaluate[seen](ctx, facts)
					return err
				})
				slowest, largest = max(slowest, page.Paint), max(largest, page.Bytes)
				switch {
				case page.Status != http.StatusOK:
					t.Errorf("%s answers %d", address, page.Status)
				case page.Evil:
					t.Errorf("%s runs what somebody wrote", address)
				case page.Wide > 0:
					t.Errorf("%s is %d pixels wider than its window, for %s", address, page.Wide, page.Widest)
				}
				tab.axe()
				if opened[route] == 1 {
					tab.screenshot("page" + strings.NewReplacer("/console", "", "/", "-", ":", "").Replace(route))
				}
				for _, link := range page.Links {
					to, err := u.Parse(link)
					if err != nil || to.Host != "" && to.Host != u.Host || !strings.HasPrefix(to.Path, "/console") {
						continue
					}
					to.Fragment = ""
					if next := to.RequestURI(); !queued[next] {
						queued[next] = true
						queue = append(queue, next)
					}
				}
			}
			for _, route := range all {
				if opened[route] == 0 && unlinked[route] == "" {
					t.Errorf("no link leads to %s", route)
				}
			}
			t.Logf("%d pages of %d routes; the largest has %d bytes on the wire, the slowest was painted after %.0f ms", count, len(opened), largest, slowest)
		})
	}
}
