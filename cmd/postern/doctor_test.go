package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// postOffice is a mail server (RFC 5321) that takes one login. Anybody who begins
// a mail fails the test.
func postOffice(t *testing.T) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	answers := map[string]string{
		"EHLO": "250-office\r\n250 AUTH PLAIN", "QUIT": "221 bye",
		"AUTH PLAIN AHBvc3Rlcm4Ab3Blbi1zZXNhbWU=": "235 welcome", // postern and open-sesame
	}
	var sessions sync.WaitGroup
	sessions.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			sessions.Go(func() {
				defer conn.Close()
				_, _ = io.WriteString(conn, "220 office ready\r\n")
				for in := bufio.NewScanner(conn); in.Scan(); {
					verb, _, _ := strings.Cut(in.Text(), " ")
					answer := answers[in.Text()]
					switch {
					case answer != "":
					case verb == "MAIL" || verb == "DATA":
						t.Errorf("the doctor writes a mail: %s", in.Text())
					default:
						answer = answers[verb]
					}
					if answer == "" {
						answer = "535 not " + in.Text()
					}
					_, _ = io.WriteString(conn, answer+"\r\n")
				}
			})
		}
	})
	t.Cleanup(func() { _ = listener.Close(); sessions.Wait() })
	return listener.Addr().String()
}

func TestDoctorTriesTheMailAndSendsNone(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	office := postOffice(t)
	mail := func(more string) string {
		return fmt.Sprintf("mail: {address: %q, from: postern@example.com, username: postern, %s}\n", office, more)
	}
	for name, tt := range map[string]struct {
		config, environ string
		want, lacks     string
	}{
		"it takes the login":  {mail("password: open-sesame, tls: none"), "", "ok the mail server " + office + " answers without encryption, and takes the login", "fail no mail"},
		"a wrong password":    {mail("password: shut, tls: none"), "", "fail no mail can be sent by " + office + ": the mail server answered 535", "shut"},
		"no STARTTLS":         {mail("password: open-sesame"), "", "offers no STARTTLS", "open-sesame"},
		"nobody is there":     {"mail: {address: '127.0.0.1:1', from: a@example.com}\n", "", "the connection is refused", ""},
		"no mail":             {"log: {level: info}\n", "", "ok no mail is configured: reminders go by webhook and metric only", ""},
		"no good":             {"mail: {server: x}\n", "", "fail the configuration is not good: ", ""},
		"by the environment":  {"", office, "ok the mail server " + office + " answers without encryption", ""},
		"somewhere else":      {"", "", "Look at more by --ops --gateway --config.", "mail"},
		"what is required":    {"mail: {address: '127.0.0.1:1'}\n", "", "mail.from", "refused"},
		"a file that is gone": {"-", "", "fail the configuration is not good: ", ""},
	} {
		t.Run(name, func(t *testing.T) {
			args := []string{"doctor"}
			if tt.config != "" {
				file := filepath.Join(t.TempDir(), "postern.yaml")
				if tt.config != "-" {
					if err := os.WriteFile(file, []byte(tt.config), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				args = append(args, "--config", file)
			}
			t.Setenv("POSTERN_MAIL_ADDRESS", tt.environ)
			if tt.environ != "" {
				t.Setenv("POSTERN_MAIL_FROM", "postern@example.com")
				t.Setenv("POSTERN_MAIL_TLS", "none")
			}
			stdout, stderr, _ := runAgainst(t, server.URL, args...)
			out := strings.Join(strings.Fields(stdout+stderr), " ") // without its line breaks
			if !strings.Contains(out, tt.want) || tt.lacks != "" && strings.Contains(out, tt.lacks) {
				t.Errorf("want %q, and not %q:\n%s", tt.want, tt.lacks, out)
			}
		})
	}
}
