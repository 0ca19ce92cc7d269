package api_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// person is somebody who was invited and has set a password.
type person struct{ id, name, password string }

// person invites somebody with roles in a workspace, and accepts for them.
func (w *world) person(name, workspace string, roles ...string) person {
	w.t.Helper()
	body := object{"name": name, "display_name": "Person " + name}
	if workspace != "" {
		var given []object
		for _, r := range roles {
			given = append(given, object{"role": r})
		}
		body["workspace"], body["roles"] = workspace, given
	}
	invited := w.want(http.StatusCreated, "POST", "/accounts", body)
	p := person{invited.text("account.id"), name, "correct horse battery " + name[:1]}
	if got := w.call("", "POST", "/invitations/accept", object{"token": invited.text("token"), "password": p.password}); got.status != http.StatusOK {
		w.t.Fatalf("accept the invitation of %s: got %d %s", name, got.status, got.body)
	}
	return p
}

// as sends a request by name and password.
func (w *world) as(name, password, method, path string, body any, headers ...string) answer {
	w.t.Helper()
	r := httptest.NewRequestWithContext(w.t.Context(), method, "/", http.NoBody)
	r.SetBasicAuth(name, password)
	return w.call("", method, path, body, append(headers, "Authorization", r.Header.Get("Authorization"))...)
}

func TestInvitationIsForOnce(t *testing.T) {
	w := start(t)
	invited := w.want(http.StatusCreated, "POST", "/accounts", object{"name": "ann", "email": "ann@example.com"})
	token := invited.text("token")
	if got := invited.text("account.status"); got != "invited" {
		t.Errorf("the account is %s, want invited", got)
	}
	accept := func(token, password string) answer {
		return w.call("", "POST", "/invitations/accept", object{"token": token, "password": password})
	}
	for name, call := range map[string]struct{ token, password string }{
		"a short password":                {token, "short"},
		"a password with the name in it":  {token, "my name is Ann, really"},
		"one character":                   {token, "aaaaaaaaaaaaaaaaaaaa"},
		"a token that is cut off":         {token[:len(token)-1], "correct horse battery"},
		"a token that nobody made":        {"psi_" + strings.Repeat("a", 60), "correct horse battery"},
		"a client's secret":               {w.root, "correct horse battery"},
		"a token with another's checksum": {token[:len(token)-2] + "zz", "correct horse battery"},
	} {
		if got := accept(call.token, call.password); got.status != http.StatusUnprocessableEntity {
			t.Errorf("%s: got %d %s, want 422", name, got.status, got.body)
		}
	}
	if got := accept(token, "correct horse battery"); got.status != http.StatusOK || got.text("account.status") != "active" {
		t.Fatalf("accept: got %d %s", got.status, got.body)
	}
	if got := accept(token, "correct horse battery"); got.status != http.StatusUnprocessableEntity {
		t.Errorf("accept again: got %d, want 422", got.status)
	}
	// A new link sets a forgotten password anew; it ends after a week.
	again := w.want(http.StatusCreated, "POST", "/accounts/ann/invitation", nil).text("token")
	w.later(7*24*3600*1e9 + 1)
	if got := accept(again, "correct horse battery two"); got.status != http.StatusUnprocessableEntity {
		t.Errorf("accept after a week: got %d, want 422", got.status)
	}
	w.want(http.StatusOK, "POST", "/accounts/ann/deactivate", nil)
	w.want(http.StatusConflict, "POST", "/accounts/ann/invitation", nil)
}

