package server_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// hostile are names that people type: each is text on a page.
var hostile = []string{"<img src=x onerror=alert(1)>", "\u202eevil \u05d0\u05d1\u05d2", "javascript:alert(1)"}

// made is the id of what a call of the API made.
func (n *node) made(t testing.TB, path string, in any) string {
	t.Helper()
	out := n.want(t, http.StatusCreated, http.MethodPost, path, in).json(t)
	for _, within := range []string{"account", "webhook"} {
		if it, ok := out[within].(map[string]any); ok && out["id"] == nil {
			out = it
		}
	}
	id, _ := out["id"].(string)
	if id == "" {
		t.Fatalf("%s made nothing with an id: %v", path, out)
	}
	return id
}

// id is the id of what a call of the API finds.
func (n *node) id(t testing.TB, path string) string {
	t.Helper()
	id, _ := n.want(t, http.StatusOK, http.MethodGet, path, nil).json(t)["id"].(string)
	return id
}

// says fails the test unless a page holds each text, and none of those that begin
// with "!".
func says(t testing.TB, got answer, texts ...string) {
	t.Helper()
	for _, text := range texts {
		unwanted, not := strings.CutPrefix(text, "!")
		if not && strings.Contains(got.body, unwanted) {
			t.Errorf("the page holds %q:\n%s", unwanted, main(got.body))
		} else if !not && !strings.Contains(got.body, text) {
			t.Errorf("the page does not hold %q:\n%s", text, main(got.body))
		}
	}
}

// goes fails the test unless an answer leads to a path.
func goes(t testing.TB, got answer, path string) {
	t.Helper()
	if to := got.header.Get("Location"); to != path {
		t.Errorf("it leads to %q, want %q", to, path)
	}
}

func TestConsoleAccountsAreFoundAndPaged(t *testing.T) {
	n := start(t)
	b := n.console(t)
	n.made(t, "/teams", map[string]any{"name": "field"})
	for i := range 51 {
		n.made(t, "/accounts", map[string]any{"name": "p-" + string(rune('a'+i/26)) + string(rune('a'+i%26)), "teams": []string{"field"}, "licence": "reader"})
	}
	first := b.want(t, http.StatusOK, "/console/accounts?team=field&kind=user&status=invited&licence=reader&search=P-", nil)
	says(t, first, "p-aa", "p-bx", "!p-by", "!>admin<", "50 users")
	next := regexp.MustCompile(`href="(/console/accounts\?after=[^"]*)"`).FindStringSubmatch(first.body)
	if next == nil {
		t.Fatalf("there is no next page:\n%s", main(first.body))
	}
	says(t, b.want(t, http.StatusOK, strings.ReplaceAll(next[1], "&amp;", "&"), nil), "p-by", "!>p-bx<", "/console/accounts?kind=user&amp;licence=reader&amp;search=P-&amp;status=invited&amp;team=field", "First page", "1 user on")
	says(t, b.want(t, http.StatusOK, "/console/accounts?search=nobody-like-this", nil), "Nobody is like this")
	says(t, b.want(t, http.StatusOK, "/console/accounts?after=zzz", nil), "No more users")
	b.want(t, http.StatusUnprocessableEntity, "/console/accounts?team=none-such", nil)
}

func TestConsoleInvitesAPerson(t *testing.T) {
	n := start(t)
	b := n.console(t)
	n.made(t, "/teams", map[string]any{"name": "field"})
	page := b.want(t, http.StatusOK, "/console/accounts/invite?workspace=default&name=ann&teams=field", nil)
	says(t, page, `value="ann"`, `value="field" checked`, "example-reader")
	bad := b.want(t, http.StatusUnprocessableEntity, "/console/accounts/invite", url.Values{
		"once": {page.hidden(t, "once")},
		"name": {"Ann!"}, "email": {"nowhere"}, "licence": {"reader"}, "workspace": {"default"}, "roles": {"member"}, "teams": {"field"},
	})
	says(t, bad, `value="Ann!"`, `value="nowhere"`, `id="e-name"`, `id="e-email"`, `value="member" checked`, `value="field" checked`, `value="reader" selected`)
	once := bad.hidden(t, "once")
	for _, name := range hostile {
		got := b.want(t, http.StatusUnprocessableEntity, "/console/accounts/invite", url.Values{"once": {once}, "name": {name}, "licence": {name}, "workspace": {"default"}, "roles": {name}})
		says(t, got, "!<img src=x", `!href="javascript:`)
	}
	form := url.Values{
		"once": {once}, "name": {"ann"}, "display_name": {hostile[0]}, "licence": {"reader"}, "workspace": {"default"}, "roles": {"member"}, "teams": {"field"},
	}
	made := b.want(t, http.StatusOK, "/console/accounts/invite", form)
	link := regexp.MustCompile(issuer + `(/console/invitation\?token=psi_[^<]*)<`).FindStringSubmatch(made.body)
	if link == nil {
		t.Fatalf("the page shows no link:\n%s", main(made.body))
	}
	says(t, made, "is invited", "Works until", "&lt;img src=x", "!<img src=x")
	again := b.want(t, http.StatusSeeOther, "/console/accounts/invite", form) // the answer is loaded again
	says(t, b.want(t, http.StatusOK, again.header.Get("Location"), nil), "That link was shown once", "!psi_")
	guest := &browser{n, map[string]string{}}
	guest.want(t, http.StatusOK, link[1], nil)
	_, token, _ := strings.Cut(link[1], "token=")
	guest.want(t, http.StatusOK, "/console/invitation", url.Values{"token": {token}, "password": {adminPassword}, "again": {adminPassword}})
	seen := b.want(t, http.StatusOK, "/console/accounts/ann", nil)
	says(t, seen, "Active", ">reader<", ">default/member<", ">field<", "account.invite", "&lt;img src=x", "!<img src=x", "!"+token)
	if strings.Contains(n.log.String(), token) {
		t.Error("the log holds the token")
	}
}

