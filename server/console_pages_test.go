package server_test

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"postern/server"
	"postern/server/console"
	"postern/store"
)

// browser sends what a browser sends to the console, with its cookies.
type browser struct {
	n       *node
	cookies map[string]string
}

const adminPassword = "correct horse battery staple"

// console returns the browser of the administrator, who has signed in and chosen
// a password.
func (n *node) console(t testing.TB) *browser {
	t.Helper()
	b := &browser{n, map[string]string{}}
	b.want(t, http.StatusSeeOther, "/console/sign-in", url.Values{"name": {n.AdminUser}, "password": {n.AdminPassword}})
	b.want(t, http.StatusSeeOther, "/console/password", url.Values{"current": {n.AdminPassword}, "new": {adminPassword}, "again": {adminPassword}})
	return b
}

// person returns the browser of a new person, who has no rights anywhere.
func (n *node) person(t testing.TB, name string) *browser {
	t.Helper()
	made := n.want(t, http.StatusCreated, http.MethodPost, "/accounts", map[string]any{"name": name}).json(t)
	token, _ := made["token"].(string)
	b := &browser{n, map[string]string{}}
	b.want(t, http.StatusOK, "/console/invitation", url.Values{"token": {token}, "password": {adminPassword}, "again": {adminPassword}})
	b.want(t, http.StatusSeeOther, "/console/sign-in", url.Values{"name": {name}, "password": {adminPassword}})
	return b
}

