package api_test

import (
	"net/http"
	"strings"
	"testing"

	"postern/server/admin"
)

// W01 and W07: each route with ids of a workspace that the actor has no part in,
// in the path, the query and the body. An owner of one workspace gets nothing of
// another.
func TestW01ForeignIDsOpenNothing(t *testing.T) {
	w := start(t)
	w.workspace("acme")
	intruder := w.machine("acme", "owner")
	victim := w.machine("default", "example-reader")
	role := w.want(http.StatusOK, "GET", "/roles?workspace=default&search=default/example-reader", nil).text("items.0.id")
	keys := w.want(http.StatusCreated, "POST", "/keys/rotate", object{"algorithm": "EdDSA"}).text("kid")
	secret := w.want(http.StatusOK, "GET", "/clients/"+victim.id, nil).text("secrets.0.id")

	ids := map[string]string{"{client}": victim.id, "{secret}": secret, "{role}": role, "{workspace}": "default", "{holder}": victim.account, "{api}": "example", "{account}": victim.account, "{key}": keys, "{team}": "ops"}
	w.want(http.StatusCreated, "POST", "/teams", object{"name": "ops"})
	ids["{entry}"] = w.want(http.StatusOK, "GET", "/audit?workspace=default", nil).text("items.0.id")
	ids["{webhook}"], ids["{delivery}"] = w.webhook(object{"workspace": "default", "url": "https://hooks.example/"})
	bodies := map[string]object{
		"webhook.create":    {"workspace": "default", "url": "https://mine.example"},
		"webhook.edit":      {"url": "https://mine.example"},
		"client.create":     {"name": "x", "workspace": "default", "roles": []string{"example-reader"}},
		"client.import":     {"workspace": "default", "clients": []object{{"client_id": "x", "secret": "x"}}},
		"client.edit":       {"name": "mine"},
		"role.create":       {"workspace": "default", "name": "mine"},
		"role.edit":         {"description": "mine"},
		"grant.set":         {"roles": []object{{"role": "example-writer"}}},
		"api.create":        {"name": "mine", "workspace": "default", "audience": "https://mine.example"},
		"api.edit":          {"description": "mine"},
		"workspace.create":  {"name": "mine"},
		"workspace.edit":    {"description": "mine"},
		"key.rotate":        {"algorithm": "RS256"},
		"check":             {"client": victim.id, "api": "example", "method": "GET", "path": "/orders"},
		"client.trust.test": {"jwt": "x"},
		"client.rotate":     {}, "client.revoke": {},
		"account.invite":   {"name": "mine"},
		"account.edit":     {"licence": "admin"},
		"me.client.create": {"name": "mine", "workspace": "default"}, "me.client.rotate": {},
		"me.password":        {"current": "x", "new": "y"},
		"me.totp.start":      {"password": "x"},
		"me.totp.confirm":    {"code": "123456"},
		"me.totp.delete":     {"password": "x"},
		"workspace.transfer": {"to": "admin"},
		"team.create":        {"name": "mine"},
		"team.edit":          {"description": "mine"},
	}
	queries := map[string]string{
		"client.list": "?workspace=default", "role.list": "?workspace=default", "grant.list": "?workspace=default", "usage.read": "?client=" + victim.id, "usage.summary": "?workspace=default",
		"audit.list": "?workspace=default", "audit.export": "?workspace=default", "audit.verify": "?workspace=default", "webhook.list": "?workspace=default",
	}
	own := map[string]bool{"endpoint.list": true, "api.list": true, "workspace.list": true, "account.list": true, "account.get": true, "team.list": true, "team.get": true, "team.members": true, "me.get": true} // lists of what is one's own; accounts and teams are the installation's
	before := w.everything()
	for _, op := range admin.Operations() {
		if op.Public { // nobody's rights
			continue
		}
		path := strings.TrimPrefix(op.Path, "/api/v1")
		for name, id := range ids {
			path = strings.ReplaceAll(path, name, id)
		}
		var body any
		if b, ok := bodies[op.Name]; ok {
			body = b
		}
		if op.Name == "api.import" {
			body = raw(`{"openapi":"3.0.0","info":{"title":"x","version":"1"},"paths":{}}`)
		}
		got := w.call(intruder.secret, op.Method, path+queries[op.Name], body, "If-Match", `"1"`)
		switch {
		case own[op.Name]:
			if strings.Contains(got.body, victim.id) || strings.Contains(got.body, `"name":"default"`) || strings.Contains(got.body, `"name":"example"`) {
				t.Errorf("%s: shows what is in another workspace: %s", op.Name, got.body)
			}
		case got.status != http.StatusForbidden && got.status != http.StatusNotFound:
			t.Errorf("%s %s: got %d %s, want 403 or 404", op.Method, path, got.status, got.body)
		}
	}
	if w.everything() != before {
		t.Error("something changed")
	}
}

