package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"postern/server/admin"
	"postern/store"
)

const (
	scimUser  = "urn:ietf:params:scim:schemas:core:2.0:User"
	scimGroup = "urn:ietf:params:scim:schemas:core:2.0:Group"
	scimPatch = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
)

// provisioner makes a client for SCIM and nothing else, whose account holds these
// roles in the workspace system, and returns its secret.
func (n *node) provisioner(t testing.TB, roles ...string) as {
	t.Helper()
	made := n.want(t, http.StatusCreated, "POST", "/clients", map[string]any{
		"name": "Identity provider", "workspace": "system", "roles": roles, "scim_only": true, "admin_access": true,
	}).json(t)
	return as{made["client_id"].(string), made["client_secret"].(string)}
}

// scim sends a request of a provisioning system.
func (n *node) scim(t testing.TB, credential, method, path string, body any, headers ...string) answer {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	if body == nil {
		text = nil
	}
	r, err := http.NewRequestWithContext(t.Context(), method, n.url+"/scim/v2"+path, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if credential != "" {
		r.Header.Set("Authorization", "Bearer "+credential)
	}
	r.Header.Set("Content-Type", "application/scim+json")
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return do(t, r)
}

// provision is scim, and fails unless the status is this one.
func (n *node) provision(t testing.TB, credential string, status int, method, path string, body any, headers ...string) answer {
	t.Helper()
	got := n.scim(t, credential, method, path, body, headers...)
	if got.status != status {
		t.Fatalf("SCIM %s %s: got %d %s; want %d", method, path, got.status, got.body, status)
	}
	return got
}

type obj = map[string]any

func person(name string) obj {
	return obj{"schemas": []string{scimUser}, "userName": name, "emails": []obj{{"value": name, "type": "work", "primary": true}}}
}

func patchOf(ops ...obj) obj { return obj{"schemas": []string{scimPatch}, "Operations": ops} }

func id(t testing.TB, a answer) string {
	t.Helper()
	s, _ := a.json(t)["id"].(string)
	return s
}

// QU5: a client for SCIM is good there and nowhere else, and being one gives
// nothing by itself.
func TestQU5SCIMOnlyIsGoodForSCIMAndNothingElse(t *testing.T) {
	n := start(t)
	idp := n.provisioner(t, "provisioner", "owner")
	n.provision(t, idp.secret, http.StatusCreated, "POST", "/Users", person("ann@example.com"))
	if got := n.restAs(t, idp.secret, "GET", "/accounts", nil); got.status != http.StatusForbidden {
		t.Errorf("the REST API: got %d, want 403", got.status)
	}
	if got := n.form(t, "/oauth2/token", idp, wantToken); got.error() != "unauthorized_client" {
		t.Errorf("the token endpoint: got %d %s, want unauthorized_client", got.status, got.body)
	}
	if got := n.form(t, "/oauth2/introspect", idp, "token="+url.QueryEscape(idp.secret)); got.error() != "unauthorized_client" {
		t.Errorf("introspection asked by it: got %d %s, want unauthorized_client", got.status, got.body)
	}
	n.want(t, http.StatusOK, "PATCH", "/clients/"+idp.id, obj{"scim_only": false})
	if got := n.restAs(t, idp.secret, "GET", "/accounts", nil); got.status != http.StatusOK {
		t.Errorf("the REST API once it is no longer so: got %d %s, want 200", got.status, got.body)
	}

	// Without a role it may do nothing.
	bare := n.provisioner(t)
	for _, path := range []string{"/Users", "/Groups", "/Schemas", "/ResourceTypes", "/ServiceProviderConfig"} {
		if got := n.scim(t, bare.secret, "GET", path, nil); got.status != http.StatusForbidden {
			t.Errorf("GET %s without a role: got %d, want 403", path, got.status)
		}
	}
	// Neither an example's gateway nor a decision takes it for anything.
	holder := n.want(t, http.StatusCreated, "POST", "/clients", obj{"name": "x", "workspace": "default", "roles": []string{"example-reader"}, "scim_only": true}).json(t)["client_secret"].(string)
	if n.active(t, holder) {
		t.Error("introspection of its secret: active")
	}
	if got := n.decided(t, holder, "GET", "/orders/42"); got != http.StatusForbidden {
		t.Errorf("a decision by its secret: got %d, want 403", got)
	}
	if got := n.scim(t, holder, "GET", "/Users", nil); got.status != http.StatusForbidden {
		t.Errorf("SCIM by a role in another workspace: got %d, want 403", got.status)
	}
}

// Every path wants a good credential, and says so in SCIM's own form.
func TestSCIMWantsACredential(t *testing.T) {
	n := start(t)
	for _, op := range admin.SCIMOperations() {
		path := strings.NewReplacer("{user}", "usrx", "{group}", "teax", "/scim/v2", "").Replace(op.Path)
		for name, credential := range map[string]string{"none": "", "junk": "junk", "another API's": n.issue(t, by(n.Example)), "one that is no bearer": n.Example.Secret.Reveal()} {
			got := n.scim(t, credential, op.Method, path, nil)
			if got.status != http.StatusUnauthorized || !strings.HasPrefix(got.header.Get("WWW-Authenticate"), "Bearer ") || !strings.Contains(got.body, "api:messages:2.0:Error") {
				t.Errorf("%s with %s: got %d %s", op.Name, name, got.status, got.body)
			}
		}
	}
	// An access token for Postern's own API is as good as a secret.
	n.rest(t, "GET", "/accounts", nil)
	n.provision(t, n.token, http.StatusOK, "GET", "/Users", nil)
}

// Only what came by SCIM or was adopted is there.
func TestSCIMSeesOnlyWhatIsProvisioned(t *testing.T) {
	n := start(t)
	idp := n.provisioner(t, "admin").secret
	n.want(t, http.StatusCreated, "POST", "/accounts", obj{"name": "bob", "email": "bob@example.com"})
	bob := id(t, n.want(t, http.StatusOK, "GET", "/accounts/bob", nil))
	robot := string(n.Example.Account.ID)
	n.want(t, http.StatusCreated, "POST", "/teams", obj{"name": "crew"})
	crew := id(t, n.want(t, http.StatusOK, "GET", "/teams/crew", nil))
	for _, who := range []string{bob, robot} {
		n.want(t, http.StatusOK, "PUT", "/teams/crew/members/"+who, nil)
	}
	hidden := func(what, path string) {
		t.Helper()
		for method, body := range map[string]any{
			"GET": nil, "DELETE": nil, "PUT": obj{"schemas": []string{scimUser, scimGroup}, "userName": "x", "displayName": "x"},
			"PATCH": patchOf(obj{"op": "replace", "path": "displayName", "value": "x"}),
		} {
			if got := n.scim(t, idp, method, path, body); got.status != http.StatusNotFound {
				t.Errorf("%s %s: got %d %s, want 404", method, what, got.status, got.body)
			}
		}
	}
	hidden("a person made by hand", "/Users/"+bob)
	hidden("a technical user", "/Users/"+robot)
	hidden("a team made by hand", "/Groups/"+crew)
	for _, list := range []string{"/Users", "/Groups"} {
		if got := n.provision(t, idp, http.StatusOK, "GET", list, nil); got.json(t)["totalResults"] != float64(0) {
			t.Errorf("%s: %s", list, got.body)
		}
	}

	// Adopted, they are; the technical user cannot be.
	if got := n.rest(t, "POST", "/accounts/"+robot+"/adopt", nil); got.status != http.StatusConflict {
		t.Errorf("adopt a technical user: got %d, want 409", got.status)
	}
	n.want(t, http.StatusOK, "POST", "/accounts/bob/adopt", obj{"user_name": "Bob@Example.com"})
	n.want(t, http.StatusOK, "POST", "/teams/crew/adopt", nil)
	if got := n.provision(t, idp, http.StatusOK, "GET", "/Users?filter="+url.QueryEscape(`userName eq "bob@example.COM"`), nil); got.json(t)["totalResults"] != float64(1) {
		t.Errorf("the adopted person by name: %s", got.body)
	}
	got := n.provision(t, idp, http.StatusOK, "GET", "/Groups/"+crew, nil)
	if !strings.Contains(got.body, bob) || strings.Contains(got.body, robot) {
		t.Errorf("the adopted team shows other members than those provisioned: %s", got.body)
	}
	// Members that it does not see stay, whatever it writes.
	n.provision(t, idp, http.StatusOK, "PUT", "/Groups/"+crew, obj{"schemas": []string{scimGroup}, "displayName": "Crew"})
	members := n.want(t, http.StatusOK, "GET", "/teams/crew/members", nil).body
	if strings.Contains(members, bob) || !strings.Contains(members, robot) {
		t.Errorf("members after PUT without any: %s", members)
	}
	n.provision(t, idp, http.StatusOK, "PATCH", "/Groups/"+crew, patchOf(obj{"op": "Add", "path": "members", "value": []obj{{"value": robot}, {"value": "usrnobody"}, {"value": bob}}}))
	if got := n.provision(t, idp, http.StatusOK, "GET", "/Groups/"+crew, nil); strings.Count(got.body, `"type":"User"`) != 1 {
		t.Errorf("a technical user or nobody became a member: %s", got.body)
	}
	if got := n.scim(t, idp, "DELETE", "/Groups/"+crew, nil); got.status != http.StatusConflict {
		t.Errorf("delete a team with members out of sight: got %d, want 409", got.status)
	}
}

// A person from the first day to the last.
func TestSCIMUserLife(t *testing.T) {
	n := start(t)
	idp := n.provisioner(t, "provisioner")
	made := n.provision(t, idp.secret, http.StatusCreated, "POST", "/Users", obj{
		"schemas": []string{scimUser, "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"}, "USERNAME": "BJensen@example.com", "password": "t1meMa$heen",
		"externalId": "701984", "name": obj{"formatted": "Ms. Barbara J Jensen", "familyName": "Jensen", "givenName": "Barbara"}, "active": "True", "nickName": "Babs",
		"emails": []obj{{"value": "babs@home.example", "type": "home"}, {"value": "bjensen@example.com", "type": "work", "primary": true}},
		"groups": []obj{{"value": "teax"}}, "id": "usrmine",
	})
	who := id(t, made)
	if got := made.header.Get("Location"); got != issuer+"/scim/v2/Users/"+who {
		t.Errorf("Location: %s", got)
	}
	for _, leaked := range []string{"t1meMa", "password", "home.example", "usrmine", "teax", "nickName"} {
		if strings.Contains(made.body, leaked) {
			t.Errorf("%q is in the answer: %s", leaked, made.body)
		}
	}
	acc := n.want(t, http.StatusOK, "GET", "/accounts/"+who, nil).json(t)
	if acc["name"] != "bjensen-example-com" || acc["status"] != "active" || acc["licence"] != "*/steward" || acc["provisioned"] != true || acc["email"] != "bjensen@example.com" {
		t.Errorf("the account: %v", acc)
	}

	// The same name in another case is taken, and another person gets another slug.
	twice := n.scim(t, idp.secret, "POST", "/Users", person("bjensen@EXAMPLE.com"))
	if twice.status != http.StatusConflict || twice.json(t)["scimType"] != "uniqueness" {
		t.Errorf("the same user name: got %d %s, want 409 uniqueness", twice.status, twice.body)
	}
	other := id(t, n.provision(t, idp.secret, http.StatusCreated, "POST", "/Users", obj{"schemas": []string{scimUser}, "userName": "bjensen.example.com"}))
	if name := n.want(t, http.StatusOK, "GET", "/accounts/"+other, nil).json(t)["name"]; name == "bjensen-example-com" {
		t.Errorf("two accounts are called %v", name)
	}

	// ETags: what was read is changed only while it is as it was read.
	etag := made.header.Get("ETag")
	if got := n.scim(t, idp.secret, "GET", "/Users/"+who, nil, "If-None-Match", etag); got.status != http.StatusNotModified || got.body != "" {
		t.Errorf("If-None-Match: got %d %q, want 304", got.status, got.body)
	}
	patched := n.provision(t, idp.secret, http.StatusOK, "PATCH", "/Users/"+who, patchOf(
		obj{"op": "Replace", "path": "active", "value": "False"},
		obj{"op": "add", "path": `emails[type eq "work"].value`, "value": "barbara@example.com"},
		obj{"op": "remove", "path": "name.formatted"},
		obj{"op": "add", "value": obj{"name.givenName": "Babs", "displayName": "Babs Jensen", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department": "x"}},
	), "If-Match", etag)
	var shown struct {
		Active, DisplayName any
		Name                map[string]string
		Emails              []obj
		Meta                map[string]string
	}
	if err := json.Unmarshal([]byte(patched.body), &shown); err != nil {
		t.Fatal(err)
	}
	if shown.Active != false || shown.DisplayName != "Babs Jensen" || shown.Name["givenName"] != "Babs" || shown.Name["formatted"] != "" || shown.Emails[0]["value"] != "barbara@example.com" {
		t.Errorf("after PATCH: %s", patched.body)
	}
	if shown.Meta["version"] != patched.header.Get("ETag") || shown.Meta["version"] == etag || shown.Meta["lastModified"] < shown.Meta["created"] {
		t.Errorf("meta after PATCH: %v", shown.Meta)
	}
	for method, body := range map[string]any{"PUT": obj{"schemas": []string{scimUser}, "userName": "x"}, "DELETE": nil, "PATCH": patchOf(obj{"op": "remove", "path": "displayName"})} {
		if got := n.scim(t, idp.secret, method, "/Users/"+who, body, "If-Match", etag); got.status != http.StatusPreconditionFailed {
			t.Errorf("%s of an old version: got %d, want 412", method, got.status)
		}
	}
	if status := n.want(t, http.StatusOK, "GET", "/accounts/"+who, nil).json(t)["status"]; status != "deactivated" {
		t.Errorf("status: %v", status)
	}
	// PUT without active leaves it, and clears what it does not name.
	put := n.provision(t, idp.secret, http.StatusOK, "PUT", "/Users/"+who, obj{"schemas": []string{scimUser}, "userName": "bjensen@example.com"}).json(t)
	if put["active"] != false || put["displayName"] != nil || put["emails"] != nil || put["userName"] != "bjensen@example.com" {
		t.Errorf("after PUT: %v", put)
	}

	// Gone: 404 for SCIM, the name kept for the audit, the user name free.
	n.provision(t, idp.secret, http.StatusNoContent, "DELETE", "/Users/"+who, nil)
	n.provision(t, idp.secret, http.StatusNotFound, "GET", "/Users/"+who, nil)
	n.provision(t, idp.secret, http.StatusNotFound, "DELETE", "/Users/"+who, nil)
	again := id(t, n.provision(t, idp.secret, http.StatusCreated, "POST", "/Users", person("bjensen@example.com")))
	if again == who {
		t.Error("an id was used again")
	}
	entries := n.want(t, http.StatusOK, "GET", "/audit?workspace=system&limit=100", nil).body
	for _, op := range []string{"scim.user.create", "scim.user.edit", "scim.user.replace", "scim.user.delete"} {
		if !strings.Contains(entries, `"`+op+`"`) {
			t.Errorf("the audit has no %s", op)
		}
	}
	if !strings.Contains(entries, idp.id) || strings.Contains(entries, "t1meMa") {
		t.Error("the audit does not name the client for SCIM, or has a password")
	}
}

// Nobody is given more by SCIM than the provisioning system's account holds, and
// power over Postern itself only where an administrator said so.
func TestSCIMGivesNoMoreThanItHolds(t *testing.T) {
	n := start(t)
	small, big := n.provisioner(t, "provisioner").secret, n.provisioner(t, "owner").secret
	ann := id(t, n.provision(t, small, http.StatusCreated, "POST", "/Users", person("ann@example.com")))
	team := id(t, n.provision(t, small, http.StatusCreated, "POST", "/Groups", obj{"schemas": []string{scimGroup}, "displayName": "Readers"}))
	join := patchOf(obj{"op": "add", "path": "members", "value": []obj{{"value": ann}}})
	leave := patchOf(obj{"op": "remove", "path": `members[value eq "` + ann + `"]`})
	grant := func(holder string, roles ...string) {
		t.Helper()
		var given []obj
		for _, r := range roles {
			given = append(given, obj{"role": r})
		}
		n.want(t, http.StatusOK, "PUT", "/grants/default/"+holder, obj{"roles": given})
	}
	put := func(credential string, status int, what string, body obj) {
		t.Helper()
		if got := n.scim(t, credential, "PATCH", "/Groups/"+team, body); got.status != status {
			t.Errorf("%s: got %d %s, want %d", what, got.status, got.body, status)
		}
	}
	put(small, http.StatusOK, "join a team that holds nothing", join)
	put(small, http.StatusOK, "leave it", leave)
	grant(team, "example-reader")
	put(small, http.StatusForbidden, "join a team that holds more than the system", join)
	put(big, http.StatusOK, "join it, by one who holds enough", join)
	put(small, http.StatusOK, "leave is no gift", leave)
	grant(team, "example-reader", "member")
	put(big, http.StatusForbidden, "join a team with a role on Postern's own API", join)
	n.want(t, http.StatusOK, "PATCH", "/teams/"+team, obj{"scim_may_grant": true}, "If-Match", n.want(t, http.StatusOK, "GET", "/teams/"+team, nil).header.Get("ETag"))
	put(big, http.StatusOK, "the same where that is allowed", join)
	put(small, http.StatusForbidden, "which gives nothing to who holds less", patchOf(obj{"op": "replace", "path": "members", "value": []obj{{"value": ann}, {"value": id(t, n.provision(t, small, http.StatusCreated, "POST", "/Users", person("eve@example.com")))}}}))

	// To decide by which names somebody signs in is to give away what they hold.
	change := func(credential string, status int, op obj) {
		t.Helper()
		if got := n.scim(t, credential, "PATCH", "/Users/"+ann, patchOf(op)); got.status != status {
			t.Errorf("%v: got %d %s, want %d", op, got.status, got.body, status)
		}
	}
	change(small, http.StatusForbidden, obj{"op": "replace", "path": "userName", "value": "mallory@example.com"})
	change(small, http.StatusForbidden, obj{"op": "replace", "path": "emails", "value": []obj{{"value": "mallory@example.com"}}})
	change(small, http.StatusForbidden, obj{"op": "replace", "path": "externalId", "value": "mallory"})
	change(small, http.StatusOK, obj{"op": "replace", "path": "displayName", "value": "Ann"})
	change(small, http.StatusOK, obj{"op": "replace", "path": "active", "value": false})
	change(small, http.StatusForbidden, obj{"op": "replace", "path": "active", "value": true})
	change(big, http.StatusOK, obj{"op": "replace", "path": "active", "value": true})
}

// The last owner of a workspace stays, whichever way SCIM would take it.
func TestSCIMKeepsTheLastOwner(t *testing.T) {
	n := start(t)
	idp := n.provisioner(t, "owner").secret
	n.want(t, http.StatusCreated, "POST", "/workspaces", obj{"name": "acme"})
	users := make([]string, 2)
	members := make([]obj, 2)
	for i := range users {
		users[i] = id(t, n.provision(t, idp, http.StatusCreated, "POST", "/Users", person(fmt.Sprintf("owner%d@example.com", i))))
		members[i] = obj{"value": users[i]}
	}
	team := id(t, n.provision(t, idp, http.StatusCreated, "POST", "/Groups", obj{"schemas": []string{scimGroup}, "displayName": "Owners", "members": members}))
	n.want(t, http.StatusOK, "PATCH", "/teams/"+team, obj{"scim_may_grant": true}, "If-Match", n.want(t, http.StatusOK, "GET", "/teams/"+team, nil).header.Get("ETag"))
	n.want(t, http.StatusOK, "PUT", "/grants/acme/"+team, obj{"roles": []obj{{"role": "owner"}}})
	first := n.want(t, http.StatusOK, "GET", "/grants?workspace=acme", nil).json(t)["items"].([]any)
	for _, g := range first {
		if holder := g.(obj)["holder"].(obj)["id"].(string); holder != team {
			n.want(t, http.StatusOK, "DELETE", "/grants/acme/"+holder, nil)
		}
	}
	refuse := func(what, method, path string, body any) {
		t.Helper()
		if got := n.scim(t, idp, method, path, body); got.status != http.StatusConflict {
			t.Errorf("%s: got %d %s, want 409", what, got.status, got.body)
		}
	}
	refuse("both leave the team at once", "PATCH", "/Groups/"+team, patchOf(obj{"op": "remove", "path": "members"}))
	refuse("the team is deleted", "DELETE", "/Groups/"+team, nil)
	n.provision(t, idp, http.StatusOK, "PATCH", "/Groups/"+team, patchOf(obj{"op": "remove", "path": "members", "value": []obj{members[0]}}))
	refuse("the last one leaves", "PATCH", "/Groups/"+team, patchOf(obj{"op": "remove", "path": `members[value eq "` + users[1] + `"]`}))
	refuse("the last one is deactivated", "PATCH", "/Users/"+users[1], patchOf(obj{"op": "replace", "path": "active", "value": false}))
	refuse("the last one is deleted", "DELETE", "/Users/"+users[1], nil)
	n.provision(t, idp, http.StatusNoContent, "DELETE", "/Users/"+users[0], nil)
}

// Systems send changes of one group side by side: none is lost.
func TestSCIMChangesSideBySide(t *testing.T) {
	n := start(t)
	idp := n.provisioner(t, "provisioner").secret
	team := id(t, n.provision(t, idp, http.StatusCreated, "POST", "/Groups", obj{"schemas": []string{scimGroup}, "displayName": "Crowd"}))
	const people = 6
	users := make([]string, people)
	for i := range users {
		users[i] = id(t, n.provision(t, idp, http.StatusCreated, "POST", "/Users", person(fmt.Sprintf("p%d@example.com", i))))
	}
	var group sync.WaitGroup
	for _, u := range users {
		group.Go(func() {
			got := n.scim(t, idp, "PATCH", "/Groups/"+team, patchOf(obj{"op": "add", "path": "members", "value": []obj{{"value": u}}}))
			if got.status != http.StatusOK {
				t.Errorf("add %s: %d %s", u, got.status, got.body)
			}
		})
	}
	group.Wait()
	if got := n.provision(t, idp, http.StatusOK, "GET", "/Groups/"+team, nil); strings.Count(got.body, `"type":"User"`) != people {
		t.Errorf("%d members of %d: %s", strings.Count(got.body, `"type":"User"`), people, got.body)
	}
}

// Ten thousand people: each is found by name at once, and pages hold together.
func TestSCIMTenThousandPeople(t *testing.T) {
	n := start(t)
	idp := n.provisioner(t, "provisioner").secret
	const people = 10_000
	writes := make([]store.Write, people)
	for i := range writes {
		name := fmt.Sprintf("person%05d", i)
		writes[i] = store.Insert(&store.Account{
			ID: store.NewAccountID(store.AccountUser), Generation: 1, AccountKind: store.AccountUser, Name: name, UserName: name + "@example.com",
			DisplayName: fmt.Sprintf("Person %d", i%7), Status: store.AccountActive, Provisioned: true, CreatedAt: store.At(n.clock.now()),
		})
	}
	for chunk := range slices.Chunk(writes, 500) {
		n.commit(t, chunk...)
	}
	find := func(query string) obj {
		t.Helper()
		return n.provision(t, idp, http.StatusOK, "GET", "/Users?"+query, nil).json(t)
	}
	if got := find("filter=" + url.QueryEscape(`userName eq "PERSON04711@example.com"`)); got["totalResults"] != float64(1) {
		t.Errorf("by name: %v", got["totalResults"])
	}
	if got := find("filter=" + url.QueryEscape(`displayName eq "person 3" and userName sw "person09"`)); got["totalResults"] != float64(143) && got["totalResults"] != float64(142) {
		t.Errorf("by two conditions: %v", got["totalResults"])
	}
	last := find("startIndex=9901&count=1000&sortBy=userName&sortOrder=descending")
	page := last["Resources"].([]any)
	if last["totalResults"] != float64(people) || len(page) != 100 || page[99].(obj)["userName"] != "person00000@example.com" {
		t.Errorf("the last page: %v of %v", len(page), last["totalResults"])
	}
	if got := find("count=100000"); got["itemsPerPage"] != float64(500) {
		t.Errorf("a page is at most 500: %v", got["itemsPerPage"])
	}
}
