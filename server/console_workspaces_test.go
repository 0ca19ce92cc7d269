package server_test

import (
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// savedAs is the form with the settings of a workspace as they are, and one thing
// else.
func (b *browser) savedAs(t testing.TB, path string, change url.Values) url.Values {
	t.Helper()
	form := url.Values{
		"revision":   {b.want(t, http.StatusOK, path+"/settings", nil).hidden(t, "revision")},
		"api_access": {"on"}, "who_may_create": {"administrators"}, "leak_policy": {"revoke"},
	}
	maps.Copy(form, change)
	return form
}

func TestConsoleMakesAWorkspace(t *testing.T) {
	n := start(t)
	b := n.console(t)
	says(t, b.want(t, http.StatusOK, "/console/workspaces", nil), ">default<", ">system<", "2 workspaces")
	bad := b.want(t, http.StatusUnprocessableEntity, "/console/workspaces/new", url.Values{"name": {"Data Platform"}, "description": {"Pipes"}})
	says(t, bad, `value="Data Platform"`, `id="e-name"`, "Pipes</textarea>")
	made := b.want(t, http.StatusSeeOther, "/console/workspaces/new", url.Values{"name": {"acme"}, "description": {hostile[0]}})
	seen := b.want(t, http.StatusOK, made.header.Get("Location"), nil)
	says(t, seen, "You are its owner", "acme/owner", "&lt;img src=x", "!<img src=x", "No cap")
	says(t, b.want(t, http.StatusOK, "/console/workspaces?search=ACM", nil), ">acme<", "1 workspace<")
	says(t, b.want(t, http.StatusOK, "/console/workspaces?search=nope", nil), "No workspace is like this")
}

// DP8: API access goes off after a warning of what dies, and on again; who may
// make personal tokens are administrators, people who are named, or everyone.
func TestDP8ConsoleSettingsOfAWorkspace(t *testing.T) {
	n := start(t)
	b := n.console(t)
	const path = "/console/workspaces/default"
	id := n.id(t, "/workspaces/default")
	off := b.savedAs(t, path, url.Values{"api_access": nil, "description": {"Sleeps"}})
	delete(off, "api_access")
	ask := b.want(t, http.StatusOK, path+"/settings", off)
	says(t, ask, "Switch API access of “default” off?", "stay dead for good", "Token “Example client”", `name="description" value="Sleeps"`)
	token := n.issue(t, by(n.Example))
	off.Set("sure", "on")
	goes(t, b.want(t, http.StatusSeeOther, path+"/settings", off), "/console/workspaces/"+id)
	says(t, b.want(t, http.StatusOK, path, nil), "API access is off", "Sleeps")
	if got := n.form(t, "/oauth2/token", by(n.Example), wantToken); got.error() != "unauthorized_client" {
		t.Errorf("with API access off: got %d %s", got.status, got.body)
	}
	b.want(t, http.StatusSeeOther, path+"/settings", b.savedAs(t, path, nil))
	if n.issue(t, by(n.Example)) == "" || n.active(t, token) {
		t.Error("with API access on again there is no new access token, or the old one is alive")
	}
	says(t, b.want(t, http.StatusConflict, "/console/workspaces/system/settings", func() url.Values {
		f := b.savedAs(t, "/console/workspaces/system", url.Values{"sure": {"on"}})
		f.Del("api_access")
		return f
	}()), "cannot be switched off")

	bad := b.want(t, http.StatusUnprocessableEntity, path+"/settings", b.savedAs(t, path, url.Values{"who_may_create": {"named"}, "personal_people": {"nobody-like-this"}}))
	says(t, bad, "there is no person", "nobody-like-this</textarea>")
	n.person(t, "ann")
	n.want(t, http.StatusOK, http.MethodPut, "/grants/default/ann", map[string]any{"roles": []map[string]any{{"role": "member"}}})
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("ann:"+adminPassword))
	create := func() int { // as ann
		return n.rest(t, http.MethodPost, "/me/clients", map[string]any{"name": "mine", "workspace": "default"}, "Authorization", basic).status
	}
	for _, tt := range []struct {
		change url.Values
		status int
		says   string
	}{
		{url.Values{"who_may_create": {"administrators"}}, http.StatusForbidden, "Administrators"},
		{url.Values{"who_may_create": {"named"}, "personal_people": {"ann"}}, http.StatusCreated, "1 named person"},
		{url.Values{"who_may_create": {"everyone"}}, http.StatusCreated, "Everyone"},
	} {
		b.want(t, http.StatusSeeOther, path+"/settings", b.savedAs(t, path, tt.change))
		says(t, b.want(t, http.StatusOK, path, nil), tt.says)
		if got := create(); got != tt.status {
			t.Errorf("%v: a personal token of ann: got %d, want %d", tt.change, got, tt.status)
		}
	}
}

