package server_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/store"
)

// The numbers of the page, of REST and of the counters are the same: those of what
// was done.
func TestUsagePageSaysWhatTheCountersSay(t *testing.T) {
	n := start(t)
	admin := n.console(t)
	for range 3 {
		n.issue(t, by(n.Example))
	}
	token := n.issue(t, by(n.Example))
	for range 5 {
		n.decided(t, token, "GET", "/orders/42")
	}
	for range 2 {
		n.decided(t, token, "DELETE", "/orders/42")
	}
	n.active(t, token)
	// On a full hour all of this is in the hour before; it stays within the day.
	n.clock.advance(time.Hour)
	admin.want(t, http.StatusSeeOther, "/console/sign-in", url.Values{"name": {n.AdminUser}, "password": {adminPassword}})
	n.issue(t, by(n.Example))
	counted := n.usage(t, n.Example)
	for outcome, want := range map[string]int64{"issued": 5, "allowed": 5, "denied": 2, "introspected": 1} {
		if got := counted.sum(outcome, "", ""); got != want {
			t.Fatalf("the counters have %d %s, want %d", got, outcome, want)
		}
	}
	for _, path := range []string{"/console/usage", "/console/usage?days=7", "/console/usage?days=30", "/console/usage?days=90&show=allowed"} {
		page := admin.want(t, http.StatusOK, path, nil)
		page.shows(t, "Access tokens issued", ">5<", "Calls allowed", ">5<", "Calls denied", ">2<", "Introspected as active", ">1<",
			"Tokens that did the most", ">Example client<", ">5<", ">5<", ">2<", "Rules that decided the most", "default/example-reader#1", ">5<",
			"Refused last", ">Example client<", "DELETE /orders/{order}")
		var rows [4]int
		for _, row := range regexp.MustCompile(`<tr><td>[^<]*</td><td class="number">(\d+)</td><td class="number">(\d+)</td><td class="number">(\d+)</td><td class="number">(\d+)</td></tr>`).FindAllStringSubmatch(page.body, -1) {
			for i := range rows {
				var each int
				_, _ = fmt.Sscan(row[i+1], &each)
				rows[i] += each
			}
		}
		if want := [4]int{5, 5, 1, 2}; rows != want {
			t.Errorf("%s: the rows of the table add up to %v, want %v", path, rows, want)
		}
	}
	sum, _ := n.want(t, http.StatusOK, "GET", "/usage/summary?workspace=default&days=1", nil).json(t)["sum"].(map[string]any)
	if sum["issued"] != 5.0 || sum["allowed"] != 5.0 || sum["denied"] != 2.0 || sum["introspected"] != 1.0 {
		t.Errorf("REST sums up %v", sum)
	}
	admin.want(t, http.StatusUnprocessableEntity, "/console/usage?days=5000", nil).shows(t, "usage is kept")
	if got := n.rest(t, "GET", "/usage/summary?days=91", nil); got.status != http.StatusUnprocessableEntity {
		t.Errorf("91 days, of which 90 are kept: got %d %s", got.status, got.body)
	}
}

func TestUsagePageWithNothing(t *testing.T) {
	n := start(t)
	n.console(t).want(t, http.StatusOK, "/console/usage?days=30", nil).shows(t, "Nothing was used", "No rule decided anything", "Nobody was refused")
}

