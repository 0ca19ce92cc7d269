// Package schematest_test asks a running server everything that its OpenAPI
// document says can be asked, good and bad, by schemathesis.
package schematest_test

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"postern/server/servertest"
)

// config is what schemathesis is told. Everything it makes up comes from the
// seed, so that a fault that was found is found again.
const config = `
seed = 4711
workers = 1
continue-on-failure = true
headers = { Authorization = "Bearer ${POSTERN_TOKEN}" }

[generation]
deterministic = true
database = "none"
max-examples = 8
# Authorization in odd forms has tests of its own; here all requests are to get in.
with-security-parameters = false

[phases.examples]
enabled = true
[phases.coverage]
enabled = true
[phases.fuzzing]
enabled = true
[phases.stateful]
enabled = false

[checks]
not_a_server_error.enabled = true
status_code_conformance.enabled = true
content_type_conformance.enabled = true
response_schema_conformance.enabled = true
response_headers_conformance.enabled = true
missing_required_header.enabled = true
unsupported_method.enabled = true
allow_header_conformance.enabled = true
# What is refused depends on more than the schema: whether a name is taken, and
# whether a time is a time.
negative_data_rejection.enabled = false
positive_data_acceptance.enabled = false
# These need the ids of one answer in the next question.
use_after_free.enabled = false
ensure_resource_availability.enabled = false
ignored_auth.enabled = true

# The credential of these requests is a client, too, and its id is in answers: what
# would end or bind it is asked of others. Nothing else is left out.
[[operations]]
include-operation-id = ["client.revoke", "client.edit", "client.rotate", "client.secret.revoke", "client.trust.test"]
parameters = { "path.client" = "${POSTERN_CLIENT}" }

[[operations]]
include-operation-id = ["me.client.revoke", "me.client.rotate", "me.client.secret.revoke", "me.client.delete"]
parameters = { "path.client" = "${POSTERN_OWN_CLIENT}" }

# A client may be called import: the path is of both, and so is what it allows.
[[operations]]
include-operation-id = "client.import"
checks.allow_header_conformance.enabled = false

# Edits of what is there, since made-up names lead no further than 404.
[[operations]]
include-operation-id = ["api.edit", "api.import"]
parameters = { "path.api" = "example" }

[[operations]]
include-operation-id = "workspace.edit"
parameters = { "path.workspace" = "default" }

[[operations]]
include-operation-id = "grant.set"
parameters = { "path.workspace" = "default", "path.holder" = "example-client" }

[[operations]]
include-operation-id = "account.edit"
parameters = { "path.account" = "example-client" }
`

// binary finds schemathesis.
func binary(t *testing.T) string {
	t.Helper()
	for _, name := range []string{os.Getenv("SCHEMATHESIS"), "schemathesis"} {
		if path, err := exec.LookPath(name); name != "" && err == nil {
			return path
		}
	}
	t.Fatal("there is no schemathesis, neither as $SCHEMATHESIS nor on PATH; get it by: make tools")
	return ""
}

// Every operation, with its examples, with values at the edges of its schema and
// beyond, and with made-up ones: no answer is an error of the server, and none is
// of a status, a type or a form that the document does not describe.
func TestSchemathesisFindsNoUndocumentedAnswer(t *testing.T) {
	schemathesis := binary(t)
	s := servertest.Start(t)
	url, bearer, client := s.URL, s.Admin.Secret.Reveal(), string(s.Example.Client.ID)
	var own struct {
		ID string `json:"client_id"`
	}
	s.Post(t, "/me/clients", map[string]string{"name": "another"}, &own)
	dir := t.TempDir()
	file := filepath.Join(dir, "schemathesis.toml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), schemathesis, "--config-file", file, "run", "--no-color", "--url", url, url+"/api/v1/openapi.json")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "POSTERN_TOKEN="+bearer, "POSTERN_CLIENT="+client, "POSTERN_OWN_CLIENT="+own.ID, "COLUMNS=100")
	out, err := cmd.CombinedOutput()
	text := plain(out)
	if err != nil {
		t.Errorf("schemathesis: %v\n%s", err, text)
	} else {
		_, summary, _ := strings.Cut(text, " SUMMARY ")
		t.Log(strings.TrimLeft(summary, "= \n"))
	}
	// What it did along the way must not have closed the door behind it.
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/api/v1/clients", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+bearer)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("the administrator's credential afterwards: got %d, want 200", resp.StatusCode)
	}
	if t.Failed() {
		t.Logf("the server's log:\n%s", s.Log)
	}
}

// plain leaves away what only terminals understand.
func plain(out []byte) string {
	out = regexp.MustCompile(`\x1b\[[0-9;?]*[A-Za-z]`).ReplaceAll(out, nil)
	return string(bytes.ReplaceAll(out, []byte("\r"), nil))
}
