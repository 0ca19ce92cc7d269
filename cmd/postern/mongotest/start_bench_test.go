package mongotest

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"postern/server/secret"
	"postern/store"
	"postern/store/sqlite"
)

// BenchmarkStart starts the program on a data folder with 100,000 clients, or a
// hundredth of that: how long until it gives its first token, and what memory it
// has when it has done nothing since.
func BenchmarkStart(b *testing.B) {
	clients := 1000
	if os.Getenv("POSTERN_BENCH") == "full" {
		clients = 100_000
	}
	dir, bin := b.TempDir(), stripped(b)
	env := append(os.Environ(), "POSTERN_SERVER_PUBLIC_URL=http://127.0.0.1:1", "POSTERN_LIMITS_TOKEN_PER_CLIENT=0")
	file := filepath.Join(b.TempDir(), "bootstrap.json")
	if out, err := exec.CommandContext(b.Context(), bin, "init", "--data", dir, "--bootstrap-file", file).CombinedOutput(); err != nil {
		b.Fatalf("init: %v\n%s", err, out)
	}
	callers := fill(b, dir, readBootstrap(b, file), clients)
	for b.Loop() {
		var first, idle, used []float64
		for range 7 {
			s := startedOn(b, bin, env, dir, callers[0])
			first = append(first, float64(s.first.Microseconds())/1000)
			select { // what is measured is that nothing happens
			case <-time.After(2 * time.Second):
			case <-b.Context().Done():
			}
			idle = append(idle, s.resident(b))
			s.tokens(b, callers, 1000)
			used = append(used, s.resident(b))
			s.end(b)
		}
		info, err := os.Stat(bin)
		if err != nil {
			b.Fatal(err)
		}
		slices.Sort(first)
		slices.Sort(idle)
		slices.Sort(used)
		m := len(first) / 2
		b.Logf("%d clients: first token after %.0f ms (%.0f to %.0f); %.1f MB idle (%.1f to %.1f), %.1f MB after 1000 tokens; binary of %.2f MB",
			clients, first[m], first[0], first[len(first)-1], idle[m], idle[0], idle[len(idle)-1], used[m], float64(info.Size())/1e6)
		b.ReportMetric(first[m], "ms-to-first-token")
		b.ReportMetric(idle[m], "MB-idle")
		b.ReportMetric(used[m], "MB-after-1000-tokens")
		b.ReportMetric(float64(info.Size())/1e6, "MB-binary")
	}
}

// stripped builds the program as it is shipped.
func stripped(b *testing.B) string {
	b.Helper()
	path := filepath.Join(b.TempDir(), "postern")
	out, err := exec.CommandContext(b.Context(), "go", "build", "-ldflags=-s -w", "-o", path, "postern/cmd/postern").CombinedOutput()
	if err != nil {
		b.Fatalf("build postern: %v\n%s", err, out)
	}
	return path
}

// fill writes accounts, each with a client of one secret and a grant of the
// example's role, and returns token requests of some of the clients.
func fill(b *testing.B, dir string, first bootstrap, clients int) (callers [][]byte) {
	b.Helper()
	s, err := sqlite.Open(b.Context(), sqlite.Options{Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}()
	example, err := s.Client(b.Context(), store.ClientID(first.Example.ClientID))
	if err != nil {
		b.Fatal(err)
	}
	account, err := s.Account(b.Context(), example.Account)
	if err != nil {
		b.Fatal(err)
	}
	grants, err := s.GrantsOf(b.Context(), store.HolderID(account.ID))
	if err != nil || len(grants) == 0 {
		b.Fatal(grants, err)
	}
	var writes []store.Write
	for i := range clients {
		a := *account
		a.ID, a.Name = store.NewAccountID(store.AccountService), fmt.Sprintf("robot %d", i)
		c := *example
		c.ID, c.Account, c.ClientKey, c.Name = store.NewClientID(), a.ID, "", a.Name
		text := secret.New(c.ID)
		c.Secrets = []store.ClientSecret{{ID: store.NewSecretID(), Hash: text.Hash(), Generation: 1, CreatedAt: 1}}
		g := *grants[0]
		g.Holder = store.HolderID(a.ID)
		g.ID = store.NewGrantID(g.Holder, g.Workspace)
		writes = append(writes, store.Insert(&a), store.Insert(&c), store.Insert(&g))
		if len(writes) >= 1000 || i == clients-1 {
			if err := s.Commit(b.Context(), writes...); err != nil {
				b.Fatal(err)
			}
			writes = writes[:0]
		}
		if i%10 == 0 {
			callers = append(callers, tokenRequest(string(c.ID), text.Reveal()))
		}
	}
	return callers
}

// tokenRequest is a request written out: building it is no part of a start.
func tokenRequest(id, secret string) []byte {
	const form = "grant_type=client_credentials"
	return fmt.Appendf(nil, "POST /oauth2/token HTTP/1.1\r\nHost: bench\r\nContent-Type: application/x-www-form-urlencoded\r\nAuthorization: Basic %s\r\nContent-Length: %d\r\n\r\n%s",
		base64.StdEncoding.EncodeToString([]byte(id+":"+secret)), len(form), form)
}

// started is a process that has given its first token.
type started struct {
	cmd   *exec.Cmd
	conn  net.Conn
	r     *bufio.Reader
	log   bytes.Buffer
	first time.Duration // from its start to that token
}

func startedOn(b *testing.B, bin string, env []string, dir string, request []byte) *started {
	b.Helper()
	addr := freeAddr(b)
	s := &started{}
	s.cmd = exec.CommandContext(b.Context(), bin, "serve", "--data", dir, "--listen", addr, "--gateway-listen", freeAddr(b), "--ops-listen", freeAddr(b))
	s.cmd.Env, s.cmd.Stderr = env, &s.log
	began := time.Now()
	if err := s.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.cmd.Process.Kill() }) // it has ended, unless the benchmark failed
	var err error
	for { // no pause: that would be measured
		if s.conn, err = net.Dial("tcp", addr); err == nil {
			break
		}
		if time.Since(began) > time.Minute {
			b.Fatalf("no connection after a minute: %v\n%s", err, &s.log)
		}
	}
	s.r = bufio.NewReader(s.conn)
	s.token(b, request)
	s.first = time.Since(began)
	return s
}

func (s *started) token(b *testing.B, request []byte) {
	b.Helper()
	if _, err := s.conn.Write(request); err != nil {
		b.Fatal(err)
	}
	res, err := http.ReadResponse(s.r, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		b.Fatalf("a token: %s %v\n%s", res.Status, err, body)
	}
}

func (s *started) tokens(b *testing.B, requests [][]byte, count int) {
	b.Helper()
	for i := range count {
		s.token(b, requests[i%len(requests)])
	}
}

// resident is the memory that the process has, in MB.
func (s *started) resident(b *testing.B) float64 {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		b.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "VmRSS:")
	text, _, _ := strings.Cut(after, "kB")
	kB, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil {
		b.Fatal(err)
	}
	return kB * 1024 / 1e6
}

// end stops it as an operator does.
func (s *started) end(b *testing.B) {
	b.Helper()
	_ = s.conn.Close()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		b.Fatal(err)
	}
	if err := s.cmd.Wait(); err != nil {
		b.Fatalf("the end: %v\n%s", err, &s.log)
	}
}
