// Package declare brings a running server to what files say, and writes files
// that say what a server has: postern apply, diff and export.
//
// Documents (Read) are compared with the state, which is read page by page over
// REST, and become a Plan. Only fields that a document names are compared and
// changed. Apply carries a plan out, each change by the operation of the
// administration API that a person would use, so that the server decides and
// audits each as theirs; with the revision that was read, so that nobody's work
// is lost. It stops where it is told to, and going on is running it again.
//
// A kind is described by its fields in schema.go, and everything else follows
// from that.
package declare

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"postern/server/api"
)

// Request is a call of the administration API.
type Request struct {
	Method, Path string // below /api/v1
	Query        url.Values
	Body         any    // sent as JSON; nil is none
	Match        string // the ETag for If-Match
	// Once is, where something is made, the Idempotency-Key: another for each thing
	// and run, so that whoever carries it out may ask again when it got no answer.
	Once string
}

// Server asks a server. Several goroutines call it at once.
type Server func(ctx context.Context, r Request) (body []byte, err error)

// ask decodes the answer.
func ask[T any](ctx context.Context, server Server, r Request) (*T, error) {
	body, err := server(ctx, r)
	if err != nil {
		return nil, err
	}
	out := new(T)
	if err := json.Unmarshal(body, out); err != nil {
		return nil, fmt.Errorf("%s %s: the answer is not what this version expects: %w", r.Method, r.Path, err)
	}
	return out, nil
}

const mostPage = 500

// list reads all pages of a list.
func list[T any](ctx context.Context, server Server, path string, query url.Values) ([]T, error) {
	if query == nil {
		query = url.Values{}
	}
	query.Set("limit", strconv.Itoa(mostPage))
	var all []T
	for {
		page, err := ask[api.List[T]](ctx, server, Request{Method: http.MethodGet, Path: path, Query: query})
		if err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if page.Next == "" {
			return all, nil
		}
		query.Set("cursor", page.Next)
	}
}

// Key names what a document is about.
type Key struct {
	Kind      string
	Workspace string // empty for what belongs to the installation
	Name      string // a client's is its key; a grant's is its holder, "account alice" or "team ops"
}

// String is "role acme/reader".
func (k Key) String() string {
	if k.Workspace == "" {
		return k.Kind + " " + k.Name
	}
	if k.Kind == kindGrant {
		return fmt.Sprintf("grant of %s in %s", k.Name, k.Workspace)
	}
	return fmt.Sprintf("%s %s/%s", k.Kind, k.Workspace, k.Name)
}
