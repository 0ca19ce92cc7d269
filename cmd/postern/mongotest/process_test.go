// Package mongotest runs the real program, as several processes on one MongoDB
// replica set and as one on the embedded store, and ends them the hard way.
package mongotest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/store/mongo/mongotest"
)

// program is the path of the built program, made once for all tests.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "postern-program-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "postern")
	out, err := exec.Command("go", "build", "-o", path, "postern/cmd/postern").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build postern: %w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := program(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// process is a running `postern serve`.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{}
	url    string
	decide string
}

// bootstrap is what the first start wrote.
type bootstrap struct {
	Issuer string
	Admin  struct {
		ClientID     string `json:"client_id"`
		ClientSecret string `json:"client_secret"`
	}
	Example struct {
		ClientID            string `json:"client_id"`
		ClientSecret        string `json:"client_secret"`
		GatewayClientID     string `json:"gateway_client_id"`
		GatewayClientSecret string `json:"gateway_client_secret"`
	}
}

// freeAddr is an address that nobody listens on now.
func freeAddr(t testing.TB) string {
	t.Helper()
	addr, err := mongotest.FreeAddress(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// serve starts a process and returns when it answers.
func serve(t testing.TB, env []string, args ...string) *process {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	public, gateway := freeAddr(t), freeAddr(t)
	p := &process{exited: make(chan struct{}), url: "http://" + public, decide: "http://" + gateway}
	args = append([]string{"serve", "--listen", public, "--gateway-listen", gateway, "--ops-listen", freeAddr(t)}, args...)
	p.cmd = exec.Command(path, args...)
	p.cmd.Env = append(os.Environ(), env...)
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	ready := make(chan string, 1)
	go func() {
		defer close(p.exited)
		var log strings.Builder
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			log.WriteString(lines.Text() + "\n")
			if strings.Contains(lines.Text(), "postern is ready") {
				ready <- ""
			}
		}
		_ = p.cmd.Wait()
		select {
		case ready <- "it ended:\n" + log.String():
		default:
		}
	}()
	select {
	case trouble := <-ready:
		if trouble != "" {
			t.Fatalf("postern serve %v: %s", args, trouble)
		}
	case <-time.After(time.Minute):
		t.Fatalf("postern serve %v was not ready after a minute", args)
	}
	return p
}

// kill ends the process by SIGKILL and waits until it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.exited
}

func readBootstrap(t testing.TB, file string) bootstrap {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var b bootstrap
	if err := json.Unmarshal(text, &b); err != nil {
		t.Fatal(err)
	}
	return b
}

// call sends a request and returns its status and body; an error of the network
// is status 0.
func call(t testing.TB, method, target, user, password string, header http.Header, body io.Reader) (int, []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, target, body)
	if err != nil {
		t.Error(err)
		return 0, nil
	}
	maps.Copy(r.Header, header)
	if user != "" {
		r.SetBasicAuth(user, password)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, []byte(err.Error())
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, []byte(err.Error())
	}
	return res.StatusCode, text
}

var formHeader = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}

// token gets an access token.
func (p *process) token(t testing.TB, id, secret string) (string, int) {
	t.Helper()
	status, body := call(t, "POST", p.url+"/oauth2/token", id, secret, formHeader, strings.NewReader("grant_type=client_credentials"))
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	_ = json.Unmarshal(body, &answer)
	return answer.AccessToken, status
}

// rest calls the administration with a token.
func (p *process) rest(t testing.TB, token, method, path string, body any) (int, map[string]any) {
	t.Helper()
	var text []byte
	if body != nil {
		text, _ = json.Marshal(body)
	}
	status, answer := call(t, method, p.url+"/api/v1"+path, "", "", http.Header{
		"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"},
	}, bytes.NewReader(text))
	var m map[string]any
	_ = json.Unmarshal(answer, &m)
	return status, m
}

func (p *process) decision(t testing.TB, token, method, path string) int {
	t.Helper()
	status, _ := call(t, "GET", p.decide+"/decide/nginx/example", "", "", http.Header{
		"Authorization": {"Bearer " + token}, "X-Original-Method": {method}, "X-Original-Uri": {path},
	}, nil)
	return status
}

func (p *process) active(t testing.TB, b bootstrap, token string) bool {
	t.Helper()
	_, body := call(t, "POST", p.url+"/oauth2/introspect", b.Example.GatewayClientID, b.Example.GatewayClientSecret, formHeader,
		strings.NewReader("token="+url.QueryEscape(token)))
	return bytes.Contains(body, []byte(`"active":true`))
}
