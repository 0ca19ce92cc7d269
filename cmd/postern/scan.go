package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"postern/server/api"
	"postern/server/leak"
)

func (a *remote) scanCommand() *cobra.Command {
	var o scanOptions
	c := &cobra.Command{
		Use:   "scan [PATH...]",
		Short: "Find Postern's secrets and tokens in files and in git history",
		Long: `Find secrets and access tokens of Postern in files, and in the whole history of
the git repositories among them, offline. Without a path it is the current
folder; - is standard input. A credential is known by its form and checksum, so
what is found was made by a Postern, in text, binary files, UTF-16 and base64.
It is never printed.

It exits with 5 when something was found, with 0 when nothing was. With --revoke
what was found is sent to the server, which ends it as the workspace's policy
says; that takes no login.`,
		Example: `  postern scan
  postern scan --staged            # in .git/hooks/pre-commit
  postern scan --revoke --server https://postern.example.com ~/src
  docker save app | postern scan -`,
		RunE: func(c *cobra.Command, paths []string) error { return told(c, a.scan(c, o, paths)) },
	}
	f := c.Flags()
	f.BoolVar(&o.staged, "staged", false, "only what the next commit of this repository adds or changes")
	f.BoolVar(&o.git, "git", true, "read the history of repositories too")
	f.StringSliceVar(&o.issuers, "issuer", nil, "find JWTs of this issuer too: the public URL of a server; repeatable")
	f.BoolVar(&o.revoke, "revoke", false, "send what is found to the server of the context, or of --server")
	f.StringVar(&a.context, "context", "", "context of postern login, for --revoke; the last one by default")
	f.StringVar(&a.server, "server", "", "URL of the server, for --revoke")
	a.output.flag(c)
	return c
}

type scanOptions struct {
	staged, git, revoke bool
	issuers             []string
}

// leakedText is a credential and where it was found.
type leakedText struct {
	Place    string `json:"place"` // file:line, or commit:file:line
	File     string `json:"file"`
	Commit   string `json:"commit,omitempty"` // the first that has it; of git history
	Line     int64  `json:"line"`
	Kind     string `json:"kind"`
	ClientID string `json:"client_id,omitempty"`
	Hint     string `json:"hint"` // its first six and last four characters

	text string
}

// scanner gathers what is found, from several goroutines.
type scanner struct {
	finder       leak.Finder
	read, places atomic.Int64
	mu           sync.Mutex
	found        []leakedText
	objects      map[string][]leak.Found // of one repository, by object id
	messages     map[string]bool         // those that are commits and tags
	trouble      []string                // what could not be read
}

func (s *scanner) add(file string, found leak.Found) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.found = append(s.found, newLeakedText("", file, found))
}

func newLeakedText(commit, file string, found leak.Found) leakedText {
	f := leakedText{
		File: file, Commit: commit, Line: found.Line, Kind: string(found.Kind), ClientID: string(found.ClientID), Hint: found.Hint(),
		text: found.Text.Reveal(),
	}
	f.Place = fmt.Sprintf("%s:%d", file, found.Line)
	if commit != "" {
		f.Place = commit[:min(12, len(commit))] + ":" + f.Place
	}
	return f
}

func (s *scanner) failed(what string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trouble = append(s.trouble, fmt.Sprintf("%s: %s", what, oneLine(err)))
}

// stream scans one text to its end.
func (s *scanner) stream(name string, r io.Reader) error {
	_, err := s.finder.Scan(&counting{r, &s.read}, func(found leak.Found) { s.add(name, found) })
	s.places.Add(1)
	return err
}

// counting counts what is read.
type counting struct {
	r io.Reader
	n *atomic.Int64
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}

func (a *remote) scan(c *cobra.Command, o scanOptions, paths []string) error {
	ctx := c.Context()
	var base string
	if o.revoke { // before the work, not after it
		var err error
		if base, err = a.serverOnly(c); err != nil {
			return err
		}
	}
	if o.staged && len(paths) > 0 {
		return usageError("--staged scans what is staged in the current repository, and takes no path")
	}
	for i, issuer := range o.issuers {
		o.issuers[i] = strings.TrimRight(issuer, "/")
	}
	s := &scanner{finder: leak.Finder{Issuers: o.issuers}}
	end := s.progress(ctx, c.ErrOrStderr())
	err := s.scan(ctx, c, o, paths)
	end()
	if err != nil {
		return err
	}
	for _, t := range s.trouble {
		warn(c, t)
	}
	if err := s.show(c, &a.output); err != nil {
		return err
	}
	if len(s.found) > 0 && o.revoke {
		if err := s.report(c, base); err != nil {
			return err
		}
	}
	switch {
	case len(s.found) > 0:
		return &exitError{code: exitNo}
	case len(s.trouble) > 0:
		return &exitError{exitFailed, fmt.Errorf("nothing was found, but not everything could be read")}
	}
	return nil
}

