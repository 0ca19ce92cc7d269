package policy_test

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"postern/policy"
	"postern/store"
)

// Ids in tests are made from names.
func workspaceID(name string) store.WorkspaceID {
	if name == "*" {
		return store.Shared
	}
	return store.WorkspaceID("wsp-" + name)
}

func roleID(ref string) store.RoleID { return store.RoleID("rol-" + ref) }

func role(ref string, parents []string, rules ...store.Rule) *store.Role {
	ws, _, _ := strings.Cut(ref, "/")
	r := &store.Role{ID: roleID(ref), Ref: ref, Workspace: workspaceID(ws), Rules: rules}
	for _, p := range parents {
		r.Parents = append(r.Parents, roleID(p))
	}
	return r
}

func workspace(name string) *store.Workspace {
	return &store.Workspace{ID: workspaceID(name), Name: name}
}

func grant(holder store.HolderID, ws string, roles ...store.GrantedRole) *store.Grant {
	return &store.Grant{ID: store.NewGrantID(holder, workspaceID(ws)), Holder: holder, Workspace: workspaceID(ws), Roles: roles}
}

func given(ref string, limits ...store.Limit) store.GrantedRole {
	return store.GrantedRole{Role: roleID(ref), Limits: limits}
}

// loaded returns an engine over the records.
func loaded(t testing.TB, o policy.Options, records ...store.Record) *policy.Engine {
	t.Helper()
	e := policy.New(o)
	if err := e.Load(records); err != nil {
		t.Fatal(err)
	}
	return e
}