// DP9: the longest life, the lifetimes to choose from and whether a token must
// expire, in days.
func TestDP9ConsoleLifetimesOfAWorkspace(t *testing.T) {
	n := start(t)
	b := n.console(t)
	const path = "/console/workspaces/default"
	for field, value := range map[string]string{"max_lifetime": "ninety", "other_lifetime": "-3", "lifetimes": "soon"} {
		says(t, b.want(t, http.StatusUnprocessableEntity, path+"/settings", b.savedAs(t, path, url.Values{field: {value}})), `id="e-`+field+`"`)
	}
	b.want(t, http.StatusSeeOther, path+"/settings", b.savedAs(t, path, url.Values{"max_lifetime": {"90"}, "lifetimes": {"2592000"}, "other_lifetime": {"14"}, "never_forbidden": {"on"}}))
	says(t, b.want(t, http.StatusOK, path, nil), "90 days", "Each must expire", "30 days, 14 days")
	says(t, b.want(t, http.StatusOK, path+"/settings", nil), `value="90"`, `value="2592000" checked`, `value="1209600" checked`)
	for life, want := range map[int]int{30: http.StatusCreated, 14: http.StatusCreated, 60: http.StatusUnprocessableEntity, -1: http.StatusUnprocessableEntity} {
		got := n.rest(t, http.MethodPost, "/clients", map[string]any{"name": "short", "workspace": "default", "roles": roles("example-reader"), "expires_in_days": life})
		if got.status != want {
			t.Errorf("%d days: got %d %s, want %d", life, got.status, got.body, want)
		}
	}
}

func TestConsoleTwoChangeOneWorkspace(t *testing.T) {
	n := start(t)
	b := n.console(t)
	const path = "/console/workspaces/default"
	first, second := b.savedAs(t, path, url.Values{"description": {"First"}}), b.savedAs(t, path, url.Values{"description": {"Second"}, "max_lifetime": {"30"}})
	b.want(t, http.StatusSeeOther, path+"/settings", first)
	late := b.want(t, http.StatusPreconditionFailed, path+"/settings", second)
	says(t, late, "Somebody else changed this", "Description</strong> is now: First", "Longest life in days</strong> is now: nothing", "Second</textarea>", "!API access</strong>")
	second.Set("revision", late.hidden(t, "revision"))
	b.want(t, http.StatusSeeOther, path+"/settings", second)
	says(t, b.want(t, http.StatusOK, path, nil), "Second", "30 days")
}

// DC2: an owner has everything in the workspace: its settings, its members and
// who owns it next, which asks for the password again. W08: the last one stays.
func TestDC2ConsoleOwnerTransfersAWorkspace(t *testing.T) {
	n := start(t)
	n.console(t)
	ann := n.person(t, "ann")
	n.person(t, "bea")
	n.made(t, "/workspaces", map[string]any{"name": "acme"})
	n.want(t, http.StatusOK, http.MethodPatch, "/accounts/ann", map[string]any{"licence": "admin"})
	n.want(t, http.StatusOK, http.MethodPut, "/grants/acme/ann", map[string]any{"roles": []map[string]any{{"role": "owner"}}})
	n.want(t, http.StatusOK, http.MethodPut, "/grants/acme/"+n.AdminUser, map[string]any{"roles": []map[string]any{}})
	n.want(t, http.StatusOK, http.MethodPut, "/grants/acme/bea", map[string]any{"roles": []map[string]any{{"role": "member"}}})
	const path = "/console/workspaces/acme"
	seen := ann.want(t, http.StatusOK, path, nil)
	says(t, seen, "/settings", "/transfer", "/delete", "Take back")
	if owner, member := strings.Index(seen.body, "acme/owner"), strings.Index(seen.body, "acme/member"); owner < 0 || member < owner {
		t.Errorf("the owner does not stand first:\n%s", main(seen.body))
	}
	ann.want(t, http.StatusSeeOther, path+"/settings", ann.savedAs(t, path, url.Values{"description": {"Hers"}}))

	// The last owner cannot take the role back from herself, and the page says why.
	take := "/console/grants/" + n.id(t, "/accounts/ann") + "/" + n.roleID(t, "acme/owner") + "/take?workspace=acme&place=0&next=" + path
	last := ann.want(t, http.StatusConflict, take, url.Values{"revision": {ann.want(t, http.StatusOK, take, nil).hidden(t, "revision")}})
	says(t, last, "This is not possible now", "last owner of workspace acme; make another one first")

	says(t, ann.want(t, http.StatusNotFound, path+"/transfer", url.Values{"to": {"nobody"}}), `value="nobody"`, "no account")
	n.made(t, "/accounts", map[string]any{"name": "cleo"})
	says(t, ann.want(t, http.StatusConflict, path+"/transfer", url.Values{"to": {"cleo"}}), "to an active person")
	n.clock.advance(20 * time.Minute) // the session is open for a while
	again := ann.want(t, http.StatusOK, path+"/transfer", url.Values{"to": {"bea"}})
	says(t, again, "Confirm that it is you", `name="to" value="bea"`)
	goes(t, ann.want(t, http.StatusSeeOther, path+"/transfer", url.Values{"to": {"bea"}, "_password": {adminPassword}}), "/console/workspaces")
	ann.want(t, http.StatusNotFound, path, nil)
	held := n.want(t, http.StatusOK, http.MethodGet, "/grants?workspace=acme&role=owner", nil).json(t)
	if items, _ := held["items"].([]any); len(items) != 1 || !strings.Contains(items[0].(map[string]any)["holder"].(map[string]any)["name"].(string), "bea") {
		t.Errorf("the owners are %v, want bea alone", held)
	}
}