// DG4: a technical user has the licence steward and the padlock.
func TestDG4TechnicalUsersAreLocked(t *testing.T) {
	w := start(t)
	m := w.machine("default", "example-reader")
	acc := w.want(http.StatusOK, "GET", "/accounts/"+m.account, nil)
	if acc.text("licence") != "*/steward" || acc.get("locked") != true || acc.text("kind") != "service" {
		t.Errorf("a technical user is %s, want a locked steward", acc.body)
	}
	if got := w.want(http.StatusOK, "GET", "/accounts?kind=service", nil); !strings.Contains(got.body, m.account) {
		t.Error("it is not listed among the accounts")
	}
	for name, body := range map[string]object{
		"name": {"name": "other"}, "display name": {"display_name": "Other"}, "mail": {"email": "x@example.com"},
		"status": {"status": "deactivated"}, "password": {"password": "correct horse battery"},
	} {
		if got := w.call(w.root, "PATCH", "/accounts/"+m.account, body); got.status != http.StatusConflict {
			t.Errorf("%s: got %d %s, want 409", name, got.status, got.body)
		}
	}
	for _, verb := range []string{"deactivate", "reactivate", "invitation"} {
		w.want(http.StatusConflict, "POST", "/accounts/"+m.account+"/"+verb, nil)
	}
	w.want(http.StatusConflict, "DELETE", "/accounts/"+m.account, nil)
	// Licence, teams and grants can be.
	w.want(http.StatusCreated, "POST", "/teams", object{"name": "ops"})
	got := w.want(http.StatusOK, "PATCH", "/accounts/"+m.account, object{"licence": "reader", "teams": []string{"ops"}})
	if got.text("licence") != "*/reader" || got.text("teams.0") != "ops" {
		t.Errorf("licence and teams are %s", got.body)
	}
	// It goes with its last client.
	w.want(http.StatusOK, "POST", "/clients/"+m.id+"/revoke", nil)
	w.want(http.StatusOK, "DELETE", "/clients/"+m.id, nil)
	w.want(http.StatusOK, "DELETE", "/accounts/"+m.account, nil)
	w.want(http.StatusNotFound, "PATCH", "/accounts/"+m.account, object{"licence": "reader"})
}

// DG5 and DC5: technical users are in teams, and a team's grants are theirs.
func TestDG5TechnicalUsersHaveWhatTheirTeamsHave(t *testing.T) {
	w := start(t)
	m := w.machine("default")
	path := "/check"
	call := object{"client": m.id, "api": "example", "method": "GET", "path": "/orders"}
	if got := w.want(http.StatusOK, "POST", path, call); got.get("allowed") != false {
		t.Fatalf("without a grant: %s", got.body)
	}
	w.want(http.StatusCreated, "POST", "/teams", object{"name": "readers", "description": "Who reads."})
	w.want(http.StatusOK, "PUT", "/grants/default/readers", object{"roles": []object{{"role": "example-reader"}}})
	w.want(http.StatusOK, "PUT", "/teams/readers/members/"+m.account, nil)
	w.want(http.StatusOK, "PUT", "/teams/readers/members/"+m.account, nil) // again changes nothing
	if got := w.want(http.StatusOK, "POST", path, call); got.get("allowed") != true {
		t.Errorf("as a member: %s", got.body)
	}
	if got := w.want(http.StatusOK, "GET", "/teams/readers/members", nil); got.text("items.0.id") != m.account {
		t.Errorf("members: %s", got.body)
	}
	w.want(http.StatusConflict, "DELETE", "/teams/readers", nil)
	w.want(http.StatusOK, "DELETE", "/teams/readers/members/"+m.account, nil)
	if got := w.want(http.StatusOK, "POST", path, call); got.get("allowed") != false {
		t.Errorf("as a member no more: %s", got.body)
	}
	w.want(http.StatusOK, "PUT", "/teams/readers/members/"+m.account, nil)
	w.want(http.StatusOK, "DELETE", "/teams/readers?cascade=true", nil)
	if got := w.want(http.StatusOK, "POST", path, call); got.get("allowed") != false {
		t.Errorf("after the team: %s", got.body)
	}
	if got := w.want(http.StatusOK, "GET", "/accounts/"+m.account, nil); len(got.list("teams")) != 0 {
		t.Errorf("it is still in the team: %s", got.body)
	}
}

