package server_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// W05, QU10: what the console showed once stands in no page afterwards, and the
// answer that had it is stored nowhere.
func TestW05WhatWasShownOnceIsOnNoPage(t *testing.T) {
	n := start(t)
	admin := n.console(t)
	canary := canaries{}
	once := func(name string, got answer, texts ...string) {
		t.Helper()
		if got.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: the answer may be stored: %q", name, got.header.Get("Cache-Control"))
		}
		for _, text := range texts {
			if text == "" || !strings.Contains(got.body, text) {
				t.Fatalf("%s: nothing was shown\n%s", name, main(got.body))
			}
			canary.add(name, text)
		}
	}
	samples := n.samples(t)
	got := admin.want(t, http.StatusOK, "/console/clients/new", tokenForm(t, admin, nil))
	made := shown(t, got)
	samples[":client"] = made.id
	once("a new token's secret", got, made.secret)
	page := admin.want(t, http.StatusOK, "/console/clients/"+made.id+"/rotate", nil)
	admin.want(t, http.StatusSeeOther, "/console/clients/"+made.id+"/save", url.Values{"saved": {"on"}})
	got = admin.want(t, http.StatusOK, "/console/clients/"+made.id+"/rotate", url.Values{"once": {onceOf(t, page.body)}, "overlap": {"keep"}})
	once("a further secret", got, shown(t, got).secret)
	samples[":secret"] = n.want(t, http.StatusOK, http.MethodGet, "/clients/"+made.id, nil).json(t)["secrets"].([]any)[0].(map[string]any)["id"].(string)

	page = admin.want(t, http.StatusOK, "/console/webhooks/new", nil)
	got = admin.want(t, http.StatusOK, "/console/webhooks/new", url.Values{"once": {onceOf(t, page.body)}, "url": {"https://hooks.example.com/"}})
	once("a webhook's key", got, shownSigning.FindStringSubmatch(got.body)[1])

	page = admin.want(t, http.StatusOK, "/console/accounts/invite", nil)
	got = admin.want(t, http.StatusOK, "/console/accounts/invite", url.Values{"once": {onceOf(t, page.body)}, "name": {"bob"}})
	once("an invitation", got, regexp.MustCompile(`invitation\?token=([\w-]+)`).FindStringSubmatch(got.body)[1])

	for _, route := range consoleRoutes(http.MethodGet) {
		path := at(t, route, samples)
		if got := admin.send(t, path, nil); got.status == http.StatusOK {
			canary.in(t, path, []byte(got.body))
		}
	}
}

// W12 at the form of the console: who does not exist hears what a wrong password
// hears, and too many of either have to wait.
func TestW12SignInForm(t *testing.T) {
	n := start(t)
	n.console(t)
	n.person(t, "ann")
	stranger := &browser{n, map[string]string{}}
	try := func(name string) answer {
		t.Helper()
		return stranger.send(t, "/console/sign-in", url.Values{"name": {name}, "password": {"wrong password"}})
	}
	plain := func(a answer, name string) string { return strings.ReplaceAll(a.body, name, "NAME") }
	known, unknown := try("ann"), try("nobody-such")
	if known.status != http.StatusUnprocessableEntity || unknown.status != known.status || plain(known, "ann") != plain(unknown, "nobody-such") {
		t.Errorf("a known name gets %d, an unknown one %d, or other words:\n%s\n%s", known.status, unknown.status, main(known.body), main(unknown.body))
	}
	for _, name := range []string{"ann", "nobody-such"} {
		var got answer
		for range 60 {
			if got = try(name); got.status == http.StatusTooManyRequests {
				break
			}
		}
		if wait, err := strconv.Atoi(got.header.Get("Retry-After")); got.status != http.StatusTooManyRequests || err != nil || wait < 1 {
			t.Errorf("%s, too often: got %d, to wait %q", name, got.status, got.header.Get("Retry-After"))
		}
		got.has(t, `role="alert"`)
		got.hasNot(t, "wrong password")
	}
	// The right password has to wait as well, and comes in when it has waited.
	form := url.Values{"name": {"ann"}, "password": {adminPassword}}
	if got := stranger.send(t, "/console/sign-in", form); got.status != http.StatusTooManyRequests {
		t.Errorf("the right password at once: got %d, want 429", got.status)
	}
}
