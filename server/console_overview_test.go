package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// shows fails unless a page shows each of these texts, one after the other.
func (a answer) shows(t testing.TB, texts ...string) {
	t.Helper()
	rest := main(a.body)
	for _, text := range texts {
		_, after, has := strings.Cut(rest, text)
		if !has {
			t.Errorf("the page does not show %q in its place:\n%s", text, main(a.body))
			return
		}
		rest = after
	}
}

// The overview's numbers are those of what happened, and lead to the lists that
// they count.
func TestQU6OverviewPageCountsTheUnused(t *testing.T) {
	n := start(t)
	admin := n.console(t)
	const evil = `<img src=x onerror=alert(1)>`
	n.want(t, http.StatusCreated, "POST", "/clients", map[string]any{"name": evil, "workspace": "default", "expires_in": "8d"})
	n.want(t, http.StatusCreated, "POST", "/clients", map[string]any{"name": "later", "workspace": "default", "expires_in": "60d"})
	for range 3 {
		n.issue(t, by(n.Example))
	}
	n.decided(t, n.issue(t, by(n.Example)), "DELETE", "/orders/42")
	page := admin.want(t, http.StatusOK, "/console", nil)
	page.shows(t, "Active tokens", ">4<", "0 personal · 4 service", "Issued, last 24 h", ">4<", "None the day before", "Expiring within 14 days", ">1<", "None was used today",
		"First steps", "To do", "Define the endpoints", "To do", "Make a role", "Done", "Generate a token", "Needs attention", "&lt;img src=x", "Expires in 7 days", "Example client", "replace it before production")
	page.shows(t, `aria-label="Access tokens issued and calls denied, per hour: 4 issued and 1 denied in all.`)
	if strings.Contains(page.body, evil) {
		t.Error("a name is markup")
	}
	listed := admin.want(t, http.StatusOK, "/console/clients?status=active&used=expiring&sort=expires", nil)
	listed.shows(t, "Expiring within 14 days", ">1<", "&lt;img src=x", "1 token")
	if strings.Contains(listed.body, ">later<") {
		t.Error("what expires later is among what expires soon")
	}
	admin.want(t, http.StatusOK, "/console/clients?status=active&used=forgotten", nil).shows(t, "No token is like this")
	// A part of the page has no need of the figures.
	part := admin.send(t, "/console/clients?search=later", nil, func(r *http.Request) { r.Header.Set("HX-Request", "true") })
	if strings.Contains(part.body, "Active tokens") || !strings.Contains(part.body, "later") {
		t.Errorf("as a part: %s", main(part.body))
	}
	n.clock.advance(31 * 24 * time.Hour)
	admin.want(t, http.StatusSeeOther, "/console/sign-in", url.Values{"name": {n.AdminUser}, "password": {adminPassword}})
	admin.want(t, http.StatusOK, "/console", nil).shows(t, "Never used, older than 30 days", ">2<", "Candidates to revoke") // later, and the gateway's
	admin.want(t, http.StatusOK, "/console/clients?status=active&used=forgotten", nil).shows(t, "later", "2 tokens")
}

// Of a workspace in which a person may do little the overview says so.
func TestOverviewPageOfWhoMayDoLittle(t *testing.T) {
	n := start(t)
	ann := n.person(t, "ann")
	id, _ := n.want(t, http.StatusOK, "GET", "/accounts/ann", nil).json(t)["id"].(string)
	n.want(t, http.StatusCreated, "POST", "/roles", map[string]any{"workspace": "default", "name": "looker", "rules": []any{
		map[string]any{"api": "postern", "methods": "GET", "path": "/api/v1/workspaces/**"},
	}})
	n.want(t, http.StatusOK, "PUT", "/grants/default/"+id, map[string]any{"roles": []any{map[string]any{"role": "looker"}}})
	ann.want(t, http.StatusOK, "/console", nil).shows(t, "Nothing to see of this workspace", "/console/profile")
}
