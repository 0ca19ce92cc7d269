package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern/server/secret"
)

func (a *remote) tokenCommands() *cobra.Command {
	return group("token", "Get, read and revoke access tokens", a.tokenGetCommand(), a.tokenInspectCommand(), a.tokenRevokeCommand())
}

// ownClient is the flags of a client that is not the context's.
type ownClient struct{ id, secretFile string }

func (o *ownClient) flags(c *cobra.Command, stdin string) {
	c.Flags().StringVar(&o.id, "client-id", "", "id of the client; the context's by default")
	c.Flags().StringVar(&o.secretFile, "secret-file", "", "file with its secret; "+stdin)
}

// use makes the session act as the client of the flags, if they name one.
// stdinTaken says that standard input holds something else.
func (o *ownClient) use(ctx context.Context, s *session, stdinTaken bool) error {
	if o.id != "" {
		if stdinTaken && (o.secretFile == "-" || o.secretFile == "" && !hasSecretVariable()) {
			return usageError("standard input holds the token; give the secret in --secret-file or %s", secretVariable)
		}
		text, err := readSecret(ctx, s.cmd, o.secretFile)
		if err != nil {
			return err
		}
		s.clientID, s.secret = o.id, text
	}
	if s.clientID == "" {
		return usageError("this needs a client's own id and secret; give --client-id, or log in")
	}
	return nil
}

func (a *remote) tokenGetCommand() *cobra.Command {
	var as ownClient
	var resources []string
	var scope string
	c := a.command(command{
		use: "get", short: "Get an access token by client credentials, and print it",
		example: `  TOKEN=$(postern token get --resource example --scope orders:read)`,
		run: func(ctx context.Context, s *session, _ []string) error {
			if err := as.use(ctx, s, false); err != nil {
				return err
			}
			form := url.Values{"resource": resources}
			set(form, "scope", scope)
			t, body, err := s.token(ctx, form)
			if err != nil {
				return err
			}
			return s.show(body, func(w *page) { w.println(t.AccessToken) })
		},
	})
	as.flags(c, "- is standard input")
	c.Flags().StringArrayVar(&resources, "resource", nil, "`API` it is for, by short name or audience; may be repeated")
	c.Flags().StringVar(&scope, "scope", "", "scopes, parted by blanks; all that the client may have by default")
	return c
}

func (a *remote) tokenInspectCommand() *cobra.Command {
	var as ownClient
	var ask bool
	c := a.command(command{
		use: "inspect", short: "Read a token from standard input, and say what is in it",
		long: `Read a token from standard input, and say what is in it. This asks nobody and
checks no signature; with --introspect the server says whether the token is
good, which it tells only clients that are introspectors of the token's API.`,
		example: `  postern token get --resource example | postern token inspect`,
	})
	c.RunE = func(c *cobra.Command, _ []string) error {
		text, err := readToken(c.Context(), c)
		if err != nil {
			return err
		}
		seen := inspected{now: time.Now(), kind: "opaque"}
		if err := seen.read(text); err != nil {
			return usageError("%w", err)
		}
		if ask {
			s, err := a.session(c)
			if err != nil {
				return err
			}
			if err := as.use(c.Context(), s, true); err != nil {
				return err
			}
			seen.Introspection, err = s.post(c.Context(), "/oauth2/introspect", url.Values{"token": {text}})
			if err != nil {
				return told(c, err)
			}
		}
		body, err := json.Marshal(&seen)
		if err != nil {
			return err
		}
		if err := a.output.show(c.OutOrStdout(), body, seen.write); err != nil {
			return err
		}
		if ask && !seen.active() {
			return &exitError{code: exitNo}
		}
		return nil
	}
	as.flags(c, "standard input holds the token")
	c.Flags().BoolVar(&ask, "introspect", false, "ask the server whether the token is good")
	return c
}

// inspected is what can be read of a token.
type inspected struct {
	Header        json.RawMessage `json:"header,omitempty"`
	Claims        json.RawMessage `json:"claims,omitempty"`
	Introspection json.RawMessage `json:"introspection,omitempty"`

	now  time.Time
	kind string
}