// Ids in the body: what is one's own must not be joined to what is another's.
func TestW07ForeignIDsInTheBody(t *testing.T) {
	w := start(t)
	w.workspace("acme")
	owner := w.machine("acme", "owner")
	victim := w.machine("default", "owner")
	foreign := w.want(http.StatusOK, "GET", "/roles?workspace=default&search=default/owner", nil).text("items.0.id")
	before := w.everything()
	for name, call := range map[string]struct {
		method, path string
		body         object
	}{
		"a role of another workspace":        {"PUT", "/grants/acme/" + owner.account, object{"roles": []object{{"role": foreign}}}},
		"the same by ref":                    {"PUT", "/grants/acme/" + owner.account, object{"roles": []object{{"role": "default/owner"}}}},
		"a parent of another workspace":      {"POST", "/roles", object{"workspace": "acme", "name": "x", "parents": []string{foreign}}},
		"rules about an API of another":      {"POST", "/roles", object{"workspace": "acme", "name": "x", "rules": []object{{"api": "example", "methods": "*", "path": "/**"}}}},
		"a client for an account of another": {"POST", "/clients", object{"workspace": "acme", "name": "x", "account": victim.account}},
	} {
		got := w.call(owner.secret, call.method, call.path, call.body)
		if got.status != http.StatusForbidden && got.status != http.StatusNotFound && got.status != http.StatusUnprocessableEntity {
			t.Errorf("%s: got %d %s, want 403, 404 or 422", name, got.status, got.body)
		}
	}
	if w.everything() != before {
		t.Error("something changed")
	}
}

