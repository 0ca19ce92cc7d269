package checkertest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/server"
	"postern/server/keys"
	"postern/store/sqlite"
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
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	backend, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	kek, err := keys.ParseKEKs(keys.GenerateKEK())
	if err != nil {
		t.Fatal(err)
	}
	var log locked
	s, err := server.New(server.Options{
		Store: backend, KEK: kek, Issuer: "http://" + address, Version: "test", Listen: address, GatewayListen: "127.0.0.1:0", OpsListen: "127.0.0.1:0",
		ShutdownTimeout: 10 * time.Second, NeverAllowed: true, Log: slog.New(slog.NewTextHandler(&log, nil)),
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
		if text := log.String(); strings.Contains(text, "level=ERROR") {
			t.Errorf("the server logged an error:\n%s", text)
		}
	})
	<-started
	body, err := json.Marshal(map[string]any{
		"name": "Identity provider", "workspace": "system", "roles": []string{"provisioner"}, "scim_only": true, "admin_access": true,
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+"/api/v1/clients", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+made.Admin.Secret.Reveal())
	r.Header.Set("Content-Type", "application/json")
	got, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	var client struct {
		Secret string `json:"client_secret"`
	}
	if err := json.NewDecoder(got.Body).Decode(&client); err != nil || client.Secret == "" {
		t.Fatalf("make the client: %s, %v", got.Status, err)
	}
	return provisioner{"http://" + address + "/scim/v2", client.Secret}
}

type locked struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
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