func (s *scanner) scan(ctx context.Context, c *cobra.Command, o scanOptions, paths []string) error {
	if o.staged {
		return s.staged(ctx)
	}
	if len(paths) == 0 {
		paths = []string{"."}
	}
	files := newPool(ctx, s)
	defer files.wait()
	for _, path := range paths {
		if path == "-" {
			if err := s.stream("(standard input)", c.InOrStdin()); err != nil {
				return fmt.Errorf("read standard input: %w", err)
			}
			continue
		}
		repositories, err := files.walk(ctx, path)
		if err != nil {
			return err
		}
		for _, r := range repositories {
			if !o.git {
				break
			}
			if err := s.history(ctx, r); err != nil {
				s.failed("the history of "+r, err)
			}
		}
	}
	files.wait()
	return ctx.Err()
}

// show writes what was found, a line each, by place. The same credential in
// several versions of a file is one line.
func (s *scanner) show(c *cobra.Command, o *output) error {
	slices.SortStableFunc(s.found, func(a, b leakedText) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Commit, b.Commit), cmp.Compare(a.Line, b.Line))
	})
	answer, err := json.Marshal(struct {
		Findings []leakedText `json:"findings"`
		Scanned  int64        `json:"scanned"` // files and objects of git
		Bytes    int64        `json:"bytes"`
	}{append([]leakedText{}, s.found...), s.places.Load(), s.read.Load()})
	if err != nil {
		return err
	}
	return o.show(c.OutOrStdout(), answer, func(p *page) {
		for _, f := range s.found {
			of := ""
			if f.ClientID != "" {
				of = " of " + f.ClientID
			}
			p.println(printable(fmt.Sprintf("%s: %s%s %s", f.Place, f.Kind, of, f.Hint)))
		}
	})
}

// serverOnly is the URL of the server to send to. No credential is needed.
func (a *remote) serverOnly(c *cobra.Command) (string, error) {
	if a.server != "" {
		base, err := serverURL(a.server)
		if err != nil {
			return "", usageError("--server: %w", err)
		}
		return base, nil
	}
	file, err := loadContexts(c)
	if err != nil {
		return "", err
	}
	_, at, err := file.pick(a.context)
	if err != nil {
		return "", err
	}
	return at.Server, nil
}

// The most that one report takes.
const (
	reportItems = 500
	reportBytes = 200 << 10
)

// report sends what was found to the server, each credential once.
func (s *scanner) report(c *cobra.Command, base string) error {
	var batches [][]string
	seen, size := map[[sha256.Size]byte]bool{}, 0
	for _, f := range s.found {
		sum := sha256.Sum256([]byte(f.text))
		if seen[sum] {
			continue
		}
		seen[sum] = true
		if n := len(batches); n == 0 || len(batches[n-1]) == reportItems || size+len(f.text) > reportBytes {
			batches, size = append(batches, nil), 0
		}
		batches[len(batches)-1] = append(batches[len(batches)-1], f.text)
		size += len(f.text) + len(`"",`)
	}
	talk := &session{cmd: c, base: base, http: newHTTPClient()}
	for i, tokens := range batches {
		if err := talk.reportLeaks(c.Context(), tokens); err != nil {
			return fmt.Errorf("report to %s: %w; %d of %d credentials were sent", base, err, i*reportItems, len(seen))
		}
	}
	c.PrintErrf("%s sent to %s.\nWhat is its own and still worked has ended, or its people were told, as the\nworkspace's policy says. It does not say which.\n",
		plural(len(seen), "credential was", "credentials were"), base)
	return nil
}

// reportLeaks sends one report, as nobody in particular.
func (s *session) reportLeaks(ctx context.Context, tokens []string) error {
	body, err := json.Marshal(api.LeakReport{Tokens: tokens})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.base+"/api/v1/leaks", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.send(req)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, mostAnswer)) // it says the same whatever was sent
	return resp.Body.Close()
}

// progress tells on a terminal how far the scan is, until it is ended.
func (s *scanner) progress(ctx context.Context, w io.Writer) (end func()) {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return func() {}
	}
	ctx, stop := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				_, _ = fmt.Fprintf(f, "\r%d files and objects, %d MB\x1b[K", s.places.Load(), s.read.Load()>>20)
			case <-ctx.Done():
				_, _ = fmt.Fprint(f, "\r\x1b[K")
				return
			}
		}
	})
	return func() { stop(); done.Wait() }
}
