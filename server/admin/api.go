package admin

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"postern/policy"
	"postern/server/certificate"
	"postern/store"
)

// APIInput is an API as it is written; nil is left as it is.
type APIInput struct {
	Name          string // of a new one
	Workspace     string // its owner, of a new one
	Description   *string
	Audience      *string
	Hosts         *[]string
	Endpoints     *[]store.Endpoint
	Public        *[]store.Endpoint
	SharedWith    *[]store.Share
	Format        *store.TokenFormat
	Algorithm     *string
	TokenType     *string
	AccessTTL     *time.Duration
	Introspectors *[]string
	WorkspaceFrom *string
	MaxStaleness  *time.Duration
	Semicolon     *bool
	EncodedSlash  *bool
	DoubleSlash   *bool
	NonASCII      *bool
	FoldCase      *bool
	EvaluateIDs   *bool
	StatusList    *bool
	Delegation    *bool

	CertificateHeader *string
}

// CreateAPI registers an API.
func (a *Admin) CreateAPI(ctx context.Context, by *Actor, in APIInput) (*store.API, error) {
	return once(ctx, a, by, opAPICreate, func(by *Actor) (*store.API, error) {
		return a.createAPI(ctx, by, in)
	}, func(by *Actor, seen *store.Idempotency) (*store.API, error) {
		if a.State.API(store.APIID(seen.Target)) == nil {
			return nil, goneAgain()
		}
		return a.API(ctx, by, seen.Target)
	})
}

func (a *Admin) createAPI(ctx context.Context, by *Actor, in APIInput) (*store.API, error) {
	ws := a.workspace(in.Workspace)
	if ws == nil {
		return nil, refuse(Invalid, "workspace: there is no workspace by this name")
	}
	if err := a.must(by, opAPICreate, ws.ID); err != nil {
		return nil, err
	}
	api := &store.API{ID: store.NewAPIID(), Name: in.Name, Workspace: ws.ID, CreatedAt: a.now()}
	if err := a.writeAPI(ctx, by, opAPICreate, api, in); err != nil {
		return nil, err
	}
	err := a.change(ctx, by, entry{operation: opAPICreate.Name, workspace: ws.ID, after: api, name: api.Name}, store.Insert(api))
	return stored(api, store.OpInsert), err
}

// EditAPI changes an API. Revision is the one the actor read.
func (a *Admin) EditAPI(ctx context.Context, by *Actor, idOrName string, in APIInput, revision int64) (*store.API, error) {
	return a.editAPI(ctx, by, opAPIEdit, idOrName, in, revision)
}

func (a *Admin) editAPI(ctx context.Context, by *Actor, op Operation, idOrName string, in APIInput, revision int64) (*store.API, error) {
	old, err := a.findAPI(by, op, idOrName)
	if err != nil {
		return nil, err
	}
	if err := atRevision(revision, old.Revision); err != nil {
		return nil, err
	}
	if old.Name == store.PosternAPI {
		return nil, refuse(Conflict, "the API postern is built in and stays as it is")
	}
	api := *old
	if err := a.writeAPI(ctx, by, op, &api, in); err != nil {
		return nil, err
	}
	err = a.change(ctx, by, entry{operation: op.Name, workspace: api.Workspace, before: old, after: &api, name: api.Name}, store.Update(&api))
	return stored(&api, store.OpUpdate), err
}