// The last owner stays, by whichever way out.
func TestW08LastOwnerStaysOnEveryWayOut(t *testing.T) {
	w := start(t)
	owner := string(w.Admin.Account.ID)
	for _, call := range []struct{ method, path string }{
		{"POST", "/accounts/" + owner + "/deactivate"}, {"DELETE", "/accounts/" + owner},
	} {
		if got := w.call(w.root, call.method, call.path, nil); got.status != http.StatusConflict {
			t.Errorf("%s %s: got %d %s, want 409", call.method, call.path, got.status, got.body)
		}
	}
	// By a team that holds owner: an empty one is no owner.
	w.workspace("acme")
	w.want(http.StatusCreated, "POST", "/teams", object{"name": "owners"})
	w.want(http.StatusOK, "PUT", "/grants/acme/owners", object{"roles": []object{{"role": "owner"}}})
	w.want(http.StatusConflict, "DELETE", "/grants/acme/"+owner, nil)
	p := w.person("ann", "")
	w.want(http.StatusOK, "PUT", "/teams/owners/members/ann", nil)
	w.want(http.StatusOK, "DELETE", "/grants/acme/"+owner, nil)
	for _, call := range []struct {
		method, path string
		body         any
	}{
		{"DELETE", "/teams/owners/members/ann", nil},
		{"PATCH", "/accounts/ann", object{"teams": []string{}}},
		{"POST", "/accounts/ann/deactivate", nil},
		{"DELETE", "/teams/owners?cascade=true", nil},
		{"DELETE", "/grants/acme/owners", nil},
	} {
		if got := w.call(w.root, call.method, call.path, call.body); got.status != http.StatusConflict {
			t.Errorf("%s %s: got %d %s, want 409", call.method, call.path, got.status, got.body)
		}
	}
	// Two teams that hold it, left at once.
	w.want(http.StatusCreated, "POST", "/teams", object{"name": "deputies"})
	w.want(http.StatusOK, "PUT", "/grants/acme/deputies", object{"roles": []object{{"role": "owner"}}})
	w.want(http.StatusOK, "PUT", "/teams/deputies/members/ann", nil)
	w.want(http.StatusConflict, "PATCH", "/accounts/ann", object{"teams": []string{}})
	w.want(http.StatusOK, "PATCH", "/accounts/ann", object{"teams": []string{"deputies"}})
	w.want(http.StatusOK, "PUT", "/grants/acme/"+owner, object{"roles": []object{{"role": "owner"}}})
	w.want(http.StatusOK, "POST", "/accounts/"+p.id+"/deactivate", nil)
	w.want(http.StatusOK, "DELETE", "/accounts/"+p.id, nil)
	w.want(http.StatusConflict, "POST", "/accounts", object{"name": "ann"}) // the name stays taken
}

// W04 on the roads of people and teams: a deputy of system may call everything,
// but holds little.
func TestW04NobodyGivesMoreByPeopleAndTeams(t *testing.T) {
	w := start(t)
	w.want(http.StatusCreated, "POST", "/roles", object{"workspace": "system", "name": "deputy", "rules": []object{{"api": "postern", "methods": "*", "path": "/api/v1/**"}}})
	deputy := w.machine("system", "deputy")
	w.want(http.StatusOK, "PATCH", "/accounts/"+deputy.account, object{"licence": "admin"})
	w.person("ann", "default", "example-writer")
	w.want(http.StatusCreated, "POST", "/teams", object{"name": "writers"})
	w.want(http.StatusOK, "PUT", "/grants/default/writers", object{"roles": []object{{"role": "example-writer"}}})
	w.person("bob", "")
	w.want(http.StatusOK, "POST", "/accounts/bob/deactivate", nil)
	before := w.everything()
	for name, call := range map[string]struct {
		method, path string
		body         any
	}{
		"invite with roles one lacks":     {"POST", "/accounts", object{"name": "x", "workspace": "default", "roles": []object{{"role": "example-writer"}}}},
		"invite with the licence admin":   {"POST", "/accounts", object{"name": "x", "licence": "admin"}},
		"invite into a team":              {"POST", "/accounts", object{"name": "x", "teams": []string{"writers"}}},
		"change a licence":                {"PATCH", "/accounts/ann", object{"licence": "admin"}},
		"take the ceiling away":           {"PATCH", "/accounts/ann", object{"licence": nil}},
		"put into a team":                 {"PATCH", "/accounts/ann", object{"teams": []string{"writers"}}},
		"make a member":                   {"PUT", "/teams/writers/members/" + deputy.account, nil},
		"make another's one-time link":    {"POST", "/accounts/ann/invitation", nil},
		"reactivate":                      {"POST", "/accounts/bob/reactivate", nil},
		"let provisioning grant":          {"PATCH", "/teams/writers", object{"scim_may_grant": true}},
		"give the team a role one lacks":  {"PUT", "/grants/default/writers", object{"roles": []object{{"role": "owner"}}}},
		"a licence that does not exist":   {"PATCH", "/accounts/ann", object{"licence": "everything"}},
		"a team that does not exist":      {"PATCH", "/accounts/ann", object{"teams": []string{"nobody"}}},
		"a workspace that does not exist": {"POST", "/accounts", object{"name": "x", "workspace": "nowhere"}},
	} {
		want := http.StatusForbidden
		if strings.HasSuffix(name, "does not exist") {
			want = http.StatusUnprocessableEntity
		}
		if got := w.call(deputy.secret, call.method, call.path, call.body); got.status != want {
			t.Errorf("%s: got %d %s, want %d", name, got.status, got.body, want)
		}
	}
	if w.everything() != before {
		t.Error("something changed")
	}
}