// send sends a form, or asks for a page when form is nil. edit may change the
// request.
func (b *browser) send(t testing.TB, path string, form url.Values, edit ...func(*http.Request)) answer {
	t.Helper()
	method, body := http.MethodGet, io.Reader(http.NoBody)
	if form != nil {
		method, body = http.MethodPost, strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(t.Context(), method, b.n.url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, name := range slices.Sorted(maps.Keys(b.cookies)) {
		req.AddCookie(&http.Cookie{Name: name, Value: b.cookies[name]})
	}
	for _, e := range edit {
		e(req)
	}
	resp, err := http.DefaultTransport.RoundTrip(req) // redirects are part of the answer
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range resp.Cookies() {
		site := http.SameSiteStrictMode
		if c.Name == "__Host-postern-oidc" { // the browser brings it back from another site
			site = http.SameSiteLaxMode
		}
		if !c.HttpOnly || !c.Secure || c.SameSite != site || c.Path != "/" || c.Domain != "" {
			t.Errorf("%s %s sets a cookie that is not safe: %v", method, path, c)
		}
		b.cookies[c.Name] = c.Value
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		}
	}
	return answer{resp.StatusCode, resp.Header, string(text)}
}

// want is send with the status that it must have.
func (b *browser) want(t testing.TB, status int, path string, form url.Values) answer {
	t.Helper()
	got := b.send(t, path, form)
	if got.status != status {
		t.Fatalf("%s: got %d, want %d\n%s", path, got.status, status, main(got.body))
	}
	return got
}

// main is what a page says, without its frame.
func main(body string) string {
	if _, rest, has := strings.Cut(body, "<main"); has {
		body, _, _ = strings.Cut(rest, "</main>")
	}
	return regexp.MustCompile(`\s*\n\s*`).ReplaceAllString(body, "\n")
}

// routes are those of the console, with a method.
func consoleRoutes(method string) (out []string) {
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	console.New(console.Options{Issuer: issuer}).Mount(r)
	for _, route := range r.Routes() {
		if route.Method == method && route.Path != "/console/assets/:hash/:name" {
			out = append(out, route.Path)
		}
	}
	slices.Sort(out)
	return out
}

// at puts samples into the place of a route's parameters.
func at(t testing.TB, route string, samples map[string]string) string {
	t.Helper()
	return regexp.MustCompile(`:\w+`).ReplaceAllStringFunc(route, func(name string) string {
		value, known := samples[name]
		if !known {
			t.Fatalf("route %s: samples has no %s", route, name)
		}
		return value
	})
}

// samples are ids for the parameters of routes, of what the first start made.
func (n *node) samples(t testing.TB) map[string]string {
	t.Helper()
	return map[string]string{
		":client":    string(n.Example.Client.ID),
		":secret":    string(n.Example.Client.Secrets[0].ID),
		":api":       "example",
		":operation": "client.create",
		":guide":     "operations",
		":kid":       n.kid(t),
		":webhook":   n.made(t, "/webhooks", map[string]any{"url": "https://hooks.example.com/x", "workspace": "default"}),
		":holder":    string(n.Example.Account.ID),
		":role":      n.roleID(t, "default/example-reader"),
		":account":   n.AdminUser,
		":team":      n.made(t, "/teams", map[string]any{"name": "sample"}),
		":own":       n.personal(t).id,
		":version":   n.roleVersion(t, n.roleID(t, "default/example-reader")),
		":workspace": "default",
	}
}

// openPages need no session.
var openPages = []string{"/console/sign-in", "/console/code", "/console/invitation"}

// W06, W13, W18: every page is whole in every state, with its headers: with everything in it, with nothing, when
// the store is down, to a person with no rights and to nobody.
func TestEveryPageInEveryState(t *testing.T) {
	var down *outage
	n := start(t, func(o *server.Options) {
		down = &outage{Store: o.Store}
		o.Store = down
	})
	admin, person, samples := n.console(t), n.person(t, "ann"), n.samples(t)
	whole := func(t *testing.T, got answer) {
		t.Helper()
		for name, want := range map[string]string{
			"Cache-Control": "no-store", "X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff",
			"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
		} {
			if got.header.Get(name) != want {
				t.Errorf("%s is %q, want %q", name, got.header.Get(name), want)
			}
		}
		if got.header.Get("Access-Control-Allow-Origin") != "" {
			t.Error("another origin may read it")
		}
		if kind := got.header.Get("Content-Type"); !strings.HasPrefix(kind, "text/html") {
			return // a file
		}
		if !strings.HasSuffix(strings.TrimSpace(got.body), "</html>") || strings.Count(got.body, "<h1") != 1 {
			t.Errorf("the page is not whole, or has not one heading:\n%s", main(got.body))
		}
		for _, bad := range []string{"ZgotmplZ", "<no value>", "%!", "style=", "onclick=", "javascript:"} {
			if strings.Contains(got.body, bad) {
				t.Errorf("the page holds %q:\n%s", bad, main(got.body))
			}
		}
		if len(got.body) > 150_000 {
			t.Errorf("the page has %d bytes, want 150,000 at most", len(got.body))
		}
	}
	for _, route := range consoleRoutes(http.MethodGet) {
		if route == "/console/" {
			continue // leads to the first page
		}
		path := at(t, route, samples)
		open := slices.Contains(openPages, route)
		t.Run("full "+route, func(t *testing.T) {
			got := admin.send(t, path, nil)
			if got.status != http.StatusOK && (got.status != http.StatusSeeOther || !open) {
				t.Errorf("got %d\n%s", got.status, main(got.body))
			}
			if got.status == http.StatusOK {
				whole(t, got)
			}
		})
		t.Run("forbidden "+route, func(t *testing.T) {
			got := person.send(t, path, nil)
			switch got.status {
			case http.StatusOK:
				whole(t, got) // one's own
			case http.StatusForbidden, http.StatusNotFound:
				whole(t, got)
				if !strings.Contains(got.body, "Request <code>") {
					t.Errorf("no number of the request:\n%s", main(got.body))
				}
			case http.StatusSeeOther:
			default:
				t.Errorf("got %d\n%s", got.status, main(got.body))
			}
		})
		t.Run("nobody "+route, func(t *testing.T) {
			got := (&browser{n, map[string]string{}}).send(t, path, nil)
			if open {
				whole(t, got)
			} else if to := got.header.Get("Location"); got.status != http.StatusSeeOther || !strings.HasPrefix(to, "/console/sign-in") {
				t.Errorf("got %d to %q", got.status, to)
			}
		})
	}
	if got := admin.send(t, "/console/nothing", nil); got.status != http.StatusNotFound || !strings.Contains(got.body, "There is nothing here") {
		t.Errorf("a path that is none: got %d\n%s", got.status, main(got.body))
	} else {
		whole(t, got)
	}
	down.down.Store(true)
	defer down.down.Store(false)
	for _, route := range consoleRoutes(http.MethodGet) {
		t.Run("outage "+route, func(t *testing.T) {
			got := admin.send(t, at(t, route, samples), nil)
			if got.status == http.StatusServiceUnavailable {
				whole(t, got)
				if !strings.Contains(got.body, "Try again") || strings.Contains(got.body, "db.internal") {
					t.Errorf("the page offers no second try, or says too much:\n%s", main(got.body))
				}
			} else if got.status >= http.StatusInternalServerError {
				t.Errorf("got %d\n%s", got.status, main(got.body))
			}
		})
	}
}

// Whatever changes something comes from a page of this origin.
func TestW09ConsoleTakesOnlyFormsOfItsOwnPages(t *testing.T) {
	n := start(t)
	admin, samples := n.console(t), n.samples(t)
	before := n.state(t)
	for _, route := range consoleRoutes(http.MethodPost) {
		path := at(t, route, samples)
		for name, edit := range map[string]func(*http.Request){
			"neither header":       func(r *http.Request) { r.Header.Del("Sec-Fetch-Site") },
			"another site":         func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
			"a sibling":            func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") },
			"an address bar":       func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "none") },
			"another origin":       func(r *http.Request) { r.Header.Del("Sec-Fetch-Site"); r.Header.Set("Origin", "https://evil.example") },
			"no origin":            func(r *http.Request) { r.Header.Del("Sec-Fetch-Site"); r.Header.Set("Origin", "null") },
			"ours, but from there": func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site"); r.Header.Set("Origin", issuer) },
		} {
			if got := admin.send(t, path, url.Values{}, edit); got.status != http.StatusForbidden {
				t.Errorf("POST %s by %s: got %d, want 403", route, name, got.status)
			}
		}
		if got := admin.send(t, path, url.Values{}, func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }); got.status != http.StatusUnprocessableEntity {
			t.Errorf("POST %s as plain text: got %d, want 422", route, got.status)
		}
	}
	if after := n.state(t); before != after {
		t.Errorf("something was changed:\n%s\n%s", before, after)
	}
	if got := admin.send(t, "/console/theme", url.Values{"theme": {"dark"}}, func(r *http.Request) {
		r.Header.Del("Sec-Fetch-Site")
		r.Header.Set("Origin", issuer)
	}); got.status != http.StatusSeeOther {
		t.Errorf("by our Origin alone: got %d, want 303", got.status)
	}
}

