package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"github.com/rogpeppe/go-internal/testscript"

	"postern/store/mongo/mongotest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"postern": main})
}

// TestScript runs the stories, each with folders and servers of its own.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("XDG_CONFIG_HOME", e.WorkDir+"/config")
			e.Setenv("no_proxy", "127.0.0.1")
			n := &served{}
			e.Values[servedKey{}] = n
			e.Defer(func() { _ = n.end(syscall.SIGKILL) }) // it is killed
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"serve":     serveStory,
			"stop":      stopStory,
			"json":      jsonStory,
			"exits":     exitsStory,
			"introduce": introduceStory,
			"code":      codeStory,
			"workload":  workloadStory,
			"guide":     guideStory,
		},
	})
}

type servedKey struct{}

// served is the server of a story.
type served struct {
	cmd *exec.Cmd
	log *lockedBuffer
}

// end ends the server and returns how it ended; nil when none runs.
func (n *served) end(sig syscall.Signal) error {
	if n.cmd == nil {
		return nil
	}
	_ = n.cmd.Process.Signal(sig) // it may have ended by itself
	err := n.cmd.Wait()
	n.cmd = nil
	return err
}

// serveStory is "serve [FLAG...]": it starts a server on free ports, waits until
// it is ready and sets ISSUER, GATEWAY and OPS. Of bootstrap.json it sets
// ADMIN_ID, CLIENT_ID, CLIENT_SECRET, GATEWAY_ID, GATEWAY_SECRET and writes the
// secrets into admin.secret, client.secret and gateway.secret. A second server
// of a story has the same ports.
func serveStory(ts *testscript.TestScript, neg bool, args []string) {
	n := ts.Value(servedKey{}).(*served)
	if n.cmd != nil {
		ts.Fatalf("a server runs already")
	}
	all := []string{"serve", "--bootstrap-file", "bootstrap.json"}
	for name, flag := range map[string]string{"LISTEN": "--listen", "GATEWAY": "--gateway-listen", "OPS": "--ops-listen"} {
		if ts.Getenv(name) == "" {
			ts.Setenv(name, freeAddress(ts))
		}
		all = append(all, flag, ts.Getenv(name))
	}
	postern, err := exec.LookPath("postern")
	ts.Check(err)
	cmd := exec.Command(postern, append(all, args...)...)
	cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"HOME", "PATH", "TMPDIR", "GOCOVERDIR"} {
		if value := ts.Getenv(name); value != "" {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	lines, err := cmd.StderrPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	n.cmd, n.log = cmd, &lockedBuffer{}
	ready := make(chan readyLine, 1)
	go watch(io.TeeReader(lines, n.log), ready)
	at, isReady := <-ready
	if !isReady {
		err := n.end(syscall.SIGKILL)
		ts.Logf("%s", n.log)
		if !neg {
			ts.Fatalf("the server is not ready: %v", err)
		}
		return
	}
	if neg {
		ts.Fatalf("the server started")
	}
	ts.Setenv("ISSUER", at.Issuer)
	if text, err := os.ReadFile(ts.MkAbs("bootstrap.json")); err == nil {
		readBootstrap(ts, text)
	}
}

func readBootstrap(ts *testscript.TestScript, text []byte) {
	var b bootstrapFile
	ts.Check(json.Unmarshal(text, &b))
	ts.Setenv("ADMIN_ID", b.Admin.ClientID)
	files := map[string]string{"admin.secret": b.Admin.ClientSecret}
	if e := b.Example; e != nil {
		ts.Setenv("CLIENT_ID", e.ClientID)
		ts.Setenv("CLIENT_SECRET", e.ClientSecret)
		ts.Setenv("GATEWAY_ID", e.GatewayClientID)
		ts.Setenv("GATEWAY_SECRET", e.GatewayClientSecret)
		files["client.secret"], files["gateway.secret"] = e.ClientSecret, e.GatewayClientSecret
	}
	for name, secret := range files {
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(secret+"\n"), 0o600))
	}
}

type readyLine struct {
	Msg     string `json:"msg"`
	Issuer  string `json:"issuer"`
	Public  string `json:"public"`
	Gateway string `json:"gateway"`
	Ops     string `json:"ops"`
}

// watch finds the line that says the server is ready, and reads on: a full pipe
// would stop the server.
func watch(r io.Reader, ready chan<- readyLine) {
	lines := bufio.NewScanner(r)
	said := false
	for lines.Scan() {
		var l readyLine
		if !said && json.Unmarshal(lines.Bytes(), &l) == nil && l.Msg == "postern is ready" {
			said = true
			ready <- l
		}
	}
	_, _ = io.Copy(io.Discard, r)
	close(ready)
}

func freeAddress(ts *testscript.TestScript) string {
	addr, err := mongotest.FreeAddress(context.Background()) // ts has none
	ts.Check(err)
	return addr
}

// stopStory is "stop [KILL]": it ends the server, by SIGTERM and in order unless
// it is killed.
func stopStory(ts *testscript.TestScript, _ bool, args []string) {
	n := ts.Value(servedKey{}).(*served)
	sig := syscall.SIGTERM
	if len(args) == 1 && args[0] == "KILL" {
		sig = syscall.SIGKILL
	}
	if n.cmd == nil {
		ts.Fatalf("no server runs")
	}
	if err := n.end(sig); err != nil && sig == syscall.SIGTERM {
		ts.Fatalf("the server ended with %v:\n%s", err, n.log)
	}
}

// codeStory is "code VARIABLE SECRET STEPS": it sets a variable to what a telephone
// shows, now or some steps of 30 seconds later.
func codeStory(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: code VARIABLE SECRET STEPS")
	}
	steps, err := strconv.Atoi(args[2])
	ts.Check(err)
	code, err := totp.GenerateCode(args[1], time.Now().Add(time.Duration(steps)*30*time.Second))
	ts.Check(err)
	ts.Setenv(args[0], code)
}

// jsonStory is "json VARIABLE a.0.b": it sets a variable to a member of what was
// printed.
func jsonStory(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: json VARIABLE PATH")
	}
	var at any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &at))
	for name := range strings.SplitSeq(args[1], ".") {
		switch tree := at.(type) {
		case map[string]any:
			at = tree[name]
		case []any:
			i, err := strconv.Atoi(name)
			ts.Check(err)
			at = tree[i]
		}
	}
	if at == nil {
		ts.Fatalf("there is no %s", args[1])
	}
	ts.Setenv(args[0], fmt.Sprint(at))
}

// introduceStory is "introduce TRY ADMINISTER": it writes what a person pastes
// after the first start into two files.
func introduceStory(ts *testscript.TestScript, _ bool, args []string) {
	var b bootstrapFile
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("bootstrap.json")), &b))
	_, rest, ok := strings.Cut(introduction(b, ts.Getenv("GATEWAY")), "into another terminal.\n")
	try, administer, ok2 := strings.Cut(rest, "\nAdminister it:")
	_, administer, ok3 := strings.Cut(administer, "\n\n")
	if !ok || !ok2 || !ok3 || len(args) != 2 {
		ts.Fatalf("usage: introduce TRY ADMINISTER; the introduction reads otherwise than this test knows")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(try), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(administer), 0o600))
}

// lockedBuffer is written by one goroutine while another reads it.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// exitsStory is "exits CODE COMMAND...": it runs a command that ends with this
// code.
func exitsStory(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARGUMENT...]")
	}
	code := 0
	err := ts.Exec(args[1], args[2:]...)
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		code = e.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("it ended with %d, want %s", code, args[0])
	}
}
