package mongotest

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// runs the program to its end.
func runs(t *testing.T, env []string, args ...string) (string, error) {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), path, args...)
	c.Env = append(os.Environ(), env...)
	out, err := c.CombinedOutput()
	return string(out), err
}

// On MongoDB, unlike on the embedded store, servers go on while an administrator
// is recovered, and let them in at once. It takes the key-encryption key.
func TestRecoverOnMongoDBLetsTheAdministratorIntoARunningServer(t *testing.T) {
	nodes, b, env := onMongo(t, 1)
	node := nodes[0]
	lost, _ := node.token(t, b.Admin.ClientID, b.Admin.ClientSecret)
	if status, answer := node.rest(t, lost, "POST", "/clients/"+b.Admin.ClientID+"/revoke", map[string]any{}); status != 200 {
		t.Fatalf("revoke the administrator's client: %d %v", status, answer)
	}
	file := filepath.Join(t.TempDir(), "recovered.json")
	other := append(append([]string{}, env...), "POSTERN_KEYS_ENCRYPTION_KEY="+base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", 32))))
	if out, err := runs(t, other, "init", "--recover", "--bootstrap-file", file); err == nil || !strings.Contains(out, "postern: ") {
		t.Errorf("by another key-encryption key: %v\n%s", err, out)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("what was refused wrote a file with secrets")
	}
	out, err := runs(t, env, "init", "--recover", "--bootstrap-file", file)
	if err != nil || !strings.HasPrefix(out, "An administrator is back.") {
		t.Fatalf("recover: %v\n%s", err, out)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var made struct {
		Admin struct {
			Username, Password string
			ClientID           string `json:"client_id"`
			ClientSecret       string `json:"client_secret"`
		}
	}
	if err := json.Unmarshal(text, &made); err != nil {
		t.Fatal(err)
	}
	var token string
	for began, status := time.Now(), 0; status != 200; {
		if token, status = node.token(t, made.Admin.ClientID, made.Admin.ClientSecret); status != 200 && time.Since(began) > within {
			t.Fatalf("the recovered client after %s: %d", within, status)
		}
	}
	if status, answer := node.rest(t, token, "POST", "/workspaces", map[string]any{"name": "second"}); status != 201 {
		t.Errorf("the recovered administrator makes a workspace: %d %v", status, answer)
	}
	if status, answer := node.rest(t, token, "GET", "/audit?operation=installation.recover", nil); status != 200 || len(answer["items"].([]any)) != 1 {
		t.Errorf("the audit of it: %d %v", status, answer)
	}
	if status, _ := call(t, "GET", node.url+"/api/v1/me", made.Admin.Username, made.Admin.Password, nil, nil); status != 200 {
		t.Errorf("the recovered administrator by password: %d", status)
	}
	if _, status := node.token(t, b.Admin.ClientID, b.Admin.ClientSecret); status != 401 {
		t.Errorf("the client that was revoked: %d, want 401", status)
	}
}

// An empty database has nobody to recover, and gets nothing.
func TestRecoverOfAnEmptyMongoDBIsRefused(t *testing.T) {
	env := ofDatabase(t)
	file := filepath.Join(t.TempDir(), "recovered.json")
	if out, err := runs(t, env, "init", "--recover", "--bootstrap-file", file); err == nil || !strings.Contains(out, "this store is empty") {
		t.Errorf("got %v\n%s", err, out)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("it wrote a file with secrets")
	}
}
