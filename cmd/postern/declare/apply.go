package declare

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"postern/server/api"
	"postern/store"
)

// Secret is the secret of a client that was made, or the invitation of a person.
type Secret struct {
	Workspace string `json:"workspace,omitempty"`
	Key       string `json:"key,omitempty"`
	ClientID  string `json:"client_id,omitempty"`
	Secret    string `json:"client_secret,omitempty"`
	SecretID  string `json:"secret_id,omitempty"`

	Account    string `json:"account,omitempty"`
	Invitation string `json:"invitation,omitempty"` // the token of the one-time link

	ExpiresAt api.Time `json:"expires_at"`
}

// ApplyOptions say how a plan is carried out.
type ApplyOptions struct {
	// Secrets gets each new secret before anything else is done with its client.
	// Only one goroutine calls it at a time. Required where Plan.Secrets says that
	// there will be some.
	Secrets func(Secret) error
	// Progress is told, one call at a time, after each change. May be nil.
	Progress func(c *Change)
	Workers  int // changes at once; 0 is 48
}

// defaultWorkers is how many changes are made at once. What waits together for
// the disk is written together: with 48 a change costs the server a third less
// than with 16.
const defaultWorkers = 48

// ErrNotBegun is why a change was not made after an interruption.
var ErrNotBegun = errors.New("not begun: it was interrupted")

// Apply carries a plan out and says in each Change what came of it. What fails
// is told and the rest goes on, but nothing is deleted after a failure. When ctx
// is done nothing more is begun, and what was begun is ended.
func (p *Plan) Apply(ctx context.Context, server Server, o ApplyOptions) (failed int) {
	if o.Workers == 0 {
		o.Workers = defaultWorkers
	}
	a := &applier{server: server, state: p.state, options: o, docs: map[Key]*Document{}}
	for _, c := range p.Changes {
		if c.doc != nil {
			a.docs[c.Key()] = c.doc
		}
	}
	for rest := p.Changes; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].phase == rest[0].phase {
			n++
		}
		a.together(ctx, rest[:n])
		rest = rest[n:]
	}
	return a.failed
}

// applier carries out a plan.
type applier struct {
	server  Server
	state   *State
	options ApplyOptions
	docs    map[Key]*Document

	mu     sync.Mutex // over what follows, the state's clients and teams and the calls of options
	failed int
}

// together makes changes that do not need each other.
func (a *applier) together(ctx context.Context, changes []*Change) {
	stay := changes[0].Action == remove && a.failed > 0
	work := make(chan *Change)
	var workers sync.WaitGroup
	for range min(a.options.Workers, len(changes)) {
		workers.Go(func() {
			for c := range work {
				var err error
				switch {
				case ctx.Err() != nil:
					err = ErrNotBegun
				case stay:
					err = errors.New("not deleted, since other changes failed")
				default:
					// A client whose answer nobody waits for has a secret nobody has.
					err = a.do(context.WithoutCancel(ctx), c)
				}
				a.done(c, err)
			}
		})
	}
	for _, c := range changes {
		work <- c
	}
	close(work)
	workers.Wait()
}

func (a *applier) done(c *Change, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c.Done = new(err == nil)
	if err != nil {
		c.Error = err.Error()
		a.failed++
	}
	if a.options.Progress != nil {
		a.options.Progress(c)
	}
}

// paths are where the kinds are that have a path of their own.
func pathOf(kind, id string) string {
	return map[string]string{kindWorkspace: "/workspaces", kindAPI: "/apis", kindRole: "/roles", kindClient: "/clients", kindAccount: "/accounts", kindTeam: "/teams"}[kind] + id
}

func under(id string) string { return "/" + url.PathEscape(id) }

func (a *applier) do(ctx context.Context, c *Change) error {
	switch {
	case c.Action == remove:
		return a.delete(ctx, c)
	case c.phase == phaseLate && c.Kind == kindTeam:
		return a.members(ctx, c)
	case c.phase == phaseLate && c.Kind == kindWorkspace:
		return a.people(ctx, c)
	case c.phase == phaseLate:
		return a.introspectors(ctx, c)
	case c.Kind == kindGrant:
		return a.grant(ctx, c.Workspace, a.holder(c.Name), c.doc.values["roles"], c.old)
	case c.Kind == kindAccount && c.Action == create:
		return a.invite(ctx, c)
	case c.Kind == kindClient && c.Action == create:
		return a.createClient(ctx, c)
	case c.Action == create:
		return a.create(ctx, c)
	case c.Kind == kindClient:
		return a.updateClient(ctx, c)
	case c.Kind == kindAccount:
		return a.updateAccount(ctx, c)
	default:
		return a.patch(ctx, c.Kind, c.old, a.body(c))
	}
}

// making is a request that makes something.
func making(path string, body map[string]any) Request {
	return Request{Method: http.MethodPost, Path: path, Body: body, Once: rand.Text()}
}