// DC3: somebody who is given a role in another workspace, with limits, sees it on
// one page with what else they hold.
func TestDC3ConsoleGrantsInSeveralWorkspaces(t *testing.T) {
	n := start(t)
	b := n.console(t)
	n.person(t, "ann")
	n.made(t, "/workspaces", map[string]any{"name": "acme"})
	path := "/console/accounts/" + n.id(t, "/accounts/ann")
	give := func(workspace, role, limits string) {
		t.Helper()
		form := url.Values{"workspace": {workspace}, "holder": {"ann"}, "role": {n.roleID(t, workspace+"/"+role)}, "limits": {limits}, "next": {path}}
		if got := b.send(t, "/console/grants", form); got.status != http.StatusSeeOther && got.status != http.StatusOK {
			t.Fatalf("got %d\n%s", got.status, main(got.body))
		}
	}
	give("default", "member", "")
	give("acme", "member", "device = d1, d2")
	says(t, b.want(t, http.StatusOK, path, nil), "default/member", "acme/member", "device = d1, d2", "No limits")
}

// A workspace goes after its name was typed, when nothing lives in it.
func TestConsoleDeletesAWorkspace(t *testing.T) {
	n := start(t)
	b := n.console(t)
	n.made(t, "/workspaces", map[string]any{"name": "acme"})
	const path = "/console/workspaces/acme"
	form := url.Values{"revision": {b.want(t, http.StatusOK, path+"/delete", nil).hidden(t, "revision")}, "typed": {"acne"}}
	says(t, b.want(t, http.StatusUnprocessableEntity, path+"/delete", form), `id="e-typed"`, `value="acne"`)
	form.Set("typed", "acme")
	b.want(t, http.StatusSeeOther, path+"/settings", b.savedAs(t, path, url.Values{"description": {"changed meanwhile"}}))
	late := b.want(t, http.StatusPreconditionFailed, path+"/delete", form)
	form.Set("revision", late.hidden(t, "revision"))
	goes(t, b.want(t, http.StatusSeeOther, path+"/delete", form), "/console/workspaces")
	b.want(t, http.StatusNotFound, path, nil)

	const busy = "/console/workspaces/default"
	form = url.Values{"revision": {b.want(t, http.StatusOK, busy+"/delete", nil).hidden(t, "revision")}, "typed": {"default"}}
	says(t, b.want(t, http.StatusConflict, busy+"/delete", form), "The workspace has clients")
}

// Who holds no owner's rights sees the settings of a workspace and changes none.
func TestConsoleWorkspaceOfAMemberIsForReading(t *testing.T) {
	n := start(t)
	n.console(t)
	ann := n.person(t, "ann")
	n.want(t, http.StatusOK, http.MethodPut, "/grants/default/ann", map[string]any{"roles": []map[string]any{{"role": "auditor"}}})
	const path = "/console/workspaces/default"
	says(t, ann.want(t, http.StatusOK, path, nil), "Members", "!"+path+"/settings", "!/transfer", "!Take back")
	for _, change := range []string{path + "/settings", path + "/transfer", "/console/workspaces/new"} {
		ann.want(t, http.StatusForbidden, change, url.Values{"name": {"other"}, "to": {"ann"}, "api_access": {"on"}, "who_may_create": {"everyone"}, "revision": {"1"}})
	}
	ann.want(t, http.StatusForbidden, path+"/delete", url.Values{"typed": {"default"}, "revision": {"1"}})
	says(t, ann.want(t, http.StatusOK, "/console/workspaces", nil), "1 workspace<", "!>system<")
	if got := n.want(t, http.StatusOK, http.MethodGet, "/workspaces", nil).json(t); !slices.ContainsFunc(got["items"].([]any), func(w any) bool {
		return w.(map[string]any)["name"] == "default" && w.(map[string]any)["who_may_create"] == "administrators"
	}) {
		t.Errorf("something was changed: %v", got)
	}
}