// W04: nobody gives more than they hold. Each road by which rights are passed on,
// walked by somebody who may do the operation but holds less, and by one who
// holds enough.
func TestW04NobodyGivesMoreThanTheyHold(t *testing.T) {
	w := start(t)
	// A deputy may call every operation, but holds no role that counts for giving
	// beyond the deputy's own and the reader's.
	w.want(http.StatusCreated, "POST", "/roles", object{"workspace": "default", "name": "deputy", "rules": []object{
		{"api": "postern", "methods": "*", "path": "/api/v1/**"},
	}})
	deputy := w.machine("default", "deputy", "example-reader")
	admins := w.machine("default", "admin")
	owners := w.machine("default", "owner")
	strong := w.machine("default", "example-writer")
	owned := w.machine("default", "owner")
	revoked := w.machine("default", "example-writer")
	w.want(http.StatusOK, "POST", "/clients/"+revoked.id+"/revoke", nil)
	narrowed := w.machine("default", "example-writer")
	w.want(http.StatusOK, "PATCH", "/clients/"+narrowed.id, object{"narrowed_to": []string{"example-reader"}})
	w.want(http.StatusCreated, "POST", "/roles", object{"workspace": "default", "name": "scratch"})
	scratch := w.want(http.StatusOK, "GET", "/roles?workspace=default&search=default/scratch", nil).text("items.0.id")
	plain := w.machine("default")

	grant := func(role string, resources object) object {
		g := object{"role": role}
		if resources != nil {
			g["resources"] = resources
		}
		return object{"roles": []object{g}}
	}
	const forbidden, ok, made = http.StatusForbidden, http.StatusOK, http.StatusCreated
	tests := []struct {
		road                 string
		method, path         string
		body                 any
		deputy, admin, owner int
	}{
		{"grant what one holds", "PUT", "/grants/default/" + plain.account, grant("example-reader", nil), ok, ok, ok},
		{"grant it with narrower resources", "PUT", "/grants/default/" + plain.account, grant("example-reader", object{"order": []string{"1"}}), ok, ok, ok},
		{"grant what one lacks", "PUT", "/grants/default/" + plain.account, grant("example-writer", nil), forbidden, ok, ok},
		{"grant admin", "PUT", "/grants/default/" + plain.account, grant("admin", nil), forbidden, ok, ok},
		{"grant owner", "PUT", "/grants/default/" + plain.account, grant("owner", nil), forbidden, forbidden, ok},
		{"grant in system", "PUT", "/grants/system/" + plain.account, grant("member", nil), forbidden, forbidden, forbidden},
		{"make a client with a role one lacks", "POST", "/clients", object{"name": "x", "workspace": "default", "roles": []string{"example-writer"}}, forbidden, made, made},
		{"make a client with owner", "POST", "/clients", object{"name": "x", "workspace": "default", "roles": []string{"owner"}}, forbidden, forbidden, made},
		{"make a client for a stronger account", "POST", "/clients", object{"name": "x", "workspace": "default", "account": strong.account}, forbidden, made, made},
		{"make a client for an owner", "POST", "/clients", object{"name": "x", "workspace": "default", "account": owned.account}, forbidden, forbidden, made},
		{"make a client with admin access", "POST", "/clients", object{"name": "x", "workspace": "default", "admin_access": true}, forbidden, forbidden, forbidden},
		{"import a client with a role one lacks", "POST", "/clients/import", object{"workspace": "default", "clients": []object{{"client_id": "x", "secret": "x", "roles": []string{"example-writer"}}}}, forbidden, ok, ok},
		{"import a client with owner", "POST", "/clients/import", object{"workspace": "default", "clients": []object{{"client_id": "y", "secret": "x", "roles": []string{"owner"}}}}, forbidden, forbidden, ok},
		{"give a client admin access", "PATCH", "/clients/" + plain.id, object{"admin_access": true}, forbidden, forbidden, forbidden},
		{"widen a narrowed client", "PATCH", "/clients/" + narrowed.id, object{"narrowed_to": nil}, forbidden, ok, ok},
		{"rotate the secret of a stronger client", "POST", "/clients/" + strong.id + "/secrets", object{"keep": true}, forbidden, made, made},
		{"rotate the secret of an owner", "POST", "/clients/" + owned.id + "/secrets", object{"keep": true}, forbidden, forbidden, made},
		{"restore a stronger client", "POST", "/clients/" + revoked.id + "/restore", nil, forbidden, ok, http.StatusConflict},
		{"write a role's rules", "PATCH", "/roles/" + scratch, object{"rules": []object{{"api": "example", "methods": "*", "path": "/**"}}}, forbidden, ok, ok},
		{"write rules about Postern's own API", "PATCH", "/roles/" + scratch, object{"rules": []object{{"api": "postern", "methods": "*", "path": "/**"}}}, forbidden, forbidden, ok},
		{"write rules about every API", "PATCH", "/roles/" + scratch, object{"rules": []object{{"api": "*", "methods": "*", "path": "/**"}}}, forbidden, forbidden, ok},
		{"inherit admin", "PATCH", "/roles/" + scratch, object{"rules": nil, "parents": []string{"admin"}}, forbidden, ok, ok},
		{"inherit owner", "PATCH", "/roles/" + scratch, object{"rules": nil, "parents": []string{"owner"}}, forbidden, forbidden, ok},
		{"inherit a licence", "POST", "/roles", object{"workspace": "default", "name": "licensed", "parents": []string{"*/admin"}}, forbidden, forbidden, made},
		{"change an API's audience", "PATCH", "/apis/example", object{"audience": "https://other.example"}, forbidden, ok, ok},
		{"change an API's hosts", "PATCH", "/apis/example", object{"hosts": []string{"other.example"}}, forbidden, ok, ok},
		{"let a client introspect", "PATCH", "/apis/example", object{"introspectors": []string{string(w.Gateway.Client.ID)}}, forbidden, ok, ok},
		{"register an API", "POST", "/apis", object{"name": "other", "workspace": "default", "audience": "https://x.example"}, forbidden, made, http.StatusConflict},
		{"grant a licence as a role", "PUT", "/grants/default/" + plain.account, grant("*/admin", nil), forbidden, forbidden, ok},
		{"grant a role that opens Postern's own API", "PUT", "/grants/default/" + plain.account, grant("deputy", nil), ok, forbidden, ok},
		{"grant oneself more", "PUT", "/grants/default/" + deputy.account, grant("example-writer", nil), forbidden, ok, ok},
	}
	for _, tt := range tests {
		t.Run(tt.road, func(t *testing.T) {
			for _, who := range []struct {
				name       string
				credential string
				want       int
			}{{"deputy", deputy.secret, tt.deputy}, {"admin", admins.secret, tt.admin}, {"owner", owners.secret, tt.owner}} {
				var match []string
				if strings.HasPrefix(tt.path, "/roles/") || strings.HasPrefix(tt.path, "/apis/") {
					match = []string{"If-Match", w.revision(tt.path)}
				}
				got := w.call(who.credential, tt.method, tt.path, tt.body, match...)
				if got.status != who.want {
					t.Errorf("%s: got %d %s, want %d", who.name, got.status, got.body, who.want)
				}
			}
		})
	}
}

