package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern/server/api"
	"postern/store"
)

// remote is the flags that say which server a command talks to, and as whom.
type remote struct {
	context, server, tokenFile string
	output                     output
}

func (a *remote) flags(c *cobra.Command) {
	a.target(c)
	a.output.flag(c)
}

func (a *remote) target(c *cobra.Command) {
	f := c.PersistentFlags()
	f.StringVar(&a.context, "context", "", "context of postern login; the last one by default")
	f.StringVar(&a.server, "server", "", "URL of the server, in place of the context's")
	f.StringVar(&a.tokenFile, "token-file", "", "file with an access token or secret to send as it is; - is standard input")
}

// session is one run of a command.
type session struct {
	cmd    *cobra.Command
	out    io.Writer
	output *output
	now    time.Time

	base     string // URL of the server without a slash at the end
	clientID string // of the context; empty with a token file
	secret   string
	bearer   string // once there is one; in memory only
	user     string // signs in by name and password instead
	password string
	otp      string // a code of the person's second factor
	// anonymous sends no credential.
	anonymous bool
	http      *http.Client
}

// session finds the server and the credential. It asks nothing yet.
func (a *remote) session(c *cobra.Command) (*session, error) {
	s := &session{cmd: c, out: c.OutOrStdout(), output: &a.output, now: time.Now(), http: newHTTPClient()}
	if a.tokenFile != "" {
		text, err := readSecretFile(c.Context(), c, a.tokenFile)
		if err != nil {
			return nil, fmt.Errorf("--token-file: %w", err)
		}
		s.bearer = text
	}
	if a.server != "" {
		var err error
		if s.base, err = serverURL(a.server); err != nil {
			return nil, usageError("--server: %w", err)
		}
	}
	if s.base != "" && (s.bearer != "" || hasOwnClient(c)) {
		return s, nil
	}
	file, err := loadContexts(c)
	if err != nil {
		return nil, err
	}
	name, at, err := file.pick(a.context)
	switch {
	case errors.Is(err, errNoContext) && s.base != "":
		return s, nil
	case err != nil:
		return nil, err
	case s.base == "":
		s.base = at.Server
	case s.base != at.Server: // its secret is nobody else's business
		return nil, usageError("--server: context %s is of another server, %s; log in to this one, or give --token-file", name, at.Server)
	}
	if s.bearer == "" {
		s.clientID, s.secret = at.ClientID, at.ClientSecret
	}
	return s, nil
}

// hasOwnClient reports whether flags name a client or a person, so that no context
// is needed.
func hasOwnClient(c *cobra.Command) bool {
	for _, name := range []string{"client-id", "user", "invitation-file"} {
		if f := c.Flags().Lookup(name); f != nil && f.Changed {
			return true
		}
	}
	return false
}

func newHTTPClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			TLSHandshakeTimeout:   10 * time.Second,
			ResponseHeaderTimeout: 30 * time.Second,
			MaxIdleConnsPerHost:   64, // apply makes many calls at once
		},
		// A redirect would carry the credential to whoever it names.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// serverURL checks the URL of a server and cuts the slash off its end.
func serverURL(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", errors.New("must be a URL such as https://postern.example.com")
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", errors.New("must be a URL without user, query and fragment")
	}
	return strings.TrimRight(text, "/"), nil
}

// answer is what a server said.
type answer struct {
	etag string
	body []byte
}

const (
	callTimeout = 60 * time.Second
	mostAnswer  = 64 << 20
)

// request is a call of the administration API.
type request struct {
	method, path string // below /api/v1
	query        url.Values
	body         any    // sent as JSON; []byte is sent as it is
	match        string // the ETag for If-Match
	once         string // the Idempotency-Key
}

// call asks the server and returns its answer, or a *refusal.
func (s *session) call(ctx context.Context, r request) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	resp, err := s.open(ctx, r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, mostAnswer))
	if err != nil {
		return nil, fmt.Errorf("%s %s: the answer broke off: %w", r.method, r.path, err)
	}
	s.now = time.Now() // what happened while we asked is not in the future
	return &answer{resp.Header.Get("ETag"), body}, nil
}

// open asks the server and returns its answer while it still comes; the caller
// closes its body.
func (s *session) open(ctx context.Context, r request) (*http.Response, error) {
	if err := s.authenticate(ctx); err != nil {
		return nil, err
	}
	var body io.Reader
	switch b := r.body.(type) {
	case nil:
	case []byte:
		body = bytes.NewReader(b)
	default:
		text, err := json.Marshal(b)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", r.method, r.path, err)
		}
		body = bytes.NewReader(text)
	}
	target := s.base + "/api/v1" + r.path
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target, body)
	if err != nil {
		return nil, err
	}
	switch {
	case s.anonymous:
	case s.user != "":
		req.SetBasicAuth(s.user, s.password)
		if s.otp != "" {
			req.Header.Set(otpHeader, s.otp)
		}
	default:
		req.Header.Set("Authorization", "Bearer "+s.bearer)
	}
	if _, raw := r.body.([]byte); raw {
		req.Header.Set("Content-Type", "application/octet-stream")
	} else if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.match != "" {
		req.Header.Set("If-Match", r.match)
	}
	if r.once != "" {
		req.Header.Set("Idempotency-Key", r.once)
	}
	resp, err := s.send(req)
	if refused, ok := errors.AsType[*refusal](err); ok && refused.noCode && s.otp == "" {
		if s.otp, err = askCode(ctx, s.cmd); err != nil {
			return nil, err
		}
		if s.otp != "" {
			return s.open(ctx, r)
		}
		return nil, refused
	}
	return resp, err
}

