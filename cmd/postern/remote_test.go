package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// run runs a command against a server, with a token file, and returns what it
// printed and how it ended.
func runAgainst(t *testing.T, server string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("a-token\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	var out, errs bytes.Buffer
	root := rootCommand()
	root.SetOut(&out)
	root.SetErr(&errs)
	root.SetArgs(append(args, "--server", server, "--token-file", token))
	err := root.ExecuteContext(t.Context())
	switch e := err.(type) { //nolint:errorlint // as run() sees it
	case nil:
	case *exitError:
		code = e.code
	default:
		code = exitFailed
		fmt.Fprintln(&errs, err)
	}
	return out.String(), errs.String(), code
}

func TestListsAreReadPageByPage(t *testing.T) {
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Query().Get("limit")+" "+r.URL.Query().Get("cursor"))
		next := `,"next":"two"`
		if r.URL.Query().Get("cursor") == "two" {
			next = ""
		}
		_, _ = fmt.Fprintf(w, `{"items":[{"name":"w%d"}],"total":2%s}`, len(asked), next)
	}))
	defer server.Close()

	out, _, code := runAgainst(t, server.URL, "workspace", "list", "--limit", "0", "-o", "json")
	if want := "{\n  \"items\": [\n    {\n      \"name\": \"w1\"\n    },\n    {\n      \"name\": \"w2\"\n    }\n  ],\n  \"total\": 2\n}\n"; code != 0 || out != want {
		t.Errorf("exit %d: %s", code, cmp.Diff(want, out))
	}
	if diff := cmp.Diff([]string{"500 ", "500 two"}, asked); diff != "" {
		t.Error(diff)
	}
	asked = nil
	out, errs, code := runAgainst(t, server.URL, "workspace", "list", "--limit", "1")
	if code != 0 || strings.Count(out, "\n") != 2 || errs != "there are 2; --limit 0 shows all\n" {
		t.Errorf("exit %d, stdout %q, stderr %q", code, out, errs)
	}
}

func TestACredentialFollowsNoRedirect(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the other server was asked with %q", r.Header.Get("Authorization"))
	}))
	defer other.Close()
	server := httptest.NewServer(http.RedirectHandler(other.URL+"/api/v1/workspaces", http.StatusTemporaryRedirect))
	defer server.Close()
	_, errs, code := runAgainst(t, server.URL, "workspace", "list")
	if code != exitFailed || !strings.Contains(errs, "the server sends on to "+other.URL) {
		t.Errorf("exit %d: %s", code, errs)
	}
}

func TestExitsSayHowAnAnswerWas(t *testing.T) {
	for _, tt := range []struct {
		status int
		body   string
		code   int
		want   string
	}{
		{404, `{"detail":"there is no workspace \"x\""}`, exitNotFound, "postern: there is no workspace \"x\"\n"},
		{401, `{"error":"invalid_client","error_description":"no"}`, exitNotAllowed, "postern: invalid_client: no\n"},
		{403, `{"detail":"you may not"}`, exitNotAllowed, "postern: you may not\n"},
		{409, `{"detail":"it is in use"}`, exitFailed, "postern: it is in use\n"},
		{
			422, `{"detail":"the request has faults","errors":[{"location":"body.name","message":"is required"},{"message":"is\u001b[2J odd"}]}`, exitFailed,
			"postern: the request has faults\n  name: is required\n  is\uFFFD[2J odd\n",
		},
		{500, `{"detail":"something went wrong here","request_id":"r1"}`, exitFailed, "postern: something went wrong here (request r1)\n"},
		{502, `<html>nginx</html>`, exitFailed, "postern: the server answered 502 Bad Gateway, and nothing more\n"},
	} {
		t.Run(http.StatusText(tt.status), func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tt.status)
				_, _ = w.Write([]byte(tt.body))
			}))
			defer server.Close()
			out, errs, code := runAgainst(t, server.URL, "workspace", "get", "x")
			if diff := cmp.Diff(tt.want, errs); diff != "" || code != tt.code || out != "" {
				t.Errorf("exit %d, want %d; stdout %q; %s", code, tt.code, out, diff)
			}
		})
	}
}

func TestYAMLSaysWhatJSONSaid(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"name":"yes","description":"1e3: #no","revision":9007199254740993,"warnings":[],"created_at":null}`))
	}))
	defer server.Close()
	out, _, code := runAgainst(t, server.URL, "workspace", "get", "x", "-o", "yaml")
	want := "name: \"yes\"\ndescription: \"1e3: #no\"\nrevision: 9007199254740993\nwarnings: []\ncreated_at: null\n"
	if diff := cmp.Diff(want, out); code != 0 || diff != "" {
		t.Errorf("exit %d: %s", code, diff)
	}
}

func TestABackupThatIsCutOffIsNone(t *testing.T) {
	const whole = "{\"postern_backup\":1}\n{\"kind\":\"roles\",\"record\":{\"_id\":\"r\"}}\n{\"end\":1}\n"
	for cut := range len(whole) - 1 {
		if _, err := copyBackup(&bytes.Buffer{}, strings.NewReader(whole[:cut])); err == nil {
			t.Errorf("%q was taken for a whole backup", whole[:cut])
		}
	}
	var out bytes.Buffer
	if n, err := copyBackup(&out, strings.NewReader(whole)); n != 1 || err != nil || out.String() != whole {
		t.Errorf("got %d, %v, %q", n, err, out.String())
	}
}

func TestWaitingForInputEndsWithTheProgram(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if _, err := readWord(ctx, r); err != context.Canceled { //nolint:errorlint // it is handed on as it is
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

func TestServerURL(t *testing.T) {
	for text, want := range map[string]string{
		"https://postern.example.com/": "https://postern.example.com",
		"http://127.0.0.1:8085":        "http://127.0.0.1:8085",
		"postern.example.com":          "", "ftp://x": "", "https://": "", "https://u:p@x": "", "https://x?a=b": "", "https://x#f": "",
	} {
		got, err := serverURL(text)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("serverURL(%q) = %q, %v; want %q", text, got, err, want)
		}
		if _, bad := url.Parse(got); bad != nil {
			t.Error(bad)
		}
	}
}