func referee(t testing.TB, records []store.Record) *policy.Referee {
	t.Helper()
	f, err := policy.NewReferee(records)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func apply(t testing.TB, e *policy.Engine, r store.Record) {
	t.Helper()
	if err := e.Apply(store.Change{Kind: r.Kind(), Key: r.Key(), Record: r}); err != nil {
		t.Fatal(err)
	}
}

func remove(t testing.TB, e *policy.Engine, r store.Record) {
	t.Helper()
	if err := e.Apply(store.Change{Kind: r.Kind(), Key: r.Key()}); err != nil {
		t.Fatal(err)
	}
}

// world is a random model: few names, so that everything meets everything.
type world struct {
	*rand.Rand
	records map[string]store.Record // by key
	liked   string                  // a role that the last request fits
	regexps map[string]*regexp.Regexp
}

func newWorld(seed uint64) *world {
	w := &world{Rand: rand.New(rand.NewPCG(seed, 11)), records: map[string]store.Record{}, regexps: map[string]*regexp.Regexp{}, liked: "*/a"}
	for _, ws := range []string{"*", "acme", "globex"} {
		if ws != "*" {
			w.put(workspace(ws))
		}
		for _, name := range []string{"a", "b", "c", "d"} {
			w.put(w.role(ws + "/" + name))
		}
	}
	for _, team := range []store.HolderID{"tea-ops", "tea-dev"} {
		for _, ws := range []string{"acme", "globex"} {
			w.put(w.grant(team, ws))
		}
	}
	w.put(&store.API{ID: "api-shop", Name: "shop", FoldCase: w.IntN(4) == 0})
	w.put(&store.API{ID: "api-iot", Name: "iot"})
	return w
}

func (w *world) put(r store.Record) { w.records[r.Key()] = r }

// all returns the records in an order that stays the same.
func (w *world) all() (out []store.Record) {
	for _, key := range w.keys(func(store.Record) bool { return true }) {
		out = append(out, w.records[key])
	}
	return out
}

func (w *world) keys(which func(store.Record) bool) (keys []string) {
	for key, r := range w.records {
		if which(r) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

func (w *world) roles() (out []*store.Role) {
	for _, r := range w.all() {
		if r, ok := r.(*store.Role); ok {
			out = append(out, r)
		}
	}
	return out
}

func pick[T any](w *world, from ...T) T { return from[w.IntN(len(from))] }

func (w *world) roleIn(ws string) string { return ws + "/" + pick(w, "a", "b", "c", "d", "d", "gone") }
func (w *world) anyRole() string         { return w.roleIn(pick(w, "*", "acme", "globex")) }

func (w *world) path(segments ...string) (p string) {
	for range w.IntN(3) {
		p += "/" + pick(w, segments...)
	}
	return p
}

// role makes a role; now and then one that no decision can use.
func (w *world) role(ref string) *store.Role {
	ws, _, _ := strings.Cut(ref, "/")
	r := role(ref, nil)
	for range w.IntN(3) {
		if p := roleID(w.roleIn(pick(w, "*", ws))); !slices.Contains(r.Parents, p) {
			r.Parents = append(r.Parents, p) // cycles and parents that are not there among them
		}
	}
	if w.IntN(20) == 0 {
		r.Parents = append(r.Parents, roleID("globex/b"))
	}
	for i := range w.IntN(6) {
		rule := store.Rule{
			Number: 2*i + 1, Deny: w.IntN(6) == 0, API: pick(w, "shop", "shop", "iot", "*"),
			Methods:   pick(w, "GET", "POST", "GET POST", "*", "M-SEARCH GET"),
			Operation: pick(w, "", "", "", "query devices", "mutation *", "* sites"),
		}
		if !rule.Deny {
			rule.Scope = pick(w, "", "", "read", "write", "all")
		}
		rule.Path = w.path("x", "y", "X", "z.1", "%C3%A9", "%c3%89") + pick(w, "", "/{device}", "/{id}", "/{site}/{device}", "/{site}/x/{device}", "/**", "/x/**", "/{device}/**")
		if rule.Path == "" {
			rule.Path = "/"
		}
		r.Rules = append(r.Rules, rule)
	}
	if len(r.Rules) > 0 && w.IntN(40) == 0 {
		r.Rules[0].Methods = "GET,POST"
	}
	return r
}

// grant gives one to three roles, mostly one that the last request fits.
func (w *world) grant(holder store.HolderID, ws string) *store.Grant {
	g := grant(holder, ws)
	for range 1 + w.IntN(3) {
		h := given(pick(w, w.liked, w.liked, w.anyRole()))
		for _, p := range []string{"device", "site"} {
			if w.IntN(4) == 0 {
				h.Limits = append(h.Limits, store.Limit{Param: p, Values: []string{"x", "Y"}[:w.IntN(3)]})
			}
		}
		g.Roles = append(g.Roles, h)
	}
	return g
}

func (w *world) caller() *policy.Caller {
	a := &store.Account{ID: "svc-x", Licence: pick(w, "", "", "", roleID(w.anyRole()), roleID("*/a"), roleID("*/gone"))}
	c := &policy.Caller{Holder: &store.Holder{Account: a}, Narrowed: w.IntN(4) == 0, AnyScope: w.IntN(3) == 0, NoLicence: w.IntN(9) == 0}
	for _, ws := range []string{"acme", "globex"} {
		if w.IntN(4) > 0 {
			c.Holder.Grants = append(c.Holder.Grants, w.grant("svc-x", ws))
		}
	}
	for range w.IntN(3) {
		a.Teams = append(a.Teams, pick(w, store.TeamID("tea-ops"), "tea-dev", "tea-gone"))
		c.Roles = append(c.Roles, roleID(pick(w, w.liked, w.anyRole())))
		c.Scopes = append(c.Scopes, pick(w, "read", "write"))
	}
	return c
}

// request is mostly made to fit some rule, and then often spoilt in one place.
func (w *world) request() *policy.Request {
	odd := &policy.Request{
		Workspace: pick(w, workspaceID("acme"), workspaceID("globex"), workspaceID("gone"), store.Shared, ""),
		API:       pick(w, "shop", "iot"), Method: pick(w, "GET", "POST", "PUT", "M-SEARCH", "get", "GE", "POS", "SEARCH", "*", ""),
		Path:      pick(w, w.path("x", "y", "z.1", "z01", "**", "{id}", "", "xy"), "/x/", "/", "", "x"),
		Operation: pick(w, "", "query devices", "mutation devices", "query sites", "sites"),
	}
	like := w.roles()[w.IntN(len(w.roles()))]
	if len(like.Rules) == 0 {
		return odd
	}
	rule := pick(w, like.Rules...)
	path := ""
	for s := range strings.SplitSeq(rule.Path[1:], "/") {
		switch {
		case s == "**":
			path += w.path("x", "y")
		case strings.HasPrefix(s, "{"):
			path += "/" + pick(w, "x", "y", "Y")
		default:
			path += "/" + s
		}
	}
	api := strings.Replace(rule.API, "*", "shop", 1)
	path, err := policy.Canonical(max(path, "/"), policy.Relaxed{FoldCase: w.folds(api)})
	if err != nil {
		return odd
	}
	ws, _, _ := strings.Cut(like.Ref, "/")
	r := &policy.Request{
		Workspace: workspaceID(strings.Replace(ws, "*", pick(w, "acme", "globex"), 1)), API: api,
		Method: pick(w, strings.Split(rule.Methods, " ")...), Path: path, Operation: strings.ReplaceAll(rule.Operation, "*", "query"),
	}
	w.liked = like.Ref
	switch w.IntN(12) {
	case 0:
		r.API = odd.API
	case 1:
		r.Method = odd.Method
	case 2:
		r.Path = pick(w, odd.Path, r.Path+"x", r.Path+"/x", r.Path[:w.IntN(len(r.Path))])
	case 3:
		r.Operation = odd.Operation
	case 4:
		return odd
	}
	return r
}

func (w *world) folds(api string) bool {
	for _, r := range w.records {
		if a, ok := r.(*store.API); ok && a.Name == api {
			return a.FoldCase
		}
	}
	return false
}

// change changes one record in the world and in the engine.
func (w *world) change(t testing.TB, e *policy.Engine) {
	key := pick(w, w.keys(func(store.Record) bool { return true })...)
	old := w.records[key]
	if w.IntN(5) == 0 && len(w.roles()) > 4 {
		delete(w.records, key)
		if old.Kind() == store.KindWorkspace {
			for _, r := range w.roles() {
				if string(r.Workspace) == key {
					delete(w.records, r.Key())
				}
			}
		}
		remove(t, e, old)
		return
	}
	switch r := old.(type) {
	case *store.Role:
		w.put(w.role(r.Ref))
	case *store.Grant:
		w.put(w.grant(r.Holder, string(r.Workspace)[len("wsp-"):]))
	case *store.API:
		w.put(&store.API{ID: r.ID, Name: r.Name, FoldCase: !r.FoldCase})
	}
	apply(t, e, w.records[key])
}
