package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// SB6, QU6: who made a token, when it was used last, from where and for what.
func TestTheDetailOfATokenInTheConsole(t *testing.T) {
	n := start(t)
	admin := n.console(t)
	at := "/console/clients/" + string(n.Example.Client.ID)
	admin.want(t, http.StatusOK, at, nil).has(t, "Not used", "default/example-reader", "/orders", "Secret keys", "Nothing was counted")
	who := as{string(n.Example.Client.ID), n.Example.Secret.Reveal()}
	token := n.issue(t, who)
	n.decided(t, token, "GET", "/orders")
	n.decided(t, token, "DELETE", "/orders")
	got := admin.want(t, http.StatusOK, at, nil)
	got.has(t, "1 denied", "GET /orders", "Refused last", "by "+n.AdminUser, "Last 30 days")
	got.hasNot(t, "Nothing was counted", n.Example.Secret.Reveal())
	n.want(t, http.StatusOK, http.MethodPost, "/clients/"+who.id+"/revoke", map[string]any{"reason": "left the building"})
	admin.want(t, http.StatusOK, at, nil).has(t, "left the building", "Restore")
	admin.want(t, http.StatusSeeOther, at+"/delete", url.Values{})
	if got := admin.want(t, http.StatusNotFound, at, nil); !strings.Contains(got.body, "There is nothing here") {
		t.Errorf("of a deleted one the page says\n%s", main(got.body))
	}
	admin.want(t, http.StatusNotFound, "/console/clients/cli"+strings.Repeat("a", 24), nil)
}

// DP5: what never changes is in no form, and what does is saved for the one who
// saw it as it was.
func TestDP5EditATokenInTheConsole(t *testing.T) {
	n := start(t)
	admin := n.console(t)
	at := "/console/clients/" + string(n.Example.Client.ID)
	page := admin.want(t, http.StatusOK, at+"/edit", nil)
	page.hasNot(t, `name="expires`, `name="kind"`, `name="account"`)
	form := url.Values{
		"revision": {page.hidden(t, "revision")}, "name": {"renamed"}, "description": {"does things"}, "addresses": {"10.0.0.0/8\n192.0.2.1"},
		"default_api": {"example"}, "narrowable": {"on"}, "narrowed": {"on"}, "narrowed_to": {"default/example-reader"},
	}
	admin.want(t, http.StatusSeeOther, at+"/edit", form)
	admin.want(t, http.StatusOK, at, nil).has(t, "renamed", "does things", "10.0.0.0/8", "192.0.2.1/32", "Narrowed")
	// Whoever had it open since before sees what was saved meanwhile.
	late := url.Values{"revision": form["revision"], "name": {"mine"}, "description": {""}, "addresses": {"10.0.0.0/8"}, "default_api": {"example"}}
	got := admin.want(t, http.StatusPreconditionFailed, at+"/edit", late)
	got.has(t, "Somebody else changed this", "<strong>Name</strong> is now: renamed", `value="mine"`)
	late.Set("revision", got.hidden(t, "revision"))
	late.Set("addresses", "nonsense")
	admin.want(t, http.StatusUnprocessableEntity, at+"/edit", late).has(t, "nonsense", "addresses")
	late.Set("addresses", "")
	admin.want(t, http.StatusSeeOther, at+"/edit", late)
	admin.want(t, http.StatusOK, at, nil).has(t, "mine")
}

// A secret is retired when nobody uses it, or all the same.
func TestSecretsInTheConsole(t *testing.T) {
	n := start(t)
	admin := n.console(t)
	id, old := string(n.Example.Client.ID), n.Example.Secret.Reveal()
	at := "/console/clients/" + id
	page := admin.want(t, http.StatusOK, at+"/rotate", nil)
	page.has(t, "Goes on as it is", "In a day")
	form := url.Values{"once": {onceOf(t, page.body)}, "overlap": {"keep"}, "label": {"second"}}
	admin.want(t, http.StatusUnprocessableEntity, at+"/rotate", url.Values{"once": form["once"], "overlap": {"some"}, "last_day": {"2001-01-01"}, "label": {"kept"}}).
		has(t, "none of those that are offered", "must be a date to come", `value="kept"`)
	made := shown(t, admin.want(t, http.StatusOK, at+"/rotate", form))
	if !n.issues(t, id, old) || !n.issues(t, id, made.secret) {
		t.Fatal("one of the two secrets does not work")
	}
	detail := admin.want(t, http.StatusOK, at, nil)
	detail.has(t, "second")
	detail.hasNot(t, made.secret)
	retire := at + "/secrets/" + string(n.Example.Client.Secrets[0].ID) + "/retire"
	admin.want(t, http.StatusOK, retire, nil).hasNot(t, "Retire it anyway")
	got := admin.want(t, http.StatusConflict, retire, url.Values{})
	got.has(t, "This secret is in use", "127.0.0.1", "Retire it anyway")
	if !n.issues(t, id, old) {
		t.Error("it was retired though it was refused")
	}
	admin.want(t, http.StatusSeeOther, retire, url.Values{"force": {"on"}})
	if n.issues(t, id, old) || !n.issues(t, id, made.secret) {
		t.Error("after the retirement the old one works, or the new one does not")
	}
	again := admin.want(t, http.StatusConflict, retire, url.Values{})
	again.has(t, "revoked already")
	again.hasNot(t, "Retire it anyway")
	admin.want(t, http.StatusNotFound, at+"/secrets/nothing/retire", nil)
}

func TestWhoAnswersForATokenInTheConsole(t *testing.T) {
	n := start(t)
	admin := n.console(t)
	n.member(t, "ann")
	at := "/console/clients/" + string(n.Example.Client.ID)
	page := admin.want(t, http.StatusOK, at+"/responsible", nil)
	form := url.Values{"revision": {page.hidden(t, "revision")}, "responsible": {"nobody-there"}}
	admin.want(t, http.StatusUnprocessableEntity, at+"/responsible", form).has(t, "no person", `value="nobody-there"`)
	form.Set("responsible", "ann")
	admin.want(t, http.StatusSeeOther, at+"/responsible", form)
	admin.want(t, http.StatusOK, at, nil).has(t, ">ann</a>")
	admin.want(t, http.StatusSeeOther, "/console/accounts/ann/deactivate", url.Values{})
	admin.want(t, http.StatusSeeOther, at+"/take-over", url.Values{})
	admin.want(t, http.StatusConflict, at+"/take-over", url.Values{}).has(t, "responsible for it already")
}

// A page of tokens is small, whatever people write.
func TestThePageOfTokensIsSmall(t *testing.T) {
	n := start(t)
	admin := n.console(t)
	for range 50 {
		n.want(t, http.StatusCreated, http.MethodPost, "/clients", map[string]any{
			"name": strings.Repeat("W", 190), "description": strings.Repeat("description ", 160), "workspace": "default", "roles": []string{"default/example-reader"},
		})
	}
	got := admin.want(t, http.StatusOK, "/console/clients", nil)
	if len(got.body) > 150_000 {
		t.Errorf("it has %d bytes, want 150,000 at most", len(got.body))
	}
	got.has(t, "Next page", "description descr")
}
