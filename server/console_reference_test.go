package server_test

import (
	"html"
	"net/http"
	"strings"
	"testing"

	"postern/server/admin"
)

// The reference has a page for every operation, made of the document that the
// API serves.
func TestEveryOperationIsInTheReference(t *testing.T) {
	n := start(t)
	person := n.person(t, "ann") // no right is needed
	index := person.want(t, http.StatusOK, "/console/api-reference", nil)
	for _, op := range admin.Operations() {
		index.has(t, `href="/console/api-reference/`+op.Name+`"`)
		page := person.want(t, http.StatusOK, "/console/api-reference/"+op.Name, nil)
		page.has(t, html.EscapeString(op.Text), `<code class="break">`+op.Path+"</code>", issuer+"/api/v1/")
		if len(page.body) > 150_000 {
			t.Errorf("%s: the page has %d bytes", op.Name, len(page.body))
		}
		for _, bad := range []string{"&lt;nil&gt;", "map["} {
			if strings.Contains(page.body, bad) {
				t.Errorf("%s: the page holds %q\n%s", op.Name, bad, main(page.body))
			}
		}
	}
	create := person.want(t, http.StatusOK, "/console/api-reference/client.create", nil)
	create.has(t, "Idempotency-Key", "shop backend", "expires_in", "-X POST", "Answer 201", "client.create")
	found := person.want(t, http.StatusOK, "/console/api-reference?search=rotate", nil)
	found.has(t, "/keys/rotate")
	found.hasNot(t, "/api/v1/teams")
	person.want(t, http.StatusOK, "/console/api-reference?search=nothing+such", nil).has(t, "No operation is like this")
	person.want(t, http.StatusNotFound, "/console/api-reference/nothing", nil)
}