// DG4: of a technical user an administrator changes the licence and the teams,
// and nobody the name, the status or the password.
func TestDG4ConsoleTechnicalUsersHaveAPadlock(t *testing.T) {
	n := start(t)
	b := n.console(t)
	says(t, b.want(t, http.StatusOK, "/console/accounts?kind=service", nil), "not editable by hand", "Example client", "!/deactivate")
	path := "/console/accounts/" + string(n.Example.Client.Account)
	says(t, b.want(t, http.StatusOK, path, nil), "not editable by hand", "!/deactivate", "!/reinvite")
	edit := b.want(t, http.StatusOK, path+"/edit", nil)
	says(t, edit, "A technical user does not sign in.", "A name never changes", `!name="display_name"`)
	revision := edit.hidden(t, "revision")
	refused := b.want(t, http.StatusConflict, path+"/edit", url.Values{"display_name": {"Mine"}, "revision": {revision}})
	says(t, refused, "is a technical user: its name cannot be changed")
	for _, change := range []string{"deactivate", "reactivate", "reinvite", "adopt", "second-factor"} {
		says(t, b.want(t, http.StatusConflict, path+"/"+change, url.Values{"once": {"a key that nobody else has"}}), "is a technical user: its ")
	}
	goes(t, b.want(t, http.StatusSeeOther, path+"/edit", url.Values{"licence": {"reader"}, "revision": {revision}}), path)
	n.made(t, "/teams", map[string]any{"name": "field"})
	form := url.Values{"team": {"field"}, "account": {string(n.Example.Client.Account)}, "next": {path}}
	goes(t, b.want(t, http.StatusSeeOther, "/console/teams/members", form), path)
	says(t, b.want(t, http.StatusOK, path, nil), ">reader<", ">field<")
}

// Of two who edit one person the second sees what the first one saved.
func TestConsoleTwoEditOnePerson(t *testing.T) {
	n := start(t)
	b := n.console(t)
	path := "/console/accounts/" + n.made(t, "/accounts", map[string]any{"name": "ann"})
	revision := b.want(t, http.StatusOK, path+"/edit", nil).hidden(t, "revision")
	b.want(t, http.StatusSeeOther, path+"/edit", url.Values{"display_name": {"Ann One"}, "email": {"one@example.com"}, "licence": {"steward"}, "revision": {revision}})
	second := url.Values{"display_name": {"Ann Two"}, "email": {"one@example.com"}, "licence": {"steward"}, "revision": {revision}}
	late := b.want(t, http.StatusPreconditionFailed, path+"/edit", second)
	says(t, late, "Somebody else changed this", "Display name</strong> is now: Ann One", `value="Ann Two"`, "!Mail address</strong>")
	second.Set("revision", late.hidden(t, "revision"))
	b.want(t, http.StatusSeeOther, path+"/edit", second)
	says(t, b.want(t, http.StatusOK, path, nil), "Ann Two")
}