func (a *Admin) writeAPI(ctx context.Context, by *Actor, op Operation, api *store.API, in APIInput) error {
	var f faults
	if !isSlug(api.Name) {
		f.add("name", slugRule)
	}
	set(&api.Description, in.Description)
	set(&api.Audience, in.Audience)
	set(&api.Hosts, in.Hosts)
	set(&api.SharedWith, in.SharedWith)
	set(&api.Format, in.Format)
	set(&api.Algorithm, in.Algorithm)
	api.Hosts, api.SharedWith = slices.Clone(api.Hosts), slices.Clone(api.SharedWith) // spelled anew below
	set(&api.TokenType, in.TokenType)
	set(&api.WorkspaceFrom, in.WorkspaceFrom)
	set(&api.Semicolon, in.Semicolon)
	set(&api.EncodedSlash, in.EncodedSlash)
	set(&api.DoubleSlash, in.DoubleSlash)
	set(&api.NonASCII, in.NonASCII)
	set(&api.FoldCase, in.FoldCase)
	set(&api.EvaluateIDs, in.EvaluateIDs)
	set(&api.StatusList, in.StatusList)
	set(&api.Delegation, in.Delegation)
	set(&api.CertificateHeader, in.CertificateHeader)
	if in.AccessTTL != nil {
		api.AccessTTL = f.seconds("access_ttl", *in.AccessTTL)
	}
	if in.MaxStaleness != nil {
		api.MaxStaleness = f.seconds("max_staleness", *in.MaxStaleness)
	}
	checkAudience(&f, api.Audience)
	checkAPI(&f, api)
	if in.Endpoints != nil {
		api.Endpoints = checkEndpoints(&f, "endpoints", *in.Endpoints, api.FoldCase)
	}
	if in.Public != nil {
		api.Public = checkEndpoints(&f, "public", *in.Public, api.FoldCase)
	}
	if in.Introspectors != nil {
		api.Introspectors = a.introspectors(ctx, &f, *in.Introspectors)
	}
	for i, s := range api.SharedWith {
		if ws := a.workspace(string(s.Workspace)); ws == nil {
			f.add(fmt.Sprintf("shared_with[%d].workspace", i), "there is no workspace %q", printable(string(s.Workspace)))
		} else {
			api.SharedWith[i].Workspace = ws.ID
		}
	}
	if err := f.err(); err != nil {
		return err
	}
	return a.mayGive(by, op, gift{workspace: api.Workspace, rules: true})
}

func (f *faults) seconds(place string, d time.Duration) int64 {
	if d < 0 || d > 0 && d < time.Second {
		f.add(place, "must be a whole number of seconds; leave it away for the default")
	}
	return int64(d / time.Second)
}

// checkAudience wants what a resource parameter can be (RFC 8707 section 2): an
// absolute URI without a fragment; or a plain name.
func checkAudience(f *faults, audience string) {
	u, err := url.Parse(audience)
	switch {
	case audience == "":
		f.add("audience", "is required: an absolute URI such as https://api.example.com, or a name")
	case len(audience) > 500 || strings.ContainsFunc(audience, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }):
		f.add("audience", "must be at most 500 printable ASCII characters without blanks and quotes")
	case err != nil || strings.Contains(audience, "#"):
		f.add("audience", "must be an absolute URI without a fragment, or a name")
	case u.Scheme == "" && strings.Contains(audience, "/"):
		f.add("audience", "looks like a URI without a scheme")
	}
}

func checkAPI(f *faults, api *store.API) {
	for i, h := range api.Hosts {
		if h = strings.ToLower(strings.TrimSuffix(h, ".")); h == "" || strings.ContainsAny(h, ":/@ *?#\\") {
			f.add(fmt.Sprintf("hosts[%d]", i), "%q is no host name; write it without scheme and port", printable(api.Hosts[i]))
		}
		api.Hosts[i] = h
	}
	switch api.Format {
	case "", store.FormatJWT, store.FormatOpaque:
	default:
		f.add("format", "must be jwt or opaque")
	}
	if api.StatusList && api.Format == store.FormatOpaque {
		f.add("status_list", "is for tokens that are verified offline, and opaque ones are introspected; make format jwt")
	}
	switch api.Algorithm {
	case "", "ES256", "EdDSA", "RS256":
	default:
		f.add("algorithm", "must be ES256, EdDSA or RS256")
	}
	switch api.TokenType {
	case "", "at+jwt", "JWT":
	default:
		f.add("token_type", "must be at+jwt or JWT")
	}
	if api.CertificateHeader != "" {
		var err error
		if api.CertificateHeader, err = certificate.CheckHeader(api.CertificateHeader); err != nil {
			f.add("certificate_header", "%s", err)
		}
	}
	if param, ok := strings.CutPrefix(api.WorkspaceFrom, "param:"); api.WorkspaceFrom != "" && api.WorkspaceFrom != "fixed" && (!ok || param == "") {
		f.add("workspace_from", "must be fixed, or param:<name of a path parameter>")
	}
}

