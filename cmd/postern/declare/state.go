package declare

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"postern/server/api"
	"postern/store"
)

// Record is what the server has: a document with all fields, and where it is.
type Record struct {
	Document
	id      string
	etag    string
	builtin bool
	holder  string // the id of the account of a client, or of a grant's holder
}

// State is what the server has of what is asked about.
type State struct {
	records    map[Key]*Record
	workspaces []string            // all that there are
	roles      map[string]bool     // by ref
	accounts   map[string]*account // by name, as far as they are known
	teams      map[string]string   // ids by name, as far as they are known
	clients    map[string]string   // acme/ci by the client's id, as far as they are known
	hidden     bool                // accounts and teams may not be seen
	unnamed    int                 // service clients without a key
	mu         sync.Mutex
}

// scope is what is asked about.
type scope struct {
	kinds      map[string]bool
	workspaces []string // nil is all
	referred   []string // whose clients are named by others
	accounts   bool     // whether people, teams or technical users are named
	teams      bool     // whether teams are
	lenient    bool     // whether people and teams are left out where they may not be seen
}

func (s *scope) has(workspace string) bool {
	return s.workspaces == nil || slices.Contains(s.workspaces, workspace)
}

func (s *State) add(r *Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records[r.Key] = r
}

// readState asks the server.
func readState(ctx context.Context, server Server, about scope) (*State, error) {
	s := &State{records: map[Key]*Record{}, roles: map[string]bool{}, accounts: map[string]*account{}, teams: map[string]string{}, clients: map[string]string{}}
	if err := s.readWorkspaces(ctx, server, about); err != nil {
		return nil, err
	}
	within := slices.DeleteFunc(slices.Clone(s.workspaces), func(w string) bool { return !about.has(w) })
	g, inner := errgroup.WithContext(ctx) // which ends with Wait
	g.SetLimit(4)
	if about.kinds[kindRole] || about.kinds[kindGrant] || about.kinds[kindClient] {
		g.Go(func() error { return s.readRoles(inner, server, about) })
	}
	if about.accounts {
		g.Go(func() error { return s.readAccounts(inner, server, about) })
	}
	for _, w := range s.workspaces {
		if about.kinds[kindClient] && about.has(w) || slices.Contains(about.referred, w) {
			g.Go(func() error { return s.readClients(inner, server, w, about.kinds[kindClient] && about.has(w)) })
		}
	}
	if about.kinds[kindGrant] || about.kinds[kindClient] {
		for _, w := range within {
			g.Go(func() error { return s.readGrants(inner, server, w) })
		}
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if about.kinds[kindAPI] {
		if err := s.readAPIs(ctx, server, about); err != nil {
			return nil, err
		}
	}
	s.rolesOfClients()
	s.namePeople()
	return s, nil
}

// namePeople puts names for the ids of those who are named in workspaces, where
// they are known.
func (s *State) namePeople() {
	names := map[string]string{}
	for name, a := range s.accounts {
		names[a.id] = name
	}
	for _, r := range s.records {
		people, named := r.values["personal_people"].([]string)
		if !named {
			continue
		}
		people = slices.Clone(people)
		for i, id := range people {
			people[i] = cmp.Or(names[id], id)
		}
		r.values["personal_people"] = people
	}
}

func (s *State) readWorkspaces(ctx context.Context, server Server, about scope) error {
	all, err := list[api.Workspace](ctx, server, "/workspaces", nil)
	if err != nil {
		return err
	}
	for _, w := range all {
		s.workspaces = append(s.workspaces, w.Name)
		if !about.has(w.Name) {
			continue
		}
		s.add(&Record{id: w.ID, etag: etag(w.Revision), Document: Document{Key: Key{Kind: kindWorkspace, Name: w.Name}, values: map[string]any{
			"description": w.Description, "api_access": w.APIAccess, "who_may_create": w.WhoMayCreate,
			"max_lifetime": w.MaxLifetime, "never_forbidden": w.NeverForbidden, "lifetimes": w.Lifetimes,
			"personal_people": w.PersonalPeople, "personal_auto": w.PersonalAuto, "leak_policy": w.LeakPolicy,
		}}})
	}
	return nil
}

func etag(revision int64) string { return fmt.Sprintf("%q", fmt.Sprint(revision)) }

func (s *State) readRoles(ctx context.Context, server Server, about scope) error {
	all, err := list[api.Role](ctx, server, "/roles", nil)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range all {
		s.roles[r.Ref] = true
		if !about.has(r.Workspace) {
			continue
		}
		key := Key{kindRole, r.Workspace, r.Name}
		s.records[key] = &Record{id: r.ID, etag: etag(r.Revision), builtin: r.Builtin, Document: Document{Key: key, values: map[string]any{
			"description": r.Description, "parents": r.Parents, "rules": r.Rules,
		}}}
	}
	return nil
}

// account is a person or a technical user.
type account struct {
	id, etag string // the latter is empty where only the name is known
	licence  any    // its name, or nil for none
}

// readAccounts learns of people, of their teams, and which names are taken. Who
// may not list accounts goes without, where files are not about them.
func (s *State) readAccounts(ctx context.Context, server Server, about scope) error {
	all, err := list[api.Account](ctx, server, "/accounts", nil)
	if refused(err, http.StatusForbidden) && (about.lenient || !about.kinds[kindAccount] && !about.kinds[kindTeam]) {
		s.hidden = true
		return nil
	}
	if err != nil {
		return err
	}
	var teams []api.Team
	if about.teams {
		if teams, err = list[api.Team](ctx, server, "/teams", nil); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	members := map[string][]string{}
	for i := range all {
		a := &all[i]
		known := &account{id: a.ID, etag: etag(a.Revision)}
		if a.Licence != "" {
			known.licence = strings.TrimPrefix(a.Licence, "*/")
		}
		s.accounts[a.Name] = known
		for _, t := range a.Teams {
			members[t] = append(members[t], a.Name)
		}
		if a.Kind != string(store.AccountUser) || !about.kinds[kindAccount] {
			continue
		}
		status := string(store.AccountActive)
		if a.Status == string(store.AccountDeactivated) {
			status = a.Status
		}
		key := Key{Kind: kindAccount, Name: a.Name}
		s.records[key] = &Record{id: a.ID, etag: known.etag, Document: Document{Key: key, values: map[string]any{
			"display_name": a.DisplayName, "email": a.Email, "licence": known.licence, "status": status,
		}}}
	}
	for _, t := range teams {
		s.teams[t.Name] = t.ID
		key := Key{Kind: kindTeam, Name: t.Name}
		s.records[key] = &Record{id: t.ID, etag: etag(t.Revision), Document: Document{Key: key, values: map[string]any{
			"display_name": t.DisplayName, "description": t.Description, "members": members[t.Name], "scim_may_grant": t.SCIMMayGrant,
		}}}
	}
	return nil
}

// refused reports whether an error is an answer with this status.
func refused(err error, status int) bool {
	r, ok := errors.AsType[interface {
		error
		HTTPStatus() int
	}](err)
	return ok && r.HTTPStatus() == status
}

func (s *State) readClients(ctx context.Context, server Server, workspace string, records bool) error {
	all, err := list[api.Client](ctx, server, "/clients", url.Values{"workspace": {workspace}, "kind": {string(store.ClientService)}})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range all {
		c := &all[i]
		if c.Account != nil {
			if s.accounts[c.Account.Name] == nil {
				s.accounts[c.Account.Name] = &account{id: c.Account.ID}
			}
		}
		if c.Key == "" {
			if records {
				s.unnamed++
			}
			continue
		}
		s.clients[c.ID] = c.Workspace + "/" + c.Key
		if records {
			r := clientRecord(c)
			s.records[r.Key] = r
		}
	}
	return nil
}

func clientRecord(c *api.Client) *Record {
	r := &Record{id: c.ID, etag: etag(c.Revision), Document: Document{Key: Key{kindClient, c.Workspace, c.Key}, values: map[string]any{
		"name": c.Name, "description": c.Description, "default_api": c.DefaultAPI, "bearer": c.Bearer, "admin_access": c.AdminAccess, "scim_only": c.SCIMOnly,
		"addresses": c.Addresses, "binding": c.Binding, "profile": c.Profile, "expires_in": never, "narrowed_to": nil, "status": c.Status, "account": "", "responsible": "",
	}}}
	if c.ExpiresAt != 0 {
		r.values["expires_in"] = time.Duration(c.ExpiresAt-c.CreatedAt) * time.Millisecond
	}
	if c.NarrowedTo != nil {
		r.values["narrowed_to"] = c.NarrowedTo
	}
	if c.Status == string(store.ClientPending) {
		r.values["status"] = string(store.ClientActive)
	}
	if c.Account != nil {
		r.values["account"], r.holder = c.Account.Name, c.Account.ID
	}
	if c.Responsible != nil {
		r.values["responsible"] = c.Responsible.Name
	}
	return r
}

func (s *State) readGrants(ctx context.Context, server Server, workspace string) error {
	all, err := list[api.Grant](ctx, server, "/grants", url.Values{"workspace": {workspace}})
	if err != nil {
		return err
	}
	for i := range all {
		s.add(grantRecord(&all[i]))
	}
	return nil
}

func grantRecord(g *api.Grant) *Record {
	name := "account " + g.Holder.Name
	if g.Team {
		name = "team " + g.Holder.Name
	}
	return &Record{
		id: g.ID, etag: etag(g.Revision), holder: g.Holder.ID,
		Document: Document{Key: Key{kindGrant, g.Workspace, name}, values: map[string]any{"roles": g.Roles}},
	}
}

// readAPIs comes after the clients, which name introspectors.
func (s *State) readAPIs(ctx context.Context, server Server, about scope) error {
	all, err := list[api.ResourceServer](ctx, server, "/apis", nil)
	if err != nil {
		return err
	}
	for i := range all {
		a := &all[i]
		if !about.has(a.Workspace) {
			continue
		}
		introspectors := make([]string, len(a.Introspectors))
		for j, id := range a.Introspectors {
			if introspectors[j], err = s.clientRef(ctx, server, id); err != nil {
				return err
			}
		}
		s.add(&Record{id: a.ID, etag: etag(a.Revision), builtin: a.Name == store.PosternAPI, Document: Document{
			Key: Key{kindAPI, a.Workspace, a.Name},
			values: map[string]any{
				"description": a.Description, "audience": a.Audience, "hosts": a.Hosts, "endpoints": a.Endpoints, "public": a.Public,
				"shared_with": a.SharedWith, "format": a.Format, "algorithm": a.Algorithm, "token_type": a.TokenType, "access_ttl": a.AccessTTL,
				"introspectors": introspectors, "workspace_from": a.WorkspaceFrom, "max_staleness": a.MaxStaleness, "semicolon": a.Semicolon,
				"encoded_slash": a.EncodedSlash, "double_slash": a.DoubleSlash, "non_ascii": a.NonASCII, "fold_case": a.FoldCase,
				"evaluate_ids": a.EvaluateIDs, "delegation": a.Delegation, "status_list": a.StatusList, "certificate_header": a.CertHeader,
			},
		}})
	}
	return nil
}

// clientRef is acme/ci for a client's id; the id of one without a key.
func (s *State) clientRef(ctx context.Context, server Server, id string) (string, error) {
	if ref, known := s.clients[id]; known {
		return ref, nil
	}
	s.clients[id] = id
	c, err := ask[api.Client](ctx, server, Request{Method: http.MethodGet, Path: "/clients/" + url.PathEscape(id)})
	switch {
	case refused(err, http.StatusNotFound), refused(err, http.StatusForbidden):
	case err != nil:
		return "", err
	case c.Key != "" && c.Workspace != "":
		s.clients[id] = c.Workspace + "/" + c.Key
	}
	return s.clients[id], nil
}

// clientID is the id for acme/ci; "" if there is none.
func (s *State) clientID(ref string) string {
	for id, known := range s.clients {
		if known == ref {
			return id
		}
	}
	return ""
}

// rolesOfClients adds to each client what is known of its account: its licence,
// and the roles it holds in the client's workspace.
func (s *State) rolesOfClients() {
	for _, r := range s.records {
		if r.Kind != kindClient {
			continue
		}
		given := []api.GrantedRole{}
		if g := s.grantOf(r.Workspace, r.text("account")); g != nil {
			given, _ = g.values["roles"].([]api.GrantedRole)
		}
		r.values["roles"] = given
		if acc := s.accounts[r.text("account")]; acc != nil && acc.etag != "" {
			r.values["licence"] = acc.licence
		}
	}
}

func (s *State) grantOf(workspace, account string) *Record {
	return s.records[Key{kindGrant, workspace, "account " + account}]
}

func (d *Document) text(name string) string {
	v, _ := d.values[name].(string)
	return v
}

// isUnknownID reports whether a name is that of a client without a key.
func isID(ref string) bool { return !strings.Contains(ref, "/") }