// create makes what needs no more than its fields.
func (a *applier) create(ctx context.Context, c *Change) error {
	body := a.body(c)
	body["name"] = c.Name
	if c.Workspace != "" {
		body["workspace"] = c.Workspace
	}
	made, err := ask[struct {
		ID string `json:"id"`
	}](ctx, a.server, making(pathOf(c.Kind, ""), body))
	if err == nil && c.Kind == kindTeam {
		a.mu.Lock()
		a.state.teams[c.Name] = made.ID
		a.mu.Unlock()
	}
	return err
}

// holder is the id of a team, or the name of an account, which comes first where
// there are both.
func (a *applier) holder(name string) string {
	team, isTeam := strings.CutPrefix(name, "team ")
	if !isTeam {
		return strings.TrimPrefix(name, "account ")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if id := a.state.teams[team]; id != "" {
		return id
	}
	return team
}

func (a *applier) patch(ctx context.Context, kind string, old *Record, body map[string]any) error {
	if len(body) == 0 {
		return nil
	}
	_, err := a.server(ctx, Request{Method: http.MethodPatch, Path: pathOf(kind, under(old.id)), Body: body, Match: old.etag})
	if refused(err, http.StatusPreconditionFailed) {
		return fmt.Errorf("someone changed it meanwhile; run this again: %w", err)
	}
	return err
}

// body is what the change's fields are to be.
func (a *applier) body(c *Change) map[string]any {
	body := map[string]any{}
	for _, f := range c.Fields {
		value := c.doc.values[f.Field]
		if list, isRules := value.([]api.Rule); isRules {
			value = numbered(list, c.old)
		}
		body[f.Field] = wire(value)
	}
	return body
}

// numbered gives rules that a role has already the numbers they have there: a
// number is permanent, and usage counts by it.
func numbered(list []api.Rule, old *Record) []api.Rule {
	have := map[string][]int{}
	if old != nil {
		before, _ := old.values["rules"].([]api.Rule)
		for _, r := range before {
			have[ruleLine(r)] = append(have[ruleLine(r)], r.Number)
		}
	}
	out := slices.Clone(list)
	for i := range out {
		line := ruleLine(out[i])
		if numbers := have[line]; len(numbers) > 0 {
			out[i].Number, have[line] = numbers[0], numbers[1:]
		}
	}
	return out
}

// introspectors are named once the clients are there.
func (a *applier) introspectors(ctx context.Context, c *Change) error {
	api, err := ask[api.ResourceServer](ctx, a.server, Request{Method: http.MethodGet, Path: "/apis" + under(c.Name)})
	if err != nil {
		return err
	}
	refs, _ := c.doc.values["introspectors"].([]string)
	ids := make([]string, len(refs))
	for i, ref := range refs {
		if ids[i] = ref; isID(ref) {
			continue
		}
		a.mu.Lock()
		ids[i] = a.state.clientID(ref)
		a.mu.Unlock()
		if ids[i] == "" {
			return fmt.Errorf("introspectors: there is no client %s", printable(ref))
		}
	}
	// Its revision moved if this run changed its other fields.
	old := &Record{id: api.ID, etag: etag(api.Revision)}
	return a.patch(ctx, kindAPI, old, map[string]any{"introspectors": ids})
}

// grant gives roles. Holder is an id, or a name.
func (a *applier) grant(ctx context.Context, workspace, holder string, roles any, old *Record) error {
	given, _ := roles.([]api.GrantedRole)
	r := Request{Method: http.MethodPut, Path: "/grants" + under(workspace) + under(holder), Body: map[string]any{"roles": given}}
	if old != nil {
		r.Path, r.Match = "/grants"+under(workspace)+under(old.holder), old.etag
	}
	if len(given) == 0 {
		if old == nil {
			return nil
		}
		r.Method, r.Body = http.MethodDelete, nil
	}
	_, err := a.server(ctx, r)
	return err
}

// delete deletes what is there no longer to be. A client is revoked first.
func (a *applier) delete(ctx context.Context, c *Change) error {
	r := Request{Method: http.MethodDelete, Path: pathOf(c.Kind, under(c.old.id)), Match: c.old.etag}
	switch c.Kind {
	case kindGrant:
		r.Path = "/grants" + under(c.Workspace) + under(c.old.holder)
	case kindClient:
		r.Match = ""
		if c.old.text("status") != string(store.ClientRevoked) {
			revoke := Request{Method: http.MethodPost, Path: r.Path + "/revoke", Body: map[string]any{"reason": "no longer declared"}}
			if _, err := a.server(ctx, revoke); err != nil {
				return err
			}
		}
	}
	_, err := a.server(ctx, r)
	if refused(err, http.StatusNotFound) {
		return nil
	}
	return err
}
