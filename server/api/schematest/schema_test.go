// Package schematest_test asks a running server everything that its OpenAPI
// document says can be asked, good and bad, by schemathesis.
package schematest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"postern/server"
	"postern/server/keys"
	"postern/store/sqlite"
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
include-operation-id = ["client.revoke", "client.edit", "client.rotate", "client.secret.revoke"]
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

// start starts a server and returns its URL, the administrator's secret, and the
// id of another client.
func start(t *testing.T, log io.Writer) (url, bearer, client string) {
	t.Helper()
	dir := t.TempDir()
	backend, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	kek, err := keys.FileKEK(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(server.Options{
		Store: backend, KEK: kek, Issuer: "https://postern.test", Version: "test",
		Listen: "127.0.0.1:0", GatewayListen: "127.0.0.1:0", OpsListen: "127.0.0.1:0", NeverAllowed: true,
		Log: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	made, err := s.Bootstrap(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	started, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- s.Run(ctx, func() { close(started) }) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	select {
	case <-started:
	case err := <-ended:
		t.Fatal(err)
	}
	return "http://" + s.PublicAddr(), made.Admin.Secret.Reveal(), string(made.Example.Client.ID)
}

// Every operation, with its examples, with values at the edges of its schema and
// beyond, and with made-up ones: no answer is an error of the server, and none is
// of a status, a type or a form that the document does not describe.
func TestSchemathesisFindsNoUndocumentedAnswer(t *testing.T) {
	schemathesis := binary(t)
	log := &journal{}
	url, bearer, client := start(t, log)
	dir := t.TempDir()
	file := filepath.Join(dir, "schemathesis.toml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), schemathesis, "--config-file", file, "run", "--no-color", "--url", url, url+"/api/v1/openapi.json")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "POSTERN_TOKEN="+bearer, "POSTERN_CLIENT="+client, "POSTERN_OWN_CLIENT="+another(t, url, bearer), "COLUMNS=100")
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
		t.Logf("the server's log:\n%s", log.text.String())
	}
}

// journal is what the server logs.
type journal struct {
	mu   sync.Mutex
	text strings.Builder
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

// another makes another personal token of the administrator and returns its id.
func another(t *testing.T, url, bearer string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/api/v1/me/clients", strings.NewReader(`{"name":"another"}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+bearer)
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var made struct {
		ID string `json:"client_id"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&made); err != nil || made.ID == "" {
		t.Fatalf("a second token of the administrator: %s, %v", resp.Status, err)
	}
	return made.ID
}

// plain leaves away what only terminals understand.
func plain(out []byte) string {
	out = regexp.MustCompile(`\x1b\[[0-9;?]*[A-Za-z]`).ReplaceAll(out, nil)
	return string(bytes.ReplaceAll(out, []byte("\r"), nil))
}