// state is everything that the console can change.
func (n *node) state(t testing.TB) string {
	t.Helper()
	var out strings.Builder
	enc := json.NewEncoder(&out)
	err := n.store.All(t.Context(), func(r store.Record) error { return enc.Encode(r) }, store.KindClient, store.KindAccount, store.KindTeam,
		store.KindRole, store.KindGrant, store.KindAPI, store.KindWorkspace, store.KindKey, store.KindWebhook)
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestW11SessionIsNewAtSignInAndDeadAtSignOut(t *testing.T) {
	n := start(t)
	admin := n.console(t)
	const name = "__Host-postern-session"
	old := admin.cookies[name]
	if len(old) < 40 {
		t.Fatalf("the session is %q", old)
	}
	works := func(session string) bool {
		b := &browser{n, map[string]string{name: session}}
		return b.send(t, "/console/clients", nil).status == http.StatusOK
	}
	if !works(old) {
		t.Fatal("the session does not work")
	}
	admin.want(t, http.StatusSeeOther, "/console/sign-in", url.Values{"name": {n.AdminUser}, "password": {adminPassword}})
	again := admin.cookies[name]
	if again == old || works(old) || !works(again) {
		t.Errorf("after signing in again: same %t, the old one works %t, the new one %t; want false, false, true", again == old, works(old), works(again))
	}
	const next = "tortoise rabbit heron wren"
	admin.want(t, http.StatusSeeOther, "/console/password", url.Values{"current": {adminPassword}, "new": {next}, "again": {next}})
	changed := admin.cookies[name]
	if changed == again || works(again) || !works(changed) {
		t.Errorf("after another password: same %t, the old one works %t, the new one %t; want false, false, true", changed == again, works(again), works(changed))
	}
	admin.want(t, http.StatusSeeOther, "/console/sign-out", url.Values{})
	if _, kept := admin.cookies[name]; kept || works(changed) {
		t.Errorf("after signing out: the cookie is kept %t, the session works %t; want neither", kept, works(changed))
	}
	// An id that somebody planted is not taken over.
	planted := strings.Repeat("p", len(old))
	victim := &browser{n, map[string]string{name: planted}}
	victim.want(t, http.StatusSeeOther, "/console/sign-in", url.Values{"name": {n.AdminUser}, "password": {next}})
	if victim.cookies[name] == planted || works(planted) {
		t.Error("a planted session came to life")
	}
}

// W18: a page that another site asks for is no page of that site's.
func TestW18AnotherOriginReadsNothing(t *testing.T) {
	n := start(t)
	admin := n.console(t)
	for _, origin := range []string{"https://evil.example", "null"} {
		for _, page := range []string{"/console", "/console/sign-in", "/console/clients"} {
			got := admin.send(t, page, nil, func(r *http.Request) { r.Header.Set("Origin", origin) })
			for name := range got.header {
				if strings.HasPrefix(name, "Access-Control-") {
					t.Errorf("%s of %s: %s is %q", page, origin, name, got.header.Get(name))
				}
			}
		}
	}
}

func TestW19NextIsAPathOfThisConsole(t *testing.T) {
	n := start(t)
	n.console(t)
	for next, want := range map[string]string{
		"/console/clients?status=revoked": "/console/clients?status=revoked",
		"/console":                        "/console",
		"//evil.example":                  "/console",
		`/\evil.example`:                  "/console",
		`\\evil.example`:                  "/console",
		"https://evil.example/console":    "/console",
		"javascript:alert(1)":             "/console",
		"/api/v1/clients":                 "/console",
		"/consoleevil":                    "/console",
		"/console/../oauth2/token":        "/console",
		"/console/%2e%2e/x":               "/console",
		"/console\r\nSet-Cookie: a=b":     "/console",
		"":                                "/console",
	} {
		b := &browser{n, map[string]string{}}
		got := b.want(t, http.StatusSeeOther, "/console/sign-in", url.Values{"name": {n.AdminUser}, "password": {adminPassword}, "next": {next}})
		if to := got.header.Get("Location"); to != want {
			t.Errorf("next=%q leads to %q, want %q", next, to, want)
		}
	}
	lost := (&browser{n, map[string]string{}}).send(t, "/console/clients?status=revoked", nil)
	if to := lost.header.Get("Location"); to != "/console/sign-in?next=%2Fconsole%2Fclients%3Fstatus%3Drevoked" {
		t.Errorf("a lost session leads to %q", to)
	}
	bounced := (&browser{n, map[string]string{}}).send(t, "/console/clients", nil, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") })
	if bounced.status != http.StatusOK || !strings.Contains(bounced.body, `href="/console/clients"`) {
		t.Errorf("a link from elsewhere: got %d %s", bounced.status, main(bounced.body))
	}
}