func TestDP3AuditPageSaysByWhichTokenAndFromWhere(t *testing.T) {
	n := start(t)
	admin := n.console(t)
	const evil = `<img src=x onerror=alert(1)>`
	made := n.want(t, http.StatusCreated, "POST", "/clients", map[string]any{"name": evil, "workspace": "default"}).json(t)
	id, _ := made["client_id"].(string)
	n.want(t, http.StatusOK, "POST", "/clients/"+id+"/revoke", map[string]any{"reason": "moved"})
	page := admin.want(t, http.StatusOK, "/console/audit?operation=client.revoke&target="+id+"&actor=admin", nil)
	page.shows(t, "Done", "client.revoke", "&lt;img src=x", "by admin", "By client", string(n.Admin.Client.ID), "From address", "127.0.0.1", "Request", "status", "active", "revoked", "1 entry on this page")
	secret, _ := made["client_secret"].(string)
	for _, bad := range []string{evil, secret, `hash`} {
		if strings.Contains(main(page.body), bad) {
			t.Errorf("the page holds %q", bad)
		}
	}
	admin.want(t, http.StatusOK, "/console/audit?actor=nobody", nil).shows(t, "No entry is like this", "Show all entries")
	admin.want(t, http.StatusUnprocessableEntity, "/console/audit?from=yesterday", nil).shows(t, "must be a date and a time")
	admin.want(t, http.StatusOK, "/console/audit?to=2020-01-01T00:00", nil).shows(t, "No entry is like this")
	admin.want(t, http.StatusOK, "/console/audit?refused=on", nil).shows(t, "No entry is like this")
	admin.want(t, http.StatusOK, "/console/audit?check=chain", nil).shows(t, "Verified.", "none changed and none missing")
}

// The pages hold each entry once, and the export is that of REST.
func TestAuditPagesAndExport(t *testing.T) {
	n := start(t)
	admin := n.console(t)
	for i := range 60 {
		n.want(t, http.StatusCreated, "POST", "/roles", map[string]any{"workspace": "default", "name": fmt.Sprint("many", i)})
	}
	seen := map[string]bool{}
	path := "/console/audit?operation=role.create"
	for pages := 1; path != ""; pages++ {
		if pages > 2 {
			t.Fatal("there are more than two pages")
		}
		body := admin.want(t, http.StatusOK, path, nil).body
		for _, name := range regexp.MustCompile(`default/many\d+</span>`).FindAllString(body, -1) {
			if seen[name] {
				t.Errorf("%s comes twice", name)
			}
			seen[name] = true
		}
		path = ""
		if next := regexp.MustCompile(`href="(/console/audit\?[^"]*)">Next page`).FindStringSubmatch(body); next != nil {
			path = strings.ReplaceAll(next[1], "&amp;", "&")
		}
	}
	if len(seen) != 60 {
		t.Errorf("%d of 60 entries were on the pages", len(seen))
	}
	file := admin.want(t, http.StatusOK, "/console/audit/export?operation=role.create", nil)
	if got, want := file.header.Get("Content-Type"), "application/x-ndjson"; got != want {
		t.Errorf("the export is %q, want %q", got, want)
	}
	rest := n.want(t, http.StatusOK, "GET", "/audit/export?workspace=default&operation=role.create", nil)
	unplaced := regexp.MustCompile(`,"place":\d+`) // it may be sealed between the two
	if got, want := unplaced.ReplaceAllString(file.body, ""), unplaced.ReplaceAllString(rest.body, ""); got != want || strings.Count(got, "\n") != 60 {
		t.Errorf("the export is\n%s\nand by REST\n%s", got, want)
	}
}

func TestRefusalsAlone(t *testing.T) {
	n := start(t)
	e := &store.AuditEntry{ID: store.NewAuditID(), At: store.At(n.clock.now()), Workspace: n.API.Workspace, Operation: "role.edit", Actor: "mallory", Refused: "you may not do this here", Count: 3}
	n.commit(t, store.Insert(e))
	n.console(t).want(t, http.StatusOK, "/console/audit?refused=on", nil).shows(t, "Refused ×3", "role.edit", "by mallory", "Refused because", "You may not do this here.", "1 entry on this page")
	items, _ := n.want(t, http.StatusOK, "GET", "/audit?workspace=default&refused=true", nil).json(t)["items"].([]any)
	if len(items) != 1 || !slices.ContainsFunc(items, func(i any) bool { return i.(map[string]any)["actor"] == "mallory" }) {
		t.Errorf("by REST: %v", items)
	}
}
