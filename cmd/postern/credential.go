package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"postern/store"
)

// secretVariable holds a client's secret, for programs.
const secretVariable = "POSTERN_CLIENT_SECRET"

const mostSecret = 16 << 10

// hasSecretVariable reports whether the environment holds the secret.
func hasSecretVariable() bool { return os.Getenv(secretVariable) != "" }

// readSecret returns a client's secret: out of a file, the environment, or
// standard input. An argument would show it to every user of the machine.
func readSecret(ctx context.Context, c *cobra.Command, file string) (string, error) {
	if file != "" {
		text, err := readSecretFile(ctx, c, file)
		if err != nil {
			return "", fmt.Errorf("--secret-file: %w", err)
		}
		return text, nil
	}
	if text := os.Getenv(secretVariable); text != "" {
		return text, nil
	}
	if f, ok := c.InOrStdin().(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return askSecret(ctx, c, int(f.Fd()))
	}
	text, err := readWord(ctx, c.InOrStdin())
	if err != nil {
		return "", usageError("the secret is expected on standard input, in --secret-file or in %s: %w", secretVariable, err)
	}
	return text, nil
}

// askSecret asks the person at a terminal, without showing what is typed.
func askSecret(ctx context.Context, c *cobra.Command, terminal int) (string, error) {
	before, err := term.GetState(terminal)
	if err != nil {
		return "", fmt.Errorf("read the secret: %w", err)
	}
	c.PrintErr("Client secret: ")
	text, err := interruptible(ctx, func() ([]byte, error) { return term.ReadPassword(terminal) })
	c.PrintErrln()
	if err != nil {
		_ = term.Restore(terminal, before) // the echo, if it was interrupted
		return "", fmt.Errorf("read the secret: %w", err)
	}
	return oneWord(string(text))
}

// interruptible reads what may never come, such as standard input, until ctx is
// done: Ctrl-C must end that too.
func interruptible[T any](ctx context.Context, read func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	got := make(chan result, 1)
	go func() {
		value, err := read()
		got <- result{value, err}
	}()
	select {
	case r := <-got:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

func readSecretFile(ctx context.Context, c *cobra.Command, name string) (string, error) {
	if name == "-" {
		return readWord(ctx, c.InOrStdin())
	}
	f, err := os.Open(name) //nolint:gosec // whoever runs this names a file of their own
	if err != nil {
		// Not the name: people put the secret itself here by mistake.
		if path, ok := errors.AsType[*os.PathError](err); ok {
			err = path.Err
		}
		return "", fmt.Errorf("read the file it names: %w", err)
	}
	defer f.Close()
	return readWord(ctx, f)
}

// readToken reads the token on standard input.
func readToken(ctx context.Context, c *cobra.Command) (string, error) {
	if f, ok := c.InOrStdin().(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		c.PrintErrln("Paste the token, then press Enter and Ctrl-D.")
	}
	text, err := readWord(ctx, c.InOrStdin())
	if err != nil {
		return "", usageError("the token is expected on standard input: %w", err)
	}
	return text, nil
}

func readWord(ctx context.Context, r io.Reader) (string, error) {
	text, err := interruptible(ctx, func() ([]byte, error) { return io.ReadAll(io.LimitReader(r, mostSecret)) })
	if err != nil {
		return "", err
	}
	return oneWord(string(text))
}

func oneWord(text string) (string, error) {
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		return "", errors.New("it is empty")
	case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }):
		return "", errors.New("it is more than one word of ASCII")
	}
	return text, nil
}

// authenticate gets the access token of this run, for Postern's own API.
func (s *session) authenticate(ctx context.Context) error {
	if s.bearer != "" || s.user != "" || s.anonymous {
		return nil
	}
	if s.clientID == "" {
		return &exitError{exitUsage, errNoContext}
	}
	t, _, err := s.token(ctx, url.Values{"resource": {store.PosternAPI}})
	if err != nil {
		return err
	}
	s.bearer = t.AccessToken
	return nil
}

// accessToken is an answer of the token endpoint (RFC 6749 section 5.1).
type accessToken struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int64  `json:"expires_in"`
	Scope       string `json:"scope"`
}

// token asks for an access token by client credentials.
func (s *session) token(ctx context.Context, form url.Values) (*accessToken, []byte, error) {
	form.Set("grant_type", "client_credentials")
	body, err := s.post(ctx, "/oauth2/token", form)
	if err != nil {
		return nil, nil, err
	}
	t := &accessToken{}
	if err := json.Unmarshal(body, t); err != nil || t.AccessToken == "" {
		return nil, nil, fmt.Errorf("%s does not answer as a token endpoint; is this the URL of a Postern?", s.base)
	}
	return t, body, nil
}

// post sends a form to one of the OAuth endpoints, as the session's client
// (RFC 6749 section 2.3.1).
func (s *session) post(ctx context.Context, path string, form url.Values) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(url.QueryEscape(s.clientID), url.QueryEscape(s.secret))
	resp, err := s.send(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(io.LimitReader(resp.Body, mostAnswer))
}

// readPassword returns a person's password: out of a file, or from the keyboard
// of a terminal. It may have blanks, and ends with its line.
func readPassword(ctx context.Context, c *cobra.Command, file, prompt string) (string, error) {
	in := c.InOrStdin()
	switch terminal, ok := in.(*os.File); {
	case file != "" && file != "-":
		f, err := os.Open(file) //nolint:gosec // whoever runs this names a file of their own
		if err != nil {
			return "", errors.New("the password file cannot be read") // not the name: it may be the password
		}
		defer f.Close()
		in = f
	case file == "" && ok && term.IsTerminal(int(terminal.Fd())):
		c.PrintErr(prompt)
		text, err := interruptible(ctx, func() ([]byte, error) { return term.ReadPassword(int(terminal.Fd())) })
		c.PrintErrln()
		return string(text), err
	case file == "":
		return "", usageError("the password is expected in a file, or from the keyboard of a terminal")
	}
	text, err := interruptible(ctx, func() ([]byte, error) { return io.ReadAll(io.LimitReader(in, mostSecret)) })
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	if line = strings.TrimSuffix(line, "\r"); line == "" {
		return "", usageError("the password is empty")
	}
	return line, nil
}
