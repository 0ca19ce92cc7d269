package checkertest

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"postern/server/servertest"
)

// tool returns the command that a variable names.
func tool(t *testing.T, variable string) string {
	t.Helper()
	path, err := exec.LookPath(os.Getenv(variable))
	if err != nil {
		t.Fatalf("$%s names no command: run `make tools`, then `. ~/.cache/postern/env.sh`, or `make test`", variable)
	}
	return path
}

// provisioner is a server and a credential for provisioning.
type provisioner struct{ url, secret string }

// serve starts a server, with a client that is good for SCIM and nothing else.
func serve(t *testing.T) provisioner {
	t.Helper()
	s := servertest.Start(t)
	var client struct {
		Secret string `json:"client_secret"`
	}
	s.Post(t, "/clients", map[string]any{
		"name": "Identity provider", "workspace": "system", "roles": []string{"provisioner"}, "scim_only": true, "admin_access": true,
	}, &client)
	return provisioner{s.URL + "/scim/v2", client.Secret}
}

// run runs a checker and returns what it printed.
func run(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append(os.Environ(), append(env, "NO_COLOR=1", "no_proxy=127.0.0.1")...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s %s: %v", name, args[0], err)
	}
	return string(out)
}

// The whole check several times, since its values are random.
func TestSCIM2Tester(t *testing.T) {
	checker := tool(t, "SCIM2_TESTER")
	p := serve(t)
	for range 3 {
		// The secret goes by the environment: a command line is for everyone to read.
		out := run(t, []string{"SCIM_CLI_HEADERS=Authorization: Bearer " + p.secret}, checker, "--url", p.url, "test")
		counts := map[string]int{}
		for line := range strings.Lines(out) {
			if m := result.FindStringSubmatch(line); m != nil {
				counts[m[1]]++
			}
		}
		summary := fmt.Sprintf("scim2-tester: %d checks succeeded, %d others", counts["SUCCESS"], len(counts)-1)
		t.Log(summary)
		if counts["SUCCESS"] < 70 || len(counts) != 1 {
			t.Fatalf("%s\n%s", summary, out)
		}
	}
}

var result = regexp.MustCompile(`^(?:\x1b\[[0-9;]*m)*([A-Z]+)(?:\x1b\[[0-9;]*m)* \w`)

func TestSCIMSanityProbe(t *testing.T) {
	checker := tool(t, "SCIM_SANITY")
	p := serve(t)
	out := run(t, nil, checker, "probe", p.url, "--token", p.secret, "--strict", "--json-output", "--i-accept-side-effects")
	var report struct {
		Version string         `json:"scim_sanity_version"`
		Mode    string         `json:"mode"`
		Summary map[string]int `json:"summary"`
		Results []struct{ Name, Status, Message string }
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatalf("the report of scim-sanity: %v\n%s", err, out)
	}
	t.Logf("scim-sanity %s probe, %s: %v", report.Version, report.Mode, report.Summary)
	passed := 0
	for _, r := range report.Results {
		switch {
		case r.Status == "pass":
			passed++
		case r.Status == "skip" && strings.HasPrefix(r.Name, "Agent"): // resources of a draft, which are not offered
		default:
			t.Errorf("%s: %s: %s", r.Name, r.Status, r.Message)
		}
	}
	if passed < 25 {
		t.Errorf("%d checks passed; it has more", passed)
	}
}
