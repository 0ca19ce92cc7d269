package declare_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/cmd/postern/declare"
	"postern/server/servertest"
)

// world is a running server and whoever asks it.
type world struct {
	t      testing.TB
	url    string
	root   string // the administrator's secret
	client string // and its id
	ask    declare.Server
	made   map[string]declare.Secret // by acme/ci
}

// start runs a server on an empty store, filled by its first start.
func start(t testing.TB) *world {
	t.Helper()
	s := servertest.Start(t)
	w := &world{t: t, url: s.URL, root: s.Admin.Secret.Reveal(), client: string(s.Admin.Client.ID), made: map[string]declare.Secret{}}
	w.ask = w.as(w.root)
	return w
}

// refusal is an answer that is none.
type refusal struct {
	status int
	body   string
}

func (r *refusal) Error() string   { return r.body }
func (r *refusal) HTTPStatus() int { return r.status }

// as asks with a credential.
func (w *world) as(credential string) declare.Server {
	return func(ctx context.Context, r declare.Request) ([]byte, error) {
		var body io.Reader
		if r.Body != nil {
			text, err := json.Marshal(r.Body)
			if err != nil {
				return nil, err
			}
			body = bytes.NewReader(text)
		}
		path := r.Path
		if len(r.Query) > 0 {
			path += "?" + r.Query.Encode()
		}
		req, err := http.NewRequestWithContext(ctx, r.Method, w.url+"/api/v1"+path, body)
		if err != nil {
			return nil, err
		}
		req.Header.Set("Authorization", "Bearer "+credential)
		if body != nil {
			req.Header.Set("Content-Type", "application/json")
		}
		if r.Match != "" {
			req.Header.Set("If-Match", r.Match)
		}
		if r.Once != "" {
			req.Header.Set("Idempotency-Key", r.Once)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err == nil && resp.StatusCode/100 != 2 {
			err = &refusal{resp.StatusCode, string(text)}
		}
		return text, err
	}
}

type object map[string]any

// rest calls the server by hand.
func (w *world) rest(method, path string, body any) object {
	w.t.Helper()
	r := declare.Request{Method: method, Path: path, Body: body}
	if method == "PATCH" {
		r.Match = fmt.Sprintf("%q", fmt.Sprint(w.rest("GET", path, nil)["revision"]))
	}
	text, err := w.ask(w.t.Context(), r)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	var out object
	if err := json.Unmarshal(text, &out); err != nil {
		w.t.Fatal(err)
	}
	return out
}

func read(t testing.TB, text string) []*declare.Document {
	t.Helper()
	docs, err := declare.Read("file", strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return docs
}

// plan compares a file with the server.
func (w *world) plan(text string, o ...declare.Options) *declare.Plan {
	w.t.Helper()
	o = append(o, declare.Options{})
	p, err := declare.Make(w.t.Context(), w.ask, read(w.t, text), o[0])
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// apply brings the server to what a file says.
func (w *world) apply(text string, o ...declare.Options) *declare.Plan {
	w.t.Helper()
	p := w.plan(text, o...)
	if p.Apply(w.t.Context(), w.ask, w.options()) > 0 {
		w.t.Fatal(said(p))
	}
	return p
}

func (w *world) options() declare.ApplyOptions {
	return declare.ApplyOptions{Secrets: func(s declare.Secret) error { w.made[cmp.Or(s.Account, s.Workspace+"/"+s.Key)] = s; return nil }}
}

// export is what the server has.
func (w *world) export() string {
	w.t.Helper()
	var out strings.Builder
	if _, err := declare.Export(w.t.Context(), w.ask, &out, declare.ExportOptions{}); err != nil {
		w.t.Fatal(err)
	}
	return out.String()
}

// said is a plan in lines: "update role acme/reader rules".
func said(p *declare.Plan) []string {
	lines := []string{}
	for _, c := range p.Changes {
		line := c.Action + " " + c.Key().String()
		if c.Action == "update" {
			for _, f := range c.Fields {
				line += " " + f.Field
			}
		}
		if c.Error != "" {
			line += ": " + c.Error
		}
		lines = append(lines, line)
	}
	return lines
}

// sortedLines is said, in any order.
func sortedLines(p *declare.Plan) []string {
	lines := said(p)
	slices.Sort(lines)
	return lines
}

// once calls stop after the first change.
func once(stop func()) func(*declare.Change) {
	var o sync.Once
	return func(*declare.Change) { o.Do(stop) }
}

const testTimeout = 10 * time.Second