// checkEndpoints checks a catalogue and spells its paths canonically.
func checkEndpoints(f *faults, place string, in []store.Endpoint, fold bool) []store.Endpoint {
	out := slices.Clone(in)
	if len(out) > 5000 {
		f.add(place, "has more than 5000 entries")
		return nil
	}
	for i := range out {
		e := &out[i]
		at := fmt.Sprintf("%s[%d]", place, i)
		path, err := policy.ParsePath(e.Path)
		if err != nil {
			f.add(at+".path", "%v", err)
		}
		if fold {
			path = strings.ToLower(path)
		}
		e.Path = path
		if err := policy.CheckMethods(e.Methods); err != nil {
			f.add(at+".methods", "%v", err)
		}
		switch posts := e.Takes("POST"); {
		case e.GraphQL && place == "public":
			f.add(at+".graphql", "a public endpoint is let through unread; leave this out, or list it among the endpoints")
		case e.GraphQL && !posts:
			f.add(at+".graphql", "GraphQL is decided by the body of a POST; add that method")
		}
	}
	return out
}

func (a *Admin) introspectors(ctx context.Context, f *faults, in []string) []store.ClientID {
	var out []store.ClientID
	for i, id := range in {
		c, err := a.State.Client(ctx, store.ClientID(id))
		if err != nil || c.Status == store.ClientDeleted {
			f.add(fmt.Sprintf("introspectors[%d]", i), "there is no client %q", printable(id))
			continue
		}
		out = append(out, c.ID)
	}
	return out
}

// findAPI finds an API that the actor may see, and checks that it may do op.
func (a *Admin) findAPI(by *Actor, op Operation, idOrName string) (*store.API, error) {
	api := a.State.API(store.APIID(idOrName))
	if api == nil {
		api = a.State.APIByName(idOrName)
	}
	if api == nil || !a.seesAPI(by, api) {
		return nil, refuse(NotFound, "there is no API %q that you may see", printable(idOrName))
	}
	if op.Name == opAPIGet.Name {
		return api, nil
	}
	return api, a.must(by, op, api.Workspace, string(api.ID))
}

// seesAPI reports whether the actor may see an API: in the workspace that owns
// it, or in one that it is shared with.
func (a *Admin) seesAPI(by *Actor, api *store.API) bool {
	if a.may(by, opAPIGet, api.Workspace, string(api.ID)) {
		return true
	}
	return slices.ContainsFunc(api.SharedWith, func(s store.Share) bool {
		return a.may(by, opAPIGet, s.Workspace, string(api.ID))
	})
}

// API returns an API by id or name.
func (a *Admin) API(ctx context.Context, by *Actor, idOrName string) (*store.API, error) {
	return a.findAPI(by, opAPIGet, idOrName)
}

// APIs returns the APIs that the actor may see, by name.
func (a *Admin) APIs(_ context.Context, by *Actor) ([]*store.API, error) {
	out := slices.DeleteFunc(slices.Clone(a.State.APIs()), func(api *store.API) bool { return !a.seesAPI(by, api) })
	slices.SortFunc(out, func(x, y *store.API) int { return cmp.Compare(x.Name, y.Name) })
	return out, nil
}

// DeleteAPI removes an API that no rule of a role names.
func (a *Admin) DeleteAPI(ctx context.Context, by *Actor, idOrName string, revision int64) error {
	old, err := a.findAPI(by, opAPIDelete, idOrName)
	if err != nil {
		return err
	}
	if err := atRevision(revision, old.Revision); err != nil {
		return err
	}
	if old.Name == store.PosternAPI {
		return refuse(Conflict, "the API postern is built in and stays")
	}
	for _, r := range a.State.Roles() {
		if slices.ContainsFunc(r.Rules, func(rule store.Rule) bool { return rule.API == old.Name }) {
			return refuse(Conflict, "role %s has rules about it; change those first", r.Ref)
		}
	}
	return a.change(ctx, by, entry{operation: opAPIDelete.Name, workspace: old.Workspace, before: old, name: old.Name}, store.Delete(old))
}