// DG6: what a person answers for goes on when the person is deactivated; sessions
// and personal tokens end.
func TestDG6ConsoleDeactivatesAPerson(t *testing.T) {
	n := start(t)
	b := n.console(t)
	ann := n.person(t, "ann")
	n.want(t, http.StatusOK, http.MethodPut, "/grants/default/ann", map[string]any{"roles": []map[string]any{{"role": "owner"}}})
	who, _ := n.client(t, map[string]any{"name": "nightly", "roles": roles("example-reader")})
	n.want(t, http.StatusOK, http.MethodPatch, "/clients/"+who.id, map[string]any{"responsible": "ann"})
	ann.want(t, http.StatusOK, "/console/clients", nil)

	ask := b.want(t, http.StatusOK, "/console/accounts/ann/deactivate", nil)
	says(t, ask, "Sign-in, and all open sessions", "This goes on:", "Service token “nightly”", "Nobody is responsible for it then")
	b.want(t, http.StatusSeeOther, "/console/accounts/ann/deactivate", url.Values{})
	goes(t, ann.want(t, http.StatusSeeOther, "/console/clients", nil), "/console/sign-in?next=%2Fconsole%2Fclients")
	if got := n.decided(t, n.issue(t, who), http.MethodGet, "/orders/1"); got != http.StatusOK {
		t.Errorf("the integration: got %d, want 200", got)
	}
	says(t, b.want(t, http.StatusOK, "/console/clients?used=orphaned", nil), "nightly")
	seen := b.want(t, http.StatusOK, "/console/accounts/ann", nil)
	says(t, seen, "Deactivated", "Reactivate", "nightly", "account.deactivate", "Delete…")
	b.want(t, http.StatusConflict, "/console/accounts/ann/deactivate", url.Values{})
	b.want(t, http.StatusSeeOther, "/console/accounts/ann/reactivate", url.Values{})
	says(t, b.want(t, http.StatusConflict, "/console/accounts/ann/delete", url.Values{}), "is active; deactivate it first", "Delete “ann”?")
	b.want(t, http.StatusSeeOther, "/console/accounts/ann/deactivate", url.Values{})
	goes(t, b.want(t, http.StatusSeeOther, "/console/accounts/ann/delete", url.Values{}), "/console/accounts")
	says(t, b.want(t, http.StatusOK, "/console/accounts", nil), "!>ann<")
}

// W08: the last owner stays, and the page says why.
func TestW08ConsoleLastOwnerIsNotDeactivated(t *testing.T) {
	n := start(t)
	b := n.console(t)
	got := b.want(t, http.StatusConflict, "/console/accounts/"+n.AdminUser+"/deactivate", url.Values{})
	says(t, got, "is the last owner of workspace", "make another one first", "Deactivate “")
}

func TestConsoleReinvitesAndAdoptsAPerson(t *testing.T) {
	n := start(t)
	b := n.console(t)
	n.made(t, "/accounts", map[string]any{"name": "ann", "email": "ann@example.com"})
	ask := b.want(t, http.StatusOK, "/console/accounts/ann/reinvite", nil)
	says(t, ask, "A link of before stops working")
	form := url.Values{"once": {ask.hidden(t, "once")}}
	says(t, b.want(t, http.StatusOK, "/console/accounts/ann/reinvite", form), issuer+"/console/invitation?token=psi_")
	goes(t, b.want(t, http.StatusSeeOther, "/console/accounts/ann/reinvite", form), "/console/accounts/"+n.id(t, "/accounts/ann"))
	b.want(t, http.StatusUnprocessableEntity, "/console/accounts/ann/reinvite", url.Values{}) // nothing tells a repeat from a new wish
	b.want(t, http.StatusSeeOther, "/console/accounts/ann/adopt", url.Values{})
	says(t, b.want(t, http.StatusOK, "/console/accounts/ann", nil), "Managed by SCIM", "as ann@example.com", "!/adopt")
	says(t, b.want(t, http.StatusConflict, "/console/accounts/ann/second-factor", url.Values{}), "has no second factor")
}

// A person who administers one workspace sees people, and changes none.
func TestConsoleAccountsOfAWorkspaceAdminAreForReading(t *testing.T) {
	n := start(t)
	n.console(t)
	ann := n.person(t, "ann")
	n.want(t, http.StatusOK, http.MethodPut, "/grants/default/ann", map[string]any{"roles": []map[string]any{{"role": "admin"}}})
	n.want(t, http.StatusOK, http.MethodPatch, "/accounts/ann", map[string]any{"licence": "admin"})
	says(t, ann.want(t, http.StatusOK, "/console/accounts", nil), "Example client", "!/console/accounts/invite", "!/edit")
	says(t, ann.want(t, http.StatusOK, "/console/accounts/"+n.AdminUser, nil), "!/edit", "!Deactivate")
	for _, change := range []string{"edit", "deactivate", "delete", "adopt", "reinvite", "second-factor"} {
		ann.want(t, http.StatusForbidden, "/console/accounts/"+n.AdminUser+"/"+change, url.Values{"licence": {"reader"}, "once": {"a key of the forger's own"}})
	}
	ann.want(t, http.StatusForbidden, "/console/accounts/invite", nil)
	ann.want(t, http.StatusForbidden, "/console/accounts/invite", url.Values{"name": {"eve"}, "once": {"a key of the forger's own"}})
}
