package server_test

import (
	"net/http"
	"net/url"
	"testing"
)

func TestConsoleMakesAndEditsATeam(t *testing.T) {
	n := start(t)
	b := n.console(t)
	says(t, b.want(t, http.StatusOK, "/console/teams", nil), "No teams yet", "Create a team")
	bad := b.want(t, http.StatusUnprocessableEntity, "/console/teams/new", url.Values{"name": {"Field Team"}, "description": {"At the edge"}})
	says(t, bad, `value="Field Team"`, `id="e-name"`, "At the edge</textarea>")
	made := b.want(t, http.StatusSeeOther, "/console/teams/new", url.Values{"name": {"field"}, "display_name": {hostile[0]}, "description": {hostile[1]}})
	path := made.header.Get("Location")
	says(t, b.want(t, http.StatusOK, path, nil), "Nobody is in it yet", "&lt;img src=x", "!<img src=x", hostile[1])
	says(t, b.want(t, http.StatusOK, "/console/teams?search=FIE", nil), ">field<", "1 team")
	says(t, b.want(t, http.StatusOK, "/console/teams?search=nope", nil), "No team is like this")

	revision := b.want(t, http.StatusOK, path+"/edit", nil).hidden(t, "revision")
	first := url.Values{"display_name": {"Field"}, "description": {"First"}, "provisioning": {"on"}, "scim_may_grant": {"on"}, "revision": {revision}}
	b.want(t, http.StatusSeeOther, path+"/edit", first)
	second := url.Values{"display_name": {"Field"}, "description": {"Second"}, "provisioning": {"on"}, "scim_may_grant": {"on"}, "revision": {revision}}
	late := b.want(t, http.StatusPreconditionFailed, path+"/edit", second)
	says(t, late, "Somebody else changed this", "Description</strong> is now: First", "Second</textarea>", "!Display name</strong>")
	says(t, b.want(t, http.StatusOK, path, nil), "First", "which may change its members")
	b.want(t, http.StatusSeeOther, path+"/adopt", url.Values{})
	says(t, b.want(t, http.StatusOK, path, nil), "By provisioning (SCIM)", "!/adopt")
}

// DG5: people and technical users are found by name and put into a team, and the
// team gets roles; DC5: it goes with all of that, after saying so.
func TestDG5ConsoleTeamsHaveMembersAndRoles(t *testing.T) {
	n := start(t)
	b := n.console(t)
	who, account := n.client(t, map[string]any{"name": "sensor"})
	path := "/console/teams/" + n.made(t, "/teams", map[string]any{"name": "field"})
	id := n.id(t, "/teams/field")
	says(t, b.want(t, http.StatusOK, path+"?search=sens", nil), ">sensor<", "not editable by hand", `value="`+account+`"`)
	says(t, b.want(t, http.StatusOK, path+"?search=nobody-like-this", nil), "Nobody is called like")
	member := url.Values{"team": {id}, "account": {account}, "next": {path}}
	goes(t, b.want(t, http.StatusSeeOther, "/console/teams/members", member), path)
	says(t, b.want(t, http.StatusOK, path+"?search=sens", nil), "A member already", "Take out")
	b.want(t, http.StatusNotFound, "/console/teams/members", url.Values{"team": {id}, "account": {"nobody"}, "next": {path}})

	role := n.roleID(t, "default/example-reader")
	give := b.want(t, http.StatusOK, "/console/grants/new?workspace=default&holder=field&next="+path, nil)
	says(t, give, `value="field"`)
	goes(t, b.want(t, http.StatusSeeOther, "/console/grants", url.Values{"workspace": {"default"}, "holder": {"field"}, "role": {role}, "next": {path}}), path)
	says(t, b.want(t, http.StatusOK, path, nil), "default/example-reader")
	says(t, b.want(t, http.StatusOK, "/console/accounts/"+account, nil), "By the team", "default/example-reader")
	if got := n.decided(t, who.secret, http.MethodGet, "/orders/1"); got != http.StatusOK {
		t.Errorf("a member: got %d, want 200", got)
	}
	ask := b.want(t, http.StatusOK, path+"/delete", nil)
	says(t, ask, "Member sensor", "Role default/example-reader in workspace default", "Delete with all of these")
	goes(t, b.want(t, http.StatusSeeOther, path+"/delete", url.Values{}), "/console/teams")
	if got := n.decided(t, who.secret, http.MethodGet, "/orders/1"); got != http.StatusForbidden {
		t.Errorf("when the team is gone: got %d, want 403", got)
	}
	b.want(t, http.StatusNotFound, path, nil)
}

// DC5: a token for a function is a technical user in the teams of that function,
// and stops to reach what they hold when it is taken out.
func TestDC5ConsoleTakesATechnicalUserOutOfATeam(t *testing.T) {
	n := start(t)
	b := n.console(t)
	who, account := n.client(t, map[string]any{"name": "alarm"})
	path := "/console/teams/" + n.made(t, "/teams", map[string]any{"name": "alarms"})
	n.want(t, http.StatusOK, http.MethodPut, "/grants/default/alarms", map[string]any{"roles": []map[string]any{{"role": "example-reader"}}})
	member := url.Values{"team": {"alarms"}, "account": {account}, "next": {"/console/accounts/" + account}}
	b.want(t, http.StatusSeeOther, "/console/teams/members", member)
	if got := n.decided(t, who.secret, http.MethodGet, "/orders/1"); got != http.StatusOK {
		t.Errorf("a member: got %d, want 200", got)
	}
	goes(t, b.want(t, http.StatusSeeOther, "/console/teams/members/remove", member), "/console/accounts/"+account)
	if got := n.decided(t, who.secret, http.MethodGet, "/orders/1"); got != http.StatusForbidden {
		t.Errorf("taken out: got %d, want 403", got)
	}
	says(t, b.want(t, http.StatusOK, path, nil), "Nobody is in it yet")
}

// Whoever administers one workspace sees teams, and changes none.
func TestConsoleTeamsOfAWorkspaceAdminAreForReading(t *testing.T) {
	n := start(t)
	n.console(t)
	ann := n.person(t, "ann")
	n.want(t, http.StatusOK, http.MethodPut, "/grants/default/ann", map[string]any{"roles": []map[string]any{{"role": "admin"}}})
	n.want(t, http.StatusOK, http.MethodPatch, "/accounts/ann", map[string]any{"licence": "admin"})
	path := "/console/teams/" + n.made(t, "/teams", map[string]any{"name": "field"})
	says(t, ann.want(t, http.StatusOK, "/console/teams", nil), ">field<", "!/console/teams/new")
	says(t, ann.want(t, http.StatusOK, path, nil), "!/edit", "!/delete", "!Find somebody")
	for _, change := range []string{path + "/edit", path + "/delete", path + "/adopt", "/console/teams/new", "/console/teams/members", "/console/teams/members/remove"} {
		ann.want(t, http.StatusForbidden, change, url.Values{"name": {"other"}, "team": {"field"}, "account": {"ann"}})
	}
}
