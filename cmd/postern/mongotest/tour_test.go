package mongotest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The tour of the README runs as it stands there, but for the ports.
func TestReadmeTour(t *testing.T) {
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, tour, found := strings.Cut(string(readme), "<!-- tour -->\n```sh\n")
	tour, _, ends := strings.Cut(tour, "```\n<!-- /tour -->")
	if !found || !ends {
		t.Fatal("the README has no tour")
	}
	public, gateway := freeAddr(t), freeAddr(t)
	tour = strings.ReplaceAll(tour, "127.0.0.1:8086", gateway)
	dir := t.TempDir()
	c := exec.CommandContext(t.Context(), "sh", "-eu")
	c.Stdin, c.Dir = strings.NewReader(tour), dir
	c.Env = append(os.Environ(), "PATH="+filepath.Dir(path)+":"+os.Getenv("PATH"), "XDG_CONFIG_HOME="+dir,
		"POSTERN_SERVER_LISTEN="+public, "POSTERN_GATEWAY_LISTEN="+gateway, "POSTERN_OPS_LISTEN="+freeAddr(t))
	out, err := c.CombinedOutput()
	if err != nil {
		log, _ := os.ReadFile(filepath.Join(dir, "server.log"))
		t.Fatalf("the tour failed: %v\n%s\nserver:\n%s", err, out, log)
	}
	for _, want := range []string{
		"Logged in", "The API is registered", "The role is created", "invoices:read", "GET 200", "POST 403",
		"denied: POST /invoices", "The token has been successfully revoked.", "after the revoke 401", "client.revoke",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the tour does not print %q:\n%s", want, out)
		}
	}
}