// read takes the parts of a JWT apart (RFC 7519 section 3). It never repeats
// what it cannot read, which may be a secret.
func (i *inspected) read(text string) error {
	if secret.Looks(text) {
		_, client, err := secret.Parse(text)
		if err != nil {
			return errors.New("this looks like a client's secret, but its checksum is wrong: a character is missing or changed")
		}
		return fmt.Errorf("this is a secret of client %s, not an access token; if others saw it, revoke it", client)
	}
	parts := strings.Split(text, ".")
	if len(parts) == 1 {
		return nil
	}
	if len(parts) != 3 {
		return fmt.Errorf("this is no token: a JWT has three parts, this has %d", len(parts))
	}
	for n, into := range []*json.RawMessage{&i.Header, &i.Claims} {
		part, err := base64.RawURLEncoding.DecodeString(parts[n])
		if err != nil || !json.Valid(part) {
			return fmt.Errorf("this is no JWT: part %d is not JSON in base64url", n+1)
		}
		*into = part
	}
	i.kind = "JWT"
	return nil
}

func (i *inspected) active() bool {
	var answer struct {
		Active bool `json:"active"`
	}
	_ = json.Unmarshal(i.Introspection, &answer) // what is not JSON is not active
	return answer.Active
}

func (i *inspected) write(w *page) {
	var f facts
	f.add("token", i.kind)
	if i.kind == "opaque" && i.Introspection == nil {
		f.add("", "only the server can read it: use --introspect")
	}
	i.claims(&f, i.Header)
	i.claims(&f, i.Claims)
	f.write(w)
	if i.Introspection == nil {
		return
	}
	w.printf("\nThe server says:\n")
	var said facts
	i.claims(&said, i.Introspection)
	said.write(w)
}

// claims adds the members of a JSON object, in the order people look for them.
func (i *inspected) claims(f *facts, object json.RawMessage) {
	if object == nil {
		return
	}
	members := map[string]json.RawMessage{}
	if json.Unmarshal(object, &members) != nil {
		return
	}
	first := []string{"active", "typ", "alg", "kid", "iss", "sub", "client_id", "aud", "scope", "workspace", "roles", "exp", "iat", "jti"}
	rest := slices.DeleteFunc(slices.Sorted(maps.Keys(members)), func(name string) bool { return slices.Contains(first, name) })
	for _, name := range append(first, rest...) {
		if value, ok := members[name]; ok {
			f.add(name, i.value(name, value))
		}
	}
}

func (i *inspected) value(name string, raw json.RawMessage) string {
	var at json.Number
	if slices.Contains([]string{"exp", "iat", "nbf"}, name) && json.Unmarshal(raw, &at) == nil {
		if seconds, err := at.Float64(); err == nil && seconds > 0 && seconds < 253402300800 { // the year 10000
			t := time.Unix(int64(seconds), 0).UTC()
			return ago(t, i.now) + " (" + t.Format(time.RFC3339) + ")"
		}
	}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	var list []string
	if json.Unmarshal(raw, &list) == nil {
		return strings.Join(list, " ")
	}
	var short bytes.Buffer
	_ = json.Compact(&short, raw) // it was read as JSON before
	return short.String()
}

func (a *remote) tokenRevokeCommand() *cobra.Command {
	var as ownClient
	c := a.command(command{
		use: "revoke", short: "Revoke the access token on standard input",
		long: `Revoke the access token on standard input. A client revokes its own tokens; a
token that is not its own, or has ended, is answered in the same way (RFC 7009).`,
		run: func(ctx context.Context, s *session, _ []string) error {
			if err := as.use(ctx, s, true); err != nil {
				return err
			}
			text, err := readToken(ctx, s.cmd)
			if err != nil {
				return err
			}
			if _, err := s.post(ctx, "/oauth2/revoke", url.Values{"token": {text}}); err != nil {
				return err
			}
			return s.show([]byte(`{"message":"The token is revoked."}`), func(w *page) { w.println("The token is revoked.") })
		},
	})
	as.flags(c, "standard input holds the token")
	return c
}
