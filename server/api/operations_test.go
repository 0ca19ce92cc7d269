package api_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/server/admin"
)

// What has no rights has no route, and the other way round.
func TestEveryOperationHasItsRouteAndNothingElseHas(t *testing.T) {
	w := start(t)
	var doc struct {
		Paths map[string]map[string]struct {
			OperationID string `json:"operationId"`
		}
	}
	got := w.serve(httptest.NewRequestWithContext(t.Context(), "GET", "/api/v1/openapi.json", http.NoBody))
	if err := json.Unmarshal([]byte(got.body), &doc); err != nil || got.status != http.StatusOK {
		t.Fatalf("openapi.json: %d, %v", got.status, err)
	}
	routed, known := map[string]string{}, map[string]string{}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			routed[strings.ToUpper(method)+" "+path] = op.OperationID
		}
	}
	for _, op := range admin.Operations() {
		known[op.Method+" "+op.Path] = op.Name
	}
	if diff := cmp.Diff(known, routed); diff != "" {
		t.Errorf("routes (+) are not the operations (-):\n%s", diff)
	}
	for _, path := range []string{"", "/", "/me/", "/clients/", "/docs", "/schemas/Client", "/openapi.yaml", "/metrics", "/debug/pprof/"} {
		if got := w.call(w.root, "GET", path, nil); got.status != http.StatusNotFound {
			t.Errorf("GET /api/v1%s: got %d, want 404", path, got.status)
		}
	}
	if strings.Contains(got.body, `"value":{"description":"The value at the given location"`) {
		t.Error("the description of errors has the offending value, which is never sent")
	}
}

var parameter = regexp.MustCompile(`\{[a-z]+\}`)

// P02 and T25: each route of the table, with each credential that is no good.
func TestP02EveryRouteWantsAGoodCredential(t *testing.T) {
	w := start(t)
	expired := w.want(http.StatusCreated, "POST", "/clients", object{"name": "short", "workspace": "default", "bearer": true, "expires_in": "1h", "roles": []string{"owner"}})
	gone := map[string]machine{"revoked": w.machine("default", "owner"), "deleted": w.machine("default", "owner"), "secret revoked": w.machine("default", "owner")}
	w.want(http.StatusOK, "POST", "/clients/"+gone["revoked"].id+"/revoke", nil)
	w.want(http.StatusOK, "POST", "/clients/"+gone["deleted"].id+"/revoke", nil)
	w.want(http.StatusOK, "DELETE", "/clients/"+gone["deleted"].id, nil)
	secret := w.want(http.StatusOK, "GET", "/clients/"+gone["secret revoked"].id, nil).text("secrets.0.id")
	w.want(http.StatusOK, "DELETE", "/clients/"+gone["secret revoked"].id+"/secrets/"+secret, nil)
	example := w.token(string(w.Example.Client.ID), w.Example.Secret.Reveal()).text("access_token")
	if example == "" {
		t.Fatal("no token for the example")
	}
	w.later(2 * time.Hour)
	credentials := map[string]string{
		"none": "", "junk": "junk", "of another API": example, "not for use as a bearer": w.Example.Secret.Reveal(),
		"expired": expired.text("client_secret"), "revoked": gone["revoked"].secret, "deleted": gone["deleted"].secret,
		"secret revoked": gone["secret revoked"].secret, "with a wrong checksum": w.root[:len(w.root)-1] + "~",
	}
	before := w.everything()
	for _, op := range admin.Operations() {
		if op.Public { // asks nobody who they are, and has tests of its own
			continue
		}
		path := strings.TrimPrefix(parameter.ReplaceAllString(op.Path, string(w.Example.Client.ID)), "/api/v1")
		for name, credential := range credentials {
			got := w.call(credential, op.Method, path, nil)
			if got.status != http.StatusUnauthorized || !strings.HasPrefix(got.header.Get("WWW-Authenticate"), "Bearer ") {
				t.Errorf("%s with a credential that is %s: got %d %q, want 401 with a challenge", op.Name, name, got.status, got.header.Get("WWW-Authenticate"))
			}
		}
	}
	if w.everything() != before {
		t.Error("something changed")
	}
}