// W08, P05: a credential cannot make itself, or another of its account, wider.
func TestP05NarrowedClientCannotWidenItself(t *testing.T) {
	w := start(t)
	m := w.machine("default", "owner", "admin")
	twin := w.want(http.StatusCreated, "POST", "/clients", object{"name": "twin", "workspace": "default", "account": m.account, "bearer": true})
	w.want(http.StatusOK, "PATCH", "/clients/"+m.id, object{"narrowed_to": []string{"admin"}})
	before := w.everything()
	for name, call := range map[string]struct {
		method, path string
		body         object
	}{
		"widen itself":                    {"PATCH", "/clients/" + m.id, object{"narrowed_to": nil}},
		"make a secret of a wider client": {"POST", "/clients/" + twin.text("client_id") + "/secrets", object{"keep": true}},
		"make a client of its account":    {"POST", "/clients", object{"name": "x", "workspace": "default", "account": m.account}},
		"grant itself owner elsewhere":    {"PUT", "/grants/system/" + m.account, object{"roles": []object{{"role": "owner"}}}},
	} {
		if got := w.call(m.secret, call.method, call.path, call.body); got.status != http.StatusForbidden {
			t.Errorf("%s: got %d %s, want 403", name, got.status, got.body)
		}
	}
	if w.everything() != before {
		t.Error("something changed")
	}
}

func TestW08LastOwnerStays(t *testing.T) {
	w := start(t)
	admins := string(w.Admin.Account.ID)
	w.want(http.StatusConflict, "DELETE", "/grants/default/"+admins, nil)
	w.want(http.StatusConflict, "PUT", "/grants/default/"+admins, object{"roles": []object{{"role": "admin"}}})
	second := w.machine("default", "owner")
	w.want(http.StatusOK, "DELETE", "/grants/default/"+admins, nil)
	if got := w.call(second.secret, "DELETE", "/grants/default/"+second.account, nil); got.status != http.StatusConflict {
		t.Errorf("the last owner takes itself away: got %d, want 409", got.status)
	}
}

func TestBackupIsForOwnersOfSystemAlone(t *testing.T) {
	w := start(t)
	auditor := w.machine("system", "auditor")
	admins := w.machine("system", "admin")
	for name, credential := range map[string]string{"auditor": auditor.secret, "admin": admins.secret, "owner of another": w.machine("default", "owner").secret} {
		if got := w.call(credential, "GET", "/backup", nil); got.status != http.StatusForbidden || got.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: got %d %s, want a problem of 403", name, got.status, got.header.Get("Content-Type"))
		}
	}
	got := w.want(http.StatusOK, "GET", "/backup", nil)
	lines := strings.Split(strings.TrimSuffix(got.body, "\n"), "\n")
	if !strings.HasPrefix(lines[0], `{"postern_backup":1,`) || !strings.HasPrefix(lines[len(lines)-1], `{"end":`) {
		t.Errorf("backup: begins %s, ends %s", lines[0], lines[len(lines)-1])
	}
	if strings.Contains(got.body, `"kind":"keys"`) || !strings.Contains(got.body, `"kind":"clients"`) || !strings.Contains(got.body, `"kind":"audit"`) {
		t.Error("backup: keys must not be in it, clients and audit must")
	}
	if got := w.want(http.StatusOK, "GET", "/audit?operation=backup", nil); len(got.list("items")) != 4 || strings.Count(got.body, `"refused"`) != 3 {
		t.Errorf("audit of the backup, want it and three refusals: %s", got.body)
	}
}