// otpHeader has a code of a second factor; in an answer it says that one is
// missing.
const otpHeader = "Postern-OTP"

// send returns an answer of 2xx, or a *refusal.
func (s *session) send(req *http.Request) (*http.Response, error) {
	resp, err := s.http.Do(req)
	if err != nil {
		return nil, unreachable(s.base, err)
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, refused(resp)
}

// unreachable leaves away the URL with its query, and says what to do.
func unreachable(base string, err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	return fmt.Errorf("cannot reach %s: %w", base, err)
}

// refusal is an answer that is none: a problem (RFC 9457), or an error of OAuth
// (RFC 6749 section 5.2).
type refusal struct {
	status      int
	noCode      bool        // the password was right, and a code is asked for
	Detail      string      `json:"detail"`
	Errors      []api.Fault `json:"errors"`
	OAuthError  string      `json:"error"`
	Description string      `json:"error_description"`
	RequestID   string      `json:"request_id"`
}

func (r *refusal) Error() string {
	switch {
	case r.Detail != "":
		return r.Detail
	case r.OAuthError != "" && r.Description != "":
		return r.OAuthError + ": " + r.Description
	case r.OAuthError != "":
		return r.OAuthError
	default:
		return fmt.Sprintf("the server answered %d %s, and nothing more", r.status, http.StatusText(r.status))
	}
}

func (r *refusal) exit() int {
	switch r.status {
	case http.StatusNotFound:
		return exitNotFound
	case http.StatusUnauthorized, http.StatusForbidden:
		return exitNotAllowed
	default:
		return exitFailed
	}
}

func refused(resp *http.Response) error {
	r := &refusal{}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20)) // what was read is what can be told
	_ = json.Unmarshal(body, r)                             // a proxy answers what it likes
	r.status, r.noCode = resp.StatusCode, resp.Header.Get(otpHeader) != ""
	if resp.StatusCode/100 == 3 && r.Detail == "" {
		r.Detail = fmt.Sprintf("the server sends on to %s; log in to that URL if you trust it", resp.Header.Get("Location"))
	}
	if r.status >= http.StatusInternalServerError && r.RequestID != "" {
		r.Detail = fmt.Sprintf("%s (request %s)", r.Error(), r.RequestID)
	}
	return r
}

// line names what is wrong the way a person typed it.
func line(f api.Fault) string {
	place := strings.TrimPrefix(f.Location, "body.")
	if place == "" || place == "body" {
		return f.Message
	}
	return place + ": " + f.Message
}

// show writes an answer in the form that was asked for.
func (s *session) show(body []byte, table func(*page)) error {
	return s.output.show(s.out, body, table)
}

// decoded asks and decodes the answer.
func decoded[T any](ctx context.Context, s *session, r request) (*T, *answer, error) {
	a, err := s.call(ctx, r)
	if err != nil {
		return nil, nil, err
	}
	out := new(T)
	if err := json.Unmarshal(a.body, out); err != nil {
		return nil, nil, fmt.Errorf("%s %s: the answer is not what this version expects: %w", r.method, r.path, err)
	}
	return out, a, nil
}

const mostPage = 500

// pages reads a list up to limit rows; 0 is all of them. The answer is the whole
// of it as one list.
func pages[T any](ctx context.Context, s *session, path string, query url.Values, limit int) ([]T, []byte, error) {
	var items []T
	joined := api.List[json.RawMessage]{Items: []json.RawMessage{}}
	for {
		size := mostPage
		if limit > 0 {
			size = min(size, limit-len(items))
		}
		query.Set("limit", strconv.Itoa(size))
		page, a, err := decoded[api.List[T]](ctx, s, request{method: http.MethodGet, path: path, query: query})
		if err != nil {
			return nil, nil, err
		}
		var raw api.List[json.RawMessage]
		if err := json.Unmarshal(a.body, &raw); err != nil {
			return nil, nil, err
		}
		items = append(items, page.Items...)
		joined.Items, joined.Total = append(joined.Items, raw.Items...), raw.Total
		if page.Next == "" || limit > 0 && len(items) >= limit {
			if page.Next != "" {
				more := "there are more"
				if raw.Total != nil {
					more = fmt.Sprintf("there are %d", *raw.Total)
				}
				s.cmd.PrintErrf("%s; --limit 0 shows all\n", more)
			}
			body, err := json.Marshal(joined)
			return items, body, err
		}
		query.Set("cursor", page.Next)
	}
}

// ago says a time of an answer in words; none is empty.
func (s *session) ago(t api.Time) string {
	if t == 0 {
		return ""
	}
	return ago(store.Time(t).Time(), s.now)
}

// at says a time of an answer in words and exactly.
func (s *session) at(t api.Time) string {
	if t == 0 {
		return ""
	}
	return s.ago(t) + " (" + store.Time(t).Time().Format(time.RFC3339) + ")"
}

// warnings go where they are read, not where they would be parsed.
func (s *session) warnings(texts []string) {
	for _, text := range texts {
		warn(s.cmd, text)
	}
}

// done says what was done, in the server's words.
func (s *session) done(ctx context.Context, r request) error {
	m, a, err := decoded[api.Message](ctx, s, r)
	if err != nil {
		return err
	}
	return s.show(a.body, func(w *page) { w.println(m.Message) })
}

// escape makes a name one segment of a path.
func escape(name string) string { return url.PathEscape(name) }

// set adds what is not empty to a query.
func set(query url.Values, name, value string) {
	if value != "" {
		query.Set(name, value)
	}
}
